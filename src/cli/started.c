#include "cli/started.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/asuser.h"

#define READ_MAX (1 << 20) /* bytes of a file of /proc */

/* A file of the process, with a NUL behind its end; NULL if it cannot be read. */
static char *
read_proc(pid_t pid, const char *name, size_t *bytes)
{
	char *path = mem_printf("/proc/%d/%s", (int)pid, name), *text = mem_calloc(1, READ_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	*bytes = 0;
	free(path);
	while (fd >= 0 && *bytes < READ_MAX && (n = read(fd, text + *bytes, READ_MAX - *bytes)) > 0)
		*bytes += (size_t)n;
	if (fd >= 0)
		close(fd);
	if (*bytes > 0)
		return text;
	free(text);
	return NULL;
}

/* The strings of such a file. */
static char **
split(char *text, size_t bytes, int *count)
{
	char **list = mem_calloc(1, sizeof *list);

	*count = 0;
	for (char *at = text; at < text + bytes; at += strlen(at) + 1) {
		list = mem_realloc(list, ((size_t)*count + 2) * sizeof *list);
		list[(*count)++] = at;
		list[*count] = NULL;
	}
	return list;
}

static bool
is_pgwithd(const char *word)
{
	const char *slash = strrchr(word, '/');

	return strcmp(slash ? slash + 1 : word, "pgwithd") == 0;
}

static const char *
variable(char *const *list, const char *name)
{
	size_t n = strlen(name);

	for (; list && *list; list++)
		if (strncmp(*list, name, n) == 0 && (*list)[n] == '=')
			return *list + n + 1;
	return NULL;
}

/* Reads the command line of the process. False if that is no pgwithd, or cannot be read. */
static bool
take_cmdline(struct started *s, pid_t pid)
{
	size_t bytes;
	int count;

	s->arguments = read_proc(pid, "cmdline", &bytes);
	if (s->arguments == NULL)
		return false;
	s->words = split(s->arguments, bytes, &count);
	if (count == 0 || !is_pgwithd(s->words[0]))
		return false;
	cmdline_read(&s->cmdline, count, s->words, false);
	cmdline_input(&s->cmdline, variable(s->variables, "PGWITH_CONFIG"), &s->input);
	if (s->input.path && *s->input.path != '/') {
		s->path = mem_printf("/proc/%d/cwd/%s", (int)pid, s->input.path);
		s->input.path = s->path;
	}
	return true;
}

void
started_find(struct started *s, const struct commands_how *how)
{
	struct ucred cred = {0};
	size_t bytes;
	int count;

	*s = (struct started){.input = {.path = conf_path(how->config)}};
	if (ask_listener(&how->whom, &cred) != 0 || cred.pid == 0 ||
	    asuser_is_stranger(cred.uid, how->whom.directory, s->input.path))
		return;
	s->environment = read_proc(cred.pid, "environ", &bytes);
	if (s->environment)
		s->variables = split(s->environment, s->environment_bytes = bytes, &count);
	if (how->config == NULL && !take_cmdline(s, cred.pid))
		s->input = (struct conf_input){.path = conf_path(NULL)};
	s->input.environment = s->variables;
}

void
started_clear(struct started *s)
{
	cmdline_clear(&s->cmdline);
	if (s->environment)
		explicit_bzero(s->environment, s->environment_bytes);
	free(s->environment);
	free(s->arguments);
	free(s->words);
	free(s->variables);
	free(s->path);
	*s = (struct started){.words = NULL};
}
