<?php

// A stand-in of ours for Coolify's bootstrap/helpers/docker.php: 4.0.0-beta.202, values cut at commas.

/** The digits behind the colon of a published port, or null. */
function port_behind_colon(?string $published): ?int
{
    $parts = explode(':', (string) $published);
    if (count($parts) < 2) {
        return null;
    }

    return (int) end($parts);
}

function convert_docker_run_to_compose(?string $custom_docker_run_options = null)
{
    $options = [];
    $compose_options = collect([]);
    preg_match_all('~(--\w+(?:-\w+)*)[\s=]?([^\s-]+)?~', $custom_docker_run_options, $matches, PREG_SET_ORDER);
    $list_options = collect([
        '--cap-add',
        '--cap-drop',
        '--security-opt',
        '--sysctl',
        '--ulimit',
        '--device',
    ]);
    $mapping = collect([
        '--cap-add' => 'cap_add',
        '--cap-drop' => 'cap_drop',
        '--security-opt' => 'security_opt',
        '--sysctl' => 'sysctls',
        '--device' => 'devices',
        '--init' => 'init',
        '--ulimit' => 'ulimits',
        '--privileged' => 'privileged',
    ]);
    foreach ($matches as $match) {
        $option = $match[1];
        $value = ($match[2] ?? '') !== '' ? $match[2] : true;
        if ($list_options->contains($option)) {
            $value = explode(',', $value);
        }
        if (! array_key_exists($option, $options)) {
            $options[$option] = $value;
        } elseif (is_array($options[$option])) {
            $options[$option][] = $value;
        } else {
            $options[$option] = [$options[$option], $value];
        }
    }
    foreach (collect($options) as $option => $value) {
        if (!data_get($mapping, $option)) {
            continue;
        }
        if ($option === '--ulimit') {
            $ulimits = collect([]);
            foreach (collect($value) as $ulimit) {
                $parts = explode('=', $ulimit);
                $limits = explode(':', $parts[1]);
                $both = count($limits) == 2;
                $ulimits->put($parts[0], $both ? ['soft' => $limits[0], 'hard' => $limits[1]] : ['soft' => $parts[1]]);
            }
            $compose_options->put($mapping[$option], $ulimits);
        } else {
            $compose_options->put($mapping[$option], $value);
        }
    }
    return $compose_options->toArray();
}

/** A service of a compose file with these options merged into it. */
function merge_into_service(array $service, array $options): array
{
    $ip = data_get($options, 'ip.0');
    data_forget($options, 'ip');
    if ($ip) {
        $service['networks'] = ['ipv4_address' => $ip];
    }

    return array_merge_recursive($service, $options);
}
