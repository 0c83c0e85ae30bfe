# Finds options of the log driver journald with which lines of a container would pass for those of the node. Comes after
# container.pl. Source: moby daemon/logger/journald/journald.go, which sets SYSLOG_IDENTIFIER to the tag.
use strict;
use warnings;

package Journal;

# Fields by which journalctl and others know who wrote a line: systemd.journal-fields(7), journalctl(1), -u and -t.
my $fields = qr/^(?:SYSLOG_|OBJECT_|COREDUMP_|CONTAINER_|CODE_|MESSAGE|PRIORITY|IMAGE_NAME|UNIT\z|USER_UNIT\z)/;

sub forges {
    my ($container, $option, $value) = @_;
    if ($option eq "tag") { return is_the_nodes(rendered($container, $value)) }
    if ($option =~ /^(?:labels|env)-regex\z/) { return $value ne "" }
    return $option =~ /^(?:labels|env)\z/ && grep { field($_) =~ $fields } split /,/, $value;
}

sub field { return uc($_[0]) =~ s/[^A-Z0-9]/_/gr =~ s/^_+//r } # what the driver makes of a name: sanitizeKeyMod

sub rendered { # the tag of a container; undef if the template is of a kind that is not known
    my ($container, $tag) = @_;
    my ($id, $image) = ($container->{id}, $container->{image_id} =~ s/^sha256://r);
    my %of = (ID => substr($id, 0, 12), FullID => $id, Name => $container->{name}, DaemonName => "docker",
        ImageName => $container->{config}{Image} // "", ImageID => substr($image, 0, 12), ImageFullID => $image);
    $tag =~ s/\{\{\s*\.(\w+)\s*\}\}/$of{$1} \/\/ "{{"/ge;
    return $tag =~ /\{\{/ ? undef : $tag;
}

# Whether lines with this name are taken for those of the node's system, of a unit, or of a program that a unit starts.
sub is_the_nodes {
    my ($name) = @_;
    return 1 unless defined $name;
    my ($word) = lc($name) =~ m{^[\s(]*([^\s\[\]():/]*)}; # what rsyslog takes for the name of the program
    return 0 if $word =~ /^(?:docker)?\z/; # the units call dockerd "dockerd"
    return 1 if $word =~ /^(?:pyinfra-gvisor|systemd|sshd|dockerd|containerd)/; # they have parts: sshd-session
    return 1 if $word =~ /^(?:kernel|auditd?|sudo|su|crond?|login)\z/; # an app may be called supabase or login-api
    return scalar grep { lc eq $word } map { programs($_) } map { glob "$_/*.service" } qw(/etc/systemd/system /run/systemd/system /usr/lib/systemd/system);
}

sub programs { # the names in the journal of what a unit starts
    my ($unit) = @_;
    my ($name) = $unit =~ m{([^/]*?)@?\.service\z};
    my $text = eval { Container::text_of($unit) } // "";
    return ($name, $text =~ /^\s*SyslogIdentifier\s*=\s*(\S+)/m, $text =~ m{^\s*ExecStart\s*=\s*[-@:+!|]*(?:\S*/)?(\S+)}mg);
}

package main;
