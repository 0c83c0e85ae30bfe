#!/usr/bin/perl
# Prints the runtimes that dockerd has registered, its default one, and its version. Comes after docker_api.pl.
use strict;
use warnings;

my ($code, $body) = ask("GET", "/info", 20);
die "answer $code\n" unless $code == 200;
my $info = json($body);
binmode STDOUT, ":utf8";
print "runtime $_ ", $info->{Runtimes}{$_}{path} // "", "\n" for sort keys %{$info->{Runtimes}};
print "default $info->{DefaultRuntime}\n";
print "server ", $info->{ServerVersion} // "", "\n";
