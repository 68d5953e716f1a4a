/* The prepared statements of a server, and what happens when messages about them are answered. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pool/prepared_inside.h"
#include "wire/sqlcolumn.h"

#define AGAIN_KEPT 4096 /* bytes */

void
prepared_init(struct prepared_set *set, struct statements *all, struct progress *p)
{
	*set = (struct prepared_set){.all = all};
	list_init(&set->recent);
	tracked_init(&set->tracked, p);
	buf_init(&set->again, ONCE_AGAIN_MAX);
}

/* ---- statements ---- */

static uint64_t
address(const struct analysis *a)
{
	return (uint64_t)(uintptr_t)a * UINT64_C(0x9e3779b97f4a7c15);
}

struct prepared *
prepared_find(const struct prepared_set *set, const struct analysis *a)
{
	struct hash_node *n = hash_first(&set->have, address(a));

	return n ? HASH_OBJ(n, struct prepared, node) : NULL;
}

struct prepared *
prepared_by_number(const struct prepared_set *set, uint64_t number)
{
	struct list_node *n;

	LIST_EACH (n, &set->recent)
		if (LIST_OBJ(n, struct prepared, recent)->number == number)
			return LIST_OBJ(n, struct prepared, recent);
	return NULL;
}

struct prepared *
prepared_add(struct prepared_set *set, struct analysis *a, uint64_t made)
{
	struct prepared *pre = mem_calloc(1, sizeof *pre);

	pre->number = ++set->last;
	pre->made = made;
	if (a) {
		pre->analysis = analysis_ref(a);
		hash_add(&set->have, &pre->node, address(a));
	}
	pre->lease = set->leases;
	list_append(&set->recent, &pre->recent);
	return pre;
}

void
prepared_touch(struct prepared_set *set, struct prepared *pre)
{
	pre->lease = set->leases;
	if (list_last(&set->recent) == &pre->recent)
		return;
	list_remove(&set->recent, &pre->recent);
	list_append(&set->recent, &pre->recent);
}

void
prepared_note_unwritten(struct prepared_set *set, uint64_t unwritten)
{
	struct list_node *n = set->recent.head.prev;

	if (set->unwritten == unwritten)
		return;
	set->unwritten = unwritten;
	for (; n != &set->recent.head; n = n->prev) {
		struct prepared *pre = LIST_OBJ(n, struct prepared, recent);
		const struct description *d = pre->analysis ? pre->analysis->description : NULL;

		if (pre->lease != set->leases)
			return;
		if (d == NULL || d->columns == 0)
			pre->unwritten = true;
	}
}

/* Takes it out of the hash: it cannot be found any more. */
static void
take_out_of_hash(struct prepared_set *set, struct prepared *pre)
{
	if (pre->analysis == NULL)
		return;
	hash_remove(&set->have, &pre->node);
	analysis_put(set->all, pre->analysis);
	pre->analysis = NULL;
}

void
prepared_remove(struct prepared_set *set, struct prepared *pre)
{
	take_out_of_hash(set, pre);
	list_remove(&set->recent, &pre->recent);
	free(pre);
}

void
prepared_retire(struct prepared_set *set, struct prepared *pre)
{
	take_out_of_hash(set, pre);
	list_remove(&set->recent, &pre->recent);
	list_prepend(&set->recent, &pre->recent);
}

/* Its analysis is known now; an older statement of the same analysis is retired. */
static void
set_analysis(struct prepared_set *set, struct prepared *pre, struct analysis *a)
{
	struct prepared *older = prepared_find(set, a);

	if (pre->analysis == a)
		return;
	if (older)
		prepared_retire(set, older);
	analysis_ref(a);
	take_out_of_hash(set, pre);
	pre->analysis = a;
	hash_add(&set->have, &pre->node, address(a));
}

void
prepared_forget(struct prepared_set *set)
{
	struct list_node *n, *after;

	LIST_EACH (n, &set->tracked.list) {
		struct pending *p = pending_of(n);

		if (p)
			p->made = NULL;
	}
	LIST_EACH_SAFE (n, after, &set->recent)
		prepared_remove(set, LIST_OBJ(n, struct prepared, recent));
	set->stale = set->decoys = false;
}

bool
prepared_doubtful(const struct prepared_set *set, const struct progress *p)
{
	return set->stale || (set->decoys && p->errors != set->decoy_errors);
}

void
prepared_retire_refused(struct prepared_set *set)
{
	struct prepared *pre;

	if (set->tracked.refused == 0)
		return;
	pre = prepared_by_number(set, set->tracked.refused);
	if (pre && pre->analysis && pre->under_way == 0)
		prepared_retire(set, pre);
	set->tracked.refused = 0;
}

void
prepared_renew(struct prepared_set *set)
{
	set->decoys = false;
	set->altered = PREPARED_UNALTERED;
	set->missing[0] = 0;
	set->tracked.passes = set->tracked.stood = set->tracked.unconfirmed = false;
	set->tracked.once = 0;
	set->leases++;
	prepared_retire_refused(set);
	/* Most exchanges are short: their memory is kept for the next one. */
	if (set->again.size > AGAIN_KEPT)
		buf_clear(&set->again);
	else
		buf_reset(&set->again);
}

void
prepared_clear(struct prepared_set *set)
{
	tracked_clear(&set->tracked);
	prepared_forget(set);
	buf_clear(&set->again);
	hash_clear(&set->have);
}

/* ---- what became of a message ---- */

struct pending *
pending_of(struct list_node *l)
{
	struct tracked *t = LIST_OBJ(l, struct tracked, node);

	return t->end == prepared_pending_end ? (struct pending *)t : NULL;
}

struct pending *
prepared_pend(struct prepared_set *set, const struct progress *progress)
{
	struct pending *p = mem_calloc(1, sizeof *p);

	p->set = set;
	tracked_add(&set->tracked, &p->tracked, progress, prepared_pending_end);
	p->tracked.described = prepared_pending_described;
	return p;
}

/* Frees a name. `set`: where Describes for it may be under way, or NULL. */
static void
free_named(struct statements *all, struct named *named, struct prepared_set *set)
{
	struct list_node *l;

	if (set && named->asking > 0) {
		LIST_EACH (l, &set->tracked.list) {
			struct pending *p = pending_of(l);

			if (p && p->about == named)
				p->about = NULL;
		}
	}
	analysis_put(all, named->analysis);
	analysis_put(all, named->elsewhere);
	free(named);
}

void
prepared_pending_described(struct tracked *t, char type, const uint8_t *body, size_t bytes)
{
	struct pending *p = (struct pending *)t;

	description_take(&p->got, type, body, bytes);
	if (type == 'T' && body && p->made)
		p->made->of_tables = sqlcolumn_of_tables(body, bytes);
}

/* The later message that removed this name again, and is not answered yet; NULL if there is
 * none. */
static struct pending *
later_removal(const struct prepared_set *set, const struct named *named)
{
	struct list_node *l;

	LIST_EACH (l, &set->tracked.list) {
		struct pending *p = pending_of(l);

		if (p && p->removed == named)
			return p;
	}
	return NULL;
}

static void
take_back(struct prepared_set *set, struct pending *p)
{
	struct pending *later = p->names && p->added ? later_removal(set, p->added) : NULL;

	if (later) {
		/* If the later message is taken back, it must restore the name from before this
		 * one. */
		free_named(set->all, p->added, set);
		later->removed = p->removed;
		p->removed = NULL;
	} else if (p->names && p->added) {
		named_take_out(p->names, p->added);
		free_named(set->all, p->added, set);
	}
	if (p->names && p->removed) {
		named_put_in(p->names, p->removed);
		p->removed = NULL;
	}
	if (p->made)
		prepared_remove(set, p->made);
	/* The statement was not closed: it is on the server, and we do not know it any more. */
	if (p->evicted)
		set->stale = true;
}

/* The client closed a name: the server's statement is closed, too, if no other session may use
 * it. */
static void
retire_unshared(struct prepared_set *set, const struct named *named)
{
	struct prepared *pre = NULL;

	if (!named->analysis->shared)
		pre = prepared_find(set, named->analysis);
	if (pre && pre->under_way == 0)
		prepared_retire(set, pre);
}

/* The first description of a statement has come. */
static void
first_described(struct pending *p, struct named *named)
{
	struct statements *all = p->set->all;
	struct analysis **slot = named ? named_analysis(p->names, named, p->place) : NULL;
	struct analysis *was = slot ? *slot : p->made ? p->made->analysis : NULL, *a;

	if (was == NULL || was->description || p->got == NULL || !p->got->complete)
		return;
	if (p->shareable) {
		a = analysis_share(all, was->text, p->place, p->got);
	} else {
		a = analysis_ref(was);
		a->description = description_ref(p->got);
	}
	if (p->made && p->made->analysis)
		set_analysis(p->set, p->made, a);
	if (slot) {
		analysis_put(all, *slot);
		*slot = analysis_ref(a);
	}
	analysis_put(all, a);
}

/* Another description of a known statement has come: has its result changed? */
static void
described_again(struct pending *p, struct named *named)
{
	struct statements *all = p->set->all;
	struct analysis **slot = named_analysis(p->names, named, p->place), *was = *slot;

	if (p->made == NULL)
		return;
	if (!was->text->loose && !description_equal(was->description, p->got)) {
		named->changed = true;
		prepared_retire(p->set, p->made);
		return;
	}
	if (was->shared && !p->shareable) {
		was->text->refs++;
		*slot = analysis_new(all, was->text, was->place, was->description);
		set_analysis(p->set, p->made, *slot);
		analysis_put(all, was);
		return;
	}
	set_analysis(p->set, p->made, was);
}

static void
describe_ended(struct pending *p, enum progress_end end)
{
	struct named *named = end == PROGRESS_LOST ? NULL : p->about;

	if (p->made)
		p->made->under_way--;
	if (named) {
		named->asking--;
		if (p->renews)
			named->renewing = false;
	}
	if (end == PROGRESS_DONE && (!p->renews || named)) {
		if (p->renews)
			described_again(p, named);
		else
			first_described(p, named);
		if (named && named->since == 0)
			named->since = ++p->set->all->tick;
	} else if (p->renews && p->made) {
		prepared_retire(p->set, p->made);
	} else if (p->alone && p->made && end == PROGRESS_SKIPPED) {
		/* The Parse right before it has failed, or was skipped. */
		prepared_remove(p->set, p->made);
	} else if (p->alone && p->made && end == PROGRESS_FAILED) {
		prepared_retire(p->set, p->made);
	}
	description_put(p->got);
}

void
prepared_pending_end(struct tracked *t, enum progress_end end)
{
	struct pending *p = (struct pending *)t;

	if (p->describes) {
		describe_ended(p, end);
		free(p);
		return;
	}
	if (end == PROGRESS_LOST) {
		p->names = NULL;
		p->made = NULL;
	}
	if (end != PROGRESS_DONE)
		take_back(p->set, p);
	else if (p->made)
		p->made->under_way--;
	if (p->removed && end == PROGRESS_DONE)
		retire_unshared(p->set, p->removed);
	if (p->removed)
		free_named(p->set->all, p->removed, p->set);
	free(p);
}

/* ---- names, and messages about them that are under way ---- */

void
names_drop(struct names *names, struct prepared_set *set, const char *name, size_t length)
{
	struct named *named = named_find(names, name, length);
	struct list_node *l;

	if (named == NULL)
		return;
	/* If its Parse is under way, there is nothing to take back any more. */
	if (set) {
		LIST_EACH (l, &set->tracked.list) {
			struct pending *p = pending_of(l);

			if (p && p->added == named)
				p->added = NULL;
		}
	}
	named_take_out(names, named);
	free_named(names->all, named, set);
}

void
names_clear(struct names *names, struct prepared_set *set)
{
	struct hash_node *n;
	struct list_node *l;

	if (set) {
		LIST_EACH (l, &set->tracked.list) {
			struct pending *p = pending_of(l);

			if (p == NULL || p->names != names)
				continue;
			if (p->removed)
				free_named(names->all, p->removed, NULL);
			p->names = NULL;
			p->added = p->removed = p->about = NULL;
		}
	}
	while ((n = hash_any(&names->names)) != NULL) {
		struct named *named = HASH_OBJ(n, struct named, node);

		named_take_out(names, named);
		free_named(names->all, named, NULL);
	}
	hash_clear(&names->names);
}

bool
names_in_doubt(const struct names *names, const struct prepared_set *set, const struct progress *p,
	       const char *name, size_t length)
{
	struct list_node *l;

	/* In COPY IN only its data means anything, and the server must see every other message, to
	 * fail. */
	if (names == NULL || (p->copy == COPY_IN && !p->copy_ended))
		return false;
	length = named_clip(length);
	LIST_EACH (l, &set->tracked.list) {
		const struct pending *q = pending_of(l);

		if (q == NULL)
			continue;
		if (q->tracked.syncs == p->syncs)
			return false;
		if (q->names == names && (q->added || q->removed) &&
		    (name == NULL || named_is(q->added, name, length) ||
		     named_is(q->removed, name, length)))
			return true;
	}
	return false;
}
