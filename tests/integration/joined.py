"""Joined scopes: what sessions see that work in the scope of another one, through psql, psycopg, asyncpg, node's pg,
pgbench, and message by message."""

import os
import subprocess

from pgwtest import check, equal, main, test
from pgwtest.scopelog import connect
from pgwtest.server import bindir


def owner_of(t, d, statement="ENTER a JOINABLE"):
    """A session that has entered a joinable scope, and its token."""
    c = connect(t, d)
    c.execute(statement)
    row = c.execute("SHOW SCOPES").fetchone()
    token = row[-1]
    equal(len(token), 32, "digits of the token")
    return c, token


def psql(d, token, *commands, database="db", check_status=0):
    """Output of psql as a member."""
    argv = [os.path.join(bindir(), "psql"), "-XAtq", "-h", d.sockets, "-p", str(d.port), "-U", "postgres", database]
    for c in commands:
        argv += ["-c", c]
    r = subprocess.run(argv, env=dict(os.environ, PGOPTIONS="-c pgwith.join=" + token), stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    equal(r.returncode, check_status, "status of psql: " + r.stdout)
    return r.stdout


@test
def psql_inside(t):
    """psql works in the scope: nobody else sees it before EXIT, everybody after"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon()
    c, token = owner_of(t, d)
    equal(psql(d, token, "INSERT INTO t VALUES (1)", "SELECT n FROM t"), "1\n", "what psql sees")
    equal(t.value("SELECT count(*) FROM t"), "0", "rows that others see")
    c.execute("EXIT")
    equal(t.value("SELECT count(*) FROM t"), "1", "rows that others see")


if __name__ == "__main__":
    main()
