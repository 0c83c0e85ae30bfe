# A program for shell scripts, after ask.pl: reads a question from standard input, prints the answer, and ends with its
# code; 75 if the resident judge gave none, 142 if it takes too long. Arguments: its socket, and a limit in seconds.
my ($socket, $limit_s) = @ARGV;
my $question = do { local $/; <STDIN> };
my $began = time;
my $answer = eval { resident_answer($socket, 5, $limit_s, $question) } // "";
exit 142 if $@ eq "late\n" || $answer eq "" && time - $began >= $limit_s - 5; # it gives up a little earlier
$answer =~ s/\A([0-9]+)\n(.*)\n\z/$2/s or exit 75;
print $answer;
exit $1;
