#include "session/failures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void
failures_init(struct failures *all)
{
	all->proved = all->wrong = 0;
	list_init(&all->rows);
}

static void
drop(struct failures *all, struct failure *f)
{
	list_remove(&all->rows, &f->node);
	free(f->role);
	free(f);
}

void
failures_clear(struct failures *all)
{
	struct list_node *n;

	while ((n = list_first(&all->rows)) != NULL)
		drop(all, LIST_OBJ(n, struct failure, node));
}

/* Takes the row of that user and role out of the list, or makes one, and puts it at the end. */
static struct failure *
last_row(struct failures *all, uid_t uid, const char *role)
{
	struct list_node *n;
	struct failure *f;

	LIST_EACH (n, &all->rows) {
		f = LIST_OBJ(n, struct failure, node);
		if (f->uid == uid && strcmp(f->role, role) == 0) {
			list_remove(&all->rows, n);
			list_append(&all->rows, n);
			return f;
		}
	}
	if (all->rows.count == FAILURES_MAX)
		drop(all, LIST_OBJ(list_first(&all->rows), struct failure, node));
	f = mem_calloc(1, sizeof *f);
	f->uid = uid;
	f->role = mem_strdup(role);
	list_append(&all->rows, &f->node);
	return f;
}

void
failures_add(struct failures *all, uid_t uid, const char *role, pid_t pid, const char *program,
	     int64_t at)
{
	struct failure *f = last_row(all, uid, role);

	all->wrong++;
	f->count++;
	f->at = at;
	f->pid = pid;
	snprintf(f->program, sizeof f->program, "%s", program ? program : "");
}

static void
failure_pack(struct pack *p, struct failure *f)
{
	PACK(p, f->uid);
	pack_str(p, &f->role);
	PACK(p, f->count);
	PACK(p, f->at);
	PACK(p, f->pid);
	PACK(p, f->program);
}

void
failures_pack(struct pack *p, struct failures *all)
{
	uint32_t count = all->rows.count;
	struct list_node *n;

	PACK(p, all->proved);
	PACK(p, all->wrong);
	PACK(p, count);
	if (!pack_reading(p)) {
		LIST_EACH (n, &all->rows)
			failure_pack(p, LIST_OBJ(n, struct failure, node));
		return;
	}
	failures_clear(all);
	for (uint32_t i = 0; i < count && i < FAILURES_MAX && !p->failed; i++) {
		struct failure *f = mem_calloc(1, sizeof *f);

		failure_pack(p, f);
		f->program[sizeof f->program - 1] = 0;
		if (f->role == NULL)
			f->role = mem_strdup("");
		list_append(&all->rows, &f->node);
	}
}
