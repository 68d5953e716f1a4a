#!/bin/sh
# Every command of pgwith with every option of its table: the command takes the option, or says that it does not, before it
# asks pgwithd. No pgwithd runs here: a command that takes its options fails by another exit status than that of usage.
builddir=${PGWITH_BUILDDIR:-.}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
PGWITH_SOCKET=$tmp
export PGWITH_SOCKET

number=0
# verdict NAME: $tmp/out says what went wrong.
verdict() {
	number=$((number + 1))
	if [ -s "$tmp/out" ]; then
		sed 's/^/# /' "$tmp/out"
		printf 'not '
	fi
	echo "ok $number - $1"
}

pgwith() {
	timeout 20 "$builddir/src/pgwith" "$@" >"$tmp/stdout" 2>"$tmp/stderr" </dev/null
}

# The words that the command wants at least.
words_of() {
	case $1 in
	disable | enable | drain) echo db ;;
	kill) echo session 1 ;;
	set) echo query_timeout 1s ;;
	import) echo "$tmp/none.ini" ;;
	completion) echo bash ;;
	help) echo pools ;;
	run) echo true ;;
	esac
}

# The option with an argument that is good.
written() {
	case $1 in
	socket) echo "--socket=$tmp" ;;
	port) echo --port=6432 ;;
	user | pool | database | cluster | role | uid | scope) echo "--$1=db" ;;
	columns) echo --columns=pool ;;
	watch | interval | max-wait | timeout) echo "--$1=1s" ;;
	color) echo --color=never ;;
	config | passfile | report) echo "--$1=$tmp/none" ;;
	output) echo "--output=$tmp/none.db" ;;
	seconds) echo --seconds=1 ;;
	lock | shared-lock | on) echo "--$1=db" ;;
	semaphore) echo --semaphore=db=2 ;;
	wait | deadline | kill-after) echo "--$1=1s" ;;
	wait-status) echo --wait-status=75 ;;
	url) echo --url=DATABASE_URL ;;
	isolation) echo --isolation=serializable ;;
	*) echo "--$1" ;;
	esac
}

echo 1..5
"$builddir/src/pgwith" --help >"$tmp/help"
sed -n 's/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p' "$tmp/help" >"$tmp/commands"
sed -n 's/^  \(-[A-Za-z], *\|   *\)--\([a-z-]*\).*/\2/p' "$tmp/help" >"$tmp/options"

# What is taken by whom, as the manual says it; a look is a command that prints a table.
looks="status clusters limits logins pools clients servers scopes locks held waits stats scope-stats config databases lists errors mem fds
sockets users version show"
expected() {
	case $2 in
	socket | port | user | timeout | color | help | version) return 0 ;;
	esac
	case "$1 $2" in
	"status max-wait" | "top interval" | "top once" | "waits dot" | "waits with-server" | "set pool" | "set cluster" | \
		"set role" | "set uid" | "set scope" | "import passfile" | \
		"import database" | "metrics output" | "metrics json" | "metrics csv" | "metrics no-header" | "trace output" | \
		"trace seconds" | "trace pool" | "trace report" | "doctor config" | "doctor json" | "doctor csv" | \
		"doctor no-header" | "run lock" | "run shared-lock" | "run semaphore" | "run on" | "run wait" | "run wait-status" | \
		"run pool" | "run read-only" | "run isolation" | "run rollback" | "run no-transaction" | "run url" | \
		"run allow-outside" | "run quiet" | \
		"run deadline" | "run kill-after" | "ready json" | "ready csv" | "ready no-header" | "ready all" | "ready columns") return 0 ;;
	esac
	case $2 in
	all | columns | watch | json | csv | no-header)
		for look in $looks; do
			[ "$look" = "$1" ] && return 0
		done
		;;
	esac
	return 1
}

: >"$tmp/out"
: >"$tmp/unsaid"
pairs=0
while read -r command; do
	while read -r option; do
		pairs=$((pairs + 1))
		# shellcheck disable=SC2046 # several words
		pgwith "$command" "$(written "$option")" $([ "$command" = trace ] && [ "$option" != report ] &&
			[ "$option" != output ] && echo "--output=$tmp/none.db") $([ "$command" = run ] && echo --pool=db) -- $(words_of "$command")
		status=$?
		[ "$status" -lt 6 ] || [ "$command $status" = "run 125" ] || echo "$command --$option: exit status $status" >>"$tmp/out"
		refused=no
		grep -Eq "^pgwith: ($command takes (no|--$option only)|--watch is for)" "$tmp/stderr" && refused=yes
		if expected "$command" "$option"; then
			[ $refused = no ] || echo "$command --$option: $(cat "$tmp/stderr")" >>"$tmp/out"
		else
			[ "$status $refused" = "$([ "$command" = run ] && echo 125 || echo 2) yes" ] ||
				echo "$command --$option: is taken, exit status $status" >>"$tmp/out"
			grep -q -e "--$option" "$tmp/stderr" || echo "$command --$option: $(cat "$tmp/stderr")" >>"$tmp/unsaid"
		fi
	done <"$tmp/options"
done <"$tmp/commands"
[ "$pairs" -gt 800 ] || echo "only $pairs pairs" >>"$tmp/out"
verdict "each command takes the options that it can use, and no others"
cp "$tmp/unsaid" "$tmp/out"
verdict "an error names the option"

# refuses TEXT ARGUMENT...
refuses() {
	text=$1
	shift
	pgwith "$@"
	status=$?
	[ "$status $(cat "$tmp/stderr")" = "2 pgwith: $text" ] || echo "$*: exit status $status: $(cat "$tmp/stderr")" >>"$tmp/out"
}
: >"$tmp/out"
refuses "pools takes either --json or --csv" pools --csv --json
refuses "pools takes either -o or --all" pools --all -o database
refuses "waits takes --config only with --with-server" waits -c "$tmp/none"
refuses "waits takes either --dot or --json" waits --json --dot
refuses "waits takes either --dot or -o" waits --dot -o kind
refuses "trace takes either --report or -o" trace -o "$tmp/x.db" --report "$tmp/none"
refuses "trace takes either --report or --seconds" trace --seconds 3 --report "$tmp/none"
refuses "trace takes --json only with --report" trace -o "$tmp/x.db" --json
refuses "held takes no --dot; pgwith help held says which options it takes" held --dot
refuses "held takes no --dot; pgwith help held says which options it takes" --do held
refuses "ping takes no -o; pgwith help ping says which options it takes" -o x ping
refuses "metrics takes no --columns; pgwith help metrics says which options it takes" metrics --columns line
refuses_run()
{
	text=$1
	shift
	pgwith run "$@" true
	status=$?
	[ "$status $(cat "$tmp/stderr")" = "125 pgwith: $text" ] || echo "$*: exit status $status: $(cat "$tmp/stderr")" >>"$tmp/out"
}
refuses_run "run takes --rollback only with --pool" --rollback --lock a
refuses_run "run takes either --rollback or --no-transaction" --no-transaction --rollback --pool db
refuses_run "run takes either --on or --semaphore" --semaphore a=2 --on db
verdict "options that exclude or need each other are told so"

# taken ARGUMENT...: the command goes on to ask pgwithd, which is not there.
taken() {
	pgwith "$@"
	status=$?
	[ "$status" = 3 ] || echo "$*: exit status $status: $(cat "$tmp/stderr")" >>"$tmp/out"
}
: >"$tmp/out"
taken metrics -o "$tmp/x.prom"
taken pools -o database
taken waits --dot --with-server -c "$tmp/none"
taken ready --json
PGWITH_SOCKET=$tmp "$builddir/src/pgwith" run --pool db --rollback --isolation serializable --read-only true 2>"$tmp/stderr"
[ $? = 125 ] && grep -q "No such file or directory" "$tmp/stderr" || echo "run: $(cat "$tmp/stderr")" >>"$tmp/out"
verdict "good pairs are taken"

# Of a command, what help lists, the shell completes.
: >"$tmp/out"
"$builddir/src/pgwith" completion bash >"$tmp/bash"
while read -r command; do
	sed -n "s/^\t\t\t$command) list='\(--.*\) '.*/\1/p" "$tmp/bash" | tr ' ' '\n' |
		grep -vxe --socket -e --port -e --user -e --timeout -e --color -e --help -e --version -e --watch >"$tmp/a"
	"$builddir/src/pgwith" help "$command" | sed -n 's/^Options, beside those of every command: //p' |
		sed 's/, /\n/g' >"$tmp/b"
	diff "$tmp/a" "$tmp/b" >"$tmp/diff" || { echo "$command:"; cat "$tmp/diff"; } >>"$tmp/out"
done <"$tmp/commands"
verdict "help and completion have the same options of a command"
