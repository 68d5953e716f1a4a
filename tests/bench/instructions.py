"""Instructions that the pooler's own code, the libraries' included, executes for a transaction, without the kernel's.
Counted by the processor where it has counters (perf stat -e instructions:u), which virtual machines seldom have, else
by valgrind's callgrind. Under callgrind a pooler is slow and finds more events at each wake-up, which makes its
instructions a few less."""

import re
import subprocess

import syscalls
import throughput
from targets import Unavailable

EVENT = "instructions:u"


def tool(bench):
    """The name of what counts here, None if nothing does."""
    try:
        done = subprocess.run(["perf", "stat", "-x,", "-e", EVENT, "true"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, cwd=bench.root)
        if re.search(rf"^\d+,,{EVENT},", done.stderr, re.M):
            return "perf"
    except FileNotFoundError:
        pass
    try:
        bench.need("valgrind")
        return "callgrind"
    except Unavailable:
        return None


def count(bench, name, mode, scale, transactions, by):
    """Returns {"instructions": number}, of one transaction, or {"error": text}; `transactions` by client."""
    try:
        if by == "perf":
            return {"instructions": count_with_perf(bench, name, mode, scale, transactions)}
        # What starting, logging in and ending cost is in both.
        few, many = (under_callgrind(bench, name, mode, scale, n) for n in (transactions, 3 * transactions))
        return {"instructions": (many[0] - few[0]) / (many[1] - few[1])}
    except (Unavailable, RuntimeError, OSError, subprocess.TimeoutExpired) as e:
        return {"error": str(e)}


def count_with_perf(bench, name, mode, scale, transactions):
    target = bench.target(name)
    target.start()
    try:
        throughput.pgbench(bench, target, mode, scale, ["-t", "10"], 60)
        tracer = syscalls.Tracer(bench, "perf", target.pid, EVENT)
        tracer.start()
        try:
            run = throughput.pgbench(bench, target, mode, scale, ["-t", str(transactions)], 300)
        finally:
            counted = tracer.stop()
        return counted[EVENT] / run.transactions
    finally:
        target.stop()


def under_callgrind(bench, name, mode, scale, transactions):
    """Instructions of the whole life of a pooler, and the transactions that it has served."""
    wrapper = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    target = bench.target(name, wrapper=wrapper)
    target.start()
    try:
        run = throughput.pgbench(bench, target, mode, scale, ["-t", str(transactions)], 300)
    finally:
        target.stop()
    with open(target.log, errors="replace") as f:
        collected = re.findall(r"==\d+== Collected : (\d+)", f.read())
    if not collected:
        raise RuntimeError(f"callgrind did not say how many{target.last_words()}")
    return int(collected[-1]), run.transactions
