/* Cleanup after random clients of a model backend, which are cut off anywhere, with messages of the
 * daemon's own among theirs. The next client must be answered as if nobody had been there. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend.h"
#include "machine.h"
#include "wire/frame.h"

static uint32_t seed; /* CHECK_SEED, or the time */

struct play {
	struct machine m;
	struct backend b;
	uint32_t seed;
	uint32_t first_seed;
	bool changed; /* session state, as far as the client has asked for it */
	bool half;    /* the client left in the middle of a message */
	bool deaf;    /* one of the statements is not ended by a cancel */
	bool lost;    /* the connection was lost during cleanup */
	bool base_set;
	unsigned base; /* work that was committed before the first statement ran */
	unsigned late_hits;
	unsigned tracked, told; /* messages of which must be known what became of them */
};

static void
run(struct play *y, int messages)
{
	size_t at = y->b.out.len;

	backend_run(&y->b, messages);
	backend_tell("server", &y->b.out, at);
}

static uint32_t
roll(struct play *y, uint32_t below)
{
	return backend_random(&y->seed, below);
}

static void
client_sends(struct play *y, char type, const char *body)
{
	size_t at = y->b.in.len;

	backend_message(&y->b.in, type, body);
	backend_tell("client", &y->b.in, at);
	progress_sent(&y->m.p, type);
}

static const char *
any_statement(struct play *y)
{
	static const char *const words[] = {"work",       "rows",       "fail",        "begin",
					    "commit",     "slow",       "rollback",    "copyin",
					    "copyin_bad", "copyout",    "set",         "",
					    "refuse",     "begin;slow", "work;slow",   "slow",
					    "begin",      "slow",       "copyin_early"};

	const char *word = words[roll(y, sizeof words / sizeof *words)];

	y->changed |= strcmp(word, "set") == 0;
	return word;
}

static void
is_told(void *arg, uint32_t n, enum progress_end end)
{
	struct play *y = arg;

	ck_assert_uint_gt(n, 0);
	y->told += n;
	ck_assert_uint_le(y->told, y->tracked);
}

/* A message of the extended protocol that the daemon puts among the client's. */
static void
daemon_adds(struct play *y, char type, const char *body)
{
	static const unsigned kinds[] = {PROGRESS_OWN, PROGRESS_OWN | PROGRESS_TRACKED,
					 PROGRESS_OWN | PROGRESS_QUIET, PROGRESS_TRACKED, 0};
	unsigned flags = kinds[roll(y, type == 'C' ? 5 : 3)];
	size_t at = y->b.in.len;

	if (!progress_sent_as(&y->m.p, flags))
		return;
	y->tracked += (flags & PROGRESS_TRACKED) != 0;
	backend_message(&y->b.in, type, body);
	backend_tell("daemon", &y->b.in, at);
}

/* What stands ahead of a client's first message: parameters, or a BEGIN. */
static void
daemon_acts(struct play *y)
{
	struct progress *p = &y->m.p;
	size_t at;

	switch (roll(y, 4)) {
	case 0:
		if (!progress_at_rest(p))
			return;
		daemon_adds(y, 'P', roll(y, 4) ? "set" : "fail");
		daemon_adds(y, 'B', "");
		daemon_adds(y, 'E', "all");
		y->changed = true;
		at = y->b.in.len;
		backend_message(&y->b.in, 'S', NULL);
		backend_tell("daemon", &y->b.in, at);
		progress_sent_own_sync(p);
		return;
	case 1:
		if (!progress_at_rest(p))
			return;
		progress_sent_part(p);
		at = y->b.in.len;
		backend_message(&y->b.in, 'Q', any_statement(y));
		backend_tell("daemon", &y->b.in, at);
		return;
	case 2:
		p->watch = true;
		daemon_adds(y, 'C', "S");
		daemon_adds(y, 'P', roll(y, 2) ? "" : "nonsense");
		return;
	default:
		daemon_adds(y, 'P', roll(y, 3) ? "begin" : "nonsense");
		daemon_adds(y, 'B', "");
		daemon_adds(y, 'E', "all");
	}
}

static void
client_acts(struct play *y)
{
	if (y->m.p.rescue > 0) {
		/* As the relay does it. */
		for (; y->m.p.rescue > 0; y->m.p.rescue--)
			client_sends(y, 'S', NULL);
		return;
	}
	if (backend_copying(&y->b)) {
		client_sends(y, "dddcfH"[roll(y, 6)], "1\n");
		return;
	}
	switch (roll(y, 9)) {
	case 0:
	case 1:
		client_sends(y, 'Q', any_statement(y));
		return;
	case 8:
		daemon_acts(y);
		return;
	case 2:
	case 3:
		client_sends(y, 'P', any_statement(y));
		client_sends(y, 'B', "");
		client_sends(y, 'E', roll(y, 2) ? "L" : "all");
		if (roll(y, 2))
			client_sends(y, 'S', NULL);
		return;
	case 4:
		client_sends(y, 'F', "ok");
		return;
	case 5:
		client_sends(y, 'D', "P");
		return;
	case 6:
		client_sends(y, 'H', NULL);
		return;
	default:
		client_sends(y, 'S', NULL);
	}
}

static void
deliver(struct play *y, size_t most)
{
	size_t n = y->b.out.len < most ? y->b.out.len : most;

	ck_assert_int_eq(progress_received(&y->m.p, buf_data(&y->b.out), n), 0);
	buf_drop(&y->b.out, n);
}

/* A cancel is on its way: its signal comes some time, maybe late, and then its connection ends. */
static void
cancel_goes_on(struct play *y)
{
	if (roll(y, 4) == 0 && y->late_hits == 0) {
		/* Two attempts are for the one signal that can be pending. */
		y->late_hits++;
		backend_cancel_late(&y->b);
	} else {
		backend_cancel(&y->b);
	}
	y->m.cancels--;
}

static bool
over(const struct play *y)
{
	return y->m.c.state == CLEANUP_DONE || y->m.c.state == CLEANUP_BROKEN;
}

/* ---- what the lease leaves to be run ---- */

struct expected {
	const char *sql;
	const char *code;       /* "": it succeeds */
	const char *code_bound; /* in the extended protocol; NULL: the same */
	unsigned work;          /* that it commits */
};
static const struct expected expected[] = {
    {"work", "", NULL, 1},
    {"rows", "", NULL, 0},
    {"", "", NULL, 0},
    {"commit", "", NULL, 0},
    {"set", "", NULL, 0},
    {"fail", "22012", NULL, 0},
    {"nonsense", "42601", NULL, 0},
    {"refuse", "23505", NULL, 0},
    {"begin", "25001", NULL, 0},
    {"begin;work", "25001", "42601", 0},
    {"work;begin;fail", "22012", "42601", 0},
    {"work;work", "", "42601", 2},
    {"work;fail", "22012", "42601", 0},
    {"copyin", "57014", NULL, 0},
    {"copyin_bad", "57014", NULL, 0},
    {"copyin_early", "P0001", NULL, 0},
    {"copyout", "", NULL, 0},
    {"slow", "57014", NULL, 0},
    {"begin;slow", "57014", "42601", 0},
    {"work;copyin", "57014", "42601", 0},
    {"deaf", "08007", NULL, 0},
};
#define EXPECTED (sizeof expected / sizeof *expected)
#define DEAF     (EXPECTED - 1)

static void
any_todo(struct play *y, struct todo *todo)
{
	static const char *const value = "value";
	uint32_t n = roll(y, 4);

	while (n-- > 0) {
		uint32_t i = roll(y, EXPECTED);
		char label[16];

		if (i == DEAF && roll(y, 16))
			i = 0;
		y->deaf |= i == DEAF;
		snprintf(label, sizeof label, "%u", i);
		todo_add(todo, expected[i].sql, &value, roll(y, 2), 0, label);
	}
}

/* Of all in order, what was promised; and nothing but what succeeded was carried out. */
static void
judge_todo(struct play *y, bool lost)
{
	bool unknown = false;
	unsigned work = 0;
	struct list_node *n;

	ck_assert_ptr_null(list_first(&y->m.c.due.list));
	LIST_EACH (n, &y->m.c.done.list) {
		const struct todo_stmt *s = LIST_OBJ(n, struct todo_stmt, node);
		const struct expected *e = &expected[atoi(s->label)];
		const char *code = s->nvalues && e->code_bound ? e->code_bound : e->code;

		if (lost && strcmp(s->sqlstate, "08006") == 0)
			continue;
		if (lost && strcmp(s->sqlstate, "08007") == 0) {
			ck_assert(!unknown);
			unknown = true;
			continue;
		}
		ck_assert_msg(strcmp(s->sqlstate, code) == 0, "seed %u: %s %s, not %s",
			      y->first_seed, s->sql, s->sqlstate, code);
		ck_assert(!s->failed || s->message);
		if (!s->failed)
			work += e->work;
	}
	if (!unknown && y->base_set)
		ck_assert_msg(y->b.committed == y->base + work, "seed %u: work %u + %u, not %u",
			      y->first_seed, y->base, work, y->b.committed);
}

static void
go_on_cleaning(struct play *y)
{
	struct machine *m = &y->m;

	step(m);
	if (m->c.state == CLEANUP_RUNNING && !y->base_set) {
		/* From here on, all that is done is ours. */
		y->base_set = true;
		y->base = y->b.committed;
	}
	if (backend_trace)
		fprintf(stderr, "%s due=%u x=%d copy=%d cancels=%u\n",
			cleanup_state_name(m->c.state), m->p.ready_due, m->p.extended, m->p.copy,
			m->cancels);
	if (m->out.len > 0) {
		backend_tell("daemon", &m->out, 0);
		buf_add(&y->b.in, buf_data(&m->out), m->out.len);
		buf_drop(&m->out, m->out.len);
	}
	if (roll(y, 2))
		run(y, (int)roll(y, 4));
	if (m->cancels > 0 && roll(y, 3) == 0)
		cancel_goes_on(y);
	if (roll(y, 2))
		deliver(y, 1 + roll(y, 100));
	m->now_us += roll(y, 1000);
	if (m->c.state == CLEANUP_RUNNING && backend_slow(&y->b) && roll(y, 4) == 0)
		m->now_us += LIMIT_US / 4;
}

static void
clean_up(struct play *y, bool keep)
{
	struct machine *m = &y->m;
	/* A server that has refused the session's parameters does not get there. */
	bool rest = progress_at_rest(&m->p) && m->p.status == 'I' && !m->p.own_failed && roll(y, 2);
	bool discard = !rest || y->changed;
	uint32_t most = roll(y, 10) ? UINT32_MAX : roll(y, 50);
	struct todo todo;

	todo_init(&todo);
	any_todo(y, &todo);
	y->base_set = false;
	cleanup_start(&m->c,
		      !rest                    ? CLEANUP_CLIENT_GONE
		      : list_first(&todo.list) ? CLEANUP_SCOPE_END
					       : CLEANUP_CANCEL_PENDING,
		      &todo, keep, discard || list_first(&todo.list), LIMIT_US, m->now_us);
	while (!over(y) && !y->b.dead && most-- > 0)
		go_on_cleaning(y);
	y->lost = !over(y);
	if (m->c.state != CLEANUP_DONE)
		cleanup_abandon(&m->c, "gone");
	else
		ck_assert_msg(y->told == y->tracked, "seed %u: told of %u of %u", y->first_seed,
			      y->told, y->tracked);
	if (!y->half)
		judge_todo(y, m->c.state != CLEANUP_DONE);
}

static void
judge(struct play *y)
{
	struct backend *b = &y->b;
	uint32_t s = y->first_seed;

	if (y->half) {
		ck_assert_msg(b->dead || y->lost || y->m.c.state == CLEANUP_BROKEN, "seed %u: half",
			      s);
		return;
	}
	if (b->dead || y->lost || (y->deaf && y->m.c.state == CLEANUP_BROKEN))
		return;
	if (y->m.c.state == CLEANUP_BROKEN && y->m.c.keep && y->m.p.own_failed)
		return;
	ck_assert_msg(y->m.c.state == CLEANUP_DONE, "seed %u: %s", s, y->m.c.broken_why);
	ck_assert_uint_eq(y->m.cancels, 0);
	backend_run(b, -1); /* what is left is answered by nothing */
	ck_assert_msg(b->in.len + b->held.len + b->out.len == 0, "seed %u: bytes left", s);
	ck_assert_msg(b->block == 'I' && !b->skip && !b->extended && !b->in_query && !b->running[0],
		      "seed %u: not idle", s);
	ck_assert_msg(y->m.c.keep || !b->dirty, "seed %u: session state is left", s);
	ck_assert_msg(b->work == 0, "seed %u: a transaction is left", s);
	progress_renew(&y->m.p);
	ck_assert_msg(progress_remains(&y->m.p) == NULL, "seed %u: %s", s,
		      progress_remains(&y->m.p));
}

/* Whoever has the server next is answered, each question by its own answer, and nothing else. */
static void
next_client(struct play *y)
{
	struct backend *b = &y->b;
	struct progress *p = &y->m.p;

	/* A signal that comes while nothing runs is forgotten. */
	b->cancel = false;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t readies = p->readies;
		struct buf got;

		if (roll(y, 2)) {
			client_sends(y, 'Q', "rows");
		} else {
			client_sends(y, 'P', "rows");
			client_sends(y, 'B', "");
			client_sends(y, 'E', "all");
			client_sends(y, 'S', NULL);
		}
		run(y, -1);
		buf_init(&got, 1024 * 1024);
		ck_assert(!progress_filters(p));
		ck_assert_int_eq(progress_filter(p, buf_data(&b->out), b->out.len, &got), 0);
		ck_assert_msg(p->readies == readies + 1 && progress_at_rest(p) &&
				  got.len == b->out.len &&
				  memcmp(buf_data(&got), buf_data(&b->out), got.len) == 0,
			      "seed %u: question %u of the next client", y->first_seed, i);
		ck_assert_msg(progress_remains(p) == NULL, "seed %u: %s", y->first_seed,
			      progress_remains(p));
		buf_drop(&b->out, b->out.len);
		buf_clear(&got);
	}
}

struct tally {
	unsigned done, broken, dead;
};

static void
play(uint32_t with, struct tally *tally)
{
	struct play y = {.seed = with, .first_seed = with};
	uint32_t steps = roll(&y, 20);

	machine_init(&y.m);
	y.m.p.tracked = is_told;
	y.m.p.tracked_arg = &y;
	backend_init(&y.b, with ^ 0x5555);
	while (steps-- > 0 && !y.b.dead) {
		if (!backend_slow(&y.b) || roll(&y, 4) == 0)
			client_acts(&y);
		/* It sends ahead of answers, but not ahead of a COPY. */
		run(&y, -1);
		if (roll(&y, 4) == 0)
			deliver(&y, 1 + roll(&y, 200));
		if (roll(&y, 8) == 0)
			y.m.cancels++;
		if (y.m.cancels > 0 && roll(&y, 2))
			cancel_goes_on(&y);
	}
	if (roll(&y, 10) == 0) {
		y.half = true;
		progress_sent(&y.m.p, 'Q');
		y.m.p.to_left = 5;
	}
	clean_up(&y, roll(&y, 4) == 0);
	judge(&y);
	if (y.m.c.state == CLEANUP_DONE && y.m.c.keep) {
		/* The lease goes on, and ends later. */
		cleanup_over(&y.m.c);
		y.changed = true;
		clean_up(&y, false);
		judge(&y);
	}
	if (y.b.dead || y.lost) {
		tally->dead++;
	} else if (y.m.c.state == CLEANUP_BROKEN) {
		tally->broken++;
	} else {
		tally->done++;
		next_client(&y);
	}
	backend_clear(&y.b);
	machine_clear(&y.m);
}

START_TEST(random_clients_are_cleaned_up)
{
	const char *given = getenv("CHECK_ROUNDS");
	uint32_t rounds = given ? (uint32_t)atoi(given) : 50000;
	struct tally tally = {0};

	for (uint32_t i = 0; i < rounds; i++)
		play(seed + i, &tally);
	if (rounds < 1000)
		return;
	ck_assert_uint_gt(tally.done, rounds / 2);
	/* One in ten left in the middle of a message, some left a statement that never ends. */
	ck_assert_uint_lt(tally.broken, rounds / 7);
	/* Nearly one in ten may be cut off. */
	ck_assert_uint_lt(tally.dead, rounds / 10);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cleanup_random");
	TCase *t = tcase_create("cleanup_random");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED");
	int failed;

	backend_trace = getenv("CHECK_TRACE") != NULL;
	seed = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)time(NULL);
	fprintf(stderr, "check_cleanup_random: CHECK_SEED=%u\n", seed);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, random_clients_are_cleaned_up);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
