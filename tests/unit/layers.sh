#!/bin/sh
# The layers of the design, in order: each may use itself and those before it. No file includes upward, and, by the
# symbols of the object files, none calls upward; no circle of modules spans folders, and none in a folder is large.
srcdir=${PGWITH_SRCDIR:-.}
builddir=${PGWITH_BUILDDIR:-.}
chain='base wire loop conf pool scope session executor relay daemon admin'
echo 1..9

# ---- includes ----

# shellcheck disable=SC2016 # the dollars are awk's
bad=$(cd "$srcdir/src" && find . -name '*.[ch]' | sed 's,^\./,,' | xargs awk -v chain="$chain" '
BEGIN { n = split(chain, folders, " "); for (i = 1; i <= n; i++) rank[folders[i]] = i
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

# ---- calls ----

# Reads what nm -A -P -g prints.
circles()
{
	awk -v chain="$chain" -f "$srcdir/tests/unit/circles.awk"
}

# The object of every source; what was built from sources that are gone is not looked at.
objects=$(cd "$srcdir/src" && find . -mindepth 2 -name '*.c' | sed 's,^\./\(.*\)\.c$,src/\1.o,' | sort)
symbols=$(cd "$builddir" && echo "$objects" | xargs "${NM:-nm}" -A -P -g 2>&1)
status=$?
if ! echo "$symbols" | grep -q '^src/base/[a-z]*\.o: [a-z_0-9]* T '; then
	# link-time optimization, or another system
	echo "ok 2 - no circle of modules is too large # SKIP ${NM:-nm} tells no symbols"
elif [ $status -ne 0 ]; then
	echo "$symbols" | grep -v '\.o: ' | sed 's/^/# /'
	echo "not ok 2 - every source of src/ is built"
else
	bad=$(echo "$symbols" | circles)
	[ -z "$bad" ] || echo "$bad" | sed 's/^/# /'
	[ -z "$bad" ] && echo "ok 2 - no circle of modules is too large" || echo "not ok 2 - no circle of modules is too large"
fi

# ---- the check itself, on made symbols ----

n=2
# finds NAME SYMBOLS EXPECTED: what circles says to the symbols.
finds()
{
	n=$((n + 1))
	said=$(echo "$2" | circles)
	if [ "$said" = "$3" ]; then
		echo "ok $n - $1"
	else
		printf 'expected: %s\nsaid: %s\n' "$3" "$said" | sed 's/^/# /'
		echo "not ok $n - $1"
	fi
}
# module FOLDER/NAME SYMBOL...: defines FOLDER_NAME, uses those.
module()
{
	object=src/$1.o
	echo "$object: $(echo "$1" | tr / _) T 0 1"
	shift
	for symbol; do
		echo "$object: $symbol U         "
	done
}
six=$(module conf/a conf_b; module conf/b conf_c base_x; module conf/c conf_d; module conf/d conf_e
	module conf/e conf_f; module conf/f conf_a; module base/x printf)
seven=$(module conf/a conf_b; module conf/b conf_c; module conf/c conf_d; module conf/d conf_e
	module conf/e conf_f; module conf/f conf_g conf_b; module conf/g conf_a)
spanning=$(module pool/p conf_c; module conf/c conf_d; module conf/d pool_p)
upward=$(module scope/s pool_p; module pool/p; module pool/q scope_s; module conf/c; module pool/resolve
	module cli/c pool_p conf_c; module cli/import/i cli_c pool_resolve)
# two programs, each with a function of this name
fixture=$(echo "src/fixture/serve.o: server_open T 0 1"; echo "src/pool/server.o: server_open T 0 1"
	module fixture/f server_open; module pool/p server_open)

finds "six in a circle may be, and calls downward" "$six" ""
finds "seven in a circle are too many" "$seven" \
	"a circle of 7 modules, 6 at most are allowed: conf/a conf/b conf/c conf/d conf/e conf/f conf/g"
finds "a circle over two folders" "$spanning" \
	"conf/d calls up: pool/p (pool_p)
a circle of 3 modules spans folders: pool/p conf/c conf/d"
finds "a call upward without a circle of modules" "$upward" \
	"pool/q calls up: scope/s (scope_s)
cli/c calls up: pool/p (pool_p)"
finds "pgwith-fixture has names of its own" "$fixture" ""

# ---- states ----

# Reads FILE:LINE:TEXT of lines with an assignment to a state: those outside of the module whose setter checks the move.
writers()
{
	awk '
	BEGIN {
		owner["work"] = "executor/work.c"; owner["s"] = owner["session"] = "session/session.c"
		owner["srv"] = owner["server"] = "pool/server.c"; owner["l"] = owner["lease"] = "pool/lease.c"
		owner["block"] = owner["b"] = "session/block.c"
		owner["q"] = owner["inquiry"] = "session/inquiry.c"
		owner["x"] = owner["exchange"] = "session/exchange.c"
	}
	{
		split($0, part, ":")
		text = $0
		while (match(text, /[a-z_]+(->|\.)(state|purpose|phase) = /)) {
			of = substr(text, RSTART, RLENGTH); sub(/[^a-z_].*/, "", of)
			if (of in owner && part[1] != owner[of]) print
			text = substr(text, RSTART + RLENGTH)
		}
	}'
}
bad=$(cd "$srcdir/src" && grep -nE -- '(->|\.)(state|purpose|phase) = ' session/*.c executor/*.c relay/*.c daemon/*.c admin/*.c pool/*.c | writers)
[ -z "$bad" ] || echo "$bad" | sed 's/^/# /'
[ -z "$bad" ] && echo "ok 8 - a state has no writer but its setter" || echo "not ok 8 - a state has no writer but its setter"
made='executor/exit.c:1:	sc->work->state = WORK_DONE;
executor/work.c:2:	work->state = to;
relay/inbound.c:3:	f->state = SCOPE_OPEN;
relay/inbound.c:4:	s->state = SESSION_IDLE;
session/reply.c:5:	s->block.state = BLOCK_FAILED;
executor/exit.c:8:	s->inquiry->state = INQUIRY_QUIET;
session/block.c:6:	b->state = to;
pool/pool.c:7:	    .state = LEASE_NONE,'
said=$(echo "$made" | writers | cut -d: -f1,2 | tr '\n' ' ')
if [ "$said" = "executor/exit.c:1 relay/inbound.c:4 session/reply.c:5 executor/exit.c:8 " ]; then
	echo "ok 9 - writers of a state are found"
else
	echo "# said: $said"
	echo "not ok 9 - writers of a state are found"
fi
