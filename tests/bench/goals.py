"""What issue 13 wants to be reached ("Done when"), and what was measured."""

from dataclasses import dataclass

from figures import Ratio, compare, is_ours, median

EPOLL, RING = "pgwithd-epoll", "pgwithd-ring"
PGBOUNCER = "PgBouncer"  # any lane that is one; the best of them counts


@dataclass
class Goal:
    text: str
    case: str
    figure: str
    bound: float
    at_least: bool
    other: str = ""     # another lane, direct, or PGBOUNCER; empty: the figure itself, without a ratio
    cache: str = ""     # of our lane
    io: tuple = (EPOLL, RING)


@dataclass
class Verdict:
    goal: Goal
    io: str          # the target, EPOLL or RING
    other: str       # the lane that it is compared with; empty if with none
    measured: Ratio  # None: it was not
    reached: bool    # None: not measured


def cpu_goals():
    for io, most_16, most_200 in (((RING,), 0.80, 0.75), ((EPOLL,), 1.00, 1.00)):
        for case, text, cache, most in (
                ("select-simple-j2", "simple, 16 clients", "", most_16),
                ("cache-inferred", "extended (cache off), 16 clients", "off", most_16),
                ("select-prepared-j2", "prepared, 16 clients", "", most_16),
                ("many-simple", "simple, 200 clients on 20 servers", "", most_200),
                ("many-extended", "extended (cache off), 200 clients on 20 servers", "off", most_200),
                ("many-prepared", "prepared, 200 clients on 20 servers", "", most_200)):
            yield Goal(f"CPU per transaction, {text}: at most {most:.2f} of PgBouncer", case, "cpu_us", most, False,
                       PGBOUNCER, cache, io)


GOALS = [
    Goal("pgbench -S -M extended, cache on: at least 1.10 of direct", "cache-inferred", "tps", 1.10, True, "direct",
         "on"),
    Goal("pgbench -S -M extended, cache on: at least 1.35 of PgBouncer", "cache-inferred", "tps", 1.35, True, PGBOUNCER,
         "on"),
    Goal("a driver that gives types, cache auto: at least 1.10 of direct", "cache-typed", "tps", 1.10, True, "direct",
         "auto"),
    Goal("a driver that gives types, cache auto: at least 1.35 of PgBouncer", "cache-typed", "tps", 1.35, True,
         PGBOUNCER, "auto"),
    Goal("texts that never repeat, cache auto: at least 0.98 of cache off", "cache-once", "tps", 0.98, True, "off",
         "auto"),
    Goal("texts that never repeat, cache on: at least 0.98 of cache off", "cache-once", "tps", 0.98, True, "off", "on"),
    *cpu_goals(),
    Goal("a connection per transaction, no log: at least 1.15 of PgBouncer", "connect-simple", "tps", 1.15, True,
         PGBOUNCER),
    Goal("a connection per transaction, both logging: at least 1.15 of PgBouncer", "connect-logged", "tps", 1.15,
         True, PGBOUNCER),
    Goal("prepared: at least 1.30 of PgBouncer", "select-prepared-j2", "tps", 1.30, True, PGBOUNCER),
    Goal("BEGIN; SELECT; COMMIT: at least 1.30 of PgBouncer", "begin-simple", "tps", 1.30, True, PGBOUNCER, io=(RING,)),
    Goal("TPC-B: at least 1.10 of PgBouncer", "tpcb-simple", "tps", 1.10, True, PGBOUNCER),
    Goal("an idle client: at most 512 bytes", "memory", "idle_bytes", 512, False),
    Goal("with a prepared statement: at most 650 bytes", "memory", "prepared_bytes", 650, False),
    *(Goal(f"storm, {protocol} protocol: {text}", f"storm-{protocol}", key, most, False)
      for protocol in ("simple", "extended") for key, text, most in (
          ("transactions_s", "over within 1 s", 1), ("answered_s", "a new client is answered within 1 s", 1),
          ("replaced", "no connection is replaced", 0))),
    Goal("200 clients on 20 servers: p99 / p50 of the time of a transaction at most 1.5", "many-simple", "p99_p50", 1.5,
         False),
    Goal("a large SELECT: at least 1,500 MB/s", "bulk-select", "mb_s", 1500, True),
]


def judge(results):
    """A Verdict for each goal and each pgwithd that was measured at all."""
    measured = {lane.partition(" ")[0] for case in results["cases"].values() for lane in case["lanes"] if is_ours(lane)}
    return [verdict(results, goal, io) for goal in GOALS for io in goal.io
            if io in measured or goal.io == (io,)]


def verdict(results, goal, io):
    lanes = results["cases"].get(goal.case, {}).get("lanes", {})
    lane = " ".join(filter(None, [io, goal.cache]))
    ours = lanes.get(lane)
    if not goal.other:
        value = median(ours, goal.figure)
        found = {} if value is None else {"": Ratio(value, value, value)}
    else:
        others = {"direct": ["direct"], "off": [f"{io} off"],
                  PGBOUNCER: [n for n in lanes if n.startswith("pgbouncer")]}[goal.other]
        found = {n: compare(ours, lanes.get(n), goal.figure) for n in others}
        found = {n: r for n, r in found.items() if r}
    if not found:
        return Verdict(goal, io, goal.other, None, None)
    # The one that is hardest to reach.
    other, ratio = (min if goal.at_least else max)(found.items(), key=lambda item: item[1].value)
    reached = ratio.value >= goal.bound if goal.at_least else ratio.value <= goal.bound
    return Verdict(goal, io, other, ratio, reached)
