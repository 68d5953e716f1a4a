#!/bin/sh
# Calls of base/log.h: what is wrong does not compile, and keys and words are what logvalue.h says they are.
srcdir=${PGWITH_SRCDIR:-.}
number=0

result() # good? what
{
	number=$((number + 1))
	if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

# Exit status 0 if a function with this statement in it compiles.
compiles()
{
	printf '%s\n' '#include <stdbool.h>' '#include "base/log.h"' \
		'void f(const char *text, char *mine, unsigned char *bytes, int n, bool yes, char c, double d);' \
		'void f(const char *text, char *mine, unsigned char *bytes, int n, bool yes, char c, double d)' \
		"{ $1 }" |
		${CC:-cc} -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror -I"$srcdir/src" -fsyntax-only -x c - 2>/dev/null
}

right()
{
	compiles "$1"
	result $? "compiles: $1"
}

wrong()
{
	! compiles "$1"
	result $? "does not compile: $1"
}

echo 1..25
right 'log_info("session", n, "in", LOG_TEXT("a", text), LOG_TEXT("b", mine), LOG_NUMBER("c", n), LOG_MS("d", n));'
right 'log_info("pool", text, "gone");'
right 'log_warn("pool", mine, "gone", LOG_BYTES("a", bytes, 3), LOG_QUOTED_BYTES("b", text, 3));'
right 'if (yes) log_debug("pgwithd", LOG_ALONE, "", LOG_WORD(text), LOG_WORD(n)); else log_error("", LOG_ALONE, "x");'
right 'log_fatal("session", n, "illegal move", LOG_MOVE(text, "idle"));'
wrong 'log_info("session 1: in");'
wrong 'log_info("session %d: in", n);'
wrong 'log_info("session", n);'
wrong 'log_info("session", n, "in", n);'
wrong 'log_info("session", n, "in", "pool", text);'
wrong 'log_info(text, n, "in");'
wrong 'log_info("session", n, text);'
wrong 'log_info("session", bytes, "in");'
wrong 'log_info("session", yes, "in");'
wrong 'log_info("session", n, "in", LOG_TEXT(text, text));'
wrong 'log_info("session", n, "in", LOG_TEXT("a", n));'
wrong 'log_info("session", n, "in", LOG_TEXT("a", bytes));'
wrong 'log_info("session", n, "in", LOG_NUMBER("a", text));'
wrong 'log_info("session", n, "in", LOG_NUMBER("a", yes));'
wrong 'log_info("session", n, "in", LOG_NUMBER("a", c));'
wrong 'log_info("session", n, "in", LOG_NUMBER("a", d));'
wrong 'log_info("session", n, "in", LOG_PHRASE("a", text, 1U));'
wrong 'log_info("session", n, "in", LOG_MOVE(text, n));'

sources=$(find "$srcdir/src" -name '*.c')
# shellcheck disable=SC2086 # names without blanks
bad=$(grep -noE 'LOG_(TEXT|BYTES|QUOTED|QUOTED_BYTES|NUMBER|MS|S|PHRASE)\("[^"]*"' $sources |
	grep -vE '\("[a-z][a-z0-9_]{0,46}"$')
if [ -n "$bad" ]; then echo "$bad" | sed 's/^/# /'; fi
[ -z "$bad" ]
result $? "keys are lower-case words"
# shellcheck disable=SC2086
bad=$(cat $sources | tr '\n' ' ' |
	grep -oE '\blog_(debug|info|info_often|warn|warnx|error|fatal)\( *"[^"]*", *[^"]*, *("[^"]*"[[:space:]]*)+' |
	grep -E '[%=][^"]*"[[:space:]]*$')
if [ -n "$bad" ]; then echo "$bad" | sed 's/^/# /'; fi
[ -z "$bad" ]
result $? "the words of a message are no format, and have no key in them"
