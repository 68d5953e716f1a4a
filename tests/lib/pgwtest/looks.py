"""Looking at one server of a pool from both sides: what PostgreSQL says of the backend and what the
pool says of the server, before and after something has happened to its client."""

import re

from . import wire
from .tap import check, equal, note, wait_until

# What one client could leave behind for the next, by name; each must be empty.
LEFTOVERS = {
    "prepared statements": "SELECT name FROM pg_prepared_statements WHERE name NOT LIKE 'pgwith\\_%'",
    "cursors": "SELECT name FROM pg_cursors WHERE name <> ''",
    "channels": "SELECT pg_listening_channels()",
    "temporary relations": "SELECT relname FROM pg_class WHERE relpersistence = 't' AND"
                           " relnamespace = pg_my_temp_schema()",
    "advisory locks": "SELECT objid FROM pg_locks WHERE pid = pg_backend_pid() AND"
                      " locktype = 'advisory'",
}


def settings(client):
    """All parameters as this client sees them."""
    return dict(client.sql("SELECT name, setting FROM pg_settings"))


class Numbered:
    """A client that asks numbered questions, of which each must be answered by its number, once and by nothing
    else: whatever another client has left unanswered would be in the way."""

    last = 0

    def __init__(self, client):
        self.client = client
        client.send(wire.parse("SELECT $1::int", "pgwtest numbered") + wire.sync())
        equal(client.until_ready().kinds.replace("S", ""), "1Z", "a question is prepared")

    def ask(self, rng, what):
        """A few of them, one by one or together, by either protocol."""
        questions = []
        for _ in range(rng.randrange(3, 7)):
            Numbered.last += 1
            n = Numbered.last
            questions.append((n, *rng.choice((
                (wire.query("SELECT %d" % n), "TDCZ"),
                (wire.extended("SELECT %d" % n) + wire.sync(), "12TDCZ"),
                (wire.bind((n,), statement="pgwtest numbered") + wire.execute() + wire.sync(), "2DCZ")))))
        together = rng.random() < 0.5
        if together:
            self.client.send(b"".join(q[1] for q in questions))
        for n, data, kinds in questions:
            if not together:
                self.client.send(data)
            r = self.client.until_ready()
            check((r.kinds.replace("S", ""), r.rows, r.status) == (kinds, [(str(n),)], "I"),
                  "%s: asked for %d, got %s %s %s %s" % (what, n, r.kinds, r.rows, r.status, r.errors))


def numbered(client, rng, what):
    """The client asks some."""
    Numbered(client).ask(rng, what)


def check_clean(client, expected_settings):
    """The client finds nothing of an earlier one."""
    r = client.ask("SELECT 1")
    equal((r.status, r.errors), ("I", []), "the state a new client starts in")
    for what, sql in LEFTOVERS.items():
        equal(client.sql(sql), [], what + " of another client")
    now = settings(client)
    changed = {k: (expected_settings.get(k), now.get(k)) for k in set(now) | set(expected_settings)
               if now.get(k) != expected_settings.get(k)}
    equal(changed, {}, "settings changed by another client")


def openings(daemon, size, pool="db"):
    """At each opening of a server of the pool: how many servers it has then, and its size then. By the daemon's log
    at level debug, which has every opening and end. `size`: what it was at the start."""
    line = re.compile(r' server (\d+): (?:(connecting)|\w+ -> closed) pool=%s$|'
                      r' option changed section="pool %s" option=size was=\S+ is="?(\d+)' % ((re.escape(pool),) * 2), re.M)
    there, seen = set(), []
    for m in line.finditer(daemon.log_text()):
        server, opens, changed = m.groups()
        if changed:
            size = int(changed)
        elif opens:
            there.add(server)
            seen.append((len(there), size))
        else:
            there.discard(server)
    return seen


class Watch:
    """One server of the pool `db`, which must serve on after a client's end."""

    def __init__(self, t, daemon, **client):
        self.t, self.daemon = t, daemon
        self.client = client
        with daemon.connect(**client) as c:
            self.pid = c.backend()
            self.settings = settings(c)
        daemon.quiet()

    def row(self):
        """pg_stat_activity of the backend, or None."""
        for r in self.t.activity():
            if r["pid"] == self.pid:
                return r
        return None

    def runs(self, text):
        """Waits until the backend runs a statement with the text in it."""
        return wait_until(lambda: self._is("active", text), 10, "%r runs" % text)

    def state(self, state):
        """Waits for the backend's state in pg_stat_activity."""
        return wait_until(lambda: self._is(state, ""), 10, "the backend is " + state)

    def _is(self, state, text):
        r = self.row()
        return r and r["state"] == state and text in r["query"] and r

    def is_free(self):
        """True if backend and server are both as if nobody had used them."""
        r = self.row()
        return (r is not None and r["state"] == "idle" and r["xact"] is None and r["xid"] is None
                and not self.t.cluster.locks(self.pid)
                and any(int(s["remote_pid"]) == self.pid and s["state"] == "idle"
                        for s in self.daemon.servers()))

    def free_again(self, within=1.0):
        """The query is gone, the transaction is gone, the locks are gone, the server is idle in the
        pool; no other backend was made."""
        wait_until(self.is_free, within, "backend %d is free again" % self.pid)
        self.same_only()

    def same_only(self):
        equal(self.t.cluster.pids(self.t.database), {self.pid}, "the backends")
        equal(self.daemon.server_pids(), {self.pid}, "the servers of the pool")

    def lost(self, within=1.0):
        """The backend has ended, and the pool knows."""
        wait_until(lambda: self.row() is None and self.pid not in self.daemon.server_pids(), within,
                   "backend %d is gone" % self.pid)

    def serves_clean(self, same=True):
        """The next client is served at once, by the same backend (or by another), and finds nothing
        of the one before."""
        with self.daemon.connect(**self.client) as c:
            pid = c.backend()
            if same:
                equal(pid, self.pid, "the backend that serves the next client")
            else:
                check(pid != self.pid, "another backend serves the next client")
            check_clean(c, self.settings)
        self.daemon.quiet()


def abandon(t, script, watch, seen, same=True, within=1.0):
    """Runs script(client) in a process, waits for seen(watch), kills the process, and checks that
    the server is as new (same=True) or was lost."""
    daemon = watch.daemon
    params = watch.client

    def body(side):
        c = daemon.connect(**params)
        side.say("in")
        script(c)
        side.say("done")
        side.stay()

    p = t.process(body)
    equal(p.heard(), "in", "the process")
    equal(p.heard(), "done", "the process")
    seen(watch)
    p.kill()
    if same:
        watch.free_again(within)
    else:
        watch.lost(within)
    equal(daemon.clients(), [], "clients that are left")
    watch.serves_clean(same)


def killed_while(t, script, seen, same=True, **pool):
    """abandon() with a pool of one server and a table `marks`, which must be empty afterwards."""
    t.sql("CREATE TABLE marks (a int, b text)")
    daemon = t.daemon(**pool)
    watch = Watch(t, daemon)
    abandon(t, script, watch, seen, same)
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows left by the killed client")
    return daemon


def runs(text):
    return lambda watch: watch.runs(text)


def state(name):
    return lambda watch: watch.state(name)


def leased(watch):
    """Waits until the pool says that the server is in use."""
    wait_until(lambda: len(watch.daemon.leased()) == 1, 10, "the server is leased")


def error_of(function, *args, **named):
    """The ServerError that a call must raise."""
    try:
        function(*args, **named)
    except wire.ServerError as e:
        return e
    note("no error came")
    check(False, "an error must come")
