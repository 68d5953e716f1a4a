"""Parameters of a session, wherever it is: those of its startup packet and those that it has set. The answer of a
direct connection is the right one."""

import itertools

from pgwtest import check, equal, main, note, test, unavailable, wait_until, wire


class Moving:
    """A client whose every statement can come to another server than the one before: others come between, which
    have set other things."""

    def __init__(self, t, d, **params):
        self.t, self.d = t, d
        self.c = t.client(d, **params)
        self.others = [t.client(d) for _ in range(2)]
        for i, o in enumerate(self.others):
            o.sql("SET work_mem = '%dMB'" % (7 + i))

    def move(self):
        """Its last server is another's, for as long as it runs one statement."""
        self.others.reverse()
        self.others[0].sql("SHOW work_mem")

    def ask(self, sql, extended=False):
        self.move()
        return self.c.ask_extended(sql) if extended else self.c.ask(sql)

    def value(self, sql):
        self.move()
        return self.c.value(sql)


# ---- values ----------------------------------------------------------------------------------------
SIZES = [1, 1000, 60000, 250000, 262144, 300000, 600000, 1100000, 3000000]


@test
def long_values(t):
    """a value of any length is the session's, here or by keeping its server, and nobody else's; with pin = off
    the session that has one which cannot be kept is told at once"""
    d = t.daemon(size=2)
    for size in SIZES:
        for sql in ("SELECT length(set_config('app.x', repeat('y', %d), false))" % size,
                    "SELECT length(set_config('app.x', repeat('''\\', %d), false))" % (size // 2),
                    "BEGIN; SELECT length(set_config('app.x', repeat('y', %d), false)); COMMIT" % size):
            m = Moving(t, d)
            got = m.ask(sql).rows
            length = "SELECT length(current_setting('app.x', true))"
            for _ in range(3):
                equal([(m.value(length),)], got, "%d bytes" % size)
                equal(m.others[0].value("SELECT coalesce(current_setting('app.x', true), '')"), "", "another's")
            m.c.sql("SET app.x = 'short'")
            equal(m.value("SHOW app.x"), "short", "set anew")
            m.c.close()
            for o in m.others:
                o.close()
    # In a scope.
    for size in SIZES:
        c = t.client(d)
        c.sql("ENTER a")
        c.sql("SELECT set_config('app.x', repeat('y', %d), false)" % size)
        c.sql("EXIT a")
        equal(c.value("SELECT length(current_setting('app.x'))"), str(size), "set in a scope")
        c.close()
    d.quiet()
    d = t.daemon(size=1, pin="off")
    for size in SIZES:
        c = t.client(d)
        c.ask("SELECT length(set_config('app.x', repeat('y', %d), false))" % size)
        try:
            equal(c.value("SELECT length(current_setting('app.x'))"), str(size), "it is kept")
        except wire.ServerError as e:
            check(size > 200000 and "pin = off" in e.message, "the error says it: %s" % e.message)
        except BrokenPipeError:  # the session had ended before it was asked: the error is here
            errors = c.until_closed().errors
            check(size > 200000 and "pin = off" in errors[0].message, "the error says it: %s" % errors)
        except wire.Closed:
            check(False, "no word")
        equal(t.client(d).value("SELECT coalesce(current_setting('app.x', true), '')"), "", "another's")


@test
def case_of_a_value(t):
    """values that differ from the pool's default only in case are not the default"""
    for schema in ("Tenant", "tenant"):
        t.sql('CREATE SCHEMA "%s"' % schema)
        t.sql('CREATE TABLE "%s".who AS SELECT \'%s\' AS name' % (schema, schema))
    t.sql('ALTER DATABASE "%s" SET search_path = tenant' % t.database)
    t.sql('ALTER DATABASE "%s" SET application_name = \'myapp\'' % t.database)
    d = t.daemon(size=1)
    for params in ({"search_path": '"Tenant"'}, {"search_path": '"tenant"'}, {"search_path": "Tenant"},
                   {"options": '-c search_path="Tenant"'}, {"client_encoding": "utf8"}, {"client_encoding": "UTF-8"},
                   {"timezone": "utc"}, {"datestyle": "iso, mdy"}, {"IntervalStyle": "POSTGRES"},
                   {"standard_conforming_strings": "ON"}, {"default_transaction_read_only": "OFF"}, {}):
        m = Moving(t, d, **params)
        with t.cluster.connect(t.database, **params) as direct:
            for ask in ("SELECT name FROM who", "SHOW search_path", "SHOW TimeZone", "SHOW client_encoding",
                        "SHOW DateStyle", "SHOW IntervalStyle"):
                equal(m.value(ask), direct.value(ask), "%s with %s" % (ask, params))
        m.c.close()


HIDDEN = ["dynamic_library_path", "session_preload_libraries"]


@test
def what_only_a_superuser_sees(t):
    """what a superuser has set is there again when the role that he has taken is given up, though that role cannot
    see it: on the same server and on another, by SET ROLE and SET SESSION AUTHORIZATION"""
    t.cluster.role("weak")
    names = [r[0] for r in t.sql("SELECT name FROM pg_settings WHERE context = 'superuser' AND name IN"
                                 " (%s)" % ", ".join("'%s'" % n for n in HIDDEN))]
    check(names, "there are some")
    d = t.daemon(size=2)
    for take, give in (("SET ROLE weak", "RESET ROLE"), ("SET ROLE weak", "SET ROLE none"),
                       ("SET SESSION AUTHORIZATION weak", "RESET SESSION AUTHORIZATION"),
                       ("SET SESSION AUTHORIZATION weak; SET ROLE weak", "RESET SESSION AUTHORIZATION"),
                       ("DO $$BEGIN SET ROLE weak; END$$", "RESET ROLE")):
        m = Moving(t, d)
        with t.cluster.connect(t.database) as direct:
            for n in names:
                for x in (m.ask, direct.ask):
                    value = "$libdir:/nowhere" if n == "dynamic_library_path" else "auto_explain"
                    equal(x("SET %s = '%s'" % (n, value)).errors, [], "SET " + n)
            for sql in ([take] if "$$" in take else take.split("; ")) + ["SET work_mem = '9MB'", "SELECT 1"]:
                for x in (m.ask, direct.ask):
                    equal(x(sql).errors, [], sql)
            equal(m.value("SELECT current_user || session_user"), direct.value("SELECT current_user || session_user"),
                  "the role in force")
            equal([e.sqlstate for e in m.ask("SHOW " + names[0]).errors], ["42501"], "hidden")
            m.move()
            for x in (m.ask, direct.ask):
                equal(x(give).errors, [], give)
            for n in names + ["work_mem"]:
                equal(m.value("SHOW " + n), direct.value("SHOW " + n), "%s after %s and %s" % (n, take, give))
        m.c.close()
    for name in names:
        equal(t.client(d).value("SHOW " + name), t.value("SHOW " + name), "another's " + name)


@test
def hidden_and_reset(t):
    """what a superuser has set, by a text or in a procedure, stays set under a role that does not see it, and is reset
    if another superuser resets it"""
    t.cluster.role("weak")
    t.cluster.role("other", "SUPERUSER")
    t.sql("CREATE PROCEDURE give(name text, value text) LANGUAGE plpgsql AS $$BEGIN PERFORM set_config(name, value, false); END$$")
    t.sql("CREATE FUNCTION seen(text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$SELECT current_setting($1)$$")
    d = t.daemon(size=2)
    back, other = "RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION other"
    for name in HIDDEN + ["work_mem"]:
        # PostgreSQL 18 looks for plpgsql where dynamic_library_path says.
        first, second = ("$libdir:/first", "$libdir:/second") if name == "dynamic_library_path" else ("9MB", "3MB")
        programs = [["SET SESSION AUTHORIZATION weak"], ["SET SESSION AUTHORIZATION weak", back, "SET ROLE weak"], [other]]
        for reset in ("RESET " + name, "RESET ALL", "SELECT set_config('%s', NULL, false)" % name, "DO $$BEGIN RESET %s; END$$" % name):
            programs += [[other, reset], [other, reset, "CALL give('%s', '%s')" % (name, second)]]
        for given in ("SET %s = '%s'" % (name, first), "CALL give('%s', '%s')" % (name, first)):
            for program in programs:
                m, seen = Moving(t, d), []
                with t.cluster.connect(t.database) as direct:
                    for x in (m, direct):
                        got = []
                        for sql in [given] + program + ["SET lock_timeout = '9s'", back, "RESET ROLE"]:
                            equal(x.ask(sql).errors, [], sql)
                            got.append((sql, x.value("SELECT seen('%s')" % name)))
                        seen.append(got)
                equal(seen[0], seen[1], "%s, then %s" % (given, program))
                for c in [m.c] + m.others:
                    c.close()
    # pg_settings lists no role at all.
    m = Moving(t, d)
    for role, want in (("weak", "weak"), ("none", "postgres")):
        m.ask("CALL give('role', '%s')" % role)
        equal([m.value("SELECT current_user") for _ in range(3)], [want] * 3, "role " + role)


# ---- what was told and asked at login --------------------------------------------------------------
RELIED_ON = {"client_encoding": "LATIN1", "DateStyle": "German, DMY", "IntervalStyle": "sql_standard",
             "TimeZone": "Asia/Tokyo", "standard_conforming_strings": "off"}
ASKED = [{}, {"client_encoding": "UTF8", "DateStyle": "ISO"}, {"client_encoding": "utf-8", "options": "-c datestyle=iso"},
         {"TimeZone": "UTC", "IntervalStyle": "postgres", "standard_conforming_strings": "on"},
         {"TimeZone": "Europe/Berlin", "DateStyle": "SQL, DMY"}, {"search_path": '"$user", public', "work_mem": "4MB"}]
SHOWN = list(RELIED_ON) + ["search_path", "work_mem", "default_transaction_read_only"]


def shown(c):
    return {n: c.value("SHOW " + n) for n in SHOWN}


@test
def defaults_change(t):
    """what a client was told or has asked for at login goes on to hold when servers come that have other defaults,
    whoever has changed them and however the servers came; so it does after RESET; new clients have the new ones"""
    t.sql("CREATE TABLE words (w text)")
    t.sql("CREATE ROLE pooled LOGIN SUPERUSER")
    for where in ("ROLE pooled", 'DATABASE "%s"' % t.database):
        for how in ("RECONNECT", "killed", "one of two"):
            d = t.daemon(size=2, conninfo=t.conninfo(user="pooled"))
            clients = [(params, d.connect(**params)) for params in ASKED]
            before = [(shown(c), dict(c.parameters)) for _, c in clients]
            holder = d.connect()
            if how == "one of two":
                holder.sql("BEGIN; SELECT 1")
            for name, value in RELIED_ON.items():
                t.sql("ALTER %s SET %s = '%s'" % (where, name, value))
            t.sql("ALTER %s SET search_path = nowhere" % where)
            if how == "killed":
                t.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pooled'")
                wait_until(lambda: not d.server_pids(), 5, "its servers are gone")
            else:
                d.console("RECONNECT")
            if how == "one of two":
                holder.sql("COMMIT")
            for sql in (None, "RESET ALL", "RESET DateStyle", "DISCARD ALL", "SET TimeZone TO DEFAULT",
                        "SET client_encoding = 'UTF8'"):
                for i, (params, c) in enumerate(clients):
                    if sql:
                        c.sql(sql)
                    now = shown(c)
                    for name in RELIED_ON:
                        equal(now[name], before[i][0][name], "%s of %s after %s, %s" % (name, params, how, sql))
                        equal(c.parameters.get(name), before[i][1].get(name), "%s of %s as told" % (name, params))
                    for name in params:
                        if name in SHOWN:
                            equal(now[name], before[i][0][name], "%s of %s after %s, %s" % (name, params, how, sql))
            for params, c in clients:
                c.send(wire.message("Q", "INSERT INTO public.words VALUES ('\u00e9')\0".encode()))
                equal(c.until_ready().errors, [], "a word")
            equal(t.sql("SELECT DISTINCT length(w) FROM words"), [("1",)], "it is one character each time")
            with d.connect() as new, wire.Client(t.cluster.sockets, t.cluster.port, t.database, "pooled") as direct:
                equal({n: new.value("SHOW " + n) for n in RELIED_ON}, {n: direct.value("SHOW " + n) for n in RELIED_ON},
                      "of a new client")
                equal({n: new.parameters[n] for n in RELIED_ON}, {n: direct.parameters[n] for n in RELIED_ON},
                      "as it is told")
            for _, c in clients:
                c.close()
            holder.close()
            t.sql("ALTER %s RESET ALL; TRUNCATE words" % where)
            d.stop()
    t.sql("DROP ROLE pooled")



# ---- RESET -----------------------------------------------------------------------------------------
PACKET = {"search_path": 'tenant, "$user", "Odd ""Name"', "DateStyle": "German", "work_mem": "5MB", "TimeZone": "Asia/Tokyo",
          "options": "-c app.who=alice -c extra_float_digits=0 -c lock_timeout=3s"}
LOOKED_AT = ["search_path", "DateStyle", "work_mem", "TimeZone", "app.who", "extra_float_digits", "lock_timeout",
             "statement_timeout", "client_encoding"]
LOOK = "SELECT " + ", ".join("current_setting('%s', true)" % n for n in LOOKED_AT)
CHANGE = ("SET search_path = elsewhere; SET DateStyle = 'ISO, DMY'; SET work_mem = '6MB'; SET TimeZone = 'UTC';"
          " SET app.who = 'bob'; SET extra_float_digits = 1; SET lock_timeout = '4s'; SET statement_timeout = '9s'")
RESETS = ["RESET ALL", "reset /* x */ all", "RESET search_path", 'RESET "search_path"', "SET search_path TO DEFAULT",
          "SET search_path = default", "SET SESSION DateStyle TO DEFAULT", "RESET work_mem; RESET app.who",
          "SET app.who TO DEFAULT", "SET app.who = DEFAULT", 'RESET "app"."who"', "SET TIME ZONE DEFAULT",
          "SET TIME ZONE LOCAL", "RESET TIME ZONE", "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
          "RESET ALL; SET work_mem = '7MB'", "SET work_mem = '7MB'; RESET lock_timeout", "RESET statement_timeout",
          "DO $$BEGIN RESET ALL; END$$", "SELECT set_config('work_mem', NULL, false)", "DISCARD ALL",
          "RESET nonsense", "RESET ALL; SELECT 1/0", "SELECT 'RESET ALL'"]


def steps(reset):
    """Programs around a reset; each step is a Query, tuples are sent in one write."""
    yield [CHANGE, reset, LOOK]
    yield [CHANGE, (reset, LOOK), LOOK]
    yield [reset, LOOK, CHANGE, LOOK, reset, (LOOK, "SELECT 1", LOOK)]
    if reset == "DISCARD ALL":
        return
    if "DO" not in reset and "set_config" not in reset:
        yield [CHANGE, "BEGIN", reset, LOOK, "ROLLBACK", LOOK]
        yield [CHANGE, "BEGIN", (reset, LOOK), "SAVEPOINT x", "ROLLBACK TO x", LOOK, "COMMIT", LOOK]
        yield [CHANGE, "BEGIN", reset, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", LOOK,
               "COMMIT", LOOK]
        yield ["BEGIN", CHANGE, "SAVEPOINT a", reset, "ROLLBACK TO a", LOOK, reset, LOOK, "COMMIT", LOOK]
        # In one text, so that the answer that could be looked at comes behind the end.
        yield [CHANGE, "BEGIN; %s; ROLLBACK" % reset, LOOK]
        yield [CHANGE, "BEGIN; %s; COMMIT; BEGIN; SELECT 1; ROLLBACK" % reset, LOOK]
        yield [CHANGE, "BEGIN", "SAVEPOINT a; %s; ROLLBACK TO a" % reset, LOOK, "COMMIT", LOOK]
        yield [CHANGE, "BEGIN", "%s; SAVEPOINT a; SELECT 1; ROLLBACK TO a" % reset, LOOK, "COMMIT", LOOK]
    yield [CHANGE, "BEGIN", reset, "COMMIT", LOOK]


LOCAL = [[CHANGE, "BEGIN", "SET LOCAL search_path TO DEFAULT", LOOK, "COMMIT", LOOK],
         [CHANGE, "BEGIN", "SET LOCAL work_mem = DEFAULT", LOOK, "ROLLBACK", LOOK]]


def run(x, program, extended):
    """What the client sees of the values, and the errors."""
    seen = []
    for step in program:
        if isinstance(step, tuple):
            x.send(b"".join(wire.query(sql) for sql in step))
            rs = [x.until_ready() for _ in step]
        else:
            rs = [(x.ask_extended if extended and step.count(";") == 0 else x.ask)(step)]
        for sql, r in zip(step if isinstance(step, tuple) else (step,), rs):
            seen.append((sql, r.rows if sql == LOOK else None, [e.sqlstate for e in r.errors], r.status))
    return seen


@test
def resets(t):
    """RESET in all its words comes back to what the startup packet has, as on a direct connection: with mode session,
    pinned, free, in transactions, in one write with what stands behind"""
    ways = {"session": dict(options={"mode": "session"}), "pinned": {}, "free": {}}
    for way, how in ways.items():
        d = t.daemon(size=4, **how)
        for extended in (False, True):
            for reset in RESETS:
                for program in steps(reset):
                    c, direct = d.connect(**PACKET), t.cluster.connect(t.database, **PACKET)
                    if way == "pinned":
                        for x in (c, direct):
                            x.sql("LISTEN kept; SELECT 1")
                    got, want = run(c, program, extended), run(direct, program, extended)
                    equal(got, want, "%s, extended=%s: %r" % (way, extended, program))
                    for n in ("DateStyle", "TimeZone"):
                        equal(c.parameters[n], direct.parameters[n], "%s as it was told after %r" % (n, program))
                    c.close()
                    direct.close()
            for program in LOCAL:
                with d.connect(**PACKET) as c, t.cluster.connect(t.database, **PACKET) as direct:
                    equal(run(c, program, extended), run(direct, program, extended), "%s: %r" % (way, program))
        d.stop()


# Texts that reset something, and whether what they reset is followed within the transaction: what set_config() does is not.
BOUND = [("RESET work_mem", True), ("RESET ALL", True), ("SET work_mem TO DEFAULT", True), ("SET LOCAL work_mem TO DEFAULT", True),
         ("SET app.who TO DEFAULT", True), ("RESET application_name", True),
         ("SELECT set_config('work_mem', NULL, false) IS NULL", False),
         ("SELECT set_config('work_mem', NULL, true) IS NULL", False)]


def look():
    """An exchange that tells the values, and does not touch the unnamed statement and portal."""
    return wire.bind(portal="seen", statement="look") + wire.execute("seen") + wire.close_("P", "seen") + wire.sync()


def plain(sql):
    """An exchange that executes a text, and does not touch the unnamed statement and portal either."""
    closed = wire.close_("P", "once") + wire.close_("S", "once")
    return (closed + wire.parse(sql, "once") + wire.bind(portal="once", statement="once") + wire.execute("once") + closed +
            wire.sync())


def portal_programs(text, looks):
    """Lists of exchanges of one transaction, in which the text is bound and executed in several ways."""
    sees = [look()] if looks else []
    for name, portal in itertools.product(("", "s"), ("", "p")):
        parse, bind = wire.parse(text, name), wire.bind(portal=portal, statement=name)
        run, end = wire.execute(portal), [plain("COMMIT"), look()]
        yield [parse + bind + run + wire.sync()] + sees + [run + wire.sync()] + end
        yield [parse + wire.sync()] + sees + [bind + wire.sync()] + sees + [run + wire.sync()] + sees + end
        yield [parse + bind + wire.describe("P", portal) + wire.sync()] + sees + end
        # What was bound is closed, or its portal is another's.
        again = wire.bind(portal=portal, statement="five") + wire.execute(portal, 2)
        yield [parse + bind + wire.sync(), wire.close_("P", portal) + again + wire.sync()] + sees + end
        # An error, and a savepoint that undoes it or the reset itself.
        undo = [plain("ROLLBACK TO a")]
        failing = [plain("SAVEPOINT a"), plain("SELECT 1/0")] + undo
        yield [parse + bind + wire.sync()] + failing + sees + [run + wire.sync()] + sees + end
        yield [parse + bind + run + wire.sync()] + failing + sees + end
        yield [parse + plain("SAVEPOINT a"), bind + run + wire.sync()] + sees + undo + sees + end
    # Another portal without a name has rows left; so has one with a name.
    for name, other in itertools.product(("", "s"), ("", "q")):
        parse, bind = wire.parse(text, name), wire.bind(portal="p", statement=name)
        run, more = wire.execute("p"), [wire.execute(other, 2) + wire.sync()]
        first = [wire.bind(portal=other, statement="five") + wire.execute(other, 2) + wire.sync()]
        yield first + [parse + bind + run + wire.sync()] + more + sees + more + [plain("COMMIT"), look()]
        yield first + [parse + bind + wire.sync()] + more + [run + wire.sync()] + more + sees + [plain("ROLLBACK"), look()]
    # An unnamed statement beside it.
    unnamed = wire.bind() + wire.execute() + wire.sync()
    yield [wire.parse("SELECT 'unnamed'") + wire.sync(), wire.parse(text, "s") + wire.bind(portal="p", statement="s") +
           wire.execute("p") + wire.sync(), unnamed, plain("COMMIT"), unnamed]


def answers(x, program, piped):
    """What the client gets for each exchange."""
    rs = []
    if piped:
        x.send(b"".join(program))
    for exchange in program:
        if not piped:
            x.send(exchange)
        rs.append(x.until_ready())
    return [(r.kinds.replace("S", ""), r.rows, r.tags, [str(e) for e in r.errors], r.status) for r in rs]


@test(timeout=200)
def resets_by_portals(t):
    """a RESET that is bound in one exchange and executed in the same, in a later one or never, comes back to the startup
    packet when it is executed, and no portal, and no unnamed statement, of the client is lost by that"""
    packet = dict(PACKET, application_name="mine")
    seen = "SELECT " + ", ".join("current_setting('%s', true)" % n for n in LOOKED_AT + ["application_name"])
    ready = [wire.parse(seen, "look") + wire.parse("SELECT generate_series(1, 9)", "five") + wire.sync(), wire.query(CHANGE),
             wire.query("SET application_name = 'changed'"), wire.query("BEGIN")]
    ways = {"session": dict(options={"mode": "session"}), "free": {}, "pinned": {}, "cached": dict(statement_cache="on"),
            "native": dict(max_prepared_statements=0)}
    for way, how in ways.items():
        d = t.daemon(size=2, **how)
        c, direct = d.connect(**packet), t.cluster.connect(t.database, **packet)
        for (text, looks), piped in itertools.product(BOUND, (False, True)):
            for program in portal_programs(text, looks):
                program = ([wire.query("LISTEN kept; SELECT 1")] if way == "pinned" else []) + ready + program
                for x in (c, direct):
                    x.sql("ROLLBACK")
                    x.sql("DISCARD ALL")
                got, want = answers(c, program, piped), answers(direct, program, piped)
                for exchange, g, w in zip(program, got, want):
                    equal(g, w, "%s, %s, piped=%s: %r of %r" % (way, text, piped, exchange, program[-12:]))
                for n in ("DateStyle", "TimeZone", "application_name"):
                    equal(c.parameters[n], direct.parameters[n], "%s as it was told, %s: %r" % (n, way, program[-12:]))
        c.close()
        direct.close()
        d.stop()


@test(timeout=400)
def empty_and_doubtful(t):
    """a parameter of one's own that was made empty stays so, behind texts that may have reset it and have not"""
    d = t.daemon(size=2)
    other = t.client(d)
    made_empty = {"SET": ("SET app.x = ''",), "set_config": ("SELECT set_config('app.x', '', false)",),
                  "RESET": ("RESET app.x", "SET app.x TO ''"), "as it came": ()}
    said = {"fails": "DO $$ BEGIN RAISE EXCEPTION 'default, reset'; END $$",
            "is done": "DO $$ BEGIN PERFORM 'default, reset'; END $$",
            "resets another": "RESET app.y", "resets it": "RESET app.x", "resets all": "RESET ALL", "discards": "DISCARD ALL",
            "resets it and fails": "RESET app.x; SELECT 1/0", "with null": "SELECT set_config('app.y', null, false)",
            "rolled back": "BEGIN; RESET app.x; ROLLBACK", "all rolled back": "BEGIN; RESET ALL; SELECT 1; ROLLBACK",
            "undone before BEGIN": "RESET app.x; BEGIN; ROLLBACK", "reset again": "BEGIN; RESET app.x; ROLLBACK; RESET app.x",
            "rolled back before": "BEGIN; SET work_mem = '5MB'; ROLLBACK; RESET app.x", "committed": "BEGIN; RESET app.x; COMMIT",
            "committed before": "BEGIN; RESET app.x; COMMIT; BEGIN; SELECT 1; ROLLBACK",
            "to a savepoint": "BEGIN; SAVEPOINT a; RESET app.x; ROLLBACK TO a; COMMIT",
            "to one behind it": "BEGIN; RESET app.x; SAVEPOINT a; SELECT 1; ROLLBACK TO a; COMMIT",
            "released": "BEGIN; SAVEPOINT a; RESET app.x; RELEASE a; COMMIT",
            "all behind a savepoint": "BEGIN; RESET app.x; SAVEPOINT a; SELECT 1; ROLLBACK",
            "in an exchange": ("BEGIN", "RESET app.x", "ROLLBACK"), "committed in one": ("BEGIN", "RESET app.x", "COMMIT"),
            "to a savepoint in one": ("BEGIN", "SAVEPOINT a", "RESET app.x", "ROLLBACK TO a", "COMMIT")}
    for (how, first), (what, text), startup in itertools.product(made_empty.items(), said.items(), (None, "opt ion", "")):
        params = {"options": "-c app.x=%s" % startup.replace(" ", "\\ ")} if startup is not None else {}
        got = []
        for c in (t.direct(**params), d.connect("db", **params)):
            for sql in first:
                c.ask(sql)
            if isinstance(text, tuple):
                c.send(b"".join(wire.extended(x) for x in text) + wire.sync())
                c.until_ready()
            else:
                c.ask(text)
            # on another server
            other.sql("BEGIN")
            other.sql("SELECT 1")
            got.append(c.value("SELECT coalesce(current_setting('app.x', true), '')"))
            other.sql("COMMIT")
            c.close()
        equal(got[1], got[0], "made empty by %s; %s; startup %r" % (how, what, startup))


def bind_values(t, d):
    params = {"options": "-c app.x=start -c work_mem=7MB"}
    for name, values in (("app.x", ("", "other", None)), ("work_mem", ("9MB", None))):
        for statement in ("", "named"):
            for begin, end in (("", ""), ("BEGIN", "COMMIT"), ("BEGIN", "ROLLBACK")):
                for value in values:
                    m, seen = Moving(t, d, **params), []
                    with t.cluster.connect(t.database, **params) as direct:
                        for c, look in ((direct, direct.value), (m.c, m.value)):
                            got = []
                            if begin:
                                c.sql(begin)
                            c.send(wire.parse("SELECT set_config('%s', $1, false)" % name, statement) + wire.sync())
                            got += [str(e) for e in c.until_ready().errors]
                            for v in ("1MB", value):
                                c.send(wire.bind((v,), statement=statement) + wire.execute() + wire.sync())
                                got += [str(e) for e in c.until_ready().errors]
                            if end:
                                c.sql(end)
                            seen.append(got + [look("SHOW " + name) for _ in range(3)])
                        equal(seen[1], seen[0], "%s = %r, %s %s" % (name, value, statement, end))
                    for c in [m.c] + m.others:
                        c.close()


@test
def bound_values(t):
    """a parameter of the startup packet that set_config() sets to a bound value has it, the empty one too; NULL resets it"""
    bind_values(t, t.daemon(size=2))
    bind_values(t, t.daemon(size=2, statement_cache="on"))


@test
def local_resets_again(t):
    """SET LOCAL ... TO DEFAULT comes back to the startup packet behind other statements, and each time that it is executed"""
    packets = {"application_name": "mine"}, {"application_name": "mine", "options": "-c search_path=tenant"}
    for d, packet in [(d, p) for d in (t.daemon(size=4), t.daemon(size=4, mode="session")) for p in packets]:
        for name in ("application_name", "search_path"):
            with d.connect(**packet) as c, t.cluster.connect(t.database, **packet) as direct:
                seen = []
                for x in (c, direct):
                    got = []
                    for k in range(3):
                        x.sql("BEGIN")
                        x.sql("SELECT 1; SET LOCAL %s TO DEFAULT" % name)
                        got.append(x.value("SHOW " + name))
                        x.sql("COMMIT; BEGIN")
                        x.send((b"" if k else wire.parse("SET LOCAL %s TO DEFAULT" % name, "n")) + wire.bind(statement="n") +
                               wire.execute() + wire.sync())
                        equal(x.until_ready().errors, [], "by its name")
                        got.append(x.value("SHOW " + name))
                        # What is only prepared resets nothing.
                        x.sql("COMMIT; SET %s = 'other'; BEGIN" % name)
                        x.send(wire.parse("SET %s TO DEFAULT" % name, "only%d" % k) + wire.sync())
                        x.until_ready()
                        got.append(x.value("SHOW " + name))
                        x.sql("COMMIT; RESET " + name)
                    seen.append(got)
                equal(seen[0], seen[1], "%s with %r" % (name, packet))


# Names as PostgreSQL reads them: with escapes, of two parts of which the first is a word of SET, by other words.
SPELLED = ['RESET U&"search\\005fpath"', 'SET U&"work!005fmem" UESCAPE \'!\' TO DEFAULT', 'RESET "app".U&"wh\\006f"',
           "SET time.zone = 'x'; SET time.zone TO DEFAULT", "SET time.zone = 'x'; RESET time.zone", "RESET search_path; SET SCHEMA 'other'",
           "SET session.x = 'y'; RESET session.x; RESET app.who", "SET SESSION app.who TO DEFAULT"]


@test
def resets_spelled_otherwise(t):
    """a reset is seen in a transaction however its parameter is spelled, and no other parameter is taken for it"""
    t.cluster.role("weak")
    t.sql("GRANT weak TO CURRENT_USER")
    roles = [["BEGIN", "SET ROLE none", "SET role TO DEFAULT", "SELECT current_user", "COMMIT", "SELECT current_user"],
             ["SET ROLE none", "BEGIN", "RESET ROLE", "SELECT current_user", "COMMIT", "SELECT current_user"],
             # A SET LOCAL without a transaction, and texts that fail, reset nothing.
             ["SET ROLE postgres", "SET LOCAL role TO DEFAULT", "SELECT current_user", "SELECT current_user"],
             ["SET ROLE postgres", "RESET ROLE; SELECT 1/0", "SELECT current_user", "RESET ROLE", "SELECT current_user"],
             ["SET ROLE none", "RESET ROLE; SELECT 1/0", "SELECT current_user"]]
    # The role of the startup packet comes back only by a reset of the role itself that is not rolled back.
    for reset in ("RESET work_mem", "RESET ALL", "SET LOCAL work_mem TO DEFAULT", "SELECT set_config('work_mem', NULL, false)",
                  "DO $$BEGIN RESET work_mem; END$$", "RESET ROLE"):
        roles += [["SET ROLE none", "BEGIN", reset, "ROLLBACK", "SELECT current_user", "SELECT current_user"],
                  ["SET ROLE none", "BEGIN", "SAVEPOINT a", reset, "ROLLBACK TO a", "COMMIT", "SELECT current_user"],
                  ["BEGIN", reset, "SET ROLE none", "COMMIT", "SELECT current_user", "SELECT current_user"],
                  ["SET ROLE none", "BEGIN", reset, "SELECT 1", "COMMIT", "SELECT current_user", "SELECT current_user"],
                  ["SET ROLE none", reset, "SELECT current_user", "SELECT current_user"]]
    roles += [["SET ROLE none", "DO $$BEGIN RESET ROLE; END$$", "SELECT current_user"]]
    for way, how in {"session": dict(options={"mode": "session"}), "pinned": {}, "free": {}}.items():
        d = t.daemon(size=4, **how)
        programs = [[CHANGE, "BEGIN", spelled, LOOK, "SELECT 1", LOOK, "COMMIT", LOOK] for spelled in SPELLED]
        for packet, several in ((PACKET, programs), ({"options": "-c role=weak"}, roles)):
            for program in several:
                with d.connect(**packet) as c, t.cluster.connect(t.database, **packet) as direct:
                    if way == "pinned":
                        for x in (c, direct):
                            x.sql("LISTEN kept; SELECT 1")
                    equal([c.ask(sql).rows for sql in program], [direct.ask(sql).rows for sql in program],
                          "%s: %r" % (way, program))
        d.stop()


@test
def resets_under_a_role(t):
    """a reset under a role that may not set what the login has set fails nothing; a COPY and a prepared RESET too"""
    t.cluster.role("weak")
    t.sql("CREATE TABLE sink (a int); GRANT ALL ON sink TO weak")
    d = t.daemon(size=1, options={"mode": "session"})
    with d.connect(options="-c log_min_messages=error -c work_mem=5MB") as c:
        for sql in ("SET ROLE weak", "BEGIN", "RESET ALL", "SELECT 1", "INSERT INTO sink VALUES (1)", "COMMIT", "RESET ROLE"):
            equal(c.ask(sql).errors, [], sql)
        c.send(wire.query("RESET ALL; COPY sink FROM STDIN") + wire.copy_data(b"7\n") + wire.copy_done() +
               wire.query("SHOW work_mem"))
        equal(c.until_ready().errors, [], "the copy")
        equal(c.until_ready().value, "5MB", "behind it")
        c.send(wire.parse("RESET ALL", "r") + wire.sync())
        c.until_ready()
        for _ in range(2):
            c.sql("SET work_mem = '6MB'")
            c.send(wire.bind(statement="r") + wire.execute() + wire.sync())
            c.until_ready()
            equal(c.value("SHOW work_mem"), "5MB", "prepared")


@test
def cut_short(t):
    """a cancel that hits what gives a server the parameters of a session is none of the client's: they are given again"""
    t.cluster.role("weak")
    d = t.daemon(size=1)
    c, other, lock = t.client(d), t.client(d), t.direct()
    c.sql("SET ROLE weak")
    other.sql("SET work_mem = '7MB'")
    # The server has to read of the role anew.
    t.sql("ALTER ROLE weak CONNECTION LIMIT 50")
    lock.sql("BEGIN; LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE")
    c.send(wire.query("SELECT current_user"))
    waits = "FROM pg_locks WHERE NOT granted AND relation = 'pg_authid'::regclass"
    wait_until(lambda: lock.value("SELECT count(*) " + waits) == "1", 5, "the server waits for the lock")
    equal(lock.value("SELECT pg_cancel_backend(pid) " + waits), "t", "the cancel")
    wait_until(lambda: lock.value("SELECT count(*) " + waits) == "1", 5, "it is asked again")
    lock.sql("ROLLBACK")
    r = c.until_ready()
    equal(([e.message for e in r.errors], r.value), ([], "weak"), "the answer")


@test
def messages_about_parameters(t):
    """what a server says of the parameters that it is given is told to nobody, whatever level another session has asked for"""
    d = t.daemon(size=1)
    for level in ("debug5", "debug1", "log", "info"):
        a, b = t.client(d), t.client(d)
        for sql in ("SET client_min_messages = %s" % level, "SET debug_print_parse = on", "SET work_mem = '3MB'"):
            a.sql(sql)
        for ask in (b.ask, b.ask_extended):
            r = ask("SELECT 5")
            equal((r.value, r.notices), ("5", []), "another's answer behind %s" % level)
            a.sql("SELECT 1")
        # Of what it does itself, it hears what it has asked for.
        direct = t.direct()
        for c in (a, direct):
            c.sql("SET client_min_messages = notice; SET debug_print_parse = off")
            equal([n["M"] for n in c.ask("DO $$BEGIN RAISE NOTICE 'x'; END$$").notices], ["x"], "its own")
        for c in (a, b, direct):
            c.close()


@test
def set_but_not_seen(t):
    """a parameter that the role may set, but not see (GRANT SET ON PARAMETER), is the session's and nobody else's"""
    if int(t.value("SHOW server_version_num")) < 150000:
        unavailable("GRANT ON PARAMETER is of PostgreSQL 15")
    t.cluster.role("setter")
    t.sql("CREATE FUNCTION seen(text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$SELECT current_setting($1)$$")
    settable = "SELECT name FROM pg_settings WHERE context IN ('user', 'superuser') ORDER BY name"
    plain = t.direct()
    plain.sql("SET ROLE setter")
    seen = [x for x, in plain.sql(settable)]
    hidden = [x for x, in t.direct().sql(settable) if x not in seen]
    check(set(HIDDEN) <= set(hidden), "hidden: %s" % hidden)
    for name in hidden:
        t.sql("GRANT SET ON PARAMETER %s TO setter" % name)
    d = t.daemon(size=2, conninfo=t.conninfo(user="setter"))
    for name in hidden:
        ask, mine = "SELECT seen('%s')" % name, t.direct()
        default = mine.value(ask)
        mine.sql("SET %s = '/a'" % name)
        changed = mine.value(ask)
        for sql in ("SET %s = '/a'" % name, "SET \"%s\" TO '/a'" % name.title(), "BEGIN; SET %s = '/a'; COMMIT" % name,
                    "DO $$BEGIN SET %s = '/a'; END$$" % name):
            a, b = t.client(d), t.client(d)
            equal(a.ask(sql).errors, [], sql)
            for _ in range(3):
                b.sql("BEGIN")
                equal((a.value(ask), b.value(ask)), (changed, default), sql)
                b.sql("COMMIT")
            a.close()
            for _ in range(2):
                equal(b.value(ask), default, "when it has gone, %s" % sql)
            b.close()
    # Who may see it takes it along.
    m = Moving(t, t.daemon(size=2))
    m.ask("SET dynamic_library_path = '/b'")
    for _ in range(3):
        equal((m.value("SHOW dynamic_library_path"), m.others[1].value("SHOW dynamic_library_path")), ("/b", "$libdir"), "a superuser's")
    m.ask("RESET dynamic_library_path")
    equal(m.value("SHOW dynamic_library_path"), "$libdir", "reset")


@test(timeout=200)
def reset_and_set(t):
    """a startup parameter that is reset and set again, or the other way about, in one text, exchange or write, in a transaction
    and outside of one, by SET and by set_config(): has the value of a direct connection"""
    wrong = 0
    for mode in "transaction", "session":
        d = t.daemon(size=2, mode=mode)
        for reset in "RESET ALL", "RESET client_encoding", "SET client_encoding TO DEFAULT":
            for sets in ("SET client_encoding = 'LATIN1'", "SELECT set_config('client_encoding', 'LATIN1', false)", "SET NAMES 'LATIN1'",
                         "SELECT 1, pg_catalog.set_config('work_mem', '7MB', false), set_config('client_encoding', 'LATIN1', false)"):
                for first, then in (reset, sets), (sets, reset):
                    one, two = (wire.extended(s) for s in (first, then))
                    named = b"".join(wire.parse(s, n) + wire.bind(portal=n, statement=n) for n, s in (("n2", then), ("n1", first)))
                    for begin in "SELECT 1", "BEGIN":
                        for how, writes, answers in (
                                ("text", [wire.query(first + "; " + then)], 1), ("exchange", [one + two + wire.sync()], 1),
                                ("bound before", [named + wire.execute("n1") + wire.execute("n2") + wire.sync()], 1),
                                ("one by one", [wire.query(first), wire.query(then)], 2), ("a write", [wire.query(first) + wire.query(then)], 2),
                                ("a write, extended", [one + wire.sync() + two + wire.sync()], 2)):
                            got = []
                            for w in t.direct(client_encoding="UTF8"), d.connect("db", client_encoding="UTF8"):
                                w.ask(begin)
                                for data in writes:
                                    w.send(data)
                                for _ in range(answers):
                                    equal(w.until_ready().errors, [], "errors")
                                if begin == "BEGIN":
                                    w.ask("COMMIT")
                                got.append([w.parameters.get("client_encoding")] + [w.ask("SHOW client_encoding").rows for _ in range(2)])
                                w.close()
                            if got[0] != got[1]:
                                note("%s; %s; %s; %s: %s: %s, directly %s" % (mode, begin, first, then, how, got[1], got[0]))
                                wrong += 1
    equal(wrong, 0, "that differ")


if __name__ == "__main__":
    main()
