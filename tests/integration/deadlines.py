"""Time limits against a table: every way to begin a transaction, times every way to be long, in every kind of session.
Each ends by 57014 when the limit has passed, and not before; what is no transaction, or is short, does not end. What the
daemon itself sends (a BEGIN that was answered early, SET ahead, the question at the end) counts for nothing.

PGWITH_DEADLINES=all runs the whole table; by default a half of it, by the seed."""

import concurrent.futures
import itertools
import os
import time

from pgwtest import check, equal, main, note, slow_factor, test, wire
from pgwtest.steady import steady
from pgwtest.wire import bind, execute, extended, parse, query, sync

LIMIT = 0.6     # seconds, of each limit here
AT_ONCE = 30    # sessions, and servers
LATE = 3.0      # seconds that the end may be late: thirty sessions share the machine with other tests

ROWS = "SELECT repeat('x', 9000), pg_sleep(0.02) FROM generate_series(1, 5000)"

# name: SQL. That of COPY FROM is silent, as a client that has died is.
LONG = {
    "sleeps": "SELECT pg_sleep(60)",
    "rows": ROWS,
    "COPY TO": "COPY (%s) TO STDOUT" % ROWS,
    "COPY FROM": "COPY x FROM STDIN",
    "second of two": "SELECT pg_sleep(0.1); SELECT pg_sleep(60)",
    "DO": "DO $$BEGIN PERFORM pg_sleep(60); END$$",
}
EXTENDED = ("sleeps", "rows", "DO")
# A Query behind COPY FROM STDIN would be a protocol violation.
ALONE = ("three in a write", "a pipeline of transactions")


def simple(*texts):
    return b"".join(query(t) for t in texts)


def one_exchange(*texts):
    return b"".join(extended(t) for t in texts) + sync()


# name: (what is sent and answered before the clock, what is sent then and answered, what is sent then and not waited
# for). %s: what is long.
BEGIN = {
    "BEGIN": ((), (simple("BEGIN"),), simple("%s")),
    "START TRANSACTION": ((), (simple("START TRANSACTION ISOLATION LEVEL REPEATABLE READ"),), simple("%s")),
    "begin with a comment": ((), (simple("/* a */ begin -- b\n work"),), simple("%s")),
    "one text": ((), (), simple("BEGIN; %s")),
    "in the middle of a text": ((), (), simple("SELECT 1; BEGIN; %s")),
    "at the end of a text": ((), (simple("SELECT 1; BEGIN"),), simple("%s")),
    "two in a write": ((), (), simple("BEGIN", "%s")),
    "three in a write": ((), (), simple("BEGIN", "%s", "COMMIT")),
    "with its end in the text": ((), (), simple("BEGIN; %s; COMMIT")),
    "the end behind it": ((), (simple("BEGIN"),), simple("%s; COMMIT")),
    "behind another transaction": ((), (), simple("BEGIN; SELECT 1; COMMIT; BEGIN; %s")),
    "a pipeline of transactions": ((), (), simple("SELECT 1", "BEGIN; SELECT 1; COMMIT", "BEGIN; %s", "SELECT 2")),
    "chained": ((simple("BEGIN"), simple("SELECT 1")), (simple("COMMIT AND CHAIN"),), simple("%s")),
    "chained in the text": ((simple("BEGIN"), simple("SELECT 1")), (), simple("COMMIT AND CHAIN; %s")),
    "extended BEGIN": ((), (one_exchange("BEGIN"),), simple("%s")),
    # what is long by the extended protocol
    "BEGIN, extended": ((), (simple("BEGIN"),), one_exchange("%s")),
    "all extended": ((), (one_exchange("BEGIN"),), one_exchange("%s")),
    "one exchange": ((), (), one_exchange("BEGIN", "%s")),
    "one exchange with its end": ((), (), one_exchange("BEGIN", "%s", "COMMIT")),
    "the end in the exchange": ((), (simple("BEGIN"),), one_exchange("%s", "COMMIT")),
    "prepared BEGIN": ((parse("BEGIN", "b") + sync(), simple("SELECT 1")), (),
                       bind(statement="b") + execute() + one_exchange("%s")),
    "prepared by the exchange": ((), (), parse("BEGIN", "b1") + bind(statement="b1") + execute() + one_exchange("%s")),
    "BEGIN before a rest": ((parse("BEGIN") + bind() + execute() + sync(), simple("COMMIT"), simple("SELECT 1")), (),
                            one_exchange("BEGIN", "%s")),
}
BY_EXTENDED = set(list(BEGIN)[list(BEGIN).index("BEGIN, extended"):])

# name: (options of the pool, what the session does first)
SESSIONS = {
    "transaction": ({}, ()),
    "lazy": ({"lazy_begin": "on"}, ()),
    "lazy, settings": ({"lazy_begin": "on"}, ("SET work_mem = '%dkB'",)),
    "session": ({"mode": "session"}, ()),
    "pinned": ({}, ("LISTEN news; SELECT 1",)),
    "untracked": ({"max_prepared_statements": "0"}, ()),
}
LIMITS = ("scope_deadline", "query_timeout")


class Wrong(Exception):
    pass


def states(r):
    return [e.sqlstate for e in r.errors]


def fill(data, sql):
    """Messages with %s in a text, and the right lengths."""
    out, at = b"", 0
    while at < len(data):
        length = int.from_bytes(data[at + 1:at + 5], "big")
        body = data[at + 5:at + 1 + length].replace(b"%s", sql.encode())
        out += wire.message(chr(data[at]), body)
        at += 1 + length
    return out


def ends_in_time(d, begin, sql, first, number):
    """One case. Raises Wrong."""
    before, then, last = BEGIN[begin]
    with d.connect() as c:
        for text in first:
            c.sql(text % (1000 + number) if "%d" in text else text)
        for data in before:
            c.send(data)
            if c.until_ready().errors:
                raise Wrong("before")
        # A rest longer than the limit, of which nothing may come; but in a transaction that is there already.
        if not before or c.status == "I":
            time.sleep(LIMIT * 1.3)
        started = time.monotonic()
        for data in then:
            c.send(data)
            if c.until_ready().errors:
                raise Wrong("the beginning is refused")
        c.send(fill(last, sql))
        r = c.until("E")
        took = time.monotonic() - started
        if states(r) != ["57014"]:
            raise Wrong("ended by %r" % states(r))
        if not LIMIT - 0.01 <= took <= LIMIT + LATE * slow_factor():
            raise Wrong("after %.3f s" % took)
        # Whatever was sent behind it is answered too: by 57014, or because it is the end.
        c.send(query("ROLLBACK") + query("SELECT 'over'"))
        while (r := c.until_ready()).rows != [("over",)]:
            pass
        if r.errors or r.status != "I":
            raise Wrong("it does not go on")


def all_at_once(cases, function):
    """Runs function(number, *case) of each in threads; what went wrong, as texts."""
    def run(*how):
        steady(function, *how, margin=0.1 * LIMIT)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [(pool.submit(run, i, *case), case) for i, case in enumerate(cases)]
        return ["%s: %r" % (case, job.exception()) for job, case in jobs if job.exception()]


def is_right(wrong, count):
    for text in wrong[:40]:
        note(text)
    equal(len(wrong), 0, "cases that went wrong, of %d" % count)


def table(t, limit, kind, cases):
    options, first = SESSIONS[kind]
    d = t.daemon(size=AT_ONCE, **{limit: "%dms" % (1000 * LIMIT), **options})

    def one(number, begin, what, *_):
        ends_in_time(d, begin, LONG[what], first, number)
    wrong = all_at_once([(b, w, limit, kind) for b, w in cases], one)
    if not wrong:
        d.quiet()
    d.stop()
    return wrong


@test(timeout=180)
def every_way(t):
    """ways to begin x ways to be long x sessions x limits: each ends by 57014 at the limit"""
    t.sql("CREATE TABLE x (a int)")
    cases = [(b, w) for b, w in itertools.product(BEGIN, LONG)
             if (w in EXTENDED or b not in BY_EXTENDED) and (w != "COPY FROM" or b not in ALONE)]
    wrong, count = [], 0
    for kind in SESSIONS:
        for limit, share in zip(LIMITS, (1, 1) if os.environ.get("PGWITH_DEADLINES") == "all" else (0.28, 0.12)):
            some = t.random.sample(cases, int(len(cases) * share))
            wrong += table(t, limit, kind, some)
            count += len(some)
    is_right(wrong, count)
    check(count >= 250, "cases: %d" % count)


# ---- what must not end ----

SHORT = "SELECT pg_sleep(%f)" % (LIMIT / 2)
OVER = "SELECT pg_sleep(%f)" % (LIMIT * 1.5)
SLOW_ROWS = "SELECT repeat('x', 9000), pg_sleep(%f) FROM generate_series(1, 30)" % (LIMIT / 20)

# Each is (answers, data) or seconds of rest. None has an error.
NEVER = {
    "a statement": [(1, simple(OVER))],
    "extended": [(1, one_exchange(OVER))],
    "texts of many": [(1, simple("SELECT 1; %s; SELECT 2" % OVER))],
    "an exchange of many": [(1, one_exchange(SHORT, SHORT, SHORT))],
    "a pipeline": [(4, simple(SHORT, SHORT, SHORT, SHORT))],
    "rows": [(1, simple(SLOW_ROWS))],
    "COPY TO": [(1, simple("COPY (%s) TO STDOUT" % SLOW_ROWS))],
    "after a rest": [(1, simple("SELECT 1")), 1.5 * LIMIT, (1, simple("BEGIN")), (1, simple(SHORT)), (1, simple("COMMIT"))],
    "an exchange after a rest": [(1, simple("SELECT 1")), 1.5 * LIMIT, (1, one_exchange("BEGIN", SHORT)),
                                 (1, simple("SELECT 1")), (1, simple("COMMIT"))],
    "one text after a rest": [(1, simple("SELECT 1")), 1.5 * LIMIT, (1, simple("BEGIN; " + SHORT)),
                              (1, simple("SELECT 1")), (1, simple("COMMIT"))],
    "the same after one exchange": [(1, one_exchange("SELECT 1")), 1.5 * LIMIT, (1, one_exchange("BEGIN")),
                                    (1, one_exchange(SHORT)), (1, one_exchange("COMMIT"))],
    "one transaction after the other": 5 * [(1, simple("BEGIN")), (1, simple(SHORT)), (1, simple("COMMIT"))],
    "by the pipeline": 4 * [(3, simple("BEGIN", SHORT, "COMMIT"))],
    "a pipeline of all": [(9, simple(*(3 * ["BEGIN", SHORT, "COMMIT"])))],
    "behind long ones": [(4, simple(OVER, "BEGIN", SHORT, "COMMIT"))],
    "texts behind long ones": [(3, simple(OVER, "BEGIN; " + SHORT, "COMMIT"))],
    "exchanges behind long ones": [(2, one_exchange(OVER) + one_exchange("BEGIN", SHORT, "COMMIT"))],
    "chained": [(1, simple("BEGIN"))] + 5 * [(1, simple(SHORT)), (1, simple("COMMIT AND CHAIN"))] + [(1, simple("COMMIT"))],
    "chained with it": [(1, simple("BEGIN"))] + 5 * [(1, simple("ROLLBACK AND CHAIN; " + SHORT))] + [(1, simple("COMMIT"))],
    "ended and begun": [(1, simple("BEGIN"))] + 5 * [(1, simple("COMMIT; BEGIN; " + SHORT))] + [(1, simple("COMMIT"))],
    "a rest before the first statement": [(1, simple("SELECT 1")), (1, simple("BEGIN; COMMIT")), 1.5 * LIMIT,
                                          (1, one_exchange("BEGIN", "COMMIT"))],
    "settings": [(1, simple("SET timezone = 'Asia/Tokyo'")), 1.5 * LIMIT, (1, simple("BEGIN")), (1, simple(SHORT)),
                 (1, simple("COMMIT"))],
    "a prepared BEGIN that was not run": [(1, parse("BEGIN", "b") + sync()), (1, simple("SELECT 1")), (1, simple(OVER)),
                                          (1, one_exchange(OVER))],
    "a BEGIN closed": [(1, parse("BEGIN", "b") + sync()), (1, wire.close_("S", "b") + sync()),
                       (1, parse("SELECT pg_sleep(%f)" % (1.5 * LIMIT), "b") + bind(statement="b") + execute() + sync())],
}


def never_ends(d, what, number, set_first):
    with d.connect() as c:
        if set_first:
            c.sql("SET work_mem = '%dkB'" % (1000 + number))
        for step in NEVER[what]:
            if not isinstance(step, tuple):
                time.sleep(step)
                continue
            answers, data = step
            c.send(data)
            for _ in range(answers):
                r = c.until_ready()
                if r.errors:
                    raise Wrong("%s after %r" % (r.errors[0], data[:60]))


@test(timeout=120)
def nothing_before(t):
    """what is no transaction, and transactions shorter than the limit, are let be: after rests, in pipelines, chained"""
    wrong, count = [], 0
    for kind, (options, _) in SESSIONS.items():
        d = t.daemon(size=AT_ONCE, scope_deadline="%dms" % (1000 * LIMIT), **options)
        cases = [(w, s, kind) for w, s in itertools.product(NEVER, (False, True))]
        if os.environ.get("PGWITH_DEADLINES") != "all":
            cases = t.random.sample(cases, AT_ONCE)
        wrong += all_at_once(cases, lambda number, what, set_first, _: never_ends(d, what, number, set_first))
        count += len(cases)
        d.stop()
    is_right(wrong, count)


IDLE = (simple("BEGIN; SELECT 1"), simple("BEGIN", "SELECT 1"), one_exchange("BEGIN", "SELECT 1"),
        simple("SELECT 1; BEGIN; SELECT pg_sleep(%f)" % (1.2 * LIMIT)))


def silent_too_long(d, first, begin, number):
    with d.connect() as c:
        for text in first:
            c.sql(text % (1000 + number) if "%d" in text else text)
        time.sleep(1.2 * LIMIT)
        c.send(begin)
        while c.until_ready().status != "T" or not c.silent(0.05):
            pass
        for _ in range(2):
            time.sleep(0.7 * LIMIT)
            equal(c.ask("SELECT 1").errors, [], "it is not silent")
        time.sleep(LIMIT + 0.5 * slow_factor())
        r = c.ask("SELECT 1")
        check(states(r) == ["57014"] and "idle_in_scope" in r.errors[0].message, "ended: %s" % r.errors)
        c.sql("ROLLBACK")


@test
def idle(t):
    """idle_in_scope_timeout counts from the client's last word or answer, however the transaction began"""
    cases = []
    for kind, (options, first) in SESSIONS.items():
        d = t.daemon(size=len(IDLE), idle_in_scope_timeout="%dms" % (1000 * LIMIT), **options)
        cases += [(kind, d, first, begin) for begin in IDLE]
    is_right(all_at_once(cases, lambda number, _, *case: silent_too_long(*case, number)), len(cases))


@test
def slow_reader(t):
    """a client that reads slowly what a statement gives: the transaction ends all the same, and so does its error come"""
    for limit in LIMITS:
        for options in ({"lazy_begin": "on"}, {"mode": "session"}):
            d = t.daemon(size=1, cleanup_timeout="20s", **{limit: "%dms" % (1000 * LIMIT)}, **options)
            with d.connect() as c:
                c.sql("BEGIN")
                started = time.monotonic()
                c.send(query("SELECT repeat('x', 2000) FROM generate_series(1, 10000000)"))
                # Up to the limit it does not read, then as fast as it can.
                time.sleep(LIMIT + 0.3)
                r = c.until("E")
                equal(states(r), ["57014"], limit)
                check(time.monotonic() - started < LIMIT + 10 * slow_factor(), "in time")
                c.until_ready()
                equal(c.ask("ROLLBACK").tags, ["ROLLBACK"], "ended")
                equal(c.value("SELECT 1"), "1", "it goes on")


@test
def brought_by_a_reload(t):
    """limits that a reload brings are for transactions that begin afterwards; a chained one is one of those"""
    for options in ({}, {"mode": "session"}):
        d = t.daemon(size=2, **options)
        with d.connect() as c:
            c.sql("BEGIN; SELECT 1")
            d.console("SET scope_deadline = '%dms' FOR POOL db" % (1000 * LIMIT))
            equal(c.ask("SELECT pg_sleep(%f)" % (1.5 * LIMIT)).errors, [], "a transaction that is there already")
            c.sql("COMMIT AND CHAIN")
            equal(c.ask(SHORT).errors, [], "its own time")
            equal(states(c.ask("SELECT pg_sleep(30)")), ["57014"], "the next one")
            c.sql("ROLLBACK")
            c.sql("BEGIN")
            equal(states(c.ask("SELECT pg_sleep(30)")), ["57014"], "and the one after that")
            c.sql("ROLLBACK")


if __name__ == "__main__":
    main()
