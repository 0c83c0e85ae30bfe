# What verdict.py says, for the watch: which container is in a sandbox. The same cases hold both.
# $container: {asked, process: {executable, argv0, file, sha256}, mounts}; $ground: {runtimes, wrappers,
# programs, sums}, all as verdict.py describes them. Gives (state, why, release).
sub verdict {
    my ($container, $ground) = @_;
    my $process = $container->{process};
    my @handled = handled($container->{asked}, $ground);
    if (@handled && $handled[0] eq "bare") { return @handled }
    if ($process->{executable} eq "") { return unknown("its process is gone") }
    if ($process->{argv0} ne "runsc-sandbox") { return bare("its process is no sandbox") }
    return @handled ? @handled : of_program($process, $container->{mounts}, $ground);
}

sub handled { # what speaks against that which handles a runtime; nothing if it is gVisor's
    my ($asked, $ground) = @_;
    my $entry = $ground->{runtimes}{$asked};
    if (!$entry) {
        if ($asked eq "runc") { return bare("runc is no sandbox") } # Docker 20.10 forgets it at a reload
        if ($asked =~ m{[./]}) { return bare("a shim of containerd's handles it, which is no sandbox") }
        return unknown("dockerd does not know its runtime");
    }
    my $path = $entry->{path} // "";
    my ($name) = $path =~ m{([^/]*)\z};
    if ($path eq "") { return unknown("a shim handles its runtime, of which nothing is known") }
    if ($path =~ m{^/opt/gvisor/runtimes/}) {
        my ($sum) = $path =~ m{^/opt/gvisor/runtimes/[a-z0-9]+-[0-9]{8}\.[0-9]+-([0-9a-f]{8})\z};
        if ($sum && substr($ground->{wrappers}{$path} // "", 0, 8) eq $sum) { return }
        return unknown("$path is not as it was written");
    }
    if ($ground->{programs}{$path} || $name =~ /^runsc/) { return }
    return bare("$name is no sandbox");
}

sub of_program {
    my ($process, $mounts, $ground) = @_;
    my $file = $process->{file};
    my $reached = grep { reaches($_, "/opt/gvisor") } @$mounts;
    if (!$reached && (my $release = $ground->{programs}{$file})) { return ("sandboxed", "", $release) }
    if (my $release = $ground->{sums}{$process->{sha256}}) { return ("sandboxed", "", $release) }
    if ($file =~ m{^/opt/gvisor/releases/}) {
        if ($reached) { return unknown("it is given /opt/gvisor, and its program has no known checksum") }
        return unknown("$file is not as it was installed");
    }
    if ($file eq "") {
        if ($process->{executable} =~ / \(deleted\)\z/) { return unknown("its program was replaced on the node") }
        return unknown("its program is of another file system");
    }
    if ($file !~ m{(?:^|/)(?:runsc[^/]*|gvisor_sentry)\z}) { return bare("its program is no runsc") }
    if (grep { reaches($_, $file) } @$mounts) { return unknown("it is given the program that it runs") }
    return ("sandboxed", "an older set-up: it runs from $file", undef);
}

sub bare { return ("bare", $_[0], undef) }

sub unknown { return ("unknown", $_[0], undef) }
