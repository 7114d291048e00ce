# What is in force in the gateway. Arguments: the port that it listens on.
echo @forwarding
cat /proc/sys/net/ipv4/ip_forward
echo @nginx
grep -A1 -E "listen .*[: ]$1( |;)|listen $1;" /run/topo/servers.conf 2>/dev/null
[ -s /run/nginx.pid ] && [ -d "/proc/$(cat /run/nginx.pid)" ] && echo runs
echo @rules
nft list ruleset 2>/dev/null
echo @end
