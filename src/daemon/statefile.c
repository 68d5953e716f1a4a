#include "daemon/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fnv.h"
#include "daemon/daemon.h"
#include "executor/work.h"
#include "session/named.h"

/* What the state begins with. */
struct head {
	char magic[8];
	uint32_t version;
	uint32_t sizes; /* hash of the sizes of structures that are written as they are */
	uint64_t bytes; /* behind the head */
	uint64_t hash;  /* of those bytes */
};
static const char magic[8] = {'P', 'G', 'W', 'I', 'T', 'H', 'D', 'S'};

static uint32_t
sizes(void)
{
	static const size_t list[] = {sizeof(long),
				      sizeof(struct pool_stats),
				      sizeof(struct histogram),
				      POOL_NTIMES,
				      sizeof(struct scopes_formats),
				      sizeof(struct error_count) * ERR_N,
				      SESSION_NSTATES,
				      WORK_NPURPOSES};

	return (uint32_t)fnv_bytes(FNV_SEED, list, sizeof list);
}

static bool
write_all(int fd, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	while (bytes > 0) {
		ssize_t n = write(fd, at, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		bytes -= (size_t)n;
	}
	return true;
}

int
statefile_write(const struct buf *state)
{
	struct head head = {.version = HANDOVER_VERSION,
			    .sizes = sizes(),
			    .bytes = state->len,
			    .hash = fnv_bytes(FNV_SEED, buf_data(state), state->len)};
	int fd = memfd_create("pgwith-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	memcpy(head.magic, magic, sizeof magic);
	if (fd < 0)
		return -1;
	if (write_all(fd, &head, sizeof head) && write_all(fd, buf_data(state), state->len) &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return fd;
	close(fd);
	return -1;
}

const char *
statefile_map(struct statefile *f, int fd)
{
	struct head head;
	struct stat st;
	uint8_t *map;

	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof head)
		return "it is too short";
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return "it cannot be read";
	f->map = map;
	f->bytes = (size_t)st.st_size;
	memcpy(&head, map, sizeof head);
	if (memcmp(head.magic, magic, sizeof magic) != 0)
		return "it is no state of pgwithd";
	if (head.version != HANDOVER_VERSION || head.sizes != sizes())
		return "it is of another version";
	if (head.bytes != f->bytes - sizeof head ||
	    head.hash != fnv_bytes(FNV_SEED, map + sizeof head, f->bytes - sizeof head))
		return "it is damaged";
	return NULL;
}

void
statefile_unmap(struct statefile *f)
{
	if (f->map)
		munmap(f->map, f->bytes);
	f->map = NULL;
	f->bytes = 0;
}

void
statefile_reader(const struct statefile *f, struct pack *p)
{
	pack_reader(p, f->map + sizeof(struct head), f->bytes - sizeof(struct head));
}
