"""pgwith from outside: its words and their mistakes, tables on terminals and in pipes, --watch, and the
completion of bash."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

from pgwtest import check, equal, main, test, unavailable, wait_until, wire
from pgwtest import child
from pgwtest.daemon import SANITIZE_ENV, program
from pgwtest.tap import Failure, slow_factor

SRCDIR = os.environ.get("PGWITH_SRCDIR", os.getcwd())


def start(t, **options):
    """pgwithd on pgwith-fixture with two pools, and one without a server."""
    f = t.fixture()
    there = {"conninfo": "host=%s port=%d dbname=main user=app" % (f.sockets, f.port), "size": 2}
    return t.daemon({"stats_users": "watcher", **options}, {
        "orders": there, "billing": there,
        "dead": {"conninfo": "host=%s dbname=x user=app" % t.path("nowhere"), "retry_delay": "10min"}})


def environment(d, **more):
    env = {**os.environ, **SANITIZE_ENV, "PGWITH_SOCKET": d.sockets, "TERM": "xterm",
           "PATH": os.path.dirname(program("pgwith")) + ":" + os.environ["PATH"], **more}
    env.pop("COLUMNS", None)
    if "NO_COLOR" not in more:
        env.pop("NO_COLOR", None)
    return env


def pgwith(d, *args, **env):
    return child.run([program("pgwith"), *args], env=environment(d, **env))


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, t, argv, env, columns=80, rows=24):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stdin=slave,
                                        stdout=slave, stderr=slave, env=env, start_new_session=True,
                                        close_fds=True)
        os.close(slave)
        self.text = ""
        t.defer(self.end)

    def read(self):
        """What has come since, if anything comes within 50 ms."""
        if select.select([self.master], [], [], 0.05)[0]:
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except OSError:  # its other end is closed
                pass
        return self.text

    def wait_for(self, pattern, count=1):
        wait_until(lambda: len(re.findall(pattern, self.read())) >= count, 10,
                   "%r on the terminal" % pattern)

    def wait_end(self):
        def ended():
            self.read()
            return self.process.poll() is not None
        wait_until(ended, 10, "the program ends")
        self.read()
        return self.process.returncode

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


def on_terminal(t, d, *args, columns=80, **env):
    """All that it writes to a terminal."""
    term = Terminal(t, [program("pgwith"), *args], environment(d, **env), columns)
    term.wait_end()
    return term.text.replace("\r\n", "\n")


def listed(d):
    """{command: line of help} of pgwith help."""
    out = pgwith(d, "help")[1]
    return dict(re.findall(r"^  ([a-z][a-z-]*) +(.*)$", out, re.M))


@test
def every_command(t):
    """every command has help; the ones that show answer; the manual has them all"""
    d = start(t)
    with open(os.path.join(SRCDIR, "man", "pgwith.1")) as f:
        manual = f.read()
    known = {r["command"] for r in d.show("HELP")}
    commands = listed(d)
    check(len(commands) > 25, "commands: %r" % commands)
    for name, line in commands.items():
        status, out, err = pgwith(d, name, "--help")
        equal((status, err), (0, ""), "pgwith %s --help" % name)
        check(line in out, out)
        check(name == "help" or out.startswith("usage: pgwith [options] " + name), out)
        check(re.search(r"^\.It Cm %s\b" % name, manual, re.M), "pgwith(1) has no " + name)
        if name != "help" and "SHOW " + name.replace("-", "_").upper() in known:
            status, out, _ = pgwith(d, name, "--json")
            check(status == 0 and isinstance(json.loads(out), list), "pgwith %s --json" % name)
    equal(pgwith(d, "help", "kill"), pgwith(d, "kill", "-h"), "pgwith help kill")
    for option in re.findall(r"--[a-z-]+", pgwith(d, "--help")[1]):
        check("Fl -" + option[2:] in manual, "pgwith(1) has no " + option)


@test
def what_shutdown_does(t):
    """pgwith shutdown drains at once, also with on_term = after-clients, and its help says so"""
    d = start(t, on_term="after-clients")
    said = pgwith(d, "help", "shutdown")[1]
    check("it drains" in said and "on_term" in said and "as by SIGTERM" not in said, said)
    c = t.client(d, "orders")
    d.console_close()
    equal(pgwith(d, "shutdown")[0], 0, "shutdown")
    check(c.hung_up(), "who is at rest has to go")
    equal(d.wait_end(), 0, "it has ended")


@test
def sections(t):
    """pgwith set changes an option of any kind of section; the shell completes their names"""
    d = start(t)
    d.reload(sections={"cluster main": {"server_limit": 10}, "role app": {"max_clients": 5}, "role *": {"max_clients": 7},
                       "uid 4242": {"max_servers": 3}}, scopes={"nightly": {"deadline": "1h"}})

    def value(section, key):
        return [(r["value"], r["source"].split(" by ")[0]) for r in d.show("CONFIG") if (r["section"], r["key"]) == (section, key)][0]
    cases = (("--cluster", "main", "server_limit", "12"), ("--role", "app", "max_clients", "6"), ("--role", "*", "max_clients", "8"),
             ("--uid", "4242", "max_servers", "4"), ("--scope", "nightly", "deadline", "2h"), ("--pool", "orders", "size", "3"))
    for option, name, key, new in cases:
        equal(pgwith(d, "set", key, new, option, name), (0, "", ""), "set %s %s" % (option, name))
        equal(value("%s %s" % (option[2:], name), key), (new, "SET"), "%s %s" % (option, name))
    equal(value("pool billing", "size")[0], "2", "of no other section")
    for option, name, key in (("--cluster", "none", "server_limit"), ("--role", 'x" y', "max_clients"), ("--uid", "1", "max_servers"),
                              ("--scope", "none", "deadline")):
        status, out, err = pgwith(d, "set", key, "1", option, name)
        equal((status, out), (2, ""), "no such section: %s %s" % (option, name))
        check(name in err, err)
    options = ("--pool", "--cluster", "--role", "--uid", "--scope")
    for one in options:
        for other in options:
            if one != other:
                status, _, err = pgwith(d, "set", "size", "1", one, "a", other, "b")
                check(status == 2 and "takes either" in err and one in err and other in err, "%s %s: %s" % (one, other, err))
        status, _, err = pgwith(d, "pools", one, "a")
        check(status == 2 and "takes no " + one in err, err)
    if os.path.exists("/bin/bash"):
        script = t.path("completion")
        with open(script, "w") as f:
            f.write(child.run_ok([program("pgwith"), "completion", "bash"], env=environment(d)))
        words = [("set", key, "1", option, name[:2]) for option, name, key, _ in cases if name != "*"]
        equal(completed(d, script, words)[:len(words)], [[name] for _, name, _, _ in cases if name != "*"], "completion")


@test
def mistakes(t):
    """a mistyped word is answered with the nearest one, and exit status 2"""
    d = start(t)
    for words, meant in ((("pols",), '"pools"'), (("pause", "ordres"), '"orders"'),
                         (("drain", "Billing"), '"billing"'), (("kill", "pool", "deed"), '"dead"'),
                         (("set", "size", "3", "--pool", "oders"), '"orders"'),
                         (("kill", "sesion", "1"), '"session"'), (("shutdown", "know"), '"now"'),
                         (("pools", "--jsn"), '"--json"'), (("completion", "bahs"), '"bash"'),
                         (("help", "statu"), '"status"'), (("show", "pols"), '"SHOW POOLS"')):
        status, out, err = pgwith(d, *words)
        equal((status, out), (2, ""), "pgwith %s" % (words,))
        check("did you mean %s?" % meant in err, "pgwith %s: %s" % (words, err))
    for words, said in ((("pause", "zzzzzzzz"), "orders, billing, dead"), (("kill", "session"), "usage:"),
                        (("kill", "session", "abc"), "no id"), (("kill", "server", "1", "2"), "only"),
                        (("set", "si ze", "3"), "no option"), (("pools", "x"), "usage:"),
                        (("drain",), "usage:"), (("pools", "-o"), "wants an argument"),
                        (("pools", "--watch", "soon"), "no duration"), (("pools", "--watch", "0"), "no dur"),
                        (("pause", "--watch", "1"), "only look"), (("pools", "--color", "x"), "auto"),
                        (("pools", "-p", "0"), "65535"), (("pools", "-o", "nothing"), "no column"),
                        ((), "usage:")):
        status, out, err = pgwith(d, *words)
        equal((status, out), (2, ""), "pgwith %s" % (words,))
        check(said in err, "pgwith %s: %s" % (words, err))
    status, out, err = pgwith(d, "clients", "-o", "database,pid")
    equal((status, out), (2, ""), "no such column")
    first, *rest = err.split("\n")
    equal(first, 'pgwith: there is no column "pid", but these:', "no such column")
    header = pgwith(d, "clients", "--csv", "--all")[1].split("\n")[0]
    equal("".join(rest).replace(" ", ""), header, "all columns")
    check("remote_pid" in header and len(rest) > 3 and max(len(x) for x in rest) <= 80, rest)
    equal(pgwith(d, "--", "version")[0], 0, "behind --")
    equal(d.pool("orders")["size"], 2, "nothing was set")


@test
def statuses(t):
    """exit statuses: trouble, nobody there, not allowed"""
    d = start(t)
    equal(pgwith(d, "status")[0], 0, "all is well")
    try:
        d.connect("dead").sql("SELECT 1")
        check(False, "the dead pool must not answer")
    except wire.ServerError:
        pass
    status, out, _ = pgwith(d, "status")
    equal(status, 1, "a pool in trouble")
    check("nowhere" in out, "which: " + out)
    for columns in (60, 80, 100, 200):
        text = on_terminal(t, d, "status", columns=columns)
        check("trouble" in text and "cannot connect" in text, "%d columns: %s" % (columns, text))
        check("cannot connect" in on_terminal(t, d, "pools", columns=columns), "pools, %d columns" % columns)
    equal(pgwith(d, "status", "-S", t.directory)[0], 3, "nobody there")
    if os.geteuid() != 0:
        unavailable("only root can be somebody else")
    # Whatever the level of a stranger is, he may not do that.
    mine = shutil.copy(program("pgwith"), t.path("pgwith"))  # the build may be where he cannot go
    for words in (("shutdown",), ("pause",)):
        p = child.run(["setpriv", "--reuid", "65534", "--clear-groups", mine, "-U", "stranger", *words],
                      env=environment(d))
        equal(p[0], 4, "a stranger: %r" % (p,))


@test
def troubles(t):
    """each state of a pool in which clients are not served is a trouble, and over when that is"""
    f = t.fixture()
    d = t.daemon({}, {"orders": {"conninfo": "host=%s port=%d dbname=main user=app" % (f.sockets, f.port)}})
    for begin, end, word in (("PAUSE orders", "RESUME orders", "paused"), ("PAUSE", "RESUME", "paused"),
                             ("DISABLE orders", "ENABLE orders", "disabled"), ("DRAIN orders", "ENABLE orders", "drained")):
        equal(pgwith(d, "status")[0], 0, "before " + begin)
        d.console(begin)
        status, out, _ = pgwith(d, "status", "--json")
        equal(status, 1, begin)
        check(word in json.loads(out)[0]["trouble"], "%s: %s" % (begin, out))
        check(word in on_terminal(t, d, "status", columns=80), "on a terminal")
        d.console(end)
    equal(pgwith(d, "status")[0], 0, "after all")


@test
def terminal(t):
    """on a terminal: in colour, and no line is wider; in a pipe or with NO_COLOR: neither"""
    d = start(t)
    holder = t.client(d, "orders", application_name="a name that is long enough to be cut " * 2)
    holder.sql("BEGIN; SELECT 1")
    esc = re.compile(r"\x1b\[[0-9;]*m")
    for columns in (40, 100):
        text = on_terminal(t, d, "clients", columns=columns)
        check(esc.search(text), "colour: " + text)
        lines = esc.sub("", text).splitlines()
        check(len(lines) >= 3, "lines: " + text)
        widths = [len(line) for line in lines if not line.startswith("(")]
        check(max(widths) <= columns, "%d columns: %r" % (columns, lines))
    check("\u2026" in on_terminal(t, d, "clients", columns=100), "what is cut is seen")
    check("columns do not fit" in on_terminal(t, d, "clients", columns=40), "what is left out is said")
    wide = on_terminal(t, d, "clients", "--all", columns=40)
    check(len(esc.sub("", wide).splitlines()[0]) > 100, "--all shows all")
    for how, env, coloured in (((), {"NO_COLOR": "1"}, False), ((), {"NO_COLOR": ""}, True),
                               ((), {"TERM": "dumb"}, False), (("--color=never",), {}, False),
                               (("--color=always",), {"NO_COLOR": "1"}, True)):
        text = on_terminal(t, d, "clients", *how, **env)
        equal(bool(esc.search(text)), coloured, "%s %s: %s" % (how, env, text))
    out = pgwith(d, "clients")[1]
    check("\x1b" not in out and len(out.splitlines()[1]) > 80, "a pipe: " + out)
    check("\x1b" in pgwith(d, "clients", "--color", "always")[1], "--color=always in a pipe")
    holder.sql("COMMIT")


def piped(t, d, *args):
    p = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", program("pgwith"), *args],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(d))

    def end():
        if p.poll() is None:
            p.kill()
            p.wait()
        p.stdout.close()
        p.stderr.close()
    t.defer(end)
    return p


def ended(p):
    """(status, what it said on stderr)"""
    try:
        status = p.wait(10 * slow_factor())
    except subprocess.TimeoutExpired:
        raise Failure("pgwith does not end") from None
    return status, p.stderr.read()


@test
def watch_in_a_pipe(t):
    """--watch into a pipe: one table after the other with the time, until a signal or a closed pipe"""
    d = start(t)
    for number in (signal.SIGINT, signal.SIGTERM):
        p = piped(t, d, "lists", "--watch", "50ms", "-o", "list")
        lines = [p.stdout.readline().decode().rstrip("\n") for _ in range(80)]
        times = [i for i, x in enumerate(lines) if re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4}$", x)]
        check(len(times) >= 2 and times[0] == 0, "times: %r" % lines)
        equal((lines[1], lines[times[1] - 1]), ("list", ""), "a table, an empty line")
        p.send_signal(number)
        p.stdout.read()
        equal(ended(p), (0, b""), "after %s" % number)
    p = piped(t, d, "lists", "--watch", "20ms")
    p.stdout.readline()
    p.stdout.close()
    equal(ended(p), (0, b""), "a closed pipe")
    p = piped(t, d, "lists", "--watch", "1h")  # it notices that without writing
    p.stdout.readline()
    p.stdout.close()
    equal(ended(p), (0, b""), "a pipe that is closed between two tables")
    p = piped(t, d, "lists", "--watch", "20ms", "--csv", "-o", "list,items")
    lines = [p.stdout.readline().decode().rstrip("\r\n") for _ in range(60)]
    equal(lines[0], "time,list,items", "CSV's head")
    equal([x for x in lines if x.startswith("time")], lines[:1], "it comes once")
    p.send_signal(signal.SIGINT)
    p.stdout.read()
    equal(ended(p)[0], 0, "CSV")
    p = piped(t, d, "status", "--watch", "20ms", "--json")
    text = b""
    while text.count(b"]\n") < 2:
        text += p.stdout.readline()
    p.send_signal(signal.SIGINT)
    one, at = json.JSONDecoder().raw_decode(text.decode())
    equal([list(r)[:2] for r in one], [["time", "pool"]] * 3, "JSON")
    equal(len(json.loads(text.decode()[at:])), 3, "one array after the other")
    p.stdout.read()
    equal(ended(p)[0], 0, "JSON")
    p = piped(t, d, "pools", "--watch", "1", "-S", t.directory)
    equal(ended(p)[0], 3, "nobody there at the first time")


@test
def watch_goes_on(t):
    """--watch waits for a pgwithd that is started anew"""
    d = start(t)
    p = piped(t, d, "version", "--watch", "20ms", "--no-header")
    p.stdout.readline()
    d.stop()
    wait_until(lambda: select.select([p.stderr], [], [], 0)[0], 10, "it says that nobody is there")
    again = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", program("pgwithd"), "-c", d.conf],
                             stderr=subprocess.DEVNULL, env=environment(d))
    t.defer(again.wait)
    t.defer(again.terminate)
    end = time.monotonic() + 10 * slow_factor()
    seen = 0
    # What was in the pipe from before, and then what the new one says.
    while seen < 100 and time.monotonic() < end:
        seen += b"pgwith" in p.stdout.readline()
    check(seen >= 100, "tables again: %d" % seen)
    p.send_signal(signal.SIGINT)
    p.stdout.read()
    equal(ended(p)[0], 0, "status")


@test
def watch_ends(t):
    """a signal ends --watch though pgwithd hangs: at an answer, and at the login"""
    d = start(t)
    asks = piped(t, d, "version", "--watch", "1ms", "--no-header", "-w", "1h")
    asks.stdout.readline()
    d.process.send_signal(signal.SIGSTOP)
    t.defer(lambda: d.process.send_signal(signal.SIGCONT))
    logs_in = piped(t, d, "version", "--watch", "1ms", "-w", "1h")

    def blocks_signals():
        with open("/proc/%d/status" % logs_in.pid) as f:
            return int(re.search("SigBlk:\t([0-9a-f]+)", f.read())[1], 16) & 1 << signal.SIGINT - 1

    wait_until(blocks_signals, 10, "it takes signals by itself")
    for p in (asks, logs_in):
        p.send_signal(signal.SIGINT)
        p.stdout.read()
        equal(ended(p), (0, b""), "the end")
    d.process.send_signal(signal.SIGCONT)


@test
def watch_on_a_terminal(t):
    """--watch on a terminal draws over what was there, fits its lines, and gives the screen back"""
    d = start(t)
    term = Terminal(t, [program("pgwith"), "lists", "-W", "50ms"], environment(d), 50, 10)
    term.wait_for(r"\x1b\[HEvery 50ms: pgwith lists", 3)
    check(term.text.startswith("\x1b[?1049h"), "the other screen")
    frames = term.text.split("\x1b[H")
    check(max(x.count("\n") for x in frames[1:-1]) <= 9, "as many lines as there is room for")
    term.process.send_signal(signal.SIGINT)
    equal(term.wait_end(), 0, "its status")
    check(term.text.rstrip().endswith("\x1b[?1049l"), "the first screen again: %r" % term.text[-40:])


@test
def waits(t):
    """what waits has no time limit but --timeout; given up, it says how things are"""
    d = start(t)
    holder = t.client(d, "orders")
    holder.sql("BEGIN; SELECT 1")
    status, out, err = pgwith(d, "pause", "orders", "--timeout", "200ms")
    equal((status, out), (5, ""), "after its time")
    check("NOTICE:  waiting for 1 server connection" in err, "the notice: " + err)
    check("pool orders is now paused" in err and "pgwith resume orders" in err, "how it is: " + err)
    check("billing" not in err, "other pools: " + err)
    equal(pgwith(d, "resume", "orders"), (0, "", ""), "resume")
    for number in (signal.SIGINT, signal.SIGTERM):
        # No limit: also not that of an answer.
        p = piped(t, d, "pause", "orders", "-w", "1h")
        wait_until(lambda: d.show("DATABASES")[0]["paused"] == "1", 10, "it is paused")
        p.send_signal(number)
        status, err = ended(p)
        equal(status, 5, "after %s" % number)
        check(b"pool orders is now paused" in err, "how it is: %r" % err)
        pgwith(d, "resume")
    p = piped(t, d, "pause", "orders")
    wait_until(lambda: d.show("DATABASES")[0]["paused"] == "1", 10, "it is paused")
    check(p.poll() is None, "it waits")
    holder.sql("COMMIT")
    equal(ended(p)[0], 0, "when the transaction has ended")
    equal(pgwith(d, "resume", "orders")[0], 0, "resume")
    equal(holder.value("SELECT 1"), "1", "the client goes on")


@test
def commands_that_act(t):
    """disable, enable, reconnect, drain, kill, set and shutdown do what they say"""
    d = start(t)
    c = t.client(d, "orders")
    before = c.value("SELECT pg_backend_pid()")

    def pool(name, what):
        return [r[what] for r in d.show("DATABASES") if r["name"] == name][0]
    equal(pgwith(d, "disable", "billing")[0], 0, "disable")
    equal(pool("billing", "disabled"), "1", "it is disabled")
    equal(pgwith(d, "enable", "billing")[0], 0, "enable")
    equal(pool("billing", "disabled"), "0", "it is enabled")
    ids = {r["id"] for r in d.servers("orders")}
    for words in (("reconnect",), ("wait-close", "orders")):
        equal(pgwith(d, *words)[::2], (0, ""), "pgwith %s" % (words,))
    check(not ids & {r["id"] for r in d.servers("orders")}, "other servers than %r (%s)" % (ids, before))
    c.sql("ENTER a; ENTER b")
    session = [x["id"] for x in d.clients("orders")][0]
    equal(pgwith(d, "kill", "scope", session, "b")[0], 0, "kill scope")
    equal(pgwith(d, "kill", "scope", session, "c' \"x")[0], 2, "no such scope")
    equal(pgwith(d, "kill", "session", session)[0], 0, "kill session")
    wait_until(lambda: not d.clients("orders"), 10, "the session is gone")
    equal(pgwith(d, "kill", "session", session)[0], 2, "no such session")
    other = t.client(d, "billing")
    equal(pgwith(d, "drain", "billing")[::2][0], 0, "drain")
    check(other.hung_up(), "who was at rest is told to go")
    if [r for r in d.show("HELP") if r["command"].startswith("SET ")]:
        equal(pgwith(d, "set", "size", "5", "--pool", "orders")[0], 0, "set")
        equal((d.pool("orders")["size"], d.pool("billing")["size"]), (5, 2), "of that pool only")
        status, _, err = pgwith(d, "set", "admin_users", "o'brien; x")
        check(status == 2 and "o'brien; x" in err, "quotes: " + err)
        equal(pgwith(d, "set", "stats_users", "o'brien")[0], 0, "a quote inside")
        equal([r["value"] for r in d.show("CONFIG") if r["key"] == "stats_users"], ["o'brien"], "the value")
        equal(pgwith(d, "reload")[0], 0, "reload")
        equal(d.pool("orders")["size"], 2, "as the file has it")
    stays = t.client(d, "orders")
    d.console_close()
    p = piped(t, d, "shutdown", "after-clients")
    wait_until(lambda: d.log_has("pgwithd: emptying"), 10, "it begins")
    equal((stays.value("SELECT 1"), p.poll()), ("1", None), "a client stays, and pgwith waits")
    stays.close()
    equal(ended(p), (0, b""), "when the last client has gone")
    equal(d.wait_end(), 0, "pgwithd has ended")
    equal(pgwith(d, "status")[0], 3, "nobody there")


COMPLETE = r"""
source "$1"
while IFS=$'\t' read -r -a COMP_WORDS; do
	COMP_WORDS=("${COMP_WORDS[@]/#-none-/}") COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_pgwith
	printf '%s ' "${COMPREPLY[@]}"
	printf '\n'
done
"""


def completed(d, script, cases):
    """What one bash makes of many lines; their last words are what is completed."""
    lines = "".join("\t".join(["pgwith", *words[:-1], words[-1] or "-none-"]) + "\n" for words in cases)
    status, out, err = child.run(["bash", "--norc", "-c", COMPLETE, "bash", script], env=environment(d),
                                 stdin=lines)
    equal((status, err), (0, ""), "bash")
    return [line.split() for line in out.split("\n")]


@test
def errors(t):
    """pgwith errors prints the errors that have occurred; --all, JSON and CSV have every one"""
    d = start(t)
    equal(pgwith(d, "errors", "--no-header"), (0, "no client was told an error\n", ""), "none")
    every = json.loads(pgwith(d, "errors", "--json")[1])
    check(len(every) > 30 and not any(row["count"] for row in every), "JSON has those that have never occurred")
    equal(len(pgwith(d, "errors", "--all", "--no-header")[1].splitlines()), len(every), "--all")
    equal(len(pgwith(d, "errors", "--csv", "--no-header")[1].splitlines()), len(every), "--csv")
    equal(pgwith(d, "show", "NOTHING")[0], 2, "an error")
    status, out, _ = pgwith(d, "errors", "-o", "error,count", "--no-header")
    equal((status, out.split()), (0, ["console_syntax", "1"]), "one")
    equal(len(json.loads(pgwith(d, "errors", "--json")[1])), len(every), "JSON")


@test
def completion(t):
    """bash completes commands, options, and the names that pgwithd has"""
    d = start(t)
    client = t.client(d, "orders")
    client.sql("ENTER nightly")
    script = t.path("completion")
    with open(script, "w") as f:
        f.write(child.run_ok([program("pgwith"), "completion", "bash"], env=environment(d)))
    session = d.clients("orders")[0]["id"]
    server = d.servers("orders")[0]["id"]
    commands = listed(d)
    cases = (
        (("",), commands), (("help", ""), commands), (("pau",), ["pause"]),
        (("re",), ["ready", "reconnect", "reload", "resume"]), (("ready", "o"), ["orders"]), (("pi",), ["ping"]),
        (("pause", ""), ["billing", "dead", "orders"]), (("drain", "o"), ["orders"]),
        (("-p", str(d.port), "-S", d.sockets, "resume", "b"), ["billing"]),
        (("--port", "=", str(d.port), "resume", "b"), ["billing"]),
        (("--port", str(d.port + 1), "resume", ""), []), (("--json", "pool"), ["pools"]),
        (("pause", "orders", ""), []), (("kill", "se"), ["server", "session"]),
        (("kill", "scope", ""), [session]), (("kill", "scope", session, ""), ["nightly"]),
        (("kill", "server", ""), [server]), (("kill", "pool", "d"), ["dead"]),
        (("set", "max_cl"), ["max_clients"]), (("shutdown", "after-s"), ["after-scopes"]),
        (("show", "STATS_T"), ["STATS_TOTALS"]), (("completion", ""), ["bash", "zsh"]),
        (("--no-h",), ["--no-header"]), (("waits", "--with"), ["--with-server"]), (("waits", "--d"), ["--dot"]),
        (("--d",), ["--database", "--deadline", "--dot"]), (("run", "--d"), ["--deadline"]), (("run", "--on", "o"), ["orders"]),
        (("run", "pgwithd-fi"), []), (("run", "true", "--d"), []), (("run", "--lock", "a", "true", os.path.join(SRCDIR, "NEW")), [os.path.join(SRCDIR, "NEWS")]), (("clients", "--color", "al"), ["always"]),
        (("set", "size", "3", "--pool", "o"), ["orders"]), (("-w", ""), []),
        (("import", os.path.join(SRCDIR, "NEW")), [os.path.join(SRCDIR, "NEWS")]),
        (("trace", "--report", os.path.join(SRCDIR, "NEW")), [os.path.join(SRCDIR, "NEWS")]),
        (("trace", "-o", os.path.join(SRCDIR, "NEW")), [os.path.join(SRCDIR, "NEWS")]),
        (("clients", "-o", os.path.join(SRCDIR, "NEW")), []), (("trace", "--pool", "o"), ["orders"]))
    got = completed(d, script, [words for words, _ in cases] + [("kill", "session", "")])
    for (words, want), names in zip(cases, got):
        equal(sorted(names), sorted(want), "completion of %s" % (words,))
    check(session in got[len(cases)], "sessions")
    # With the key, as a person does it.
    rc = t.path("rc")
    with open(rc, "w") as f:
        f.write("PS1='$ '\nbind 'set enable-bracketed-paste off'\nsource %s\n" % script)
    shell = Terminal(t, ["bash", "--noprofile", "--rcfile", rc, "-i"], environment(d))
    shell.wait_for(r"\$ ")
    os.write(shell.master, b"pgwith wait-c\tord\t")
    shell.wait_for("pgwith wait-close orders ")
    out = child.run_ok([program("pgwith"), "completion", "zsh"], env=environment(d))
    check(out.startswith("#compdef pgwith pgwithd\n") and "'pause:" in out and "max_clients=" in out, "zsh's")


@test
def completion_of_the_daemon(t):
    """bash completes the options of pgwithd, and with -o those of the configuration"""
    script = t.path("completion")
    with open(script, "w") as f:
        f.write(child.run_ok([program("pgwith"), "completion", "bash"]))
    for words, want in ((["-o", "max_cl"], ["max_clients="]), (["--option", "=", "retry_d"], ["retry_delay="]),
                        (["-v", "--opt"], ["--option"]), (["-c", os.path.join(SRCDIR, "NEW")], [os.path.join(SRCDIR, "NEWS")]),
                        (["--listen", os.path.join(SRCDIR, "systemd/deb")], [os.path.join(SRCDIR, "systemd/debian")]),
                        (["-o", "include"], []), (["--pool", "x"], []), (["-o", "size", "=", "3"], []), (["x"], [])):
        out = child.run_ok(["bash", "-c", "source $0; COMP_WORDS=(pgwithd \"$@\"); COMP_CWORD=$#; _pgwithd; "
                            "printf '%s\\n' \"${COMPREPLY[@]}\"", script, *words], cwd=os.getcwd())
        equal(out.split(), want, "completion of %r" % words)
    helped = child.run_ok([program("pgwithd"), "--help"])
    out = child.run_ok(["bash", "-c", "source $0; COMP_WORDS=(pgwithd --); COMP_CWORD=1; _pgwithd; echo ${COMPREPLY[@]}", script])
    equal(sorted(out.split()), sorted(re.findall(r"^  (?:-\w, |    )(--\w+)", helped, re.M)), "all of --help")


def examples(page):
    """The lines after `$ ` in section EXAMPLES."""
    text = child.run_ok(["mandoc", "-Tascii", "-Owidth=200", page], env={"MANPAGER": "cat"})
    text = re.sub(".\b", "", text)
    section = re.search(r"^EXAMPLES\n(.*?)^[A-Z]", text, re.M | re.S).group(1)
    return re.findall(r"^ +\$ (.*)$", section, re.M)


@test
def manual_examples(t):
    """the examples of pgwith(1) are such that they work"""
    d = start(t)
    holder = t.client(d, "orders")
    holder.sql("ENTER a")
    session = d.clients("orders")[0]["id"]
    lines = examples(os.path.join(SRCDIR, "man", "pgwith.1"))
    check(len(lines) >= 5, "examples: %r" % lines)
    known = [r["command"].lower() for r in d.show("HELP")]
    paths = {"/etc/pgbouncer/pgbouncer.ini": t.path("pgbouncer.ini"), "/etc/pgwith": t.directory,
             "session 42": "session " + session, "page the-operator": "exit 7"}
    with open(t.path("pgbouncer.ini"), "w") as f:
        f.write("[databases]\norders = host=/run/postgresql user=app\n")
    # What comes first in the page needs what comes last.
    lines = sorted(lines, key=lambda x: "import" not in x and "pgwithd -t" not in x)
    ran = 0
    for line in lines:
        for word, here in paths.items():
            line = line.replace(word, here)
        act = re.match(r"pgwith (pause|resume|kill)", line)
        if act and not [k for k in known if k.startswith(act.group(1))]:
            continue
        if "jq" in line and child.run(["sh", "-c", "command -v jq"])[0] != 0:
            continue
        if "pause" in line:
            holder.sql("EXIT")
        if "--watch" in line:
            # In the foreground, or it sends SIGCONT, too: that undoes the SIGSTOP by which LeakSanitizer stops a
            # process to look at it, and waits for ever.
            line = "timeout --foreground --preserve-status -s INT 1 " + line
        status, out, err = child.run(["sh", "-c", line], env=environment(d))
        # The server of this pgbouncer.ini is not here, which the doctor must say.
        equal(status, int("doctor" in line), "%s:\n%s%s" % (line, out, err))
        ran += 1
    check(ran >= 4, "examples that ran: %d of %r" % (ran, lines))


if __name__ == "__main__":
    main()
