# Reads what only an audit needs. Comes after docker_state.pl, and uses its subs and variables, and after places.pl.
my %places;
sub quoted { # a text as a JSON string
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/([\x00-\x1f])/sprintf "\\u%04x", ord $1/ge;
    return qq("$text");
}
sub places { # a JSON object: the Places::found_at of each path where that is not the path alone
    my %of;
    $of{$_} = $places{$_} //= [Places::found_at($_)] for grep { m{^/} } @_;
    delete $of{$_} for grep { !@{$of{$_}} || "@{$of{$_}}" eq $_ } keys %of;
    return "{" . join(",", map { quoted($_) . ":[" . join(",", map { quoted($_) } @{$of{$_}}) . "]" } sort keys %of) . "}";
}

sub places_of_guarded { # the places of the paths in $guarded and of Docker's data root
    my ($root) = (members($_[0])->{DockerRootDir} // "") =~ /^"(.*)"\z/s;
    return "places " . places(split(/\n/, $ENV{guarded} // ""), plain($root // "")) . "\n";
}

sub volumes { # what volumes of the local driver mount, and where that is on the node
    my $all = members(ask("/volumes") // die "Docker does not list its volumes\n")->{Volumes} // "[]";
    my $text = "";
    for my $one (map { scalar members($_) } Json::items($all)) {
        next unless ($one->{Driver} // "") eq '"local"';
        my $options = members($one->{Options} // "{}");
        my ($name, $type, $how, $device) = map { ($_ // "") =~ /^"/ ? $_ : '""' } $one->{Name}, @{$options}{qw(type o device)};
        next if $device eq '""';
        my $path = plain(substr $device, 1, -1);
        $path = "/$path" unless $path =~ m{^/}; # mount(2) starts at dockerd's working directory
        $text .= qq(volume {"name":$name,"type":$type,"options":$how,"device":$device,"places":) . places($path) . "}\n";
    }
    return $text;
}

sub components { # versions and commits of dockerd, containerd and runc, as dockerd reports them
    my ($all, $text) = (members(ask("/version") // "{}")->{Components} // "", "");
    pos($all) = 1;
    while ($all =~ /^\[/ && $all =~ /\G\s*,?\s*$Json::value/gc) {
        my $one = members($+{v});
        my $commit = members($one->{Details} // "{}")->{GitCommit};
        my @told = map { ($_ // "") =~ /^"([\w.+~:-]{1,80})"\z/ ? $1 : "" } @{$one}{qw(Name Version)}, $commit;
        $told[2] = "-" if $told[2] eq ""; # Ubuntu's containerd has no commit
        $text .= "component @told\n" if $told[0] =~ /^(?:Engine|containerd|runc)\z/ && $told[1] ne "";
    }
    return $text;
}

# Finds other container engines by their program: a process chooses its own name and arguments. Only processes in
# the audit's own PID namespace count, and none below a container of Docker's. What a container with --pid=host
# starts stays below its shim, which adopts orphans: prctl(2), PR_SET_CHILD_SUBREAPER.
sub candidates {
    my @found;
    my $names = qr/containerd-shim[\w.-]*|conmon|dockerd|podman|crio|k3s(?:-server|-agent)?|kubelet|lxd|incusd|systemd-nspawn/;
    my $ours = readlink("/proc/self/ns/pid") // return ();
    for my $directory (glob "/proc/[0-9]*") {
        my $file = readlink("$directory/exe") // next;
        my ($program) = $file =~ m{/($names)(?: \(deleted\))?\z} or next;
        next unless (readlink("$directory/ns/pid") // "") eq $ours;
        open my $words, "<", "$directory/cmdline" or next;
        my @words = split /\0/, do { local $/; <$words> // "" };
        next if $program eq "podman" && "@words" !~ / system service\b/;
        my ($pid, $uid) = (substr($directory, 6), (stat $directory)[4] // next);
        push @found, {program => $program, pid => $pid, uid => $uid, file => $file, said_by($program, @words)};
    }
    return @found;
}
sub said_by { # from a process' arguments: its namespace, container id and socket address
    my ($program, @words) = @_;
    my %given;
    while (@words) {
        my ($name, $value) = shift(@words) =~ /^--?([\w-]+)(?:=(.*))?\z/s or next;
        $given{$name} //= $value // $words[0];
    }
    my ($id) = ($given{workdir} // "") =~ m{([^/]+)/?\z}; # a shim of version 1 names no id
    my %said = $program eq "conmon" ? (id => $given{c} // $given{cid})
        : $program eq "dockerd" ? (address => $given{H} // $given{host})
        : (namespace => $given{namespace}, id => $given{id} // $id, address => $given{address});
    return map { $_ => $said{$_} // "" } qw(namespace id address);
}
sub descends { # true if one of these processes is an ancestor of this one
    my ($pid, $others) = @_;
    my %seen;
    while ($pid > 1 && !$seen{$pid}++) { return 1 if $others->{$pid = parent($pid)} }
    return 0;
}
sub ids { # the ids in the list that Docker gives at this path
    my $all = ask($_[0]) // die "no answer to $_[0]\n";
    my %found;
    pos($all) = 1;
    while ($all =~ /\G\s*,?\s*$Json::value/gc) { # a label may be called "Id"
        $found{$1} = 1 if (members($+{v})->{Id} // "") =~ /^"([0-9a-f]{64})"\z/;
    }
    return %found;
}
sub known_ids { return ids("/containers/json?all=1") }
sub listening { # sockets of other engines; systemd may listen before it starts the engine: proc_net(5)
    my @found;
    open my $table, "<", "/proc/net/unix" or return ();
    my %is = map { $_ => 1 } map { /^\S+: \S+ \S+ 00010000 .* (\/.*)$/ ? $1 : () } <$table>;
    for (glob "/run/podman/podman.sock /run/user/*/podman/podman.sock /run/user/*/docker.sock /run/crio/crio.sock") {
        push @found, {program => "socket", pid => 0, uid => (stat)[4], file => $_, namespace => "", id => "", address => $_}
            if $is{$_} && -S $_;
    }
    return @found;
}
sub alive { # a zombie has no executable; in a live process the first thread may have ended
    return scalar grep { defined readlink "$_/exe" } glob "/proc/$_[0]/task/[0-9]*";
}
# A shim can outlive its container: by seconds on a busy node, and forever where dockerd was restarted while it
# removed the container (seen with 20.10). Such a shim has no children. With these shims every process of a
# container is a child of the shim, orphans too. Other shims run a virtual machine inside themselves.
sub may_be_empty { $_[0]{namespace} eq "moby" && $_[0]{program} =~ /^containerd-shim(?:-runc-v[12]|-runsc-v1)?\z/ }
sub is_empty {
    my ($shim) = @_;
    return !grep { parent($_) == $shim->{pid} && alive($_) } map { substr $_, 6 } glob "/proc/[0-9]*";
}
sub engines { # other engines, and shims of containers that this dockerd does not know
    my %known = @_;
    my @found = grep { $_->{program} ne "dockerd" || $dockerd && $_->{pid} != $dockerd } candidates();
    # containers created since the first list are in the second
    %known = (%known, known_ids()) if grep { $_->{id} ne "" && !$known{$_->{id}} } @found;
    %known = (%known, ids("/plugins")) if grep { $_->{namespace} eq "plugins.moby" } @found;
    my %ours = (%runs, map { $_->{pid} => 1 } grep { $known{$_->{id}} } @found);
    $ours{$dockerd} = 1 if $dockerd;
    my @strange = grep { !$ours{$_->{pid}} && !descends($_->{pid}, \%ours) } @found, listening();
    for my $try (1 .. 20) { # removing a container runs programs for a moment
        @strange = grep { !may_be_empty($_) || !is_empty($_) } @strange;
        last unless $try < 20 && grep { may_be_empty($_) && alive($_->{pid}) } @strange;
        select undef, undef, undef, 0.25;
    }
    my $text = "";
    for my $one (@strange) {
        next unless $one->{pid} == 0 || alive($one->{pid});
        my @told = map { substr $_, 0, 200 } @{$one}{qw(program pid uid file namespace id address)};
        s/[^\x20-\x7e]/?/g for @told;
        $text .= "engine " . join("\t", @told) . "\n";
    }
    return $text;
}
