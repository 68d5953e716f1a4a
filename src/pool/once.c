#include "pool/once.h"

#include <string.h>

#include "pool/prepared_inside.h"
#include "wire/sqlcolumn.h"
#include "wire/sqlonce.h"

/* How often a text is prepared in vain, before only one Parse in VAIN_STEP of it is. */
#define VAIN_MAX  32
#define VAIN_STEP 32
#define ADMITTED  8 /* has_room() */
#define LATEST    4 /* statements that were used last, and are looked at there */

/* ---- texts that have come ---- */

/* The lower bits of statements.seen: SQLONCE_... of the text, if SEEN_READ is set. To read a text
 * takes longer than all else here, and many come again that are never prepared. */
enum { SEEN_READ = 64, SEEN_BITS = 127 };
_Static_assert((int)SQLONCE_COLUMNS < (int)SEEN_READ, "the bits of sqlonce() fit");

/* Of a Parse's body without its name: the text, then the number of types and the types. */
static unsigned
read_text(const uint8_t *body, size_t bytes)
{
	size_t length = strnlen((const char *)body, bytes);
	const uint8_t *types = body + length + 1;

	return sqlonce((const char *)body, length, types + 2, (unsigned)(types[0] << 8 | types[1]));
}

static bool
is_allowed(const struct once *o, unsigned is)
{
	return !(is & SQLONCE_NEVER) && (o->infers || !(is & (SQLONCE_INFERS | SQLONCE_CHOOSES)));
}

/* Where nothing can be done again, may the columns of the result have changed? */
static bool
is_safe_here(const struct once *o, unsigned is)
{
	return o->redo || !(is & SQLONCE_ROWS) || (o->infers && !(is & SQLONCE_GROWS));
}

/* Where the hash of a text stands that no statement has, or is to stand. */
static uint64_t *
seen_of(const struct once *o, struct statements *all)
{
	return &all->seen[((o->hash ^ o->place) >> 8) & (STATEMENTS_SEEN - 1)];
}

static bool
hash_has_come(const struct once *o, struct statements *all)
{
	uint64_t mark = (o->hash ^ o->place) & ~(uint64_t)SEEN_BITS, *seen = seen_of(o, all);

	if ((*seen & ~(uint64_t)SEEN_BITS) == mark)
		return true;
	*seen = mark;
	return false;
}

/* The text has come before, and no statement has it. */
static enum once_verdict
judge_hash(struct once *o, struct statements *all)
{
	uint64_t *seen = seen_of(o, all);
	unsigned is;

	if (!(*seen & SEEN_READ))
		*seen |= SEEN_READ | read_text(o->body + 1, o->bytes - 1);
	is = (unsigned)*seen & (SEEN_READ - 1);
	if (!is_allowed(o, is))
		return ONCE_NEVER;
	return is_safe_here(o, is) ? ONCE_PREPARE : ONCE_PASS;
}

/* ---- statements ---- */

static struct prepared *
find_number(const struct prepared_set *set, uint64_t number)
{
	struct list_node *n = list_last(&set->recent);

	/* Mostly it is the one that was used last. */
	if (n && LIST_OBJ(n, struct prepared, recent)->number == number)
		return LIST_OBJ(n, struct prepared, recent);
	return prepared_by_number(set, number);
}

/* The server's statement of the text, if it may be used for a Parse now. */
static struct prepared *
find_fresh(struct once *o, const struct prepared_set *set)
{
	const struct analysis *a = o->text->latest;
	struct prepared *pre = a && a->place == o->place ? prepared_find(set, a) : NULL;

	o->replaces = pre != NULL;
	if (pre == NULL || pre->under_way > 0 || (pre->unwritten && !o->infers) ||
	    pre->made <= set->all->defined || pre->made <= o->defined || pre->made_us == 0 ||
	    o->now_us - pre->made_us > o->age_us)
		return NULL;
	return pre;
}

void
once_refused(struct prepared_set *set, const char *sqlstate)
{
	set->tracked.passes = strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "08", 2) == 0;
	if (set->tracked.passes)
		set->tracked.refused = 0;
}

/* Has the server said that each t.name in the text is a column? */
static bool
names_are_columns(struct prepared *pre)
{
	const struct text *t = pre->analysis->text;
	uint64_t told;

	if (!pre->columns)
		pre->columns =
		    sqlcolumn((const char *)t->data, strlen((const char *)t->data), &told) &&
		    (told & ~pre->of_tables) == 0;
	return pre->columns;
}

/* Is there room for another statement on the server? Messages of one that is being prepared are not
 * answered yet: so many texts that come in one go are not all prepared at once. If another has to
 * be closed, only one text in ADMITTED is prepared: where more texts come again and again than a
 * server may keep, most of those that it has stay, and are of use. */
static bool
has_room(const struct once *o, struct prepared_set *set)
{
	struct list_node *n = set->recent.head.prev;

	for (unsigned i = 0; i < LATEST && n != &set->recent.head; i++, n = n->prev)
		if (LIST_OBJ(n, struct prepared, recent)->under_way > 0)
			return false;
	return o->replaces || set->recent.count < o->server_max ||
	       ++set->asked_for_room % ADMITTED == 0;
}

/* May the text be prepared, which is not there? */
static enum once_verdict
judge_preparing(struct once *o, struct prepared_set *set)
{
	struct text *t = o->text;

	if (t) {
		t->vain += t->vain < UINT16_MAX;
		if (t->vain >= VAIN_MAX && t->vain % VAIN_STEP != 0)
			return ONCE_PASS;
	}
	return has_room(o, set) ? ONCE_PREPARE : ONCE_PASS;
}

bool
once_has_come(struct once *o, struct prepared_set *set)
{
	bool again = set->tracked.refused != 0;

	if (set->tracked.passes) {
		set->tracked.passes = false;
		return false;
	}
	prepared_retire_refused(set);
	o->hash = text_hash(o->of_body, o->context);
	o->text = text_find_hashed(set->all, o->body + 1, o->bytes - 1, o->context, o->hash);
	if (o->text == NULL && !hash_has_come(o, set->all))
		return false;
	o->seen = o->text == NULL || !again;
	return true;
}

enum once_verdict
once_judge(struct once *o, struct prepared_set *set)
{
	struct text *t = o->text;

	if (t == NULL) {
		enum once_verdict v = judge_hash(o, set->all);

		return v == ONCE_PREPARE ? judge_preparing(o, set) : v;
	}
	t->inert |= o->inert;
	if (!t->judged) {
		t->once = (uint8_t)read_text(t->data, t->body_bytes);
		t->judged = true;
	}
	if (!is_allowed(o, t->once))
		return ONCE_NEVER;
	if (!is_safe_here(o, t->once))
		return ONCE_PASS;
	o->statement = find_fresh(o, set);
	if (o->statement == NULL)
		return judge_preparing(o, set);
	if ((t->once & SQLONCE_COLUMNS) && !o->infers && !names_are_columns(o->statement)) {
		t->once |= SQLONCE_CHOOSES;
		return ONCE_NEVER;
	}
	return ONCE_SERVE;
}

unsigned
once_parameters(const struct once *o)
{
	return o->statement->analysis->description->ntypes;
}

bool
once_has_result(const struct once *o)
{
	/* description_take(): NoData leaves no hash. */
	return o->statement->analysis->description->columns != 0;
}

/* For unnamed_stand_in(). */
static const uint8_t *
new_body(const struct once *o)
{
	return o->same ? NULL : o->body;
}

/* What has to be done whenever a statement is used for a Parse. Returns flags of
 * progress_sent_as(). */
static unsigned
begin_serving(struct once *o, struct prepared_set *set, struct progress *p, struct buf *out)
{
	prepared_touch(set, o->statement);
	prepared_close_retired(set, p, out);
	o->text->vain = 0;
	if (!o->redo)
		return PROGRESS_STANDS_IN;
	buf_reset(&set->again);
	return PROGRESS_STANDS_IN | PROGRESS_REDO;
}

void
once_serve(struct once *o, struct unnamed *u, struct prepared_set *set, struct progress *p,
	   struct buf *out)
{
	struct prepared *pre = o->statement;
	unsigned flags = begin_serving(o, set, p, out);

	prepared_add_describe(prepared_server_name(pre), out);
	unnamed_stand_in(u, &set->tracked, p, new_body(o), o->bytes, PROGRESS_OWN | flags,
			 pre->number, pre->analysis->description);
}

void
once_serve_bind(struct once *o, struct unnamed *u, struct prepared_set *set, struct progress *p,
		const uint8_t *bind, size_t bytes, struct buf *out)
{
	struct prepared *pre = o->statement;
	unsigned flags = begin_serving(o, set, p, out);
	size_t used;

	used = once_bind(prepared_server_name(pre), bind, bytes, out);
	buf_add(out, bind + used, bytes - used);
	unnamed_stand_in(u, &set->tracked, p, new_body(o), o->bytes, flags, pre->number,
			 pre->analysis->description);
}

void
once_prepare(struct once *o, struct unnamed *u, struct prepared_set *set, struct progress *p,
	     struct buf *out)
{
	struct statements *all = set->all;
	struct analysis *a =
	    analysis_new(all, text_get(all, o->body + 1, o->bytes - 1, o->context), o->place, NULL);
	struct pending *describe;
	struct prepared *pre;

	a->text->inert |= o->inert;
	prepared_close_retired(set, p, out);
	prepared_make_room(set, p, o->server_max + o->replaces, out);
	pre = prepared_add(set, a, ++all->tick);
	analysis_put(all, a);
	pre->made_us = o->now_us;
	pre->under_way = 1;
	pre->syncs = p->syncs;
	prepared_add_parse(prepared_server_name(pre), o->body + 1, o->bytes - 1, out);
	unnamed_stand_in(u, &set->tracked, p, new_body(o), o->bytes, 0, pre->number, NULL);
	prepared_add_describe(prepared_server_name(pre), out);
	progress_sent_as(p, PROGRESS_OWN | PROGRESS_TRACKED | PROGRESS_LOOK);
	describe = prepared_pend(set, p);
	describe->made = pre;
	describe->describes = describe->alone = describe->shareable = true;
	describe->place = o->place;
}

/* ---- uses of it ---- */

bool
once_stands_in(const struct unnamed *u, const struct prepared_set *set)
{
	return unnamed_is_here(u) && set->tracked.once;
}

const char *
once_name(struct unnamed *u, struct prepared_set *set)
{
	struct prepared *pre = find_number(set, set->tracked.once);

	if (pre == NULL || pre->analysis == NULL) {
		u->here = false;
		return NULL;
	}
	prepared_touch(set, pre);
	return prepared_server_name(pre);
}

size_t
once_bind(const char *name, const uint8_t *body, size_t bytes, struct buf *out)
{
	/* Most portals have no name. */
	size_t portal = *body ? strlen((const char *)body) + 1 : 1, length = strlen(name) + 1;

	buf_add_u8(out, 'B');
	buf_add_u32(out, (uint32_t)(4 + bytes - 1 + length));
	buf_add(out, body, portal);
	buf_add(out, name, length);
	return portal + 1;
}

void
once_describe(const char *name, struct buf *out)
{
	prepared_add_describe(name, out);
}
