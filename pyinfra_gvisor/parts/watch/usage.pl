# Measures what running containers use: by their control groups and processes, and by gVisor's own counters. Comes after
# sandbox/ground.pl and before watch.pl. All of it is done in a process of its own with a time limit, so that no
# container can keep the watch from its verdict.
use strict;
use warnings;

my $cgroups = "/sys/fs/cgroup";
my $proc = "/proc";
my $prefix = "gvisor_container_";
my $measuring_s = 90; # longest time for everything below
my $pss_s = 20; # longest time for the memory of all processes
my $counting_s = 60; # longest time for gVisor's counters of all sandboxes; timeout(1) below has that of one
my $answer_bytes = 262144; # of a sandbox that counts as much as it can
my @rseq = (334, 293); # x86_64, aarch64. glibc tries it in each process, and works without
my @families = (
    [cpu_seconds_total => "counter", "Processor time used."],
    [memory_bytes => "gauge", "Memory used, without inactive files in the cache."],
    [memory_limit_bytes => "gauge", "Memory limit in force; absent if there is none."],
    [throttled_seconds_total => "counter", "Time without a processor because of a processor limit."],
    [oom_kills_total => "counter", "Processes killed because of the memory limit."],
    [restarts_total => "counter", "Restarts by Docker's restart policy."],
    [pss_bytes => "gauge", "Memory mapped by its processes, with shares of shared pages."],
    [unimplemented_syscalls_total => "counter", "Calls of system calls that gVisor lacks, without rseq."],
    [unimplemented_syscall => "gauge", "Number of the most frequent system call that gVisor lacks."],
    [suspicious_operations_total => "counter", "Operations that gVisor counts as suspicious."],
    [weirdness_total => "counter", "Events that gVisor counts as weird."],
);

# Returns the lines of the metrics of these containers, and why some of gVisor's counters are missing.
sub usage_lines {
    my ($seen) = @_;
    my ($found, $error) = measured($seen);
    my @lines;
    for my $family (@families) {
        my ($name, $type, $help) = @$family;
        my $values = $found->{$name} or next;
        push @lines, "# HELP $prefix$name $help", "# TYPE $prefix$name $type";
        for my $place (sort { $a <=> $b } keys %$values) {
            push @lines, "$prefix$name\{" . labels($seen->[$place]) . "} $values->{$place}";
        }
    }
    return (\@lines, $error);
}

# Returns the metrics' lines in an earlier file: they stay until the new ones are there.
sub earlier_usage {
    my ($path) = @_;
    open my $file, "<", $path or return [];
    chomp(my @lines = grep { /^(?:# (?:HELP|TYPE) )?$prefix/ } <$file>);
    utf8::decode($_) for @lines;
    return \@lines;
}

sub labels {
    my ($one) = @_;
    my @values = (
        [container => $one->{name}], [app => $one->{app}],
        [runtime => $one->{runtime}], [sandboxed => shown_state($one)],
    );
    return join ",", map { qq($_->[0]=") . escaped($_->[1]) . '"' } grep { $_->[1] ne "" } @values;
}

sub shown_state { return {sandboxed => "true", bare => "false", unknown => "unknown"}->{$_[0]{state}} }

sub escaped { # a label's value for the text format, which knows three escapes
    my ($value) = @_;
    $value = substr $value, 0, 200;
    $value =~ s/[\x{d800}-\x{dfff}]/?/g;
    $value =~ s/(["\\])/\\$1/g;
    $value =~ s/\n/\\n/g;
    return $value;
}

sub measured { # returns {metric => {container's place in the list => value}}, and an error
    my ($seen) = @_;
    my $pid = open(my $told, "-|") // die "fork: $!\n";
    if (!$pid) { measure($seen); exit 0 }
    my $until = time + $measuring_s;
    my ($text, $bits) = ("", "");
    vec($bits, fileno $told, 1) = 1;
    while ((my $left_s = $until - time) > 0) {
        next if select(my $ready = $bits, undef, undef, $left_s) < 1;
        sysread $told, $text, 65536, length $text or last;
    }
    kill "KILL", $pid;
    close $told;
    my %found;
    $found{$2}{$1} = $3 while $text =~ /^([0-9]+) ([a-z_]+) ([0-9.]+)\n/mg;
    my ($place, $error) = $text =~ /^([0-9]+) error (.*)\n/m;
    return (\%found, defined $error ? "$seen->[$place]{shown}: $error" : "");
}

sub measure { # prints "place metric value" lines; what takes long comes last
    my ($seen) = @_;
    $| = 1;
    my @here = grep { $seen->[$_]{groups} = groups_of(@{$seen->[$_]}{qw(pid id)}) } 0 .. $#$seen;
    for my $place (@here) {
        my $one = $seen->[$place];
        report($place, {group_values($one->{groups}), restarts_total => $one->{restarts}});
    }
    tell_pss($seen, @here);
    my $until = time + $counting_s - 5;
    my @sandboxes = grep { $seen->[$_]{state} eq "sandboxed" } @here;
    push @sandboxes, splice @sandboxes, 0, int rand @sandboxes; # if some hang, not always the same are left out
    for my $place (@sandboxes) {
        last if time > $until;
        my $counted = eval { counters($seen->[$place]) };
        report($place, $counted // {});
        if (my ($why) = $@ =~ /([^\n]+)\n*\z/) { print "$place error ", substr($why, 0, 200), "\n" }
    }
}

sub report {
    my ($place, $values) = @_;
    for my $name (sort keys %$values) { print "$place $name $values->{$name}\n" if defined $values->{$name} }
}

# Returns the directories of a container's control groups, by controller in version 1, as "v2" in version 2; undef if
# its process has ended. An app may have made groups below them.
sub groups_of {
    my ($pid, $id) = @_;
    open my $file, "<", "$proc/$pid/cgroup" or return undef;
    my %at;
    while (my $line = <$file>) {
        my ($kinds, $path) = $line =~ m{^[0-9]+:([^:]*):(/.*)$} or next;
        my ($own) = $path =~ m{^(.*?/[^/]*\Q$id\E[^/]*)} or next;
        next if $own =~ m{/\.\./};
        if ($kinds eq "") { $at{v2} = "$cgroups$own" }
        else { $at{$_} = "$cgroups/$_$own" for split /,/, $kinds }
    }
    return \%at;
}

sub group_values {
    my ($at) = @_;
    my ($v2, $memory, $cpu) = @{$at}{qw(v2 memory cpu)};
    my %of;
    if ($at->{cpuacct}) { $of{cpu_seconds_total} = seconds(number("$at->{cpuacct}/cpuacct.usage"), 1e9) }
    elsif ($v2) { $of{cpu_seconds_total} = seconds(field("$v2/cpu.stat", "usage_usec"), 1e6) }
    if ($cpu) { $of{throttled_seconds_total} = seconds(field("$cpu/cpu.stat", "throttled_time"), 1e9) }
    elsif ($v2) { $of{throttled_seconds_total} = seconds(field("$v2/cpu.stat", "throttled_usec"), 1e6) }
    if ($memory) {
        my @used = (number("$memory/memory.usage_in_bytes"), field("$memory/memory.stat", "total_inactive_file"));
        $of{memory_bytes} = difference(@used);
        $of{memory_limit_bytes} = lowest("$cgroups/memory", $memory, "memory.limit_in_bytes");
        $of{oom_kills_total} = field("$memory/memory.oom_control", "oom_kill");
    } elsif ($v2) {
        $of{memory_bytes} = difference(number("$v2/memory.current"), field("$v2/memory.stat", "inactive_file"));
        $of{memory_limit_bytes} = lowest($cgroups, $v2, "memory.max");
        $of{oom_kills_total} = field("$v2/memory.events", "oom_kill");
    }
    return %of;
}

sub number { # the number in a file, undef if there is none
    my ($path) = @_;
    open my $file, "<", $path or return undef;
    return (<$file> // "") =~ /^([0-9]+)$/ ? $1 : undef;
}

sub field { # the number in the line of a file that begins with a name
    my ($path, $name) = @_;
    open my $file, "<", $path or return undef;
    while (<$file>) { return $1 if /^\Q$name\E ([0-9]+)$/ }
    return undef;
}

sub seconds { return defined $_[0] ? sprintf "%.6f", $_[0] / $_[1] : undef }

sub difference {
    my ($all, $part) = @_;
    return undef unless defined $all && defined $part;
    return $all > $part ? $all - $part : 0;
}

sub lowest { # the lowest limit in a control group and those above it; in version 1 a number of 19 digits is no limit
    my ($top, $group, $name) = @_;
    my $lowest;
    for (; length $group > length $top; $group =~ s{/[^/]*\z}{}) {
        my $limit = number("$group/$name");
        next if !defined $limit || length $limit > 18;
        $lowest = $limit if !defined $lowest || $limit < $lowest;
    }
    return $lowest;
}

# Tells the memory of all processes of each container: the sandbox, its stubs and its gofer have the container's id in
# their control groups. One pass over all processes.
sub tell_pss {
    my ($seen, @here) = @_;
    my %place = map { $seen->[$_]{id} => $_ } @here;
    my (%bytes, %unknown);
    my $until = time + $pss_s;
    opendir my $all, $proc or return;
    for my $pid (grep { /^[0-9]+\z/ } readdir $all) {
        return if time > $until;
        open my $groups, "<", "$proc/$pid/cgroup" or next;
        my ($place) = grep { defined } map { $place{$_} } map { /([0-9a-f]{64})/g } <$groups>;
        next unless defined $place;
        my $kib = pss_kib($pid) // next;
        if ($kib eq "unknown") { $unknown{$place} = 1 }
        else { $bytes{$place} += $kib * 1024 }
    }
    for my $place (keys %bytes) { report($place, {pss_bytes => $bytes{$place}}) unless $unknown{$place} }
}

sub pss_kib { # undef for a process that has ended
    my ($pid) = @_;
    if (open my $file, "<", "$proc/$pid/smaps_rollup") {
        while (<$file>) { return $1 if /^Pss: +([0-9]+) kB/ }
    }
    return $! == 2 || $! == 3 ? undef : "unknown"; # ENOENT, ESRCH
}

# Returns gVisor's counters of a sandbox, by the runsc of the very release that it runs, which leaves out those that
# are 0. Dies with the reason if there are none. The answer comes from the sandbox: time, memory and size have limits.
sub counters {
    my ($one) = @_;
    my $runsc = runsc_of($one) // return {};
    my $root = root_of($one->{pid}) // return {};
    my @command = ($runsc, "--root=$root", "export-metrics", "-sandbox-metrics-filter=unimpl|susp|weird", $one->{id});
    open my $told, "-|", "sh", "-c", 'ulimit -d 524288; exec timeout -k 1 5 "$0" "$@" 2>&1', @command or return {};
    my $size = read $told, my $text = "", $answer_bytes;
    close $told;
    if ($? >> 8 == 124) { die "no answer within 5 s\n" }
    if ($? && $size && $size < $answer_bytes) { die "$text\n" }
    if ($? || $text !~ /^# End of metric data/m) { die "its answer is incomplete\n" }
    my %sum = map { ("${_}_total" => 0) } qw(unimplemented_syscalls suspicious_operations weirdness);
    my %calls;
    while ($text =~ /^runsc_([a-z_]+)(\{.*\})? ([0-9]{1,18})(?: [0-9]+)?$/mg) {
        my ($name, $labels, $value) = ($1, $2 // "", $3);
        next unless exists $sum{"${name}_total"};
        my ($number) = $labels =~ /\bsysno="([0-9]{1,9})"/;
        next if defined $number && grep { $_ == $number } @rseq;
        $sum{"${name}_total"} += $value;
        $calls{$number} += $value if defined $number;
    }
    my ($most) = sort { $calls{$b} <=> $calls{$a} || $a <=> $b } keys %calls;
    return {%sum, unimplemented_syscall => $most};
}

# Returns the runsc of the release that a sandbox runs; undef if this file may not be what was installed.
sub runsc_of {
    my ($one) = @_;
    my $path = $one->{process}{file};
    $path =~ s{/gvisor-bin/gvisor_sentry\z}{/runsc};
    return undef if $one->{process}{given} || $path !~ m{/runsc[^/]*\z};
    return undef if $path =~ m{^/opt/gvisor/releases/} && !$one->{programs}{$path};
    return $path;
}

# Returns the directory with the state of Docker's sandboxes, which is the first argument of each. Only one of root's
# counts: runsc believes what it finds there.
sub root_of {
    my ($pid) = @_;
    open my $file, "<", "$proc/$pid/cmdline" or return undef;
    local $/;
    my ($root) = (<$file> // "") =~ m{\0--root=(/(?:var/)?run/[A-Za-z0-9._/-]+)\0} or return undef;
    my @stat = stat $root or return undef;
    return $root =~ m{/\.\.?/} || $stat[4] != 0 || $stat[2] & 022 ? undef : $root;
}
