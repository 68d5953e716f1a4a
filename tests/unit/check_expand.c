/* Variables of the environment in values, and options of the command line. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/units.h"
#include "conf/conf.h"
#include "conf/expand.h"
#include "conf_text.h"

static char *const environment[] = {"A=one",    "B_2=two words", "EMPTY=", "DOLLAR=$", "LOOP=${A}",
				    "TAB=a\tb", "LINE=s3cret\n", "=odd",   "AB",       NULL};

static const struct {
	const char *text, *is; /* is: NULL: refused, and */
	const char *why;       /* this is a part of the reason */
} texts[] = {
    {"", "", NULL},
    {"plain", "plain", NULL},
    {"${A}", "one", NULL},
    {"x${A}y${B_2}z", "xoneytwo wordsz", NULL},
    {"${A}${A}", "oneone", NULL},
    {"${EMPTY}", "", NULL},
    {"${EMPTY:-d}", "d", NULL},
    {"${NONE:-}", "", NULL},
    {"${NONE:-a b:-c$d}", "a b:-c$d", NULL},
    {"${A:-d}", "one", NULL},
    {"${TAB}", "a\tb", NULL},
    /* what is replaced is not looked at again */
    {"${LOOP}", "${A}", NULL},
    {"${DOLLAR}{A}", "${A}", NULL},
    /* a literal */
    {"$${A}", "${A}", NULL},
    {"$${", "${", NULL},
    {"$$${A}", "$${A}", NULL},
    {"$$${A}${A}", "$${A}one", NULL},
    {"${NONE:-$}${A}", "$one", NULL},
    /* every other dollar is one */
    {"$A $ $$ $1 $$x$$ pa$$word {A} $(A) $", "$A $ $$ $1 $$x$$ pa$$word {A} $(A) $", NULL},
    /* refused */
    {"${NONE}", NULL, "NONE of the environment is not set: set it, or write ${NONE:-DEFAULT}"},
    {"a${A}b${NONE}", NULL, "NONE"},
    {"${AB}", NULL, "AB of the environment is not set"},
    {"${LINE}", NULL, "LINE of the environment has a line end or another control character"},
    {"${", NULL, "expected ${NAME} or ${NAME:-DEFAULT}"},
    {"${}", NULL, "expected ${NAME}"},
    {"${A", NULL, "expected ${NAME}"},
    {"${A:-b", NULL, "expected ${NAME}"},
    {"${1A}", NULL, "expected ${NAME}"},
    {"${A-b}", NULL, "expected ${NAME}"},
    {"${A:b}", NULL, "expected ${NAME}"},
    {"${A:+b}", NULL, "expected ${NAME}"},
    {"${ A}", NULL, "expected ${NAME}"},
    {"${A }", NULL, "expected ${NAME}"},
    {"${A:-${B}}", NULL, "expected ${NAME}"},
    {"${\303\244}", NULL, "expected ${NAME}"},
};

START_TEST(a_text_is_expanded)
{
	char *why, *text = expand_text(texts[_i].text, environment, &why);

	if (texts[_i].is) {
		ck_assert_msg(text != NULL, "%s: %s", texts[_i].text, why);
		ck_assert_str_eq(text, texts[_i].is);
		ck_assert_ptr_null(why);
	} else {
		ck_assert_msg(text == NULL, "%s: %s", texts[_i].text, text);
		ck_assert_msg(strstr(why, texts[_i].why), "%s: %s", texts[_i].text, why);
		ck_assert_ptr_null(strstr(why, "s3cret"));
	}
	free(why);
	free(text);
}
END_TEST

START_TEST(our_own_environment)
{
	char *why, *text;

	setenv("CHECK_EXPAND", "here", 1);
	text = expand_text("${CHECK_EXPAND}", NULL, &why);
	ck_assert_str_eq(text, "here");
	free(text);
	unsetenv("CHECK_EXPAND");
	ck_assert_ptr_null(expand_text("${CHECK_EXPAND}", NULL, &why));
	free(why);
}
END_TEST

/* Builds a text of random parts together with what it must become. */
START_TEST(random_texts)
{
	static const char *const parts[][2] = {
	    {"${A}", "one"},
	    {"${NONE:-x}", "x"},
	    {"$${", "${"},
	    {"a", "a"},
	    {"}", "}"},
	    {"{", "{"},
	    {" ", " "},
	    {":-", ":-"},
	    {"$x", "$x"},
	    {"${EMPTY}", ""},
	    {"${B_2}", "two words"},
	};
	unsigned random =
	    getenv("PGWITH_SEED") ? (unsigned)atoi(getenv("PGWITH_SEED")) : (unsigned)time(NULL);

	printf("# seed %u\n", random);
	for (unsigned round = 0; round < 5000; round++) {
		char text[400] = "", is[400] = "", *why, *got;

		for (unsigned n = rand_r(&random) % 20; n > 0; n--) {
			unsigned i = rand_r(&random) % (sizeof parts / sizeof *parts);

			strcat(text, parts[i][0]);
			strcat(is, parts[i][1]);
		}
		got = expand_text(text, environment, &why);
		ck_assert_msg(got && strcmp(got, is) == 0, "%s: %s", text, got ? got : why);
		free(got);
	}
}
END_TEST

START_TEST(it_has_a_maximum)
{
	char *text = mem_alloc(4 * CONF_VALUE_MAX), *why, *got;

	memset(text, 'x', CONF_VALUE_MAX);
	text[CONF_VALUE_MAX] = '\0';
	got = expand_text(text, environment, &why);
	ck_assert_uint_eq(strlen(got), CONF_VALUE_MAX);
	free(got);
	strcat(text, "${A}");
	ck_assert_ptr_null(expand_text(text, environment, &why));
	ck_assert_str_eq(why, "too long: the maximum is 65536 bytes");
	free(why);
	free(text);
}
END_TEST

/* ---- in a file ------------------------------------------------------------------------------- */

static struct conf *
read_with(const char *text, const struct conf_argument *arguments, unsigned count,
	  struct conf_problems *p)
{
	struct conf_input in = {.path = text ? conf_text_path : NULL,
				.arguments = arguments,
				.narguments = count,
				.environment = environment};

	if (text) {
		struct conf_problems unused;

		conf_free(conf_load_bytes(text, strlen(text), &unused));
		conf_problems_clear(&unused);
	}
	return conf_read(&in, p);
}

START_TEST(values_of_a_file)
{
	struct conf_problems p;
	struct conf *c =
	    read_with("[pgwith]\nlisten = /tmp/${A}\nadmin_users = ${A},\n  ${NONE:-x}\n"
		      "[pool a]\nconninfo = dbname=${A}\n  application_name='${B_2}'\n"
		      "password = p${A}\nsize = ${NONE:-7}\nmode = ${NONE:-session}\n"
		      "[scope s]\nenter = SELECT '${A}', $$${NONE}$$\n",
		      NULL, 0, &p);
	const struct conf_pool *a;

	ck_assert_msg(c != NULL, "%s", p.count ? p.list[0].text : "?");
	a = conf_pool(c, "a");
	ck_assert_str_eq(c->listen, "/tmp/one");
	ck_assert_str_eq(c->admin_users, "one, x");
	ck_assert_str_eq(a->conninfo, "dbname=one application_name='two words'");
	ck_assert_str_eq(a->password, "pone");
	ck_assert_int_eq(a->size, 7);
	ck_assert_int_eq(a->mode, CONF_SESSION);
	/* SQL has dollars of its own. */
	ck_assert_str_eq(conf_scope(c, "s")->enter.list[0].sql, "SELECT '${A}', $$${NONE}$$");
	conf_free(c);
	conf_problems_clear(&p);
}
END_TEST

START_TEST(a_variable_that_is_not_set_names_file_and_line)
{
	static const struct {
		unsigned line;
		const char *text;
	} expected[] = {
	    {2, "listen: the variable NONE of the environment is not set: set it, or write "
		"${NONE:-DEFAULT}"},
	    {4, "include: the variable NONE of the environment is not set: set it, or write "
		"${NONE:-DEFAULT}"},
	    {7, "conninfo: the variable X of the environment is not set: set it, or write "
		"${X:-DEFAULT}"},
	    {9, "password: ${ begins no variable of the environment: expected ${NAME} or "
		"${NAME:-DEFAULT}, or $${ for ${ itself"},
	};
	struct conf_problems p;

	ck_assert_ptr_null(read_with("[pgwith]\nlisten = ${NONE}\nport = 1\ninclude = ${NONE}/x\n"
				     "[pool a]\nconninfo = dbname=a\n  user=${X}\n  host=b\n"
				     "password = ${\n",
				     NULL, 0, &p));
	for (unsigned i = 0; i < p.count; i++)
		ck_assert_msg(i < sizeof expected / sizeof *expected &&
				  p.list[i].line == expected[i].line &&
				  strcmp(p.list[i].text, expected[i].text) == 0,
			      "%u: line %u: %s", i, p.list[i].line, p.list[i].text);
	ck_assert_uint_eq(p.count, sizeof expected / sizeof *expected);
	ck_assert_str_eq(p.list[0].file, conf_text_path);
	conf_problems_clear(&p);
}
END_TEST

/* A command stands in the configuration itself; its own words are not expanded. */
START_TEST(a_command_comes_from_no_variable)
{
	struct conf_problems p;
	struct conf *c = read_with("[pool a]\nconninfo = dbname=a\n"
				   "password = command:/bin/sh -c 'echo ${NONE}'\n",
				   NULL, 0, &p);

	ck_assert_msg(c != NULL, "%s", p.count ? p.list[0].text : "?");
	ck_assert_str_eq(conf_pool(c, "a")->password, "command:/bin/sh -c 'echo ${NONE}'");
	conf_free(c);
	conf_problems_clear(&p);
	ck_assert_ptr_null(
	    read_with(POOL "password = ${NONE:-command:/bin/sh -c 'echo x'}\n", NULL, 0, &p));
	ck_assert_uint_eq(p.count, 1);
	ck_assert_ptr_nonnull(strstr(p.list[0].text, "a command must stand in the configuration"));
	conf_problems_clear(&p);
}
END_TEST

/* ---- the command line ------------------------------------------------------------------------ */

#define OPTION(t)                         \
	{                                 \
		CONF_ARGUMENT_OPTION, (t) \
	}
#define NEW_POOL(t)                     \
	{                               \
		CONF_ARGUMENT_POOL, (t) \
	}
#define LISTEN(t)                         \
	{                                 \
		CONF_ARGUMENT_LISTEN, (t) \
	}
#define COUNT(list) (sizeof(list) / sizeof *(list))

static const char *
source_of(const struct conf *c, const char *section, const char *name)
{
	static char source[300];
	bool found = false;

	for (unsigned i = 0; i < conf_entries(c) && !found; i++) {
		struct conf_entry e;

		conf_entry(c, i, &e);
		found = strcmp(e.section, section) == 0 && strcmp(e.name, name) == 0;
		snprintf(source, sizeof source, "%s", e.source);
		conf_entry_clear(&e);
	}
	ck_assert(found);
	return source;
}

START_TEST(arguments_stand_over_the_file)
{
	static const struct conf_argument list[] = {
	    OPTION("size=3"),
	    OPTION("pool.a.b.mode = session "),
	    OPTION("log_level=debug"),
	    OPTION("log_level=warn"),
	    OPTION("scope.s.deadline=1min"),
	    OPTION("cluster.main.server_limit=7"),
	    OPTION("role.a.b.max_servers=4"),
	    OPTION("uid.*.max_clients=5"),
	    LISTEN("/tmp/${A}"),
	    NEW_POOL("new=host=x dbname=y"),
	    NEW_POOL("a.b=dbname=other"),
	    OPTION("pool.new.password=pa=ss"),
	};
	struct conf_problems p;
	struct conf *c =
	    read_with("[pgwith]\nsize = 9\nlog_level = error\nlisten = /tmp/x\n[pool a.b]\n"
		      "conninfo = dbname=a\nmode = statement\n[pool c]\nsize = 2\n"
		      "conninfo = dbname=c\n[scope s]\n[cluster main]\nserver_limit = 90\n"
		      "[role a.b]\n[uid *]\n",
		      list, COUNT(list), &p);

	ck_assert_msg(c != NULL, "%s", p.count ? p.list[0].text : "?");
	ck_assert_uint_eq(c->npools, 3);
	ck_assert_int_eq(conf_pool(c, "a.b")->size, 3);
	ck_assert_int_eq(conf_pool(c, "c")->size, 2);
	ck_assert_int_eq(conf_pool(c, "new")->size, 3);
	ck_assert_int_eq(conf_pool(c, "a.b")->mode, CONF_SESSION);
	ck_assert_str_eq(conf_pool(c, "a.b")->conninfo, "dbname=other");
	ck_assert_str_eq(conf_pool(c, "new")->conninfo, "host=x dbname=y");
	ck_assert_str_eq(conf_pool(c, "new")->password, "pa=ss");
	ck_assert_int_eq(c->log_level, LOG_WARN);
	ck_assert_str_eq(c->listen, "/tmp/one");
	ck_assert_int_eq(conf_scope(c, "s")->deadline_us, UNIT_MIN);
	ck_assert_int_eq(conf_cluster(c, "main")->server_limit, 7);
	ck_assert_int_eq(conf_limits(c, CONF_PARTY_ROLE, "a.b")->max_servers, 4);
	ck_assert_int_eq(conf_limits(c, CONF_PARTY_UID, "*")->max_clients, 5);
	ck_assert_str_eq(source_of(c, "pgwith", "log_level"), CONF_COMMAND_LINE);
	ck_assert_str_eq(source_of(c, "pool a.b", "mode"), CONF_COMMAND_LINE);
	ck_assert_str_eq(source_of(c, "pool a.b", "size"), CONF_COMMAND_LINE);
	conf_free(c);
	conf_problems_clear(&p);
}
END_TEST

START_TEST(no_file_is_needed)
{
	static const struct conf_argument list[] = {NEW_POOL("orders=host=db dbname=orders"),
						    LISTEN("/tmp/here"),
						    OPTION("pool.orders.size=4")};
	struct conf_problems p;
	struct conf *c = read_with(NULL, list, COUNT(list), &p);

	ck_assert_msg(c != NULL, "%s", p.count ? p.list[0].text : "?");
	ck_assert_ptr_null(c->path);
	ck_assert_int_eq(conf_pool(c, "orders")->size, 4);
	ck_assert_str_eq(c->listen, "/tmp/here");
	conf_free(c);
	conf_problems_clear(&p);
}
END_TEST

static const struct {
	struct conf_argument argument;
	const char *problem;
} wrong[] = {
    {OPTION("size"), "-o \"size\": expected OPTION=VALUE"},
    {OPTION("pool.a.password:s3cret"), "-o \"pool.a.password\" ...: expected OPTION=VALUE"},
    {OPTION("=3"), "-o : unknown option \"\"; see pgwith.conf(5)"},
    {OPTION("sise=3"), "-o sise: unknown option \"sise\"; did you mean \"size\"?"},
    {OPTION("pool_mode=session"), "-o pool_mode: unknown option \"pool_mode\": PgBouncer's is here "
				  "mode"},
    {OPTION("size=many"), "size: \"many\": expected an integer from 1 to 10000"},
    {OPTION("pool.b.size=3"), "-o pool.b.size: there is no pool \"b\""},
    {OPTION("pool.aa.size=3"), "-o pool.aa.size: there is no pool \"aa\"; did you mean \"a\"?"},
    {OPTION("pool.a.port=3"), "-o pool.a.port: it is one of [pgwith]: -o OPTION=VALUE"},
    {OPTION("pool.size=3"), "-o pool.size: unknown option \"pool.size\"; see pgwith.conf(5)"},
    {OPTION("deadline=3"), "-o deadline: it is one of a scope: -o scope.NAME.OPTION=VALUE"},
    {OPTION("scope.x.deadline=3"), "-o scope.x.deadline: there is no scope \"x\""},
    {OPTION("cluster.x.server_limit=3"), "-o cluster.x.server_limit: there is no cluster \"x\""},
    {OPTION("server_limit=3"),
     "-o server_limit: it is one of a cluster: -o cluster.NAME.OPTION=VALUE"},
    {OPTION("max_servers=3"),
     "-o max_servers: it is one of a role or uid: -o role.NAME.OPTION=VALUE or "
     "uid.NUMBER.OPTION=VALUE"},
    {OPTION("include=/x"), "-o include: it can only stand in a file"},
    {OPTION("listen=${NONE}"),
     "-o listen: the variable NONE of the environment is not set: set it, "
     "or write ${NONE:-DEFAULT}"},
    {OPTION("log_level=a\nb"), "-o log_level: it has a line end or another control character"},
    {NEW_POOL("x"), "--pool: expected NAME=CONNINFO, like 'orders=host=db dbname=orders'"},
    {NEW_POOL("=x"), "--pool: expected NAME=CONNINFO, like 'orders=host=db dbname=orders'"},
    {NEW_POOL("pgwith=dbname=x"), "--pool: a pool cannot be named \"pgwith\": this name is the "
				  "console's"},
    {NEW_POOL("a b=dbname=x"),
     "--pool: a pool cannot be named \"a b\": expected letters, digits, _, "
     "- and . only"},
    {NEW_POOL("x=nonsense"), "conninfo: libpq: missing \"=\" after \"nonsense\" in connection info "
			     "string; expected keyword=value ..., or a URI"},
    {LISTEN("here"), "listen: \"here\": expected an absolute path"},
};

START_TEST(a_wrong_argument_is_reported)
{
	struct conf_problems p;

	ck_assert_ptr_null(read_with(POOL, &wrong[_i].argument, 1, &p));
	ck_assert_uint_eq(p.count, 1);
	ck_assert_str_eq(p.list[0].text, wrong[_i].problem);
	ck_assert_str_eq(p.list[0].file, CONF_COMMAND_LINE);
	ck_assert_uint_eq(p.list[0].line, 0);
	conf_problems_clear(&p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("expand");
	TCase *t = tcase_create("expand");
	SRunner *r = srunner_create(s);
	int failed;

	if (!conf_text_begin())
		return EXIT_FAILURE;
	tcase_add_loop_test(t, a_text_is_expanded, 0, sizeof texts / sizeof *texts);
	tcase_add_test(t, our_own_environment);
	tcase_add_test(t, random_texts);
	tcase_add_test(t, it_has_a_maximum);
	tcase_add_test(t, values_of_a_file);
	tcase_add_test(t, a_variable_that_is_not_set_names_file_and_line);
	tcase_add_test(t, a_command_comes_from_no_variable);
	tcase_add_test(t, arguments_stand_over_the_file);
	tcase_add_test(t, no_file_is_needed);
	tcase_add_loop_test(t, a_wrong_argument_is_reported, 0, sizeof wrong / sizeof *wrong);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	conf_text_end();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
