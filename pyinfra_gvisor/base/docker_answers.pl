# Takes what is wanted from Docker's answers, as JSON text. Comes after docker_api.pl and before others.
use strict;
use warnings;

my $limit_s = 30; # for an answer of Docker's

sub got { # the body of an answer; undef if the thing was removed in the meantime
    my ($path) = @_;
    my ($code, $body) = ask("GET", $path, $limit_s);
    return undef if $code == 404;
    die "Docker answers $code to $path\n" unless $code == 200 && $body =~ /[\]}]\s*\z/;
    return $body;
}

sub plain { my $text = defined $_[0] ? Json::decode($_[0]) // "" : ""; utf8::encode($text); return $text } # bytes of a JSON string
sub quoted { # a text of any bytes as a JSON string in ASCII
    my ($text) = @_;
    utf8::decode($text) or $text =~ s/[^\x00-\x7f]/?/g;
    return '"' . $text =~ s/([^\x20-\x7e]|["\\])/escaped(ord $1)/ger . '"';
}
sub object { my ($all, @names) = @_; return join ",", map { qq("$_":$all->{$_}) } grep { defined $all->{$_} } @names }

sub say_json { # in ASCII: facts print "?" for any other byte
    my ($word, @members) = @_;
    my $text = "{" . join(",", grep { $_ } @members) . "}";
    utf8::decode($text);
    $text =~ s/([^\x00-\x7f])/escaped(ord $1)/ge;
    print "$word $text\n";
}

sub escaped {
    my ($code) = @_;
    return sprintf "\\u%04x", $code if $code < 0x10000;
    $code -= 0x10000;
    return sprintf "\\u%04x\\u%04x", 0xd800 | $code >> 10, 0xdc00 | $code & 0x3ff;
}
