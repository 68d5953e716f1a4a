#!/bin/sh
# Shows what pgwithd is for, on pgwith-fixture, which stands in for a PostgreSQL server. Everything it says is
# checked: the first thing that is not as said ends it with status 1. Leaves nothing running, and no files.
set -eu
cd "$(dirname "$0")/../.."

# whatever the environment says about PostgreSQL is about another one
for variable in $(env | sed -n 's/^\(PG[A-Z]*\)=.*/\1/p'); do
	unset "$variable"
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/pgwith-demo.XXXXXX")
[ ${#dir} -le 80 ] || {
	rmdir "$dir"
	dir=$(mktemp -d /tmp/pgwith-demo.XXXXXX) # the path of a Unix socket has 107 bytes at most
}
children=
checked=0
done=false

# Has the child ended? Until we wait for it, it is a zombie then.
ended()
{
	grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null || ! kill -0 "$1" 2>/dev/null
}

# Ends a process that we started: gently, after 10 s otherwise.
end()
{
	kill "$1" 2>/dev/null || true
	tries=100
	until ended "$1"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || kill -KILL "$1"
		sleep 0.1
	done
	wait "$1" 2>/dev/null || true
}

leave()
{
	status=$?
	trap - EXIT
	trap '' HUP INT TERM
	for child in $children; do
		end "$child"
	done
	if ! $done; then
		status=$((status == 0 ? 1 : status))
		for log in "$dir"/*.log; do
			[ -s "$log" ] && printf '\n---- the end of %s:\n' "${log##*/}" && tail -n 30 "$log"
		done
	fi >&2
	rm -rf "$dir"
	exit "$status"
}
trap leave EXIT
trap 'exit 130' HUP INT TERM

title()
{
	printf '\n%s\n' "$*"
}

ok()
{
	checked=$((checked + 1))
	printf '   ok   %s\n' "$*"
}

not_so()
{
	printf '   NOT SO: %s\n' "$*" >&2
	exit 1
}

# claim TEXT FOUND EXPECTED
claim()
{
	[ "$2" = "$3" ] || not_so "$1: found '$2', expected '$3'"
	ok "$1"
}

# await TEXT COMMAND...: true within 10 s
await()
{
	text=$1
	shift
	tries=100
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || not_so "$text (waited 10 s)"
		sleep 0.1
	done
}

# ---- the programs --------------------------------------------------------------------------------
client="host=$dir/pgwith port=6432 user=app"

# sql DATABASE COMMAND...: each command a query of its own
sql()
{
	database=$1
	shift
	for command; do
		set -- "$@" -c "$command"
		shift
	done
	psql "$client dbname=$database" -XAtq -v ON_ERROR_STOP=1 "$@"
}

# admin WHAT [OPTION]...: the administrator's view
admin()
{
	src/pgwith -S "$dir/pgwith" -p 6432 "$@"
}

# show WHAT COLUMN...: these columns of it, without the administrator's own connection
show()
{
	what=$1
	shift
	printf '   $ pgwith %s   (some of its columns)\n' "$what"
	admin "$what" --csv | awk -F, -v wanted="$*" '
		NR == 1 { n = split(wanted, name, " "); for (i = 1; i <= NF; i++) at[$i] = i
			for (i = 1; i <= n; i++) if (!(name[i] in at)) { print "no column " name[i]; exit 1 } }
		$at["database"] != "pgwith" {
			printf "   |"
			for (i = 1; i <= n; i++) printf " %-16s", $at[name[i]]
			print "" }' || not_so "pgwith $what shows: $*"
}

# value WHAT COLUMN [KEYCOLUMN KEY]: of the rows of pool "orders", or those with another key; one a line
value()
{
	admin "$1" --csv | awk -F, -v column="$2" -v keycolumn="${3:-database}" -v key="${4:-orders}" '
		NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
		!(column in at) || !(keycolumn in at) { print "no column " column " or " keycolumn; exit 1 }
		$at[keycolumn] == key { print $at[column] }'
}

# pool_has COLUMN NUMBER [POOL]
pool_has()
{
	[ "$(value pools "$1" database "${3:-orders}")" = "$2" ]
}

answers()
{
	sql "$1" 'SELECT 1' >/dev/null 2>&1
}

answers_directly()
{
	psql "host=$dir/server port=5432 user=app dbname=demo" -XAtqc 'SELECT 1' >/dev/null 2>&1
}

count()
{
	sql orders "SELECT count(*) FROM orders WHERE item = '$1'"
}

for program in src/pgwithd src/pgwith src/pgwith-fixture; do
	[ -x $program ] || not_so "$program is not built: ./bootstrap"
done
command -v psql >/dev/null || not_so "there is no psql: ./bootstrap packages demo"

# ---- 0 -------------------------------------------------------------------------------------------
title "pgwithd in front of a database server (pgwith-fixture: no PostgreSQL is needed)"
mkdir "$dir/server" "$dir/pgwith"
cat >"$dir/init.sql" <<'END'
CREATE TABLE orders (id integer PRIMARY KEY, item text NOT NULL);
END
cat >"$dir/pgwith.conf" <<END
[pgwith]
listen = $dir/pgwith
port = 6432
admin_users = $(id -un)

# one server connection, so that it is easy to see who has it
[pool orders]
conninfo = host=$dir/server port=5432 dbname=demo user=app
size = 1
wait_timeout = 30s

[pool hasty]
conninfo = host=$dir/server port=5432 dbname=demo user=app
size = 1
wait_timeout = 200ms
END
src/pgwith-fixture -l "$dir/server" -p 5432 -i "$dir/init.sql" "$dir/demo.db" >"$dir/fixture.log" 2>&1 &
fixture=$!
children="$fixture"
await "pgwith-fixture answers" answers_directly
src/pgwithd -t -c "$dir/pgwith.conf" >"$dir/check.log" 2>&1 || not_so "the configuration is right (pgwithd -t)"
src/pgwithd -c "$dir/pgwith.conf" >"$dir/pgwithd.log" 2>&1 &
daemon=$!
children="$daemon $fixture"
await "pgwithd answers" answers orders
sed -n '/^\[pool orders/,/^$/s/^./   | &/p' "$dir/pgwith.conf"
ok "pgwithd answers on $dir/pgwith, port 6432"

# ---- 1 -------------------------------------------------------------------------------------------
title "1. A transaction is a scope: it gets a server connection when it begins, and gives it back when it ends"
server=$(sql orders "BEGIN" "INSERT INTO orders (item) VALUES ('tea')" "SELECT pg_backend_pid()" "COMMIT")
case $server in
'' | *[!0-9]*) not_so "the server connection has a number: found '$server'" ;;
esac
claim "committed: the row is there" "$(count tea)" 1
claim "another client got the same server connection, number $server" \
	"$(sql orders 'SELECT pg_backend_pid()')" "$server"
await "the server connection is idle again" pool_has sv_idle 1
ok "nobody holds it now"

# ---- 2 -------------------------------------------------------------------------------------------
title "2. A scope that fails leaves nothing"
sql orders "BEGIN" "INSERT INTO orders (item) VALUES ('coffee')" "ROLLBACK"
claim "rolled back by the client: no row" "$(count coffee)" 0
if sql orders "BEGIN" "INSERT INTO orders (item) VALUES ('coffee')" "INSERT INTO orders (item) VALUES (NULL)" \
	>"$dir/error.log" 2>&1; then
	not_so "a NULL is refused"
fi
grep ERROR "$dir/error.log" | head -n 1 | sed 's/^/   | /'
claim "the client left after an error, without ROLLBACK: no row" "$(count coffee)" 0
claim "the same server connection serves the next client" "$(sql orders 'SELECT pg_backend_pid()')" "$server"
: >"$dir/error.log"

# ---- 3 -------------------------------------------------------------------------------------------
title "3. A client is killed (SIGKILL) in the middle of a query, in the middle of a transaction"
psql "$client dbname=orders application_name=doomed" -XAtq -c BEGIN -c "INSERT INTO orders (item) VALUES ('milk')" \
	-c "\\! touch '$dir/sleeping'" -c "SELECT pg_sleep(60)" >"$dir/doomed.log" 2>&1 &
doomed=$!
children="$doomed $children"
await "the doomed client has inserted its row" test -e "$dir/sleeping"
pool_has sv_active 1 || not_so "the doomed client holds the server connection"
show clients application_name database user state
show servers database user state remote_pid
began=$(date +%s)
kill -KILL "$doomed"
wait "$doomed" 2>/dev/null || true
children="$daemon $fixture"
claim "rolled back: no row, although nobody said ROLLBACK" "$(count milk)" 0
took=$(($(date +%s) - began))
claim "the same server connection serves the next client: it was not replaced" "$(sql orders 'SELECT pg_backend_pid()')" "$server"
[ $took -lt 10 ] || not_so "the query of 60 s was stopped at once: the next client waited $took s"
ok "so the query of 60 s was stopped: the next client was answered after $took s"

# ---- 4 -------------------------------------------------------------------------------------------
title "4. When all server connections are taken, clients wait in a queue; one that leaves it holds no place"
# hold NAME POOL: a client that does what is written to the pipe $dir/NAME; its process is $held
hold()
{
	mkfifo "$dir/$1"
	psql "$client dbname=$2 application_name=$1" -XAtq <"$dir/$1" >"$dir/$1.log" 2>&1 3>&- &
	held=$!
	children="$held $children"
}
hold holder orders
holder=$held
exec 3>"$dir/holder"
echo "BEGIN; INSERT INTO orders (item) VALUES ('bread');" >&3
await "the first client holds the server connection" pool_has sv_active 1
psql "$client dbname=orders application_name=leaver" -XAtqc 'SELECT 1' >"$dir/leaver.log" 2>&1 3>&- &
leaver=$!
children="$leaver $children"
await "the second one waits" pool_has cl_waiting 1
psql "$client dbname=orders application_name=waiter" -XAtqc "SELECT count(*) FROM orders WHERE item = 'bread'" \
	>"$dir/waiter.log" 2>&1 3>&- &
waiter=$!
children="$waiter $children"
await "the third one waits" pool_has cl_waiting 2
show pools database cl_active cl_waiting sv_active sv_idle
show clients application_name database user state
ok "one client holds the only server connection, two wait"
kill -KILL "$leaver"
wait "$leaver" 2>/dev/null || true
await "the killed one has left the queue" pool_has cl_waiting 1
ok "the second client was killed while it waited: the queue is shorter at once"
echo "COMMIT;" >&3
exec 3>&-
wait "$holder" || not_so "the first client ended well"
wait "$waiter" || not_so "the third client was answered"
children="$daemon $fixture"
claim "the first client committed; the third was served next, and sees the row" "$(cat "$dir/waiter.log")" 1

# ---- 5 -------------------------------------------------------------------------------------------
title "5. An error says what is wrong, who is the cause, and what can be done"
hold hog hasty # whose clients wait for 200 ms only
exec 3>"$dir/hog"
echo "BEGIN; SELECT 1;" >&3
await "a client holds the only server connection of pool hasty" pool_has sv_active 1 hasty
if sql hasty '\set VERBOSITY verbose' 'SELECT 1' >"$dir/error.log" 2>&1; then
	not_so "a wait of 200 ms runs out"
fi
sed 's/^/   | /' "$dir/error.log"
grep -q '53300' "$dir/error.log" || not_so "the error is SQLSTATE 53300"
grep -q '"hasty"' "$dir/error.log" || not_so "the error names the pool"
grep -q 'DETAIL:' "$dir/error.log" || not_so "the error has a detail"
grep -q 'HINT:' "$dir/error.log" || not_so "the error has a hint"
ok "53300 with the pool's name, the numbers and a hint"
: >"$dir/error.log"
exec 3>&-
wait "$held" || not_so "the holder ended well"
children="$daemon $fixture"

# ---- the end -------------------------------------------------------------------------------------
title "The end: SIGTERM"
kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
children="$fixture"
claim "pgwithd has ended with status 0" "$status" 0
kill -TERM "$fixture"
wait "$fixture" || true
children=
[ ! -e "$dir/pgwith/.s.PGSQL.6432" ] || not_so "its socket is gone"
ok "its socket is gone"

done=true
printf '\nAll %s claims were checked. Nothing is left running, and no files.\n' "$checked"
