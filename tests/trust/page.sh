# shellcheck shell=bash
# The table of a run, and the page that it makes. Each test has written a line
# `trust NAME: N cases, N passed, seed N, N s` into $TOPO_TRUST_TABLE, a test that was run in pieces one
# for each, and each run a line `at COMMIT, VERSIONS`.

table() { rows | column -t -s '|'; }

# One row for each test, whatever it was run in.
rows() {
  sed -nE 's/^trust ([^:]+): ([0-9]+) cases, ([0-9]+) passed, seed ([0-9]+), ([0-9]+) s$/\1 \2 \3 \4 \5/p' "$TOPO_TRUST_TABLE" |
    awk '!($1 in cases) {order[++tests] = $1}
      {cases[$1] += $2; passed[$1] += $3; seconds[$1] += $5}
      index(seeds[$1] " ", " " $4 " ") == 0 {seeds[$1] = seeds[$1] " " $4}
      END {for (at = 1; at <= tests; at++) {test = order[at]; print "| " test " | " cases[test] " | " passed[test] " |" seeds[test] " | " seconds[test] " |"}}'
}

all_passed() { rows | awk -F ' *[|] *' '$3 != $4 {failed = 1; print} END {exit failed || NR == 0}'; }

page() {
  local at
  at=$(sed -n 's/^at //p' "$TOPO_TRUST_TABLE" | sort -u)
  cat <<END
# What \`make trust\` found

Written by \`make trust\`. What each test does is said at the top of its file in [tests/trust](../tests/trust).
\`TOPO_TRUST_SEED=N make trust\` repeats the run of a seed; another seed takes other rounds where a test
samples. What topo protects from, and what not, is in [threats.md](threats.md).

On $(date -u +%Y-%m-%d), topo at ${at//$'\n'/; topo at }.

| test | cases | passed | seed | seconds |
|---|---|---|---|---|
END
  rows
}

versions() {
  printf 'Docker engine %s, Linux %s' "$(docker version --format '{{.Server.Version}}')" "$(uname -r | cut -d- -f1)"
}
