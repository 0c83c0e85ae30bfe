#!/usr/bin/perl
# Docker's API over its socket, and the JSON that it answers, with perl-base only. Read in front of others.
# Their second argument is where Docker listens.
use strict;
use warnings;
no warnings qw(recursion);

my $socket = $ARGV[1] // "/var/run/docker.sock";

sub ask { # method, path, seconds; the code and the text of the answer
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

sub connected { # a dockerd that is being restarted is away for some seconds
    for my $try (1 .. 5) {
        # AF_UNIX, SOCK_STREAM and a sockaddr_un by hand: loading Socket takes longer than all else
        socket my $connection, 1, 1, 0 or die "socket: $!\n";
        return $connection if connect $connection, pack "S a*", 1, $socket;
        sleep 1 if $try < 5;
    }
    die "connect: $!\n";
}

sub json { # the value that a text is
    my ($text) = @_;
    utf8::decode($text);
    pos($text) = 0;
    my $value = value(\$text);
    $text =~ /\G\s*\z/gc or die "an answer with something behind it\n";
    return $value;
}

sub value { # the next value in the text that $_[0] refers to
    my ($text) = @_;
    return string($text) if $$text =~ /\G\s*"/gc;
    return $1 if $$text =~ /\G\s*(-?[0-9][0-9.eE+-]*)/gc;
    return $1 eq "true" if $$text =~ /\G\s*(true|false)\b/gc;
    return undef if $$text =~ /\G\s*null\b/gc;
    return several($text, "]", sub { value($text) }) if $$text =~ /\G\s*\[/gc;
    return {@{several($text, "}", sub { member($text) })}} if $$text =~ /\G\s*\{/gc;
    die "an answer that breaks off\n";
}

sub several { # what $_[2] reads, with commas between, up to $_[1]
    my ($text, $end, $read) = @_;
    my @found;
    return \@found if $$text =~ /\G\s*\Q$end\E/gc;
    do { push @found, $read->() } while $$text =~ /\G\s*,/gc;
    $$text =~ /\G\s*\Q$end\E/gc or die "an answer that breaks off\n";
    return \@found;
}

sub member {
    my ($text) = @_;
    $$text =~ /\G\s*"/gc or die "an answer that breaks off\n";
    my $name = string($text);
    $$text =~ /\G\s*:/gc or die "an answer that breaks off\n";
    return ($name, value($text));
}

sub string { # what follows an opening quote; piece by piece, since perl repeats a group 65,534 times at most
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
        else { die "an answer that breaks off\n" }
    }
    return $read;
}
