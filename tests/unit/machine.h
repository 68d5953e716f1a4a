/* machine: one cleanup of one server, driven by hand, for the tests of pool/cleanup. */
#ifndef TESTS_UNIT_MACHINE_H
#define TESTS_UNIT_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "pool/cleanup.h"
#include "pool/progress.h"

#define LIMIT_US  1000000
#define BYTES_MAX (1024 * 1024) /* that may go to the server at once */

struct machine {
	struct cleanup c;
	struct progress p;
	struct buf out;
	int64_t now_us;
	unsigned cancels; /* under way */
};

void machine_init(struct machine *m);
void machine_clear(struct machine *m);

/* What the client has sent, one letter a message. */
void sent(struct machine *m, const char *types);

/* What the server answers: C, G, H, I, 1, 2; Zx a status; e with SQLSTATE 57014, E with 22012. */
void answer(struct machine *m, const char *text);

/* The next step of the cleanup; what it wants to be cancelled is under way then. */
void step(struct machine *m);

/* It starts, without statements. */
void start(struct machine *m, enum cleanup_why why, bool discard);

/* The same with statements, given as a NULL-ended list. */
void start_with(struct machine *m, enum cleanup_why why, bool keep, bool discard,
		const char *const *statements);
#define WITH(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What became of the statements so far: "a", "b 22012 no". */
void has_done(struct machine *m, const char *expected);

/* It must be in that state. */
void in_state(struct machine *m, enum cleanup_state state);

/* The messages that have gone to the server since the last look: "Q ROLLBACK", "f", "S". */
void went(struct machine *m, const char *expected);

/* One of the cancels under way has ended. */
void cancel_ends(struct machine *m);

/* It must have given up for that reason; the machine is cleared. */
void broken(struct machine *m, const char *why);

/* The next lease must find everything at its zero. */
void nothing_remains(struct machine *m);

/* It must be done and ask for nothing more; the machine is cleared. */
void done(struct machine *m);

#endif
