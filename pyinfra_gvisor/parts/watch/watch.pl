#!/usr/bin/perl
# Checks every running container and reports to the journal, each time, those that must run in gVisor by the policy
# and do not. Keeps no state between checks. Arguments: the policy file and Docker's socket. Needs perl-base only,
# which every Debian and Ubuntu has. Comes after docker_api.pl, the files of sandbox/, ask.pl and usage.pl: for a policy
# with "default" the resident judge knows the infrastructure of the node.
use strict;
use warnings;
no warnings qw(newline);
use Fcntl qw(LOCK_SH O_CREAT O_EXCL O_WRONLY);

my $proof_lock = "/run/pyinfra-gvisor/probe.lock"; # proof/containers.sh holds it while its containers exist
my $most_s = 480; # longest wait for a proof: the unit limits a check to 700 s
my $judge_socket = "/run/pyinfra-gvisor/judge.sock";
my $judge_s = 60; # longest wait for the judge
my $policy = read_policy($ARGV[0]);
my ($ground, $judged); # $judged: what the judge has said last
$SIG{PIPE} = "IGNORE";
exit main();

sub main {
    my $ids = eval { refuse_others(); running() };
    $ids = undef unless $ids && eval { $ground = know_ground(); 1 };
    if (!$ids) {
        my $why = $@ =~ /^process \d+ answers/ ? "Another program has Docker's socket" : "Docker does not answer";
        journal(3, "$why, so no container was checked; see systemctl status docker: $@");
        return 1;
    }
    my ($failed, @seen, @bare) = (0);
    for my $id (@$ids) {
        my $one = eval { look($id) };
        if ($@) { journal(3, "container $id cannot be checked: $@"); $failed = 1 }
        next unless $one;
        push @seen, $one;
        next if !$one->{must} || $one->{state} eq "sandboxed";
        push @bare, $one;
        journal(3, complaint($one));
    }
    journal(6, account(@seen)) unless @bare || $failed;
    my $images = eval { $policy->{default} ? unaccepted_images() : [] };
    if (!$images) { journal(3, "images cannot be checked: $@"); $failed = 1 }
    journal(4, unaccepted($_)) for @{$images // []};
    # not written after a failure: its old time then shows that containers are unknown
    my $lines = !$failed && $policy->{textfile} ? metrics(\@seen, scalar @bare, scalar @$images) : undef;
    if ($lines && !eval { write_metrics(@$lines, @{earlier_usage($policy->{textfile})}); 1 }) {
        journal(3, "$policy->{textfile} cannot be written: $@");
        ($failed, $lines) = (1, undef);
    }
    for my $one ($policy->{action} eq "stop" ? @bare : ()) {
        if (!eval { stop($one); 1 }) { journal(3, "$one->{shown} cannot be stopped: $@"); $failed = 1 }
    }
    add_usage(\@seen, $lines) if $lines;
    return $failed;
}

# Writes the metrics again with what the containers use. The verdict does not depend on this.
sub add_usage {
    my ($seen, $lines) = @_;
    my ($usage, $error) = eval { usage_lines($seen) };
    $error = $@ unless $usage;
    journal(5, "metrics of containers are missing: $error") if $error;
    return if eval { write_metrics(@$lines, @{$usage // []}); 1 };
    journal(4, "$policy->{textfile} cannot be written: $@");
}

# Prints one line for the journal, with its priority before it: sd-daemon(3).
sub journal {
    my ($level, $text) = @_;
    chomp $text;
    $text =~ s/[^\x20-\x7e]/?/g;
    print "<$level>$text\n";
}

sub complaint {
    my ($one) = @_;
    my $todo = $one->{state} eq "unknown"
        ? "run pyinfra-gvisor apply, then recreate the container"
        : $policy->{default}
        ? "recreate the container, or run pyinfra-gvisor accept NAME on the controller"
        : "recreate the container under a gVisor runtime, or exempt it in gvisor_exempt";
    my $is = $one->{state} eq "unknown" ? "but this cannot be verified" : "but runs directly on the host kernel";
    return "$one->{shown} must run in gVisor, $is: "
        . "runtime $one->{runtime}, process $one->{shown_process}; $one->{why}; $todo";
}

sub account {
    my $must = grep { $_->{must} } @_;
    my $exempt = grep { $_->{exempt} } @_;
    return sprintf "%d containers checked: %d must run in gVisor and do; %d are %s",
        scalar @_, $must, $exempt, $policy->{default} ? "infrastructure" : "exempt";
}

sub unaccepted {
    my ($image) = @_;
    my $todo = $image->{recorded}
        ? "let the platform start it once, then run pyinfra-gvisor accept with the container's name"
        : "look at the image, then run pyinfra-gvisor accept $image->{id}, or remove it";
    return "image $image->{names}[0] is not accepted, so Docker will not start it as " . join(", ", @{$image->{shapes}}) . "; $todo";
}

# Returns what the judge says by the declared policy: where each container would run, and images that nobody accepted. It
# is asked once for all containers, and once more for those that it did not list.
sub ask_judge {
    utf8::encode(my $declared = $policy->{default});
    my $question = join "", map { "$_\0" } "pyinfra-gvisor asks", "-", "preview", $ARGV[1], $declared;
    my $answer = eval { resident_answer($judge_socket, 5, $judge_s, $question) } // own_answer($question);
    my %told = (place => [], unaccepted => [], preview_error => []);
    for (split /\n/, $answer) { push @{$told{$1}}, json($2) if /^(place|unaccepted|preview_error) (.*)/ }
    my $error = $answer =~ /^preview told$/m ? $told{preview_error}[0] : "the judge gives no answer";
    my %places = map { $_->{id} => $_ } @{$told{place}};
    return $judged = {images => $told{unaccepted}, places => \%places, error => $error};
}

sub own_answer { # of a judge that we run: nobody depends on a resident one
    my ($question) = @_;
    my $pid = open(my $answer, "-|") // return "";
    if (!$pid) {
        if (!(open(STDIN, "-|") // exit 1)) { print $question; exit 0 }
        exec "/usr/bin/python3", qw(-I -S -B -X utf8), $policy->{judge}, "ask", $judge_s or exit 1;
    }
    local $/;
    return <$answer> // "";
}

sub unaccepted_images {
    my $found = $judged // ask_judge();
    die "$found->{error}\n" if $found->{error};
    return $found->{images};
}

sub is_infrastructure { # undef for a container that was removed meanwhile
    my ($id) = @_;
    my $found = $judged // ask_judge();
    $found = ask_judge() if !$found->{places}{$id} && !$found->{error};
    my $place = $found->{places}{$id};
    die "$found->{error}\n" if !$place && $found->{error};
    return undef unless $place;
    die "$place->{why}\n" if $place->{where} eq "refused" && $place->{why} =~ /^(?:Docker's files about it|no decision)/;
    return $place->{where} eq "runc" ? 1 : 0;
}

# Checks again right before stopping: the container may have changed. One that may be a sandbox is not stopped.
sub stop {
    my ($one) = @_;
    $ground = know_ground(); # the runtimes may have changed
    $judged = undef; # and so may the container
    my $now = look($one->{id});
    if (!$now || !$now->{must} || $now->{state} eq "sandboxed") { return }
    if ($now->{state} eq "unknown") {
        journal(4, "$now->{shown} was not stopped: it may run in gVisor");
        return;
    }
    my ($code) = ask("POST", "/containers/$now->{id}/stop?t=10", 60);
    die "Docker answers HTTP $code\n" unless $code =~ /^(204|304|404)$/; # 304: already stopped, 404: removed
    journal(3, "$now->{shown} was stopped: it must run in gVisor and does not");
}

sub running { # ids of all running containers
    my $lock = without_proof();
    my ($code, $body) = ask("GET", "/containers/json", 20);
    die "answer $code\n" unless $code == 200;
    return [map { $_->{Id} } @{json($body)}];
}

# Waits until no proof runs: a proof starts containers without gVisor on purpose. Only its lock, which is root's,
# counts, since anybody could use its names and labels. Containers left by a killed proof are checked.
sub without_proof {
    open my $lock, "<", $proof_lock or return undef; # no proof ran since the node booted
    my ($limit_s) = (<$lock> // "") =~ /^(\d{1,4})$/; # its time limit; after that it cleans up
    my $wait_s = ($limit_s // 120) * 1.25 + 30;
    $wait_s = $most_s if $wait_s > $most_s;
    local $SIG{ALRM} = sub { die "held for $wait_s s\n" };
    alarm $wait_s;
    if (!eval { flock $lock, LOCK_SH or die "$!\n"; 1 }) {
        journal(4, "containers of a running proof are checked too, because $proof_lock cannot be locked: $@");
    }
    alarm 0;
    return $lock;
}

# Returns the verdict on a container, or undef if it does not run any more. While a container starts, its process has
# no command line for a moment, so this tries for 3 s. A process that stays like that hides something.
sub look {
    my ($id) = @_;
    my $one;
    for my $try (1 .. 10) {
        my ($code, $body) = ask("GET", "/containers/$id/json", 20);
        return undef if $code == 404;
        die "answer $code\n" unless $code == 200;
        my $told = json($body);
        return undef unless $told->{State}{Running} && $told->{State}{Pid}; # Pid 0: about to be restarted
        $one = judged($told) // return undef;
        last unless $one->{blank};
        select undef, undef, undef, 0.3;
    }
    return $one;
}

sub judged {
    my ($told) = @_;
    my $name = substr $told->{Name}, 1;
    my $labels = $told->{Config}{Labels} // {};
    my ($process, $state, $why) = judged_container($told, $ground);
    my ($exe, $argv0) = @{$process}{qw(executable argv0)};
    my ($wanted, $exempt);
    if ($policy->{default}) {
        $wanted = 1;
        $exempt = is_infrastructure($told->{Id}) // return undef;
    } else {
        $wanted = grep { selects($_, $name, $labels) } @{$policy->{must}};
        $exempt = grep { selects($_, $name, $labels) } @{$policy->{exempt}};
    }
    return {
        id => $told->{Id},
        name => $name,
        app => $labels->{$policy->{app}} // "",
        pid => $told->{State}{Pid},
        restarts => $told->{RestartCount} // 0,
        process => $process,
        programs => $ground->{programs},
        shown => "$name (" . substr($told->{Id}, 0, 12) . ")",
        shown_process => substr($exe || "without an executable", 0, 100)
            . " (pid $told->{State}{Pid}, calls itself " . substr($argv0 eq "" ? "nothing" : $argv0, 0, 60) . ")",
        blank => $exe eq "" || $argv0 eq "",
        runtime => $told->{HostConfig}{Runtime} || "runc",
        exempt => $wanted && $exempt,
        must => $wanted && !$exempt,
        state => $state,
        why => $why,
    };
}

sub selects { # true if the selector $_[0] matches a container with this name and these labels
    my ($selector, $name, $labels) = @_;
    return 0 if defined $selector->{name} && $name !~ $selector->{name};
    for my $wanted (@{$selector->{labels}}) {
        my ($label, @values) = @$wanted;
        my $has = $labels->{$label};
        return 0 unless defined $has && grep { $_ eq $has } @values;
    }
    return 1;
}

# Reads the policy that pyinfra_gvisor/parts/watch/files.py has written; special characters are %XX, in UTF-8.
sub read_policy {
    my ($path) = @_;
    my %read = (action => "report", textfile => "", app => "", default => "", judge => "", must => [], exempt => []);
    my $into;
    open my $file, "<", $path or die "<3>$path: $!\n";
    while (my $line = <$file>) {
        my ($key, @words) = split " ", $line;
        next if !defined $key || $key =~ /^#/;
        s/^=//, s/%([0-9A-F]{2})/chr hex $1/ge, utf8::decode($_) for @words;
        if ($key =~ /^(?:action|textfile|app|default|judge)\z/) { $read{$key} = $words[0] }
        elsif ($key eq "must" || $key eq "exempt") { push @{$read{$key}}, $into = {labels => []} }
        elsif ($key eq "label" && $into) { push @{$into->{labels}}, [@words] }
        elsif ($key eq "name" && $into) { my ($pattern) = @words; $into->{name} = qr/\A$pattern\z/s }
        else { die "<3>$path: line $.: not a line of a policy\n" }
    }
    return \%read;
}

sub metrics { # what the watch itself knows, as lines
    my ($seen, $bare, $images) = @_;
    my %count;
    $count{$_->{runtime}}{shown_state($_)}++ for @$seen;
    my @lines = (
        "# HELP gvisor_watch_containers Running containers by requested runtime.",
        "# TYPE gvisor_watch_containers gauge",
    );
    for my $runtime (sort keys %count) {
        my ($value, %is) = (escaped($runtime), %{$count{$runtime}});
        push @lines, qq(gvisor_watch_containers{runtime="$value",sandboxed="$_"} $is{$_}) for sort keys %is;
    }
    push @lines, "# HELP gvisor_watch_unsandboxed Containers that must run in gVisor and do not, or cannot be verified.",
        "# TYPE gvisor_watch_unsandboxed gauge", "gvisor_watch_unsandboxed $bare";
    push @lines, "# HELP gvisor_watch_unaccepted_images Images of known platforms that Docker will refuse to start.",
        "# TYPE gvisor_watch_unaccepted_images gauge", "gvisor_watch_unaccepted_images $images" if $policy->{default};
    push @lines, "# HELP gvisor_watch_last_run_timestamp_seconds Time of the last complete check.",
        "# TYPE gvisor_watch_last_run_timestamp_seconds gauge",
        "gvisor_watch_last_run_timestamp_seconds " . time;
    return \@lines;
}

# Written to a new file first, whose name no exporter reads, then renamed.
sub write_metrics {
    my (@lines) = @_;
    my $beside = "$policy->{textfile}.new";
    unlink $beside;
    sysopen my $file, $beside, O_WRONLY | O_CREAT | O_EXCL, 0644 or die "$!\n";
    chmod 0644, $file;
    utf8::encode(my $text = join "\n", @lines, "");
    print {$file} $text or die "$!\n";
    close $file or die "$!\n";
    rename $beside, $policy->{textfile} or die "$!\n";
}
