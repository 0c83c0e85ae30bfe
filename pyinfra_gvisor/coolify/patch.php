<?php
// Patches Coolify's function for Custom Docker Options so that it passes --runtime on to Docker, which no release
// of Coolify does, or restores the file to the byte. Runs in Coolify's container: PHP 8.1 and later, core and json.
//   php coolify/patch.php VERB [--root=DIR] [--before-start]     php -- VERB < coolify/patch.php
// state: print the current state, one "key value" a line. It changes nothing; the other verbs print it at their end.
// apply: insert our lines, then call the function to test them (--before-start: no worker runs yet).
// remove: remove our lines. renew: end Horizon gracefully if it may have read the file before it was last written.
// Exit status: 0, or with one line on stderr: 1: unexpected error; 2: wrong command line; 3: refused, nothing was
// changed; 4: tried and failed, the file is unchanged.

declare(strict_types=1);

const VERBS = ['state' => '', 'apply' => 'changed', 'remove' => 'changed', 'renew' => 'asked'];
const HELPER = 'bootstrap/helpers/docker.php';
const BLOCK = <<<'CODE'
    // pyinfra-gvisor begin: passes --runtime on to Docker; added by pyinfra-gvisor, which removes it again
    if (preg_match_all('/(?:^|\s)--runtime(?:=|\s+)(["\']?)([A-Za-z0-9][A-Za-z0-9._-]*)\1(?=\s|$)/', (string) $custom_docker_run_options, $pyinfra_gvisor)) {
        $compose_options->put('runtime', end($pyinfra_gvisor[2]));
    }
    // pyinfra-gvisor end

CODE;
const MARKER = '~^[ \t]*// pyinfra-gvisor (begin|end)\b.*\n~m';
// The second name is from 4.0.0-beta.360 and earlier.
const HEADER = '/^[ \t]*function[ \t]+(convertDockerRunToCompose|convert_docker_run_to_compose)\s*\(([^)]*)\)/m';
const RETURN_LINE = '/^    return \$compose_options->toArray\(\);(?=\r?$)/m';
const PROBED = '{"runtime":"runscprobe"}';
const PROBE = 'try { require "vendor/autoload.php"; echo "\nprobe ", json_encode(%s("--runtime=runscprobe")), "\n"; }
    catch (Throwable $error) { echo "\n", get_class($error), ": ", $error->getMessage(); exit(1); }';
const LINT_S = 5, PROBE_S = 20, TERMINATE_S = 60; // the first two together: less than the limit of the entry script
const TICKS = 100; // USER_HZ: the unit of a process' start time in proc(5)

exit(main($argv));

/** An error that is printed in one line; its code is the exit status. */
final class Failure extends RuntimeException {}

/** The file as it is, without our lines and with our lines, and the answer of its function. */
final class Look
{
    public string $file, $note;
    public array $stat; // empty: the file does not exist
    public string $text = '', $kind = 'damaged', $reason = '', $name = '', $patched = '', $probe = '';
    public ?string $clean = null; // null: our lines cannot be told apart from other lines
    public string $block = 'none'; // or "present": equal to BLOCK, or "other": another version of it
    public string $error = 'the function was not called: it is not defined exactly once';

    public function __construct(public readonly string $root)
    {
        clearstatcache();
        $this->file = realpath("$root/".HELPER) ?: "$root/".HELPER;
        $this->stat = is_file($this->file) ? stat($this->file) : [];
        $text = $this->stat ? @file_get_contents($this->file) : '';
        try {
            $this->text = $text !== false ? $text : throw new Failure('the file cannot be read');
            $this->clean = without_block($text);
            $this->read($this->clean);
        } catch (Failure $failure) {
            $this->reason = $failure->getMessage();
        }
        $this->note = sys_get_temp_dir().'/pyinfra-gvisor-'.substr(hash('sha256', $this->text), 0, 16);
        if ($this->name !== '') {
            [$status, $said, $error] = run(['-r', sprintf(PROBE, $this->name)], $root, PROBE_S);
            $answers = $status === 0 && preg_match('/^probe (.+)$/m', $said, $found);
            [$this->probe, $this->error] = $answers ? [$found[1], ''] : ['', $error];
        }
        // The function may pass the option on in a way that is not visible in its text.
        if ($this->probe === PROBED && $this->clean === $this->text) {
            [$this->kind, $this->patched, $this->reason] = ['native', $this->text, ''];
        }
    }

    private function read(string $clean): void
    {
        $this->block = $clean === $this->text ? 'none' : 'other';
        $count = preg_match_all(HEADER, $clean, $found, PREG_SET_ORDER | PREG_OFFSET_CAPTURE);
        $this->kind = $count === 0 ? 'missing' : 'damaged';
        $count === 1 || throw new Failure($this->stat
            ? "convertDockerRunToCompose() is defined $count times, expected once" : 'the file does not exist');
        [[[, $from], [$this->name], [$parameters]]] = $found;
        $to = strpos($clean, "\n}", $from) ?: strlen($clean);
        if (preg_match('/[\'"]--runtime[\'"]/', substr($clean, $from, $to - $from))) {
            [$this->kind, $this->patched] = ['native', $clean];
            return;
        }
        str_contains($parameters, '$custom_docker_run_options')
            || throw new Failure('convertDockerRunToCompose() has no parameter $custom_docker_run_options');
        $count = preg_match_all(RETURN_LINE, $clean, $found, PREG_OFFSET_CAPTURE);
        $at = $found[0][0][1] ?? 0;
        ($count === 1 && $from < $at && $at < $to)
            || throw new Failure("the expected return line is there $count times, or outside convertDockerRunToCompose()");
        $is_crlf = preg_match('/\G.*\r\n/', $clean, $found, 0, $at);
        $this->patched = substr_replace($clean, $is_crlf ? str_replace("\n", "\r\n", BLOCK) : BLOCK, $at, 0);
        $this->block = $this->text === $this->patched ? 'present' : $this->block;
        $this->kind = $this->block === 'none' ? 'unpatched' : 'patched';
    }
}

function without_block(string $text): string
{
    if (preg_match_all(MARKER, $text, $found, PREG_OFFSET_CAPTURE)) {
        $markers = array_column($found[1], 0);
        $markers === ['begin', 'end'] || throw new Failure('expected the markers begin and end of our lines, got '.implode(', ', $markers));
        [[, $from], [$last, $at]] = $found[0];
        $block = substr($text, $from, $at - $from + strlen($last));
        (substr_count($block, "\n") > 20 || preg_match(RETURN_LINE, $block) || preg_match(HEADER, $block))
            && throw new Failure('other lines stand between the markers of our lines'); // ours never were 20
        $text = substr_replace($text, '', $from, strlen($block));
    }
    preg_match('/pyinfra.gvisor/', $text) && throw new Failure('some of our lines stand outside their markers');
    return $text;
}

function main(array $words): int
{
    ini_set('display_errors', '0');
    ini_set('log_errors', '0');
    error_reporting(E_ALL & ~E_DEPRECATED);
    set_error_handler(static fn (int $level, string $message) => (error_reporting() & $level) === 0
        || throw new ErrorException($message));
    [$verb, $options] = [$words[1] ?? '', array_slice($words, 2)];
    try {
        $unknown = preg_grep('/^--(root=.+|before-start)$/', $options, PREG_GREP_INVERT);
        ($unknown || ! isset(VERBS[$verb])) && throw new Failure('state|apply|remove|renew [--root=DIR] [--before-start]', 2);
        $look = new Look(current(preg_filter('/^--root=/', '', $options)) ?: '/var/www/html');
        $written_s = in_array('--before-start', $options, true) ? time() - 2 : null; // older than any worker
        $did = $verb === 'state' ? [] : [VERBS[$verb].' '.($verb($look, $written_s) ? 'yes' : 'no')];
        $lines = state($did === ['changed yes'] ? new Look($look->root) : $look);
        echo implode("\n", [...$did, ...$lines, 'end']), "\n";
        return 0;
    } catch (Throwable $error) {
        file_put_contents('php://stderr', plain($error->getMessage())."\n");
        return $error instanceof Failure ? $error->getCode() : 1;
    }
}

function apply(Look $old, ?int $written_s): bool
{
    $old->reason === '' || throw new Failure("$old->file: $old->reason; nothing was changed", 3);
    if ($old->patched === $old->text) {
        return false;
    }
    $old->error === '' || $old->block !== 'none'
        || throw new Failure("$old->file: the function fails without our lines too: $old->error; nothing was changed", 4);
    replace($old, $old->text, $old->patched, $written_s);
    try {
        $new = new Look($old->root);
        $new->probe === PROBED || throw new Failure($new->error ?: "it answers $new->probe");
    } catch (Throwable $error) {
        replace($old, $old->patched, $old->text, $old->stat['mtime'], undoes: true);
        throw new Failure("$old->file: the function fails with our lines: {$error->getMessage()}; the file was restored", 4);
    }
    return true;
}

function remove(Look $old, ?int $written_s): bool
{
    $old->clean ?? throw new Failure("$old->file: $old->reason; nothing was changed", 3);
    $old->clean === $old->text || replace($old, $old->text, $old->clean, $written_s);
    return $old->clean !== $old->text;
}

function renew(Look $look): bool
{
    if (! in_array('stale', array_column(workers($look), 2), true)) {
        return false;
    }
    // The file's mtime is in whole seconds: a worker that starts within that second would count as stale.
    usleep((int) (1e6 * min(1.0, max(0.0, $look->stat['mtime'] + 1 - microtime(true)))));
    $now_s = microtime(true);
    [$status, , $error] = run(['artisan', 'horizon:terminate'], $look->root, TERMINATE_S);
    $status === 0 || throw new Failure("php artisan horizon:terminate: $error", 4);
    write($look->note, sprintf('%.2F', $now_s));
    return true;
}

function state(Look $look): array
{
    [$stat, $workers] = [$look->stat, workers($look)];
    $values = [
        'function' => $look->kind,
        'reason' => $look->reason,
        'name' => $look->name,
        'block' => $look->block,
        'version' => version($look->root),
        'probe' => $look->probe,
        'probe_error' => $look->error,
        'sha256' => $stat ? hash('sha256', $look->text) : '',
        'written_s' => (string) ($stat['mtime'] ?? ''),
        'stat' => $stat ? sprintf('%o:%d:%d', $stat['mode'] & 07777, $stat['uid'], $stat['gid']) : '',
        'asked_s' => in_array('asked', array_column($workers, 2), true) ? sprintf('%d', asked_s($look)) : '',
    ];
    $values = array_filter($values, 'strlen');
    $lines = array_map(static fn (string $key) => "$key ".plain($values[$key]), array_keys($values));
    foreach ($workers as $pid => [$start_s, $command, $is]) {
        array_push($lines, sprintf('worker %d %.2F %.80s', $pid, $start_s, $command));
        $is === 'fresh' || array_push($lines, "stale $pid");
    }
    return $lines;
}

/** Replace the file, and keep its mode and owner. */
function replace(Look $look, string $before, string $after, ?int $written_s, bool $undoes = false): void
{
    $ready = static function (string $new) use ($look, $before, $written_s, $undoes): void {
        fileowner($new) === $look->stat['uid'] || chown($new, $look->stat['uid']);
        filegroup($new) === $look->stat['gid'] || chgrp($new, $look->stat['gid']);
        chmod($new, $look->stat['mode'] & 07777);
        [$status, , $error] = $undoes ? [0, '', ''] : run(['-l', $new], $look->root, LINT_S);
        $status === 0 || throw new Failure("$look->file: php -l: $error; nothing was changed", 4);
        touch($new, $written_s ?? time());
        file_get_contents($look->file) === $before || throw new ErrorException('another process has changed it');
    };
    try {
        write($look->file, $after, $ready);
    } catch (ErrorException $error) {
        $what = $undoes ? 'the function fails with our lines, and the file cannot be restored' : 'the file cannot be written';
        throw new Failure("$look->file: $what: ".$error->getMessage(), $undoes ? 1 : 3);
    }
}

/** Write a file whole: a new file beside it is renamed, which follows no symbolic link. */
function write(string $file, string $text, ?callable $ready = null): void
{
    $prefix = dirname($file).'/.pyinfra-gvisor-'; // no .php at the end: Coolify loads every such file there
    $left = array_filter(glob("$prefix*.new"), static fn (string $path) => filemtime($path) < time() - 600);
    array_map('unlink', $left); // left by killed runs
    $new = $prefix.bin2hex(random_bytes(8)).'.new';
    try {
        $handle = fopen($new, 'x');
        fwrite($handle, $text);
        fsync($handle);
        $ready === null || $ready($new);
        rename($new, $file);
    } finally {
        @unlink($new);
    }
}

function version(string $root): string
{
    $constants = (string) @file_get_contents("$root/config/constants.php");
    preg_match("/'version'\s*=>(.*?)'(\d[^'\n]*)'/", $constants, $found);
    $asks = str_contains($found[1] ?? 'COOLIFY_VERSION', 'COOLIFY_VERSION');
    return ($asks ? getenv('COOLIFY_VERSION') : '') ?: $found[2] ?? '';
}

// Horizon's processes by pid: [start in seconds since 1970, command line, state]. State: "fresh"; "stale" (may have
// read the file before it was last written); "asked" (stale, but has been asked to end since it started).
function workers(Look $look): array
{
    $found = [];
    $booted_s = microtime(true) - (float) file_get_contents('/proc/uptime');
    $artisan = realpath("$look->root/artisan");
    foreach (glob('/proc/[0-9]*') as $process) {
        $words = explode("\0", (string) @file_get_contents("$process/cmdline"));
        $fields = explode(' ', preg_replace('/^.*\) /s', '', (string) @file_get_contents("$process/stat")));
        $at = array_search('artisan', array_map('basename', $words), true) ?: 0;
        $directory = str_starts_with($words[$at], '/') ? '' : @readlink("$process/cwd"); // false: not permitted
        // Up to 4.0.0-beta.449 the master process was start:horizon.
        $is_horizon = $at && preg_match('/^(start:)?horizon(?!:terminate)/', $words[$at + 1] ?? '')
            && preg_match('~(^|/)php[^/]*$~', $words[0]) && isset($fields[19]);
        if ($is_horizon && ($directory === false || ($artisan && realpath("$directory/$words[$at]") === $artisan))) {
            $start_s = $booted_s + (int) $fields[19] / TICKS; // field 22 of stat(5); the first here is field 3
            $is_fresh = $start_s >= ($look->stat['mtime'] ?? 0) + 1; // mtime is in whole seconds
            $is = $is_fresh ? 'fresh' : ($start_s > asked_s($look) ? 'stale' : 'asked');
            $found[(int) basename($process)] = [$start_s, plain(implode(' ', $words)), $is];
        }
    }
    return $found;
}

/** When Horizon was last asked to end, in seconds since 1970; 0 if never. */
function asked_s(Look $look): float
{
    return is_file($look->note) && ! is_link($look->note) ? (float) @file_get_contents($look->note) : 0.0;
}

/** Run PHP with these arguments: returns its exit status, its output, and the output line that names the error. */
function run(array $words, string $directory, int $limit_s): array
{
    $command = [PHP_BINARY ?: 'php', '-d', 'display_errors=stderr', '-d', 'log_errors=0', ...$words];
    $process = proc_open($command, [['file', '/dev/null', 'r'], ['pipe', 'w'], ['redirect', 1]], $pipes, $directory);
    [$said, $until_s] = ['', microtime(true) + $limit_s];
    do {
        [$ready, $none, $left_s] = [[$pipes[1]], null, max(0.0, $until_s - microtime(true))];
        if (! stream_select($ready, $none, $none, (int) $left_s, (int) (fmod($left_s, 1) * 1e6))) {
            proc_terminate($process, 9);
            return [proc_close($process), '', "no answer within $limit_s s"];
        }
        $said = substr($said.fread($pipes[1], 8192), -65536);
    } while (! feof($pipes[1]));
    $status = proc_close($process);
    $lines = preg_grep('/^(?!Stack trace:|#\d|  thrown in|\s*$)/', explode("\n", $said));
    return [$status, $said, plain(end($lines) ?: "PHP ended with status $status")];
}

function plain(string $text): string
{
    return substr(preg_replace('/[^\x20-\x7e]/', '?', trim($text)), 0, 300);
}
