# Says what a container asks for that a sandbox may not have. gVisor does not close these ways to the node, or ignores
# them in silence. Comes after json.pl, places.pl and container.pl. Settings: those of Seal in seal.py.
use strict;
use warnings;

package Seal;

# Devices that are harmless or that gVisor implements itself: pkg/sentry/devices and pkg/sentry/fsimpl/fuse.
my %harmless = map { ("/dev/$_" => 1) } qw(null zero full random urandom tty fuse net/tun);
# File systems of volumes that hold none of the node's own files.
my %foreign = map { ($_ => 1) } qw(tmpfs nfs nfs4 cifs smb3 ceph fuse.glusterfs fuse.sshfs fuse.s3fs);
our $obeyed = qr/^(?:dev\.gvisor\.|io\.kubernetes\.cri)/; # runsc and its shim obey such annotations

# Returns what is refused, a phrase each, and what is to be stripped, by kind. $spec is the text of config.json in the
# bundle; undef if there is none yet.
sub asked_in_vain {
    my ($container, $seal, $spec) = @_;
    my $host = $container->{host};
    my %asked = (
        annotations => [annotations($host, $spec)],
        devices => [devices($host)],
        sysctls => [map { "sysctl $_" } sort keys %{$host->{Sysctls} // {}}],
        host_namespaces => [namespaces($host, $spec)],
        privileged => [$host->{Privileged} ? "privileged" : ()],
        binds => [binds($container, $seal->{binds}, $spec)],
    );
    my (@refused, %stripped);
    for my $kind (sort keys %asked) {
        my $action = $kind eq "binds" ? "refuse" : $seal->{$kind};
        if ($action eq "refuse") { push @refused, @{$asked{$kind}} }
        elsif ($action eq "strip" && @{$asked{$kind}}) { $stripped{$kind} = $asked{$kind} }
    }
    return (\@refused, \%stripped);
}

sub annotations {
    my ($host, $spec) = @_;
    my %all = %{$host->{Annotations} // {}};
    %all = (%all, %{Container::read_raw(Json::members($spec)->{annotations}) // {}}) if defined $spec;
    return map { "annotation $_" } sort grep { /$obeyed/ } keys %all;
}

sub devices {
    my ($host) = @_;
    my @given = grep { $_->{PathOnHost} ne $_->{PathInContainer} || !$harmless{$_->{PathOnHost}} } @{$host->{Devices} // []};
    return (
        (map { "device $_->{PathOnHost}" } @given),
        (map { "devices of driver " . (($_->{Driver} // "") ne "" ? $_->{Driver} : "gpu") } @{$host->{DeviceRequests} // []}),
        (map { "device rule $_" } @{$host->{DeviceCgroupRules} // []}),
    );
}

sub namespaces {
    my ($host, $spec) = @_;
    my %modes = (network => "NetworkMode", pid => "PidMode", ipc => "IpcMode", uts => "UTSMode", user => "UsernsMode");
    my @found = map { "$_ namespace of the node" } grep { ($host->{$modes{$_}} // "") eq "host" } sort keys %modes;
    push @found, "PID namespace of another container" if ($host->{PidMode} // "") =~ /^container:/;
    push @found, joined($spec) if defined $spec && !@found;
    return @found;
}

# A container can also share the node's namespaces with another container that has them.
sub joined {
    my ($spec) = @_;
    my %own = (network => "net", ipc => "ipc", uts => "uts");
    my $list = Container::read_raw(Json::members(Json::members($spec)->{linux} // "")->{namespaces}) // [];
    return map { "$_->{type} namespace of the node" }
        grep { $own{$_->{type}} && ($_->{path} // "") ne "" && is_the_nodes($_->{path}, $own{$_->{type}}) } @$list;
}

sub is_the_nodes {
    my ($path, $kind) = @_;
    my $inode = Places::inode($path);
    return $inode ne "" && $inode eq Places::inode("/proc/1/ns/$kind");
}

sub binds {
    my ($container, $allowed, $spec) = @_;
    my %mounts = %{$container->{mounts}};
    my %source = map { $_ => Container::source_of($container, $mounts{$_}) } keys %mounts;
    my @found;
    for my $mount (defined $spec ? mounted_by($spec) : ()) {
        my ($to, $from) = @$mount;
        if (exists $mounts{$to}) { $source{$to} = $from }
        elsif (!is_dockers_own($container, $to, $from)) { push @found, "mount of $from on $to" }
    }
    for my $to (sort keys %mounts) {
        my $why = why_not($container, $mounts{$to}, $source{$to}, $allowed) or next;
        push @found, "mount of $source{$to} on $to$why";
    }
    return @found;
}

sub mounted_by { # [destination, source] of the bind mounts in a bundle's config.json
    my ($spec) = @_;
    my @all = map { Container::read_raw($_) } Json::items(Json::members($spec)->{mounts} // "");
    return map { [$_->{destination}, $_->{source}] }
        grep { ($_->{type} // "") eq "bind" || grep { /^r?bind\z/ } @{$_->{options} // []} } @all;
}

sub is_dockers_own { # files that Docker mounts by itself
    my ($container, $to, $from) = @_;
    my $own = "$container->{root}/containers";
    return 1 if index($from, "$own/$container->{id}/") == 0 && $from !~ m{/\.\.(?:/|\z)};
    return 1 if $to eq "/dev/shm" && $from =~ m{^\Q$own\E/[0-9a-f]{64}/mounts/shm\z};
    return $to eq "/sbin/docker-init" && $container->{host}{Init};
}

# Returns "" if a mount is allowed, or more about why it is not.
sub why_not {
    my ($container, $mount, $from, $allowed) = @_;
    my $kind = $mount->{Type} // "";
    return "" if $kind =~ /^(?:tmpfs|image)\z/;
    my @places = Places::found_at($from);
    return "" if grep { is_allowed($_, $allowed) } @places;
    if (Container::is_volume($mount) && ($mount->{Driver} // "local") eq "local") {
        my $volume = "$container->{root}/volumes/$mount->{Name}";
        $volume = Places::real($volume) // $volume;
        my $real = Places::real($from) // return -e $volume ? " (cannot be read)" : ""; # Docker creates it at the start
        my $on = Places::mount_of($real);
        my $is_mounted = $on && defined Places::below($on->[0], $volume); # by the options of the volume
        return $foreign{$on->[3]} ? "" : " (the volume holds files of the node)" if $is_mounted;
        return "" if grep { defined Places::below($_, $volume) } @places;
    }
    my ($other) = grep { $_ ne $from } @places;
    return defined $other ? " (which is $other)" : " (directory of the node)";
}

sub is_allowed {
    my ($path, $allowed) = @_;
    return scalar grep { defined Places::below($path, $_) || defined Places::below($path, Places::real($_) // $_) } @$allowed;
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
        $spec = replaced($spec, sub { without_nvidia($_[0]) }, "hooks", "prestart");
    }
    return $spec;
}

sub replaced { # the text of an object with the member at this path changed by $change; unchanged if it has none
    my ($text, $change, $name, @rest) = @_;
    pos($text) = 0;
    $text =~ /\G\s*\{/gc or return $text;
    while ($text =~ /\G\s*,?\s*"((?:[^"\\]++|\\.)*+)"\s*:\s*$Json::value/gc) {
        my ($found, $from, $raw) = ($1, $-[2], $+{v});
        next unless $found eq $name;
        substr($text, $from, length $raw) = @rest ? replaced($raw, $change, @rest) : $change->($raw);
        return $text;
    }
    return $text;
}

sub without { # the text of an object without the members whose name $is_wanted accepts
    my ($text, $is_gone) = @_;
    my $all = Json::members($text);
    my @left = grep { !$is_gone->(Container::read_raw(qq("$_"))) } sort keys %$all;
    return "{" . join(",", map { qq("$_":$all->{$_}) } @left) . "}";
}

sub without_nvidia { # dockerd adds this hook for --gpus: moby daemon/nvidia_linux.go
    return "[" . join(",", grep { !/nvidia-container-runtime-hook/ } Json::items($_[0])) . "]";
}

package main;
