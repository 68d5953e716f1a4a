/* conf_text: configurations that tests write down. */
#ifndef TESTS_UNIT_CONF_TEXT_H
#define TESTS_UNIT_CONF_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

/* What every configuration needs. */
#define POOL "[pool a]\nconninfo=dbname=a\n"

/* A directory of this process's own, and the file in it. */
extern char conf_text_dir[sizeof "/tmp/check_conf.XXXXXX"];
extern char conf_text_path[sizeof conf_text_dir + 8];
bool conf_text_begin(void);
void conf_text_end(void);

/* Loads a file with these bytes, as conf_load() does. */
struct conf *conf_load_bytes(const char *text, size_t bytes, struct conf_problems *);

/* The same with a text that must be good. */
struct conf *conf_good(const char *text);

#endif
