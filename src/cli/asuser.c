#include "cli/asuser.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

#define GROUPS_MAX  65536
#define ENVIRON_MAX (1 << 20)

/* ---- who ---- */

static void
add_group(struct asuser *u, gid_t gid)
{
	u->groups = mem_realloc(u->groups, (size_t)(u->ngroups + 1) * sizeof *u->groups);
	u->groups[u->ngroups++] = gid;
}

/* Reads the supplementary groups of the process from /proc/PID/status. */
static bool
groups_of_process(struct asuser *u)
{
	char *path = mem_printf("/proc/%d/status", (int)u->pid), *line = NULL;
	FILE *f = u->pid > 0 ? fopen(path, "re") : NULL;
	size_t room = 0;
	bool found = false;

	free(path);
	while (f && getline(&line, &room, f) > 0) {
		char *at, *end;

		if (strncmp(line, "Groups:", 7) != 0)
			continue;
		found = true;
		for (at = line + 7;; at = end) {
			unsigned long gid = strtoul(at, &end, 10);

			if (end == at)
				break;
			add_group(u, (gid_t)gid);
		}
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

static void
groups_of_name(struct asuser *u)
{
	int room = 64;

	do {
		u->ngroups = room;
		u->groups = mem_realloc(u->groups, (size_t)room * sizeof *u->groups);
		room *= 2;
	} while (getgrouplist(u->name, u->gid, u->groups, &u->ngroups) < 0 && room <= GROUPS_MAX);
}

void
asuser_of_process(struct asuser *u, pid_t pid, uid_t uid, gid_t gid)
{
	const struct passwd *pw = getpwuid(uid);

	*u = (struct asuser){.uid = uid, .gid = gid, .pid = pid};
	u->name = pw ? mem_strdup(pw->pw_name) : mem_printf("%u", (unsigned)uid);
	if (!groups_of_process(u)) {
		u->pid = 0;
		groups_of_name(u);
	}
}

bool
asuser_of_name(struct asuser *u, const char *name)
{
	const struct passwd *pw = getpwnam(name);

	if (pw == NULL)
		return false;
	*u = (struct asuser){.uid = pw->pw_uid, .gid = pw->pw_gid, .name = mem_strdup(name)};
	groups_of_name(u);
	return true;
}

void
asuser_clear(struct asuser *u)
{
	free(u->groups);
	free(u->name);
	*u = (struct asuser){.uid = (uid_t)-1};
}

bool
asuser_possible(const struct asuser *u)
{
	return geteuid() == 0 || geteuid() == u->uid;
}

/* ---- becoming it ---- */

/* Is it a variable that libpq reads? */
static bool
is_wanted(const char *variable)
{
	return strncmp(variable, "PG", 2) == 0 || strncmp(variable, "HOME=", 5) == 0;
}

static void
adopt_environment(const struct asuser *u)
{
	char *path = mem_printf("/proc/%d/environ", (int)u->pid),
	     *text = mem_alloc(ENVIRON_MAX + 1);
	int fd = u->pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	const struct passwd *pw = getpwuid(u->uid);
	size_t have = 0;
	ssize_t n = 0;

	unsetenv("HOME");
	while (fd >= 0 && have < ENVIRON_MAX && (n = read(fd, text + have, ENVIRON_MAX - have)) > 0)
		have += (size_t)n;
	text[have] = 0;
	for (char *at = text; at < text + have; at += strlen(at) + 1)
		if (is_wanted(at))
			putenv(mem_strdup(at));
	if (fd >= 0)
		close(fd);
	if (getenv("HOME") == NULL && pw)
		setenv("HOME", pw->pw_dir, 1);
	free(text);
	free(path);
}

/* Enters the mount namespace of the daemon: a sandbox may show it other files than us (PrivateTmp,
 * ProtectHome). */
static void
enter_namespace(const struct asuser *u)
{
	char *path = mem_printf("/proc/%d/ns/mnt", (int)u->pid);
	int fd = u->pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct stat its, ours;
	bool same = fd < 0 || fstat(fd, &its) < 0 || stat("/proc/self/ns/mnt", &ours) < 0 ||
		    its.st_ino == ours.st_ino;

	/* Without that right we look at our own files. */
	if (!same && setns(fd, CLONE_NEWNS) < 0)
		errno = 0;
	if (fd >= 0)
		close(fd);
	free(path);
}

static bool
become_user(const struct asuser *u)
{
	adopt_environment(u);
	/* This comes last: no file of that view may be opened as root, nor a library loaded, as the
	 * name service would. */
	enter_namespace(u);
	return setgroups((size_t)u->ngroups, u->groups) == 0 &&
	       setresgid(u->gid, u->gid, u->gid) == 0 && setresuid(u->uid, u->uid, u->uid) == 0;
}

/* ---- telling ---- */

static void
write_rows(const struct table *t, FILE *to)
{
	for (unsigned row = 0; row < table_rows(t); row++)
		for (unsigned i = 0; i < table_columns(t); i++) {
			const char *text = table_at(t, row, i);

			/* A text has a `=` ahead, so that NULL can be told from an empty text. */
			if (text)
				fputc('=', to);
			fputs(text ? text : "", to);
			fputc(0, to);
		}
}

/* Reads what write_rows() has written. False if a row is incomplete. */
static bool
read_rows(struct table *t, FILE *from)
{
	unsigned n = table_columns(t), i = 0;
	char **cells = mem_calloc(n, sizeof *cells);
	size_t *rooms = mem_calloc(n, sizeof *rooms);
	const char **texts = mem_calloc(n, sizeof *texts);

	while (getdelim(&cells[i], &rooms[i], 0, from) > 0) {
		if (++i < n)
			continue;
		for (unsigned k = 0; k < n; k++)
			texts[k] = *cells[k] ? cells[k] + 1 : NULL;
		table_row(t, texts);
		i = 0;
	}
	for (unsigned k = 0; k < n; k++)
		free(cells[k]);
	free(cells);
	free(rooms);
	free(texts);
	return i == 0;
}

/* Exit statuses of the child. */
enum { CHILD_GOOD, CHILD_FAILED, CHILD_REFUSED };

/* `t` is a copy of the parent's table, without its rows. */
static void
run_child(const struct asuser *u, struct table *t, void (*look)(struct table *, void *), void *arg,
	  int fd)
{
	FILE *to = fdopen(fd, "w");

	if (to == NULL)
		_exit(CHILD_FAILED);
	if (!become_user(u))
		_exit(CHILD_REFUSED);
	look(t, arg);
	write_rows(t, to);
	_exit(fclose(to) == 0 ? CHILD_GOOD : CHILD_FAILED);
}

bool
asuser_rows(const struct asuser *u, struct table *t, void (*look)(struct table *, void *),
	    void *arg, char *why, size_t why_size)
{
	int ends[2], status = 0;
	FILE *from;
	pid_t pid;
	bool good;

	if (geteuid() != 0 || (u->uid == 0 && u->pid == 0)) {
		look(t, arg);
		return true;
	}
	fflush(NULL);
	if (pipe2(ends, O_CLOEXEC) < 0) {
		snprintf(why, why_size, "cannot look as its user %s: %s", u->name, strerror(errno));
		return false;
	}
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		run_child(u, table_empty(t), look, arg, ends[1]);
	}
	close(ends[1]);
	from = fdopen(ends[0], "r");
	good = pid > 0 && from && read_rows(t, from);
	if (from)
		fclose(from);
	else
		close(ends[0]);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && good)
		return true;
	snprintf(why, why_size, "cannot %s its user %s",
		 WIFEXITED(status) && WEXITSTATUS(status) == CHILD_REFUSED ? "become" : "look as",
		 u->name);
	return false;
}

/* ---- findings ---- */

struct finder {
	void (*look)(struct findings *, void *arg);
	void *arg;
};

static void
find(struct table *t, void *arg)
{
	const struct finder *finder = arg;
	struct findings found = {.table = t};

	finder->look(&found, finder->arg);
}

void
asuser_look(const struct asuser *u, struct findings *f, void (*look)(struct findings *, void *),
	    void *arg)
{
	struct finder finder = {look, arg};
	struct findings found;
	char why[256];
	bool good;

	findings_init(&found);
	good = asuser_rows(u, found.table, find, &finder, why, sizeof why);
	for (unsigned i = 0; i < table_rows(found.table); i++)
		findings_add(f, findings_level(table_at(found.table, i, 0)),
			     table_at(found.table, i, 1), table_at(found.table, i, 3), "%s",
			     table_at(found.table, i, 2));
	if (!good)
		findings_add(f, FINDING_NOTE, "pgwithd", NULL, "%s", why);
	findings_clear(&found);
}

/* ---- whom to trust ---- */

/* May everybody put a socket there? So it is also below a directory such as /tmp, unless root has
 * made the rest of the path. */
static bool
anybody_may_listen(const char *directory)
{
	char *path = realpath(directory, NULL), *slash;
	bool anybody = false;
	struct stat st;

	while (path && stat(path, &st) == 0) {
		anybody = st.st_mode & S_IWOTH;
		slash = strrchr(path, '/');
		if (anybody || st.st_uid == 0 || slash[1] == 0)
			break;
		slash[slash == path] = 0;
	}
	free(path);
	return anybody;
}

bool
asuser_is_stranger(uid_t uid, const char *directory, const char *config)
{
	const struct passwd *pw = getpwnam("pgwith");
	struct stat st;

	if (geteuid() != 0 || uid == 0 || (pw && pw->pw_uid == uid) ||
	    (stat(config, &st) == 0 && st.st_uid == uid))
		return false;
	return anybody_may_listen(directory);
}
