#include "cli/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static void
print_to(const struct table *t, const struct table_look *look, FILE *to)
{
	if (look->format != TABLE_ALIGNED) {
		table_print(t, look, to);
		return;
	}
	for (unsigned i = 0; i < table_rows(t); i++)
		fprintf(to, "%s\n", table_cell(t, i, "line"));
}

/* Returns false, with the reason in errno. */
static bool
write_whole(const struct table *t, const struct table_look *look, int fd)
{
	FILE *to = fdopen(fd, "w");
	bool good;
	int error;

	if (to == NULL) {
		close(fd);
		return false;
	}
	print_to(t, look, to);
	good = fflush(to) == 0 && !ferror(to) && fsync(fd) == 0;
	error = errno;
	if (fclose(to) == 0 && good)
		return true;
	errno = good ? errno : error;
	return false;
}

/* The textfile collector of node_exporter reads *.prom at any time, as a user of its own. So the
 * new file has another ending as long as it is not whole, and everybody may read it, as far as the
 * umask allows. Returns false, with the reason in errno. */
static bool
replace_file(const struct table *t, const struct table_look *look, const char *path)
{
	char *beside = mem_printf("%s.XXXXXX", path);
	int fd = mkstemp(beside), error;
	mode_t mask = umask(0);
	bool good;

	umask(mask);
	good = fd >= 0 && fchmod(fd, 0666 & ~mask) == 0 && write_whole(t, look, fd) &&
	       rename(beside, path) == 0;
	error = errno;
	if (fd >= 0 && !good)
		unlink(beside);
	free(beside);
	errno = error;
	return good;
}

/* What is there and is no file, such as a device or a pipe, is written to, and stays. */
static bool
write_to_other(const struct table *t, const struct table_look *look, const char *path)
{
	FILE *to = fopen(path, "we");
	bool good;

	if (to == NULL)
		return false;
	print_to(t, look, to);
	good = fflush(to) == 0 && !ferror(to);
	return fclose(to) == 0 && good;
}

/* A symbolic link stays, too: the file that it leads to is replaced. */
static bool
replace_behind_link(const struct table *t, const struct table_look *look, const char *path)
{
	char *real = realpath(path, NULL);
	bool good = real && replace_file(t, look, real);
	int error = errno;

	free(real);
	errno = error;
	return good;
}

static enum ask_status
write_file(const struct table *t, const struct table_look *look, const char *path)
{
	struct stat st;
	bool good;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		good = write_to_other(t, look, path);
	else if (lstat(path, &st) == 0)
		good = replace_behind_link(t, look, path);
	else
		good = replace_file(t, look, path);
	if (good)
		return ASK_GOOD;
	fprintf(stderr, "pgwith: cannot write %s: %s\n", path, strerror(errno));
	return ASK_TROUBLE;
}

enum ask_status
metrics_run(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	    char **args)
{
	const char *path = how->output ? how->output : how->columns;
	enum ask_status status;
	struct table *t;

	status = ask_for(ask, entry->statement, &t);
	if (status == ASK_GOOD && path)
		status = write_file(t, &how->look, path);
	else if (status == ASK_GOOD)
		print_to(t, &how->look, stdout);
	table_free(t);
	return status;
}
