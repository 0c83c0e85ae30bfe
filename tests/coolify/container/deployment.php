<?php
// What a deployment makes of an application's settings, in the shape that Coolify's
// ApplicationDeploymentJob::generate_compose_file gives it (4.3.11), without what needs its database.

declare(strict_types=1);

namespace StandIn;

/**
 * The converted options, and the compose file if the job names an app.
 *
 * @param array{options: ?string, app: ?array<string, mixed>, sleep_s: float} $job
 */
function deploy(array $job): array
{
    $options = convert($job['options']);

    return ['options' => $options, 'compose' => $job['app'] === null ? null : compose($job['app'], $options)];
}

/** Coolify's own function, under either of the names that it has had. */
function convert(?string $options): array
{
    return function_exists('convertDockerRunToCompose')
        ? \convertDockerRunToCompose($options)
        : \convert_docker_run_to_compose($options);
}

/** The compose file of an app: its service, with the options merged into it. */
function compose(array $app, array $options): array
{
    $service = service($app);
    $addresses = array_filter([
        'ipv4_address' => $options['ip'][0] ?? null,
        'ipv6_address' => $options['ip6'][0] ?? null,
    ]);
    unset($options['ip'], $options['ip6']);
    if ($addresses !== []) {
        $service['networks'] = [$app['network'] => $addresses];
    }

    return [
        'services' => [$app['container_name'] => array_merge_recursive($service, $options)],
        'networks' => [
            $app['network'] => ['external' => true, 'name' => $app['network'], 'attachable' => true],
        ],
    ];
}

function service(array $app): array
{
    return [
        'image' => $app['image'],
        'container_name' => $app['container_name'],
        'restart' => 'unless-stopped',
        'expose' => $app['ports'],
        'networks' => [$app['network'] => ['aliases' => [$app['container_name']]]],
        'mem_limit' => '0',
        'memswap_limit' => '0',
        'mem_swappiness' => 60,
        'mem_reservation' => '0',
        'cpus' => 0.0,
        'cpu_shares' => 1024,
        'env_file' => ['.env'],
        'labels' => [
            'coolify.managed=true',
            'coolify.version='.getenv('COOLIFY_VERSION'),
            "coolify.applicationId={$app['id']}",
            'coolify.type=application',
            "coolify.name={$app['uuid']}",
            "coolify.resourceName={$app['name']}",
            'coolify.projectName=shop',
            "coolify.serviceName={$app['name']}",
            'coolify.environmentName=production',
            'coolify.pullRequestId=0',
        ],
        'volumes' => $app['volumes'],
    ];
}
