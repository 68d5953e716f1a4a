"""BEGIN, COMMIT and ROLLBACK inside of scopes, as frameworks send them: a savepoint and its end, against what a direct
connection answers; and what ends the scopes that a program's own pool takes back with a connection: DISCARD ALL,
RESET ALL, ROLLBACK, as texts and from the pools themselves."""

import itertools
import os

from pgwtest import check, equal, main, test, unavailable, wait_until, wire
from pgwtest.scopelog import all_quiet, connect, driver, pools, refused


def module(name):
    try:
        return __import__(name)
    except ImportError:
        unavailable("no Python module " + name)


def scene(t, *more, **options):
    t.sql("CREATE TABLE marks (a int)")
    return t.daemon(pools=pools(t, "db", *more, **{"size": 2, **options}))


def marks(t):
    return sorted(int(r[0]) for r in t.sql("SELECT a FROM marks"))


def frames(c):
    return [row[2] for row in c.ask("SHOW SCOPES").rows]


# ---- programs, here and on a direct connection ---------------------------------------------------------
BEGINS = ("BEGIN", "begin;", "BEGIN WORK", "BEGIN TRANSACTION", "START TRANSACTION", "/* x */ Begin -- y",
          "START TRANSACTION READ WRITE", "BEGIN READ WRITE, ISOLATION LEVEL READ COMMITTED",
          "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
READ_ONLY = ("BEGIN READ ONLY", "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY")
COMMITS = ("COMMIT", "commit;", "COMMIT WORK", "COMMIT TRANSACTION", "END", "end work", "COMMIT AND NO CHAIN",
           " END TRANSACTION AND NO CHAIN ;", "(/* */", "--\nCOMMIT")
ROLLBACKS = ("ROLLBACK", "rollback;", "ROLLBACK WORK", "ROLLBACK TRANSACTION", "ABORT", "abort work",
             "ROLLBACK AND NO CHAIN", "ABORT TRANSACTION AND NO CHAIN")
CHAINS = ("COMMIT AND CHAIN", "END WORK AND CHAIN", "ROLLBACK AND CHAIN", "ABORT TRANSACTION AND CHAIN")
COMMITS = tuple(x for x in COMMITS if not x.startswith("("))
NAMED = {"b": "BEGIN", "ro": "BEGIN READ ONLY", "c": "COMMIT", "r": "ROLLBACK", "ch": "COMMIT AND CHAIN"}


class Program:
    """Statements of a client that knows nothing of scopes, none of which fails outside of its own transactions."""

    def __init__(self, rng):
        self.rng, self.next, self.points = rng, 0, 0
        self.chains = rng.random() < 0.5

    def insert(self):
        self.next += 1
        return "INSERT INTO marks VALUES (%d)" % self.next

    def inside(self):
        """What is done in a transaction."""
        rng, out = self.rng, []
        for _ in range(rng.randrange(0, 4)):
            pick = rng.randrange(8)
            if pick < 4:
                out.append(self.insert())
            elif pick == 4:
                out.append(rng.choice(("SELECT 1/0", "SELECT nonsense", "nonsense", "RELEASE SAVEPOINT nowhere",
                                       "ROLLBACK TO nowhere")))
            elif pick == 5:
                out.append(rng.choice(BEGINS[:6]))
            else:
                self.points += 1
                name = rng.choice(("s%d" % self.points, '"S %d"' % self.points))
                out += ["SAVEPOINT " + name, self.insert(), rng.choice(("RELEASE ", "ROLLBACK TO ")) + name]
        return out

    def block(self):
        rng = self.rng
        out = [rng.choice(BEGINS if self.chains or rng.random() < 0.85 else READ_ONLY)] + self.inside()
        # PostgreSQL 15 forgets READ ONLY over AND CHAIN if there was an error.
        while self.chains and rng.random() < 0.15:
            out += [rng.choice(CHAINS)] + self.inside()
        return out + [rng.choice(COMMITS if rng.random() < 0.6 else ROLLBACKS)]

    def steps(self):
        """[(how, statements)]: what is sent at once."""
        rng, out = self.rng, []
        for _ in range(rng.randrange(1, 5)):
            block = self.block()
            # PostgreSQL parses a text before it does any of it; pgwithd sends its parts one by one.
            if rng.random() < 0.25 and "nonsense" not in block:
                out.append(("text", block))
                continue
            for sql in block:
                named = [n for n, x in NAMED.items() if x == sql]
                how = rng.choice(("simple", "extended", "named") if named else ("simple", "extended"))
                out.append((how, [named[0] if how == "named" else sql]))
            if rng.random() < 0.3:
                out.append(("simple", [self.insert()]))
        return out


def prepare(c):
    for name, sql in NAMED.items():
        c.send(wire.parse(sql, name))
    c.send(wire.sync())
    equal(c.until_ready().errors, [], "prepared statements")


def send(c, how, statements):
    if how == "named":
        c.send(wire.bind(statement=statements[0]) + wire.describe("P") + wire.execute() + wire.sync())
        return c.until_ready()
    if how == "extended":
        return c.ask_extended(statements[0])
    return c.ask("; ".join(x.rstrip("; ") + ("\n" if "--" in x else "") for x in statements) if how == "text" else statements[0])


def said(r, inside):
    """Status I of a direct connection is T in a scope."""
    return (r.tags, [(e.sqlstate, e.message) for e in r.errors], "T" if inside and r.status == "I" else r.status,
            [(n["C"], n["M"]) for n in r.notices])


OUTSIDE = (("ENTER a",), ("ENTER LOCK 'l', a",), ("BEGIN", "ENTER a"), ("ENTER a", "ENTER b"), ("ENTER a", "BEGIN", "ENTER b"),
           ("ENTER a ON p2", "USE a"), ("BEGIN", "ENTER LOCK 'l'"))


@test
def as_a_direct_connection(t):
    """random programs of BEGIN, COMMIT, ROLLBACK in every spelling, with errors, savepoints and AND CHAIN, as simple
    queries, texts, unnamed and named statements: inside of scopes each answer is a direct connection's, and the rows too"""
    rounds = int(os.environ.get("PGWITH_BEGIN_ROUNDS", "60"))
    d = scene(t, "p2")
    direct = t.direct()
    for n in range(rounds):
        t.sql("TRUNCATE marks")
        program = Program(t.random).steps()
        prepared = t.direct()
        prepare(prepared)
        want = []
        for step in program:
            r = send(prepared, *step)
            want.append(said(r, True))
            if step is program[-1] and r.status != "I":
                # A text has had an error in its middle.
                program.append(("simple", ["ROLLBACK"]))
        prepared.close()
        rows = marks(t)
        t.sql("TRUNCATE marks")
        outside = OUTSIDE[n % len(OUTSIDE)]
        c = t.client(d)
        prepare(c)
        for sql in outside:
            equal(c.ask(sql).errors, [], sql)
        depth = len(frames(c))
        for step, what in zip(program, want):
            equal(said(send(c, *step), False), what, "round %d, %s, in %s: %s" % (n, program, outside, step))
        equal(len(frames(c)), depth, "what is open in the end, round %d" % n)
        equal(marks(t), [], "nobody sees it before the scope's end")
        while depth:
            last = frames(c)[-1]
            equal(c.ask("COMMIT" if last in ("implicit", "block") else "LEAVE").errors, [], "the end, " + last)
            depth -= 1
            if c.ask("SHOW SCOPES").rows == [] and outside[0] == "BEGIN":
                c.ask("COMMIT")
                break
        equal(marks(t), rows, "rows of round %d: %s" % (n, program))
        c.close()
        all_quiet(d, "db", "p2")
    direct.close()


@test
def rolled_back_with_the_scope(t):
    """what its COMMIT has kept is the scope's: LEAVE ROLLBACK, an error behind it, and the client's death undo it"""
    d = scene(t)
    for end in ("LEAVE ROLLBACK", "SELECT 1/0", None):
        c = t.client(d)
        c.sql("ENTER a")
        equal(c.ask("BEGIN; INSERT INTO marks VALUES (1); COMMIT").tags, ["BEGIN", "INSERT 0 1", "COMMIT"], "the block")
        if end:
            c.ask(end)
            c.ask("LEAVE")
        c.drop()
        all_quiet(d, "db")
        equal(marks(t), [], "rows after %s" % end)
    for inside in ("", "ENTER b", "ENTER LOCK 'l'"):
        c = t.client(d)
        c.sql("ENTER a; BEGIN; INSERT INTO marks VALUES (1)")
        c.ask(inside)
        c.drop()
        all_quiet(d, "db")
        equal((marks(t), d.show("LOCKS")), ([], []), "left in a block, " + inside)


@test
def options_that_cannot_be(t):
    """modes of BEGIN that a savepoint cannot have: PostgreSQL's own error, no block, and the scope is as before"""
    d = scene(t)
    c = t.client(d)
    for used, modes, sqlstate in itertools.product(("", "SELECT 1"), ("ISOLATION LEVEL SERIALIZABLE", "ISOLATION LEVEL REPEATABLE READ",
                                                   "DEFERRABLE", "READ ONLY, NOT DEFERRABLE"), ("25001",)):
        for begin in ("BEGIN ", "START TRANSACTION "):
            c.sql("ENTER a; INSERT INTO marks VALUES (0)" if used else "ENTER a")
            for ask in (c.ask, c.ask_extended):
                r = ask(begin + modes)
                equal(([e.sqlstate for e in r.errors], r.status, frames(c)), ([sqlstate], "T", ["transaction"]), begin + modes)
            equal(c.ask("LEAVE ROLLBACK").errors, [], "LEAVE")
    # one that the scope has is had
    c.sql("ENTER a ISOLATION LEVEL SERIALIZABLE READ ONLY")
    equal(c.ask("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SHOW transaction_isolation; COMMIT").rows, [("serializable",)], "its own")
    equal([e.sqlstate for e in c.ask("BEGIN READ WRITE").errors], ["25001"], "READ WRITE in a scope that is READ ONLY")
    c.sql("LEAVE")
    # read only is over with the block, and goes on over AND CHAIN
    c.sql("ENTER a")
    r = c.ask("BEGIN READ ONLY; SHOW transaction_read_only; COMMIT AND CHAIN; SHOW transaction_read_only; COMMIT; SHOW transaction_read_only")
    equal([x for x, in r.rows], ["on", "on", "off"], "READ ONLY")
    c.sql("LEAVE")
    # what PostgreSQL does not understand is its error
    for wrong in ("BEGIN ISOLATION LEVEL SERIALIZABLE,", "BEGIN READ", "BEGIN x", "START", "START TRANSACTION DEFERRABLE x"):
        c.sql("ENTER a")
        equal([e.sqlstate for e in c.ask(wrong).errors], ["42601"], wrong)
        equal(c.ask("LEAVE ROLLBACK").errors, [], "LEAVE")
    all_quiet(d, "db")


@test
def in_order(t):
    """a block and the scopes in and around it end in order: what crosses is refused, and changes nothing"""
    d = scene(t, "p2")
    c = t.client(d)

    def refuses(sql, sqlstate, words=""):
        before = c.ask("SHOW SCOPES").rows
        r = c.ask(sql)
        equal(([e.sqlstate for e in r.errors], r.status), ([sqlstate], "T"), sql)
        check(words in r.errors[0].message, "%r in %s" % (words, r.errors[0]))
        equal([row[:6] for row in c.ask("SHOW SCOPES").rows], [row[:6] for row in before], "nothing changes")

    c.sql("ENTER a; BEGIN")
    for sql in ("LEAVE", "EXIT a", "LEAVE ALL", "LEAVE ROLLBACK", "USE a"):
        refuses(sql, "25001")
    refuses("PREPARE TRANSACTION 'x'", "2D000")
    c.sql("ENTER b")
    for sql in ("COMMIT", "END", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"):
        refuses(sql, "2D000", '"b"')
    refuses("LEAVE a", "55000")
    refuses("LEAVE ALL", "25001")
    c.sql("LEAVE b; ENTER LOCK 'l'")
    refuses("COMMIT", "2D000", '"l"')
    c.sql("LEAVE 'l'; COMMIT")
    for sql in ("COMMIT", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "PREPARE TRANSACTION 'x'"):
        refuses(sql, "2D000", '"a"')
    # DEFER is for the end of the block
    c.sql("BEGIN; DEFER ON COMMIT 'INSERT INTO marks VALUES (1)'; DEFER ON ROLLBACK 'INSERT INTO marks VALUES (2)'; COMMIT")
    c.sql("BEGIN; DEFER ON COMMIT 'INSERT INTO marks VALUES (3)'; DEFER ON ROLLBACK 'INSERT INTO marks VALUES (4)'; ROLLBACK")
    c.sql("LEAVE")
    equal(marks(t), [1, 4], "rows")
    # two pools: a block is in the one that statements go to
    c.sql("ENTER a, b ON p2; BEGIN; INSERT INTO marks VALUES (5); COMMIT; USE a; BEGIN; INSERT INTO marks VALUES (6); ROLLBACK; LEAVE ALL")
    equal(marks(t), [1, 4, 5], "rows")
    all_quiet(d, "db", "p2")


@test
def after_a_deadline(t):
    """a block in a scope whose deadline has passed: its COMMIT or ROLLBACK, in either protocol, is answered with ROLLBACK,
    and LEAVE says why"""
    d = scene(t)
    for end, how in itertools.product(("COMMIT", "ROLLBACK"), ("simple", "extended", "named")):
        c = t.client(d)
        prepare(c)
        c.sql("ENTER a DEADLINE '100ms'; BEGIN; INSERT INTO marks VALUES (1)")
        equal([e.sqlstate for e in c.ask("SELECT pg_sleep(60)").errors], ["57014"], "the deadline")
        wait_until(lambda: c.ask("SHOW SCOPES").rows[-1][4] == "expired", 5, "it has expired")
        equal([e.sqlstate for e in c.ask("SELECT 1").errors], ["57014"], "a statement")
        r = send(c, how, ["c" if end == "COMMIT" else "r"] if how == "named" else [end])
        equal((r.tags, r.errors, r.status), (["ROLLBACK"], [], "E"), end)
        equal(([e.sqlstate for e in c.ask("LEAVE").errors], c.ask("SELECT 1").status), (["57014"], "I"), "LEAVE")
        c.close()
    all_quiet(d, "db")
    equal(marks(t), [], "rows")


# ---- frameworks ----------------------------------------------------------------------------------------
@test
def by_psycopg(t):
    """psycopg 3 and psycopg2, in autocommit and not: their own transactions in a scope"""
    psycopg = driver()
    d = scene(t)
    c = connect(t, d)
    c.execute("ENTER a")
    c.execute("BEGIN")
    with c.transaction():
        c.execute("INSERT INTO marks VALUES (1)")
        try:
            with c.transaction():
                c.execute("INSERT INTO marks VALUES (2)")
                c.execute("SELECT 1/0")
        except psycopg.errors.DivisionByZero:
            pass
    c.commit()
    c.execute("BEGIN")
    c.execute("INSERT INTO marks VALUES (3)")
    c.rollback()
    c.execute("LEAVE")
    equal(marks(t), [1], "rows")
    psycopg2 = module("psycopg2")
    k = psycopg2.connect(d.dsn())
    t.defer(k.close)
    k.autocommit = True
    cur = k.cursor()
    cur.execute("ENTER a")
    k.autocommit = False
    for n, end in enumerate((k.commit, k.rollback, k.commit)):
        cur.execute("INSERT INTO marks VALUES (%s)", (10 + n,))
        end()
    k.autocommit = True
    cur.execute("LEAVE")
    equal(marks(t), [1, 10, 12], "rows")
    all_quiet(d, "db")


@test
def by_django(t):
    """Django: atomic(), nested, on_commit() and a rollback, inside of a scope"""
    django = module("django")
    from django.conf import settings
    d = scene(t)
    if not settings.configured:
        settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "db", "USER": "postgres",
                                                  "HOST": d.sockets, "PORT": str(d.port)}}, USE_TZ=True)
        django.setup()
    from django.db import connection, transaction
    done = []
    with connection.cursor() as cur:
        cur.execute("ENTER a")
        with transaction.atomic():
            cur.execute("INSERT INTO marks VALUES (1)")
            try:
                with transaction.atomic():
                    cur.execute("INSERT INTO marks VALUES (2)")
                    cur.execute("SELECT 1/0")
            except django.db.DataError:
                pass
            transaction.on_commit(lambda: done.append(1))
        try:
            with transaction.atomic():
                cur.execute("INSERT INTO marks VALUES (3)")
                raise ValueError
        except ValueError:
            pass
        with transaction.atomic(durable=True):
            cur.execute("INSERT INTO marks VALUES (4)")
        equal(marks(t), [], "before LEAVE")
        cur.execute("LEAVE")
    connection.close()
    equal((marks(t), done), ([1, 4], [1]), "rows, and on_commit()")
    all_quiet(d, "db")


# ---- what a program's own pool does --------------------------------------------------------------------
ASYNCPG = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"
NPGSQL = ("SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); "
          "DISCARD SEQUENCES; DISCARD TEMP")
RESETS = ("DISCARD ALL", "discard all;", "/* reset */ Discard\n--\nAll", "RESET ALL", "reset all;", ASYNCPG, "ROLLBACK;\n" + ASYNCPG,
          NPGSQL, "ROLLBACK; " + NPGSQL)
LEFT = {  # what is open, and whether it is inside a transaction that the client has begun
    "a lock": ("ENTER LOCK 'l'", False),
    "a shared lock and a semaphore": ("ENTER LOCK 'l' SHARED, SEMAPHORE 's' LIMIT 1", False),
    "a transaction": ("ENTER a; INSERT INTO marks VALUES (1)", False),
    "a lock and a transaction": ("ENTER LOCK 'l', a; INSERT INTO marks VALUES (1)", False),
    "two pools and a savepoint": ("ENTER a, b ON p2; INSERT INTO marks VALUES (1); USE a; ENTER c; INSERT INTO marks VALUES (1)", False),
    "a lock inside a transaction": ("ENTER a; INSERT INTO marks VALUES (1); ENTER LOCK 'l'", False),
    "a lock in a BEGIN": ("BEGIN; ENTER LOCK 'l'; INSERT INTO marks VALUES (1)", True),
    "a BEGIN in a lock": ("ENTER LOCK 'l'; BEGIN; INSERT INTO marks VALUES (1)", True),
    "a BEGIN in a transaction": ("ENTER LOCK 'l', a; BEGIN; INSERT INTO marks VALUES (1)", True),
    "a scope in a BEGIN in a transaction": ("ENTER a; BEGIN; ENTER LOCK 'l', b; INSERT INTO marks VALUES (1)", True),
}


def left_behind(t, d, c, text, how, what):
    """The reset, by a program that leaves that behind. The next user of the session, and of the lock, finds nothing."""
    r = c.ask(text) if how == "simple" else c.ask_extended(text)
    equal((r.errors, r.status), ([], "I"), what)
    ours = [n for n in r.notices if n["C"] == "01000"]
    equal(([n["S"] for n in ours]), ["WARNING"], "the warning, " + what)
    equal(c.ask("SHOW SCOPES").rows, [], "scopes, " + what)
    with d.connect("db") as other:
        for sql in ("ENTER LOCK 'l' WAIT '0'; LEAVE", "ENTER SEMAPHORE 's' LIMIT 1 WAIT '0'; LEAVE"):
            equal(other.ask(sql).errors, [], "a neighbour, " + what)
    all_quiet(d, "db", "p2")
    equal(marks(t), [], "rows, " + what)
    equal(c.ask("ENTER a; SELECT 1; LEAVE").errors, [], "it goes on, " + what)


@test
def reset_by_a_text(t):
    """DISCARD ALL, RESET ALL and the texts of drivers' pools end whatever is open, roll it back, warn, and are executed"""
    d = scene(t, "p2", size=3)
    count = 0
    for (name, (opens, begun)), text in itertools.product(LEFT.items(), RESETS):
        # A pool does not send RESET ALL into a transaction that its driver has begun.
        if begun and not text.lower().lstrip().startswith(("discard", "/*", "rollback")):
            continue
        # Of DISCARD ALL and others in one text PostgreSQL says that it cannot be done.
        for how in ("simple", "extended") if text.rstrip(";").count(";") == 0 else ("simple",):
            c = t.client(d)
            c.sql(opens)
            if text.startswith("ROLLBACK;"):
                # Its ROLLBACK ends those in the transaction, its RESET ALL the others.
                equal((c.ask(text).errors, c.ask("SHOW SCOPES").rows), ([], []), "%s, %s" % (name, text))
                all_quiet(d, "db", "p2")
                equal((marks(t), d.show("LOCKS")), ([], []), "%s, %s" % (name, text))
            else:
                left_behind(t, d, c, text, how, "%s, %s, %s" % (name, text, how))
            c.close()
            count += 1
    check(count >= 90, "%d cases" % count)
    # what repeats is folded
    with open(d.log) as f:
        lines = [x for x in f if "scopes left behind" in x]
    check(" warn session " in lines[0] and 'statement="DISCARD ALL" count=1 names="l"' in lines[0], "the log: %s" % lines[:3])


@test
def reset_of_what_failed(t):
    """the same of scopes that have failed, or whose deadline has passed, in either protocol"""
    d = scene(t, "p2", size=3)
    for text, how, fail in itertools.product(("DISCARD ALL", "RESET ALL", "ROLLBACK"), ("simple", "extended"), (True, False)):
        c = t.client(d)
        c.sql("ENTER LOCK 'l', a; INSERT INTO marks VALUES (1)" if fail else "ENTER LOCK 'l', a DEADLINE '50ms'")
        c.ask("SELECT 1/0" if fail else "SELECT pg_sleep(60)")
        left_behind(t, d, c, text, how, "%s, %s, %s" % (text, how, "failed" if fail else "expired"))
        c.close()


@test
def rollback_at_the_top(t):
    """ROLLBACK ends the client's own BEGIN and the scopes inside it; where there is none, all scopes; a lock alone is let be"""
    d = scene(t, "p2", size=3)
    for how in ("simple", "extended"):
        for opens, stay in (("ENTER a", []), ("ENTER LOCK 'l', a, b ON p2", []), ("BEGIN; ENTER LOCK 'l', a", []),
                            ("BEGIN; ENTER LOCK 'l'", []), ("ENTER LOCK 'l'; BEGIN; ENTER a", ["lock"]),
                            ("ENTER a; BEGIN; ENTER LOCK 'l', b", ["transaction"]), ("ENTER LOCK 'l'", ["lock"]),
                            ("ENTER LOCK 'l'; BEGIN", ["lock"]), ("ENTER a; BEGIN", ["transaction"])):
            c = t.client(d)
            c.sql(opens)
            r = c.ask("ROLLBACK") if how == "simple" else c.ask_extended("ROLLBACK")
            equal((r.tags, r.errors, frames(c)), (["ROLLBACK"], [], stay), opens)
            c.drop()
            all_quiet(d, "db", "p2")
            equal(d.show("LOCKS"), [], "locks")


@test
def reset_all_in_a_transaction(t):
    """RESET ALL in a transaction that the client has begun, and RESET of one parameter anywhere, end nothing"""
    d = scene(t)
    for opens, text in itertools.product(("ENTER a; BEGIN", "BEGIN; ENTER a", "ENTER LOCK 'l'; BEGIN", "BEGIN; ENTER LOCK 'l'"), ("RESET ALL",)):
        c = t.client(d)
        c.sql(opens)
        before = frames(c)
        for ask in (c.ask, c.ask_extended):
            equal((ask(text).errors, frames(c)), ([], before), opens)
        c.close()
    c = t.client(d)
    c.sql("ENTER LOCK 'l', a")
    for text in ("RESET work_mem", "SET work_mem = '8MB'", "DISCARD PLANS", "SELECT 'RESET ALL; DISCARD ALL'", "RESET SESSION AUTHORIZATION",
                 "SELECT 1 AS \"reset all\"", "/* DISCARD ALL */ SELECT 1"):
        for ask in (c.ask, c.ask_extended):
            equal((ask(text).errors, frames(c)), ([], ["lock", "transaction"]), text)
    c.sql("LEAVE ALL")
    all_quiet(d, "db")


@test
def reset_by_pools(t):
    """the pools of psycopg and SQLAlchemy, and psycopg2's reset(): what one user of a connection leaves open, the next has not"""
    d = scene(t)
    psycopg_pool, sqlalchemy, psycopg2 = module("psycopg_pool"), module("sqlalchemy"), module("psycopg2")

    def free(what):
        all_quiet(d, "db")
        equal((d.show("LOCKS"), d.show("SCOPES"), marks(t)), ([], [], []), what)

    for autocommit in (False, True):
        with psycopg_pool.ConnectionPool(d.dsn(), min_size=1, max_size=1, kwargs={"autocommit": autocommit}) as pool:
            for opens in ("ENTER a", "ENTER LOCK 'l', a", "ENTER a, LOCK 'l'"):
                connection = pool.getconn()
                connection.execute(opens)
                connection.execute("INSERT INTO marks VALUES (1)")
                pool.putconn(connection)
                wait_until(lambda: not d.show("SCOPES"), 5, "psycopg_pool, " + opens)
                free("psycopg_pool, " + opens)
                with pool.connection() as k:
                    equal([r[2] for r in k.execute("SHOW SCOPES").fetchall()], [] if autocommit else ["implicit"],
                          "the next user has nothing but the BEGIN of its driver, " + opens)
    engine = sqlalchemy.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(d.dsn()), pool_size=1, max_overflow=0,
                                      future=True)
    for opens in ("ENTER LOCK 'l'", "ENTER a", "ENTER LOCK 'l', a", "ENTER a, LOCK 'l'"):
        with engine.connect() as c:
            pid = c.connection.connection.get_backend_pid()
            c.exec_driver_sql(opens)
            c.exec_driver_sql("INSERT INTO marks VALUES (1)")
        free("SQLAlchemy, " + opens)
        with engine.connect() as c:
            equal(c.connection.connection.get_backend_pid(), pid, "the connection is kept")
            equal([r[2] for r in c.exec_driver_sql("SHOW SCOPES").fetchall()], ["implicit"],
                  "the next user has nothing but the BEGIN of its driver, " + opens)
    engine.dispose()
    k = psycopg2.connect(d.dsn())
    for autocommit, opens in itertools.product((True, False), ("ENTER LOCK 'l'", "ENTER LOCK 'l', a")):
        k.autocommit = autocommit
        k.cursor().execute(opens)
        k.reset()
        free("psycopg2's reset(), " + opens)
    k.close()


if __name__ == "__main__":
    main()
