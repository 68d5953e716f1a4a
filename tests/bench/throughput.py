"""Throughput, and what each transaction costs the pooler: pgbench through every target in turn."""

import os
import re
import subprocess
from dataclasses import dataclass

import procfs
from rounds import add_medians, errors, interleave
from table import number, ratio, table
from targets import PORT

CLIENTS = 16

# What a program does that asks for one thing in a transaction of its own.
BEGIN_SCRIPT = """\\set aid random(1, 100000 * :scale)
BEGIN;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
COMMIT;
"""


@dataclass
class Mode:
    name: str
    arguments: list
    pool: str = "bench"  # of 20 servers; bench5 has 5, fewer than there are clients
    named: bool = False  # needs named prepared statements, which Debian's PgBouncer 1.18 has not
    script: str = ""     # of pgbench, instead of one it has
    load: str = ""       # once or again: load.c, instead of pgbench


def select(protocol, threads, pool="bench", clients=CLIENTS):
    return ["-S", "-M", protocol, "-j", str(threads), "-c", str(clients)], pool


MODES = [
    Mode("select-simple-j1", *select("simple", 1)),
    Mode("select-simple-j2", *select("simple", 2)),
    Mode("select-extended-j1", *select("extended", 1)),
    Mode("select-extended-j2", *select("extended", 2)),
    Mode("begin-simple", ["-M", "simple", "-j", "2"], script=BEGIN_SCRIPT),
    Mode("begin-simple-pool5-c50", ["-M", "simple", "-j", "2", "-c", "50"], "bench5", script=BEGIN_SCRIPT),
    Mode("begin-extended", ["-M", "extended", "-j", "2"], script=BEGIN_SCRIPT),
    Mode("tpcb-simple", ["-b", "tpcb-like", "-M", "simple", "-j", "2"]),
    Mode("select-simple-pool5", *select("simple", 2, "bench5")),
    Mode("select-extended-pool5", *select("extended", 2, "bench5")),
    Mode("select-simple-pool5-c50", *select("simple", 2, "bench5", 50)),
    Mode("select-prepared-pool5-c50", *select("prepared", 2, "bench5", 50), named=True),
    Mode("connect-simple", ["-S", "-C", "-M", "simple", "-j", "2"]),
]


@dataclass
class Run:
    transactions: int
    tps: float
    failed: int


def pgbench(bench, target, mode, scale, amount, timeout):
    """One run of pgbench; `amount` is -T SECONDS or -t TRANSACTIONS. Raises if it fails."""
    database = target.database(mode.pool)
    if mode.load:
        conninfo = f"host={target.directory} port={target.port} user=postgres dbname={database}"
        argv = [bench.load_program(), conninfo, str(CLIENTS), "2", amount[-1], str(100000 * scale), mode.load]
    else:
        arguments = list(mode.arguments)
        if mode.script:
            arguments += ["-f", script_path(bench, mode), "-D", f"scale={scale}"]
        argv = [bench.postgres_program("pgbench"), "-n", "-c", str(CLIENTS), *arguments, *amount,
                "-h", target.directory, "-p", str(target.port), "-U", "postgres", database]
    out = bench.run(argv, timeout=timeout)

    def found(pattern):
        match = re.search(pattern, out)
        return match.group(1) if match else "0"

    run = Run(int(found(r"transactions actually processed: (\d+)")),
              float(found(r"tps = ([\d.]+)")), int(found(r"failed transactions: (\d+)")))
    if run.transactions == 0 or run.failed:
        raise RuntimeError(f"{run.transactions} transactions, {run.failed} failed")
    return run


def script_path(bench, mode):
    path = os.path.join(bench.directory("scripts"), f"{mode.name}.sql")
    with open(path, "w") as f:
        f.write(mode.script)
    return path


def initialise(bench, scale):
    """Makes the database `bench` and pgbench's tables in it."""
    where = ["-h", bench.postgres.directory, "-p", str(PORT), "-U", "postgres", "bench"]
    bench.run([bench.postgres_program("createdb"), *where])
    bench.run([bench.postgres_program("pgbench"), "-i", "-q", "-s", str(scale),
               "--unlogged-tables", *where])


def measure(bench, target, mode, scale, seconds):
    """One round as a dict of figures, or with the key `error`."""
    before = procfs.usage(target.pid) if target.pooler else None
    of_postgres = procfs.family_us(bench.postgres.pid)
    try:
        run = pgbench(bench, target, mode, scale, ["-T", str(seconds)], seconds + 60)
        of_postgres = procfs.family_us(bench.postgres.pid) - of_postgres
        figures = {"tps": run.tps, "transactions": run.transactions,
                   "postgres_us": of_postgres / run.transactions}
        if target.pooler:
            used = procfs.usage(target.pid).since(before)
            figures["user_us"] = used.user_us / run.transactions
            figures["system_us"] = used.system_us / run.transactions
            figures["cpu_us"] = used.cpu_us / run.transactions
            figures["switches"] = used.switches / run.transactions
        return figures
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
        state = "" if target.alive() else f"; {target.name} is gone{target.last_words()}"
        return {"error": f"{e}{state}"}


def run_part(bench, names, modes, scale, rounds, seconds, say):
    """Returns {mode: {target: {"rounds": [...], figure: median, ...}}}."""
    targets = []
    for name in names:
        target = bench.target(name)
        if target.pooler:
            target.start()
        targets.append(target)
    result = {}
    for mode in modes:
        # A pool smaller than the number of clients has no meaning without a pooler.
        through = [t for t in targets if (t.pooler or mode.pool == "bench")
                   and not (mode.named and not bench.prepares(t.name))]

        def transactions(target, warming, mode=mode):
            return measure(bench, target, mode, scale, 1 if warming else seconds)

        result[mode.name] = interleave({t.name: t for t in through}, rounds, transactions, say, mode.name)
        add_medians(result[mode.name])
    for target in targets:
        if target.pooler:
            target.stop()
    return result


def spread(cells):
    """The least and the greatest ratio of CPU of one round: how far the median can be trusted."""
    pairs = zip(*(cells.get(n, {}).get("rounds", []) for n in ("pgwithd", "pgbouncer")))
    ratios = [ratio(ours.get("cpu_us"), theirs.get("cpu_us")) for ours, theirs in pairs]
    if not ratios or None in ratios:
        return "-"
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def report(result):
    """Two tables: throughput and CPU."""
    def get(cells, name, key):
        return cells.get(name, {}).get(key)

    def rate(cells, name):
        return "failed" if get(cells, name, "failed") else number(get(cells, name, "tps"), 0)

    speed, cost = [], []
    for mode, cells in result.items():
        tps = {name: get(cells, name, "tps") for name in ("direct", "pgbouncer", "pgwithd")}
        speed.append([mode, *(rate(cells, name) for name in tps),
                      number(ratio(tps["pgbouncer"], tps["direct"]), 2),
                      number(ratio(tps["pgwithd"], tps["direct"]), 2),
                      number(ratio(tps["pgwithd"], tps["pgbouncer"]), 2)])
        row = [mode]
        for name in ("pgbouncer", "pgwithd"):
            row += [number(get(cells, name, key), digits) for key, digits in
                    (("user_us", 2), ("system_us", 2), ("cpu_us", 2), ("switches", 3))]
        row.append(number(ratio(get(cells, "pgwithd", "cpu_us"),
                                get(cells, "pgbouncer", "cpu_us")), 2))
        row.append(spread(cells))
        cost.append(row)
    return "\n".join([
        table("Throughput, transactions per second (medians)",
              ["mode", "direct", "pgbouncer", "pgwithd", "pgbouncer/direct", "pgwithd/direct",
               "pgwithd/pgbouncer"], speed),
        table("CPU of the pooler per transaction, microseconds, and its context switches (medians)",
              ["mode", "pgbouncer user", "system", "sum", "switches", "pgwithd user", "system",
               "sum", "switches", "pgwithd/pgbouncer", "by round"], cost)])


def failures(result):
    return [text for mode, cells in result.items() for text in errors(cells, mode)]
