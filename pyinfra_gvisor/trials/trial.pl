# Tries a container: makes a copy of it, watches the copy, or tells what is new in the log of one. Runs on the node.
# Prints "side<TAB>observation<TAB>value" lines, and of the container no secret. Comes after copy.pl. Arguments: a word,
# Docker's socket, a regular expression for the names of secrets, the id of the container, what to do, and for that:
#   create  side runtime name label tag network, and for the control the name of a header and a file with its value
#   watch   side id seconds, the directory of permits, whether to find ports by connecting, and further ports to try
#   kinds   id: the kinds of errors in its log
#   news    a file with the kinds of the control's, and the id of the twin
use strict;
use warnings;
use IO::Socket::INET;

my (undef, undef, $secret, $original, $task, @given) = @ARGV;
my %tasks = (create => \&create, watch => \&watch, kinds => sub { print map { "$_\n" } kinds($given[0]) }, news => \&news);
my ($most_ports, $log_s) = (64, 60);
my ($start_s, $pause_s, $most_lines, $most_characters, $read_lines) = (120, 0.25, 5, 200, 5000);
my @errors = (qw(error fail fatal panic exception denied refused unsupported cannot can't unable invalid traceback),
    "could ?n.?t", "not permitted", "not supported", "not implemented", "no such", "abort", "segmentation", "segfault",
    "\\bcrit", "\\bemerg", "\\balert");
my $error = join "|", @errors;
$| = 1;
my $body = got("/containers/$original/json") // ended("the container was removed meanwhile; run again");
my $top = Json::members($body);
hide(Json::members($top->{Config}), $secret);
$tasks{$task}->();

sub ended { # even where the script has redirected its output
    open(my $output, ">&=", 7) or die "$!\n";
    print $output "node\tended\t$_[0]\n";
    exit 1;
}
sub see { my ($side, $key, $value) = @_; print "$side\t$key\t$value\n" }
sub why { # in Docker's words
    my ($answer) = @_;
    my $message = (eval { Json::members($answer) } // {})->{message};
    return told(defined $message ? plain($message) : $answer, 600) =~ s/\s+/ /gr;
}
sub uptime { open(my $file, "<", "/proc/uptime") or die "/proc/uptime: $!\n"; return (split " ", <$file>)[0] }
sub rounded { return sprintf "%.1f", $_[0] }

sub create {
    my ($side, $runtime, $name, $label, $tag, $network, $header, $door) = @given;
    my $content = copied($top, $side, runtime => $runtime, label => $label, tag => $tag, network => $network);
    my @head = ("Content-Type: application/json");
    if (defined $door) { # it passes as no request of the app's would
        open(my $file, "<", $door) or die "$door: $!\n";
        chomp(my $value = <$file>);
        push @head, "$header: $value";
    }
    my ($code, $answer) = ask("POST", "/containers/create?name=$name", $start_s, $content, @head);
    return see($side, "id", plain(Json::members($answer)->{Id})) if $code == 201;
    see($side, "start", why($answer));
}

sub watch {
    my ($side, $id, $seconds, $permits, $connects, @ports) = @given;
    my ($parent, $began) = (getppid, uptime());
    my ($code, $answer) = ask("POST", "/containers/$id/start", $start_s);
    unlink "$permits/$id"; # one start has it
    return see($side, "start", why($answer)) if $code != 204;
    see($side, "start", "ok");
    my ($started, %open, $state) = (uptime());
    my %try = map { $_ => 1 } @ports, exposed();
    while (1) {
        my $now = got("/containers/$id/json") // ended("somebody has removed the $side; run again");
        $now = Json::members($now);
        $state = Json::members($now->{State});
        last if ($state->{Running} // "") ne "true";
        my $known = %open;
        $open{$_} = 1 for listening(plain($state->{Pid}));
        $open{$_} = 1 for $connects ? answering($now, $started + $seconds, grep { !$open{$_} } sort keys %try) : ();
        see($side, "ready", rounded(uptime() - $began)) if %open && !$known;
        last if uptime() - $started >= $seconds;
        if (getppid != $parent) { # the script that would remove it was killed
            ask("DELETE", "/containers/$id?force=1&v=1", $start_s);
            exit 1;
        }
        select undef, undef, undef, $pause_s;
    }
    sum_up($side, $state, uptime() - $started, %open);
    ask("POST", "/containers/$id/kill", $start_s) if $state->{Running} eq "true";
}

sub sum_up {
    my ($side, $state, $ran_s, %open) = @_;
    my $health = ($state->{Health} // "null") =~ /\A\{/ ? Json::members($state->{Health})->{Status} : undef;
    see($side, "health", plain($health)) if defined $health;
    see($side, "ports", join(" ", sort { $a <=> $b } keys %open));
    see($side, "ran", rounded($ran_s));
    return see($side, "running", "yes") if $state->{Running} eq "true";
    see($side, "exit", plain($state->{ExitCode}));
    see($side, "oom", "yes") if ($state->{OOMKilled} // "") eq "true";
    see($side, "error", why(plain($state->{Error}))) if plain($state->{Error}) ne "";
}

sub exposed {
    my $ports = Json::members($top->{Config})->{ExposedPorts} // "null";
    return map { m{\A(\d+)/tcp\z} ? $1 : () } $ports =~ /\A\{/ ? keys %{Json::members($ports)} : ();
}

sub listening { # TCP ports in its network namespace that others can reach: proc_net_tcp.txt of Linux
    my ($pid) = @_;
    my @found;
    for my $file (map { "/proc/$pid/net/$_" } qw(tcp tcp6)) {
        open(my $table, "<", $file) or next;
        while (<$table>) {
            my ($address, $port) = /\A\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A / or next;
            # Docker's resolver is in 127.0.0.0/8, too
            push @found, hex $port if $address !~ /\A(?:(?:0{16}FFFF0000)?.{6}7F|0{24}01000000)\z/;
        }
    }
    return @found;
}

sub answering { # ports that take connections
    my ($now, $until, @ports) = @_;
    splice @ports, $most_ports if @ports > $most_ports;
    my $networks = Json::members(Json::members($now->{NetworkSettings})->{Networks} // "{}");
    my ($address) = grep { $_ } map { plain(Json::members($_)->{IPAddress}) } values %$networks;
    return grep { $address && uptime() < $until && IO::Socket::INET->new(PeerAddr => $address, PeerPort => $_, Timeout => 1) } @ports;
}

sub news { # errors in the log of the twin of which the control's has none of the same kind
    my ($control, $twin) = @given;
    open(my $file, "<", $control) or die "$control: $!\n";
    chomp(my @known = <$file>);
    my %known = map { $_ => 1 } @known;
    my @new = grep { !$known{$_}++ } kinds($twin);
    see("twin", "news", $_) for grep { defined } @new[0 .. ($#new < $most_lines ? $#new : $most_lines - 1)];
    see("twin", "more", @new - $most_lines) if @new > $most_lines;
}

sub kinds { # lines of a log that tell of errors, without times and numbers
    my ($id) = @_;
    my ($code, $text) = ask("GET", "/containers/$id/logs?stdout=1&stderr=1&tail=$read_lines", $start_s);
    die "Docker answers $code for a log\n" if $code != 200;
    my $is_raw = (Json::members($top->{Config})->{Tty} // "") eq "true";
    my @found;
    eval {
        local $SIG{ALRM} = sub { die "late\n" }; # what is known by then is told
        alarm $log_s;
        for (split /[\r\n]+/, $is_raw ? $text : unframed($text)) { push @found, kind($_) if /$error/i }
    };
    alarm 0;
    return @found;
}

sub unframed { # Docker's API, ContainerAttach: stream, three bytes, length
    my ($text) = @_;
    my ($at, $plain) = (0, "");
    while ($at + 8 <= length $text) {
        my $length = unpack "N", substr $text, $at + 4, 4;
        $plain .= substr $text, $at + 8, $length;
        $at += 8 + $length;
    }
    return $plain;
}

sub kind {
    my $text = told($_[0], 2000);
    $text =~ s/\b0x[0-9a-f]+|\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{6,}\b/N/gi;
    $text =~ s/\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b/N/g;
    $text =~ s/\d+(?:[.:,TZ\/-]\d*)*/N/g;
    $text =~ s/\s+/ /g;
    return substr($text, 0, $most_characters) =~ s/\A | \z//gr;
}
