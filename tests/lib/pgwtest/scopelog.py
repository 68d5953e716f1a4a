"""Scopes as a test looks at them: the events in the daemon's log, pools and clients for them."""

import re
import time
from datetime import datetime

from . import wire
from .tap import check, equal, unavailable, wait_until

EVENT = re.compile(r"^(\S+ \S+) pgwithd\[\d+\] info session (\d+): scope (enter|granted|exit|released|expired)"
                   r' name=("(?:[^"\\]|\\.)*"|\S*)(?: (\w+=.*))?$', re.M)
FIELD = re.compile(r'(\w+)=("[^"]*"|\S*)')


class Event:
    """One line of the log. `session`: its id."""

    def __init__(self, m):
        self.at = datetime.strptime(m.group(1), "%Y-%m-%d %H:%M:%S.%f").timestamp()
        self.session, self.what, self.name = int(m.group(2)), m.group(3), m.group(4).strip('"')
        self.fields = {k: v.strip('"') for k, v in FIELD.findall(m.group(5) or "")}

    def __str__(self):
        text = self.name + " " + self.what
        return text + " " + self.fields["outcome"] if self.what == "released" else text

    __repr__ = __str__


def events(d, session=None, what=None, since=0):
    """The events of a session (or of all), of one kind (or of all), without the first `since`."""
    found = [Event(m) for m in EVENT.finditer(d.log_text())][since:]
    return [e for e in found if session in (None, e.session) and what in (None, e.what)]


def story(d, session=None, since=0):
    """The events as texts: "a enter", "a granted", "a exit", "a released success"."""
    return [str(e) for e in events(d, session, since=since)]


def told(d, session, want, since=0, within=5):
    """Waits until the session's events are as many as `want`, which they must be then."""
    wait_until(lambda: len(events(d, session, since=since)) >= len(want), within,
               "events %r, so far %r" % (want[-1:], story(d, session, since)))
    equal(story(d, session, since), want, "the log of session %d" % session)


def released(d, session=None, since=0):
    """Names of the scopes released, in order."""
    return [e.name for e in events(d, session, "released", since)]


def wait_for(d, what, name, session=None, count=1, within=5):
    """Waits for an event."""
    return wait_until(lambda: [e for e in events(d, session, what)
                               if e.name == name][count - 1:], within,
                      "%s %s" % (name, what))[0]


def now():
    """The clock of the log."""
    return time.time()


def pools(t, *names, **options):
    """Pools of these names on the test's database, of one server each if `size` says nothing else."""
    conf = {"conninfo": t.conninfo(), "size": 1}
    conf.update(options)
    return {name: dict(conf) for name in names}


def warm(d, *names):
    """A server of each pool is opened; their backends by pool."""
    found = {}
    for name in names:
        with d.connect(name) as c:
            found[name] = c.backend()
        d.quiet(name)
    return found


def all_quiet(d, *names, within=1.0):
    """Every server of the pools is idle and nobody waits."""
    for name in names:
        d.quiet(name, within)


def idle_backends(t, pids):
    """These backends, and no others, are there; they are idle and hold nothing."""
    rows = t.activity()
    if {r["pid"] for r in rows} != set(pids):
        return False
    return all(r["state"] == "idle" and r["xact"] is None and r["xid"] is None for r in rows) and \
        not any(t.cluster.locks(pid) for pid in pids)


def untouched(t, d, backends, within=1.0):
    """Within that time all servers are free again, and they are those of warm()."""
    all_quiet(d, *backends, within=within)
    wait_until(lambda: idle_backends(t, backends.values()), within, "the backends are as new")
    for name, pid in backends.items():
        equal(d.server_pids(name), {pid}, "the servers of pool " + name)


def driver():
    try:
        import psycopg
    except ImportError:
        unavailable("no Python module psycopg")
    return psycopg


class Notice:
    """What is known of a notice (psycopg's own object is empty after its handler has returned)."""

    def __init__(self, diag):
        self.severity, self.sqlstate = diag.severity_nonlocalized, diag.sqlstate
        self.message, self.detail = diag.message_primary, diag.message_detail


def connect(t, d, pool="db", **more):
    """A psycopg 3 connection in autocommit, closed at the end of the test."""
    conn = dial(d, pool, **more)
    t.defer(conn.close)
    return conn


def dial(d, pool="db", **more):
    conn = driver().connect(d.dsn(pool), autocommit=True, **more)
    conn.notices = []
    conn.add_notice_handler(lambda diag: conn.notices.append(Notice(diag)))
    return conn


def number(conn):
    """The id of its session."""
    return wire.session_of(conn.info.backend_pid)


def refusal(conn, sql, values=None, **how):
    """The error that a statement must give: a psycopg Error, with its fields in .diag."""
    try:
        conn.execute(sql, values, **how)
    except driver().Error as e:
        return e
    check(False, "%r must be refused" % sql)
    return None


def refused(conn, sql, sqlstate, words="", **how):
    """The statement must fail with that SQLSTATE and a message with these words; its .diag."""
    e = refusal(conn, sql, **how)
    equal(e.sqlstate, sqlstate, "the SQLSTATE of %r (%s)" % (sql, e))
    check(words in (e.diag.message_primary or ""), "%r in the message %r" % (words, e.diag.message_primary))
    return e.diag


def elapsed(tag):
    """Milliseconds of the command tag of EXIT."""
    m = re.fullmatch(r"(?:EXIT|LEAVE) \S+ (\d+\.\d) ms", tag)
    check(m, "the tag of EXIT: %r" % tag)
    return float(m.group(1))
