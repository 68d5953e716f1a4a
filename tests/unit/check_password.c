/* The password of a pool that a command tells: who shares its answer, how long it is kept, and what
 * becomes of it. PostgreSQL is not there: each server fails when it has its password. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "conf/conf.h"
#include "loop/threads.h"
#include "loops.h"
#include "pool/password.h"
#include "pool/pool.h"

static char directory[] = "/tmp/check_password.XXXXXX";

/* moves[from][to]: 'x' may be made. */
static const char *const moves[PASSWORD_NSTATES] = {
    /*                     none, asking, known */
    [PASSWORD_NONE] = ".x.",
    [PASSWORD_ASKING] = "x.x",
    [PASSWORD_KNOWN] = "x..",
};

START_TEST(moves_are_those_of_the_table)
{
	for (int to = 0; to < PASSWORD_NSTATES; to++) {
		struct conf_pool conf = {.name = "a"};
		struct pool pool = {.conf = &conf};
		struct password p = {.pool = &pool, .state = (enum password_state)_i};
		int status;
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			password_set_state(&p, (enum password_state)to);
			_exit(p.state == (enum password_state)to ? 0 : 2);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFEXITED(status) &&
				  WEXITSTATUS(status) == (moves[_i][to] == 'x' ? 0 : 1),
			      "%s -> %s: status %x", password_state_name((enum password_state)_i),
			      password_state_name((enum password_state)to), status);
	}
}
END_TEST

/* ---- a pool ---------------------------------------------------------------------------------- */

struct stage {
	struct loop *loop;
	struct threads *threads;
	struct pools pools;
	struct conf_pool conf;
	struct pool *pool;
	char *command, *runs; /* the file to which each run adds a line */
};

/* Makes a pool whose command is this script, behind a line for each run. */
static void
begin(struct stage *st, const char *script)
{
	char *path = mem_printf("%s/script", directory), why[256];
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	*st = (struct stage){.runs = mem_printf("%s/runs", directory),
			     .command = mem_printf("command:/bin/sh %s", path)};
	fprintf(f, "echo $$ >>%s\n%s\n", st->runs, script);
	fclose(f);
	free(path);
	st->loop = loops_new();
	st->threads = threads_new(st->loop, 4, 2);
	pools_init(&st->pools, st->loop, st->threads);
	st->conf = (struct conf_pool){.name = "orders",
				      .conninfo = "host=/nowhere user=app dbname=orders",
				      .password = st->command,
				      .size = 10,
				      .max_opening = 10,
				      .connect_timeout_us = 60 * UNIT_S,
				      .password_ttl_us = UNIT_H,
				      .password_timeout_us = 60 * UNIT_S};
	st->pool = pool_new(&st->pools, &st->conf, why, sizeof why);
	ck_assert_ptr_nonnull(st->pool);
	ck_assert_ptr_nonnull(st->pool->password);
}

static void
until_threads_rest(struct stage *st)
{
	while (threads_pending(st->threads) > 0)
		loop_turn(st->loop, true);
}

static void
end(struct stage *st)
{
	char *path = mem_printf("%s/script", directory);

	if (st->pool)
		pool_free(st->pool);
	until_threads_rest(st);
	loop_turn(st->loop, false);
	pools_clear(&st->pools);
	threads_free(st->threads);
	loop_free(st->loop);
	unlink(path);
	unlink(st->runs);
	free(path);
	free(st->command);
	free(st->runs);
}

/* How many runs there were; *pid: the last one's process. */
static unsigned
count_runs(const struct stage *st, int *pid)
{
	FILE *f = fopen(st->runs, "r");
	unsigned n = 0;
	int any;

	while (f && fscanf(f, "%d\n", pid ? pid : &any) == 1)
		n++;
	if (f)
		fclose(f);
	return n;
}

/* Opens servers, and waits until each has failed. */
static void
open_servers(struct stage *st, unsigned n)
{
	while (n-- > 0)
		server_open(st->pool);
	while (st->pool->servers[SERVER_CONNECTING].count > 0)
		loop_turn(st->loop, true);
}

START_TEST(servers_share_a_run)
{
	struct stage st;

	begin(&st, "sleep 0.1; echo s3cret");
	open_servers(&st, 5);
	ck_assert_uint_eq(count_runs(&st, NULL), 1);
	ck_assert_int_eq(st.pool->password->state, PASSWORD_KNOWN);
	ck_assert_str_eq(st.pool->password->value, "s3cret");
	ck_assert_int_eq(st.pool->last_error.id, ERR_SERVER_UNREACHABLE);
	ck_assert_uint_eq(st.pool->stats.open_fails, 5);
	end(&st);
}
END_TEST

START_TEST(it_is_kept_for_its_time)
{
	struct stage st;

	begin(&st, "echo s3cret");
	open_servers(&st, 2);
	open_servers(&st, 2);
	ck_assert_uint_eq(count_runs(&st, NULL), 1);
	/* A reload forgets it. */
	password_renew(st.pool);
	ck_assert_int_eq(st.pool->password->state, PASSWORD_NONE);
	open_servers(&st, 2);
	ck_assert_uint_eq(count_runs(&st, NULL), 2);
	st.conf.password_ttl_us = 0;
	open_servers(&st, 3);
	open_servers(&st, 3);
	ck_assert_uint_eq(count_runs(&st, NULL), 4);
	end(&st);
}
END_TEST

START_TEST(no_password_is_an_error)
{
	struct stage st;

	begin(&st, "echo s3cret; exit 3");
	open_servers(&st, 3);
	ck_assert_uint_eq(count_runs(&st, NULL), 1);
	ck_assert_int_eq(st.pool->password->state, PASSWORD_NONE);
	ck_assert_int_eq(st.pool->last_error.id, ERR_NO_PASSWORD);
	ck_assert_str_eq(st.pool->last_error.message,
			 "cannot log in at the server of pool \"orders\": its password command "
			 "/bin/sh ended with exit status 3");
	open_servers(&st, 1);
	ck_assert_uint_eq(count_runs(&st, NULL), 2);
	end(&st);
}
END_TEST

/* Waits until the run has begun. */
static int
pid_of_run(struct stage *st, unsigned run)
{
	int pid = 0;

	while (count_runs(st, &pid) < run)
		loop_turn(st->loop, false);
	return pid;
}

START_TEST(the_program_ends_with_its_pool)
{
	struct stage st;
	int pid;

	begin(&st, "sleep 1000; echo s3cret");
	server_open(st.pool);
	pid = pid_of_run(&st, 1);
	ck_assert_int_eq(kill(pid, 0), 0);
	pool_free(st.pool);
	st.pool = NULL;
	until_threads_rest(&st);
	ck_assert_int_eq(kill(pid, 0), -1);
	end(&st);
}
END_TEST

START_TEST(it_is_asked_anew_behind_an_abandoned_run)
{
	struct stage st;
	char *path = mem_printf("%s/go", directory);
	char *script = mem_printf("[ -e %s ] || sleep 1000; echo s3cret", path);
	int pid;

	begin(&st, script);
	server_open(st.pool);
	pid = pid_of_run(&st, 1);
	password_abandon(st.pool);
	ck_assert_int_eq(st.pool->password->state, PASSWORD_NONE);
	fclose(fopen(path, "w"));
	/* The first server waits on, and has the answer of the second one's run. */
	open_servers(&st, 1);
	until_threads_rest(&st);
	ck_assert_uint_eq(count_runs(&st, NULL), 2);
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(st.pool->password->state, PASSWORD_KNOWN);
	end(&st);
	unlink(path);
	free(path);
	free(script);
}
END_TEST

START_TEST(a_refused_password_is_forgotten)
{
	struct server srv = {.password_number = 0}, other;
	struct stage st;

	begin(&st, "echo s3cret");
	open_servers(&st, 1);
	srv.pool = st.pool;
	/* It has not asked for any. */
	ck_assert(!password_refused(&srv, "28P01"));
	srv.password_number = st.pool->password->number;
	other = srv;
	ck_assert(!password_refused(&srv, "3D000"));
	ck_assert(!password_refused(&srv, ""));
	ck_assert_int_eq(st.pool->password->state, PASSWORD_KNOWN);
	/* Once for each server. */
	ck_assert(password_refused(&srv, "28P01"));
	ck_assert_int_eq(st.pool->password->state, PASSWORD_NONE);
	open_servers(&st, 1);
	ck_assert_uint_eq(count_runs(&st, NULL), 2);
	/* An older one says nothing of the one of now. */
	ck_assert(password_refused(&other, "28000"));
	ck_assert_int_eq(st.pool->password->state, PASSWORD_KNOWN);
	srv.password_number = st.pool->password->number;
	ck_assert(!password_refused(&srv, "28000"));
	ck_assert_int_eq(st.pool->password->state, PASSWORD_NONE);
	end(&st);
}
END_TEST

START_TEST(another_command_moves_the_pool)
{
	struct conf_pool next;
	struct stage st;

	begin(&st, "echo s3cret");
	next = st.conf;
	ck_assert(!password_changes(st.pool, &next));
	next.password = "command:/bin/echo x";
	ck_assert(password_changes(st.pool, &next));
	next.password = "x";
	ck_assert(password_changes(st.pool, &next));
	st.conf.password = "";
	password_renew(st.pool);
	ck_assert_ptr_null(st.pool->password);
	ck_assert(!password_changes(st.pool, &next));
	ck_assert(password_changes(st.pool, &(struct conf_pool){.password = st.command}));
	end(&st);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("password");
	TCase *t = tcase_create("password");
	SRunner *r = srunner_create(s);
	int failed;

	if (mkdtemp(directory) == NULL)
		return EXIT_FAILURE;
	log_init("check_password", LOG_ERROR);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, moves_are_those_of_the_table, 0, PASSWORD_NSTATES);
	tcase_add_test(t, servers_share_a_run);
	tcase_add_test(t, it_is_kept_for_its_time);
	tcase_add_test(t, no_password_is_an_error);
	tcase_add_test(t, the_program_ends_with_its_pool);
	tcase_add_test(t, it_is_asked_anew_behind_an_abandoned_run);
	tcase_add_test(t, a_refused_password_is_forgotten);
	tcase_add_test(t, another_command_moves_the_pool);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	rmdir(directory);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
