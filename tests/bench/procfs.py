"""What Linux knows about a process: proc(5)."""

import os
from dataclasses import dataclass

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


@dataclass
class Usage:
    """Since the process began, all threads, also those that have ended (but for switches)."""

    user_us: float
    system_us: float
    switches: int  # context switches, voluntary and not

    def since(self, before):
        return Usage(self.user_us - before.user_us, self.system_us - before.system_us,
                     self.switches - before.switches)


def usage(pid):
    with open(f"/proc/{pid}/stat") as f:
        # The name, in parentheses, may contain anything. utime and stime are fields 14 and 15.
        fields = f.read().rpartition(")")[2].split()
    switches = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/status") as f:
                switches += sum(int(line.split()[1]) for line in f if "_ctxt_switches:" in line)
        except FileNotFoundError:
            pass  # that thread has ended meanwhile
    return Usage(int(fields[11]) * TICK_US, int(fields[12]) * TICK_US, switches)


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
