# Says what a container asks for that a sandbox may not have. gVisor does not close these ways to the node, or ignores
# them in silence. Comes after json.pl, places.pl, container.pl and
# journal.pl, and uses choose.pl. Settings: those of Seal in seal.py.
use strict;
use warnings;

package Seal;

# Devices that are harmless or that gVisor implements itself: pkg/sentry/devices and pkg/sentry/fsimpl/fuse.
my %harmless = map { ("/dev/$_" => 1) } qw(null zero full random urandom tty fuse net/tun);
# File systems of volumes that hold none of the node's own files. The node connects to those of the network.
my %network = map { ($_ => 1) } qw(nfs nfs4 cifs smb3 ceph fuse.glusterfs fuse.sshfs fuse.s3fs);
my %foreign = (tmpfs => 1, %network);
# Files that many apps mount, and that tell nothing but the time zone.
my @public = qw(/etc/localtime /etc/timezone);
# Sysctls that many images ask for by habit. Docker sets the last one for all, and runsc lets everybody listen on every port.
my %dispensable = map { ($_ => 1) } qw(net.core.somaxconn net.ipv4.ip_unprivileged_port_start);
# runsc and its shim obey such annotations, and containerd's shim the last kind.
our $obeyed = qr/^(?:dev\.gvisor\.|io\.kubernetes\.cri|io\.containerd\.runc\.)/;

# Returns what is refused, a phrase each; what is to be stripped, by kind; and, if there are allowed files of the node,
# the addresses of all mounts, which must be the same ones when the container starts. $spec is the text of config.json in
# the bundle; undef if there is none yet. $policy: see choose.pl; undef if there is none.
sub asked_in_vain {
    my ($container, $seal, $spec, $policy) = @_;
    my $host = $container->{host};
    my ($mounts, $addresses) = binds($container, $seal, $spec, kept_volumes($container, $policy));
    my %asked = (
        annotations => [annotations($host, $spec)],
        devices => [devices($host, $spec)],
        log_drivers => [log_driver($container)],
        sysctls => [map { "sysctl $_" } sort keys %{$host->{Sysctls} // {}}],
        host_namespaces => [namespaces($container, $spec, $policy)],
        privileged => [$host->{Privileged} ? "privileged" : ()],
        always => [@$mounts, control_group($host->{CgroupParent})],
    );
    my (@refused, %stripped);
    for my $kind (sort keys %asked) {
        my $action = $seal->{$kind} // "refuse";
        next if $action eq "allow";
        my @gone = grep { $action eq "strip" || /^sysctl (.*)/s && $dispensable{$1} } @{$asked{$kind}};
        my %gone = map { ($_ => 1) } @gone;
        push @refused, grep { !$gone{$_} } @{$asked{$kind}};
        $stripped{$kind} = \@gone if @gone;
    }
    return (\@refused, \%stripped, $addresses);
}

sub annotations {
    my ($host, $spec) = @_;
    my %all = %{$host->{Annotations} // {}};
    %all = (%all, %{Container::read_raw(Json::members($spec)->{annotations}) // {}}) if defined $spec;
    return map { "annotation $_" } sort grep { /$obeyed/ } keys %all;
}

sub devices {
    my ($host, $spec) = @_;
    my @given = grep { $_->{PathOnHost} ne $_->{PathInContainer} || !$harmless{$_->{PathOnHost}} } @{$host->{Devices} // []};
    my @found = (
        (map { "device $_->{PathOnHost}" } @given),
        (map { "devices of driver " . (($_->{Driver} // "") ne "" ? $_->{Driver} : "gpu") } @{$host->{DeviceRequests} // []}),
        (map { "device rule $_" } @{$host->{DeviceCgroupRules} // []}),
    );
    return @found if @found || $host->{Privileged} || !defined $spec; # privileged: all devices
    return map { "device $_->{path}" } grep { !$harmless{$_->{path}} } @{in_linux($spec, "devices")};
}

# dockerd itself writes logs. With most drivers it connects to an address that the container chose, and journald shows
# names that the container chose. What daemon.json says for all containers is the operator's choice.
sub log_driver {
    my ($container) = @_;
    my $asked = $container->{host}{LogConfig} // {};
    my ($driver, %options) = ($asked->{Type} // "", %{$asked->{Config} // {}});
    return () if $driver =~ /^(?:|json-file|local|none)\z/;
    my $file = "/etc/docker/daemon.json";
    my $daemon = -e $file ? Container::members_of($file) : {};
    my $is_dockerds = $driver eq (Container::read_raw($daemon->{"log-driver"}) // "");
    my %own = $is_dockerds ? %{Container::read_raw($daemon->{"log-opts"}) // {}} : ();
    my @other = grep { ($options{$_} // "") ne ($own{$_} // "") } sort keys %{{%own, %options}};
    return () if $is_dockerds && !@other;
    return ("log driver $driver") if $driver ne "journald";
    return map { "log option $_" } grep { Journal::forges($container, $_, $options{$_} // "") } @other;
}

sub in_linux { # a list in the part "linux" of config.json
    my ($spec, $name) = @_;
    return Container::read_raw(Json::members(Json::members($spec)->{linux} // "")->{$name}) // [];
}

sub namespaces {
    my ($container, $spec, $policy) = @_;
    my $host = $container->{host};
    my %modes = (network => "NetworkMode", pid => "PidMode", ipc => "IpcMode", uts => "UTSMode", user => "UsernsMode");
    delete $modes{user} if $container->{root} !~ m{/[0-9]+\.[0-9]+\z}; # without userns-remap: setupDaemonRoot in moby's daemon
    my @found = map { "$_ namespace of the node" } grep { ($host->{$modes{$_}} // "") eq "host" } sort keys %modes;
    push @found, "PID namespace of another container" if ($host->{PidMode} // "") =~ /^container:/;
    push @found, defined $spec ? joined($spec) : will_join($container, $policy) if !@found;
    return @found;
}

# A container can also share namespaces with another container. With one outside of gVisor it would be beyond its own
# network: what listens on that one's loopback trusts it.
sub joined {
    my ($spec) = @_;
    my %kinds = (mount => "mnt", network => "net", ipc => "ipc", uts => "uts", pid => "pid");
    my %given = map { $_->{type} => $_->{path} // "" } @{in_linux($spec, "namespaces")};
    my @found;
    for my $kind (sort keys %kinds) {
        my $path = $given{$kind};
        if (!defined $path || $path ne "" && is_the_nodes($path, $kinds{$kind})) { push @found, "$kind namespace of the node" }
        elsif ($path ne "" && !is_of_a_sandbox($path)) { push @found, "$kind namespace of a container outside of gVisor" }
    }
    return @found;
}

sub is_the_nodes {
    my ($path, $kind) = @_;
    my $inode = Places::inode($path);
    return $inode ne "" && $inode eq Places::inode("/proc/1/ns/$kind");
}

sub is_of_a_sandbox { # Docker names the process of the other container: moby daemon/oci_linux.go, WithNamespaces
    my ($path) = @_;
    my ($pid) = $path =~ m{^/proc/([0-9]+)/ns/} or return "";
    my $program = Places::inode("/proc/$pid/exe"); # its path may be cut off at a mount, and an image can have any path
    my @ours = glob "/opt/gvisor/releases/*/runsc /opt/gvisor/releases/*/gvisor-bin/gvisor_sentry";
    return $program ne "" && grep { Places::inode($_) eq $program } @ours;
}

sub will_join { # the same before there is a config.json: whether the policy has the other container outside of gVisor
    my ($container, $policy) = @_;
    my %modes = (network => "NetworkMode", ipc => "IpcMode");
    my %others = map { ($container->{host}{$modes{$_}} // "") =~ /^container:([0-9a-f]{64})\z/ ? ($_ => $1) : () } keys %modes;
    return map { "$_ namespace of a container outside of gVisor" }
        grep { infrastructure($container->{root}, $others{$_}, $policy) } sort keys %others;
}

sub infrastructure { # a container that the policy has outside of gVisor; undef for others, and if it is removed meanwhile
    my ($root, $id, $policy) = @_;
    my $other = $policy && eval { Container::read_container($root, $id) } or return undef;
    return (Choose::where($other, $policy))[0] eq "runc" ? $other : undef;
}

sub control_group { # runsc would make directories there, see runsc/cgroup/cgroup.go
    my ($path) = @_;
    return ($path // "") =~ m{(?:^|/)\.\.(?:/|\z)} ? "control group $path" : ();
}

# Returns the names of volumes to which infrastructure writes: those in the policy, and those without a name that a
# container of infrastructure has, too.
sub kept_volumes {
    my ($container, $policy) = @_;
    my @mounts = map { (@{$_->{mounts}}, @{$_->{optional_mounts}}) } @{$policy ? $policy->{entries} : []};
    my %kept = map { /^volume=([^:]+):.*:rw\z/s ? ($1 => 1) : () } @mounts;
    my @nameless = grep { /^[0-9a-f]{64}\z/ } map { $_->{Name} // "" } values %{$container->{mounts}};
    return \%kept unless @mounts && @nameless;
    my $containers = "$container->{root}/containers";
    opendir my $all, $containers or die "cannot read $containers: $!\n";
    for my $id (grep { /^[0-9a-f]{64}\z/ && $_ ne $container->{id} } readdir $all) {
        my $text = eval { Container::text_of("$containers/$id/config.v2.json") } // next;
        my @shared = grep { index($text, $_) >= 0 } @nameless;
        my $other = @shared && infrastructure($container->{root}, $id, $policy) or next;
        my %written = map { $_->{RW} ? ($_->{Name} // "" => 1) : () } values %{$other->{mounts}};
        $kept{$_} = 1 for grep { $written{$_} } @shared;
    }
    return \%kept;
}

# Returns what is refused of the mounts, and the addresses of the node's files among the others.
sub binds {
    my ($container, $seal, $spec, $kept) = @_;
    my %points = %{$container->{mounts}};
    my ($has_binds, @found, @addresses);
    for my $mount (defined $spec ? mounted_by($spec) : map { [$_, Container::source_of($container, $points{$_})] } sort keys %points) {
        my ($to, $from) = @$mount;
        my $point = $points{$to};
        my $real = Places::real($from); # once: a container may replace the file meanwhile
        my $why = !$point ? "" : $kept->{$point->{Name} // ""} ? " (a volume to which infrastructure writes)"
            : why_not($container, $point, $from, $real, $seal);
        if ($point ? $why : !is_dockers_own($container, $seal, $to, $from)) { push @found, "mount of $from on $to$why" }
        elsif ($point && defined $real) {
            push @addresses, address($real);
            $has_binds ||= ($point->{Type} // "") !~ /^(?:volume|image)\z/;
        }
    }
    return (\@found, $has_binds ? \@addresses : []);
}

sub mounted_by { # [destination, source] of the bind mounts in a bundle's config.json
    my ($spec) = @_;
    my @all = map { Container::read_raw($_) } Json::items(Json::members($spec)->{mounts} // "");
    return map { [$_->{destination}, $_->{source}] }
        grep { ($_->{type} // "") eq "bind" || grep { /^r?bind\z/ } @{$_->{options} // []} } @all;
}

# Whether Docker mounts this by itself. The container has no such mount point.
sub is_dockers_own {
    my ($container, $seal, $to, $from) = @_;
    my ($own, $host) = ("$container->{root}/containers", $container->{host});
    return 1 if index($from, "$own/$container->{id}/") == 0 && $from !~ m{/\.\.(?:/|\z)};
    my %shared = map { ("/etc/$_" => $_) } qw(resolv.conf hosts hostname); # with the container whose namespaces it has
    my ($what) = $from =~ m{^\Q$own\E/[0-9a-f]{64}/(.*)\z}s;
    return 1 if defined $what && $what eq ($shared{$to} // ($to eq "/dev/shm" ? "mounts/shm" : ""));
    return 1 if $to eq "/sbin/docker-init" && (!defined $host->{Init} || $host->{Init}); # undef: as daemon.json says
    return $seal->{devices} eq "allow" && @{$host->{DeviceRequests} // []}; # files of the driver: a CDI specification
}

# Returns "" if a mount is allowed, or more about why it is not.
sub why_not {
    my ($container, $point, $from, $real, $seal) = @_;
    my $kind = $point->{Type} // "";
    return "" if $kind =~ /^(?:tmpfs|image)\z/;
    my $allowed = $seal->{binds};
    my $volumes = Places::real("$container->{root}/volumes") // "$container->{root}/volumes";
    my @places = defined $real ? Places::same_as($real) : ();
    return "" if defined $real && is_public($real) && !$point->{RW};
    return "" if grep { is_allowed($_, $allowed, $volumes) } @places;
    if (Container::is_volume($point)) { return why_not_volume($container, $point, $real, $seal, $volumes, @places) }
    return @places ? of_the_node($from, @places) : " (not found)";
}

sub is_public { # a file alone: what is not there, dockerd has made as a directory
    my ($real) = @_;
    return -f $real && grep { (Places::real($_) // "") eq $real } @public;
}

sub of_the_node {
    my ($from, @places) = @_;
    my ($other) = grep { $_ ne $from } @places;
    return defined $other ? " (which is $other)" : " (directory of the node)";
}

# A volume may have its own files, or those of another computer. By its options it can be any directory of the node.
sub why_not_volume {
    my ($container, $point, $real, $seal, $volumes, @places) = @_;
    my $type = defined $real ? (Places::mount_of($real) // [])->[3] : "";
    my $options = Container::mounted_by_options($container, $point);
    my $is_local = ($point->{Driver} // "local") =~ /^(?:local)?\z/;
    my $is_network = $network{$is_local ? $options && $options->{MountType} // "" : $type};
    return " (network file system)" if $is_network && $seal->{network_volumes} eq "refuse";
    my $is_foreign = $foreign{$type} && !grep { $_ ne $real && !defined Places::below($_, $volumes) } @places;
    if (!$is_local) { # a plugin mounts the volume where it wants to
        return $is_foreign ? "" : " (the volume of driver $point->{Driver} holds files of the node)";
    }
    my $own = Places::real("$volumes/$point->{Name}") // return defined $real ? of_the_node("", @places) : ""; # Docker will create it
    my $data = Places::real("$own/_data");
    my $on = defined $data && Places::mount_of($data);
    my $is_fine = $on && defined Places::below($on->[0], $own) ? $is_foreign
        : $options ? will_be_foreign($options, $seal->{binds}, $volumes)
        : grep { defined Places::below($_, $own) } @places;
    return $is_fine ? "" : " (the volume holds files of the node)";
}

sub will_be_foreign { # whether a volume has none of the node's files when Docker has mounted it
    my ($options, $allowed, $volumes) = @_;
    return $foreign{$options->{MountType}} if $options->{MountOpts} !~ /\br?bind\b/;
    return scalar grep { is_allowed($_, $allowed, $volumes) } Places::found_at($options->{MountDevice});
}

# Whether a path is in an allowed directory. What the options of a volume mount on a volume's directory is not allowed
# because a directory above that is.
sub is_allowed {
    my ($path, $allowed, $volumes) = @_;
    my $on = defined Places::below($path, $volumes) && Places::mount_of($path);
    my $is_mounted = $on && $on->[0] ne $volumes && defined Places::below($on->[0], $volumes);
    return scalar grep { defined Places::below($path, $_) && !($is_mounted && $_ ne "/" && defined Places::below($volumes, $_)) }
        map { ($_, Places::real($_) // $_) } @$allowed;
}

# Where the file at a path without symbolic links is, as the mounts of a process tell: device and path in its file system.
sub address {
    my ($real) = @_;
    my $on = Places::mount_of($real);
    return $on ? ("$on->[1] " . Places::inner($real, $on)) : ();
}

# Returns the addresses that a process has not mounted as often as they are in the list.
sub missing {
    my ($addresses, $pid) = @_;
    my %mounted;
    for my $line (split /\n/, Container::text_of("/proc/$pid/mountinfo")) { # proc_pid_mountinfo(5)
        my ($device, $inner) = (split / /, $line)[2, 3];
        $inner =~ s/\\([0-7]{3})/chr oct $1/ge;
        $mounted{"$device " . ($inner =~ s{//deleted\z}{}r)}++;
    }
    return grep { !$mounted{$_}-- } map { s{ \(deleted\)\z}{}r } @$addresses;
}

# Returns config.json without what is stripped.
sub stripped {
    my ($spec, $kinds, $container) = @_;
    if ($kinds->{annotations}) { $spec = replaced($spec, sub { without($_[0], sub { $_[0] =~ /$obeyed/ }) }, "annotations") }
    if ($kinds->{sysctls}) {
        my $asked = $container->{host}{Sysctls};
        $spec = replaced($spec, sub { without($_[0], sub { exists $asked->{$_[0]} }) }, "linux", "sysctl");
    }
    if ($kinds->{devices}) {
        $spec = replaced($spec, sub { "[]" }, "linux", "devices");
        $spec = replaced($spec, sub { without_hooks($_[0]) }, "hooks");
    }
    return $spec;
}

sub replaced { # the text of an object with the member at this path changed by $change; unchanged if it has none
    my ($text, $change, $name, @rest) = @_;
    pos($text) = 0;
    $text =~ /\G\s*\{/gc or return $text;
    while ($text =~ /\G\s*,?\s*"($Json::text_of)"\s*:\s*$Json::value/gc) {
        my ($found, $from, $raw) = ($1, $-[2], $+{v});
        next unless $found eq $name;
        substr($text, $from, length $raw) = @rest ? replaced($raw, $change, @rest) : $change->($raw);
        return $text;
    }
    return $text;
}

sub without { # the text of an object without the members whose name $is_gone accepts
    my ($text, $is_gone) = @_;
    my @left;
    $text =~ /\A\s*\{/gc or return $text;
    while ($text =~ /\G\s*,?\s*("$Json::text_of")\s*:\s*$Json::value/gc) {
        my ($name, $raw) = ($1, $+{v});
        push @left, "$name:$raw" unless $is_gone->(Container::read_raw($name));
    }
    return "{" . join(",", @left) . "}";
}

# Hooks make devices of the node usable: dockerd adds one for --gpus, and CDI specifications have others. dockerd's own
# hook for the network is different: moby daemon/oci_linux.go.
sub without_hooks {
    my $kept = join ",", grep { /"libnetwork-setkey"/ } Json::items(Json::members($_[0])->{prestart} // "");
    return $kept eq "" ? "{}" : qq({"prestart":[$kept]});
}

package main;
