/* load: clients that ask one thing after the other by Parse, Bind, Describe, Execute and Sync, as
 * drivers do that give the types of their parameters. pgbench gives no types, and repeats its
 * texts. The output has the lines of pgbench that tests/bench/throughput.py reads. */

#include <err.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 256
#define INT4        23 /* the oid of the type */

struct client {
	PGconn *conn;
	uint64_t random, texts;
};

struct plan {
	const char *conninfo;
	unsigned clients, processes, which; /* `which`: the process */
	double seconds;
	int rows; /* of pgbench_accounts */
	bool once;
};

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64: only the rows are to differ */
static int
draw_row(struct client *c, int rows)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return 1 + (int)(c->random % (uint64_t)rows);
}

static void
ask(struct client *c, const struct plan *plan)
{
	static const Oid types[] = {INT4};
	char sql[128], row[16];
	const char *values[] = {row};

	snprintf(row, sizeof row, "%d", draw_row(c, plan->rows));
	/* The literal makes the text another one. No row is that rich. */
	snprintf(sql, sizeof sql,
		 "SELECT abalance FROM pgbench_accounts WHERE aid = $1 AND abalance <> %llu",
		 (unsigned long long)(plan->once ? c->texts++ : UINT64_C(1) << 62));
	if (!PQsendQueryParams(c->conn, sql, 1, types, values, NULL, NULL, 0))
		errx(1, "%s", PQerrorMessage(c->conn));
}

/* Reads what has come. Returns whether the answer is whole. */
static bool
answered(struct client *c)
{
	PGresult *result;

	if (!PQconsumeInput(c->conn))
		errx(1, "%s", PQerrorMessage(c->conn));
	while (!PQisBusy(c->conn)) {
		if ((result = PQgetResult(c->conn)) == NULL)
			return true;
		if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
			errx(1, "%d rows, %s", PQntuples(result), PQresultErrorMessage(result));
		PQclear(result);
	}
	return false;
}

/* One process. Returns how many answers its clients have got. */
static uint64_t
run(const struct plan *plan)
{
	struct client clients[CLIENTS_MAX];
	struct pollfd fds[CLIENTS_MAX];
	unsigned count = 0, busy;
	uint64_t done = 0;
	double end = now_s() + plan->seconds;

	for (unsigned i = plan->which; i < plan->clients; i += plan->processes) {
		struct client *c = &clients[count];

		c->conn = PQconnectdb(plan->conninfo);
		if (PQstatus(c->conn) != CONNECTION_OK)
			errx(1, "%s", PQerrorMessage(c->conn));
		/* No other client, and no later run, has the same numbers. */
		c->texts = ((uint64_t)time(NULL) << 28) + ((uint64_t)i << 20);
		c->random = c->texts * 2 + 1;
		fds[count++] = (struct pollfd){.fd = PQsocket(c->conn), .events = POLLIN};
	}
	for (unsigned i = 0; i < count; i++)
		ask(&clients[i], plan);
	for (busy = count; busy > 0;) {
		if (poll(fds, count, -1) < 0)
			err(1, "poll");
		for (unsigned i = 0; i < count; i++) {
			if (!fds[i].revents || !answered(&clients[i]))
				continue;
			done++;
			if (now_s() < end) {
				ask(&clients[i], plan);
			} else {
				fds[i].fd = -1; /* poll() passes over it */
				busy--;
			}
		}
	}
	for (unsigned i = 0; i < count; i++)
		PQfinish(clients[i].conn);
	return done;
}

int
main(int argc, char **argv)
{
	struct plan plan;
	uint64_t *done, sum = 0;
	double start = now_s();
	int status;
	bool good = true;

	if (argc != 7 || (strcmp(argv[6], "once") != 0 && strcmp(argv[6], "again") != 0))
		errx(2, "usage: load CONNINFO CLIENTS PROCESSES SECONDS ROWS once|again");
	plan = (struct plan){.conninfo = argv[1],
			     .clients = (unsigned)atoi(argv[2]),
			     .processes = (unsigned)atoi(argv[3]),
			     .seconds = atof(argv[4]),
			     .rows = atoi(argv[5]),
			     .once = strcmp(argv[6], "once") == 0};
	if (plan.clients < 1 || plan.clients > CLIENTS_MAX || plan.processes < 1 || plan.rows < 1)
		errx(2, "1 to %d clients, and at least one process and one row", CLIENTS_MAX);
	done = mmap(NULL, plan.processes * sizeof *done, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (done == MAP_FAILED)
		err(1, "mmap");
	for (; plan.which < plan.processes; plan.which++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			done[plan.which] = run(&plan);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		good = good && status == 0;
	for (unsigned i = 0; i < plan.processes; i++)
		sum += done[i];
	printf("number of transactions actually processed: %llu\n", (unsigned long long)sum);
	printf("tps = %.3f\n", (double)sum / (now_s() - start));
	return good ? 0 : 1;
}
