# Read from /proc what a container's process runs. Loaded before the other files; needs perl-base only.
use strict;

no warnings qw(newline);

# program_at: path by device and inode. program_size: sizes of our binaries by device. touched: paths of our
# binaries that changed after installation. sum_of: sha256 by device and inode.
my (%program_at, %program_size, %touched, %sum_of);
my $sums_max = 16; # checksums to make; ordinary use needs one for each binary of each release

sub same_inode { my @stat = stat $_[0]; return @stat ? "$stat[0]:$stat[1]" : "" }

# Note the binaries that a sandbox may run: those of all releases, and those next to other runtimes' handlers.
# They are compared by device and inode (inode(7)), since an image can have a file at any path.
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

sub programs { # the binaries of our releases that were found
    return grep { m{^/opt/gvisor/releases/} } values %program_at;
}

sub is_known_program { return defined $program_at{same_inode($_[0]) || "-"} }

# Return whether one of the mounts is that file or a directory above it; compares inodes, so links do not matter.
sub gives {
    my ($file, @mounts) = @_;
    my %given = map { same_inode($_) => 1 } @mounts;
    for (my $path = $file; $path ne ""; $path =~ s{/[^/]*\z}{}) { return 1 if $given{same_inode($path) || "-"} }
    return $given{same_inode("/") || "-"} || 0;
}

sub program_of { # returns the node's file that a process runs, empty if none is known
    my ($pid) = @_;
    my $inode = same_inode("/proc/$pid/exe") or return "";
    my $exe = readlink("/proc/$pid/exe") // "";
    return $program_at{$inode} // (same_inode($exe) eq $inode ? $exe : "");
}

# Return {executable, argv0, file, given, sha256}, as verdict.py describes them. For a sandbox, `executable` is
# relative to the mount that its release is on. At most $sums_max files are hashed, and only on the file systems
# of releases: otherwise containers with many files of the right size could keep us busy.
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

sub sum_of { # returns the sha256 of a file, empty if it cannot be read
    my ($path) = @_;
    open my $told, "-|", "sha256sum", "--", $path or return "";
    my ($sum) = (<$told> // "") =~ /^\\?([0-9a-f]{64}) /;
    return $sum // "";
}
