#!/bin/sh
# No file includes upward: the layers of the design, in order, each may use itself and those before it.
srcdir=${PGWITH_SRCDIR:-.}
echo 1..1
# shellcheck disable=SC2016 # the dollars are awk's
bad=$(cd "$srcdir/src" && find . -name '*.[ch]' | sed 's,^\./,,' | xargs awk '
BEGIN { n = split("base wire loop conf pool scope session admin", chain, " "); for (i = 1; i <= n; i++) rank[chain[i]] = i
	# programs of their own: they stand on what knows nothing of the daemon; pgwith reads its file, too
	rank["fixture"] = 100; rank["cli"] = 100; to = "" }
FNR == 1 { from = FILENAME ~ /\// ? FILENAME : "main/x"; sub(/\/.*/, "", from) }
/^[ \t]*#[ \t]*include[ \t]*"/ {
	to = $0; sub(/^[^"]*"/, "", to); sub(/".*/, "", to)
	if (to == "config.h") next
	# how a conninfo is understood and dialled, which knows nothing of the rest of pool: doctor does it as the daemon does
	if (from == "cli" && to == "pool/resolve.h") next
	if (to !~ /\//) { print FILENAME ": " to ": name the layer"; next }
	sub(/\/.*/, "", to)
	if (!(to in rank)) { print FILENAME ": unknown layer " to; next }
	if (from == "main" || from == to) next
	if (!(from in rank)) { print FILENAME ": in no layer"; next }
	if (from == "fixture" && rank[to] > 2) { print FILENAME ": fixture may use base and wire, not " to; next }
	if (from == "cli" && rank[to] > 2 && to != "conf") { print FILENAME ": cli may use base, wire and conf, not " to; next }
	if (rank[to] > rank[from]) print FILENAME ": " from " includes upward from " to
}')
if [ -z "$bad" ]; then echo "ok 1 - no file includes upward"; else echo "$bad" | sed 's/^/# /'; echo "not ok 1 - no file includes upward"; fi
