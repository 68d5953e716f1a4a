"""Every command of the console's table at every level, with the right number of arguments and with wrong ones; and
what those who are not listed see: their own sessions."""

import json
import os
import shutil
import subprocess

from pgwtest import check, child, equal, main, test, unavailable, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program

NOBODY = 65534
LEVELS = ("everyone", "stats", "admin")
ROLES = {"everyone": "stranger", "stats": "watcher", "admin": "boss"}


def table():
    """[(level, level for sessions of others, least, most (None: any number), words)] of src/admin/command.c."""
    tables = os.path.join(os.environ.get("PGWITH_BUILDDIR", os.getcwd()), "tests", "unit", "show_tables")
    if not os.access(tables, os.X_OK):
        unavailable(tables + " is not built")
    rows = []
    for line in subprocess.run([tables, "commands"], capture_output=True, text=True, check=True).stdout.splitlines():
        level, others, least, most, _, words = line.split(" ", 5)
        rows.append((level, others, int(least), None if most == "-" else int(most), words))
    check(len(rows) > 40, "the table has %d rows" % len(rows))
    return rows


class As:
    """What is done inside is done by another user of the operating system: root is an administrator whatever its
    role."""

    def __enter__(self):
        if os.geteuid() != 0:
            unavailable("only root can be somebody else")
        os.seteuid(NOBODY)

    def __exit__(self, *exc):
        os.seteuid(0)


def start(t):
    f = t.fixture()
    return t.daemon({"admin_users": "boss", "stats_users": "watcher"},
                    {"db": {"conninfo": "host=%s port=%d dbname=main user=postgres" % (f.sockets, f.port), "size": 5,
                             "users": "*"}})


def number(client):
    """The number that the console knows its session by: BackendKeyData's are out of the way of any process id."""
    return client.key[0] - (1 << 22)


def connect(t, d, database, role):
    with As():
        return t.client(d, database, user=role)


class Arguments:
    """The right arguments of a command for one who comes as this role, with what they need."""

    def __init__(self, t, d, role):
        self.t, self.d, self.role = t, d, role

    def session(self, role=None):
        self.d.console("ENABLE db; RESUME")
        c = connect(self.t, self.d, "db", role or self.role)
        c.sql("BEGIN; SELECT 1")
        return c

    def of(self, words):
        """A list of arguments, or None: the least number of anything will do."""
        if words in ("PAUSE", "RESUME", "DISABLE", "ENABLE", "DRAIN", "RECONNECT", "WAIT_CLOSE", "KILL POOL", "KILL"):
            return ["db"]
        if words in ("KILL SESSION", "KILL SCOPE"):
            return [str(number(self.session()))]
        if words == "KILL SERVER":
            self.session()
            return [self.d.servers()[0]["id"]]
        return {"SELECT": ["1"], "SET": ["max_clients", "=", "99"]}.get(words)


def refused(c, sql, *sqlstates):
    r = c.ask(sql)
    equal(([e.severity for e in r.errors], r.tags), (["ERROR"], []), sql)
    check(r.errors[0].sqlstate in sqlstates, "%s: %s" % (sql, r.errors[0]))


def wrong_counts(words, least, most):
    if least > 0:
        yield words + " x" * (least - 1)
    if most is not None:
        yield words + " x" * (most + 1)
        yield words + " x" * 20


def every_command(t, level, make):
    """make(): a daemon to be used for whatever may happen to it."""
    d = make()
    c = connect(t, d, "pgwith", ROLES[level])
    arguments = Arguments(t, d, ROLES[level])
    for needs, _, least, most, words in table():
        allowed = LEVELS.index(level) >= LEVELS.index(needs)
        for sql in wrong_counts(words, least, most):
            # too many arguments may as well be an unknown command
            refused(c, sql, "42601", *([] if allowed else ["42501"]))
        if words.startswith("SHUTDOWN") and allowed:
            spare = make()
            with As():
                e = spare.connect("pgwith", user=ROLES[level])
            e.send(b"Q" + (len(words) + 5).to_bytes(4, "big") + words.encode() + b"\0")
            r = e.until_closed()
            equal((r.tags, [x.sqlstate for x in r.errors]), ([words], ["57P01"]), words)
            equal(spare.wait_end(10), 0, "status after " + words)
            continue
        args = (arguments.of(words) if allowed else None) or ["x"] * least
        sql = " ".join([words, *args])
        if not allowed:
            refused(c, sql, "42501")
            continue
        r = c.ask(sql)
        equal((r.errors, len(r.tags)), ([], 1), sql)
    check(c.ask("SHOW VERSION").errors == [], "the console goes on")


@test
def everyone(t):
    """who is not listed: every command is refused, but for one's own sessions and what drivers send"""
    every_command(t, "everyone", lambda: start(t))


@test
def stats(t):
    """stats_users: every command that changes something is refused"""
    every_command(t, "stats", lambda: start(t))


@test
def admin(t):
    """admin_users: every command works"""
    every_command(t, "admin", lambda: start(t))


@test
def own(t):
    """who is not listed sees, and kills, the sessions of the same user in the same role, and no others"""
    d = start(t)
    mine, other = connect(t, d, "db", "stranger"), connect(t, d, "db", "somebody")
    roots = t.client(d, user="stranger")  # the same role, another user
    c = connect(t, d, "pgwith", "stranger")
    for x in (mine, other, roots):
        x.sql("ENTER a")
    rows = c.ask("SHOW CLIENTS")
    ids = rows.columns.index("id")
    equal({int(r[ids]) for r in rows.rows}, {number(mine), number(c)}, "SHOW CLIENTS")
    equal([r[0] for r in c.ask("SHOW SCOPES").rows], [str(number(mine))], "SHOW SCOPES")
    rows = c.ask("SHOW SERVERS")
    equal([r[rows.columns.index("session")] for r in rows.rows], [str(number(mine))], "SHOW SERVERS")
    watcher = connect(t, d, "pgwith", "watcher")
    equal(len(watcher.ask("SHOW SCOPES").rows), 3, "stats_users see all")
    for who in (c, watcher):
        for x in (other, roots):
            for sql in ("KILL SESSION %d", "KILL SCOPE %d", "KILL SCOPE %d a"):
                refused(who, sql % number(x), "42704")
    equal(c.ask("KILL SCOPE %d a" % number(mine)).errors, [], "KILL SCOPE")
    equal([e.sqlstate for e in mine.ask("SELECT 1").errors], ["57014"], "the scope")
    equal(c.ask("KILL SESSION %d" % number(mine)).errors, [], "KILL SESSION")
    equal([e.sqlstate for e in mine.until_closed().errors], ["57P01"], "the session")
    for x in (other, roots):
        equal(x.ask("SELECT 1").errors, [], "the others")
    equal([x.ask("SHOW LEVEL").rows for x in (c, watcher, connect(t, d, "pgwith", "boss"), t.client(d, "pgwith"))],
          [[("stranger", "everyone")], [("watcher", "stats")], [("boss", "admin")], [("postgres", "admin")]], "SHOW LEVEL")
    equal([r[1:2] for r in c.ask("SHOW HELP").rows if r[0] == "SHOW FDS"], [("admin",)], "SHOW HELP")


@test
def told(t):
    """pgwith tells who is not listed that it shows only their own sessions; it says nothing to others"""
    if os.geteuid() != 0:
        unavailable("only root can be somebody else")
    d = start(t)
    mine = shutil.copy(program("pgwith"), t.path("pgwith"))  # the build may be where a stranger cannot go
    holder = [connect(t, d, "db", "somebody") for _ in range(5)]
    for c in holder:
        c.sql("BEGIN; SELECT 1")
    waiter = connect(t, d, "db", "somebody")
    waiter.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits")

    def pgwith(role, *args):
        return child.run([mine, "-p", str(d.port), "-U", role, *args], user=str(NOBODY),
                         env=dict(SANITIZE_ENV, PGWITH_SOCKET=d.sockets))

    note = 'only your own sessions in the role "stranger": stats_users and admin_users see all'
    equal(pgwith("stranger", "waits"), (0, "none of your sessions waits\n(%s)\n" % note, ""), "waits")
    for command in ("clients", "servers", "scopes"):
        equal(pgwith("stranger", command)[1].splitlines()[-1], "(%s)" % note, command)
        status, out, err = pgwith("stranger", command, "--json")
        check(isinstance(json.loads(out), list), out)
        equal((status, err), (0, "pgwith: %s\n" % note), command + " --json")
        status, out, err = pgwith("watcher", command)
        check(status == 0 and err == "" and "only your own" not in out, "%s of one who sees all: %s" % (command, out))
    equal(pgwith("stranger", "waits", "--dot")[2], "pgwith: %s\n" % note, "--dot")
    check("only your own" not in pgwith("watcher", "waits")[1], "waits of one who sees all")
    # A session of the stranger's waits for nobody: the pool is paused, and they are told so.
    waiter.close()
    for c in holder:
        c.close()
    with As():
        boss = d.connect("pgwith", user="boss")
    boss.ask("PAUSE db")
    own = connect(t, d, "db", "stranger")
    own.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits")
    status, out, err = pgwith("stranger", "waits")
    check((status, err) == (0, "") and "server of db" in out and note in out, "%d %s%s" % (status, out, err))
    check("\npool db: the pool is paused: an administrator can RESUME it\n" in out, out)
    boss.close()


@test
def reserve(t):
    """when max_clients is reached, the console is there for those who are listed"""
    f = t.fixture()
    d = t.daemon({"admin_users": "boss", "stats_users": "watcher", "max_clients": 2},
                 {"db": {"conninfo": "host=%s port=%d dbname=main user=postgres" % (f.sockets, f.port)}})
    t.client(d)
    wait_until(lambda: len(d.show("CLIENTS")) == 2, 5, "it is full")
    for role in ("boss", "watcher"):
        equal(connect(t, d, "pgwith", role).ask("SHOW POOLS").errors, [], role)
    try:
        connect(t, d, "pgwith", "stranger")
        check(False, "a stranger must not take what is kept back")
    except Exception as e:
        equal(getattr(e, "sqlstate", e), "53300", "a stranger")


if __name__ == "__main__":
    main()
