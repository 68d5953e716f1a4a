#include "cli/import/unit.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/import/signin.h"

/* As in systemd/service.in and systemd/pgwithd.service.in. */
#define USER          "pgwith"
#define RUN_DIRECTORY "/run/pgwith"
#define DESCRIPTORS   65536
#define FDS_RESERVED  100

#define TEXT_MAX (64 << 10)

struct unit {
	const struct import *im;
	struct buf lines;  /* of [Service] */
	struct buf groups; /* of SupplementaryGroups= */
	struct buf advice; /* comments about what cannot be set in a unit */
	bool tmp, home;
};

static void
add_advice(struct unit *u, const char *text, const char *path)
{
	buf_add_fmt(&u->advice, ";   %s: %s\n", path, text);
}

static void
add_group(struct unit *u, const char *group)
{
	buf_add_fmt(&u->groups, "%s%s", u->groups.len ? " " : "", group);
}

static bool
is_below(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	return strncmp(path, directory, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* Notes a file or directory that the daemon uses, if the unit's sandbox hides it. */
static void
note_path(struct unit *u, const char *path)
{
	u->tmp |= is_below(path, "/tmp") || is_below(path, "/var/tmp");
	u->home |=
	    is_below(path, "/home") || is_below(path, "/root") || is_below(path, "/run/user");
}

/* The directory of the socket, where the daemon makes files. */
static void
add_directory(struct unit *u)
{
	const char *path = settings_get(u->im, "unix_socket_dir");
	const struct group *gr;
	struct stat st;

	if (path == NULL)
		path = SETTINGS_DIRECTORY;
	if (*path != '/' || is_below(path, RUN_DIRECTORY) || is_below(path, "/var" RUN_DIRECTORY))
		return;
	note_path(u, path);
	/* With ProtectSystem=strict every other directory is read-only. */
	buf_add_fmt(&u->lines, "ReadWritePaths=%s\n", path);
	if (stat(path, &st) < 0) {
		add_advice(
		    u, "is not there: it must be made before pgwithd starts, and belong to " USER,
		    path);
		return;
	}
	if (st.st_mode & S_IWOTH)
		return;
	gr = getgrgid(st.st_gid);
	if (st.st_mode & S_IWGRP && gr)
		add_group(u, gr->gr_name);
	else
		add_advice(u,
			   "pgwithd must be able to make its socket there: chown it to " USER
			   ", or say listen = " RUN_DIRECTORY " and host=" RUN_DIRECTORY
			   " in the programs",
			   path);
}

static void
add_socket_group(struct unit *u)
{
	const char *group = settings_get(u->im, "unix_socket_group");

	if (group == NULL || *group == 0)
		return;
	add_group(u, group);
	if (getgrnam(group) == NULL)
		add_advice(
		    u,
		    "unix_socket_group is no group of this system: take socket_group out, or "
		    "make it",
		    group);
}

/* May the user of the unit read the file? Judged by the file's own permissions. */
static bool
is_readable(const char *path)
{
	const struct passwd *pw = getpwnam(USER);
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	return st.st_mode & S_IROTH || (pw && pw->pw_uid == st.st_uid && st.st_mode & S_IRUSR) ||
	       (pw && pw->pw_gid == st.st_gid && st.st_mode & S_IRGRP);
}

static void
add_files(struct unit *u)
{
	static const char *const settings[] = {"server_tls_ca_file", "server_tls_cert_file",
					       "server_tls_key_file"};

	for (unsigned i = 0; i < sizeof settings / sizeof *settings; i++) {
		const char *path = settings_get(u->im, settings[i]);

		if (path == NULL || *path != '/')
			continue;
		note_path(u, path);
		if (!is_readable(path))
			add_advice(u,
				   i == 2 ? "chown " USER
					    ", chmod 600: the key must be readable by " USER
					  : "must be readable by " USER,
				   path);
	}
	if (signin_file(u->im)) {
		note_path(u, signin_file(u->im));
		if (!is_readable(signin_file(u->im)))
			add_advice(u,
				   "must be readable by " USER ": install -o " USER
				   " -m 600 a copy, and name that as auth_file",
				   signin_file(u->im));
	}
	if (u->im->how->passfile) {
		note_path(u, u->im->how->passfile);
		if (!is_readable(u->im->how->passfile))
			add_advice(
			    u, "chown " USER ", chmod 600: the passwords must be readable by " USER,
			    u->im->how->passfile);
	}
}

/* Notes servers whose sockets are in a directory that the sandbox hides. */
static void
add_servers(struct unit *u)
{
	const char *dir = settings_get(u->im, "unix_socket_dir");

	for (unsigned i = 0; i < u->im->from->count; i++) {
		const struct pgbouncer_setting *s = &u->im->from->list[i];
		struct pgbouncer_pairs pairs = {0};
		const char *host;

		if (strcmp(s->section, "databases") != 0)
			continue;
		if (pgbouncer_connstr(s->value, &pairs) == NULL) {
			host = pgbouncer_pair(&pairs, "host");
			if (host == NULL || *host == 0)
				host = dir && *dir ? dir : SETTINGS_DIRECTORY;
			note_path(u, host);
		}
		pgbouncer_pairs_clear(&pairs);
	}
}

static void
add_descriptors(struct unit *u)
{
	const char *text = settings_get(u->im, "max_client_conn");
	long clients = text ? strtol(text, NULL, 10) : 0;

	if (clients > 0 && clients + FDS_RESERVED > DESCRIPTORS)
		buf_add_fmt(&u->lines, "LimitNOFILE=%ld\n", clients + clients / 10 + FDS_RESERVED);
}

static void
write_lines(const struct unit *u, const struct buf *lines)
{
	const char *at = (const char *)buf_data(lines), *end = at + lines->len;

	while (at < end) {
		size_t n = (size_t)((const char *)memchr(at, '\n', (size_t)(end - at)) - at);

		settings_out(u->im, ";   %.*s", (int)n, at);
		at += n + 1;
	}
}

void
unit_write(const struct import *im)
{
	struct unit u = {.im = im};

	buf_init(&u.lines, TEXT_MAX);
	buf_init(&u.groups, TEXT_MAX);
	buf_init(&u.advice, TEXT_MAX);
	add_directory(&u);
	add_socket_group(&u);
	add_files(&u);
	add_servers(&u);
	add_descriptors(&u);
	if (u.tmp)
		buf_add_fmt(&u.lines, "PrivateTmp=no\n");
	if (u.home)
		buf_add_fmt(&u.lines, "ProtectHome=read-only\n");
	if (u.groups.len)
		buf_add_fmt(&u.lines, "SupplementaryGroups=%.*s\n", (int)u.groups.len,
			    (const char *)buf_data(&u.groups));
	if (u.lines.len) {
		settings_out(im,
			     "; Under pgwithd.service, which runs as " USER
			     " in a sandbox, this file needs more: systemctl edit pgwithd, and\n"
			     ";   [Service]");
		write_lines(&u, &u.lines);
	}
	if (u.advice.len) {
		settings_out(im, "; For pgwithd's user, which is " USER
				 " under systemd, these are to be changed:");
		fprintf(im->to, "%.*s", (int)u.advice.len, (const char *)buf_data(&u.advice));
	}
	buf_clear(&u.lines);
	buf_clear(&u.groups);
	buf_clear(&u.advice);
}
