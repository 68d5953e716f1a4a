"""pgwith top, by what stands on the screen of a terminal (tmux): who is to blame in each sort of trouble, keys,
sizes, terminals, and what happens when the daemon or the terminal goes."""

import os
import socket
import re
import signal
import threading
import time

from pgwtest import check, child, equal, main, slow_factor, test, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program
from pgwtest.ports import listens
from pgwtest.terminal import Terminal


def command(d, *words):
    return " ".join((program("pgwith"), "-S", d.sockets, "-p", str(d.port), "-U", "postgres", "top") + words)


def terminal(t, **how):
    term = Terminal(t.path("term%d" % len(os.listdir(t.directory))), **dict(how, env=dict(SANITIZE_ENV, **how.get("env", {}))))
    t.defer(term.close)
    return term


def top(t, d, *words, **how):
    """A terminal with pgwith top, which has drawn its first page."""
    term = terminal(t, **how)
    term.run(command(d, *words))
    term.shows(r"^\[1 ?All\]")
    return term


def line(term, pattern, within=10):
    """The line of the screen that matches, once there is one."""
    return re.search(r"^.*(?:%s).*$" % pattern, term.shows(pattern, within), re.M).group()


def ended(term, within=10):
    """The shell's prompt is there again, on the screen that it had before."""
    wait_until(lambda: not term.is_alternate(), within, "the terminal's ordinary screen is back")
    term.run("echo status=$?; stty -a | grep -o '[-]*icanon\\|[-]*echo '; echo over")
    text = term.shows("^over$", within)
    check(re.search(r"^icanon$", text, re.M) and re.search(r"^echo", text, re.M), "the terminal is as before: " + text)
    # the prompt stands in front if the line was typed while the terminal still did not echo
    return int(re.search(r"status=(\d+)$", text, re.M).group(1))


def stuck(t, d, application_name="culprit"):
    """A client that is idle in a transaction."""
    c = t.client(d, application_name=application_name)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    return c


def waiting(t, d, sql="SELECT 1"):
    c = t.client(d)
    c.send(wire.query(sql))
    return c


@test
def well(t):
    """all is well: the verdict says so; every page can be reached; q ends it with status 0"""
    d = t.daemon(size=3)
    t.client(d).sql("SELECT 1")
    term = top(t, d)
    term.shows(r"^all is well: 1 pool, 0 of 3 leased, nobody waits$")
    line(term, r"^db +\[")
    term.shows("no lock has a queue, nobody is pinned, no errors")
    for key, words in zip("23456789", ("^pools", "^held longest: .*\n.*nobody holds", "^locks .*\n.*nobody has",
                                       "^who waits for whom\n.*\n.*nobody waits", "^sessions that keep .*\n.*nobody",
                                       "^how scopes ended", "^errors of pgwithd", "^every session\nSESSION ")):
        term.type(key)
        term.shows(words)
    term.keys("Tab")
    term.shows(r"^\[1 All\]")
    term.type("?")
    term.shows("^Up, Down, PgUp, PgDn")
    term.type("?")
    term.shows(r"^\[1 All\]")
    term.type("q")
    equal(ended(term), 0, "exit status")


@test
def saturated(t):
    """one stuck transaction holds everything: the verdict names it within a second; it is killed by a typed word"""
    d = t.daemon(size=1)
    term = top(t, d)
    c = stuck(t, d)
    waiting(t, d)
    wait_until(lambda: d.waiting() == 1, 5, "one waits")
    t0 = time.monotonic()
    # the interval is a second, and waits of 100 ms are no trouble yet
    term.shows(r"db: 1 of 1 leased, 1 waiting, oldest .*; session \d+\s\(python3,\spid\s%d,\sculprit\)(.|\n)*idle in transaction" % os.getpid())
    check(time.monotonic() - t0 < 2 * slow_factor(), "within a second or so")
    session, = [x["id"] for x in d.clients() if x["application_name"] == "culprit"]
    line(term, r"^ +%s +culprit .*transact.* idle in" % session)
    # the pools are choosable rows, too, and nobody's
    term.keys("Down")
    term.type("k")
    term.shows("choose a session first")
    term.keys("Down")
    term.type("k")
    term.shows(r"End session %s \(python3, pid \d+,\sculprit\)\?" % session)
    term.type("no")
    term.keys("Enter")
    term.shows("nothing was killed")
    equal(len([x for x in d.clients() if x["application_name"] == "culprit"]), 1, "it is there")
    term.type("k")
    term.shows("Type kill and Enter")
    term.type("kill")
    term.keys("Enter")
    term.shows("has begun to do that")
    wait_until(lambda: not [x for x in d.clients() if x["application_name"] == "culprit"], 5, "it is gone")
    term.shows("^all is well")
    c.drop()


@test
def scope(t):
    """K rolls back a transaction; what pgwithd says against a command is shown"""
    d = t.daemon(size=1)
    c = stuck(t, d)
    term = top(t, d)
    term.type("3")
    term.shows("culprit")
    term.keys("Down")
    term.type("K")
    term.shows("Roll back the innermost transaction of session")
    term.type("kill")
    term.keys("Enter")
    term.shows("has begun to do that")
    term.shows("nobody holds")
    equal(len([x for x in d.clients() if x["application_name"] == "culprit"]), 1, "the session stays")
    c2 = stuck(t, d, "second")
    term.shows("second")
    term.keys("Down")
    term.type("k")
    term.shows("End session")
    c2.close()
    wait_until(lambda: not [x for x in d.clients() if x["application_name"] == "second"], 5, "it has gone by itself")
    term.type("kill")
    term.keys("Enter")
    term.shows("there is no session|no session")
    c.drop()


@test
def queue(t):
    """a lock with a queue: the verdict, the first page and pages 4 and 5 name who has it"""
    d = t.daemon(size=1)
    c = t.client(d, application_name="culprit")
    c.sql("ENTER LOCK 'nightly'")
    for _ in range(3):
        waiting(t, d, "ENTER LOCK 'nightly'")
    wait_until(lambda: len(d.show("LOCKS")) == 4, 5, "three wait")
    term = top(t, d, width=100)
    term.shows(r"^lock nightly: 3 waiting, oldest .*; session \d+\s\(python3,\spid\s\d+,\sculprit\)\sholds\sit")
    check(re.search(r"nightly +3 .* culprit ", term.text()), term.text())
    term.type("4")
    equal(len(re.findall(r"^nightly .* waiting ", term.shows("waiting +3"), re.M)), 3, "the queue")
    term.type("5")
    session, = [x["id"] for x in d.clients() if x["application_name"] == "culprit"]
    text = term.shows(r"^\* session %s \(.*culprit" % session)
    check(re.search(r"^\+- session \d+ .* for lock nightly", text, re.M), text)
    # who is at the root is chosen first
    term.keys("Down")
    term.type("k")
    term.shows(r"End session %s \(.*culprit.*\)\?" % session)
    term.keys("Escape")
    c.sql("EXIT ALL")
    term.shows_not("culprit")
    line(term, r"^\+- session \d+ .* for lock nightly")


@test
def chain(t):
    """who holds the server waits for a lock: the verdict names the one at the end"""
    d = t.daemon(pools={"db": {"conninfo": t.conninfo(), "size": 1}, "other": {"conninfo": t.conninfo(), "size": 1}})
    end = t.client(d, application_name="end")
    end.sql("ENTER LOCK 'x'")
    middle = t.client(d, application_name="middle")
    middle.sql("BEGIN")
    middle.sql("SELECT 1")
    middle.send(wire.query("ENTER LOCK 'x'"))
    wait_until(lambda: len(d.show("LOCKS")) == 2, 5, "it waits for the lock")
    waiting(t, d)
    wait_until(lambda: d.waiting() == 1, 5, "one waits for a server")
    term = top(t, d, width=160)
    term.shows(r"pid\s\d+,\send\)")
    text = term.shows(r"holds (it|lock x) for")
    check(re.search(r"\(python3, pid \d+, end\) holds (it|lock x) ", text), text)


@test
def down(t):
    """PostgreSQL cannot be reached: the verdict says so, with the words of the client's error"""
    d = t.daemon(conninfo="host=127.0.0.1 port=1 dbname=x user=x", wait_timeout="1s", min_size=1)
    term = top(t, d)
    term.shows("db: 0 of 1 leased(.|\n)*cannot connect(.|\n)*")


@test
def pins_and_errors(t):
    """who is pinned and why; errors of the last minute"""
    d = t.daemon(size=2, wait_timeout="100ms")
    c = t.client(d, application_name="listener")
    c.sql("LISTEN a; SELECT 1")
    term = top(t, d)
    check(re.search(r"^pinned\n.*\n.* listener .* LISTEN ", term.shows("^pinned"), re.M), term.text())
    term.type("6")
    line(term, "listener .* LISTEN ")
    second = stuck(t, d)
    for _ in range(3):
        check(t.client(d).ask("SELECT 1").errors, "an error of pgwithd")
    term.type("1")
    found = line(term, r"^[a-z_]+ +\w{5} +3 +3 ")
    term.type("8")
    line(term, re.escape(found.split()[0]) + r" +\w{5} +3 +3 ")
    second.drop()


@test
def filters(t):
    """a filter, sorting and a pause, by keys"""
    d = t.daemon(size=3)
    for name in ("apple", "banana", "cherry"):
        stuck(t, d, name)
    term = top(t, d)
    term.type("3")
    term.shows("apple(.|\n)*banana(.|\n)*cherry")
    term.type("/")
    term.type("NAN")
    term.shows_not("apple")
    line(term, "banana")
    term.keys("Enter")
    term.shows('only rows with "NAN"')
    term.keys("Escape")
    term.shows("apple")
    term.type("ss")
    term.shows(r"WHO\*")
    term.type("r")
    term.shows("cherry(.|\n)*banana(.|\n)*apple")
    term.type("p")
    term.shows("^paused")
    before = term.text()
    asked = int([x["queries"] for x in d.show("CLIENTS") if x["program"] == "pgwith"][0])
    stuck_now = stuck(t, t.daemon(size=1), "elsewhere")  # takes a while
    equal(term.text(), before, "the page stays")
    equal(int([x["queries"] for x in d.show("CLIENTS") if x["program"] == "pgwith"][0]), asked, "nothing is asked")
    term.type("p")
    term.shows_not("^paused")
    stuck_now.drop()


@test
def sizes(t):
    """the window gets smaller and larger: each page fits at once, down to one line and column"""
    d = t.daemon(size=2)
    stuck(t, d)
    term = top(t, d)
    for width, height in ((60, 24), (200, 60), (40, 10), (20, 5), (1, 1), (80, 24)):
        term.resize(width, height)
        pages = "123456789" if width >= 40 else "19"
        for key in pages:
            term.type(key)
            if width >= 40:
                term.shows(r"\[%s" % key)
        wait_until(lambda: len(term.text().splitlines()) <= height, 5, "it fits")
    term.type("1")
    text = term.shows("culprit")
    check(re.search(r"^q quit", text.splitlines()[-1]), text)
    term.resize(60, 24)
    text = term.shows(r"\[1All\]")
    check(max(map(len, text.splitlines())) <= 60 and "WAITING" in text and "TX/S" in text, text)
    # a new size is no key: it does not end the help, so that the key that does is taken for no other
    term.type("?")
    term.shows("^any key: back")
    term.resize(80, 24)
    term.shows(r"\[1 All\]")
    term.type("p")
    term.shows("^POOL ")
    term.type("2")
    text = term.shows(r"\[2 Pools\]")
    check("paused" not in text, text)
    term.type("q")
    equal(ended(term), 0, "exit status")


@test
def stale(t):
    """the daemon hangs: a banner within two seconds, keys work on, and it comes back by itself"""
    d = t.daemon(size=2)
    term = top(t, d)
    d.signal(signal.SIGSTOP)
    try:
        term.shows("^pgwithd does not answer; these numbers are .* old", 5)
        term.type("2")
        term.shows(r"\[2 Pools\]", 2)
        term.shows("^pgwithd cannot be reached, trying again(.|\n)*does not answer", 15)
        term.type("1")
        term.shows(r"\[1 All\]", 2)
    finally:
        d.signal(signal.SIGCONT)
    term.shows_not("does not answer|cannot be reached", 15)
    term.shows("^all is well")
    term.type("q")
    equal(ended(term), 0, "exit status")


class SlowWay:
    """A socket of pgwithd behind which every answer takes a while."""

    def __init__(self, t, d, delay):
        self.delay, self.sockets, self.port = delay, t.path("slow"), d.port
        os.mkdir(self.sockets)
        self.way = os.path.join(d.sockets, ".s.PGSQL.%d" % d.port)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.sockets, ".s.PGSQL.%d" % d.port))
        self.listener.listen()
        t.defer(self.listener.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.way)
            threading.Thread(target=self.pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, True), daemon=True).start()

    def pump(self, source, sink, back):
        try:
            while data := source.recv(1 << 16):
                if back:
                    time.sleep(self.delay)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


@test
def slow_answers(t):
    """answers that are each fast enough, and together are not, make the numbers old, and that is said; later no more"""
    d = t.daemon(size=2)
    way = SlowWay(t, d, 0)
    term = top(t, way)
    term.shows("^all is well")
    way.delay = 0.4
    term.shows("^pgwithd answers slowly: to ask for all takes .*; these numbers are .* old", 20)
    way.delay = 0
    term.shows_not("answers slowly|does not answer", 20)
    term.type("q")
    equal(ended(term), 0, "exit status")


@test
def old_rows(t):
    """rows of a page that was left are not shown as if they were of now"""
    d = t.daemon(size=2)
    c = stuck(t, d, "early")
    term = top(t, d)
    term.type("9")
    line(term, "early")
    term.type("2")
    c.close()
    term.shows("^all is well: 1 pool, 0 of 2 leased")
    d.signal(signal.SIGSTOP)
    try:
        term.type("9")
        text = term.shows("^every session\n.+\n")
        check("early" not in text, text)
        term.shows("^not known: pgwithd has not answered yet")
    finally:
        d.signal(signal.SIGCONT)
    term.shows("^SESSION")
    term.type("p")
    term.shows("^paused")
    term.type("7")
    term.shows("^not known: nothing is asked while paused")
    term.type("p")
    term.shows("no scope has ended|^POOL +SCOPE")


@test
def gone(t):
    """the daemon ends: a banner; another one comes: its numbers; a kill meanwhile is refused"""
    d = t.daemon(size=2)
    stuck(t, d)
    term = top(t, d)
    term.type("3")
    term.shows("culprit")
    term.keys("Down")
    conf, sockets = d.conf, d.sockets
    d.signal(signal.SIGKILL)
    d.process.wait()
    term.shows("^pgwithd cannot be reached, trying again; these numbers are .* old", 5)
    term.shows("culprit")  # the old numbers stay
    term.type("k")
    term.type("kill")
    term.keys("Enter")
    term.shows("not done: pgwithd cannot be reached")
    # numbers of sessions begin anew: what is asked now must not be done to another session there
    term.type("k")
    term.shows("End session")
    term.type("kil")
    p = child.start([program("pgwithd"), "-c", conf], os.path.join(d.directory, "again.log"), env=SANITIZE_ENV)
    t.defer(lambda: (p.terminate(), p.wait()))
    # The socket of the one that was killed is there still.
    wait_until(lambda: listens(os.path.join(sockets, ".s.PGSQL.%d" % d.port)), 10, "it listens")
    term.shows("^nothing was killed: pgwithd was away, its sessions may be others", 15)
    term.shows_not("^pgwithd cannot be reached", 15)
    term.shows("nobody holds")
    term.type("q")
    equal(ended(term), 0, "exit status")
    d.expect_status = -signal.SIGKILL


@test
def restart(t):
    """a restart that hands over: top goes on"""
    d = t.supervised(size=2)
    term = top(t, d)
    pid = int(d.show("STATE")[[x["key"] for x in d.show("STATE")].index("pid")]["value"])
    d.restart()
    c = stuck(t, d)
    term.shows("culprit", 15)
    term.shows_not("cannot be reached|does not answer")
    check(pid, "there was one")
    c.drop()


@test
def no_colour(t):
    """colours on a terminal that has them; none with NO_COLOR, --color never, or a terminal without"""
    d = t.daemon(size=1)
    stuck(t, d)
    waiting(t, d)
    colour = "\033\\[[0-9;]*3[1-7]"
    for words, how, expected in (((), {"term": "screen-256color"}, True),
                                 ((), {"term": "screen-256color", "env": {"NO_COLOR": "1"}}, False),
                                 (("--color", "never"), {"term": "screen-256color"}, False),
                                 ((), {"term": "vt100"}, False)):
        term = top(t, d, *words, **how)
        term.shows("1 waiting, oldest")
        equal(bool(re.search(colour, term.coloured())), expected, "colours with %s %s" % (words, how))
        term.type("q")
        equal(ended(term), 0, "exit status")
        term.close()


@test
def other_terminals(t):
    """without UTF-8 everything is ASCII; a terminal that cannot be drawn on, and a pipe, are told of --once"""
    d = t.daemon(size=2)
    stuck(t, d, "caf\u00e9")
    term = top(t, d, env={"LANG": "C", "LC_ALL": "C"})
    text = term.shows("caf\\?")
    check(text.isascii() and "[####" in text, text)
    term.type("q")
    equal(ended(term), 0, "exit status")
    for name in ("dumb", "no-such-terminal", ""):
        term.run("TERM=%s %s; echo $name status=$?" % (name, command(d)))
        text = term.shows("^ ?status=2$")
        check("--once" in text, text)
        term.run("clear")
        term.shows_not("status=2")
    status, out, err = child.run(command(d).split(), env=SANITIZE_ENV)
    check((status, out) == (2, "") and "--once" in err, "without a terminal: %d %s %s" % (status, out, err))


@test
def once(t):
    """--once: one page with rates, without a terminal; errors have the exit statuses of other commands"""
    d = t.daemon(size=2)
    c = stuck(t, d)
    ended_now = threading.Event()

    def work():
        with d.connect() as worker:
            while not ended_now.is_set():
                worker.sql("SELECT 1")
    thread = threading.Thread(target=work)
    thread.start()
    try:
        status, out, err = child.run(command(d, "--once", "--interval", "500ms").split(), env=SANITIZE_ENV)
    finally:
        ended_now.set()
        thread.join()
    equal((status, err), (0, ""), "pgwith top --once")
    check("\033" not in out, out)
    check(re.match(r"pgwithd \S+ pid %d: running, up .*, \d+ of \d+ sessions" % d.pid, out), out)
    check(re.search(r"^held longest\n.*\n.* culprit .*idle in transaction", out, re.M), out)
    check(re.search(r"^db +\[.*\] +[12]/2 .* [1-9][0-9.]*k? +[1-9][0-9.]*k? +\d+\.\d ms +\d+\.\d ms", out, re.M),
          "rates and percentiles: %s" % out)
    for lc in ("C.UTF-8", "C"):
        status, out, err = child.run(command(d, "--once", "--interval", "100ms").split(), env=dict(SANITIZE_ENV, LC_ALL=lc))
        check(status == 0 and re.search(r"^db +\[.*\]", out, re.M), "with LC_ALL=%s: %s%s" % (lc, out, err))
        equal(out.isascii(), lc == "C", "only ASCII with LC_ALL=%s" % lc)
    # interrupted, it has nothing to say: a program must not take that for a page
    p = child.start(command(d, "--once", "--interval", "1h").split(), t.path("once.log"), env=SANITIZE_ENV)
    wait_until(lambda: [x for x in d.show("CLIENTS") if x["program"] == "pgwith"], 5, "it is in")
    p.send_signal(signal.SIGINT)
    equal(p.wait(), 5, "exit status of --once after SIGINT")
    equal(child.run(command(d, "--once", "-p", "1").split(), env=SANITIZE_ENV)[0], 3, "nobody listens")
    if os.geteuid() == 0:  # others have the rights of their role only
        status, out, err = child.run(command(d, "--once", "-U", "nobody").split(), env=SANITIZE_ENV, user="daemon")
        equal((status, out), (4, ""), "not allowed: " + err)
    equal(child.run(command(d, "--once", "--interval", "x").split(), env=SANITIZE_ENV)[0], 2, "usage")
    for words in (("--interval", "1ms"), ("--interval", "99ms", "--once")):
        equal(child.run(command(d, *words).split(), env=SANITIZE_ENV),
              (2, "", "pgwith: --interval: the least is 100 ms\n"), "too often")
    term = terminal(t)
    term.run(command(d, "-p", "1") + "; echo status=$?")
    term.shows("^status=3$")
    c.drop()


@test
def signals(t):
    """however it is ended, the terminal is as before: signals, a crash, a terminal that goes; Ctrl-Z and fg"""
    d = t.daemon(size=2)
    for number, status in ((signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGQUIT, 0), (signal.SIGINT, 0),
                           (signal.SIGABRT, 134), (signal.SIGSEGV, 139)):
        term = top(t, d)
        os.kill(term.child("pgwith"), number)
        # sanitizers have an exit status of their own for a crash
        got = ended(term)
        check(got == status or SANITIZE_ENV and status and got, "status %d by signal %d" % (got, number))
        term.close()
    term = top(t, d)
    term.keys("C-z")
    wait_until(lambda: not term.is_alternate(), 10, "the shell's screen")
    term.resize(70, 20)
    term.run("fg")
    text = term.shows(r"^\[1All\]")
    check(max(map(len, text.splitlines())) <= 70, text)
    term.keys("C-c")
    equal(ended(term), 0, "exit status")
    term.run(command(d))
    term.shows(r"^\[1All\]")
    pid = term.child("pgwith")
    term.close()
    wait_until(lambda: not os.path.exists("/proc/%d" % pid), 10, "it ends with its terminal")


if __name__ == "__main__":
    main()
