# Says what create.pl would decide about a container at its next start. Comes after docker_api.pl, runc_names.pl,
# places.pl, container.pl, seal.pl, choose.pl and the variables that preview.py sets: $policy (undef: there is none),
# $seals by name of a declared runtime, $default (the name of the default runtime), $takes_runc (whether containers
# that ask for runc are handled like those that ask for nothing).
use strict;
use warnings;

package Preview;

our $runtimes = {}; # what dockerd has registered, by name: preview_told.pl

# Returns where a container would run ("runc", "sandbox" or "refused"), why, and when: at its next "start", or only
# when it is "recreated", because it was created with a runtime that is not ours. Empty: nothing of ours decides.
sub place {
    my ($container) = @_;
    my $asked = $container->{host}{Runtime} // "";
    if ($asked ne $Preview::default && $Preview::seals->{$asked}) {
        return (sealed($container, $asked, "runtime $asked"), "start");
    }
    return () unless $Preview::policy;
    my $is_ours = $asked eq "" || $asked eq $Preview::default || $Preview::takes_runc && is_runc($asked);
    my ($where, $why) = Choose::where($container, $Preview::policy);
    return ($where eq "sandbox" ? sealed($container, $Preview::default, $why) : ($where, $why), $is_ours ? "start" : "recreated");
}

sub is_runc { return main::asks_for_runc($_[0], $runtimes->{$_[0]}) }

sub sealed {
    my ($container, $runtime, $why) = @_;
    my ($refused, $stripped) = Seal::asked_in_vain($container, $Preview::seals->{$runtime}, undef, $Preview::policy);
    return ("refused", join "; ", @$refused, grep { /^not the accepted / } $why) if @$refused;
    my @gone = map { @{$stripped->{$_}} } sort keys %$stripped;
    return ("sandbox", join "; ", $why, @gone ? "without " . join ", ", @gone : ());
}

# Returns whether the policy names a container. One that asks for a declared runtime by name never gets runc.
sub is_infrastructure {
    my ($root, $id) = @_;
    my $container = Container::read_container($root, $id);
    my $asked = $container->{host}{Runtime} // "";
    return "" if $asked ne $Preview::default && $Preview::seals->{$asked};
    return (Choose::where($container, $Preview::policy))[0] eq "runc";
}

# Returns the images of known shapes that no entry of the policy accepts: {id, names, shapes, recorded}.
sub unaccepted_images {
    my %accepted = map { $_->{image} => 1 } @{$Preview::policy->{entries}};
    my @found;
    for my $image (@{listed_images()}) {
        my @names = map { Container::bytes($_) } @{$image->{RepoTags} // []}, @{$image->{RepoDigests} // []};
        my @shapes = grep { my $shape = $_; grep { Choose::is_image_of($_, $shape) } @names } @{$Preview::policy->{shapes}};
        next if !@shapes || $accepted{$image->{Id}};
        @names = grep { Choose::is_image_of($_, $shapes[0]) } @names;
        push @found, {id => $image->{Id}, names => \@names, shapes => [map { $_->{name} } @shapes], recorded => $shapes[0]{recorded}};
    }
    return @found;
}

sub listed_images { # only images of shapes: with containerd's store, a long list takes seconds
    my @names = map { s{^docker\.io/(?:library/)?}{}r } # as Docker lists them
        map { @{$_->{repositories}} } @{$Preview::policy->{shapes}} or return [];
    my $filter = '{"reference":[' . join(",", map { qq("$_") } @names) . "]}";
    $filter =~ s/([^A-Za-z0-9._-])/sprintf "%%%02X", ord $1/ge;
    my ($code, $body) = main::ask("GET", "/images/json?filters=$filter", 20);
    die "Docker answers HTTP $code to /images/json\n" unless $code == 200;
    return Json::decode($body);
}

package main;
