"""pgwith run with locks and semaphores: every sentence of pgwith-run(1) about exit statuses, waits, deadlines, signals,
the terminal, and what the program gets; and every way in which one of program, pgwith run and pgwithd can go."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

from pgwtest import Skip, brief, check, child, equal, main, sanitized, slow_factor, test, wait_until
from pgwtest.daemon import SANITIZE_ENV, program
from pgwtest.runs import PY, READY, Running, ends_within, has_children, holding, is_gone, locks, members, ms, run, state, words
from pgwtest.terminal import Terminal

# ---- exit statuses --------------------------------------------------------------------------------------------------------
@test
def statuses(t):
    """the exit status is the program's, 128+n for a signal; nothing is printed besides; the lock is free"""
    d = t.daemon(size=1)
    for status in (0, 1, 7, 75, 76, 77, 125, 255):
        equal(run(d, "--lock", "a", "--", "sh", "-c", "echo out; echo err >&2; exit %d" % status), (status, "out\n", "err\n"),
              "status %d" % status)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGSEGV, signal.SIGUSR1):
        equal(run(d, "--lock", "a", "--", "sh", "-c", "ulimit -c 0; kill -%d $$" % number)[0], 128 + number, number.name)
    equal(locks(d), [], "no lock")
    equal(run(d, "--lock", "a", "true"), (0, "", ""), "without --")
    equal(run(d, "--lock", "a", "echo", "-n", "--lock", "--", "-V", "x")[1], "--lock -- -V x", "options of the program are its own")
    equal(run(d, "--lock", "a", "--", "echo", "--lock", "", "a b", "*")[1], "--lock  a b *\n", "words as they are, no shell")


@test
def not_run(t):
    """126 and 127, as env(1) has them; the lock is free again"""
    d = t.daemon(size=1)
    for name, text, mode in (("no", "", 0o644), ("dir", None, 0)):
        if text is None:
            os.mkdir(t.path(name))
        else:
            with open(t.path(name), "w") as f:
                f.write(text)
            os.chmod(t.path(name), mode)
    for what in ("no", "dir", "no/x"):
        want = child.run(["env", t.path(what)])[0]
        status, out, err = run(d, "--lock", "a", "--", t.path(what))
        equal((status, out), (want, ""), what)
        check(err.startswith("pgwith: %s: " % t.path(what)) and err.count("\n") == 1, err)
    status, _, err = run(d, "--lock", "a", "--", "no-such-program")
    equal((status, err), (127, "pgwith: no-such-program: No such file or directory\n"), "in no directory of PATH")
    equal(locks(d), [], "no lock")
    # without #!, as env(1)
    with open(t.path("script"), "w") as f:
        f.write("echo $((1 + 1))\n")
    os.chmod(t.path("script"), 0o755)
    equal(run(d, "--lock", "a", t.path("script")), (0, "2\n", ""), "a script without #!")


@test
def usage(t):
    """125: what is wrong is said, and nothing is run"""
    d = t.daemon(size=1)
    for words_, text in (
            ((), "pgwith: usage: pgwith run PROGRAM [ARGUMENT...]"),
            (("--lock", "a"), "pgwith: usage: pgwith run PROGRAM [ARGUMENT...]"),
            (("--lock", "a", "--"), "pgwith: usage: pgwith run PROGRAM [ARGUMENT...]"),
            (("echo",), "pgwith: run: nothing is asked for: say --pool NAME, --lock NAME, --shared-lock NAME or --semaphore NAME=N"),
            (("--lock", "", "echo"), "pgwith: a lock has a name"),
            (("--semaphore", "a", "echo"), 'pgwith: --semaphore: "a" is not NAME=N, with a number from 1 to 1000000'),
            (("--semaphore", "a=0", "echo"), 'pgwith: --semaphore: "a=0" is not NAME=N, with a number from 1 to 1000000'),
            (("--semaphore", "a=-1", "echo"), 'pgwith: --semaphore: "a=-1" is not NAME=N, with a number from 1 to 1000000'),
            (("--semaphore", "=1", "echo"), 'pgwith: --semaphore: "=1" is not NAME=N, with a number from 1 to 1000000'),
            (("--semaphore", "a=99999999999999999999", "echo"),
             'pgwith: --semaphore: "a=99999999999999999999" is not NAME=N, with a number from 1 to 1000000'),
            (("--lock", "a", "--wait", "x", "echo"), 'pgwith: --wait: "x" is no duration; write 500ms, 5s, 2min'),
            (("--lock", "a", "--wait", "-1", "echo"), 'pgwith: --wait: "-1" is no duration; write 500ms, 5s, 2min'),
            (("--lock", "a", "--deadline", "0", "echo"), 'pgwith: --deadline: "0" is no duration; write 500ms, 5s, 2min'),
            (("--lock", "a", "--wait-status", "256", "echo"), 'pgwith: --wait-status: "256" is no number from 0 to 255'),
            (("--lock", "a", "--wait-status", "", "echo"), 'pgwith: --wait-status: "" is no number from 0 to 255'),
            (("--lock", "a", "--json", "echo"), "pgwith: run takes no --json; pgwith help run says which options it takes"),
            (("--lock", "a", "--frobnicate", "echo"), 'pgwith: unknown option "--frobnicate"; pgwith -h lists the options'),
            (("--semaphore", "a=2", "--on", "db", "echo"), "pgwith: run takes either --on or --semaphore"),
            (("--lock", "a", "--on", "nowhere", "echo"), None)):
        status, out, err = run(d, *words_)
        equal((status, out), (125, ""), "%r: %s" % (words_, err))
        if text:
            equal(err, text + "\n", "%r" % (words_,))
    check('no pool "nowhere"' in err, err)
    status, out, err = child.run([program("pgwith"), "-S", t.directory, "run", "--lock", "a", "echo"])
    equal((status, out), (125, ""), "no pgwithd")
    check("No such file or directory" in err, err)
    # a name may have signs of equality
    equal(run(d, "--semaphore", "a=b=2", "true")[0], 0, "a=b=2")


# ---- waiting --------------------------------------------------------------------------------------------------------------
@test
def waits(t):
    """75 if the wait is over, with who has it; --wait 0 does not wait; --wait-status; otherwise first come, first served"""
    d = t.daemon(size=1)
    first = holding(t, d)
    began = time.monotonic()
    status, out, err = run(d, "--lock", "nightly", "--wait", "0", "echo", "x")
    equal((status, out), (75, ""), "no wait")
    check(time.monotonic() - began < 2 * slow_factor(), "at once")
    check(re.fullmatch(r'pgwith: lock "nightly" is held\n  DETAIL:  held for [^\n]* by session [0-9]+ \(postgres, pid %d, [^\n]*\)\n'
                       r'  HINT:  SHOW LOCKS on the console tells who has it\n' % first.pid, err), err)
    status, out, err = run(d, "--lock", "nightly", "--wait", "100ms", "echo", "x")
    check(re.match(r'pgwith: lock "nightly" did not become free within [0-9]+ms\n  DETAIL', err), err)
    for wait in ("0", "100ms"):
        equal(run(d, "--lock", "nightly", "--wait", wait, "--quiet", "echo", "x"), (75, "", ""), "--quiet")
        equal(run(d, "--lock", "nightly", "--wait", wait, "--quiet", "--wait-status", "0", "echo", "x"), (0, "", ""), "for cron")
    place = holding(t, d, "--semaphore", "export=1")
    status, out, err = run(d, "--semaphore", "export=1", "--wait", "0", "echo", "x")
    equal((status, out, err.split("\n")[0]), (75, "", 'pgwith: semaphore "export" is full'), err)
    equal(place.finish()[0], 0, "status")
    began = time.monotonic()
    equal(run(d, "--lock", "nightly", "--wait", "300ms", "--wait-status", "0", "echo", "x")[:2], (0, ""), "--wait-status")
    check(0.3 <= time.monotonic() - began < 3 * slow_factor(), "300ms")
    # the wait is for everything together
    other = holding(t, d, "--lock", "other")
    began = time.monotonic()
    p = Running(t, d, ("--lock", "nightly", "--lock", "other", "--wait", "1s"), READY)
    wait_until(lambda: ("nightly", "exclusive", "waiting") in locks(d), 5, "it waits")
    time.sleep(0.4)
    equal(first.finish()[0], 0, "the first one ends")
    wait_until(lambda: ("other", "exclusive", "waiting") in locks(d) or p.p.poll() is not None, 5, "it waits for the other")
    equal(p.finish()[:2], (75, ""), "the second lock was not free in time")
    check(1 <= time.monotonic() - began < 1.35 * slow_factor(), "1s for both: %.2f" % (time.monotonic() - began))
    equal(locks(d), [("other", "exclusive", "held")], "the first lock is free again")
    # a queue
    queue = [Running(t, d, ("--lock", "other"), READY + "print(%d)" % i) for i in range(3) if not
             wait_until(lambda: len(locks(d)) == i + 1, 10, "%d in the queue" % i) is None]
    wait_until(lambda: len(locks(d)) == 4, 10, "all are in the queue")
    rows = d.show("LOCKS")
    equal([int(x["pid"]) for x in rows], [other.pid] + [p.pid for p in queue], "pids of pgwith run")
    out, _, _ = child.run([program("pgwith"), "-S", d.sockets, "-U", "postgres", "locks", "-o", "name,pid,state"])[1], 0, 0
    check("other" in out and str(queue[2].pid) in out and "waiting" in out, out)
    other.p.stdin.close()
    for i, p in enumerate(queue):
        equal(p.ready().line(), str(i), "in turn")
        p.p.wait()
    check(d.clients() == [] or wait_until(lambda: not d.clients(), 5, "no session"), "none is left")


@test
def no_wait(t):
    """125, not 75, for what is no wait that was over, although the SQLSTATE is the same: PostgreSQL has no connection left, KILL, a cancel"""
    t.sql("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    t.defer(lambda: t.sql("DROP ROLE crowded"))
    d = t.daemon(pools={"db": {"conninfo": t.conninfo(), "size": 2}, "full": {"conninfo": t.conninfo(user="crowded"), "size": 1}})
    for options in (("--lock", "a", "--on", "full"), ("--pool", "full")):
        status, out, err = run(d, *options, "--wait", "0", "--wait-status", "0", "echo", "x")
        equal((status, out), (125, ""), err)
        check("too many connections for role" in err, err)
        equal(run(d, *options, "--wait", "0", "--quiet", "echo", "x"), (125, "", err), "--quiet is for a wait that is over")
    hold = holding(t, d, "--lock", "nightly", "--on", "db")
    waiting = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    for kill in ("KILL SESSION", "KILL SCOPE", None):
        p = Running(t, d, ("--lock", "nightly", "--on", "db"), READY)
        wait_until(lambda: t.value("SELECT count(*) " + waiting) == "1", 5, "it waits")
        session = wait_until(lambda: [x["id"] for x in d.clients() if int(x["remote_pid"]) == p.pid], 5, "its session")[0]
        if kill:
            d.console("%s %s" % (kill, session))
        else:
            t.sql("SELECT pg_cancel_backend(pid) " + waiting)
        status, out, err = p.ended()
        equal((status, out), (125, ""), "%s: %s" % (kill, err))
        wait_until(lambda: t.value("SELECT count(*) " + waiting) == "0", 5, "PostgreSQL waits no longer for it")
        print("# " + err.split("\n", maxsplit=1)[0])
    hold.finish()


@test
def sharing(t):
    """--shared-lock, --semaphore NAME=N, and several of them in the order of the command line"""
    d = t.daemon(size=1)
    readers = [holding(t, d, "--shared-lock", "prices") for _ in range(3)]
    equal(run(d, "--lock", "prices", "--wait", "0", "true")[0], 75, "a writer")
    for r in readers:
        r.p.stdin.close()
        r.p.wait()
    writer = holding(t, d, "--lock", "prices")
    equal(run(d, "--shared-lock", "prices", "--wait", "0", "true")[0], 75, "a reader")
    writer.finish()
    slots = [holding(t, d, "--semaphore", "export=2") for _ in range(2)]
    equal(run(d, "--semaphore", "export=2", "--wait", "0", "true")[0], 75, "a third one")
    equal(run(d, "--semaphore", "export=3", "--wait", "0", "true")[0], 125, "with another limit")
    slots[0].finish()
    equal(run(d, "--semaphore", "export=2", "--wait", "0", "true")[0], 0, "then")
    p = holding(t, d, "--lock", "b", "--semaphore", "c=1", "--shared-lock", "a")
    equal([(x["level"], x["name"]) for x in d.show("SCOPES") if int(x["pid"]) == p.pid], [("1", "b"), ("2", "c"), ("3", "a")], "order")
    equal([x["application_name"] for x in d.clients() if int(x["remote_pid"]) == p.pid], ["pgwith run " + os.path.basename(PY)[:50]], "its name")
    equal([s for s in d.servers() if s["state"] != "idle"], [], "no server is needed")


@test
def lent_out(t):
    """locks alone need no server: they work when all are lent, and PostgreSQL is gone"""
    d = t.daemon(size=1)
    c = t.client(d)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    p = holding(t, d)
    equal(run(d, "--lock", "nightly", "--wait", "0", "true")[0], 75, "held")
    equal(p.finish()[0], 0, "status")


@test
def which_pool(t):
    """the session is one of PGDATABASE's pool; without it of any pool that an administrator is told of; PGUSER is its role"""
    d = t.daemon(pools={n: {"conninfo": t.conninfo(), "size": 1} for n in ("one", "two")})
    for env, pool in (({}, "one"), ({"PGDATABASE": "two"}, "two"), ({"PGDATABASE": "elsewhere"}, "one"), ({"PGDATABASE": ""}, "one")):
        p = holding(t, d, env=env)
        equal([x["database"] for x in d.show("CLIENTS") if int(x["remote_pid"]) == p.pid], [pool], "%r" % env)
        p.finish()
    d.console("DISABLE one")
    p = holding(t, d)
    equal([x["database"] for x in d.show("CLIENTS") if int(x["remote_pid"]) == p.pid], ["two"], "one is disabled")
    p.finish()
    d.console("ENABLE one")
    where = [program("pgwith"), "-S", d.sockets, "-p", str(d.port), "run", "--lock", "a"]
    env = dict(SANITIZE_ENV, PGUSER="somebody", PGDATABASE="two")
    out = child.run_ok(where + [program("pgwith"), "-S", d.sockets, "-U", "postgres", "clients", "--csv", "--no-header", "-o", "user,database"], env=env)
    check("somebody,two" in out, out)
    status, out, err = child.run(where + ["--on", "three", "echo"], env=env)
    equal((status, out), (125, ""), "another pool")
    check('"three"' in err, err)


# ---- deadlines ------------------------------------------------------------------------------------------------------------
@test
def deadline(t):
    """a deadline: the program gets TERM, and KILL after --kill-after; 77, and the reason; the lock is free at the deadline"""
    d = t.daemon(size=1)
    soon = brief(0.5)  # seconds: the program is up before it
    within = ms(soon)
    began = time.monotonic()
    p = holding(t, d, "--lock", "a", "--deadline", within)
    other = Running(t, d, ("--lock", "a"), READY)
    status, out, err = p.ended()
    equal((status, out), (77, ""), err)
    check(soon <= time.monotonic() - began < soon + 2 * slow_factor(), "in time: %.2f" % (time.monotonic() - began))
    check(err.startswith('pgwith: run: lost: "a" has expired') and "(pid %d)" % p.program in err, err)
    equal(other.ready().finish()[0], 0, "the next one")
    # one that does not listen to TERM, and says so
    deaf = READY + "signal.signal(15, lambda n, f: print('TERM', flush=True)); print('deaf', flush=True)\nwhile 1: signal.pause()"
    p = Running(t, d, ("--lock", "a", "--deadline", within, "--kill-after", "700ms"), deaf).ready()
    equal(p.line(), "deaf", "it is")
    equal(p.line(), "TERM", "first")
    told = time.monotonic()
    equal(p.ended()[:2], (77, ""), "status")
    check(0.6 <= time.monotonic() - told < 2.5 * slow_factor(), "KILL: %.2f" % (time.monotonic() - told))
    # one that is stopped gets it, too
    p = holding(t, d, "--lock", "a", "--deadline", within)
    os.kill(p.program, signal.SIGSTOP)
    equal(p.ended()[0], 77, "stopped")
    check(is_gone(p.program), "it is gone")
    # a program that ends well in time has its own status, and one that ends by TERM has 77 all the same
    equal(run(d, "--lock", "a", "--deadline", "30s", "true")[0], 0, "in time")
    p = holding(t, d, "--lock", "a", "--deadline", within, script=READY + "signal.signal(15, lambda n, f: os._exit(0)); signal.pause()")
    equal(p.ended()[0], 77, "a good end comes too late")
    # the wait is a part of it, and then nothing was run
    hold = holding(t, d, "--lock", "a")
    status, out, err = run(d, "--lock", "a", "--deadline", "200ms", "echo", "x")
    equal((status, out), (75, ""), err)
    status, out, err = run(d, "--lock", "b", "--lock", "a", "--deadline", "200ms", "echo", "x")
    equal((status, out), (75, ""), err)
    hold.finish()
    equal(locks(d), [], "none")


TREE = """
import os, signal, sys, time
def say(text):
    os.write(1, b'%s %d\\n' % (text.encode(), os.getpid()))
def one(text):
    say(text)
    while 1: signal.pause()
if os.fork() == 0:
    one('child')
if os.fork() == 0:
    signal.signal(15, signal.SIG_IGN)
    one('deaf')
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        one('daemon')
    os._exit(0)
if os.fork() == 0:
    if os.fork() == 0:
        os.setpgid(0, 0)
        say('stopped')
        os.kill(os.getpid(), 19)
        while 1: signal.pause()
    one('parent')
os.wait()
signal.signal(15, lambda *a: os._exit(0))
say('READY')
while 1: signal.pause()
"""


def tree(t, d, *options, **how):
    """(pgwith run, {what: pid}) of a program that has started others."""
    p = Running(t, d, options, TREE, **how)
    found = {}
    while len(found) < 6:
        what, pid = p.line().split()
        found[what] = int(pid)

    def end():
        for pid in found.values():
            if not is_gone(pid):
                os.kill(pid, signal.SIGKILL)
    t.defer(end)
    return p, found


@test
def descendants(t):
    """what the program has started is ended with it if the lock is lost, also daemons, what is stopped, and what does not listen"""
    d = t.daemon(size=1)
    # a process that was there before pgwith run is not one of the program
    before = (PY, "-c", "import os, signal, sys\nif os.fork() == 0:\n    os.closerange(0, 3); os.execlp('sleep', 'sleep', '613')\n"
              "os.execv(sys.argv[1], sys.argv[1:])")
    p, found = tree(t, d, "--lock", "a", "--kill-after", "1500ms", wrap=before)
    with open("/proc/%d/task/%d/children" % (p.pid, p.pid)) as f:
        mine = [int(pid) for pid in f.read().split()]
    earlier, = set(mine) - set(found.values())
    t.defer(lambda: is_gone(earlier) or os.kill(earlier, signal.SIGKILL))
    check(found["daemon"] in mine, "the daemon is a child of pgwith run")
    wait_until(lambda: state(found["stopped"]) == "T", 5, "stopped")
    session, = [x["id"] for x in d.clients() if int(x["remote_pid"]) == p.pid]
    began = time.monotonic()
    d.console("KILL SCOPE %s a" % session)
    for what in ("READY", "child", "daemon", "stopped", "parent"):
        wait_until(lambda pid=found[what]: is_gone(pid), 5, what)
    check(not is_gone(found["deaf"]), "the one that does not listen has its time")
    check(p.p.poll() is None, "pgwith run waits for it")
    equal(p.ended()[0], 77, "status")
    check(1.5 <= time.monotonic() - began < 1.5 + 3 * slow_factor(), "KILL: %.2f" % (time.monotonic() - began))
    check(is_gone(found["deaf"]), "it is gone")
    check(not is_gone(earlier), "the earlier process is not")
    # a program that ends by itself leaves what it has started behind
    p, found = tree(t, d, "--lock", "a")
    os.kill(found["READY"], signal.SIGTERM)
    p.p.wait(10 * slow_factor())
    equal(p.p.returncode, 0, "status")
    for what in ("child", "deaf", "daemon", "parent", "stopped"):
        check(not is_gone(found[what]) or what == "stopped", "%s goes on" % what)
    equal(locks(d), [], "free")


@test
def orphans(t):
    """a process whose parent ends is waited for by pgwith run: no zombies stay"""
    d = t.daemon(size=1)
    p = holding(t, d, script="import os, sys\nfor i in range(50):\n    if os.fork() == 0:\n        if os.fork() == 0: os._exit(0)\n        os._exit(0)\n"
                "    os.wait()\nprint('READY', os.getpid(), flush=True)\nsys.stdin.read()\n")

    def children():
        with open("/proc/%d/task/%d/children" % (p.pid, p.pid)) as f:
            return [int(pid) for pid in f.read().split()]
    wait_until(lambda: children() == [p.program], 5, "none but the program")
    equal(p.finish()[0], 0, "status")


# ---- signals --------------------------------------------------------------------------------------------------------------
COUNTS = """
import os, signal, sys
got = []
for n in range(1, signal.SIGRTMAX + 1):
    if n not in (9, 19, 17, 32, 33):
        try: signal.signal(n, lambda n, f: (print('got', n, flush=True), n == 15 and os._exit(3)))
        except (OSError, ValueError): pass
signal.set_wakeup_fd(-1)
print('READY', os.getpid(), flush=True)
while 1: signal.pause()
"""


@test
def signals(t):
    """every signal that is sent to pgwith run reaches the program, once"""
    d = t.daemon(size=1)
    p = holding(t, d, script=COUNTS)
    faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGSYS}
    numbers = [n for n in range(1, signal.SIGRTMAX + 1)
               if n not in (9, 15, 17, 19, 32, 33) and n not in faults]
    for n in numbers:
        os.kill(p.pid, n)
        equal(p.line(), "got %d" % n, "passed on")
    os.kill(p.pid, signal.SIGTERM)
    equal(p.ended()[:2], (3, "got 15\n"), "nothing came twice, and the status is the program's")
    for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
        p = holding(t, d)
        os.kill(p.pid, n)
        equal(p.ended()[0], 128 + n, n.name)
    equal(locks(d), [], "none")
    # while it waits for a lock, it has no program, and a signal ends it
    hold = holding(t, d)
    p = Running(t, d, ("--lock", "nightly"), READY)
    wait_until(lambda: len(locks(d)) == 2, 5, "it waits")
    os.kill(p.pid, signal.SIGTERM)
    equal(p.ended()[:2], (-15, ""), "a wait")
    wait_until(lambda: len(locks(d)) == 1, 5, "it has left the queue")
    hold.finish()


STATE = """
import os, json
s = dict(l.split(':\\t', 1) for l in open('/proc/self/status').read().splitlines() if ':\\t' in l)
print(json.dumps({'mask': [s[k] for k in ('SigBlk', 'SigIgn', 'SigPnd', 'ShdPnd')], 'fds': sorted(
    [(int(n), os.readlink('/proc/self/fd/' + n)) for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + n)]),
    'cwd': os.getcwd(), 'group': os.getpgrp() - os.getppid(), 'session': os.getsid(0), 'umask': oct(os.umask(0)),
    'env': dict(os.environ), 'nice': os.nice(0)}, sort_keys=True))
"""


@test
def inherits(t):
    """the program has the descriptors, environment, signal mask, ignored signals, directory, group and session as under env"""
    d = t.daemon(size=1)
    strange = {"PGHOST": "elsewhere", "PGPORT": "1", "PGUSER": "postgres", "PGDATABASE": "db", "PGOPTIONS": "-c work_mem=3MB", "PGPASSWORD": "x",
               "PGSERVICE": "s", "PGSSLMODE": "require", "PGAPPNAME": "mine", "ODD": "a\nb=c", "LC_ALL": "C.UTF-8"}
    with open(t.path("file"), "w") as f:
        for prepare in ("pass", "signal.signal(signal.SIGCHLD, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)",
                        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD])",
                        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)", "signal.signal(signal.SIGPIPE, signal.SIG_IGN)",
                        "os.close(0)", "os.close(1); os.dup2(2, 1)", "os.close(2)", "os.close(0); os.close(2)", "os.umask(0o27); os.nice(3)"):
            said = []
            for wrap in (["env"], words(d, "--lock", "a", "--")):
                script = "import os, signal, sys; os.chdir('/usr'); %s; os.execvp(sys.argv[1], sys.argv[1:])" % prepare
                p = subprocess.run([PY, "-c", script, *wrap, PY, "-c", STATE], stdin=f, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, env=dict(strange, PATH=os.environ["PATH"], **SANITIZE_ENV), pass_fds=[f.fileno()],
                                   process_group=0, check=False)
                equal(p.returncode, 0, "%s: %s" % (prepare, p.stdout))
                got = json.loads(p.stdout)
                # a standard descriptor that is closed is /dev/null, as GnuTLS makes it in every program that uses libpq
                fds = {n: "/dev/null" for n in range(3)}
                fds.update(got["fds"])
                got["fds"] = [[n, "pipe" if where.startswith("pipe:") else where] for n, where in sorted(fds.items())]
                if wrap == ["env"]:
                    got["group"] = 0  # its parent is the test, and it is the leader of its own group
                said.append(got)
            equal(said[1], said[0], prepare)


@test
def stdin(t):
    """stdin is the program's: pgwith run reads nothing of it"""
    d = t.daemon(size=1)
    equal(run(d, "--lock", "a", "--", "sh", "-c", "read a; read b; echo $b$a", stdin="one\ntwo\nthree\n")[:2], (0, "twoone\n"), "lines")
    text = os.urandom(1 << 20).hex()
    equal(run(d, "--lock", "a", "--", "cat", stdin=text), (0, text, ""), "all of it")
    p = subprocess.run(["sh", "-c", '"$@" head -n 1; cat', "sh", *words(d, "--lock", "a", "--")], input=b"a\nb\n", stdout=subprocess.PIPE,
                       env=dict(os.environ, **SANITIZE_ENV), check=True)
    check(p.stdout.startswith(b"a\n"), "stdin of a script goes on behind it: %r" % p.stdout)


@test
def alarms(t):
    """an alarm(2) that was set before pgwith run, as Perl's `alarm 1; exec` does, reaches the program"""
    d = t.daemon(size=1)
    p = holding(t, d, wrap=(PY, "-c", "import os, signal, sys; signal.setitimer(signal.ITIMER_REAL, %f); os.execv(sys.argv[1], sys.argv[1:])" % brief(1.5)))
    equal(p.ended()[0], 128 + signal.SIGALRM, "status")


# ---- the terminal ---------------------------------------------------------------------------------------------------------
# columns: no command line is wrapped, below any folder
WIDTH = 1000


def terminal(t, **how):
    term = Terminal(t.path("term%d" % len(os.listdir(t.directory))), env=SANITIZE_ENV, **how)
    t.defer(term.close)
    return term


def line(d, *more):
    return " ".join(words(d, *more))


@test
def interrupted(t):
    """Ctrl-C reaches the program once; a script of which pgwith run is a part ends with it"""
    d = t.daemon(size=1)
    with open(t.path("counts.py"), "w") as f:
        f.write("import os, signal, time\nn = []\nsignal.signal(signal.SIGINT, lambda *a: n.append(1))\n"
                "print('up', flush=True)\nwhile not n: time.sleep(0.02)\ntime.sleep(0.5)\nprint('came:', len(n), flush=True)\nraise SystemExit(9)\n")
    term = terminal(t, width=WIDTH)
    term.run(line(d, "--lock", "a", "--", PY, t.path("counts.py")) + "; echo status=$?")
    term.shows("^up$")
    term.keys("C-c")
    term.shows("came: 1$")
    term.shows("status=9$")
    term.run("clear")
    with open(t.path("script"), "w") as f:
        f.write("%s sleep 600\necho went on $?\n" % line(d, "--lock", "a", "--"))
    term.run("bash %s" % t.path("script"))
    wait_until(lambda: locks(d), 5, "it runs")
    wait_until(lambda: term.child("bash"), 5, "bash runs")
    time.sleep(0.1)
    term.keys("C-c")
    term.run("echo after=$?")
    text = term.shows("after=130")
    check("went on" not in text, "the script has ended: " + text)
    wait_until(lambda: not locks(d), 5, "the lock is free")
    term.run("clear; %s sleep 600; echo status=$?" % line(d, "--lock", "a", "--"))
    wait_until(lambda: locks(d), 5, "it runs")
    time.sleep(0.1)
    term.keys("C-\\")
    term.shows("status=131")
    wait_until(lambda: not locks(d), 5, "the lock is free")


@test
def job_control(t):
    """Ctrl-Z, fg and bg work as without pgwith run; the lock is held meanwhile; a program in the background that reads stops"""
    d = t.daemon(size=1)
    term = terminal(t, width=WIDTH)
    term.run("bash --norc -i")
    term.run("PS1='> '; clear")
    term.run(line(d, "--lock", "a", "--", PY, "-c", "'print(input())'"))
    wait_until(lambda: locks(d), 5, "it runs")
    time.sleep(0.2)
    term.keys("C-z")
    term.shows(r"^\[1\]\+ +Stopped")
    equal(locks(d), [("a", "exclusive", "held")], "while it is stopped")
    # it reads in the background, and is stopped for that
    term.run("clear; bg; until jobs | grep -q Stopped; do sleep 0.1; done; echo again")
    term.shows("^again$")
    term.run("fg")
    term.shows("^.*--lock a -- .*input")
    time.sleep(0.2)
    term.run("it goes on")
    term.shows(r"it goes on\n+it goes on")
    wait_until(lambda: not locks(d), 5, "the lock is free")
    # a program that does not stop at Ctrl-Z does not stop us either
    term.run("clear")
    with open(t.path("stays.py"), "w") as f:
        f.write("import signal, time\nn = []\nsignal.signal(signal.SIGTSTP, lambda *a: (n.append(1), print('not me', flush=True)))\n"
                "print('up', flush=True)\nwhile not n: time.sleep(0.02)\ntime.sleep(0.5)\nprint('over')\n")
    term.run(line(d, "--lock", "a", "--", PY, t.path("stays.py")))
    term.shows("^up$")
    term.keys("C-z")
    term.shows("not me")
    text = term.shows("^over$")
    check("Stopped" not in text, text)
    # the terminal is the program's
    term.run("clear")
    term.run(line(d, "--lock", "a", "--", "sh", "-c", "'stty size; tty; ps -o pgid=,tpgid= $$ | tr -s \" \"'"))
    text = term.shows(r"^24 %d\n/dev/pts/\d+\n *(\d+) \1$" % WIDTH)
    # an interactive shell has its own job control inside
    term.run("clear")
    term.run(line(d, "--lock", "a", "--", "bash", "--norc", "-i"))
    wait_until(lambda: locks(d), 5, "it runs")
    term.run("PS1='inner> '")
    term.run("sleep 600")
    wait_until(lambda: term.foreground() == "sleep", 10, "it runs")
    term.keys("C-z")
    term.shows("Stopped +sleep 600")
    term.run("kill %1; exit 4")
    time.sleep(0.1)
    term.run("exit 4; echo")
    wait_until(lambda: not locks(d), 5, "the lock is free")
    term.run("clear; echo there=$?")
    term.shows("there=")


@test
def hangup(t):
    """when the terminal goes, the program gets SIGHUP, once, and the lock is free"""
    d = t.daemon(size=1)
    with open(t.path("hups.py"), "w") as f:
        f.write("import os, signal, time\nn = []\nsignal.signal(signal.SIGHUP, lambda *a: n.append(os.write(3, b'x')))\n"
                "os.write(3, b'up ')\nwhile not n: time.sleep(0.02)\ntime.sleep(0.3)\n")
    term = terminal(t, width=WIDTH)
    term.run(line(d, "--lock", "a", "--", PY, t.path("hups.py")) + " 3>%s" % t.path("hups"))

    def written():
        with open(t.path("hups")) as f:
            return f.read()
    wait_until(lambda: os.path.exists(t.path("hups")) and written() == "up ", 10, "it runs")
    term.tmux("kill-pane")
    wait_until(lambda: not locks(d), 10, "the lock is free")
    check(written() in ("up x", "up xx"), "it got it: " + written())  # the shell sends it to its jobs, too


@test
def continued(t):
    """without a terminal: who stops the program and continues it, finds pgwith run as it was; SIGTSTP and SIGCONT are passed on"""
    d = t.daemon(size=1)
    p = Running(t, d, ("--lock", "a"), READY + "print(sys.stdin.readline())", start_new_session=True, process_group=None).ready()
    os.kill(p.program, signal.SIGSTOP)
    wait_until(lambda: state(p.program) == "T", 5, "stopped")
    check(state(p.pid) != "T", "pgwith run is not")
    os.kill(p.program, signal.SIGCONT)
    wait_until(lambda: state(p.program) != "T", 5, "continued")
    os.kill(p.program, signal.SIGSTOP)
    wait_until(lambda: state(p.program) == "T", 5, "stopped again")
    os.kill(p.pid, signal.SIGCONT)
    wait_until(lambda: state(p.program) != "T", 5, "continued by way of pgwith run")
    equal(p.finish()[0], 0, "status")


# ---- whoever goes ---------------------------------------------------------------------------------------------------------
@test
def run_is_killed(t):
    """kill -9 of pgwith run: the program gets SIGTERM at once, and the next one has the lock within 50 ms"""
    d = t.daemon(size=1)
    longest = 0
    for _ in range(20):
        p = holding(t, d, script=READY + "signal.pause()")
        q = Running(t, d, ("--lock", "nightly"), "import os, time; print('READY', os.getpid(), flush=True)")
        wait_until(lambda: len(locks(d)) == 2, 5, "one waits")
        began = time.monotonic()
        os.kill(p.pid, signal.SIGKILL)
        while not any(s == "held" and int(x["pid"]) == q.pid for x in d.show("LOCKS") for s in [x["state"]]) and q.p.poll() is None:
            check(time.monotonic() - began < 5 * slow_factor(), "the lock is free")
        longest = max(longest, time.monotonic() - began)
        wait_until(lambda: is_gone(p.program), 5, "the program is gone")
        q.ready().finish()
        p.p.wait()
    check(longest < 0.05 * slow_factor(), "within 50 ms: %.1f ms" % (longest * 1000))
    print("# longest: %.1f ms" % (longest * 1000))


@test
def killed_at_random(t):
    """pgwith run is killed at random moments from its first instruction on: no program is left, and no lock"""
    d = t.daemon(size=1)
    for _ in range(40):
        p = Running(t, d, ("--lock", "nightly"), "", argv=["sleep", "612.%d" % os.getpid()])
        time.sleep(t.random.uniform(0, 0.03))
        os.kill(p.pid, signal.SIGKILL)
        p.p.wait()
        p.end()
        group = p.pid
        wait_until(lambda: not members(group), 5, "no process of its group is left")
    wait_until(lambda: not locks(d) and not d.clients(), 5, "no lock, no session")


@test
def program_is_killed(t):
    """kill -9 of the program: 137, and the lock is free"""
    d = t.daemon(size=1)
    p = holding(t, d)
    os.kill(p.program, signal.SIGKILL)
    equal(p.ended(), (137, "", ""), "status")
    equal(locks(d), [], "free")


@test
def daemon_goes(t):
    """kill -9 of pgwithd, its shutdown, KILL SESSION, KILL SCOPE: the program is ended, 77 and the reason; not by RELOAD"""
    d = t.daemon(size=1)
    p = holding(t, d)
    d.reload({"log_level": "info"})
    d.process.kill()
    status, _, err = p.ended()
    equal(status, 77, err)
    check(err.startswith("pgwith: run: lost: ") and "connection" in err, err)
    check(is_gone(p.program), "the program is gone")
    d.wait_end()
    d.expect_status = -9

    d = t.daemon(size=1)
    p = holding(t, d)
    d.console("KILL SESSION %s" % [x["id"] for x in d.clients() if int(x["remote_pid"]) == p.pid][0])
    status, _, err = p.ended()
    equal(status, 77, err)
    check("administrator" in err, err)

    p = holding(t, d)
    session, = [x["id"] for x in d.clients() if int(x["remote_pid"]) == p.pid]
    d.console("KILL SCOPE %s nightly" % session)
    status, _, err = p.ended()
    equal(status, 77, err)
    check('"nightly"' in err, err)

    p = holding(t, d)
    d.process.send_signal(signal.SIGTERM)
    status, _, err = p.ended()
    equal(status, 77, err)
    check(err.startswith("pgwith: run: lost: "), err)


@test
def no_poll(t):
    """if poll(2) fails, nobody looks after the lock: the program is ended, 125; a program that would end well is no exception"""
    if sanitized():
        raise Skip("LeakSanitizer opens files at the end, which the limit of descriptors forbids, too")
    d = t.daemon(size=1)
    for script in (READY + "signal.pause()", READY + "signal.signal(15, lambda n, f: os._exit(0)); signal.pause()"):
        p = holding(t, d, script=script)
        # poll(2) refuses more descriptors than the process may have
        resource.prlimit(p.pid, resource.RLIMIT_NOFILE, (1, 1))
        status, _, err = p.ended()
        equal(status, 125, err)
        equal(err, "pgwith: run: poll: Invalid argument: %s (pid %d) is ended\n" % (PY, p.program), "stderr")
        check(is_gone(p.program), "the program is gone")
        equal(locks(d), [], "free")


@test
def end_is_cut_short(t):
    """a pgwithd that does not answer at the end: a second signal, or --kill-after behind the first one, ends the wait: 77"""
    d = t.daemon(size=1)
    for twice in (True, False):
        p = holding(t, d, "--lock", "a", "--kill-after", "60s" if twice else "300ms")
        d.console_close()
        os.kill(d.pid, signal.SIGSTOP)
        try:
            p.p.stdin.close()
            wait_until(lambda: is_gone(p.program), 5, "the program has ended")
            if twice:
                # Ctrl-Z works
                wait_until(lambda: os.kill(p.pid, signal.SIGTSTP) or state(p.pid) == "T", 5, "stopped")
                os.kill(p.pid, signal.SIGCONT)
            # what has come before the program's end is known is passed on to that
            wait_until(lambda: not has_children(p.pid), 5, "pgwith run knows")
            os.kill(p.pid, signal.SIGTERM)
            if twice:
                check(not ends_within(p, 0.5), "one signal alone does not end it")
                os.kill(p.pid, signal.SIGINT)
            status, _, err = p.ended()
        finally:
            os.kill(d.pid, signal.SIGCONT)
        equal((status, err), (77, "pgwith: a signal has come, and pgwithd does not answer\n"), "twice: %s" % twice)
        wait_until(lambda: not locks(d), 5, "free")
    # a signal at the end of a lock that pgwithd answers for changes nothing
    p = holding(t, d, "--lock", "a")
    d.console_close()
    os.kill(d.pid, signal.SIGSTOP)
    try:
        p.p.stdin.close()
        wait_until(lambda: is_gone(p.program) and not has_children(p.pid), 5, "the program has ended")
        os.kill(p.pid, signal.SIGTERM)
        check(not ends_within(p, 0.3), "it waits")
    finally:
        os.kill(d.pid, signal.SIGCONT)
    equal(p.ended(), (0, "", ""), "status")


@test
def daemon_hangs(t):
    """a pgwithd that does not answer for a while holds the lock, and the program goes on"""
    d = t.daemon(size=1)
    p = holding(t, d, "--lock", "a", "--timeout", "500ms")
    d.console_close()
    os.kill(d.pid, signal.SIGSTOP)
    try:
        time.sleep(2.5)
        check(p.p.poll() is None, "it goes on")
    finally:
        os.kill(d.pid, signal.SIGCONT)
    equal(p.finish()[0], 0, "status")


@test
def restart(t):
    """a restart of pgwithd (handover) keeps the lock and the queue, and the programs go on"""
    d = t.supervised(size=1)
    p = holding(t, d)
    q = Running(t, d, ("--lock", "nightly"), READY)
    wait_until(lambda: len(locks(d)) == 2, 5, "one waits")
    d.restart()
    equal(sorted(x[2] for x in locks(d)), ["held", "waiting"], "as before")
    equal(p.finish()[0], 0, "the one")
    equal(q.ready().finish()[0], 0, "the other")


# ---- over several hosts ---------------------------------------------------------------------------------------------------
@test
def on_a_pool(t):
    """--on: the lock is PostgreSQL's, the same for every pgwithd; it is lost with PostgreSQL"""
    one, two = t.daemon(size=3), t.daemon(size=3)
    p = holding(t, one, "--lock", "nightly", "--on", "db")
    equal(t.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"), [("1",)], "in PostgreSQL")
    for d in (one, two):
        status, out, err = run(d, "--lock", "nightly", "--on", "db", "--wait", "0", "echo", "x")
        hint = "  HINT:  pg_locks (locktype 'advisory') and pg_stat_activity of PostgreSQL tell who has it\n"
        equal((status, out, err), (75, "", 'pgwith: lock "nightly" is held\n' + hint), "no wait")
        status, out, err = run(d, "--lock", "nightly", "--on", "db", "--wait", "200ms", "echo", "x")
        equal((status, out), (75, ""), err)
        check(re.fullmatch(r'pgwith: lock "nightly" did not become free within [0-9]+ms\n' + re.escape(hint), err), err)
        equal(run(d, "--lock", "nightly", "--on", "db", "--wait", "0", "--quiet", "echo", "x"), (75, "", ""), "--quiet")
        equal(run(d, "--lock", "other", "--on", "db", "--wait", "0", "echo", "x")[:2], (0, "x\n"), "another one")
    q = Running(t, two, ("--lock", "nightly", "--on", "db"), READY)
    wait_until(lambda: t.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1", 5, "one waits")
    os.kill(p.pid, signal.SIGKILL)
    equal(q.ready().finish()[0], 0, "then")
    p = holding(t, one, "--lock", "nightly", "--on", "db")
    t.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    status, _, err = p.ended()
    equal(status, 77, err)
    equal(t.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), [("0",)], "none")
    # --wait 0 is for the lock: a server connection that has to be opened first, or that others have, may take its time
    one.console("RECONNECT db")
    for _ in range(5):
        equal(run(one, "--lock", "x", "--lock", "y", "--on", "db", "--wait", "0", "echo", "x"), (0, "x\n", ""), "a new connection")
        one.console("RECONNECT db")
    full = [t.client(two) for _ in range(3)]
    for c in full:
        c.sql("BEGIN")
        c.sql("SELECT 1")
    status, out, err = run(two, "--lock", "x", "--on", "db", "--wait", "0", "--timeout", "300ms", "echo", "x")
    equal((status, out), (75, ""), err)
    check("no server connection" in err, err)
    for c in full:
        c.close()
    shared = [holding(t, d, "--shared-lock", "s", "--on", "db") for d in (one, two)]
    equal(run(one, "--lock", "s", "--on", "db", "--wait", "0", "true")[0], 75, "shared")
    for p in shared:
        equal(p.finish()[0], 0, "status")


@test(timeout=180)
def cron(t):
    """50 workers on 5 hosts run one job with --lock nightly --wait 0: one at a time, 75 for the others"""
    d = t.daemon(size=1)
    log = t.path("log")
    job = ("import fcntl, os, sys, time\n"
           "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
           "os.write(fd, b'in %d\\n' % os.getpid()); time.sleep(0.02); os.write(fd, b'out %d\\n' % os.getpid())\n")
    with open(t.path("job.py"), "w") as f:
        f.write(job)

    def host(side, seed):
        import random
        import threading
        rng = random.Random(seed)
        counts = {}
        mutex = threading.Lock()

        def worker(pauses):
            for pause in pauses:
                time.sleep(pause)
                p = subprocess.Popen(words(d, "--lock", "nightly", "--wait", "0", "--", PY, t.path("job.py"), log), stderr=subprocess.PIPE,
                                     env=dict(os.environ, **SANITIZE_ENV))
                _, err = p.communicate()
                with mutex:
                    counts[p.returncode] = counts.get(p.returncode, 0) + 1
                    if p.returncode not in (0, 75):
                        counts["err"] = err.decode()
        threads = [threading.Thread(target=worker, args=([rng.uniform(0, 0.05) for _ in range(6)],)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        side.say(json.dumps(counts))
    hosts = [t.process(host, t.random.random()) for _ in range(5)]
    sums = {}
    for h in hosts:
        for status, n in json.loads(h.heard(150)).items():
            sums[status] = sums.get(status, 0) + n if status != "err" else n
        h.finish()
    equal(set(sums), {"0", "75"}, "statuses: %r" % sums)
    equal(sums["0"] + sums["75"], 300, "all")
    with open(log) as f:
        lines = f.read().split("\n")[:-1]
    equal(len(lines), 2 * sums["0"], "each that ran has run to its end")
    for a, b in zip(lines[::2], lines[1::2]):
        equal((a.split()[0], b), ("in", "out " + a.split()[1]), "one at a time")
    print("# %d ran, %d did not" % (sums["0"], sums["75"]))


@test
def of_another_user(t):
    """an ordinary user who may use one pool has its locks, and needs PGDATABASE"""
    if os.geteuid() != 0:
        raise Skip("needs root, to be others")
    d = t.daemon(size=1, users="daemon", options={"allow": "daemon:daemon"})
    where = [program("pgwith"), "-S", d.sockets, "-p", str(d.port), "run", "--lock", "a"]
    env = dict(SANITIZE_ENV, PGDATABASE="", PGUSER="")
    status, out, err = child.run(where + ["id", "-un"], user="daemon", env=env)
    equal((status, out, err), (125, "", "pgwith: which pool may you use? pgwithd tells only administrators: name one by $PGDATABASE\n"),
          "nobody tells")
    status, out, err = child.run(where + ["id", "-un"], user="daemon", env=dict(env, PGDATABASE="db"))
    equal((status, out, err), (0, "daemon\n", ""), "it is run")


if __name__ == "__main__":
    main()
