# shellcheck shell=bash
# The table of a run, and the page that it makes. Each test has written a line
# `trust NAME: N cases, N passed, seed N, N s` into $TOPO_TRUST_TABLE.

table() { sed 's/^trust //' "$TOPO_TRUST_TABLE" | column -t -s ':,'; }

page() {
  cat <<END
# What \`make trust\` found

Written by \`make trust\` from a run in which everything passed. What each test does is said at the top
of its file in [tests/trust](../tests/trust). \`TOPO_TRUST_SEED=$TOPO_TRUST_SEED make trust\` repeats the run; another seed
takes other rounds where a test samples. What topo protects from, and what not, is in
[threats.md](threats.md).

On $(date -u +%Y-%m-%d): $(versions).

| test | cases | passed | seed | seconds |
|---|---|---|---|---|
END
  sed -E 's/^trust ([^:]+): ([0-9]+) cases, ([0-9]+) passed, seed ([0-9]+), ([0-9]+) s$/| \1 | \2 | \3 | \4 | \5 |/' "$TOPO_TRUST_TABLE"
}

versions() {
  printf 'topo at %s, Docker engine %s, Linux %s' "$(git rev-parse --short HEAD)" \
    "$(docker version --format '{{.Server.Version}}')" "$(uname -r | cut -d- -f1)"
}
