#include "cli/complete.h"

#include <stdlib.h>
#include <string.h>

#include "base/words.h"
#include "cli/options.h"
#include "conf/option.h"

/* The options of pgwithd: conf/cmdline.c. */
#define DAEMON_WORDS "--config --option --pool --listen --test --verbose --version --help"

/* ---- what the scripts are made of ---- */

struct table {
	const struct commands_entry *entries;
	unsigned count;
};

/* Prints the names of the commands whose arguments are of this kind, `gap` between them. False if
 * there are none. */
static bool
names_of(const struct table *t, enum commands_word word, const char *gap)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->count; i++)
		if (t->entries[i].word == word)
			printf("%s%s", n++ ? gap : "", t->entries[i].name);
	return n > 0;
}

static void
all_names(const struct table *t)
{
	for (unsigned i = 0; i < t->count; i++)
		printf("%s ", t->entries[i].name);
}

/* Prints the long options; `with`: only those that take an argument. */
static void
option_names(bool with, const char *gap)
{
	unsigned n = 0;

	for (const struct option *o = options_table(); o->name; o++)
		if (o->has_arg != no_argument || !with)
			printf("%s--%s", n++ ? gap : "", o->name);
}

/* Prints the options that pgwithd -o can set in [pgwith], each with a sign of equality. */
static void
daemon_options(void)
{
	unsigned count, n = 0;
	const struct conf_option *table = option_table(&count);

	for (unsigned i = 0; i < count; i++)
		if (option_fits(&table[i], OPTION_PGWITH) && !table[i].repeats)
			printf("%s%s=", n++ ? " " : "", table[i].name);
}

/* Prints the long options that the command takes. */
static void
options_of(const struct commands_entry *entry)
{
	for (const struct option *o = options_table(); o->name; o++)
		if (commands_takes(entry, o->name))
			printf("--%s ", o->name);
}

/* ---- bash ---- */

static const char bash_front[] =
    "# bash completion of pgwith(1), made by `pgwith completion bash`\n"
    "\n"
    "# What pgwithd has: one name a line.\n"
    "_pgwith_ask()\n"
    "{\n"
    "\tpgwith \"${where[@]}\" -w 3s --csv --no-header \"$@\" 2>/dev/null | tr -d '\\r\"'\n"
    "}\n"
    "\n"
    "_pgwith()\n"
    "{\n"
    "\tlocal IFS=$' \\t\\n' cur=${COMP_WORDS[COMP_CWORD]} option= list= word i=1\n"
    "\tlocal -a where=() words=()\n"
    "\n"
    "\tCOMPREPLY=()\n"
    "\twhile [ \"$i\" -lt \"$COMP_CWORD\" ]; do\n"
    "\t\tword=${COMP_WORDS[i]}\n"
    "\t\ti=$((i + 1))\n"
    "\t\toption=\n"
    "\t\tcase $word in\n"
    "\t\t-[SpUowWc]|";
static const char bash_options[] =
    ")\n"
    "\t\t\toption=$word\n"
    "\t\t\t[ \"${COMP_WORDS[i]}\" = '=' ] && i=$((i + 1))\n"
    "\t\t\tif [ \"$i\" -lt \"$COMP_CWORD\" ]; then\n"
    "\t\t\t\tcase $option in\n"
    "\t\t\t\t-[SpU]|--socket|--port|--user) where+=(\"$option\" \"${COMP_WORDS[i]}\") ;;\n"
    "\t\t\t\tesac\n"
    "\t\t\t\ti=$((i + 1))\n"
    "\t\t\t\toption=\n"
    "\t\t\tfi ;;\n"
    "\t\t-*) ;;\n"
    "\t\t*) words+=(\"$word\") ;;\n"
    "\t\tesac\n"
    "\tdone\n"
    "\t[ \"$cur\" = '=' ] && cur=\n"
    "\n"
    "\t# the words of a program are its own\n"
    "\tcase ${#words[@]},${words[0]} in\n"
    "\t[2-9],";
static const char bash_program[] =
    ") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
    "\tesac\n"
    "\n"
    "\tcase $option in\n"
    "\t-S|--socket) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
    "\t-c|--config|--passfile|--output|--report) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
    "\t-o) [[ \"${words[0]}\" = @(metrics|trace) ]] && COMPREPLY=($(compgen -f -- \"$cur\")); "
    "return ;;\n"
    "\t--pool|--on) list=$(_pgwith_ask databases -o name | sort -u) ;;\n"
    "\t--cluster|--role|--uid|--scope)\n"
    "\t\tlist=$(_pgwith_ask config -o section | sed -n \"s/^${option#--} //p\" | sort -u) ;;\n"
    "\t--lock|--shared-lock) list=$(_pgwith_ask locks -o name | sort -u) ;;\n"
    "\t--color) list='auto always never' ;;\n"
    "\t?*) return ;;\n"
    "\t*)\n"
    "\t\tcase $cur in\n"
    "\t\t-*)\n"
    "\t\t\tcase ${words[0]} in\n";
static const char bash_commands[] = "' ;;\n"
				    "\t\t\tesac ;;\n"
				    "\t\t*)\n"
				    "\t\t\tcase ${#words[@]},${words[0]} in\n"
				    "\t\t\t0,*) list='";
static const char bash_after_commands[] = "' ;;\n";
static const char bash_back[] = "\t\t\tesac ;;\n"
				"\t\tesac ;;\n"
				"\tesac\n"
				"\tIFS=$'\\n'\n"
				"\tlist=${list//[ ]/$'\\n'}\n"
				"\tCOMPREPLY=($(compgen -W \"$list\" -- \"$cur\"))\n"
				"}\n"
				"\n"
				"complete -F _pgwith pgwith\n";
static const char bash_daemon[] =
    "\n"
    "_pgwithd()\n"
    "{\n"
    "\tlocal IFS=$' \\t\\n' cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "\n"
    "\tCOMPREPLY=()\n"
    "\t[ \"$before\" = '=' ] && [ \"$COMP_CWORD\" -ge 2 ] && before=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "\tcase $before in\n"
    "\t-c|--config) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
    "\t--listen) COMPREPLY=($(compgen -d -- \"$cur\")) ;;\n"
    "\t-o|--option)\n"
    "\t\tcompopt -o nospace 2>/dev/null\n"
    "\t\tCOMPREPLY=($(compgen -W '";
static const char bash_daemon_back[] =
    "' -- \"$cur\")) ;;\n"
    "\t--pool) ;;\n"
    "\t*)\n"
    "\t\t[[ $cur == -* ]] && COMPREPLY=($(compgen -W '" DAEMON_WORDS "' -- \"$cur\")) ;;\n"
    "\tesac\n"
    "}\n"
    "\n"
    "complete -F _pgwithd pgwithd\n";

/* The words that complete an argument, by the kind of command. */
static const struct {
	enum commands_word word;
	unsigned at;      /* how many words of the command stand before the argument */
	const char *list; /* the words, for both shells */
} lists[] = {
    {COMMANDS_POOL, 1, "list=$(_pgwith_ask databases -o name | sort -u)"},
    {COMMANDS_SHOW, 1, "list=$(_pgwith_ask show -o command | sed -n 's/^SHOW //p')"},
    {COMMANDS_KILL, 1, "list='session scope server pool'"},
    {COMMANDS_OPTION, 1, "list=$(_pgwith_ask config -o key | sort -u)"},
    {COMMANDS_SHUTDOWN, 1, "list='now after-scopes after-clients'"},
    {COMMANDS_SHELL, 1, "list='bash zsh'"},
};

static void
bash_lists(const struct table *t)
{
	for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++) {
		char gap[8];

		snprintf(gap, sizeof gap, "|%u,", lists[i].at);
		printf("\t\t\t%u,", lists[i].at);
		names_of(t, lists[i].word, gap);
		printf(") %s ;;\n", lists[i].list);
	}
	printf("\t\t\t1,");
	names_of(t, COMMANDS_FILE, "|1,");
	printf(") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n\t\t\t1,");
	names_of(t, COMMANDS_PROGRAM, "|1,");
	printf(") COMPREPLY=($(compgen -c -- \"$cur\")); return ;;\n\t\t\t1,");
	names_of(t, COMMANDS_COMMAND, "|1,");
	printf(") list='");
	all_names(t);
	printf("' ;;\n"
	       "\t\t\t2,kill)\n"
	       "\t\t\t\tcase ${words[1]} in\n"
	       "\t\t\t\tsession) list=$(_pgwith_ask clients -o id) ;;\n"
	       "\t\t\t\tscope) list=$(_pgwith_ask scopes -o session | sort -u) ;;\n"
	       "\t\t\t\tserver) list=$(_pgwith_ask servers -o id) ;;\n"
	       "\t\t\t\tpool) list=$(_pgwith_ask databases -o name | sort -u) ;;\n"
	       "\t\t\t\tesac ;;\n"
	       "\t\t\t3,kill)\n"
	       "\t\t\t\tlist=$(_pgwith_ask scopes -o session,name | sed -n \"s/^${words[2]},//p\") "
	       ";;\n");
}

static void
bash(const struct table *t)
{
	fputs(bash_front, stdout);
	option_names(true, "|");
	fputs(bash_options, stdout);
	names_of(t, COMMANDS_PROGRAM, "|[2-9],");
	fputs("|??*,", stdout);
	names_of(t, COMMANDS_PROGRAM, "|??*,");
	fputs(bash_program, stdout);
	for (unsigned i = 0; i < t->count; i++) {
		printf("\t\t\t%s) list='", t->entries[i].name);
		options_of(&t->entries[i]);
		fputs("' ;;\n", stdout);
	}
	fputs("\t\t\t*) list='", stdout);
	option_names(false, " ");
	fputs(bash_commands, stdout);
	all_names(t);
	fputs(bash_after_commands, stdout);
	bash_lists(t);
	fputs(bash_back, stdout);
	fputs(bash_daemon, stdout);
	daemon_options();
	fputs(bash_daemon_back, stdout);
}

/* ---- zsh ---- */

static const char zsh_front[] =
    "#compdef pgwith pgwithd\n"
    "# zsh completion of pgwith(1), made by `pgwith completion zsh`\n"
    "\n"
    "# What pgwithd has: one name a line.\n"
    "_pgwith_ask() {\n"
    "\tpgwith $where -w 3s --csv --no-header \"$@\" 2>/dev/null | tr -d '\\r\"'\n"
    "}\n"
    "\n"
    "_pgwith() {\n"
    "\tlocal option= list= word i=2\n"
    "\tlocal -a where before commands\n"
    "\n"
    "\twhile (( i < CURRENT )); do\n"
    "\t\tword=$words[i]\n"
    "\t\t(( i++ ))\n"
    "\t\toption=\n"
    "\t\tcase $word in\n"
    "\t\t(-[SpUowWc]|";
static const char zsh_options[] =
    ")\n"
    "\t\t\toption=$word\n"
    "\t\t\tif (( i < CURRENT )); then\n"
    "\t\t\t\tcase $option in\n"
    "\t\t\t\t(-[SpU]|--socket|--port|--user) where+=($option $words[i]) ;;\n"
    "\t\t\t\tesac\n"
    "\t\t\t\t(( i++ ))\n"
    "\t\t\t\toption=\n"
    "\t\t\tfi ;;\n"
    "\t\t(-*) ;;\n"
    "\t\t(*) before+=($word) ;;\n"
    "\t\tesac\n"
    "\tdone\n"
    "\n"
    "\t# the words of a program are its own\n"
    "\tif [[ $#before -gt 1 && $before[1] == (";
static const char zsh_program[] =
    ") ]]; then _files; return; fi\n"
    "\n"
    "\tcase $option in\n"
    "\t(-S|--socket) _files -/; return ;;\n"
    "\t(-c|--config|--passfile|--output|--report) _files; return ;;\n"
    "\t(-o) [[ $before[1] == (metrics|trace) ]] && _files; return ;;\n"
    "\t(--pool|--on) list=$(_pgwith_ask databases -o name | sort -u) ;;\n"
    "\t(--cluster|--role|--uid|--scope)\n"
    "\t\tlist=$(_pgwith_ask config -o section | sed -n \"s/^${option#--} //p\" | sort -u) ;;\n"
    "\t(--lock|--shared-lock) list=$(_pgwith_ask locks -o name | sort -u) ;;\n"
    "\t(--color) list='auto always never' ;;\n"
    "\t(?*) return ;;\n"
    "\t(*)\n"
    "\t\tcase $words[CURRENT] in\n"
    "\t\t(-*)\n"
    "\t\t\tcase $before[1] in\n";
static const char zsh_commands[] = "' ;;\n"
				   "\t\t\tesac ;;\n"
				   "\t\t(*)\n"
				   "\t\t\tcase $#before,$before[1] in\n"
				   "\t\t\t(0,*)\n"
				   "\t\t\t\tcommands=(\n";
static const char zsh_after_commands[] = "\t\t\t\t)\n"
					 "\t\t\t\t_describe command commands; return ;;\n";
static const char zsh_back[] = "\t\t\tesac ;;\n"
			       "\t\tesac ;;\n"
			       "\tesac\n"
			       "\tcompadd -- ${(f)${list// /$'\\n'}}\n"
			       "}\n"
			       "\n"
			       "_pgwithd() {\n"
			       "\t_arguments \\\n"
			       "\t\t'(-c --config)'{-c,--config}'[configuration]:file:_files' \\\n"
			       "\t\t'*'{-o,--option}'[set an option]:option:compadd -S \"\" -- ";
static const char zsh_daemon_back[] =
    "' \\\n"
    "\t\t'*--pool[add a pool]:NAME=CONNINFO: ' \\\n"
    "\t\t'--listen[directory of the socket]:directory:_files -/' \\\n"
    "\t\t'(-t --test)'{-t,--test}'[check the configuration and exit]' \\\n"
    "\t\t'(-v --verbose)'{-v,--verbose}'[log debug lines too]' \\\n"
    "\t\t'(-V --version)'{-V,--version}'[print the version and exit]' \\\n"
    "\t\t'(-h --help)'{-h,--help}'[print a summary and exit]'\n"
    "}\n"
    "\n"
    "if [[ $service == pgwithd ]]; then _pgwithd \"$@\"; else _pgwith \"$@\"; fi\n";

static void
zsh_lists(const struct table *t)
{
	for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++) {
		char gap[8];

		snprintf(gap, sizeof gap, "|%u,", lists[i].at);
		printf("\t\t\t(%u,", lists[i].at);
		names_of(t, lists[i].word, gap);
		printf(") %s ;;\n", lists[i].list);
	}
	printf("\t\t\t(1,");
	names_of(t, COMMANDS_FILE, "|1,");
	printf(") _files; return ;;\n\t\t\t(1,");
	names_of(t, COMMANDS_PROGRAM, "|1,");
	printf(") _command_names -e; return ;;\n\t\t\t(1,");
	names_of(t, COMMANDS_COMMAND, "|1,");
	printf(") list='");
	all_names(t);
	printf("' ;;\n"
	       "\t\t\t(2,kill)\n"
	       "\t\t\t\tcase $before[2] in\n"
	       "\t\t\t\t(session) list=$(_pgwith_ask clients -o id) ;;\n"
	       "\t\t\t\t(scope) list=$(_pgwith_ask scopes -o session | sort -u) ;;\n"
	       "\t\t\t\t(server) list=$(_pgwith_ask servers -o id) ;;\n"
	       "\t\t\t\t(pool) list=$(_pgwith_ask databases -o name | sort -u) ;;\n"
	       "\t\t\t\tesac ;;\n"
	       "\t\t\t(3,kill)\n"
	       "\t\t\t\tlist=$(_pgwith_ask scopes -o session,name | sed -n \"s/^$before[3],//p\") "
	       ";;\n");
}

static void
zsh(const struct table *t)
{
	fputs(zsh_front, stdout);
	option_names(true, "|");
	fputs(zsh_options, stdout);
	names_of(t, COMMANDS_PROGRAM, "|");
	fputs(zsh_program, stdout);
	for (unsigned i = 0; i < t->count; i++) {
		printf("\t\t\t(%s) list='", t->entries[i].name);
		options_of(&t->entries[i]);
		fputs("' ;;\n", stdout);
	}
	fputs("\t\t\t(*) list='", stdout);
	option_names(false, " ");
	fputs(zsh_commands, stdout);
	for (unsigned i = 0; i < t->count; i++) {
		printf("\t\t\t\t\t'%s:", t->entries[i].name);
		for (const char *p = t->entries[i].help; *p; p++)
			fputs(*p == '\'' ? "'\\''" : (char[]){*p, 0}, stdout);
		fputs("'\n", stdout);
	}
	fputs(zsh_after_commands, stdout);
	zsh_lists(t);
	fputs(zsh_back, stdout);
	daemon_options();
	fputs(zsh_daemon_back, stdout);
}

enum ask_status
complete_print(const struct commands_entry *entries, unsigned count, const char *shell)
{
	const struct table t = {entries, count};
	static const char *const shells[] = {"bash", "zsh"};
	const char *near;

	if (strcmp(shell, "bash") == 0) {
		bash(&t);
		return ASK_GOOD;
	}
	if (strcmp(shell, "zsh") == 0) {
		zsh(&t);
		return ASK_GOOD;
	}
	near = words_nearest(shell, shells, 2);
	fprintf(stderr, "pgwith: completion: \"%s\" is neither bash nor zsh", shell);
	fprintf(stderr, near ? "; did you mean \"%s\"?\n" : "\n", near);
	return ASK_USAGE;
}
