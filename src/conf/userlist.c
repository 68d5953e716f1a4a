#include "conf/userlist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vault.h"
#include "conf/quote.h"

struct userlist {
	unsigned references;
	char *text; /* the file, in which names and secrets were ended by NULs; in a vault */
	size_t size;
	struct userlist_entry *list;
	unsigned count, room;
};

struct reading {
	struct userlist *u;
	unsigned problems;
	void (*problem)(void *arg, unsigned line, const char *why);
	void *arg;
};

static void
report(struct reading *r, unsigned line, char *why)
{
	r->problems++;
	r->problem(r->arg, line, why);
	free(why);
}

char *
userlist_check_path(const char *path)
{
	return *path == 0 || *path == '/' ? NULL : mem_strdup("expected an absolute path");
}

/* ---- lines ---- */

static char *
skip_blanks(char *at)
{
	while (*at == ' ' || *at == '\t' || *at == '\r')
		at++;
	return at;
}

/* Reads a text in double quotes, which are doubled inside, in place: ends it by a NUL. Returns what
 * stands behind it, or NULL if there is none. */
static char *
read_quoted(char *at, char **text)
{
	char *to;

	if (*at++ != '"')
		return NULL;
	for (*text = to = at; *at && (*at != '"' || at[1] == '"'); *to++ = *at++)
		at += *at == '"';
	if (*at == 0)
		return NULL;
	*to = 0;
	return at + 1;
}

static void
add_entry(struct reading *r, char *role, char *secret, unsigned line)
{
	struct userlist *u = r->u;
	enum verifier_kind kind = verifier_kind(secret);
	char *quoted = quote_text(role);

	if (*role == 0)
		report(r, line, mem_strdup("a role without a name"));
	else if (kind == VERIFIER_MD5)
		report(
		    r, line,
		    mem_printf("role %s has an md5 hash, which proves nothing here: expected a "
			       "verifier of SCRAM-SHA-256, as pg_authid has it once the password "
			       "was set with password_encryption = scram-sha-256",
			       quoted));
	else if (kind == VERIFIER_WRONG)
		report(r, line,
		       mem_printf("role %s has a damaged verifier: expected "
				  "SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY",
				  quoted));
	free(quoted);
	if (u->count == u->room) {
		u->room = u->room ? 2 * u->room : 16;
		u->list = mem_realloc(u->list, u->room * sizeof *u->list);
	}
	u->list[u->count++] = (struct userlist_entry){role, kind, secret};
}

/* As PgBouncer: comments begin with a semicolon, and nothing behind the second text is looked at.
 * PgBouncer reads the file only up to the first line that it does not understand. */
static void
read_line(struct reading *r, char *line, unsigned number)
{
	char *at = skip_blanks(line), *role, *secret;

	if (*at == 0 || *at == ';' || *at == '#')
		return;
	at = read_quoted(at, &role);
	at = at ? read_quoted(skip_blanks(at), &secret) : NULL;
	if (at)
		add_entry(r, role, secret, number);
	else
		report(r, number, mem_strdup("expected \"ROLE\" \"SECRET\", or a comment (;)"));
}

static void
read_lines(struct reading *r)
{
	char *line = r->u->text;

	for (unsigned number = 1; line && *line; number++) {
		char *end = strchr(line, '\n');

		if (end)
			*end = 0;
		read_line(r, line, number);
		line = end ? end + 1 : NULL;
	}
}

static int
by_role(const void *a, const void *b)
{
	const struct userlist_entry *x = a, *y = b;

	return strcmp(x->role, y->role);
}

static void
sort_entries(struct reading *r)
{
	struct userlist *u = r->u;

	if (u->count > 1)
		qsort(u->list, u->count, sizeof *u->list, by_role);
	for (unsigned i = 1; i < u->count; i++)
		if (strcmp(u->list[i - 1].role, u->list[i].role) == 0) {
			char *quoted = quote_text(u->list[i].role);

			report(r, 0, mem_printf("role %s stands there more than once", quoted));
			free(quoted);
		}
}

/* ---- the file ---- */

/* Checks type, permissions and size of the file. Returns NULL, or what is wrong. */
static char *
check_file(int fd, struct stat *st)
{
	if (fstat(fd, st) < 0)
		return mem_printf("cannot look at it: %s", strerror(errno));
	if (!S_ISREG(st->st_mode))
		return mem_strdup("not a regular file");
	if (st->st_mode & (S_IRWXO | S_IWGRP))
		return mem_printf("it is open to others (mode %04o): chmod 0640 or 0600",
				  (unsigned)st->st_mode & 07777);
	if (st->st_size > USERLIST_MAX)
		return mem_printf("too long: the maximum is %d bytes", USERLIST_MAX);
	return NULL;
}

/* Returns NULL, or what is wrong. */
static char *
read_text(int fd, struct userlist *u)
{
	struct stat st;
	char *why = check_file(fd, &st);
	size_t have = 0;
	ssize_t n = 1;

	if (why)
		return why;
	u->size = (size_t)st.st_size + 1;
	u->text = vault_alloc(u->size);
	while (have < u->size - 1 && n > 0) {
		n = read(fd, u->text + have, u->size - 1 - have);
		if (n > 0)
			have += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (n < 0)
		return mem_printf("cannot read: %s", strerror(errno));
	if (memchr(u->text, 0, have))
		return mem_strdup("it holds a NUL byte: expected text");
	return NULL;
}

struct userlist *
userlist_read(const char *path, void (*problem)(void *arg, unsigned line, const char *why),
	      void *arg)
{
	struct reading r = {mem_calloc(1, sizeof *r.u), 0, problem, arg};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *why = fd < 0 ? mem_printf("cannot open: %s", strerror(errno)) : read_text(fd, r.u);

	r.u->references = 1;
	if (fd >= 0)
		close(fd);
	if (why)
		report(&r, 0, why);
	else
		read_lines(&r);
	sort_entries(&r);
	if (r.problems == 0)
		return r.u;
	userlist_drop(r.u);
	return NULL;
}

struct userlist *
userlist_keep(struct userlist *u)
{
	if (u)
		u->references++;
	return u;
}

void
userlist_drop(struct userlist *u)
{
	if (u == NULL || --u->references > 0)
		return;
	vault_free(u->text, u->size);
	free(u->list);
	free(u);
}

const struct userlist_entry *
userlist_find(const struct userlist *u, const char *role)
{
	struct userlist_entry wanted = {.role = role};

	return u && u->count > 0 ? bsearch(&wanted, u->list, u->count, sizeof *u->list, by_role)
				 : NULL;
}

const struct userlist_entry *
userlist_entries(const struct userlist *u, unsigned *count)
{
	*count = u ? u->count : 0;
	return u ? u->list : NULL;
}
