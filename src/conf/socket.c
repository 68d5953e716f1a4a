#include "conf/socket.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <grp.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "base/mem.h"
#include "conf/quote.h"

_Static_assert(SOCKET_PATH_MAX < sizeof((struct sockaddr_un *)NULL)->sun_path, "unix(7)");

char *
socket_path(const char *directory, int64_t port)
{
	size_t n = strlen(directory);

	while (n > 1 && directory[n - 1] == '/')
		n--;
	if (n == 1 && *directory == '/')
		n = 0;
	return mem_printf("%.*s/.s.PGSQL.%" PRId64, (int)n, directory, port);
}

static char *
explain_refusal(const char *text, const char *why)
{
	char *quoted = quote_text(text), *out = mem_printf("%s: %s", quoted, why);

	free(quoted);
	return out;
}

char *
socket_check_directory(const char *text)
{
	char *path;
	size_t shortest;

	if (*text != '/')
		return explain_refusal(text, "expected an absolute path");
	if (strstr(text, " #") || strstr(text, "\t#"))
		return explain_refusal(text, "a comment behind a value begins with ;");
	/* The shortest path that is possible; check_socket() of build.c checks the real one. */
	path = socket_path(text, 1);
	shortest = strlen(path);
	free(path);
	if (shortest > SOCKET_PATH_MAX)
		return mem_printf("too long: the path of the socket, LISTEN/.s.PGSQL.PORT, has %zu "
				  "bytes or more; the system's maximum is %d",
				  shortest, SOCKET_PATH_MAX);
	return NULL;
}

/* ---- metrics_listen ---- */

/* Returns the port, or 0. */
static in_port_t
read_port(const char *text)
{
	char *end;
	unsigned long port;

	if (!isdigit((unsigned char)*text))
		return 0;
	port = strtoul(text, &end, 10);
	return *end == '\0' && port <= 65535 ? (in_port_t)port : 0;
}

/* Takes ADDRESS:PORT apart, where an address of IPv6 stands in brackets. Returns the number of
 * bytes of `at` that are used, or 0. */
static socklen_t
read_address(const char *text, struct sockaddr_storage *at)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)at;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)at;
	const char *colon = strrchr(text, ':');
	char host[64];
	in_port_t port = colon ? read_port(colon + 1) : 0;
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (port == 0 || n == 0 || n >= sizeof host)
		return 0;
	memcpy(host, text, n);
	host[n] = '\0';
	if (*host == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1 ? sizeof *v6 : 0;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	return inet_pton(AF_INET, strcasecmp(host, "localhost") == 0 ? "127.0.0.1" : host,
			 &v4->sin_addr) == 1
		   ? sizeof *v4
		   : 0;
}

static bool
is_loopback(const struct sockaddr_storage *at)
{
	if (at->ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)at)->sin6_addr);
	return ntohl(((const struct sockaddr_in *)at)->sin_addr.s_addr) >> 24 == 127;
}

bool
socket_is_loopback_host(const char *host)
{
	struct sockaddr_storage at;
	char text[64];

	memset(&at, 0, sizeof at);
	return snprintf(text, sizeof text, "%s:1", host) < (int)sizeof text &&
	       read_address(text, &at) && is_loopback(&at);
}

socklen_t
socket_metrics_address(const char *text, struct sockaddr_storage *at)
{
	struct sockaddr_un *path = (struct sockaddr_un *)at;
	socklen_t bytes;

	memset(at, 0, sizeof *at);
	if (*text == '/' && strlen(text) <= SOCKET_PATH_MAX) {
		path->sun_family = AF_UNIX;
		strcpy(path->sun_path, text);
		return sizeof *path;
	}
	bytes = *text == '/' ? 0 : read_address(text, at);
	return bytes && is_loopback(at) ? bytes : 0;
}

char *
socket_check_metrics(const char *text)
{
	struct sockaddr_storage at;
	const char *expected = "expected 127.0.0.1:PORT, [::1]:PORT or the absolute path of a "
			       "socket";

	if (*text == '\0' || socket_metrics_address(text, &at))
		return NULL;
	if (*text == '/')
		return mem_printf("too long: the path of the socket has %zu bytes; the system's "
				  "maximum is %d",
				  strlen(text), SOCKET_PATH_MAX);
	if (read_address(text, memset(&at, 0, sizeof at)))
		expected = "other machines could reach this address, and nothing here asks who "
			   "they are; expected 127.0.0.1:PORT, [::1]:PORT or the absolute path of "
			   "a socket, with a web server before it that does ask";
	return explain_refusal(text, expected);
}

char *
socket_check_owner(const char *text)
{
	if (*text && getpwnam(text) == NULL)
		return explain_refusal(text,
				       "expected the name of a user; there is none of that name");
	return NULL;
}

char *
socket_check_group(const char *text)
{
	if (*text && getgrnam(text) == NULL)
		return explain_refusal(text,
				       "expected the name of a group; there is none of that name");
	return NULL;
}
