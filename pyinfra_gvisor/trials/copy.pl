# Makes a container like another one, without what others would notice. Comes after secrets.pl and before trial.pl.
use strict;
use warnings;

# What a copy has as the original has it: Docker's API, ContainerCreate.
my @config = qw(Domainname User Tty OpenStdin StdinOnce Env Cmd WorkingDir StopSignal StopTimeout ExposedPorts);
my @host = (qw(CapAdd CapDrop SecurityOpt Sysctls Ulimits GroupAdd ReadonlyRootfs ReadonlyPaths MaskedPaths ShmSize),
    qw(Tmpfs Init Memory MemorySwap MemoryReservation MemorySwappiness NanoCpus CpuShares CpuQuota CpuPeriod CpusetCpus),
    qw(CpusetMems BlkioWeight CgroupParent StorageOpt UsernsMode CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts Annotations));
# audit/capability_rules.py: ROOT_ON_THE_NODE
my %is_root = map { $_ => 1 } qw(ALL BPF CHECKPOINT_RESTORE DAC_READ_SEARCH MAC_ADMIN MAC_OVERRIDE NET_ADMIN PERFMON SYS_ADMIN),
    qw(SYS_BOOT SYS_MODULE SYS_PTRACE SYS_RAWIO SYS_TIME SYSLOG);
my $most_files = 20000; # of a mount that are looked through for sockets
my ($memory_bytes, $nano_cpus, $pids) = (512 << 20, 1e9, 1024); # where the original has no limit
my $health_ns = 3e9;

sub copied { # all of the original, the side, and what is given: returns the request's content
    my ($top, $side, %given) = @_;
    my ($host, $config) = map { Json::members($top->{$_}) } qw(HostConfig Config);
    my ($volumes, $mounts) = mounts($top, $host, $side);
    my $limits = limits($host, $side);
    give_up_rights($host) if $side eq "control";
    my $network = plain($host->{NetworkMode} // '""') eq "none" ? '"none"' : quoted($given{network});
    return "{" . join(",", grep { $_ } object($config, @config), hostname($top, $config), entrypoint($config), health($config),
        qq("Image":$top->{Image}), qq("Labels":) . labels($top, %given), qq("Volumes":{$volumes}),
        qq("HostConfig":{) . join(",", grep { $_ } object($host, @host), $limits, places($host, $side),
            runtime(%given), qq("Mounts":[$mounts]), qq("NetworkMode":$network), '"RestartPolicy":{"Name":"no"}',
            '"LogConfig":{"Type":"json-file","Config":{"max-size":"4m","max-file":"1"}}') . "}") . "}";
}

sub give_up_rights { # outside of a sandbox they would be rights over the node
    my ($host) = @_;
    my (@kept, @gone);
    for (Json::items($host->{CapAdd} // "[]")) {
        if ($is_root{uc(plain($_)) =~ s/\ACAP_//r}) { push @gone, plain($_) } else { push @kept, $_ }
    }
    left("control", "capability $_") for @gone;
    $host->{CapAdd} = "[" . join(",", @kept) . "]";
    my @options = Json::items($host->{SecurityOpt} // "[]");
    my @own = grep { plain($_) =~ /\Ano-new-privileges/ } @options;
    left("control", "security options") if @own < @options;
    $host->{SecurityOpt} = "[" . join(",", @own) . "]";
    delete @$host{qw(MaskedPaths ReadonlyPaths UsernsMode)};
}

sub left { my ($side, $what) = @_; print "$side\tleft\t", printable($what), "\n" }
sub printable { return substr($_[0] =~ s/[^\x20-\x7e]+/?/gr, 0, 200) } # where mounts are is no secret

sub runtime { my (%given) = @_; return $given{runtime} eq "" ? "" : qq("Runtime":) . quoted($given{runtime}) }

sub hostname { # not the one that Docker made of the id
    my ($top, $config) = @_;
    my $name = plain($config->{Hostname});
    return $name eq "" || index(plain($top->{Id}), $name) == 0 ? "" : qq("Hostname":$config->{Hostname});
}

sub entrypoint { # [""] is none; without it Docker would take that of the image
    my ($config) = @_;
    my $given = $config->{Entrypoint} // "null";
    return qq("Entrypoint":) . (Json::items($given) ? $given : '[""]');
}

sub health { # asked often enough for a trial
    my ($config) = @_;
    return "" if ($config->{Healthcheck} // "null") !~ /\A\{/;
    my $given = Json::members($config->{Healthcheck});
    my $interval = ($given->{Interval} // 0) > 0 && $given->{Interval} < $health_ns ? $given->{Interval} : $health_ns;
    my $others = object($given, qw(Test Timeout Retries StartPeriod));
    return sprintf '"Healthcheck":{%s,"Interval":%d}', $others, $interval;
}

sub labels { # ours; Docker takes those of the image, which are empty here
    my ($top, %given) = @_;
    my $image = got("/images/" . plain($top->{Image}) . "/json");
    my $its = Json::members(defined $image ? Json::members($image)->{Config} // "{}" : "{}")->{Labels} // "{}";
    my @names = $its =~ /\A\s*\{/ ? grep { $_ ne $given{label} } keys %{Json::members($its)} : ();
    return "{" . join(",", (map { qq("$_":"") } @names), quoted($given{label}) . ":" . quoted($given{tag})) . "}";
}

sub available { # bytes: proc_meminfo(5)
    open(my $file, "<", "/proc/meminfo") or return 9e15;
    for (<$file>) { return $1 * 1024 if /\AMemAvailable:\s+(\d+) kB/ }
    return 9e15;
}

sub limits { # ours where there is none
    my ($host, $side) = @_;
    my %is_set = map { $_ => ($host->{$_} // "") =~ /\A[1-9]/ ? 1 : 0 } qw(Memory NanoCpus CpuQuota PidsLimit);
    my @own = ('"OomScoreAdj":1000', qq("PidsLimit":) . ($is_set{PidsLimit} ? $host->{PidsLimit} : $pids)); # ended first
    if ($is_set{Memory} && $host->{Memory} > (my $most = available() / 2)) { # the node must stay well
        $is_set{Memory} = 0;
        $memory_bytes = int $most;
    }
    if (!$is_set{Memory}) {
        delete @$host{qw(Memory MemorySwap MemoryReservation)};
        push @own, qq("Memory":$memory_bytes,"MemorySwap":$memory_bytes);
        print "$side\tlimit\t", $memory_bytes >> 20, "\n";
    }
    if (!$is_set{NanoCpus} && !$is_set{CpuQuota}) {
        delete @$host{qw(NanoCpus CpuQuota CpuPeriod)};
        push @own, sprintf '"NanoCpus":%d', $nano_cpus;
    }
    return join ",", @own;
}

# Devices and what belongs to others are left out. In a sandbox rights over the node are none, or are refused as the
# original's would be; the control must not have them.
sub places {
    my ($host, $side) = @_;
    my %mode = map { $_ => plain($host->{"${_}Mode"} // '""') } qw(Network Pid Ipc UTS);
    left($side, "device " . plain(Json::members($_)->{PathOnHost})) for Json::items($host->{Devices} // "[]");
    left($side, "devices of a driver") for Json::items($host->{DeviceRequests} // "[]");
    left($side, "device rule") for Json::items($host->{DeviceCgroupRules} // "[]");
    left($side, "network: $mode{Network}") if $mode{Network} =~ /\A(?:host\z|container:)/;
    left($side, "links") if Json::items($host->{Links} // "[]");
    my @kept;
    for my $kind (qw(Pid Ipc UTS)) {
        my $is_nodes = $mode{$kind} eq "host" && ($side eq "control" || $kind eq "Ipc"); # /dev/shm is the node's
        my $is_of_others = $is_nodes || $mode{$kind} =~ /\Acontainer:/;
        left($side, lc($kind) . ": $mode{$kind}") if $is_of_others;
        push @kept, qq("${kind}Mode":) . quoted($mode{$kind}) if !$is_of_others && $mode{$kind} ne "";
    }
    if (($host->{Privileged} // "") eq "true") {
        if ($side eq "control") { left($side, "privileged") } else { push @kept, '"Privileged":true' }
    }
    return join ",", @kept;
}

sub mounts { # volumes are new ones, as Docker makes them for an image; what is read-only stays
    my ($top, $host, $side) = @_;
    my (@volumes, @mounts);
    for (Json::items($top->{Mounts} // "[]")) {
        my $mount = Json::members($_);
        my ($type, $source, $target) = map { plain($mount->{$_}) } qw(Type Source Destination);
        my $why = $type eq "bind" ? unfit($source, ($mount->{RW} // "") eq "true") : "";
        if ($type eq "tmpfs") { next }
        elsif ($why) { left($side, "$why: $source on $target") }
        elsif ($type eq "bind" && (($mount->{RW} // "") ne "true" || -f $source)) {
            push @mounts, qq({"Type":"bind","Source":$mount->{Source},"Target":$mount->{Destination},"ReadOnly":true});
        }
        elsif ($type eq "bind" || $type eq "volume") {
            push @volumes, "$mount->{Destination}:{}";
            print "$side\tempty\t", printable($target), "\n";
        }
        else { left($side, "$type on $target") }
    }
    push @mounts, grep { plain(Json::members($_)->{Type}) eq "tmpfs" } Json::items($host->{Mounts} // "[]");
    return map { join ",", @$_ } \@volumes, \@mounts;
}

sub unfit { # why a mount of the node is left out; empty if it is not
    my ($source, $writable) = @_;
    return "socket" if -S $source;
    return "device" if -b $source || -c _;
    return "" if $writable || !-d $source;
    my ($count, @left) = (0, $source);
    while (defined(my $directory = pop @left)) {
        opendir(my $open, $directory) or next;
        for (grep { $_ ne "." && $_ ne ".." } readdir $open) {
            return "too many files to look for sockets" if $count++ >= $most_files;
            lstat "$directory/$_" or next;
            return "has the socket $_" if -S _;
            push @left, "$directory/$_" if -d _;
        }
    }
    return "";
}
