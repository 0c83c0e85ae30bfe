# Prints what each probe container is, one "subject<TAB>observation<TAB>value" a line. Comes after docker_api.pl and
# the files of sandbox/. Arguments: one that is ignored, Docker's socket, and "subject=container" for each.
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
        process => $state eq "unknown" ? "unknown: $why" : $process->{argv0},
        file => $is_ours ? $process->{file} : "$process->{executable} (a file of the image)",
        runs => $release // "",
    );
    for my $key (sort keys %seen) {
        $seen{$key} =~ s/[\t\n]+/ /g;
        print "$subject\t$key\t$seen{$key}\n" if $seen{$key} ne "";
    }
}
