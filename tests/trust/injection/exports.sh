# Has exportfs read an exports file, and prints what it keeps of it.
# usage: sh -c THIS sh FOLDER <EXPORTS
set -e
mkdir -p "$1"
cat >/etc/exports
: >/var/lib/nfs/etab
exportfs -ra 2>&1
cat /var/lib/nfs/etab
