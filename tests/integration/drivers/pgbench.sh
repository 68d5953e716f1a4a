#!/bin/sh
# pgbench, by drivers_matrix.py: pgbench.sh DSN FEATURE. PGBENCH names the program, MODE its mode.
set -eu
dsn=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export dir

fail()
{
	echo "$*" >&2
	exit 1
}

# bench ARGUMENT...: the script on standard input, by which every transaction is made
bench()
{
	cat >"$dir/script"
	"$PGBENCH" -n -M "$MODE" -f "$dir/script" "$@" "$dsn" >"$dir/out" 2>&1 || {
		cat "$dir/out" >&2
		fail "pgbench ended badly"
	}
	grep -q 'number of failed transactions: 0 ' "$dir/out" || fail "$(cat "$dir/out")"
}

# value SQL
value()
{
	"$PSQL" -XAtq "$dsn" -c "$1"
}

none()
{
	echo "none $*"
	exit
}

case $2 in
version)
	"$PGBENCH" --version
	;;
query)
	bench -c 20 -t 20 <<'SQL'
SELECT 1;
SELECT generate_series(1, 100);
SELECT 1 WHERE false;
SQL
	;;
parameters)
	[ "$MODE" != simple ] || none 'simple mode puts the values into the text'
	bench -c 20 -t 20 <<'SQL'
\set a random(1, 100)
\set b random(1, 100)
SELECT :a::int + :b::int AS sum \gset
\set bad :sum <> :a + :b
\if :bad
SELECT 'wrong sum'::int;
\endif
SQL
	;;
prepared)
	[ "$MODE" = prepared ] || none "$MODE mode prepares nothing"
	bench -c 50 -t 20 <<'SQL'
\set a random(1, 1000)
BEGIN;
SELECT :a::int + 1 AS b \gset
SELECT 1 / (:b::int = :a + 1)::int;
COMMIT;
SQL
	;;
transactions)
	value 'CREATE TABLE x (a int)'
	bench -c 10 -t 10 <<'SQL'
BEGIN;
INSERT INTO x VALUES (1);
SAVEPOINT s;
INSERT INTO x VALUES (2);
ROLLBACK TO s;
COMMIT;
BEGIN;
INSERT INTO x VALUES (3);
ROLLBACK;
SQL
	[ "$(value 'SELECT count(*), sum(a) FROM x')" = '100|100' ] || fail 'the rows do not add up'
	;;
errors)
	echo 'SELECT 1 / 0;' >"$dir/bad"
	"$PGBENCH" -n -M "$MODE" -f "$dir/bad" -t 1 "$dsn" >"$dir/out" 2>&1 && fail 'no error'
	grep -q 'division by zero' "$dir/out" || fail "$(cat "$dir/out")"
	# transactions that PostgreSQL refuses (40001) are tried again
	value 'CREATE TABLE x (a int); INSERT INTO x VALUES (0)'
	PGOPTIONS='-c default_transaction_isolation=serializable' bench -c 6 -t 10 --max-tries 1000 <<'SQL'
BEGIN;
SELECT a FROM x;
UPDATE x SET a = a + 1;
COMMIT;
SQL
	[ "$(value 'SELECT a FROM x')" = 60 ] || fail 'the sum is wrong'
	;;
copy)
	"$PGBENCH" -i -q "$dsn" >"$dir/out" 2>&1 || fail "$(cat "$dir/out")"
	[ "$(value 'SELECT count(*) FROM pgbench_accounts')" = 100000 ] || fail 'rows are missing'
	;;
listen)
	none 'it does not listen'
	;;
large)
	bench -t 1 <<'SQL'
SELECT repeat('x', 1000) FROM generate_series(1, 55000);
SQL
	;;
cancel)
	none 'it does not cancel'
	;;
restart)
	# the command tells the runner, and returns when it answers
	exec 3>&1 4<&0
	cat >"$dir/wait" <<'SH'
echo ready >&3
read -r go <&4
SH
	bench -t 1 <<'SQL'
\set a 1
SELECT :a::int;
\shell sh "$dir/wait"
SELECT :a::int;
SQL
	;;
esac
echo ok
