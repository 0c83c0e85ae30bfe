#!/usr/bin/perl
# Puts one of a change's texts in the place of daemon.json, with everything that other programs have written there
# since the change began. Comes after json.pl. Arguments: the directory of the texts, the file, the text; another one:
# a key that somebody else has changed keeps its value, instead of an error. Prints same, ours or merged.
use strict;
use warnings;
no warnings qw(once); # the variables of json.pl
use IO::Handle;

use constant {ENOENT => 2, EEXIST => 17, EINVAL => 22, ENOSYS => 38};
my $patience_s = 3; # a program that writes into the file leaves it incomplete for a moment
my ($staged, $target, $name, $going_back) = @ARGV;
my $next = "$staged/.next";
opendir(my $listing, $staged) or die "cannot read $staged: $!\n";
my %texts = map { $_ => slurp("$staged/$_") } grep { !/^\./ } readdir $listing;
$texts{$_} //= undef for qw(old after); # no file: the other texts are always files
my %known = map { $_ => 1 } grep { defined } values %texts;
print put();

sub put {
    for (1 .. 200) {
        my ($theirs, $ours) = (settled(), $texts{$name});
        my $untouched = defined $theirs ? $known{$theirs} : grep { !defined } values %texts;
        my $text = $untouched ? $ours : merged($theirs, $ours);
        return "same" if equal($text, $theirs);
        stage($text, $untouched ? "$staged/$name" : $target);
        next if !equal(slurp($target), $theirs);
        return $untouched ? "ours" : "merged" if swap($theirs);
    }
    refuse("another program keeps changing $target");
}

sub stage { # a full disk has room for a hard link only
    my ($text, $like) = @_;
    unlink $next;
    return if !defined $text;
    my ($mode, $user, $group) = (stat $like)[2, 4, 5];
    return if spill($next, $text) && chmod(($mode // 0644) & 07777, $next) && chown($user // 0, $group // 0, $next);
    my $why = $!;
    unlink $next;
    $like ne $target && link($like, $next) or die "cannot write $next: $why\n";
}

sub equal { # two texts or files that do not exist
    my ($one, $other) = @_;
    return defined $one ? defined $other && $one eq $other : !defined $other;
}

sub settled { # what is there now, once it is JSON
    for (1 .. $patience_s * 10) {
        my $text = slurp($target);
        return $text if !defined $text || $known{$text} || eval { Json::decode($text); members($text); 1 };
        select(undef, undef, undef, 0.1);
    }
    refuse("another program has left no JSON object in it");
}

sub merged { # $theirs with the values of $ours at the paths where our texts differ; undef: no file
    my ($theirs, $ours) = @_;
    my $text = adopt($theirs // "{\n}\n", [], $ours // "{}", map { $_ // "{}" } values %texts);
    return undef if !members($text) && !(defined $ours && defined $theirs);
    return $text;
}

sub adopt { # $wanted and @texts are the raw values there; others may have entries of their own in an object
    my ($text, $path, $wanted, @texts) = @_;
    return $text if keys %{{map { ($_ // "") => 1 } @texts}} == 1;
    my $there = at($text, @$path);
    if (@$path < 2 && !grep { defined && !/\A\s*(\{|\z)/ } $there, @texts) {
        my ($ours, @all) = map { {map { $_->{key} => $_->{raw} } members($_)} } $wanted, @texts;
        for my $name (sort keys %{{map { %$_ } @all}}) {
            $text = adopt($text, [@$path, $name], $ours->{$name}, map { $_->{$name} } @all);
        }
        return $text if !@$path || %$ours || members(at($text, @$path));
        return set($text, $wanted, @$path);
    }
    my %written = map { canonical($_) => 1 } @texts;
    return $text if keys %written == 1 || canonical($there) eq canonical($wanted);
    return set($text, $wanted, @$path) if $written{canonical($there)};
    return $text if $going_back;
    refuse("another program has just changed /" . join("/", @$path) . ", which this change sets");
}

sub canonical { # a raw value in a form that is the same for equal values; empty for none
    my ($raw) = @_;
    $raw //= "";
    return "{" . join(",", sort map { "$_->{key}:" . canonical($_->{raw}) } members($raw)) . "}" if $raw =~ /\A\s*\{/;
    return "[" . join(",", map { canonical($_) } Json::items($raw)) . "]" if $raw =~ /\A\s*\[/;
    return '"' . Json::decode($raw) if $raw =~ /\A\s*"/;
    return $raw =~ s/\s+//gr;
}

sub members { # of a raw object, in order, with the offsets of key, value and end
    my ($raw) = @_;
    my (@found, %names);
    return if !defined $raw || $raw !~ /\S/;
    $raw =~ /\A\s*\{/gc or refuse("another program has left no JSON object in it");
    while ($raw =~ /\G\s*,?\s*"($Json::text_of)"\s*:\s*$Json::value/gc) {
        push @found, {start => $-[1] - 1, value => $-[2], end => $+[2], raw => $2, key => Json::decode("\"$1\"")};
        refuse("another program has written $found[-1]{key} twice") if $names{$found[-1]{key}}++;
    }
    $raw =~ /\G\s*\}\s*\z/gc or refuse("another program has left no JSON object in it");
    return @found;
}

sub at { # the raw value at a path, undef if there is none
    my ($raw, @path) = @_;
    for my $name (@path) {
        my ($found) = grep { $_->{key} eq $name } members($raw);
        $raw = $found && $found->{raw};
    }
    return $raw;
}

sub set { # a raw object with another raw value at a path; undef: without it
    my ($text, $raw, $name, @inner) = @_;
    my @all = members($text);
    my ($place) = grep { $all[$_]{key} eq $name } 0 .. $#all;
    return $text if !defined $place && !defined $raw;
    $raw = set(defined $place ? $all[$place]{raw} : "{}", $raw, @inner) if @inner;
    if (!defined $place) { return insert($text, written($name) . ": $raw", @all) }
    my $one = $all[$place];
    my ($start, $end) = ($one->{value}, $one->{end});
    if (!defined $raw && $place) { $start = $all[$place - 1]{end} }
    elsif (!defined $raw && @all > 1) { ($start, $end) = ($one->{start}, $all[1]{start}) }
    elsif (!defined $raw) { ($start, $end) = (index($text, "{") + 1, rindex($text, "}")) }
    return substr($text, 0, $start) . ($raw // "") . substr($text, $end);
}

sub insert { # a member after the last one
    my ($text, $member, @all) = @_;
    $text = "{\n}\n" if $text !~ /\S/;
    my ($lead) = $text =~ /\A\s*\{(\s*)/;
    return substr($text, 0, $all[-1]{end}) . "," . ($lead || " ") . $member . substr($text, $all[-1]{end}) if @all;
    $member = "\n    $member\n" if $lead =~ /\n/;
    return $text =~ s/\{\s*\}/{$member}/r;
}

sub written { # a name as JSON
    my ($name) = @_;
    $name =~ s/(["\\])/\\$1/g;
    $name =~ s/([\x00-\x1f])/sprintf "\\u%04x", ord $1/ge;
    utf8::encode($name);
    return "\"$name\"";
}

sub swap { # what is replaced must be a text of ours or the one that was seen; otherwise it goes back. True: done
    my ($theirs) = @_;
    my $is_seen = sub { my ($text) = @_; $known{$text} || equal($text, $theirs) };
    return take_away($is_seen) if !-e $next;
    return move($next, $target, 1) if !-e $target;
    my $ours = slurp($next);
    move($next, $target, 2) or return 0;
    return 1 if $is_seen->(slurp($next));
    for (1, 2) { # somebody may write once more while it goes back: the newest file counts
        move($next, $target, 2) or last;
        last if slurp($next) eq $ours;
    }
    return 0;
}

sub take_away {
    my ($is_seen) = @_;
    if (!rename $target, $next) { return $! == ENOENT || die "cannot remove $target: $!\n" }
    return 1 if $is_seen->(slurp($next));
    move($next, $target, 1); # a newer file that is there by now counts
    return 0;
}

sub move { # flags of renameat2(2): 1 fails if the target exists, 2 exchanges both. False: try again
    my ($from, $to, $flags) = @_;
    my $machine = `uname -m`;
    my $number = $machine =~ /^x86_64/ ? 316 : $machine =~ /^aarch64/ ? 276 : -1;
    my $cwd = -100; # AT_FDCWD
    return 1 if syscall($number, $cwd, $from, $cwd, $to, $flags) == 0;
    return 0 if $! == EEXIST || $! == ENOENT;
    die "cannot write $to: $!\n" if $! != ENOSYS && $! != EINVAL;
    return move_without_exchange($from, $to, $flags); # a file system or a kernel without this
}

sub move_without_exchange {
    my ($from, $to, $flags) = @_;
    if ($flags == 1) { return link($from, $to) && unlink($from) }
    my $kept = "$staged/.kept";
    unlink $kept;
    link($to, $kept) or return 0;
    rename($from, $to) && rename($kept, $from) or die "cannot write $to: $!\n";
    return 1;
}

sub slurp { # undef if there is no such file
    my ($path) = @_;
    open(my $file, "<:raw", $path) or return $! == ENOENT ? undef : die "cannot read $path: $!\n";
    local $/;
    return <$file> // "";
}

sub spill { # true if that is on the disk
    my ($path, $text) = @_;
    open(my $file, ">:raw", $path) or return 0;
    my $written = print({$file} $text) && $file->flush && $file->sync;
    return close($file) && $written;
}

sub refuse {
    my ($why) = @_;
    utf8::encode($why);
    die "$why\n";
}
