#include "session/proof.h"

#include "base/vault.h"
#include "session/session.h"
#include "session/site.h"

struct proof *
proof_new(struct session *s, void (*delay)(void *session))
{
	struct proof *p = vault_alloc(sizeof *p);

	p->session = s;
	timer_init(&p->delay, s->site->loop, delay, s);
	session_rare(s)->proof = p;
	return p;
}

void
proof_stop(struct session *s)
{
	struct proof *p = s->rare->proof;

	if (p == NULL)
		return;
	timer_stop(&p->delay);
	if (list_linked(&p->delayed))
		list_remove(&s->site->delayed, &p->delayed);
}

void
proof_free(struct session *s)
{
	struct proof *p = s->rare->proof;

	if (p == NULL)
		return;
	proof_stop(s);
	s->rare->proof = NULL;
	session_drop_rare(s);
	vault_free(p, sizeof *p);
}
