<?php
// PHP's pgsql, by drivers_matrix.py: php_pgsql.php DSN FEATURE
error_reporting(E_ALL & ~E_WARNING); // errors are looked at
ini_set('memory_limit', '512M');
[, $dsn, $feature] = $argv;
const LARGE = "SELECT repeat('x', 1000) FROM generate_series(1, 55000)";
const SEEN = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND"
	. " query LIKE '%pg_sleep(61)%' AND pid <> pg_backend_pid()";

function fail(string $why): never
{
	fwrite(STDERR, "$why\n");
	exit(1);
}

function expect(mixed $got, mixed $want): void
{
	if ($got !== $want)
		fail('got ' . var_export($got, true) . ', want ' . var_export($want, true));
}

function connect(): PgSql\Connection
{
	global $dsn;
	return pg_connect($dsn, PGSQL_CONNECT_FORCE_NEW) ?: fail('cannot connect');
}

function rows(mixed $result): array
{
	if ($result === false)
		fail('failed');
	return pg_fetch_all($result, PGSQL_NUM);
}

function one(PgSql\Connection $c, string $sql): ?string
{
	return rows(pg_query($c, $sql))[0][0];
}

// SQLSTATE of a statement
function state_of(PgSql\Connection $c, string $sql, array $args = []): ?string
{
	$args ? pg_send_query_params($c, $sql, $args) : pg_send_query($c, $sql);
	$state = null;
	while ($r = pg_get_result($c))
		$state = pg_result_error_field($r, PGSQL_DIAG_SQLSTATE) ?? $state;
	return $state ?: null;
}

$features = [
	'version' => function () {
		print('pgsql of PHP ' . PHP_VERSION . ', libpq ' . pg_version(connect())['client'] . "\n");
	},
	'query' => function () {
		$c = connect();
		expect(rows(pg_query($c, "SELECT 1 + 1, NULL, 'grüße'")), [['2', null, 'grüße']]);
		expect(count(rows(pg_query($c, 'SELECT generate_series(1, 1000)'))), 1000);
		expect(rows(pg_query($c, 'SELECT 1 WHERE false')), []);
	},
	'parameters' => function () {
		$c = connect();
		foreach (['', "it's", 'back\\slash', 'grüße', str_repeat('x', 100000), '$1 %s ?'] as $value)
			expect(rows(pg_query_params($c, 'SELECT $1::text', [$value])), [[$value]]);
		$r = pg_query_params($c, 'SELECT $1::int + $2::int, $3::int IS NULL, $4::bytea', [1, 2, null, '\x00ff']);
		expect(rows($r), [['3', 't', '\x00ff']]);
	},
	'prepared' => function () {
		$c = connect();
		pg_prepare($c, 'add', 'SELECT $1::int + 1, pg_backend_pid()');
		pg_prepare($c, 'echo', 'SELECT $1::text');
		$pids = [];
		for ($n = 0; $n < 50 || count($pids) < 2; $n++) {
			pg_query($c, 'BEGIN');
			$row = rows(pg_execute($c, 'add', [$n]))[0];
			pg_query($c, 'COMMIT');
			expect($row[0], (string)($n + 1));
			$pids[$row[1]] = true;
			expect(rows(pg_execute($c, 'echo', ["n$n"])), [["n$n"]]);
		}
	},
	'transactions' => function () {
		$c = connect();
		pg_query($c, 'CREATE TABLE x (a int)');
		pg_query($c, 'BEGIN');
		pg_query($c, 'INSERT INTO x VALUES (1)');
		pg_query($c, 'ROLLBACK');
		foreach (['BEGIN', 'INSERT INTO x VALUES (2)', 'SAVEPOINT s', 'INSERT INTO x VALUES (3)',
			'ROLLBACK TO s'] as $sql)
			pg_query($c, $sql);
		expect(pg_transaction_status($c), PGSQL_TRANSACTION_INTRANS);
		pg_query($c, 'COMMIT');
		expect(pg_transaction_status($c), PGSQL_TRANSACTION_IDLE);
		expect(rows(pg_query($c, 'SELECT a FROM x')), [['2']]);
	},
	'errors' => function () {
		$c = connect();
		expect(state_of($c, 'SELEC 1'), '42601');
		pg_query($c, 'BEGIN');
		expect(state_of($c, 'SELECT 1 / $1::int', [0]), '22012');
		expect(state_of($c, 'SELECT 1'), '25P02');
		pg_query($c, 'ROLLBACK');
		expect(one($c, 'SELECT 1'), '1');
	},
	'copy' => function () {
		$c = connect();
		pg_query($c, 'CREATE TABLE x (a int, b text)');
		$lines = [];
		for ($i = 0; $i < 10000; $i++)
			$lines[] = "$i\tb$i\n";
		expect(pg_copy_from($c, 'x', $lines), true);
		expect(pg_copy_to($c, 'x'), $lines);
		expect(pg_copy_from($c, 'x', ["nonsense\n"]), false);
		expect(str_contains(pg_last_error($c), 'invalid input syntax'), true);
		expect(one($c, 'SELECT count(*) FROM x'), '10000');
	},
	'listen' => function () {
		[$c, $other] = [connect(), connect()];
		pg_query($c, 'LISTEN chan');
		print("ready\n");
		fgets(STDIN) !== false or fail('the runner is gone');
		pg_query($other, "NOTIFY chan, 'hello'");
		while (!($got = pg_get_notify($c))) {
			[$read, $write, $except] = [[pg_socket($c)], [], []];
			stream_select($read, $write, $except, null);
		}
		expect($got['payload'], 'hello');
		pg_query($c, 'UNLISTEN *');
		expect(one($c, 'SELECT 1'), '1');
	},
	'large' => function () {
		$c = connect();
		$r = pg_query($c, LARGE);
		for ($total = 0; $row = pg_fetch_row($r);)
			$total += strlen($row[0]);
		expect($total, 55000000);
		expect(one($c, 'SELECT 1'), '1');
	},
	'cancel' => function () {
		[$c, $other] = [connect(), connect()];
		pg_send_query($c, 'SELECT pg_sleep(61)');
		while (one($other, SEEN) === '0');
		expect(pg_cancel_query($c), true); // it reads the error itself
		expect(one($other, SEEN), '0');
		expect(one($c, 'SELECT 1'), '1');
	},
	'restart' => function () {
		[$idle, $busy] = [connect(), connect()];
		pg_prepare($idle, 'p', 'SELECT $1::int');
		expect(rows(pg_execute($idle, 'p', [1])), [['1']]);
		pg_query($busy, 'BEGIN');
		pg_query($busy, 'SELECT 1');
		print("ready\n");
		fgets(STDIN) !== false or fail('the runner is gone');
		expect(rows(pg_execute($idle, 'p', [2])), [['2']]);
		if (pg_query($busy, 'SELECT 1') !== false)
			fail('a transaction outlived its server');
		expect(pg_connection_reset($busy), true);
		expect(one($busy, 'SELECT 3'), '3');
	},
];
$features[$feature]();
print("ok\n");
