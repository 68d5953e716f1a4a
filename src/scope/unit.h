/* unit: what the members of a joined scope do, as savepoints of the scope's transaction. It stands
 * between a member, to which it is a PostgreSQL server outside of a transaction, and the server,
 * which has the scope's transaction open. Decides about one message at a time, and does no I/O:
 * executor/joint.h brings the messages and sends what it says.
 *
 * A unit is what would be a transaction if the member were alone: one simple Query, one exchange of
 * the extended protocol up to Sync, or all from BEGIN to COMMIT or ROLLBACK.
 *
 *	member                  server, which is in savepoint u inside of guard g1
 *	statement               statement, RELEASE u, SAVEPOINT g2, SAVEPOINT u
 *	  that fails            statement, ROLLBACK TO g1, SAVEPOINT u
 *	BEGIN                   nothing
 *	COMMIT                  RELEASE u, SAVEPOINT g2, SAVEPOINT u
 *	COMMIT of a failed one  ROLLBACK TO g1, SAVEPOINT u
 *	ROLLBACK                ROLLBACK TO g1, SAVEPOINT u
 *
 * What the guards are for is told in unitown.h. Before a RELEASE, deferred constraints are checked,
 * and are deferred again for the next unit; and the unit's cursors are closed. The savepoint's name
 * has a random number in it, and members cannot name it, although pg_stat_activity shows it. A
 * member's own savepoints nest inside of it, and PostgreSQL keeps these in order.
 *
 *	rest -> own -> rest            a sequence of our own statements is under way
 *	rest -> query -> rest          a Query or FunctionCall of the member
 *	rest -> exchange -> syncing -> rest
 *	         exchange -> draining -> exchange     a COMMIT or the like stands in the exchange
 *	query, syncing, exchange -> own               what ends or begins the unit */
#ifndef PGWITH_SCOPE_UNIT_H
#define PGWITH_SCOPE_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/pack.h"
#include "scope/grammar.h"
#include "scope/unitcopy.h"
#include "scope/unitlocal.h"
#include "scope/unitname.h"
#include "scope/unitown.h"

#define UNIT_TEXT_MAX  (16u * 1024 * 1024) /* bytes of a message with SQL text */
#define UNIT_ERROR_MAX (64u * 1024)        /* bytes of an error of the server that is kept */

enum unit_state {
	UNIT_REST,     /* the server has answered everything */
	UNIT_OWN,      /* statements of our own are under way, up to their ReadyForQuery */
	UNIT_QUERY,    /* the member's Query or FunctionCall */
	UNIT_EXCHANGE, /* messages of the extended protocol have been passed on */
	UNIT_DRAINING, /* in an exchange, behind a Sync of our own */
	UNIT_SYNCING,  /* behind the member's Sync */
	UNIT_NSTATES
};

enum unit_verdict {
	UNIT_PASS, /* goes on as it is */
	UNIT_DROP,
	UNIT_HOLD, /* is asked again when the server has answered */
	UNIT_END   /* PostgreSQL would close its connection: the member ends instead */
};

/* Adds a SELECT, without a NUL, that gives the server the parameters that the member's session has
 * now; nothing if it has none. Returns false if it is not known which the session has, as the unit
 * may have set some. */
typedef bool unit_parameters_fn(void *arg, struct buf *sql);

struct unit {
	enum unit_state state;
	enum unit_own own;
	bool open;      /* the member has begun something in the savepoint */
	bool block;     /* a BEGIN of the member is open */
	bool abandoned; /* the member is gone: what it has begun is being rolled back */
	bool failed;    /* an error has come in this Query or exchange */
	bool exchange;  /* messages of an exchange have come, and its Sync has not */
	bool drained;   /* in an exchange: all of it so far has been answered */
	struct unit_copy copy;
	bool early; /* a Sync was sent ahead of the data of a COPY IN, which swallows it */
	bool warns; /* a SET LOCAL outside of a BEGIN is under way: the warning comes at its end */
	char last;  /* type of the last message of the exchange, but for CopyData and Flush */
	unsigned executes; /* Execute messages in it that have not been answered */
	bool unsure;       /* that COPY has failed, maybe ahead of it: two ReadyForQuery, or one */
	bool answered;     /* the server has said something in the sequence of our own */
	bool timed;        /* members may have set timeouts */
	bool limited;      /* some that PostgreSQL would end the scope by */
	bool asks;         /* the request may look at them */
	bool exposed;      /* they are set in the server: unitown.h */
	/* In the order of unitlocal_timeouts[]: those of the member, 0 for none; and what they were
	 * when the unit was opened. */
	uint64_t limits_ms[UNITLOCAL_TIMEOUTS], begun_ms[UNITLOCAL_TIMEOUTS];
	bool constrains;  /* the unit may have said SET CONSTRAINTS */
	char written[32]; /* of struct unitown, as are the next two; "": not known */
	enum unit_constraints constraints;
	char *deferred;
	/* The server's default_transaction_read_only is on, or PostgreSQL, before 14, does not
	 * tell. */
	bool default_reads;
	bool large;              /* members may open large objects */
	bool reads_only;         /* so the unit is READ ONLY */
	bool reads;              /* the unit, or the one before an AND CHAIN, is READ ONLY */
	bool began_reading;      /* it is so by default, or by the AND CHAIN that has begun it */
	bool fresh;              /* the Execute that is done now is the first one */
	bool executed;           /* the exchange has an Execute */
	uint64_t units, answers; /* that have been opened, and ReadyForQuery to members */
	/* What the pool of the members is giving the server as its session's parameters, or NULL;
	 * the caller's. */
	const char *parameters;
	unit_parameters_fn *ask_parameters; /* the caller's, with its argument; NULL: false */
	void *ask_arg;
	/* A unit has been committed. The caller looks at that behind each message of the server,
	 * and makes it false again. */
	bool committed;
	/* Of the COMMIT that is under way, or the last one: the session's parameters were not
	 * known, so what the unit has set for its transaction may still be set behind it. */
	bool lingers;
	bool put_aside;                 /* the timeouts among them have been put aside */
	bool resets;                    /* the Query begins by setting statement_timeout */
	char status;                    /* of the server's last ReadyForQuery */
	unsigned tries;                 /* of the sequence: a late cancel may hit it */
	unsigned statements, completed; /* of the sequence, and how many have been answered */
	enum unit_own again;            /* the sequence that an UNDO is to be followed by */
	unsigned repeats;               /* of that */
	unsigned depth;                 /* of the guards */
	bool flat;                      /* the sequence releases them */
	unsigned wary;                  /* units until cancels are no longer feared */
	char name[40];                  /* of the savepoint */
	unsigned flags;                 /* of sqltext_init(), for the member's texts */

	bool error_of;    /* the sequence has failed: by `error` */
	struct buf error; /* body of its first ErrorResponse */

	/* What is done when the sequence has ended. */
	struct grammar *control; /* a BEGIN, COMMIT or ROLLBACK, in the middle of it; or NULL */
	bool nested;             /* the block was open before it */
	bool chained;            /* AND CHAIN: the modes have been set */
	bool begun;              /* BEGIN: the block is the one that it has begun */
	bool ended;              /* COMMIT, ROLLBACK: the unit has been ended */
	bool replaced;           /* the COMMIT became a ROLLBACK */
	bool refused;            /* the commit of the unit has failed, as the member was told */
	bool setting;            /* a SET TRANSACTION is being done, by `modes` */
	bool discarding;         /* a DISCARD ALL is being done */
	bool ready;              /* ReadyForQuery is due to the member */
	char *modes; /* BEGIN, SET TRANSACTION: modes that are still to be set; or NULL */

	/* Of the CommandComplete of a Query's last statement so far, which the member gets when its
	 * unit has been committed; or "". */
	char tag[80];

	/* A Query with transaction control, which is done part by part; or NULL. */
	char *text;
	size_t text_bytes, text_at;
	size_t text_chars; /* characters before text_at */
	size_t text_moves; /* what positions in the part that is under way lack */
	bool text_single;  /* it is one statement */
	bool text_moved;   /* the server would lex or decode the rest in another way than before */
	bool text_turns;   /* unit_next_part_() is under way */
	bool text_again;   /* in it: there is more to do now */

	struct unit_locals locals;
	bool captured; /* what comes ahead of a SET LOCAL has been done, and it comes next */

	struct unit_names names;
	struct unit_names sent; /* what the server has not answered of it */
	struct buf out;         /* messages for the server, to be sent before what is passed */
	struct buf reply;       /* messages for the member, likewise */
	const char *broken;     /* static: the scope cannot go on; NULL: it can */
};

/* `random`: a number that nobody can guess, for the savepoint's name. */
void unit_init(struct unit *, uint64_t random);
void unit_clear(struct unit *);

/* Begins: the server is at rest, and the transaction is open. Statements that others have prepared
 * are forgotten. `again`: so are all parameters, since it is not known what members have set. */
void unit_start(struct unit *, bool again);

/* The unit is idle: drops temporary tables and session-level advisory locks. */
void unit_tidy(struct unit *);

/* The member is gone, maybe in the middle of something: brings the unit to its end, by rolling it
 * back. A half-sent message to the server has been completed by the caller. The unit is idle when
 * that is done. */
void unit_abandon(struct unit *);

/* Is no unit open, and has the server answered everything? */
static inline bool
unit_is_idle(const struct unit *u)
{
	return u->state == UNIT_REST && !u->open && !u->block && u->text == NULL && !u->abandoned;
}

/* The timeouts that PostgreSQL would end the scope by, and that the caller keeps: if the member
 * breaks one, it is ended. In milliseconds; 0: none. */

/* From the ReadyForQuery in a BEGIN to the next message of the member. */
static inline uint64_t
unit_idle_limit_ms(const struct unit *u)
{
	return u->block && u->state == UNIT_REST ? u->limits_ms[2] : 0;
}

/* From the opening of the unit. */
static inline uint64_t
unit_whole_limit_ms(const struct unit *u)
{
	return u->open ? u->limits_ms[1] : 0;
}

/* Could a cancel hit what the member has asked for? */
static inline bool
unit_is_busy(const struct unit *u)
{
	return u->state != UNIT_REST;
}

/* Would a server be about to read the member's next message, with all before it executed? */
static inline bool
unit_reads_next(const struct unit *u)
{
	return u->state == UNIT_REST || u->state == UNIT_EXCHANGE ||
	       (u->state == UNIT_QUERY && u->copy.open);
}

/* Can it be handed over now? If not, it can be after the next answers of the server. */
bool unit_can_move(const struct unit *);
/* For the handover. */
void unit_pack(struct pack *, struct unit *);

const char *unit_state_name(enum unit_state);

#endif
