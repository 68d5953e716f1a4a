#!/bin/sh
# What goes through the loop, by io_uring and by epoll: the other tests use whatever the kernel allows, and of the unit
# tests epoll. PGWITH_BOTH_IO names other scripts of this folder.
srcdir=${PGWITH_SRCDIR:-.}
builddir=${PGWITH_BUILDDIR:-.}
unit='batch inquiry lease listen lock loop sessions stream stream_tls threads timer turn waits'
scripts=${PGWITH_BOTH_IO:-bulk gone_waiting handover last_word slow_readers waiting}
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
n=0

# one NAME IO COMMAND...: ok or not, with its output
one()
{
	what="$1 by $2"
	export PGWITH_TEST_IO="$2"
	shift 2
	n=$((n + 1))
	if [ "$PGWITH_TEST_IO" = uring ] && [ -n "$refused" ]; then
		echo "ok $n - $what # SKIP $refused"
	elif "$@" >"$log" 2>&1; then
		echo "ok $n - $what"
	else
		sed 's/^/# /' "$log" | tail -n 200
		echo "not ok $n - $what"
	fi
}

refused=
if [ -x "$builddir/tests/unit/check_timer" ]; then
	refused=$(PGWITH_TEST_IO=uring CK_VERBOSITY=normal "$builddir/tests/unit/check_timer" 2>/dev/null |
		sed -n 's/.*\(no io_uring: .*\)/\1/p' | head -n 1)
fi
for name in $unit; do
	[ ! -x "$builddir/tests/unit/check_$name" ] || one "check_$name" uring "$builddir/tests/unit/check_$name"
done
for name in $scripts; do
	for io in epoll uring; do
		one "$name.py" $io "${PYTHON:-python3}" "$srcdir/tests/integration/$name.py"
	done
done
echo "1..$n"
