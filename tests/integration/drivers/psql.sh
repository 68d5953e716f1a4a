#!/bin/sh
# psql, by drivers_matrix.py: psql.sh DSN FEATURE. PSQL names the program.
set -eu
dsn=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail()
{
	echo "$*" >&2
	exit 1
}

# expect WANTED: what psql writes for the script on standard input
expect()
{
	"$PSQL" -XAtq "$dsn" >"$dir/out" 2>&1 || fail "psql ended with $?"
	printf '%s\n' "$1" >"$dir/want"
	sed 's/PID [0-9]*/PID N/' "$dir/out" | diff -u "$dir/want" - >&2 || fail "that is not what was expected"
}

# wait_for COMMAND...: until it succeeds
wait_for()
{
	until "$@"; do
		sleep 0.02
	done
}

# Makes the command $dir/wait, which tells the runner, and returns when it answers.
may_wait()
{
	export dir
	cat >"$dir/wait" <<'SH'
echo ready >&3
read -r go <&4
SH
	exec 3>&1 4<&0
}

sleeps()
{
	[ "$("$PSQL" -XAtq "$dsn" -c "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND
		query LIKE '%pg_sleep(61)%' AND pid <> pg_backend_pid()")" -gt 0 ]
}

case $2 in
version)
	"$PSQL" --version
	;;
query)
	expect "2||grüße
1000
42" <<'SQL'
SELECT 1 + 1, NULL, 'grüße';
SELECT count(*) FROM (SELECT generate_series(1, 1000)) s;
SELECT 1 WHERE false;
SELECT 6 * 7 AS answer \gset
\echo :answer
SQL
	"$PSQL" -XAtq "$dsn" -c '\dt pg_catalog.*' -c '\d pg_class' -c '\l' >/dev/null
	;;
parameters)
	echo 'none psql 15 cannot bind'
	exit
	;;
prepared)
	expect '2
3
ERROR:  prepared statement "p" does not exist' <<'SQL'
PREPARE p(int) AS SELECT $1 + 1;
BEGIN; EXECUTE p(1); COMMIT;
EXECUTE p(2);
DEALLOCATE p;
EXECUTE p(3);
SQL
	echo 'pinned SQL PREPARE is the only way to prepare: the session keeps its server until DEALLOCATE'
	;;
transactions)
	expect 2 <<'SQL'
CREATE TABLE x (a int);
BEGIN; INSERT INTO x VALUES (1); ROLLBACK;
\set AUTOCOMMIT off
INSERT INTO x VALUES (2);
SAVEPOINT s;
INSERT INTO x VALUES (3);
ROLLBACK TO s;
COMMIT;
SELECT a FROM x;
SQL
	;;
errors)
	expect 'ERROR:  42601
ERROR:  22012
ERROR:  25P02
1' <<'SQL'
\set VERBOSITY sqlstate
SELEC 1;
BEGIN;
SELECT 1 / 0;
SELECT 1;
ROLLBACK;
SELECT 1;
SQL
	;;
copy)
	seq 10000 | sed 's/.*/&	b&/' >"$dir/rows"
	echo nonsense >"$dir/bad"
	expect '10000
ERROR:  22P02
10000' <<SQL
\\set VERBOSITY sqlstate
CREATE TABLE x (a int, b text);
\\copy x FROM '$dir/rows'
SELECT count(*) FROM x;
\\copy x TO '$dir/copy'
\\copy x FROM '$dir/bad'
SELECT count(*) FROM x;
SQL
	cmp "$dir/rows" "$dir/copy"
	;;
listen)
	# it shows them when it has run the next statement
	export dsn
	may_wait
	expect '1
Asynchronous notification "chan" with payload "hello" received from server process with PID N.
2' <<'SQL'
LISTEN chan;
\! sh "$dir/wait"
\! "$PSQL" -Xq "$dsn" -c "NOTIFY chan, 'hello'"
SELECT 1;
UNLISTEN *;
SELECT 2;
SQL
	;;
large)
	bytes=$("$PSQL" -XAtq "$dsn" -c "SELECT repeat('x', 1000) FROM generate_series(1, 55000)" | wc -c)
	[ "$bytes" -eq 55055000 ] || fail "$bytes bytes"
	;;
cancel)
	"$PSQL" -XAtq "$dsn" -c 'SELECT pg_sleep(61)' -c 'SELECT 1' >"$dir/out" 2>&1 &
	child=$!
	wait_for sleeps
	kill -INT "$child"
	wait "$child" || true
	grep -q 'canceling statement due to user request' "$dir/out" || fail "$(cat "$dir/out")"
	;;
restart)
	may_wait
	expect '1
2' <<'SQL'
SELECT 1;
\! sh "$dir/wait"
SELECT 2;
SQL
	;;
esac
echo ok
