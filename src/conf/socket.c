#include "conf/socket.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
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
