#!/bin/bash
# What make check-systemd runs in the booted system: systemctl restart, over which nobody loses anything.
# shellcheck disable=SC2119 # journal has options, or none
set -u
# shellcheck source=tests/systemd/common.sh
. /out/common.sh

CLIENTS=200
SLEEP=100 # ms, three times in each of them

pg() { psql -AtqX -h /run/postgresql -U postgres -c "$1"; }
# of pgbench's logs, after the waits that stand in the script
percentiles()
{
	local all
	cut -d' ' -f3 "$1".[0-9]* | sort -n >"$1.sorted"
	all=$(wc -l <"$1.sorted")
	nth() { echo $(($(sed -n "$2p" "$1.sorted") / 1000 - 3 * SLEEP)); }
	echo "p50 $(nth "$1" $((all / 2))) ms, p99 $(nth "$1" $((all * 99 / 100))) ms, at most $(nth "$1" "$all") ms"
}
# bench LOG TRANSACTIONS OPTION...: in the background; $bench
bench()
{
	local log=$1 each=$2
	shift 2
	pg "TRUNCATE begun, done; UPDATE counters SET v = 0"
	pgbench -n -f /tmp/script -D n=0 -c $CLIENTS -j 2 -t "$each" -l --log-prefix="$log" "$@" -h /run/pgwith -p 6432 \
		-U postgres app >"$log.out" 2>&1 &
	bench=$!
}
finished() { [ "$(pg 'SELECT count(*) FROM done')" -ge "$1" ]; }
# judge LOG TRANSACTIONS: what pgbench says, and what the tables have
judge()
{
	local all=$((CLIENTS * $2))
	wait $bench || fail "pgbench: $(tail -n 20 "$1.out")"
	grep -q "actually processed: $all/$all" "$1.out" || fail "not all were processed: $(cat "$1.out")"
	grep -q 'number of failed transactions: 0 ' "$1.out" || fail "some failed: $(cat "$1.out")"
	# Each has what it began and what it ended once, under each of its numbers, and has counted them.
	[ "$(pg "SELECT count(*), count(DISTINCT (client, n)), min(n), max(n) FROM begun")" = "$all|$all|1|$2" ] ||
		fail "begun: $(pg "SELECT count(*), count(DISTINCT (client, n)), min(n), max(n) FROM begun")"
	[ "$(pg "SELECT count(*), count(DISTINCT (client, n)), min(n), max(n) FROM done")" = "$all|$all|1|$2" ] ||
		fail "done: $(pg "SELECT count(*), count(DISTINCT (client, n)), min(n), max(n) FROM done")"
	[ "$(pg "SELECT count(*), min(v), max(v) FROM counters")" = "$CLIENTS|$2|$2" ] ||
		fail "counted: $(pg "SELECT count(*), min(v), max(v) FROM counters")"
}
# field NAME PATTERN: of the lines of the journal that have the pattern
field() { journal | grep "$2" | sed -n "s/.*$1=\\([0-9.]*\\).*/\\1/p"; }

pg "CREATE TABLE begun (client int, n int); CREATE TABLE done (client int, n int);
    CREATE TABLE counters (client int PRIMARY KEY, v int) WITH (fillfactor = 10);
    INSERT INTO counters SELECT g, 0 FROM generate_series(0, $CLIENTS - 1) g" || fail "tables"
cat >/tmp/script <<END
\\set n :n + 1
BEGIN;
INSERT INTO begun VALUES (:client_id, :n);
\\sleep $SLEEP ms
UPDATE counters SET v = v + 1 WHERE client = :client_id;
\\sleep $SLEEP ms
SELECT v FROM counters WHERE client = :client_id;
\\sleep $SLEEP ms
INSERT INTO done VALUES (:client_id, :n);
COMMIT;
END
mkdir -p /etc/pgwith
configure 200
systemctl start pgwithd || fail "start"

# The servers are opened by this one.
bench /tmp/warm 1 -M simple
judge /tmp/warm 1
bench /tmp/quiet 20 -M simple
judge /tmp/quiet 20
ok "$CLIENTS clients, no restart: $(percentiles /tmp/quiet)"

# load WORDS RESTARTS TRANSACTIONS OPTION...: a load over the restarts, which are spread evenly over its first half: nobody has finished
load()
{
	local what=$1 restarts=$2 each=$3 n before pid took
	shift 3
	handed=$(journal | grep -c 'handed over')
	bench /tmp/load "$each" "$@"
	: >/tmp/took
	for ((n = 1; n <= restarts; n++)); do
		within 120 finished $((CLIENTS * each * n / (2 * restarts)))
		pid=$(property MainPID)
		before=$(date +%s%N)
		systemctl restart pgwithd || fail "restart $n"
		took=$((($(date +%s%N) - before) / 1000000))
		echo $took >>/tmp/took
		is ActiveState active || fail "it is not active after restart $n"
		[ "$(property MainPID)" != "$pid" ] || fail "restart $n has left the process"
	done
	kill -0 $bench 2>/dev/null || fail "pgbench has ended before the last restart"
	judge /tmp/load "$each"
	[ $(($(journal | grep -c 'handed over') - handed)) -eq "$restarts" ] || fail "not every restart was a handover"
	journal | grep -q 'not taken over\|handover_timeout\|cannot hand over' && fail "something was not taken over"
	sort -n /tmp/took >/tmp/took.sorted
	# A restart finds them in the middle of transactions.
	local leased sessions
	leased=$(field leased_or_cleaning 'hands over' | tail -n "$restarts" | sort -n | head -n 1)
	sessions=$(field sessions 'taken over' | tail -n "$restarts" | sort -n | head -n 1)
	[ "$sessions" -ge $CLIENTS ] || fail "a restart has taken over $sessions sessions only"
	[ "$leased" -gt 0 ] || fail "a restart has found nobody in a transaction"
	ok "$what: $restarts restarts, $((CLIENTS * each)) transactions, none lost or doubled: $(percentiles /tmp/load)"
	echo "# at each restart $sessions sessions and at least $leased transactions were open; systemctl restart took" \
		"$(sed -n $((restarts / 2))p /tmp/took.sorted) ms in the middle, $(tail -n 1 /tmp/took.sorted) ms at most;" \
		"waiting for what had to end: $(field waited 'handed over' | tail -n "$restarts" | sort -n | tail -n 1) ms at most"
	rm -f /tmp/load*
}
load "simple protocol, 200 servers" 20 120 -M simple
configure 60
systemctl reload pgwithd
load "prepared statements, 60 servers for them all" 5 40 -M prepared

is NFileDescriptorStore 0 || fail "descriptors are left in the store"
ok "the store is empty afterwards"

# ---- its socket is systemd's ----
systemctl stop pgwithd || fail "stop"
configure 200
systemctl start pgwithd.socket || fail "the socket unit"
load "socket activation" 5 40 -M extended
systemctl stop pgwithd.socket pgwithd || fail "stop"
systemctl start pgwithd || fail "start"

# ---- stop drains, and restart with a bad configuration too ----
slow() { ask "BEGIN; INSERT INTO marks VALUES ('$1'); SELECT pg_sleep($2); COMMIT" >/tmp/slow 2>&1 & slow=$!; }
runs() { [ "$(pg "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ 'pg_slee[p]'")" -gt 0 ]; }
marked() { [ "$(pg "SELECT count(*) FROM marks WHERE what = '$1'")" = "$2" ]; }
# an idle client, whose last words are in /tmp/idle
exec 3> >(psql -AtqX -h /run/pgwith -p 6432 -U postgres -d app >/tmp/idle 2>&1; echo ended >>/tmp/idle)
has() { grep -q "$1" /tmp/idle; }
echo "SELECT 'let in';" >&3
within 10 has 'let in'
slow drained 3
within 10 runs
systemctl stop pgwithd || fail "stop"
wait $slow || fail "the transaction: $(cat /tmp/slow)"
marked drained 1 || fail "the transaction is lost"
is Result success || fail "the end was none: $(property Result)"
journal | grep -q 'draining' || fail "it has not drained"
echo 'SELECT 1;' >&3
within 10 has 'shutting down\|terminating\|57P01'
exec 3>&-
within 10 has ended
is NFileDescriptorStore 0 || fail "descriptors are left in the store"
ok "stop drains: $(head -n 2 /tmp/idle | tail -n 1)"

systemctl start pgwithd || fail "start"
slow bad 2
within 10 runs
echo '[pgwith' >/etc/pgwith/pgwith.conf
systemctl restart pgwithd 2>/dev/null && fail "it starts without a configuration"
wait $slow || fail "the transaction: $(cat /tmp/slow)"
marked bad 1 || fail "the transaction is lost"
journal | grep -q 'no handover why="the configuration' || fail "no word of the configuration"
systemctl reset-failed pgwithd
configure 20
ok "a restart with a configuration that cannot be used drains too"

# ---- the next process is killed with descriptors in the store, and the state is gone ----
cat >/run/next.sh <<'END'
if [ -e /run/pgwith/crash ]; then
	rm /run/pgwith/crash
	systemd-notify FDSTOREREMOVE=1 FDNAME=pg/state
	kill -KILL $$
fi
exec /usr/sbin/pgwithd -c /etc/pgwith/pgwith.conf
END
override NotifyAccess=all ExecStart= 'ExecStart=/bin/bash /run/next.sh' LimitCORE=0
systemctl start pgwithd || fail "start"
exec 3> >(psql -AtqX -h /run/pgwith -p 6432 -U postgres -d app >/tmp/idle 2>&1; echo ended >>/tmp/idle)
echo "BEGIN; INSERT INTO marks VALUES ('idle'); SELECT 'let in';" >&3
within 10 has 'let in'
slow killed 60
within 10 runs
at_work() { [ "$(pg "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL")" = "$1" ]; }
within 10 at_work 2
: >/run/pgwith/crash
before=$SECONDS
systemctl restart pgwithd 2>/dev/null
within 20 is ActiveState active
within 20 answers
[ -e /run/pgwith/crash ] && fail "nothing was killed"
journalctl --sync
journalctl -q --no-pager -u pgwithd.service | grep -q 'code=killed, status=9/KILL' || fail "nothing was killed"
journal | grep -q 'state not taken over.*there is none' || fail "no word of the state"
within 20 at_work 0
wait $slow && fail "the one that ran was told nothing: $(cat /tmp/slow)"
echo 'SELECT 1;' >&3
exec 3>&-
within 10 has ended
[ $((SECONDS - before)) -lt 40 ] || fail "it took $((SECONDS - before)) s"
has '57P01\|FATAL' || fail "the one in a transaction was told: $(cat /tmp/idle)"
marked idle 0 || fail "the transaction of the idle one"
marked killed 0 || fail "the transaction of the one that ran"
is NFileDescriptorStore 0 || fail "descriptors are left in the store"
ok "killed with descriptors in the store: $(grep FATAL /tmp/idle | head -n 1); $(grep . /tmp/slow | head -n 1)"

# ---- killed at work ----
exec 3> >(psql -AtqX -h /run/pgwith -p 6432 -U postgres -d app >/tmp/idle 2>&1; echo ended >>/tmp/idle)
echo "BEGIN; INSERT INTO marks VALUES ('at work'); SELECT 'let in';" >&3
within 10 has 'let in'
kill -KILL "$(property MainPID)"
within 20 is ActiveState active
within 20 answers
within 20 at_work 0
marked 'at work' 0 || fail "the transaction"
echo 'SELECT 1;' >&3
exec 3>&-
within 10 has ended
has 'closed the connection' || fail "its client was told: $(cat /tmp/idle)"
ok "killed at work: the transaction is rolled back, its client is told"
echo "1..$count"
