# Reads what Docker wrote about a container before it calls a runtime. Comes after json.pl. Docker's API must not be
# asked: while dockerd creates a container, it does not answer about this container. After a power cut it does not
# answer at all before it has restarted the containers.
use strict;
use warnings;

package Container;

# Docker's data root: the directory above a container's root file system that has a directory of the container.
sub data_root {
    my ($path, $id) = @_;
    while ($path =~ s{/[^/]*\z}{}) { return $path if -e "$path/containers/$id/config.v2.json" }
    return undef;
}

sub text_of {
    my ($path) = @_;
    open my $file, "<", $path or die "cannot read $path: $!\n";
    local $/;
    return <$file> // "";
}

sub members_of { # the members of the object in a file as raw text
    my ($path) = @_;
    return eval { Json::members(text_of($path)) } // die $@ =~ s/^incomplete JSON/$path is not complete/r;
}

sub read_raw { # a JSON value that may be missing or null
    my ($raw) = @_;
    return defined $raw ? bytes(Json::decode($raw)) : undef;
}

sub bytes { # paths and names are bytes to the kernel
    my ($value) = @_;
    if (ref $value eq "HASH") { return {map { bytes($_) } %$value} }
    if (ref $value eq "ARRAY") { return [map { bytes($_) } @$value] }
    utf8::encode($value) if defined $value;
    return $value;
}

my @config = qw(Image Entrypoint Cmd Env User WorkingDir Healthcheck Shell Labels);
my @host = qw(Privileged CapAdd NetworkMode PidMode IpcMode UTSMode UsernsMode Devices DeviceRequests DeviceCgroupRules
    SecurityOpt Sysctls Init Tmpfs VolumesFrom CgroupParent Dns DnsOptions DnsSearch ExtraHosts Links MaskedPaths
    ReadonlyPaths Runtime AutoRemove Annotations LogConfig);

# Returns a container as Docker's files describe it. Names are those of Docker's API, with "image_id" for the image
# and "mounts" for the mount points by destination.
sub read_container {
    my ($root, $id) = @_;
    my $directory = "$root/containers/$id";
    my $top = members_of("$directory/config.v2.json");
    my $config = Json::members($top->{Config} // "");
    my $host = members_of("$directory/hostconfig.json");
    die "$directory/config.v2.json is not complete\n" unless $top->{Config} && ($top->{ID} // "") eq qq("$id");
    die "$directory/hostconfig.json is not complete\n" unless defined $host->{NetworkMode};
    return {
        id => $id,
        root => $root,
        name => (read_raw($top->{Name}) // "") =~ s{^/}{}r,
        image_id => read_raw($top->{Image}) // "",
        command => [grep { defined } read_raw($top->{Path}), @{read_raw($top->{Args}) // []}],
        mounts => read_raw($top->{MountPoints}) // {},
        secrets => [@{read_raw($top->{SecretReferences}) // []}, @{read_raw($top->{ConfigReferences}) // []}],
        config => {map { $_ => read_raw($config->{$_}) } @config},
        host => {map { $_ => read_raw($host->{$_}) } @host},
    };
}

sub is_volume { return ($_[0]{Type} // "") eq "volume" || !$_[0]{Type} && ($_[0]{Name} // "") ne "" }

# Returns what the options of a volume of driver "local" mount on it: {MountType, MountOpts, MountDevice}, undef if
# nothing. Docker keeps them beside the volume's files: moby daemon/volume/local.
sub mounted_by_options {
    my ($container, $mount) = @_;
    my $file = "$container->{root}/volumes/$mount->{Name}/opts.json";
    my $options = -e $file ? read_raw(text_of($file)) : undef;
    return $options && ($options->{MountDevice} // "") ne "" ? $options : undef;
}

# Whether a volume has only files that containers wrote: nothing of the node's, and nothing from elsewhere.
sub is_plain_volume {
    my ($container, $mount) = @_;
    return is_volume($mount) && ($mount->{Driver} // "local") =~ /^(?:local)?\z/ && !mounted_by_options($container, $mount);
}

sub source_of { # where a mount comes from. Before it is mounted, a volume of Docker's has no source
    my ($container, $mount) = @_;
    return $mount->{Source} if ($mount->{Source} // "") ne "";
    return "$container->{root}/volumes/$mount->{Name}/_data" if is_volume($mount) && ($mount->{Name} // "") ne "";
    return $mount->{Spec}{Source} // "";
}

package main;
