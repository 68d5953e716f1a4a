"""What the rounds of results.json come to: medians, spread, and ratios by round."""

import math
import statistics
from dataclasses import dataclass

OURS = {"pgwithd-epoll": "pgwith, epoll", "pgwithd-ring": "pgwith, ring"}


@dataclass
class Figure:
    """A number that rounds have."""

    key: str
    text: str
    unit: str
    digits: int
    more_is_better: bool = False
    level: float = 0.02  # a ratio this near to 1 is no difference


FIGURES = {f.key: f for f in (
    Figure("tps", "transactions a second", "/s", 0, True),
    Figure("cpu_us", "CPU of the pooler per transaction", "µs", 1),
    Figure("postgres_us", "CPU of PostgreSQL per transaction", "µs", 1),
    Figure("switches", "context switches of the pooler per transaction", "", 2),
    Figure("p50_ms", "half of the transactions took at most", "ms", 3),
    Figure("p99_ms", "99 of 100 took at most", "ms", 3),
    Figure("p99_p50", "p99 / p50", "", 2),
    Figure("clients_ratio", "transactions of the luckiest client / the unluckiest", "", 2),
    Figure("mb_s", "megabytes a second", "MB/s", 0, True),
    Figure("cpu_us_mb", "CPU of the pooler per megabyte", "µs", 0),
    Figure("idle_bytes", "an idle client", "bytes", 0),
    Figure("used_bytes", "the same after one query", "bytes", 0),
    Figure("prepared_bytes", "the same with a prepared statement each", "bytes", 0),
    Figure("queries_s", "abandoned queries live on", "s", 3),
    Figure("transactions_s", "their transactions live on", "s", 3),
    Figure("answered_s", "a new client is answered after", "s", 3),
    Figure("replaced", "connections replaced, of 20", "", 0),
    Figure("calls", "system calls per transaction", "", 2),
    Figure("instructions", "instructions per transaction", "", 0),
)}


def label(lane):
    """For people: `pgwithd-epoll on` is `pgwith, epoll, on`."""
    target, _, rest = lane.partition(" ")
    return ", ".join(filter(None, [OURS.get(target, target), rest and f"cache {rest}"]))


def is_ours(lane):
    return lane.partition(" ")[0] in OURS


def is_other_pooler(lane):
    return not is_ours(lane) and lane != "direct"


def values(cell, key):
    """Of the rounds that have it. None, which is `not while it was watched`, is infinite."""
    found = [r[key] for r in (cell or {}).get("rounds", []) if key in r]
    return [math.inf if v is None else v for v in found]


def median(cell, key):
    found = values(cell, key)
    return statistics.median(found) if found else None


@dataclass
class Ratio:
    """Of two medians, and the least and the greatest of two figures of one round."""

    value: float
    least: float
    greatest: float


def compare(ours, theirs, key):
    """None if one was not measured, or theirs is 0."""
    above, below = median(ours, key), median(theirs, key)
    if above is None or not below:
        return None
    pairs = [(a[key], b[key]) for a, b in zip(ours["rounds"], theirs["rounds"]) if key in a and key in b]
    by_round = [quotient(a, b) for a, b in pairs]
    return Ratio(quotient(above, below), min(by_round, default=math.nan), max(by_round, default=math.nan))


def quotient(above, below):
    above, below = (math.inf if v is None else v for v in (above, below))
    if math.isinf(above) and math.isinf(below):
        return 1.0
    return above / below if below else math.nan
