#include "conf_text.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char conf_text_dir[sizeof "/tmp/check_conf.XXXXXX"] = "/tmp/check_conf.XXXXXX";
char conf_text_path[sizeof conf_text_dir + 8];

bool
conf_text_begin(void)
{
	if (mkdtemp(conf_text_dir) == NULL)
		return false;
	snprintf(conf_text_path, sizeof conf_text_path, "%s/conf", conf_text_dir);
	return true;
}

void
conf_text_end(void)
{
	unlink(conf_text_path);
	rmdir(conf_text_dir);
}

struct conf *
conf_load_bytes(const char *text, size_t bytes, struct conf_problems *p)
{
	FILE *f = fopen(conf_text_path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, bytes, f), bytes);
	ck_assert_int_eq(fclose(f), 0);
	return conf_load(conf_text_path, p);
}

struct conf *
conf_good(const char *text)
{
	struct conf_problems p;
	struct conf *c = conf_load_bytes(text, strlen(text), &p);

	ck_assert_msg(c != NULL, "line %u: %s", p.count ? p.list[0].line : 0,
		      p.count ? p.list[0].text : "?");
	ck_assert_uint_eq(p.count, 0);
	conf_problems_clear(&p);
	return c;
}
