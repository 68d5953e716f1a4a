#!/bin/sh
# Runs a command, which tests, with the kind of PostgreSQL that PGWITH_TEST_SERVER says: see README.md here.
# usage: with-server.sh DIR COMMAND...      DIR keeps the image that is built, for the next time
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/debian.sh
. "$here/../lib/debian.sh"

die()
{
	echo "with-server: $*" >&2
	exit 1
}

# The word behind --inside is the directory of this run.
if [ "${1:-}" = --inside ]; then
	work=$2
	shift 2
	CONTAINERS_CONF=$work/containers.conf
	PGWITH_TEST_ENGINE=$(podman_in_private "$work")
	PGWITH_TEST_RUN=--cgroups=disabled
	export CONTAINERS_CONF PGWITH_TEST_ENGINE PGWITH_TEST_RUN
	PGWITH_TEST_IMAGE=localhost/pgwith-test-postgres
	export PGWITH_TEST_IMAGE
	$PGWITH_TEST_ENGINE import --quiet "$PGWITH_TEST_TAR" "$PGWITH_TEST_IMAGE" >/dev/null
	status=0
	"$@" || status=$?
	left=$($PGWITH_TEST_ENGINE ps -aq)
	if [ -n "$left" ]; then
		# shellcheck disable=SC2086 # words
		$PGWITH_TEST_ENGINE rm -f -v $left >/dev/null
		die "containers were left"
	fi
	exit $status
fi

keep=$1
shift
case ${PGWITH_TEST_SERVER:-local} in
local)
	exec "$@"
	;;
running)
	[ -n "${PGWITH_TEST_CONNINFO:-}" ] || die "PGWITH_TEST_SERVER=running needs PGWITH_TEST_CONNINFO"
	exec "$@"
	;;
container) ;;
*)
	die "PGWITH_TEST_SERVER is local, container or running"
	;;
esac

if [ -z "${PGWITH_TEST_ENGINE:-}" ]; then
	PGWITH_TEST_ENGINE=$(command -v podman || command -v docker) || die "needs podman or docker"
	export PGWITH_TEST_ENGINE
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/pgwith-server.XXXXXX")
imported=
outside=false # of a namespace of ours: the user's own containers are beside those of the tests

finish()
{
	status=$?
	trap - EXIT
	if $outside; then
		left=$($PGWITH_TEST_ENGINE ps -aq --filter "label=pgwith-run=$$") || true
		# shellcheck disable=SC2086 # words
		[ -z "$left" ] || $PGWITH_TEST_ENGINE rm -f -v $left >/dev/null
	fi
	[ -z "$imported" ] || $PGWITH_TEST_ENGINE rmi -f "$imported" >/dev/null
	rm -rf --one-file-system "$dir"
	exit $status
}
trap finish EXIT
trap 'exit 130' HUP INT TERM

if [ -z "${PGWITH_TEST_IMAGE:-}" ]; then
	mkdir -p "$keep"
	PGWITH_TEST_TAR=$keep/postgres.tar
	export PGWITH_TEST_TAR
	# shellcheck disable=SC2016 # for mmdebstrap
	debian_base "$PGWITH_TEST_TAR" --include=postgresql-15 --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--essential-hook='mkdir -p "$1/etc/postgresql-common" &&
			echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"'
	if [ "$(id -u)" -eq 0 ] && [ "$(basename "$PGWITH_TEST_ENGINE")" = podman ]; then
		in_private "$0" --inside "$dir" "$@"
		exit
	fi
	imported=localhost/pgwith-test-postgres:$$
	$PGWITH_TEST_ENGINE import "$PGWITH_TEST_TAR" "$imported" >/dev/null
	PGWITH_TEST_IMAGE=$imported
	export PGWITH_TEST_IMAGE
fi
outside=true
PGWITH_TEST_RUN="${PGWITH_TEST_RUN:-} --label pgwith-run=$$"
export PGWITH_TEST_RUN
"$@"
