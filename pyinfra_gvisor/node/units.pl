# Prints what a restart of dockerd would mean for other units of systemd and for containers, one line each:
#   beside dependent UNIT: systemd stops and starts this unit together with dockerd's
#   beside attached UNIT NAMES: a process of this unit is a docker client that a restart ends; the containers that it names
#   beside killed ID: systemd would kill the shim of this container, because the shim belongs to dockerd's unit
# Argument: the unit of dockerd, empty without one.
use strict;
my ($unit) = @ARGV;
my $kill_mode = "control-group"; # systemd's default: systemd.kill(5)
my $waiting = qr/^(?:run|start|attach|wait|up)\z/; # subcommands that end with the connection, and others
my $command = qr/$waiting|^(?:logs|events|stats|exec|build|pull|push|save|load|cp|create|ps|inspect|top)\z/;

sub text { open(my $file, "<", $_[0]) or return ""; local $/; return <$file> // "" }

sub unit_of { # the innermost unit of a process, empty if it has none: cgroups(7)
    my ($process) = @_;
    return text("$process/cgroup") =~ m{^(?:0:|\d+:name=systemd):\S*/([^/\s]+\.service)(?:/\S*)?$}m ? $1 : "";
}

sub named { # the containers that a docker client names; undef if it does not wait for containers
    my (undef, @words) = @_;
    while (@words && $words[0] !~ $command) { shift @words }
    my $does = shift @words // return undef;
    return undef if $does !~ $waiting;
    my @names = grep { !/^-/ } @words;
    if ($does eq "run" || $does eq "up") { @names = join("\n", @words) =~ /^--name[=\n](.*)$/m ? $1 : () }
    return join "", map { " $_" } grep { /^[\w.-]+\z/ } @names;
}

if ($unit ne "" && open(my $shown, "-|", qw(systemctl show --property), "KillMode,RequiredBy,RequisiteOf,BoundBy,ConsistsOf", $unit)) {
    while (<$shown>) {
        my ($key, $value) = /^(\w+)=(.*)$/ or next;
        if ($key eq "KillMode") { $kill_mode = $value; next }
        # a socket of dockerd may stop and start with it
        print "beside dependent $_\n" for grep { !/\.socket\z/ } split " ", $value;
    }
}
for my $process (glob "/proc/[0-9]*") {
    my ($name) = text("$process/comm") =~ /^(docker|docker-compose|containerd-shim)$/ or next; # 15 characters: proc_pid_comm(5)
    my $its = unit_of($process);
    my @words = split /\0/, text("$process/cmdline");
    if ($name eq "containerd-shim") {
        next if $its ne $unit || $its eq "" || $kill_mode =~ /^(?:process|none)\z/;
        my %given = @words[1 .. $#words];
        print "beside killed $given{-id}\n" if ($given{-id} // "") =~ /^[0-9a-f]+\z/;
    } elsif ($its ne "" && (readlink("$process/ns/pid") // "") eq readlink("/proc/self/ns/pid")) {
        my $names = named(@words);
        print "beside attached $its$names\n" if defined $names;
    }
}
