"""The oracle, tests/moves: what it must find, and what it must not."""

import os
import stat
import subprocess
import sys

from pgwtest import check, equal, main, test
from pgwtest.daemon import program

SOURCE = os.path.abspath(os.environ.get("PGWITH_SRCDIR") or os.path.join(os.path.dirname(__file__), "../.."))
MOVES = os.path.join(SOURCE, "tests/moves")
sys.path.insert(0, MOVES)

import calls  # noqa: E402
import comparing  # noqa: E402
import reading  # noqa: E402
import recording  # noqa: E402
import words  # noqa: E402

SESSION = """startup -> idle
info in pool=db role=postgres uid=0 pid=@
lease none -> held
idle -> active
active -> idle
lease held -> none
info left role=postgres pid=@ why="client left" queries=1
idle -> closed"""
SERVER = """connecting pool=db
info connected pool=db backend=@ version=150018 tls=no
connecting -> idle pool=db
idle -> leased pool=db
leased -> idle pool=db"""
BROKEN = """startup -> idle
lease none -> held
idle -> active
info left role=postgres pid=@ why="client gone" queries=0
active -> closed
lease held -> none"""


def log(*subjects, pid=100):
    """The text of a log: of each (subject, text of its lines), one line of each in turn."""
    left = [(name, text.splitlines()) for name, text in subjects]
    out = []
    while any(lines for _, lines in left):
        for name, lines in left:
            if lines:
                line = lines.pop(0).replace("@", str(pid + len(out)))
                level = "info" if line.startswith("info ") else "debug"
                out.append("2026-11-29 12:00:%02d.000 pgwithd[%d] %s %s: %s"
                           % (len(out) % 60, pid, level, name, line[5:] if level == "info" else line))
    return "\n".join(out) + "\n"


def recorded(*runs, script="integration/some.py", case="one", result="ok"):
    """A recording of one test; runs: the text of each one's log."""
    rec = recording.Recording({"seed": 1})
    for text in runs:
        stories, told = reading.read(text)
        rec.add(script, case, recording.Run(result, {"d": stories}, {"d": told}))
    return rec


def compared(old, new, rules=()):
    """(the comparison, its report)."""
    comparison = comparing.Comparison(old, new, list(rules))
    lines = []
    comparing.report(comparison, lines.append)
    return comparison, "\n".join(lines)


def same(old, new, what, rules=()):
    comparison, text = compared(old, new, rules)
    check(not comparison.different and not comparison.results and not comparison.missing, what + ":\n" + text)


def differs(old, new, what, *shown, rules=()):
    comparison, text = compared(old, new, rules)
    check(comparison.different, what + ": it is not found")
    for word in ("integration/some.py", "one") + shown:
        check(word in text, "%s: the report says nothing of %r:\n%s" % (what, word, text))


@test
def random_parts(t):
    """process ids, times, the numbers of sessions and their order make no difference"""
    a = log(("session 1", SESSION), ("session 2", BROKEN), ("server 1", SERVER))
    b = log(("server 7", SERVER), ("session 12", BROKEN), ("session 11", SESSION), pid=2000)
    same(recorded(a, a), recorded(b, b), "other numbers, other order")
    stories, _ = reading.read(a)
    equal([(s.kind, s.name, len(s.items)) for s in stories],
          [("session", "1", 8), ("session", "2", 6), ("server", "1", 5)], "what is read")


@test
def started_anew(t):
    """a session of a daemon that was started anew is another one, though its number is the same"""
    stories, _ = reading.read(log(("session 1", SESSION)) + log(("session 1", BROKEN), pid=101))
    equal([len(s.items) for s in stories], [8, 6], "the lines of each")


@test
def doctored(t):
    """one move changed, added, taken away, or in another place, one reason changed: each is found and shown"""
    a = log(("session 1", SESSION), ("session 2", SESSION), ("server 1", SERVER))
    for what, old, new, *shown in (
            ("changed", "active -> idle", "active -> saving", "-session: active -> idle", "+session: active -> saving"),
            ("added", "idle -> active", "idle -> active\nactive -> saving\nsaving -> active", "+session: saving -> active"),
            ("taken away", "lease held -> none\n", "", "-lease: held -> none"),
            ("in another place", "active -> idle\nlease held -> none", "lease held -> none\nactive -> idle",
             "+lease: held -> none"),
            ("another reason", 'why="client left"', 'why="client gone"', '+left role=postgres pid= why="client gone"'),
            ("another count", "queries=1", "queries=2", "queries=2")):
        text = SESSION.replace(old, new)
        check(text != SESSION, "%s: the text is changed" % what)
        b = log(("session 1", SESSION), ("session 2", text), ("server 1", SERVER))
        differs(recorded(a, a), recorded(b, b), what, "session", "session 2 in d of run 1", *shown)
    b = log(("session 1", SESSION), ("session 2", SESSION), ("server 1", SERVER.replace("leased -> idle", "leased -> cleaning")))
    differs(recorded(a, a), recorded(b, b), "of a server", "server 1 in d", "+server: leased -> cleaning pool=db")
    b = log(("session 1", SESSION), ("server 1", SERVER))
    differs(recorded(a, a), recorded(b, b), "a session that is not there", "old 2, new 1 times")


@test
def tests_and_results(t):
    """a test that is not there, or ended otherwise, is a difference"""
    a = log(("session 1", SESSION))
    both = recorded(a, a)
    both.merge(recorded(a, a, case="two"))
    comparison, _ = compared(both, recorded(a, a))
    equal(comparison.missing, [(("integration/some.py", "two"), "old")], "what is missing")
    comparison, _ = compared(recorded(a, a), recorded(a, a, result="not ok"))
    equal([r[0] for r in comparison.results], [("integration/some.py", "one")], "other results")


@test
def what_does_not_repeat(t):
    """a test that does not repeat is said to be one, is no difference, and does not hide what does differ"""
    waits = SESSION.replace("lease none -> held\nidle -> active", "lease none -> waiting\nidle -> waiting\nlease waiting -> none\n"
                            "lease none -> held\nwaiting -> active")
    a, b = log(("session 1", SESSION)), log(("session 1", waits))
    same(recorded(a, b, a, b), recorded(b, a, a, a), "it waits, or not")
    found = comparing.unrepeatable(recorded(a, b))
    equal([(script, case, kind, level) for script, case, kind, level, _ in found],
          [("integration/some.py", "one", "session", "unwaited")], "what does not repeat")
    c, e = (log(("session 1", text.replace("active -> idle", "active -> saving\nsaving -> idle"))) for text in (SESSION, waits))
    differs(recorded(a, b, a, b), recorded(c, e, c, e), "saving, whether it waits or not", "+session: saving -> idle")
    # It comes and goes in any place: then only what is always or never there can be told.
    d = log(("session 1", BROKEN), ("session 2", SESSION), ("session 3", SESSION))
    same(recorded(a, d, b, d), recorded(d, a, d, b), "sessions come and go")
    equal(comparing.unrepeatable(recorded(a, d))[0][3], None, "no level repeats")
    saving = SESSION.replace("active -> idle", "active -> saving\nsaving -> idle")
    f = log(("session 1", BROKEN), ("session 2", saving), ("session 3", SESSION))
    differs(recorded(*[a, d, b, d] * 2), recorded(*[e, f, c, f] * 2), "a move that is never there otherwise", "session: active -> saving")
    same(recorded(*[a, d, b, d] * 2), recorded(*[d, b, d, a] * 2), "in many runs")
    # Two runs that agreed by chance are known to be too few.
    comparison, text = compared(recorded(a, d), recorded(c, d))
    check(all(not v.sure for v in comparison.different), "two runs are not enough to be sure: " + text)


@test
def folded_lines(t):
    """of lines that the daemon folds, only which ones there are counts; a new one is found"""
    def with_errors(count, text="syntax error 7"):
        line = '2026-11-29 12:00:00.000 pgwithd[1] info session %d: error pool=db role=r pid=5 sqlstate=42601 why="' + text + '"\n'
        return log(("session 1", SESSION)) + "".join(line % i for i in range(count))
    same(recorded(with_errors(1), with_errors(3)), recorded(with_errors(2), with_errors(9)), "how many")
    differs(recorded(*[with_errors(1)] * 4), recorded(*[with_errors(1, "something else")] * 4), "another error", "something else")


@test
def changed_words(t):
    """over a change of names the comparison is exact by the map of words; a rule that was not used is told"""
    path = t.path("words.txt")
    with open(path, "w") as f:
        f.write('rename session active working   # comment\nfold new session greeting\nignore new block\n'
                'text "why=\\"client left\\"" "why=\\"end of client\\""\nrename server nothing something\n')
    rules = words.load(path)
    a = log(("session 1", SESSION), ("server 1", SERVER))
    text = SESSION.replace("active", "working").replace("client left", "end of client").replace(
        "startup -> idle", "startup -> greeting\ngreeting -> idle").replace("idle -> working", "idle -> working\nblock none -> begun")
    b = log(("session 1", text), ("server 1", SERVER))
    differs(recorded(a, a), recorded(b, b), "without the map")
    same(recorded(a, a), recorded(b, b), "with it", rules)
    equal([r.used > 0 for r in rules], [True, True, True, True, False], "what was used")
    both = SESSION.replace("idle -> active", "idle -> active\nblock none -> begun")
    differs(recorded(*[log(("session 1", both))] * 2), recorded(*[log(("session 1", both.replace("begun", "failed")))] * 2),
            "a machine that is ignored, but that both have", "+block: none -> failed", rules=words.load(path)[2:3])
    c = log(("session 1", text.replace("greeting -> idle", "greeting -> working\nworking -> idle")), ("server 1", SERVER))
    differs(recorded(a, a), recorded(c, c), "a changed move among renamed ones", "+session: startup -> working", rules=rules)
    with open(path, "w") as f:
        f.write("rename session active\n")
    try:
        words.load(path)
    except words.Problem as e:
        check("words.txt:1" in str(e), "the place is told: %s" % e)
    else:
        check(False, "a line that is no rule is refused")


@test
def counted_calls(t):
    """a system call more or less per exchange is found; a clock's tick is not"""
    old = {"query": [{"recvfrom": 2.0, "sendto": 2.0, "epoll_wait": 2.01}] * 2}
    said = []
    equal(calls.compare(old, {"query": [{"recvfrom": 2.0, "sendto": 2.0, "epoll_wait": 2.06}]}, said.append), 0, "a tick")
    equal(calls.compare(old, {"query": [{"recvfrom": 2.0, "sendto": 3.0, "epoll_wait": 2.01}] * 2}, said.append), 1, "one more")
    check(any("query: sendto per exchange: old 2.0/2.0, new 3.0/3.0" in line for line in said), "it is told: %r" % said)
    equal(calls.compare(old, {"query": [{"recvfrom": 2.0, "sendto": 2.0, "epoll_wait": 2.0, "epoll_ctl": 1.0}]}, said.append),
          1, "another call")
    loose = {"query": [{"recvfrom": 4.4}, {"recvfrom": 3.0}, {"recvfrom": 3.6}]}
    equal(calls.compare(loose, {"query": [{"recvfrom": 5.0}, {"recvfrom": 4.5}]}, said.append), 0, "it varies")
    check(any("vary" in line and "query" in line for line in said), "that it varies is told: %r" % said)
    equal(calls.compare(loose, {"query": [{"recvfrom": 7.0}, {"recvfrom": 6.5}]}, said.append), 1, "more than it varies")


@test
def files(t):
    """a recording is the same when it is read again; another file is refused"""
    a = log(("session 1", SESSION), ("session 2", BROKEN), ("server 1", SERVER))
    rec = recorded(a, a)
    rec.calls = {"query": [{"sendto": 2.0}]}
    rec.save(t.path("a.moves"))
    again = recording.load(t.path("a.moves"))
    same(rec, again, "read again")
    equal(again.calls, rec.calls, "the calls")
    again.cases["integration/some.py", "one"][0].stories["d"][0].items.pop()
    comparison, _ = compared(rec, again)
    equal([(v.script, v.case, v.kind) for v in comparison.doubtful], [("integration/some.py", "one", "session")],
          "a line less in one of the runs is doubtful")
    check(comparison.suspects(doubts=True) == {"integration/some.py": ["one"]}, "the test is run again")
    again.cases["integration/some.py", "one"][1].stories["d"][0].items.pop()
    differs(rec, again, "a line less in all runs")
    with open(t.path("b.moves"), "w") as f:
        f.write("{}")
    try:
        recording.load(t.path("b.moves"))
    except recording.Problem as e:
        check("b.moves" in str(e), "it is named: %s" % e)
    else:
        check(False, "it is refused")


@test
def other_versions_of_the_tests(t):
    """a recording knows the script and tests/lib that it was made with, and other ones are named"""
    for name, text in (("integration/pins.py", "a"), ("lib/pgwtest/wire.py", "b"), ("lib/README", "c")):
        path = t.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    def about(changed=None, script="integration/pins.py"):
        if changed:
            with open(t.path(changed), "a") as f:
                f.write("x")
        return recording.Recording({"scripts": recording.digests_of_tests(t.path(""), [script])})

    first = about()
    equal(recording.other_tests(first, about()), [], "nothing has changed")
    equal(recording.other_tests(first, about("lib/README")), [], "no Python")
    equal(recording.other_tests(first, about(script="integration/gone.py")), [], "a script that only one of them has")
    second = about("lib/pgwtest/wire.py")
    equal(recording.other_tests(first, second), ["integration/pins.py"], "tests/lib has changed")
    third = about("integration/pins.py")
    equal(recording.other_tests(second, third), ["integration/pins.py"], "the script has changed")
    second.merge(third)
    equal(recording.other_tests(second, third), [], "recorded again")


def oracle(*args):
    env = {k: v for k, v in os.environ.items() if k not in ("PGWITHD", "PGWITH_TEST_LOGS")}
    done = subprocess.run([sys.executable, os.path.join(MOVES, "moves.py"), *args], capture_output=True, text=True,
                          env=env, timeout=300)
    return done.returncode, done.stdout + done.stderr


@test(timeout=240)
def another_program(t):
    """a pgwithd that decides otherwise is found by running it, and one that does not is not"""
    t.cluster.sql("SELECT 1", "postgres")  # or it is skipped here
    wrapper, same_one = t.path("pgwithd"), t.path("same")
    for path, change in ((wrapper, "sed -i '/^size = /s/$/\\ndiscard_always = on/' \"$2\"\n"), (same_one, "")):
        with open(path, "w") as f:
            f.write('#!/bin/sh\n# pgwithd -c FILE ...\n%sexec "%s" "$@"\n' % (change, program("pgwithd")))
        os.chmod(path, 0o755 | stat.S_IXUSR)
    status, text = oracle("check", "isolation:named_statement", "--old", same_one, "--runs", "1", "--save", t.path("new.moves"))
    check(status == 0 and "no difference" in text, "the same program: status %d\n%s" % (status, text))
    status, text = oracle("check", "isolation:named_statement", "--old", wrapper, "--runs", "1", "--confirm", "0")
    equal(status, 1, "the status with another program:\n" + text[-2000:])
    check("DIFFERENT  integration/isolation.py" in text and "-cleanup: none -> cancelling" in text,
          "the report shows what it does:\n%s" % text[-3000:])
    status, text = oracle("show", t.path("new.moves"), "isolation", "nosuch")
    equal(status, 2, "a test that is not there: " + text)


if __name__ == "__main__":
    main()
