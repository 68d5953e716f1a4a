/* A configuration of several files, and one that is changed while it is used. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "conf_text.h"

/* ---- several files, and files of secrets ---- */

/* The path of a file beside conf_text_path. */
static const char *
beside(const char *name)
{
	static char text[4][sizeof conf_text_dir + 40];
	static unsigned next;
	char *out = text[next++ % 4];

	snprintf(out, sizeof *text, "%s/%s", conf_text_dir, name);
	return out;
}

static void
put(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(beside(name), "w");

	ck_assert_ptr_nonnull(f);
	ck_assert(fputs(text, f) >= 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(beside(name), mode), 0);
}

static void
take_away(const char *name)
{
	unlink(beside(name));
}

/* The source of an option, as SHOW CONFIG has it. */
static const char *
source(const struct conf *c, const char *section, const char *option)
{
	static char text[200];

	for (unsigned i = 0; i < conf_entries(c); i++) {
		struct conf_entry e;
		bool found;

		conf_entry(c, i, &e);
		found = strcmp(e.section, section) == 0 && strcmp(e.name, option) == 0;
		if (found)
			snprintf(text, sizeof text, "%s", e.source);
		conf_entry_clear(&e);
		if (found)
			return text;
	}
	return NULL;
}

START_TEST(files_are_included)
{
	char wanted[200];
	struct conf *c;

	put("2.inc", "[pool b]\nconninfo = dbname=b\n[pgwith]\n\nsize = 7\n", 0644);
	put("10.inc", "[pool c]\nconninfo = dbname=c\n[scope s]\npool = a\n", 0644);
	put("one", "# nothing\n", 0644);
	c = conf_good(
	    "[pgwith]\ninclude = one\ninclude = *.inc\ninclude = none*\nport = 7\n[pool a]\n"
	    "conninfo = dbname=a\nsize = 3\n");
	ck_assert_str_eq(c->include, "one, *.inc, none*");
	ck_assert_uint_eq(c->npools, 3);
	/* In the order of names. */
	ck_assert_str_eq(c->pools[0].name, "a");
	ck_assert_str_eq(c->pools[1].name, "c");
	ck_assert_str_eq(c->pools[2].name, "b");
	ck_assert_ptr_nonnull(conf_scope(c, "s"));
	ck_assert_int_eq(c->pools[0].size, 3);
	ck_assert_int_eq(c->pools[1].size, 7);
	snprintf(wanted, sizeof wanted, "%s:8", conf_text_path);
	ck_assert_str_eq(source(c, "pool a", "size"), wanted);
	snprintf(wanted, sizeof wanted, "%s:5", beside("2.inc"));
	ck_assert_str_eq(source(c, "pool c", "size"), wanted);
	ck_assert_str_eq(source(c, "pgwith", "size"), wanted);
	ck_assert_str_eq(source(c, "pool c", "mode"), "default");
	conf_free(c);
	take_away("2.inc");
	take_away("10.inc");
	take_away("one");
}
END_TEST

static const struct {
	const char *text;
	mode_t mode;
	const char *words; /* NULL: it is good */
} secrets[] = {
    {"hushhush", 0600, NULL},
    {" \n\thushhush \n\n", 0640, NULL},
    {"hushhush", 0400, NULL},
    {"hushhush", 0604, "(mode 0604): chmod 0600 "},
    {"hushhush", 0620, "(mode 0620): chmod 0600 "},
    {"", 0600, "is empty"},
    {" \n", 0600, "is empty"},
};

START_TEST(a_password_may_be_in_a_file)
{
	char text[300];
	struct conf_problems p;
	struct conf *c;

	snprintf(text, sizeof text, "[pool a]\nconninfo = dbname=a\npassword = file:%s\n",
		 beside("secret"));
	put("secret", secrets[_i].text, secrets[_i].mode);
	c = conf_load_bytes(text, strlen(text), &p);
	if (secrets[_i].words == NULL) {
		char *shown = NULL;

		ck_assert_ptr_nonnull(c);
		ck_assert_str_eq(c->pools[0].password, "hushhush");
		shown = option_text(option_find("password"), &c->pools[0]);
		ck_assert_str_eq(shown, "********");
		free(shown);
	} else {
		ck_assert_ptr_null(c);
		ck_assert_uint_eq(p.count, 1);
		ck_assert_uint_eq(p.list[0].line, 3);
		ck_assert_msg(strstr(p.list[0].text, secrets[_i].words) != NULL, "%s",
			      p.list[0].text);
	}
	for (unsigned i = 0; i < p.count; i++)
		ck_assert_ptr_null(strstr(p.list[i].text, "hushhush"));
	conf_problems_clear(&p);
	conf_free(c);
	take_away("secret");
}
END_TEST

/* ---- changes ---- */

static const char two_pools[] = "[pgwith]\nsize = 5\nport = 7\n[pool a]\nconninfo = dbname=a\n"
				"[pool b]\nconninfo = dbname=b\nsize = 2\n"
				"[scope s]\nenter = SELECT $1\n";

static struct conf *
change(const struct conf *c, const char *option, const char *value, const char *pool,
       const char *scope, const char *words)
{
	struct conf_change change = {
	    .option = option, .value = value, .pool = pool, .scope = scope, .role = "alice"};
	char *why, *hint;
	struct conf *next = conf_changed(c, &change, &why, &hint);

	if (words) {
		ck_assert_ptr_null(next);
		ck_assert_msg(strstr(why, words) != NULL, "%s: %s", words, why);
	} else {
		ck_assert_msg(next != NULL, "%s", why);
	}
	free(why);
	free(hint);
	return next;
}

START_TEST(one_option_is_set)
{
	struct conf *c = conf_good(two_pools), *d, *e, *f;

	d = change(c, "size", "9", NULL, NULL, NULL);
	ck_assert_int_eq(d->pools[0].size, 9);
	ck_assert_int_eq(d->pools[1].size, 2);
	ck_assert_int_eq(c->pools[0].size, 5);
	ck_assert_str_eq(source(d, "pool a", "size"), "SET by alice");
	ck_assert_str_eq(source(d, "pgwith", "size"), "SET by alice");
	e = change(d, "size", "1", "a", NULL, NULL);
	ck_assert_int_eq(e->pools[0].size, 1);
	/* It has its own now. */
	f = change(e, "size", "8", NULL, NULL, NULL);
	ck_assert_int_eq(f->pools[0].size, 1);
	ck_assert_int_eq(f->defaults.size, 8);
	conf_free(f);
	f = change(e, "on_commit", "SELECT $2", NULL, "s", NULL);
	ck_assert_uint_eq(f->scopes[0].nargs, 2);
	ck_assert_uint_eq(e->scopes[0].nargs, 1);
	change(e, "on_commit", "SELECT $3", NULL, "s", "$2 nowhere");
	change(e, "min_size", "2", "a", NULL, "larger than size");
	change(e, "size", "0", "a", NULL, "from 1 to 10000");
	change(e, "size", "2", "c", NULL, "no pool \"c\"");
	change(e, "sizes", "2", "a", NULL, "unknown option");
	change(e, "port", "8", NULL, NULL, "restart");
	/* The environment of the daemon is not for those who may change options. */
	change(e, "conninfo", "dbname=${HOME}", "a", NULL, "can only stand in the file");
	change(e, "size", "${NONE:-3}", NULL, NULL, "can only stand in the file");
	change(e, "conninfo", "dbname=${", "a", NULL, "can only stand in the file");
	conf_free(f);
	f = change(e, "conninfo", "dbname=$${HOME} user=$x", "a", NULL, NULL);
	ck_assert_str_eq(f->pools[0].conninfo, "dbname=${HOME} user=$x");
	conf_free(f);
	/* In SQL, a dollar is SQL's. */
	f = change(e, "on_commit", "SELECT '${HOME}'", NULL, "s", NULL);
	change(e, "include", "x", NULL, NULL, "in the file");
	change(e, "port", "8", "a", NULL, "not one of a pool");
	change(e, "pool", "x", NULL, "s", "no pool \"x\"");
	conf_free(c);
	conf_free(d);
	conf_free(e);
	conf_free(f);
}
END_TEST

struct told {
	char text[1000];
};

static void
note_difference(void *arg, const struct conf_difference *d)
{
	struct told *t = arg;
	size_t have = strlen(t->text);

	snprintf(t->text + have, sizeof t->text - have, "%s %s %s>%s%s; ", d->section, d->option,
		 d->was ? d->was : "", d->is ? d->is : "", d->refused ? " refused" : "");
}

START_TEST(two_snapshots_are_compared)
{
	struct conf *was = conf_good(two_pools), *is;
	struct told told = {""};
	char wanted[200];

	is = conf_good(
	    "\n\n[pgwith]\nsize = 6\nport = 8\nmax_clients = 3\n[pool a]\nconninfo = dbname=a "
	    "password=hushhush\nrole = client\n[scope s]\nenter = SELECT $1, 2\n");
	conf_take_over(is, was, note_difference, &told);
	conf_take_pool(is, conf_pool(was, "a"), note_difference, &told);
	conf_take_pool(is, conf_pool(was, "b"), note_difference, &told);
	ck_assert_str_eq(told.text, "pgwith port 7>8 refused; pgwith max_clients 10000>3; "
				    "scope s enter >; "
				    "pool a conninfo dbname=a>password=******** dbname=a; "
				    "pool a role fixed>client refused; pool a size 5>6; ");
	/* As it runs, and from where that is. */
	ck_assert_int_eq(is->port, 7);
	ck_assert_int_eq(is->pools[0].role, CONF_ROLE_FIXED);
	ck_assert_str_eq(source(is, "pool a", "role"), "default");
	snprintf(wanted, sizeof wanted, "%s:3", conf_text_path);
	ck_assert_str_eq(source(is, "pgwith", "port"), wanted);
	conf_free(was);
	conf_free(is);
}
END_TEST

START_TEST(a_part_keeps_the_whole)
{
	struct conf *c = conf_good(two_pools);
	const struct conf_pool *a = conf_pool_keep(conf_pool(c, "a"));
	const struct conf_scope *s = conf_scope_keep(conf_scope(c, "s"));

	conf_free(c);
	ck_assert_str_eq(a->conninfo, "dbname=a");
	conf_pool_drop(a);
	ck_assert_str_eq(s->name, "s");
	conf_scope_drop(s);
	ck_assert_ptr_null(conf_pool_keep(NULL));
	conf_pool_drop(NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("conf_changes");
	TCase *t = tcase_create("conf_changes");
	SRunner *r = srunner_create(s);
	int failed;

	if (!conf_text_begin())
		return EXIT_FAILURE;
	tcase_set_timeout(t, 60);
	tcase_add_test(t, files_are_included);
	tcase_add_loop_test(t, a_password_may_be_in_a_file, 0, sizeof secrets / sizeof *secrets);
	tcase_add_test(t, one_option_is_set);
	tcase_add_test(t, two_snapshots_are_compared);
	tcase_add_test(t, a_part_keeps_the_whole);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	conf_text_end();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
