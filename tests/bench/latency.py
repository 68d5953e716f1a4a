"""How long transactions took, from pgbench's log (-l): client, transaction, microseconds, ..."""

import glob
import os
from collections import Counter
from dataclasses import replace

import throughput

PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)


def measure(bench, target, mode, scale, seconds):
    """throughput.measure(), and `latencies_ms`, one of each of PERCENTS, `p50_ms`, `p99_ms`, their quotient, and how
    many more transactions the luckiest client had than the unluckiest."""
    prefix = os.path.join(bench.directory("latencies"), "log")
    arguments = [*mode.arguments, "-l", f"--log-prefix={prefix}"]
    figures = throughput.measure(bench, target, replace(mode, arguments=arguments), scale, seconds)
    times, clients = read_logs(prefix)
    if "error" in figures or not times:
        return figures
    times.sort()
    found = [times[min(len(times) - 1, int(len(times) * percent / 100))] / 1000 for percent in PERCENTS]
    figures["latencies_ms"] = found
    figures["p50_ms"], figures["p99_ms"] = found[PERCENTS.index(50)], found[PERCENTS.index(99)]
    figures["p99_p50"] = figures["p99_ms"] / figures["p50_ms"]
    figures["clients_ratio"] = max(clients.values()) / min(clients.values())
    return figures


def read_logs(prefix):
    """All times in microseconds, and the number of transactions of each client. Removes the logs."""
    times, clients = [], Counter()
    for path in glob.glob(glob.escape(prefix) + ".*"):
        with open(path) as f:
            for line in f:
                client, _, time, _ = line.split(" ", 3)
                times.append(int(time))
                clients[client] += 1
        os.remove(path)
    return times, clients
