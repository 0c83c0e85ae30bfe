# Runs in a wrapper, started by call.sh. Comes after the files that it uses. The wrapper sets $permits and $mounts
# (directories), and $seal, or $policy and $marks (a directory), or all. Arguments: how many seconds a decision may
# take, the command of the call, its log, which Docker reads, its root, and the words of the call. Prints where the
# container runs. Fails closed: an error refuses the container.
use strict;
use warnings;

our ($policy, $seal, $marks, $permits, $mounts);
my ($limit_s, $command, $log, $state, @call) = @ARGV;

sub decided {
    my ($bundle, $id) = (option("--bundle") // ".", $call[-1]);
    my $permit = permitted($id);
    return "runc" if $policy && $permit eq "runc";
    return "sandbox" if $permit eq "unsealed";
    my $spec = Container::text_of("$bundle/config.json");
    return built($spec) if $seal && $bundle =~ m{/buildkit/executor/[^/]+\z};
    my $about = eval { Json::members($spec)->{root} };
    my $path = (Container::read_raw($about) // {})->{path} // die "$bundle/config.json is not complete\n";
    my $root = Container::data_root($path, $id) // die "Docker's files about this container were not found above $path\n";
    my $container = Container::read_container($root, $id);
    my ($where, $why) = $policy ? chosen($container) : ("sandbox", "");
    return $where if $where eq "runc" || !$seal;
    return sealed($container, $bundle, $spec, $why);
}

sub option { # the value of an option of the call
    my ($name) = @_;
    for (0 .. $#call) {
        return $1 if $call[$_] =~ /^\Q$name\E=(.*)/s;
        return $call[$_ + 1] if $call[$_] eq $name;
    }
    return undef;
}

# Returns what a container of ours may do beyond its policy: "runc", "unsealed" or "". The proof writes permits for its
# own containers. dockerd can make files there for others: by the mounts of a container that is then refused.
sub permitted {
    my ($id) = @_;
    my $path = "$permits/$id";
    return "" unless $id =~ /^[0-9a-f]+\z/ && lstat $path;
    my $are_ours = proof_runs() && Places::is_own($path, 0100600) && !grep { !Places::is_own($_, 040700) } $permits, $permits =~ s{/[^/]*\z}{}r;
    die "$path was not written by pyinfra-gvisor, find out who did\n" unless $are_ours;
    my ($word) = Container::text_of($path) =~ /^(runc|unsealed)$/ or die "$path is damaged\n";
    return $word;
}

sub proof_runs { # it alone has the lock; others share it
    open my $lock, "<", $permits =~ s{[^/]*\z}{probe.lock}r or return 0;
    return !flock($lock, 5) && $! == 11; # LOCK_SH and LOCK_NB; EWOULDBLOCK
}

sub chosen {
    my ($container) = @_;
    my ($where, $why, $accept) = Choose::where($container, $policy);
    collect($marks, $container->{root});
    return ($where, $why) unless $where eq "refused";
    die "$why. The operator must check the image, then run on the controller: pyinfra-gvisor accept $accept\n";
}

# Removes files about containers that Docker has removed. A younger one may be of a container that is being created.
sub collect {
    my ($directory, $root) = @_;
    opendir my $all, $directory or return;
    for my $id (grep { /^[0-9a-f]{64}\z/ && !-e "$root/containers/$_" } readdir $all) {
        my $made_s = (lstat "$directory/$id")[9] // next;
        unlink "$directory/$id" if $made_s < time - 600;
    }
}

sub sealed {
    my ($container, $bundle, $spec, $why) = @_;
    my ($refused, $stripped, $addresses) = Seal::asked_in_vain($container, $seal, $spec, $policy // in_force($container));
    die refusal($refused, $why) if @$refused;
    if (%$stripped) {
        write_over("$bundle/config.json", Seal::stripped($spec, $stripped, $container));
        my @gone = map { @{$stripped->{$_}} } sort keys %$stripped;
        system "logger", "-t", "pyinfra-gvisor", "--", "container $container->{name}: removed " . join("; ", @gone);
    }
    remember($container, $addresses);
    return "sandbox";
}

# A runtime that is asked for by name has no policy of its own, so that another policy is not another runtime. The one in
# force is in the wrapper of the default runtime.
sub in_force {
    my ($container) = @_;
    return undef unless %{$container->{mounts}};
    my $file = "/etc/docker/daemon.json";
    my $default = Json::members(-e $file ? Container::members_of($file)->{runtimes} // "" : "")->{gvisordefault} // return undef;
    my $path = Container::read_raw(Json::members($default)->{path}) // "";
    my ($text) = Container::text_of($path) =~ /^our \$policy = (.*?);\nour /ms or die "$path has no policy\n";
    return eval("+$text") // die "$path: $@"; # only root can write it
}

sub refusal {
    my ($refused, $why) = @_;
    my $more = @$refused - 5;
    my $text = join "; ", $more > 0 ? (@$refused[0 .. 4], "and $more more") : @$refused;
    $why = $why =~ /^not the accepted / ? ". It is $why" : "";
    return "a sandbox may not have: $text$why. Recreate the container without, or allow it in gvisor_seal\n";
}

# runsc mounts after the judge has looked. A container that may write to an allowed directory could replace a file there
# with a symbolic link meanwhile, so what was mounted is checked before the container starts.
sub remember {
    my ($container, $addresses) = @_;
    unlink "$mounts/$container->{id}";
    return unless @$addresses;
    die "a container with mounts of the node cannot be restored from a checkpoint\n" unless $command eq "create";
    for ($mounts =~ s{/[^/]*\z}{}r, $mounts) { mkdir $_, 0700 }
    collect($mounts, $container->{root});
    write_over("$mounts/$container->{id}", join("", map { s/([\\\n])/sprintf "\\%03o", ord $1/ger . "\n" } @$addresses));
}

sub started {
    my ($id) = @_;
    my $file = "$mounts/$id";
    my @addresses = map { s/\\([0-7]{3})/chr oct $1/ger } split /\n/, Container::text_of($file);
    my $sandbox = Container::members_of("$state/${id}_sandbox:$id.state");
    my $gofer = Container::read_raw($sandbox->{goferPid}) or die "runsc does not say which process mounts files\n";
    my @missing = Seal::missing(\@addresses, $gofer);
    die join("; ", map { "the file or directory " . (split / /, $_, 2)[1] . " was replaced during the start" } @missing) . "\n" if @missing;
    unlink $file;
    return "sandbox";
}

sub built { # a build step, of which Docker has no files
    my ($spec) = @_;
    my @refused = Build::asked_in_vain($seal, $spec) or return "sandbox";
    die "a build step in a sandbox may not have: " . join("; ", @refused) . ". Build without, or allow it in gvisor_seal\n";
}

sub write_over {
    my ($path, $text) = @_;
    open my $file, ">", "$path.new" or die "cannot write $path.new: $!\n";
    print {$file} $text and close $file or die "cannot write $path.new: $!\n";
    chmod 0600, "$path.new";
    rename "$path.new", $path or die "cannot write $path: $!\n";
}

# Docker shows the last error line of the runtime's log to the user: containerd's go-runc, getLastRuntimeError.
sub report {
    my ($why) = @_;
    my $text = "pyinfra-gvisor: $why";
    utf8::decode($text) or $text =~ s/[^\x00-\x7f]/?/g;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/([\x00-\x1f\x7f])/sprintf "\\u%04x", ord $1/ge;
    utf8::encode($text);
    print STDERR "$text\n";
    my @now = gmtime;
    my $time = sprintf "%04d-%02d-%02dT%02d:%02d:%02dZ", $now[5] + 1900, $now[4] + 1, @now[3, 2, 1, 0];
    open my $file, ">>", $log or return;
    print {$file} qq({"level":"error","msg":"$text","time":"$time"}\n);
}

# Last, so that a judge that was cut decides nothing.
# For a file that cannot be read, such as one on a network file system that does not answer. Without a handler the signal
# ends perl, wherever it waits: call.sh says why.
alarm $limit_s;
my $where = eval { $command eq "start" ? started($call[-1]) : decided() };
if (!defined $where) {
    my $why = $@;
    chomp $why;
    report($why);
    exit 3; # call.sh: the reason is told
}
print "$where\n";
1;
