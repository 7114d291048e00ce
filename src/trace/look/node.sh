# A node's rules, who answers for an address on the wire, and what the pods on it listen on. Arguments:
# the family (4 or 6), the program that asks on the wire, the address or nothing, then of each pod uid,
# address and port.
family=$1 ask=$2 aim=$3 limit=1
shift 3
case "$family" in 6) save=ip6tables-save ;; *) save=iptables-save ;; esac
echo @rules
$save -c 2>/dev/null
nft list table "ip${family#4}" kube-proxy 2>/dev/null
echo @arp
case "$aim" in '' | *:*) ;; *) perl -e "$ask" "$aim" 2>&1 || echo "@unasked" ;; esac
while [ $# -ge 3 ]; do
    echo "@pod $1"
    other=$(echo "$1" | tr - _)
    process=$(grep -lE "$1|$other" /proc/[0-9]*/cgroup 2>/dev/null | head -n 1 | cut -d / -f 3)
    if [ -n "$process" ]; then
        echo found
        cat "/proc/$process/net/tcp" "/proc/$process/net/tcp6" "/proc/$process/net/udp" "/proc/$process/net/udp6" 2>/dev/null
    fi
    echo @dial
    dial "$2" "$3"
    shift 3
done
echo @end
