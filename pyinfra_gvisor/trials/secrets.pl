# Hides the secrets of a container in texts that leave the node. Comes after docker_answers.pl and before trial.pl.
use strict;
use warnings;

my $shortest = 4; # characters: a shorter one would hide half of every line
my $most_bytes = 8192; # of a line: longer ones are cut
my (@hidden, $names);

sub hide { # Config of a container, and a regular expression for the names of secrets
    my ($config, $secret) = @_;
    $names = $secret;
    my %found = map { $_ => 1 } map { spellings($_) } values_of_environment($config), secret_words($config, $secret);
    @hidden = sort { length $b <=> length $a || $a cmp $b } grep { length $_ >= $shortest } keys %found;
}

sub values_of_environment {
    my ($config) = @_;
    my @values = map { plain($_) =~ s/\A[^=]*=//sr } Json::items($config->{Env} // "[]");
    return map { ($_, split(/[\r\n]+/, $_), map({ ($_, decoded($_)) } passwords($_), named($_))) } @values;
}

sub named { # values of pairs inside, as in JSON, query strings and settings of databases
    my ($text) = @_;
    my @found;
    while ($text =~ /([\w.-]+)["']?\s*[=:]\s*["']?([^\s;&,"'{}]+)/g) { push @found, $2 if names_secret($1, $names) }
    return @found;
}
sub decoded { return $_[0] =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger }

sub passwords { return ($_[0] =~ m{://([^/\s]*?):?([^/\s:]*)@}g, $_[0] =~ m{://[^:@/\s]*:(\S+)@}g) } # in addresses: user and password

sub secret_words { # of the command line, words inside of scripts as well
    my ($config, $secret) = @_;
    my @found;
    for my $key (qw(Entrypoint Cmd)) {
        my $flag = "";
        for my $word (map { split /[\s"';|&()]+/, plain($_) } Json::items($config->{$key} // "[]")) {
            my ($name, $value) = $word =~ /\A(-{0,2}[\w.-]+)=(.+)/s ? ($1, $2) : ($flag, $word);
            push @found, $value if names_secret($name, $secret) || $name =~ /\A-[apu]\z/ || is_random($value);
            push @found, substr($word, 2) if $word =~ /\A-[apu]./;
            push @found, passwords($word);
            $flag = $word =~ /\A-/ ? $word : "";
        }
    }
    return @found;
}

sub names_secret { my ($name, $secret) = @_; return (lc($name) =~ s/[^a-z0-9]//gr) =~ /$secret/ }
sub is_random { return $_[0] =~ m{\A(?=.*[0-9])(?=.*[A-Za-z])[^\s/]{8,}\z}s } # may be a token

sub spellings { # as a program may print it
    my ($text) = @_;
    return ($text, $text =~ s/(["\\])/\\$1/gr, $text =~ s/([^\w.~-])/sprintf "%%%02X", ord $1/ger, $text =~ s/\s+/ /gr);
}

sub told { # a text as one line without secrets
    my ($text, $most) = @_;
    $text =~ s/\Q$_\E/***/g for @hidden;
    $text = substr $text, 0, $most_bytes;
    $text =~ s/\e\[[\d;]*[A-Za-z]//g;
    $text =~ s/((?:passw(?:or)?d|secret|token|api.?key|credentials?)["']?\s*(?:[=:]|\bis\b)\s*).+/$1***/gi;
    $text =~ s/\b(authorization|bearer)\b.+/$1 ***/gi;
    $text =~ s/(?<![\w+\/=.-])(?=[\w+\/=-]*[0-9])(?=[\w+\/=-]*[A-Za-z])[\w+=-][\w+\/=-]{23,}/***/g;
    $text =~ s/[^\x20-\x7e]+/ /g;
    return substr($text, 0, $most);
}
