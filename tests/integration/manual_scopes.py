"""The examples of pgwith-scopes(7) run as they stand there: SQL by psql, Python and C, on PostgreSQL."""

import os
import re
import shutil
import subprocess

from pgwtest import check, child, equal, main, test, unavailable

PAGE = os.path.join(os.environ.get("PGWITH_SRCDIR", "."), "man", "pgwith-scopes.7")


def examples():
    """[(language, text)] of the blocks behind a mark."""
    with open(PAGE) as f:
        page = f.read()
    found = re.findall(r'^\.\\" example: (\w+)\n\.Bd [^\n]*\n(.*?)^\.Ed$', page, re.M | re.S)
    check(all("\n." not in "\n" + text for _, text in found), "no macros inside of examples")
    return [(language, text.replace("\\e", "\\").replace("\\&", "")) for language, text in found]


def of(language):
    return [text for what, text in examples() if what == language]


def start(t):
    t.sql("CREATE TABLE orders (id int PRIMARY KEY, what text)")
    t.sql("CREATE TABLE invoices (id int PRIMARY KEY)")
    t.sql("CREATE TABLE log (line text)")
    pool = {"conninfo": t.conninfo(), "size": 2}
    # the last option of the last section is followed by the page's own
    return t.daemon(pools={"orders": dict(pool), "billing": {**pool, "max_waiting": "9\n\n" + of("conf")[0]}})


def env(d):
    return {**os.environ, "PGHOST": d.sockets, "PGPORT": str(d.port), "PGUSER": "postgres", "PGDATABASE": "orders"}


def rows(t, first):
    """What the examples of one language have left."""
    return ([int(r[0]) for r in t.sql("SELECT id FROM orders WHERE id >= %d ORDER BY id" % first)],
            [int(r[0]) for r in t.sql("SELECT id FROM invoices WHERE id >= %d ORDER BY id" % first)],
            [r[0] for r in t.sql("SELECT line FROM log")])


def over(d):
    d.quiet("orders")
    d.quiet("billing")
    equal((d.show("SCOPES"), d.show("LOCKS")), ([], []), "nothing is left open")


@test
def sql(t):
    """the examples in SQL, by psql"""
    d = start(t)
    for text in of("sql"):
        status, out, err = child.run([t.cluster.program("psql"), "-X", "-v", "ON_ERROR_STOP=1"], stdin=text, env=env(d))
        equal((status, err), (0, ""), text + out)
        check(re.search(r"^LEAVE \w+ \d+\.\d ms$", out, re.M), "the tag of LEAVE: " + out)
    equal(rows(t, 1), ([1, 2, 3, 4, 5], [2], ["about to try", "done", "tenant 42"]), "rows")
    equal(t.sql("SELECT what FROM orders WHERE id >= 4 ORDER BY id"), [("OIL",), ("42",)], "what they did")
    over(d)


@test
def python(t):
    """the examples in Python: psycopg 3, and asyncpg"""
    d = start(t)
    texts = of("python")
    equal(len(texts), 2, "examples")
    for text, module, first in zip(texts, ("psycopg", "asyncpg"), (11, 21)):
        check("import " + module in text, "it is about " + module)
        try:
            __import__(module)
        except ImportError:
            unavailable("no Python module " + module)
        path = t.path(module + "_example.py")
        with open(path, "w") as f:
            f.write(text)
        t.sql("TRUNCATE log")
        status, out, err = child.run([shutil.which("python3", path="/usr/bin:" + os.environ["PATH"]), path], env=env(d))
        equal((status, err), (0, ""), "status and errors of " + module)
        check("too late" in out and "outside" in out, "its output: " + out)
        want = ([11, 12, 13, 14, 15], [12]) if first == 11 else ([22, 23, 24, 25], [22])
        equal(rows(t, first), (*want, ["tried", "done", "tenant 42"]), "rows of " + module)
        over(d)


@test
def c(t):
    """the example in C, by libpq"""
    compiler = shutil.which("cc")
    if compiler is None:
        unavailable("no C compiler")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libpq"], capture_output=True, text=True)
    if flags.returncode != 0:
        unavailable("no headers of libpq")
    d = start(t)
    source, binary = t.path("example.c"), t.path("example")
    with open(source, "w") as f:
        f.write(of("c")[0])
    status, out, err = child.run([compiler, "-Wall", "-Wextra", "-Werror", "-o", binary, source,
                                  *flags.stdout.split()])
    equal((status, err), (0, ""), "the compiler's words" + out)
    status, out, err = child.run([binary], env=env(d))
    equal(status, 0, out + err)
    check('scope "a" failed and was rolled back' in out and 'NOTICE:  scope "try" failed' in err, out + err)
    equal(rows(t, 31), ([31, 33, 34, 35], [32], ["tried", "tenant 42"]), "rows")
    over(d)


if __name__ == "__main__":
    main()
