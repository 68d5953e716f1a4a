"""A password that a command tells: asked off the loop, shared, kept, asked for anew when PostgreSQL refuses it; and seen
nowhere."""

import fcntl
import json
import os
import re
import signal
import stat
import socket
import time

from pgwtest import check, child, equal, main, seconds, slow_factor, test, wait_until, wire
from pgwtest.daemon import program

ROLE = "app"


class Teller:
    """A program that tells what is in its file, and notes each time that it is asked."""

    def __init__(self, t, name="tell", body="cat %(secret)s"):
        self.path, self.secret, self.runs, self.asked = (t.path(name + end) for end in ("", ".secret", ".runs", ".asked"))
        self.write(body)
        open(self.runs, "w").close()

    def write(self, body):
        with open(self.path, "w") as f:
            f.write("#!/bin/sh\necho \"$PGUSER@$PGDATABASE $PGWITH_POOL $*\" >>%s\n" % self.runs)
            f.write(body % {"secret": self.secret, "runs": self.runs, "asked": self.asked} + "\n")
        os.chmod(self.path, stat.S_IRWXU)

    def tell(self, password):
        with open(self.secret + ".new", "w") as f:
            f.write(password + "\n")
        os.rename(self.secret + ".new", self.secret)

    def asked_by(self):
        with open(self.runs) as f:
            return f.read().splitlines()

    @property
    def times(self):
        return len(self.asked_by())

    @property
    def option(self):
        return "command:" + self.path


def change_password(t, password, role=ROLE):
    t.cluster.role(role, "LOGIN")
    t.sql("ALTER ROLE %s PASSWORD '%s'" % (role, password))


def stage(t, body="cat %(secret)s", options=None, **pool):
    """A command, and a daemon whose pool `db` logs in as the role app, with SCRAM. Another pool, `free`, needs no password."""
    teller = Teller(t, body=body)
    change_password(t, "first")
    teller.tell("first")
    one = dict({"conninfo": t.conninfo(user=ROLE), "password": teller.option, "size": 3, "users": "*",
                "retry_delay": "100ms"}, **pool)
    d = t.daemon(options, pools={"db": one, "free": {"conninfo": t.conninfo(), "size": 2}})
    return teller, d


def primed(t, **how):
    """The same, after the first login: the pool knows what to tell clients, so the next ones need no server to come in."""
    teller, d = stage(t, **how)
    with d.connect() as c:
        equal(c.value("SELECT current_user"), ROLE, "the first one")
    d.console("RELOAD")  # forgets the password
    reset(d)
    open(teller.runs, "w").close()
    return teller, d


def answer(d, pool="db"):
    """A query by a client that comes for it: its error, at login or behind it, or None."""
    try:
        with d.connect(pool) as c:
            return (c.ask("SELECT 1").errors or [None])[0]
    except wire.ServerError as e:
        return e


def reset(d):
    """No server of the pool is there."""
    d.console("PAUSE db")
    d.console("RESUME db")
    wait_until(lambda: not d.servers(), 5, "its servers are closed")


@test
def tells(t):
    """the password is told once, kept, and told again for a connection made after password_ttl"""
    teller, d = stage(t, password_ttl="1s")
    with d.connect() as c:
        equal(c.value("SELECT current_user"), ROLE, "who has logged in")
        equal(teller.asked_by(), ["app@%s db " % t.database], "who asks")
        with d.connect() as other:
            c.sql("BEGIN")
            equal(other.value("SELECT 1"), "1", "another server")
            c.sql("COMMIT")
    equal(teller.times, 1, "times that it was asked")
    time.sleep(1.1)  # there is nothing to see of a password that gets old
    reset(d)
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "with a new one")
    equal(teller.times, 2, "times that it was asked")


@test
def each_time(t):
    """password_ttl = 0: a token that is good once is asked for each connection"""
    teller, d = stage(t, password_ttl="0")
    cs = [t.client(d) for _ in range(3)]
    for i, c in enumerate(cs):
        c.sql("BEGIN")
        equal(c.value("SELECT 1"), "1", "a server")
        equal(teller.times, i + 1, "times that it was asked")


@test
def shared(t):
    """twenty clients at once: one run, nobody is refused, and nobody else waits for it"""
    teller, d = primed(t, size=10, max_opening=10)
    teller.write("while ! [ -e %(asked)s ]; do sleep 0.02; done; cat %(secret)s")
    cs = [t.client(d) for _ in range(20)]
    for c in cs:
        c.send(wire.query("SELECT pg_sleep(0.05), current_user"))
    wait_until(lambda: teller.times == 1, 10, "it runs")
    slowest = 0
    with d.connect("free") as free:
        free.value("SELECT 1")
        for _ in range(200):
            took, _ = seconds(free.value, "SELECT 1")
            slowest = max(slowest, took)
    check(slowest < 0.2, "another pool waited %.3f s" % slowest)
    open(teller.asked, "w").close()
    for c in cs:
        equal(c.until_ready().rows[0][1], ROLE, "an answer")
    equal(teller.times, 1, "times that it was asked")


@test
def changed(t):
    """ALTER ROLE ... PASSWORD: the first login that is refused asks anew, and clients notice nothing"""
    teller, d = stage(t, password_ttl="1h", size=5)
    first = t.client(d)
    first.sql("BEGIN")
    for n in range(4):
        change_password(t, "next%d" % n)
        teller.tell("next%d" % n)
        # all at once: they share the next run, too
        cs = [d.connect() for _ in range(3)]
        for c in cs:
            c.send(wire.query("SELECT pg_sleep(0.05), current_user"))
        for c in cs:
            r = c.until_ready()
            equal(r.errors, [], "no error")
            c.close()
        check(n + 2 <= teller.times <= n + 2, "asked once for each change, and not %d times" % teller.times)
        d.console("RECONNECT db")
        wait_until(lambda: len(d.servers()) == 1, 5, "all but that of the transaction are closed")
    equal(first.value("SELECT 1"), "1", "the connection that was there goes on")
    equal(d.pool()["last_error"], None, "no error is shown")
    check(not d.log_has("cannot connect"), "and none is logged")


@test
def wrong(t):
    """a password that is wrong is PostgreSQL's error, told at once; the next attempt asks anew, with pauses as for every server"""
    teller, d = stage(t, password_ttl="1h", retry_delay="300ms")
    teller.tell("wrong")
    e = answer(d)
    equal(e.sqlstate, "08001", "an error")
    check("password authentication failed" in e.message, "it is PostgreSQL's: %s" % e.message)
    check("the command of the option password" in e.hint, "the hint: %s" % e.hint)
    equal(teller.times, 2, "it was asked once more")
    started = time.monotonic()
    while time.monotonic() - started < 1:
        check(answer(d) is not None, "it is wrong")
    check(4 <= teller.times <= 12, "with pauses: %d times in a second" % teller.times)
    teller.tell("first")
    wait_until(lambda: answer(d) is None, 5, "good again")
    # one that was good and is refused now: asked once more, and then PostgreSQL's answer
    change_password(t, "second")
    teller.write("echo also-wrong")
    reset(d)
    times = teller.times
    e = answer(d)
    check("password authentication failed" in e.message, "PostgreSQL's: %s" % e.message)
    equal(teller.times, times + 1, "asked once more")


# What the program does, and what clients are told of it.
FAULTS = (
    ("exit 3", "ended with exit status 3"),
    ("echo s3cr3t; echo about s3cr3t >&2; exit 1", "ended with exit status 1"),
    ("kill -KILL $$", "was killed by signal 9"),
    ("exec sleep 1000", "told no password within 300ms"),
    ("trap '' TERM; echo s3cr3t; while :; do sleep 0.1; done", "told no password within 300ms"),
    ("true", "printed nothing"),
    ("echo; echo s3cr3t", "printed an empty first line"),
    ("printf 's3cr3t\\000garbage\\n'", "printed a NUL byte in its first line"),
    ("echo s3cr3t; exec cat /dev/zero", "printed more than 65536 bytes"),
    ("exec /nowhere/at/all", "ended with exit status 127"),
)


@test(timeout=120)
def faults(t):
    """a command that fails, hangs, or prints garbage: a clear error, at once or in time; then it is good again"""
    change_password(t, "first")
    tellers = [Teller(t, "tell%d" % i, body) for i, (body, _) in enumerate(FAULTS)]
    pools = {"p%d" % i: {"conninfo": t.conninfo(user=ROLE), "password": teller.option, "users": "*", "retry_delay": "0",
                         "password_timeout": "300ms"} for i, teller in enumerate(tellers)}
    d = t.daemon(pools=pools)
    for i, (body, why) in enumerate(FAULTS):
        pool, teller = "p%d" % i, tellers[i]
        took, e = seconds(answer, d, pool)
        equal((e.sqlstate, e.message), ("08001", 'cannot log in at the server of pool "%s": its password command %s %s'
                                        % (pool, teller.path, why)), body)
        check(took < 5 * slow_factor(), "it took %.1f s" % took)
        check("stderr is in the log" in e.hint, "a hint: %r" % e.fields)
        check(why in d.pool(pool)["last_error"], "SHOW POOLS has it")
        # No process of it is left.
        wait_until(lambda path=teller.path: not children(path), 5, "it has ended")
        teller.write("cat %(secret)s")
        teller.tell("first")
        wait_until(lambda pool=pool: answer(d, pool) is None, 5, "good again behind " + body)
    check(d.log_has("password command says text=\"about \\*{8}\""), "its stderr is in the log, without the secret")
    check("s3cr3t" not in d.log_text(), "the secret is not in the log")
    os.unlink(tellers[0].path)
    d.console("RECONNECT p0")
    wait_until(lambda: not d.servers("p0"), 5, "no server is left")
    with d.connect("p0") as c:
        c.send(wire.query("SELECT 1"))
        wait_until(lambda: "cannot be run" in str(reload_error(d)), 5, "a reload refuses what is not there")
        tellers[0].write("cat %(secret)s")
        equal(c.until_ready().rows, [("1",)], "it is there again")


def reload_error(d):
    try:
        d.console("RELOAD")
    except wire.ServerError as e:
        return e.detail
    return None


def children(path):
    """Processes that run the program."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/cmdline" % entry, "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if path.encode() in words:
            found.append(int(entry))
    return found


@test
def patience(t):
    """while the command fails after it was good, clients wait (wait_while_down), and are served when it is good again"""
    teller, d = stage(t, password_ttl="0")
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "good")
        reset(d)
        teller.write("echo no >&2; exit 1")
        c.send(wire.query("SELECT 2"))
        wait_until(lambda: teller.times >= 3, 10, "it is asked again and again")
        equal(d.waiting(), 1, "the client waits")
        teller.write("cat %(secret)s")
        equal(c.until_ready().rows, [("2",)], "its answer")
    for words in ("cannot connect", "password command says"):
        warned = re.findall("warn pool db: " + words, d.log_text())
        equal(len(warned), 1, "warnings: " + words)


@test
def roles(t):
    """role = client: each role has a password of its own"""
    teller = Teller(t, body="echo secret-of-$PGUSER")
    for role in ("app", "writer"):
        change_password(t, "secret-of-" + role, role)
    d = t.daemon(pools={"db": {"conninfo": t.conninfo(user=None), "password": teller.option, "role": "client", "size": 4}})
    for _ in range(2):
        for role in ("app", "writer"):
            with d.connect(user=role) as c:
                equal(c.value("SELECT current_user"), role, "who it is")
    equal(teller.asked_by(), ["%s@%s db " % (role, t.database) for role in ("app", "writer")], "who was asked for")


@test
def hints(t):
    """a password that PostgreSQL refuses, and none where it asks for one: the hint names the password, not the server"""
    change_password(t, "first")
    bare = t.conninfo(user=ROLE)
    d = t.daemon(pools={"wrong": {"conninfo": t.conninfo(user=ROLE, password="x"), "users": "*"},
                        "option": {"conninfo": bare, "password": "x", "users": "*"},
                        "client": {"conninfo": t.conninfo(user=None), "password": "x", "role": "client"},
                        "none": {"conninfo": bare + " passfile=/nonexistent", "users": "*"},
                        "gone": {"conninfo": t.conninfo(host=t.path("nowhere"))}})
    for pool in ("wrong", "option", "client", "none", "gone"):
        try:
            d.connect(pool, user=ROLE).sql("SELECT 1")
            check(False, "it comes in: " + pool)
        except wire.ServerError as e:
            equal(e.sqlstate, "08001", pool)
            if pool == "gone":
                equal(e.hint, "check conninfo, and that the server runs", pool)
            else:
                check("password" in e.hint and "server runs" not in e.hint, "%s: %s" % (pool, e.hint))
            equal("for this role" in e.hint, pool == "client", pool)
    said = [f for f in json.loads(child.run([program("pgwith"), "doctor", "-c", d.conf, "--json"])[1]) if "own last attempt" in f["finding"]]
    check([f for f in said if f["subject"] == "pool wrong" and "correct the password" in f["what_to_do"]], "doctor: %s" % said)


@test
def reloads(t):
    """a RELOAD asks anew; another command replaces the servers; SET cannot name a command"""
    teller, d = stage(t)
    c = t.client(d)
    pid = c.value("SELECT pg_backend_pid()")
    d.console("RELOAD")
    equal(c.value("SELECT pg_backend_pid()"), pid, "the server stays")
    other = Teller(t, "other")
    other.tell("first")
    pools = {"db": {"conninfo": t.conninfo(user=ROLE), "size": 3, "users": "*", "password": other.option + " 'an argument'"}}
    d.reload(pools=pools)
    check(c.value("SELECT pg_backend_pid()") != pid, "the server is another one")
    equal((teller.times, other.asked_by()), (1, ["app@%s db an argument" % t.database]), "who was asked")
    d.console("RELOAD")
    reset(d)
    equal(c.value("SELECT 1"), "1", "behind a RELOAD")
    equal(other.times, 2, "asked anew")
    for option in ("password", "conninfo"):
        try:
            d.console("SET %s = 'command:%s' FOR POOL db" % (option, teller.path))
        except wire.ServerError as e:
            check("a command can only stand in the file" in e.message, "refused: %s" % e.message)
        else:
            check(False, "SET names a command")
    equal(teller.times, 1, "it was not run")
    # Nor can a file or a variable bring one in.
    path = t.path("pw")
    with open(path, "w") as f:
        f.write("command:%s\n" % teller.path)
    os.chmod(path, 0o600)
    pools["db"]["password"] = "file:" + path
    try:
        d.reload(pools=pools)
    except wire.ServerError as e:
        check("the file holds a command" in e.fields["D"], "refused: %s" % e.fields)
    else:
        check(False, "a file brings in a command")


@test
def handed_over(t):
    """a restart keeps servers; the next process asks by itself; a run is ended"""
    teller = Teller(t)
    change_password(t, "first")
    teller.tell("first")
    d = t.supervised(conninfo=t.conninfo(user=ROLE), password=teller.option, size=3, users="*", password_timeout="1h")
    c, other = t.client(d), t.client(d)
    c.sql("BEGIN")
    pid = c.value("SELECT pg_backend_pid()")
    d.restart()
    equal(c.value("SELECT pg_backend_pid()"), pid, "the server is the same")
    equal(teller.times, 1, "no password was needed")
    equal(other.value("SELECT 1"), "1", "another server")
    equal(teller.times, 2, "the next process has asked")
    teller.write("echo $$ >%(asked)s; exec sleep 1000")
    d.console("RELOAD")
    third = t.client(d)
    third.sql("BEGIN")
    fourth = t.client(d)
    fourth.send(wire.query("SELECT 4"))
    wait_until(lambda: os.path.exists(teller.asked) and os.path.getsize(teller.asked), 10, "it hangs")
    with open(teller.asked) as f:
        hung = int(f.read())
    teller.write("cat %(secret)s")
    d.restart()
    equal(fourth.until_ready().rows, [("4",)], "the one that waited")
    check(not os.path.exists("/proc/%d/exe" % hung), "what hung was ended")
    for x in (c, third):
        x.sql("COMMIT")


@test
def ends_with_the_daemon(t):
    """a command that hangs does not keep the daemon, and is killed with it"""
    teller, d = primed(t, password_timeout="1h")
    teller.write("echo $$ >%(asked)s; trap '' TERM HUP; while :; do sleep 0.1; done")
    c = t.client(d)
    c.send(wire.query("SELECT 1"))
    wait_until(lambda: os.path.exists(teller.asked) and os.path.getsize(teller.asked), 10, "it hangs")
    with open(teller.asked) as f:
        hung = int(f.read())
    took, _ = seconds(d.stop, signal.SIGINT)
    check(took < 5 * slow_factor(), "the end took %.1f s" % took)
    wait_until(lambda: not children(teller.path), 5, "it has ended")
    check(not os.path.exists("/proc/%d/exe" % hung), "it, too")


@test
def its_process(t):
    """the command has no descriptor of the daemon's, no signal blocked or ignored, and nothing of the service manager"""
    body = ("echo `ls /proc/self/fd` >%(asked)s.new; grep -E '^Sig(Blk|Ign)' /proc/self/status >>%(asked)s.new\n"
            "env | grep -cE '^(NOTIFY_SOCKET|LISTEN_|WATCHDOG_|FDSTORE)' >>%(asked)s.new\n"
            "mv %(asked)s.new %(asked)s; cat %(secret)s")
    teller = Teller(t, body=body)
    change_password(t, "first")
    teller.tell("first")
    d = t.supervised(conninfo=t.conninfo(user=ROLE), password=teller.option, size=3, users="*")
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "good")
    with open(teller.asked) as f:
        fds, blocked, ignored, variables = f.read().splitlines()
    equal(fds.split()[:3], ["0", "1", "2"], "its descriptors")
    check(len(fds.split()) <= 5, "no others: " + fds)
    equal(int(blocked.split()[1], 16), 0, "signals blocked")
    # glibc ignores its own two in whatever it spawns
    equal(int(ignored.split()[1], 16) & ~(3 << 31), 0, "signals ignored")
    equal(variables, "0", "variables of the service manager")


SECRET = "Gl0ub!nsky-hidden-46"


@test(timeout=120)
def seen_nowhere(t):
    """the secret is in no SHOW, no metric or page, no line of the log, no argument, variable or error; nor does doctor print it"""
    teller, d = stage(t, body="echo asked, and it is `cat %(secret)s` >&2; cat %(secret)s",
                      options={"metrics_listen": t.path("metrics"), "log_format": "text"}, password_ttl="1h")
    change_password(t, SECRET)
    teller.tell(SECRET)
    seen = []
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "good")
        teller.write("echo %s; echo no %s >&2; exit 1" % (SECRET, SECRET))
        d.console("RELOAD")
        reset(d)
        c.send(wire.query("SELECT 1"))
        wait_until(lambda: d.pool()["last_error"], 10, "it fails")
        seen.append(str(d.pool()))
        teller.write("cat %(secret)s")
        seen.append(str(c.until_ready().rows))
        for what in [r[0] for r in d.console("SHOW").rows]:
            if re.fullmatch("SHOW [A-Z_ ]+", what):
                seen.append(str(d.console(what).rows))
        check(len(seen) > 20, "tables: %d" % len(seen))
        check(teller.path in str(seen), "SHOW CONFIG has the program")
        for path in ("/", "/metrics"):
            seen.append(http(t.path("metrics"), path))
        for pid in [d.pid, *children(teller.path)]:
            for name in ("cmdline", "environ", "status", "comm"):
                with open("/proc/%d/%s" % (pid, name), "rb") as f:
                    seen.append(f.read().decode(errors="replace"))
    d.console_close()
    for command in (["doctor", "-c", d.conf], ["config", "-S", d.sockets], ["config", "-S", d.sockets, "--json"],
                    ["status", "-S", d.sockets]):
        status, out, err = child.run([program("pgwith"), *command])
        seen.append(out + err)
    check("as app" in seen[-4] and "0 problems" in seen[-4], "doctor: " + seen[-4])
    seen.append(child.run([program("pgwithd"), "-t", "-c", d.conf])[1])
    d.stop()
    seen.append(d.log_text())
    check("it is ********" in seen[-1], "its words are in the log")
    for text in seen:
        at = text.find(SECRET)
        check(at < 0, "the secret is in: %r" % text[max(0, at - 200):at + 60])


def http(path, page):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(b"GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % page.encode())
        parts = []
        while True:
            part = s.recv(65536)
            if not part:
                return b"".join(parts).decode(errors="replace")
            parts.append(part)


@test
def doctor(t):
    """doctor runs the command, as the user of pgwithd, and says what is wrong with it"""
    teller, d = stage(t)
    d.console_close()
    status, out, err = child.run([program("pgwith"), "doctor", "-c", d.conf])
    equal(status, 0, out + err)
    check(teller.times >= 1, "it has asked")
    teller.write("echo the vault is sealed >&2; exit 2")
    status, out, err = child.run([program("pgwith"), "doctor", "-c", d.conf])
    equal(status, 1, out + err)
    check("ended with exit status 2: the vault is sealed" in " ".join(out.split()), out)
    check("run the command by hand" in " ".join(out.split()), "a cure: " + out)
    if os.geteuid() == 0:
        times = teller.times
        os.chown(d.conf, 65534, 65534)
        status, out, err = child.run([program("pgwith"), "doctor", "-c", d.conf])
        check("is not run by root, as others than root may write " + d.conf in " ".join(out.split()), out)
        equal(teller.times, times, "it was not run")


@test(timeout=120)
def hundreds(t):
    """random changes of the password under load: no client sees an error"""
    teller, d = stage(t, body="exec flock -s %(asked)s cat %(secret)s", password_ttl="200ms", size=6, max_lifetime="100ms", idle_timeout="50ms")
    cs = [t.client(d) for _ in range(12)]
    changes = 0
    while changes < 15:
        if t.random.random() < 0.3:
            changes += 1
            with open(teller.asked, "w") as f:
                fcntl.flock(f, fcntl.LOCK_EX)  # nobody is told one that is not good any more, or not yet
                change_password(t, "pw%d" % changes)
                teller.tell("pw%d" % changes)
        for c in cs:
            c.send(wire.query("SELECT pg_sleep(0.005), current_user"))
        for c in cs:
            r = c.until_ready()
            equal(r.errors, [], "no error")
    check(teller.times > 5, "times that it was asked: %d" % teller.times)


if __name__ == "__main__":
    main(cluster={"hba": "local all app scram-sha-256\nlocal all writer scram-sha-256\n"})
