# Tests ports from the place where it runs. Reads lines "protocol address port" and prints each with its state
# before it. open: accepted or answered. closed: refused, or closed at once, as docker-proxy does if nothing
# listens in the container. silent: neither within 2 s, which is usual with UDP.
use strict;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 AF_INET6 IPPROTO_TCP SO_ERROR SOL_SOCKET);
my $wait_s = 2;
my $settle_s = 0.3; # an accepted connection counts as open if it lasts this long
sub now { open(my $f, "<", "/proc/uptime"); return (split / /, <$f>)[0] }
my (@all, %by);
while (my $line = <STDIN>) {
    chomp $line;
    my ($protocol, $address, $port) = split / /, $line;
    my $six = $address =~ /:/;
    my $one = {line => $line, udp => $protocol eq "udp", state => "silent"};
    push @all, $one;
    next unless $protocol eq "tcp" || $protocol eq "udp";
    my $packed = inet_pton($six ? AF_INET6 : AF_INET, $address) // next;
    socket(my $socket, $six ? AF_INET6 : AF_INET, $one->{udp} ? SOCK_DGRAM : SOCK_STREAM, 0) or next;
    fcntl($socket, 4, 04000); # F_SETFL, O_NONBLOCK
    my $connected = connect($socket, $six ? pack_sockaddr_in6($port, $packed) : pack_sockaddr_in($port, $packed));
    if (!$connected && $! != 115) { $one->{state} = "closed" if $! == 111; next } # EINPROGRESS, ECONNREFUSED
    send($socket, "", 0) if $one->{udp};
    $by{fileno $socket} = $one;
    @$one{qw(socket accepted)} = ($socket, $one->{udp} ? now() + 9 : 0);
}
my $end = now() + $wait_s;
while (%by && now() < $end) {
    my ($reads, $writes) = ("", "");
    for my $number (keys %by) { vec($by{$number}{accepted} ? $reads : $writes, $number, 1) = 1 }
    select($reads, $writes, undef, 0.05);
    for my $number (keys %by) {
        my $one = $by{$number};
        if (!$one->{accepted}) {
            next unless vec($writes, $number, 1);
            my $error = unpack "i", getsockopt($one->{socket}, SOL_SOCKET, SO_ERROR);
            if ($error) { $one->{state} = $error == 111 ? "closed" : "silent"; delete $by{$number} }
            else { $one->{accepted} = now() }
        } elsif (vec($reads, $number, 1)) {
            my $got = sysread($one->{socket}, my $answer, 1);
            $one->{state} = $got || (defined $got && $one->{udp}) ? "open" : "closed";
            delete $by{$number};
        } elsif (!$one->{udp} && now() - $one->{accepted} > $settle_s) {
            $one->{state} = "open";
            delete $by{$number};
        }
    }
}
print "$_->{state} $_->{line}\n" for @all;
