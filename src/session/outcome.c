#include "session/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/channels.h"
#include "wire/frame.h"
#include "wire/reader.h"
#include "wire/sqltext.h"

/* The deed with this number, of those of the message and of the transaction; or NULL. */
static struct deed *
deed_at(const struct listening *li, unsigned number)
{
	if (number < li->deeds.count)
		return &li->deeds.list[number];
	number -= li->deeds.count;
	return number < li->ntx ? &li->tx[number].deed : NULL;
}

void
outcome_question(const struct listening *li, struct buf *sql)
{
	const struct deed *d;

	buf_add_fmt(sql, "SELECT pg_catalog.pg_listening_channels()");
	for (unsigned i = 0; (d = deed_at(li, i)) != NULL; i++) {
		if (d->spelled == NULL)
			continue;
		buf_add_fmt(sql,
			    "; SELECT %u, pg_catalog.encode(pg_catalog.convert_to(k, "
			    "pg_catalog.getdatabaseencoding()), 'hex') FROM (SELECT 1 AS ",
			    i);
		buf_add(sql, d->spelled, strlen(d->spelled));
		buf_add_fmt(
		    sql, "\n) AS q, pg_catalog.json_object_keys(pg_catalog.row_to_json(q)) AS k");
	}
	buf_add_u8(sql, 0);
}

/* A row with the number of a deed and its name, as hexadecimal digits. */
static void
take_spelled(struct listening *li, const uint8_t *body, size_t bytes)
{
	struct reader r;
	const char *number, *hex;
	uint32_t digits;
	struct deed *d;

	reader_init(&r, body, bytes);
	reader_u16(&r);
	digits = reader_u32(&r);
	number = (const char *)reader_bytes(&r, digits);
	digits = reader_u32(&r);
	hex = (const char *)reader_bytes(&r, digits);
	if (r.failed || hex == NULL || number == NULL || digits / 2 > KEEPER_NAME)
		return;
	d = deed_at(li, (unsigned)strtoul(number, NULL, 10));
	if (d == NULL || d->spelled == NULL)
		return;
	for (uint32_t i = 0; i < digits / 2; i++)
		d->name[i] = (char)(sqltext_digit(hex[2 * i]) << 4 | sqltext_digit(hex[2 * i + 1]));
	d->name[digits / 2] = 0;
	free(d->spelled);
	d->spelled = NULL;
}

void
outcome_told(struct listening *li, const struct buf *rows, struct deed_names *names)
{
	const uint8_t *at = buf_data(rows);
	size_t left = rows->len;
	char name[KEEPER_NAME + 1];
	struct frame f;

	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		const uint8_t *body = at + FRAME_HEADER;

		if (f.body > 2 && body[1] == 2) {
			take_spelled(li, body, f.body);
		} else if (f.body > 6 && f.body - 6 <= KEEPER_NAME) {
			/* One column: the number of columns, the length, the value. */
			memcpy(name, body + 6, f.body - 6);
			name[f.body - 6] = 0;
			deed_names_add(names, name);
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
outcome_names(const struct listening *li, const struct deed_names *told, struct deed_names *names)
{
	bool all = li->listener.listens == li->listener.channels.count;
	struct list_node *at = NULL;
	char mark[OUTCOME_MARK];
	const char *name;

	while ((name = listener_next(&li->listener, &at)) != NULL)
		if (all || listener_has(&li->listener, name, strlen(name)) == LISTENER_LISTENS)
			deed_names_add(names, name);
	for (unsigned i = 0; told && i < li->ntx; i++) {
		outcome_mark(li, li->tx[i].mark, mark);
		if (deed_names_has(told, mark))
			deed_apply(names, &li->tx[i].deed);
	}
	/* The deeds of one message: it has succeeded, or there are none here. */
	for (unsigned i = 0; i < li->deeds.count; i++) {
		const struct deed *d = &li->deeds.list[i];

		if (told == NULL || d->what != LISTEN || deed_names_has(told, d->name))
			deed_apply(names, d);
	}
}

void
outcome_keep(struct listening *li, const struct deed_names *names)
{
	bool tried = li->listener.listens < li->listener.channels.count;
	struct list_node *at = NULL;
	struct deed_names gone;
	struct hash_node *n;
	const char *name;

	/* A channel that is dropped leaves the walk, so those are dropped behind it. */
	deed_names_init(&gone);
	while ((name = listener_next(&li->listener, &at)) != NULL) {
		if (!deed_names_has(names, name))
			deed_names_add(&gone, name);
		else if (tried)
			listener_keep(&li->listener, name, strlen(name));
	}
	for (size_t i = 0; i < hash_chains(&gone.hash); i++)
		for (n = hash_chain(&gone.hash, i); n; n = n->next) {
			name = HASH_OBJ(n, struct deed_name, node)->name;
			listener_drop(&li->listener, name, strlen(name));
		}
	deed_names_clear(&gone);
}

void
outcome_do(struct listening *li)
{
	struct deed_names names;

	deed_names_init(&names);
	outcome_names(li, NULL, &names);
	outcome_keep(li, &names);
	deed_names_clear(&names);
	deeds_drop(&li->deeds);
}

bool
outcome_unlisten(const struct listening *li, const struct deed_names *told, struct buf *sql)
{
	struct deed_names keepers;
	struct list_node *at = NULL;
	struct hash_node *n;
	const char *name;
	bool listens = false;

	deed_names_init(&keepers);
	while ((name = listener_next(&li->listener, &at)) != NULL)
		deed_names_add(&keepers, name);
	for (size_t i = 0; i < hash_chains(&told->hash); i++)
		for (n = hash_chain(&told->hash, i); n; n = n->next) {
			name = HASH_OBJ(n, struct deed_name, node)->name;
			if (!is_mark(li, name) && !deed_names_has(&keepers, name)) {
				listens = true;
				continue;
			}
			buf_add_fmt(sql, sql->len > 0 ? ";UNLISTEN " : "UNLISTEN ");
			keeper_add_quoted(sql, name);
		}
	deed_names_clear(&keepers);
	if (!listens && sql->len > 0) {
		buf_reset(sql);
		buf_add_fmt(sql, "UNLISTEN *");
	}
	buf_add_u8(sql, 0);
	return listens;
}

bool
outcome_is_missing(const struct listening *li, const struct deed_names *told)
{
	for (unsigned i = 0; i < li->ntx; i++) {
		const struct deed *d = &li->tx[i].deed;

		if (d->what == LISTEN && deed_names_has(told, d->name) &&
		    listener_has(&li->listener, d->name, strlen(d->name)) == LISTENER_NO)
			return true;
	}
	return false;
}
