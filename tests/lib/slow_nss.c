/* slow_nss: a name service for tests, by LD_PRELOAD. The folder $SLOW_NSS_DIR has
 *	passwd	NAME:UID:GID lines
 *	group	NAME:GID:MEMBER,... lines; the system is asked for what is in neither
 *	hang	while there is such a file, nothing is answered
 *	fail	while there is such a file, every answer is EIO
 *	calls	gets a line for each call: "main" or "thread", and its name
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
there(const char *name)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", getenv("SLOW_NSS_DIR"), name);
	return access(path, F_OK) == 0;
}

/* Returns 0, or the error that is to be returned. */
static int
note(const char *call)
{
	char path[4096], line[128];
	int fd, n;

	snprintf(path, sizeof path, "%s/calls", getenv("SLOW_NSS_DIR"));
	n = snprintf(line, sizeof line, "%s %s\n",
		     syscall(SYS_gettid) == getpid() ? "main" : "thread", call);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		abort();
	close(fd);
	while (there("hang"))
		usleep(5000);
	return there("fail") ? EIO : 0;
}

/* The line of the file whose field `k` is the text. */
static int
find(const char *file, int k, const char *text, char *line, size_t size)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", getenv("SLOW_NSS_DIR"), file);
	f = fopen(path, "re");
	while (f && fgets(line, (int)size, f)) {
		char copy[4096], *at = copy, *field = NULL;

		line[strcspn(line, "\n")] = 0;
		snprintf(copy, sizeof copy, "%s", line);
		for (int i = 0; i <= k; i++)
			field = strsep(&at, ":");
		if (field && strcmp(field, text) == 0) {
			fclose(f);
			return 1;
		}
	}
	if (f)
		fclose(f);
	return 0;
}

static int
fill_passwd(char *line, struct passwd *pw, char *buf, size_t size, struct passwd **out)
{
	char *at = line, *name = strsep(&at, ":");

	*out = NULL;
	if (strlen(name) + 16 > size)
		return ERANGE;
	strcpy(buf, name);
	*pw = (struct passwd){.pw_name = buf,
			      .pw_uid = (uid_t)strtoul(strsep(&at, ":"), NULL, 10),
			      .pw_gid = (gid_t)strtoul(strsep(&at, ":"), NULL, 10),
			      .pw_dir = "/nonexistent",
			      .pw_shell = "/bin/false",
			      .pw_passwd = "x",
			      .pw_gecos = ""};
	*out = pw;
	return 0;
}

int
getpwuid_r(uid_t uid, struct passwd *pw, char *buf, size_t size, struct passwd **out)
{
	int (*real)(uid_t, struct passwd *, char *, size_t, struct passwd **) =
	    dlsym(RTLD_NEXT, "getpwuid_r");
	char text[16], line[4096];
	int e = note("getpwuid_r");

	*out = NULL;
	snprintf(text, sizeof text, "%u", (unsigned)uid);
	if (e)
		return e;
	return find("passwd", 1, text, line, sizeof line) ? fill_passwd(line, pw, buf, size, out)
							  : real(uid, pw, buf, size, out);
}

int
getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t size, struct passwd **out)
{
	int (*real)(const char *, struct passwd *, char *, size_t, struct passwd **) =
	    dlsym(RTLD_NEXT, "getpwnam_r");
	char line[4096];
	int e = note("getpwnam_r");

	*out = NULL;
	if (e)
		return e;
	return find("passwd", 0, name, line, sizeof line) ? fill_passwd(line, pw, buf, size, out)
							  : real(name, pw, buf, size, out);
}

struct passwd *
getpwuid(uid_t uid)
{
	static struct passwd pw;
	static char buf[4096];
	struct passwd *out;

	errno = getpwuid_r(uid, &pw, buf, sizeof buf, &out);
	return out;
}

struct passwd *
getpwnam(const char *name)
{
	static struct passwd pw;
	static char buf[4096];
	struct passwd *out;

	errno = getpwnam_r(name, &pw, buf, sizeof buf, &out);
	return out;
}

int
getgrnam_r(const char *name, struct group *gr, char *buf, size_t size, struct group **out)
{
	int (*real)(const char *, struct group *, char *, size_t, struct group **) =
	    dlsym(RTLD_NEXT, "getgrnam_r");
	static char *none[] = {NULL};
	char line[4096], *at = line;
	int e = note("getgrnam_r");

	*out = NULL;
	if (e)
		return e;
	if (!find("group", 0, name, line, sizeof line))
		return real(name, gr, buf, size, out);
	snprintf(buf, size, "%s", strsep(&at, ":"));
	*gr = (struct group){.gr_name = buf,
			     .gr_gid = (gid_t)strtoul(strsep(&at, ":"), NULL, 10),
			     .gr_passwd = "x",
			     .gr_mem = none};
	*out = gr;
	return 0;
}

int
getgrgid_r(gid_t gid, struct group *gr, char *buf, size_t size, struct group **out)
{
	int (*real)(gid_t, struct group *, char *, size_t, struct group **) =
	    dlsym(RTLD_NEXT, "getgrgid_r");
	int e = note("getgrgid_r");

	*out = NULL;
	return e ? e : real(gid, gr, buf, size, out);
}

struct group *
getgrnam(const char *name)
{
	static struct group gr;
	static char buf[4096];
	struct group *out;

	errno = getgrnam_r(name, &gr, buf, sizeof buf, &out);
	return out;
}

struct group *
getgrgid(gid_t gid)
{
	static struct group gr;
	static char buf[4096];
	struct group *out;

	errno = getgrgid_r(gid, &gr, buf, sizeof buf, &out);
	return out;
}

/* Only what the file says, and the user's own group. */
int
getgrouplist(const char *user, gid_t own, gid_t *gids, int *count)
{
	char path[4096], line[4096];
	int room = *count, n = 0;
	FILE *f;

	note("getgrouplist");
	if (n++ < room)
		gids[0] = own;
	snprintf(path, sizeof path, "%s/group", getenv("SLOW_NSS_DIR"));
	f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f)) {
		char *at = line, *members, *member;
		gid_t gid;

		line[strcspn(line, "\n")] = 0;
		strsep(&at, ":");
		gid = (gid_t)strtoul(strsep(&at, ":"), NULL, 10);
		members = at;
		while ((member = strsep(&members, ",")) != NULL)
			if (strcmp(member, user) == 0 && n++ < room)
				gids[n - 1] = gid;
	}
	if (f)
		fclose(f);
	*count = n;
	return n > room ? -1 : n;
}

int
initgroups(const char *user, gid_t gid)
{
	int (*real)(const char *, gid_t) = dlsym(RTLD_NEXT, "initgroups");

	note("initgroups");
	return real(user, gid);
}

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
	    struct addrinfo **out)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
	    dlsym(RTLD_NEXT, "getaddrinfo");

	char address[16];

	/* An address is not asked of anybody. */
	if (node && inet_pton(AF_INET, node, address) != 1 &&
	    inet_pton(AF_INET6, node, address) != 1)
		note("getaddrinfo");
	return real(node, service, hints, out);
}
