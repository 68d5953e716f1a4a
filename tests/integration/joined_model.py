"""Random members in joined scopes, against a model of units, savepoints, kills, cancels and ends: what a member is answered,
and what is in the table when the scope has ended, with the same backend all the time. PGWITH_MODEL_STEPS is the number of
steps; --seed repeats a run."""

import os
import socket
import struct

from pgwtest import check, equal, main, note, sanitized, test, wait_until, wire
from pgwtest.joined import enter_token

STEPS = int(os.environ.get("PGWITH_MODEL_STEPS") or (300 if sanitized() else 800))
MEMBERS = 4
NUMBERS = 12


class Member:
    def __init__(self, lab, token):
        self.lab = lab
        self.w = wire.Client(lab.d.sockets, lab.d.port, "db", timeout=60, **{"pgwith.join": token})
        self.block = False
        self.failed = False
        self.points = []           # (name, rows at it)
        self.rows = None           # in its unit

    def ask(self, sql):
        return self.w.ask(sql) if self.lab.rng.random() < 0.5 else self.w.ask_extended(sql)


class Lab:
    def __init__(self, t):
        self.t, self.rng = t, t.random
        t.sql("CREATE TABLE t (n int UNIQUE)")
        self.d = t.daemon(size=1, options={"log_level": "info"})
        self.owner = self.d.connect()
        self.backend = self.owner.value("SELECT pg_backend_pid()")
        self.committed = set()
        self.counts = {}

    def enter(self):
        self.token = enter_token(self.owner)
        self.rows = set(self.committed)
        self.members = [Member(self, self.token) for _ in range(MEMBERS)]
        self.busy = None           # the member whose block is open

    def replace(self, m):
        self.members[self.members.index(m)] = Member(self, self.token)

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    # ---- statements -------------------------------------------------------------------------------
    def write(self, rows):
        """A statement and what it does to the rows: (sql, rows afterwards, SQLSTATE or None)."""
        n = self.rng.randrange(NUMBERS)
        roll = self.rng.random()
        if roll < 0.5:
            return "INSERT INTO t VALUES (%d)" % n, rows | {n}, "23505" if n in rows else None
        if roll < 0.8:
            return "DELETE FROM t WHERE n = %d" % n, rows - {n}, None
        if roll < 0.9:
            return "SELECT 1/0", rows, "22012"
        return "SELECT %d" % n, rows, None

    def look(self, m, rows):
        r = m.ask("SELECT coalesce(string_agg(n::text, ',' ORDER BY n), '') FROM t")
        check(not r.errors, "looking gives %s" % r.errors)
        equal(r.value, ",".join(str(n) for n in sorted(rows)), "what a member sees")

    def autocommit(self, m):
        roll = self.rng.random()
        if roll < 0.7:
            sql, rows, error = self.write(self.rows)
            r = m.ask(sql)
            equal([e.sqlstate for e in r.errors], [error] if error else [], sql)
            if not error:
                self.rows = rows
        elif roll < 0.85:
            # Several statements in one Query are one unit.
            parts, rows, error = [], self.rows, None
            for _ in range(self.rng.randrange(2, 4)):
                sql, after, error = self.write(rows)
                parts.append(sql)
                if error:
                    break
                rows = after
            r = m.w.ask("; ".join(parts))
            equal([e.sqlstate for e in r.errors], [error] if error else [], parts)
            if not error:
                self.rows = rows
        else:
            self.look(m, self.rows)
            return
        equal(r.status, "I", "the status behind a statement")

    def begin(self, m):
        r = m.ask("BEGIN")
        equal((r.tags, r.status), (["BEGIN"], "T"), "BEGIN")
        m.block, m.failed, m.points, m.rows = True, False, [], self.rows
        self.busy = m

    def in_block(self, m):
        roll = self.rng.random()
        if roll < 0.45:
            sql, rows, error = self.write(m.rows)
            r = m.ask(sql)
            want = "25P02" if m.failed else error
            equal([e.sqlstate for e in r.errors], [want] if want else [], sql)
            if want:
                m.failed = True
            else:
                m.rows = rows
        elif roll < 0.6:
            name = self.rng.choice("xyz")
            r = m.ask("SAVEPOINT " + name)
            equal([e.sqlstate for e in r.errors], ["25P02"] if m.failed else [], "SAVEPOINT")
            if not m.failed:
                m.points.append((name, m.rows))
        elif roll < 0.75:
            name = self.rng.choice("xyz")
            release = self.rng.random() < 0.4
            at = max((i for i, p in enumerate(m.points) if p[0] == name), default=None)
            r = m.ask(("RELEASE " if release else "ROLLBACK TO ") + name)
            want = "25P02" if m.failed and release else "3B001" if at is None else None
            equal([e.sqlstate for e in r.errors], [want] if want else [], "savepoint %s of %r" % (name, m.points))
            if want:
                m.failed = True
            elif release:
                m.points = m.points[:at]
            else:
                m.rows, m.failed = m.points[at][1], False
                m.points = m.points[:at + 1]
        elif roll < 0.9:
            self.end(m)
            return
        elif not m.failed:
            self.look(m, m.rows)
            r = None
        else:
            return
        if r:
            equal(r.status, "E" if m.failed else "T", "the status in a BEGIN")

    def end(self, m):
        commit = self.rng.random() < 0.7
        r = m.ask("COMMIT" if commit else "ROLLBACK")
        good = commit and not m.failed
        equal((r.tags, r.status), (["COMMIT" if good else "ROLLBACK"], "I"), "the end of a BEGIN")
        if good:
            self.rows = m.rows
        m.block = False
        self.busy = None

    # ---- violence ---------------------------------------------------------------------------------
    def kill(self, m):
        """The member is gone, in the middle of something."""
        roll = self.rng.random()
        n = self.rng.randrange(100, 200)
        if roll < 0.25:
            m.w.send(wire.query("INSERT INTO t VALUES (%d); SELECT pg_sleep(60)" % n))
        elif roll < 0.4:
            m.w.send(wire.parse("INSERT INTO t VALUES (%d)" % n) + wire.bind() + wire.execute() + wire.flush())
        elif roll < 0.55:
            m.w.send(wire.query("COPY t FROM STDIN") + wire.copy_data(b"%d\n" % n))
        elif roll < 0.7:
            # Half a message, which is too long to be kept.
            m.w.send(wire.query("COPY t FROM STDIN") + b"d" + struct.pack("!I", 1000000) + b"%d\n" % n * 20000)
        elif roll < 0.8:
            m.w.send(wire.query("INSERT INTO t VALUES (%d)" % n)[:-3])
        if self.rng.random() < 0.5 and not m.failed:
            self.settle(roll)
        if self.rng.random() < 0.5:
            m.w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        m.w.sock.close()
        if self.busy is m:
            self.busy = None
        self.replace(m)

    def settle(self, roll):
        """The query of the one that is to be killed runs."""
        if roll < 0.25:
            wait_until(lambda: any("pg_sleep" in r["query"] and r["state"] == "active" for r in self.t.activity()), 5,
                       "the query runs")

    def cancel(self, m):
        m.w.send(wire.query("SELECT pg_sleep(60)"))
        self.settle(0)
        m.w.cancel()
        r = m.w.until_ready()
        equal([e.sqlstate for e in r.errors], ["57014"], "a query that is cancelled")
        equal(r.status, "E" if m.block else "I", "the status then")
        m.failed = m.block

    def leave(self):
        commit = self.rng.random() < 0.6
        self.owner.sql("EXIT" if commit else "EXIT ROLLBACK")
        if commit:
            self.committed = self.rows
        for m in self.members:
            r = m.w.until_closed()
            equal([e.sqlstate for e in r.errors], ["57P01"], "what a member is told at the end")
            m.w.close()
        equal(self.t.value("SELECT coalesce(string_agg(n::text, ',' ORDER BY n), '') FROM t"),
              ",".join(str(n) for n in sorted(self.committed)), "the table behind the scope")
        equal(self.owner.value("SELECT pg_backend_pid()"), self.backend, "the backend")

    def step(self):
        roll = self.rng.random()
        if roll < 0.03:
            self.count("exit")
            self.leave()
            self.enter()
            return
        m = self.busy or self.rng.choice(self.members)
        if roll < 0.06:
            self.count("kill")
            self.kill(m)
        elif roll < 0.08 and not m.failed:
            self.count("cancel")
            self.cancel(m)
        elif m.block:
            self.count("in a block")
            self.in_block(m)
        elif roll < 0.4:
            self.count("begin")
            self.begin(m)
        else:
            self.count("autocommit")
            self.autocommit(m)


@test(timeout=1800)
def units(t):
    """random members: units, savepoints, kills, cancels and ends as in a model"""
    lab = Lab(t)
    lab.enter()
    for _ in range(STEPS):
        lab.step()
    lab.leave()
    note("steps: " + ", ".join("%s %d" % x for x in sorted(lab.counts.items())))
    lab.d.quiet()


if __name__ == "__main__":
    main()
