# Who calls whom, by the object files' own symbols. Reads `nm -A -P -g` of src/FOLDER/NAME.o (any path before src/),
# with -v chain="the folders of the daemon, lowest first". Prints a line for every call from a folder to one above it,
# and for every circle of modules that is too large. A module is FOLDER/NAME; a subfolder belongs to its folder.
function module_of(path) {
	sub(/^(.*\/)?src\//, "", path)
	sub(/\.o:?$/, "", path)
	return path
}
function folder_of(module) {
	sub(/\/.*/, "", module)
	return module
}
# pgwith-fixture is linked without the daemon's folders and has names of its own for other things.
function program_of(module) {
	return folder_of(module) == "fixture" ? "fixture" : ""
}
function definer(module, symbol) {
	if ((program_of(module), symbol) in defined)
		return defined[program_of(module), symbol]
	return defined["", symbol]
}

# The folders that this one may call, beside itself.
function may_call(from, to) {
	if (folder_of(from) == folder_of(to))
		return 1
	if (folder_of(from) == "fixture")
		return rank[folder_of(to)] <= rank["wire"]
	if (folder_of(from) == "cli")
		return rank[folder_of(to)] <= rank["wire"] || folder_of(to) == "conf" || to == "pool/resolve"
	return rank[folder_of(to)] < rank[folder_of(from)]
}

# Tarjan: strongly connected components.
function visit(v,    n, i, w, next_of) {
	index_of[v] = low[v] = ++visited
	stack[++depth] = v
	on_stack[v] = 1
	n = split(calls[v], next_of, " ")
	for (i = 1; i <= n; i++) {
		w = next_of[i]
		if (!(w in index_of)) {
			visit(w)
			if (low[w] < low[v])
				low[v] = low[w]
		} else if (on_stack[w] && index_of[w] < low[v]) {
			low[v] = index_of[w]
		}
	}
	if (low[v] == index_of[v])
		component(v)
}
function component(v,    w, names, count, folders, spans) {
	do {
		w = stack[depth--]
		on_stack[w] = 0
		names = " " w names
		count++
		if (!(folder_of(w) in folders))
			spans++
		folders[folder_of(w)] = 1
	} while (w != v)
	if (count == 1)
		return
	if (spans > 1)
		print "a circle of " count " modules spans folders:" names
	else if (count > CIRCLE_MAX)
		print "a circle of " count " modules, " CIRCLE_MAX " at most are allowed:" names
}

BEGIN {
	CIRCLE_MAX = 6
	n = split(chain, folders_in_order, " ")
	for (i = 1; i <= n; i++)
		rank[folders_in_order[i]] = i
}
{
	module = module_of($1)
	if (!(module in seen)) {
		seen[module] = 1
		modules[++nmodules] = module
	}
	if ($3 == "U" || $3 == "w" || $3 == "v")
		wanted[++nwanted] = module SUBSEP $2
	else
		defined[program_of(module), $2] = module
}
END {
	for (i = 1; i <= nwanted; i++) {
		split(wanted[i], part, SUBSEP)
		from = part[1]
		to = definer(from, part[2])
		if (to == "" || to == from)
			continue
		if (!may_call(from, to))
			print from " calls up: " to " (" part[2] ")"
		if (!((from, to) in edge))
			calls[from] = calls[from] " " to
		edge[from, to] = 1
	}
	for (i = 1; i <= nmodules; i++)
		if (!(modules[i] in index_of))
			visit(modules[i])
}
