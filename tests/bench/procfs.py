"""What Linux knows about a process: proc(5)."""

import os
import time
from dataclasses import dataclass

FAMILY_TRIES, FAMILY_PAUSE_S = 200, 0.01
TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


@dataclass
class Usage:
    """Since the process began, all threads, also those that have ended (but for switches)."""

    user_us: float
    system_us: float
    switches: int  # context switches, voluntary and not
    cpu_us: float  # to the nanosecond where the scheduler tells, else the sum of the two

    def since(self, before):
        return Usage(self.user_us - before.user_us, self.system_us - before.system_us,
                     self.switches - before.switches, self.cpu_us - before.cpu_us)


def usage(pid):
    with open(f"/proc/{pid}/stat") as f:
        # The name, in parentheses, may contain anything. utime and stime are fields 14 and 15.
        fields = f.read().rpartition(")")[2].split()
    switches, cpu_ns = 0, 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/status") as f:
                switches += sum(int(line.split()[1]) for line in f if "_ctxt_switches:" in line)
            with open(f"/proc/{pid}/task/{thread}/schedstat") as f:
                cpu_ns += int(f.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass  # that thread has ended meanwhile
    user_us, system_us = int(fields[11]) * TICK_US, int(fields[12]) * TICK_US
    return Usage(user_us, system_us, switches, cpu_ns / 1000 or user_us + system_us)


def family_us(pid):
    """CPU of a process and its children, those that have ended included."""
    for _ in range(FAMILY_TRIES):
        before = children(pid)
        try:
            total = sum(usage(process).cpu_us for process in [pid, *before])
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
            # A child that ends goes from one sum to the other; meanwhile it is in both or in none.
            if children(pid) == before:
                return total + (int(fields[13]) + int(fields[14])) * TICK_US  # cutime, cstime
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(FAMILY_PAUSE_S)
    raise RuntimeError(f"the children of process {pid} come and go all the time")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(word) for word in f.read().split()]


def resident(pid):
    """Bytes of RSS. smaps_rollup is exact; VmRSS lags by up to some dozen pages a thread."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            lines = f.read()
        key = "Rss:"
    except PermissionError:
        with open(f"/proc/{pid}/status") as f:
            lines = f.read()
        key = "VmRSS:"
    for line in lines.splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {key} for process {pid}")


def traced(pid):
    """Is every thread of the process under ptrace(2)?"""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as f:
            if any(line.split()[1] == "0" for line in f if line.startswith("TracerPid:")):
                return False
    return True


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
