#include "cli/tracefile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* Of PRAGMA application_id: "PGWT". */
#define APPLICATION "0x50475754"

/* Words of the format have these ids, names follow behind them. */
enum { WORD_TRACK = 1, WORD_STATE = 11, WORD_NAME = 100 };

enum { PUT_SPAN, PUT_CLIENT, PUT_WORD, PUTS };

struct tracefile {
	const char *path;
	char *beside; /* the name while it is written; NULL: there is no such file */
	int64_t begin_us;
	bool failed;
	/* SQLite: */
	sqlite3 *db;
	sqlite3_stmt *put[PUTS];
	/* Chrome: */
	FILE *json;
	uint64_t written;
};

static bool
ends_in(const char *path, const char *end)
{
	size_t n = strlen(path), bytes = strlen(end);

	return n > bytes && strcmp(path + n - bytes, end) == 0;
}

static bool
is_chrome(const char *path)
{
	return ends_in(path, ".json");
}

bool
tracefile_name_is_good(const char *path)
{
	if (is_chrome(path) || ends_in(path, ".db") || ends_in(path, ".sqlite"))
		return true;
	fprintf(stderr,
		"pgwith: trace: \"%s\" ends neither in .db or .sqlite (SQLite) nor in .json "
		"(Perfetto)\n",
		path);
	return false;
}

struct tracefile *
tracefile_new(const char *path)
{
	struct tracefile *f;
	struct stat st;

	if (lstat(path, &st) == 0) {
		fprintf(stderr, "pgwith: %s exists already, and is not overwritten\n", path);
		return NULL;
	}
	if (errno != ENOENT) {
		fprintf(stderr, "pgwith: %s: %s\n", path, strerror(errno));
		return NULL;
	}
	f = mem_calloc(1, sizeof *f);
	f->path = path;
	return f;
}

/* Says what has failed, but only once. */
static void
fail(struct tracefile *f, const char *why)
{
	if (!f->failed)
		fprintf(stderr, "pgwith: %s: %s\n", f->path, why);
	f->failed = true;
}

/* Makes the file under another name in the same directory; of its mode, the umask decides. */
static void
make_beside(struct tracefile *f)
{
	const char *slash = strrchr(f->path, '/');
	int fd;
	mode_t mask = umask(0);

	umask(mask);
	f->beside =
	    mem_printf("%.*s.pgwith-trace-XXXXXX", slash ? (int)(slash + 1 - f->path) : 0, f->path);
	fd = mkostemp(f->beside, O_CLOEXEC);
	if (fd < 0) {
		fail(f, strerror(errno));
		free(f->beside);
		f->beside = NULL;
		return;
	}
	if (fchmod(fd, 0666 & ~mask) < 0)
		fail(f, strerror(errno));
	if (is_chrome(f->path) && !f->failed)
		f->json = fdopen(fd, "w");
	if (f->json == NULL)
		close(fd);
}

/* Gives the file its name, unless there is one of that name. Not every file system
 * has RENAME_NOREPLACE. */
static void
give_name(struct tracefile *f)
{
	if (renameat2(AT_FDCWD, f->beside, AT_FDCWD, f->path, RENAME_NOREPLACE) == 0)
		goto out;
	if (errno == EINVAL || errno == ENOSYS) {
		struct stat st;

		if (lstat(f->path, &st) == 0)
			errno = EEXIST;
		else if (rename(f->beside, f->path) == 0)
			goto out;
	}
	if (errno == EEXIST) {
		fprintf(stderr,
			"pgwith: %s exists now, and is not overwritten: the recording is in %s\n",
			f->path, f->beside);
		f->failed = true;
	} else {
		fail(f, strerror(errno));
		unlink(f->beside);
	}
out:
	free(f->beside);
	f->beside = NULL;
}

/* ---- SQLite ---- */

static void
run_sql(struct tracefile *f, const char *sql)
{
	if (!f->failed && sqlite3_exec(f->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail(f, sqlite3_errmsg(f->db));
}

static void
put(struct tracefile *f, unsigned which)
{
	if (sqlite3_step(f->put[which]) != SQLITE_DONE)
		fail(f, sqlite3_errmsg(f->db));
	sqlite3_reset(f->put[which]);
}

static void
put_word(struct tracefile *f, unsigned id, const char *text)
{
	if (f->failed)
		return;
	sqlite3_bind_int64(f->put[PUT_WORD], 1, id);
	sqlite3_bind_text(f->put[PUT_WORD], 2, text, -1, SQLITE_STATIC);
	put(f, PUT_WORD);
}

static void
begin_sqlite(struct tracefile *f)
{
	/* The file is new, and nobody else's: if it cannot be written whole, it is removed. */
	static const char schema[] =
	    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"
	    "PRAGMA application_id=" APPLICATION "; PRAGMA user_version=1;"
	    "BEGIN;"
	    "CREATE TABLE recording(began_at REAL, end_us INTEGER, events INTEGER, lost INTEGER,"
	    " restarts INTEGER, pool TEXT, version TEXT);"
	    "CREATE TABLE word(id INTEGER PRIMARY KEY, text TEXT);"
	    "CREATE TABLE client(id INTEGER PRIMARY KEY, session INTEGER, pid INTEGER,"
	    " role INTEGER, program INTEGER, application_name INTEGER);"
	    "CREATE TABLE span(track INTEGER, id INTEGER, state INTEGER, begin_us INTEGER,"
	    " end_us INTEGER, client INTEGER, pool INTEGER, scope INTEGER);"
	    "CREATE VIEW segment AS SELECT t.text AS track, s.id, w.text AS state, s.begin_us,"
	    " s.end_us, c.session, c.pid, r.text AS role, g.text AS program,"
	    " a.text AS application_name, p.text AS pool, o.text AS scope FROM span s"
	    " JOIN word t ON t.id=s.track JOIN word w ON w.id=s.state"
	    " LEFT JOIN client c ON c.id=s.client LEFT JOIN word r ON r.id=c.role"
	    " LEFT JOIN word g ON g.id=c.program LEFT JOIN word a ON a.id=c.application_name"
	    " LEFT JOIN word p ON p.id=s.pool LEFT JOIN word o ON o.id=s.scope;";
	static const char *const puts_sql[PUTS] = {
	    [PUT_SPAN] = "INSERT INTO span VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
	    [PUT_CLIENT] = "INSERT INTO client VALUES(?1,?2,?3,?4,?5,?6)",
	    [PUT_WORD] = "INSERT INTO word VALUES(?1,?2)",
	};

	if (sqlite3_open_v2(f->beside, &f->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		fail(f, sqlite3_errmsg(f->db));
		return;
	}
	run_sql(f, schema);
	for (int i = 0; i < PUTS && !f->failed; i++)
		if (sqlite3_prepare_v2(f->db, puts_sql[i], -1, &f->put[i], NULL) != SQLITE_OK)
			fail(f, sqlite3_errmsg(f->db));
	for (unsigned i = 0; i < TIMELINE_NTRACKS; i++)
		put_word(f, WORD_TRACK + i, timeline_track_name(i));
	for (unsigned i = 0; i < TIMELINE_NSTATES; i++)
		put_word(f, WORD_STATE + i, timeline_state_name(i));
}

/* Binds the id of the label's word, which is written first. */
static void
bind_label(struct tracefile *f, unsigned which, int at, struct label *l)
{
	if (l == NULL) {
		sqlite3_bind_null(f->put[which], at);
		return;
	}
	if (!l->written)
		put_word(f, WORD_NAME + l->id, l->text);
	l->written = true;
	sqlite3_bind_int64(f->put[which], at, WORD_NAME + l->id);
}

static void
put_client(struct tracefile *f, struct timeline_who *who)
{
	sqlite3_stmt *st = f->put[PUT_CLIENT];

	who->written = true;
	sqlite3_bind_int64(st, 1, who->number);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)who->session);
	sqlite3_bind_int64(st, 3, who->pid);
	bind_label(f, PUT_CLIENT, 4, who->role);
	bind_label(f, PUT_CLIENT, 5, who->program);
	bind_label(f, PUT_CLIENT, 6, who->application_name);
	put(f, PUT_CLIENT);
}

static void
put_span(struct tracefile *f, const struct timeline_segment *s)
{
	sqlite3_stmt *st = f->put[PUT_SPAN];

	if (s->who && !s->who->written)
		put_client(f, s->who);
	sqlite3_bind_int64(st, 1, WORD_TRACK + s->track);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)s->id);
	sqlite3_bind_int64(st, 3, WORD_STATE + s->state);
	sqlite3_bind_int64(st, 4, s->begin_us - f->begin_us);
	sqlite3_bind_int64(st, 5, s->end_us - f->begin_us);
	if (s->who)
		sqlite3_bind_int64(st, 6, s->who->number);
	else
		sqlite3_bind_null(st, 6);
	bind_label(f, PUT_SPAN, 7, s->pool);
	bind_label(f, PUT_SPAN, 8, s->scope);
	put(f, PUT_SPAN);
}

static void
end_sqlite(struct tracefile *f, const struct tracefile_about *about)
{
	char *sql = sqlite3_mprintf(
	    "INSERT INTO recording VALUES(%.3f,%lld,%lld,%lld,%u,%Q,%Q); COMMIT", about->began_at,
	    (long long)(about->end_us - about->begin_us), (long long)about->events,
	    (long long)about->lost, about->restarts, about->pool, PACKAGE_VERSION);

	run_sql(f, sql);
	sqlite3_free(sql);
}

/* ---- Chrome's trace format: "Trace Event Format", an object with the array traceEvents ---- */

static void
json_text(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		if ((unsigned char)*text < 0x20)
			fprintf(f, "\\u%04x", (unsigned char)*text);
		else
			fputc(*text, f);
	}
	fputc('"', f);
}

/* A name of a process or thread of the picture. */
static void
json_name(struct tracefile *f, const char *what, unsigned process, uint64_t thread,
	  const char *name)
{
	fprintf(f->json,
		"%s{\"ph\":\"M\",\"pid\":%u,\"tid\":%" PRIu64
		",\"name\":\"%s\",\"args\":{\"name\":",
		f->written++ ? ",\n" : "", process, thread, what);
	json_text(f->json, name);
	fputs("}}", f->json);
}

static void
begin_chrome(struct tracefile *f)
{
	fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", f->json);
	json_name(f, "process_name", 1 + TIMELINE_SERVER, 0, "servers");
	json_name(f, "process_name", 1 + TIMELINE_SESSION, 0, "sessions");
	json_name(f, "process_name", 1 + TIMELINE_SCOPE, 0, "scopes");
}

static void
json_label(FILE *f, const char *key, const struct label *l)
{
	if (l == NULL)
		return;
	fprintf(f, ",\"%s\":", key);
	json_text(f, l->text);
}

/* A session's line is called by its number and application_name, or program. */
static void
name_lines(struct tracefile *f, struct timeline_who *who)
{
	const struct label *name = who->application_name ? who->application_name : who->program;
	char *text = mem_printf("%" PRIu64 "%s%s", who->session, name ? " " : "", label_text(name));

	who->written = true;
	json_name(f, "thread_name", 1 + TIMELINE_SESSION, who->session, text);
	json_name(f, "thread_name", 1 + TIMELINE_SCOPE, who->session, text);
	free(text);
}

static void
add_chrome(struct tracefile *f, const struct timeline_segment *s)
{
	FILE *out = f->json;
	const char *state = timeline_state_name(s->state);

	if (s->who && !s->who->written)
		name_lines(f, s->who);
	fprintf(out,
		",\n{\"ph\":\"X\",\"pid\":%u,\"tid\":%" PRIu64 ",\"ts\":%" PRId64
		",\"dur\":%" PRId64 ",\"cat\":\"%s\",\"name\":",
		1 + s->track, s->id, s->begin_us - f->begin_us, s->end_us - s->begin_us,
		timeline_track_name(s->track));
	json_text(out, s->track == TIMELINE_SCOPE && s->scope ? s->scope->text : state);
	fprintf(out, ",\"args\":{\"state\":\"%s\"", state);
	json_label(out, "pool", s->pool);
	json_label(out, "scope", s->scope);
	if (s->who) {
		fprintf(out, ",\"session\":%" PRIu64 ",\"pid\":%" PRId64, s->who->session,
			s->who->pid);
		json_label(out, "role", s->who->role);
		json_label(out, "program", s->who->program);
		json_label(out, "application_name", s->who->application_name);
	}
	fputs("}}", out);
	f->written++;
}

static void
end_chrome(struct tracefile *f, const struct tracefile_about *about)
{
	fprintf(f->json,
		"\n],\"otherData\":{\"began_at\":%.3f,\"end_us\":%" PRId64 ",\"events\":%" PRIu64
		",\"lost\":%" PRIu64 ",\"restarts\":%u,\"version\":\"%s\"}}\n",
		about->began_at, about->end_us - about->begin_us, about->events, about->lost,
		about->restarts, PACKAGE_VERSION);
}

static void
check_chrome(struct tracefile *f)
{
	if (ferror(f->json))
		fail(f, strerror(errno));
}

/* ---- both ---- */

bool
tracefile_begin(struct tracefile *f, int64_t begin_us)
{
	f->begin_us = begin_us;
	make_beside(f);
	if (f->json)
		begin_chrome(f);
	else if (!f->failed)
		begin_sqlite(f);
	return !f->failed;
}

void
tracefile_add(struct tracefile *f, const struct timeline_segment *s)
{
	if (f->failed)
		return;
	if (f->json == NULL) {
		put_span(f, s);
		return;
	}
	add_chrome(f, s);
	check_chrome(f);
}

bool
tracefile_failed(const struct tracefile *f)
{
	return f->failed;
}

/* Closes what is open. */
static void
close_file(struct tracefile *f)
{
	for (int i = 0; i < PUTS; i++)
		sqlite3_finalize(f->put[i]);
	if (f->db && sqlite3_close(f->db) != SQLITE_OK)
		fail(f, "cannot be closed");
	if (f->json && fclose(f->json) != 0)
		fail(f, strerror(errno));
	memset(f->put, 0, sizeof f->put);
	f->db = NULL;
	f->json = NULL;
}

bool
tracefile_end(struct tracefile *f, const struct tracefile_about *about)
{
	if (f->json && !f->failed) {
		end_chrome(f, about);
		check_chrome(f);
	} else if (f->db) {
		end_sqlite(f, about);
	}
	close_file(f);
	if (!f->failed)
		give_name(f);
	return !f->failed;
}

void
tracefile_free(struct tracefile *f)
{
	if (f == NULL)
		return;
	/* The reason, if there is any, has been said. */
	f->failed = true;
	close_file(f);
	if (f->beside)
		unlink(f->beside);
	free(f->beside);
	free(f);
}
