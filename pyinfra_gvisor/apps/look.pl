# Prints what can be seen of each running container from the node, a line of JSON each. Changes nothing. Comes after
# docker_answers.pl. Arguments: a word, Docker's socket, keys of HostConfig, names of labels and of programs, one a line each.
# Prints no environment, no argument, and of files only names.
use strict;
use warnings;

my ($options, $labels, $programs) = map { [split /\n/, $_] } @ARGV[2 .. 4];
my %wanted = map { $_ => 1 } @$programs;
my ($most_processes, $most_files, $most_names) = (400, 4000, 12); # for one container
my %processes = by_container();
my %sources; # of mounts, on the node
for my $listed (Json::items(got("/containers/json"))) {
    my $body = got("/containers/" . plain(Json::members($listed)->{Id}) . "/json") // next; # removed since
    print_app(Json::members($body));
}
print "sockets ", list(grep { my $path = $_; grep { $path eq $_ || index($path, "$_/") == 0 } keys %sources } node_sockets()), "\n";
print "end of apps\n";

sub list { return "[" . join(",", map { quoted($_) } @_) . "]" }
sub some { # a list of the first names, without doubles
    my %all = map { $_ => 1 } @_;
    my @names = sort keys %all;
    return list(@names > $most_names ? @names[0 .. $most_names - 1] : @names);
}

sub print_app {
    my ($top) = @_;
    my ($host, $config) = map { Json::members($top->{$_} // "{}") } qw(HostConfig Config);
    my ($id, $pid) = (plain($top->{Id}), plain(Json::members($top->{State} // "{}")->{Pid}));
    my @mounts = map { Json::members($_) } Json::items($top->{Mounts} // "[]");
    my $mounts = join ",", map { "{" . mount($_) . "}" } @mounts;
    my $seen = $pid =~ /^[1-9]\d*\z/ ? seen($pid, [map { plain($_->{Destination}) } @mounts], @{$processes{$id} // []}) : "";
    say_json("app", object($top, qw(Id Name)), qq("Image":) . ($config->{Image} // '""'),
        qq("Labels":{) . object(Json::members($config->{Labels} // "{}"), @$labels) . "}",
        qq("HostConfig":{) . object($host, @$options) . "}", qq("Mounts":[$mounts]), $seen && qq("Seen":{$seen}));
}

sub mount { # and whether the source is a socket
    my ($point) = @_;
    my $source = plain($point->{Source});
    $sources{$source} = 1 if $source ne "/";
    my $socket = -S $source ? "true" : "false";
    return join ",", grep { $_ } object($point, qw(Type Source Destination)), qq("Socket":$socket);
}

sub by_container { # the processes of each container: a control group has its id, whoever started them
    my %all;
    for my $directory (glob "/proc/[0-9]*") {
        push @{$all{$1}}, substr $directory, 6 if whole("$directory/cgroup") =~ /([0-9a-f]{64})/;
    }
    return %all;
}

sub beginning { # the first bytes of a file
    my ($path, $bytes) = @_;
    open(my $file, "<", $path) or return "";
    read($file, my $read, $bytes);
    return $read // "";
}
sub whole { open(my $file, "<", $_[0]) or return ""; local $/; return <$file> // "" }
sub lines { return split /\n/, whole($_[0]) }
sub node_sockets { return map { /^\S+ \S+ \S+ 00010000 \S+ \S+ +\d+ (\/.*)/ ? $1 : () } lines("/proc/1/net/unix") }

sub seen {
    my ($pid, $targets, @pids) = @_;
    my $cut = @pids > $most_processes || 0;
    @pids = @pids[0 .. $most_processes - 1] if $cut;
    my %of = (opened => {}, inode => {}, watched => {}, setuid => {}, elf32 => {}, engine => {}, programs => {});
    look_at($_, \%of) for @pids;
    my $tmp = tmp_of($pid);
    my @listens = listening($pid, $of{inode});
    my @watched = grep { holds("/proc/$pid/root$_", $of{watched}) } @$targets;
    return join ",", qq("cut":) . ($cut ? "true" : "false"), qq("tmp_bytes":$tmp),
        qq("listens":) . list(@listens), qq("moved":) . some(grep { !-S "/proc/$pid/root$_" } @listens), qq("watched":) . some(@watched),
        qq("netlink":) . some(netlink($pid, $of{inode})), qq("raw":) . some(raw($pid, $of{inode})),
        qq("mounted":) . some(mounted($pid, @$targets)), map { qq("$_":) . some(keys %{$of{$_}}) } qw(opened setuid elf32 engine programs);
}

sub look_at { # what one process has open, and how it was started
    my ($pid, $of) = @_;
    my ($name) = lines("/proc/$pid/comm");
    $name //= "?";
    my $mode = (stat "/proc/$pid/exe")[2] // 0;
    $of->{setuid}{$name} = 1 if $mode & 06000 && is_secure($pid);
    $of->{engine}{$name} = 1 if (readlink("/proc/$pid/exe") // "") =~ m{/(?:dockerd|containerd|podman|buildkitd|kubelet|k3s|crio|lxd|incusd)\z};
    $of->{programs}{$name} = 1 if $wanted{$name};
    $of->{elf32}{$name} = 1 if beginning("/proc/$pid/exe", 5) eq "\x7fELF\x01";
    my $files = 0;
    for my $file (glob "/proc/$pid/fd/*") {
        last if $files++ > $most_files;
        my $to = readlink($file) // next;
        if ($to =~ /^socket:\[(\d+)\]/) { $of->{inode}{$1} = 1 }
        elsif ($to eq "anon_inode:inotify") { $of->{watched}{$_} = 1 for watches(whole($file =~ s{/fd/}{/fdinfo/}r)) }
        elsif ($to =~ /^anon_inode:\[?(io_uring|perf_event|userfaultfd|fanotify|bpf[\w-]*)\]?/) { $of->{opened}{$1} = 1 }
        elsif ($to =~ m{^/dev/(?!null|zero|full|u?random|tty$|ptmx|pts/|console|shm/|mqueue/|std|fd/)}) { $of->{opened}{$to} = 1 }
        elsif ($to =~ m{^/proc/(?:vmstat|diskstats|pressure/.*|interrupts|softirqs|swaps|partitions|zoneinfo|buddyinfo|slabinfo|kallsyms|kcore|locks)$}) { $of->{opened}{$to} = 1 }
    }
}

sub is_secure { # true if its program gave a process more rights: AT_SECURE of getauxval(3)
    my %given = unpack "Q*", whole("/proc/$_[0]/auxv");
    return $given{23};
}

sub watches { # device and inode of each watch, as stat(2) has them: proc_pid_fdinfo(5)
    my @found;
    while ($_[0] =~ /^inotify wd:\w+ ino:([0-9a-f]+) sdev:([0-9a-f]+)/mg) {
        my ($inode, $device) = (hex $1, hex $2);
        push @found, (($device >> 20) << 8 | $device & 0xff | ($device & 0xfff00) << 12) . ":$inode";
    }
    return @found;
}

sub holds { # true if a mount has one of these inodes among its first files, other mounts in it left out
    my ($root, $inodes) = @_;
    my ($count, @left) = (0, $root);
    my $device = (stat $root)[0] // return 0;
    return 0 unless grep { /^$device:/ } keys %$inodes;
    while (defined(my $path = shift @left)) {
        my @stat = $path eq $root ? stat $path : lstat $path;
        return 0 if $count++ > $most_files;
        next if !@stat || $stat[0] != $device;
        return 1 if $inodes->{"$stat[0]:$stat[1]"};
        next unless -d _ && opendir(my $open, $path);
        while (@left < $most_files && defined(my $name = readdir $open)) {
            push @left, "$path/$name" unless $name eq "." || $name eq "..";
        }
    }
    return 0;
}

sub listening { # paths of Unix sockets that the container's own processes listen on: proc_net(5)
    my ($pid, $own) = @_;
    return map { /^\S+ \S+ \S+ 00010000 \S+ \S+ +(\d+) (\/.*)/ && $own->{$1} ? $2 : () } lines("/proc/$pid/net/unix");
}

sub netlink { # protocols other than NETLINK_ROUTE without groups: netlink(7)
    my ($pid, $own) = @_;
    my @found;
    for (lines("/proc/$pid/net/netlink")) {
        my ($protocol, $groups, $inode) = (split)[1, 3, 9];
        next unless defined $inode && $own->{$inode};
        push @found, $protocol if $protocol ne "0";
        push @found, "0 with groups" if $protocol eq "0" && $groups =~ /[1-9a-f]/;
    }
    return @found;
}

sub raw { # kinds of sockets below TCP and UDP
    my ($pid, $own) = @_;
    my %column = (raw => 9, raw6 => 9, icmp => 9, icmp6 => 9, packet => 8);
    return grep { my $at = $column{$_}; grep { my $inode = (split)[$at]; defined $inode && $own->{$inode} } lines("/proc/$pid/net/$_") } keys %column;
}

sub mounted { # file systems that are neither a mount of Docker's nor below one: those came with it
    my ($pid, @targets) = @_;
    my @found;
    for (lines("/proc/$pid/mountinfo")) {
        my ($at, $type) = m{^\S+ \S+ \S+ \S+ (\S+) .* - (\S+) } or next;
        $at =~ s/\\([0-7]{3})/chr oct $1/ge;
        next if grep { $at eq $_ || index($at, s{/*\z}{/}r) == 0 } @targets;
        next if $at =~ m{^/(?:$|proc|sys|dev|etc/(?:resolv\.conf|hostname|hosts)$|run/secrets)};
        push @found, "$type $at" unless $type =~ /^(?:tmpfs|proc|sysfs|overlay|mqueue|devpts)\z/;
    }
    return @found;
}

sub tmp_of { # bytes of files in /tmp, if that is a directory of the image
    my ($pid) = @_;
    my $root = "/proc/$pid/root";
    return 0 if grep { m{^\S+ \S+ \S+ \S+ /tmp } } lines("/proc/$pid/mountinfo");
    return 0 if -l "$root/tmp";
    my ($bytes, $count, @left) = (0, 0, "$root/tmp");
    while (defined(my $directory = pop @left)) {
        opendir(my $open, $directory) or next;
        for (readdir $open) {
            next if $_ eq "." || $_ eq "..";
            my @stat = lstat "$directory/$_";
            next unless @stat;
            return $bytes if $count++ > $most_files;
            if (-d _) { push @left, "$directory/$_" }
            elsif (-f _) { $bytes += $stat[12] * 512 }
        }
    }
    return $bytes;
}
