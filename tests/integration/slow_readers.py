"""Clients that do not read what they have asked for lose their servers by time limits and by administrators, whatever they
were doing, and in a transaction or not; nobody else is concerned."""

from pgwtest import check, equal, main, note, seconds, slow_factor, test, wait_until, wire

ROWS = "SELECT i, repeat('x', 1000) FROM generate_series(1, 100000) i"
NOTICES = "DO $$BEGIN FOR i IN 1..200000 LOOP RAISE NOTICE '%', repeat('x', 1000); END LOOP; END$$"

# Each says more than anybody keeps.
STUCK = {
    "rows": wire.query(ROWS),
    "rows by the extended protocol": wire.extended(ROWS) + wire.sync(),
    "rows, and no Sync": wire.extended(ROWS) + wire.flush(),
    "a pipeline": (wire.extended(ROWS) + wire.sync()) * 3,
    "COPY OUT": wire.query("COPY (%s) TO STDOUT" % ROWS),
    "one row": wire.query("SELECT repeat('x', 100000000)"),
    "notices": wire.query(NOTICES),
    "many statements": wire.query("SELECT 1; %s; SELECT 2" % ROWS),
    "a portal": wire.parse(ROWS) + wire.bind() + wire.execute(limit=50000) + wire.execute() + wire.sync(),
}
WHERE = {
    "autocommit": [],
    "BEGIN": ["BEGIN"],
    "a scope": ["ENTER a"],
    "two scopes": ["ENTER a", "ENTER b"],
    "pinned": ["LISTEN x; SELECT 1"],
    "a cursor": ["BEGIN", "DECLARE c CURSOR WITH HOLD FOR " + ROWS, "COMMIT"],
}


def stuck_clients(t, d, where):
    """One of each kind, each on a server of its own, once they are stuck. Name to client."""
    clients = {}
    for place, before in where.items():
        ways = {"FETCH": wire.query("FETCH ALL FROM c")} if place == "a cursor" else STUCK
        if place not in ("autocommit", "BEGIN"):
            ways = {way: ways[way] for way in ways if way in ("FETCH", "rows", "a pipeline", "COPY OUT")}
        for way, data in ways.items():
            c = t.client(d)
            for sql in before:
                equal(c.ask(sql).errors, [], sql)
            c.send(data)
            clients["%s, %s" % (place, way)] = c
    held = {}

    def all_wait():
        # PostgreSQL waits for somebody to read what it says.
        rows = [a for a in t.activity() if a["state"] == "active" and a["wait_event"] == "ClientWrite"]
        held.update({a["pid"]: a for a in rows})
        return len(rows) >= len(clients)
    wait_until(all_wait, 20, "all %d are stuck" % len(clients))
    return clients


def is_free(t, d, within, what):
    """Everybody else is served again."""
    took, _ = seconds(lambda: d.quiet(within=within))
    note("%s: %.1f s" % (what, took))
    for _ in range(3):
        c = t.client(d)
        equal([c.value("SELECT %d" % i) for i in range(5)], ["%d" % i for i in range(5)], "the next client")
        c.close()
    wait_until(lambda: not [a for a in t.activity() if a["state"] == "active"], 5, "nothing runs")
    check(not d.log_has("not used again|left something"), "every server was at its zero")


def is_told(c, name, *states):
    """What it had, and then the end, or its session goes on. It reads at last."""
    r = wire.Result()
    try:
        if "no Sync" in name:
            c.send(wire.sync())
        while r.status is None:
            kind, body = c.read()
            if kind in "EZ":
                c.take(kind, body, r)
    except (wire.Closed, ConnectionError):
        pass
    check([e.sqlstate for e in r.errors] in ([], ["57014"], *([x] for x in states)), "%s: %s" % (name, r.errors))
    return r


LIMIT_S = int(5 * slow_factor())  # long enough for all of them to be stuck before it
LIMIT = "%ds" % LIMIT_S
OPTIONS = {"size": 40, "min_size": 40, "cleanup_timeout": "1s", "max_opening": 8}


@test(timeout=120)
def query_timeout(t):
    """query_timeout: each loses its server, wherever it is stuck"""
    d = t.daemon(query_timeout=LIMIT, **OPTIONS)
    clients = stuck_clients(t, d, WHERE)
    is_free(t, d, LIMIT_S + 10, "query_timeout")
    for name, c in clients.items():
        is_told(c, name)


@test(timeout=120)
def scope_deadline(t):
    """scope_deadline: each that is in a transaction"""
    d = t.daemon(scope_deadline=LIMIT, **OPTIONS)
    clients = stuck_clients(t, d, {k: WHERE[k] for k in ("BEGIN",)})
    is_free(t, d, LIMIT_S + 10, "scope_deadline")
    for name, c in clients.items():
        is_told(c, name)


@test(timeout=180)
def kills(t):
    """KILL SCOPE, KILL SESSION, KILL SERVER, KILL POOL: each loses its server"""
    d = t.daemon(**OPTIONS)
    for kill in ("SCOPE", "SESSION", "SERVER", "POOL"):
        clients = stuck_clients(t, d, WHERE)
        if kill == "POOL":
            d.console("KILL POOL db")
        elif kill == "SERVER":
            for s in d.servers():
                if s["state"] not in ("idle", "closed"):
                    d.console("KILL SERVER " + s["id"])
        else:
            for s in d.clients():
                d.console("KILL %s %s" % (kill, s["id"]))
        is_free(t, d, 8, kill)
        for name, c in clients.items():
            is_told(c, name, "57P01", "08006")
            c.drop()


@test(timeout=120)
def in_session_mode(t):
    """the same with mode = session"""
    d = t.daemon(mode="session", query_timeout=LIMIT, **OPTIONS)
    clients = stuck_clients(t, d, {"autocommit": [], "BEGIN": ["BEGIN"]})
    wait_until(lambda: not [a for a in t.activity() if a["state"] == "active"], 15, "nothing runs")
    for name, c in clients.items():
        is_told(c, name)
        c.drop()
    is_free(t, d, 5, "mode = session")


LOUD = """CREATE TABLE t (i int); CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
FOR i IN 1..100000 LOOP RAISE NOTICE '%', repeat('x', 1000); END LOOP; RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER loud AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION loud()"""


@test(timeout=180)
def scope_statements(t):
    """notices of what pgwithd runs when a scope is entered, or committed: time limits, administrators and SIGTERM end that, too"""
    t.sql(LOUD)
    for end in ("KILL SCOPE", "KILL SESSION", "DEADLINE", "query_timeout", "SIGTERM"):
        d = t.daemon(options={"shutdown_timeout": "1s"}, size=2, min_size=2, cleanup_timeout="1s",
                     query_timeout="1s" if end == "query_timeout" else "0", scopes={"loud": {"enter": NOTICES}})
        option = " DEADLINE '%ds'" % slow_factor() if end == "DEADLINE" else ""
        entering, leaving = t.client(d), t.client(d)
        for sql in ("ENTER a" + (option if end != "DEADLINE" else ""), "INSERT INTO t VALUES (1)"):
            leaving.sql(sql)
        entering.send(wire.query("ENTER loud" + option))
        leaving.send(wire.query("LEAVE"))
        wait_until(lambda: len([a for a in t.activity() if a["wait_event"] == "ClientWrite"]) == 2, 20, "both are stuck")
        if end == "DEADLINE":  # no deadline ends a commit
            leaving.drop()
        elif end.startswith("KILL"):
            for s in d.clients():
                d.console("%s %s" % (end, s["id"]))
        if end == "SIGTERM":
            took, _ = seconds(d.stop)
            check(took < 12 * slow_factor(), "%.1f s" % took)
        else:
            is_free(t, d, 8, end)
        is_told(entering, "ENTER", "57P01")
        if end != "DEADLINE":
            is_told(leaving, "LEAVE", "57P01")


@test(timeout=180)
def answers_that_nearly_fit(t):
    """the server has sent its whole answer, and the client has not taken all of it: what pgwithd asks the server next is
    answered all the same"""
    limit = int(2 * slow_factor())  # seconds: the machine may be less busy afterwards
    d = t.daemon(size=40, min_size=40, max_opening=8, cleanup_timeout="%ds" % limit)
    answers = ["SELECT repeat('x', %d)" % n for n in range(150000, 420000, 7000)]
    clients = [t.client(d) for _ in answers]
    for c, answer in zip(clients, answers):
        c.send(wire.query("SET work_mem = '1MB'; " + answer))
    wait_until(lambda: len([s for s in d.clients() if s["state"] in ("idle", "active") and s["queries"] != "0" or s["state"] == "active"])
               == len(clients), 10, "nobody is being asked for what it has set")
    for c in clients:
        c.drop()
    is_free(t, d, 8, "SET")
    clients = [t.client(d) for _ in answers]
    for c, answer in zip(clients, answers):
        c.sql("ENTER a DEADLINE '%ds'" % limit)
        c.send(wire.query(answer))
    is_free(t, d, 8 + 2 * limit, "DEADLINE")
    check(not d.log_has("time ran out"), "no server is given up")
    for c in clients:
        is_told(c, "DEADLINE")


@test(timeout=120)
def shutdown(t):
    """SIGTERM ends a daemon whose clients do not read"""
    for number in (15,):
        d = t.daemon(options={"shutdown_timeout": "1s"}, **OPTIONS)
        clients = stuck_clients(t, d, {k: WHERE[k] for k in ("autocommit", "BEGIN", "a scope")})
        took, _ = seconds(d.stop, number)
        check(took < 12 * slow_factor(), "signal %d: %.1f s" % (number, took))
        for name, c in clients.items():
            is_told(c, name, "57P01")


@test(timeout=120)
def they_go(t):
    """a client that is stuck closes, or asks to be cancelled and reads on"""
    d = t.daemon(**OPTIONS)
    clients = stuck_clients(t, d, WHERE)
    for c in clients.values():
        c.drop()
    is_free(t, d, 8, "gone")
    clients = stuck_clients(t, d, {"autocommit": [], "BEGIN": ["BEGIN"]})
    for name, c in clients.items():
        c.cancel()
        r = is_told(c, name)
        check(r.errors or "one row" in name or "no Sync" in name, name + ": cancelled")
        c.drop()
    is_free(t, d, 8, "cancelled")


main()
