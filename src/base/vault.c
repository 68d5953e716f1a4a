#include "base/vault.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"

void *
vault_alloc(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		log_fatal("", LOG_ALONE, "out of memory:", LOG_WORD(strerror(errno)));
	/* Old kernels may not know it; then a core file has the memory, as it has all else. */
	madvise(p, bytes, MADV_DONTDUMP);
	return p;
}

void
vault_free(void *p, size_t bytes)
{
	if (p == NULL)
		return;
	explicit_bzero(p, bytes);
	munmap(p, bytes);
}
