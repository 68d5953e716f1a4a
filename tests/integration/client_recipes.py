"""The recipes for SQLAlchemy and Django (src/clients/python/examples), as they are; and the types of the Python package, by
mypy, of the package and of programs that use it."""

import os
import re
import shutil
import sys

from pgwtest import Skip, check, child, equal, main, test, unavailable, wait_until
from pgwtest.clients import folder
from pgwtest.scopelog import all_quiet, pools


def recipe(t, name, *needs):
    """Runs the program; what it has printed, and the rows that it has left."""
    for module in needs:
        try:
            __import__(module)
        except ImportError:
            unavailable("no Python module " + module)
    t.sql("CREATE TABLE orders (id int PRIMARY KEY, what text)")
    d = t.daemon(pools=pools(t, "orders", size=4), options={"log_level": "info"})
    env = {**os.environ, "PGHOST": d.sockets, "PGPORT": str(d.port), "PGUSER": "postgres", "PGDATABASE": "orders",
           "PYTHONPATH": folder("python"), "PYTHONDONTWRITEBYTECODE": "1"}
    status, out, err = child.run([sys.executable, os.path.join(folder("python"), "examples", name + ".py")], env=env)
    equal(status, 0, "the status: " + out + err)
    all_quiet(d, "orders", within=5)
    wait_until(lambda: not d.show("SCOPES") and not d.show("LOCKS"), 5, "no scope and no lock is open")
    return out.splitlines(), t.sql("SELECT id, what FROM orders ORDER BY id")


@test
def sqlalchemy(t):
    """SQLAlchemy: Core and ORM in scopes, with psycopg2"""
    out, rows = recipe(t, "sqlalchemy_scopes", "sqlalchemy", "psycopg2")
    equal(out, ["changed my mind", "refused"], "what it prints")
    equal(rows, [("1", "TEA"), ("3", "RICE")], "rows")


@test
def sqlalchemy_async(t):
    """SQLAlchemy with asyncpg: scopes, a task that is cancelled, a deadline"""
    out, rows = recipe(t, "sqlalchemy_async", "sqlalchemy", "asyncpg", "greenlet")
    equal([x.partition(":")[0] for x in out], ["too slow", "too late"], "what it prints")
    check("deadline" in out[1], "it names the deadline: " + out[1])
    equal(rows, [("11", "tea"), ("14", "rice")], "rows")


@test
def django(t):
    """Django: a scope around atomic(), savepoints, a lock; inside of atomic()"""
    out, rows = recipe(t, "django_scopes", "django", "psycopg2")
    equal(out, ["refused", "changed my mind", "no lock in atomic(): True"], "what it prints")
    equal(rows, [("21", "TEA"), ("23", "rice")], "rows")


@test
def manual(t):
    """the examples of pgwith-python(3), as they are"""
    with open(os.path.join(os.environ.get("PGWITH_SRCDIR", "."), "man", "pgwith-python.3")) as f:
        examples = re.findall(r'^\.\\" example: python\n\.Bd [^\n]*\n(.*?)^\.Ed$', f.read(), re.M | re.S)
    equal(len(examples), 2, "examples")
    t.sql("CREATE TABLE orders (id int PRIMARY KEY, what text); CREATE TABLE invoices (id int); CREATE TABLE log (line text)")
    d = t.daemon(pools=pools(t, "orders", "billing", size=2), options={"log_level": "info"})
    env = {**os.environ, "PGHOST": d.sockets, "PGPORT": str(d.port), "PGUSER": "postgres", "PGDATABASE": "orders",
           "PYTHONPATH": folder("python"), "PYTHONDONTWRITEBYTECODE": "1"}
    for n, (text, module, want) in enumerate(zip(examples, ("psycopg", "asyncpg"), ("too late: slow\n", "too late\n"))):
        check("import " + module in text, "it is about " + module)
        try:
            __import__(module)
        except ImportError:
            unavailable("no Python module " + module)
        with open(t.path("example%d.py" % n), "w") as f:
            f.write(text)
        equal(child.run([sys.executable, t.path("example%d.py" % n)], env=env), (0, want, ""), "the example with " + module)
        all_quiet(d, "orders", "billing")
    equal(t.sql("SELECT * FROM orders ORDER BY id"), [("1", "TEA"), ("21", "rice"), ("23", "oil")], "rows")
    equal((t.sql("SELECT * FROM invoices"), t.sql("SELECT * FROM log")), ([("21",)], [("done",), ("failed",)]), "rows")
    equal((d.show("SCOPES"), d.show("LOCKS")), ([], []), "nothing is left open")


GOOD = """
import psycopg
from datetime import timedelta
from typing import Awaitable
import pgwith

def blocking(c: psycopg.Connection[object]) -> None:
    with pgwith.scope(c, "a", pool="orders", deadline=timedelta(seconds=30), suppress=(ValueError, KeyError)) as s:
        name: str = s.name
        s.use()
        s.defer("SELECT 1", on="commit")
        pgwith.defer(c, "SELECT 1")
    with pgwith.scopes(c, pgwith.Transaction("a"), pgwith.Lock("l", wait=0.5)) as both:
        for one in both:
            one.rollback()
    with pgwith.lock(c, "l"), pgwith.semaphore(c, "s", 4), pgwith.defined(c, "d", 1, None), pgwith.suppress(c, "t", ValueError):
        pass
    try:
        pass
    except pgwith.CommitRefused as e:
        again: bool = e.retryable

async def asynchronous(c: psycopg.AsyncConnection[object]) -> None:
    async with pgwith.scope(c, "a") as s, pgwith.lock(c, "l"):
        await s.defer("SELECT 1")
        await pgwith.use(c, "a")
"""
BAD = """
import psycopg
import pgwith

def blocking(c: psycopg.Connection[object], a: psycopg.AsyncConnection[object]) -> None:
    with pgwith.scope(a, "a"):                              # line 6
        pass
    pgwith.scope(c, "a", timeout=5)                         # line 8
    pgwith.semaphore(c, "s")                                # line 9
    pgwith.scope(c, "a").__enter__().nothing()              # line 10
"""


@test(timeout=240)
def types(t):
    """mypy --strict: the package is typed, its users' errors are found, and only these"""
    mypy = shutil.which("mypy")
    if mypy is None:
        raise Skip("no program mypy")

    def strict(*files):
        env = {**os.environ, "MYPYPATH": folder("python"), "MYPY_CACHE_DIR": t.path("cache")}
        return child.run([mypy, "--strict", "--no-error-summary", "--python-executable", sys.executable, *files], env=env, timeout=200)[:2]
    status, out = strict("-p", "pgwith")
    equal((status, out), (0, ""), "mypy of the package")
    try:
        import psycopg  # noqa: F401
    except ImportError:
        unavailable("no Python module psycopg")
    for name, text, lines in (("good", GOOD, []), ("bad", BAD, ["6", "8", "9", "10"])):
        with open(t.path(name + ".py"), "w") as f:
            f.write(text)
        status, out = strict(t.path(name + ".py"))
        found = [x.split(":")[1] for x in out.splitlines() if ": error: " in x and "/%s.py:" % name in x]
        equal(sorted(set(found), key=int), lines, "lines in which mypy finds errors: " + out)


if __name__ == "__main__":
    main()
