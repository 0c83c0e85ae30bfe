# Runs in a wrapper on "create", started by call.sh. Comes after the files that it uses. The wrapper sets $permits
# (a directory), and $seal, or $policy and $marks (a directory). Arguments: the file for the runtime's log, which Docker reads, and
# those of the call. Prints where the container runs. Fails closed: an error refuses the container.
use strict;
use warnings;

our ($policy, $seal, $marks, $permits);
my ($log, @call) = @ARGV;
my $limit_s = 10; # for a file that cannot be read, such as one on a network file system that does not answer
$SIG{ALRM} = sub { die "no decision within $limit_s s\n" };
alarm $limit_s;
my $where = eval { decided() };
if (!defined $where) {
    my $why = $@;
    chomp $why;
    report($why);
    exit 3; # call.sh: the reason is told
}
print "$where\n";

sub decided {
    my ($bundle, $id) = (option("--bundle") // ".", $call[-1]);
    my $permit = permitted($id);
    return $permit eq "runc" ? "runc" : "sandbox" if $permit eq ($policy ? "runc" : "unsealed");
    my $spec = Container::text_of("$bundle/config.json");
    my $path = Container::read_raw(Json::members($spec)->{root})->{path};
    my $root = Container::data_root($path, $id) // die "Docker's files about this container were not found above $path\n";
    my $container = Container::read_container($root, $id);
    return $policy ? chosen($container) : sealed($container, $bundle, $spec);
}

sub option { # the value of an option of the call
    my ($name) = @_;
    for (0 .. $#call) {
        return $1 if $call[$_] =~ /^\Q$name\E=(.*)/s;
        return $call[$_ + 1] if $call[$_] eq $name;
    }
    return undef;
}

# Returns what a container of ours may do beyond its policy: "runc", "unsealed" or "". Only root can write a permit.
# The proof does, for its own containers.
sub permitted {
    my ($id) = @_;
    my $path = "$permits/$id";
    return "" unless $id =~ /^[0-9a-f]+\z/ && -e $path;
    my ($word) = Container::text_of($path) =~ /^(runc|unsealed)$/ or die "$path is damaged\n";
    return $word;
}

sub chosen {
    my ($container) = @_;
    my ($where, $why) = Choose::where($container, $policy);
    collect_marks($container->{root});
    return $where unless $where eq "refused";
    die "$why. Look at the image, then run: pyinfra-gvisor accept $container->{image_id}\n";
}

# Marks of containers that Docker has removed. A younger one may be of a container that is being created.
sub collect_marks {
    my ($root) = @_;
    opendir my $all, $marks or return;
    for my $id (grep { /^[0-9a-f]{64}\z/ && !-e "$root/containers/$_" } readdir $all) {
        my $made_s = (lstat "$marks/$id")[9] // next;
        unlink "$marks/$id" if $made_s < time - 600;
    }
}

sub sealed {
    my ($container, $bundle, $spec) = @_;
    my ($refused, $stripped) = Seal::asked_in_vain($container, $seal, $spec);
    die "a sandbox may not have: " . join("; ", @$refused) . ". Recreate the container without, or allow it in gvisor_seal\n"
        if @$refused;
    if (%$stripped) {
        write_over("$bundle/config.json", Seal::stripped($spec, $stripped, $container));
        my @gone = map { @{$stripped->{$_}} } sort keys %$stripped;
        system "logger", "-t", "pyinfra-gvisor", "--", "container $container->{name}: removed " . join("; ", @gone);
    }
    return "sandbox";
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
    print STDERR "$text\n";
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/([\x00-\x1f])/sprintf "\\u%04x", ord $1/ge;
    my @now = gmtime;
    my $time = sprintf "%04d-%02d-%02dT%02d:%02d:%02dZ", $now[5] + 1900, $now[4] + 1, @now[3, 2, 1, 0];
    open my $file, ">>", $log or return;
    print {$file} qq({"level":"error","msg":"$text","time":"$time"}\n);
}
1;
