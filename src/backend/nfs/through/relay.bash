# The same where there is no perl: from whatever port the system gives.
exec 3<>"/dev/tcp/$1/$2" || exit
echo connected
# What runs in the background has no standard input of its own.
exec 4<&0
cat <&4 >&3 &
cat <&3 &
wait -n
kill $(jobs -p) 2>/dev/null
