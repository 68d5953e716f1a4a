#include "cli/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "pool/resolve.h"

struct files {
	struct findings *findings;
	const char *who;
	const char *subject;
};

/* ---- one file ---- */

/* Can the file be opened? If not, that is a problem, unless the file is `optional` and does not
 * exist. */
static bool
readable(const struct files *f, const char *what, const char *path, bool optional, struct stat *st)
{
	int e = access(path, R_OK) < 0 ? errno : 0;
	char *cure;

	if (e == 0 && stat(path, st) == 0 && !S_ISREG(st->st_mode)) {
		findings_add(f->findings, FINDING_PROBLEM, f->subject, "name a plain file",
			     "%s %s is no plain file, so libpq does not use it", what, path);
		return false;
	}
	if (e == 0)
		return true;
	/* libpq ignores a file that it cannot stat(). */
	if (optional && stat(path, st) < 0)
		return false;
	if (e == EACCES)
		cure = mem_printf("chown %s %s; each directory above it must let that user through",
				  f->who, path);
	else
		cure = mem_printf("make it, owned by %s; or correct the conninfo", f->who);
	findings_add(f->findings, FINDING_PROBLEM, f->subject, cure,
		     "%s %s cannot be read by %s, whom pgwithd runs as: %s", what, path, f->who,
		     strerror(e));
	free(cure);
	return false;
}

/* libpq ignores a password file that others can read. */
static void
check_passfile(const struct files *f, const struct conninfo *ci, bool given)
{
	const char *path = conninfo_get(ci, "passfile");
	struct stat st;

	if (path == NULL || !readable(f, "passfile", path, !given, &st))
		return;
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		findings_add(f->findings, FINDING_PROBLEM, f->subject, "chmod 600",
			     "passfile %s can be read by others, so libpq does not use it", path);
}

/* PostgreSQL 15 documentation, 34.19.2: only the owner may read a key; one that root owns may be
 * read by its group, too. */
static void
check_key(const struct files *f, const char *path)
{
	struct stat st;
	mode_t bad = S_IRWXG | S_IRWXO;

	/* "engine:..." names a key of an OpenSSL engine, not a file. */
	if (strchr(path, ':') || !readable(f, "sslkey", path, false, &st))
		return;
	if (st.st_uid == 0)
		bad = S_IWGRP | S_IXGRP | S_IRWXO;
	if (st.st_mode & bad)
		findings_add(f->findings, FINDING_PROBLEM, f->subject,
			     st.st_uid == 0 ? "chmod 640" : "chmod 600",
			     "sslkey %s can be used by others (mode %04o), so libpq does not take "
			     "it",
			     path, (unsigned)st.st_mode & 07777);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		findings_add(f->findings, FINDING_PROBLEM, f->subject,
			     "chown it to that user, or to root with mode 640",
			     "sslkey %s is neither of root nor of %s, so libpq does not take it",
			     path, f->who);
}

static void
check_pool(struct files *f, const struct conf_pool *pool)
{
	static const char *const plain[] = {"sslrootcert", "sslcert", "sslcrl"};
	char why[256] = "", *subject = mem_printf("pool %s", pool->name);
	struct conninfo *ci = conninfo_new(pool->conninfo, why, sizeof why);
	const char *path;
	struct stat st;

	f->subject = subject;
	if (ci == NULL)
		findings_add(f->findings, FINDING_PROBLEM, subject,
			     "correct the conninfo, or the service file", "conninfo: %s", why);
	for (unsigned i = 0; ci && i < sizeof plain / sizeof *plain; i++)
		/* "system" is no file since libpq 16: the operating system's certificates. */
		if ((path = conninfo_get(ci, plain[i])) != NULL && strcmp(path, "system") != 0)
			readable(f, plain[i], path, false, &st);
	if (ci && (path = conninfo_get(ci, "sslkey")) != NULL)
		check_key(f, path);
	if (ci)
		check_passfile(f, ci, strstr(pool->conninfo, "passfile") || getenv("PGPASSFILE"));
	conninfo_free(ci);
	free(subject);
}

void
files_check(struct findings *findings, const struct conf *conf, const char *who)
{
	struct files f = {.findings = findings, .who = who};

	for (unsigned i = 0; i < conf->npools; i++)
		check_pool(&f, &conf->pools[i]);
}
