/* pgwith-fixture: a stand-in PostgreSQL server over SQLite. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "fixture/serve.h"

#define EXIT_USAGE 2

static const char usage[] =
    "usage: pgwith-fixture [-dhv] [-i SQLFILE]... [-l SOCKETDIR] [-p PORT] DATABASE\n";

static const char help[] =
    "\n"
    "Speaks the PostgreSQL protocol over SQLite. DATABASE is a file, or :memory:.\n"
    "\n"
    "  -d, --debug             log every session and error\n"
    "  -i, --init SQLFILE      run the file before listening; may be repeated\n"
    "  -l, --listen SOCKETDIR  directory of the socket .s.PGSQL.PORT (default /tmp)\n"
    "  -p, --port PORT         number in the name of the socket (default 5432)\n"
    "  -v, --version           print the version\n"
    "  -h, --help              print this\n";

static int
misused(const char *why, const char *what)
{
	fprintf(stderr, "pgwith-fixture: %s%s\n%s", why, what, usage);
	return EXIT_USAGE;
}

/* 1 to 65535; 0 if it is something else. */
static unsigned
parse_port(const char *s)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(s, &end, 10);
	return end == s || *end || errno || n > 65535 || *s == '-' ? 0 : (unsigned)n;
}

/* Every thread has them blocked: SIGTERM and SIGINT are read from a descriptor, and a client that
 * went away is an error of send(). */
static void
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int
main(int argc, char **argv)
{
	static const struct option longer[] = {{"debug", no_argument, NULL, 'd'},
					       {"help", no_argument, NULL, 'h'},
					       {"init", required_argument, NULL, 'i'},
					       {"listen", required_argument, NULL, 'l'},
					       {"port", required_argument, NULL, 'p'},
					       {"version", no_argument, NULL, 'v'},
					       {NULL, 0, NULL, 0}};
	struct serve_options o = {.directory = "/tmp", .port = 5432};
	const char **scripts = mem_calloc((size_t)argc, sizeof *scripts);
	enum log_level level = LOG_INFO;
	int c, r;

	while ((c = getopt_long(argc, argv, "dhi:l:p:v", longer, NULL)) != -1) {
		switch (c) {
		case 'd':
			level = LOG_DEBUG;
			break;
		case 'h':
			printf("%s%s", usage, help);
			free(scripts);
			return EXIT_SUCCESS;
		case 'i':
			scripts[o.nscripts++] = optarg;
			break;
		case 'l':
			o.directory = optarg;
			break;
		case 'p':
			o.port = parse_port(optarg);
			if (o.port == 0) {
				free(scripts);
				return misused("not a port: ", optarg);
			}
			break;
		case 'v':
			printf("pgwith-fixture %s\n", PACKAGE_VERSION);
			free(scripts);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			free(scripts);
			return EXIT_USAGE;
		}
	}
	if (argc - optind != 1) {
		free(scripts);
		return misused("one DATABASE is needed", "");
	}
	o.database = argv[optind];
	o.scripts = scripts;
	log_init("pgwith-fixture", level);
	block_signals();
	r = serve_run(&o);
	log_flush();
	free(scripts);
	return r;
}
