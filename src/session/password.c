#include "session/password.h"

#include "base/vault.h"
#include "session/session.h"
#include "session/site.h"

struct password *
password_new(struct session *s, void (*delay)(void *session))
{
	struct password *p = vault_alloc(sizeof *p);

	p->session = s;
	timer_init(&p->delay, s->site->loop, delay, s);
	session_rare(s)->password = p;
	return p;
}

void
password_stop(struct session *s)
{
	struct password *p = s->rare->password;

	if (p == NULL)
		return;
	timer_stop(&p->delay);
	if (list_linked(&p->delayed))
		list_remove(&s->site->delayed, &p->delayed);
}

void
password_free(struct session *s)
{
	struct password *p = s->rare->password;

	if (p == NULL)
		return;
	password_stop(s);
	s->rare->password = NULL;
	session_drop_rare(s);
	vault_free(p, sizeof *p);
}
