#!/bin/sh
# The Debian packages in a fresh Debian 12 that is booted for them, by systemd: installed, running, reloaded,
# upgraded, removed and purged. What purge leaves is found by comparing the whole file system with what it was.
# usage: package.sh DEBDIR KEEPDIR      DEBDIR: where `make deb` has put them; KEEPDIR keeps the base system
#
# Needs root, mmdebstrap and systemd-container; a minute or two, and 1 GB below TMPDIR. Namespaces and a cgroup of its
# own; no network but for apt, before it is booted.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/debian.sh
. "$here/../lib/debian.sh"

die()
{
	echo "package: $*" >&2
	exit 1
}

# With --boot ROOT: inside the namespaces.
if [ "${1:-}" = --boot ]; then
	root=$2
	group=/sys/fs/cgroup/pgwith-package.$PPID.$$
	mkdir "$group"
	echo 0 >"$group/cgroup.procs"
	status=0
	timeout -k 10 300 systemd-nspawn -q -b -D "$root" --machine="pgwith-package-$$" --register=no --keep-unit \
		--console=pipe --private-network -- systemd.unit=multi-user.target systemd.wants=package-test.service \
		</dev/null >"$root/console.txt" 2>&1 || status=$?
	echo 0 >/sys/fs/cgroup/cgroup.procs
	find "$group" -depth -type d -exec rmdir {} \;
	exit $status
fi

[ "$(id -u)" -eq 0 ] || die "needs root"
command -v systemd-nspawn >/dev/null || die "needs systemd-container"
debs=$(cd "$1" && pwd)
mkdir -p "$2"
base=$(cd "$2" && pwd)/systemd.tar
debian_base "$base" --include=systemd-sysv,postgresql-client-15

dir=$(mktemp -d "${TMPDIR:-/tmp}/pgwith-package.XXXXXX")
trap 'rm -rf --one-file-system "$dir"' EXIT
trap 'exit 130' HUP INT TERM
root=$dir/root
mkdir "$root"
tar -xf "$base" -C "$root" --exclude='./dev/*'
cp /etc/resolv.conf "$root/etc/"

# The packages, and their next version: the same, but for the number.
mkdir "$root/packages" "$root/packages/next"
cp "$debs"/pgwith_*.deb "$debs"/pgwith-fixture_*.deb "$root/packages"
for deb in "$root"/packages/*.deb; do
	dpkg-deb -R "$deb" "$dir/next"
	sed -i 's/^Version: .*/&+next/' "$dir/next/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$dir/next" "$root/packages/next" >/dev/null
	rm -r "$dir/next"
done

# What they depend on is there before, so that what they bring themselves is seen.
# shellcheck disable=SC2016 # for the shell inside
unshare --mount --propagation private --pid --fork --kill-child sh -ec '
	mount --rbind /dev "$1/dev"
	mount -t proc proc "$1/proc"
	exec env DEBIAN_FRONTEND=noninteractive chroot "$1" sh -ec "
		apt-get -qq update
		wanted=\$(apt-get -s --no-install-recommends install /packages/*.deb |
			sed -n \"s/^Inst \\([^ ]*\\).*/\\1/p\" | grep -v ^pgwith)
		[ -z \"\$wanted\" ] || apt-get -qq -y --no-install-recommends install \$wanted
	"' sh "$root" </dev/null >"$dir/apt.log" 2>&1 || {
	tail -20 "$dir/apt.log"
	die "the dependencies cannot be installed"
}

cp "$here/package-inside.sh" "$root/packages/inside.sh"
cat >"$root/etc/systemd/system/package-test.service" <<'END'
[Unit]
After=basic.target
SuccessAction=exit-force
FailureAction=exit-force
SuccessActionExitStatus=0
FailureActionExitStatus=3
[Service]
Type=oneshot
ExecStart=/bin/sh /packages/inside.sh
StandardOutput=append:/packages/log
StandardError=append:/packages/log
END
status=0
in_private "$0" --boot "$root" || status=$?
cat "$root/packages/log" || tail -20 "$root/console.txt"
[ $status -eq 0 ] || die "failed, status $status"
echo "package: all is well"
