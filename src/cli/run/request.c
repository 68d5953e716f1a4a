#include "cli/run/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/options.h"

#define LIMIT_MAX 1000000 /* of a semaphore: more are a mistake */

/* NAME=N; a name may have signs of equality itself. */
static bool
read_semaphore(struct request_item *item, const char *text)
{
	const char *number = strrchr(text, '=');
	unsigned long limit = 0;
	char *end = NULL;

	if (number && number[1] >= '0' && number[1] <= '9') {
		errno = 0;
		limit = strtoul(number + 1, &end, 10);
	}
	if (number == NULL || number == text || end == NULL || *end || errno || limit < 1 ||
	    limit > LIMIT_MAX) {
		fprintf(stderr,
			"pgwith: --semaphore: \"%s\" is not NAME=N, with a number from 1 to %d\n",
			text, LIMIT_MAX);
		return false;
	}
	item->name = mem_strndup(text, (size_t)(number - text));
	item->limit = (unsigned)limit;
	return true;
}

static bool
add_pool(struct request *r, const char *name)
{
	for (unsigned i = 0; i < r->npools; i++)
		if (strcmp(r->pools[i], name) == 0) {
			fprintf(stderr, "pgwith: --pool names \"%s\" twice\n", name);
			return false;
		}
	if (*name == 0 || strcmp(name, "pgwith") == 0) {
		fprintf(stderr, "pgwith: --pool: \"%s\" is no pool\n", name);
		return false;
	}
	r->pools[r->npools++] = name;
	return true;
}

/* serializable, repeatable-read or "REPEATABLE READ" ... */
static bool
read_isolation(struct request *r, const char *text)
{
	static const char *const levels[] = {"SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED",
					     "READ UNCOMMITTED"};

	for (unsigned i = 0; i < sizeof levels / sizeof *levels; i++) {
		const char *a = levels[i], *b = text;

		while (*a && (toupper((unsigned char)*b) == *a || (*a == ' ' && *b == '-'))) {
			a++;
			b++;
		}
		if (*a == 0 && *b == 0) {
			r->isolation = levels[i];
			return true;
		}
	}
	fprintf(stderr,
		"pgwith: --isolation: \"%s\" is none of serializable, repeatable-read, "
		"read-committed, read-uncommitted\n",
		text);
	return false;
}

static bool
add_item(struct request *r, const struct commands_wanted *wanted)
{
	struct request_item *item = &r->items[r->nitems++];

	if (wanted->option == OPTIONS_SEMAPHORE) {
		item->kind = REQUEST_SEMAPHORE;
		return read_semaphore(item, wanted->text);
	}
	item->kind = wanted->option == OPTIONS_LOCK ? REQUEST_LOCK : REQUEST_SHARED_LOCK;
	item->name = mem_strdup(wanted->text);
	if (*wanted->text)
		return true;
	fprintf(stderr, "pgwith: a lock has a name\n");
	return false;
}

bool
request_read(struct request *r, const struct commands_how *how)
{
	*r = (struct request){.how = how};
	for (unsigned i = 0; i < how->nwanted; i++)
		if (how->wanted[i].option == OPTIONS_POOL ? !add_pool(r, how->wanted[i].text)
							  : !add_item(r, &how->wanted[i]))
			return false;
	if (how->isolation && !read_isolation(r, how->isolation))
		return false;
	if (how->url && (*how->url == 0 || strchr(how->url, '='))) {
		fprintf(stderr, "pgwith: --url: \"%s\" is no name of a variable\n", how->url);
		return false;
	}
	if (!how->no_transaction)
		r->ntransactions = r->npools;
	if (r->nitems == 0 && how->on) {
		fprintf(stderr, "pgwith: run: --on is for locks: say --lock NAME or --shared-lock "
				"NAME\n");
		return false;
	}
	if (r->nitems == 0 && r->npools == 0) {
		fprintf(stderr, "pgwith: run: nothing is asked for: say --pool NAME, --lock NAME, "
				"--shared-lock NAME or --semaphore NAME=N\n");
		return false;
	}
	return true;
}

void
request_clear(struct request *r)
{
	for (unsigned i = 0; i < r->nitems; i++)
		free(r->items[i].name);
	r->nitems = 0;
}
