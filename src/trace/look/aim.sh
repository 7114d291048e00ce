# A connection from the gateway to where it leads, and who answers for that address. Arguments:
# address, port.
echo @dial
dial "$1" "$2"
echo @arp
cat /proc/net/arp
echo @end
