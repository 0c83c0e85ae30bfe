# Builds an image with one step for the proof, or removes what that left in BuildKit's cache. Comes after docker_api.pl.
# Arguments: one that is ignored, Docker's socket, a file for the ids of what was in the cache before, and for a build
# the context (a tar) and the name of the image. Prints what was wrong.
my (undef, undef, $known, $context, $image) = @ARGV;
$context ? build() : forget();

sub cached { # ids of BuildKit's records; an API below 1.44 lists everything else, too
    my ($code, $body) = ask("GET", "/system/df?type=build-cache", 30);
    die "Docker does not list its build cache: answer $code\n" unless $code == 200;
    return $body =~ /"ID":"([a-z0-9]{20,32})"/g;
}

sub build {
    open my $list, ">", $known or die "$known: $!\n";
    print {$list} map { "$_\n" } cached();
    close $list or die "$known: $!\n";
    open my $tar, "<", $context or die "$context: $!\n";
    binmode $tar;
    my $content = do { local $/; <$tar> };
    my ($code, $answer) = posted("/build?version=2&nocache=1&rm=1&t=$image", $content);
    my ($why) = $answer =~ /"error":"((?:[^"\\]|\\.)*)"/;
    print defined $why ? $why : substr($answer, 0, 200) unless $code == 200 && !defined $why;
}

sub posted { # path, content: returns the code and the body of the answer
    my ($path, $content) = @_;
    return ask("POST", $path, 600, $content, "Content-Type: application/x-tar");
}

sub forget {
    open my $list, "<", $known or exit;
    my %before = map { chomp; $_ => 1 } <$list>;
    for my $id (reverse grep { !$before{$_} } cached()) {
        posted("/build/prune?all=true&filters=%7B%22id%22%3A%5B%22$id%22%5D%7D", "");
    }
}
