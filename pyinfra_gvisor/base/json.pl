#!/usr/bin/perl
# Parses JSON with perl-base only. Comes before the files that use it.
use strict;
use warnings;
no warnings qw(recursion);

package Json;

# Any value, whole, and in "o" the value if it has members. In pieces of 9,999, as perl repeats a group 65,534 times at
# most: a text with more escapes than that must not end the reading early.
our $text_of = qr/(?:(?:[^"\\]++|\\.){1,9999}+)*+/s;
our $value = qr/(?<v>(?<o>[{\[](?:(?:(?&s)|[^{}\[\]"]++|(?&o)){1,9999}+)*+[}\]])|(?<s>"$text_of")|[^,}\]\s]++)/s;

sub members { # the members of an object as raw text, by name: of large objects only a few are parsed
    my ($text) = @_;
    my %all;
    $text =~ /\A\s*\{/gc or return \%all;
    while ($text =~ /\G\s*,?\s*"($text_of)"\s*:\s*$value/gc) { $all{$1} //= $+{v} }
    $text =~ /\G\s*\}\s*\z/gc or die "incomplete JSON\n";
    return \%all;
}

sub items { # the items of a list as raw text
    my ($text) = @_;
    my @all;
    $text =~ /\A\s*\[/gc or return ();
    while ($text =~ /\G\s*,?\s*$value/gc) { push @all, $+{v} }
    $text =~ /\G\s*\]\s*\z/gc or die "incomplete JSON\n";
    return @all;
}

sub decode { # parses a text; strings are characters, not bytes
    my ($text) = @_;
    utf8::decode($text);
    pos($text) = 0;
    my $value = value(\$text);
    $text =~ /\G\s*\z/gc or die "text after the JSON\n";
    return $value;
}

sub value { # parses the next value of the text that $_[0] refers to
    my ($text) = @_;
    return string($text) if $$text =~ /\G\s*"/gc;
    return $1 if $$text =~ /\G\s*(-?[0-9][0-9.eE+-]*)/gc;
    return $1 eq "true" if $$text =~ /\G\s*(true|false)\b/gc;
    return undef if $$text =~ /\G\s*null\b/gc;
    return several($text, "]", sub { value($text) }) if $$text =~ /\G\s*\[/gc;
    return {@{several($text, "}", sub { member($text) })}} if $$text =~ /\G\s*\{/gc;
    die "incomplete JSON\n";
}

sub several { # parses a comma-separated list with $_[2], up to $_[1]
    my ($text, $end, $read) = @_;
    my @found;
    return \@found if $$text =~ /\G\s*\Q$end\E/gc;
    do { push @found, $read->() } while $$text =~ /\G\s*,/gc;
    $$text =~ /\G\s*\Q$end\E/gc or die "incomplete JSON\n";
    return \@found;
}

sub member {
    my ($text) = @_;
    $$text =~ /\G\s*"/gc or die "incomplete JSON\n";
    my $name = string($text);
    $$text =~ /\G\s*:/gc or die "incomplete JSON\n";
    return ($name, value($text));
}

sub string { # parses what follows an opening quote; in pieces, as perl repeats a group 65,534 times at most
    my ($text) = @_;
    my %plain = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");
    my $read = "";
    while ($$text !~ /\G"/gc) {
        if ($$text =~ /\G([^"\\]+)/gc) { $read .= $1 }
        elsif ($$text =~ /\G\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})/gci) {
            $read .= chr(0x10000 + ((hex($1) & 0x3ff) << 10) + (hex($2) & 0x3ff));
        }
        elsif ($$text =~ /\G\\u([0-9a-f]{4})/gci) { $read .= chr hex $1 }
        elsif ($$text =~ /\G\\(.)/gcs) { $read .= $plain{$1} // $1 }
        else { die "incomplete JSON\n" }
    }
    return $read;
}

package main;
