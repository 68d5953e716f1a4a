#include "executor/listing.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "executor/joint.h"
#include "session/reply.h"
#include "session/script.h"
#include "session/site.h"
#include "wire/msg.h"

static const struct msg_column columns[] = {
    {"level", 23, 4, -1, 0},      {"name", 25, -1, -1, 0},   {"kind", 25, -1, -1, 0},
    {"pool", 25, -1, -1, 0},      {"state", 25, -1, -1, 0},  {"current", 16, 1, -1, 0},
    {"elapsed_ms", 20, 8, -1, 0}, {"wait_ms", 20, 8, -1, 0}, {"deadline_ms", 20, 8, -1, 0},
    {"deferred", 23, 4, -1, 0},   {"joins", 20, 8, -1, 0},   {"outside", 20, 8, -1, 0},
    {"outsider", 25, -1, -1, 0},  {"members", 23, 4, -1, 0}, {"token", 25, -1, -1, 0},
};
#define NCOLUMNS (sizeof columns / sizeof *columns)
_Static_assert(NCOLUMNS == SCOPES_COLUMNS, "a format for each");

static uint16_t
column_format(const struct scopes_formats *f, unsigned column)
{
	return f->count == 0 ? 0 : f->count == 1 ? f->list[0] : f->list[column];
}

void
listing_describe(struct buf *out, const struct scopes_formats *formats)
{
	struct msg_column list[NCOLUMNS];

	memcpy(list, columns, sizeof list);
	for (unsigned i = 0; i < NCOLUMNS; i++)
		list[i].format = column_format(formats, i);
	msg_row_description(out, list, NCOLUMNS);
}

void
listing_view(const struct session *s, struct scope *f, struct scope_view *v)
{
	const struct stack *st = s->rare->stack;
	struct scope *base = scope_base(f);
	const struct lease *l = base ? base->lease : f->kind == SCOPE_JOINT ? f->lease : NULL;
	const struct server *srv = l && l->state == LEASE_HELD ? l->srv : NULL;
	bool top = base && stack_top_of(st, base) == f;
	int64_t now = loop_now_us(s->site->loop);

	*v = (struct scope_view){
	    .name = scope_is_begin(f) ? f->pool->conf->name : f->name,
	    .kind = scope_kind_name(f),
	    .state = scope_state_name(f),
	    .pool = f->pool ? f->pool->conf->name : NULL,
	    .current = top && base == stack_current(st),
	    .deferred = f->deferred.count,
	    .elapsed_us = now - f->asked_us,
	    .wait_us = (f->granted_us ? f->granted_us : now) - f->asked_us,
	    .deadline_us = -1,
	    .members = f->kind == SCOPE_JOINT ? (int64_t)joint_members(f) : -1,
	    .backend_pid = srv ? srv->backend_pid : 0,
	};
	if (f->kind == SCOPE_JOINT) {
		v->joins = joint_joins(f);
		v->outside = joint_outside(f, &v->outsider);
	}
	if (f->state == SCOPE_OPEN && top && srv && srv->progress.status == 'E')
		v->state = "failed";
	if (f->deadline_us)
		v->deadline_us = f->deadline_us > now ? f->deadline_us - now : 0;
}

/* Does the server work at a text that begins a transaction? The transaction status comes only at
 * the end of the answer. */
static bool
is_beginning(const struct session *s)
{
	return s->own->lease.state == LEASE_HELD &&
	       !(s->rare->stack && stack_of_lease(s->rare->stack, &s->own->lease)) &&
	       (progress_exchange(&s->own->lease.srv->progress) & PROGRESS_BEGINS);
}

/* When the BEGIN came. If it was answered without a server, its exchange began later. */
static int64_t
plain_since(const struct session *s)
{
	if (s->block.state != BLOCK_NONE ||
	    (s->own->begun_us && s->own->sent_xact_us == s->own->lease.xact_us))
		return s->own->begun_us;
	return s->own->lease.xact_us ? s->own->lease.xact_us : loop_now_us(s->site->loop);
}

static int64_t
plain_waited(const struct session *s, int64_t since_us)
{
	if (s->own->lease.state == LEASE_WAITING)
		return loop_now_us(s->site->loop) - s->own->lease.since_us;
	/* If the session had its server before, this transaction has not waited. */
	return s->own->lease.state == LEASE_HELD && s->own->lease.since_us > since_us
		   ? s->own->lease.waited_us
		   : 0;
}

bool
listing_view_plain(const struct session *s, struct scope_view *v)
{
	const struct server *srv = s->own->lease.state == LEASE_HELD ? s->own->lease.srv : NULL;
	bool failed = s->block.state == BLOCK_FAILED ||
		      (s->block.state == BLOCK_NONE && srv && srv->progress.status == 'E');

	if (s->pool == NULL || !(scopes_plain(s) || is_beginning(s)))
		return false;
	*v = (struct scope_view){
	    .name = s->pool->conf->name,
	    .kind = scope_kind_word(SCOPE_IMPLICIT),
	    .state = block_is_expired(&s->block) ? "expired"
		     : failed                    ? "failed"
						 : "open",
	    .pool = (srv && s->own->apart ? srv->pool : s->pool)->conf->name,
	    .current = !(s->rare->stack && stack_current(s->rare->stack)),
	    .elapsed_us = loop_now_us(s->site->loop) - plain_since(s),
	    .wait_us = plain_waited(s, plain_since(s)),
	    .deadline_us = -1,
	    .members = -1,
	    .backend_pid = srv ? srv->backend_pid : 0,
	};
	return true;
}

static void
show_text(struct buf *out, const char *text)
{
	if (text == NULL) {
		buf_add_u32(out, UINT32_MAX);
		return;
	}
	buf_add_u32(out, (uint32_t)strlen(text));
	buf_add(out, text, strlen(text));
}

/* Adds a number in the type of the column: int4, int8 or bool. */
static void
show_number(struct buf *out, const struct scopes_formats *formats, unsigned column, int64_t value)
{
	const struct msg_column *c = &columns[column];
	char text[24];

	if (column_format(formats, column) == 0) {
		snprintf(text, sizeof text, "%lld", (long long)value);
		show_text(out, c->type_size > 1 ? text : value ? "t" : "f");
		return;
	}
	buf_add_u32(out, (uint32_t)c->type_size);
	if (c->type_size == 8)
		buf_add_u64(out, (uint64_t)value);
	else if (c->type_size == 4)
		buf_add_u32(out, (uint32_t)value);
	else
		buf_add_u8(out, (uint8_t)value);
}

static void
show_row(const struct scope_view *v, const struct scope *f, unsigned level,
	 const struct scopes_formats *formats, struct buf *out)
{
	bool joint = f && f->kind == SCOPE_JOINT;
	size_t at = msg_begin(out, 'D');

	buf_add_u16(out, NCOLUMNS);
	show_number(out, formats, 0, level);
	show_text(out, v->name);
	show_text(out, v->kind);
	show_text(out, v->pool);
	show_text(out, v->state);
	show_number(out, formats, 5, v->current);
	show_number(out, formats, 6, v->elapsed_us / UNIT_MS);
	show_number(out, formats, 7, v->wait_us / UNIT_MS);
	if (v->deadline_us < 0)
		show_text(out, NULL);
	else
		show_number(out, formats, 8, v->deadline_us / UNIT_MS);
	show_number(out, formats, 9, v->deferred);
	if (joint) {
		show_number(out, formats, 10, (int64_t)v->joins);
		show_number(out, formats, 11, (int64_t)v->outside);
	} else {
		show_text(out, NULL);
		show_text(out, NULL);
	}
	show_text(out, v->outsider);
	if (joint)
		show_number(out, formats, 13, v->members);
	else
		show_text(out, NULL);
	show_text(out, joint ? joint_token(f) : NULL);
	msg_end(out, at);
}

void
listing_show(struct session *s, char type)
{
	struct scopes_formats formats = {0};
	struct scope_view v;
	struct list_node *n;
	struct buf out;
	unsigned level = 0;
	char tag[32];

	buf_init(&out, 1024 * 1024);
	if (type == 'Q')
		listing_describe(&out, &formats);
	else
		formats = s->extended.named->formats;
	LIST_EACH (n, &s->rare->stack->frames) {
		listing_view(s, LIST_OBJ(n, struct scope, node), &v);
		show_row(&v, LIST_OBJ(n, struct scope, node), ++level, &formats, &out);
	}
	if (listing_view_plain(s, &v))
		show_row(&v, NULL, ++level, &formats, &out);
	snprintf(tag, sizeof tag, "SHOW %u", level);
	msg_complete(&out, tag);
	if (type == 'Q' && !script_more(s))
		reply_ready(s, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
}
