"""System calls of the pooler per transaction. Counted by perf(1) where the kernel lets us, which
hardly slows the pooler down; else by strace(1), under which a pooler is so slow that it finds more
events at each wake-up."""

import os
import re
import signal
import subprocess

import procfs
import throughput
from table import number, table
from targets import START_S, wait_until

ALL_EVENTS = "syscalls:sys_enter_*"  # some 330; perf needs 5 to 10 s to open and close them
# In a second: all calls together, and these by name.
TOTAL = "raw_syscalls:sys_enter"
FEW_EVENTS = ",".join([TOTAL, *(f"syscalls:sys_enter_{name}" for name in (
    "accept4", "close", "connect", "epoll_ctl", "epoll_pwait", "epoll_wait", "fcntl", "futex", "getpid",
    "io_uring_enter", "poll", "read", "readv", "recvfrom", "recvmsg", "sendmsg", "sendto", "setsockopt", "socket",
    "timerfd_settime", "write", "writev"))])
SHOWN = 0.005  # calls per transaction; rarer ones are summed up


def perf_works(bench):
    try:
        done = subprocess.run(["perf", "stat", "-x,", "-e", "syscalls:sys_enter_read", "true"],
                              stdin=subprocess.DEVNULL, capture_output=True, cwd=bench.root)
    except FileNotFoundError:
        return False
    return done.returncode == 0 and b"not" not in done.stderr


class Tracer:
    """Counts one process's system calls, or other events of perf, from start() to stop()."""

    def __init__(self, bench, tool, pid, events=ALL_EVENTS):
        self.tool, self.pid, self.events = tool, pid, events
        self.output = os.path.join(bench.directory("counted"), tool)
        self.process = None

    def start(self):
        if os.path.exists(self.output):
            os.remove(self.output)
        argv = {"perf": ["perf", "stat", "-x,", "-o", self.output, "-e", self.events,
                         "-p", str(self.pid)],
                "strace": ["strace", "-c", "-f", "-o", self.output, "-p", str(self.pid)]}
        if self.tool == "perf":
            # perf says that it counts only in `--control`'s words.
            control, self.control = os.pipe()
            self.acknowledged, acknowledge = os.pipe()
            argv["perf"] += ["-D", "-1", "--control", f"fd:{control},{acknowledge}"]
            self.process = subprocess.Popen(argv["perf"], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                            pass_fds=(control, acknowledge))
            os.close(control)
            os.close(acknowledge)
            os.write(self.control, b"enable\n")
            if not os.read(self.acknowledged, 16).startswith(b"ack"):
                raise RuntimeError("perf stat did not start counting")
        else:
            self.process = subprocess.Popen(argv["strace"], stdin=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
            wait_until(lambda: procfs.traced(self.pid), "strace has attached")

    def stop(self):
        """Returns {system call or event: count}."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(START_S)
        if self.tool == "perf":
            os.close(self.control)
            os.close(self.acknowledged)
        with open(self.output) as f:
            text = f.read()
        calls = {}
        if self.tool == "perf":
            for match in re.finditer(r"^(\d+),,(?:syscalls:sys_enter_)?([\w:]+),", text, re.M):
                calls[match.group(2)] = int(match.group(1))
        else:
            # % time, seconds, usecs/call, calls, [errors], syscall
            for line in text.splitlines():
                words = line.split()
                if len(words) in (5, 6) and words[3].isdigit() and words[-1] != "total":
                    calls[words[-1]] = int(words[3])
        return {name: count for name, count in calls.items() if count}


def count(bench, target, mode, scale, transactions, tool, events=ALL_EVENTS):
    """Returns {system call: calls per transaction}, or {"error": text}; `transactions` by client. With FEW_EVENTS of
    perf, `others` are those without a name."""
    try:
        # Servers are opened, and everything is done for the first time, uncounted.
        throughput.pgbench(bench, target, mode, scale, ["-t", "10"], 60)
        tracer = Tracer(bench, tool, target.pid, events)
        tracer.start()
        try:
            run = throughput.pgbench(bench, target, mode, scale, ["-t", str(transactions)], 300)
        finally:
            calls = tracer.stop()
        if TOTAL in calls:
            calls["others"] = calls.pop(TOTAL) - sum(n for c, n in calls.items() if c != TOTAL)
        return {c: n / run.transactions for c, n in calls.items()}
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
        return {"error": f"{e}{'' if target.alive() else target.last_words()}"}


def run_part(bench, names, modes, scale, transactions, tool, say):
    """Returns {mode: {target: {system call: calls per transaction}}}; `transactions` by client."""
    result = {}
    for name in names:
        if name == "direct":
            continue
        target = bench.target(name)
        target.start()
        for mode in modes:
            cell = count(bench, target, mode, scale, transactions, tool)
            result.setdefault(mode.name, {})[name] = cell
            say(f"system calls, {mode.name} {name}: "
                + (cell["error"] if "error" in cell else f"{sum(cell.values()):.2f}"))
        target.stop()
    return result


def report(result):
    rows = []
    for mode, cells in result.items():
        cells = {name: {} if "error" in cell else cell for name, cell in cells.items()}
        names = sorted({c for cell in cells.values() for c, n in cell.items() if n >= SHOWN})

        def row(label, count):
            rows.append([label, *(number(count(cells[n]) if cells.get(n) else None, 2)
                                  for n in ("pgbouncer", "pgwithd"))])

        row(mode, lambda cell: sum(cell.values()))
        for call in names:
            row(f"  {call}", lambda cell: cell.get(call, 0))
        row("  others", lambda cell: sum(n for c, n in cell.items() if c not in names))
    return table("System calls of the pooler per transaction", ["mode", "pgbouncer", "pgwithd"],
                 rows)


def failures(result):
    return [f"system calls, {mode} through {name}: {cell['error']}"
            for mode, cells in result.items() for name, cell in cells.items() if "error" in cell]
