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

#define CELLS 4

static const char *const columns[CELLS] = {"level", "subject", "finding", "what_to_do"};

static void
write_findings(const struct findings *f, FILE *to)
{
	for (unsigned row = 0; row < table_rows(f->table); row++)
		for (unsigned i = 0; i < CELLS; i++) {
			const char *text = table_cell(f->table, row, columns[i]);

			/* A text has a `=` ahead, so that NULL can be told from an empty text. */
			if (text)
				fputc('=', to);
			fputs(text ? text : "", to);
			fputc(0, to);
		}
}

/* Reads what write_findings() has written. False if a finding is incomplete. */
static bool
read_findings(struct findings *f, FILE *from)
{
	char *cells[CELLS] = {NULL};
	size_t rooms[CELLS] = {0};
	unsigned i = 0;

	while (getdelim(&cells[i], &rooms[i], 0, from) > 0) {
		if (++i < CELLS)
			continue;
		i = 0;
		findings_add(f, findings_level(cells[0] + 1), cells[1] + 1,
			     *cells[3] ? cells[3] + 1 : NULL, "%s", cells[2] + 1);
	}
	for (unsigned k = 0; k < CELLS; k++)
		free(cells[k]);
	return i == 0;
}

static void
run_child(const struct asuser *u, void (*look)(struct findings *, void *), void *arg, int fd)
{
	struct findings found;
	FILE *to = fdopen(fd, "w");

	findings_init(&found);
	if (to == NULL)
		_exit(EXIT_FAILURE);
	if (become_user(u))
		look(&found, arg);
	else
		findings_add(&found, FINDING_NOTE, "pgwithd", NULL,
			     "cannot look as its user %s: %s", u->name, strerror(errno));
	write_findings(&found, to);
	_exit(fclose(to) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

void
asuser_look(const struct asuser *u, struct findings *f, void (*look)(struct findings *, void *),
	    void *arg)
{
	int ends[2], status = 0;
	FILE *from;
	pid_t pid;

	if (u->uid == geteuid() && u->pid == 0) {
		look(f, arg);
		return;
	}
	fflush(NULL);
	if (geteuid() != 0 || pipe2(ends, O_CLOEXEC) < 0) {
		look(f, arg);
		return;
	}
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		run_child(u, look, arg, ends[1]);
	}
	close(ends[1]);
	from = fdopen(ends[0], "r");
	if (pid < 0 || from == NULL || !read_findings(f, from) || waitpid(pid, &status, 0) < 0 ||
	    status != 0)
		findings_add(f, FINDING_NOTE, "pgwithd", NULL, "cannot look as its user %s",
			     u->name);
	if (from)
		fclose(from);
	else
		close(ends[0]);
}
