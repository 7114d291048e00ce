# From standard input to a port of a host and back, over a connection from a port below 1024 where
# that is allowed, as a kernel's NFS client has it. Ends when either side ends.
use strict;
use Socket qw(:all);

$SIG{PIPE} = "IGNORE";
my ($host, $port) = @ARGV;
my ($unknown, @places) = getaddrinfo($host, $port, {socktype => SOCK_STREAM});
die "Name or service not known\n" if $unknown;

my ($server, $why);
PLACE: for my $place (@places) {
    for my $from ((map { 665 + int rand 358 } 1 .. 8), 0) {
        socket(my $socket, $place->{family}, SOCK_STREAM, 0) or next;
        my $here = $place->{family} == AF_INET6
            ? pack_sockaddr_in6($from, IN6ADDR_ANY)
            : pack_sockaddr_in($from, INADDR_ANY);
        bind($socket, $here) or next if $from;
        if (connect($socket, $place->{addr})) {
            $server = $socket;
            last PLACE;
        }
        $why = "$!";
        last;
    }
}
die "$why\n" unless $server;

my (undef, $address, $from) = getnameinfo(getsockname($server), NI_NUMERICHOST | NI_NUMERICSERV);
syswrite STDOUT, "connected $address $from\n";

my $watched = "";
vec($watched, fileno $_, 1) = 1 for (\*STDIN, $server);
while (select(my $ready = $watched, undef, undef, undef) > 0) {
    for ([\*STDIN, $server], [$server, \*STDOUT]) {
        my ($in, $out) = @$_;
        next unless vec($ready, fileno $in, 1);
        sysread($in, my $data, 65536) or exit;
        while (length $data) {
            my $written = syswrite($out, $data) or exit;
            substr $data, 0, $written, "";
        }
    }
}
