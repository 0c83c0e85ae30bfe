# Says what a build step asks for that a sandbox may not have. Comes after json.pl, container.pl and seal.pl. BuildKit mounts
# nothing of the node into a step. Settings: those of Seal in seal.py; what a container loses, a build step is refused.
use strict;
use warnings;

package Build;

# Returns what is refused, a phrase each. $spec is the text of config.json in the bundle.
sub asked_in_vain {
    my ($seal, $spec) = @_;
    my $all = Json::members($spec);
    my $linux = Json::members($all->{linux} // "");
    my %asked = (
        host_namespaces => [map { "$_ namespace of the node" } grep { !has_own($linux, $_) } qw(network pid ipc)],
        privileged => [is_insecure($all) ? "--security=insecure" : ()],
        devices => [map { "device " . Container::read_raw($_)->{path} } Json::items($linux->{devices} // "[]")],
    );
    my @found = map { @{$asked{$_}} } grep { $seal->{$_} ne "allow" } sort keys %asked;
    return (@found, Seal::control_group(Container::read_raw($linux->{cgroupsPath})));
}

sub has_own {
    my ($linux, $kind) = @_;
    return scalar grep { $_->{type} eq $kind } @{Container::read_raw($linux->{namespaces}) // []};
}

sub is_insecure { # BuildKit gives such a step every capability
    my ($all) = @_;
    my $given = Json::members(Json::members($all->{process} // "")->{capabilities} // "")->{bounding} // "[]";
    return scalar grep { $_ eq '"CAP_SYS_ADMIN"' } Json::items($given);
}

package main;
