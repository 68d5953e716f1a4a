# Tcl's Pgtcl, by drivers_matrix.py: pgtcl.tcl DSN FEATURE
package require Pgtcl
fconfigure stdout -buffering line
encoding system utf-8

lassign $argv dsn feature
set large "SELECT repeat('x', 1000) FROM generate_series(1, 55000)"
set seen "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND\
	query LIKE '%pg_sleep(61)%' AND pid <> pg_backend_pid()"

proc connection {} {
	return [pg_connect -conninfo $::dsn]
}

proc expect {got want} {
	if {$got ne $want} {
		puts stderr "got $got, want $want"
		exit 1
	}
}

# The rows of a result, which must be a good one.
proc rows {result} {
	if {[pg_result $result -status] ni {PGRES_TUPLES_OK PGRES_COMMAND_OK PGRES_EMPTY_QUERY}} {
		error [pg_result $result -error]
	}
	set list [pg_result $result -llist]
	pg_result $result -clear
	return $list
}

proc state_of {result} {
	set state [pg_result $result -error sqlstate]
	pg_result $result -clear
	return $state
}

proc run {c args} {
	return [rows [pg_exec $c {*}$args]]
}

proc version {} {
	puts "Pgtcl [package present Pgtcl], Tcl [info patchlevel]"
}

proc query {} {
	set c [connection]
	expect [run $c "SELECT 1 + 1, 'gr\u00fc\u00dfe'"] [list [list 2 "gr\u00fc\u00dfe"]]
	expect [llength [run $c "SELECT generate_series(1, 1000)"]] 1000
	expect [run $c "SELECT 1 WHERE false"] {}
}

proc parameters {} {
	set c [connection]
	foreach value [list "" "it's" "back\\slash" "gr\u00fc\u00dfe" [string repeat x 100000] {$1 %s ?}] {
		expect [run $c {SELECT $1::text} $value] [list [list $value]]
	}
	expect [run $c {SELECT $1::int + $2::int} 1 2] 3
}

proc prepared {} {
	set c [connection]
	run $c {PREPARE add(int) AS SELECT $1 + 1, pg_backend_pid()}
	set pids {}
	for {set n 0} {$n < 50} {incr n} {
		run $c BEGIN
		set row [lindex [rows [pg_exec_prepared $c add $n]] 0]
		run $c COMMIT
		expect [lindex $row 0] [expr {$n + 1}]
		dict set pids [lindex $row 1] 1
	}
	run $c "DEALLOCATE add"
	expect [dict size $pids] 1
	puts "pinned SQL PREPARE is the only way to prepare: the session keeps its server until DEALLOCATE"
}

proc transactions {} {
	set c [connection]
	run $c "CREATE TABLE x (a int)"
	run $c BEGIN
	run $c "INSERT INTO x VALUES (1)"
	run $c ROLLBACK
	foreach sql {BEGIN "INSERT INTO x VALUES (2)" "SAVEPOINT s" "INSERT INTO x VALUES (3)"
		"ROLLBACK TO s" COMMIT} {
		run $c $sql
	}
	expect [run $c "SELECT a FROM x"] 2
}

proc errors {} {
	set c [connection]
	expect [state_of [pg_exec $c "SELEC 1"]] 42601
	run $c BEGIN
	expect [state_of [pg_exec $c {SELECT 1 / $1::int} 0]] 22012
	expect [state_of [pg_exec $c "SELECT 1"]] 25P02
	run $c ROLLBACK
	expect [run $c "SELECT 1"] 1
}

proc copy {} {
	set c [connection]
	run $c "CREATE TABLE x (a int, b text)"
	set r [pg_exec $c "COPY x FROM STDIN"]
	expect [pg_result $r -status] PGRES_COPY_IN
	for {set i 0} {$i < 10000} {incr i} {
		puts $c "$i\tb$i"
	}
	puts $c "\\."
	pg_result $r -clear
	# COPY TO STDOUT is not tried: gets ends early now and then, on a direct connection too.
	expect [run $c "SELECT count(*) FROM x"] 10000
}

proc heard {args} {
	set ::got yes
}

# Tells the runner, and waits for it.
proc ready {} {
	puts ready
	if {[gets stdin] eq ""} {
		error "the runner is gone"
	}
}

proc listen {} {
	set c [connection]
	set other [connection]
	pg_listen $c chan heard
	ready
	run $other NOTIFY\ chan
	vwait ::got
	expect $::got yes
	pg_listen $c chan
	run $c "UNLISTEN *"
	expect [run $c "SELECT 1"] 1
}

proc large {} {
	set c [connection]
	set total 0
	set r [pg_exec $c $::large]
	for {set i 0} {$i < [pg_result $r -numTuples]} {incr i} {
		incr total [string length [pg_result $r -getTuple $i]]
	}
	pg_result $r -clear
	expect $total 55000000
	expect [run $c "SELECT 1"] 1
}

proc cancel {} {
	set c [connection]
	set other [connection]
	pg_sendquery $c "SELECT pg_sleep(61)"
	while {[run $other $::seen] == 0} {}
	pg_cancelrequest $c
	expect [state_of [pg_getresult $c]] 57014
	expect [pg_getresult $c] ""
	expect [run $c "SELECT 1"] 1
}

proc restart {} {
	set idle [connection]
	set busy [connection]
	expect [run $idle {SELECT $1::int} 1] 1
	run $busy BEGIN
	run $busy "SELECT 1"
	ready
	expect [run $idle {SELECT $1::int} 2] 2
	if {![catch {run $busy "SELECT 1"}]} {
		error "a transaction outlived its server"
	}
	expect [run [connection] "SELECT 3"] 3
}

if {[catch {$feature} why]} {
	puts stderr $::errorInfo
	exit 1
}
puts ok
