"""The examples of pgwith-console(7) run as they stand there, by a shell and psql, on PostgreSQL."""

import os
import re

from pgwtest import check, child, equal, main, test, wait_until

PAGE = os.path.join(os.environ.get("PGWITH_SRCDIR", "."), "man", "pgwith-console.7")


def examples():
    """The texts of the blocks behind a mark."""
    with open(PAGE) as f:
        page = f.read()
    found = re.findall(r'^\.\\" example: sh\n\.Bd [^\n]*\n(.*?)^\.Ed$', page, re.M | re.S)
    check(all("\n." not in "\n" + text and "\\" not in text for text in found), "no macros inside of examples")
    return found


def having(word):
    """The one example with this word."""
    return [x for x in examples() if word in x][0]


def shell(t, d, text):
    """Its output; it must succeed and say nothing on standard error but notices."""
    env = {**os.environ, "PGHOST": d.sockets, "PGPORT": str(d.port), "PGUSER": "postgres", "PGDATABASE": "pgwith",
           "PATH": os.path.dirname(t.cluster.program("psql")) + ":" + os.environ["PATH"]}
    status, out, err = child.run(["/bin/bash", "-eo", "pipefail", "-c", text], env=env)
    equal((status, re.sub(r"(?m)^NOTICE: .*\n", "", err)), (0, ""), text + out)
    return out


@test
def every_one(t):
    """every example does what stands before it"""
    equal(len(examples()), 5, "examples")
    d = t.daemon(pools={"orders": {"conninfo": t.conninfo(), "size": 3, "min_size": 1}})
    idle, holder, importer = (t.client(d, "orders") for _ in range(3))
    backends = {a["pid"] for a in t.activity()}

    out = shell(t, d, having("RESUME orders'\n"))
    equal(re.findall(r"(?m)^(PAUSE|RESUME|\(0 rows\))$", out), ["PAUSE", "(0 rows)", "RESUME"], "the restart: " + out)
    equal(idle.value("SELECT 1"), "1", "a client afterwards")
    check(not backends & {a["pid"] for a in t.activity()}, "other backends")

    holder.sql("BEGIN")
    holder.ask("EXIT")
    out = shell(t, d, having("SHOW ERRORS"))
    check("session %d of orders\n" % holder.session in out, "who holds one: " + out)
    check("scope_none,55000,1," in out, "errors: " + out)
    holder.sql("COMMIT")

    importer.sql("ENTER import")
    holder.sql("ENTER other")
    equal(shell(t, d, having("import")), "KILL\n", "the answers")
    wait_until(lambda: [x["state"] for x in d.show("SCOPES") if x["name"] == "import"] == ["expired"], 5, "it has ended")
    equal([e.sqlstate for e in importer.ask("SELECT 1").errors], ["57014"], "its client")
    equal(holder.ask("EXIT").errors, [], "the other scope")
    importer.ask("EXIT")

    before = {a["pid"] for a in t.activity()}
    equal(shell(t, d, having("RECONNECT")), "RECONNECT\nWAIT_CLOSE\n", "the answers")
    wait_until(lambda: not before & {a["pid"] for a in t.activity()}, 5, "all are new")

    equal(shell(t, d, having("DRAIN")), "DRAIN\nPAUSE\nRESUME\nENABLE\n", "the answers")
    for c in (idle, holder, importer):
        equal([e.sqlstate for e in c.until_closed().errors], ["57P01"], "the clients")
    equal(t.client(d, "orders").value("SELECT 1"), "1", "in use again")


if __name__ == "__main__":
    main()
