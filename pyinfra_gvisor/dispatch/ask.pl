# Asks the resident judge. Comes before others.
use strict;

# Returns its answer to a question; undef if it does not answer within some seconds, so that who asks must run the judge's
# program. Dies with "late" if it has begun, and takes longer than the limit.
sub resident_answer {
    my ($socket, $wait_s, $limit_s, $question) = @_;
    # AF_UNIX, SOCK_STREAM and sockaddr_un as numbers: loading Socket takes longer than everything else
    socket my $judge, 1, 1, 0 or return undef;
    my $begun = "";
    local $SIG{PIPE} = "IGNORE";
    local $SIG{ALRM} = sub { die "late\n" };
    alarm $wait_s;
    eval { connect $judge, pack "S a*", 1, $socket and sysread $judge, $begun, 6; alarm 0 }; # one that hangs does not begin
    alarm 0;
    return undef unless $begun eq "begun\n";
    alarm $limit_s;
    select((select($judge), $| = 1)[0]);
    my $answer = print({$judge} $question) && shutdown($judge, 1) ? do { local $/; <$judge> } : undef;
    alarm 0;
    return $answer;
}
