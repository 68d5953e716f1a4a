"""Commands of the console in random order, two at a time, some cancelled or hung up, while clients do whatever they
like: nobody hangs, a pool never has more servers than its size, and in the end nothing is left."""

import random
import threading
import time

from pgwtest import Closed, ServerError, check, equal, main, note, test, wire
from pgwtest.looks import numbered

SECONDS = 6
CLIENTS = 10
SIZE = 3
STATEMENTS = ("BEGIN", "COMMIT", "ROLLBACK", "SELECT 1", "INSERT INTO marks VALUES (1)", "ENTER a", "ENTER b ON other", "ENTER b NEW",
              "ENTER LOCK 'l'", "ENTER LOCK 'k' WAIT '100ms'", "EXIT", "EXIT ALL", "EXIT ROLLBACK", "USE a", "LISTEN x",
              "UNLISTEN *", "SELECT pg_sleep(0.05)", "SELECT 1/0", "SET work_mem = '5MB'", "DISCARD ALL",
              "CREATE TEMP TABLE IF NOT EXISTS x (a int)", "SELECT repeat('x', 300000)", "BEGIN; SELECT 1; COMMIT")
WAITING = ("PAUSE", "PAUSE db", "DRAIN db", "DRAIN other", "WAIT_CLOSE")
COMMANDS = (*WAITING, "RESUME", "RESUME", "RESUME", "RESUME db", "DISABLE db", "ENABLE db", "ENABLE db", "ENABLE other",
            "RECONNECT", "RECONNECT db", "KILL SESSION %d", "KILL SCOPE %d", "KILL SCOPE %d", "KILL SCOPE %d a",
            "KILL SCOPE %d l", "KILL SESSION %d; KILL SESSION %d", "KILL POOL db", "KILL SERVER %d", "SHOW CLIENTS",
            "SHOW SCOPES", "SHOW SOCKETS", "SHOW MEM", "SHOW USERS", "SHOW POOLS")


class Storm:
    def __init__(self, daemon, seed):
        self.daemon, self.seed = daemon, seed
        self.end = time.monotonic() + SECONDS
        self.lock = threading.Lock()
        self.ids = {}  # of sessions, to be killed
        self.counts = {}
        self.problems = []
        self.look = daemon.connect("pgwith")

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def some_id(self, r):
        with self.lock:
            return r.choice(list(self.ids) or [0])

    def running(self):
        return time.monotonic() < self.end

    # -- clients ---------------------------------------------------------------------------------
    def statements(self, c, r):
        for _ in range(r.randrange(1, 30)):
            sql = r.choice(STATEMENTS)
            many = ";" in sql
            answer = c.ask_extended(sql) if r.random() < 0.3 and not many else c.ask(sql)
            self.count(answer.errors[0].sqlstate if answer.errors else "ok")

    def client(self, r):
        while self.running():
            try:
                c = self.daemon.connect(r.choice(("db", "db", "other")), timeout=60)
            except (ServerError, Closed, ConnectionError):
                self.count("not let in")
                time.sleep(0.02)
                continue
            with self.lock:
                self.ids[c.session] = c
            try:
                self.statements(c, r)
            except (Closed, ConnectionError):
                self.count("ended")
            with self.lock:
                del self.ids[c.session]
            (c.drop if r.random() < 0.5 else c.close)()

    # -- the console -----------------------------------------------------------------------------
    def wait(self, k, sql, r):
        """A command that may have to wait. Returns the console to go on with."""
        k.send(wire.extended(sql) + wire.sync() if r.random() < 0.3 else wire.query(sql))
        cancel = threading.Timer(r.choice((0.02, 0.2)), k.cancel)
        cancel.start()
        if r.random() < 0.2:
            k.drop()
            cancel.join()
            return self.daemon.connect("pgwith", timeout=60)
        answer = k.until_ready()
        cancel.join()
        self.count("%s %s" % (sql.split()[0], answer.errors[0].sqlstate if answer.errors else "ok"))
        return k

    def command(self, k, r):
        sql = r.choice(COMMANDS)
        if sql in WAITING:
            return self.wait(k, sql, r)
        if "SERVER" in sql:
            with self.lock:
                rows = self.look.ask("SHOW SERVERS")
            ids = [int(x[rows.columns.index("id")]) for x in rows.rows]
            sql = sql % r.choice(ids or [0])
        elif "%d" in sql:
            sql = sql % tuple(self.some_id(r) for _ in range(sql.count("%d")))
        answer = k.ask(sql)
        self.count("%s %s" % (sql.split()[0], answer.errors[0].sqlstate if answer.errors else "ok"))
        return k

    def console(self, r):
        k = self.daemon.connect("pgwith", timeout=60)
        while self.running():
            k = self.command(k, r)
            with self.lock:
                rows = self.look.ask("SHOW DATABASES")
            at = rows.columns.index("current_connections")
            check(all(int(x[at]) <= SIZE for x in rows.rows), "servers: %r" % rows.rows)
            time.sleep(0.01)
        k.close()

    # -- all together ----------------------------------------------------------------------------
    def guarded(self, function, number):
        try:
            function(random.Random("%s %d" % (self.seed, number)))
        except Exception as e:
            self.problems.append("%s %d: %r" % (function.__name__, number, e))

    def run(self):
        who = [self.client] * CLIENTS + [self.console] * 2
        threads = [threading.Thread(target=self.guarded, args=(f, i)) for i, f in enumerate(who)]
        for x in threads:
            x.start()
        while any(x.is_alive() for x in threads):
            time.sleep(0.1)
            self.daemon.check_alive()
            if not self.running():  # nothing keeps anybody from ending any more
                with self.lock:
                    self.look.ask("RESUME; ENABLE db; ENABLE other")
        self.look.close()


@test(timeout=120)
def storm(t):
    """random commands against random clients"""
    t.sql("CREATE TABLE marks (a int)")
    pool = {"conninfo": t.conninfo(), "size": SIZE, "lazy_begin": "on", "wait_timeout": "2s"}
    d = t.daemon(pools={"db": pool, "other": dict(pool)}, options={"log_level": "info"})
    s = Storm(d, t.random.random())
    s.run()
    note("%r" % s.counts)
    equal(s.problems, [], "problems")
    check(s.counts.get("ok", 0) > 100 and s.counts.get("PAUSE ok", 0) > 0 and s.counts.get("KILL ok", 0) > 5, "enough was done")
    d.quiet("db", 10)
    d.quiet("other", 10)
    equal((d.show("SCOPES"), d.show("LOCKS"), d.clients("db"), d.clients("other")), ([], [], [], []), "what is left")
    for name in ("db", "other"):
        clients = [t.client(d, name) for _ in range(SIZE)]
        for c in clients:
            c.sql("BEGIN; SELECT 1")
        for c in clients:
            c.sql("COMMIT")
            numbered(c, t.random, "afterwards")


if __name__ == "__main__":
    main()
