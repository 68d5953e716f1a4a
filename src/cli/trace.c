#include "cli/trace.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/tracepack.h"
#include "base/units.h"
#include "cli/clock.h"
#include "cli/interrupt.h"
#include "cli/spool.h"
#include "cli/timeline.h"
#include "cli/tracefile.h"
#include "cli/tracereport.h"

/* How often pgwithd is asked. It keeps TRACE_EVENTS meanwhile: enough for a million in a second. */
#define POLL_MS 50
/* The making of the file leaves the processor to others. */
#define NICE 10
/* How many portions are fetched at the end, if there are always more: as many as fill the ring. */
#define BEHIND_MAX (TRACE_EVENTS / TRACE_PORTION)

/* ---- recording: from pgwithd to the spool ---- */

struct recording {
	struct ask *ask;
	struct spool *spool;
	const char *path;
	struct tracefile_about about;
	bool begun;
	bool whole;           /* the first snapshot has ended: about.begin_us is its end */
	uint64_t lost_before; /* events that were lost before pgwithd was restarted */
	bool all;             /* with the last portion, all was told */
};

/* The name of the process; "" if it is gone. */
static void
program_of(int64_t pid, char *out, int out_size)
{
	char path[48];
	FILE *f;

	*out = 0;
	snprintf(path, sizeof path, "/proc/%lld/comm", (long long)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	if (fgets(out, out_size, f) == NULL)
		*out = 0;
	out[strcspn(out, "\n")] = 0;
	fclose(f);
}

/* The file begins when the first snapshot has told of all sessions and servers, which takes pgwithd
 * some answers if there are thousands: so each of them is there from the beginning of the file. */
static void
begin_recording(struct recording *r, int64_t at_us)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	r->begun = true;
	r->about.begin_us = at_us;
	r->about.began_at =
	    (double)wall.tv_sec + (double)wall.tv_nsec / 1e9 - (double)(clock_us() - at_us) / 1e6;
}

/* What must be looked at while it is recorded: whether it can be read, and the names of programs,
 * which may end. Returns 0, or -E_... as tracepack.h, or -E_IO of the spool. */
static int
look_at_portion(struct recording *r, const void *data, size_t bytes)
{
	struct tracepack_record record;
	struct tracepack_reader in;
	int result = tracepack_read(&in, data, bytes);

	if (result < 0)
		return result;
	if ((in.flags & TRACEPACK_FIRST) && r->begun) {
		fprintf(stderr, "pgwith: pgwithd was restarted; the recording goes on\n");
		r->about.restarts++;
		r->lost_before = r->about.lost;
	}
	if (!r->begun)
		begin_recording(r, in.now_us);
	r->about.lost = r->lost_before + in.lost;
	r->about.end_us = in.now_us;
	r->all = in.flags & TRACEPACK_ALL;
	while ((result = tracepack_next(&in, &record)) > 0) {
		char program[64];

		if (record.is_name)
			continue;
		r->about.events++;
		if (!r->whole && record.event.kind == TRACE_SNAPSHOT && record.event.state == 0) {
			r->whole = true;
			begin_recording(r, record.event.at_us);
		}
		if (record.event.kind != TRACE_WHO)
			continue;
		program_of((int64_t)record.event.other, program, sizeof program);
		if (*program &&
		    spool_add_program(r->spool, (int64_t)record.event.other, program) < 0)
			return -E_IO;
	}
	return result;
}

static enum ask_status
take_portion(struct recording *r)
{
	enum ask_status status;
	size_t bytes;
	void *data;
	int result;

	status = ask_bytes(r->ask, "TRACE", &data, &bytes);
	if (status != ASK_GOOD)
		return status;
	result = data ? look_at_portion(r, data, bytes) : -E_RANGE;
	if (result == 0)
		result = spool_add(r->spool, SPOOL_PORTION, data, bytes);
	free(data);
	if (result == 0)
		return ASK_GOOD;
	if (result == -E_IO)
		fprintf(stderr, "pgwith: %s: %s: the recording ends here\n", r->path,
			strerror(errno));
	else
		fprintf(stderr, "pgwith: the answer to TRACE cannot be read: pgwithd is of another "
				"version\n");
	return ASK_TROUBLE;
}

/* Records until the time is over or a signal has come. */
static enum ask_status
record(struct recording *r, int64_t seconds)
{
	int64_t until = clock_us() + seconds * UNIT_S;
	struct pollfd p = {.fd = interrupt_fd(), .events = POLLIN};
	enum ask_status status;
	unsigned behind = 0;
	bool last = false;

	do {
		last |= clock_us() >= until;
		status = take_portion(r);
		if (status != ASK_GOOD)
			break;
		/* After a signal, what has happened up to it is still fetched. */
		if (!last && poll(&p, 1, r->all ? POLL_MS : 0) > 0) {
			interrupt_take();
			ask_limit(r->ask, ASK_GRACE_US);
			until = 0;
		}
	} while (!last || (!r->all && behind++ < BEHIND_MAX));
	if (status == ASK_CANCELLED) {
		interrupt_take();
		fprintf(stderr, "pgwith: pgwithd does not answer\n");
		status = ASK_UNREACHABLE;
	}
	if (status == ASK_UNREACHABLE && r->begun)
		fprintf(stderr, "pgwith: %s\n",
			ask_is_lost(r->ask) ? "pgwithd has ended, and the recording with it"
					    : "the recording ends here");
	return status;
}

/* ---- from the spool to the file ---- */

struct making {
	struct timeline *line;
	struct labels labels;
	struct label *names[TRACE_NAMES + 1];
	struct tracefile *file;
	const char *pool;
	int64_t begin_us; /* what was before is not written */
};

/* --pool: the servers and sessions of the pool, also while such a session waits for a server of
 * another one, and other sessions while they wait for a server of this one. */
static bool
is_wanted(const struct making *m, const struct timeline_segment *s)
{
	return m->pool == NULL || strcmp(label_text(s->pool), m->pool) == 0 ||
	       strcmp(label_text(s->own_pool), m->pool) == 0;
}

static void
on_segment(void *arg, const struct timeline_segment *s)
{
	const struct making *m = arg;
	struct timeline_segment cut = *s;

	if (cut.begin_us < m->begin_us)
		cut.begin_us = m->begin_us;
	if (cut.begin_us < cut.end_us && is_wanted(m, s))
		tracefile_add(m->file, &cut);
}

/* The label of a name that a stranger may have made. */
static struct label *
clean_label(struct making *m, const void *text, size_t bytes)
{
	struct label *l;
	struct buf b;

	buf_init(&b, BUF_MAX);
	buf_add_clean(&b, text, bytes);
	l = label_of(&m->labels, (const char *)buf_data(&b), b.len);
	buf_clear(&b);
	return l;
}

/* The portion was read before, and is good. */
static void
make_portion(struct making *m, const void *data, size_t bytes)
{
	struct tracepack_record record;
	struct tracepack_reader in;

	if (tracepack_read(&in, data, bytes) < 0)
		return;
	while (tracepack_next(&in, &record) > 0)
		if (record.is_name)
			m->names[record.number] = clean_label(m, record.text, record.bytes);
		else
			timeline_event(m->line, &record.event, m->names[record.event.name],
				       m->names[record.event.name2]);
}

static void
make_program(struct making *m, const void *data, size_t bytes)
{
	int64_t pid;

	memcpy(&pid, data, sizeof pid);
	timeline_program(m->line, pid,
			 clean_label(m, (const char *)data + sizeof pid, bytes - sizeof pid));
}

/* Goes through the spool. False: a signal has come, or nothing more can be read or written. */
static bool
make_all(struct making *m, struct spool *spool, const char *path)
{
	struct pollfd p = {.fd = interrupt_fd(), .events = POLLIN};
	enum spool_kind kind;
	const void *data;
	size_t bytes;
	int result = spool_rewind(spool);

	while (result == 0 && (result = spool_next(spool, &kind, &data, &bytes)) > 0) {
		if (kind == SPOOL_PROGRAM) {
			make_program(m, data, bytes);
		} else {
			make_portion(m, data, bytes);
			if (poll(&p, 1, 0) > 0) {
				fprintf(stderr, "pgwith: given up: %s is not kept\n", path);
				return false;
			}
		}
		if (tracefile_failed(m->file))
			return false;
		result = 0;
	}
	if (result < 0)
		fprintf(stderr, "pgwith: %s: %s\n", path, strerror(errno));
	return result == 0;
}

static enum ask_status
make_file(struct recording *r, struct tracefile *file)
{
	struct making *m = mem_calloc(1, sizeof *m);
	enum ask_status status = ASK_TROUBLE;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "pgwith: %.1f s and %llu events are recorded; writing %s\n",
			(double)(r->about.end_us - r->about.begin_us) / 1e6,
			(unsigned long long)r->about.events, r->path);
	setpriority(PRIO_PROCESS, 0, NICE);
	labels_init(&m->labels);
	m->file = file;
	m->pool = r->about.pool;
	m->begin_us = r->about.begin_us;
	m->line = timeline_new(on_segment, m);
	if (tracefile_begin(file, r->about.begin_us) && make_all(m, r->spool, r->path)) {
		timeline_end(m->line, r->about.end_us);
		status = tracefile_end(file, &r->about) ? ASK_GOOD : ASK_TROUBLE;
	} else if (interrupt_take()) {
		status = ASK_CANCELLED;
	}
	timeline_free(m->line);
	labels_clear(&m->labels);
	free(m);
	return status;
}

/* ---- the command ---- */

/* Is there such a pool? */
static enum ask_status
check_pool(struct ask *ask, const char *pool)
{
	struct table *t;
	enum ask_status status = ask_for(ask, "SHOW DATABASES", &t);
	bool found = false;

	if (status != ASK_GOOD)
		return status;
	for (unsigned i = 0; i < table_rows(t) && !found; i++) {
		const char *name = table_cell(t, i, "name");

		found = name && strcmp(name, pool) == 0;
	}
	table_free(t);
	if (found)
		return ASK_GOOD;
	fprintf(stderr, "pgwith: there is no pool \"%s\"\n", pool);
	return ASK_USAGE;
}

/* Records, and makes the file. Both are open. */
static enum ask_status
record_to(struct recording *r, struct tracefile *file, int64_t seconds)
{
	enum ask_status status, made = ASK_TROUBLE;

	r->spool = spool_new(r->path);
	if (r->spool == NULL) {
		fprintf(stderr, "pgwith: %s: %s\n", r->path, strerror(errno));
		return ASK_TROUBLE;
	}
	/* A terminal that goes away, as when ssh breaks off, does not end the recording. */
	signal(SIGHUP, SIG_IGN);
	status = record(r, seconds);
	/* pgwithd does not record any longer. */
	ask_close(r->ask);
	r->ask = NULL;
	if (r->begun) {
		made = make_file(r, file);
		status = made == ASK_GOOD ? status : made;
	}
	if (made == ASK_GOOD && r->about.lost > 0)
		fprintf(stderr,
			"pgwith: %llu of %llu events were lost: pgwith was too slow; times are not "
			"exact\n",
			(unsigned long long)r->about.lost,
			(unsigned long long)(r->about.lost + r->about.events));
	spool_free(r->spool);
	return status;
}

enum ask_status
trace_record(const struct commands_entry *entry, const struct commands_how *how, struct ask *none,
	     char **args)
{
	struct recording r = {.path = how->output ? how->output : how->columns,
			      .about = {.pool = how->pool}};
	struct tracefile *file = NULL;
	enum ask_status status;

	if (how->report)
		return tracereport_print(how->report, &how->look);
	if (r.path == NULL) {
		fprintf(stderr, "pgwith: trace: -o FILE says where to; --report FILE reads one\n");
		return ASK_USAGE;
	}
	if (!tracefile_name_is_good(r.path))
		return ASK_USAGE;
	status = ask_open(&how->whom, &r.ask);
	if (status == ASK_GOOD && how->pool)
		status = check_pool(r.ask, how->pool);
	if (status == ASK_GOOD) {
		/* From here on a signal ends the recording, not the process. */
		interrupt_fd();
		file = tracefile_new(r.path);
		status = file ? record_to(&r, file, how->seconds) : ASK_TROUBLE;
	}
	tracefile_free(file);
	ask_close(r.ask);
	return status;
}
