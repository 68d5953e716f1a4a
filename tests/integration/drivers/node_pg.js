'use strict';
// Node's pg, by drivers_matrix.py: node_pg.js DSN FEATURE. It speaks the protocol itself.
const assert = require('assert');
const readline = require('readline');
const { Client, Pool } = require('pg');

const [, , dsn, feature] = process.argv;
const words = Object.fromEntries(dsn.split(' ').map((word) => word.split('=')));
const target = { host: words.host, port: +words.port, database: words.dbname, user: words.user };
const LARGE = "SELECT repeat('x', 1000) AS x FROM generate_series(1, 55000)";
const SEEN = "SELECT count(*)::int FROM pg_stat_activity WHERE state = 'active' AND" +
	" query LIKE '%pg_sleep(61)%' AND pid <> pg_backend_pid()";

async function connect() {
	const c = new Client(target);
	await c.connect();
	return c;
}

async function one(c, ...query) {
	return Object.values((await c.query(...query)).rows[0])[0];
}

// Tells the runner, and waits for it.
async function ready() {
	const input = readline.createInterface({ input: process.stdin });
	console.log('ready');
	await new Promise((resolve) => input.once('line', resolve));
	input.close();
}

async function stateOf(promise) {
	try {
		await promise;
	} catch (e) {
		return e.code;
	}
	return null;
}

const features = {
	async version() {
		console.log('pg ' + require('pg/package.json').version + ', Node ' + process.version);
	},
	async query() {
		const c = await connect();
		const r = await c.query({ text: "SELECT 1 + 1, NULL, 'grüße'", rowMode: 'array' });
		assert.deepStrictEqual(r.rows, [[2, null, 'grüße']]);
		assert.strictEqual((await c.query('SELECT generate_series(1, 1000)')).rowCount, 1000);
		assert.strictEqual((await c.query('SELECT 1 WHERE false')).rowCount, 0);
		await c.end();
		// its own pool, of more connections than there are servers
		const pool = new Pool({ ...target, max: 8 });
		const many = Array.from({ length: 60 }, (_, i) => pool.query('SELECT $1::int AS i', [i]));
		(await Promise.all(many)).forEach((r, i) => assert.strictEqual(r.rows[0].i, i));
		await pool.end();
	},
	async parameters() {
		const c = await connect();
		for (const value of ['', "it's", 'back\\slash', 'grüße', 'x'.repeat(100000), '$1 %s ?'])
			assert.strictEqual(await one(c, 'SELECT $1::text', [value]), value);
		const bytes = Buffer.from([0, 255]);
		const r = await c.query({ text: 'SELECT $1::int + $2::int, $3::int IS NULL, $4::bytea',
			values: [1, 2, null, bytes], rowMode: 'array' });
		assert.deepStrictEqual(r.rows, [[3, true, bytes]]);
		await c.end();
	},
	async prepared() {
		const c = await connect();
		const pids = new Set();
		for (let n = 0; n < 50 || pids.size < 2; n++) {
			await c.query('BEGIN');
			const r = await c.query({ name: 'add', text: 'SELECT $1::int + 1, pg_backend_pid()',
				values: [n], rowMode: 'array' });
			await c.query('COMMIT');
			assert.strictEqual(r.rows[0][0], n + 1);
			pids.add(r.rows[0][1]);
			assert.strictEqual(await one(c, { name: 'echo', text: 'SELECT $1::text', values: ['n' + n] }),
				'n' + n);
		}
		await c.end();
	},
	async transactions() {
		const c = await connect();
		for (const sql of ['CREATE TABLE x (a int)', 'BEGIN', 'INSERT INTO x VALUES (1)', 'ROLLBACK',
			'BEGIN', 'INSERT INTO x VALUES (2)', 'SAVEPOINT s', 'INSERT INTO x VALUES (3)',
			'ROLLBACK TO s', 'COMMIT'])
			await c.query(sql);
		assert.deepStrictEqual((await c.query('SELECT a FROM x')).rows, [{ a: 2 }]);
		await c.end();
	},
	async errors() {
		const c = await connect();
		assert.strictEqual(await stateOf(c.query('SELEC 1')), '42601');
		await c.query('BEGIN');
		assert.strictEqual(await stateOf(c.query('SELECT 1 / $1::int', [0])), '22012');
		assert.strictEqual(await stateOf(c.query('SELECT 1')), '25P02');
		await c.query('ROLLBACK');
		assert.strictEqual(await one(c, 'SELECT 1'), 1);
		await c.end();
	},
	async copy() {
		console.log('none pg leaves COPY to other packages');
		process.exit(0);
	},
	async listen() {
		const c = await connect();
		const other = await connect();
		const heard = new Promise((resolve) => c.on('notification', (n) => resolve(n.payload)));
		await c.query('LISTEN chan');
		await ready();
		await other.query("NOTIFY chan, 'hello'");
		assert.strictEqual(await heard, 'hello');
		await c.query('UNLISTEN *');
		assert.strictEqual(await one(c, 'SELECT 1'), 1);
		await c.end();
		await other.end();
	},
	async large() {
		const c = await connect();
		const r = await c.query(LARGE);
		assert.strictEqual(r.rows.reduce((sum, row) => sum + row.x.length, 0), 55000000);
		assert.strictEqual(await one(c, 'SELECT 1'), 1);
		await c.end();
	},
	async cancel() {
		const c = await connect();
		const other = await connect();
		const query = new (require('pg').Query)('SELECT pg_sleep(61)');
		const ended = new Promise((resolve) => {
			query.on('error', (e) => resolve(e.code));
			query.on('end', () => resolve(null));
		});
		c.query(query);
		while (await one(other, SEEN) === 0);
		new Client(target).cancel(c, query);
		assert.strictEqual(await ended, '57014');
		assert.strictEqual(await one(c, 'SELECT 1'), 1);
		await c.end();
		await other.end();
	},
	async restart() {
		const idle = await connect();
		const busy = await connect();
		busy.on('error', () => {});
		const get = (i) => one(idle, { name: 'p', text: 'SELECT $1::int', values: [i] });
		assert.strictEqual(await get(1), 1);
		await busy.query('BEGIN');
		await busy.query('SELECT 1');
		await ready();
		assert.strictEqual(await get(2), 2);
		await assert.rejects(busy.query('SELECT 1'));
		const again = await connect();
		assert.strictEqual(await one(again, 'SELECT 3'), 3);
		await again.end();
		await idle.end();
	},
};

features[feature]().then(() => {
	console.log('ok');
	process.exit(0);
}, (e) => {
	console.error(e);
	process.exit(1);
});
