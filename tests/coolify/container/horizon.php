<?php
// A queue as Laravel's Horizon runs it: a master, and a worker that has read its code once. On SIGTERM
// both finish the job that runs (`fast_termination` is false in Coolify's config/horizon.php) and end;
// whoever supervises the master starts it again, with the code of then.

declare(strict_types=1);

namespace StandIn;

require __DIR__.'/deployment.php';

const LOOK_US = 50_000;

/** The master: keeps one worker running until it is told to end. */
function supervise(): int
{
    $stopping = false;
    $worker = null;
    pcntl_async_signals(true);
    pcntl_signal(SIGTERM, function () use (&$stopping, &$worker): void {
        $stopping = true;
        if ($worker !== null) {
            posix_kill($worker, SIGTERM);
        }
    }, restart_syscalls: false); // or waitpid() goes on, and the handler is not called before it returns
    while (! $stopping) {
        $process = proc_open([PHP_BINARY, 'artisan', 'horizon:work', 'redis'], [STDIN, STDOUT, STDERR], $pipes);
        $worker = proc_get_status($process)['pid'];
        if ($stopping) {
            posix_kill($worker, SIGTERM); // the signal came before there was anybody to hand it on to
        }
        while (pcntl_waitpid($worker, $status) === -1 && pcntl_get_last_error() === PCNTL_EINTR) {
            continue;
        }
        $worker = null;
    }

    return 0;
}

/** The worker: runs the jobs in $directory, one after the other, until SIGTERM or its master's end. */
function work(string $directory): int
{
    $stopping = false;
    pcntl_async_signals(true);
    pcntl_signal(SIGTERM, function () use (&$stopping): void {
        $stopping = true;
    });
    $master = posix_getppid();
    while (! $stopping && posix_getppid() === $master) {
        $jobs = glob("{$directory}/*.job");
        if ($jobs === []) {
            usleep(LOOK_US);

            continue;
        }
        run($jobs[0]);
    }

    return 0;
}

/** Runs a job: a file with JSON, which is renamed while it runs; its result lies beside it then. */
function run(string $path): void
{
    $base = substr($path, 0, -strlen('.job'));
    rename($path, "{$base}.running");
    try {
        $job = json_decode(file_get_contents("{$base}.running"), true, flags: JSON_THROW_ON_ERROR);
        $until = microtime(true) + $job['sleep_s'];
        while (microtime(true) < $until) {
            usleep(LOOK_US); // a signal cuts a sleep short
        }
        $result = ['result' => deploy($job)];
    } catch (\Throwable $error) {
        $result = ['error' => $error::class.': '.$error->getMessage()];
    }
    file_put_contents("{$base}.new", json_encode($result, JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR));
    rename("{$base}.new", "{$base}.json");
    unlink("{$base}.running");
}

/** Tells every master in this container to end; does not wait for it, as Horizon's does not. */
function terminate(): int
{
    foreach (glob('/proc/[0-9]*/cmdline') as $path) {
        $words = explode("\0", rtrim((string) @file_get_contents($path), "\0"));
        if (array_slice($words, 1) === ['artisan', 'horizon']) {
            $master = (int) basename(dirname($path));
            echo "horizon: SIGTERM to {$master}\n";
            posix_kill($master, SIGTERM);
        }
    }

    return 0;
}
