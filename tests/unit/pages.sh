#!/bin/sh
# What the pages for developers name is there: files, targets of make, options of configure, and, in back quotes,
# functions, tables and other names of the sources.
srcdir=${PGWITH_SRCDIR:-.}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$srcdir" || exit 1
pages='ARCHITECTURE.md CONTRIBUTING.md README.md tests/integration/README.md tests/moves/README.md'

number=0
# verdict NAME: good if $tmp/found is not empty and $tmp/missing is
verdict() {
	number=$((number + 1))
	if [ -s "$tmp/found" ] && [ ! -s "$tmp/missing" ]; then
		echo "ok $number - $1"
	else
		[ -s "$tmp/found" ] || echo "# nothing was found"
		sort -u "$tmp/missing" | sed 's/^/# missing: /'
		echo "not ok $number - $1"
	fi
	: >"$tmp/found"
	: >"$tmp/missing"
}
: >"$tmp/found"
: >"$tmp/missing"

echo 1..6

# A program, or its log, may be named that is built from a source of its name. Words in capitals stand for any.
for page in $pages; do
	grep -oE '(^|[^A-Za-z0-9_./-])((src|tests|man|conf|sql|systemd)/[A-Za-z0-9_./-]+|[A-Z][A-Za-z]*\.(am|ac|md)|configure\.ac|NEWS)' "$page" |
		sed -E 's/^[^A-Za-z]//; s/\.$//' | grep -vE '[A-Z]{3,}\.c$' | sort -u >"$tmp/names"
	while read -r name; do
		echo "$name" >>"$tmp/found"
		# Debian's tools want systemd/debian at the top
		case $name in systemd/debian/*) [ ! -d debian ] || name=${name#systemd/} ;; esac
		# those of ARCHITECTURE.md, which begin below src/, are looked at further down
		[ "$page" != ARCHITECTURE.md ] || [ ! -e "src/$name" ] || continue
		[ -e "${name%.log}" ] || [ -e "${name%.log}.c" ] || [ -e "$(dirname "$page")/$name" ] || echo "$page: $name" >>"$tmp/missing"
	done <"$tmp/names"
done
verdict "every file that a page names is there"

# Code is what stands in back quotes, and lines with four blanks ahead. Behind `make` there are targets and VARIABLE=value.
for page in $pages; do
	awk '
	function targets(code,    words, n, i) {
		sub(/[#|&)].*/, "", code)
		n = split(code, words, " ")
		for (i = 1; i <= n && words[i] != "make"; i++)
			;
		while (++i <= n && words[i] ~ /^(-|[a-z]+(-[a-z]+)*$|[A-Z_]+=)/)
			if (words[i] ~ /^[a-z]/)
				print words[i]
	}
	/^    / { targets(substr($0, 5)); next }
	{ n = split($0, parts, "`"); for (i = 2; i <= n; i += 2) targets(parts[i]) }' "$page" | sort -u >"$tmp/names"
	while read -r name; do
		case $name in
		# those that automake makes
		all | check | clean | distclean | dist | distcheck | install | uninstall) continue ;;
		esac
		echo "$name" >>"$tmp/found"
		grep -qE "^$name:" Makefile.am || echo "$page: make $name" >>"$tmp/missing"
	done <"$tmp/names"
done
verdict "every target of make that a page names is in Makefile.am"

for page in $pages; do
	grep -oE '[-]-enable-[a-z]+' "$page" | sed 's/--enable-//' | sort -u >"$tmp/names"
	while read -r name; do
		echo "$name" >>"$tmp/found"
		grep -qF "AC_ARG_ENABLE([$name]" configure.ac || echo "$page: --enable-$name" >>"$tmp/missing"
	done <"$tmp/names"
done
verdict "every --enable- that a page names is an option of configure"

# `name()`, `name[]`, `struct name`, `enum name`, and words in capitals
# shellcheck disable=SC2016 # back quotes
grep -oE '`[^`]+`' CONTRIBUTING.md | tr -d '`' |
	grep -xE '[a-z_0-9]+(\(\)|\[\])|(struct|enum) [a-z_0-9]+|[A-Z]+(_[A-Z]+)+|[A-Z]{5,}' | grep -vxF NEWS | sort -u >"$tmp/found"
while read -r name; do
	case $name in
	*'()') pattern="^${name%??}\\(" ;;
	*'[]') pattern=" ${name%??}\\[[A-Z_]*\\] = \\{" ;;
	*' '*) pattern="^$name \\{" ;;
	*) pattern="(^|[^A-Z_])$name($|[^A-Z_])" ;;
	esac
	grep -rqE --include='*.[ch]' --include='*.py' "$pattern" src tests || grep -qE "$pattern" Makefile.am bootstrap ||
		echo "CONTRIBUTING.md: $name" >>"$tmp/missing"
done <"$tmp/found"
verdict "every function, table, struct and word in capitals that CONTRIBUTING.md names is in the sources"

# `name()` in `folder/file.c`, and the diagrams: see pages.awk
# where_it_says PAGE: what of it is not where the page says, and how many names there are
sources=$(find src tests -name '*.[ch]' -o -name '*.py')
where_it_says() {
	# shellcheck disable=SC2086 # many files
	awk -f tests/unit/pages.awk $sources page=1 "$1"
}
where_it_says ARCHITECTURE.md >"$tmp/names"
sed -n '$p' "$tmp/names" | grep -vx '0 names' >"$tmp/found"
sed '$d' "$tmp/names" >"$tmp/missing"
verdict "every file, function, structure, test and diagram of ARCHITECTURE.md is where it says"

# The check itself, on a page with names that are right (the first three lines) and names that are not.
cat >"$tmp/page" <<'END'
`struct session`; `base/buf.c`: `buf_init()`; `lease_end()`, `lease_return()` in `pool/lease.c`, `kinds[]` of `base/err.c`; `session->in`, `ERR_NONE`,
`tests/unit/check_buf.c`: `what_goes_in_comes_out`. `pool/lease.h`:

    none -> waiting -> held <-> cleaning -> none
      +------------------^ |
             waiting       +--------------> none
                +-------------------------> none

| `base/buf.c` | `pool/lease.c` has `lease_end()`, `buf_init()` |

- `base/nothing.c`, `nowhere/`
- `base/buf.c`: `buf_nothing()`, `lease_end()`, `struct session` and `kinds[]`
- `buf_init()`
- `lease_end()` in `base/buf.c`
- `struct nothing`, `session->nothing`, `ERR_NOTHING`
- `tests/unit/check_buf.c`: `what_goes_in`
| `base/buf.c` | `lease_end()` |

The first line of the diagram is left out. `pool/lease.h`:

      +------------------^ |
             waiting       +--------------> none
                +-------------------------> none

An arrow is another one. `scope/lock.h`:

    none -> waiting -> held -> none
      +-----------------^
             waiting -> none
END
sed 's/^/:/' >"$tmp/expected" <<'END'
11: base/nothing.c
11: nowhere/
12: buf_nothing() in src/base/buf.c
12: lease_end() in src/base/buf.c
12: struct session in src/base/buf.c
12: kinds[] in src/base/buf.c
13: buf_init() stands beside no file
14: lease_end() in src/base/buf.c
15: struct nothing
15: session->nothing
15: ERR_NOTHING
16: what_goes_in in tests/unit/check_buf.c
17: lease_end() in src/base/buf.c
19: the diagram in src/pool/lease.h is another one
25: the diagram in src/scope/lock.h is another one
END
where_it_says "$tmp/page" | sed '$d' | sed 's/^[^:]*//' >"$tmp/found"
diff "$tmp/expected" "$tmp/found" >"$tmp/missing"
verdict "the check of ARCHITECTURE.md finds what is wrong, and nothing else"
