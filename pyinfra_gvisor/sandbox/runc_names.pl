# Say which runtimes of Docker start the program that containerd finds by the name of runc, as verdict.py does. Comes
# before verdict.pl and preview.pl.
use strict;

my $runc_shim = qr{(?:^|[./-])runc[.-]v[0-9]+\z|^io\.containerd\.runtime\.v1\.linux\z};

sub asks_for_runc { # $asked: the runtime's name; $entry: what dockerd has registered by this name, undef for nothing
    my ($asked, $entry) = @_;
    if (!$entry) { return $asked eq "runc" || $asked =~ $runc_shim }
    if (($entry->{path} // "") ne "") { return $entry->{path} eq "runc" }
    return $asked eq "runc" || ($entry->{runtimeType} // "") =~ $runc_shim && !names_a_program($entry->{options});
}

# Whether options of runc's shim name another program. Docker reads their names in several spellings: go-toml.
sub names_a_program { return scalar grep { lc eq "binaryname" } keys %{$_[0] // {}} }
