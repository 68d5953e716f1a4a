/* process: what the operating system says about this process. */
#ifndef PGWITH_ADMIN_PROCESS_H
#define PGWITH_ADMIN_PROCESS_H

#include <stdint.h>

struct process {
	uint64_t resident;          /* bytes of memory that are in RAM; 0: not known */
	uint64_t fds;               /* open descriptors; 0: not known */
	uint64_t fds_max;           /* the limit of descriptors; UINT64_MAX: none */
	int64_t user_us, system_us; /* processor time */
};

/* Asks the kernel, by two calls and two small files of /proc. */
void process_look(struct process *);

#endif
