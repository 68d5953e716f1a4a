#include "pool/password.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/program.h"
#include "conf/pwcommand.h"
#include "conf/secret.h"
#include "pool/pool.h"

#define TO(state) (1u << (state))
/* Of the program's stderr: lines that are logged. */
#define LINES_MAX 20

static const struct {
	const char *name;
	unsigned next;
} states[PASSWORD_NSTATES] = {
    [PASSWORD_NONE] = {"none", TO(PASSWORD_ASKING)},
    [PASSWORD_ASKING] = {"asking", TO(PASSWORD_NONE) | TO(PASSWORD_KNOWN)},
    [PASSWORD_KNOWN] = {"known", TO(PASSWORD_NONE)},
};

/* A run of the program, on a thread. */
struct asking {
	struct pools *all;
	uint64_t password; /* its id */
	struct program *program;
	char *command, *before;
	int64_t limit_us;
	int64_t since_us;
	struct pwcommand_answer answer;
};

const char *
password_state_name(enum password_state state)
{
	return states[state].name;
}

void
password_set_state(struct password *p, enum password_state to)
{
	if (!(states[p->state].next & TO(to)))
		log_fatal("password", LOG_ALONE, "illegal move",
			  LOG_MOVE(states[p->state].name, states[to].name));
	log_debug("pool", p->pool->conf->name, "password",
		  LOG_MOVE(states[p->state].name, states[to].name));
	p->state = to;
}

/* KNOWN -> NONE. */
static void
forget(struct password *p)
{
	password_set_state(p, PASSWORD_NONE);
	secret_free(p->before);
	p->before = p->value;
	p->value = NULL;
}

/* ASKING -> NONE. The thread ends by itself, and finds that nobody waits for it. */
static void
abandon(struct password *p)
{
	program_abort(p->run->program);
	p->run = NULL;
	password_set_state(p, PASSWORD_NONE);
}

/* ---- for a pool ------------------------------------------------------------------------------ */

/* The command of the configuration; NULL: it has none. */
static const char *
command_of(const struct conf_pool *conf)
{
	return pwcommand_is(conf->password) ? conf->password : NULL;
}

bool
password_changes(const struct pool *pool, const struct conf_pool *conf)
{
	const char *is = pool->password ? pool->password->command : NULL, *next = command_of(conf);

	return is == NULL || next == NULL ? is != next : strcmp(is, next) != 0;
}

void
password_free(struct pool *pool)
{
	struct password *p = pool->password;

	if (p == NULL)
		return;
	if (p->state == PASSWORD_ASKING)
		abandon(p);
	idmap_remove(&pool->all->passwords, p->id);
	secret_free(p->value);
	secret_free(p->before);
	secret_free(p->command);
	free(p->said);
	free(p);
	pool->password = NULL;
}

void
password_abandon(struct pool *pool)
{
	if (pool->password && pool->password->state == PASSWORD_ASKING)
		abandon(pool->password);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void
asking_run(void *arg)
{
	struct asking *a = arg;

	pwcommand_ask(a->command, a->program, a->limit_us, a->before, &a->answer);
}

static void
asking_free(struct asking *a)
{
	pwcommand_answer_clear(&a->answer);
	program_free(a->program);
	secret_free(a->before);
	secret_free(a->command);
	free(a);
}

/* Logs what the program has said; at debug, if it is what it had said the last time. */
static void
log_said(struct password *p, const struct asking *a)
{
	bool again = p->said && strcmp(p->said, a->answer.said) == 0;
	unsigned lines = 0;

	free(p->said);
	p->said = mem_strdup(a->answer.said);
	for (const char *at = p->said; *at && lines < LINES_MAX; lines++) {
		size_t n = strcspn(at, "\n");

		if (again)
			log_debug("pool", p->pool->conf->name, "password command says",
				  LOG_QUOTED_BYTES("text", at, n));
		else if (a->answer.password)
			log_info("pool", p->pool->conf->name, "password command says",
				 LOG_QUOTED_BYTES("text", at, n));
		else
			log_warnx("pool", p->pool->conf->name, "password command says",
				  LOG_QUOTED_BYTES("text", at, n));
		at += n + (at[n] != '\0');
	}
}

/* The first server that waits for the password, or NULL. */
static struct server *
first_asking(const struct pool *pool)
{
	struct list_node *n;

	LIST_EACH (n, &pool->servers[SERVER_CONNECTING])
		if (LIST_OBJ(n, struct server, node)->asking)
			return LIST_OBJ(n, struct server, node);
	return NULL;
}

/* Goes on with all servers that wait. One that wants the password from now on asks anew, from the
 * loop. */
static void
tell_servers(struct pool *pool, const struct pwcommand_answer *answer, uint64_t number)
{
	password_told *told = pool->password->told;
	struct server *srv;

	while ((srv = first_asking(pool)) != NULL) {
		srv->asking = false;
		srv->password_number = number;
		told(srv, answer->password, answer->why);
	}
}

static void
asking_done(void *arg)
{
	struct asking *a = arg;
	struct password *p = idmap_get(&a->all->passwords, a->password);
	struct pool *pool;

	if (p == NULL || p->run != a) {
		asking_free(a);
		return;
	}
	pool = p->pool;
	p->run = NULL;
	log_said(p, a);
	if (a->answer.password) {
		password_set_state(p, PASSWORD_KNOWN);
		p->value = mem_strdup(a->answer.password);
		p->number++;
		p->received_us = loop_now_us(pool->all->loop);
		log_debug("pool", pool->conf->name, "password received",
			  LOG_MS("took", p->received_us - a->since_us));
	} else {
		password_set_state(p, PASSWORD_NONE);
	}
	tell_servers(pool, &a->answer, p->number);
	asking_free(a);
}

static void
begin_asking(struct password *p)
{
	struct pool *pool = p->pool;
	struct asking *a = mem_calloc(1, sizeof *a);
	char **more = conninfo_environment(pool->conninfo, pool->conf->name);

	password_set_state(p, PASSWORD_ASKING);
	p->run = a;
	a->all = pool->all;
	a->password = p->id;
	a->command = mem_strdup(p->command);
	a->program = pwcommand_program(p->command, more);
	a->before = p->before ? mem_strdup(p->before) : NULL;
	a->limit_us = pool->conf->password_timeout_us;
	a->since_us = loop_now_us(pool->all->loop);
	conninfo_free_environment(more);
	threads_submit(pool->all->threads, p, asking_run, asking_done, a);
}

/* The pool has no command any more: those who wait for its password are told so. */
static void
refuse_servers(struct pool *pool, password_told *told)
{
	struct server *srv;

	while ((srv = first_asking(pool)) != NULL) {
		srv->asking = false;
		told(srv, NULL,
		     "the command that was asked for the password is not configured any more");
	}
}

void
password_renew(struct pool *pool)
{
	struct password *p = pool->password;
	password_told *told = p ? p->told : NULL;

	if (password_changes(pool, pool->conf)) {
		password_free(pool);
		if (command_of(pool->conf) == NULL) {
			refuse_servers(pool, told);
			return;
		}
		p = pool->password = mem_calloc(1, sizeof *p);
		p->id = idmap_add(&pool->all->passwords, p);
		p->pool = pool;
		p->command = mem_strdup(command_of(pool->conf));
		p->told = told;
		if (first_asking(pool))
			begin_asking(p);
	}
	if (p && p->state == PASSWORD_KNOWN)
		forget(p);
}

const char *
password_ask(struct server *srv, password_told *told)
{
	struct password *p = srv->pool->password;
	int64_t now = loop_now_us(srv->pool->all->loop);

	if (p->state == PASSWORD_KNOWN && now - p->received_us >= srv->pool->conf->password_ttl_us)
		forget(p);
	if (p->state == PASSWORD_KNOWN) {
		srv->password_number = p->number;
		return p->value;
	}
	srv->asking = true;
	p->told = told;
	if (p->state == PASSWORD_NONE)
		begin_asking(p);
	return NULL;
}

bool
password_refused(struct server *srv, const char *sqlstate)
{
	struct password *p = srv->pool->password;

	if (p == NULL || srv->password_number == 0 ||
	    (strcmp(sqlstate, "28P01") != 0 && strcmp(sqlstate, "28000") != 0))
		return false;
	if (p->state == PASSWORD_KNOWN && p->number == srv->password_number)
		forget(p);
	if (srv->asked_again)
		return false;
	srv->asked_again = true;
	return true;
}
