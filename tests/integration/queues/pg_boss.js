'use strict';
// pg-boss, by job_queues.py. It has no LISTEN: its workers poll.
const PgBoss = require('pg-boss');
const { target, pool, work, workers, fail, run } = require('./common.js');

run(async () => {
	const own = pool();
	const boss = new PgBoss({ ...target, max: workers });
	boss.on('error', fail);
	await boss.start();
	await boss.createQueue('note');
	for (let i = 0; i < workers; i++) {
		await boss.work('note', { pollingIntervalSeconds: 0.5, batchSize: 2 }, async (batch) => {
			for (const job of batch) {
				const client = await own.connect();
				try {
					await work(client, job.data.n);
				} finally {
					client.release();
				}
			}
		});
	}
	return {
		add: (n) => boss.send('note', { n }),
		async end() {
			await boss.stop({ graceful: true, wait: true });
			await own.end();
		},
	};
});
