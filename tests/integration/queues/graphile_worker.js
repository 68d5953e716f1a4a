'use strict';
// graphile-worker, by job_queues.py. It polls never, as far as the test goes: it is LISTEN that wakes it up.
const { run, makeWorkerUtils, Logger } = require('graphile-worker');
const { pool, work, workers, fail, run: begin } = require('./common.js');

const POLL_MS = 24 * 3600 * 1000;

begin(async () => {
	const pgPool = pool();
	const quiet = new Logger(() => (level, message) => {
		if (level === 'error')
			fail(new Error(message));
	});
	const utils = await makeWorkerUtils({ pgPool, logger: quiet });
	await utils.migrate();
	const runner = await run({
		pgPool,
		logger: quiet,
		concurrency: workers,
		pollInterval: POLL_MS,
		noHandleSignals: true,
		taskList: { note: (payload, helpers) => helpers.withPgClient((client) => work(client, payload.n)) },
	});
	return {
		add: (n) => utils.addJob('note', { n }),
		async end() {
			await runner.stop();
			await utils.release();
			await pgPool.end();
		},
	};
});
