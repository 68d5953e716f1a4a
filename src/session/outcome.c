#include "session/outcome.h"

#include <stdio.h>
#include <string.h>

#include "session/channels.h"
#include "wire/frame.h"

void
outcome_told(const struct buf *rows, struct buf *names)
{
	const uint8_t *at = buf_data(rows);
	size_t left = rows->len;
	struct frame f;

	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		/* One column: the number of columns, the length, the value. */
		if (f.body > 6) {
			buf_add(names, at + FRAME_HEADER + 6, f.body - 6);
			buf_add_u8(names, 0);
		}
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
}

void
outcome_mark(const struct listening *li, unsigned mark, char name[OUTCOME_MARK])
{
	snprintf(name, OUTCOME_MARK, "pgwith %016llx %u", (unsigned long long)li->random, mark);
}

/* Is it a mark of the session's? */
static bool
is_mark(const struct listening *li, const char *name)
{
	char begin[OUTCOME_MARK];
	int n = snprintf(begin, sizeof begin, "pgwith %016llx ", (unsigned long long)li->random);

	return li->marks > 0 && strncmp(name, begin, (size_t)n) == 0;
}

void
outcome_names(const struct listening *li, const struct buf *told, struct buf *names)
{
	struct list_node *at = NULL;
	char mark[OUTCOME_MARK];
	const char *name;

	while ((name = listener_next(&li->listener, &at)) != NULL)
		if (listener_has(&li->listener, name, strlen(name)) == LISTENER_LISTENS)
			buf_add_str(names, name);
	for (unsigned i = 0; told && i < li->ntx; i++) {
		outcome_mark(li, li->tx[i].mark, mark);
		if (names_in(told, mark))
			deed_apply(names, &li->tx[i].deed);
	}
	/* The deeds of one message: it has succeeded, or there are none here. */
	for (unsigned i = 0; i < li->deeds.count; i++)
		deed_apply(names, &li->deeds.list[i]);
}

void
outcome_keep(struct listening *li, const struct buf *names)
{
	struct list_node *at = NULL;
	struct buf gone;
	const char *name, *end;

	buf_init(&gone, NAMES_MAX);
	while ((name = listener_next(&li->listener, &at)) != NULL)
		if (!names_in(names, name))
			buf_add_str(&gone, name);
	name = (const char *)buf_data(&gone);
	for (end = name + gone.len; name < end; name += strlen(name) + 1)
		listener_drop(&li->listener, name, strlen(name));
	name = (const char *)buf_data(names);
	for (end = name + names->len; name < end; name += strlen(name) + 1)
		listener_keep(&li->listener, name, strlen(name));
	buf_clear(&gone);
}

void
outcome_do(struct listening *li)
{
	struct buf names;

	buf_init(&names, NAMES_MAX);
	outcome_names(li, NULL, &names);
	outcome_keep(li, &names);
	buf_clear(&names);
	deeds_drop(&li->deeds);
}

bool
outcome_unlisten(const struct listening *li, const struct buf *told, struct buf *sql)
{
	const char *name = (const char *)buf_data(told), *end = name + told->len;
	bool listens = false;

	for (; name < end; name += strlen(name) + 1) {
		if (!is_mark(li, name) &&
		    listener_has(&li->listener, name, strlen(name)) == LISTENER_NO) {
			listens = true;
			continue;
		}
		buf_add_fmt(sql, sql->len > 0 ? ";UNLISTEN " : "UNLISTEN ");
		keeper_add_quoted(sql, name);
	}
	if (!listens && sql->len > 0) {
		buf_reset(sql);
		buf_add_fmt(sql, "UNLISTEN *");
	}
	buf_add_u8(sql, 0);
	return listens;
}
