#include "cli/namespaces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/allow.h"
#include "conf/auth.h"

#define UIDS_ALL 4294967295ul /* of a namespace that has every uid */
#define MAP_MAX  400          /* bytes of a map in a message */

/* The uid that the kernel tells in the place of one that a user namespace does not have:
 * user_namespaces(7). */
static unsigned long
foreign_uid(void)
{
	FILE *f = fopen("/proc/sys/kernel/overflowuid", "re");
	unsigned long uid = 65534;

	if (f && fscanf(f, "%lu", &uid) != 1)
		uid = 65534;
	if (f)
		fclose(f);
	return uid;
}

void
namespaces_check_listener(struct findings *f, pid_t pid, uid_t uid)
{
	if (pid == 0)
		findings_add(f, FINDING_NOTE, "pgwithd",
			     "run pgwith doctor where pgwithd runs (podman exec, kubectl exec)",
			     "it runs in a pid namespace that cannot be seen from here: it has no "
			     "process id, and its limits cannot be read");
	if (uid == foreign_uid())
		findings_add(f, FINDING_NOTE, "pgwithd",
			     "run pgwith doctor where pgwithd runs (podman exec, kubectl exec)",
			     "its user is uid %u here, which stands for every user whom this user "
			     "namespace does not have: files are not looked at as the right one",
			     (unsigned)uid);
}

/* Reads the map of uids of a process (user_namespaces(7)): "0 to 65535 are 100000 to 165535, ..."
 * into `text`. Returns false if it has every uid as it is, or cannot be read. */
static bool
read_map(pid_t pid, char *text, size_t size)
{
	char *path = mem_printf("/proc/%d/uid_map", (int)pid);
	FILE *f = fopen(path, "re");
	unsigned long inside, outside, count;
	bool mapped = false;
	size_t n = 0;

	*text = 0;
	while (f && n < size - 1 && fscanf(f, "%lu %lu %lu", &inside, &outside, &count) == 3) {
		int added;

		if (inside == 0 && outside == 0 && count == UIDS_ALL)
			break;
		mapped = true;
		if (count == 1)
			added = snprintf(text + n, size - n, "%s%lu is %lu", n ? ", " : "", inside,
					 outside);
		else
			added = snprintf(text + n, size - n, "%s%lu to %lu are %lu to %lu",
					 n ? ", " : "", inside, inside + count - 1, outside,
					 outside + count - 1);
		n += added > 0 ? (size_t)added : 0;
	}
	if (f)
		fclose(f);
	free(path);
	return mapped;
}

void
namespaces_check_map(struct findings *f, pid_t pid)
{
	char map[MAP_MAX];

	if (pid <= 0 || !read_map(pid, map, sizeof map))
		return;
	findings_add(f, FINDING_NOTE, "pgwithd",
		     "write the uids of the inside into allow and users; clients of other users "
		     "can come in by auth = scram-sha-256",
		     "it runs in a user namespace; of its uids, %s outside. Clients of all other "
		     "users are uid %lu to it",
		     map, foreign_uid());
}

/* ---- clients ---- */

static unsigned long
number(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text ? strtoul(text, NULL, 10) : (unsigned long)-1;
}

/* Is the process in another pid namespace than we, and so in a container? False if that cannot be
 * seen. */
static bool
is_elsewhere(unsigned long pid)
{
	char *path = mem_printf("/proc/%lu/ns/pid", pid);
	char ours[64], theirs[64];
	ssize_t n = readlink("/proc/self/ns/pid", ours, sizeof ours);
	bool elsewhere = n > 0 && readlink(path, theirs, sizeof theirs) > 0 &&
			 memcmp(ours, theirs, (size_t)n) != 0;

	free(path);
	return elsewhere;
}

static bool
asks_for_passwords_only(const struct conf *conf)
{
	return conf && !(auth_methods(conf->auth) & AUTH_PEER);
}

void
namespaces_check_clients(struct findings *f, const struct conf *conf, const struct table *clients)
{
	unsigned all = table_rows(clients), unseen = 0, foreign = 0, roots = 0;
	unsigned long foreigner = foreign_uid();

	for (unsigned row = 0; row < all; row++) {
		unsigned long pid = number(clients, row, "remote_pid");
		bool hidden = pid == 0;

		unseen += hidden;
		foreign += number(clients, row, "uid") == foreigner;
		roots += (hidden || is_elsewhere(pid)) && number(clients, row, "uid") == 0;
	}
	if (unseen > 0)
		findings_add(
		    f, FINDING_NOTE, "clients",
		    "let the containers share a pid namespace (shareProcessNamespace: true, "
		    "--pid=container:NAME), or go by application_name",
		    "%u of %u come from a pid namespace that pgwithd does not see: their "
		    "process id is 0 in SHOW CLIENTS and in the log, and their program is "
		    "not known",
		    unseen, all);
	if (foreign > 0)
		findings_add(
		    f, asks_for_passwords_only(conf) ? FINDING_NOTE : FINDING_WARNING, "clients",
		    "auth = scram-sha-256 tells them apart by their passwords; or run them "
		    "with the user namespace of pgwithd",
		    "%u of %u have uid %lu, which stands for every user whom pgwithd's user "
		    "namespace does not have: all of them are one user to pgwithd",
		    foreign, all, foreigner);
	if (roots > 0 && !asks_for_passwords_only(conf))
		findings_add(
		    f, FINDING_WARNING, "clients",
		    "run them as another user, or in a user namespace; or auth = "
		    "scram-sha-256",
		    "%u of %u are root in a container without a user namespace: root there "
		    "is root to pgwithd, and may come in as any role, into every pool",
		    roots, all);
}

/* ---- lists ---- */

static enum access
nobody_in_group(void *arg, const char *group)
{
	return ACCESS_NO;
}

/* Does the option users name that uid, and not everybody? */
static bool
names_foreigner(const char *users, uid_t uid, const char *name)
{
	return !allow_everybody(users) &&
	       allow_user(users, uid, name, nobody_in_group, NULL) == ACCESS_YES;
}

void
namespaces_check_lists(struct findings *f, const struct conf *conf)
{
	const uid_t uid = (uid_t)foreign_uid();
	static const char name[] = "nobody";

	if (asks_for_passwords_only(conf))
		return;
	for (unsigned i = 0; i < conf->npools; i++) {
		char *subject;

		if (!names_foreigner(conf->pools[i].users, uid, name))
			continue;
		subject = mem_printf("pool %s", conf->pools[i].name);
		findings_add(
		    f, FINDING_WARNING, subject,
		    "auth = scram-sha-256, and users = role:ROLE, if clients come from "
		    "containers",
		    "users names nobody (uid %u): if pgwithd runs in a user namespace, that "
		    "is every user whom the namespace does not have",
		    (unsigned)uid);
		free(subject);
	}
}
