#include "cli/run/descendants.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static bool
has(const struct descendants *list, pid_t pid)
{
	for (unsigned i = 0; list && i < list->count; i++)
		if (list->pids[i] == pid)
			return true;
	return false;
}

/* Adds the children that one thread of a process has started. */
static void
add_children_of_thread(struct descendants *list, const char *tasks, const char *thread,
		       const struct descendants *except)
{
	char *path = mem_printf("%s/%s/children", tasks, thread);
	FILE *f = fopen(path, "re");
	long pid;

	free(path);
	if (f == NULL)
		return;
	while (fscanf(f, "%ld", &pid) == 1) {
		/* A process whose parent ends during the walk is met again as our own child. */
		if (has(except, (pid_t)pid) || has(list, (pid_t)pid))
			continue;
		list->pids = mem_realloc(list->pids, (list->count + 1) * sizeof *list->pids);
		list->pids[list->count++] = (pid_t)pid;
	}
	fclose(f);
}

/* Adds the children of a process; "self" is ours. */
static void
add_children(struct descendants *list, const char *process, const struct descendants *except)
{
	char *tasks = mem_printf("/proc/%s/task", process);
	DIR *dir = opendir(tasks);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL)
		if (*entry->d_name != '.')
			add_children_of_thread(list, tasks, entry->d_name, except);
	if (dir)
		closedir(dir);
	free(tasks);
}

struct descendants
descendants_direct(void)
{
	struct descendants list = {0};

	add_children(&list, "self", NULL);
	return list;
}

struct descendants
descendants_all(const struct descendants *except)
{
	struct descendants list = {0};
	char process[24];

	add_children(&list, "self", except);
	for (unsigned i = 0; i < list.count; i++) {
		snprintf(process, sizeof process, "%ld", (long)list.pids[i]);
		add_children(&list, process, except);
	}
	return list;
}

void
descendants_clear(struct descendants *list)
{
	free(list->pids);
	*list = (struct descendants){0};
}
