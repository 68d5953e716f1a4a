# Are the names on ARCHITECTURE.md where the page says? Reads the sources, then, behind page=1, the page; prints a line for
# each name that is not. Only what stands in back quotes counts:
#	folder/file.c, folder/	is there, below src/ or at the top
#	name()			is a function of the file that is named last in this paragraph, item or row, or, with "in" or
#				"of" or a bracket between them, next: `f()`, `g()` in `folder/file.c`;
#				in a row also of the file that the row begins with
#	name[]			is a table of it
#	struct name, enum name	are defined in it; anywhere, if no file is named
#	name			behind a file of tests/: a test in it
#	some->name, NAME	are a member in some header, a word of the sources
# A block behind a paragraph that ends with the name of a header and a colon is a diagram: all of one in that header.

# ---- the sources ----

!page && FNR == 1 { files[FILENAME]; text[FILENAME] = "\n" }
!page && FILENAME ~ /\.h$/ {
	line = $0
	sub(/[ \t]*\*\/[ \t]*$/, "", line)
	sub(/^[ \t]*\/?\*/, "", line)
	sub(/^ /, "", line)
	text[FILENAME] = text[FILENAME] line "\n"
}
!page && match($0, /^[a-z_0-9]+\(/) { functions[FILENAME, substr($0, 1, RLENGTH - 1)] }
!page && match($0, /[a-z_0-9]+\[[A-Z_]*\] = \{/) {
	name = substr($0, RSTART)
	sub(/\[.*/, "", name)
	tables[FILENAME, name]
}
!page && /^(struct|enum) [a-z_0-9]+ \{/ { structures[FILENAME, $1 " " $2]; structures[$1 " " $2] }
!page && match($0, /^(START_TEST\(|def )[a-z_0-9]+/) {
	name = substr($0, 1, RLENGTH)
	sub(/^(START_TEST\(|def )/, "", name)
	tests[FILENAME, name]
}
!page && FILENAME ~ /\.h$/ && /^\t[^#].*;/ {
	line = $0
	sub(/\/\*.*/, "", line)
	n = split(line, parts, /[^A-Za-z0-9_]+/)
	for (i = 1; i <= n; i++)
		members[parts[i]]
}
!page {
	n = split($0, parts, /[^A-Za-z0-9_]+/)
	for (i = 1; i <= n; i++)
		words[parts[i]]
	next
}

# ---- the page ----

function missing(what) {
	print FILENAME ":" line_of_unit ": " what
}
function is_there(path) {
	if (!(path in looked))
		looked[path] = (path in files) || system("test -e '" path "'") == 0
	return looked[path]
}
function is_path(name) {
	return name ~ /^[a-z0-9_.-]+(\/[a-z0-9_.-]+)*\/$/ || name ~ /^[a-z0-9_.-]+(\/[a-z0-9_.-]+)+\.[a-z]+$/
}
function path_of(name) {
	return name ~ /^tests\// || is_there(name) ? name : "src/" name
}
# The file that parts[i], a name, is said to be in; `last`: the one that was named last.
function file_of(i, n, last) {
	for (; i + 2 <= n; i += 2) {
		if (parts[i + 1] ~ /^ (in |of |\()$/ && is_path(parts[i + 2]))
			return path_of(parts[i + 2])
		if (parts[i + 1] !~ /^(,| and|, and| or) $/)
			break
	}
	return last
}
# Is it in the file, or in the one that the row begins with?
function is_in(set, file, name) {
	return ((file, name) in set) || ((row, name) in set)
}
function look_at(name, file,    bare) {
	bare = name
	sub(/(\(\)|\[\])$/, "", bare)
	if (is_path(name)) {
		found++
		if (!is_there(path_of(name)))
			missing(name)
	} else if (name ~ /^[a-z_0-9]+(\(\)|\[\])$/) {
		found++
		if (file == "")
			missing(name " stands beside no file")
		else if (name ~ /\)$/ ? !is_in(functions, file, bare) : !is_in(tables, file, bare))
			missing(name " in " file)
	} else if (name ~ /^(struct|enum) [a-z_0-9]+$/) {
		found++
		if (file ~ /\.[ch]$/ ? !((file, name) in structures) : !(name in structures))
			missing(name (file ~ /\.[ch]$/ ? " in " file : ""))
	} else if (name ~ /^[a-z_0-9]+$/ && file ~ /^tests\/.*\.(c|py)$/) {
		found++
		if (!((file, name) in tests))
			missing(name " in " file)
	} else if (name ~ /^[a-z_]+->[a-z_]+$/ || name ~ /^[A-Z]+(_[A-Z]+)+$/) {
		found++
		sub(/.*->/, "", bare)
		if (name ~ />/ ? !(bare in members) : !(bare in words))
			missing(name)
	}
}
# A paragraph, item or row. Its last file, if it ends with a colon, has the diagram that follows.
function end_of_unit(    n, i, last) {
	n = split(unit, parts, "`")
	row = parts[1] == "| " && is_path(parts[2]) ? path_of(parts[2]) : ""
	for (i = 2; i <= n; i += 2) {
		look_at(parts[i], file_of(i, n, last))
		if (is_path(parts[i]))
			last = path_of(parts[i])
	}
	if (unit != "")
		header = unit ~ /`:$/ && last ~ /\.h$/ ? last : ""
	unit = ""
}
function end_of_block(    block, at, before, behind) {
	block = lines
	lines = gap = ""
	if (block == "" || header == "")
		return
	found++
	at = index(text[header], block)
	before = substr(text[header], 1, at - 1)
	sub(/\n$/, "", before)
	sub(/.*\n/, "", before)
	behind = substr(text[header], at + length(block), 1)
	if (at == 0 || before ~ /^\t/ || behind == "\t")
		missing("the diagram in " header " is another one")
}

/^    / && unit == "" {
	lines = lines gap "\t" substr($0, 5) "\n"
	gap = ""
	next
}
/^[ \t]*$/ {
	end_of_unit()
	if (lines != "")
		gap = gap "\n"
	next
}
{
	end_of_block()
	if (/^([-#|]|[0-9]+\. )/)
		end_of_unit()
	if (unit == "")
		line_of_unit = FNR
	unit = unit (unit == "" ? "" : " ") $0
}
END {
	end_of_unit()
	end_of_block()
	print found + 0 " names"
}
