#!/bin/sh
# make check-valgrind: each unit test, in one process, under valgrind, as many at once as there are
# processors. A test fails by itself, by an error or a leak of memory, and by a descriptor that it leaves
# open. Usage: valgrind.sh TEST...
valgrind=${VALGRIND:-valgrind}

# one NUMBER TEST: its TAP lines. What a test forks off is the test's own matter: it may end in the middle,
# as log_fatal() does.
one()
{
	number=$1 test=$2
	name=${test##*/}
	mine=$dir/$number
	PGWITH_VALGRIND=1 CK_FORK=no CK_TIMEOUT_MULTIPLIER=20 CK_TAP_LOG_FILE_NAME=$mine.tap CK_VERBOSITY=silent "$valgrind" -q \
		--error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --track-fds=yes \
		--child-silent-after-fork=yes --log-file="$mine.log" "$test" >"$mine.out" 2>&1 </dev/null
	status=$?
	why=
	case $status in
	0) ;;
	99) why="memory" ;;
	*) why="status $status" ;;
	esac
	# Of the descriptors open at exit, valgrind says of each where it comes from on the next line.
	awk '
	/Open (AF_[A-Z0-9]* socket|file descriptor|.*socket) *[0-9]*/ { held = $0; next }
	held != "" { if ($0 !~ /<inherited from parent>/) { print held; bad = 1 } held = "" }
	END { exit bad }' "$mine.log" >"$mine.fds" || why="${why:+$why, }descriptors left open"
	if [ -z "$why" ]; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name: $why"
		grep -hs '^not ok' "$mine.tap" | sed 's/^/# /'
		sed 's/^/# /' "$mine.out" "$mine.log"
	fi
}

if [ "${1:-}" = --one ]; then
	dir=$2
	one "$3" "$4" >"$dir/$3.said"
	exit
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/pgwith-valgrind.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

echo "1..$#"
if ! "$valgrind" --version >"$dir/version" 2>&1; then
	cat "$dir/version"
	echo "Bail out! no valgrind"
	exit 1
fi
number=0
for test in "$@"; do
	number=$((number + 1))
	printf '%s\n%s\n' "$number" "$test"
done | xargs -P "$(nproc)" -n 2 "${SHELL:-/bin/sh}" "$0" --one "$dir"
number=0 passed=0
while [ "$number" -lt $# ]; do
	number=$((number + 1))
	cat "$dir/$number.said" || echo "not ok $number - it said nothing"
	! grep -q '^ok ' "$dir/$number.said" || passed=$((passed + 1))
done
echo "# valgrind: $passed passed, $((number - passed)) failed"
[ "$passed" -eq "$number" ]
