#include "pool/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define HOSTS_MAX  64        /* hosts of one conninfo */
#define PASSWD_MAX (1 << 20) /* bytes of an entry of passwd */
#define LIST_MAX   32768     /* bytes of a host list after resolving */

struct conninfo {
	/* as in the text, with the defaults of service file and environment */
	PQconninfoOption *options;
	char *host[HOSTS_MAX];
	char *hostaddr[HOSTS_MAX]; /* "" if it must be looked up */
	char *port[HOSTS_MAX];
	unsigned hosts;
	bool names;
	char *user;     /* replaces the option of that name, or NULL */
	char *password; /* replaces the option of that name, or NULL */
};

/* Cuts a list at its commas into at most HOSTS_MAX copies. Returns how many there are. */
static unsigned
split_list(const char *list, char **parts)
{
	unsigned n = 0;

	for (;;) {
		size_t len = strcspn(list, ",");

		if (n < HOSTS_MAX)
			parts[n] = mem_strndup(list, len);
		n++;
		if (list[len] == 0)
			return n;
		list += len + 1;
	}
}

static bool
is_host_name(const char *host)
{
	struct in6_addr any;
	char addr[128];
	size_t len;

	/* No name to look up: "" is the default socket directory, '/...' a directory, '@...' an
	 * abstract socket. */
	if (*host == 0 || *host == '/' || *host == '@')
		return false;
	len = strcspn(host, "%"); /* fe80::1%eth0 */
	if (len >= sizeof addr)
		return true;
	memcpy(addr, host, len);
	addr[len] = 0;
	return inet_pton(AF_INET, addr, &any) != 1 && inet_pton(AF_INET6, addr, &any) != 1;
}

const char *
conninfo_get(const struct conninfo *ci, const char *keyword)
{
	if (ci->user && strcmp(keyword, "user") == 0)
		return ci->user;
	for (PQconninfoOption *o = ci->options; o->keyword; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val && *o->val ? o->val : NULL;
	return NULL;
}

/* All options of a conninfo, with the service file and the environment applied. PQconninfo() of a
 * connection that cannot come about has them: libpq has no other public way to its defaults. "x" is
 * no value of gssencmode (which we set ourselves in any case), so libpq stops before it opens a
 * socket; if it stops for another reason, `why` has that. */
static PQconninfoOption *
expand(const char *text, char *why, size_t why_size)
{
	const char *keywords[] = {"dbname", "gssencmode", NULL};
	const char *values[] = {text, "x", NULL};
	PQconninfoOption *options;
	PGconn *conn = PQconnectStartParams(keywords, values, 1);

	*why = 0;
	options = conn ? PQconninfo(conn) : NULL;
	if (options == NULL) {
		snprintf(why, why_size, "libpq cannot read it");
	} else if (strstr(PQerrorMessage(conn), "gssencmode") == NULL) {
		const char *error = PQerrorMessage(conn);

		snprintf(why, why_size, "%.*s", (int)strcspn(error, "\n"), error);
	}
	PQfinish(conn);
	return options;
}

static int
find_hosts(struct conninfo *ci, char *why, size_t why_size)
{
	const char *host = conninfo_get(ci, "host"), *port = conninfo_get(ci, "port");
	const char *hostaddr = conninfo_get(ci, "hostaddr");
	char *ports[HOSTS_MAX];
	unsigned hosts = 0, addrs = 0, nports;

	if (host)
		hosts = split_list(host, ci->host);
	if (hostaddr)
		addrs = split_list(hostaddr, ci->hostaddr);
	ci->hosts = hosts > addrs ? hosts : addrs;
	if (ci->hosts == 0) {
		ci->host[0] = mem_strdup("");
		ci->hosts = hosts = 1;
	}
	nports = split_list(port ? port : "", ports);
	if (ci->hosts <= HOSTS_MAX && nports <= HOSTS_MAX) {
		for (unsigned i = 0; i < ci->hosts; i++) {
			if (i >= hosts)
				ci->host[i] = mem_strdup("");
			if (i >= addrs)
				ci->hostaddr[i] = mem_strdup("");
			ci->port[i] = mem_strdup(nports > 1 && i < nports ? ports[i] : ports[0]);
			if (*ci->hostaddr[i] == 0 && is_host_name(ci->host[i]))
				ci->names = true;
		}
	}
	for (unsigned i = 0; i < nports && i < HOSTS_MAX; i++)
		free(ports[i]);
	if (ci->hosts > HOSTS_MAX || nports > HOSTS_MAX) {
		snprintf(why, why_size, "more than %d hosts", HOSTS_MAX);
		ci->hosts = HOSTS_MAX;
		return -E_TOOBIG;
	}
	if ((hosts && addrs && hosts != addrs) || (nports > 1 && nports != ci->hosts)) {
		snprintf(why, why_size,
			 "%u host names, %u host addresses and %u ports do not match", hosts, addrs,
			 nports);
		return -E_SYNTAX;
	}
	return 0;
}

struct conninfo *
conninfo_new(const char *text, char *why, size_t why_size)
{
	struct conninfo *ci = mem_calloc(1, sizeof *ci);
	PQconninfoOption *given;
	char *error = NULL, reason[256];
	int r = -E_SYNTAX;

	given = PQconninfoParse(text, &error);
	if (given == NULL) {
		snprintf(why, why_size, "%.*s", error ? (int)strcspn(error, "\n") : 0,
			 error ? error : "");
		PQfreemem(error);
		free(ci);
		return NULL;
	}
	PQconninfoFree(given);
	ci->options = expand(text, reason, sizeof reason);
	if (ci->options)
		r = find_hosts(ci, why, why_size);
	if (r == 0 && conninfo_get(ci, "requirepeer"))
		ci->names = true;
	if (ci->options == NULL || (r == 0 && *reason)) {
		snprintf(why, why_size, "%s", reason);
		r = -E_SYNTAX;
	}
	if (r < 0) {
		conninfo_free(ci);
		return NULL;
	}
	return ci;
}

void
conninfo_free(struct conninfo *ci)
{
	if (ci == NULL)
		return;
	for (unsigned i = 0; i < HOSTS_MAX; i++) {
		free(ci->host[i]);
		free(ci->hostaddr[i]);
		free(ci->port[i]);
	}
	PQconninfoFree(ci->options);
	free(ci->user);
	if (ci->password)
		explicit_bzero(ci->password, strlen(ci->password));
	free(ci->password);
	free(ci);
}

void
conninfo_set_user(struct conninfo *ci, const char *user)
{
	free(ci->user);
	ci->user = mem_strdup(user);
}

void
conninfo_set_password(struct conninfo *ci, const char *password)
{
	ci->password = mem_strdup(password);
}

static const char *
or_empty(const char *s)
{
	return s ? s : "";
}

bool
conninfo_same(const struct conninfo *a, const struct conninfo *b)
{
	if (strcmp(or_empty(a->user), or_empty(b->user)) != 0 ||
	    strcmp(or_empty(a->password), or_empty(b->password)) != 0)
		return false;
	/* The keywords are libpq's own, so both lists have the same order. */
	for (unsigned i = 0; a->options[i].keyword; i++)
		if (strcmp(or_empty(a->options[i].val), or_empty(b->options[i].val)) != 0)
			return false;
	return true;
}

bool
conninfo_has_names(const struct conninfo *ci)
{
	return ci->names;
}

char **
conninfo_environment(const struct conninfo *ci, const char *pool)
{
	static const struct {
		const char *variable, *keyword;
	} names[] = {
	    {"PGHOST", "host"}, {"PGPORT", "port"}, {"PGDATABASE", "dbname"}, {"PGUSER", "user"}};
	unsigned count = sizeof names / sizeof *names, n = 0;
	char **list = mem_calloc(count + 2, sizeof *list);

	list[n++] = mem_printf("PGWITH_POOL=%s", pool);
	for (unsigned i = 0; i < count; i++) {
		const char *value = conninfo_get(ci, names[i].keyword);

		if (value)
			list[n++] = mem_printf("%s=%s", names[i].variable, value);
	}
	return list;
}

void
conninfo_free_environment(char **list)
{
	for (char **at = list; *at; at++)
		free(*at);
	free(list);
}

static void
add_param(struct conninfo_params *p, const char *keyword, const char *value)
{
	p->keywords = mem_realloc(p->keywords, (p->count + 2) * sizeof *p->keywords);
	p->values = mem_realloc(p->values, (p->count + 2) * sizeof *p->values);
	p->keywords[p->count] = mem_strdup(keyword);
	p->values[p->count] = mem_strdup(value);
	p->count++;
	p->keywords[p->count] = NULL;
	p->values[p->count] = NULL;
}

void
conninfo_params_add(struct conninfo_params *p, const char *keyword, const char *value)
{
	add_param(p, keyword, value);
}

struct lists {
	struct buf host, addr, port;
	unsigned count;
};

static void
add_host(struct lists *l, const char *host, const char *addr, const char *port)
{
	const char *comma = l->count++ ? "," : "";

	buf_add_fmt(&l->host, "%s%s", comma, host);
	buf_add_fmt(&l->addr, "%s%s", comma, addr);
	buf_add_fmt(&l->port, "%s%s", comma, port);
}

/* Adds all addresses of the name. If it has none, `why` says so. */
static void
look_up(struct lists *l, const char *host, const char *port, char *why, size_t why_size)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
	char addr[NI_MAXHOST];
	int r;

	r = getaddrinfo(host, NULL, &hints, &list);
	if (r != 0) {
		snprintf(why, why_size, "could not translate host name \"%s\" to address: %s", host,
			 gai_strerror(r));
		return;
	}
	for (struct addrinfo *a = list; a; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, addr, sizeof addr, NULL, 0,
				NI_NUMERICHOST) != 0)
			continue;
		add_host(l, host, addr, port);
	}
	freeaddrinfo(list);
}

/* Looks up the user of requirepeer. Returns 0, or -E_IO with a reason if the system cannot tell. */
static int
look_up_peer(const struct conninfo *ci, struct conninfo_params *p, char *why, size_t why_size)
{
	const char *peer = conninfo_get(ci, "requirepeer");
	struct passwd pw, *found = NULL;
	size_t bytes = 4096;
	char *buf = NULL;
	int e;

	do {
		buf = mem_realloc(buf, bytes);
		e = getpwnam_r(peer, &pw, buf, bytes, &found);
		bytes *= 2;
	} while ((e == ERANGE && bytes <= PASSWD_MAX) || e == EINTR);
	p->peer = mem_strdup(peer);
	p->peer_uid = e == 0 && found ? pw.pw_uid : (uid_t)-1;
	free(buf);
	/* The errors that getpwnam(3) lists for "no such user". */
	if (e == 0 || e == ENOENT || e == ESRCH || e == EBADF || e == EPERM)
		return 0;
	snprintf(why, why_size, "requirepeer: cannot look up user \"%s\": %s", peer, strerror(e));
	return -E_IO;
}

int
conninfo_params_check_peer(const struct conninfo_params *p, int fd, char *why, size_t why_size)
{
	struct sockaddr_storage a;
	socklen_t bytes = sizeof a;
	struct ucred cred;

	if (p->peer == NULL || getpeername(fd, (struct sockaddr *)&a, &bytes) < 0 ||
	    a.ss_family != AF_UNIX)
		return 0;
	bytes = sizeof cred;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0) {
		snprintf(why, why_size, "requirepeer: cannot tell who the server runs as: %s",
			 strerror(errno));
		return -E_STATE;
	}
	if (p->peer_uid != (uid_t)-1 && cred.uid == p->peer_uid)
		return 0;
	snprintf(why, why_size, "requirepeer specifies \"%s\", but the server runs as uid %u",
		 p->peer, (unsigned)cred.uid);
	return -E_STATE;
}

int
conninfo_resolve(const struct conninfo *ci, struct conninfo_params *p, char *why, size_t why_size)
{
	static const char *const ours[] = {
	    "host", "hostaddr", "port", "gssencmode", "fallback_application_name", "requirepeer"};
	struct lists l;
	bool failed;

	memset(p, 0, sizeof *p);
	buf_init(&l.host, LIST_MAX);
	buf_init(&l.addr, LIST_MAX);
	buf_init(&l.port, LIST_MAX);
	l.count = 0;
	for (unsigned i = 0; i < ci->hosts; i++) {
		if (*ci->hostaddr[i] == 0 && is_host_name(ci->host[i])) {
			look_up(&l, ci->host[i], ci->port[i], why, why_size);
		} else {
			add_host(&l, ci->host[i], ci->hostaddr[i], ci->port[i]);
		}
	}
	buf_add_u8(&l.host, 0);
	buf_add_u8(&l.addr, 0);
	buf_add_u8(&l.port, 0);
	failed = l.host.failed || l.addr.failed || l.port.failed;
	if (failed)
		snprintf(why, why_size, "too many host addresses");
	else if (conninfo_get(ci, "requirepeer"))
		failed = look_up_peer(ci, p, why, why_size) < 0;
	if (l.count > 0 && !failed) {
		for (PQconninfoOption *o = ci->options; o->keyword; o++) {
			bool own = false;

			for (unsigned i = 0; i < sizeof ours / sizeof *ours; i++)
				own |= strcmp(o->keyword, ours[i]) == 0;
			own |= ci->user && strcmp(o->keyword, "user") == 0;
			own |= ci->password && strcmp(o->keyword, "password") == 0;
			if (!own && o->val && *o->val)
				add_param(p, o->keyword, o->val);
		}
		add_param(p, "host", (char *)buf_data(&l.host));
		add_param(p, "hostaddr", (char *)buf_data(&l.addr));
		add_param(p, "port", (char *)buf_data(&l.port));
		/* GSS encryption would happen inside libpq, out of reach of a relay of raw
		 * bytes. */
		if (ci->user)
			add_param(p, "user", ci->user);
		if (ci->password)
			add_param(p, "password", ci->password);
		add_param(p, "gssencmode", "disable");
		add_param(p, "fallback_application_name", "pgwith");
	}
	buf_clear(&l.host);
	buf_clear(&l.addr);
	buf_clear(&l.port);
	return l.count > 0 && !failed ? 0 : -E_NOTFOUND;
}

void
conninfo_params_clear(struct conninfo_params *p)
{
	for (unsigned i = 0; i < p->count; i++) {
		if (strcmp(p->keywords[i], "password") == 0)
			explicit_bzero(p->values[i], strlen(p->values[i]));
		free(p->keywords[i]);
		free(p->values[i]);
	}
	free(p->keywords);
	free(p->values);
	free(p->peer);
	memset(p, 0, sizeof *p);
}

static char **
value_of(const struct conninfo_params *p, const char *keyword)
{
	for (unsigned i = 0; i < p->count; i++)
		if (strcmp(p->keywords[i], keyword) == 0)
			return &p->values[i];
	return NULL;
}

/* A port or address that the conninfo does not have was chosen by libpq. */
static bool
matches(const char *given, const char *now)
{
	return *given == 0 || strcmp(given, now) == 0;
}

int
conninfo_params_drop(struct conninfo_params *p, const char *host, const char *hostaddr,
		     const char *port)
{
	static const char *const keywords[] = {"host", "hostaddr", "port"};
	char **lists[3], *parts[3][HOSTS_MAX];
	unsigned n[3], at = 0;
	struct buf list;

	for (int k = 0; k < 3; k++) {
		lists[k] = value_of(p, keywords[k]);
		n[k] = lists[k] ? split_list(*lists[k], parts[k]) : 0;
	}
	if (n[0] <= HOSTS_MAX && n[0] == n[1] && n[0] == n[2])
		while (at < n[0] &&
		       !(strcmp(*parts[0][at] ? parts[0][at] : parts[1][at], host) == 0 &&
			 matches(parts[1][at], hostaddr) && matches(parts[2][at], port)))
			at++;
	else
		at = n[0];
	for (int k = 0; k < 3; k++) {
		buf_init(&list, LIST_MAX);
		for (unsigned i = 1; i < n[k] && at < n[0]; i++)
			buf_add_fmt(&list, "%s%s", i > 1 ? "," : "", parts[k][(at + i) % n[k]]);
		buf_add_u8(&list, 0);
		if (at < n[0] && n[0] > 1) {
			free(*lists[k]);
			*lists[k] = mem_strdup((char *)buf_data(&list));
		}
		buf_clear(&list);
		for (unsigned i = 0; i < n[k] && i < HOSTS_MAX; i++)
			free(parts[k][i]);
	}
	return at < n[0] && n[0] > 1 ? 0 : -E_NOTFOUND;
}

static bool
is_sqlstate(const char *text)
{
	return strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") >= 5 && text[5] == ':' &&
	       text[6] == ' ';
}

void
conninfo_cut_sqlstate(char *line, char sqlstate[6])
{
	char *at = line;

	*sqlstate = 0;
	/* The line is SEVERITY: SQLSTATE: MESSAGE, and the severity is in the server's language. */
	while ((at = strstr(at, ":  ")) != NULL) {
		at += 3;
		if (!is_sqlstate(at))
			continue;
		memcpy(sqlstate, at, 5);
		sqlstate[5] = 0;
		memmove(at, at + 7, strlen(at + 7) + 1);
		return;
	}
}
