# Asks on the wire who has an IPv4 address, from no address of its own, so that nobody's table changes,
# and writes the hardware address of each that answers.
use strict;
my ($wanted) = @ARGV;
sub slurp { open my $file, '<', $_[0] or die "$_[0]: $!\n"; local $/; my $text = <$file>; $text =~ s/\s+$//; $text }
my ($device) = map { (split)[0] } grep { (split)[1] eq '00000000' } split /\n/, slurp('/proc/net/route');
die "no default route\n" unless $device;
my $own = join '', map { chr hex } split /:/, slurp("/sys/class/net/$device/address");
my $index = slurp("/sys/class/net/$device/ifindex");
my $target = join '', map { chr } split /\./, $wanted;
socket(my $socket, 17, 3, unpack('S', pack('n', 0x0806))) or die "socket: $!\n";
my $frame = "\xff" x 6 . $own . pack('n n n C C n', 0x0806, 1, 0x0800, 6, 4, 1)
    . $own . "\0" x 4 . "\0" x 6 . $target;
send($socket, $frame, 0, pack('S n i S C C a8', 17, 0x0806, $index, 1, 0, 6, "\xff" x 6)) or die "send: $!\n";
my $until = 0.4;
my %answered;
while ($until > 0) {
    my $ready = '';
    vec($ready, fileno $socket, 1) = 1;
    my ($count, $left) = select($ready, undef, undef, $until);
    last if !$count;
    $until = $left;
    recv($socket, my $packet, 128, 0);
    next unless substr($packet, 12, 2) eq "\x08\x06" && substr($packet, 20, 2) eq "\0\x02";
    next unless substr($packet, 28, 4) eq $target;
    $answered{ join ':', map { sprintf '%02x', ord } split //, substr $packet, 22, 6 } = 1;
}
print "$_\n" for sort keys %answered;
