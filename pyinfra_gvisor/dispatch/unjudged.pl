# Finds ways into a sandbox that no judge sees, and variables that runsc obeys. Comes after json.pl, process.pl and
# docker_state.pl.
use strict;

sub unjudged { # Docker's answer to /info, and the process that gave it
    my ($info, $peer) = @_;
    my $runtimes = {%{in_file()}, known(Json::decode(members($info)->{Runtimes} // "{}"))};
    my @engines = engine_processes($peer);
    return join "", (map { "foreign_runsc $_\n" } grep { leads_to_runsc($runtimes->{$_}) } sort keys %$runtimes),
        (map { "foreign_shim $_\n" } foreign_shims(@engines)), map { "gvisor_variable $_\n" } gvisor_variables(@engines);
}

sub known { my ($told) = @_; return map { $_ => $told->{$_} } grep { $told->{$_}{path} } keys %$told }

sub in_file { # runtimes in daemon.json: /info has neither shims nor their options, nor what is not loaded yet
    my $path = "/etc/docker/daemon.json";
    -f $path && open my $file, "<", $path or return {}; # who opens a FIFO waits
    local $/;
    my $read = eval { Json::decode(<$file> // "")->{runtimes} };
    return ref $read eq "HASH" ? {map { $_ => $read->{$_} } grep { ref $read->{$_} eq "HASH" } keys %$read} : {};
}

sub leads_to_runsc { # whether a runtime that is not ours starts runsc, by its name, another name or a script
    my ($entry) = @_;
    my %options = ref $entry->{options} eq "HASH" ? map { (lc, $entry->{options}{$_}) } keys %{$entry->{options}} : (); # in several spellings: go-toml
    my $program = $entry->{path} || $options{binaryname} || $entry->{runtimeType} // "";
    utf8::encode($program);
    return 0 if $program =~ m{^/opt/gvisor/runtimes/};
    return 1 if $program =~ m{runsc[^/]*\z} || is_known_program($program);
    open my $file, "<", $program or return 0;
    binmode $file;
    my ($kept, $sought) = ("", undef);
    while (read $file, my $part, 1 << 20) {
        $sought //= $part =~ /^#!/ ? qr/runsc/ : qr{gvisor\.dev/gvisor/runsc};
        return 1 if ($kept . $part) =~ $sought;
        $kept = substr $part, -64;
    }
    return 0;
}

# dockerd and its containerd, and what each was started with. A container's process may have such a name, but has no such
# parent: orphans belong to its shim.
sub engine_processes {
    my ($peer) = @_;
    my %exes = map { $_ => readlink("/proc/$_/exe") // "" } map { /(\d+)\z/ } glob "/proc/[0-9]*";
    my %dockerd = map { $_ => 1 } dockerds($peer, \%exes);
    my @found;
    for my $pid (sort { $a <=> $b } keys %exes) {
        my $is_containerd = $exes{$pid} =~ m{/containerd(?: \(deleted\))?\z} && grep { parent($pid) == $_ } 1, keys %dockerd;
        next unless $dockerd{$pid} || $is_containerd;
        my %set = map { split /=/, $_, 2 } grep { /=/ } split /\0/, words("/proc/$pid/environ");
        push @found, {name => $dockerd{$pid} ? "dockerd" : "containerd", file => $exes{$pid}, set => \%set};
    }
    return @found;
}

sub dockerds { # the process of dockerd, whose pid file may be elsewhere: else who answers, or what systemd starts and listens for
    my ($peer, $exes) = @_;
    return $1 if words("/run/docker.pid") =~ /^(\d+)/;
    return $peer if $peer > 1;
    return grep { $exes->{$_} =~ m{/dockerd(?: \(deleted\))?\z} && parent($_) == 1 } keys %$exes;
}

# containerd makes the name of a shim's program of the runtime's name, and looks for it on its PATH and beside itself:
# core/runtime/v2/shim_manager.go, resolveRuntimePath. The last two words of a runtime's name may hold everything but a
# dot, or nothing: BinaryName in pkg/shim/util.go. Packages have no other shims than runc's.
sub foreign_shims {
    my %found;
    for my $engine (grep { $_->{name} eq "containerd" } @_) {
        for my $directory (split(/:/, $engine->{set}{PATH} // ""), $engine->{file} =~ s{/[^/]*\z}{}r) {
            opendir my $all, $directory or next;
            for my $name (grep { /^containerd-shim-[^.]*-[^.]*\z/ && !/^containerd-shim-runc-v[12]\z/ } readdir $all) {
                $found{same_inode("$directory/$name")} //= "$directory/$name" if -f "$directory/$name" && -x _;
            }
        }
    }
    return sort values %found;
}

sub gvisor_variables { # with these, runsc takes programs of another release, or of another directory: gvisorbinaries.go
    my @names = qw(GVISOR_ENFORCE_RELEASE GVISOR_SIDECAR_BINARIES_DIR);
    my %found = map { my $engine = $_; map { ("$engine->{name} $_" => 1) } grep { exists $engine->{set}{$_} } @names } @_;
    return sort keys %found;
}
