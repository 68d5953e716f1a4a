#!/bin/sh
# make check-valgrind: each unit test, in one process, under valgrind. A test fails by itself, by an
# error or a leak of memory, and by a descriptor that it leaves open. Usage: valgrind.sh TEST...
valgrind=${VALGRIND:-valgrind}
dir=$(mktemp -d "${TMPDIR:-/tmp}/pgwith-valgrind.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0 number=0

echo "1..$#"
if ! "$valgrind" --version >"$dir/version" 2>&1; then
	cat "$dir/version"
	echo "Bail out! no valgrind"
	exit 1
fi
for test in "$@"; do
	number=$((number + 1))
	name=${test##*/}
	why=
	# What a test forks off is the test's own matter: it may end in the middle, as log_fatal() does.
	# These need a process for each test: they count in globals, or end a process on purpose.
	case $name in
	check_cleanup | check_lease | check_listen | check_work) fork=yes ;;
	*) fork=no ;;
	esac
	PGWITH_VALGRIND=1 CK_FORK=$fork CK_TAP_LOG_FILE_NAME=$dir/tap CK_VERBOSITY=silent "$valgrind" -q --error-exitcode=99 \
		--leak-check=full --errors-for-leak-kinds=definite --track-fds=yes --child-silent-after-fork=yes \
		--log-file="$dir/log" "$test" >"$dir/out" 2>&1 </dev/null
	status=$?
	case $status in
	0) ;;
	99) why="memory" ;;
	*) why="status $status" ;;
	esac
	# Of the descriptors open at exit, valgrind says of each where it comes from on the next line.
	awk '
	/Open (AF_[A-Z0-9]* socket|file descriptor|.*socket) *[0-9]*/ { held = $0; next }
	held != "" { if ($0 !~ /<inherited from parent>/) { print held; bad = 1 } held = "" }
	END { exit bad }' "$dir/log" >"$dir/fds" || why="${why:+$why, }descriptors left open"
	if [ -z "$why" ]; then
		passed=$((passed + 1))
		echo "ok $number - $name"
	else
		failed=$((failed + 1))
		echo "not ok $number - $name: $why"
		grep -hs '^not ok' "$dir/tap" | sed 's/^/# /'
		sed 's/^/# /' "$dir/out" "$dir/log"
	fi
	rm -f "$dir/tap" "$dir/out" "$dir/log" "$dir/fds"
done
echo "# valgrind: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
