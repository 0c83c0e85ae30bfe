# Asks Docker over its socket, with perl-base: that takes a fifth of the processor time of the docker command. Prints
# only the members that we read: others hold secrets, such as environments and the output of health checks.
# Arguments: the socket; "yes" for what only an audit needs; names of the labels to print. Comes after process.pl and json.pl.
use strict;
my ($socket, $wide, %names) = (shift, shift);
my ($dockerd) = words("/run/docker.pid") =~ /^(\d+)/;
my %runs; # pids of the main processes of running containers
@names{@ARGV} = (1) x @ARGV;
my $peer; # the process that listens, from SO_PEERCRED: socket(7)
sub get {
    my ($path) = @_;
    # AF_UNIX, SOCK_STREAM and sockaddr_un as numbers: loading Socket takes longer than everything else
    socket(my $s, 1, 1, 0) or die "socket: $!\n";
    connect($s, pack("S a*", 1, $socket)) or die "connect: $!\n";
    $peer //= unpack "i", getsockopt($s, 1, 17) // "";
    syswrite($s, "GET $path HTTP/1.0\r\nHost: docker\r\n\r\n");
    local $/; my $answer = <$s> // "";
    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    my ($code) = ($head // "") =~ m{^HTTP/1\.\d (\d+)} or die "no answer to $path\n";
    return undef if $code == 404;
    die "answer $code to $path\n" unless $code == 200;
    $body =~ s/\s+\z//;
    return $body;
}
sub ask {
    my ($path) = @_;
    my $body = get($path) // return undef;
    # a body that breaks off may end in a bracket, but not in the one that closes it
    die "incomplete answer to $path\n" unless $body =~ /\A$Json::value\z/ && defined $+{o};
    return $body;
}
sub members { # the members of the JSON object $_[0] as raw text: a hash, or in a list those of these names
    my ($text, @names) = @_;
    my $all = Json::members($text);
    return join ",", map { qq("$_":$all->{$_}) } grep { defined $all->{$_} } @names if wantarray;
    return $all;
}
sub chosen { # the JSON object $_[0] with only the members whose name $_[1] accepts
    my ($text, $is_wanted) = @_;
    my @found; pos($text) = 1;
    while ($text =~ /\G\s*,?\s*"($Json::text_of)"\s*:\s*$Json::value/gc) {
        my ($name, $what, $plain) = ($1, $+{v}, $1);
        $plain =~ s/\\u([0-9a-f]{4})/chr hex $1/gie; $plain =~ s/\\(.)/$1/g;
        push @found, qq("$name":$what) if $is_wanted->($plain);
    }
    return "{" . join(",", @found) . "}";
}
sub ports { # the container's own ports: the member names of these JSON objects
    my %all;
    chosen($_ // "{}", sub { $all{$_[0]} = 1 if $_[0] =~ m{^\d+/\w+\z}; 0 }) for @_;
    return "[" . join(",", map { qq("$_") } sort keys %all) . "]";
}
sub beginnings { # the first 80 characters of a member's texts: seccomp profiles are long; one masked path per CPU is left out
    my ($host, $name) = @_;
    my ($list) = (members($host)->{$name} // "") =~ /^\[(.*)\]\z/s or return ();
    my @texts = $list =~ /"((?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u]){0,80})(?:[^"\\]|\\.)*+"/gs;
    return qq("$name":[) . join(",", map { qq("$_") } grep { !m{/cpu\d+/thermal_throttle\z} } @texts) . "]";
}
sub given { # what the container was given, without its environment and most of its labels
    my ($host, $config) = @_;
    my ($image) = members($config, "Image");
    my $labels = chosen(members($config)->{Labels} // "{}", sub { $names{$_[0]} });
    my $notes = chosen(members($host)->{Annotations} // "{}", sub { $_[0] =~ /^(?:dev\.gvisor|io\.kubernetes\.cri)/ });
    my ($asked) = members($host, qw(Privileged NetworkMode PidMode IpcMode UTSMode UsernsMode CapAdd CapDrop
        Devices DeviceCgroupRules DeviceRequests ReadonlyPaths));
    my @lists = map { beginnings($host, $_) } qw(SecurityOpt MaskedPaths);
    my $ports = ports(members($config)->{ExposedPorts}, members($host)->{PortBindings});
    my @all = grep { $_ } $asked, @lists, qq("Annotations":$notes), qq("Labels":$labels), $image, qq("Ports":$ports);
    return q(,"Given":{) . join(",", @all) . "}";
}
sub addresses { # the container's addresses in all its networks
    my %all = map { $_ => 1 } $_[0] =~ /"(?:IPAddress|GlobalIPv6Address)":"([0-9a-f.:]+)"/g;
    return "[" . join(",", map { qq("$_") } sort keys %all) . "]";
}
sub container {
    my $body = ask("/containers/$_[0]/json") // return "";
    my $top = members($body);
    my ($state, $host) = map { defined $top->{$_} ? $top->{$_} : "{}" } qw(State HostConfig);
    my ($pid) = (members($state)->{Pid} // "") =~ /^(\d+)$/ or die "no pid of $_[0]\n";
    $runs{$pid} = 1;
    my ($pids) = members($state, "Pid", $wide ? "StartedAt" : ());
    my ($asked) = members($host, "Runtime", "AutoRemove");
    my ($named) = members($body, "Id", "Name", "Mounts");
    my $more = $wide ? given($host, $top->{Config} // "{}") : "";
    $more .= q(,"Addresses":) . addresses($top->{NetworkSettings} // "{}") if $wide;
    my @sources = sources($top->{Mounts} // "[]");
    $more .= q(,"Places":) . places(@sources) if $wide;
    log_server($host, plain(($top->{Name} // "") =~ s{^"/?|"$}{}gr));
    return process($pid, @sources)
        . qq(container {$named,"State":{$pids},"HostConfig":{$asked}$more}\n);
}
my @logs;
sub log_server { # remembers where dockerd sends what a container prints, without a password
    my ($host, $name) = @_;
    my $config = members(members($host)->{LogConfig} // "{}");
    my ($driver) = ($config->{Type} // "") =~ /^"(awslogs|gcplogs|fluentd|gelf|splunk|syslog)"$/ or return;
    my $options = members($config->{Config} // "{}");
    my ($address) = map { plain(($options->{$_} // "") =~ s/^"|"$//gr) } $driver eq "splunk" ? "splunk-url" : "$driver-address";
    s{//[^/]*@}{//}, s/[^\x21-\x7e]/?/g for $address, $name;
    my ($to) = ($address eq "" && $driver eq "fluentd" ? "localhost" : $address) =~ m{^(?:[\w+]+://)?(\w[\w.-]*)};
    push @logs, [$driver, $address eq "" ? "-" : $address, $to // "-", $name];
}
sub logs { # where all of them lead, asked at the same time
    my %asked;
    for my $to (map { $_->[2] } @logs) {
        next if $to eq "-" || $asked{$to} || keys %asked > 31; # anybody may name as many as he likes
        open($asked{$to}, "-|", "timeout", 3, "getent", "ahostsv4", $to) or delete $asked{$to};
    }
    my %at = map { my $f = $asked{$_}; ($_ => (<$f> // "") =~ /^([0-9.]+)/ ? own($1) : "-") } keys %asked;
    return join "", map { "egress log $_->[0] $_->[1] " . ($at{$_->[2]} // "-") . " $_->[3]\n" } @logs;
}
sub own { # an address, with "=" before it if it is the node's: packets to it also come from it
    my $packed = pack "S n C4 x8", 2, 9, split /\./, $_[0];
    my $s;
    socket($s, 2, 2, 0) && connect($s, $packed) or return $_[0];
    my @from = unpack "S n C4", getsockname $s;
    return join(".", @from[2 .. 5]) eq $_[0] ? "=$_[0]" : $_[0];
}
sub sources { # the sources of mounts
    my ($mounts) = @_;
    my @found;
    pos($mounts) = 1;
    while ($mounts =~ /\G\s*,?\s*$Json::value/gc) { push @found, (members($+{v})->{Source} // "") =~ /^"(.+)"$/s }
    return map { plain($_) } @found;
}
sub plain { # the text of a JSON string, which is given without its quotes
    my ($text) = @_;
    my %short = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");
    $text =~ s/\\(?:u([0-9a-f]{4})|(.))/defined $1 ? letter(hex $1) : exists $short{$2} ? $short{$2} : $2/gies;
    return $text;
}
sub letter { my $one = chr $_[0]; utf8::encode($one); return $one }
sub process {
    my ($pid, @mounts) = @_;
    my $one = process_of($pid, @mounts);
    s/[^\x20-\x7e]/?/g for values %$one; # a name may hold any byte
    return "process $pid " . join("\t", @{$one}{qw(executable argv0 file given sha256)}) . "\n";
}
sub words { # the first line of a file; empty if the process has ended
    open(my $f, "<", $_[0]) or return "";
    return <$f> // "";
}
sub whole { local $/; return words($_[0]) }
sub listener { # who listens for Docker's clients; if that is not dockerd itself, also on which sockets dockerd does
    my $text = defined $peer ? "peer $peer " . (words("/proc/$peer/comm") || "?\n") : "";
    return $text if !$dockerd || $peer && $peer == $dockerd;
    my %open = map { (readlink // "") =~ /^socket:\[(\d+)\]\z/ ? ($1 => 1) : () } glob "/proc/$dockerd/fd/*";
    return $text unless %open; # only root may know
    my @table = split /\n/, whole("/proc/$dockerd/net/unix"); # proc_net(5)
    my @paths = map { m{^\S+ \S+ \S+ 00010000 \S+ \S+ +(\d+) (/.*)} && $open{$1} ? $2 : () } @table;
    return $text . "listens\n" . join "", map { "listens $_\n" } @paths;
}
sub sandboxes { # sandboxes that belong to none of these containers, with their age in seconds
    my %known = @_;
    my $text = "";
    for my $directory (glob "/proc/[0-9]*") {
        my @words = split /\0/, words("$directory/cmdline");
        next unless @words > 1 && $words[0] eq "runsc-sandbox" && !$known{$words[-1]};
        my $file = program_of(substr $directory, 6);
        next if $file eq "";
        s/[\t\n]/ /g for $file, $words[-1];
        # after "(comm)" the 20th field is the start, in ticks since boot: proc_pid_stat(5)
        my @fields = split / /, (words("$directory/stat") =~ /\) (.*)/)[0] // next;
        my $age_s = int(words("/proc/uptime") - $fields[19] / 100);
        $text .= "sandbox " . substr($directory, 6) . " $age_s $file\t$words[-1]\n";
    }
    return $text;
}
sub reloads { # when dockerd last reloaded daemon.json, from the events that it still has
    my $filters = "%7B%22type%22%3A%5B%22daemon%22%5D%2C%22event%22%3A%5B%22reload%22%5D%7D";
    my $events = get("/events?since=1&until=" . time . "&filters=$filters") // "";
    my @times = $events =~ /"timeNano":(\d+)/g;
    return @times ? sprintf("reload_event %.3f\n", $times[-1] / 1e9) : "";
}
my (%bridges, %has6, %bridged, $may_be_stopped) = (docker0 => 1);
sub networks { # one line for each network: driver, bridge, name
    my $all = ask("/networks") // "";
    my $text = "";
    pos($all) = 1;
    while ($all =~ /\G\s*,?\s*$Json::value/gc) {
        my $one = members($+{v});
        my ($name, $driver, $id) = map { ($one->{$_} // "") =~ /^"([^"\\]*)"$/ ? $1 : "-" } qw(Name Driver Id);
        my ($bridge) = map { plain($_) } ($one->{Options} // "") =~ /"com\.docker\.network\.bridge\.name":"((?:[^"\\]++|\\.)++)"/;
        $bridge =~ s/[^\x21-\x7e]/?/g if defined $bridge; # facts print the interface's name in the same way
        $bridge //= $driver eq "bridge" ? "br-" . substr($id, 0, 12) : "-";
        $bridges{$bridge} = 1;
        @has6{$name, $id} = (1, 1) if ($one->{EnableIPv6} // "") eq "true";
        my $shown = $name eq "-" ? substr($id, 0, 12) : $name;
        $text .= "egress network $driver $bridge $shown\n";
        $text .= join "", map { "egress subnet $driver $_ $shown\n" } subnets($one->{IPAM}) if $wide;
        my $apart = ($one->{Options} // "") =~ /"com\.docker\.network\.bridge\.enable_icc":"(?:false|f|0)"/i;
        next unless $driver eq "bridge" && ($one->{Internal} // "") ne "true"; # no way out, to the node neither
        $bridged{$name} = $apart ? "-" : $name =~ s/[^\x21-\x7e]/?/gr;
    }
    return $text;
}
sub subnets { # of a network; "?" for one that is no address
    my $all = members($_[0] // "{}")->{Config} // "[]";
    my @texts = map { members($_)->{Subnet} // '""' } Json::items($all);
    return grep { $_ ne "" } map { /^"([0-9a-fA-F.:\/]*)"\z/ ? $1 : "?" } @texts;
}
sub published { # published ports that other hosts may reach
    my ($list) = @_;
    my $text = "";
    while ($list =~ /\{"IP":"([^"]*)","PrivatePort":\d+,"PublicPort":(\d+),"Type":"(\w+)"\}/g) {
        $text .= "egress published $2/$3\n" unless $1 =~ /^(127\.|::1$)/;
    }
    return $text;
}
sub names { # names of running containers, by address
    my ($list) = @_;
    my %names;
    pos($list) = 1;
    while ($list =~ /\G\s*,?\s*$Json::value/gc) {
        my $one = members($+{v});
        my ($name) = ($one->{Names} // "") =~ m{^\["/([\w.-]+)"};
        $names{$1} = $name while defined $name && ($one->{NetworkSettings} // "") =~ /"(?:IPAddress|GlobalIPv6Address)":"([0-9a-f.:]+)"/g;
    }
    return %names;
}
sub joined { # the containers of bridge networks, "-" for one without traffic between them, and their addresses, "-" if stopped
    my ($list) = @_;
    my $text = "";
    pos($list) = 1;
    while ($list =~ /\G\s*,?\s*$Json::value/gc) {
        my $one = members($+{v});
        my ($container) = ($one->{Names} // "") =~ m{^\["/([\w.-]+)"} or next;
        my $all = members(members($one->{NetworkSettings} // "{}")->{Networks} // "{}");
        for my $network (grep { $bridged{$_} } sort keys %$all) {
            my $given = members($all->{$network});
            my @addresses = map { ($given->{$_} // "") =~ /^"([0-9a-f.:]+)"$/ ? $1 : "-" } qw(IPAddress GlobalIPv6Address);
            $text .= "reach joined $container $bridged{$network} @addresses\n";
        }
    }
    return $text;
}
sub parent { (words("/proc/$_[0]/stat") =~ /.*\) \S (\d+)/s)[0] // 0 } # a name may hold ")"
sub proxies { # ports that docker-proxy serves
    my ($list) = @_;
    return "" unless $dockerd;
    my (%names, $text);
    return "" unless $list =~ /"PublicPort"/;
    for my $directory (glob "/proc/[0-9]*") {
        my ($program, %given) = split /\0/, words("$directory/cmdline") =~ s/\0-use-listen-fd\b//r;
        next unless defined $program && $program =~ m{docker-proxy\z} && parent(substr $directory, 6) == $dockerd;
        %names = names($list) unless %names;
        my ($own, @told) = map { $given{"-$_"} // "" } qw(container-port proto host-ip host-port container-ip);
        next unless "@told $own" =~ /^(?:tcp|udp|sctp) [0-9a-f.:]+ \d{1,5} [0-9a-f.:]+ \d{1,5}\z/;
        $text .= "reach proxy @told " . ($names{$told[3]} // "-") . " $own\n";
    }
    return $text // "";
}
sub outer6 { # interfaces with an IPv6 address that other hosts may reach
    my %found;
    open(my $f, "<", "/proc/net/if_inet6") or return (); # proc_net(5)
    while (<$f>) {
        my ($address, $scope, $name) = (split)[0, 3, 5];
        $found{$name} = 1 if $scope eq "00" && !$bridges{$name} && $address !~ /^fd2e6ab49d1c/; # ours
    }
    return sort keys %found;
}
sub stopped { # published ports of containers that do not run, whose addresses are not known
    my $filters = "%7B%22status%22%3A%5B%22created%22%2C%22exited%22%2C%22restarting%22%5D%7D";
    my $list = ask("/containers/json?all=1&limit=64&filters=$filters") // return "";
    my $text = joined($list);
    while ($list =~ /"Id":"([0-9a-f]{64})"/g) {
        my $body = eval { ask("/containers/$1/json") }; # Docker cannot describe a broken container
        die $@ if ($@ // "") =~ /^no answer within/;
        next unless defined $body;
        my $host = members(members($body)->{HostConfig} // "{}");
        my ($name) = (members($body)->{Name} // "") =~ m{^"/([\w.-]+)"\z} or next;
        my ($network) = ($host->{NetworkMode} // "") =~ /^"([^"]+)"\z/ or next;
        next if $network =~ /^(?:host|none|container:)/;
        my $six = $has6{$network eq "default" ? "bridge" : $network};
        my $bound = $host->{PortBindings} // "";
        while ($bound =~ m{"(\d+)/(\w+)":(?<all>\[[^\]]*\])}g) {
            my ($own, $protocol, $all) = ($1, $2, $+{all});
            while ($all =~ /"HostIp":"([0-9A-Fa-f.:]*)","HostPort":"(\d*)/g) {
                my ($given, $port) = ($1, $2 || 0);
                for my $outer ($given eq "" ? ("0.0.0.0", "::") : $given) {
                    my $inner = $six && $outer =~ /:/ ? "::" : "0.0.0.0";
                    $text .= "reach stopped $protocol $outer $port $inner $name $own\n";
                }
            }
        }
    }
    return $text;
}
sub reach {
    my $served = proxies($_[0]) . join "", map { "reach outer6 $_\n" } outer6();
    $may_be_stopped = $served ne "";
    return $may_be_stopped ? $served . joined($_[0]) : "";
}
sub idle { # containers that do not run, and the runtime that each asks for
    my %running = map { $_ => 1 } $_[0] =~ /"Id":"([0-9a-f]{64})"/g;
    my $all = ask("/containers/json?all=1") // die "Docker does not list all containers\n";
    my $text = "";
    for my $id (grep { !$running{$_} } $all =~ /"Id":"([0-9a-f]{64})"/g) {
        my $body = eval { ask("/containers/$id/json") }; # Docker cannot describe a broken container
        die $@ if ($@ // "") =~ /^no answer within/;
        my $top = members($body // next);
        my ($name, $asked) = ($top->{Name}, members($top->{HostConfig} // "{}")->{Runtime});
        $text .= "idle [$name,false,$asked]\n" if "$name $asked" =~ /^"[^\n]*" "[^\n]*"\z/;
    }
    return $text;
}
sub build_cache { # number and last use of dockerd's build cache records; no image names, no build steps
    my ($version, $root) = map { ($_ // "") =~ /^"([^"\\]*)"$/ ? $1 : "" } @{members($_[0])}{qw(ServerVersion DockerRootDir)};
    my ($major) = $version =~ /^(\d+)\./ or return "";
    if ($major < 23) { # this API cannot list the cache alone, and listing everything may take minutes
        my ($by) = -e "$root/buildkit/executor/runc-log.json" ? (stat "$root/buildkit/executor")[9] : ();
        return $by ? "build_ran $by\n" : "";
    }
    # 26.1.5 panics at this question in an API below 1.44, which Docker has since 25
    my $api = $major < 25 ? "1.42" : "1.44";
    my $all = ask("/v$api/system/df?type=build-cache") // die "Docker does not report its build cache\n";
    my $cache = members($all)->{BuildCache} // "";
    my ($records, $last) = (0, "");
    pos($cache) = 1;
    while ($cache =~ /^\[/ && $cache =~ /\G\s*,?\s*$Json::value/gc) {
        my $used = chosen($+{v}, sub { $_[0] eq "LastUsedAt" });
        my $at = $used =~ /"([\dT:-]{19})(?:\.\d+)?(Z|[+-][\d:]{5})"/ ? "$1$2" : "";
        $records++; $last = $at if $at gt $last;
    }
    return "build_cache $records $last\n";
}
sub linked { # a volume whose files are elsewhere by a symbolic link
    my ($root) = (members($_[0])->{DockerRootDir} // "") =~ /^"([^"\\]*)"$/ or return "";
    opendir my $volumes, "$root/volumes" or return "";
    my ($found) = grep { -l } "$root/volumes", map { ( "$root/volumes/$_", "$root/volumes/$_/_data" ) } sort grep { !/\n/ } readdir $volumes;
    return $found ? "linked_volume $found\n" : "";
}
sub runc { # runc's version, where Docker 29 does not report it: Ubuntu builds runc without a commit. Docker reports
    # the default runtime only, and an audit needs runc's version in any case.
    my $top = members($_[0]);
    my ($major) = ($top->{ServerVersion} // "") =~ /^"(\d+)\./ or return "";
    my $default = ($top->{DefaultRuntime} // "") =~ /^"(?:runc|io\.containerd\.runc\.v2)"$/;
    my $tells = $default && ($top->{RuncCommit} // "") =~ /"ID":"v?\d+\.\d/;
    return "" if ($major < 29 || $tells) && !($wide && !$default);
    my ($path) = $dockerd ? whole("/proc/$dockerd/environ") =~ /(?:^|\0)PATH=([^\0]*)/ : ();
    local $ENV{PATH} = $path // $ENV{PATH}; # the runc that dockerd finds
    my $answer = `runc --version` // "";
    return $answer =~ /^runc version (\S+)/ ? "runc_version $1\n" : "";
}
sub ascii { # JSON in ASCII, with escapes; "?" for bytes that are not UTF-8
    my ($text) = @_;
    $text =~ s/(\x7f|[\xc2-\xf4][\x80-\xbf]+)|[\x80-\xff]/defined $1 ? escaped($1) : "?"/ge;
    return $text;
}
sub escaped {
    my ($character) = @_;
    utf8::decode($character) or return "?";
    return join "", map { sprintf "\\u%04x", $_ } map {
        $_ > 0xffff ? (0xd7c0 + ($_ >> 10), 0xdc00 + ($_ & 0x3ff)) : $_
    } map { ord } split //, $character;
}
my $info;
my $ids;
my $told = eval {
    local $SIG{ALRM} = sub { die "no answer within 20 s\n" };
    alarm 20;
    $info = ask("/info") // die "no /info\n";
    $ids = ask("/containers/json") // die "no /containers/json\n";
    my $text = "info $info\n" . runc($info) . linked($info);
    know_programs((members($info)->{Runtimes} // "") =~ /"path":"([^"\\]*)"/g);
    $text .= unjudged($info, $peer // 0);
    $text .= container($1) while $ids =~ /"Id":"([0-9a-f]{64})"/g;
    $text .= networks() . published($ids) . reach($ids);
    if ($wide) {
        my %known = known_ids();
        $text .= sandboxes(%known) . engines(%known) . places_of_guarded($info) . reloads();
    }
    alarm 0;
    $text;
};
print defined $told ? ascii($told) : "docker_error $@";
print ascii(logs());
print ascii(listener());
sub within { # runs a job for so many seconds at most; undef if it fails, with the reason in $@. The rest goes on
    my ($limit_s, $job) = @_;
    my $said = eval {
        local $SIG{ALRM} = sub { die "no answer within $limit_s s\n" };
        alarm $limit_s;
        my $text = $job->();
        alarm 0;
        $text;
    };
    alarm 0;
    return $said;
}
print ascii(within(5, \&stopped) // "") if $may_be_stopped && defined $told;
if ($wide && defined $told) {
    my $idle = within(10, sub { idle($ids) });
    print defined $idle ? ascii($idle) : "idle_error $@";
    my $volumes = within(10, \&volumes);
    print defined $volumes ? ascii($volumes) : "volumes_error $@";
    print within(10, \&components) // ""; # without them the versions in /info are used
    print within(10, sub { build_cache($info) }) // "build_error $@";
}
