# Decide on the node, as verdict.py does, whether a container runs in gVisor. The same cases test both. Comes after
# runc_names.pl.
# $container: {asked, process: {executable, argv0, file, given, sha256}}; $ground: {runtimes, wrappers, programs,
# sums, takes_runc}, all as verdict.py describes them. Returns (state, why, release).

sub verdict {
    my ($container, $ground) = @_;
    my $process = $container->{process};
    my ($handler, @against) = handled($container->{asked}, $ground);
    if (@against && $against[0] eq "bare") { return @against }
    if ($process->{executable} eq "") { return unknown("its process has ended") }
    if ($process->{argv0} ne "runsc-sandbox") { return bare("its process is not a gVisor sandbox") }
    if (@against) { return @against }
    return $handler eq "ours" ? of_ours($process, $ground) : of_an_older_set_up($process);
}

sub handled { # whose runsc handles a runtime, and a verdict if that already excludes gVisor
    my ($asked, $ground) = @_;
    my $entry = $ground->{runtimes}{$asked};
    if ($ground->{takes_runc} && asks_for_runc($asked, $entry)) { return "ours" }
    if (!$entry) {
        if ($asked eq "runc") { return ("older", bare("runc is not gVisor")) } # Docker 20.10: not listed after a reload
        if ($asked =~ m{[./]}) { return ("older", by_a_shim($asked, $entry)) }
        return ("older", unknown("its runtime is not registered in dockerd"));
    }
    my $path = $entry->{path} // "";
    my ($name) = $path =~ m{([^/]*)\z};
    if ($path eq "") { return ("older", by_a_shim($asked, $entry)) }
    if ($path =~ m{^/opt/gvisor/runtimes/}) {
        my ($sum) = $path =~ m{^/opt/gvisor/runtimes/[a-z0-9]+-[0-9]{8}\.[0-9]+-([0-9a-f]{8})\z};
        if ($sum && substr($ground->{wrappers}{$path} // "", 0, 8) eq $sum) { return "ours" }
        return ("ours", unknown("$path is not as pyinfra-gvisor wrote it"));
    }
    if ($ground->{programs}{$path}) { return "ours" }
    if ($name =~ /^runsc/) { return "older" }
    if ($name =~ /^(?:(?:docker-)?runc|crun|youki|nvidia-container-runtime|sysbox-runc)/) {
        return ("older", bare("$name is not gVisor"));
    }
    return ("older", unknown("unknown program $name handles its runtime"));
}

sub by_a_shim {
    my $why = "a containerd shim handles its runtime";
    return asks_for_runc(@_) ? bare($why) : unknown($why);
}

sub of_ours {
    my ($process, $ground) = @_;
    my $file = $process->{file};
    my $release = $ground->{programs}{$file};
    if ($release && !$process->{given}) { return ("sandboxed", "", $release) }
    $release = $ground->{sums}{$process->{sha256}};
    if ($release) { return ("sandboxed", "", $release) }
    if ($file =~ m{^/opt/gvisor/releases/}) {
        if ($process->{given}) { return unknown("one of its mounts contains its binary") }
        return unknown("$file is not as pyinfra-gvisor installed it");
    }
    return of_an_older_set_up($process); # started before we took over the runtime
}

sub of_an_older_set_up {
    my ($process) = @_;
    my $file = $process->{file};
    if ($file eq "") {
        if ($process->{executable} =~ / \(deleted\)\z/) { return unknown("its binary was replaced on the node") }
        return unknown("its binary is on another file system");
    }
    if ($file !~ m{^(?:.*/)?(?:runsc[^/]*|gvisor_sentry)\z}s) { return bare("its binary is not runsc") }
    if ($process->{given}) { return unknown("one of its mounts contains its binary") }
    if ($file !~ m{^/(?:usr|opt|bin|sbin)/}) { return unknown("its binary is outside /usr, /opt, /bin and /sbin") }
    return ("sandboxed", "an older set-up: it runs from $file", undef);
}

sub bare { return ("bare", $_[0], undef) }

sub unknown { return ("unknown", $_[0], undef) }
