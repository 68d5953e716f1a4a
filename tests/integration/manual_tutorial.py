"""pgwith-tutorial(7), typed as it stands there by somebody who has nothing but the build and PostgreSQL; and the
examples of pgwith-fixture(1)."""

import os
import re
import signal
import subprocess
import time

from pgwtest import Failure, check, child, equal, main, only_local, slow_factor, test, unavailable
from pgwtest.cluster import USER

MAN = os.path.join(os.environ.get("PGWITH_SRCDIR", "."), "man")
BUILD = os.path.abspath(os.environ.get("PGWITH_BUILDDIR", "."))
BIN = "/usr/lib/postgresql/15/bin"  # as the page says


def examples(page, language):
    """[(command, what it prints)] of the blocks behind a mark."""
    with open(os.path.join(MAN, page)) as f:
        text = f.read()
    blocks = re.findall(r'^\.\\" example: %s\n\.Bd [^\n]*\n(.*?)^\.Ed$' % language, text, re.M | re.S)
    check(blocks and all("\n." not in "\n" + b for b in blocks), "blocks, without macros inside of them")
    found = []
    for lines in (b.replace("\\e", "\\").replace("\\&", "").splitlines() for b in blocks):
        while lines:
            line = lines.pop(0)
            check(line.startswith("$ "), "a command: %r" % line)
            command = [line[2:]]
            here = re.search(r"<<'?(\w+)'?$", line)
            while here and command[-1] != here.group(1):
                command.append(lines.pop(0))
            printed = []
            while lines and not lines[0].startswith("$ "):
                printed.append(lines.pop(0))
            found.append(("\n".join(command), "\n".join(printed)))
    return found


def words(text):
    """Without numbers of more than one digit, the lengths of lines and of gaps, and the shell's news of who was killed."""
    lines = [line for line in text.splitlines() if not re.search(r"^bash: line \d+:|\bKilled\b", line)]
    text = re.sub(r"\d+\.\d+|\d\d+", "0", "\n".join(lines).strip())
    return re.sub(r"-+", "-", re.sub(r"\s*\n\s*", "\n", re.sub(r"[ \t]+", " ", text)))


MARK = "@@@ done "
# Who types waits until there is something to be seen, and looks again.
LOOKS = re.compile(r"(pgwith|grep|cat|PGPORT=\d+ psql|psql .*accounts)( |'$)")


class Shell:
    """A shell that is typed into."""

    def __init__(self, t, home, user=None):
        self.t, self.count = t, 0
        wrap = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] if user else []
        env = {"HOME": home, "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "USER": user or ""}
        self.process = subprocess.Popen(wrap + ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=env, cwd=BUILD, text=True, start_new_session=True)
        t.defer(self.end)

    def type(self, command):
        """What is printed up to its end."""
        self.count += 1
        self.process.stdin.write("%s\necho '%s'%d\n" % (command, MARK, self.count))
        self.process.stdin.flush()
        printed = ""
        for line in self.process.stdout:
            if line == "%s%d\n" % (MARK, self.count):
                return printed
            printed += line
        raise Failure("the shell has ended: %s" % printed)

    def compare(self, commands):
        """Types them and compares what they print; returns that."""
        all_printed = []
        for command, want in commands:
            deadline = time.monotonic() + (2 if os.environ.get("TUTORIAL_PRINT") else 10) * slow_factor()
            printed = self.type(command)
            while words(printed) != words(want) and LOOKS.match(command) and time.monotonic() < deadline:
                time.sleep(0.05)
                printed = self.type(command)
            all_printed.append(printed)
            if os.environ.get("TUTORIAL_PRINT"):
                print("$ %s\n%s" % (command, printed), end="", flush=True)
            else:
                equal(words(printed), words(want), "$ " + command)
        return all_printed

    def end(self):
        """Whatever it has started goes with it, when it has not got to its own end."""
        try:
            session = self.process.pid
            self.process.stdin.close()
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if os.getsid(int(pid)) == session and int(pid) != session:
                        os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


@test
def tutorial(t):
    """every command of the tutorial, in one shell, as an ordinary user; in the end nothing is left"""
    only_local("the tutorial makes its own cluster")
    if not os.access(BIN + "/initdb", os.X_OK):
        unavailable("no " + BIN)
    home = t.path("h")
    os.mkdir(home)
    user = USER if os.geteuid() == 0 else None
    # a clone beside it, of the name that clones have, is somebody's work
    clone = os.path.join(home, "pgwith")
    os.mkdir(clone)
    shell = Shell(t, home)
    shell.compare(examples("pgwith-tutorial.7", "install"))
    place = shell.type("echo $try").strip()
    equal((os.path.dirname(place), sorted(os.listdir(home))), (home, sorted(["pgwith", os.path.basename(place)])), "one new directory")
    check(os.path.isfile(place + "/usr/share/man/man7/pgwith-tutorial.7"), "the page itself is installed")
    if user:
        status, _, err = child.run(["chown", "-R", user, home])
        equal(status, 0, err)
    commands = examples("pgwith-tutorial.7", "sh")
    shell = Shell(t, home, user)
    shell.type("try=" + place)
    printed = shell.compare(commands)
    pids = [set(re.findall(r"\d{2,}", p)) for (c, _), p in zip(commands, printed) if c.startswith("pgwith servers")]
    check(len(pids) == 3 and len(pids[0]) == 2 and pids[0] == pids[1] == pids[2], "the server connections are the same: %r" % pids)
    equal(os.listdir(home), ["pgwith"], "what is left")


@test
def fixture(t):
    """the examples of pgwith-fixture(1)"""
    home = t.path("h")
    os.mkdir(home)
    shell = Shell(t, home)
    shell.type("PATH=%s/src:$PATH; cd %s" % (BUILD, home))

    def here(text):
        sql = os.path.join(os.path.dirname(os.path.abspath(MAN)), "sql")
        return text.replace("/tmp", home).replace("/usr/share/pgwith", sql)

    shell.compare([(here(c), here(want)) for c, want in examples("pgwith-fixture.1", "sh")])
    check(not [name for name in os.listdir(home) if name.startswith(".s.PGSQL")], "its socket is gone")


if __name__ == "__main__":
    main()
