#!/bin/sh
# pgwithd in a container (systemd/Containerfile) beside a PostgreSQL in another one, the sockets of both in shared
# folders: psql from outside, the health check, a PostgreSQL that goes and comes back, a clean end.
# usage: container.sh SOURCE KEEPDIR    SOURCE: a source tree; KEEPDIR keeps the base systems for the next time
#
# Needs root, podman, mmdebstrap, psql and a way to Debian's packages; some minutes and 3 GB below TMPDIR. No registry
# is asked: the base images are made here. Namespaces of its own; nothing outlives it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/debian.sh
. "$here/../lib/debian.sh"

die()
{
	echo "container: $*" >&2
	exit 1
}

# until_true WHAT COMMAND...: for 30 s at most
until_true()
{
	what=$1
	shift
	tries=0
	until "$@" >"$work/said" 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || {
			cat "$work/said"
			$podman logs pgwith 2>&1 | tail -20
			die "never: $what"
		}
		sleep 0.1
	done
	echo "ok: $what"
}

if [ "${1:-}" != --inside ]; then
	[ "$(id -u)" -eq 0 ] || die "needs root"
	command -v podman >/dev/null || die "needs podman"
	source=$(cd "$1" && pwd)
	mkdir -p "$2"
	keep=$(cd "$2" && pwd)
	debian_base "$keep/debian.tar"
	debian_base "$keep/postgres.tar" --include=postgresql-15
	dir=$(mktemp -d "${TMPDIR:-/tmp}/pgwith-container.XXXXXX")
	trap 'rm -rf --one-file-system "$dir"' EXIT
	trap 'exit 130' HUP INT TERM
	in_private "$0" --inside "$dir" "$source" "$keep"
	echo "container: all is well"
	exit
fi

work=$2
source=$3
keep=$4
CONTAINERS_CONF=$work/containers.conf
export CONTAINERS_CONF
podman=$(podman_in_private "$work")
mkdir "$work/postgres" "$work/pgwith" "$work/none"
chmod 1777 "$work/postgres" "$work/pgwith"
$podman import --quiet "$keep/debian.tar" localhost/debian:12 >/dev/null
$podman import --quiet "$keep/postgres.tar" localhost/postgres:15 >/dev/null

$podman build --quiet --isolation=chroot --network=host --format docker --build-arg BASE=localhost/debian:12 \
	-f "$source/systemd/Containerfile" -t localhost/pgwith "$source" >"$work/build.log" 2>&1 || {
	tail -40 "$work/build.log"
	die "the image cannot be built"
}
[ "$($podman image inspect -f '{{.User}}' localhost/pgwith)" = pgwith ] || die "the image runs as root"
echo "ok: built"

run()
{
	$podman run -d --cgroups=disabled --network=none "$@" >/dev/null
}

postgres=/usr/lib/postgresql/15/bin
run --name postgres --user postgres -v "$work/postgres:/sockets" localhost/postgres:15 sh -c "
	$postgres/initdb -D /tmp/data -U postgres -A trust -E UTF8 --no-locale --no-sync >/dev/null
	exec $postgres/postgres -D /tmp/data -c fsync=off -c listen_addresses= -k /sockets"
cat >"$work/pgwith.conf" <<END
[pgwith]
listen = /run/pgwith
allow = app
[pool orders]
conninfo = host=/sockets dbname=postgres user=postgres
users = *
size = 2
retry_delay = 100ms
END
run --name pgwith -v "$work/postgres:/sockets" -v "$work/pgwith:/run/pgwith" \
	-v "$work/pgwith.conf:/etc/pgwith/pgwith.conf:ro" localhost/pgwith

ask()
{
	[ "$(psql "host=$work/pgwith port=6432 dbname=orders user=app" -Atqc "$1" 2>&1)" = "$2" ]
}
healthy()
{
	$podman healthcheck run pgwith
}

until_true "psql from outside, over the shared socket, to PostgreSQL beside it" ask 'SELECT 41 + 1' 42
[ "$($podman exec pgwith id -un)" = pgwith ] || die "it runs as $($podman exec pgwith id -un)"
until_true "the health check" healthy

$podman kill -s INT postgres >/dev/null
$podman wait postgres >/dev/null
! ask 'SELECT 1' 1 || die "an answer without PostgreSQL"
! healthy >/dev/null 2>&1 || die "healthy without PostgreSQL"
echo "ok: unhealthy without PostgreSQL"
$podman start postgres >/dev/null
until_true "PostgreSQL is back, and so are answers" ask 'SELECT 41 + 1' 42
until_true "healthy again" healthy

$podman kill -s TERM pgwith >/dev/null
[ "$($podman wait pgwith)" = 0 ] || die "its end was not a good one"
[ ! -e "$work/pgwith/.s.PGSQL.6432" ] || die "its socket is still there"
echo "ok: it ends, and its socket is gone"
$podman rm -f -v postgres pgwith >/dev/null
