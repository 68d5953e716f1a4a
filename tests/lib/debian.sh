# shellcheck shell=sh
# For scripts that need a fresh Debian 12: made by mmdebstrap, from the mirror of this machine.

# debian_base TAR [OPTION...]: makes the archive TAR of a minimal root file system, unless it is there.
# The options go to mmdebstrap (--include=PACKAGE,...). On a Debian 12, its mirror and way out are taken.
debian_base()
{
	[ ! -s "$1" ] || return 0
	debian_tar=$1
	shift
	command -v mmdebstrap >/dev/null || {
		echo "needs mmdebstrap" >&2
		return 1
	}
	echo "making $debian_tar"
	apt-config dump 2>/dev/null | grep -iE '^Acquire::(https?::(proxy|verify|cainfo)|check-|retries)' >"$debian_tar.conf" || true
	debian_sources=
	# shellcheck disable=SC1091 # the system's
	if [ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = bookworm ]; then
		for debian_list in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
			[ ! -s "$debian_list" ] || debian_sources="$debian_sources $debian_list"
		done
	fi
	# shellcheck disable=SC2086 # a list of words
	mmdebstrap --quiet --format=tar --variant=minbase --aptopt="$debian_tar.conf" --dpkgopt=force-unsafe-io \
		"$@" bookworm "$debian_tar.new" ${debian_sources:-http://deb.debian.org/debian} &&
		rm "$debian_tar.conf" &&
		mv "$debian_tar.new" "$debian_tar"
}

# podman_in_private DIR: words of a podman whose storage and settings are below DIR, for a script that is in a mount
# namespace of its own. Limits are such that a root without CAP_SYS_RESOURCE can set them.
podman_in_private()
{
	cat >"$1/containers.conf" <<-END
		[containers]
		default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
		[engine]
		runtime = "crun"
		cgroup_manager = "cgroupfs"
		events_logger = "file"
	END
	echo "podman --root $1/root --runroot $1/run --tmpdir $1/tmp"
}

# in_private SCRIPT ARGUMENTS...: root's way to run a script whose mounts and processes end with it, and which sees a
# plain cgroup2 (crun takes no hybrid); what is outside stays as it is.
in_private()
{
	# shellcheck disable=SC2016 # for the shell inside
	unshare --mount --propagation private --pid --fork --kill-child --mount-proc sh -ec '
		if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
			umount -R -l /sys/fs/cgroup
			mount -t cgroup2 cgroup2 /sys/fs/cgroup
		fi
		exec sh "$@"' sh "$@"
}
