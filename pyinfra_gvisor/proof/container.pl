# Runs in a probe container, with perl-base only. The first argument says what to do: "serve", "look", "ask", "try"
# or "name". Prints one "observation<TAB>value" a line, and nothing for what was not observed. Python judges them.
use strict;
use warnings;
use POSIX ();
use Socket qw(:DEFAULT SOCK_NONBLOCK);

use constant NOBODY => 65534;
# syslog(2) on the architectures that gVisor runs on: include/uapi/asm-generic/unistd.h of Linux for
# aarch64, arch/x86/entry/syscalls/syscall_64.tbl for x86_64. 3 reads all messages.
use constant SYSLOG          => { x86_64 => 103, aarch64 => 116 };
use constant SYSLOG_READ_ALL => 3;
# personality(2), with a value that Docker's seccomp filter does not allow: moby/profiles, seccomp/default.json
use constant PERSONALITY => { x86_64 => 135, aarch64 => 92 };
use constant ADDR_NO_RANDOMIZE => 0x40000;

my %modes = ( serve => \&serve, look => \&look, ask => \&ask_all, try => \&try_all, name => \&name );
my $mode  = shift @ARGV;
$| = 1;
$modes{$mode}->(@ARGV);

sub see {
    my ( $key, $value ) = @_;
    $value =~ s/[\t\n]+/ /g;
    print "$key\t", substr( $value, 0, 100 ), "\n";
}

# The main process of a container. It ends by itself after $life_s, even if the proof was killed.
sub serve {
    my ( $port, $word, $life_s ) = @_;
    $SIG{TERM} = sub { POSIX::_exit(7) };
    $SIG{ALRM} = sub { POSIX::_exit(1) };
    alarm $life_s;
    socket( my $server, AF_INET, SOCK_STREAM, 0 ) or die "socket: $!\n";
    bind( $server, sockaddr_in( $port, INADDR_ANY ) ) or die "bind: $!\n";
    listen( $server, 5 ) or die "listen: $!\n";
    print "log $word\n";
    while (1) {
        accept( my $client, $server ) or next;
        syswrite $client, "$word\n";
        close $client;
    }
}

# Returns "answered" if the server sends the expected word. Retries for 10 s: a server that is not up yet refuses
# the connection, or docker-proxy accepts it and closes it.
sub asked {
    my ( $address, $port, $word ) = @_;
    my $end = time + 10;
    while (1) {
        my $said = answer( $address, $port );
        return "answered" if $said eq "$word\n";
        return $said if $said !~ /^$|refused|reset/ || time >= $end;
        select undef, undef, undef, 0.1;
    }
}

sub answer {
    my ( $address, $port ) = @_;
    my $said = eval {
        local $SIG{ALRM} = sub { die "no answer within 8 s\n" };
        alarm 8;
        my $packed = inet_aton($address) // die "no address\n";
        socket( my $socket, AF_INET, SOCK_STREAM, 0 ) or die "$!\n";
        connect( $socket, sockaddr_in( $port, $packed ) ) or die "$!\n";
        <$socket> // "";
    };
    my $why = $@;
    alarm 0;
    return defined $said ? $said : $why;
}

# Arguments "subject=observation=address=port=word". Prints "subject<TAB>observation<TAB>outcome" for each.
sub ask_all {
    for (@_) {
        my ( $subject, $key, $address, $port, $word ) = split /=/;
        print "$subject\t";
        see( $key, asked( $address, $port, $word ) );
    }
}

# Arguments "kind=address=port". Connects to all at once, for 2 s, and prints "kind<TAB>outcome" for each.
sub try_all {
    my ( %open, $ready );
    for (@_) {
        my ( $kind, $address, $port ) = split /=/;
        socket( my $socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0 ) or next;
        my $known = connect( $socket, sockaddr_in( $port, inet_aton($address) ) ) ? 0 : $! + 0;
        if   ( $known == POSIX::EINPROGRESS ) { $open{$kind} = $socket }
        else                                  { see( $kind, outcome($known) ) }
    }
    my $left_s = 2;
    while ( %open && $left_s > 0 ) {
        my $bits = "";
        vec( $bits, fileno $open{$_}, 1 ) = 1 for keys %open;
        ( $ready, $left_s ) = select undef, $bits, undef, $left_s;
        for my $kind ( grep { vec $bits, fileno $open{$_}, 1 } keys %open ) {
            see( $kind, outcome( unpack "i", getsockopt delete $open{$kind}, SOL_SOCKET, SO_ERROR ) );
        }
    }
    see( $_, "no answer" ) for keys %open;
}

sub outcome {    # an error number of connect(2) in words
    my ($error) = @_;
    my %known = ( 0 => "connected", POSIX::EHOSTUNREACH, "no route", POSIX::ECONNREFUSED, "refused" );
    return $known{$error} // do { local $! = $error; "$!" };
}

sub look {
    my ( $peer, $port, $word, $external, $setuid ) = @_;
    my ( undef, undef, $release, $version, $machine ) = POSIX::uname();
    see( "exec",           "answer " . 6 * 7 );
    see( "kernel_release", $release );
    see( "kernel_version", $version );
    see( "dmesg",          messages($machine) );
    see( "personality",    personality($machine) );
    see( "memory_inside",  memory() );
    see( "no_new_privs",   gained($setuid) ) if -u $setuid;
    sockets();
    see_address( "address", source_address($peer) );
    see_address( "dns_peer",  scalar gethostbyname $word );
    see_address( "dns_alias", scalar gethostbyname "peer" );
    see( "dns_scope", address_of("beyond.") );    # the dot keeps search domains out
    see_address( "dns_external", scalar gethostbyname $external ) if $external ne "-";
    see( "tcp_to_peer", asked( $peer, $port, $word ) );
}

# Answers when its container serves, after a restart again: before, a first process is sent SIGTERM in vain.
sub name {
    my ( $name, $port, $word ) = @_;
    asked( "127.0.0.1", $port, $word );
    print address_of($name), "\n";
}

# Resolves in a child process: only killing it ends a query before the resolver gives up.
sub address_of {
    my ($name) = @_;
    my $pid = open( my $pipe, "-|" ) // return "";
    if ( !$pid ) {
        alarm 5;
        my $packed = gethostbyname $name;
        print defined $packed && length $packed == 4 ? inet_ntoa($packed) : "unknown";
        close STDOUT;
        POSIX::_exit(0);
    }
    return <$pipe> // "no answer";
}

sub messages {
    my $number = SYSLOG->{ $_[0] } // return "";
    my $text   = "\0" x 65536;
    my $size   = syscall $number, SYSLOG_READ_ALL, $text, length $text;
    return "refused" if $size < 0;
    return "another kernel's" if index( substr( $text, 0, $size ), "Starting gVisor" ) < 0;
    return "Starting gVisor";
}

sub personality {
    my $number = PERSONALITY->{ $_[0] } // return "";
    my $before = syscall $number, ADDR_NO_RANDOMIZE;
    return $before < 0 && $! == POSIX::EPERM ? "refused" : "not refused";
}

# Returns the memory in bytes that a program believes to have: the least of the machine's memory and the limits of its
# control group, in versions 1 and 2, with paths as from a namespace of their own or without.
sub memory {
    my ($total) = map { /^MemTotal:\s+(\d+) kB/ ? $1 * 1024 : () } lines("/proc/meminfo");
    my @files = ( "memory/memory.limit_in_bytes", "memory.max" );
    for ( lines("/proc/self/cgroup") ) {
        my ( $kinds, $path ) = /^\d+:([^:]*):(.*)/ or next;
        push @files, "memory$path/memory.limit_in_bytes" if ",$kinds," =~ /,memory,/;
        push @files, "$path/memory.max" if $kinds eq "";
    }
    my @limits = map { /^(\d+)$/ } map { lines("/sys/fs/cgroup/$_") } @files;
    return ( sort { $a <=> $b } grep { defined } $total, @limits )[0] // "";
}

sub lines {
    open my $file, "<", $_[0] or return;
    return <$file>;
}

sub gained {    # whether a setuid program of root's gives root to another user
    my ($setuid) = @_;
    my $pid = open( my $pipe, "-|" ) // return "";
    if ( !$pid ) {
        POSIX::setgid(NOBODY);
        POSIX::setuid(NOBODY);
        exec $setuid, "-u" or POSIX::_exit(1);
    }
    my $user = <$pipe> // "";
    chomp $user;
    return $user eq NOBODY ? "nothing gained" : $user eq "0" ? "became root" : "";
}

sub sockets {
    my $said = sub { see( $_[0], $_[1] ? "allowed" : "refused" ) };
    $said->( "raw_socket",    socket( my $raw,    AF_INET, SOCK_RAW, 1 ) );
    $said->( "packet_socket", socket( my $packet, 17,      SOCK_RAW, 768 ) );
    my $path = "/.pyinfra-gvisor/docker.sock";
    return if !-e $path;
    socket( my $unix, AF_UNIX, SOCK_STREAM, 0 ) or return;
    $said->( "docker_socket", connect( $unix, sockaddr_un($path) ) );
}

sub source_address {    # the source address of packets to the peer
    socket( my $udp, AF_INET, SOCK_DGRAM, 0 ) or return;
    connect( $udp, sockaddr_in( 53, inet_aton( $_[0] ) // return ) ) or return;
    return ( sockaddr_in( getsockname $udp ) )[1];
}

sub see_address {
    my ( $key, $packed ) = @_;
    see( $key, inet_ntoa($packed) ) if $packed && length $packed == 4;
}
