"""Random programs (pgwtest/programs.py) get the same answers through pgwithd as alone on a direct
connection: types, rows, tags, errors, transaction status, parameters, notifications.

- moved: one program at a time, on another of three servers for each lease, which other sessions with
  settings and statements of their own have just used;
- interleaved: twelve at once over three servers, with lazy_begin on and off.

Some of the programs know unnamed statements only, which come again and again (statement_cache), while somebody else
alters their tables. Others listen, while somebody else notifies.

A program that fails is cut down to a short one, which is printed. PGWITH_FUZZ_PROGRAMS is the number of
programs of all tests together; PGWITH_FUZZ_KIND=listening has only those that LISTEN and NOTIFY;
PGWITH_TEST_LISTEN is the pool's listen_mode (default: pin); --seed repeats a run of `moved` exactly.

In tens of thousands of programs there are a few that differ because a text is prepared again on another
server, as pgwithd(8) says of prepared statements: one that fails there fails in Parse, and so before another
error that it would have had first; an EXECUTE is described as it is then, and not as at the first Parse; and
the Parse between them lets a statement see the rows of an INSERT ... RETURNING whose portal is suspended."""

import os
import queue
import random
import threading
import time

from pgwtest import Failure, check, main, note, sanitized, test, wire
from pgwtest import programs
from pgwtest.programs import Place, Session

PROGRAMS = int(os.environ.get("PGWITH_FUZZ_PROGRAMS") or (90 if sanitized() else 240))
# With shared, a text that has UNLISTEN and ends a transaction, and some others that pgwithd(8) lists under Notifications, differ.
LISTEN_MODE = os.environ.get("PGWITH_TEST_LISTEN") or "pin"
KIND = os.environ.get("PGWITH_FUZZ_KIND")
SIZE = 3
PLACES = 12
FAILURES_MAX = int(os.environ.get("PGWITH_FUZZ_FAILURES") or 3)
TRIES = 250     # of one program that is being cut down


class Lab:
    """A daemon with a pool of three, and places for programs."""

    def __init__(self, t, lazy_begin):
        self.t = t
        self.number = 0
        self.lock = threading.Lock()
        for role in ("fz_one", "fz_two"):
            t.cluster.role(role, "")
        t.sql(programs.COMMON)
        # After five executions PostgreSQL may choose a generic plan, and then SELECT 10 / $1 fails in Execute and no more
        # in Bind. Statements that move are executed less often on each server.
        t.sql('ALTER DATABASE "%s" SET plan_cache_mode = force_custom_plan' % t.database)
        for i in range(PLACES):
            t.sql(programs.SETUP.replace("@S", self.schema(i)))
        # Few statements for each server, so that they are put out and prepared again.
        self.daemon = t.daemon(size=SIZE, wait_timeout="60s", max_prepared_statements=6, listen_mode=LISTEN_MODE,
                               options={"log_level": os.environ.get("FZLOG", "info"), "lazy_begin": lazy_begin})

    @staticmethod
    def schema(i):
        return "w%02d" % i

    def place(self, i):
        with self.lock:
            self.number += 1
            return Place(self.schema(i), self.number)

    def connect(self, pooled, place, params):
        params = {k: place.text(v) for k, v in params.items()}
        params.setdefault("client_encoding", "UTF8")
        if pooled:
            return wire.Client(self.daemon.sockets, self.daemon.port, "db", timeout=90, **params)
        return wire.Client(self.t.cluster.sockets, self.t.cluster.port, self.t.database, timeout=90,
                           **params)

    def run(self, program, direct, i, janitor, before=None):
        """Runs the program at place i; before(session) is called ahead of each step. `direct`: None, or the answers on a
        direct connection, and it is run through pgwithd. `janitor` is a direct client that makes the place new, for
        nobody else at the time."""
        params, steps = program
        place = self.place(i)
        if programs.is_altered(program):
            janitor.sql(place.text(programs.UNALTERED))
        janitor.sql(place.text(programs.RESET))
        try:
            client = self.connect(direct is not None, place, params)
        except wire.ServerError as e:
            return [("login", e.sqlstate)]
        session = Session(client, place, janitor.sql, direct)
        for step in steps:
            if before:
                before(session)
            session.run(step)
        if before:
            before(session)
        answers = session.finish()
        if programs.is_altered(program):
            janitor.sql(place.text(programs.UNALTERED))
        return answers


class Noise:
    """Sessions that use servers just before the program does, so that its next lease is of another one,
    with other settings and statements."""

    SQL = ("SET work_mem = '9MB'", "SET app.x = 'noise'", "SET TimeZone = 'Asia/Kolkata'", "RESET ALL",
           "SET search_path = pg_catalog", "SET LOCAL DateStyle = German", "SELECT 1", "SET ROLE fz_two",
           "RESET ROLE", "SET client_encoding = 'LATIN1'", "SET default_transaction_read_only = on",
           "SET DateStyle = 'SQL'", "SET standard_conforming_strings = off", "SELECT 1/0", "SELECT 1",
           'LISTEN "ch@K"', 'LISTEN "ch@K"', "UNLISTEN *", 'UNLISTEN "ch@K"', 'NOTIFY "noise"')

    def __init__(self, lab, rng):
        self.rng = rng
        self.clients = [lab.daemon.connect() for _ in range(SIZE - 1)]

    def before(self, session):
        """Ahead of a step: holds up to two servers, makes a mess, and lets go of them."""
        rng = self.rng
        chosen = rng.sample(self.clients, rng.randrange(len(self.clients) + 1))
        for c in chosen:
            sql = session.place.text(rng.choice(self.SQL))
            name = rng.choice(programs.STATEMENTS)
            text = rng.choice(("SELECT 'noise'", "SELECT * FROM t ORDER BY a", "SELECT $1::int + 1"))
            c.send(wire.query("BEGIN") + wire.query(sql) + wire.close_("S", name) +
                   wire.parse(text, name) + wire.parse("SELECT 'noise'") + wire.sync())
            for _ in range(3):
                c.until_ready()
        rng.shuffle(chosen)
        for c in chosen:
            c.ask(rng.choice(("COMMIT", "COMMIT", "ROLLBACK")))

    def close(self):
        for c in self.clients:
            c.close()


def moved_differs(lab, program, seed, janitor, direct=None):
    """The difference between the program alone and moved about, or None."""
    if direct is None:
        direct = lab.run(program, None, 0, janitor)
    noise = Noise(lab, random.Random(seed))
    try:
        pooled = lab.run(program, direct, 0, janitor, noise.before)
    finally:
        noise.close()
    return programs.difference(program[1], direct, pooled)


def report(lab, program, seed, janitor, found):
    """Cuts the program down if it fails when it is moved about, and prints it."""
    seeds = [seed + i for i in range(4)]

    def fails(candidate):
        direct = lab.run(candidate, None, 0, janitor)
        return any(moved_differs(lab, candidate, s, janitor, direct) for s in seeds)

    note("---- a program gets other answers:\n" + found)
    if fails(program):
        program = programs.shrink(program, fails, TRIES)
        found = next(filter(None, (moved_differs(lab, program, s, janitor) for s in seeds)), found)
        note("---- cut down, alone among noise:")
    else:
        note("---- (not when it is alone among noise, so it is not cut down)")
    params, steps = program
    note("startup parameters %r" % params)
    for s in steps:
        note("  " + programs.describe(s))
    note("difference at: " + found)


def move_about(t):
    lab = Lab(t, "on")
    janitor = t.direct()
    failures = 0
    count = PROGRAMS // 3
    started = time.monotonic()
    for i in range(count):
        program = programs.generate(t.random, KIND)
        seed = t.random.randrange(1 << 30)
        try:
            found = moved_differs(lab, program, seed, janitor)
        except Exception:
            note("---- while this program ran, startup parameters %r:" % program[0])
            for s in program[1]:
                note("  " + programs.describe(s))
            raise
        if found:
            failures += 1
            report(lab, program, seed, janitor, found)
            if failures >= FAILURES_MAX:
                break
    lab.daemon.quiet()
    note("%d programs in %.1f s" % (i + 1, time.monotonic() - started))
    check(failures == 0, "%d programs got other answers" % failures)


def interleave(t, lazy_begin):
    lab = Lab(t, lazy_begin)
    todo = queue.Queue()
    for i in range(PROGRAMS // 3):
        todo.put((i, programs.generate(t.random, KIND)))
    failed, broken = [], []
    started = time.monotonic()

    def worker(place):
        janitor = t.cluster.connect(t.database)
        try:
            while len(failed) < FAILURES_MAX and not broken:
                try:
                    i, program = todo.get_nowait()
                except queue.Empty:
                    return
                direct = lab.run(program, None, place, janitor)
                pooled = lab.run(program, direct, place, janitor)
                found = programs.difference(program[1], direct, pooled)
                if found:
                    failed.append((program, i, found))
        except Exception as e:
            broken.append("place %d: %r in %s" % (place, e, "\n".join(
                programs.describe(s) for s in program[1])))
        finally:
            janitor.close()

    t.cluster.sql("SELECT 1", t.database)
    threads = [threading.Thread(target=worker, args=(p,), daemon=True) for p in range(PLACES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    janitor = t.direct()
    for program, i, found in failed:
        report(lab, program, i, janitor, found)
    if broken:
        raise Failure("\n".join(broken))
    lab.daemon.quiet()
    note("%d programs in %.1f s" % (PROGRAMS // 3, time.monotonic() - started))
    check(not failed, "%d programs got other answers" % len(failed))


@test(timeout=900)
def moved(t):
    """random programs that get another server for each transaction answer as alone on a direct connection"""
    t.unless_crashed(move_about)


@test(timeout=900)
def interleaved(t):
    """twelve random programs at a time over three servers answer as alone on direct connections"""
    t.unless_crashed(interleave, "off")


@test(timeout=900)
def interleaved_lazy_begin(t):
    """the same with lazy_begin"""
    t.unless_crashed(interleave, "on")


if __name__ == "__main__":
    main()
