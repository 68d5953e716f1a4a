"""The log: text and JSON, what can be switched off, what repeats, slow scopes, and a stderr that takes nothing."""

import json
import os
import re
import signal
import subprocess

from pgwtest import check, child, equal, main, test, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program

SLOW = 0.3  # seconds: log_scope_longer_than
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def start(t, options=None, **pool):
    return t.daemon(options={"log_level": "info", "log_format": "json", **(options or {})}, **pool)


def lines(d, message=None, **fields):
    """The JSON lines with that message (None: all) and these members."""
    found = [json.loads(line) for line in d.log_text().splitlines()]
    return [o for o in found if message in (None, o["message"]) and fields.items() <= o.items()]


def wait_lines(d, count, message, **fields):
    """Waits until there are so many, and not more."""
    wait_until(lambda: len(lines(d, message, **fields)) >= count, 5,
               "%d lines %r %r" % (count, message, fields))
    found = lines(d, message, **fields)
    equal(len(found), count, "lines %r %r: %r" % (message, fields, found))
    return found


def slow(d, count, **fields):
    return wait_lines(d, count, "slow scope", **fields)


@test
def every_line(t):
    """each line is an object with time, level and subject; strangers' words stay in their place"""
    d = start(t, {"log_level": "debug"})
    role = 'a" b=c\n{"x":1} \u202e\u00e9'
    c = t.client(d, user=role)
    equal(c.value("SELECT 1"), "1", "it is served")
    pid = os.getpid()
    c.close()
    left, = wait_lines(d, 1, "left", role=role)
    came, = lines(d, "in", role=role)
    equal((came["session"], came["pool"], came["pid"], came["uid"]), (left["session"], "db", pid, os.getuid()), "in")
    equal((left["why"], left["queries"]), ("client left", 1), "left")
    for o in lines(d):
        check(TIME.fullmatch(o["time"]), "time: %r" % o)
        equal((o["program"], o["process"]), ("pgwithd", d.pid), "program: %r" % o)
        check(o["level"] in ("debug", "info", "warn", "error"), "level: %r" % o)
        subjects = [k for k in ("session", "server", "pool", "subject", "listener") if k in o]
        check(subjects, "subject: %r" % o)
        check("=" not in o["message"], "values are members: %r" % o)
    moves = [o["message"] for o in lines(d, level="debug") if o.get("session") == came["session"]]
    check("idle -> setup" in moves or "idle -> active" in moves, "a session's id on its lines: %r" % moves)
    server, = lines(d, "connected")
    check(isinstance(server["server"], int) and server["backend"] in map(int, d.server_pids()), "server: %r" % server)


@test
def switches(t):
    """connections, disconnections, errors and scopes can each be switched off, and nothing else goes with them"""
    names = {"log_connections": {"in"}, "log_disconnections": {"left"}, "log_pooler_errors": {"error", "refused"},
             "log_scopes": {"scope enter", "scope granted", "scope exit", "scope released"}}
    everything = set().union(*names.values())
    for off, words in [(None, set())] + list(names.items()):
        d = start(t, {off: "off"} if off else {}, max_waiting=0)
        c, other = t.client(d), t.client(d)
        c.sql("ENTER a")
        e, = other.ask("SELECT 1").errors
        equal(e.sqlstate, "53300", "max_waiting")
        c.sql("EXIT a")
        try:
            t.client(d, "nowhere")
        except wire.ServerError as e:
            equal(e.sqlstate, "3D000", "no such pool")
        c.close()
        wait_until(lambda: "server" in str(lines(d)) and not d.clients() or len(d.clients()) == 1, 5, "it has left")
        d.stop()
        seen = {o["message"] for o in lines(d)}
        equal(seen & everything, everything - words, "without %s" % off)
        if off is None:
            o, = lines(d, "error")
            equal((o["sqlstate"], o["kind"], o["pool"], o["role"], o["session"] > 0),
                  ("53300", "queue_full", "db", "postgres", True), "the error: %r" % o)
            o, = lines(d, "refused", kind="no_pool")
            check("nowhere" in o["why"], "refused: %r" % o)


@test
def text(t):
    """as text: values with blanks are in quotes, and no argument makes up a key"""
    d = start(t, {"log_format": "text"})
    c = t.client(d, user="mallory why=\"none\"")
    c.sql("ENTER \"a b\"; EXIT")
    c.close()
    wait_until(lambda: d.log_has(r" left role="), 5, "it has left")
    check(d.log_has(r'info session \d+: in pool=db role="mallory why=\\"none\\"" uid=\d+ pid=\d+\n'), "in")
    check(d.log_has(r'info session \d+: left role="mallory why=\\"none\\"" pid=\d+ why="client left" queries=\d\n'), "left")
    check(d.log_has(r'info session \d+: scope enter name="a b" pool=db\n'), "enter")
    check(d.log_has(r'pgwithd\[%d\] info pgwithd: ready version=\S+ socket=\S+ io=(uring|epoll) pools=1 max_clients=10000\n' % d.pid), "ready")


@test
def folding(t):
    """what repeats is told once, and then counted within a second; its end is told at the end"""
    d = start(t, max_waiting=0)
    holder = t.client(d)
    holder.sql("BEGIN")
    c = t.client(d)
    for _ in range(60):
        equal(c.ask("SELECT 1").errors[0].sqlstate, "53300", "refused")

    def told():
        return sum(o.get("repeated", 1) for o in lines(d, "error", kind="queue_full"))
    wait_until(lambda: told() == 60, 5, "all are counted")
    check(len(lines(d, "error")) < 20, "folded: %r" % lines(d, "error"))
    check("repeated" not in lines(d, "error")[0], "the first is itself")
    for _ in range(20):
        c.ask("SELECT 1")
    d.process.send_signal(signal.SIGINT)
    d.wait_end()
    equal(told(), 80, "all are counted at the end")


@test
def slow_plain(t):
    """a transaction or statement without ENTER: how long it waited and held, and how it ended"""
    d = start(t, {"log_connections": "off"}, log_scope_longer_than="%dms" % (1000 * SLOW))
    c = t.client(d)
    for _ in range(20):
        c.sql("SELECT 1")
    c.sql("BEGIN")
    c.sql("SELECT pg_sleep(%g)" % SLOW)
    c.sql("SELECT 1")
    equal(lines(d, "slow scope"), [], "not before its end")
    c.sql("COMMIT")
    o, = slow(d, 1)
    equal((o["name"], o["kind"], o["pool"], o["role"], o["outcome"], o["statements"], o["waited_for"], o["sqlstate"]),
          ("", "implicit", "db", "postgres", "success", 4, "", ""), "a transaction: %r" % o)
    check(1000 * SLOW <= o["hold_ms"] <= o["took_ms"] and o["wait_ms"] == 0, "its times: %r" % o)
    equal(lines(d, "slow scope statement"), [], "no SQL unless it is asked for")
    # one statement, by the extended protocol, which fails
    r = c.ask_extended("SELECT pg_sleep(%g), 1/(pg_sleep(0) IS NULL)::int" % SLOW)
    equal([e.sqlstate for e in r.errors], ["22012"], "division by zero")
    o, = slow(d, 1, outcome="error")
    equal((o["sqlstate"], o["statements"]), ("22012", 1), "a statement that failed: %r" % o)
    # waiting
    c.sql("BEGIN")
    c.sql("SELECT 1")
    waiter = t.client(d)
    waiter.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits")
    wait_until(lambda: int(d.pool()["maxwait_us"]) + 1000000 * d.pool()["maxwait"] > 1000000 * SLOW, 5, "for long")
    c.sql("COMMIT")
    equal(waiter.until_ready().errors, [], "served")
    o, = slow(d, 1, statements=1, outcome="success")
    check(o["wait_ms"] >= 1000 * SLOW and re.fullmatch(r"pool db \d+\.\dms", o["waited_for"]), "it waited: %r" % o)
    equal(len(slow(d, 1, outcome="success", wait_ms=0, statements=3)), 1, "whom for")
    # killed
    c.sql("BEGIN")
    c.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: any(a["state"] == "active" for a in t.activity()), 5, "it runs")
    t.sql("SELECT pg_sleep(%g)" % SLOW)
    c.drop()
    o, = slow(d, 1, outcome="cancelled")
    equal(o["statements"], 2, "cancelled: %r" % o)
    d.quiet()
    # waiting in vain
    d = start(t, log_scope_longer_than="%dms" % (1000 * SLOW), wait_timeout="%dms" % (1100 * SLOW))
    c, late = t.client(d), t.client(d)
    c.sql("BEGIN")
    equal([e.sqlstate for e in late.ask("SELECT 1").errors], ["53300"], "wait_timeout")
    o, = slow(d, 1, sqlstate="53300")
    check(o["outcome"] == "error" and o["wait_ms"] >= 1100 * SLOW and o["hold_ms"] == 0, "in vain: %r" % o)


@test
def slow_scopes(t):
    """scopes of ENTER, savepoints and locks among them: what each waited for, and the end by a deadline"""
    d = start(t, log_scope_longer_than="%dms" % (1000 * SLOW), size=3)
    c, other = t.client(d), t.client(d)
    other.sql("ENTER LOCK 'nightly run'")
    c.sql("ENTER quick; SELECT 1; EXIT")
    c.sql("ENTER outer_one")
    c.sql("SELECT 1")
    c.send(wire.query("ENTER LOCK 'nightly run'"))
    wait_until(lambda: [x for x in d.show("LOCKS") if x["state"] == "waiting"], 5, "it waits")
    t.sql("SELECT pg_sleep(%g)" % SLOW)
    other.sql("EXIT")
    equal(c.until_ready().errors, [], "it has the lock")
    c.sql("ENTER inside")
    c.sql("SELECT 2")
    c.sql("EXIT inside")
    c.sql("EXIT ALL")
    o, = slow(d, 1, kind="transaction")
    equal((o["name"], o["statements"], o["outcome"], o["wait_ms"]), ("outer_one", 2, "success", 0.0), "outermost: %r" % o)
    check(re.fullmatch(r"lock nightly run \d+\.\dms", o["waited_for"]), "inside it, the lock: %r" % o)
    locks = slow(d, 2, kind="lock")
    equal([(x["name"], x["pool"], x["waited_for"] != "") for x in locks],
          [("nightly run", "", False), ("nightly run", "", True)], "holder and waiter: %r" % locks)
    check(locks[1]["wait_ms"] >= 1000 * SLOW > locks[0]["wait_ms"], "who waited: %r" % locks)
    check(locks[1]["waited_for"] == o["waited_for"], "the same wait: %r" % locks)
    equal(len(lines(d, "slow scope")), 3, "neither the quick one nor the savepoint")
    # a failure, a deadline, a client that is gone
    c.sql("ENTER a")
    c.ask("SELECT pg_sleep(%g), 1/(pg_sleep(0) IS NULL)::int" % SLOW)
    equal([e.sqlstate for e in c.ask("EXIT").errors], ["40000"], "failed")
    o, = slow(d, 1, name="a")
    equal((o["outcome"], o["sqlstate"]), ("error", "22012"), "failed: %r" % o)
    c.sql("ENTER b DEADLINE '%dms'" % (1500 * SLOW))
    equal([e.sqlstate for e in c.ask("SELECT pg_sleep(60)").errors], ["57014"], "expired")
    c.ask("EXIT")
    o, = slow(d, 1, name="b")
    equal((o["outcome"], o["sqlstate"]), ("expired", "57014"), "expired: %r" % o)
    c.sql("ENTER g")
    c.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: any(a["state"] == "active" for a in t.activity()), 5, "it runs")
    t.sql("SELECT pg_sleep(%g)" % SLOW)
    c.drop()
    o, = slow(d, 1, name="g")
    equal((o["outcome"], o["statements"]), ("cancelled", 1), "gone: %r" % o)
    check(o["cleanup_ms"] > 0, "its cleanup took time: %r" % o)
    # scopes inside of a transaction of BEGIN: one line for it, from BEGIN on
    e = t.client(d)
    e.sql("BEGIN")
    e.sql("SELECT pg_sleep(%g)" % SLOW)
    e.sql("ENTER s; SELECT 1; EXIT")
    e.sql("COMMIT")
    o, = slow(d, 1, kind="implicit")
    equal((o["outcome"], o["statements"]), ("success", 4), "around scopes: %r" % o)
    # the same, killed inside of the scope
    e.sql("BEGIN")
    e.sql("SELECT pg_sleep(%g)" % SLOW)
    e.sql("ENTER s2")
    e.drop()
    o, = slow(d, 1, kind="implicit", outcome="cancelled")
    check(o["hold_ms"] >= 1000 * SLOW and o["statements"] == 2, "from its beginning: %r" % o)
    equal(lines(d, "slow scope", name="s2"), [], "the scope itself was short")
    d.quiet()


@test
def statements(t):
    """with log_scope_statements, the SQL: cut, escaped, of prepared statements too; only of slow scopes"""
    d = start(t, log_scope_longer_than="%dms" % (1000 * SLOW), log_scope_statements="on")
    c = t.client(d)
    c.sql("SELECT 'quick'")
    c.send(wire.extended("SELECT 'named'", name="n1") + wire.sync())
    c.until_ready()
    equal(lines(d, "slow scope statement"), [], "of quick ones nothing")
    long = "SELECT '\u00e9\"\n" + 600 * "x" + "'"
    c.sql("BEGIN")
    c.sql(long)
    c.send(wire.bind(statement="n1") + wire.execute() + wire.sync())
    c.until_ready()
    c.ask_extended("SELECT pg_sleep(%g)" % SLOW)
    c.sql("COMMIT")
    slow(d, 1, statements=5)
    found = wait_lines(d, 5, "slow scope statement")
    equal([o["n"] for o in found], [1, 2, 3, 4, 5], "numbered")
    equal([o["sql"] for o in found if o["n"] != 2],
          ["BEGIN", "SELECT 'named'", "SELECT pg_sleep(%g)" % SLOW, "COMMIT"], "SQL")
    cut = found[1]["sql"]
    check(cut.endswith("x...") and long.startswith(cut[:-3]) and len(cut.encode()) == 503, "cut: %r" % cut)
    ats = [o["at_ms"] for o in found]
    check(ats == sorted(ats) and ats[-1] >= 1000 * SLOW, "when: %r" % ats)
    # the last 16 of many
    c.sql("BEGIN")
    for i in range(30):
        c.sql("SELECT %d" % i)
    c.sql("SELECT pg_sleep(%g)" % SLOW)
    c.sql("ROLLBACK")
    slow(d, 1, statements=33)
    equal([o["sql"] for o in lines(d, "slow scope statement")[5:]],
          ["SELECT %d" % i for i in range(16, 30)] + ["SELECT pg_sleep(%g)" % SLOW, "ROLLBACK"], "the last ones")


@test
def pinned(t):
    """a session that keeps its server has a line for each transaction, not for its life"""
    d = start(t, log_scope_longer_than="%dms" % (1000 * SLOW), mode="session")
    c = t.client(d)
    c.sql("SELECT 1")
    t.sql("SELECT pg_sleep(%g)" % (1.5 * SLOW))
    c.sql("SELECT 1")
    c.sql("BEGIN")
    c.ask("SELECT 1/0")
    c.sql("ROLLBACK")
    equal(lines(d, "slow scope"), [], "it was idle between them")
    c.sql("BEGIN")
    c.sql("SELECT pg_sleep(%g)" % SLOW)
    c.sql("COMMIT")
    o, = slow(d, 1)
    equal((o["outcome"], o["sqlstate"], o["statements"]), ("success", "", 3), "the slow one: %r" % o)


MANUAL = os.path.join(os.environ.get("PGWITH_SRCDIR", "."), "man", "pgwithd.8")
SOURCE = os.path.join(os.environ.get("PGWITH_SRCDIR", "."), "src")


def kind_of(line):
    """What makes a line itself: its words, with what varies as *, and its keys."""
    line = re.sub(r'=("[^"]*"|\S*)', "=", line)
    subject = re.match(r"[a-z]+( [^ :]+)?: ", line)
    words = line[subject.end():].split()
    return ((subject.group(0).split()[0].rstrip(":"),) +
            tuple(w if w.endswith("=") or not re.search(r"%|\b[A-Z]{3,}$", w) or "SIGHUP" in w else "*" for w in words))


CALL = re.compile(r'\b(?:log_(?:info|info_often|warn|warnx|error)|LOG_VALUES_)\((?=\s*")')
PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|.', re.S)


def arguments(source, at):
    """Those of the call whose parenthesis has just been opened."""
    found, depth = [""], 0
    for piece in PIECE.findall(source[at:]):
        depth += (piece in "([{") - (piece in ")]}")
        if depth < 0:
            return [a.strip() for a in found]
        if piece == "," and depth == 0:
            found.append("")
        else:
            found[-1] += piece
    raise AssertionError("no end of a call")


def literal(text):
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text))


def line_of(subject, who, words, *values):
    """The line that a call of log.h writes, with %s for what varies."""
    message, pairs = [literal(words)], []
    for v in values:
        if v.startswith("LOG_MOVE("):
            message.append("%s -> %s")
        elif v.startswith("LOG_WORD"):
            message.append(literal(v) if v.startswith('LOG_WORD("') else "%s")
        else:
            pairs.append(re.match(r'LOG_[A-Z_]+\("([a-z0-9_]+)"', v).group(1) + "=%s")
    return "%s%s: %s" % (literal(subject), "" if who == "LOG_ALONE" else " %s", " ".join(message + pairs).strip())


def said_by_source():
    """All lines that the daemon can write, other than debug and fatal."""
    found = {}
    for folder, _, files in os.walk(SOURCE):
        for name in files:
            if not name.endswith(".c") or os.path.basename(folder) in ("fixture", "cli") or name == "pgwith-fixture.c":
                continue
            with open(os.path.join(folder, name)) as f:
                source = f.read()
            for m in CALL.finditer(source):
                text = line_of(*arguments(source, m.end()))
                found[kind_of(text)] = "%s: %s" % (name, text)
    return found


@test
def manual(t):
    """pgwithd(8), LOG, has every line that the source can write, and no other"""
    with open(MANUAL) as f:
        page = f.read()
    section = page[page.index(".Sh LOG\n"):page.index(".Sh FILES\n")]
    lines_there = {kind_of(line): line for line in re.findall(r"^\.It Li ([a-z]+(?: \S+)?: .*)$", section, re.M)}
    source = said_by_source()
    check(len(source) > 30, "formats are found")
    equal(sorted(text for kind, text in source.items() if kind not in lines_there), [], "missing in the manual")
    equal(sorted(text for kind, text in lines_there.items() if kind not in source), [], "only in the manual")


def example(name):
    with open(MANUAL) as f:
        text, = re.findall(r'^\.\\" example: %s\n\.Bd [^\n]*\n(.*?)^\.Ed$' % name, f.read(), re.M | re.S)
    return text


@test
def examples(t):
    """the examples of LOG: the commands give what stands there, but for numbers"""
    pool = {"conninfo": t.conninfo(), "size": 1, "max_waiting": 0, "log_scope_longer_than": "%dms" % (1000 * SLOW)}
    for name in ("text", "json"):
        d = t.daemon({"log_level": "info", "log_format": name}, {"orders": pool})
        c = t.client(d, "orders", user="app")
        c.sql("ENTER a")
        c.sql("SELECT pg_sleep(%g)" % SLOW)
        if name == "text":
            equal([e.sqlstate for e in t.client(d, "orders").ask("SELECT 1").errors], ["53300"], "an error")
        c.sql("EXIT")
        c.close()
        wait_until(lambda d=d: d.log_has("left.*app"), 5, "it has left")
        commands = re.split(r"^\$ ", example(name), flags=re.M)[1:]
        check(commands, "commands")
        for command, want in (x.split("\n", 1) for x in commands):
            status, got, err = child.run(["/bin/sh", "-c", command], cwd=d.directory)
            equal((status, err), (0, ""), command)
            equal(re.sub(r"\d+", "0", got), re.sub(r"\d+", "0", want), command)


def serve_by(t, stderr, redirect=""):
    """A daemon whose stderr is that."""
    d = start(t, {"log_level": "debug"})
    d.stop()
    p = subprocess.Popen(["/bin/sh", "-c", 'exec "$0" "$@" ' + redirect, program("pgwithd"), "-c", d.conf], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=stderr, env={**os.environ, **SANITIZE_ENV})

    def end():
        p.terminate()
        equal(p.wait(20), 0, "its exit status")
    t.defer(end)

    def answers():
        try:
            d.connect().close()
            return True
        except (FileNotFoundError, ConnectionError, wire.Closed):
            return False
    wait_until(answers, 15, "it answers")
    return d


def works(d, rounds):
    c = d.connect()
    for _ in range(rounds):
        equal(c.value("SELECT 5"), "5", "served")
    c.close()


@test
def stuck(t):
    """nobody reads stderr: clients are served, and whoever reads again is told how much is missing"""
    r, w = os.pipe()
    d = serve_by(t, w)
    os.close(w)
    t.defer(os.close, r)
    # two debug lines and more each; a pipe takes 64 kB
    works(d, 1500)
    got = b""
    os.set_blocking(r, False)

    def has_told():
        nonlocal got
        try:
            got += os.read(r, 1 << 20)
        except BlockingIOError:
            pass
        return b"lines are lost" in got
    wait_until(has_told, 5, "what is missing")
    told = [json.loads(x) for x in got.split(b"\n")[:-1]]
    o, = [x for x in told if x["message"].startswith("lines are lost")]
    check(o["lines"] > 1000 and o["level"] == "warn", "so many: %r" % o)
    os.set_blocking(r, True)


@test
def gone(t):
    """stderr is a full disk, or a pipe whose reader has gone: clients are served"""
    with open("/dev/full", "wb") as full:
        d = serve_by(t, full)
    works(d, 100)
    r, w = os.pipe()
    d = serve_by(t, w)
    os.close(w)
    os.close(r)
    works(d, 100)
    # closed from the beginning: no client's connection may become stderr
    d = serve_by(t, subprocess.DEVNULL, "<&- >&- 2>&-")
    works(d, 100)


if __name__ == "__main__":
    main()
