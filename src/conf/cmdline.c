#include "conf/cmdline.h"

#include <getopt.h>
#include <stdlib.h>

#include "base/mem.h"

/* Values of getopt_long() for options without a letter. */
enum { LONG_POOL = 256, LONG_LISTEN };

static void
add(struct cmdline *c, enum conf_argument_kind kind)
{
	c->list[c->count++] = (struct conf_argument){kind, optarg};
}

static void
take(struct cmdline *c, int option)
{
	switch (option) {
	case 'c':
		c->config = optarg;
		break;
	case 'o':
		add(c, CONF_ARGUMENT_OPTION);
		break;
	case LONG_POOL:
		c->pools = true;
		add(c, CONF_ARGUMENT_POOL);
		break;
	case LONG_LISTEN:
		add(c, CONF_ARGUMENT_LISTEN);
		break;
	case 't':
		c->test = true;
		break;
	case 'v':
		c->verbose = true;
		break;
	case 'V':
		c->version = true;
		break;
	case 'h':
		c->help = true;
		break;
	default:
		c->wrong = true;
		break;
	}
}

void
cmdline_read(struct cmdline *c, int argc, char **argv, bool speak)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"option", required_argument, NULL, 'o'},
	    {"pool", required_argument, NULL, LONG_POOL},
	    {"listen", required_argument, NULL, LONG_LISTEN},
	    {"test", no_argument, NULL, 't'},
	    {"verbose", no_argument, NULL, 'v'},
	    {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	*c = (struct cmdline){.list = mem_calloc((size_t)argc + 1, sizeof *c->list)};
	opterr = speak;
	optind = 0; /* of GNU: another command line may have been read */
	/* --version and --help end it, whatever stands behind them. */
	while (!c->wrong && !c->version && !c->help &&
	       (option = getopt_long(argc, argv, "c:o:tvVh", options, NULL)) != -1)
		take(c, option);
	if (!c->wrong && !c->version && !c->help && optind < argc)
		c->unexpected = argv[optind];
}

void
cmdline_clear(struct cmdline *c)
{
	free(c->list);
	*c = (struct cmdline){NULL};
}

void
cmdline_input(const struct cmdline *c, const char *named, struct conf_input *in)
{
	*in = (struct conf_input){.path = c->config, .arguments = c->list, .narguments = c->count};
	if (in->path == NULL && named && *named)
		in->path = named;
	if (in->path == NULL && !c->pools)
		in->path = CONF_PATH;
}
