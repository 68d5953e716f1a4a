"""The oracle: what pgwithd does in the tests, recorded and compared. See README.md.

    moves.py record FILE            records the pgwithd of this build
    moves.py compare OLD NEW        compares two recordings
    moves.py check OLD              OLD is a recording, a build or a pgwithd: compares it with this build
    moves.py repeats FILE           what does not repeat in a recording of several runs
    moves.py show FILE SCRIPT TEST  the sequences of one test

The exit status is 0 if there is no difference, 1 if there is one, 2 if that could not be found out."""

import argparse
import os
import random
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
sys.dont_write_bytecode = True

import calls  # noqa: E402
import comparing  # noqa: E402
import recording  # noqa: E402
import runner  # noqa: E402
import words  # noqa: E402

# The seeded ones and those that go through every statement, the longest first; what takes minutes, waits for
# times, or needs much of a machine is left to --all.
USUAL = """spellings random_kills scopes_ends deaths roles parameters cleanup server_side scopes_texts
scopes_clauses scopes_outcomes scopes_transactions control
parse_environments telling statements startup_packets last_word scope_model protocol reload sequences random_protocol
refused scopes_begin scopes scopes_clauses scopes_outcomes scopes_texts scopes_transactions waiting malformed cancel isolation isolation_fuzz random_control console open_transactions
direct pins modes lazy_begin""".split()
# Not even under --all: these take long and say little of the daemon; logs and restarts look at a log without debug lines.
NEVER = {"drivers_matrix", "handover_load", "manual_tutorial", "over_tls", "bulk", "drivers", "administration", "logs",
         "restarts"}
SYSTEM = ["system/console.py", "system/cli.py", "system/console_levels.py"]
CALLS = ("moves/calls.py", "bench/syscalls.py")  # what counts the system calls
CONFIRMING = 4  # times that what differs is run again, if it goes on to differ


def say(text=""):
    print(text, flush=True)


def scripts_of(opts):
    """{script: words} of what is asked for."""
    if opts.scripts:
        chosen = {}
        for text in opts.scripts:
            script, _, case = text.partition(":")
            if "/" not in script:
                script = "integration/" + script
            if not script.endswith(".py"):
                script += ".py"
            if not os.path.exists(os.path.join(runner.TESTS, script)):
                raise recording.Problem("there is no tests/" + script)
            chosen.setdefault(script, [])
            if case:
                chosen[script].append(case)
        return chosen
    if opts.all:
        names = sorted(n[:-3] for n in os.listdir(os.path.join(runner.TESTS, "integration"))
                       if n.endswith(".py") and n[:-3] not in NEVER)
    else:
        names = USUAL
    chosen = {**{"integration/%s.py" % n: [] for n in names}, **{s: [] for s in SYSTEM}}
    gone = [s for s in chosen if not os.path.exists(os.path.join(runner.TESTS, s))]
    if gone:
        raise recording.Problem("USUAL or SYSTEM names what is not there: " + " ".join(gone))
    return chosen


def program_of(where):
    """The pgwithd of a build, or itself."""
    for path in (os.path.join(where, "src", "pgwithd"), where):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise recording.Problem("%s: neither a recording nor a build nor a pgwithd" % where)


def commit_of(path):
    done = subprocess.run(["git", "-C", path, "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def plan_for(opts, program):
    return runner.Plan(opts.build, program, opts.seed, opts.jobs, say, opts.keep)


def count_calls(opts, program):
    os.environ.update(plan_for(opts, program).environment())
    return calls.count(say, opts.seed)


def make(opts, program, scripts, times, what, calls_too=True):
    """A new recording of the program."""
    plan = plan_for(opts, program)
    say("recording %s, %s: %d scripts, %d runs, seed %d" % (what, program, len(scripts), times, opts.seed))
    started = time.monotonic()
    digest, tests = recording.digest(program), recording.digests_of_tests(runner.TESTS, scripts)
    counts = calls_too and not opts.no_calls and not opts.scripts
    if counts:
        tests.update(recording.digests_of_tests(runner.TESTS, CALLS))
    rec = runner.record(plan, scripts, times)
    rec.about = {"pgwithd": program, "digest": digest,
                 "commit": commit_of(os.path.dirname(program)), "tests": commit_of(HERE), "seed": opts.seed,
                 "scripts": tests,
                 "recorded": time.strftime("%Y-%m-%d %H:%M:%S")}
    if counts:
        if recording.digest(program) != digest:
            raise recording.Problem("%s was built anew meanwhile" % program)
        rec.calls = count_calls(opts, program)
    say("recorded in %.0f s" % (time.monotonic() - started))
    for script, case, kept in plan.failed:
        say("FAILED  %s  %s: see %s" % (script, case, kept))
    return rec


def say_about(label, rec):
    a = rec.about
    runs = sorted({len(r) for r in rec.cases.values()})
    say("%s: %s, commit %s, seed %s, tests of %s, %s runs of %d tests"
        % (label, a.get("pgwithd"), a.get("commit"), a.get("seed"), a.get("tests"), "/".join(map(str, runs)), len(rec.cases)))


def say_unrepeatable(rec):
    found = comparing.unrepeatable(rec)
    tests = {(script, case) for script, case, *_ in found}
    many = sum(1 for runs in rec.cases.values() if len(runs) > 1)
    say("%d of %d tests that were run more than once do not repeat in everything:" % (len(tests), many))
    for script, case, kind, level, text in found:
        say("  %s  %s  %s: %s; %s" % (script, case, kind, text,
                                      "compared exactly by " + level if level else "compared by what does repeat"))


def load_rules(opts):
    return words.load(opts.words)


def finish(opts, old, new, rules, comparison):
    """The report; the exit status."""
    say()
    comparing.report(comparison, say, opts.most)
    comparing.report_doubts(comparison, say, opts.most // 2)
    for key, side in comparison.missing:
        say("MISSING  %s  %s: only in the %s recording" % (*key, side))
    for key, a, b in comparison.results:
        say("RESULT  %s  %s: old %s, new %s" % (*key, "/".join(a), "/".join(b)))
    for script in recording.other_tests(old, new):
        say("OTHER TESTS  tests/%s or tests/lib has changed between the recordings: what differs there may come from that"
            % script)
    if comparison.scripts_once:
        say("not compared, since only one of the recordings has them: " + " ".join(comparison.scripts_once))
    wrong_calls = calls.compare(old.calls, new.calls, say)
    for r in rules:
        say("words: %s: %s" % (r, "not applied, as both recordings have it" if r.both else
                               "used %d times" % r.used if r.used else "NEVER USED"))
    exact = sum(1 for v in comparison.verdicts if v.repeats)
    levels = {}
    for v in comparison.verdicts:
        if not v.repeats:
            levels[v.level or "what does repeat"] = levels.get(v.level or "what does repeat", 0) + 1
    say("%d tests, %d subjects: %d compared exactly, in order%s; %d different"
        % (len({(v.script, v.case) for v in comparison.verdicts}), len(comparison.verdicts), exact,
           "".join(", %d by %s" % (n, level) for level, n in sorted(levels.items())), len(comparison.different)))
    failed = [key for rec in (old, new) for key, runs in rec.cases.items() if any(r.result not in ("ok", "skip") for r in runs)]
    for key in sorted(set(failed)):
        say("FAILED in one of the recordings: %s  %s" % key)
    if comparison.different or comparison.missing or comparison.results or wrong_calls:
        say("DIFFERENT")
        return 1
    if failed or not comparison.verdicts:
        say("no difference, but not everything could be seen")
        return 2
    say("no difference" + (", %d doubtful: more runs can tell" % len(comparison.doubtful) if comparison.doubtful else ""))
    return 0


def do_record(opts):
    program = program_of(opts.program or opts.build)
    rec = make(opts, program, scripts_of(opts), opts.runs, "the program")
    rec.save(opts.file)
    say_about("recorded", rec)
    if opts.runs > 1:
        say_unrepeatable(rec)
    return 2 if any(r.result not in ("ok", "skip") for runs in rec.cases.values() for r in runs) else 0


def do_compare(opts):
    old, new, rules = recording.load(opts.old), recording.load(opts.new), load_rules(opts)
    say_about("old", old)
    say_about("new", new)
    return finish(opts, old, new, rules, comparing.Comparison(old, new, rules))


def old_for_check(opts, scripts):
    """(the recording, the program if it can be run again)."""
    try:
        with open(opts.old, "rb") as f:
            is_recording = f.read(2) == b"\x1f\x8b"
    except OSError:
        is_recording = False
    if not is_recording:
        program = program_of(opts.old)
        return make(opts, program, scripts, opts.runs, "the old program"), program
    old = recording.load(opts.old)
    for script, digest in recording.digests_of_tests(runner.TESTS, old.scripts()).items():
        if digest is None or digest != old.about["scripts"].get(script):
            say("tests/%s is gone" % script if digest is None else
                "tests/%s or tests/lib has changed since it was recorded" % script)
            old.cases = {key: runs for key, runs in old.cases.items() if key[0] != script}
    counting = recording.digests_of_tests(runner.TESTS, CALLS)
    recount = bool(old.calls) and any(old.about["scripts"].get(script) != digest for script, digest in counting.items())
    program = old.about.get("pgwithd")
    if opts.seed != old.about.get("seed"):
        raise recording.Problem("%s was recorded with --seed %s" % (opts.old, old.about.get("seed")))
    if not program or not os.access(program, os.X_OK) or recording.digest(program) != old.about.get("digest"):
        say("the recorded pgwithd %s is not there any more: what differs cannot be run again with it" % program)
        program = None
    lacking = {script: cases for script, cases in scripts.items() if script not in old.scripts()}
    if lacking and program:
        old.merge(make(opts, program, lacking, opts.runs, "the old program where the tests are others", calls_too=False))
    elif lacking:
        say("NOT COMPARED: " + " ".join(lacking))
        for script in lacking:
            del scripts[script]
    if recount:
        say("what counts system calls has changed since it was recorded")
        old.calls = {}
        if program and not opts.no_calls and not opts.scripts:
            old.calls = count_calls(opts, program)
            old.about["scripts"].update(counting)
    return old, program


def run_again(opts, suspects, sides):
    only = {(script, case) for script, cases in suspects.items() for case in cases}
    for rec, program in sides:
        if not program:
            continue
        if recording.digest(program) != rec.about["digest"]:
            raise recording.Problem("%s was built anew meanwhile" % program)
        exactly = {script: ["=" + case for case in cases] for script, cases in suspects.items()}
        more = runner.record(plan_for(opts, program), exactly)
        more.cases = {key: runs for key, runs in more.cases.items() if key in only}
        rec.merge(more)


def do_check(opts):
    rules = load_rules(opts)
    scripts = scripts_of(opts)
    old, old_program = old_for_check(opts, scripts)
    new_program = program_of(opts.program or opts.build)
    new = make(opts, new_program, scripts, opts.runs, "the new program")
    if opts.save:
        new.save(opts.save)
    say_about("old", old)
    say_about("new", new)
    comparison = comparing.Comparison(old, new, rules)
    for again in range(opts.confirm):
        suspects = comparison.suspects(doubts=again == 0)
        if not suspects:
            break
        say()
        say("%d tests differ, or may, and are run again: %s" % (
            sum(map(len, suspects.values())), " ".join("%s:%s" % (s, c) for s, cases in suspects.items() for c in cases)))
        run_again(opts, suspects, ((old, old_program), (new, new_program)))
        for r in rules:
            r.used = 0
        comparison = comparing.Comparison(old, new, rules)
    if opts.save:
        new.save(opts.save)
    say_unrepeatable(new)
    return finish(opts, old, new, rules, comparison)


def do_repeats(opts):
    rec = recording.load(opts.file)
    say_about(opts.file, rec)
    say_unrepeatable(rec)
    return 0


def do_show(opts):
    rec, shown = recording.load(opts.file), False
    for (script, case), runs in sorted(rec.cases.items()):
        if opts.script not in script or opts.test != case:
            continue
        for number, run in enumerate(runs, 1):
            if opts.run not in (0, number):
                continue
            for daemon, stories in sorted(run.stories.items()):
                for story in stories:
                    shown = True
                    say("%s %s, run %d, %s: %s %s" % (script, case, number, daemon, story.kind, story.name))
                    for item in story.items:
                        say("    %s" % item)
    if not shown:
        raise recording.Problem("%s has no such test or run" % opts.file)
    return 0


def arguments():
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = top.add_subparsers(dest="command", required=True)
    running = argparse.ArgumentParser(add_help=False)
    running.add_argument("scripts", nargs="*", help="SCRIPT or SCRIPT:WORD, such as pins or pins:undone; default: a usual set")
    running.add_argument("--all", action="store_true", help="all scripts that can be recorded, about 20 minutes a run")
    running.add_argument("--build", default=os.environ.get("PGWITH_BUILDDIR", os.getcwd()), help="this build's directory")
    running.add_argument("--program", help="another pgwithd (or its build) than that of this build")
    running.add_argument("--seed", type=int, default=1, help="of everything random in the tests; 0: any")
    running.add_argument("--runs", type=int, default=2, help="how often each test is run")
    running.add_argument("--jobs", type=int, default=os.cpu_count(), help="scripts side by side")
    running.add_argument("--keep", metavar="DIRECTORY", help="the logs are kept there")
    running.add_argument("--no-calls", action="store_true", help="does not count system calls")
    reporting = argparse.ArgumentParser(add_help=False)
    reporting.add_argument("--words", default=os.path.join(HERE, "words.txt"), help="the map of words")
    reporting.add_argument("--most", type=int, default=20, help="differences shown whole")
    p = sub.add_parser("record", parents=[running])
    p.add_argument("-o", "--output", dest="file", required=True)
    p = sub.add_parser("compare", parents=[reporting])
    p.add_argument("old")
    p.add_argument("new")
    p = sub.add_parser("check", parents=[running, reporting])
    p.add_argument("--old", required=True, help="a recording, a build, or a pgwithd")
    p.add_argument("--confirm", type=int, default=CONFIRMING, help="more runs of what differs")
    p.add_argument("--save", metavar="FILE", help="the new recording")
    p = sub.add_parser("repeats")
    p.add_argument("file")
    p = sub.add_parser("show")
    p.add_argument("file")
    p.add_argument("script")
    p.add_argument("test")
    p.add_argument("--run", type=int, default=1, help="0: all")
    return top.parse_args()


def ended(number, frame):
    say("moves.py: ended by signal %d, nothing is known" % number)
    sys.exit(2)


def main():
    opts = arguments()
    if getattr(opts, "seed", None) == 0:
        opts.seed = random.SystemRandom().randrange(1, 1 << 31)
    signal.signal(signal.SIGTERM, ended)
    try:
        return {"record": do_record, "compare": do_compare, "check": do_check, "repeats": do_repeats,
                "show": do_show}[opts.command](opts)
    except (recording.Problem, words.Problem) as e:
        print("moves.py: %s" % e, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
