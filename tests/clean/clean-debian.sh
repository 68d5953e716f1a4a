#!/bin/sh
# ./bootstrap demo and ./bootstrap check of the last commit in a fresh Debian 12 with nothing but apt in it.
# usage: clean-debian.sh [--user] [demo] [check] [shell]        (both, without arguments)
# --user: as an ordinary user with sudo, instead of root
#
# Needs root, mmdebstrap and git; some minutes and 2 GB below TMPDIR. The base system is kept for the next
# time in PGWITH_CLEAN_BASE. A chroot in mount, pid and ipc namespaces of its own: nothing outlives it, and
# cgroups and network are not touched (apt and the demo use the machine's network).
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/debian.sh
. "$source/tests/lib/debian.sh"
base=${PGWITH_CLEAN_BASE:-/tmp/pgwith-clean-base.tar}

die()
{
	echo "clean-debian: $*" >&2
	exit 1
}

user=
what=
for word; do
	case $word in
	--user)
		user=tester
		;;
	demo | check | shell)
		what="$what $word"
		;;
	*)
		die "unknown argument $word"
		;;
	esac
done
[ -n "$what" ] || what='demo check'

[ "$(id -u)" -eq 0 ] || die "needs root"
command -v mmdebstrap >/dev/null || die "needs mmdebstrap"
[ "$(git -C "$source" rev-parse --is-inside-work-tree 2>/dev/null)" = true ] ||
	die "needs a git clone: what is tested is the last commit, without anything built"
[ -z "$(git -C "$source" status --porcelain)" ] ||
	echo "clean-debian: there are changes that are not committed; they are not tested"

dir=$(mktemp -d "${TMPDIR:-/tmp}/pgwith-clean.XXXXXX")
# the mounts are in the namespace of the process inside and go with it
trap 'rm -rf --one-file-system "$dir"' EXIT
trap 'exit 130' HUP INT TERM
root=$dir/root

debian_base "$base"

mkdir "$root"
tar -xf "$base" -C "$root" --exclude='./dev/*'
cp /etc/resolv.conf /etc/hosts "$root/etc/"
# what was known when the base was made may be stale: bootstrap must find that out for itself
find "$root/var/lib/apt/lists" -type f -delete
git clone -q --no-hardlinks "$source" "$root/home/pgwith"
cat >"$root/inside.sh" <<'END'
# usage: inside.sh USER WHAT...; pid 1 of the namespace
set -u
user=$1
shift
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
cd /home/pgwith || exit 1
export LC_ALL=C.UTF-8 CI=true
unset DEBIAN_FRONTEND PYTHONPATH
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

wrong()
{
	echo "clean-debian: $*"
	failed=1
}

# Sets $left to the processes other than this shell. Builtins only: what is started to look is not found.
look_for_processes()
{
	left=
	for process in /proc/[0-9]*/stat; do
		read -r line 2>/dev/null <"$process" || continue
		case $line in
		"1 "* | *") Z "*) ;;
		*) left="$left ${line%%)*})" ;;
		esac
	done
}

if [ -n "$user" ]; then
	{
		apt-get -qq update &&
			DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends sudo &&
			useradd -m -s /bin/sh "$user" &&
			printf '%s ALL=(ALL) NOPASSWD: ALL\n' "$user" >/etc/sudoers.d/tester &&
			chown -R "$user": . &&
			rm -rf /var/lib/apt/lists/*
	} </dev/null >/output 2>&1 || {
		cat /output
		exit 1
	}
fi

failed=0
for what; do
	if [ "$what" = shell ]; then
		sh -i
		continue
	fi
	[ "$what" != demo ] || [ ! -e /usr/lib/postgresql ] || wrong "PostgreSQL is there before the demo"
	find /tmp /var/tmp /run -mindepth 1 | sort >/before
	began=$(date +%s)
	echo "==== ./bootstrap $what"
	if [ -n "$user" ]; then
		setpriv --reuid="$user" --regid="$user" --init-groups --reset-env env CI=true LC_ALL=C.UTF-8 \
			sh -c 'cd /home/pgwith && ./bootstrap "$1"' sh "$what" </dev/null >/output 2>&1
	else
		./bootstrap "$what" </dev/null >/output 2>&1
	fi
	result=$?
	cat /output
	echo "==== exit status $result, $(($(date +%s) - began)) s"
	[ $result -eq 0 ] || wrong "./bootstrap $what failed"
	if [ "$what" = demo ]; then
		[ ! -e /usr/lib/postgresql/15/bin/postgres ] || wrong "the demo installed a PostgreSQL server"
	else
		tail -n 1 /output | grep -qxE '[0-9]+ passed, 0 failed, [0-9]+ skipped' ||
			wrong "the last line is not a sum without failures"
		[ ! -e /var/lib/postgresql/15/main ] || wrong "a database cluster was left"
	fi
	left=$(find /tmp /var/tmp /run -mindepth 1 ! -path '/run/lock*' ! -path '/run/adduser' ! -path '/run/postgresql*' | sort |
		comm -13 /before -)
	[ -z "$left" ] || wrong "./bootstrap $what left files:
$left"
	look_for_processes
	[ -z "$left" ] || wrong "./bootstrap $what left running: $left"
done
exit $failed
END

status=0
# shellcheck disable=SC2016,SC2086 # for the shell inside; a list of words
unshare --mount --propagation private --pid --fork --ipc --kill-child sh -ec '
	mount --rbind /dev "$1/dev"
	mount -t proc proc "$1/proc"
	root=$1
	shift
	exec env -u TMPDIR -u PYTHONPATH -u PGWITH_BUILDDIR -u PGWITH_SRCDIR chroot "$root" sh /inside.sh "$@"' sh "$root" "$user" $what || status=$?
changed=$(git -c safe.directory='*' -C "$root/home/pgwith" status --porcelain)
if [ -n "$changed" ]; then
	printf 'clean-debian: left in the tree, and not ignored by git:\n%s\n' "$changed"
	status=1
fi
if [ $status -eq 0 ]; then
	echo "clean-debian: all is well"
fi
exit $status
