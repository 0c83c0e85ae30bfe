# What verdict.py says, for the node: which container is in a sandbox. The same cases hold both.
# $container: {asked, process: {executable, argv0, file, given, sha256}}; $ground: {runtimes, wrappers, programs,
# sums}, all as verdict.py describes them. Gives (state, why, release).
sub verdict {
    my ($container, $ground) = @_;
    my $process = $container->{process};
    my ($handler, @against) = handled($container->{asked}, $ground);
    if (@against && $against[0] eq "bare") { return @against }
    if ($process->{executable} eq "") { return unknown("its process is gone") }
    if ($process->{argv0} ne "runsc-sandbox") { return bare("its process is no sandbox") }
    if (@against) { return @against }
    return $handler eq "ours" ? of_ours($process, $ground) : of_an_older_set_up($process);
}

sub handled { # whose runsc handles a runtime, and what speaks against that; nothing if it is gVisor's
    my ($asked, $ground) = @_;
    my $entry = $ground->{runtimes}{$asked};
    if (!$entry) {
        if ($asked eq "runc") { return ("older", bare("runc is no sandbox")) } # Docker 20.10 forgets it
        if ($asked =~ m{[./]}) {
            my $is_runc = $asked =~ m{(?:^|[./-])runc[.-]v[0-9]+\z|^io\.containerd\.runtime\.v1\.linux\z};
            my $why = "a shim of containerd's handles it";
            return ("older", $is_runc ? bare($why) : unknown($why));
        }
        return ("older", unknown("dockerd does not know its runtime"));
    }
    my $path = $entry->{path} // "";
    my ($name) = $path =~ m{([^/]*)\z};
    if ($path eq "") { return ("older", unknown("a shim of containerd's handles it")) }
    if ($path =~ m{^/opt/gvisor/runtimes/}) {
        my ($sum) = $path =~ m{^/opt/gvisor/runtimes/[a-z0-9]+-[0-9]{8}\.[0-9]+-([0-9a-f]{8})\z};
        if ($sum && substr($ground->{wrappers}{$path} // "", 0, 8) eq $sum) { return "ours" }
        return ("ours", unknown("$path is not as it was written"));
    }
    if ($ground->{programs}{$path}) { return "ours" }
    if ($name =~ /^runsc/) { return "older" }
    if ($name =~ /^(?:(?:docker-)?runc|crun|youki|nvidia-container-runtime|sysbox-runc)/) {
        return ("older", bare("$name is no sandbox"));
    }
    return ("older", unknown("$name handles it, of which nothing is known"));
}

sub of_ours {
    my ($process, $ground) = @_;
    my $file = $process->{file};
    my $release = $ground->{programs}{$file};
    if ($release && !$process->{given}) { return ("sandboxed", "", $release) }
    $release = $ground->{sums}{$process->{sha256}};
    if ($release) { return ("sandboxed", "", $release) }
    if ($file =~ m{^/opt/gvisor/releases/}) {
        if ($process->{given}) { return unknown("it is given the program that it runs") }
        return unknown("$file is not as it was installed");
    }
    return of_an_older_set_up($process); # started before the runtime became ours
}

sub of_an_older_set_up {
    my ($process) = @_;
    my $file = $process->{file};
    if ($file eq "") {
        if ($process->{executable} =~ / \(deleted\)\z/) { return unknown("its program was replaced on the node") }
        return unknown("its program is of another file system");
    }
    if ($file !~ m{^(?:.*/)?(?:runsc[^/]*|gvisor_sentry)\z}s) { return bare("its program is no runsc") }
    if ($process->{given}) { return unknown("it is given the program that it runs") }
    if ($file !~ m{^/(?:usr|opt|bin|sbin)/}) { return unknown("its program lies where a container's own may lie") }
    return ("sandboxed", "an older set-up: it runs from $file", undef);
}

sub bare { return ("bare", $_[0], undef) }

sub unknown { return ("unknown", $_[0], undef) }
