# What each probe container is: "subject<TAB>observation<TAB>value" a line. Read behind docker_api.pl and what
# sandbox/ has. Arguments: nothing, where Docker listens, and "subject=container" of each.
my (undef, undef, @probes) = @ARGV;
my $ground = know_ground();
for (@probes) {
    my ($subject, $name) = split /=/, $_, 2;
    my ($code, $body) = ask("GET", "/containers/$name/json", 20);
    next unless $code == 200;
    my ($process, $state, $why, $release) = judged_container(json($body), $ground);
    my $is_ours = $process->{file} ne "";
    my %seen = (
        state => $state,
        process => $state eq "unknown" ? "not known, $why" : $process->{argv0},
        file => $is_ours ? $process->{file} : "$process->{executable} (an image's)",
        runs => $release // "",
    );
    for my $key (sort keys %seen) {
        $seen{$key} =~ s/[\t\n]+/ /g;
        print "$subject\t$key\t$seen{$key}\n" if $seen{$key} ne "";
    }
}
