"""Driver by feature: each cell is a program of drivers/ run through the daemon, in a pool of transactions
with three servers and other clients beside it. With --write, README.md here gets the table."""

import os
import random
import shutil
import subprocess
import sys
import threading

from pgwtest import (Closed, Failure, ServerError, Skip, check, child, equal, main, note, sanitized, slow_factor,
                     test, unavailable, wait_until, wire)
from pgwtest.clients import node_pg

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(HERE, "drivers")
README = os.path.join(HERE, "README.md")
TABLE = ("<!-- the table begins: drivers_matrix.py --write -->\n", "<!-- the table ends -->\n")

SIZE = 3
NEIGHBOURS = 3
PACE_S = 0.02  # between two turns of one: they are to be there, not to use up the machine
LIMIT_S = 30

FEATURES = {
    "query": "queries",
    "parameters": "parameters",
    "prepared": "prepared statements",
    "transactions": "transactions",
    "errors": "errors",
    "copy": "COPY",
    "listen": "LISTEN",
    "large": "55 MB result",
    "cancel": "cancel",
    "restart": "PostgreSQL restarts",
}


class Driver:
    """A program for all features. `argv` ends in its file; `probe` succeeds if the driver is there."""

    def __init__(self, name, argv, probe=None, env=None, optional=False):
        self.name, self.argv, self.probe, self.optional = name, argv, probe, optional
        self.env = env or dict
        self.version = None
        self.missing = None  # the Skip or Failure that says why it is not there

    def command(self, daemon, feature):
        dsn = "host=%s port=%d dbname=db user=postgres" % (daemon.sockets, daemon.port)
        return [*self.argv[:-1], os.path.join(PROGRAMS, self.argv[-1]), dsn, feature]

    def need(self):
        """Skips (fails in CI, unless it is optional) without the driver."""
        if self.missing is None and self.version is None:
            try:
                self._look()
            except (Failure, Skip) as e:
                self.missing = e
        if self.missing:
            raise self.missing

    def _look(self):
        if shutil.which(self.argv[0]) is None:
            if self.optional:
                raise Skip("no program " + self.argv[0])
            unavailable("no program " + self.argv[0])
        if self.probe and child.run(self.probe, env=self.env())[0] != 0:
            unavailable("%s is not installed" % self.name)


# ---- the drivers -----------------------------------------------------------------------------------
def node_env():
    return {"NODE_PATH": node_pg()}


DRIVERS = {
    "psql": Driver("psql", ["sh", "psql.sh"]),
    "pgbench_simple": Driver("pgbench -M simple", ["sh", "pgbench.sh"], env=lambda: {"MODE": "simple"}),
    "pgbench_extended": Driver("pgbench -M extended", ["sh", "pgbench.sh"], env=lambda: {"MODE": "extended"}),
    "pgbench_prepared": Driver("pgbench -M prepared", ["sh", "pgbench.sh"], env=lambda: {"MODE": "prepared"}),
    "psycopg3": Driver("psycopg 3", [sys.executable, "psycopg3.py"], [sys.executable, "-c", "import psycopg"]),
    "psycopg2": Driver("psycopg2", [sys.executable, "psycopg_2.py"], [sys.executable, "-c", "import psycopg2"]),
    "asyncpg": Driver("asyncpg", [sys.executable, "async_pg.py"], [sys.executable, "-c", "import asyncpg"]),
    "node": Driver("Node.js pg", ["node", "node_pg.js"], ["node", "-e", "require('pg')"], node_env,
                   optional=True),
    "perl": Driver("Perl DBD::Pg", ["perl", "dbd_pg.pl"], ["perl", "-MDBD::Pg", "-e", "1"]),
    "ruby": Driver("Ruby pg", ["ruby", "ruby_pg.rb"], ["ruby", "-rpg", "-e", "1"]),
    "php": Driver("PHP pgsql", ["php", "php_pgsql.php"], ["php", "-r", "exit((int)!extension_loaded('pgsql'));"]),
    "tcl": Driver("Tcl Pgtcl", ["tclsh", "pgtcl.tcl"]),
}

# (driver, feature): "yes", or the driver's own words "none ..." or "pinned ..."
cells = {}


# ---- the clients beside it -------------------------------------------------------------------------
class Neighbour:
    """A client that changes what a session can change, and looks whether it has only its own."""

    def __init__(self, daemon, number, seed):
        self.number, self.random = number, random.Random(seed)
        self.client = daemon.connect(options="-c lock_timeout=%d" % (9001 + number))
        self.rounds = 0

    def turn(self):
        c, n = self.client, self.rounds
        mine = "%d.%d" % (self.number, n)
        what = self.random.randrange(5)
        if what == 0:
            c.sql("SET my.own = '%s'" % mine)
        elif what == 1:
            c.sql("BEGIN; SET LOCAL my.own = 'other'; SELECT generate_series(1, 100); ROLLBACK")
        elif what == 2:
            c.sql("SET work_mem = '%dkB'" % (2000 + self.number))
        elif what == 3:
            r = c.ask_extended("SELECT $1::text, current_setting('lock_timeout')", [mine])
            equal(r.rows, [(mine, "%dms" % (9001 + self.number))], "a neighbour's answer")
        else:
            c.sql("BEGIN")
            equal(c.value("SELECT '%s'" % mine), mine, "a neighbour's answer")
            c.sql("COMMIT")
        own = c.sql("SELECT coalesce(current_setting('my.own', true), ''), current_setting('work_mem')")[0]
        check(own[0] == "" or own[0].startswith("%d." % self.number), "another's parameter: %r" % (own,))
        check(own[1] in ("4MB", "%dkB" % (2000 + self.number)), "another's work_mem: %r" % (own,))
        self.rounds += 1


def neighbours(side, daemon, seed):
    """Clients in a process of their own, until they are told to stop."""
    over = threading.Event()
    clients = [Neighbour(daemon, i, seed + i) for i in range(NEIGHBOURS)]
    problems = []

    def live(n):
        try:
            n.turn()
            while not over.wait(PACE_S):
                n.turn()
        except (Failure, ServerError, Closed, OSError) as e:
            problems.append("neighbour %d, round %d: %s %s" % (n.number, n.rounds, type(e).__name__, e))

    threads = [threading.Thread(target=live, args=(n,)) for n in clients]
    side.say("in")
    for thread in threads:
        thread.start()
    side.hear()
    over.set()
    for thread in threads:
        thread.join()
    side.say("; ".join(problems) or "%d" % sum(n.rounds for n in clients))


# ---- one cell --------------------------------------------------------------------------------------
def start(t, driver, daemon, feature):
    env = dict(os.environ, PSQL=t.cluster.program("psql"), PGBENCH=t.cluster.program("pgbench"), LC_ALL="C.UTF-8",
               **driver.env())
    p = subprocess.Popen(driver.command(daemon, feature), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=env, cwd=t.directory, text=True, encoding="utf-8")
    t.defer(p.kill)
    return p


def finish(p):
    """The last words of the program, which must have ended well."""
    try:
        out, err = p.communicate(timeout=LIMIT_S * slow_factor())
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        raise Failure("not within %d s\n%s%s" % (LIMIT_S, out[-1000:], err[-3000:])) from None
    lines = out.splitlines()
    check(p.returncode == 0 and lines, "status %d\n%s%s" % (p.returncode, out[-1000:], err[-3000:]))
    return lines


def interrupted(t, driver, daemon, feature, meanwhile):
    """The program has said that it is ready: meanwhile() is called, and it goes on."""
    p = start(t, driver, daemon, feature)
    line = p.stdout.readline()
    if line != "ready\n":
        check(line.startswith("none"), "it said %r\n%s" % (line, p.communicate()[1]))
        return [line.strip()]
    meanwhile()
    p.stdin.write("go\n")
    p.stdin.flush()
    return finish(p)


def holds_nothing(daemon):
    """The program listens, and its sessions have no server, and could have any."""
    mine = [c for c in daemon.clients() if c["application_name"] != "pgwtest-client"]
    check(mine, "the program has sessions")
    equal({(c["pinned"], c["leases"]) for c in mine}, {(None, "0")}, "what pins them, and servers that they hold")


def cell(t, key, feature):
    driver = DRIVERS[key]
    driver.need()
    daemon = t.daemon(size=SIZE, options={"log_level": "info", "lazy_begin": "on"})
    if driver.version is None:
        driver.version = finish(start(t, driver, daemon, "version"))[0]
    if feature == "restart":
        lines = interrupted(t, driver, daemon, feature, t.cluster.restart)
    else:
        beside = t.process(neighbours, daemon, t.random.randrange(1 << 30))
        equal(beside.heard(), "in", "the neighbours")
        if feature == "listen":
            lines = interrupted(t, driver, daemon, feature, lambda: holds_nothing(daemon))
        else:
            lines = finish(start(t, driver, daemon, feature))
        beside.tell("stop")
        said = beside.heard()
        check(said.isdigit(), said)
        note("%s transactions beside it" % said)
        check(int(said) >= NEIGHBOURS, "each neighbour has done something")
    if lines[0].startswith("none"):
        cells[key, feature] = lines[0]
        raise Skip("driver has none: " + lines[0][5:])
    equal(lines[-1], "ok", "what the program said last")
    cells[key, feature] = lines[0] if lines[0].startswith("pinned") else "yes"
    daemon.quiet()
    check(len([s for s in daemon.servers() if s["state"] != "listening"]) <= SIZE, "servers of the pool")


def add_tests():
    # With the sanitizers: one of those that stand on libpq, and what bulk.py and server_side.py do not do.
    left_out = {"perl", "ruby", "php", "tcl", "large", "restart"} if sanitized() else set()
    for key, driver in DRIVERS.items():
        for feature, title in FEATURES.items():
            if left_out & {key, feature}:
                continue

            def run(t, key=key, feature=feature):
                cell(t, key, feature)
            run.__name__ = key + "_" + feature
            run.__doc__ = "%s: %s" % (driver.name, title)
            test(run)


# ---- the table -------------------------------------------------------------------------------------
def table():
    notes = []
    rows = ["| | " + " | ".join(FEATURES.values()) + " |", "|---" * (len(FEATURES) + 1) + "|"]
    for key, driver in DRIVERS.items():
        row = [driver.name]
        for feature in FEATURES:
            word, _, reason = cells.get((key, feature), "not-run").partition(" ")
            if reason:
                if reason not in notes:
                    notes.append(reason)
                word = ("–" if word == "none" else "yes") + " (%d)" % (notes.index(reason) + 1)
            row.append(word)
        rows.append("| " + " | ".join(row) + " |")
    rows += [""] + ["%d. %s" % (i, text) for i, text in enumerate(notes, 1)]
    rows += ["", "Versions: " + "; ".join(dict.fromkeys(d.version or d.name + " (not there)"
                                                        for d in DRIVERS.values())) + "."]
    return "\n".join(rows) + "\n"


def write():
    with open(README, encoding="utf-8") as f:
        text = f.read()
    before, _, rest = text.partition(TABLE[0])
    _, found, after = rest.partition(TABLE[1])
    check(found, "%s has no place for the table" % README)
    with open(README, "w", encoding="utf-8") as f:
        f.write(before + TABLE[0] + "\n" + table() + "\n" + TABLE[1] + after)


if __name__ == "__main__":
    add_tests()
    writing = "--write" in sys.argv
    if writing:
        sys.argv.remove("--write")
    try:
        main()
    except SystemExit as e:
        if writing and not e.code:
            write()
        raise
