"""A shell script of twenty psql calls in pgwith run, killed at random moments: the script, a psql, pgwith run, or the daemon
restarts. All of it is there or nothing; locks and the server are free within a second, and the same server serves on.
PGWITH_TEST_KILLS says how often (20; the whole of it is 200)."""

import os
import signal
import subprocess
import time

from pgwtest import check, equal, main, slow_factor, test, wait_until
from pgwtest.runs import PY, Running, is_gone, locks, members, program_of
from pgwtest.server import bindir

CALLS = 20
KILLS = int(os.environ.get("PGWITH_TEST_KILLS") or 20)


def write_script(t):
    """Twenty psql calls of several kinds; it ends at the first that fails. Call number i writes row i; some have several
    statements or a transaction of their own, and some print what they see, which has to be what they have written."""
    psql = os.path.join(bindir(), "psql") + " -XAtq -v ON_ERROR_STOP=1 -v run=$1"
    lines = ["#!/bin/sh", "set -e"]
    for i in range(CALLS):
        insert = "INSERT INTO steps VALUES (:run, %d)" % i
        kind = i % 5
        if kind == 0:
            lines.append("echo '%s;' | %s" % (insert, psql))
        elif kind == 1:
            lines.append("%s <<'END'\nBEGIN;\n%s;\nUPDATE steps SET n = n WHERE run = :run;\nCOMMIT;\nEND" % (psql, insert))
        elif kind == 2:
            lines.append("%s -1 <<'END'\n%s;\nSELECT count(*) FROM big;\nEND" % (psql, insert))
        elif kind == 3:
            lines.append("printf '%%s\\t%d\\n' $1 | %s -c 'COPY steps FROM STDIN'" % (i, psql))
        else:
            lines.append("test \"$(echo '%s; SELECT count(*) FROM steps WHERE run = :run;' | %s)\" = %d" % (insert, psql, i + 1))
    path = t.path("script")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    os.chmod(path, 0o755)
    return path


def who_is(run_pid, what):
    """The pid of what is to be killed, or None if it is not there now."""
    if what == "run":
        return None if is_gone(run_pid) else run_pid
    if what == "script":
        return program_of(run_pid)
    for pid in members(run_pid):
        try:
            with open("/proc/%d/comm" % pid) as f:
                if f.read().strip() == "psql":
                    return pid
        except (FileNotFoundError, ProcessLookupError):
            continue
    return None


def one(t, d, path, number, what, pause):
    """Starts the script, kills somebody after a pause; returns whether it committed."""
    p = Running(t, d, ("--pool", "db", "--lock", "migration"), "", argv=[path, str(number)])
    time.sleep(pause)
    if what == "daemon":
        d.restart()
        killed = None
    else:
        killed = who_is(p.pid, what)
        if killed is None and what == "psql":
            wait_until(lambda: who_is(p.pid, "psql") or p.p.poll() is not None, 5, "a psql")
            killed = who_is(p.pid, what)
    began = time.monotonic()
    if killed:
        try:
            os.kill(killed, signal.SIGKILL)
        except ProcessLookupError:
            killed = None
    if killed is None:
        # nobody was killed: it goes on to its good end
        status, out, err = p.finish()
        equal((status, out), (0, "20000\n" * (CALLS // 5)), "%s: %s" % (what, err))
        return True
    status, out, err = p.finish()
    wait_until(lambda: not locks(d) and not d.leased() and not d.waiting(), 5, "locks and server are free")
    took = time.monotonic() - began
    check(took < slow_factor(), "within a second: %.2f s" % took)
    wait_until(lambda: not members(p.pid), 5, "no process is left")
    return status == 0


@test
def nobody_else_is_killed(t):
    """this test kills the script, not the process that LeakSanitizer has at the end of pgwith run: it would wait for it for ever"""
    # in the place of pgwith run: has a process of its own, and starts a program when a line is read
    run = subprocess.Popen([PY, "-c", "import os, signal, subprocess, sys\n"
                                      "if os.fork() == 0: signal.pause()\n"
                                      "print(flush=True)\nsys.stdin.readline()\n"
                                      "subprocess.Popen(['sleep', '611'], process_group=os.getpgrp())\n"
                                      "print(flush=True)\nsignal.pause()\n"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
    with run:
        try:
            run.stdout.readline()
            own = program_of(run.pid, False)
            check(own, "the process is there")
            equal(program_of(run.pid, True), None, "the script, which is not there yet")
            run.stdin.write(b"\n")
            run.stdin.flush()
            run.stdout.readline()
            script = program_of(run.pid, True)
            check(script not in (None, own), "the script")
            with open("/proc/%d/comm" % script) as f:
                equal(f.read().strip(), "sleep", "the script's program")
        finally:
            os.killpg(run.pid, signal.SIGKILL)


@test(timeout=60 + 3 * KILLS)
def killed(t):
    """all or nothing, and everything is free within a second"""
    t.sql("CREATE TABLE steps (run int, n int); CREATE TABLE big AS SELECT i FROM generate_series(1, 20000) i")
    d = t.supervised(size=1)
    path = write_script(t)
    began = time.monotonic()
    check(one(t, d, path, 0, "nobody", 0), "nobody is killed")
    whole = time.monotonic() - began
    backend = d.server_pids()
    sums = {}
    for number in range(1, KILLS + 1):
        what = t.random.choice(("script", "psql", "run", "daemon"))
        kept = one(t, d, path, number, what, t.random.uniform(0, 1.1 * whole))
        sums[what, kept] = sums.get((what, kept), 0) + 1
        rows = int(t.value("SELECT count(*) FROM steps WHERE run = %d" % number))
        # pgwith run may be killed between its commit and its end
        check(rows == (CALLS if kept else 0) or (what == "run" and rows == CALLS), "%d rows of run %d: %s was killed" % (rows, number, what))
        equal(d.server_pids(), backend, "the same server serves on (%s was killed)" % what)
    wait_until(lambda: not d.clients(), 5, "no session is left")
    print("# %s; a whole run takes %.2f s" % (", ".join("%s %s: %d" % (w, "kept" if k else "rolled back", n)
                                                        for (w, k), n in sorted(sums.items())), whole))


if __name__ == "__main__":
    main()
