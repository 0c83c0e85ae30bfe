#!/usr/bin/perl
# Asks Docker's API over its socket, with perl-base only. Comes after json.pl and before others.
# The second argument of the whole program is Docker's socket.
use strict;
use warnings;

my $socket = $ARGV[1] // "";

sub ask { # method, path, seconds, and perhaps content and lines of the head: returns the code and the body of the answer
    my ($method, $path, $limit_s, $content, @head) = @_;
    my $length = length($content //= "");
    my $request = join "\r\n", "$method $path HTTP/1.0", "Host: docker", "Content-Length: $length", @head, "", $content;
    local $SIG{ALRM} = sub { die "no answer within $limit_s s\n" };
    alarm $limit_s;
    my $answer = eval { talk($request) };
    my $error = $@;
    alarm 0;
    die $error unless defined $answer;
    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    my ($code) = ($head // "") =~ m{^HTTP/1\.\d (\d+)} or die "no answer to $path\n";
    return ($code, $body // "");
}

sub talk {
    my ($request) = @_;
    my $connection = connected();
    for (my $at = 0; $at < length $request;) { $at += syswrite($connection, $request, 65536, $at) // die "write: $!\n" }
    local $/;
    return <$connection> // "";
}

sub connected { # tries for some seconds: dockerd may be restarting
    for my $try (1 .. 5) {
        # AF_UNIX, SOCK_STREAM and sockaddr_un as numbers: loading Socket takes longer than everything else
        socket my $connection, 1, 1, 0 or die "socket: $!\n";
        return $connection if connect $connection, pack "S a*", 1, $socket;
        sleep 1 if $try < 5;
    }
    die "connect: $!\n";
}

sub refuse_others { # who listens is in SO_PEERCRED: socket(7). systemd (1) may listen for dockerd
    my ($peer) = unpack "i", getsockopt(connected(), 1, 17) // "";
    open my $file, "<", "/run/docker.pid" or return; # dockerd is starting
    my ($dockerd) = (<$file> // "") =~ /^(\d+)/;
    return if !$dockerd || !defined $peer || $peer == 1 || $peer == $dockerd;
    die "process $peer answers at $socket, but dockerd is process $dockerd\n";
}

sub json { return Json::decode($_[0]) }
