#!/bin/sh
# The part of package.sh that runs in the booted system.
set -eu
cd /packages

fail()
{
	echo "not ok: $*"
	systemctl --no-pager -l status pgwithd.service || true
	journalctl --no-pager -n 40 -u pgwithd.service || true
	exit 1
}

# Everything there is, with owner, mode and content; not what a running system and dpkg write for themselves.
snapshot()
{
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /packages -o \
		-path /var/log -o -path /var/tmp -o -path /var/cache -o -path /var/lib/dpkg/status -o -path /console.txt -o \
		-path /var/lib/dpkg/status-old -o -path /var/lib/dpkg/lock\* -o -path /var/lib/systemd/random-seed -o \
		-path /var/lib/systemd/timers -o -path /var/lib/systemd/catalog -o -path /var/lib/private -o \
		-path /etc/passwd- -o -path /etc/shadow- -o -path /etc/group- -o -path /etc/gshadow- -o \
		-path /etc/.pwd.lock -o -path /etc/.updated -o -path /var/.updated -o -path /etc/machine-id \) -prune -o \
		-printf '%y %m %u:%g %p %l\n' | sort -k4
	find /etc /usr /lib /var/lib/systemd /opt /root /home -xdev -type f ! -path '/etc/*-' ! -path /etc/.pwd.lock \
		! -path '*/random-seed' ! -path '*/timers/*' ! -path '*/.updated' ! -path /etc/machine-id -exec sha256sum {} + | sort -k2
	find /run -xdev -mindepth 1 -maxdepth 1 -printf '%y %m %u:%g %p\n' | sort -k4
	# by name, where a running system writes, too
	find /run /tmp /var -xdev -name '*pgwith*' | sort
}

running()
{
	[ "$(systemctl is-active pgwithd.service)" = active ] || fail "$1: the service is $(systemctl is-active pgwithd.service)"
	pgwith status >/packages/status 2>&1 || fail "$1: pgwith status: $(cat /packages/status)"
}

main_pid()
{
	systemctl show -p MainPID --value pgwithd.service
}

export DEBIAN_FRONTEND=noninteractive
snapshot >/packages/before

dpkg -i /packages/*.deb || fail "installation"
running "installed"
[ "$(stat -c %U "/proc/$(main_pid)")" = pgwith ] || fail "the daemon runs as $(stat -c %U "/proc/$(main_pid)")"
[ "$(systemctl is-enabled pgwithd.service)" = enabled ] || fail "the service is not enabled"
pgwithd -t || fail "the configuration of the package"
for page in pgwith.1 pgwith.conf.5 pgwith-scopes.7 pgwithd.8; do
	[ -f "/usr/share/man/man${page##*.}/$page.gz" ] || fail "no manual page $page"
done
[ -f /usr/share/bash-completion/completions/pgwith ] || fail "no completion"
echo "ok: installed, and running as pgwith"

# A pool of the administrator's, on the fixture, taken over by reload.
# Not below /tmp: the service has a /tmp of its own. The fixture lets its own user in.
install -d -o pgwith /run/fixture
runuser -u pgwith -- pgwith-fixture -l /run/fixture -p 5432 /run/fixture/shop.db &
fixture=$!
cat >/etc/pgwith/conf.d/shop.conf <<'END'
[pool shop]
conninfo = host=/run/fixture port=5432 dbname=shop user=app
END
echo '# mine' >>/etc/pgwith/pgwith.conf
pid=$(main_pid)
systemctl reload pgwithd.service || fail "reload"
tries=0
until psql 'host=/run/pgwith port=6432 dbname=shop user=app' -Atqc 'SELECT 42' >/packages/answer 2>&1; do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || fail "no answer: $(cat /packages/answer)"
	sleep 0.1
done
[ "$(cat /packages/answer)" = 42 ] || fail "the answer is $(cat /packages/answer)"
[ "$(main_pid)" = "$pid" ] || fail "reload has restarted it"
echo "ok: reloaded, and a query goes through"

dpkg -i /packages/next/*.deb || fail "upgrade"
case $(dpkg-query -W -f '${Version}' pgwith) in *+next) ;; *) fail "not upgraded" ;; esac
[ "$(main_pid)" != "$pid" ] || fail "the upgrade has not restarted it"
grep -qx '# mine' /etc/pgwith/pgwith.conf || fail "the upgrade has changed the configuration"
running "upgraded"
psql 'host=/run/pgwith port=6432 dbname=shop user=app' -Atqc 'SELECT 42' >/dev/null || fail "no answer after the upgrade"
echo "ok: upgraded, the configuration is kept"

pid=$(main_pid)
dpkg -i /packages/next/*.deb || fail "installation of the same again"
[ "$(main_pid)" != "$pid" ] || fail "installed again, and not restarted"
running "installed again"
grep -qx '# mine' /etc/pgwith/pgwith.conf || fail "installed again, and the configuration has changed"
echo "ok: installed again"

kill $fixture
wait $fixture || true
rm -r /run/fixture
dpkg -r pgwith pgwith-fixture || fail "remove"
[ "$(systemctl is-active pgwithd.service)" != active ] || fail "removed and running"
[ ! -e /usr/sbin/pgwithd ] || fail "removed and there"
grep -qx '# mine' /etc/pgwith/pgwith.conf || fail "removed, and the configuration is gone"
echo "ok: removed, the configuration is kept"

rm /etc/pgwith/conf.d/shop.conf
dpkg -P pgwith pgwith-fixture || fail "purge"
snapshot >/packages/after
diff /packages/before /packages/after >/packages/difference || fail "purge has left: $(cat /packages/difference)"
echo "ok: purged, nothing is left"
