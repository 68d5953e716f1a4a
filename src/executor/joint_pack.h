/* joint_pack: hands joined scopes over to the next process. */
#ifndef PGWITH_EXECUTOR_JOINT_PACK_H
#define PGWITH_EXECUTOR_JOINT_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pack.h"
#include "executor/joint.h"

struct site;

/* Can all joints be handed over now? If not, they can be after the next answers. */
bool joints_can_move(const struct site *);
/* Nothing is read from members' servers any more; or again. */
void joints_hold(struct site *, bool hold);
/* Our ends of the socket pairs; there is room for one each. Returns how many there are. */
size_t joints_fds(const struct site *, int *fds);

/* Our end of its socket pair, and the pool of its members. */
int joint_fd(const struct scope *);
struct pool *joint_members_pool(const struct scope *);
/* Packs the joint of a frame, but for the frame and its pool. */
void joint_pack_out(struct pack *, struct scope *);
/* Reads it. The frame is a transaction before. Takes over `fd`, our end. */
void joint_pack_in(struct pack *, struct session *, struct scope *, struct pool *, int fd);

/* After joint_pack_in(), or if there is no handover after all: bytes in our own buffers raise no
 * event. */
void joints_resume(struct site *);

#endif
