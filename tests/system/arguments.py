"""The command line of pgwithd: -o, --pool, --listen; PGWITH_CONFIG; variables of the environment; over a reload and a
restart; and pgwith doctor, which looks at what the running one was given."""

import os
import signal

from pgwtest import check, child, equal, main, test, wait_until, wire
from pgwtest.daemon import Daemon, Program, program


class Bare(Program):
    """pgwithd with these arguments, and no configuration but what they say."""

    def __init__(self, t, args, env=None):
        self.sockets = t.path("l")
        os.makedirs(self.sockets, exist_ok=True)
        self.port = 6432
        super().__init__([program("pgwithd"), *args], t.path("pgwithd.log"), env)
        t.defer(self.end)
        wait_until(self.answers, 15, "pgwithd answers on its console")

    def answers(self):
        self.check_alive()
        try:
            return self.show("VERSION")
        except (FileNotFoundError, ConnectionError, wire.Closed):
            return False

    def connect(self, database, user="postgres", **params):
        return wire.Client(self.sockets, self.port, database, user, **params)

    def console(self, sql):
        with self.connect("pgwith", "root") as c:
            r = c.ask(sql)
        if r.errors:
            raise r.errors[0]
        return r

    def show(self, what):
        r = self.console("SHOW " + what)
        return [dict(zip(r.columns, row)) for row in r.rows]

    def config(self, section, key):
        for row in self.show("CONFIG"):
            if (row["section"], row["key"]) == (section, key):
                return row["value"], row["source"]
        return None

    def end(self):
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                equal(self.wait_end(), 0, "its exit status")
        finally:
            self.destroy()
        self.check_log()


def fixture_pool(f, name="app"):
    return "%s=host=%s port=%d dbname=main user=postgres" % (name, f.sockets, f.port)


@test
def without_a_file(t):
    """--pool and --listen are all that is needed; RELOAD undoes SET, and SIGHUP is good, too"""
    f = t.fixture()
    d = Bare(t, ["--pool", fixture_pool(f), "--listen", t.path("l"), "-o", "pool.app.size=3", "-o", "wait_timeout=7s"])
    with d.connect("app") as c:
        equal(c.value("SELECT 1"), "1", "a query")
    equal(d.config("pool app", "size"), ("3", "command line"), "size")
    equal(d.config("pool app", "wait_timeout"), ("7s", "command line"), "wait_timeout, by the default of all pools")
    equal(d.config("pgwith", "listen"), (t.path("l"), "command line"), "listen")
    equal(d.config("pool app", "mode"), ("transaction", "default"), "mode")
    d.console("SET size = 5 FOR POOL app")
    equal(d.config("pool app", "size"), ("5", "SET by root"), "set")
    d.console("RELOAD")
    equal(d.config("pool app", "size"), ("3", "command line"), "behind RELOAD")
    d.signal(signal.SIGHUP)
    wait_until(lambda: d.log_text().count("pgwithd: reloaded") == 2, 5, "reloaded by SIGHUP")
    with d.connect("app") as c:
        equal(c.value("SELECT 2"), "2", "a query")
    state = {row["key"]: row["value"] for row in d.show("STATE")}
    equal(state["config_file"], "", "no file")


@test
def over_the_file(t):
    """-o stands over the file, over each RELOAD of it, and a pool that is given stands beside those of the file"""
    f = t.fixture()
    with open(t.path("conf"), "w") as file:
        file.write("[pgwith]\nlisten = /nowhere\nlog_level = warn\n[pool app]\nconninfo = host=/nowhere\nsize = 9\n"
                   "max_waiting = 1\n")
    d = Bare(t, ["-c", t.path("conf"), "-o", "log_level=debug", "-o", "pool.app.size = 4", "-o", "listen=" + t.path("l"),
                 "--pool", fixture_pool(f, "new"), "--pool", fixture_pool(f)])
    for name in ("app", "new"):
        with d.connect(name) as c:
            equal(c.value("SELECT 1"), "1", name)
    equal(d.config("pool app", "size"), ("4", "command line"), "size")
    equal(d.config("pool app", "max_waiting"), ("1", t.path("conf") + ":7"), "max_waiting")
    with open(t.path("conf"), "a") as file:
        file.write("wait_timeout = 3s\n[pool third]\nconninfo = host=/nowhere\n")
    d.console("RELOAD")
    equal(d.config("pool app", "size"), ("4", "command line"), "size")
    equal(d.config("pool app", "wait_timeout")[0], "3s", "what the file says now")
    equal({row["name"] for row in d.show("DATABASES")} - {"pgwith"}, {"app", "new", "third"}, "pools")
    # A pool that -o names must be there: the reload is refused as a whole.
    with open(t.path("conf"), "w") as file:
        file.write("[pgwith]\nstatement_cache = never\n[pool third]\nconninfo = host=/nowhere\n")
    try:
        d.console("RELOAD")
    except wire.ServerError as e:
        check("statement_cache" in e.detail, e.detail)
    else:
        check(False, "it is taken")
    equal(d.config("pool app", "size"), ("4", "command line"), "size")


@test
def environment(t):
    """PGWITH_CONFIG names the file, ${NAME} its values; what is not set is a problem with file and line"""
    f = t.fixture()
    with open(t.path("conf"), "w") as file:
        file.write("[pgwith]\nlisten = ${WHERE}/l\n[pool app]\nconninfo = host=${DB} port=${PORT:-%d} dbname=main\n"
                   "  user=postgres\npassword = ${PASSWORD}\nsize = ${SIZE:-6}\n" % f.port)
    env = {"PGWITH_CONFIG": t.path("conf"), "WHERE": t.directory, "DB": f.sockets, "PASSWORD": "s3cr3t $x"}
    d = Bare(t, [], env)
    with d.connect("app") as c:
        equal(c.value("SELECT 1"), "1", "a query")
    equal(d.config("pool app", "size"), ("6", t.path("conf") + ":7"), "size")
    equal(d.config("pool app", "password")[0], "********", "password")
    check(f.sockets in d.config("pool app", "conninfo")[0], "conninfo")
    d.console("RELOAD")
    with open(t.path("conf"), "a") as file:
        file.write("mode = ${MODE}\n")
    try:
        d.console("RELOAD")
    except wire.ServerError as e:
        equal(e.detail, t.path("conf") + ":8: mode: the variable MODE of the environment is not set: set it, or write "
              "${MODE:-DEFAULT}", "refused")
    else:
        check(False, "it is taken")
    status, out, err = child.run([program("pgwithd"), "-t"], env=dict(env, MODE="session"))
    equal((status, out, err), (0, t.path("conf") + ": good, 1 pool, 0 scopes\n", ""), "-t")
    status, out, err = child.run([program("pgwithd"), "-t"], env=env)
    equal(status, 2, "-t, without it")
    check(err.startswith(t.path("conf") + ":8: mode: the variable MODE"), err)
    check("s3cr3t" not in d.log_text() + out + err, "the password is nowhere")


@test
def usage(t):
    """what is wrong with the command line: status 2, and one line for each problem"""
    for args, words in (
            (["-o"], "option requires an argument"),
            (["--pool", "x", "--listen", "/tmp"], "command line: --pool: expected NAME=CONNINFO"),
            (["--pool", "a=dbname=a", "-o", "pool.b.size=3"], 'command line: -o pool.b.size: there is no pool "b"'),
            (["--pool", "a=dbname=a", "-o", "sise=3"], 'command line: -o sise: unknown option "sise"; did you mean "size"?'),
            (["--pool", "a=dbname=a", "-o", "pool.a.min_size=30"], 'command line: pool "a": min_size (30) is larger'),
            (["--pool", "a=nonsense"], "command line: conninfo: libpq: "),
            (["--pool", "a=service=nosuchservice"], 'pool "a": conninfo: definition of service'),
            (["-c", "/nowhere/at/all", "--pool", "a=dbname=a"], "/nowhere/at/all: cannot open"),
            (["--pool", "a=dbname=a", "there"], 'unexpected argument "there"')):
        status, out, err = child.run([program("pgwithd"), "-t", *args])
        equal((status, out), (2, ""), "%r: %s" % (args, err))
        check(words in err, "%r: %s" % (args, err))
    status, out, err = child.run([program("pgwithd"), "-t", "--pool", "a=dbname=a", "--listen", "/tmp/x"])
    equal((status, out, err), (0, "command line: good, 1 pool, 0 scopes\n", ""), "good")
    status, out, err = child.run([program("pgwithd"), "--pool", "a=dbname=a", "--listen", t.path("nowhere")])
    check(status != 0 and "cannot listen in the directory %s: No such file" % t.path("nowhere") in err and "--listen" in err and ".lock" not in err,
          "no directory: %s" % err)
    env = {k: v for k, v in os.environ.items() if k != "PGWITH_CONFIG"}
    status, out, err = child.run([program("pgwithd"), "-t"], env=env)
    if "cannot open" in err:  # there is no file at the default place
        check("-c FILE" in err and "--pool NAME=CONNINFO" in err, "no file: %s" % err)
    status, out, err = child.run([program("pgwithd"), "--help"])
    equal((status, err), (0, ""), "--help")
    for word in ("--pool", "--listen", "-o, --option", "PGWITH_CONFIG"):
        check(word in out, "--help has %s" % word)


@test
def handed_over(t):
    """the next process, which is started with the same words, has the same options"""
    from pgwtest.supervisor import SupervisedDaemon
    f = t.fixture()
    conninfo = "host=%s port=%d dbname=main user=postgres" % (f.sockets, f.port)
    d = SupervisedDaemon(t.path("s"), {"db": {"conninfo": conninfo, "size": 9}}, arguments=["-o", "pool.db.size=2"])
    t.defer(d.stop)

    def size():
        return [(r["value"], r["source"]) for r in d.show("CONFIG") if (r["section"], r["key"]) == ("pool db", "size")]
    c = t.client(d)
    equal(c.value("SELECT 1"), "1", "a query")
    equal(size(), [("2", "command line")], "size")
    d.restart()
    equal(c.value("SELECT 2"), "2", "it goes on")
    equal(size(), [("2", "command line")], "size")


@test
def doctor(t):
    """doctor looks at the pools of a daemon without a file, and knows its variables; nothing drifts because of -o"""
    f = t.fixture()
    d = Bare(t, ["--pool", fixture_pool(f), "--listen", t.path("l"), "-o", "pool.app.size=${N}"], {"N": "3"})
    status, out, err = child.run([program("pgwith"), "doctor", "-S", d.sockets, "--json"])
    check('"pool app"' in out, out + err)
    check("cannot open" not in out and "does not run with what the file says" not in out, out)
    with open(t.path("conf"), "w") as file:
        file.write("[pgwith]\nlisten = %s\n[pool app]\nconninfo = %s\n" % (d.sockets, fixture_pool(f).split("=", 1)[1]))
    status, out, err = child.run([program("pgwith"), "doctor", "-c", t.path("conf"), "--json"])
    check("does not run with what the file says" not in out, out)


if __name__ == "__main__":
    main()
