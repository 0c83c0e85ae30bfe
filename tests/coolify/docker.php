<?php

// A stand-in of ours for Coolify's bootstrap/helpers/docker.php: 4.3.11, with IPv6 and DNS.

function convertDockerRunToCompose(?string $custom_docker_run_options = null)
{
    $options = [];
    $compose_options = collect([]);
    preg_match_all('~(--\w+(?:-\w+)*)[\s=]?([^\s-]+)?~', $custom_docker_run_options, $matches, PREG_SET_ORDER);
    $list_options = collect([
        '--cap-add', '--cap-drop', '--security-opt', '--sysctl',
        '--ulimit', '--device', '--shm-size', '--dns',
    ]);
    $mapping = collect([
        '--cap-add' => 'cap_add', '--cap-drop' => 'cap_drop', '--security-opt' => 'security_opt',
        '--sysctl' => 'sysctls', '--device' => 'devices', '--init' => 'init', '--ulimit' => 'ulimits',
        '--privileged' => 'privileged', '--ip' => 'ip', '--shm-size' => 'shm_size', '--gpus' => 'gpus',
        '--hostname' => 'hostname', '--entrypoint' => 'entrypoint', '--ip6' => 'ip6', '--dns' => 'dns',
    ]);
    foreach ($matches as $match) {
        $option = $match[1];
        if ($option === '--gpus') {
            preg_match('~device=([0-9A-Za-z-,]+)~', $custom_docker_run_options, $device);
            $options[$option][] = $device[1] ?? 'all';
            $options[$option] = array_unique($options[$option]);
        }
        if ($option === '--hostname') {
            preg_match('~--hostname(?:=|\s+)(\S+)~', $custom_docker_run_options, $hostname);
            if (! empty($hostname[1])) {
                $options[$option][] = $hostname[1];
                $options[$option] = array_unique($options[$option]);
            }
        }
        if ($option === '--entrypoint') {
            $quoted = '~--entrypoint(?:=|\s+)("(?:\\\\.|[^"])*"|\'(?:\\\\.|[^\'])*\'|\S+)~';
            $text = preg_match($quoted, $custom_docker_run_options, $entrypoint) ? $entrypoint[1] : '';
            $first = substr($text, 0, 1);
            if (($first === '"' || $first === "'") && str_ends_with($text, $first)) {
                $text = substr($text, 1, -1);
                $text = $first === '"' ? preg_replace('~\\\\(["$`\\\\])~', '$1', $text) : $text;
            }
            if ($text && trim($text) !== '') {
                $options[$option][] = $text;
                $options[$option] = array_values(array_unique($options[$option]));
            }

            continue;
        }
        if (($match[2] ?? '') === '') {
            $options[$option] = true;
        } else {
            $options[$option][] = $match[2];
            $options[$option] = array_unique($options[$option]);
        }
    }
    foreach (collect($options) as $option => $value) {
        if (! data_get($mapping, $option)) {
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
        } elseif ($option === '--shm-size' || $option === '--hostname' || $option === '--entrypoint') {
            if (is_array($value) && count($value) > 0 && ! empty(trim($value[0]))) {
                $compose_options->put($mapping[$option], $value[0]);
            }
        } elseif ($option === '--gpus') {
            $payload = ['driver' => 'nvidia', 'capabilities' => ['gpu']];
            if (is_array($value) && count($value) > 0 && ! empty(trim($value[0])) && str($value[0]) != 'all') {
                $payload['device_ids'] = str($value[0])->explode(',')->toArray();
            }
            $compose_options->put('deploy', ['resources' => ['reservations' => ['devices' => [$payload]]]]);
        } else {
            $compose_options->put($mapping[$option], $value);
        }
    }

    return $compose_options->toArray();
}
