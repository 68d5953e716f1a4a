#include "daemon/entrance.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/socket.h"
#include "daemon/daemon.h"
#include "session/end.h"

/* ---- who comes in ---- */

/* Is there room for another connection? If not, the one that has said nothing, or has not proved
 * who it is, for the longest time is closed: nobody, not even a user who may use nothing here, can
 * keep others out by silence. */
static bool
make_room(struct daemon *d)
{
	struct list_node *n = list_first(&d->site.in_state[SESSION_STARTUP]);
	struct session *silent;

	if (site_sessions(&d->site) < d->max_sessions)
		return true;
	if (n == NULL)
		n = list_first(&d->site.in_state[SESSION_PASSWORD]);
	if (n == NULL) {
		log_warnx("pgwithd", LOG_ALONE, "a connection is refused: there are too many",
			  LOG_NUMBER("sessions", d->max_sessions));
		return false;
	}
	silent = LIST_OBJ(n, struct session, node);
	log_warnx("pgwithd", LOG_ALONE,
		  "too many connections: the one that has said nothing for longest is closed",
		  LOG_NUMBER("sessions", d->max_sessions), LOG_NUMBER("uid", silent->peer.uid),
		  LOG_NUMBER("pid", silent->peer.pid));
	session_close(silent, CLEANUP_CLIENT_REFUSED, "it has said nothing, and others come");
	return site_sessions(&d->site) < d->max_sessions;
}

static void
on_accept(void *arg, int fd)
{
	struct daemon *d = arg;
	struct ucred peer = {0};
	socklen_t len = sizeof peer;

	if (d->site.phase > SITE_DRAINING || !make_room(d) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		close(fd);
		return;
	}
	d->sessions_ever++;
	stream_look(&session_new(&d->site, fd, &peer)->stream);
}

/* ---- the socket ---- */

static int
find_owner(const struct conf *conf, uid_t *owner, gid_t *group, char *why, size_t why_size)
{
	struct passwd *pw;
	struct group *gr;

	*owner = (uid_t)-1;
	*group = (gid_t)-1;
	if (*conf->socket_owner) {
		pw = getpwnam(conf->socket_owner);
		if (pw == NULL) {
			snprintf(why, why_size, "socket_owner: there is no user \"%s\"",
				 conf->socket_owner);
			return -E_NOTFOUND;
		}
		*owner = pw->pw_uid;
	}
	if (*conf->socket_group) {
		gr = getgrnam(conf->socket_group);
		if (gr == NULL) {
			snprintf(why, why_size, "socket_group: there is no group \"%s\"",
				 conf->socket_group);
			return -E_NOTFOUND;
		}
		*group = gr->gr_gid;
	}
	return 0;
}

/* Returns the socket of the process before, or NULL. */
static struct listen *
inherit_listener(struct daemon *d)
{
	int fd = handover_take_fd(d, HANDOVER_LISTEN), lock_fd = handover_take_fd(d, HANDOVER_LOCK);
	struct listen *l = NULL;

	if (fd >= 0 && lock_fd >= 0)
		l = listen_inherit(d->site.loop, fd, lock_fd, on_accept, d);
	/* If somebody has removed its file, no client can find it any more. */
	if (l && !listen_is_there(l)) {
		listen_free(l);
		return NULL;
	}
	if (l)
		return l;
	if (fd >= 0)
		close(fd);
	if (lock_fd >= 0)
		close(lock_fd);
	return NULL;
}

static struct listen *
new_listener(struct daemon *d, char *why, size_t why_size)
{
	const struct conf *conf = d->site.conf;
	uid_t owner;
	gid_t group;

	if (find_owner(conf, &owner, &group, why, why_size) < 0)
		return NULL;
	return listen_new(d->site.loop, conf->listen, (unsigned)conf->port,
			  (mode_t)conf->socket_mode, owner, group, on_accept, d, why, why_size);
}

/* Gives the socket of the process before the path and the permissions that the configuration has
 * now. What cannot be done is logged and no error: clients that were handed over would be lost if
 * the daemon did not start. */
static struct listen *
follow_conf(struct daemon *d, struct listen *inherited)
{
	const struct conf *conf = d->site.conf;
	struct listen *l;
	char why[512];
	uid_t owner;
	gid_t group;

	if (!listen_is_at(inherited, conf->listen, (unsigned)conf->port)) {
		l = new_listener(d, why, sizeof why);
		if (l) {
			log_info("listen", LOG_ALONE, "moved",
				 LOG_TEXT("was", listen_path(inherited)),
				 LOG_TEXT("is", listen_path(l)));
			listen_hold(inherited);
			d->listen_before = inherited;
			return l;
		}
		log_warnx("listen", LOG_ALONE, "stays where it was",
			  LOG_TEXT("path", listen_path(inherited)), LOG_QUOTED("why", why));
	}
	if (find_owner(conf, &owner, &group, why, sizeof why) < 0 ||
	    listen_permit(inherited, (mode_t)conf->socket_mode, owner, group, why, sizeof why) < 0)
		log_warnx("listen", LOG_ALONE,
			  "socket_mode, socket_owner and socket_group are not in force",
			  LOG_TEXT("path", listen_path(inherited)), LOG_QUOTED("why", why));
	return inherited;
}

/* Returns the first that there is: the socket of the service manager, that of the process before, a
 * new one. NULL with a reason in `why`: none can be had. */
static struct listen *
start_listening(struct daemon *d, char *why, size_t why_size)
{
	const struct conf *conf = d->site.conf;
	char *path = socket_path(conf->listen, conf->port);
	int fd = sysd_take_listener(d->sysd, path, why, why_size);
	struct listen *inherited;

	free(path);
	if (fd >= 0)
		return listen_adopt(d->site.loop, fd, conf->listen, (unsigned)conf->port, on_accept,
				    d, why, why_size);
	if (fd != -E_NOTFOUND)
		return NULL;
	inherited = inherit_listener(d);
	return inherited ? follow_conf(d, inherited) : new_listener(d, why, why_size);
}

void
entrance_close_old(struct daemon *d)
{
	if (d->listen_before)
		listen_leave(d->listen_before);
	d->listen_before = NULL;
}

int
entrance_open(struct daemon *d, char *why, size_t why_size)
{
	d->site.listen = start_listening(d, why, why_size);
	return d->site.listen ? 0 : -E_IO;
}

void
entrance_close(struct daemon *d)
{
	listen_free(d->site.listen);
	d->site.listen = NULL;
}
