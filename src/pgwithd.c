/* pgwithd: the daemon. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/console.h"
#include "base/log.h"
#include "conf/cmdline.h"
#include "conf/conf.h"
#include "daemon/daemon.h"
#include "pool/renew.h"

#define EXIT_USAGE 2 /* the command line or the configuration is wrong */

static void
usage(FILE *to)
{
	fprintf(to,
		"usage: pgwithd [-tv] [-c FILE] [-o OPTION=VALUE]...\n"
		"       pgwithd [-tv] --pool NAME=CONNINFO... [--listen DIR] [-o OPTION=VALUE]...\n"
		"Leases PostgreSQL connections to clients on a Unix socket, in the foreground.\n"
		"\n"
		"  -c, --config FILE        configuration ($PGWITH_CONFIG, or\n"
		"                           %s/pgwith/pgwith.conf)\n"
		"  -o, --option NAME=VALUE  set an option, whatever the file says: -o "
		"log_level=debug,\n"
		"                           -o pool.orders.size=5, -o scope.audit.deadline=1min\n"
		"      --pool NAME=CONNINFO add a pool; no file is read, unless one is named\n"
		"      --listen DIR         directory of the socket, as -o listen=DIR\n"
		"  -t, --test               check the configuration and exit\n"
		"  -v, --verbose            log debug lines too\n"
		"  -V, --version            print the version and exit\n"
		"  -h, --help               print this and exit\n"
		"\n"
		"Manual: pgwithd(8), pgwith.conf(5)\n",
		SYSCONFDIR);
}

/* Reads the command line. Returns -1 to go on, or the exit status. */
static int
read_arguments(int argc, char **argv, struct cmdline *c)
{
	cmdline_read(c, argc, argv, true);
	if (c->version) {
		printf("pgwithd %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	}
	if (c->help) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	if (c->unexpected)
		fprintf(stderr, "pgwithd: unexpected argument \"%s\"\n", c->unexpected);
	if (c->unexpected || c->wrong) {
		usage(stderr);
		return EXIT_USAGE;
	}
	return -1;
}

static struct conf *
load(const struct conf_input *input, bool test)
{
	struct conf_problems problems;
	struct conf *conf = conf_read(input, &problems);

	if (conf) {
		renew_check(conf, &problems);
		/* Only with -t: a start checks these names when it uses them, and a start after a
		 * handover does not need them. */
		if (test)
			conf_check_names(conf, &problems);
	}
	if (problems.count > 0) {
		conf_free(conf);
		conf = NULL;
	}
	for (unsigned i = 0; i < problems.count; i++) {
		char *text = conf_problem_text(&problems.list[i]);

		fprintf(stderr, "%s\n", text);
		free(text);
	}
	conf_problems_clear(&problems);
	return conf;
}

/* Checks the configuration, or runs. Returns the exit status. */
static int
run(const struct cmdline *c)
{
	struct conf_input input;
	struct daemon *d;
	struct conf *conf;
	char why[512] = "";
	int status;

	cmdline_input(c, getenv("PGWITH_CONFIG"), &input);
	conf = load(&input, c->test);
	if (conf == NULL)
		return EXIT_USAGE;
	if (c->test) {
		printf("%s: good, %u pool%s, %u scope%s\n",
		       input.path ? input.path : CONF_COMMAND_LINE, conf->npools,
		       conf->npools == 1 ? "" : "s", conf->nscopes, conf->nscopes == 1 ? "" : "s");
		conf_free(conf);
		return EXIT_SUCCESS;
	}
	log_set_level(c->verbose ? LOG_DEBUG : conf->log_level);
	log_set_format(conf->log_format);
	d = daemon_new(conf, &input, &console_ops, why, sizeof why);
	if (d == NULL) {
		log_error("pgwithd", LOG_ALONE, "cannot start:", LOG_WORD(why));
		log_flush();
		return EXIT_FAILURE;
	}
	d->verbose = c->verbose;
	status = daemon_run(d);
	daemon_free(d);
	log_flush();
	return status;
}

int
main(int argc, char **argv)
{
	struct cmdline c;
	int status = read_arguments(argc, argv, &c);

	if (status < 0) {
		log_init("pgwithd", LOG_INFO);
		/* Writing to a client, server or reader of the log that has gone must not end the
		 * process. */
		signal(SIGPIPE, SIG_IGN);
		/* Whoever started us may have ignored it: then nobody could tell how a command has
		 * ended. */
		signal(SIGCHLD, SIG_DFL);
		status = run(&c);
	}
	cmdline_clear(&c);
	return status;
}
