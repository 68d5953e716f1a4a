#include "session/peer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atom.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/pack.h"
#include "session/users.h"

void
peer_keep_packet(struct peer *peer, const uint8_t *packet, size_t bytes)
{
	peer->packet = mem_alloc(sizeof *peer->packet);
	buf_init(peer->packet, bytes);
	buf_add(peer->packet, packet, bytes);
}

void
peer_drop_packet(struct peer *peer)
{
	if (peer->packet)
		buf_clear(peer->packet);
	free(peer->packet);
	peer->packet = NULL;
}

void
peer_clear(struct peer *peer, struct atoms *atoms)
{
	user_drop(peer->user);
	peer->user = NULL;
	peer_drop_packet(peer);
	atom_drop(atoms, peer->role);
	peer->role = NULL;
}

const char *
peer_program(pid_t pid, char *out, size_t out_size)
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	n = read(fd, out, out_size - 1);
	close(fd);
	if (n <= 0)
		return NULL;
	out[n] = 0;
	out[strcspn(out, "\n")] = 0;
	return out;
}

pid_t
peer_parent(pid_t pid)
{
	char path[32], text[256];
	const char *behind;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	/* PID (NAME) STATE PARENT ...; a name may have parentheses itself: proc(5). */
	behind = strrchr(text, ')');
	return behind && strlen(behind) > 4 ? (pid_t)strtol(behind + 4, NULL, 10) : 0;
}

void
peer_pack(struct pack *p, struct peer *peer, struct atoms *atoms)
{
	PACK(p, peer->minor);
	PACK(p, peer->asked_tls);
	PACK(p, peer->asked_gss);
	PACK(p, peer->marks);
	PACK(p, peer->uid);
	PACK(p, peer->gid);
	PACK(p, peer->pid);
	PACK(p, peer->connected_at);
	atom_pack_str(p, atoms, &peer->role);
}
