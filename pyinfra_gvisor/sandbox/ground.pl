# Collect the facts that verdicts on a node depend on, and judge one container. Loaded after docker_api.pl,
# process.pl, runc_names.pl and verdict.pl.
sub judged_container { # $told: docker inspect's answer; returns the process, and state, why and release of verdict.pl
    my ($told, $ground) = @_;
    my $asked = $told->{HostConfig}{Runtime} || "runc";
    my @mounts = grep { defined && $_ ne "" } map { $_->{Source} } @{$told->{Mounts} // []};
    utf8::encode($_) for @mounts;
    my $process = process_of($told->{State}{Pid}, @mounts);
    return ($process, verdict({asked => $asked, process => $process}, $ground));
}

# Return the facts about the node that verdicts depend on. The node's fact reads the same for verdict.py.
sub know_ground {
    my ($code, $body) = ask("GET", "/info", 20);
    die "answer $code\n" unless $code == 200;
    my $runtimes = json($body)->{Runtimes} // {};
    know_programs(grep { defined } map { $_->{path} } values %$runtimes);
    my %known = (runtimes => $runtimes, wrappers => {}, programs => {}, sums => {});
    my $wrapper = qr{^/opt/gvisor/runtimes/};
    $known{wrappers}{$_} = sum_of($_) for grep { defined && /$wrapper/ } map { $_->{path} } values %$runtimes;
    know_releases(\%known);
    $known{takes_runc} = takes_runc();
    return \%known;
}

sub takes_runc { # whether our program has every place of runc: parts/divert/state.py
    my $home = "/opt/gvisor/divert";
    open my $file, "<", "$home/places" or return 0;
    chomp(my @places = <$file>);
    my $is_ours = sub { my @stat = stat $_[0]; @stat && ($stat[2] & 07777) == 0755 && $stat[4] == 0 && sum_of($_[0]) eq $_[1] };
    my $program = sum_of("$home/program");
    return $program ne "" && @places && !grep { !$is_ours->($_, $program) || !(-f "$_.pyinfra-gvisor" && -x _) } @places;
}

# Note each binary that is as its release's manifest says, and every checksum that a manifest has: manifest.sh.
sub know_releases {
    my ($known) = @_;
    my $root = "/opt/gvisor/releases/";
    for my $program (programs()) {
        my ($release, $member) = $program =~ m{^\Q$root\E([^/]+)/(.*)\z} or next;
        my $manifest = manifest("$root$release") or next;
        next unless ($manifest->{release} // "") eq $release;
        my $sum = $manifest->{members}{$member};
        $known->{sums}{$sum} = $release if $sum;
        my $is = found($program, $member);
        $known->{programs}{$program} = $release if grep { $_ eq $is } @{$manifest->{stat} // []};
    }
}

sub manifest {
    my ($directory) = @_;
    open my $file, "<", "$directory/manifest.json" or return undef;
    local $/;
    my $read = eval { json(<$file>) };
    return ref $read eq "HASH" ? $read : undef;
}

sub found { # a member of a release in the form of manifest.sh: name, type, mode, owner, size and times by find
    my ($path, $member) = @_;
    open my $told, "-|", "find", $path, "-maxdepth", "0", "-printf", '%y %m %U:%G %s %T@ %C@' or return "";
    return "$member " . (<$told> // "");
}
