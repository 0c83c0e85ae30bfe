# Finds where files are on the node, whatever path names them: symbolic links, and other mounts of a directory.
use strict;
use warnings;

package Places;

my @mounted;

sub mounted { # [mount point, device, root, type] of every mount: proc_pid_mountinfo(5)
    if (!@mounted && open my $table, "<", "/proc/self/mountinfo") {
        while (my $line = <$table>) {
            my ($device, $root, $point) = (split / /, $line)[2, 3, 4];
            my ($type) = $line =~ / - (\S+) /;
            s/\\([0-7]{3})/chr oct $1/ge for $root, $point;
            push @mounted, [$point, $device, $root, $type // ""];
        }
    }
    return @mounted;
}

sub inode { my @stat = stat $_[0]; return @stat ? "$stat[0]:$stat[1]" : "" }

sub below { # the rest of a path after a directory; undef if the path is not in that directory
    my ($path, $directory) = @_;
    s{/\z}{} for $path, $directory;
    return "" if $path eq $directory;
    return index($path, "$directory/") == 0 ? substr($path, length $directory) : undef;
}

sub mount_of { # the mount that a path without symbolic links is on
    my ($path) = @_;
    my ($on) = sort { length $b->[0] <=> length $a->[0] } grep { defined below($path, $_->[0]) } reverse mounted();
    return $on;
}

sub inner { # where a path without symbolic links is in the file system of this mount
    my ($path, $on) = @_;
    return ($on->[2] =~ s{/\z}{}r) . below($path, $on->[0]);
}

sub real { # a path without symbolic links; undef if there is no such file
    my ($path) = @_;
    sysopen(my $file, $path, 010000000) or return undef; # O_PATH opens any file and never blocks: open(2)
    return readlink "/proc/self/fd/" . fileno $file;
}

sub found_at { # all paths on the node that lead to the file at this path, without symbolic links
    my ($path) = @_;
    my $whole = real($path) // return ();
    return same_as($whole);
}

sub same_as { # the same for a path without symbolic links
    my ($whole) = @_;
    my $on = mount_of($whole) or return $whole;
    my ($inner, $inode) = (inner($whole, $on), inode($whole));
    my %all = ($whole => 1);
    for my $mount (grep { $_->[1] eq $on->[1] } mounted()) {
        my $rest = below($inner, $mount->[2]) // next;
        my $other = (($mount->[0] =~ s{/\z}{}r) . $rest) || "/";
        $all{$other} = 1 if inode($other) eq $inode;
    }
    return sort keys %all;
}

package main;
