#!/usr/bin/perl
# Writes what a node tells everybody of its isolation. Comes after json.pl. Arguments: the file; what is declared, as the
# members of a JSON object; the record of the proof, and its sha256; the sha256 of daemon.json; dockerd's version; then the
# name of each check, and 1 if it is in force.
use strict;
use warnings;
use POSIX ();

my ($path, $declared, $record, $sum, $daemon_json, $docker, %in_force) = @ARGV;
my $kernel = (POSIX::uname())[2];
my $proof = $sum && eval {
    open my $file, "<", $record or die;
    local $/;
    Json::decode(<$file>);
};
my @why = map { "$_ is not in force" } grep { !$in_force{$_} } sort keys %in_force;
if (!$proof) { push @why, "isolation was never proven" }
elsif (@{$proof->{failed} // []}) { push @why, "the last proof failed" }
elsif (!$proof->{kernel}) { push @why, "the last proof does not say of what; run pyinfra-gvisor apply --proof" }
else {
    my @now = ([kernel => $kernel], [docker => $docker], [daemon_json => $daemon_json]);
    my %called = (kernel => "the kernel", docker => "dockerd", daemon_json => "daemon.json");
    push @why, map { "$called{$_->[0]} is another one than was proven" } grep { $_->[1] ne ($proof->{$_->[0]} // "") } @now;
}

sub text { # a JSON string, or null
    my ($text) = @_;
    return "null" if !defined $text || $text eq "";
    $text =~ s/([\\"[:cntrl:]])/sprintf "\\u%04x", ord $1/ge;
    return qq("$text");
}

sub proven {
    return "null" if !$proof;
    my $held_at = @{$proof->{failed} // []} ? $proof->{held_at} : $proof->{at};
    return sprintf '{"at":%s,"held_at":%s,"sha256":%s}', text($proof->{at}), text($held_at), text($sum);
}

my $at = POSIX::strftime("%Y-%m-%dT%H:%M:%S+00:00", gmtime);
my $checked = join ",", map { text($_) . ":" . ($in_force{$_} ? "true" : "false") } sort keys %in_force;
unlink "$path.new";
umask 0022;
open my $file, ">", "$path.new" or die "$path.new: $!\n";
printf $file qq({"version":1,"holds":%s,"at":%s,"why":[%s],"kernel":%s,"docker":%s,"in_force":{%s},"proof":%s,%s}\n),
    @why ? "false" : "true", text($at), join(",", map { text($_) } @why), text($kernel), text($docker), $checked, proven(),
    $declared;
close $file or die "$path.new: $!\n";
rename "$path.new", $path or die "$path: $!\n";
