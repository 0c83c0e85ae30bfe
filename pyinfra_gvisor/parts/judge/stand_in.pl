# Answers dockerd in place of the judge: it lets reads and stops pass, and refuses the rest. Without an argument it
# answers at systemd's second socket, for 8 s. With a path it listens there, until somebody else does: it has systemd try.
use strict;
my ($path) = @ARGV;
my $why = "pyinfra-gvisor refuses this request, because its judge does not run; "
    . "read journalctl -u pyinfra-gvisor-judge, and reinstall python3";
my $stops = qr{^(/v[0-9.]+)?/containers/[\w.-]+/(stop|kill|wait|pause|unpause|resize)([?]|$)};
$SIG{CHLD} = $SIG{PIPE} = "IGNORE";
my $listener;
if ($path) {
    unlink $path;
    umask 0177;
    socket $listener, 1, 1, 0 and bind $listener, pack "S a*", 1, $path and listen $listener, 128 or die "$path: $!";
} else {
    sleep 8 and exit if ($ENV{LISTEN_FDS} // 1) < 2; # dockerd does not ask
    open $listener, "+<&=", 4 or die "no socket: $!";
}
my $own = $path && (stat $path)[1];
my ($ends, $looked) = (time + 8, 0);
while ($path ? ((stat $path)[1] // 0) == $own : time < $ends) {
    vec(my $ready = "", fileno $listener, 1) = 1;
    system "systemctl restart --no-block pyinfra-gvisor-judge.socket pyinfra-gvisor-judge.service" if $path && ++$looked % 20 == 0;
    select $ready, undef, undef, 1 or next;
    accept my $docker, $listener or next;
    converse($docker) and exit unless fork;
    close $docker;
}

sub more { sysread $_[0], $_[1], 65536, length $_[1] } # socket, text: reads more of it; false at its end

sub converse {
    my ($docker, $text) = (shift, "");
    while (1) {
        until ($text =~ /\r\n\r\n/) { more($docker, $text) or return 1 }
        my ($head, $body) = split /\r\n\r\n/, $text, 2;
        my $length = $head =~ /^Content-Length:\s*(\d+)/mi ? $1 : 0;
        while (length $body < $length) { more($docker, $body) or return 1 }
        $text = substr $body, $length;
        my ($method) = $body =~ /"RequestMethod":"(\w+)"/;
        my ($uri) = $body =~ /"RequestUri":"((?:[^"\\]|\\u0026)*)"/; # as Go writes &
        my $passes = $head =~ m{^POST /AuthZPlugin.AuthZRes } || $method =~ /^(GET|HEAD)$/ || $method eq "POST" && $uri =~ $stops;
        my $said = $head =~ m{^POST /Plugin.Activate } ? '{"Implements":["authz"],"StandIn":true}'
            : $passes ? '{"Allow":true}' : qq({"Allow":false,"Msg":"$why"});
        syswrite $docker, sprintf "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length $said, $said;
    }
}
