"""The package pgwith for Node.js (src/clients/node), with pg: what clients/node.js does, as CommonJS and as an ES module."""

import json
import os
import shutil

from pgwtest import Skip, check, child, equal, main, note, test, wait_until
from pgwtest.clients import folder, node_pg
from pgwtest.scopelog import all_quiet, pools

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients", "node.js")


def home(t):
    """A folder with the packages pg and pgwith in its node_modules, as npm leaves them."""
    if shutil.which("node") is None:
        raise Skip("no program node")
    modules = node_pg()
    where = t.path("app")
    shutil.copytree(folder("node"), os.path.join(where, "node_modules", "pgwith"))
    for name in os.listdir(modules):
        if not name.startswith("."):
            os.symlink(os.path.join(modules, name), os.path.join(where, "node_modules", name))
    shutil.copy(SCRIPT, where)
    return where


def by_node(t, name):
    t.sql("CREATE TABLE marks (a text)")
    where = home(t)
    d = t.daemon(pools={**pools(t, "db", size=4), **pools(t, "p2", size=1)}, scopes={"tagged": {"enter": "INSERT INTO marks VALUES ($1)"}})
    status, out, err = child.run(["node", os.path.join(where, "node.js"), d.dsn(), name])
    equal(status, 0, "the status of %s\n%s%s" % (name, out, err))
    if out.strip():
        note(out.strip())
    all_quiet(d, "db", "p2")
    wait_until(lambda: not d.show("SCOPES") and not d.show("LOCKS"), 5, "no scope and no lock is open")


@test
def success_and_error(t):
    """commit, rollback, what fails unseen, suppress, a commit that PostgreSQL refuses"""
    by_node(t, "success_and_error")


@test
def quoting(t):
    """names and texts with whatever characters arrive as they are; options that are wrong are refused"""
    by_node(t, "quoting")


@test
def outcomes(t):
    """WaitTimeout, UsageError, DeadlineExceeded, ScopeLost"""
    by_node(t, "outcomes")


@test
def defer_and_use(t):
    """defer(), use(), defined()"""
    by_node(t, "defer_and_use")


@test
def disposing(t):
    """enter() with leave(), rollback() and `await using`"""
    by_node(t, "disposing")


@test
def pools_of_pg(t):
    """a client of pg's pool; the pool itself is refused"""
    by_node(t, "pools")


@test
def modules(t):
    """an ES module has the same names as CommonJS, the types name all of them, and the package has all files that it lists"""
    where = home(t)
    with open(os.path.join(where, "look.mjs"), "w") as f:
        f.write("import * as all from 'pgwith'; import { scope } from 'pgwith'; import one from 'pgwith';\n"
                "if (one.scope !== scope) throw new Error('two of them');\n"
                "console.log(JSON.stringify(Object.keys(all).filter((k) => k !== 'default').sort()));\n")
    with open(os.path.join(where, "look.cjs"), "w") as f:
        f.write("console.log(JSON.stringify(Object.keys(require('pgwith')).sort()));\n")
    names = []
    for script in ("look.mjs", "look.cjs"):
        status, out, err = child.run(["node", os.path.join(where, script)])
        equal(status, 0, script + err)
        names.append(json.loads(out))
    equal(names[0], names[1], "the names of both")
    with open(os.path.join(folder("node"), "index.d.ts")) as f:
        types = f.read()
    with open(os.path.join(folder("node"), "index.d.mts")) as f:
        equal(f.read(), types, "the types of both")
    for name in names[0]:
        check("export class %s " % name in types or "export function %s(" % name in types or
              "export function %s<" % name in types, "%s in index.d.ts" % name)
    with open(os.path.join(folder("node"), "package.json")) as f:
        package = json.load(f)
    for name in [*package["files"], "README.md", "LICENSE", package["main"], package["types"]]:
        check(os.path.exists(os.path.join(folder("node"), name)), name + " is there")


if __name__ == "__main__":
    main()
