#!/bin/sh
# Every test there is; ./bootstrap check runs it when the packages are installed. Each step's output goes
# to a file, of which the relevant ends are shown if the step fails. The last line is always the sum.
set -u
cd "$(dirname "$0")/.." || exit 1

work=build-check # below the tree: removed when all is well, kept to look at when not
sanitized=$work/sanitized
jobs=$(nproc)
waiting_jobs=$((jobs + 1)) # of tests that wait more than they compute
passed=0
failed=0
skipped=0
skips=
running=
began=$(date +%s)

# distcheck makes parts of its tree read-only
remove()
{
	[ ! -e "$1" ] || chmod -R u+w "$1"
	rm -rf "$1"
}

finish()
{
	status=$?
	trap - EXIT
	trap '' HUP INT TERM
	if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
		failed=1
	fi
	if [ -n "$skips" ]; then
		printf '\nskipped:%s\n' "$skips"
	fi
	if [ "$failed" -eq 0 ]; then
		remove "$work"
	else
		printf '\nlogs are in %s\n' "$work"
	fi
	printf '\n%s s in all\n' $(($(date +%s) - began))
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	[ "$failed" -eq 0 ] || exit 1
	exit 0
}

interrupted()
{
	if [ -n "$running" ]; then
		kill "$running" 2>/dev/null
		wait "$running"
	fi
	printf '\ninterrupted\n'
	failed=$((failed + 1))
	exit 130
}

trap finish EXIT
trap interrupted HUP INT TERM

# indented LINES FILE
indented()
{
	tail -n "$1" "$2" | sed 's/^/    /'
}

# run NAME SECONDS COMMAND...: its exit status; the output is in $log.
# In the background, so that a signal reaches our trap at once, and under timeout(1), which makes a process
# group of the step and takes down all of it. Background commands ignore SIGINT unless told otherwise.
run()
{
	name=$1
	limit=$2
	shift 2
	log=$work/$(printf '%s' "$name" | tr -c 'a-z0-9\n' '-').log
	printf '%-44s ' "$name"
	step_began=$(date +%s)
	env --default-signal=INT timeout -k 30 "$limit" "$@" >"$log" 2>&1 </dev/null &
	running=$!
	wait "$running"
	result=$?
	running=
	seconds=$(($(date +%s) - step_began))
	if [ "$result" -eq 124 ]; then
		printf '\n*** stopped after %s s\n' "$limit" >>"$log"
	fi
	return "$result"
}

# step NAME SECONDS COMMAND...: a step that counts as one test
step()
{
	if run "$@"; then
		passed=$((passed + 1))
		printf 'ok %14s s\n' "$seconds"
		return 0
	fi
	failed=$((failed + 1))
	printf 'FAILED %10s s   exit status %s, %s:\n' "$seconds" "$result" "$log"
	indented 60 "$log"
	return 1
}

# suite NAME SECONDS BUILDDIR COMMAND...: a make check whose test cases are counted
suite()
{
	suite_name=$1
	suite_limit=$2
	dir=$3
	shift 3
	: >"$work/mark" # results older than this are another run's
	run "$suite_name" "$suite_limit" "$@"
	cases=$work/cases
	find "$dir/tests" -name '*.trs' -newer "$work/mark" | sort | while read -r trs; do
		sed -n "s|^:test-result: *\([A-Z]*\) *|\1 ${trs%.trs} |p" "$trs"
	done >"$cases"
	good=$(grep -cE '^(PASS|XFAIL) ' "$cases")
	bad=$(grep -cE '^(FAIL|XPASS|ERROR) ' "$cases")
	left_out=$(grep -c '^SKIP ' "$cases")
	# A suite that broke without naming a test (it did not compile, it hung), or that ran nothing.
	broken=false
	if [ "$bad" -eq 0 ] && { [ "$result" -ne 0 ] || [ $((good + left_out)) -eq 0 ]; }; then
		broken=true
		bad=1
	fi
	passed=$((passed + good))
	failed=$((failed + bad))
	skipped=$((skipped + left_out))
	if [ "$left_out" -gt 0 ]; then
		skips="$skips
$(sed -n 's/^SKIP \([^ ]*\).*/\1/p' "$cases" | sort -u | while read -r test; do
			sed -n "s/^SKIP: /    $suite_name: /p" "$test.log"
		done)"
	fi
	if [ "$bad" -eq 0 ]; then
		printf 'ok %14s s   %s passed, %s skipped\n' "$seconds" "$good" "$left_out"
		return 0
	fi
	printf 'FAILED %10s s   %s passed, %s failed, %s skipped; exit status %s, %s\n' \
		"$seconds" "$good" "$bad" "$left_out" "$result" "$log"
	if $broken; then
		indented 60 "$log"
		return 1
	fi
	sed -nE 's/^(FAIL|XPASS|ERROR) ([^ ]*).*/\2/p' "$cases" | sort -u | while read -r test; do
		printf '  %s.log:\n' "$test"
		grep -E '^(FAIL|XPASS|ERROR): ' "$test.log" | sed 's/^/    /'
		echo '    ...'
		indented 40 "$test.log"
	done
	return 1
}

remove "$work"
mkdir "$work" || exit 1

# Hundreds of databases are made and dropped: in memory, if there is enough of it, that costs half as much.
memory=/dev/shm
if [ -z "${PGWITH_TEST_TMP:-}" ] && [ "$(stat -f -c %T $memory 2>/dev/null)" = tmpfs ] && [ -w $memory ] &&
	[ "$(df -k --output=avail $memory | tail -n 1)" -gt 6000000 ] &&
	[ "$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)" -gt 8000000 ]; then
	PGWITH_TEST_TMP=$memory
	export PGWITH_TEST_TMP
fi

PGWITH_CONFIGURE=--enable-werror
export PGWITH_CONFIGURE

# A change is judged by what it changes: the random tests draw the same here each time, as long as nobody
# says otherwise. `make check` alone draws anew, and prints what it drew.
: "${PGWITH_TEST_SEED:=3}" "${CHECK_SEED:=3}" "${PGWITH_SEED:=3}"
export PGWITH_TEST_SEED CHECK_SEED PGWITH_SEED
step 'build' 900 ./bootstrap build || exit 1
step 'build the tests' 900 make -s -j"$jobs" check TESTS= || exit 1

step 'formatting' 300 make -s format-check
step 'shell scripts' 300 make -s shellcheck
step 'manual pages' 300 make -s man-check
suite 'unit tests' 900 . make -s -j"$jobs" -k check-unit
suite 'system and integration tests' 1800 . make -s -j"$waiting_jobs" -k check-system
step 'unit tests under valgrind' 1800 make -s check-valgrind
if step 'sanitized build' 900 make -s -j"$jobs" sanitized SANITIZED="$sanitized"; then
	# In one process each, as under valgrind: a fork for each of a thousand costs the sanitizers most.
	suite 'unit tests, sanitized' 900 "$sanitized" env CK_FORK=no CK_TIMEOUT_MULTIPLIER=5 CHECK_ROUNDS=5000 \
		make -s -k -C "$sanitized" -j"$jobs" check-unit
	suite 'system and integration tests, sanitized' 2700 "$sanitized" \
		make -s -k -C "$sanitized" -j"$waiting_jobs" check-system
fi
step 'installation' 600 make -s install-check
step 'distribution' 1800 env CK_FORK=no CK_TIMEOUT_MULTIPLIER=5 CHECK_ROUNDS=1000 \
	make -s -j"$jobs" distcheck-unit DISTCHECK_CONFIGURE_FLAGS=CFLAGS=-O0
for left in pgwith-[0-9]*; do
	[ ! -d "$left" ] || remove "$left"
done
