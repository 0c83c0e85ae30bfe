<?php
// The web side, which reads its code anew for every request, as php-fpm does.

declare(strict_types=1);

require __DIR__.'/../vendor/autoload.php';
require __DIR__.'/../deployment.php';

switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/api/health':
        echo 'OK';
        break;
    case '/convert':
        header('Content-Type: application/json');
        echo json_encode(StandIn\convert($_GET['options'] ?? null));
        break;
    default:
        http_response_code(404);
}
