"""Runs test scripts with a given pgwithd, and makes a Recording of the logs that are left."""

import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import reading
import recording

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
SCRIPT_S = 900  # the longest that a script may take
RESULT = re.compile(r"^(ok|not ok) (\d+) - .*?( # SKIP.*)?$")


class Plan:
    """build: where the tests find what they need beside pgwithd; program: the pgwithd that is recorded."""

    def __init__(self, build, program, seed, jobs, say, keep=None):
        self.build, self.program, self.seed = os.path.abspath(build), os.path.abspath(program), seed
        self.jobs, self.say, self.keep = jobs, say, keep
        self.failed = []  # (script, test, where the output is)
        self.running = set()

    def stop(self):
        """Ends the scripts that run; each ends what it has started."""
        for process in list(self.running):
            process.terminate()

    def environment(self, logs=None, template=None):
        env = dict(os.environ, PGWITH_BUILDDIR=self.build, PGWITH_SRCDIR=os.path.dirname(TESTS),
                   PYTHONPATH=os.path.join(TESTS, "lib"), PYTHONDONTWRITEBYTECODE="1",
                   PGWITHD=self.program, PGWITH_TEST_SEED=str(self.seed), CHECK_SEED=str(self.seed))
        if logs:
            env["PGWITH_TEST_LOGS"] = logs
        if template:
            env["PGWITH_TEST_TEMPLATE"] = template
        return env


def names(plan, script, cases):
    """The tests of a script that run with these words, in their order."""
    done = subprocess.run([sys.executable, os.path.join(TESTS, script), "--list", *cases], env=plan.environment(),
                          capture_output=True, text=True, timeout=120, cwd=plan.build)
    if done.returncode != 0:
        raise recording.Problem("%s --list: %s" % (script, done.stderr.strip()[-500:]))
    return [line.split()[0] for line in done.stdout.splitlines() if line.strip()]


def _run_script(plan, script, cases, directory, template):
    """Returns ({test: Run}, seconds)."""
    logs = os.path.join(directory, "logs")
    os.makedirs(logs)
    output = os.path.join(directory, "output")
    listed = names(plan, script, cases)
    started = time.monotonic()
    with open(output, "w") as out:
        process = subprocess.Popen([sys.executable, os.path.join(TESTS, script), *cases], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=out, env=plan.environment(logs, template), cwd=plan.build,
                                   start_new_session=True)
        plan.running.add(process)
        try:
            process.wait(SCRIPT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        plan.running.discard(process)
    results = {}
    with open(output, errors="replace") as f:
        for line in f:
            m = RESULT.match(line.rstrip("\n"))
            if m and 0 < int(m.group(2)) <= len(listed):
                results[listed[int(m.group(2)) - 1]] = "skip" if m.group(3) else m.group(1)
    runs = {}
    for case in listed:
        run = runs[case] = recording.Run(results.get(case, "no result"))
        top = os.path.join(logs, os.path.splitext(os.path.basename(script))[0], case)
        for where, _, files in sorted(os.walk(top)):
            for name in sorted(files):
                with open(os.path.join(where, name), errors="replace") as f:
                    stories, told = reading.read(f.read())
                if stories or told:
                    daemon = os.path.relpath(os.path.join(where, name), top)
                    run.stories[daemon], run.told[daemon] = stories, told
    return runs, time.monotonic() - started


def _all(plan, rec, work, top):
    with concurrent.futures.ThreadPoolExecutor(plan.jobs) as pool:
        waiting = {}
        for run, script, cases in work:
            directory = os.path.join(top, "run%d" % run, script)
            os.makedirs(directory)
            waiting[pool.submit(_run_script, plan, script, cases, directory,
                                os.path.join(top, "template", "cluster"))] = run, script, directory
        try:
            for future in concurrent.futures.as_completed(waiting):
                _take(plan, rec, *waiting[future], *future.result())
        except BaseException:
            for future in waiting:
                future.cancel()
            plan.stop()
            raise


def _take(plan, rec, run, script, directory, runs, took):
    bad = [case for case, r in runs.items() if r.result not in ("ok", "skip")]
    plan.say("run %d  %-38s %3d tests %6.1f s%s" % (run + 1, script, len(runs), took,
                                                  "  FAILED: " + " ".join(bad) if bad else ""))
    for case, r in runs.items():
        rec.add(script, case, r)
    if bad:
        kept = os.path.join(tempfile.gettempdir(), "pgwith-moves-failed", "%d" % os.getpid(),
                            "run%d-%s" % (run + 1, script.replace("/", "-")))
        shutil.copytree(directory, kept, dirs_exist_ok=True)
        plan.failed += [(script, case, kept) for case in bad]
    if not plan.keep:
        shutil.rmtree(directory, ignore_errors=True)


def record(plan, scripts, times=1):
    """scripts: {script: [words that choose tests]}. plan.jobs of them run side by side; `times` runs of each."""
    rec = recording.Recording()
    top = tempfile.mkdtemp(prefix="pgw-moves-", dir=os.environ.get("PGWITH_TEST_TMP", "/tmp"))
    os.chmod(top, 0o755)
    os.mkdir(os.path.join(top, "template"), 0o755)
    # A build that goes on meanwhile must not change what is recorded.
    plan.program = shutil.copy(plan.program, os.path.join(top, "pgwithd"))
    work = [(run, script, cases) for run in range(times) for script, cases in scripts.items()]
    try:
        _all(plan, rec, work, top)
    finally:
        if plan.keep:
            shutil.copytree(top, plan.keep, dirs_exist_ok=True)
        shutil.rmtree(top, ignore_errors=True)
    return rec
