#!/usr/bin/env python3
"""Measures pgwithd beside PostgreSQL and other poolers, and writes one page about it. See README.md."""

import sys

sys.dont_write_bytecode = True

import argparse
import fnmatch
import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import throughput
from bench import ERRORS, say, stopped
from cases import CASES, TARGETS, Run
from figures import OURS
from goals import judge
from targets import Bench, Unavailable
from write import write_page

HERE = os.path.dirname(os.path.abspath(__file__))
QUICK = {"rounds": 1, "seconds": 1, "scale": 1, "transactions": 50, "instructions": 20, "clients": 200,
         "idle": [0, 1000], "storm_seconds": 3}
FULL = {"rounds": 5, "seconds": 3, "scale": 16, "transactions": 500, "instructions": 100, "clients": 5000,
        "idle": [0, 1000, 15000], "storm_seconds": 10}
FORMAT = 1  # of the JSON


def arguments():
    builddir = os.environ.get("PGWITH_BUILDDIR") or os.path.abspath(os.path.join(HERE, "../.."))
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--quick", action="store_true", help="everything once and short: shows that it works, measures "
                   "nothing; the page goes to a temporary directory, unless --out names another")
    p.add_argument("--rounds", type=int, metavar="N", help="default 5")
    p.add_argument("--seconds", type=int, metavar="N", help="of each round; default 3")
    p.add_argument("--only", nargs="+", metavar="CASE", help="patterns over " + ", ".join(c.name for c in CASES)
                   + "; the figures of the others, if the JSON has them, are kept")
    p.add_argument("--peer", action="append", default=[], metavar="NAME=DIRECTORY[:PORT[/DATABASE]]",
                   help="another pooler, by the directory of its socket. It must run before the PostgreSQL whose "
                   "socket is in ROOT/direct, see --root. Without DATABASE it has the databases bench, of 20 servers, "
                   "and bench5, of 5")
    p.add_argument("--root", metavar="DIRECTORY", help="where PostgreSQL and the poolers have their sockets and files, "
                   "instead of a temporary directory")
    p.add_argument("--json", metavar="FILE", help="the figures; default results/results.json beside the page")
    p.add_argument("--resume", action="store_true", help="leave out the cases whose figures are in the JSON, "
                   "unless a round failed")
    p.add_argument("--from", dest="source", metavar="FILE", help="measure nothing; write the page from this JSON")
    p.add_argument("--out", metavar="DIRECTORY", help="of the page; default: that of this program")
    p.add_argument("--readme", metavar="FILE", help="write the short table between its two marks, too")
    p.add_argument("--check", action="store_true", help="exit status 1 if a goal is not reached")
    p.add_argument("--pgwithd", default=os.path.join(builddir, "src/pgwithd"), metavar="PROGRAM")
    p.add_argument("--load", default=os.path.join(builddir, "tests/bench/load"), metavar="PROGRAM")
    p.add_argument("--postgres", default="/usr/lib/postgresql/15/bin", metavar="DIRECTORY")
    p.add_argument("--keep", action="store_true", help="keep the directory with sockets and files")
    args = p.parse_args()
    for key, value in (QUICK if args.quick else FULL).items():
        if getattr(args, key, None) is None:
            setattr(args, key, value)
    args.peers = {}
    for text in args.peer:
        name, equals, where = text.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9._-]+", name) or name in TARGETS or not os.path.isabs(where):
            p.error(f"--peer {text}: NAME=/DIRECTORY, and another name than {', '.join(TARGETS)}")
        args.peers[name] = where
    args.cases = [c for c in CASES if any(fnmatch.fnmatch(c.name, pattern) for pattern in args.only or ["*"])]
    if not args.cases:
        p.error("no case of that name; they are " + ", ".join(c.name for c in CASES))
    if args.out is None:
        args.out = tempfile.mkdtemp(prefix="pgwith-page.") if args.quick else HERE
    if args.json is None:
        args.json = os.path.join(args.out, "results/results.json")
    return args


# ---- the figures ----

def load(path):
    with open(path) as f:
        results = json.load(f)
    if results.get("format") != FORMAT:
        raise RuntimeError(f"{path} has format {results.get('format')}, and this program knows {FORMAT}")
    return results


def save(path, results):
    """All at once: a program that is stopped leaves the file of before."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".new", "w") as f:
        json.dump(results, f, indent=1)
        f.write("\n")
    os.replace(path + ".new", path)


def settings(args):
    return {key: getattr(args, key) for key in ("quick", *FULL)}


def begin(args, about):
    """The results so far: none, or those of the run that is resumed, or of which some cases are measured again."""
    results = {"format": FORMAT, "about": about, "settings": settings(args), "cases": {}}
    if not (args.resume or args.only) or not os.path.exists(args.json):
        return results
    before = load(args.json)
    if before["settings"] != results["settings"]:
        raise RuntimeError(f"{args.json} was made with other settings: {before['settings']}; --json names another file")
    return results | {"cases": before["cases"]}


def is_whole(case):
    """Was it measured, and did no round fail?"""
    return case is not None and not any("error" in r for cell in case["lanes"].values() for r in cell["rounds"])


# ---- the machine ----

def output(argv):
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def cpu():
    """The model, and whether it is a virtual one."""
    with open("/proc/cpuinfo") as f:
        text = f.read()
    model = re.search(r"^model name\s*: (.*)", text, re.M)
    virtual = re.search(r"^flags\s*:.*\bhypervisor\b", text, re.M)
    return (model[1] if model else platform.machine()) + (", virtual machine" if virtual else "")


def memory_bytes():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def commit(pgwithd):
    """Of the tree that pgwithd is in; of this program's, if it was built elsewhere."""
    git = ["git", "-C", os.path.dirname(os.path.realpath(pgwithd))]
    if os.environ.get("PGWITH_BUILDDIR") and not output([*git, "rev-parse", "HEAD"]):
        git = ["git", "-C", HERE]
    dirty = output([*git, "status", "--porcelain", "--untracked-files=no"])
    return (output([*git, "rev-parse", "--short=12", "HEAD"]) or "not known") + (", changed" if dirty else "")


def configured(pgwithd):
    """The options of ./configure, if pgwithd stands where it was built."""
    status = os.path.join(os.path.dirname(os.path.realpath(pgwithd)), "../config.status")
    return output([status, "--config"]) if os.path.exists(status) else ""


def describe(bench, args):
    return {"when": time.strftime("%Y-%m-%d"), "load": round(os.getloadavg()[0], 2), "cpu": cpu(),
            "cores": os.cpu_count(), "memory_bytes": memory_bytes(), "kernel": platform.release(),
            "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[1], "nice": os.nice(0),
            "postgresql": bench.version("direct"), "pgwith": output([args.pgwithd, "--version"]),
            "commit": commit(args.pgwithd), "configured": configured(args.pgwithd)}


def available(bench, args, about):
    """The names of the targets that can be measured. Why others cannot stands in about["without"]."""
    names, about["without"] = [], {}
    for name in ("direct", "pgbouncer", *args.peers, *OURS):
        try:
            if name != "direct":
                target = bench.target(name)
                target.start()
                target.stop()
            if name == "pgbouncer":
                about[name] = bench.version(name)
            elif name in args.peers:
                about.setdefault("peers", {})[name] = target.version
            names.append(name)
        except (Unavailable, OSError) as e:
            if name in args.peers:
                raise
            about["without"][name] = str(e)
            say(f"without {name}: {e}")
    if not set(names) & set(OURS):
        raise Unavailable("no pgwithd can be measured")
    return names


def stolen():
    """Seconds that the hypervisor has given to others."""
    with open("/proc/stat") as f:
        return int(f.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


def measure(bench, args):
    """Runs the cases, one after the other, and writes the JSON after each. Returns the results and what failed."""
    about = describe(bench, args)
    bad = []
    bench.postgres.start()
    results = begin(args, about)
    throughput.initialise(bench, args.scale)
    names = available(bench, args, about)
    run = Run(bench, names, say=say, **{key: getattr(args, key) for key in FULL})
    for case in args.cases:
        if args.resume and is_whole(results["cases"].get(case.name)):
            continue
        start, steal = time.monotonic(), stolen()
        try:
            found = case.measure(run)
        except ERRORS as e:
            bad.append(f"{case.name}: {e}")
            say(f"FAILED: {bad[-1]}")
            continue
        took = time.monotonic() - start
        results["cases"][case.name] = found | {
            "took_s": round(took, 1), "stolen": round((stolen() - steal) / took / os.cpu_count(), 4),
            "when": about["when"], "commit": about["commit"]}
        save(args.json, results)
    return results, bad


def run_all(args):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    bench = Bench(args.pgwithd, args.postgres, args.keep, root=args.root, peers=args.peers, load=args.load)
    try:
        results, bad = measure(bench, args)
    finally:
        bench.close()
    return results, bad + bench.casualties


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, stopped)
    bad = []
    try:
        if shutil.which("gnuplot") is None:
            raise Unavailable("no program gnuplot; on Debian: apt-get install gnuplot-nox")
        if args.source:
            results = load(args.source)
        else:
            results, bad = run_all(args)
        bad += [f"{name}, {label}: {r['error']}" for name, case in results["cases"].items()
                for label, cell in case["lanes"].items() for r in cell["rounds"] if "error" in r]
        write_page(results, args.out, args.readme)
    except ERRORS as e:
        print(f"page: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("page: stopped", file=sys.stderr)
        return 130
    print(os.path.join(args.out, "RESULTS.md"))
    if args.check:
        bad += [f"not reached: {v.goal.text}, {v.io}" for v in judge(results) if v.reached is False]
    for text in bad:
        print(f"FAILED: {text}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
