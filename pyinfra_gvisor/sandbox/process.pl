# What a container's process is, as /proc shows it. Read in front of others, with perl-base only.
use strict;

no warnings qw(newline);

# Path by device and inode; of ours the sizes by device, and the paths of what was touched since it was installed;
# sums by device and inode.
my (%program_at, %program_size, %touched, %sum_of);
my $sums_max = 16; # of which there are as many as releases have programs, in ordinary use

sub same_inode { my @stat = stat $_[0]; return @stat ? "$stat[0]:$stat[1]" : "" }

# The programs that a sandbox may run: of all releases, and beside what else runtimes point at. A path is
# an image's to choose; device and inode are not: inode(7).
sub know_programs {
    my (@handlers) = @_;
    for my $path (glob "/opt/gvisor/releases/*/runsc /opt/gvisor/releases/*/gvisor-bin/gvisor_sentry") {
        my @stat = stat $path or next;
        $program_at{"$stat[0]:$stat[1]"} = $path;
        $program_size{"$stat[0]:$stat[7]"} = 1;
        my ($home) = $path =~ m{^(/opt/gvisor/releases/[^/]+)};
        $touched{$path} = 1 if $stat[10] > ((stat "$home/manifest.json")[9] // 0);
    }
    for my $path (@handlers) {
        my ($beside) = $path =~ m{^(/.*/)runsc[^/]*\z}s or next;
        for ($path, $beside . "gvisor-bin/gvisor_sentry") {
            my $inode = same_inode($_) or next;
            $program_at{$inode} //= $_;
        }
    }
}

sub programs { # of all releases, those that were found
    return grep { m{^/opt/gvisor/releases/} } values %program_at;
}

# Whether one of the paths is that file or a directory above it, whatever symbolic links and mounts there are.
sub gives {
    my ($file, @mounts) = @_;
    my %given = map { same_inode($_) => 1 } @mounts;
    for (my $path = $file; $path ne ""; $path =~ s{/[^/]*\z}{}) { return 1 if $given{same_inode($path) || "-"} }
    return $given{same_inode("/") || "-"} || 0;
}

sub program_of { # the node's file that a process runs, empty if none is known
    my ($pid) = @_;
    my $inode = same_inode("/proc/$pid/exe") or return "";
    my $exe = readlink("/proc/$pid/exe") // "";
    return $program_at{$inode} // (same_inode($exe) eq $inode ? $exe : "");
}

# {executable, argv0, file, given, sha256}, as verdict.py has them. Of a sandbox the first breaks off at the
# mount that its release lies on. Whoever makes files of the right size is not to keep us busy: only so many are
# hashed, and only from where releases lie.
sub process_of {
    my ($pid, @mounts) = @_;
    my $exe = readlink("/proc/$pid/exe") // "";
    my @stat = stat "/proc/$pid/exe";
    my $inode = @stat ? "$stat[0]:$stat[1]" : "";
    my $argv0 = "";
    if (open my $words, "<", "/proc/$pid/cmdline") { local $/ = "\0"; chomp($argv0 = <$words> // "") }
    my $file = program_of($pid);
    my $ours = $file =~ m{^/opt/gvisor/releases/};
    my $given = $file ne "" && gives($file, @mounts);
    my $asks = $ours ? $given || $touched{$file} : $exe =~ / \(deleted\)\z/;
    my $is_like = $inode && $argv0 eq "runsc-sandbox" && $program_size{"$stat[0]:$stat[7]"};
    if ($asks && $is_like && keys %sum_of < $sums_max) { $sum_of{$inode} //= sum_of("/proc/$pid/exe") }
    my $sum = $asks ? $sum_of{$inode} // "" : "";
    return {executable => $exe, argv0 => $argv0, file => $file, given => $given ? 1 : 0, sha256 => $sum};
}

sub sum_of { # the sha256 of a file, empty if it cannot be read
    my ($path) = @_;
    open my $told, "-|", "sha256sum", "--", $path or return "";
    my ($sum) = (<$told> // "") =~ /^\\?([0-9a-f]{64}) /;
    return $sum // "";
}
