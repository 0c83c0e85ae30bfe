# Decides where a container runs: in the sandbox, or under runc because the policy names it. Comes after json.pl,
# container.pl and the policy. A policy entry compares everything that could make a known image run somebody's commands.
use strict;
use warnings;

package Choose;

# Returns "runc", "sandbox" or "refused", why, and with "refused" what an operator may accept. $policy: {entries,
# shapes}, as policy.py writes them.
sub where {
    my ($container, $policy) = @_;
    my @known = grep { $_->{image} eq $container->{image_id} } @{$policy->{entries}};
    my @against;
    for my $entry (@known) {
        my $against = difference($container, $entry);
        return ("runc", "$entry->{title}: $entry->{reason}") if $against eq "";
        push @against, "not the accepted $entry->{title}: other $against";
    }
    return ("sandbox", join "; ", grep { defined } @against[0 .. 2]) if @against;
    my $image = $container->{config}{Image} // "";
    for my $shape (@{$policy->{shapes}}) {
        next unless is_image_of($image, $shape) && asks_for($container, $shape);
        return ("refused", "image $container->{image_id} of $shape->{name} ($image) is not accepted on this node",
            $shape->{recorded} ? $container->{name} : $container->{image_id});
    }
    return ("sandbox", "not infrastructure");
}

sub repository { # the name of an image without tag and digest, with its registry: docker.io is Docker's own
    my ($name) = $_[0] =~ s/@.*//sr =~ s{:[^/:]*\z}{}r;
    $name =~ s{^index\.docker\.io/}{docker.io/};
    return $name if $name =~ m{^(?:[^/]*[.:][^/]*|localhost)/};
    return "docker.io/" . ($name =~ m{/} ? $name : "library/$name");
}

sub is_image_of {
    my ($image, $shape) = @_;
    my $repository = repository($image);
    return scalar grep { repository($_) eq $repository } @{$shape->{repositories}};
}

sub asks_for { # whether a container has one of the mounts for which a shape must be infrastructure
    my ($container, $shape) = @_;
    my %given = map { $_ => 1 } mounts($container);
    return scalar grep { $given{$_} } @{$shape->{mounts}};
}

sub mounts { # "source:destination:rw"; the source of a plain volume is "volume=name", or "volume" if it has no name
    my ($container) = @_;
    my %all = %{$container->{mounts}};
    return map {
        my $from = Container::is_plain_volume($container, $all{$_}) ? volume($all{$_}{Name} // "") : Container::source_of($container, $all{$_});
        "$from:$_:" . ($all{$_}{RW} ? "rw" : "ro");
    } sort keys %all;
}

sub volume { return $_[0] =~ /^(?:[0-9a-f]{64})?\z/ ? "volume" : "volume=$_[0]" } # Docker gives the others such a name

# Returns what differs from an entry of the policy, "" if nothing does.
sub difference {
    my ($container, $entry) = @_;
    my ($config, $host) = @{$container}{qw(config host)};
    my @program = (@{$entry->{entrypoint}}, @{$entry->{command}});
    return "entrypoint" unless same($entry->{entrypoint}, $config->{Entrypoint} // []);
    return "command" unless same(\@program, $container->{command});
    return "user" if ($config->{User} // "") ne $entry->{user};
    return "working directory" if ($config->{WorkingDir} // "") ne $entry->{working_dir};
    return "health check" unless same($entry->{healthcheck} // {}, $config->{Healthcheck} // {});
    return "shell" if @{$config->{Shell} // []}; # health checks run in it
    return environment($config->{Env} // [], $entry) || mounted($container, $entry) || named($container, $entry)
        || options($host, $entry) || "";
}

sub environment {
    my ($given, $entry) = @_;
    my %expected = map { $_ => 1 } @{$entry->{env}};
    my %free = map { $_ => 1 } @{$entry->{env_free}};
    my %seen = map { $_ => 1 } @$given;
    for (@$given) {
        my ($name) = /^([^=]*)/;
        return "environment ($name)" unless $expected{$_} || $free{$name};
    }
    for (@{$entry->{env}}) {
        my ($name) = /^([^=]*)/;
        return "environment ($name)" unless $seen{$_} || $free{$name};
    }
    return "";
}

sub mounted {
    my ($container, $entry) = @_;
    my %left = map { $_ => 1 } @{$entry->{mounts}};
    my %optional = map { $_ => 1 } @{$entry->{optional_mounts}};
    for (mounts($container)) {
        return "mounts ($_)" unless delete $left{$_} || $optional{$_};
    }
    return "mounts (no " . (sort keys %left)[0] . ")" if keys %left;
    return @{$container->{secrets}} ? "secrets" : "";
}

sub named {
    my ($container, $entry) = @_;
    my $labels = $container->{config}{Labels} // {};
    return "name" if $entry->{name} ne "" && $container->{name} !~ /^(?:$entry->{name})\z/;
    for (sort keys %{$entry->{labels}}) {
        return "label $_" if ($labels->{$_} // "") ne $entry->{labels}{$_};
    }
    for my $prefix (@{$entry->{without_labels}}) {
        my ($one) = grep { index($_, $prefix) == 0 } sort keys %$labels or next;
        return "label $one";
    }
    return "";
}

sub options {
    my ($host, $entry) = @_;
    return "network" if ($entry->{network} eq "host" xor ($host->{NetworkMode} // "") eq "host");
    return "network" if ($host->{NetworkMode} // "") =~ /^container:/;
    return "PID namespace" if ($host->{PidMode} // "") ne $entry->{pid};
    return "IPC namespace" if ($host->{IpcMode} // "") !~ /^(?:|private|shareable|none)\z/;
    return "namespaces" if ($host->{UTSMode} // "") ne "" || ($host->{UsernsMode} // "") ne "";
    return "privileges" if $host->{Privileged};
    return "capabilities" if @{left($host->{CapAdd}, $entry->{capabilities})};
    return "host names" if @{left($host->{ExtraHosts}, $entry->{extra_hosts})};
    return "removal" if defined $entry->{auto_remove} && ($host->{AutoRemove} ? 1 : 0) != $entry->{auto_remove};
    for (qw(MaskedPaths ReadonlyPaths)) { return $_ if defined $host->{$_} && !@{$host->{$_}} }
    # Docker adds label=disable to a container with the node's PID namespace: generateSecurityOpt in moby's daemon/create.go
    return "SecurityOpt" if grep { $_ ne "label=disable" || $entry->{pid} ne "host" } @{$host->{SecurityOpt} // []};
    for (qw(Devices DeviceRequests DeviceCgroupRules VolumesFrom Dns DnsOptions DnsSearch Links)) {
        return $_ if @{$host->{$_} // []};
    }
    for (qw(Sysctls Tmpfs Annotations)) { return $_ if %{$host->{$_} // {}} }
    return "init" if $host->{Init};
    return "control group" if ($host->{CgroupParent} // "") ne "";
    return "";
}

sub left { # the items that are not in the other list
    my ($given, $known) = @_;
    my %known = map { $_ => 1 } @$known;
    return [grep { !$known{$_} } @{$given // []}];
}

sub same { # whether two values are equal; numbers and truth values as text
    my ($one, $other) = @_;
    return 0 if ref $one ne ref $other;
    if (ref $one eq "ARRAY") { return @$one == @$other && !grep { !same($one->[$_], $other->[$_]) } 0 .. $#$one }
    if (ref $one eq "HASH") { return keys %$one == keys %$other && !grep { !exists $other->{$_} || !same($one->{$_}, $other->{$_}) } keys %$one }
    return ($one // "") eq ($other // "");
}

package main;
