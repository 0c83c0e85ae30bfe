<?php
// An app that says what it is, and what another app says that it has asked by its name.

declare(strict_types=1);

header('Content-Type: application/json');
$asked = $_GET['ask'] ?? null;
echo json_encode([
    'host' => gethostname(),
    'kernel' => php_uname('v'),
    'forwarded_for' => $_SERVER['HTTP_X_FORWARDED_FOR'] ?? null,
    'peer' => $asked ? json_decode(file_get_contents("http://{$asked}:8000/")) : null,
]);
