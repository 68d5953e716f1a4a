#!/bin/bash
# Boots a systemd of its own over this machine's /usr, with an installed tree laid over that, and runs a script in it.
# usage: boot.sh STAGE SCRIPT    STAGE: of make install DESTDIR=STAGE prefix=/usr
# Exit status: 0 if the script's was. Its output is printed; with the journal it is kept where it failed.
#
# Needs root, systemd-container, and for inside.sh postgresql-15. Nothing outside changes: a mount namespace with a plain
# cgroup2 in it, a cgroup that goes again, a private network and pid namespace, an empty /etc and /var.
set -euo pipefail
STAGE=$(realpath "$1")
SCRIPT=$(realpath "$2")

die()
{
	echo "boot: $*" >&2
	exit 1
}

[ "$(id -u)" -eq 0 ] || die "needs root"
command -v systemd-nspawn >/dev/null || die "needs systemd-nspawn: apt-get install --no-install-recommends systemd-container"
[ -x "$STAGE/usr/sbin/pgwithd" ] || die "nothing is installed in $STAGE"
if [ -z "${PGWITH_BOOT_DIR:-}" ]; then
	PGWITH_BOOT_DIR=$(mktemp -d "${TMPDIR:-/tmp}/pgwith-boot.XXXXXX")
	export PGWITH_BOOT_DIR
	exec unshare --mount --propagation private "$0" "$@"
fi
dir=$PGWITH_BOOT_DIR

umount -R -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
group=/sys/fs/cgroup/pgwith-boot.$$
mkdir "$group"
# shellcheck disable=SC2317 # it is reached, by the trap
leave()
{
	echo $$ >/sys/fs/cgroup/cgroup.procs
	find "$group" -depth -type d -exec rmdir {} \;
}
trap leave EXIT
echo $$ >"$group/cgroup.procs"

mkdir "$dir/out" "$dir/units"
cp "$SCRIPT" "$dir/out/script.sh"
cat >"$dir/units/inside.service" <<'END'
[Unit]
SuccessAction=exit-force
FailureAction=exit-force
SuccessActionExitStatus=0
FailureActionExitStatus=3

[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/bash /out/script.sh
ExecStopPost=/bin/sh -c 'journalctl --no-pager -b -o short-monotonic >/out/journal.txt'
StandardOutput=append:/out/test.log
StandardError=append:/out/test.log
END
# The folder over /etc/systemd/system keeps presets from enabling what the machine has.
status=0
timeout -k 10 "${PGWITH_BOOT_SECONDS:-600}" systemd-nspawn --quiet --boot --directory=/ --machine=pgwith$$ \
	--register=no --keep-unit --console=pipe --volatile=yes --private-network \
	--overlay-ro="/usr:$STAGE/usr:/usr" --bind-ro="$dir/units:/etc/systemd/system" --bind="$dir/out:/out" \
	-- systemd.unit=multi-user.target systemd.wants=inside.service systemd.mask=systemd-firstboot.service \
	</dev/null >"$dir/console.txt" 2>&1 || status=$?
cat "$dir/out/test.log" || true
if [ "$status" -eq 0 ]; then
	rm -r "$dir"
	exit 0
fi
echo "boot: status $status; journal and console are in $dir" >&2
exit 1
