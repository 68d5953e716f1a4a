/* pgwithd: the daemon. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/console.h"
#include "base/log.h"
#include "conf/conf.h"
#include "daemon/daemon.h"
#include "pool/renew.h"

#define EXIT_USAGE 2 /* the command line or the configuration is wrong */

static void
usage(FILE *to)
{
	fprintf(to,
		"usage: pgwithd [-tv] [-c FILE]\n"
		"Leases PostgreSQL connections to clients on a Unix socket, in the foreground.\n"
		"\n"
		"  -c, --config FILE  configuration (%s/pgwith/pgwith.conf)\n"
		"  -t, --test         check the configuration and exit\n"
		"  -v, --verbose      log debug lines too\n"
		"  -V, --version      print the version and exit\n"
		"  -h, --help         print this and exit\n"
		"\n"
		"Manual: pgwithd(8), pgwith.conf(5)\n",
		SYSCONFDIR);
}

struct arguments {
	const char *config;
	bool test;
	bool verbose;
};

/* Reads the command line. Returns -1 to go on, or the exit status. */
static int
read_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'}, {"test", no_argument, NULL, 't'},
	    {"verbose", no_argument, NULL, 'v'},      {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:tvVh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			a->config = optarg;
			break;
		case 't':
			a->test = true;
			break;
		case 'v':
			a->verbose = true;
			break;
		case 'V':
			printf("pgwithd %s\n", PACKAGE_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "pgwithd: unexpected argument \"%s\"\n", argv[optind]);
		usage(stderr);
		return EXIT_USAGE;
	}
	return -1;
}

static struct conf *
load(const char *path, bool test)
{
	struct conf_problems problems;
	struct conf *conf = conf_load(path, &problems);

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

int
main(int argc, char **argv)
{
	struct arguments a = {.config = SYSCONFDIR "/pgwith/pgwith.conf"};
	struct daemon *d;
	struct conf *conf;
	char why[512] = "";
	int status = read_arguments(argc, argv, &a);

	if (status >= 0)
		return status;
	log_init("pgwithd", LOG_INFO);
	/* Writing to a client, server or reader of the log that has gone must not end the
	 * process. */
	signal(SIGPIPE, SIG_IGN);
	conf = load(a.config, a.test);
	if (conf == NULL)
		return EXIT_USAGE;
	if (a.test) {
		printf("%s: good, %u pool%s, %u scope%s\n", a.config, conf->npools,
		       conf->npools == 1 ? "" : "s", conf->nscopes, conf->nscopes == 1 ? "" : "s");
		conf_free(conf);
		return EXIT_SUCCESS;
	}
	log_set_level(a.verbose ? LOG_DEBUG : conf->log_level);
	log_set_format(conf->log_format);
	d = daemon_new(conf, &console_ops, why, sizeof why);
	if (d == NULL) {
		log_error("pgwithd", LOG_ALONE, "cannot start:", LOG_WORD(why));
		log_flush();
		return EXIT_FAILURE;
	}
	d->verbose = a.verbose;
	status = daemon_run(d);
	daemon_free(d);
	log_flush();
	return status;
}
