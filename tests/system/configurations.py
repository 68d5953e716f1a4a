"""pgwithd -t on broken configurations: each problem with its file and line, and with what to do about it."""

import os
import subprocess

from pgwtest import check, equal, main, test
from pgwtest.daemon import SANITIZE_ENV, program

POOL = "[pool app]\nconninfo = host=/run/postgresql dbname=app\n"

# What is in the file (after @, a pool that is good is put in front of it), the line that must be named,
# and words that the line must have: what is wrong, and the cure.
BROKEN = (
    # sections
    ("", 0, "no pool", "[pool NAME]"),
    ("[pgwith]\nport = 6432\n", 0, "no pool", "[pool NAME]"),
    ("size = 3\n" + POOL, 1, "before any section", "[pgwith] or [pool NAME]"),
    ("@[pol other]\nsize = 3\n", 3, 'unknown section "pol other"', 'did you mean "pool"?'),
    ("@[databases]\napp = host=x\n", 3, 'unknown section "databases"', "[pool NAME]"),
    ("@[pool]\n", 3, "a pool without a name", "[pool NAME]"),
    ("@[pool app]\nsize = 3\n", 3, "duplicate section [pool app]", "first is on line 1"),
    ("@[scope a]\n[scope a]\n", 4, "duplicate section [scope a]", "first is on line 3"),
    ("@[pgwith]\n[pgwith]\n", 4, "duplicate section [pgwith]", "first is on line 3"),
    ("@[pool b\n", 3, "no ] at the end", "[pool NAME]"),
    ("@[pool b] size = 3\n", 3, "text behind the ]", "alone in its line"),
    ("[pool pgwith]\nconninfo = dbname=a\n", 1, '"pgwith"', "the console's"),
    ("[pool a b]\nconninfo = dbname=a\n", 1, '"a b"', "letters, digits"),
    ("[pool %s]\nconninfo = dbname=a\n" % ("x" * 64), 1, "at most 63"),
    ("@[scope lock]\n", 3, '"lock"', "words of ENTER"),
    # options
    ("@sise = 3\n", 3, 'unknown option "sise"', 'did you mean "size"?'),
    ("@pool_mode = session\n", 3, 'unknown option "pool_mode"', "is here mode"),
    ("@xyzzy = session\n", 3, 'unknown option "xyzzy"', "pgwith.conf(5)"),
    ("@max_clients = 3\n", 3, "max_clients is not one of a pool", "belongs in [pgwith]"),
    ("@[pgwith]\nsuppress = on\n", 4, "suppress is not one of [pgwith]", "belongs in [scope NAME]"),
    ("@[scope a]\nsize = 3\n", 4, "size is not one of a scope", "belongs in [pool NAME]"),
    ("@size = 3\nsize = 4\n", 4, "duplicate option size", "first is on line 3"),
    ("@size\n", 3, "expected NAME = VALUE"),
    ("@size = 3\n  4\n", 4, "size (line 3) takes only one", "remove the indentation"),
    ("[pool a]\nsize = 3\n", 1, '"a" has no conninfo', "conninfo = host="),
    # numbers, durations, words
    ("@size = many\n", 3, 'size: "many"', "an integer from 1 to 10000"),
    ("@size = 0\n", 3, 'size: "0"', "from 1 to 10000"),
    ("@size = 10 # ten\n", 3, 'size: "10 # ten"', "an integer", "begins with ;"),
    ("@wait_timeout = 5 parsecs\n", 3, 'wait_timeout: "5 parsecs"', "a duration", "5s, 2min"),
    ("@wait_timeout = -1\n", 3, 'wait_timeout: "-1"', "a duration from 0 to 365d"),
    ("@idle_timeout = 9999d\n", 3, 'idle_timeout: "9999d"', "from 0 to 365d"),
    ("@mode = transactions\n", 3, 'mode: "transactions"', "one of transaction, session, statement", 'did you mean "transaction"?'),
    ("@role = alice\n", 3, 'role: "alice"', "one of fixed, client"),
    ("@pin = maybe\n", 3, 'pin: "maybe"', "on or off"),
    ("@size = 3\nmin_size = 4\n", 4, "min_size (4) is larger than size (3)", "raise size, or lower min_size"),
    ("@[pgwith]\nlog_level = verbose\n", 4, 'log_level: "verbose"', "one of debug, info, warn, error"),
    ("@[pgwith]\nsocket_mode = 0999\n", 4, 'socket_mode: "0999"', "an octal number from 0000 to 0777"),
    ("@[pgwith]\nsocket_mode = rwx\n", 4, 'socket_mode: "rwx"', "an octal number"),
    ("@[pgwith]\nport = 65536\n", 4, 'port: "65536"', "from 1 to 65535"),
    # who and where
    ("@[pgwith]\nlisten = run/pgwith\n", 4, 'listen: "run/pgwith"', "an absolute path"),
    ("@[pgwith]\nlisten = /%s\n" % ("x" * 120), 4, "listen: too long", "maximum is 107"),
    ("@[pgwith]\nsocket_owner = no-such-user\n", 4, '"no-such-user"', "the name of a user"),
    ("@[pgwith]\nsocket_group = no-such-group\n", 4, '"no-such-group"', "the name of a group"),
    ("@[pgwith]\nallow = app, www data:app\n", 4, 'allow: item 2, "www data:app"', "a blank", "USER:ROLE"),
    ("@[pgwith]\nallow = app,,web\n", 4, "allow:", "empty"),
    ("@[pgwith]\nadmin_users = alice bob\n", 4, 'admin_users: item 1, "alice bob"', "between commas"),
    # conninfo
    ("[pool a]\nconninfo =\n", 2, "conninfo: empty", "host=/run/postgresql dbname=app"),
    ("[pool a]\nconninfo = host=x dbnam=y\n", 2, "conninfo:", '"dbnam"', 'did you mean "dbname"?'),
    ("[pool a]\nconninfo = host=x dbname\n", 2, "conninfo:", 'missing "=" after "dbname"', "keyword=value"),
    ("[pool a]\nconninfo = postgres//app@db/app\n", 2, "conninfo:", "postgresql://"),
    ("[pool a]\nconninfo = host=x connect_timeout=3\n", 2, "connect_timeout", "the option connect_timeout of the pool"),
    ("[pool a]\nconninfo = host=x replication=database\n", 2, "replication", "cannot be pooled"),
    ("[pool a]\nconninfo = host=a,b port=1,2,3\n", 2, "2 host names", "3 ports"),
    ("[pool a]\nconninfo = service=no-such-service\n", 2, "no-such-service", "not found"),
    ("[pool a]\nconninfo = file:/no/such/file\n", 2, "cannot open /no/such/file", "No such file"),
    ("[pool a]\nconninfo = file:app.conninfo\n", 2, "$CREDENTIALS_DIRECTORY", "LoadCredential=app.conninfo:"),
    ("[pool a]\nconninfo = dbname=a\npassword = file:%(dir)s/open\n", 3, "password: %(dir)s/open", "chmod 0600 %(dir)s/open"),
    ("[pool a]\nconninfo = dbname=a\npassword = file:%(dir)s/empty\n", 3, "%(dir)s/empty is empty"),
    # scopes
    ("@[scope a]\npool = ap\n", 4, 'no pool "ap"', 'did you mean "app"?'),
    ("@[scope a]\nenter = SELECT $1; SELECT $3\n", 4, "$3 is used", "$2 nowhere"),
    ("@[scope a]\nenter = COMMIT\n", 4, '"COMMIT" cannot stand here', "pgwith itself begins and ends"),
    ("@[scope a]\nenter = SELECT 1;\n  COPY x FROM STDIN\n", 5, '"COPY x FROM STDIN"', "no client"),
    ("@[scope a]\ncleanup = SET work_mem = $1\n", 4, "SET takes no arguments", "set_config('NAME', $1, true)"),
    ("@[scope a]\non_commit = SELECT 'x\n", 4, "a quote or comment does not end"),
    ("@[scope a]\nisolation = snapshot\n", 4, 'isolation: "snapshot"', "read committed"),
    # files
    ("@[pgwith]\ninclude = no-such-file.conf\n", 4, "include: cannot open", "no-such-file.conf: No such file"),
    ("@[pgwith]\ninclude =\n", 4, "include: expected the path", "conf.d/*.conf"),
    ("@[pgwith]\ninclude = %(dir)s\n", 4, "not a regular file"),
    ("@\0\n", 3, "a NUL byte", "expected a text file"),
    ("@# %s\n" % ("x" * 9000), 3, "the line has 9002 bytes", "maximum is 8192"),
)


def run(t, text, name="pgwith.conf"):
    """Lines that pgwithd -t gives for the file: those with its name, without it, and the rest."""
    path = t.path(name)
    with open(path, "w") as f:
        f.write(text)
    env = {k: v for k, v in os.environ.items() if k != "CREDENTIALS_DIRECTORY"}
    # To look for leaks takes longer than all the rest; the unit tests do, on the same code.
    env["ASAN_OPTIONS"] = SANITIZE_ENV["ASAN_OPTIONS"].replace("detect_leaks=1", "detect_leaks=0")
    p = subprocess.run([program("pgwithd"), "-t", "-c", path], capture_output=True, text=True, timeout=60,
                       env=dict(SANITIZE_ENV, **env))
    return p.returncode, p.stdout, [line.replace(t.directory + "/", "") for line in p.stderr.splitlines()]


@test
def every_one(t):
    """each broken file is refused, and its problem named with its line and the cure"""
    for name, text, mode in (("open", "hushhush", 0o644), ("empty", "\n", 0o600)):
        with open(t.path(name), "w") as f:
            f.write(text)
        os.chmod(t.path(name), mode)
    check(len(BROKEN) >= 50, "fifty of them")
    for text, line, *words in BROKEN:
        text = text.replace("@", POOL, 1) if text.startswith("@") else text
        text = text.replace("%(dir)s", t.directory)
        status, out, errors = run(t, text)
        equal((status, out, len(errors)), (2, "", 1), "%r: status, output, problems: %s" % (text, errors))
        start = "pgwith.conf:%d: " % line if line else "pgwith.conf: "
        check(errors[0].startswith(start), "%r: line %d: %s" % (text, line, errors[0]))
        for word in words:
            word = word.replace("%(dir)s/", "")
            check(word in errors[0], "%r: words %r: %s" % (text, word, errors[0]))
        check("hushhush" not in errors[0], "no secret")


@test
def all_at_once(t):
    """all problems of all files come at once, in the order of files and lines; a section of two files names both"""
    os.mkdir(t.path("conf.d"))
    files = {"10-a.conf": POOL + "size = x\n[pgwith]\nport = 0\ninclude = more.conf\n",
             "20-b.conf": "[pool app]\nsize = 2\n[pool b]\nconninfo = dbname=b\n  port=1\nmin_size = 30\n",
             "30-c.conf.off": "nonsense\n"}
    for name, text in files.items():
        with open(t.path("conf.d/" + name), "w") as f:
            f.write(text)
    main_text = "[pgwith]\ninclude = conf.d/*.conf\ninclude = conf.d/none-*.conf\ninclude = none/*.conf\nport = 1\nlog_levl = info\n"
    status, out, errors = run(t, main_text)
    equal((status, out), (2, ""), "refused")
    wanted = (("pgwith.conf:6: ", '"log_levl"', '"log_level"'),
              ("conf.d/10-a.conf:3: ", 'size: "x"'),
              ("conf.d/10-a.conf:5: ", "duplicate option port", "first is on ", "pgwith.conf:5"),
              ("conf.d/10-a.conf:6: ", "include cannot stand in a file that is itself included"),
              ("conf.d/20-b.conf:1: ", "duplicate section [pool app]", "conf.d/10-a.conf:1"),
              ("conf.d/20-b.conf:2: ", "duplicate option size", "conf.d/10-a.conf:3"),
              ("conf.d/20-b.conf:6: ", "min_size (30) is larger than size (20)"))
    equal(len(errors), len(wanted), "problems: %s" % errors)
    for line, (start, *words) in zip(errors, wanted):
        check(line.startswith(start), "%s: %s" % (start, line))
        for word in words:
            check(word in line, "%s: %s" % (word, line))


@test
def good_ones(t):
    """includes and files of secrets that are good are taken; credentials of systemd go by their names"""
    os.mkdir(t.path("conf.d"))
    with open(t.path("conf.d/a.conf"), "w") as f:
        f.write("[pgwith]\nsize = 3\n[pool b]\nconninfo = file:b\n[scope x]\npool = app\n")
    with open(t.path("b"), "w") as f:
        f.write("\n host=/run/postgresql\n dbname='b b'\n")
    os.chmod(t.path("b"), 0o640)
    text = "[pgwith]\ninclude = conf.d/*.conf\ninclude = empty.d/*.conf\nport = 7\n" + POOL
    status, _, errors = run(t, text)
    equal((status, len(errors)), (2, 1), "without credentials")
    os.environ["CREDENTIALS_DIRECTORY"] = t.directory
    try:
        env = dict(os.environ, **SANITIZE_ENV)
        p = subprocess.run([program("pgwithd"), "-t", "-c", t.path("pgwith.conf")], capture_output=True, text=True,
                           env=env, timeout=60)
    finally:
        del os.environ["CREDENTIALS_DIRECTORY"]
    equal((p.returncode, p.stderr), (0, ""), "with credentials")
    check("good, 2 pools, 1 scope" in p.stdout, p.stdout)


if __name__ == "__main__":
    main()
