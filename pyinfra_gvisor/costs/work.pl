# Does each work for a while and prints the seconds that one of it takes, then answers HTTP. Runs in containers. Comes after
# clock.pl.
# Arguments: a word, a port, the container's name, and after how many seconds to end. The variables TRUE and VOLUME of the
# environment: a command that starts /usr/bin/true, and the directory of a volume.
use strict;
use warnings;
use IO::Handle;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);

$| = 1;
my (undef, $port, undef, $seconds) = @ARGV;
my ($image, $volume) = ("/pyinfra-gvisor.work", $ENV{VOLUME});
my $block = "x" x 4096;
alarm $seconds;
print "begun\n";
sleep 3; # meanwhile it is looked at from outside
mkdir $image or die "mkdir $image: $!";
fill("$_/file", 256) for $image, $volume;
my $echo = echo();
my %works = (
    cpu => sub { my $sum = 0; $sum += $_ * 7 % 13 for 1 .. 10_000 },
    memory => sub { my $text = "x" x (8 << 20) }, # 8 MiB, which is given back: MALLOC_MMAP_THRESHOLD_
    syscall => sub { getppid() },
    stat => sub { stat "$image/file" },
    open => sub { open(my $file, "<", "$image/file") or die },
    read => sub { open(my $file, "<", "$volume/file") or die; while (sysread $file, my $text, 65536) { } }, # 1 MiB
    create => sub { fill("$image/new", 1); unlink "$image/new" },
    create_in_volume => sub { fill("$volume/new", 1); unlink "$volume/new" },
    fsync => sub { open(my $file, ">", "$volume/log") or die; syswrite $file, $block; $file->sync },
    fork => sub { my $child = fork // die; POSIX::_exit(0) if !$child; waitpid $child, 0 },
    exec => sub { system(split / /, $ENV{TRUE}) == 0 or die "$ENV{TRUE}: $?" },
    loopback => sub { syswrite $echo, "x"; sysread $echo, my $text, 1 },
);
for my $id (sort keys %works) { printf "row\t%s\t%.9f\n", $id, seconds_of($works{$id}) }
my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 64, ReuseAddr => 1) or die "listen: $!";
print "ready\n";
serve();


sub fill {
    my ($path, $blocks) = @_;
    open(my $file, ">", $path) or die "$path: $!";
    syswrite $file, $block for 1 .. $blocks;
}

sub echo { # a connection to a process of the container that sends back what it gets
    my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1) or die "listen: $!";
    my $child = fork // die "fork: $!";
    if (!$child) {
        my $peer = at_once($server->accept);
        while (sysread $peer, my $text, 1) { syswrite $peer, $text }
        POSIX::_exit(0);
    }
    return at_once(IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) // die "connect: $!");
}

sub send_all { # gVisor also returns from a blocking write after a part of it
    my ($socket, $text) = @_;
    for (my $at = 0; $at < length $text;) { $at += syswrite($socket, $text, length($text) - $at, $at) // die "write: $!" }
}

sub at_once { my ($socket) = @_; setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1; return $socket }

sub serve { # GET /<bytes>, as often as the client wants on a connection; one client at a time
    while (my $client = $server->accept) {
        at_once($client);
        my $asked = "";
        while (sysread $client, $asked, 4096, length $asked) {
            next unless $asked =~ m{^GET /(\d+) .*?\r\n\r\n}s;
            send_all($client, "HTTP/1.1 200 OK\r\nContent-Length: $1\r\n\r\n" . "x" x $1);
            $asked = "";
        }
    }
}
