#include "cli/tracereport.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS_MAX 12

/* One table of the report. `kinds`: of its columns, n for a number, t for a text. */
static const struct {
	const char *kinds, *sql;
} tables[] = {
    /* when, and how much */
    {"tnnnn", "SELECT datetime(began_at,'unixepoch','localtime') began,"
	      " printf('%.3f',end_us/1e6) wall_s, events, lost, restarts FROM recording"},

    /* where the time of servers and sessions went */
    {"ttnnn", "SELECT t.text track, w.text state, printf('%.3f',x.us/1e6) time_s,"
	      " printf('%.1f',100.0*x.us/sum(x.us) OVER (PARTITION BY x.track)) percent, x.n times"
	      " FROM (SELECT track, state, sum(end_us-begin_us) us, count(*) n FROM span"
	      "  GROUP BY track, state) x"
	      " JOIN word t ON t.id=x.track JOIN word w ON w.id=x.state"
	      " WHERE t.text<>'scope' ORDER BY x.track, x.us DESC"},

    /* how many there were, and the sum of their times */
    {"tnn", "SELECT t.text track, x.n seen, printf('%.3f',x.us/1e6) time_s"
	    " FROM (SELECT track, count(DISTINCT id) n, sum(end_us-begin_us) us FROM span"
	    "  GROUP BY track) x"
	    " JOIN word t ON t.id=x.track WHERE t.text<>'scope' ORDER BY x.track"},

    /* who keeps a server without using it; then who keeps one at all */
    {"tntttnnnn",
     "WITH unused AS (SELECT id FROM word WHERE id<100 AND text IN('idle in transaction','held')),"
     " running AS (SELECT id FROM word WHERE id<100 AND text='running'),"
     " x AS (SELECT client, pool, scope, sum((state IN unused)*(end_us-begin_us)) unused,"
     "  max((state IN unused)*(end_us-begin_us)) longest,"
     "  sum((state IN running)*(end_us-begin_us)) running, sum(end_us-begin_us) us"
     "  FROM span WHERE client IS NOT NULL"
     "  AND track=(SELECT id FROM word WHERE id<100 AND text='server')"
     "  GROUP BY client, pool, scope)"
     " SELECT g.text program, c.pid, a.text application_name, o.text scope, p.text pool,"
     " printf('%.3f',sum(unused)/1e6) unused_s, printf('%.3f',max(longest)/1e6) longest_s,"
     " printf('%.3f',sum(running)/1e6) running_s, printf('%.3f',sum(us)/1e6) kept_s"
     " FROM x JOIN client c ON c.id=x.client LEFT JOIN word g ON g.id=c.program"
     " LEFT JOIN word a ON a.id=c.application_name LEFT JOIN word p ON p.id=x.pool"
     " LEFT JOIN word o ON o.id=x.scope GROUP BY 1,2,3,4,5"
     " ORDER BY sum(unused) DESC, sum(us) DESC LIMIT 10"},

    /* who waits */
    {"tnttttnnn",
     "WITH x AS (SELECT client, pool, scope, state, sum(end_us-begin_us) us,"
     "  max(end_us-begin_us) longest, count(*) n FROM span"
     "  WHERE state IN (SELECT id FROM word WHERE id<100 AND text LIKE 'waiting%')"
     "  GROUP BY client, pool, scope, state)"
     " SELECT g.text program, c.pid, a.text application_name, w.text waits, p.text pool,"
     " o.text scope, sum(n) times, printf('%.3f',sum(us)/1e6) time_s,"
     " printf('%.3f',max(longest)/1e6) longest_s"
     " FROM x JOIN client c ON c.id=x.client JOIN word w ON w.id=x.state"
     " LEFT JOIN word g ON g.id=c.program LEFT JOIN word a ON a.id=c.application_name"
     " LEFT JOIN word p ON p.id=x.pool LEFT JOIN word o ON o.id=x.scope GROUP BY 1,2,3,4,5,6"
     " ORDER BY sum(us) DESC LIMIT 10"},
};
#define TABLES (sizeof tables / sizeof *tables)

static enum ask_status
bad(sqlite3 *db, const char *path)
{
	int code = sqlite3_errcode(db);

	/* It is something else, or it is SQLite without these tables. */
	if (code == SQLITE_NOTADB || code == SQLITE_ERROR)
		fprintf(stderr, "pgwith: %s: this is no recording of pgwith trace to SQLite\n",
			path);
	else
		fprintf(stderr, "pgwith: %s: %s\n", path, sqlite3_errmsg(db));
	return ASK_TROUBLE;
}

static enum ask_status
print_table(sqlite3 *db, const char *path, unsigned which, const struct table_look *look)
{
	const char *kinds = tables[which].kinds;
	int n = (int)strlen(kinds), step;
	sqlite3_stmt *st;
	struct table *t;

	if (sqlite3_prepare_v2(db, tables[which].sql, -1, &st, NULL) != SQLITE_OK)
		return bad(db, path);
	t = table_new();
	for (int i = 0; i < n; i++)
		table_column(t, sqlite3_column_name(st, i),
			     kinds[i] == 'n' ? TABLE_NUMBER : TABLE_TEXT);
	while ((step = sqlite3_step(st)) == SQLITE_ROW) {
		const char *cells[COLUMNS_MAX];

		for (int i = 0; i < n; i++)
			cells[i] = (const char *)sqlite3_column_text(st, i);
		table_row(t, cells);
	}
	sqlite3_finalize(st);
	if (step == SQLITE_DONE) {
		if (which > 0)
			putchar('\n');
		table_print(t, look, stdout);
	}
	table_free(t);
	return step == SQLITE_DONE ? ASK_GOOD : bad(db, path);
}

/* If events were lost, the reader of the report should know. */
static void
say_lost(sqlite3 *db)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(db, "SELECT lost FROM recording WHERE lost>0", -1, &st, NULL) !=
	    SQLITE_OK)
		return;
	if (sqlite3_step(st) == SQLITE_ROW)
		fprintf(stderr,
			"pgwith: %lld events were lost while it was recorded: times are not "
			"exact\n",
			(long long)sqlite3_column_int64(st, 0));
	sqlite3_finalize(st);
}

enum ask_status
tracereport_print(const char *path, const struct table_look *look)
{
	enum ask_status status = ASK_GOOD;
	sqlite3 *db;

	/* SQLite does not say why it cannot open a file. */
	if (access(path, R_OK) != 0) {
		int why = errno;

		fprintf(stderr, "pgwith: %s: %s\n", path, strerror(why));
		return why == ENOENT ? ASK_USAGE : ASK_TROUBLE;
	}
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		status = bad(db, path);
	for (unsigned i = 0; i < TABLES && status == ASK_GOOD; i++)
		status = print_table(db, path, i, look);
	if (status == ASK_GOOD)
		say_lost(db);
	sqlite3_close(db);
	return status;
}
