"""A random test: thousands of clients move money between accounts over a pool of five and are killed at
random points. Every script is drawn from the seed. Afterwards:

- what was acknowledged is there;
- what was not acknowledged is there whole or not at all;
- the balances are what the transfers that are there make of them, and their sum is what it was;
- no server is leased, no server was replaced, and nothing was left behind on any of them.

Two tests: clients of one process that drop their sockets, and processes that get SIGKILL.
PGWITH_TEST_SCRIPTS is the number of scripts (4000; fewer in a sanitized build)."""

import os
import random
import select
import socket
import time

from pgwtest import check, equal, main, note, sanitized, test, wait_until, wire
from pgwtest.looks import check_clean, numbered, settings

SCRIPTS = int(os.environ.get("PGWITH_TEST_SCRIPTS") or (400 if sanitized() else 2000))
SIZE = 5
ACCOUNTS = 40
START = 1000

SCHEMA = """
CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE journal (id bigint PRIMARY KEY, source int, target int, amount int);
CREATE TABLE leg (transfer bigint, account int, delta int);
CREATE TABLE scrap (a int, b text);
INSERT INTO account SELECT i, %d FROM generate_series(1, %d) i;
""" % (START, ACCOUNTS)


def statements(number, rng):
    """The statements of one transfer. The two accounts are changed in the order of their ids, so that
    transfers do not deadlock."""
    source, target = rng.sample(range(1, ACCOUNTS + 1), 2)
    amount = rng.randrange(1, 50)
    deltas = sorted([(source, -amount), (target, amount)])
    out = ["INSERT INTO journal VALUES (%d, %d, %d, %d)" % (number, source, target, amount)]
    for account, delta in deltas:
        out.append("UPDATE account SET balance = balance + (%d) WHERE id = %d" % (delta, account))
        out.append("INSERT INTO leg VALUES (%d, %d, %d)" % (number, account, delta))
    return out


def transfer(number, rng):
    """One transfer as a list of (bytes, ReadyForQuery to wait for after them) and its way's name. It is
    acknowledged when the last answer has come without an error."""
    sql = statements(number, rng)
    way = rng.choice(["simple", "string", "extended", "pipeline", "implicit", "copy", "mixed"])
    sync = wire.sync()
    if way == "simple":
        steps = [(wire.query(s), 1) for s in ["BEGIN"] + sql + ["COMMIT"]]
    elif way == "string":
        steps = [(wire.query("BEGIN; " + "; ".join(sql) + "; COMMIT"), 1)]
    elif way == "extended":
        steps = [(wire.extended(s) + sync, 1) for s in ["BEGIN"] + sql + ["COMMIT"]]
    elif way == "pipeline":
        steps = [(b"".join(wire.extended(s) + sync for s in ["BEGIN"] + sql + ["COMMIT"]),
                  len(sql) + 2)]
    elif way == "implicit":
        # One implicit transaction that ends at the Sync.
        steps = [(b"".join(wire.extended(s) for s in sql) + sync, 1)]
    elif way == "copy":
        legs = [s for s in sql if "INTO leg" in s]
        rows = "".join("\t".join(s[s.index("(") + 1:s.index(")")].split(", ")) + "\n" for s in legs)
        steps = [(wire.query("BEGIN"), 1)]
        steps += [(wire.query(s), 1) for s in sql if "INTO leg" not in s]
        steps += [(wire.query("COPY leg FROM STDIN") + wire.copy_data(rows.encode()) +
                   wire.copy_done(), 1), (wire.query("COMMIT"), 1)]
    else:
        steps = [(wire.query("BEGIN; " + sql[0]), 1),
                 (b"".join(wire.extended(s) for s in sql[1:]) + sync + wire.query("COMMIT"), 2)]
    return steps, way


def noise(rng):
    """Something that leaves no trace in the data, whether it is killed or not."""
    return rng.choice([
        [(wire.query("SELECT repeat('x', 10000) FROM generate_series(1, 200)"), 1)],
        [(wire.query("BEGIN; INSERT INTO scrap VALUES (1, 'x'); SELECT pg_sleep(0.05); ROLLBACK"), 1)],
        [(wire.extended("SELECT nonsense") + wire.extended("SELECT 1") + wire.sync(), 1)],
        [(wire.query("BEGIN"), 1), (wire.query("SELECT nonsense"), 1), (wire.query("ROLLBACK"), 1)],
        [(wire.query("SET work_mem = '3MB'"), 1), (wire.extended("SELECT 1") + wire.sync(), 1)],
        [(wire.query("SELECT pg_advisory_lock_shared(1)"), 1)],
        [(wire.query("CREATE TEMP TABLE IF NOT EXISTS tt (a int); INSERT INTO tt VALUES (1)"), 1)],
        [(wire.parse("SELECT 1", name="named%d" % rng.getrandbits(60)) + wire.sync(), 1)],
        [(wire.query("COPY (SELECT repeat('x', 10000) FROM generate_series(1, 200)) TO STDOUT"), 1)],
        [(wire.query("BEGIN; COPY scrap FROM STDIN") + wire.copy_data(b"1\tx\n" * 100) +
          wire.copy_fail(), 1), (wire.query("ROLLBACK"), 1)],
    ])


class Cut(Exception):
    """The script's own end has come."""


class Script:
    """One client's life: some transfers, some noise, and perhaps a sudden end.

    fate: None to run to the end; (step, bytes) to stop after that many bytes of that step have been
    sent. wait: at the end, whether to stay until the server runs what was sent."""

    def __init__(self, first, seed):
        self.rng = random.Random(seed)
        rng = self.rng
        self.steps = []     # (bytes, answers, number of the transfer that is acknowledged or None)
        self.numbers = []
        number = first
        for _ in range(rng.randrange(1, 4)):
            if rng.random() < 0.3:
                self.steps += [(data, n, None) for data, n in noise(rng)]
            steps, _ = transfer(number, rng)
            self.numbers.append(number)
            self.steps += [(data, n, None) for data, n in steps[:-1]]
            self.steps.append(steps[-1] + (number,))
            number += 1
        self.next = number
        self.fate = None
        if rng.random() < 0.7:
            step = rng.randrange(len(self.steps))
            size = len(self.steps[step][0])
            # Whole messages, half ones, and everything at once.
            self.fate = (step, rng.choice([size, size, rng.randrange(size + 1)]))
            # A Terminate would be taken for the rest of half a message.
            self.terminate = self.fate[1] == size and rng.random() < 0.2

    def run(self, client, acknowledge):
        """Raises Cut where its fate wants it. acknowledge(number) at each acknowledged transfer."""
        for i, (data, answers, number) in enumerate(self.steps):
            if self.fate and self.fate[0] == i:
                client.send(data[:self.fate[1]])
                raise Cut
            client.send(data)
            failed = False
            for _ in range(answers):
                r = client.until_ready()
                failed = bool(r.errors) or failed
                for e in r.errors:
                    # Only what the noise does on purpose.
                    check(e.sqlstate in ("42703", "57014"), "an unexpected error: %s" % e)
            if number is not None:
                check(not failed, "transfer %d failed" % number)
                acknowledge(number)


class Books:
    """What must hold over the data."""

    def __init__(self, t):
        self.t = t
        for s in SCHEMA.strip().split(";\n"):
            t.sql(s.rstrip(";"))
        self.acknowledged = set()
        self.sent = set()

    def audit(self):
        t = self.t
        there = {int(r[0]) for r in t.sql("SELECT id FROM journal")}
        equal(self.acknowledged - there, set(), "transfers that were acknowledged but are not there")
        equal(there - self.sent, set(), "transfers that nobody sent")
        equal(t.sql("SELECT transfer FROM leg GROUP BY transfer HAVING count(*) <> 2 OR sum(delta) <> 0"),
              [], "transfers that are there in part")
        equal(t.sql("SELECT id FROM journal EXCEPT SELECT transfer FROM leg UNION ALL"
                    " (SELECT transfer FROM leg EXCEPT SELECT id FROM journal)"), [],
              "transfers without their legs, or legs without a transfer")
        equal(t.sql("SELECT a.id, a.balance, %d + coalesce(sum(l.delta), 0) FROM account a LEFT JOIN"
                    " leg l ON l.account = a.id GROUP BY a.id HAVING a.balance <>"
                    " %d + coalesce(sum(l.delta), 0)" % (START, START)), [], "balances")
        equal(t.value("SELECT sum(balance) FROM account"), str(START * ACCOUNTS), "the sum")
        equal(t.value("SELECT count(*) FROM scrap"), "0", "rows of transactions rolled back")
        return len(there)


def open_pool(t):
    d = t.daemon(size=SIZE, min_size=SIZE, options={"log_level": "info", "max_clients": 2000})
    wait_until(lambda: len(d.servers()) == SIZE, 10, "all servers are open")
    pids = d.quiet() and d.server_pids()
    with d.connect() as c:
        clean = settings(c)
    return d, pids, clean


def close_pool(t, d, pids, clean):
    d.quiet(within=10)
    equal(d.server_pids(), pids, "the servers")
    equal(t.cluster.pids(t.database), pids, "the backends")
    equal(d.clients(), [], "clients that are left")
    clients = [d.connect() for _ in range(SIZE)]
    for c in clients:
        c.sql("BEGIN")
    equal({c.backend() for c in clients}, pids, "the backends of the next clients")
    for c in clients:
        c.sql("COMMIT")
        numbered(c, t.random, "the next client")
        check_clean(c, clean)
        c.close()


def worker(side, dial, seed, first, budget, kill_self):
    """Runs scripts one after the other; says "s N" before a transfer may be sent, "a N" when it is
    acknowledged, "k" when it wants to be killed, and "end"."""
    rng = random.Random(seed)
    number = first
    for _ in range(budget):
        script = Script(number, rng.random())
        number = script.next
        side.say("s " + " ".join(map(str, script.numbers)))
        client = dial()
        try:
            script.run(client, lambda n: side.say("a %d" % n))
            client.close()
        except Cut:
            if kill_self:
                side.say("k")
                side.stay()
            elif script.terminate:
                client.close()
            else:
                if rng.random() < 0.3:
                    client.sock.shutdown(socket.SHUT_WR)
                client.drop()
    side.say("end")


def dialer(d):
    return lambda: d.connect()


@test(timeout=300)
def dropped(t):
    """thousands of scripts from ten processes, whose sockets are dropped at random points"""
    books = Books(t)
    d, pids, clean = open_pool(t)
    workers = 10
    started = time.monotonic()
    processes = []
    for i in range(workers):
        seed, first = t.random.random(), (i + 1) * 1000000
        processes.append(t.process(worker, dialer(d), seed, first, SCRIPTS // workers, False))
    scripts = 0
    for p in processes:
        while True:
            word, *numbers = p.heard(120).split()
            if word == "end":
                break
            scripts += word == "s"
            (books.sent if word == "s" else books.acknowledged).update(map(int, numbers))
        p.finish()
    close_pool(t, d, pids, clean)
    there = books.audit()
    note("%d scripts in %.1f s: %d transfers begun, %d acknowledged, %d there"
         % (scripts, time.monotonic() - started, len(books.sent), len(books.acknowledged), there))
    check(len(books.acknowledged) > scripts // 10, "enough was acknowledged")
    check(len(books.sent) > len(books.acknowledged), "enough was not")


@test(timeout=300)
def killed(t):
    """hundreds of processes that get SIGKILL at random points"""
    books = Books(t)
    d, pids, clean = open_pool(t)
    started = time.monotonic()
    budget = max(50, SCRIPTS // 5)
    running, begun, killed_count = [], 0, 0
    while begun < budget or running:
        while begun < budget and len(running) < 12:
            begun += 1
            running.append(t.process(worker, dialer(d), t.random.random(), begun * 1000, 3, True))
        ready, _, _ = select.select(running, [], [], 60)
        check(ready, "something happens within a minute")
        for p in ready:
            for line in p.heard_all():
                word, *numbers = line.split()
                if word == "s":
                    books.sent.update(map(int, numbers))
                elif word == "a":
                    books.acknowledged.update(map(int, numbers))
                elif word == "k":
                    p.kill()
                    killed_count += 1
                    running.remove(p)
                else:
                    p.finish()
                    running.remove(p)
    close_pool(t, d, pids, clean)
    there = books.audit()
    note("%d processes, %d of them killed, in %.1f s: %d transfers begun, %d acknowledged, %d there"
         % (begun, killed_count, time.monotonic() - started, len(books.sent),
            len(books.acknowledged), there))
    check(killed_count > budget // 2, "enough were killed")


if __name__ == "__main__":
    main()
