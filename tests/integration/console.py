"""The console and the command line: PgBouncer's columns first and in order, true numbers, outputs that
programs can read."""

import csv
import io
import json
import os

from pgwtest import check, child, equal, main, test, unavailable, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program

# PgBouncer 1.18: what its exporters and dashboards know.
COLUMNS = {
    "POOLS": "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active"
             " sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait"
             " maxwait_us pool_mode",
    "CLIENTS": "type user database state addr port local_addr local_port connect_time request_time"
               " wait wait_us close_needed ptr link remote_pid tls application_name",
    "SERVERS": "type user database state addr port local_addr local_port connect_time request_time"
               " wait wait_us close_needed ptr link remote_pid tls application_name",
    "DATABASES": "name host port database force_user pool_size min_pool_size reserve_pool pool_mode"
                 " max_connections current_connections paused disabled",
    "STATS": "database total_xact_count total_query_count total_received total_sent total_xact_time"
             " total_query_time total_wait_time avg_xact_count avg_query_count avg_recv avg_sent"
             " avg_xact_time avg_query_time avg_wait_time",
    "CONFIG": "key value default changeable",
    "LISTS": "list items",
    "VERSION": "version",
}


@test
def columns(t):
    """every SHOW has PgBouncer's columns first and in its order"""
    d = t.daemon()
    d.connect().close()
    for what, names in COLUMNS.items():
        r = d.console("SHOW " + what)
        names = names.split()
        equal(r.columns[:len(names)], names, "columns of SHOW " + what)
        equal(d.console("show %s;" % what.lower()).columns, r.columns, "lower case, semicolon")
    versions = d.console("SHOW VERSION")
    check("pgwith" in str(versions.rows + versions.notices).lower(), "the version")


@test
def numbers(t):
    """SHOW POOLS, CLIENTS, SERVERS and LISTS count what there is"""
    d = t.daemon(size=3, max_waiting=10)
    holders = [t.client(d, application_name="holder %d" % i) for i in range(3)]
    for c in holders:
        c.sql("BEGIN")
    waiter, idle = t.client(d), t.client(d)
    waiter.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits")
    pool = d.pool()
    equal((pool["sv_active"], pool["sv_idle"], pool["cl_waiting"]), (3, 0, 1), "SHOW POOLS")
    equal(len(d.clients()), 5, "clients")
    equal({int(s["remote_pid"]) for s in d.servers()}, t.cluster.pids(t.database), "backends")
    names = {c["application_name"] for c in d.clients()}
    check({"holder 0", "holder 1", "holder 2"} <= names, "application names: %r" % names)
    pids = {c["remote_pid"] for c in d.clients()}
    equal(pids, {str(os.getpid())}, "processes of the clients")
    lists = {r["list"]: int(r["items"]) for r in d.show("LISTS")}
    equal(lists["databases"] >= 1 and lists["pools"] >= 1, True, "SHOW LISTS: %r" % lists)
    for c in holders:
        c.sql("COMMIT")
    waiter.until_ready()
    wait_until(lambda: d.pool()["sv_idle"] == 3, 5, "all are idle")
    equal(idle.value("SELECT 1"), "1", "the idle one")


@test
def stats(t):
    """SHOW STATS counts transactions, queries, bytes and times"""
    d = t.daemon()

    def row():
        return {k: int(v) for k, v in [r for r in d.show("STATS") if r["database"] == "db"][0].items()
                if k.startswith("total_")}
    c = t.client(d)
    before = row()
    for _ in range(10):
        c.sql("SELECT 1")
    c.sql("BEGIN")
    c.sql("SELECT pg_sleep(0.1)")
    c.sql("COMMIT")
    after = row()
    diff = {k: after[k] - before[k] for k in after}
    equal((diff["total_xact_count"], diff["total_query_count"]), (11, 13), "counts")
    check(diff["total_query_time"] >= 100000 and diff["total_xact_time"] >= 100000,
          "microseconds: %r" % diff)
    check(diff["total_received"] > 100 and diff["total_sent"] > 300, "bytes: %r" % diff)


@test
def privileges(t):
    """tables are for admin_users and stats_users; everybody else sees his own sessions"""
    d = t.daemon(options={"admin_users": "postgres, boss", "stats_users": "watcher"})
    for user in ("boss", "watcher"):
        with d.connect("pgwith", user=user) as c:
            equal(c.ask("SHOW POOLS").errors, [], "errors of " + user)
    # Root and the daemon's own user may, whatever their role: the stranger is somebody else.
    if os.geteuid() != 0:
        unavailable("only root can be somebody else")
    os.seteuid(65534)
    try:
        c = t.client(d, "pgwith", user="stranger")
    finally:
        os.seteuid(0)
    equal([e.sqlstate for e in c.ask("SHOW POOLS").errors], ["42501"], "a stranger")
    equal(len(c.ask("SHOW CLIENTS").rows), 1, "his own session")


@test
def mistakes(t):
    """unknown commands and the extended protocol are errors, and the console goes on"""
    d = t.daemon()
    with d.connect("pgwith") as c:
        for sql in ("SHOW NONSENSE", "SELECT 1", "", ";", "SHOW", "'", "SHOW POOLS POOLS", "x" * 5000):
            r = c.ask(sql)
            equal(r.status, "I", "the status after %r" % sql[:20])
        equal(c.ask("SHOW NONSENSE").errors[0].sqlstate, "42601", "an unknown command")
        c.send(wire.extended("SHOW VERSION") + wire.sync())
        r = c.until_ready()
        equal(r.status, "I", "the extended protocol is answered")
        equal(c.ask("SHOW VERSION").errors, [], "afterwards")
        c.send(wire.query("SHOW VERSION") * 50)
        for _ in range(50):
            equal(c.until_ready().errors, [], "a pipeline")


@test
def works_when_full(t):
    """the console answers when max_clients is reached"""
    d = t.daemon(options={"max_clients": 3})
    clients = []
    try:
        for _ in range(5):
            clients.append(d.connect())
    except wire.ServerError as e:
        equal(e.sqlstate, "53300", "full")
    with d.connect("pgwith") as c:
        equal(c.ask("SHOW POOLS").errors, [], "the console")
    for c in clients:
        c.close()


@test
def psql_console(t):
    """psql shows the console's tables"""
    d = t.daemon()
    out = child.run_ok([t.cluster.program("psql"), "-X", "-At", d.dsn("pgwith"), "-c", "SHOW POOLS"])
    check("db|" in out, "its output: " + out)


def pgwith(d, *args, env=None):
    full = {**SANITIZE_ENV, "PGWITH_SOCKET": d.sockets, **(env or {})}
    return child.run([program("pgwith"), "-p", str(d.port), "-U", "postgres", *args], env=full)


@test
def cli(t):
    """pgwith prints tables, JSON and CSV of the same rows, and its exit status tells success"""
    d = t.daemon(size=2)
    t.client(d).sql("BEGIN")
    for args in (["pools"], ["clients"], ["servers"], ["show", "stats"], ["show", "config"],
                 ["show", "databases"], ["show", "lists"], ["show", "version"], ["status"]):
        status, text, err = pgwith(d, *args)
        equal((status, err), (0, ""), "pgwith %s" % args)
        check(text.strip(), "pgwith %s prints something" % args)
        if args == ["status"]:
            continue
        status, out, err = pgwith(d, *args, "--json")
        equal((status, err), (0, ""), "pgwith %s --json" % args)
        rows = json.loads(out)
        check(isinstance(rows, list) and rows and isinstance(rows[0], dict), "JSON: " + out[:200])
        status, out, err = pgwith(d, *args, "--csv")
        equal((status, err), (0, ""), "pgwith %s --csv" % args)
        table = list(csv.reader(io.StringIO(out)))
        equal(table[0], list(rows[0]), "CSV's head")
        equal(len(table) - 1, len(rows), "CSV's rows")
        # An aligned table: the columns begin where the head says.
        head = text.splitlines()[0]
        check(head.split() and set(head.split()) <= set(rows[0]), "the table's head: " + head)
    pools = json.loads(pgwith(d, "pools", "--json")[1])
    equal([str(p["sv_active"]) for p in pools if p["database"] == "db"], ["1"], "leased servers")


@test
def cli_errors(t):
    """pgwith's exit status tells what went wrong"""
    d = t.daemon()
    status, out, err = pgwith(d, "nonsense")
    check(status not in (0, 139, 134) and err, "an unknown command: %d %s" % (status, err))
    status, out, err = pgwith(d, "show", "nonsense")
    check(status not in (0, 139, 134) and err, "an unknown table: %d %s" % (status, err))
    usage = pgwith(d, "nonsense")[0]
    status, out, err = pgwith(d, "pools", env={"PGWITH_SOCKET": t.directory})
    check(status not in (0, usage) and err, "no daemon: %d %s" % (status, err))
    equal(pgwith(d, "--help")[0], 0, "help")


if __name__ == "__main__":
    main()
