# Prints for the node's fact where each container would run after its next start. Comes after preview.pl. Arguments:
# a word, and Docker's socket.
use strict;
use warnings;

if (!eval { print told(); 1 }) { print "preview_error ", quoted($@), "\n" }
print "preview told\n";

sub told {
    my ($code, $body) = ask("GET", "/info", 20);
    die "Docker answers HTTP $code to /info\n" unless $code == 200;
    my $info = Json::decode($body);
    my $root = Container::bytes($info->{DockerRootDir}) // die "Docker names no data root\n";
    $Preview::runtimes = Container::bytes($info->{Runtimes} // {});
    ($code, $body) = ask("GET", "/containers/json?all=1", 20);
    die "Docker answers HTTP $code to /containers/json\n" unless $code == 200;
    local $SIG{ALRM} = sub { die "no decision within 20 s\n" };
    alarm 20;
    my $text = join "", map { line_of($root, $_->{Id}) } @{Json::decode($body)};
    alarm 0;
    return $text unless $Preview::policy;
    return $text . join "", map { image_line($_) } Preview::unaccepted_images();
}

sub line_of {
    my ($root, $id) = @_;
    my ($container, @place);
    if (!eval { $container = Container::read_container($root, $id); @place = Preview::place($container); 1 }) {
        my $why = $@;
        die $why if $why =~ /^no decision within/;
        return "" unless -d "$root/containers/$id"; # removed since
        @place = ("refused", "Docker's files about it cannot be read: " . ($why =~ s/\s+\z//r), "start");
    }
    return "" unless @place;
    my %told = (id => $id, name => $container->{name} // substr($id, 0, 12), asked => $container->{host}{Runtime} // "");
    @told{qw(where why when)} = @place;
    return "place {" . join(",", map { qq("$_":) . quoted($told{$_}) } sort keys %told) . "}\n";
}

sub image_line {
    my ($image) = @_;
    my ($names, $shapes) = map { join ",", map { quoted($_) } @{$image->{$_}} } qw(names shapes);
    return 'unaccepted {"id":' . quoted($image->{id}) . qq(,"names":[$names],"shapes":[$shapes]}\n);
}

sub quoted { # a text as a JSON string in ASCII; "?" for bytes of a text that is not UTF-8
    my ($text) = @_;
    utf8::decode($text) or $text =~ s/[^\x00-\x7f]/?/g;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/([^\x20-\x7e])/join "", map { sprintf "\\u%04x", $_ } units(ord $1)/ge;
    return qq("$text");
}

sub units { return $_[0] > 0xffff ? (0xd7c0 + ($_[0] >> 10), 0xdc00 + ($_[0] & 0x3ff)) : $_[0] }
