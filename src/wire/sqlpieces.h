/* sqlpieces: pieces of up to four bytes, of which each word has one that sqlclass.h or sqlmention.h
 * looks for. A text without such a piece need not be read any further; nearly all have none. */
#ifndef PGWITH_WIRE_SQLPIECES_H
#define PGWITH_WIRE_SQLPIECES_H

#include <stdbool.h>

#include "wire/sqlblock.h"

/* What is looked for. */
enum {
	SQLPIECES_CLASS = 1,    /* what sqlclass.h looks for in each statement */
	SQLPIECES_INTO = 2,     /* the word INTO, which it looks for in some */
	SQLPIECES_SETTING = 4,  /* the word SETTING, likewise */
	SQLPIECES_MENTIONS = 8, /* what sqlmention.h looks for */
	SQLPIECES_SEMICOLON = 16,
};

/* The next functions are not inline, because each of them looks at few texts, and would take
 * registers from the look at all. The blocks b, c and d begin one, two and three bytes behind a. */

/* The bytes of a, where a word with an underscore begins: "pg_", "t_co" (of set_config), "k_co" (of
 * dblink_connect), "t_li" (of set_limit), "n_we" (of isn_weak), "ts_s" (of ts_stat), "ts_r" (of
 * ts_rewrite), "to_x" (of query_to_xml) or "th_t" (of xpath_table). */
static __attribute__((noinline)) sqlblock
sqlpieces_underscored_(sqlblock a, sqlblock b, sqlblock c, sqlblock d)
{
	sqlblock t = (sqlblock)(a == 't');
	sqlblock co = (sqlblock)((c == 'c') & (d == 'o') & (t | (a == 'k')));
	sqlblock li = (sqlblock)(t & (c == 'l') & (d == 'i'));
	sqlblock we = (sqlblock)((a == 'n') & (c == 'w') & (d == 'e'));
	sqlblock ts = (sqlblock)((b == 's') & ((d == 's') | (d == 'r')));
	sqlblock to = (sqlblock)((b == 'o') & (d == 'x')), th = (sqlblock)((b == 'h') & (d == 't'));

	return (sqlblock)(((b == 0x7f) & (co | li | we)) |
			  ((c == 0x7f) & (((a == 'p') & (b == 'g')) | (t & (ts | to | th)))));
}

/* "temp", "stab" (of crosstab), "ctby" (of connectby) or &" (of U&""); with SQLPIECES_MENTIONS:
 * "tval" (of lastval, nextval, setval), "rrva" (of currval), "seed", "mp_b" (of temp_buffers) or
 * "u&". */
static __attribute__((noinline)) sqlblock
sqlpieces_rare_(sqlblock a, sqlblock b, sqlblock c, sqlblock d, unsigned with)
{
	sqlblock hits = {0};

	if (with & SQLPIECES_CLASS)
		hits = (sqlblock)(((a == 't') & (b == 'e') & (c == 'm') & (d == 'p')) |
				  ((b == 't') & (((a == 's') & (c == 'a') & (d == 'b')) |
						 ((a == 'c') & (c == 'b') & (d == 'y')))) |
				  ((a == '&') & (b == '"')));
	if (with & SQLPIECES_MENTIONS)
		hits |= (sqlblock)(((a == 't') & (b == 'v') & (c == 'a') & (d == 'l')) |
				   ((a == 'r') & (b == 'r') & (c == 'v') & (d == 'a')) |
				   ((a == 's') & (b == 'e') & (c == 'e') & (d == 'd')) |
				   ((a == 'm') & (b == 'p') & (c == 0x7f) & (d == 'b')) |
				   ((a == 'u') & (b == ('&' | 0x20))));
	return hits;
}

/* Does a piece of those that are looked for begin at one of the 16 bytes? */
static inline __attribute__((always_inline)) bool
sqlpieces_begin(struct sqlblocks at, unsigned with)
{
	sqlblock a = at.a, b = at.b, c = at.c, d = at.d, hits = {0}, rare = {0};

	/* Each piece of sqlpieces_rare_() has one of these. */
	if (with & SQLPIECES_CLASS)
		rare = (sqlblock)((a == '&') | ((c == 'm') & (d == 'p')) |
				  ((b == 't') & ((c == 'b') | ((a == 's') & (d == 'b')))));
	if (with & SQLPIECES_MENTIONS)
		rare |= (sqlblock)((b == 'v') | (c == 'v') | ((b == 'e') & (c == 'e')) |
				   ((b == 'p') & (c == 0x7f)) | (b == ('&' | 0x20)));
	if (with & SQLPIECES_INTO)
		hits |= (sqlblock)((a == 'i') & (b == 'n') & (c == 't') & (d == 'o'));
	if (with & SQLPIECES_SETTING)
		hits |= (sqlblock)((a == 's') & (b == 'e') & (c == 't') & (d == 't'));
	if (with & SQLPIECES_SEMICOLON)
		hits |= (sqlblock)(a == ';');
	if (sqlblock_any(rare))
		hits |= sqlpieces_rare_(a, b, c, d, with);
	if ((with & SQLPIECES_CLASS) && sqlblock_any((sqlblock)((b == 0x7f) | (c == 0x7f))))
		hits |= sqlpieces_underscored_(a, b, c, d);
	return sqlblock_any(hits);
}

static inline __attribute__((always_inline)) bool
sqlpieces_begin_(struct sqlblocks at, void *with)
{
	return sqlpieces_begin(at, *(const unsigned *)with);
}

/* Is there such a piece in the text? `with` has to be a constant. */
static inline __attribute__((always_inline)) bool
sqlpieces_in(const char *text, size_t length, unsigned with)
{
	return sqlblock_search(text, length, sqlpieces_begin_, &with);
}

#endif
