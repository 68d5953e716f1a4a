#include "cli/doctor.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "cli/admission.h"
#include "cli/asuser.h"
#include "cli/authcheck.h"
#include "cli/cure.h"
#include "cli/files.h"
#include "cli/findings.h"
#include "cli/namespaces.h"
#include "cli/remote.h"
#include "cli/running.h"
#include "cli/started.h"
#include "conf/auth.h"
#include "conf/conf.h"

struct doctor {
	struct findings findings;
	const struct commands_how *how;
	struct started started;
	const char *path;  /* of the configuration file, as given; or what stands for it */
	char *absolute;    /* the same as an absolute path */
	struct conf *conf; /* NULL: the file is wrong */
	struct ask_whom whom;
	char port[16];
	struct running running; /* what is asked of the daemon */
	struct asuser daemon;   /* the user that pgwithd runs as; uid (uid_t)-1: not known */
	bool stranger;          /* that user may be anybody: see asuser_is_stranger() */
};

/* ---- the configuration ---- */

/* The file that holds option `i`, if its value has a password in it, which SHOW CONFIG hides. NULL
 * if it has none. The caller frees. */
static char *
secret_file(const struct conf *conf, unsigned i)
{
	struct conf_entry e;
	const char *colon;
	char *file = NULL;

	conf_entry(conf, i, &e);
	colon = strrchr(e.source, ':');
	if (e.value && strstr(e.value, "********") && colon)
		file = mem_strndup(e.source, colon - e.source);
	conf_entry_clear(&e);
	return file;
}

static void
check_secrets(struct doctor *d)
{
	char *last = NULL;

	for (unsigned i = 0; i < conf_entries(d->conf); i++) {
		char *file = secret_file(d->conf, i);
		struct stat st;

		if (file && (last == NULL || strcmp(file, last) != 0) && stat(file, &st) == 0 &&
		    st.st_mode & S_IROTH)
			findings_add(
			    &d->findings, FINDING_PROBLEM, "configuration",
			    "chmod 640, the group being that of pgwithd; or keep passwords in "
			    "a passfile",
			    "%s has a password in it and can be read by everybody", file);
		if (file) {
			free(last);
			last = file;
		}
	}
	free(last);
}

static void
check_file_mode(struct doctor *d)
{
	struct stat st;

	if (stat(d->path, &st) == 0 && st.st_mode & S_IWOTH)
		findings_add(&d->findings, FINDING_PROBLEM, "configuration", "chmod o-w",
			     "%s can be written by everybody", d->path);
	if (d->conf)
		check_secrets(d);
}

static void
check_conf(struct doctor *d)
{
	struct conf_problems problems;

	d->conf = conf_read(&d->started.input, &problems);
	if (d->conf)
		conf_check_names(d->conf, &problems);
	for (unsigned i = 0; i < problems.count; i++) {
		const struct conf_problem *p = &problems.list[i];
		const char *cure = authcheck_cure_of_file(p->text);

		if (p->line)
			findings_add(&d->findings, FINDING_PROBLEM, "configuration",
				     cure ? cure
					  : "correct the line; pgwith.conf(5) has every option",
				     "%s:%u: %s", p->file, p->line, p->text);
		else
			findings_add(&d->findings, FINDING_PROBLEM, "configuration",
				     "pgwith doctor --config FILE looks at another", "%s: %s",
				     p->file, p->text);
	}
	conf_problems_clear(&problems);
	if (d->conf)
		findings_add(&d->findings, FINDING_OK, "configuration", NULL,
			     "%s: %u pool%s, %u scope%s", d->path, d->conf->npools,
			     d->conf->npools == 1 ? "" : "s", d->conf->nscopes,
			     d->conf->nscopes == 1 ? "" : "s");
	else
		findings_add(&d->findings, FINDING_NOTE, "configuration", NULL,
			     "cannot look at the servers of the pools before that is put right");
	check_file_mode(d);
}

/* ---- the socket ---- */

/* Checks that every directory of the path lets others through: otherwise only the daemon's own user
 * can connect. */
static void
check_way(struct doctor *d, const char *directory)
{
	char *path = mem_strdup(directory);

	for (size_t n = strlen(path); n > 0; n--) {
		struct stat st;

		if (path[n] != 0 && path[n] != '/')
			continue;
		path[n] = 0;
		if (stat(path, &st) < 0) {
			findings_add(
			    &d->findings, FINDING_PROBLEM, "socket",
			    "make it (under systemd: RuntimeDirectory=), or correct listen",
			    "%s: %s", path, strerror(errno));
			break;
		}
		if (st.st_mode & S_IXOTH)
			continue;
		if (st.st_mode & S_IXGRP) {
			const struct group *g = getgrgid(st.st_gid);

			findings_add(&d->findings, FINDING_NOTE, "socket",
				     "chmod o+x, if others are to connect",
				     "only the owner and the group %s get through %s",
				     g ? g->gr_name : "?", path);
		} else {
			findings_add(&d->findings, FINDING_WARNING, "socket", "chmod o+x",
				     "only the owner gets through %s: other users cannot connect",
				     path);
		}
		break;
	}
	free(path);
}

static void
check_owner(struct doctor *d, const char *path, const struct stat *st)
{
	const struct conf *c = d->conf;
	const struct passwd *pw = *c->socket_owner ? getpwnam(c->socket_owner) : NULL;
	const struct group *gr = *c->socket_group ? getgrnam(c->socket_group) : NULL;
	const char *cure =
	    "pgwithd makes it so when it starts: restart it, or chmod and chown by hand";

	if ((st->st_mode & 07777) != (mode_t)c->socket_mode)
		findings_add(&d->findings, FINDING_WARNING, "socket", cure,
			     "%s has mode %04o; socket_mode is %04llo", path,
			     (unsigned)st->st_mode & 07777, (unsigned long long)c->socket_mode);
	if (pw && pw->pw_uid != st->st_uid)
		findings_add(&d->findings, FINDING_WARNING, "socket", cure,
			     "%s is of uid %u; socket_owner is %s", path, (unsigned)st->st_uid,
			     c->socket_owner);
	if (gr && gr->gr_gid != st->st_gid)
		findings_add(&d->findings, FINDING_WARNING, "socket", cure,
			     "%s is of gid %u; socket_group is %s", path, (unsigned)st->st_gid,
			     c->socket_group);
}

/* Notes which process listens. 0, or the errno. */
static int
try_connect(struct doctor *d)
{
	struct ucred cred;
	int e = ask_listener(&d->whom, &cred);

	if (e == 0) {
		namespaces_check_listener(&d->findings, cred.pid, cred.uid);
		namespaces_check_map(&d->findings, cred.pid);
		asuser_of_process(&d->daemon, cred.pid, cred.uid, cred.gid);
		d->stranger = asuser_is_stranger(cred.uid, d->whom.directory, d->absolute);
	}
	return e;
}

/* Checks the socket. True if a daemon listens. */
static bool
check_socket(struct doctor *d)
{
	char *path = mem_printf("%s/.s.PGSQL.%s", d->whom.directory, d->whom.port);
	bool there = false;
	struct stat st;
	int e;

	check_way(d, d->whom.directory);
	if (stat(path, &st) < 0) {
		findings_add(&d->findings, FINDING_PROBLEM, "socket",
			     errno == ENOENT ? "start pgwithd" : NULL, "%s: %s", path,
			     strerror(errno));
		goto out;
	}
	if (!S_ISSOCK(st.st_mode)) {
		findings_add(&d->findings, FINDING_PROBLEM, "socket",
			     "remove it, and start pgwithd", "%s is no socket", path);
		goto out;
	}
	if (d->conf && !d->how->socket_given)
		check_owner(d, path, &st);
	e = try_connect(d);
	there = e == 0 || e == EAGAIN;
	if (e == ECONNREFUSED)
		findings_add(&d->findings, FINDING_PROBLEM, "socket",
			     "start pgwithd, which takes it over",
			     "%s is left from a pgwithd that does not run any more", path);
	else if (e == EACCES)
		findings_add(&d->findings, FINDING_PROBLEM, "socket",
			     "see socket_mode, socket_group and the mode of the directory",
			     "%s: this user may not connect", path);
	else if (!there)
		findings_add(&d->findings, FINDING_PROBLEM, "socket", NULL, "%s: %s", path,
			     strerror(e));
	else
		findings_add(&d->findings, FINDING_OK, "socket", NULL, "%s", path);
out:
	free(path);
	return there;
}

/* ---- as the daemon's user ---- */

/* Runs as the daemon's user: checks that RELOAD could read the configuration and every file that
 * the configuration names. */
static void
load_as_daemon(struct doctor *d, struct findings *f)
{
	struct conf_problems problems;
	struct conf_input input = d->started.input;
	struct conf *conf;

	if (input.path)
		input.path = d->absolute;
	conf = conf_read(&input, &problems);
	for (unsigned i = 0; conf == NULL && i < problems.count; i++) {
		char *text = conf_problem_text(&problems.list[i]);

		findings_add(f, FINDING_PROBLEM, "configuration",
			     "let that user read it: chgrp and chmod 640",
			     "read by %s, the user of "
			     "pgwithd: %s",
			     d->daemon.name, text);
		free(text);
	}
	conf_problems_clear(&problems);
	conf_free(conf);
}

static void
look_as_daemon(struct findings *f, void *arg)
{
	struct doctor *d = arg;
	struct remote_how remote = {d->how->whom.timeout_us, d->how->whom.user, d->running.servers};

	load_as_daemon(d, f);
	admission_check(f, d->conf);
	files_check(f, d->conf, d->daemon.name);
	remote_check(f, d->conf, &remote);
}

/* If pgwithd does not run: for the configuration of the shipped unit its user is assumed to be the
 * unit's, otherwise ours. */
static void
guess_user(struct doctor *d)
{
	bool shipped = strcmp(d->path, CONF_PATH) == 0;

	if (d->daemon.uid != (uid_t)-1)
		return;
	if (shipped && geteuid() == 0 && asuser_of_name(&d->daemon, "pgwith"))
		findings_add(
		    &d->findings, FINDING_NOTE, "pgwithd", NULL,
		    "it does not run; files and servers are looked at as pgwith, the user of "
		    "pgwithd.service");
	else
		asuser_of_process(&d->daemon, 0, geteuid(), getegid());
}

static void
check_as_daemon(struct doctor *d)
{
	if (d->stranger) {
		findings_add(&d->findings, FINDING_WARNING, "socket",
			     "listen in a directory where only pgwithd's user may make files, such "
			     "as /run/pgwith; or run pgwith doctor as that user",
			     "everybody may listen in %s, and %s does, who may be anybody: files "
			     "and servers are not looked at as that user",
			     d->whom.directory, d->daemon.name);
		return;
	}
	guess_user(d);
	if (!asuser_possible(&d->daemon))
		findings_add(
		    &d->findings, FINDING_NOTE, "pgwithd",
		    "run pgwith doctor as root, or as that user",
		    "it runs as %s: what follows is what we may read, and whom the servers "
		    "let in as us",
		    d->daemon.name);
	asuser_look(&d->daemon, &d->findings, look_as_daemon, d);
}

/* ---- all ---- */

enum ask_status
doctor_run(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	   char **args)
{
	struct doctor d = {.how = how, .whom = how->whom, .daemon = {.uid = (uid_t)-1}};
	bool problems;

	started_find(&d.started, how);
	d.path = d.started.input.path ? d.started.input.path : CONF_COMMAND_LINE;
	/* As the daemon's user we may see other files, and have another working directory. */
	d.absolute = realpath(d.path, NULL);
	if (d.absolute == NULL)
		d.absolute = mem_strdup(d.path);
	/* Our environment is not the daemon's: pools must not depend on it. */
	ask_forget_environment();
	findings_init(&d.findings);
	check_conf(&d);
	if (d.conf && !how->socket_given) {
		snprintf(d.port, sizeof d.port, "%lld", (long long)d.conf->port);
		d.whom.directory = d.conf->listen;
		d.whom.port = d.port;
	}
	d.running = (struct running){.findings = &d.findings, .conf = d.conf, .whom = &d.whom};
	if (check_socket(&d))
		running_check(&d.running);
	else
		running_check_descriptors(&d.running, NULL);
	if (d.conf)
		check_as_daemon(&d);
	findings_print(&d.findings, &how->look, stdout);
	problems = d.findings.count[FINDING_PROBLEM] > 0;
	findings_clear(&d.findings);
	table_free(d.running.servers);
	asuser_clear(&d.daemon);
	free(d.absolute);
	conf_free(d.conf);
	started_clear(&d.started);
	return problems ? ASK_TROUBLE : ASK_GOOD;
}
