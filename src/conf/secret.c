#include "conf/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "conf/quote.h"

#define PREFIX      "file:"
#define CREDENTIALS "CREDENTIALS_DIRECTORY"

bool
secret_is_file(const char *value)
{
	return strncmp(value, PREFIX, strlen(PREFIX)) == 0;
}

/* The path of the file that a value names; NULL, with *why, if it names none. */
static char *
secret_path(const char *value, char **why)
{
	const char *name = value + strlen(PREFIX), *folder;

	while (isspace((unsigned char)*name))
		name++;
	if (*name == '/')
		return mem_strdup(name);
	if (*name == '\0' || strchr(name, '/')) {
		char *quoted = quote_text(value);

		*why = mem_printf(
		    "%s: expected file:/PATH, or file:NAME of a credential of systemd", quoted);
		free(quoted);
		return NULL;
	}
	folder = getenv(CREDENTIALS);
	if (folder == NULL || *folder != '/') {
		*why = mem_printf("%s%s is a credential of systemd, and $" CREDENTIALS
				  " is not set: expected LoadCredential=%s:... in the unit, or an "
				  "absolute path",
				  PREFIX, name, name);
		return NULL;
	}
	return mem_printf("%s/%s", folder, name);
}

/* Checks type, permissions and size of the file. Returns NULL, or what is wrong. */
static char *
check_file(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return mem_printf("cannot look at %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return mem_printf("%s is not a regular file", path);
	/* The group may read: the administrator chose it, and systemd's credentials have an ACL,
	 * whose mask shows in these bits. */
	if (st.st_mode & (S_IRWXO | S_IWGRP))
		return mem_printf("%s is open to others (mode %04o): chmod 0600 %s", path,
				  (unsigned)st.st_mode & 07777, path);
	if (st.st_size > CONF_VALUE_MAX)
		return mem_printf("%s is too long: the maximum is %d bytes", path, CONF_VALUE_MAX);
	return NULL;
}

/* Removes the blanks and line ends around the text. Returns NULL, or what is wrong with it. */
static char *
trim(char *text, size_t bytes, const char *path)
{
	size_t first = 0;

	while (first < bytes && isspace((unsigned char)text[first]))
		first++;
	while (bytes > first && isspace((unsigned char)text[bytes - 1]))
		bytes--;
	if (first == bytes)
		return mem_printf("%s is empty", path);
	if (memchr(text + first, 0, bytes - first))
		return mem_printf("%s holds a NUL byte: expected text", path);
	memmove(text, text + first, bytes - first);
	text[bytes - first] = '\0';
	return NULL;
}

static char *
read_whole(int fd, const char *path, char **why)
{
	char *text = mem_calloc(1, CONF_VALUE_MAX + 1);
	size_t bytes = 0;
	ssize_t n;

	do {
		n = read(fd, text + bytes, CONF_VALUE_MAX - bytes);
		if (n > 0)
			bytes += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	*why = n < 0 ? mem_printf("cannot read %s: %s", path, strerror(errno))
		     : trim(text, bytes, path);
	if (*why == NULL)
		return text;
	explicit_bzero(text, CONF_VALUE_MAX);
	free(text);
	return NULL;
}

char *
secret_read(const char *value, char **why)
{
	char *path = secret_path(value, why), *text = NULL;
	int fd;

	if (path == NULL)
		return NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		*why = mem_printf("cannot open %s: %s", path, strerror(errno));
	} else {
		*why = check_file(fd, path);
		if (*why == NULL)
			text = read_whole(fd, path, why);
		close(fd);
	}
	free(path);
	return text;
}

void
secret_free(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

char *
secret_shown(const char *text)
{
	return mem_strdup(*text ? "********" : "");
}
