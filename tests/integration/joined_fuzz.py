"""Random programs (pgwtest/programs.py) get the same answers from a member of a joined scope as alone on a direct
connection: types, rows, tags, errors, transaction status, parameters. Other members use the scope between the steps,
with settings, statements and units of their own, whose work is no part of what the program reads.

A program that fails is cut down to a short one, which is printed. PGWITH_FUZZ_PROGRAMS is the number of programs;
--seed repeats a run exactly.

Left out, because a joined scope has no way to do it, or does it otherwise, as pgwith-scopes(7) says: LISTEN and NOTIFY,
isolation levels and DEFERRABLE, read-only by default_transaction_read_only, cursors WITH HOLD, LOCK TABLE and DECLARE outside of BEGIN, and
the session-level state of several members at once: temporary tables and advisory locks. Locks of the transaction last to the end of the scope.
A text with BEGIN or COMMIT among other statements is done one by one, so that a syntax error behind them comes later."""

import os
import random
import re
import time

from pgwtest import check, main, note, sanitized, test, wire
from pgwtest import programs
from pgwtest.joined import enter_token
from pgwtest.programs import Place, Session

PROGRAMS = int(os.environ.get("PGWITH_FUZZ_PROGRAMS") or (60 if sanitized() else 200))
FAILURES_MAX = int(os.environ.get("PGWITH_FUZZ_FAILURES") or 3)
TRIES = 250     # of one program that is being cut down

# Programs with one of these are not defined in a joined scope.
UNDEFINED = re.compile(r"LISTEN|NOTIFY|pg_notify|ISOLATION|isolation|DEFERRABLE|deferrable|transaction_read_only|"
                       r"CHARACTERISTICS|SET TRANSACTION|WITH HOLD|LOCK TABLE|DECLARE c1|PREPARED|default_tr|pg_cursors|xact_lock|;.*SELEC\b|"
                       r"pg_temp|TEMP\b|client_min_messages|'transaction", re.I)


class Lab:
    """A daemon, a scope of an owner, and members that make noise in it."""

    NOISE = ("SET work_mem = '9MB'", "SET app.x = 'noise'", "SET TimeZone = 'Asia/Kolkata'", "RESET ALL",
             "SET search_path = pg_catalog", "SET LOCAL DateStyle = German", "SELECT 1", "SET ROLE fz_two", "RESET ROLE",
             "SET client_encoding = 'LATIN1'", "SET DateStyle = 'SQL'", "SET standard_conforming_strings = off", "SELECT 1/0",
             "SET LOCAL work_mem = '10MB'", "SELECT set_config('app.x', 'local', true)", "SELECT 1")

    def __init__(self, t, lazy_begin):
        self.t = t
        self.number = 0
        for role in ("fz_one", "fz_two"):
            t.cluster.role(role, "")
        t.sql(programs.COMMON)
        t.sql('ALTER DATABASE "%s" SET plan_cache_mode = force_custom_plan' % t.database)
        t.sql(programs.SETUP.replace("@S", "w00"))
        self.daemon = t.daemon(size=2, wait_timeout="60s", options={"log_level": "info", "lazy_begin": lazy_begin})
        self.owner = self.daemon.connect()
        self.janitor = t.direct()

    def run(self, program, joined, rng=None):
        params, steps = program
        self.number += 1
        place = Place("w00", self.number)
        self.janitor.sql(place.text(programs.RESET))
        params = {k: place.text(v) for k, v in params.items()}
        params.setdefault("client_encoding", "UTF8")
        noise = []
        if joined:
            params["pgwith.join"] = enter_token(self.owner)
            noise = [self.daemon.connect(**{"pgwith.join": params["pgwith.join"]}) for _ in range(2)]
        try:
            if joined:
                client = wire.Client(self.daemon.sockets, self.daemon.port, "db", timeout=30, **params)
            else:
                client = wire.Client(self.t.cluster.sockets, self.t.cluster.port, self.t.database, timeout=30, **params)
        except wire.ServerError as e:
            return [("login", e.sqlstate)]
        else:
            session = Session(client, place)
            pinned = "PREPARE" in repr(steps)
            for last, step in zip([("Q", "")] + steps, steps):
                # A member in the middle of a unit, or one with SQL's PREPARE, keeps the others waiting.
                if noise and session.at_rest and not session.over and not pinned and (last[0] != "X" or last[1][-1] == ("S",)):
                    for c in noise:
                        self.mess(c, rng)
                session.run(step)
            return session.finish()
        finally:
            for c in noise:
                c.close()
            if joined:
                self.owner.sql("EXIT ROLLBACK")

    def mess(self, c, rng):
        sql = rng.choice(self.NOISE)
        roll = rng.random()
        if roll < 0.3:
            c.ask(sql)
            return
        name = rng.choice(programs.STATEMENTS)
        c.send(wire.query("BEGIN") + wire.query(sql) + wire.close_("S", name) + wire.parse("SELECT 'noise'", name) +
               wire.parse("SELECT 'noise'") + wire.sync())
        for _ in range(3):
            c.until_ready()
        c.ask(rng.choice(("COMMIT", "COMMIT", "ROLLBACK")))

    def differs(self, program, seed):
        # A portal of a statement that ends a transaction is there twice: as what stands for it, and as a savepoint's.
        direct = [([m for m in d[0] if m[0] != "N" or b"skipping cleanup for portal" not in m[1]], *d[1:])
                  if isinstance(d[0], list) else d for d in self.run(program, False)]
        return programs.difference(program[1], direct, self.run(program, True, random.Random(seed)))


def report(lab, program, seed, found):
    note("---- a program gets other answers:\n" + found)
    fails = lambda candidate: lab.differs(candidate, seed)
    if fails(program):
        program = programs.shrink(program, fails, TRIES)
        found = lab.differs(program, seed) or found
        note("---- cut down:")
    note("startup parameters %r" % program[0])
    for s in program[1]:
        note("  " + programs.describe(s))
    note("difference at: " + found)


def generate(rng):
    while True:
        params, steps = programs.generate(rng, "silent")  # a member may not LISTEN
        steps = [s for s in steps if s[0] != "A" and not UNDEFINED.search(repr(s))]
        if steps and not UNDEFINED.search(repr(params)):
            return params, steps


def fuzz(t, lazy_begin):
    lab = Lab(t, lazy_begin)
    failures = 0
    started = time.monotonic()
    for i in range(PROGRAMS // 2):
        program = generate(t.random)
        seed = t.random.randrange(1 << 30)
        try:
            found = lab.differs(program, seed)
        except Exception:
            note("---- while this program ran, startup parameters %r:" % program[0])
            for s in program[1]:
                note("  " + programs.describe(s))
            raise
        if found:
            failures += 1
            report(lab, program, seed, found)
            if failures >= FAILURES_MAX:
                break
    lab.daemon.quiet()
    note("%d programs in %.1f s" % (i + 1, time.monotonic() - started))
    check(failures == 0, "%d programs got other answers" % failures)


@test(timeout=900)
def members(t):
    """random programs of a member of a joined scope answer as alone on a direct connection"""
    t.unless_crashed(fuzz, "off")


@test(timeout=900)
def members_lazy_begin(t):
    """the same with lazy_begin"""
    t.unless_crashed(fuzz, "on")


if __name__ == "__main__":
    main()
