#!/usr/bin/perl
# Looks at every running container: which must be in a sandbox, by the policy, and is not, is said in the
# journal at every look. Keeps nothing between looks. Arguments: the policy, and where Docker listens.
# With perl-base only, which is in every Debian and Ubuntu. Read behind docker_api.pl and what
# sandbox/ has.
use strict;
use warnings;
no warnings qw(newline);
use Fcntl qw(LOCK_SH O_CREAT O_EXCL O_WRONLY);

my $proof_lock = "/run/pyinfra-gvisor/probe.lock"; # held by prove.sh while its containers are there
my $most_s = 480; # for which a proof is waited for: systemd gives a look 600
my $policy = read_policy($ARGV[0]);
my $ground;
$SIG{PIPE} = "IGNORE";
exit main();

sub main {
    my $ids = eval { running() };
    $ids = undef unless $ids && eval { $ground = know_ground() };
    if (!$ids) {
        journal(3, "Docker does not answer, and no container was looked at; see systemctl status docker: $@");
        return 1;
    }
    my ($failed, @seen) = (0);
    for my $id (@$ids) {
        my $one = eval { look($id) };
        if ($@) { journal(3, "container $id cannot be looked at: $@"); $failed = 1 }
        push @seen, $one if $one;
    }
    my @bare = grep { $_->{must} && $_->{state} ne "sandboxed" } @seen;
    journal(3, complaint($_)) for @bare;
    journal(6, account(@seen)) unless @bare || $failed;
    # a textfile with an old time tells that not all is known
    if (!$failed && $policy->{textfile} && !eval { write_metrics(\@seen, scalar @bare); 1 }) {
        journal(3, "$policy->{textfile} cannot be written: $@");
        $failed = 1;
    }
    for my $one ($policy->{action} eq "stop" ? @bare : ()) {
        if (!eval { stop($one); 1 }) { journal(3, "$one->{shown} cannot be stopped: $@"); $failed = 1 }
    }
    return $failed;
}

# One line of the journal: sd-daemon(3) has the numbers in front.
sub journal {
    my ($level, $text) = @_;
    chomp $text;
    $text =~ s/[^\x20-\x7e]/?/g;
    print "<$level>$text\n";
}

sub complaint {
    my ($one) = @_;
    my $todo = $one->{state} eq "unknown"
        ? "nobody can tell what it is: run the deploy and the audit again, then create it anew"
        : "create it anew under a runtime of gVisor's, or exempt it in gvisor_exempt";
    return "$one->{shown} must run in a sandbox and is not seen in one: "
        . "runtime $one->{runtime}, process $one->{shown_process}; $one->{why}; $todo";
}

sub account {
    my $must = grep { $_->{must} } @_;
    my $exempt = grep { $_->{exempt} } @_;
    return sprintf "%d containers, of which %d must run in a sandbox and do, and %d are exempted",
        scalar @_, $must, $exempt;
}

# A second look right before: nothing is stopped for what it was a moment ago. Nor is what may be a sandbox.
sub stop {
    my ($one) = @_;
    $ground = know_ground(); # what handles a runtime may be another by now
    my $now = look($one->{id});
    if (!$now || !$now->{must} || $now->{state} eq "sandboxed") { return }
    if ($now->{state} eq "unknown") {
        journal(4, "$now->{shown} is left running, since it may be a sandbox");
        return;
    }
    my ($code) = ask("POST", "/containers/$now->{id}/stop?t=10", 60);
    die "Docker answers $code\n" unless $code =~ /^(204|304|404)$/; # 304: stopped already, 404: gone
    journal(3, "$now->{shown} was stopped, since it must run in a sandbox and does not");
}

sub running { # the ids of all running containers
    my $lock = without_proof();
    my ($code, $body) = ask("GET", "/containers/json", 20);
    die "answer $code\n" unless $code == 200;
    return [map { $_->{Id} } @{json($body)}];
}

# A proof has containers without a sandbox on purpose, and is not to be spoilt. Their names and labels
# could be anybody's; the lock is root's. What a proof that was killed has left is looked at.
sub without_proof {
    open my $lock, "<", $proof_lock or return undef; # none was made since the node began
    my ($limit_s) = (<$lock> // "") =~ /^(\d{1,4})$/; # what it may take, and then it tidies up
    my $wait_s = ($limit_s // 120) * 1.25 + 30;
    $wait_s = $most_s if $wait_s > $most_s;
    local $SIG{ALRM} = sub { die "held for $wait_s s\n" };
    alarm $wait_s;
    if (!eval { flock $lock, LOCK_SH or die "$!\n"; 1 }) {
        journal(4, "what a proof has started is looked at too, since $proof_lock is not to be had: $@");
    }
    alarm 0;
    return $lock;
}

# What a container is, nothing if it does not run any more. One that is just being started has a
# process without a command line for a moment; one that stays like that hides something.
sub look {
    my ($id) = @_;
    my $one;
    for my $try (1 .. 10) {
        my ($code, $body) = ask("GET", "/containers/$id/json", 20);
        return undef if $code == 404;
        die "answer $code\n" unless $code == 200;
        my $told = json($body);
        return undef unless $told->{State}{Running} && $told->{State}{Pid}; # 0: about to be started again
        $one = judged($told);
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
    my $exempt = grep { selects($_, $name, $labels) } @{$policy->{exempt}};
    my $wanted = grep { selects($_, $name, $labels) } @{$policy->{must}};
    return {
        id => $told->{Id},
        shown => "$name (" . substr($told->{Id}, 0, 12) . ")",
        shown_process => substr($exe || "without a program", 0, 100)
            . " (pid $told->{State}{Pid}, calls itself " . substr($argv0 eq "" ? "nothing" : $argv0, 0, 60) . ")",
        blank => $exe eq "" || $argv0 eq "",
        runtime => $told->{HostConfig}{Runtime} || "runc",
        exempt => $wanted && $exempt,
        must => $wanted && !$exempt,
        state => $state,
        why => $why,
    };
}

sub selects { # whether the selector $_[0] means the container of this name with these labels
    my ($selector, $name, $labels) = @_;
    return 0 if defined $selector->{name} && $name !~ $selector->{name};
    for my $wanted (@{$selector->{labels}}) {
        my ($label, @values) = @$wanted;
        my $has = $labels->{$label};
        return 0 unless defined $has && grep { $_ eq $has } @values;
    }
    return 1;
}

# Lines that pyinfra_gvisor/parts/watch/files.py has written: what is not plain in them is %XX, in UTF-8.
sub read_policy {
    my ($path) = @_;
    my %read = (action => "report", textfile => "", must => [], exempt => []);
    my $into;
    open my $file, "<", $path or die "<3>$path: $!\n";
    while (my $line = <$file>) {
        my ($key, @words) = split " ", $line;
        next if !defined $key || $key =~ /^#/;
        s/^=//, s/%([0-9A-F]{2})/chr hex $1/ge, utf8::decode($_) for @words;
        if ($key eq "action" || $key eq "textfile") { $read{$key} = $words[0] }
        elsif ($key eq "must" || $key eq "exempt") { push @{$read{$key}}, $into = {labels => []} }
        elsif ($key eq "label" && $into) { push @{$into->{labels}}, [@words] }
        elsif ($key eq "name" && $into) { my ($pattern) = @words; $into->{name} = qr/\A$pattern\z/s }
        else { die "<3>$path: line $.: not a line of a policy\n" }
    }
    return \%read;
}

# Beside it first, and under a name that no exporter reads.
sub write_metrics {
    my ($seen, $bare) = @_;
    my %count;
    my %shown = (sandboxed => "true", bare => "false", unknown => "unknown");
    $count{$_->{runtime}}{$shown{$_->{state}}}++ for @$seen;
    my @lines = (
        "# HELP gvisor_watch_containers Running containers, by the runtime that they asked for.",
        "# TYPE gvisor_watch_containers gauge",
    );
    for my $runtime (sort keys %count) {
        (my $value = $runtime) =~ s/(["\\])/\\$1/g;
        my %is = %{$count{$runtime}};
        push @lines, qq(gvisor_watch_containers{runtime="$value",sandboxed="$_"} $is{$_}) for sort keys %is;
    }
    push @lines, "# HELP gvisor_watch_unsandboxed Containers that must run in a sandbox and do not.",
        "# TYPE gvisor_watch_unsandboxed gauge", "gvisor_watch_unsandboxed $bare",
        "# HELP gvisor_watch_last_run_timestamp_seconds When all containers were last looked at.",
        "# TYPE gvisor_watch_last_run_timestamp_seconds gauge",
        "gvisor_watch_last_run_timestamp_seconds " . time;
    my $beside = "$policy->{textfile}.new";
    unlink $beside;
    sysopen my $file, $beside, O_WRONLY | O_CREAT | O_EXCL, 0644 or die "$!\n";
    chmod 0644, $file;
    utf8::encode(my $text = join "\n", @lines, "");
    print {$file} $text or die "$!\n";
    close $file or die "$!\n";
    rename $beside, $policy->{textfile} or die "$!\n";
}
