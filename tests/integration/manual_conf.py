"""The examples of pgwith.conf(5) and pgwithd(8): the configuration is good as it stands there, and its scopes do what
the page says."""

import os
import re
import subprocess

from pgwtest import check, equal, main, test, wait_until
from pgwtest.daemon import SANITIZE_ENV, program

SRCDIR = os.environ.get("PGWITH_SRCDIR", ".")


def blocks(page):
    """The literal texts of its section EXAMPLES."""
    with open(os.path.join(SRCDIR, "man", page)) as f:
        section = f.read().split("\n.Sh EXAMPLES\n")[1].split("\n.Sh ")[0]
    found = re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", section + "\n", re.M | re.S)
    check(found, page + " has examples")
    return found


def verdict(t, name):
    """What pgwithd -t says, in the directory of the file."""
    r = subprocess.run([program("pgwithd"), "-c", name, "-t"], cwd=t.directory, capture_output=True, text=True,
                       env=dict(os.environ, **SANITIZE_ENV), timeout=60)
    return r.returncode, r.stdout, r.stderr


def with_servers(t, d, text):
    """The text with the daemon's socket, and pools on the test's database."""
    text, count = re.subn(r"^conninfo = .*\n(?:[ \t]+.*\n)*", lambda m: "conninfo = %s\n" % t.conninfo(), text, flags=re.M)
    equal(count, 2, "pools")
    return text.replace("[pgwith]\n", "[pgwith]\nlisten = %s\nport = %d\n" % (d.sockets, d.port), 1)


@test
def checked(t):
    """pgwithd(8): -t finds what the example finds"""
    commands = blocks("pgwithd.8")[0].splitlines()
    equal(commands[0], "$ pgwithd -c pgwith.conf -t", "the first command")
    word = re.search(r'"(\w+)"; did', commands[1]).group(1)
    line = int(commands[1].split(":")[1])
    with open(t.path("pgwith.conf"), "w") as f:
        f.write("[pool app]\nconninfo = dbname=app\n" + "\n" * (line - 3) + word + " = 3\n")
    equal(verdict(t, "pgwith.conf"), (2, "", commands[1] + "\n"), "what it says")


@test
def is_good(t):
    """pgwith.conf(5): the configuration as it stands there has no problem"""
    with open(t.path("pgwith.conf"), "w") as f:
        f.write("\n".join(blocks("pgwith.conf.5")))
    equal(verdict(t, "pgwith.conf"), (0, "pgwith.conf: good, 2 pools, 2 scopes\n", ""), "what pgwithd -t says")


@test
def scopes(t):
    """pgwith.conf(5): the scopes of the example do what the page says, also when the client is killed"""
    pool = {"conninfo": t.conninfo(), "size": 2}
    d = t.daemon(pools={"orders": dict(pool), "billing": dict(pool)})
    t.sql("CREATE TABLE job_run (job text, state text)")
    with open(d.conf, "w") as f:
        f.write(with_servers(t, d, "\n".join(blocks("pgwith.conf.5"))))
    equal(d.console("RELOAD").errors, [], "it is taken over")
    c = t.client(d, "billing")
    c.sql("ENTER tenant ('42')")
    equal(c.sql("SELECT current_setting('app.tenant'), current_setting('work_mem')"), [("42", "64MB")], "in tenant")
    equal([r["pool"] for r in d.show("SCOPES")], ["orders"], "its pool")
    c.sql("EXIT")
    c.sql("ENTER nightly ('vacuum orders')")
    equal(c.value("SHOW transaction_isolation"), "serializable", "in nightly")
    equal(c.sql("SELECT * FROM job_run"), [("vacuum orders", "begun")], "while it runs")
    c.sql("EXIT")
    equal(t.sql("SELECT * FROM job_run"), [("vacuum orders", "done")], "when it has succeeded")
    t.sql("TRUNCATE job_run")
    c.sql("ENTER nightly ('vacuum orders')")
    c.drop()
    wait_until(lambda: t.sql("SELECT * FROM job_run") == [("vacuum orders", "failed")], 5, "the client was killed")


if __name__ == "__main__":
    main()
