# shellcheck shell=bash
# What the scripts that run in the booted system begin with: words for tests, and a PostgreSQL.
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
users = postgres, tester
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
systemd-run -q --unit=database -p User=postgres "$bin/postgres" -D /var/lib/postgresql/data -k /run/postgresql -c fsync=off \
	-c max_connections=300
within 60 pg_isready -q -h /run/postgresql
psql -qX -h /run/postgresql -U postgres -c 'CREATE TABLE marks (what text)' || fail "a table"
pgbench -i -q -h /run/postgresql -U postgres postgres >/dev/null 2>&1 || fail "pgbench -i"
ok "the users and directories are there"
