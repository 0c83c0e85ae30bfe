# Starts a container that has work.pl, and prints what each work took: "runtime<TAB>row<TAB>value", in seconds, MiB and
# seconds of processor time a second. Or "runtime<TAB>failed<TAB>why". Runs on the node. Comes after clock.pl. Arguments:
# a word, the runtime, the container's name and id, its port, and whether it has a network.
use strict;
use warnings;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);

my (undef, $runtime, $container, $id, $port, $network) = @ARGV;
my ($settled_s, $idle_s, $most_s) = (1, 1, 60); # work.pl waits after its begin
$| = 1;
$SIG{ALRM} = sub { failed("did not end within $most_s s") };
alarm $most_s;
my $began = now();
open(my $said, "-|", "docker start -a $container 2>&1") or die "docker: $!";
my $first = <$said> // "nothing";
failed($first) if $first ne "begun\n";
row("container_start", now() - $began);
sleep $settled_s;
my ($busy, $since) = (busy(), now());
sleep $idle_s;
row("idle", (busy() - $busy) / (now() - $since));
row("resident", resident());
while (my $line = <$said> // "nothing") {
    last if $line eq "ready\n";
    failed($line) if $line !~ /^row\t(\w+)\t([\d.]+)$/;
    row($1, $2);
}
ask_all() if $network;
leave();

sub row { my ($name, $value) = @_; printf "%s\t%s\t%.9f\n", $runtime, $name, $value }
sub failed { my ($why) = @_; $why =~ s/\s+\z//; $why =~ s/\s+/ /g; print "$runtime\tfailed\t", substr($why, 0, 500), "\n"; leave() }
sub leave { POSIX::_exit(0) } # exit would wait for docker, which stays attached until the container is removed

sub ask_all {
    my $address = qx(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' $container);
    chomp $address;
    my $kept = connected($address);
    row("small", seconds_of(sub { ask($kept, 1024) }));
    row("large", seconds_of(sub { ask($kept, 1 << 20) }));
    close $kept;
    row("connection", seconds_of(sub { ask(connected($address), 1024) }));
}

sub connected {
    my ($address) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Timeout => 5) or failed("$address: $@");
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    return $socket;
}

sub ask { # reads the whole answer
    my ($socket, $bytes) = @_;
    syswrite $socket, "GET /$bytes HTTP/1.1\r\nHost: x\r\n\r\n";
    my ($got, $left) = ("", undef);
    while (!defined $left || $left > 0) {
        my $count = sysread $socket, my $text, 1 << 18;
        failed("its answer of $bytes bytes ended early") if !$count;
        $got .= $text if !defined $left;
        if (defined $left) { $left -= $count }
        elsif ($got =~ /\r\n\r\n/g) { $left = $bytes - (length($got) - pos $got) }
    }
}

sub processes { # of the container, its sandbox among them
    my @found;
    for my $file (glob "/proc/[0-9]*/cgroup") {
        push @found, $1 if whole($file) =~ /\Q$id\E/ && $file =~ m{^/proc/(\d+)/};
    }
    return @found;
}

sub whole { open(my $file, "<", $_[0]) or return ""; local $/; return <$file> // "" }

sub busy { # seconds that their threads have run: /proc/PID/schedstat, Documentation/scheduler/sched-stats.rst of Linux
    my $sum = 0;
    for my $process (processes()) {
        for (glob "/proc/$process/task/*/schedstat") { $sum += $1 / 1e9 if whole($_) =~ /^(\d+)/ }
    }
    return $sum;
}

sub resident { # MiB of memory but for programs' files, which all sandboxes of the node share: proc_pid_smaps(5)
    my $sum = 0;
    for (processes()) {
        my $said = whole("/proc/$_/smaps_rollup");
        $sum += $1 / 1024 while $said =~ /^Pss_(?:Anon|Shmem):\s+(\d+)/mg;
    }
    return $sum;
}
