/* pgwith: the command line. */
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/arguments.h"

static enum ask_status
run(struct arguments *a)
{
	const struct commands_entry *entry;

	if (a->nwords == 0 || (strcmp(a->words[0], "help") == 0 && a->nwords == 1)) {
		bool asked = a->help || a->nwords > 0;

		arguments_usage(asked ? stdout : stderr);
		return asked ? ASK_GOOD : ASK_USAGE;
	}
	entry = commands_find(a->words[0]);
	if (entry == NULL)
		return ASK_USAGE;
	if (a->help) {
		commands_help(entry, stdout);
		return ASK_GOOD;
	}
	return commands_run(entry, &a->how, a->words + 1);
}

/* The exit status of a command line that cannot be read. */
static int
misread(const struct arguments *a)
{
	return commands_usage_status(a->nwords > 0 ? commands_named(a->words[0]) : NULL);
}

int
main(int argc, char **argv)
{
	struct arguments a;
	int status;

	log_init("pgwith", LOG_WARN);
	/* The answers of pgwithd are UTF-8, whatever the terminal is. The locale decides only how
	 * wide a character is. */
	setlocale(LC_CTYPE, "C.UTF-8");
	status = arguments_read(argc, argv, &a);
	if (status < 0)
		status = run(&a);
	else if (status != ASK_GOOD)
		status = misread(&a);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("pgwith: cannot write");
		status = ASK_TROUBLE;
	}
	return status;
}
