'use strict';
// For the job queues of job_queues.py: PROGRAM.js TARGET JOBS JOBS_PER_S WORKERS. It says "ready", "all" when all jobs
// are done that it has added itself, "ended"; it reads "add" and "end".
const readline = require('readline');
const { Pool } = require('pg');

const [, , dsn, jobs, perSecond, workers] = process.argv;
const words = Object.fromEntries(dsn.split(' ').map((word) => word.split('=')));
const target = { host: words.host, port: +words.port, database: words.dbname, user: words.user };
const TICK_MS = 100;

let done = 0;
let allDone;
const all = new Promise((resolve) => {
	allDone = resolve;
});

// A pool as large as if each worker had a server of its own.
function pool() {
	const p = new Pool({ ...target, max: +workers + 2 });
	p.on('error', (e) => fail(e));
	return p;
}

function fail(e) {
	console.error(e);
	process.exit(1);
}

// One job, in a transaction of its own and with a parameter of its own; what the server tells must be that.
async function work(client, n) {
	await client.query('BEGIN');
	await client.query({ text: "SELECT set_config('my.job', $1, true)", values: [String(n)] });
	const r = await client.query({
		name: 'done',
		text: "INSERT INTO done (n, seen) VALUES ($1, current_setting('my.job')::int) RETURNING seen",
		values: [n],
	});
	await client.query('COMMIT');
	if (r.rows[0].seen !== n)
		fail(new Error(`job ${n} has seen ${r.rows[0].seen}`));
	if (++done === +jobs)
		allDone();
}

// Adds jobs 1 to JOBS at the pace of JOBS_PER_S (0: at once), add(n) being how.
async function addAll(add) {
	const began = Date.now();
	const adding = [];
	for (let n = 1; n <= +jobs; n++) {
		while (+perSecond && n > ((Date.now() - began) / 1000) * +perSecond)
			await new Promise((resolve) => setTimeout(resolve, TICK_MS));
		adding.push(add(n));
		if (adding.length >= +workers)
			await Promise.all(adding.splice(0));
	}
	await Promise.all(adding);
}

async function main(start) {
	const queue = await start();
	console.log('ready');
	const lines = readline.createInterface({ input: process.stdin });
	for await (const line of lines) {
		if (line === 'add') {
			await addAll(queue.add);
			await all;
			console.log('all');
		} else if (line === 'end') {
			await queue.end();
			console.log('ended');
			break;
		}
	}
	lines.close();
}

process.on('unhandledRejection', fail);
module.exports = { target, workers: +workers, pool, work, fail, run: (start) => main(start).catch(fail) };
