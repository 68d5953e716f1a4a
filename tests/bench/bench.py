#!/usr/bin/env python3
"""Compares PostgreSQL, PgBouncer and pgwithd, interleaved in one run. See README.md."""

import sys

sys.dont_write_bytecode = True

import argparse
import fnmatch
import json
import os
import platform
import resource
import signal
import subprocess
import time

import memory
import storm
import syscalls
import texts
import throughput
from pgwire import ServerError
from targets import Bench, Unavailable

TARGETS = ("direct", "pgbouncer", "pgwithd")
PARTS = {"throughput": throughput, "texts": texts, "syscalls": syscalls, "memory": memory, "storm": storm}
QUICK = {"rounds": 1, "seconds": 1, "scale": 1, "transactions": 50, "clients": 200,
         "storm_seconds": 3, "storm_rounds": 1,
         "modes": ["select-simple-j2", "select-extended-j2", "select-simple-pool5"]}
FULL = {"rounds": 5, "seconds": 4, "scale": 16, "transactions": 500, "clients": 5000,
        "storm_seconds": 30, "storm_rounds": 1, "modes": ["*"]}
# What issues 2 and 13 ask for.
MOST_CPU_RATIO = 1.0
MOST_IDLE_BYTES = 512
MOST_PREPARED_BYTES = 650
MOST_STORM_S = 1.0
ERRORS = (Unavailable, ServerError, OSError, RuntimeError, subprocess.SubprocessError)


def arguments():
    builddir = os.environ.get("PGWITH_BUILDDIR") or os.path.abspath(
        os.path.join(os.path.dirname(__file__), "../.."))
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])

    def several(text):
        return [word for word in text.split(",") if word]

    p.add_argument("--targets", type=several, metavar="LIST",
                   help="of direct, pgbouncer, pgwithd; one that is named must work, "
                        "by default what is there is measured")
    p.add_argument("--parts", type=several, default=list(PARTS), metavar="LIST",
                   help="of " + ", ".join(PARTS))
    p.add_argument("--modes", type=several, metavar="LIST",
                   help="patterns over " + ", ".join(m.name for m in throughput.MODES))
    p.add_argument("--rounds", type=int, help="of throughput; default 5")
    p.add_argument("--seconds", type=int, help="of each pgbench; default 4")
    p.add_argument("--scale", type=int, help="of pgbench's tables; default 16")
    p.add_argument("--transactions", type=int, metavar="N",
                   help="of each pgbench client while system calls are counted; default 500")
    p.add_argument("--tracer", choices=["perf", "strace"], help="default: perf where it works")
    p.add_argument("--clients", type=int, help="idle ones, for memory; default 5000")
    p.add_argument("--storm-seconds", type=int, metavar="S", help="of pg_sleep(); default 30")
    p.add_argument("--storm-rounds", type=int, metavar="N", help="default 1")
    p.add_argument("--tls", action="store_true", help="the poolers reach PostgreSQL over TLS")
    p.add_argument("--quick", action="store_true",
                   help="everything once and short: shows that it works, measures nothing")
    p.add_argument("--check", action="store_true",
                   help="exit status 1 unless pgwithd reaches what it is meant to")
    p.add_argument("--json", metavar="FILE", help="all figures of all rounds")
    p.add_argument("--pgwithd", default=os.path.join(builddir, "src/pgwithd"), metavar="PROGRAM")
    p.add_argument("--postgres", default="/usr/lib/postgresql/15/bin", metavar="DIRECTORY")
    p.add_argument("--keep", action="store_true", help="keep the temporary directory")
    args = p.parse_args()
    for key, value in (QUICK if args.quick else FULL).items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    for word in [*(args.targets or ()), *args.parts]:
        if word not in TARGETS and word not in PARTS:
            p.error(f"no target or part {word}")
    args.selected = [m for m in throughput.MODES
                     if any(fnmatch.fnmatch(m.name, pattern) for pattern in args.modes)]
    if not args.selected:
        p.error("no mode of that name; they are "
                + ", ".join(m.name for m in throughput.MODES))
    return args


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def available(bench, args):
    """The targets that can be measured, and what is known about the machine."""
    about = {"when": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "kernel": platform.release(),
             "cpus": os.cpu_count(), "load": os.getloadavg()[0],
             "direct": bench.version("direct")}
    names = []
    for name in args.targets or TARGETS:
        try:
            if name != "direct":
                target = bench.target(name)
                target.start()
                about[name] = bench.version(name) if name == "pgbouncer" else \
                    os.path.realpath(args.pgwithd)
                target.stop()
            names.append(name)
        except Unavailable as e:
            if args.targets:
                raise
            say(f"without {name}: {e}")
    return names, about


def run_parts(bench, names, args):
    few = [m for m in args.selected if m.name in ("select-simple-j2", "select-extended-j2",
                                                 "begin-simple")]
    tool = args.tracer or ("perf" if syscalls.perf_works(bench) else "strace")
    runs = {
        "throughput": lambda: throughput.run_part(bench, names, args.selected, args.scale,
                                                  args.rounds, args.seconds, say),
        "texts": lambda: texts.run_part(bench, names, args.rounds, args.seconds, say),
        "syscalls": lambda: syscalls.run_part(bench, names, few, args.scale, args.transactions,
                                              tool, say),
        "memory": lambda: memory.run_part(bench, names, args.clients, say),
        "storm": lambda: storm.run_part(bench, names, args.storm_seconds, args.storm_rounds, say),
    }
    results, bad = {}, []
    for part in PARTS:
        if part in args.parts:
            try:
                results[part] = runs[part]()
            except ERRORS as e:
                bad.append(f"{part}: {e}")
    return results, bad


def shortfalls(results):
    """What pgwithd was measured at and does not reach."""
    found = []
    for mode, cells in results.get("throughput", {}).items():
        ours, theirs = (cells.get(n, {}).get("cpu_us") for n in ("pgwithd", "pgbouncer"))
        if ours and theirs and mode.startswith("select-") and ours > MOST_CPU_RATIO * theirs:
            found.append(f"{mode}: {ours:.2f} us of CPU per transaction, PgBouncer {theirs:.2f}")
    memory_of = results.get("memory", {}).get("pgwithd", {})
    for key, what, most in (("idle_bytes", "idle client", MOST_IDLE_BYTES),
                            ("prepared_bytes", "idle client with a prepared statement",
                             MOST_PREPARED_BYTES)):
        if memory_of.get(key, 0) > most:
            found.append(f"{memory_of[key]:.0f} bytes per {what}, the most is {most}")
    for protocol, cells in results.get("storm", {}).items():
        ours = cells.get("pgwithd")
        if ours is None:
            continue
        for key in ("queries_s", "transactions_s", "answered_s"):
            if ours[key] is None or ours[key] > MOST_STORM_S:
                found.append(f"storm {protocol}: {key} is {ours[key]}, the most is {MOST_STORM_S}")
        if ours["replaced"] != 0:
            found.append(f"storm {protocol}: {ours['replaced']} connections replaced")
    return found


def stopped(number, frame):
    raise KeyboardInterrupt


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, stopped)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    bench = Bench(args.pgwithd, args.postgres, args.keep, args.tls)
    try:
        bench.postgres.start()
        throughput.initialise(bench, args.scale)
        names, about = available(bench, args)
        results, bad = run_parts(bench, names, args)
    except ERRORS as e:
        print(f"bench: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    finally:
        bench.close()
    print("\n".join(f"{key}: {value}" for key, value in about.items()) + "\n")
    for part, result in results.items():
        print(PARTS[part].report(result))
    bad += [text for part, result in results.items() for text in PARTS[part].failures(result)]
    bad += bench.casualties
    if args.check:
        bad += shortfalls(results)
        if "pgwithd" not in names:
            bad.append("pgwithd was not measured")
    for text in bad:
        print(f"FAILED: {text}")
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"about": about, "settings": vars(args) | {"selected": [
                m.name for m in args.selected]}, **results, "failed": bad}, f, indent=1)
            f.write("\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
