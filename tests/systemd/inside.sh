#!/bin/bash
# What make check-systemd runs in the booted system: pgwithd as its units have it. Each test stands on the one before.
set -u
bin=/usr/lib/postgresql/15/bin
export PATH=$bin:/usr/sbin:/usr/bin LC_ALL=C.UTF-8 PGCONNECT_TIMEOUT=60
drop=/run/systemd/system/pgwithd.service.d
count=0

fail()
{
	echo "not ok $((count + 1)) - $*"
	systemctl status --no-pager -l pgwithd.service pgwithd.socket
	exit 1
}

ok()
{
	count=$((count + 1))
	echo "ok $count - $*"
}

# within SECONDS COMMAND...: waits for it
within()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || fail "not in time: $*"
		sleep 0.05
	done
}

property() { systemctl show --value -p "$1" "${2:-pgwithd.service}"; }
is() { [ "$(property "$1" "${3:-pgwithd.service}")" = "$2" ]; }
# with a pattern of case
like()
{
	# shellcheck disable=SC2053 # a pattern is wanted
	[[ "$(property "$1")" == $2 ]]
}
ask() { psql -AtqX -h /run/pgwith -p 6432 -U postgres -d app -c "$1"; }
answers() { [ "$(ask 'SELECT 6*7' 2>/dev/null)" = 42 ]; }
# journal OPTION...: the messages of the service
journal()
{
	journalctl --sync
	journalctl -q --no-pager -o cat -u pgwithd.service "$@"
}
override()
{
	mkdir -p $drop
	printf '[Service]\n%s\n' "$@" >$drop/test.conf
	systemctl daemon-reload
}
configure()
{
	cat >/etc/pgwith/pgwith.conf <<END
[pgwith]
listen = /run/pgwith
admin_users = postgres
${2:-}
[pool app]
conninfo = host=/run/postgresql dbname=postgres user=postgres
size = $1
END
}

# ---- a system with a PostgreSQL ----
printf 'passwd: files systemd\ngroup: files systemd\nhosts: files\n' >/etc/nsswitch.conf
echo '127.0.0.1 localhost' >/etc/hosts
systemd-sysusers - <<'END' || fail "users"
u postgres - - /var/lib/postgresql /bin/sh
u tester - - - -
END
getent passwd pgwith >/dev/null || fail "sysusers.d has made no user pgwith"
[ "$(stat -c '%U %G %a' /run/pgwith)" = 'pgwith pgwith 755' ] || fail "tmpfiles.d: /run/pgwith"
install -d -o postgres /var/lib/postgresql /run/postgresql
setpriv --reuid=postgres --regid=postgres --init-groups initdb -D /var/lib/postgresql/data -A trust --no-sync >/dev/null ||
	fail "initdb"
systemd-run -q --unit=database -p User=postgres "$bin/postgres" -D /var/lib/postgresql/data -k /run/postgresql -c fsync=off
within 60 pg_isready -q -h /run/postgresql
psql -qX -h /run/postgresql -U postgres -c 'CREATE TABLE marks (what text)' || fail "a table"
pgbench -i -q -h /run/postgresql -U postgres postgres >/dev/null 2>&1 || fail "pgbench -i"
ok "the users and directories are there"

# ---- start ----
mkdir -p /etc/pgwith
configure 2
systemctl start pgwithd || fail "start"
is ActiveState active || fail "it is not active"
answers || fail "no answer after the start"
within 10 like StatusText '* leased, * waiting'
[ "$(ps -o user= -p "$(property MainPID)")" = pgwith ] || fail "it runs as another user"
[ "$(stat -c %U /run/pgwith/.s.PGSQL.6432)" = pgwith ] || fail "the socket is somebody else's"
ok "start: ready when it answers, as pgwith; status: $(property StatusText)"

pgwith status >/tmp/status || fail "pgwith status"
grep -q 'pool\|session' /tmp/status || fail "pgwith status says: $(cat /tmp/status)"
ok "pgwith status"

# Real uids through the sandbox, and names for them.
setpriv --reuid=tester --regid=tester --clear-groups psql -AtqX -h /run/pgwith -p 6432 -d app -c 'SELECT 1' >/dev/null ||
	fail "a user is not let in as the role of his name"
setpriv --reuid=tester --regid=tester --clear-groups psql -AtqX -h /run/pgwith -p 6432 -U postgres -d app -c 'SELECT 1' \
	>/dev/null 2>&1 && fail "a user is let in as somebody else"
ok "clients are known by their uids"

# ---- reload ----
pgbench -n -c 20 -j 2 -T 8 -h /run/pgwith -p 6432 -U postgres app >/tmp/pgbench 2>&1 &
bench=$!
servers()
{
	local sql="SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
	test "$(psql -AtqX -h /run/postgresql -U postgres -c "$sql")" "$1" "$2"
}
within 10 servers -eq 2
configure 12
systemctl reload pgwithd || fail "reload"
within 10 servers -gt 2
wait $bench || fail "pgbench over a reload: $(cat /tmp/pgbench)"
grep -q 'number of failed transactions: 0 ' /tmp/pgbench || fail "transactions have failed: $(cat /tmp/pgbench)"
is ActiveState active || fail "after the reload it is not active"
ok "reload resizes a pool under load: $(grep 'actually processed' /tmp/pgbench)"

configure 12 'nonsense = 1'
systemctl reload pgwithd
within 10 like StatusText '*refused*'
answers || fail "no answer after a refused reload"
configure 12
systemctl reload pgwithd
within 10 like StatusText '* waiting'
ok "a reload that is refused is in the status"

journal -p warning | grep -q 'reload refused' || fail "the journal has no warning"
journal -p warning | grep -q 'ready version' && fail "the journal has what is no warning among those"
journal -p info | grep -q 'ready version' || fail "the journal lacks what is info"
ok "the journal has priorities"

# ---- the end ----
slow() { ask "BEGIN; INSERT INTO marks VALUES ('$1'); SELECT pg_sleep($2); COMMIT" >/tmp/slow 2>&1 & slow=$!; }
runs() { [ "$(psql -AtqX -h /run/postgresql -U postgres -c "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ 'pg_slee[p]'")" -gt 0 ]; }
marked() { [ "$(psql -AtqX -h /run/postgresql -U postgres -c "SELECT count(*) FROM marks WHERE what = '$1'")" = 1 ]; }
slow stop 3
within 10 runs
systemctl stop pgwithd || fail "stop"
wait $slow || fail "the transaction: $(cat /tmp/slow)"
marked stop || fail "the transaction is lost"
is Result success || fail "the end was none: $(property Result)"
is ExecMainStatus 0 || fail "the exit status"
[ -e /run/pgwith/.s.PGSQL.6432 ] && fail "the socket is left"
ok "stop lets a transaction end"

override TimeoutStopSec=3s
systemctl start pgwithd || fail "start"
slow extended 8
within 10 runs
systemctl stop pgwithd || fail "stop"
wait $slow || fail "the transaction: $(cat /tmp/slow)"
marked extended || fail "the transaction is lost"
is Result success || fail "it was killed: $(property Result)"
ok "an end that takes longer than TimeoutStopSec is waited for, while it goes on"

# ---- the watchdog, and a crash ----
override WatchdogSec=6s LimitCORE=0
systemctl start pgwithd || fail "start"
before=$(property NRestarts)
kill -STOP "$(property MainPID)"
within 40 is NRestarts $((before + 1))
within 20 is ActiveState active
within 20 answers
journalctl --sync
journalctl -q --no-pager -u pgwithd.service | grep -q 'Watchdog timeout' || fail "no word of the watchdog"
ok "a daemon that does not turn is replaced by the watchdog"

kill -KILL "$(property MainPID)"
within 20 is NRestarts $((before + 2))
within 20 is ActiveState active
within 20 answers
ok "a daemon that was killed is started again"

# ---- its socket is systemd's ----
systemctl stop pgwithd || fail "stop"
rm -r $drop
systemctl daemon-reload
systemctl start pgwithd.socket || fail "the socket unit"
[ -e /run/pgwith/.s.PGSQL.6432 ] || fail "the socket unit makes no socket"
is ActiveState inactive || fail "it runs before a client comes"
answers || fail "the first client"
is ActiveState active || fail "the first client has not started it"
ok "the first client starts it"

inode=$(stat -c %i /run/pgwith/.s.PGSQL.6432)
slow restart 2
within 10 runs
systemctl --no-block restart pgwithd
within 10 is ActiveState deactivating
[ "$(ask 'SELECT 6*7')" = 42 ] || fail "a client that comes during a restart"
wait $slow || fail "the transaction: $(cat /tmp/slow)"
marked restart || fail "the transaction is lost"
[ "$(stat -c %i /run/pgwith/.s.PGSQL.6432)" = "$inode" ] || fail "the socket is another one"
[ "$(psql -AtqX "host=/run/pgwith port=6432 user=postgres dbname=app requirepeer=pgwith" -c 'SELECT 6*7')" = 42 ] ||
	fail "requirepeer: the peer is not pgwith"
ok "over a restart the socket stays, and who comes meanwhile waits"

kill -KILL "$(property MainPID)"
within 20 is ActiveState active
within 20 answers
[ "$(stat -c %i /run/pgwith/.s.PGSQL.6432)" = "$inode" ] || fail "the socket is another one"
ok "the same over a crash"

systemctl stop pgwithd 2>/dev/null || fail "stop"
configure 2 'port = 6433'
systemctl start pgwithd 2>/dev/null && fail "it starts with another's socket"
journal | grep -q 'cannot start: .*"pgwithd.socket" at /run/pgwith/.s.PGSQL.6432' || fail "no word of the other socket"
systemctl stop pgwithd.socket pgwithd
systemctl reset-failed pgwithd 2>/dev/null # it may be unloaded already
[ -e /run/pgwith/.s.PGSQL.6432 ] && fail "the socket unit leaves its socket"
ok "a socket that is not the one of the configuration is refused"

echo '[pgwith' >/etc/pgwith/pgwith.conf
systemctl start pgwithd 2>/dev/null && fail "it starts without a configuration"
within 10 is ActiveState failed
is ExecMainStatus 2 || fail "the exit status"
is NRestarts 0 || fail "a bad configuration is tried again"
systemctl reset-failed pgwithd
configure 2
ok "a configuration that cannot be used is not tried again"

# ---- several ----
sed 's,^listen.*,listen = /run/pgwith/orders,' /etc/pgwith/pgwith.conf >/etc/pgwith/orders.conf
systemctl start pgwithd pgwithd@orders.socket || fail "start"
[ "$(psql -AtqX -h /run/pgwith/orders -p 6432 -U postgres -d app -c 'SELECT 6*7')" = 42 ] || fail "the instance's first client"
answers || fail "the one without a name"
systemctl stop pgwithd@orders.socket pgwithd@orders.service || fail "stop"
systemctl start pgwithd@orders || fail "start of an instance"
[ "$(psql -AtqX -h /run/pgwith/orders -p 6432 -U postgres -d app -c 'SELECT 6*7')" = 42 ] || fail "the instance"
systemctl stop pgwithd@orders || fail "stop"
answers || fail "the one without a name, later"
ok "several instances, by socket and without"

# ---- a server by TCP and by name ----
sed -i 's,host=/run/postgresql,host=localhost,' /etc/pgwith/pgwith.conf
ip link set lo up 2>/dev/null
systemctl restart pgwithd || fail "restart"
answers || fail "a server by TCP: $(ask 'SELECT 1' 2>&1)"
ok "a server by TCP and by name"
echo "1..$count"
