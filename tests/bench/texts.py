"""Unnamed statements whose text comes again, and such that come once: what an exchange of Parse, Bind, Describe,
Execute and Sync costs pgwithd and PostgreSQL, with statement_cache off, auto and on."""

import multiprocessing
import struct
import time

import procfs
from pgwire import message
from rounds import add_medians, interleave
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


def measure(bench, target, pool, case, seconds):
    done = multiprocessing.Queue()
    before, of_postgres = procfs.usage(target.pid), procfs.family_us(bench.postgres.pid)
    clients = [multiprocessing.Process(target=client, args=(target, pool, case, i, seconds, done))
               for i in range(CLIENTS)]
    for process in clients:
        process.start()
    count = sum(done.get(timeout=seconds + 60) for _ in clients)
    for process in clients:
        process.join()
    used = procfs.usage(target.pid).since(before)
    of_postgres = procfs.family_us(bench.postgres.pid) - of_postgres
    return {"rate": count / seconds, "cpu_us": used.cpu_us / count, "user_us": used.user_us / count,
            "postgres_us": of_postgres / count}


def run_part(bench, names, rounds, seconds, say):
    """Returns {case: {statement_cache: {"rounds": [...], figure: median}}}."""
    if "pgwithd" not in names:
        return {}
    target = bench.target("pgwithd")
    target.start()
    result = {}
    for case in CASES:
        def exchanges(pool, warming, case=case):
            return measure(bench, target, pool, case, 1 if warming else seconds)

        result[case[0]] = interleave(POOLS, rounds, exchanges, say, case[0])
        add_medians(result[case[0]])
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
