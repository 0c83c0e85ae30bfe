#!/usr/bin/perl
# Asks Docker's API over its socket and parses the JSON answers, with perl-base only. Comes before others.
# The second argument of the whole program is Docker's socket.
use strict;
use warnings;
no warnings qw(recursion);

my $socket = $ARGV[1] // "/var/run/docker.sock";

sub ask { # method, path, seconds: returns the code and the body of the answer
    my ($method, $path, $limit_s) = @_;
    local $SIG{ALRM} = sub { die "no answer within $limit_s s\n" };
    alarm $limit_s;
    my $answer = eval { talk("$method $path HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n") };
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
    defined syswrite $connection, $request or die "write: $!\n";
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

sub json { # parses a text
    my ($text) = @_;
    utf8::decode($text);
    pos($text) = 0;
    my $value = value(\$text);
    $text =~ /\G\s*\z/gc or die "text after the JSON in the answer\n";
    return $value;
}

sub value { # parses the next value of the text that $_[0] refers to
    my ($text) = @_;
    return string($text) if $$text =~ /\G\s*"/gc;
    return $1 if $$text =~ /\G\s*(-?[0-9][0-9.eE+-]*)/gc;
    return $1 eq "true" if $$text =~ /\G\s*(true|false)\b/gc;
    return undef if $$text =~ /\G\s*null\b/gc;
    return several($text, "]", sub { value($text) }) if $$text =~ /\G\s*\[/gc;
    return {@{several($text, "}", sub { member($text) })}} if $$text =~ /\G\s*\{/gc;
    die "incomplete JSON in the answer\n";
}

sub several { # parses a comma-separated list with $_[2], up to $_[1]
    my ($text, $end, $read) = @_;
    my @found;
    return \@found if $$text =~ /\G\s*\Q$end\E/gc;
    do { push @found, $read->() } while $$text =~ /\G\s*,/gc;
    $$text =~ /\G\s*\Q$end\E/gc or die "incomplete JSON in the answer\n";
    return \@found;
}

sub member {
    my ($text) = @_;
    $$text =~ /\G\s*"/gc or die "incomplete JSON in the answer\n";
    my $name = string($text);
    $$text =~ /\G\s*:/gc or die "incomplete JSON in the answer\n";
    return ($name, value($text));
}

sub string { # parses what follows an opening quote; in pieces, as perl repeats a group 65,534 times at most
    my ($text) = @_;
    my %plain = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");
    my $read = "";
    while ($$text !~ /\G"/gc) {
        if ($$text =~ /\G([^"\\]+)/gc) { $read .= $1 }
        elsif ($$text =~ /\G\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})/gci) {
            $read .= chr(0x10000 + ((hex($1) & 0x3ff) << 10) + (hex($2) & 0x3ff));
        }
        elsif ($$text =~ /\G\\u([0-9a-f]{4})/gci) { $read .= chr hex $1 }
        elsif ($$text =~ /\G\\(.)/gcs) { $read .= $plain{$1} // $1 }
        else { die "incomplete JSON in the answer\n" }
    }
    return $read;
}
