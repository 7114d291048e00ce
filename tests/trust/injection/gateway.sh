# Has each program read what a gateway was rendered to, and prints what squid made of its settings.
# usage: sh -c THIS sh NAME <RENDERED; the container is made anew for none of them
set -e
name=$1
rm -rf /run/topo
mkdir -p /run/topo /run/sshd /var/lib/topo /tmp/checking
cd /run/topo
awk '/^# ---- gateway\// {file = substr($0, 16); next} file {print >file}'

grep -qxF "127.0.0.9 $name" /etc/hosts || echo "127.0.0.9 $name" >>/etc/hosts
[ -s /var/lib/topo/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -f /var/lib/topo/ssh_host_ed25519_key
printf 'acl network dst 10.1.0.0/16\nacl host dst 10.1.0.1\n' >networks.conf
printf '#!/bin/sh\nexec /usr/sbin/nft -c "$@"\n' >/tmp/checking/nft
chmod +x /tmp/checking/nft

echo 'tcp 10001 10.1.2.3 22 plain' | PATH=/tmp/checking:$PATH TOPO_NETWORK=10.1.0.0/16 TOPO_HOST=10.1.0.1 sh load
sh -n entrypoint
sh -n health
[ ! -e nginx.conf ] || nginx -t -q -c /run/topo/nginx.conf
sshd -t -f sshd_config
squid -k parse -f squid.conf 2>&1 | sed -n 's/^.*| Processing: //p; /ERROR\|FATAL\|Bungled/p'
