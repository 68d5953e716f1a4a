/* vault: memory for secrets. It is of whole pages of its own, which the kernel leaves out of a core
 * file, and is overwritten when it is freed. Its pages are not locked: swap may have them. */
#ifndef PGWITH_BASE_VAULT_H
#define PGWITH_BASE_VAULT_H

#include <stddef.h>

/* Returns `bytes` bytes (at least one), all zero; ends the process if there is no memory. */
void *vault_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
/* `bytes` as given to vault_alloc(). NULL is fine. */
void vault_free(void *, size_t bytes);

#endif
