#include "admin/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"

/* proc(5): the second number of statm, in pages. */
static uint64_t
resident(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	unsigned long long pages = 0;
	char text[128];
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return sscanf(text, "%*u %llu", &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* Since Linux 6.2 the size of the directory is the number of descriptors. Before, it is 0, and the
 * entries are counted. */
static uint64_t
count_fds(void)
{
	const char *path = "/proc/self/fd";
	uint64_t count = 0;
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	if (stat(path, &st) == 0 && st.st_size > 0)
		return (uint64_t)st.st_size;
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* that of `dir` */
}

static int64_t
in_us(struct timeval t)
{
	return t.tv_sec * UNIT_S + t.tv_usec;
}

void
process_look(struct process *p)
{
	struct rlimit limit = {0};
	struct rusage used = {0};

	getrlimit(RLIMIT_NOFILE, &limit);
	getrusage(RUSAGE_SELF, &used);
	*p = (struct process){
	    .resident = resident(),
	    .fds = count_fds(),
	    .fds_max = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur,
	    .user_us = in_us(used.ru_utime),
	    .system_us = in_us(used.ru_stime),
	};
}
