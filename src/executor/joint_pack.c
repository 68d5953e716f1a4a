#include "executor/joint_pack.h"

#include "executor/joint_inside.h"
#include "session/site.h"

bool
joints_can_move(const struct site *site)
{
	const struct list_node *n;

	LIST_EACH (n, &site->joints) {
		const struct joint *j = LIST_OBJ(n, const struct joint, node);

		if (j->broken || j->closing || j->cancelled || j->due || !stream_open(&j->front) ||
		    !unit_can_move(&j->unit))
			return false;
	}
	return true;
}

void
joints_hold(struct site *site, bool hold)
{
	struct list_node *n;

	LIST_EACH (n, &site->joints) {
		struct stream *front = &LIST_OBJ(n, struct joint, node)->front;

		if (!stream_open(front))
			continue;
		if (hold)
			stream_hold(front);
		else
			stream_release(front);
	}
}

int
joint_fd(const struct scope *f)
{
	return f->joint->front.fd;
}

struct pool *
joint_members_pool(const struct scope *f)
{
	return f->joint->pool;
}

size_t
joints_fds(const struct site *site, int *fds)
{
	const struct list_node *n;
	size_t count = 0;

	LIST_EACH (n, &site->joints) {
		const struct joint *j = LIST_OBJ(n, const struct joint, node);

		if (stream_open(&j->front))
			fds[count++] = j->front.fd;
	}
	return count;
}

static void
values_pack(struct pack *p, struct joint *j)
{
	struct buf none;

	PACK(p, j->token);
	PACK(p, j->passing);
	PACK(p, j->passing_dropped);
	PACK(p, j->returning);
	PACK(p, j->returning_dropped);
	PACK(p, j->tidied);
	PACK(p, j->restarted);
	PACK(p, j->pool->littered);
	PACK(p, j->pool->litterer);
	PACK(p, j->front.paused);
	pack_buf(p, &j->in);
	pack_buf(p, &j->back);
	unit_pack(p, &j->unit);
	stream_pack_unread(p, &j->front);
	buf_init(&none, FRONT_QUEUE_MAX);
	if (!pack_reading(p)) {
		pack_buf(p, stream_queue(&j->front) ? stream_queue(&j->front) : &none);
		return;
	}
	pack_buf(p, &none);
	if (none.len > 0)
		stream_write(&j->front, buf_data(&none), none.len);
	buf_clear(&none);
	j->token[JOINT_TOKEN] = 0;
}

void
joint_pack_out(struct pack *p, struct scope *f)
{
	values_pack(p, f->joint);
}

void
joint_pack_in(struct pack *p, struct session *s, struct scope *f, struct pool *pool, int fd)
{
	struct joint *j = joint_new_(s, f);

	unit_init(&j->unit, 0);
	joint_set_front_(j, fd);
	stream_hold(&j->front);
	joint_take_(j, pool);
	values_pack(p, j);
}

void
joints_resume(struct site *site)
{
	struct list_node *n, *after;

	joints_hold(site, false);
	LIST_EACH_SAFE (n, after, &site->joints) {
		struct joint *j = LIST_OBJ(n, struct joint, node);

		/* The front may have taken at once what was queued for it, so nobody tells. */
		if (!j->broken && joint_server_(j) && !stream_is_slow(&j->front))
			stream_resume(&joint_server_(j)->stream);
		if (!j->broken)
			joint_go_on_(j);
	}
}
