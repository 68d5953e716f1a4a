"""Unnamed statements whose text comes again, and such that come once: what an exchange of Parse, Bind, Describe,
Execute and Sync costs pgwithd and PostgreSQL, with statement_cache off, auto and on."""

import multiprocessing
import statistics
import struct
import time

import procfs
from pgwire import message
from table import number, ratio, table

CLIENTS = 4
INT4 = 23
POOLS = {"off": "benchoff", "auto": "bench", "on": "benchon"}  # by their statement_cache
COLUMNS = "".join(f", abalance + {i} AS c{i}" for i in range(10))
# Name, what is selected beside the balance, whether each text comes once, whether the type of $1 is given.
CASES = [
    ("repeating", "", False, True),
    ("repeating, long", COLUMNS, False, True),
    ("repeating, type inferred", "", False, False),
    ("never repeating", "", True, True),
    ("never repeating, long", COLUMNS, True, True),
]


def exchange(case, number_of_text):
    _, columns, once, typed = case
    # The literal makes the text another one, and is true of every row.
    least = -1 - (number_of_text if once else 0)
    sql = f"SELECT abalance{columns} FROM pgbench_accounts WHERE aid = $1 AND bid > {least}"
    types = struct.pack("!HI", 1, INT4) if typed else struct.pack("!H", 0)
    return (message(b"P", b"\0" + sql.encode() + b"\0" + types)
            + message(b"B", b"\0\0" + struct.pack("!HHI", 0, 1, 1) + b"7" + struct.pack("!H", 0))
            + message(b"D", b"P\0") + message(b"E", b"\0" + struct.pack("!I", 0)) + message(b"S"))


def client(target, pool, case, which, seconds, done):
    """One process: exchanges one after the other; puts their number into `done`."""
    c = target.client(pool)
    counted, end = 0, time.monotonic() + seconds
    first = time.monotonic_ns() // 1000  # no later run has the same numbers
    while time.monotonic() < end:
        for _ in range(100):
            c.send(exchange(case, (first + counted) * CLIENTS + which))
            c.until_ready()
            counted += 1
    c.close()
    done.put(counted)


def postgres_us(bench):
    """CPU of all processes of the cluster, those that have ended included."""
    total = 0.0
    for pid in [bench.postgres.pid, *children(bench.postgres.pid)]:
        try:
            used = procfs.usage(pid)
        except FileNotFoundError:
            continue
        total += used.user_us + used.system_us
    return total


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(word) for word in f.read().split()]


def measure(bench, target, pool, case, seconds):
    done = multiprocessing.Queue()
    before, of_postgres = procfs.usage(target.pid), postgres_us(bench)
    clients = [multiprocessing.Process(target=client, args=(target, pool, case, i, seconds, done))
               for i in range(CLIENTS)]
    for process in clients:
        process.start()
    count = sum(done.get(timeout=seconds + 60) for _ in clients)
    for process in clients:
        process.join()
    used = procfs.usage(target.pid).since(before)
    return {"rate": count / seconds, "cpu_us": (used.user_us + used.system_us) / count,
            "user_us": used.user_us / count, "postgres_us": (postgres_us(bench) - of_postgres) / count}


def run_part(bench, names, rounds, seconds, say):
    """Returns {case: {statement_cache: {"rounds": [...], figure: median}}}."""
    if "pgwithd" not in names:
        return {}
    target = bench.target("pgwithd")
    target.start()
    result = {}
    for case in CASES:
        cells = result[case[0]] = {cache: {"rounds": []} for cache in POOLS}
        for turn in range(-1, rounds):  # the first one fills pools and caches, and is not counted
            for cache, pool in POOLS.items():
                figures = measure(bench, target, pool, case, 1 if turn < 0 else seconds)
                if turn < 0:
                    continue
                cells[cache]["rounds"].append(figures)
                say(f"{case[0]} {turn + 1}/{rounds} {cache}: {figures['rate']:.0f} a second, "
                    f"pgwithd {figures['cpu_us']:.1f} us, PostgreSQL {figures['postgres_us']:.1f} us")
        for cell in cells.values():
            for key in cell["rounds"][0]:
                cell[key] = statistics.median(r[key] for r in cell["rounds"])
    target.stop()
    return result


def report(result):
    rows = []
    for case, cells in result.items():
        off = cells["off"]
        for cache, cell in cells.items():
            rows.append([f"{case}: {cache}", number(cell["rate"], 0),
                         *(number(cell[key], 1) for key in ("user_us", "cpu_us", "postgres_us")),
                         *(number(ratio(cell[key], off[key]), 2) for key in ("cpu_us", "postgres_us"))])
    return table("Unnamed statements: exchanges per second, CPU of an exchange in microseconds (medians)",
                 ["text: statement_cache", "a second", "pgwithd user", "pgwithd", "PostgreSQL",
                  "pgwithd/off", "PostgreSQL/off"], rows)


def failures(_):
    return []
