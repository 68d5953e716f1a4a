"""System calls per query: how many of each kind pgwithd makes for one exchange of each kind with a client, and for
the random programs of isolation_fuzz.py from first to last, counted by tests/bench/syscalls.py over many of them, by strace: perf needs 13 seconds to begin.

One client at a time, which waits for each answer: what is counted does not depend on what else is ready at
a wake-up. What the daemon does by the clock is less than SHARE of a call per exchange."""

import itertools
import os
import random
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "bench"), os.path.join(os.path.dirname(HERE), "lib")]

import syscalls  # noqa: E402
from pgwtest import programs, wait_until, wire  # noqa: E402
from pgwtest.context import Suite, Test  # noqa: E402

COUNT = 200
LIVES_COUNT = 50
PROGRAMS, PROGRAM_COUNT = 12, 10
SHARE = 0.25  # of a call per exchange: clocks, and wake-ups that were shared
STEADY = 0.1  # what varies by more, or is no whole number by more, depends on what is ready first
MORE = 4      # further counts of such an exchange
EXTENDED = wire.extended("SELECT $1::int", (1,)) + wire.sync()
LOADED = wire.bind((1,), statement="s") + wire.describe() + wire.execute() + wire.sync()

# name: (what is sent once before, what is sent and answered each time)
EXCHANGES = {
    "simple query": ((), (wire.query("SELECT 1"),)),
    "simple transaction": ((), tuple(wire.query(q) for q in ("BEGIN", "SELECT 1", "SELECT 2", "COMMIT"))),
    "transaction rolled back": ((), tuple(wire.query(q) for q in ("BEGIN", "SELECT 1/0", "ROLLBACK"))),
    "several statements in one text": ((), (wire.query("SELECT 1; SELECT 2; SELECT 3"),)),
    "error": ((), (wire.query("SELECT 1/0"),)),
    "empty query": ((), (wire.query(""),)),
    "extended query": ((), (EXTENDED,)),
    "extended, Flush before Sync": ((), (wire.extended("SELECT 1") + wire.flush() + wire.sync(),)),
    "pipeline of ten": ((), (wire.extended("SELECT 1") * 10 + wire.sync(),)),
    "prepared statement": ((wire.parse("SELECT $1::int", "s") + wire.sync(),), (LOADED,)),
    "Parse and Close by name": ((), (wire.parse("SELECT 2", "t") + wire.sync(), wire.close_("S", "t") + wire.sync())),
    "SET and a query": ((), (wire.query("SET work_mem = '1MB'"), wire.query("SELECT 1"))),
    "SET LOCAL": ((), tuple(wire.query(q) for q in ("BEGIN", "SET LOCAL work_mem = '1MB'", "COMMIT"))),
    "SHOW": ((), (wire.query("SHOW work_mem"),)),
    "with a parameter of its own": ((wire.query("SET work_mem = '2MB'"),), (wire.query("SELECT 1"),)),
    "COPY in": ((wire.query("CREATE TABLE IF NOT EXISTS copied (a int)"),),
                (wire.query("COPY copied FROM STDIN") + wire.copy_data(b"1\n") + wire.copy_done(),)),
    "COPY out": ((), (wire.query("COPY (SELECT generate_series(1, 10)) TO STDOUT"),)),
    "result of 64 kB": ((), (wire.query("SELECT repeat('x', 65536)"),)),
    "query of 64 kB": ((), (wire.query("SELECT length('%s')" % ("x" * 65536)),)),
    "pinned": ((wire.query("LISTEN oracle"),), (wire.query("SELECT 1"),)),
    "temporary table": ((), (wire.query("CREATE TEMP TABLE x (a int)"), wire.query("DROP TABLE x"))),
    "DO": ((), (wire.query("DO $$BEGIN NULL; END$$"),)),
    "scope, ENTER and EXIT": ((), (wire.query("ENTER a"), wire.query("EXIT a"))),
    "scope with statements": ((), tuple(wire.query(q) for q in ("ENTER a", "SELECT 1", "SELECT 2", "EXIT a"))),
    "scope rolled back": ((), tuple(wire.query(q) for q in ("ENTER a", "SELECT 1/0", "EXIT a ROLLBACK"))),
    "savepoint": ((), tuple(wire.query(q) for q in ("ENTER a", "ENTER b", "SELECT 1", "EXIT b", "EXIT a"))),
    "scope on another pool": ((), tuple(wire.query(q) for q in ("ENTER a ON other", "SELECT 1", "EXIT a"))),
    "scope on two pools": ((), tuple(wire.query(q) for q in ("ENTER a, b ON other", "USE a", "SELECT 1", "EXIT ALL"))),
    "scope beside another": ((), tuple(wire.query(q) for q in ("ENTER a", "ENTER b NEW", "SELECT 1", "EXIT b", "EXIT a"))),
    "lock": ((), (wire.query("ENTER LOCK 'l'"), wire.query("EXIT"))),
    "semaphore": ((), (wire.query("ENTER SEMAPHORE 's' LIMIT 2"), wire.query("EXIT"))),
    "DEFER": ((), tuple(wire.query(q) for q in ("ENTER a", "DEFER 'SELECT 1'", "EXIT a"))),
    "defined scope": ((), (wire.query("ENTER defined AS d ('1')"), wire.query("EXIT d"))),
    "scope in the extended protocol": ((), (wire.extended("ENTER a") + wire.sync(), EXTENDED,
                                            wire.extended("EXIT a") + wire.sync())),
    "several scope statements in one text": ((), (wire.query("ENTER a; SELECT 1; EXIT a"),)),
    "SHOW SCOPES": ((), (wire.query("SHOW SCOPES"),)),
}
# What a client's life costs: (each time).
LIVES = {
    "login and end": (),
    "login, a query, end": (wire.query("SELECT 1"),),
    "gone in a transaction": (wire.query("BEGIN"), wire.query("SELECT 1"), None),
    "gone in a scope": (wire.query("ENTER a"), wire.query("SELECT 1"), None),
}


def _answers(data):
    """How many ReadyForQuery the bytes of one step are answered with."""
    at, count = 0, 0
    while at < len(data):
        count += data[at:at + 1] in (b"Q", b"S")
        at += 1 + int.from_bytes(data[at + 1:at + 5], "big")
    return count


def _ask(client, steps):
    for data in steps:
        client.send(data)
        for _ in range(_answers(data)):
            client.until_ready()


def _live(test, d, steps):
    """Ends when the daemon has seen to the client's end, which is not asked of the daemon."""
    c = d.connect()
    _ask(c, [s for s in steps if s is not None])
    if None in steps:
        c.drop()
        wait_until(lambda: not test.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                                          "AND state LIKE 'idle in transaction%'").strip("0"), 10, "it is rolled back")
    else:
        c.send(wire.terminate())
        c.until_closed()
        c.drop()


def _run_program(d, program, number, janitor):
    """From the login to the end, of which the client waits to hear."""
    place = programs.Place("calls", number)
    janitor.sql(place.text(programs.RESET))
    params = {"client_encoding": "UTF8", **{k: place.text(v) for k, v in program[0].items()}}
    try:
        client = d.connect("programs", **params)
    except wire.ServerError:
        return
    session = programs.Session(client, place)
    for step in program[1] + [("X", [("S",)])]:
        session.run(step)
    client.send(wire.terminate())
    client.until_closed()
    client.drop()


class _Bench:
    """What syscalls.py wants to know of a bench."""

    def __init__(self, root):
        self.root = root


def _traced(bench, d, act, count):
    for _ in range(3):
        act()
    tracer = syscalls.Tracer(bench, "strace", d.pid)
    tracer.start()
    try:
        for _ in range(count):
            act()
        d.console("SHOW VERSION")  # what came before has been done
    finally:
        counted = tracer.stop()
    return {call: round(n / count, 2) for call, n in sorted(counted.items()) if n / count >= SHARE / 2}


def _exchange(bench, d, before, each):
    with d.connect() as c:
        _ask(c, before)
        return _traced(bench, d, lambda: _ask(c, each), COUNT)


def _spread(counts, call):
    numbers = [c.get(call, 0) for c in counts]
    return max(numbers) - min(numbers)


def varies(counts):
    """Does the number of calls of an exchange depend on what is ready first? counts: of all times."""
    return any(_spread(counts, call) > STEADY or any(abs(c.get(call, 0) - round(c.get(call, 0))) > STEADY for c in counts)
               for call in {call for c in counts for call in c})


def _repeatedly(measure, times):
    counts = [measure() for _ in range(times)]
    if times > 1 and varies(counts):
        counts += [measure() for _ in range(MORE)]
    return counts


def _count_programs(test, bench, d, result, seed, times):
    for role in ("fz_one", "fz_two"):
        test.cluster.role(role, "")
    test.sql(programs.COMMON)
    test.sql(programs.SETUP.replace("@S", "calls"))
    janitor = test.direct()
    rng = random.Random("calls/%d" % seed)
    numbers = itertools.count(1)
    for i in range(PROGRAMS):
        program = programs.generate(rng)
        result["program %d of seed %d" % (i + 1, seed)] = _repeatedly(
            lambda program=program: _traced(bench, d, lambda: _run_program(d, program, next(numbers), janitor),
                                            PROGRAM_COUNT), times)


def count(say, seed=1, chosen=(), times=2):
    """{exchange: [{call: times per exchange}, one for each time]}."""
    top = tempfile.mkdtemp(prefix="pgw-calls-", dir=os.environ.get("PGWITH_TEST_TMP", "/tmp"))
    os.chmod(top, 0o755)
    suite = Suite(top)
    result = {}
    test = None
    try:
        bench = _Bench(top)
        if shutil.which("strace") is None:
            say("system calls are not counted: there is no strace")
            return {}
        directory = os.path.join(top, "calls")
        os.mkdir(directory, 0o755)
        test = Test(suite, "calls", directory, None)
        few = {"size": 3, "min_size": 3, "max_prepared_statements": 6}
        d = test.daemon(pools={"programs": {"conninfo": test.conninfo(), **few},
                               "db": {"conninfo": test.conninfo(), "size": 2, "min_size": 2},
                               "other": {"conninfo": test.conninfo(), "size": 2, "min_size": 2}},
                        scopes={"defined": {"enter": "SELECT $1::text", "cleanup": "SELECT 1"}},
                        options={"log_level": "warn"})
        for name, (before, each) in EXCHANGES.items():
            if chosen and not any(word in name for word in chosen):
                continue
            result[name] = _repeatedly(lambda before=before, each=each: _exchange(bench, d, before, each), times)
        if not chosen or "program" in chosen:
            _count_programs(test, bench, d, result, seed, times)
        for name, steps in LIVES.items():
            if chosen and not any(word in name for word in chosen):
                continue
            result[name] = _repeatedly(
                lambda steps=steps: _traced(bench, d, lambda: _live(test, d, steps), LIVES_COUNT), times)
    finally:
        if test:
            for problem in test.undo():
                say(problem)
        suite.close()
        shutil.rmtree(top, ignore_errors=True)
    return result


def compare(old, new, say):
    """Says what differs by more than a clock's tick can explain; how much that is."""
    different = 0
    for name in sorted(set(old) | set(new)):
        if name not in old or name not in new:
            if old and new:
                say("CALLS  %s: only in the %s recording" % (name, "old" if name in old else "new"))
                different += 1
            continue
        for call in sorted({c for counts in old[name] + new[name] for c in counts}):
            a = [counts.get(call, 0) for counts in old[name]]
            b = [counts.get(call, 0) for counts in new[name]]
            if max(min(b) - max(a), min(a) - max(b)) >= max(SHARE, _spread(old[name], call), _spread(new[name], call)):
                different += 1
                say("CALLS  %s: %s per exchange: old %s, new %s" % (name, call, "/".join(map(str, a)), "/".join(map(str, b))))
    if old and new:
        loose = [name for name in sorted(set(old) & set(new)) if varies(old[name]) or varies(new[name])]
        say("system calls of %d exchanges compared: %d different" % (len(set(old) & set(new)), different))
        if loose:
            say("  of these the calls vary with what is ready first, and were compared by their range: " + ", ".join(loose))
    else:
        say("system calls: not in both recordings, not compared")
    return different
