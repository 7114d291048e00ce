# Tries a connection and writes how it ended: the exit code, then what was said.
dial() {
    if command -v bash >/dev/null; then
        said=$(timeout "${limit:-2}" bash -c 'exec 3<>"/dev/tcp/$1/$2"' dial "$1" "$2" 2>&1)
    elif command -v nc >/dev/null; then
        said=$(nc -z -w "${limit:-2}" "$1" "$2" 2>&1)
    else
        said="it has neither bash nor nc"
        false
    fi
    echo "$?" "$said" | tr '\n' ' '
    echo
}
