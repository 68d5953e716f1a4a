#include "cli/import/import.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/import/databases.h"
#include "cli/import/settings.h"
#include "cli/import/signin.h"
#include "cli/import/unit.h"
#include "cli/import/users.h"

/* ---- [pgwith] ---- */

static void
write_directory(const struct import *im)
{
	const char *value = settings_get(im, "unix_socket_dir");

	if (value == NULL) {
		settings_option(im, "listen", SETTINGS_DIRECTORY,
				"PgBouncer's default of unix_socket_dir");
	} else if (*value != '/') {
		settings_out(im, "; unix_socket_dir = %s: clients must say host=/run/pgwith now",
			     value);
		settings_out(im, "listen = /run/pgwith");
	} else {
		settings_option(im, "listen", value, "unix_socket_dir");
	}
}

static void
write_same(const struct import *im, const struct setting *k, const char *name, const char *value)
{
	if (k->kind == SETTING_SECONDS)
		settings_seconds(im, k->option, value, name);
	else if (*value)
		settings_option(im, k->option, value, name);
}

static void
write_setting(const struct import *im, const struct pgbouncer_setting *s)
{
	const struct setting *k = settings_find(s->key);

	if (k == NULL) {
		++*im->unknown;
		settings_out(im, "; %s = %s: not known to pgwith import; see pgbouncer.ini(5)",
			     s->key, s->value);
		return;
	}
	switch (k->kind) {
	case SETTING_SECONDS:
	case SETTING_SAME:
		write_same(im, k, s->key, s->value);
		break;
	case SETTING_NONE:
		/* An empty value needs no note. */
		if (*s->value)
			settings_out(im, "; %s = %s: %s", s->key, s->value, k->note);
		break;
	case SETTING_SECRET:
		settings_out(im, "; %s: %s", s->key, k->note);
		break;
	case SETTING_ELSEWHERE:
		settings_special(im, s->key, s->value);
		break;
	case SETTING_CONNINFO:
		break; /* databases.c writes it into each conninfo */
	}
}

static void
main_section(const struct import *im)
{
	unsigned count;
	const struct setting *table = settings_table(&count);

	settings_out(im, "[pgwith]");
	write_directory(im);
	signin_write(im);
	for (unsigned i = 0; i < im->from->count; i++) {
		const struct pgbouncer_setting *s = &im->from->list[i];

		/* If a setting is given twice, the last one counts. */
		if (strcmp(s->section, "pgbouncer") == 0 && settings_get(im, s->key) == s->value)
			write_setting(im, s);
	}
	for (unsigned i = 0; i < count; i++)
		if (table[i].standard && table[i].kind != SETTING_ELSEWHERE &&
		    !settings_get(im, table[i].name)) {
			char *why = mem_printf("PgBouncer's default of %s", table[i].name);

			if (table[i].kind == SETTING_SECONDS)
				settings_seconds(im, table[i].option, table[i].standard, why);
			else
				settings_option(im, table[i].option, table[i].standard, why);
			free(why);
		}
}

/* ---- passwords ---- */

static void
passfile_word(FILE *f, const char *text)
{
	for (; *text; text++)
		fprintf(f, *text == ':' || *text == '\\' ? "\\%c" : "%c", *text);
}

/* Writes the passwords of the auth_file as a passfile (PostgreSQL 15 documentation, 34.16 The
 * Password File). */
static enum ask_status
write_passfile(const struct import *im)
{
	const char *path = im->how->passfile;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	const struct passwd *pw;
	bool bad;

	if (f == NULL) {
		fprintf(stderr, "pgwith: %s: cannot make it: %s\n", path, strerror(errno));
		return ASK_USAGE;
	}
	for (unsigned i = 0; i < im->users.count; i++) {
		const struct pgbouncer_pair *u = &im->users.list[i];

		if (strncmp(u->value, "SCRAM-SHA-256$", 14) == 0 ||
		    (strncmp(u->value, "md5", 3) == 0 && strlen(u->value) == 35)) {
			fprintf(
			    stderr,
			    "pgwith: the password of \"%s\" is stored hashed, which libpq cannot "
			    "use: add it to %s\n",
			    u->key, path);
			continue;
		}
		if (*u->value == 0 || strpbrk(u->key, "\r\n") || strpbrk(u->value, "\r\n"))
			continue;
		fputs("*:*:*:", f);
		passfile_word(f, u->key);
		fputc(':', f);
		passfile_word(f, u->value);
		fputc('\n', f);
	}
	bad = ferror(f) != 0;
	/* Root makes the file for the user of the shipped unit, who could not read it otherwise. */
	if (geteuid() == 0 && (pw = getpwnam("pgwith")) != NULL)
		bad |= fchown(fd, pw->pw_uid, pw->pw_gid) < 0;
	if (fclose(f) != 0 || bad) {
		fprintf(stderr, "pgwith: %s: cannot write: %s\n", path, strerror(errno));
		return ASK_TROUBLE;
	}
	return ASK_GOOD;
}

/* ---- sections that are none of PgBouncer's, or have no equivalent ---- */

static void
other_sections(const struct import *im)
{
	const char *last = "";

	for (unsigned i = 0; i < im->from->count; i++) {
		const char *name = im->from->list[i].section;

		if (strcmp(name, "pgbouncer") == 0 || strcmp(name, "databases") == 0 ||
		    strcmp(name, "users") == 0 || strcmp(name, last) == 0)
			continue;
		last = name;
		if (strcmp(name, "peers") == 0) {
			settings_out(
			    im, "\n; [peers]: not needed: each pgwithd gets the cancels of its "
				"own clients");
			continue;
		}
		++*im->unknown;
		settings_out(im,
			     "\n; [%s]: this section is not known to pgwith import; see "
			     "pgbouncer.ini(5)",
			     name);
	}
}

/* ---- all ---- */

unsigned
import_write(const struct pgbouncer *from, const struct pgbouncer_pairs *users,
	     const struct commands_how *how, FILE *to, unsigned *unknown)
{
	struct import im = {.from = from, .how = how, .to = to};

	if (users)
		im.users = *users;
	im.unknown = unknown;
	im.signin = signin_plan(&im);
	settings_out(
	    &im,
	    "; Made by pgwith import. What has no equivalent stands in comments; check them, then\n"
	    "; pgwithd -t, and pgwith doctor as root, which looks at the servers as pgwithd's user "
	    "does.\n"
	    "; PgBouncer must be stopped before pgwithd takes its socket.");
	unit_write(&im);
	main_section(&im);
	databases_write(&im);
	signin_write_pool(&im);
	users_write(&im);
	users_write_limits(&im);
	other_sections(&im);
	signin_free(im.signin);
	return im.pools;
}

/* Reads the auth_file, if one is named. False: it cannot be read. */
static bool
read_users(const struct pgbouncer *from, struct pgbouncer_pairs *users)
{
	const char *path = pgbouncer_get(from, "pgbouncer", "auth_file");
	char *why;
	bool good;

	*users = (struct pgbouncer_pairs){0};
	if (path == NULL || *path == 0)
		return true;
	why = pgbouncer_users(path, users);
	good = why == NULL;
	if (!good)
		fprintf(stderr, "pgwith: auth_file: %s\n", why);
	free(why);
	return good;
}

enum ask_status
import_run(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	   char **args)
{
	struct pgbouncer from;
	struct import im = {.from = &from, .how = how};
	enum ask_status status = ASK_GOOD;
	unsigned unknown = 0;
	bool users;

	if (!pgbouncer_read(&from, args[0])) {
		fprintf(stderr, "pgwith: %s\n", from.problem);
		pgbouncer_clear(&from);
		return ASK_USAGE;
	}
	users = read_users(&from, &im.users);
	if (how->passfile)
		status = write_passfile(&im);
	if (status == ASK_GOOD && import_write(&from, &im.users, how, stdout, &unknown) == 0) {
		fprintf(stderr,
			"pgwith: %s makes no pool; if it has only the fallback *, name its "
			"databases: --database NAME\n",
			args[0]);
		status = ASK_TROUBLE;
	} else if (status == ASK_GOOD && unknown > 0) {
		fprintf(stderr,
			"pgwith: %u setting%s of %s could not be taken over: see the comments with "
			"\"not known\", \"left as it is\" or \"cannot\"\n",
			unknown, unknown == 1 ? "" : "s", args[0]);
		status = ASK_TROUBLE;
	} else if (status == ASK_GOOD && !users) {
		fprintf(stderr, "pgwith: users and allow are written without the auth_file: run it "
				"as a user who may read that\n");
		status = ASK_TROUBLE;
	}
	pgbouncer_pairs_clear(&im.users);
	pgbouncer_clear(&from);
	return status;
}
