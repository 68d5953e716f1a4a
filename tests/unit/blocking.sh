#!/bin/sh
# Calls of the C library and of libpq that could make the loop wait. ARCHITECTURE.md lists every one, and where it is
# made; by the symbols of the object files, there is no other.
srcdir=${PGWITH_SRCDIR:-.}
builddir=${PGWITH_BUILDDIR:-.}
echo 1..3

# Reads what nm -A -P -u prints: the calls that could wait, as "CALL FOLDER/NAME.c", sorted.
waiting_calls()
{
	awk '
	BEGIN {
		# who somebody is, names of hosts, time zones, the system log
		names = "getpw.*|getgr.*|setpwent|setgrent|initgroups|getaddrinfo|getnameinfo|gethostby.*|getserv.*|res_.*|" \
			"localtime.*|mktime|tzset|ctime.*|syslog|vsyslog|openlog|setlocale|iconv_open|dlopen|getpass"
		# files
		files = "open|openat|creat|fopen|freopen|opendir|scandir|glob|nftw|stat|lstat|access|readlink|realpath|pread|readv|" \
			"read|write|writev|pwrite|fgets|getline|getdelim|fread|fsync|fdatasync|sync|rename|unlink|link|symlink|mkdir|" \
			"rmdir|chmod|chown|truncate|ftruncate|fallocate|tmpfile|mkstemp|flock|lockf|getrandom|getentropy"
		# connections, other processes and threads, time
		others = "connect|accept4?|recv|recvfrom|recvmsg|recvmmsg|send|sendto|sendmsg|poll|ppoll|select|pselect|epoll_wait|" \
			"sleep|usleep|nanosleep|clock_nanosleep|system|popen|fork|vfork|posix_spawnp?|wait|waitpid|wait4|" \
			"pthread_join|pthread_cond_wait|pthread_cond_timedwait|pthread_mutex_lock|pthread_rwlock_.*lock|sem_wait|" \
			"SSL_connect|SSL_do_handshake|SSL_read|SSL_write|SSL_shutdown|SSL_CTX_load_.*|sd_notify|sd_journal_.*"
		libpq = "PQcancel|PQconndefaults|PQconnect.*|PQreset.*|PQping.*|PQsetdbLogin|PQfinish|PQconninfoParse|PQexec.*|" \
			"PQprepare|PQdescribe.*|PQgetResult|PQconsumeInput|PQflush|PQputCopy.*|PQgetCopyData|PQfn|lo_.*"
		all = "^(__)?(" names "|" files "|" others "|" libpq ")(64)?(_chk|_2)?$"
	}
	$2 ~ all {
		module = $1
		call = $2
		# what the library calls with _FORTIFY_SOURCE
		if (sub(/(64)?(_chk|_2)$/, "", call))
			sub(/^__/, "", call)
		sub(/^(.*\/)?src\//, "", module)
		sub(/\.o:?$/, ".c", module)
		print call, module
	}' | sort -u
}

# Reads ARCHITECTURE.md: the table of its section, in the same form.
listed()
{
	awk '
	/^## / { here = $0 ~ /^## What could make the loop wait/ }
	here && /^\| `/ {
		split($0, cell, / \| /)
		call = cell[1]
		gsub(/[|` ]/, "", call)
		n = split(cell[2], where, ", ")
		for (i = 1; i <= n; i++) {
			gsub(/`/, "", where[i])
			print call, where[i]
		}
	}' | sort -u
}

objects=$(cd "$srcdir/src" && find base wire loop conf pool scope session executor relay daemon admin -name '*.c' |
	sed 's,\(.*\)\.c$,src/\1.o,' | sort)
symbols=$(cd "$builddir" && echo "$objects" | xargs "${NM:-nm}" -A -P -u 2>/dev/null)
listed <"$srcdir/ARCHITECTURE.md" >"${TMPDIR:-/tmp}/blocking.$$.listed"
if ! echo "$symbols" | grep -q ' U'; then
	# link-time optimization, or another system
	echo "ok 1 - every call that could make the loop wait is listed # SKIP ${NM:-nm} tells no symbols"
elif echo "$symbols" | grep -q '__asan_'; then
	echo "ok 1 - every call that could make the loop wait is listed # SKIP a sanitizer calls others"
else
	said=$(echo "$symbols" | waiting_calls | diff "${TMPDIR:-/tmp}/blocking.$$.listed" -)
	if [ -z "$said" ]; then
		echo "ok 1 - every call that could make the loop wait is listed"
	else
		echo "# < ARCHITECTURE.md lists it, and it is not made; > it is made, and not listed:"
		echo "$said" | sed 's/^/# /'
		echo "not ok 1 - every call that could make the loop wait is listed"
	fi
fi
rm -f "${TMPDIR:-/tmp}/blocking.$$.listed"

# ---- the check itself ----

# expect WHAT SAID EXPECTED
expect()
{
	if [ "$2" = "$3" ]; then
		echo "ok $1"
	else
		echo "# said: $2"
		echo "not ok $1"
	fi
}

said=$(printf '%s\n' 'src/relay/x.o: getpwuid_r U' 'src/relay/x.o: getppid U' 'src/pool/y.o: __read_chk U' \
	'src/pool/y.o: PQsocket U' 'src/pool/y.o: reads U' | waiting_calls | tr '\n' ';')
expect "2 - calls are found" "$said" "getpwuid_r relay/x.c;read pool/y.c;"
# shellcheck disable=SC2016 # the backquotes are Markdown's
said=$(printf '%s\n' '## Other' '| `no` | `a/b.c` | |' '## What could make the loop wait' '| call | in | |' \
	'| `open` | `a/b.c`, `c/d.c` | why, `not.c` |' '## Behind' '| `no` | `a/b.c` | |' | listed | tr '\n' ';')
expect "3 - the table is read" "$said" "open a/b.c;open c/d.c;"
