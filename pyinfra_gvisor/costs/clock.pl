# What a work takes, by a clock that is finer than perl-base's own. Comes before work.pl and attend.pl.
use strict;
use warnings;
use POSIX ();

my $clock_gettime = (POSIX::uname())[4] eq "aarch64" ? 113 : 228; # asm-generic/unistd.h, syscall_64.tbl of Linux
sub now { # monotonic
    my $time = "\0" x 16;
    syscall($clock_gettime, 1, $time) == 0 or die "clock_gettime: $!";
    my ($seconds, $nanoseconds) = unpack "qq", $time;
    return $seconds + $nanoseconds / 1e9;
}

my ($batches, $batch_s) = (9, 0.01);
sub seconds_of { # the median of some batches: what else runs on the node disturbs a few of them
    my ($work) = @_;
    my $size = 1;
    batch($work, $size); # the first time is slow
    while (batch($work, $size) < $batch_s) { $size *= 2 }
    my @took = sort { $a <=> $b } map { batch($work, $size) } 1 .. $batches;
    return $took[@took / 2] / $size;
}

sub batch {
    my ($work, $size) = @_;
    my $began = now();
    $work->() for 1 .. $size;
    return now() - $began;
}
