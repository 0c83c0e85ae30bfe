# Prints the names of all containers, and the images and containers that may be infrastructure, a line of JSON each.
# Comes after json.pl, docker_api.pl and docker_answers.pl. Of variables whose name or value looks like a secret it prints only the name.
# Arguments: a word, Docker's socket, a regular expression for the names of secrets, and three lists with an item a line:
# names of images without tag, images or containers that were asked for, and keys of HostConfig.
use strict;
use warnings;

my (undef, undef, $secret, $repositories, $wanted, $options) = @ARGV;
my %of_shape = map { $_ => 1 } split /\n/, $repositories;
my @wanted = split /\n/, $wanted;
my @named = grep { !/^(?:sha256:)?[0-9a-f]+\z/ } @wanted; # digits are an id, whatever a container is called
my @image = qw(Id RepoTags RepoDigests Created Size);
my @config = qw(Image Entrypoint Cmd User WorkingDir Healthcheck Shell OpenStdin Tty Volumes);
my %label = map { $_ => 1 } qw(com.docker.compose.project com.docker.compose.service
    com.docker.compose.project.working_dir com.docker.compose.project.config_files coolify.managed coolify.proxy coolify.type coolify.name);
my %printed;

my @containers = candidates();
my %used = map { plain(Json::members($_)->{Image}) => 1 } @containers;
print_image($_) for Json::items(got("/images/json"));
print_image(qq({"Id":"$_"})) for grep { !$printed{$_} } sort keys %used; # an image that has lost its tag
print_container($_) for @containers;
print "end of images\n";

sub is_wanted { my ($id) = @_; return scalar grep { $id =~ /^(?:sha256:)?\Q$_\E/ } map { s/^sha256://r } grep { /^(?:sha256:)?[0-9a-f]{12,64}\z/ } @wanted }

sub candidates {
    my @found;
    for my $listed (Json::items(got("/containers/json?all=1"))) {
        my ($name) = Json::items(Json::members($listed)->{Names} // "[]");
        say_json("name", qq("Name":$name)) if $name;
        my $body = got("/containers/" . plain(Json::members($listed)->{Id}) . "/json") // next;
        push @found, $body if is_candidate(Json::members($body));
    }
    return @found;
}

sub is_candidate { # what would fail in a sandbox, what a shape may know, and what was asked for
    my ($top) = @_;
    my ($config, $host) = (Json::members($top->{Config}), Json::members($top->{HostConfig}));
    my $name = plain($top->{Name}) =~ s{^/}{}r;
    return 1 if is_wanted(plain($top->{Id})) || is_wanted(plain($top->{Image})) || grep { $_ eq $name } @named;
    return 1 if $of_shape{repository(plain($config->{Image}))} || ($host->{Privileged} // "") eq "true";
    return 1 if grep { plain($host->{$_}) eq "host" } qw(NetworkMode PidMode);
    return scalar grep { plain(Json::members($_)->{Source}) =~ m{/docker\.sock\z} } Json::items($top->{Mounts} // "[]");
}

sub print_image {
    my ($listed) = @_;
    my $id = plain(Json::members($listed)->{Id});
    return unless $used{$id} || is_wanted($id) || grep { $of_shape{repository($_)} } names(Json::members($listed));
    my $top = Json::members(got("/images/$id/json") // return);
    my $config = Json::members($top->{Config} // "{}");
    my $store = defined $top->{Descriptor} || plain(Json::members($top->{GraphDriver} // "{}")->{Name}) eq "" ? "true" : "false";
    $printed{$id} = 1;
    say_json("image", object($top, @image), qq("Config":{) . configured($config) . "}", qq("Containerd":$store));
}

sub repository { # the name of an image without tag and digest, with its registry: docker.io is Docker's own
    my ($name) = $_[0] =~ s/@.*//sr =~ s{:[^/:]*\z}{}r;
    $name =~ s{^index\.docker\.io/}{docker.io/};
    return $name if $name =~ m{^(?:[^/]*[.:][^/]*|localhost)/};
    return "docker.io/" . ($name =~ m{/} ? $name : "library/$name");
}

sub names { my ($top) = @_; return map { plain($_) } map { Json::items($top->{$_} // "[]") } qw(RepoTags RepoDigests) }

sub print_container {
    my $top = Json::members($_[0]);
    my ($config, $host) = (Json::members($top->{Config}), Json::members($top->{HostConfig}));
    my $labels = Json::members($config->{Labels} // "{}");
    my $kept = join ",", map { qq("$_":$labels->{$_}) } grep { $label{$_} } sort keys %$labels;
    my @mounts = map { mount(Json::members($_)) } Json::items($top->{Mounts} // "[]");
    my $running = Json::members($top->{State} // "{}")->{Running} // "false";
    say_json("container", object($top, qw(Id Name Image Path Args)), qq("Running":$running),
        qq("Config":{) . join(",", grep { $_ } configured($config), qq("Labels":{$kept})) . "}",
        qq("HostConfig":{) . object($host, split /\n/, $options) . "}", qq("Mounts":[) . join(",", @mounts) . "]");
}

sub mount { # with the options of a volume, by which it may be a directory of the node
    my ($point) = @_;
    my @members = object($point, qw(Type Name Source Destination Driver RW));
    if (plain($point->{Type}) eq "volume" && plain($point->{Driver}) =~ /^(?:local)?\z/) {
        my $options = Json::members(got("/volumes/" . plain($point->{Name})) // "{}")->{Options} // "null";
        push @members, qq("Options":$options);
    }
    return "{" . join(",", @members) . "}";
}

sub configured {
    my ($config) = @_;
    my @env = map { is_secret(plain($_)) ? quoted(plain($_) =~ s/=.*//sr) : $_ } Json::items($config->{Env} // "[]");
    return join ",", grep { $_ } object($config, @config), qq("Env":[) . join(",", @env) . "]";
}

sub is_secret {
    my ($name, $value) = split /=/, $_[0], 2;
    return lc($name) =~ s/[^a-z0-9]//gr =~ /$secret/ || ($value // "") =~ m{://[^/\s@]*:[^/\s]*@|-----BEGIN };
}
