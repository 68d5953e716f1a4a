#!/bin/bash
# What make check-systemd runs in the booted system: a command that tells the password, in the sandbox of the unit: over a
# reload, restarts that hand over, and a stop; and a variable of the environment.
set -u
# shellcheck source=tests/systemd/common.sh
. /out/common.sh

sed -i '1i host all teller 127.0.0.1/32 scram-sha-256' "$(psql -AtqX -h /run/postgresql -U postgres -c 'SHOW hba_file')"
psql -qX -h /run/postgresql -U postgres -c "CREATE ROLE teller LOGIN PASSWORD 'first'" -c 'SELECT pg_reload_conf()' >/dev/null ||
	fail "a role with a password"
ip link set lo up 2>/dev/null
mkdir -p /etc/pgwith
cat >/etc/pgwith/tell <<'END'
#!/bin/sh
# Asked by pgwithd: what it may and may not do here is written down.
{
	id -un
	grep -E '^(NoNewPrivs|Seccomp|CapEff)' /proc/self/status | tr '\n\t' '  '
	touch /etc/pgwith/written 2>/dev/null && echo writes
	env | grep -E '^(NOTIFY_SOCKET|WATCHDOG|LISTEN_|FDSTORE)'
	echo
} >/tmp/asked
echo "I was asked for $PGUSER" >&2
cat /etc/pgwith/secret
END
chmod 755 /etc/pgwith/tell
secret()
{
	printf '%s\n' "$1" >/etc/pgwith/secret
	chown pgwith /etc/pgwith/secret
	chmod 600 /etc/pgwith/secret
}
secret first
cat >/etc/pgwith/pgwith.conf <<'END'
[pgwith]
listen = /run/pgwith
admin_users = postgres
allow = *
[pool app]
conninfo = host=127.0.0.1 dbname=postgres user=${TELLER}
password = command:/etc/pgwith/tell
users = *
size = ${POOL_SIZE:-3}
min_size = 1
END
override Environment=TELLER=teller
systemctl start pgwithd || fail "start"
within 10 answers
[ "$(ask 'SELECT current_user')" = teller ] || fail "somebody else has logged in: $(ask 'SELECT current_user')"
main=$(property MainPID)
asked=/proc/$main/root/tmp/asked
grep -q '^pgwith$' "$asked" || fail "it runs as $(cat "$asked")"
grep -q 'NoNewPrivs: *1' "$asked" || fail "new privileges: $(cat "$asked")"
grep -q 'CapEff: *0*  *' "$asked" || fail "it has capabilities: $(cat "$asked")"
grep -q 'Seccomp: *2' "$asked" || fail "no filter of system calls: $(cat "$asked")"
grep -q 'writes\|NOTIFY_SOCKET\|WATCHDOG\|LISTEN' "$asked" && fail "it has what it should not: $(cat "$asked")"
journal | grep -q 'password command says text="I was asked for teller"' || fail "its words are not in the journal"
ok "a command tells the password, in the sandbox"

# The password changes while clients work; the next servers are let in.
psql -qX -h /run/postgresql -U postgres -c "ALTER ROLE teller PASSWORD 'second'"
secret second
psql -AtqX -h /run/pgwith -p 6432 -U postgres -d pgwith -c 'RECONNECT app' || fail "RECONNECT"
pgbench -n -c 6 -T 2 -h /run/pgwith -p 6432 -U postgres -f <(echo 'SELECT pg_sleep(0.01);') app >/tmp/pgbench 2>&1 ||
	fail "pgbench: $(cat /tmp/pgbench)"
journal -p warning | grep 'cannot connect' && fail "it was warned of"
ok "after ALTER ROLE ... PASSWORD it is asked anew"

exec 5> >(psql -AtqX -h /run/pgwith -p 6432 -U postgres -d app >/tmp/session 2>&1)
echo "BEGIN; SELECT 'begun';" >&5
begun() { grep -q begun /tmp/session; }
within 10 begun
systemctl restart pgwithd || fail "restart"
[ "$(property MainPID)" != "$main" ] || fail "it is the same process"
echo "SELECT 'goes on'; COMMIT;" >&5
exec 5>&-
goes_on() { grep -q 'goes on' /tmp/session; }
within 10 goes_on
[ "$(ask 'SELECT current_user')" = teller ] || fail "after a restart"
ok "over a restart the transaction goes on, and the next process asks by itself"

# A command that hangs keeps nobody from stopping.
printf '#!/bin/sh\ntrap "" TERM\nexec sleep 1000\n' >/etc/pgwith/tell
systemctl reload pgwithd || fail "reload"
psql -AtqX -h /run/pgwith -p 6432 -U postgres -d pgwith -c 'RECONNECT app' || fail "RECONNECT"
hangs() { pgrep -x sleep -u pgwith >/dev/null; }
within 20 hangs
before=$SECONDS
systemctl stop pgwithd || fail "stop"
[ $((SECONDS - before)) -lt 20 ] || fail "the stop took $((SECONDS - before)) s"
is Result success || fail "the end was none: $(property Result)"
hangs && fail "the command goes on"
ok "a command that hangs is ended with the daemon"

for secret in first second; do
	journalctl -q --no-pager -b -o export | grep -q "\"$secret\"\|=$secret\$\|text=.*$secret" && fail "the journal has $secret"
done
ok "no password is in the journal"

override
systemctl start pgwithd 2>/dev/null && fail "it starts without its variable"
is ExecMainStatus 2 || fail "the exit status: $(property ExecMainStatus)"
journal | grep -q 'pgwith.conf:6: conninfo: the variable TELLER of the environment is not set' || fail "no word of the variable"
ok "without the variable of the environment it does not start, and says which line names it"
echo "1..$count"
