# What a container's process is, as /proc shows it. Read in front of others, with perl-base only.
use strict;

# Path by device and inode; of ours the sizes, and the paths of what was touched since it was installed; sums by
# device and inode.
my (%program_at, %program_size, %touched, %sum_of);

sub same_inode { my @stat = stat $_[0]; return @stat ? "$stat[0]:$stat[1]" : "" }

# The programs that a sandbox may run: of all releases, and beside what else runtimes point at. A path is
# an image's to choose; device and inode are not: inode(7).
sub know_programs {
    my (@handlers) = @_;
    for my $path (glob "/opt/gvisor/releases/*/runsc /opt/gvisor/releases/*/gvisor-bin/gvisor_sentry") {
        my @stat = stat $path or next;
        $program_at{"$stat[0]:$stat[1]"} = $path;
        $program_size{$stat[7]} = 1;
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

sub reaches { # whether who is given the first path is given something of the second, or all of it
    my ($mount, $path) = @_;
    $mount =~ s{/*\z}{/};
    $path .= "/";
    return index($mount, $path) == 0 || index($path, $mount) == 0;
}

# {executable, argv0, file, sha256}, as verdict.py has them; the last where the file alone does not tell and
# a program of ours has this size. Of a sandbox the first breaks off at the mount that its release lies on.
sub process_of {
    my ($pid, @mounts) = @_;
    my $exe = readlink("/proc/$pid/exe") // "";
    my @stat = stat "/proc/$pid/exe";
    my $inode = @stat ? "$stat[0]:$stat[1]" : "";
    my $argv0 = "";
    if (open my $words, "<", "/proc/$pid/cmdline") { local $/ = "\0"; chomp($argv0 = <$words> // "") }
    my $file = $program_at{$inode} // ($inode && same_inode($exe) eq $inode ? $exe : "");
    my $tells = $file ne "" && !$touched{$file} && !grep { reaches($_, "/opt/gvisor") } @mounts;
    my $is_asked = $inode && !$tells && $argv0 eq "runsc-sandbox" && $program_size{$stat[7]};
    my $sum = $is_asked ? $sum_of{$inode} //= sum_of("/proc/$pid/exe") : "";
    return {executable => $exe, argv0 => $argv0, file => $file, sha256 => $sum};
}

sub sum_of { # the sha256 of a file, empty if it cannot be read
    my ($path) = @_;
    open my $told, "-|", "sha256sum", "--", $path or return "";
    my ($sum) = (<$told> // "") =~ /^\\?([0-9a-f]{64}) /;
    return $sum // "";
}
