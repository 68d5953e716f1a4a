"""Transactions that say that they only read go to a standby (options read_only, read_only_fallback,
read_your_writes), and no other does."""

import asyncio
import importlib
import json
import time

from pgwtest import Closed, Cluster, ServerError, check, child, equal, main, only_local, test, unavailable, wait_until, wire
from pgwtest.context import conninfo
from pgwtest.daemon import SANITIZE_ENV, program
from pgwtest.standby import PRIMARY, RULE, Standby, made
from pgwtest.steady import steady

QUERY = wire.query
HERE, THERE = "f", "t"  # pg_is_in_recovery(): the primary, the standby
WHERE = "SELECT pg_is_in_recovery()"


class Pair:
    """A primary with a standby, which lags by the time `lag`."""

    def __init__(self, t, lag="0"):
        only_local("a primary and its standby")
        self.a = made(t, "a", lambda d: Cluster(d, settings=PRIMARY, hba=RULE))
        self.a.sql("CREATE TABLE w (c int, n int)")
        self.b = made(t, "b", lambda d: Standby(d, self.a, {"recovery_min_apply_delay": lag,
                                                                  "hot_standby_feedback": "on"}))

    @staticmethod
    def conninfo(of, **more):
        return conninfo(dict({"host": of.sockets, "port": of.port, "user": "postgres", "dbname": "postgres"}, **more))

    def pools(self, replica=None, **db):
        """The pools `db` and `replica`; keyword arguments are options of the first."""
        own = {"conninfo": self.conninfo(self.a), "size": 4, "read_only": "replica", "read_your_writes": "0",
               "lazy_begin": "on"}
        return {"db": dict(own, **db), "replica": dict({"conninfo": self.conninfo(self.b), "size": 4}, **(replica or {}))}

    def daemon(self, t, replica=None, supervised=False, options=None, **db):
        return (t.supervised if supervised else t.daemon)(pools=self.pools(replica, **db), options=options)


def where(r):
    """Where the statements of a Result have run: HERE, THERE; the SQLSTATE of its error."""
    return [e.sqlstate for e in r.errors] or [row[0] for row in r.rows]


# What a client sends, Query by Query, with WHERE for `?`; and where that runs.
DECLARED = [
    (["BEGIN READ ONLY", "?", "COMMIT", "?"], [THERE, HERE]),
    (["START TRANSACTION READ ONLY", "?", "?", "ROLLBACK", "?"], [THERE, THERE, HERE]),
    (["begin /* x */ transaction isolation level repeatable read, read only;", "?", "END"], [THERE]),
    (["BEGIN READ ONLY, READ WRITE", "?", "COMMIT"], [HERE]),
    (["BEGIN READ WRITE READ ONLY", "?", "COMMIT"], [HERE]),
    (["BEGIN READ WRITE", "?", "COMMIT"], [HERE]),
    (["BEGIN", "?", "COMMIT"], [HERE]),
    (["BEGIN", "SET TRANSACTION READ ONLY", "?", "COMMIT", "?"], [THERE, HERE]),
    (["BEGIN", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "?", "ROLLBACK", "?"], [THERE, HERE]),
    (["BEGIN", "SET TRANSACTION READ WRITE", "?", "COMMIT"], [HERE]),
    (["BEGIN", "?", "SET TRANSACTION READ ONLY", "?", "COMMIT"], [HERE, HERE]),
    (["BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", "?", "COMMIT"], [HERE]),
    (["BEGIN READ ONLY DEFERRABLE", "?", "COMMIT"], [HERE]),
    (["BEGIN READ ONLY; ?; COMMIT", "?"], [HERE, HERE]),
    (["BEGIN READ ONLY", "?; COMMIT; ?", "?"], [THERE, HERE, HERE]),
    (["BEGIN READ ONLY", "COMMIT; ?; BEGIN READ ONLY", "?", "COMMIT"], [HERE, HERE]),
    (["BEGIN READ ONLY", "?", "COMMIT; INSERT INTO w VALUES (1, 1); ?"], [THERE, HERE]),
    (["BEGIN READ ONLY", "?", "COMMIT AND CHAIN", "?", "ROLLBACK AND CHAIN", "?", "COMMIT", "?"],
     [THERE, THERE, THERE, HERE]),
    (["BEGIN READ ONLY", "SAVEPOINT a", "?", "ROLLBACK TO a", "?", "COMMIT", "?"], [THERE, THERE, HERE]),
    (["BEGIN READ ONLY", "INSERT INTO w VALUES (1, 1)", "ROLLBACK", "?"], ["25006", HERE]),
    (["BEGIN READ ONLY", "SELECT 1/0", "?", "COMMIT", "?"], ["22012", "25P02", HERE]),
    (["BEGIN READ ONLY", "SET TRANSACTION READ WRITE", "ROLLBACK", "?"], ["0A000", HERE]),
    (["SET default_transaction_read_only = on", "?", "BEGIN", "?", "COMMIT", "BEGIN READ WRITE", "?", "COMMIT",
      "?", "RESET default_transaction_read_only", "?"], [THERE, THERE, HERE, THERE, HERE]),
    (["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "?", "BEGIN", "SET TRANSACTION READ WRITE", "?",
      "COMMIT", "?; ?", "RESET ALL", "?"], [THERE, HERE, HERE, HERE, HERE]),
    (["SET default_transaction_read_only = on", "SET default_transaction_isolation = 'serializable'", "?",
      "RESET ALL"], [HERE]),
    (["SET default_transaction_read_only = on", "INSERT INTO w VALUES (1, 1)", "SET default_transaction_read_only = off",
      "INSERT INTO w VALUES (2, 2)", "?"], ["25006", HERE]),
    # what keeps a server keeps it
    (["SELECT 'lock' FROM pg_advisory_lock(1)", "BEGIN READ ONLY", "?", "COMMIT", "SELECT 'open' FROM pg_advisory_unlock(1)"],
     ["lock", HERE, "open"]),
    (["BEGIN READ ONLY", "?", "SELECT pg_advisory_lock(1)", "ROLLBACK", "?"], [THERE, "0A000", HERE]),
    (["BEGIN READ ONLY", "PREPARE x AS SELECT 1", "ROLLBACK", "?"], ["0A000", HERE]),
    (["ENTER a READ ONLY", "?", "LEAVE", "?"], [THERE, HERE]),
    (["ENTER a READ ONLY", "ENTER b", "?", "LEAVE b", "?", "LEAVE", "?"], [THERE, THERE, HERE]),
    (["ENTER a READ ONLY", "ENTER b NEW", "?", "LEAVE b", "?", "LEAVE"], [HERE, THERE]),
    (["ENTER a", "ENTER b READ ONLY", "?", "LEAVE b", "LEAVE", "?"], [HERE, HERE]),
    (["ENTER a READ ONLY ON db", "?", "LEAVE"], [HERE]),
    (["ENTER a ISOLATION LEVEL SERIALIZABLE READ ONLY", "?", "LEAVE"], [HERE]),
    (["BEGIN READ ONLY", "?", "ENTER a", "?", "LEAVE", "?", "COMMIT", "?"], [THERE, THERE, THERE, HERE]),
    (["BEGIN READ ONLY", "ENTER a", "LEAVE", "COMMIT AND CHAIN", "?", "INSERT INTO w VALUES (1, 1)", "ROLLBACK", "?"],
     [THERE, "25006", HERE]),
    (["ENTER a READ ONLY", "BEGIN", "?", "COMMIT AND CHAIN", "?", "COMMIT", "LEAVE", "?"], [THERE, THERE, HERE]),
    (["ENTER a READ ONLY", "?", "COMMIT; ?", "?", "LEAVE ALL", "?"], [THERE, "2D000", THERE, HERE]),
    (["ENTER a READ ONLY", "?; LEAVE; ?", "?"], [THERE, HERE, HERE]),
    (["ENTER LOCK 'x'", "BEGIN READ ONLY", "?", "COMMIT", "LEAVE"], [THERE]),
]


def import_or_skip(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        unavailable("no module %s" % name)


def said(sql):
    return sql.replace("?", WHERE)


@test
def declared(t):
    """what says for certain that it only reads goes to the standby, and nothing else, Query by Query"""
    d = Pair(t).daemon(t)
    for script, want in DECLARED:
        with d.connect() as c:
            got = []
            for sql in script:
                r = c.ask(said(sql))
                got += where(r)
            equal(got, want, repr(script))
            equal(c.status, "I", "the end of %r" % script)
    d.quiet()
    d.quiet("replica")


@test
def in_one_write(t):
    """the same if all Queries come at once"""
    d = Pair(t).daemon(t)
    for script, want in DECLARED:
        with d.connect() as c:
            c.send(b"".join(QUERY(said(sql)) for sql in script))
            got = [w for _ in script for w in where(c.until_ready())]
            # What stands behind a statement that the primary has not answered stays there.
            if not script[0].startswith(("BEGIN READ ONLY", "START")):
                want = [HERE if w == THERE else w for w in want]
                got = [HERE if w == THERE else w for w in got]
            equal(got, want, repr(script))


@test
def extended(t):
    """the same in the extended protocol: each statement an exchange, and several in one; unnamed and named"""
    d = Pair(t).daemon(t)
    for script, want in DECLARED:
        if any(";" in sql.rstrip(";") for sql in script):
            continue
        # This BEGIN is not answered without a server.
        if "BEGIN" in script and not script[0].startswith("ENTER"):
            begun, want = script.index("BEGIN"), list(want)
            for i, sql in enumerate(script[:script.index("COMMIT", begun)] if "COMMIT" in script[begun:] else script):
                if sql == "?" and i > begun:
                    want[script[:i].count("?")] = HERE
        with d.connect() as c:
            got = []
            for sql in script:
                got += where(c.ask_extended(said(sql)))
            equal(got, want, repr(script))
        with d.connect() as c:
            names = {}
            for n in range(2):
                got = []
                for i, sql in enumerate(script):
                    name = "s%d" % i
                    data = b"" if name in names else wire.parse(said(sql), name)
                    c.send(data + wire.bind(statement=name) + wire.describe() + wire.execute() + wire.sync())
                    r = c.until_ready()
                    if "1" in r.kinds:
                        names[name] = True
                    got += where(r)
                equal(got, want, "named, %d: %r" % (n, script))


@test
def one_exchange(t):
    """several transactions in one exchange of the extended protocol, without a Sync between them"""
    d = Pair(t).daemon(t)
    with d.connect() as c:
        for statements, want in (
                (["BEGIN READ ONLY", "?", "COMMIT"], [THERE]),
                (["BEGIN READ ONLY", "?", "COMMIT", "?"], [THERE, HERE]),
                (["BEGIN READ ONLY", "?", "COMMIT", "INSERT INTO w VALUES (3, 3)", "?", "BEGIN READ ONLY", "?", "COMMIT"],
                 [THERE, HERE, HERE]),
                (["BEGIN READ ONLY", "?", "ROLLBACK", "BEGIN", "INSERT INTO w VALUES (3, 3)", "?", "COMMIT"],
                 [THERE, HERE]),
                (["BEGIN READ ONLY", "?", "SELECT 1/0", "?", "COMMIT"], ["22012"])):
            c.send(b"".join(wire.extended(said(sql)) for sql in statements) + wire.sync())
            equal(where(c.until_ready()), want, repr(statements))
            if c.status != "I":
                equal(where(c.ask_extended(WHERE)), ["25P02"], "the failed transaction")
                c.ask("ROLLBACK")
        # A portal with a name is executed later than it was bound.
        c.send(wire.extended("BEGIN READ ONLY") + wire.sync())
        c.until_ready()
        c.send(wire.parse("COMMIT", "c") + wire.bind(statement="c", portal="p") + wire.extended(WHERE) +
               wire.execute("p") + wire.extended(WHERE) + wire.sync())
        equal(where(c.until_ready()), [THERE, HERE], "a portal with a name")
        # A portal without a name, too: behind a Sync, and behind a Parse.
        for more, want in ((wire.sync(), [THERE, HERE, HERE]), (wire.parse(WHERE, "x"), [THERE, HERE, HERE])):
            c.send(wire.extended("BEGIN READ ONLY") + wire.extended(WHERE) + wire.sync())
            got = where(c.until_ready())
            c.send(wire.parse("COMMIT") + wire.bind() + more)
            if more == wire.sync():
                c.until_ready()
            c.send(wire.execute() + wire.extended(WHERE) + wire.extended("INSERT INTO w VALUES (5, 5)") +
                   wire.extended(WHERE) + wire.sync())
            equal(got + where(c.until_ready()), want, "the unnamed portal, executed later")
        # Behind AND CHAIN, what is refused fails the transaction, and nothing else.
        for sql in ("BEGIN READ ONLY", "COMMIT AND CHAIN"):
            c.send(wire.extended(sql) + wire.sync())
            c.until_ready()
        equal(where(c.ask_extended("LISTEN x")) + where(c.ask_extended(WHERE)), ["0A000", "25P02"], "LISTEN behind AND CHAIN")
        c.ask("ROLLBACK")
        # BEGIN is prepared, and then something else is executed.
        for name in ("", "b"):
            c.send(wire.parse("BEGIN READ ONLY", name) + wire.extended("INSERT INTO w VALUES (4, 4)") +
                   wire.extended(WHERE) + wire.sync())
            equal(where(c.until_ready()), [HERE], "BEGIN is prepared only")
    d.quiet()
    d.quiet("replica")


@test
def long_texts(t):
    """texts of more than 64 kB: what may end the transaction is waited for; what may go on behind that is refused"""
    d = Pair(t).daemon(t)
    long = "/*%s*/" % ("x" * 70000)
    with d.connect() as c:
        c.ask("BEGIN READ ONLY")
        c.send(wire.parse(long + "COMMIT") + wire.bind() + wire.execute() + wire.sync() + QUERY(WHERE))
        equal(c.until_ready().tags, ["COMMIT"], "COMMIT behind a long comment")
        equal(where(c.until_ready()), [HERE], "behind it")
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask("COMMIT; %s; INSERT INTO w VALUES (6, length('%s'))" % (WHERE, "x" * 70000))), ["54000"],
              "the text is cut within a quote")
        equal((c.status, where(c.ask(WHERE))), ("T", [THERE]), "the transaction goes on")
        c.ask("COMMIT")
        c.ask("ENTER a")
        equal(where(c.ask("COMMIT; SELECT length('%s')" % ("x" * 70000))), ["54000"], "in a scope")
        equal(c.ask("LEAVE").errors, [], "the scope's transaction was not committed")
    d.quiet()
    d.quiet("replica")


@test
def refused_parameters(t):
    """a role that the standby does not know yet: the primary has the transaction, and the session keeps its role there"""
    pair = Pair(t)
    for fallback, want in (("on", "lagging f"), ("off", "22023")):
        d = pair.daemon(t, read_only_fallback=fallback)
        who = "SELECT current_user || ' ' || pg_is_in_recovery()::text::char(1)"
        with d.connect() as c:
            equal(where(c.ask("BEGIN READ ONLY")) + where(c.ask(WHERE)), [THERE], "before")
            c.ask("COMMIT")
        if fallback == "on":
            pair.b.sql("SELECT pg_wal_replay_pause()")
            pair.a.sql("CREATE ROLE lagging")
        for ask in (lambda c, sql: c.ask(sql), lambda c, sql: c.ask_extended(sql)):
            with d.connect() as c:
                ask(c, "SET ROLE lagging")
                r = ask(c, "BEGIN READ ONLY")
                equal(where(r) or where(ask(c, who)), [want], "fallback %s" % fallback)
                ask(c, "COMMIT")
                # This text changes a parameter: the role must not be given up for it.
                ask(c, "SET work_mem = '5MB'")
                equal(where(ask(c, who)), ["lagging f"], "the role, fallback %s" % fallback)
            with d.connect() as c:
                ask(c, "SET default_transaction_read_only = on")
                ask(c, "SET ROLE lagging")
                equal(where(ask(c, who)), [want], "one statement, fallback %s" % fallback)
                ask(c, "SET default_transaction_read_only = off")
                equal(where(ask(c, who)), ["lagging f"], "the role behind it, fallback %s" % fallback)
        d.quiet()
        d.quiet("replica")
        d.stop()
    pair.b.sql("SELECT pg_wal_replay_resume()")


@test
def not_lazy(t):
    """with lazy_begin = off, too, by the BEGIN itself"""
    d = Pair(t).daemon(t, lazy_begin="off")
    with d.connect() as c:
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask(WHERE)), [THERE], "READ ONLY")
        c.ask("COMMIT")
        c.ask("BEGIN")
        c.ask("SET TRANSACTION READ ONLY")
        equal(where(c.ask(WHERE)), [HERE], "the BEGIN has a server already")
        c.ask("COMMIT")
    with d.connect(options="-c default_transaction_read_only=on") as c:
        equal(where(c.ask(WHERE)), [THERE], "by a startup option")
        c.ask("BEGIN")
        equal(where(c.ask(WHERE)), [HERE], "its first statement is not known when the BEGIN has a server")
        equal(c.ask("COMMIT").status, "I", "COMMIT")
    with d.connect(default_transaction_read_only="on") as c:
        equal(where(c.ask_extended(WHERE)), [THERE], "by a startup parameter")


@test
def state(t):
    """parameters and prepared statements are the session's on both sides; the client is told of one side"""
    pair = Pair(t)
    d = pair.daemon(t)
    with d.connect() as c:
        equal(c.parameters["in_hot_standby"], "off", "at login")
        c.parameters.clear()
        c.ask("SET work_mem = '3MB'")
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask("SHOW work_mem")), ["3MB"], "set on the primary")
        c.ask("SET work_mem = '5MB'")
        c.ask("SET application_name = 'x'")
        c.ask("COMMIT")
        equal(where(c.ask("SHOW work_mem")), ["5MB"], "set on the standby")
        equal(where(c.ask(WHERE)), [HERE], "where that was")
        equal(c.parameters, {"application_name": "x"}, "what the client was told")
        c.send(wire.parse("SELECT pg_is_in_recovery(), $1::int", "s") + wire.sync())
        c.until_ready()
        use = wire.bind(("7",), statement="s") + wire.execute() + wire.sync()
        for begin, want in (("BEGIN", HERE), ("BEGIN READ ONLY", THERE), ("BEGIN", HERE), ("BEGIN READ ONLY", THERE)):
            c.ask(begin)
            c.send(use)
            equal(c.until_ready().rows, [(want, "7")], "a named statement")
            c.ask("COMMIT")
        c.send(wire.parse("SELECT pg_is_in_recovery(), $1::int") + wire.sync())
        c.until_ready()
        c.send(wire.bind(("8",)) + wire.execute() + wire.sync())
        equal(c.until_ready().rows, [(HERE, "8")], "an unnamed statement")
        # It was parsed on the primary.
        c.send(wire.parse("BEGIN READ ONLY", "b") + wire.parse("COMMIT", "e") + wire.sync())
        c.until_ready()
        c.send(wire.parse("SELECT pg_is_in_recovery(), $1::int") + wire.sync())
        c.until_ready()
        c.send(wire.bind(statement="b") + wire.execute() + wire.bind(("9",)) + wire.execute() +
               wire.bind(statement="e") + wire.execute() + wire.sync())
        equal(c.until_ready().rows, [(THERE, "9")], "parsed in one pool, bound in the other")
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask("SELECT pg_sleep(0) IS NULL, pg_backend_pid()")), ["f"], "a statement")
        c.ask("COMMIT")
    d.quiet()


@test
def other_pools(t):
    """pools with role = client, each role in its own part of both; mode = statement"""
    pair = Pair(t)
    pair.a.role("alice")
    wait_until(lambda: pair.b.sql("SELECT 1 FROM pg_roles WHERE rolname = 'alice'"), 20, "the role is there")
    d = pair.daemon(t, role="client", replica={"role": "client", "users": "*"}, users="*")
    with d.connect(user="alice") as c:
        c.ask("BEGIN READ ONLY")
        equal(c.ask("SELECT pg_is_in_recovery(), current_user").rows, [(THERE, "alice")], "the role")
        c.ask("COMMIT")
        equal(c.ask("SELECT pg_is_in_recovery(), current_user").rows, [(HERE, "alice")], "the role")
    d = pair.daemon(t, mode="statement")
    with d.connect(default_transaction_read_only="on") as c:
        equal(where(c.ask(WHERE)), [THERE], "mode = statement")
        equal(where(c.ask("BEGIN READ ONLY")), ["0A000"], "BEGIN")


def look(d, name):
    row = [r for r in d.show("STATS") if r["database"] == "db"][0]
    return int(row["total_read_only_%s_count" % name])


@test
def shown(t):
    """SHOW POOLS, CLIENTS and STATS, and the metrics of them, tell where transactions have gone"""
    d = Pair(t).daemon(t, read_your_writes="1h")
    equal([(r["database"], r["read_only"]) for r in d.show("POOLS")], [("db", "replica"), ("replica", None)], "POOLS")
    with d.connect() as c:
        equal(d.clients()[0]["read_only"], "replica", "before anything")
        c.ask("BEGIN READ ONLY")
        c.ask(WHERE)
        equal(d.clients()[0]["read_only"], "replica", "in it")
        equal(len(d.leased("replica")), 1, "servers of the replica")
        equal(d.leased(), [], "servers of the primary")
        c.ask("COMMIT")
        c.ask("INSERT INTO w VALUES (1, 1)")
        equal(d.clients()[0]["read_only"], "db", "it has written")
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask(WHERE)), [HERE], "it has written")
        c.ask("COMMIT")
    equal((look(d, "sent"), look(d, "kept")), (1, 1), "STATS")


@test
def advice(t):
    """doctor takes a standby for what it is: the target of read_only needs neither target_session_attrs nor users"""
    pair = Pair(t)
    pools = pair.pools()
    pools["alone"] = dict(pools["replica"])
    d = t.daemon(pools=pools, options={"allow": ""})

    def said(pool):
        out = child.run([program("pgwith"), "doctor", "-c", d.conf, "--json"], env=SANITIZE_ENV)[1]
        return [f["finding"] for f in json.loads(out) if f["subject"] == "pool " + pool and
                (f["level"] != "ok" and "tested with" not in f["finding"])]
    check([f for f in said("alone") if "is a standby" in f] and [f for f in said("alone") if "no option users" in f], "a pool of its own")
    equal(said("replica"), [], "the target of read_only")
    d.reload(pools=dict(pools, replica=dict(pools["replica"], users="*")))
    equal([f[:10] for f in said("replica")], ["users = *:"], "who may come in directly is told")


@test
def own_writes(t):
    """a session that may have written stays on the primary for read_your_writes, others do not; what does not write
    for certain does not count"""
    d = Pair(t, lag="10min").daemon(t, read_your_writes="1h")

    def reads(c):
        c.ask("BEGIN READ ONLY")
        r = where(c.ask(WHERE))
        c.ask("COMMIT")
        return r[0]

    def reads_by_exchanges(c):
        c.ask_extended("BEGIN READ ONLY")
        r = where(c.ask_extended(WHERE))
        c.ask_extended("COMMIT")
        return r[0]

    def reads_by_one(c):
        c.send(b"".join(wire.extended(sql) for sql in ("BEGIN READ ONLY", WHERE, "COMMIT")) + wire.sync())
        return where(c.until_ready())[0]

    def reads_in_a_scope(c):
        c.ask("ENTER a READ ONLY")
        r = where(c.ask(WHERE))
        c.ask("LEAVE")
        return r[0]
    for harmless in (["SET work_mem = '1MB'"], ["SHOW work_mem"], [""], ["BEGIN", "COMMIT"], ["BEGIN", "SHOW work_mem", "COMMIT"],
                     ["BEGIN READ ONLY", "SELECT 1", "COMMIT"], ["RESET ALL"], ["LISTEN x", "UNLISTEN x"],
                     ["ENTER a READ ONLY", "SELECT 1", "LEAVE"], ["DISCARD ALL"],
                     # which a standby refuses
                     ["BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "SELECT 1", "COMMIT"], ["BEGIN READ ONLY DEFERRABLE", "SELECT 1", "COMMIT"],
                     ["ENTER a ISOLATION LEVEL SERIALIZABLE READ ONLY", "SELECT 1", "LEAVE"],
                     ["SET default_transaction_isolation = 'serializable'", "BEGIN READ ONLY", "SELECT 1", "COMMIT",
                      "RESET default_transaction_isolation"]):
        with d.connect() as c:
            for sql in harmless:
                c.ask(sql)
            equal(reads(c), THERE, repr(harmless))
            for sql in harmless:
                c.ask_extended(sql)
            equal(reads(c), THERE, "extended: %r" % harmless)
    for writes in (["INSERT INTO w VALUES (1, 1)"], ["SELECT 1"], ["BEGIN", "DELETE FROM w WHERE false", "COMMIT"],
                   ["DO $$BEGIN END$$"], ["BEGIN READ ONLY; SELECT 1; COMMIT"], ["ENTER a", "SELECT 1", "LEAVE"],
                   ["BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT 1", "COMMIT"],
                   ["BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "SET TRANSACTION READ WRITE", "SELECT 1", "COMMIT"],
                   ["BEGIN; ROLLBACK"]):
        with d.connect() as c:
            for sql in writes:
                c.ask(sql)
            equal(reads(c), HERE, repr(writes))
            equal(reads(c), HERE, "again: %r" % writes)
        with d.connect() as c:
            if ";" not in writes[0]:
                for sql in writes:
                    c.ask_extended(sql)
                equal(reads(c), HERE, "extended: %r" % writes)
    # A transaction that only reads, on the primary, is no write; but it can become one that writes.
    d.console("SET read_your_writes = '300ms' FOR POOL db")
    with d.connect() as c:
        def reads_what_it_wrote(way):
            c.ask("INSERT INTO w VALUES (1, 1)")
            equal(way(c), HERE, "it has written: %s" % way.__name__)

        def writes_after_all():
            c.ask("INSERT INTO w VALUES (1, 1)")
            c.ask("BEGIN READ ONLY")
            c.ask("SET TRANSACTION READ WRITE")
            equal(c.ask("INSERT INTO w VALUES (1, 2)").tags, ["INSERT 0 1"], "it writes after all")
            time.sleep(0.4)
            c.ask("COMMIT")
            equal(reads(c), HERE, "the time begins with the COMMIT")

        for way in (reads, reads_by_exchanges, reads_by_one, reads_in_a_scope):
            steady(reads_what_it_wrote, way, margin=0.05)
            wait_until(lambda: way(c) == THERE, 5, "the time is over, though it reads all the time: %s" % way.__name__)
        steady(writes_after_all, margin=0.05)


@test
def refused(t):
    """a pool that names itself, no pool, or in a circle; with mode = session; at the start, in a reload and by SET"""
    pair = Pair(t)
    pools = pair.pools()
    d = t.daemon(pools=pools)

    def reload(want, **changes):
        try:
            d.reload(pools={k: dict(v, **changes.get(k, {})) for k, v in pools.items()})
        except ServerError as e:
            check(want in str(e.fields), "%r in %r" % (want, e.fields))
            return
        check(False, "RELOAD with %r" % changes)
    reload("names itself", db={"read_only": "db"})
    reload("there is no pool", db={"read_only": "replicas"})
    reload("comes back", replica={"read_only": "db"})
    reload("mode = session", db={"mode": "session"})
    for sql in ("SET read_only = 'db' FOR POOL db", "SET read_only = 'db' FOR POOL replica",
                "SET mode = 'session' FOR POOL db"):
        try:
            d.console(sql)
            check(False, sql)
        except ServerError as e:
            check("read_only" in str(e.fields), "%s: %r" % (sql, e.fields))
    with d.connect() as c:
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask(WHERE)), [THERE], "as before")
        # The option goes while a transaction is open, and the pool too.
        d.reload(pools={"db": {k: v for k, v in pools["db"].items() if k != "read_only"}})
        equal(where(c.ask(WHERE)), [THERE], "the transaction goes on")
        c.ask("COMMIT")
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask(WHERE)), [HERE], "the next one")
        c.ask("COMMIT")
        wait_until(lambda: [r["database"] for r in d.show("POOLS")] == ["db"], 5, "the pool is gone")
        d.reload(pools=pools)
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask(WHERE)), [THERE], "the option is back")
        c.ask("COMMIT")


@test
def fallback(t):
    """while the standby cannot be reached, the primary has its transactions, or they get its error; a full pool is
    waited for"""
    pair = Pair(t)
    d = pair.daemon(t, replica={"retry_delay": "200ms", "size": 1, "wait_timeout": "300ms"})

    def one(c):
        r = where(c.ask("BEGIN READ ONLY")) or where(c.ask(WHERE))
        c.ask("ROLLBACK")
        return r[0]
    with d.connect() as c, d.connect() as other:
        equal(one(c), THERE, "it runs")
        other.ask("BEGIN READ ONLY")
        equal(where(other.ask(WHERE)), [THERE], "another")
        equal(one(c), "53300", "a full pool")
        other.ask("COMMIT")
        for sql in ("PAUSE replica", "DISABLE replica"):
            d.console(sql)
            equal(one(c), HERE, sql)
            d.console(sql.replace("PAUSE", "RESUME").replace("DISABLE", "ENABLE"))
            equal(one(c), THERE, "after " + sql)
        pair.b.stop()
        equal(one(c), HERE, "it is stopped")
        equal(one(c), HERE, "again")
        with d.connect(options="-c default_transaction_read_only=on") as e:
            equal(where(e.ask(WHERE)), [HERE], "a statement")
        c.ask("ENTER a READ ONLY")
        equal(where(c.ask(WHERE)), [HERE], "a scope")
        c.ask("LEAVE")
        pair.b.start()
        wait_until(lambda: one(c) == THERE, 20, "it is back")
        pair.b.stop()
        # Nobody has noticed yet: the scope waits, and is entered again.
        c.ask("ENTER a READ ONLY DEADLINE '1h'")
        equal(where(c.ask(WHERE)), [HERE], "a scope that has asked the standby")
        c.ask("LEAVE")
        equal(c.status, "I", "its end")
        d.reload(pools=pair.pools(replica={"retry_delay": "200ms", "size": 1, "wait_timeout": "300ms"},
                                  read_only_fallback="off"))
        equal(one(c), "08001", "without fallback")
        equal(where(c.ask(WHERE)), [HERE], "and the primary goes on")
    d.quiet()


@test
def sides_change(t):
    """the standby is promoted, the primary stops: nothing is on a wrong side, and sessions go on"""
    pair = Pair(t)
    d = pair.daemon(t)
    with d.connect() as c, d.connect() as reader:
        reader.ask("BEGIN READ ONLY")
        equal(where(reader.ask(WHERE)), [THERE], "before")
        pair.a.stop("immediate")
        equal(where(reader.ask(WHERE)), [THERE], "the primary is gone, and the reader goes on")
        reader.ask("COMMIT")
        pair.b.promote()
        reader.ask("BEGIN READ ONLY")
        equal(where(reader.ask("INSERT INTO w VALUES (1, 1)")), ["25006"], "a promoted standby")
        reader.ask("ROLLBACK")
        # The primary's pool is moved there.
        d.reload(pools=pair.pools(conninfo=pair.conninfo(pair.b)))
        wait_until(lambda: c.ask("INSERT INTO w VALUES (2, 2)").tags == ["INSERT 0 1"], 20, "writes go on")
        reader.ask("BEGIN READ ONLY")
        equal(where(reader.ask("SELECT count(*) FROM w WHERE c = 2")), ["1"], "reads go on")
        reader.ask("COMMIT")


@test
def server_lost(t):
    """the server of a transaction on the standby is lost: its session is told 08006 or PostgreSQL's own words"""
    pair = Pair(t)
    d = pair.daemon(t)
    with d.connect() as c:
        c.ask("BEGIN READ ONLY")
        pid = c.backend()
        pair.b.sql("SELECT pg_terminate_backend(%d)" % pid)
        try:
            errors = [e.sqlstate for e in c.until_closed().errors] or ["08006"]
        except Closed:
            errors = ["08006"]
        check(errors[0] in ("57P01", "08006"), "the error: %r" % errors)
    with d.connect() as c:
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask(WHERE)), [THERE], "the next one")


@test
def ends(t):
    """KILL, a cancel, a time limit, a client that goes: the transaction on the standby ends"""
    pair = Pair(t)
    d = pair.daemon(t, replica={"idle_in_scope_timeout": "500ms"})
    with d.connect() as c:
        c.ask("BEGIN READ ONLY")
        c.send(QUERY("SELECT pg_sleep(60)"))
        wait_until(lambda: [s["state"] for s in d.servers("replica")] == ["active"] or d.leased("replica"), 5, "it runs")
        wait_until(lambda: pair.b.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active'"
                                      " AND pid <> pg_backend_pid()"), 5, "it sleeps")
        c.cancel()
        equal(where(c.until_ready()), ["57014"], "a cancel")
        c.ask("ROLLBACK")
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask(WHERE)), [THERE], "the next one")
        d.quiet("replica")
        r = c.ask(WHERE)
        equal(where(r), ["57014"], "the limit of the replica's pool")
        check("500ms" in r.errors[0].fields["M"], "what it says: %r" % r.errors[0].fields)
        equal(c.ask("ROLLBACK").status, "I", "its end")
        equal(where(c.ask(WHERE)), [HERE], "and then")
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask(WHERE)), [THERE], "another one")
        d.console("KILL POOL replica")
        d.quiet("replica")
        check(where(c.ask(WHERE))[0] in ("57014", "57P01"), "KILL POOL")
        c.ask("ROLLBACK")
        equal(where(c.ask(WHERE)), [HERE], "the session goes on")
    c = d.connect()
    c.ask("BEGIN READ ONLY")
    c.ask(WHERE)
    c.drop()
    d.quiet("replica")


@test
def handed_over(t):
    """a restart that drops nobody keeps the transaction on the standby, and knows who has written"""
    pair = Pair(t)
    d = pair.daemon(t, supervised=True, options={"handover": "on"}, read_your_writes="1h")
    with d.connect() as c, d.connect() as w, d.connect() as e:
        w.ask("INSERT INTO w VALUES (1, 1)")
        c.ask("BEGIN READ ONLY")
        equal(where(c.ask(WHERE)), [THERE], "before")
        e.ask("ENTER a READ ONLY")
        d.restart()
        equal(where(c.ask("COMMIT; " + WHERE)), [HERE], "behind its COMMIT")
        c.close()
        equal(where(e.ask(WHERE)), [THERE], "a scope")
        e.ask("ENTER b")
        equal(where(e.ask(WHERE)), [THERE], "a savepoint in it")
        e.ask("LEAVE ALL")
        w.ask("BEGIN READ ONLY")
        equal(where(w.ask(WHERE)), [HERE], "who has written stays")
        w.ask("COMMIT")


@test
def drivers(t):
    """what drivers send for a transaction that only reads: psycopg 3 (with pipelines), psycopg 2, asyncpg"""
    psycopg, psycopg2, asyncpg = (import_or_skip(name) for name in ("psycopg", "psycopg2", "asyncpg"))
    d = Pair(t).daemon(t)

    def side(c):
        cursor = c.cursor()
        cursor.execute(WHERE)
        return "t" if cursor.fetchone()[0] else "f"
    with psycopg.connect(d.dsn()) as c:
        c.read_only = True
        equal((side(c), side(c)), (THERE, THERE), "psycopg")
        c.commit()
        c.read_only = False
        equal(side(c), HERE, "psycopg, not read_only")
        c.commit()
        c.read_only = None
        c.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        equal(side(c), HERE, "psycopg, a level only")
        c.commit()
        c.read_only = True
        equal(side(c), THERE, "psycopg, a level")
        c.commit()
        c.autocommit = True
        with c.transaction():
            equal(side(c), THERE, "psycopg, a block")
        equal(side(c), HERE, "psycopg, behind it")
        with c.pipeline():
            behind = []
            for _ in range(3):
                with c.transaction():
                    c.execute(WHERE)
                behind.append(c.execute(WHERE))
            equal([cursor.fetchone()[0] for cursor in behind], [False] * 3, "psycopg, behind each transaction of a pipeline")
    c = psycopg2.connect(d.dsn())
    c.set_session(readonly=True)
    equal((side(c), side(c)), (THERE, THERE), "psycopg2")
    c.commit()
    c.set_session(readonly=False)
    equal(side(c), HERE, "psycopg2, not readonly")
    c.commit()
    c.set_session(readonly=True, autocommit=True)
    equal((side(c), side(c)), (THERE, THERE), "psycopg2, autocommit")
    c.close()

    async def use():
        c = await asyncpg.connect(host=d.sockets, port=d.port, user="postgres", database="db")
        async with c.transaction(readonly=True):
            equal([await c.fetchval("SELECT pg_is_in_recovery(), $1::int", 1) for _ in range(3)], [True] * 3, "asyncpg")
        equal(await c.fetchval(WHERE), False, "asyncpg, behind it")
        async with c.transaction():
            equal(await c.fetchval("SELECT pg_is_in_recovery(), $1::int", 1), False, "asyncpg, not readonly")
        async with c.transaction(readonly=True):
            async for row in c.cursor("SELECT pg_is_in_recovery() FROM generate_series(1, 100)", prefetch=10):
                equal(row[0], True, "asyncpg, a cursor")
        await c.close()
    asyncio.run(use())
    d.quiet()
    d.quiet("replica")


# -- 10,000 random transactions --------------------------------------------------------------------

LAG, KEEP = 0.5, 1.5  # seconds: how much the standby lags, read_your_writes


class Random:
    """A client and what it must see. Each form sends a whole transaction, and returns the rows of LOOK."""

    def __init__(self, t, d, number, writes):
        self.random, self.number, self.writes = t.random, number, writes
        self.c = t.client(d)
        self.written = 0
        self.began = self.ended = None  # the time in which the last transaction that may have written was under way
        self.look = "SELECT pg_is_in_recovery(), coalesce(max(n), 0) FROM w WHERE c = %d" % number
        self.c.send(b"".join(wire.parse(sql, name) for name, sql in (
            ("b", "BEGIN READ ONLY"), ("l", self.look), ("e", "COMMIT"))) + wire.sync())
        self.c.until_ready()

    def queries(self, *texts):
        """Each by itself, or all in one write."""
        results = []
        self.sent.append(texts)
        if self.random.random() < 0.5:
            return [self.c.ask(sql) for sql in texts]
        self.c.send(b"".join(QUERY(sql) for sql in texts))
        for _ in texts:
            results.append(self.c.until_ready())
        return results

    def exchanges(self, *texts):
        """The same in the extended protocol, with a Sync behind each or at the end only."""
        one = self.random.random() < 0.5
        self.sent.append((one, *texts))
        data = [wire.extended(sql) + (b"" if one else wire.sync()) for sql in texts]
        self.c.send(b"".join(data) + (wire.sync() if one else b""))
        return [self.c.until_ready() for _ in range(1 if one else len(texts))]

    def send(self, *texts):
        return (self.queries if self.random.random() < 0.5 else self.exchanges)(*texts)

    def insert(self):
        self.written += 1
        return "INSERT INTO w VALUES (%d, %d)" % (self.number, self.written)

    # Each returns the results, and the sides of the rows of LOOK, None for a transaction that only reads.
    def read(self):
        end = self.random.choice(("COMMIT", "ROLLBACK", "END"))
        begin = self.random.choice(("BEGIN READ ONLY", "START TRANSACTION READ ONLY",
                                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        kind = self.random.randrange(7)
        if kind < 2:
            return self.send(begin, self.look, self.look, end), [None, None]
        if kind == 2:
            r = self.send(begin, self.look, "SELECT 1/0", "ROLLBACK")
            # In one exchange, the ROLLBACK was skipped.
            if self.c.status != "I":
                self.c.ask("ROLLBACK")
            return r, [None]
        if kind == 3:
            return self.queries("BEGIN", "SET TRANSACTION READ ONLY", self.look, end), [None]
        if kind == 4:
            self.c.send(wire.bind(statement="b") + wire.execute() + wire.bind(statement="l") + wire.execute() +
                        wire.bind(statement="e") + wire.execute() + wire.sync())
            return [self.c.until_ready()], [None]
        if kind == 5:
            return self.queries("ENTER a READ ONLY", self.look, "LEAVE"), [None]
        # In one write, the SELECT would stay with the server that has not answered the SET.
        self.c.ask("SET default_transaction_read_only = on")
        r = self.random.choice((self.c.ask, self.c.ask_extended))(self.look)
        self.c.ask("RESET default_transaction_read_only")
        return [r], [None]

    def write(self):
        kind = self.random.randrange(7)
        if kind == 0:
            return self.send(self.insert()), []
        if kind == 1:
            return self.send("BEGIN", self.insert(), self.look, "COMMIT"), [HERE]
        if kind == 2:
            return self.send("BEGIN READ ONLY, READ WRITE", self.insert(), self.look, "COMMIT"), [HERE]
        if kind == 3:
            return self.queries("BEGIN READ ONLY; " + self.look + "; COMMIT; " + self.insert()), [HERE]
        if kind == 4:
            return self.queries("BEGIN READ ONLY", self.look, "COMMIT; " + self.insert() + "; " + self.look), [None, HERE]
        if kind == 5:
            return self.send("BEGIN READ ONLY", self.look, "COMMIT", self.insert(), self.look), [None, HERE]
        return self.queries("ENTER a", self.insert(), self.look, "LEAVE"), [HERE]

    def step(self, seen, there=THERE, own=True):
        """One random transaction, or several in one write. `there`: where those run that only read; `own`: they must see
        what the client has written."""
        began, before = time.monotonic(), self.written
        writes = self.random.random() < self.writes
        self.sent = []
        results, sides = self.write() if writes else self.read()
        rows = [row for r in results for row in r.rows if len(row) == 2]
        errors = [e for r in results for e in r.errors if e.sqlstate not in ("22012",)]
        equal(errors, [], "errors of client %d" % self.number)
        now = time.monotonic()
        if sides and not rows and not writes:
            return  # its exchange ended with the error
        equal(len(rows), len(sides), "rows")
        for (side, n), want in zip(rows, sides):
            if want is None:
                if self.ended is None or began - self.ended > KEEP + 0.2:
                    equal(side, there, "a transaction that only reads, of client %d: %r" % (self.number, self.sent))
                elif now - self.began < KEEP - 0.2:
                    equal(side, HERE, "a transaction that only reads, of client %d that has written" % self.number)
                seen[side] += 1
                check(int(n) >= before or not own, "client %d reads %s, and has written %d" % (self.number, n, before))
            else:
                equal((side, int(n) in (before, self.written)), (HERE, True), "a transaction that may write")
                seen["w"] += 1
        if writes:
            self.began, self.ended = began, now


@test(timeout=240)
def random_transactions(t):
    """10,000 random transactions with a standby that lags by half a second: none lands on the wrong side, and each session
    reads what it has written"""
    pair = Pair(t, lag="%dms" % (LAG * 1000))
    d = pair.daemon(t, read_your_writes="%dms" % (KEEP * 1000), options={"log_level": "warn"})
    clients = [Random(t, d, n, writes) for n, writes in enumerate([0] * 4 + [0.002] * 8 + [0.3] * 4)]
    seen = {HERE: 0, THERE: 0, "w": 0}
    for _ in range(10000):
        t.random.choice(clients).step(seen)
    print("# %d read on the primary, %d on the standby, %d write" % (seen[HERE], seen[THERE], seen["w"]), flush=True)
    check(min(seen.values()) > 500, "each kind has come: %r" % seen)
    equal(pair.a.sql("SELECT count(*) FROM w"), [(str(sum(c.written for c in clients)),)], "rows written")
    d.quiet()
    d.quiet("replica")


@test(timeout=120)
def standby_comes_and_goes(t):
    """random transactions while the standby is stopped, killed and started again: no session notices"""
    pair = Pair(t)
    d = pair.daemon(t, replica={"retry_delay": "200ms"}, options={"log_level": "warn"})
    clients = [Random(t, d, n, 0.3) for n in range(8)]
    for c in clients:
        c.began = c.ended = -1e9  # read_your_writes is 0
    seen = {HERE: 0, THERE: 0, "w": 0}

    def steps(n, there):
        for _ in range(n):
            c = t.random.choice(clients)
            c.step(seen, there, own=False)
            c.began = c.ended = -1e9

    def is_back():
        r = clients[0].queries("BEGIN READ ONLY", WHERE, "COMMIT")
        return r[1].rows == [(THERE,)]
    for mode in ("fast", "immediate", "kill", "fast"):
        steps(200, THERE)
        if mode == "kill":
            pair.b.kill()
        else:
            pair.b.stop(mode)
        steps(200, HERE)
        pair.b.start()
        wait_until(is_back, 20, "the standby is used again")
    equal(pair.a.sql("SELECT count(*) FROM w"), [(str(sum(c.written for c in clients)),)], "rows written")
    d.quiet()
    d.quiet("replica")


main()
