"""The status page at / of metrics_listen, as a browser gets it: against SHOW, for each sort of trouble; hostile names; its
bounds; the hour that it keeps."""

import base64
import hashlib
import html.parser
import http.client
import re
import socket
import threading
import time

from pgwtest import check, equal, main, note, slow_factor, test, wait_until, wire
from pgwtest.looks import error_of
from pgwtest.ports import free_port

ROWS, POOLS = 12, 20  # STATUS_ROWS and STATUS_POOLS of src/admin/status.h
BYTES_MAX = 768 << 10  # PAGE_BYTES_MAX of tests/unit/check_page.c
HOSTILE = "<script>alert(1)</script>\"'&amp;\x1b[31m"


class Page(html.parser.HTMLParser):
    """What one reads on it: head (the headline), verdicts, cards (name to text), tables (caption to rows of cells)."""

    def __init__(self, text):
        super().__init__()
        self.text = text
        self.head, self.verdicts, self.cards, self.tables, self.tags, self.titles = "", [], {}, {}, set(), []
        self._row, self._caption, self._into, self._card = None, None, None, None
        self.style, self.all_text = "", ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("h2", "caption", "title", "style", "h3"):
            self._into = tag
            if tag == "caption":
                self._caption = ""
            if tag == "title":
                self.titles.append("")
            if tag == "h3":
                self._card = [""]
        elif tag == "small" and self._into == "caption":
            self._into = None
        elif tag == "li":
            self._into = "li"
            self.verdicts.append("")
        elif tag == "tr" and self._caption is not None:
            self._row = []
            self.tables.setdefault(self._caption, []).append(self._row)
        elif tag in ("td", "th") and self._row is not None:
            self._row.append("")
            self._into = "cell"

    def handle_endtag(self, tag):
        if tag in ("h2", "caption", "title", "style"):
            self._into = None
        elif tag == "ul":
            self._into = None
        elif tag == "table":
            self._row = self._caption = None
            self._into = None
        elif tag == "article":
            self.cards[self._card[0].strip().rsplit(" ", 1)[0]] = " ".join(self._card)
            self._card = None

    def handle_data(self, data):
        if self._into == "style":
            self.style += data
            return
        self.all_text += data + " "
        if self._into == "h2" and not self.head:
            self.head = data
        elif self._into == "caption":
            self._caption += data
        elif self._into == "title":
            self.titles[-1] += data
        elif self._into == "li":
            self.verdicts[-1] += data
        elif self._into == "cell":
            self._row[-1] += (" " if self._row[-1] else "") + data
        if self._card is not None:
            self._card.append(data) if self._card[0] else self._card.__setitem__(0, data)

    def rows(self, caption):
        """The rows of a table, without its head."""
        return self.tables.get(caption, [[]])[1:]


def ask(port, path="/", method="GET"):
    """(status, headers, body)"""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10 * slow_factor())
    try:
        c.request(method, path)
        r = c.getresponse()
        return r.status, dict(r.getheaders()), r.read().decode()
    finally:
        c.close()


def page(port, path="/"):
    status, _, body = ask(port, path)
    equal(status, 200, "the status of " + path)
    check(len(body) < BYTES_MAX, "%d bytes" % len(body))
    return Page(body)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except ConnectionRefusedError:
        return False


def begin(t, **how):
    """(daemon, port of its pages)"""
    port = free_port()
    options = dict({"metrics_listen": "127.0.0.1:%d" % port}, **how.pop("options", {}))
    return t.daemon(options, **how), port


def waits(t, d, sql="SELECT 1", database="db", **params):
    """A client that waits from now on."""
    before = len(d.show("WAITS"))
    c = t.client(d, database, **params)
    c.send(wire.query(sql))
    wait_until(lambda: len(d.show("WAITS")) > before, 5, "it waits")
    return c


def in_transaction(t, d, database="db", **params):
    c = t.client(d, database, **params)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    return c


@test
def document(t):
    """a browser may load and run nothing, and asks again as often as it was told; HEAD is GET without a body"""
    d, port = begin(t)
    status, headers, body = ask(port)
    p = Page(body)
    equal((status, headers["Content-Type"], headers["Refresh"]), (200, "text/html; charset=utf-8", "5"), "the head")
    style = base64.b64encode(hashlib.sha256(p.style.encode()).digest()).decode()
    equal(headers["Content-Security-Policy"],
          "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" % style,
          "the policy")
    equal(p.tags & {"script", "img", "link", "iframe", "object", "form", "base"}, set(), "what is not there")
    check(" style=" not in body and " on" not in re.sub(r"[^<]*(<[^>]*>)[^<]*", r"\1", body), "no style of a tag, no handler")
    equal((p.head, p.verdicts), ("All is well", ["✓ ready db: 0 of 1 leased"]), "the verdict")
    equal(ask(port, "/?refresh=1")[1]["Refresh"], "1", "each second")
    equal("Refresh" in ask(port, "/?refresh=0")[1], False, "never")
    equal(ask(port, "/?refresh=x%00")[1]["Refresh"], "5", "nonsense")
    status, head, body = ask(port, "/", "HEAD")
    equal((status, body, head["Content-Type"]), (200, "", headers["Content-Type"]), "HEAD")
    equal(ask(port, "/", "POST")[0], 405, "POST")
    equal(ask(port, "/x")[0], 404, "another page")
    d.console_close()


@test
def against_show(t):
    """the page says what SHOW POOLS, HELD, WAITS, LOCKS, CLIENTS and ERRORS say"""
    d, port = begin(t, size=3, scopes={"work": {}})
    listener = t.client(d, application_name="listens")
    listener.sql("LISTEN x; SELECT 1")
    first = in_transaction(t, d, application_name="first")
    second = t.client(d, application_name="second")
    second.sql("ENTER LOCK 'nightly'")
    second.sql("ENTER work ON db")
    waits(t, d, "ENTER LOCK 'nightly'", application_name="third")
    waits(t, d, application_name="fourth")
    error_of(second.sql, "ENTER work ON nowhere")
    p = page(port)
    equal(p.head, "2 clients wait", "the headline")
    pool = d.pool()
    card = p.cards["db"]
    check("3 leased" in card and "of 3" in card and "1  of 10,000, oldest" in card, card)
    equal((pool["sv_active"], pool["cl_waiting"]), (3, 1), "SHOW POOLS")
    rows = p.rows("Who holds")
    held = [x for x in d.show("HELD") if x["kind"] != "pinned"]
    equal(sorted(re.search(r"session (\d+)", r[1]).group(1) for r in rows), sorted(x["session"] for x in held), "HELD")
    for x in held:
        row = [r for r in rows if "session " + x["session"] in r[1] and x["kind"] in r[2] and x["name"] in r[2]][0]
        check(x["program"] in row[1] and "pid " + x["pid"] in row[1] and x["application_name"] in row[1], row)
        check(x["state"] in row[2] and (x["scopes"] or "") in row[2] and row[3] == x["waiting"], row)
    rows = p.rows("Who waits")
    # The page has only the oldest hold of what is waited for, the table each.
    equal(sorted((re.search(r"session (\d+)", r[1]).group(1), *r[2].split("number")[0].split()) for r in rows),
          sorted({(x["session"], x["kind"], x["name"]) for x in d.show("WAITS")}), "WAITS")
    rows = p.rows("Locks and semaphores")
    equal([(r[0], r[2]) for r in rows], [("nightly lock, exclusive", "1")], "LOCKS")
    check("second" in rows[0][1] and "third" in rows[0][3], rows)
    rows = p.rows("Pinned sessions")
    equal([(r[2], r[3]) for r in rows],
          [("db", x["pinned"]) for x in d.show("CLIENTS") if x["application_name"] == "listens"], "the pinned one")
    wait_until(lambda: page(port).rows("Errors that clients were told"), 5, "the error is noticed")
    equal([(r[0].split()[0], r[1], r[2]) for r in page(port).rows("Errors that clients were told")],
          [(x["error"], x["count"], x["count"]) for x in d.show("ERRORS") if x["count"] != "0"], "ERRORS")


@test
def culprit(t):
    """one stuck transaction holds everything: within a second of the first wait the page names program, pid and scope"""
    d, port = begin(t, size=1, scopes={"export": {}})
    c = t.client(d, application_name="nightly-export")
    c.sql("ENTER export ON db")
    c.sql("SELECT 1")
    w = t.client(d)
    started = time.monotonic()
    w.send(wire.query("SELECT 1"))
    found = wait_until(lambda: [v for v in page(port).verdicts if "Behind it" in v], 5, "a culprit")
    took = time.monotonic() - started
    held = d.show("HELD")[0]
    check(took < slow_factor(), "it took %.3f s" % took)
    note("%.3f s" % took)
    for word in ("▲ waiting", "db: 1 of 1 leased, 1 waiting", held["program"], "pid " + held["pid"],
                 "session " + held["session"], "nightly-export", "scope export", "idle in transaction",
                 "last statement: " + held["class"], "backend pid " + held["backend_pid"]):
        check(word in found[0], "%r in %r" % (word, found))
    c.sql("LEAVE ALL")
    wait_until(lambda: page(port).head == "All is well", 5, "all is well again")


@test
def busy(t):
    """a pool that is only too small has nobody behind it: its servers come back while the first in the queue waits"""
    d, port = begin(t, size=2)
    ends = threading.Event()

    def work():
        c = d.connect()
        while not ends.is_set():
            c.sql("SELECT pg_sleep(0.05)")
        c.close()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for x in threads:
        x.start()
    try:
        wait_until(lambda: "db: 2 of 2 leased" in page(port).verdicts[0], 5, "all are leased")
        verdict = wait_until(lambda: [v for v in page(port).verdicts if "nobody in particular" in v], 5, "nobody")
        check("session" not in verdict[0].split("Behind it")[1], verdict)
    finally:
        ends.set()
        for x in threads:
            x.join()


@test
def root(t):
    """who is behind it is the one that waits for nothing: another one's lock keeps the holders of all servers"""
    d, port = begin(t, size=2)
    lock = t.client(d, application_name="culprit")
    lock.sql("ENTER LOCK 'stock'")
    for i in range(2):
        c = in_transaction(t, d, application_name="victim")
        c.send(wire.query("ENTER LOCK 'stock'"))
    wait_until(lambda: len([x for x in d.show("LOCKS") if x["state"] == "waiting"]) == 2, 5, "they wait for the lock")
    waits(t, d)
    p = page(port)
    equal(p.head, "3 clients wait", "the headline")
    pool, of_lock = p.verdicts
    check("db: 2 of 2 leased, 1 waiting" in pool and "culprit" in pool.split("Behind it")[1], pool)
    check("holds lock stock for" in pool, pool)
    check("lock stock: 2 waiting" in of_lock and "again" in of_lock, of_lock)
    server = [r for r in p.rows("Who waits") if "server" in r[2]][0]
    check("waits itself" in server[3], server)
    equal("culprit" in p.rows("Who holds")[0][1], True, "it stands first")


@test
def hostile(t):
    """whatever clients and locks call themselves is text; no statement and no password is shown"""
    d, port = begin(t, size=2, conninfo=t.conninfo(password="verysecret"))
    lock = "ENTER LOCK '%s'" % HOSTILE.replace("'", "''")
    c = t.client(d, user="<i>\"x\"</i>", application_name=HOSTILE)
    c.sql(lock)
    c.sql("BEGIN")
    c.sql("SELECT 'thetext'")
    waits(t, d, lock, application_name=HOSTILE)
    pinned = t.client(d, application_name=HOSTILE)
    pinned.sql("PREPARE thename AS SELECT 'thetext'")
    p = page(port)
    equal(p.tags & {"script", "i"}, set(), "tags of others")
    # PostgreSQL itself makes a ? of the control character in an application_name.
    names = re.findall(r"&lt;script&gt;alert\(1\)&lt;/script&gt;&quot;&#39;&amp;amp;(\\x1b|\?)\[31m", p.text)
    check(len(names) > 8 and len(set(names)) == 2, names)
    equal(p.text.count("alert("), len(names), "each is escaped")
    check("role &lt;i&gt;&quot;x&quot;&lt;/i&gt;" in p.text, "the role")
    equal([r[3] for r in p.rows("Pinned sessions")], ["PREPARE"], "the pinned one")
    for secret in ("thetext", "thename", "verysecret", "password", "\x1b"):
        check(secret not in p.text, secret)


@test
def bounded(t):
    """many pools, waiters, holders and locks: so many rows, and how many more there are"""
    pools = {"p%02d" % i: {"conninfo": t.conninfo(), "size": 1} for i in range(POOLS + 5)}
    d, port = begin(t, pools=dict(pools, db={"conninfo": t.conninfo(), "size": ROWS + 3}))
    for i in range(ROWS + 3):
        c = in_transaction(t, d)
        c.sql("ENTER LOCK 'l%02d'" % i)
    waiters = [t.client(d) for _ in range(ROWS + 7)]
    for w in waiters:
        w.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == ROWS + 7, 10, "they wait")
    p = page(port)
    equal(len(p.cards), POOLS, "pools")
    equal(list(p.cards)[0], "db", "the one in trouble first")
    equal([len(p.rows(x)) for x in ("Who holds", "Who waits", "Locks and semaphores")], [ROWS] * 3, "rows")
    more = dict(reversed(x) for x in re.findall(r"and (\d+) more: <code>(pgwith \w+)</code>", p.text))
    # Each holds a server that others wait for; a lock for which nobody waits is shown when it has been held for 0.1 s.
    check(int(more.pop("pgwith held")) >= 3, "holders")
    equal(more, {"pgwith ready": "6", "pgwith pools": "6", "pgwith waits": "7", "pgwith locks": "3"}, "how many more")
    equal(p.head, "%d clients wait" % (ROWS + 7), "the headline")


@test
def down(t):
    """PostgreSQL cannot be reached: the page says so with the words of the client's error"""
    d, port = begin(t, conninfo="host=127.0.0.1 port=1 dbname=x user=x", wait_timeout="60s", min_size=1)
    wait_until(lambda: "would not serve" in page(port).head, 10, "the pool has tried")
    p = page(port)
    equal(p.head, "1 of 1 pool would not serve a client now", "the headline")
    check("✕ not ready" in p.verdicts[0] and "cannot connect to the server of pool" in p.verdicts[0], p.verdicts)
    equal(d.show("HEALTH")[0]["ready"], "f", "SHOW HEALTH")


@test
def paused(t):
    """a paused pool: nobody is to blame for its waits"""
    d, port = begin(t)
    c = t.client(d)
    d.console("PAUSE db")
    c.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    p = page(port)
    check("the pool is paused" in p.verdicts[0] and "Behind it" not in p.verdicts[0], p.verdicts)
    row = p.rows("Who waits")[0]
    check(row[3] == "nobody" and row[2].endswith("number 1 in the queue: the pool is paused: an administrator can RESUME it"), row)
    d.console("RESUME db")
    wait_until(lambda: page(port).head == "All is well", 5, "resumed")


def known(port, pool="db"):
    """How many minutes the chart of a pool knows; None: there is no such chart."""
    for title in page(port).titles:
        m = re.search(r"The last hour of pool %s: .*; (\d+) of 60 minutes are known" % pool, title)
        if m:
            return int(m.group(1))
    return None


def kept(d):
    """(pools with a history, its bytes)"""
    row = [x for x in d.show("MEM") if x["name"] == "history"][0]
    return int(row["used"]), int(row["bytes"])


@test
def hour(t):
    """the hour begins when it is switched on, for each pool, and is given up when it is switched off or the pool goes"""
    d, port = begin(t, pools={"db": {"conninfo": t.conninfo(), "size": 2}})
    c = t.client(d)
    wait_until(lambda: known(port), 5, "a minute is known")
    check(known(port) <= 2, "%s minutes" % known(port))
    c.sql("SELECT 1")
    wait_until(lambda: "transactions a second, at most 0 " not in page(port).cards["db"], 5, "the transaction is counted")
    pools, before = kept(d)
    equal(pools, 1, "pools")
    check(before < 128 << 10, "%d bytes" % before)
    two = {"db": {"conninfo": t.conninfo(), "size": 2}, "new": {"conninfo": t.conninfo(), "size": 2}}
    d.reload(pools=two)
    wait_until(lambda: known(port, "new"), 5, "the new pool's hour begins")
    equal(kept(d)[0], 2, "two pools")
    d.reload()
    wait_until(lambda: kept(d) == (1, before), 5, "the pool is gone, and its hour")
    equal(known(port, "new"), None, "no chart")
    d.reload({"metrics_listen": ""})
    wait_until(lambda: kept(d) == (0, 0), 5, "nothing is kept")
    c.sql("SELECT 1")
    d.reload()
    wait_until(lambda: kept(d)[0] == 1, 5, "it begins anew")
    wait_until(lambda: "transactions a second, at most 0 " in page(port).cards["db"], 5, "of what was before, nothing is known")


@test
def restarted(t):
    """a restart that hands over: the page names the culprit as before, and the hour begins anew"""
    port = free_port()
    d = t.supervised({"metrics_listen": "127.0.0.1:%d" % port}, size=1)
    c = in_transaction(t, d, application_name="culprit")
    error_of(c.sql, "SELECT 1/0")
    c.sql("ROLLBACK")
    error_of(c.sql, "LEAVE nothing")
    wait_until(lambda: page(port).rows("Errors that clients were told"), 5, "the error is counted")
    c.sql("BEGIN")
    c.sql("SELECT 1")
    w = t.client(d)
    w.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    d.restart()
    p = wait_until(lambda: listens(port) and page(port), 10, "the next process listens")
    check("culprit" in p.verdicts[0].split("Behind it")[1], p.verdicts)
    equal(p.rows("Errors that clients were told"), [], "the errors of the process before")
    wait_until(lambda: known(port), 5, "the hour begins")
    check(known(port) <= 2, "%s minutes" % known(port))
    c.sql("COMMIT")
    wait_until(lambda: page(port).head == "All is well", 5, "all is well again")


@test
def roles(t):
    """with role = client, the roles of a pool are one pool on the page"""
    t.sql("DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'page_other') THEN "
          "CREATE ROLE page_other LOGIN; END IF; END$$")
    d, port = begin(t, size=2, role="client", conninfo=t.conninfo(user=None))
    in_transaction(t, d, user="postgres")
    in_transaction(t, d, user="page_other", application_name="other")
    waits(t, d, user="postgres")
    wait_until(lambda: len(page(port).rows("Who holds")) == 2, 5, "both hold")
    p = page(port)
    equal(list(p.cards), ["db"], "one pool")
    check("2 leased" in p.cards["db"] and "of 2" in p.cards["db"], p.cards["db"])
    wait_until(lambda: known(port), 5, "its hour")


@test
def cluster(t):
    """what is held by another pool of the cluster, and how many sessions are alike; the reason as in SHOW WAITS"""
    pool = {"conninfo": t.conninfo(), "cluster": "main", "size": 3}
    d, port = begin(t, pools={"a": dict(pool), "b": dict(pool)}, sections={"cluster main": {"server_limit": 2}})
    w = t.client(d, database="b")
    w.sql("SELECT 1")
    hogs = [t.client(d, database="a", application_name="hog") for _ in range(2)]
    for c in hogs:
        c.sql("BEGIN; SELECT 1")
    w.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting("b") == 1, 5, "it waits")
    reason = d.show("WAITS")[0]["reason"]
    equal(reason, 'cluster "main" has 2 of 2 servers (server_limit)', "SHOW WAITS")
    p = page(port)
    row = p.rows("Who waits")[0]
    check(row[2].startswith("server  b number 1 in the queue: ") and row[2].endswith(reason), row)
    check("session %d," % hogs[0].session in row[3], "who holds it: %r" % row)
    verdict, = [v for v in p.verdicts if "1 waiting" in v]
    check(reason in verdict and "and 1 more hold for up to" in verdict, verdict)
    check("Behind it" in verdict and "and 1 more like it" in verdict, verdict)
    for c in hogs:
        c.sql("COMMIT")
    w.until_ready()


if __name__ == "__main__":
    main()
