#include "pool/unnamed.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/msg.h"

#define TEXT_MAX (64 * 1024) /* bytes of a Parse that is kept */

struct unnamed_text {
	unsigned refs;
	unsigned effects;
	size_t bytes;
	uint8_t body[]; /* of the Parse message, its empty name first */
};

/* A Parse that is under way. */
struct unnamed_parse {
	struct tracked tracked;
	struct tracked_list *all;
	struct unnamed *unnamed; /* NULL: nobody wants to know any more */
	struct unnamed_text *before;
	bool before_here;
	struct unnamed_parse *earlier, *later;
};

static struct unnamed_text *
text_ref(struct unnamed_text *t)
{
	if (t)
		t->refs++;
	return t;
}

static void
text_put(struct unnamed_text *t)
{
	if (t && --t->refs == 0)
		free(t);
}

static void
ended(struct tracked *t, enum progress_end end)
{
	struct unnamed_parse *parse = (struct unnamed_parse *)t;
	struct unnamed *u = end == PROGRESS_LOST ? NULL : parse->unnamed;

	if (u && end != PROGRESS_DONE) {
		/* One behind the next Sync has come after this one: what was before it changes. */
		struct unnamed_text **text = parse->later ? &parse->later->before : &u->text;
		bool *here = parse->later ? &parse->later->before_here : &u->here;

		text_put(*text);
		/* One that fails has removed the one before all the same. */
		*text = end == PROGRESS_FAILED ? NULL : text_ref(parse->before);
		*here = end == PROGRESS_FAILED || parse->before_here;
	}
	if (u && u->last == parse)
		u->last = parse->earlier;
	if (u && parse->earlier)
		parse->earlier->later = parse->later;
	if (u && parse->later)
		parse->later->earlier = parse->earlier;
	text_put(parse->before);
	/* There is one in each exchange of many clients. */
	if (parse->all->spare == NULL)
		parse->all->spare = parse;
	else
		free(parse);
}

static void
begin(struct unnamed *u, struct tracked_list *all, struct progress *p, unsigned flags)
{
	struct unnamed_parse *parse = all->spare ? all->spare : mem_alloc(sizeof *parse);

	all->spare = NULL;
	*parse = (struct unnamed_parse){.all = all,
					.unnamed = u,
					.before = text_ref(u->text),
					.before_here = u->here,
					.earlier = u->last};
	if (u->last)
		u->last->later = parse;
	u->last = parse;
	progress_sent_as(p, flags | PROGRESS_TRACKED);
	tracked_add(all, &parse->tracked, p, ended);
	u->here = true;
}

void
unnamed_parse(struct unnamed *u, struct tracked_list *all, struct progress *p, const uint8_t *body,
	      size_t have, size_t bytes, unsigned effects)
{
	struct unnamed_text *t = NULL;

	if (p->skipping)
		return;
	begin(u, all, p, 0);
	if (have == bytes && unnamed_is_same(u, body, bytes) && u->text->effects == effects) {
		/* Many programs send the same text again and again. */
		t = text_ref(u->text);
	} else if (have == bytes && bytes <= TEXT_MAX) {
		t = mem_alloc(sizeof *t + bytes);
		*t = (struct unnamed_text){.refs = 1, .effects = effects, .bytes = bytes};
		memcpy(t->body, body, bytes);
	}
	text_put(u->text);
	u->text = t;
}

bool
unnamed_is_same(const struct unnamed *u, const uint8_t *body, size_t bytes)
{
	return u->text && u->text->bytes == bytes && memcmp(u->text->body, body, bytes) == 0;
}

void
unnamed_again(struct unnamed *u, struct tracked_list *all, struct progress *p)
{
	if (!p->skipping)
		begin(u, all, p, 0);
}

void
unnamed_close(struct unnamed *u, struct tracked_list *all, struct progress *p)
{
	if (p->skipping)
		return;
	begin(u, all, p, 0);
	text_put(u->text);
	u->text = NULL;
}

void
unnamed_need(struct unnamed *u, struct tracked_list *all, struct progress *p, struct buf *out)
{
	size_t at;

	if (p->skipping || u->here)
		return;
	if (u->text) {
		begin(u, all, p, PROGRESS_OWN);
		at = msg_begin(out, 'P');
		buf_add(out, u->text->body, u->text->bytes);
		msg_end(out, at);
		return;
	}
	/* The server closes what it has of another session, and says no itself. */
	progress_sent_as(p, PROGRESS_OWN);
	at = msg_begin(out, 'C');
	buf_add_u8(out, 'S');
	buf_add_str(out, "");
	msg_end(out, at);
}

bool
unnamed_has_effects(const struct unnamed *u)
{
	return u->text && u->text->effects;
}

unsigned
unnamed_effects(const struct unnamed *u, const char **sql, size_t *bytes)
{
	*sql = "";
	*bytes = 0;
	if (u->text == NULL)
		return 0;
	*sql = (const char *)u->text->body + 1;
	*bytes = strnlen(*sql, u->text->bytes - 1);
	return u->text->effects;
}

bool
unnamed_unsettled(const struct unnamed *u, const struct tracked_list *all, const struct progress *p)
{
	const struct list_node *l;

	LIST_EACH (l, &all->list) {
		const struct tracked *t = LIST_OBJ(l, const struct tracked, node);

		if (t->end == ended && ((const struct unnamed_parse *)t)->unnamed == u &&
		    t->syncs != p->syncs)
			return true;
	}
	return false;
}

void
unnamed_forget(struct unnamed *u, struct tracked_list *all)
{
	struct list_node *l;

	if (all) {
		LIST_EACH (l, &all->list) {
			struct tracked *t = LIST_OBJ(l, struct tracked, node);

			if (t->end == ended && ((struct unnamed_parse *)t)->unnamed == u)
				((struct unnamed_parse *)t)->unnamed = NULL;
		}
	}
	text_put(u->text);
	*u = (struct unnamed){.text = NULL};
}
