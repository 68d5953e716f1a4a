"""What page.py measures. A case compares lanes: a target, or a pool of it, in rounds by turns.

What a case returns is {"lanes": {label: {"rounds": [{figure: number} or {"error": text}]}},
"left_out": {label: why}}."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import bulk
import idle
import instructions
import latency
import memory
import storm
import syscalls
import texts
import throughput
from figures import OURS
from pgwire import ServerError
from rounds import interleave
from targets import Unavailable
from throughput import Mode, select

TARGETS = ("direct", "pgbouncer", *OURS)
MANY = 200    # clients on the 20 servers of the pool
ACTIVE = 50   # clients beside the idle ones
MOST_ROUNDS = 3  # where a round takes long, and hardly differs from another

# As mappers of objects do, it asks for the columns by which it joins, too.
JOIN_SCRIPT = """\\set aid random(1, 100000 * :scale)
SELECT a.aid, a.bid, a.abalance, b.bid, b.bbalance, t.tid, t.tbalance, n.aid, n.filler FROM pgbench_accounts a
 JOIN pgbench_branches b ON b.bid = a.bid JOIN pgbench_tellers t ON t.tid = b.bid
 JOIN pgbench_accounts n ON n.aid = a.aid WHERE a.aid = :aid::int;
"""


@dataclass
class Lane:
    target: str  # its name
    pool: str


@dataclass
class Run:
    """What the cases need to know."""

    bench: object
    names: list     # of the targets
    rounds: int
    seconds: int
    scale: int
    transactions: int   # of each client while calls are counted
    instructions: int   # the same while instructions are
    clients: int        # for memory
    idle: list          # numbers of idle clients beside the active ones
    storm_seconds: int
    say: Callable

    @property
    def poolers(self):
        return [name for name in self.names if name != "direct"]

    @contextlib.contextmanager
    def started(self, names, **options):
        """{name: target}, all of them started."""
        max_clients = options.pop("max_clients", 1000)
        found = {}
        try:
            for name in names:
                target = found[name] = self.bench.target(name, **options)
                if target.pooler:
                    target.start(max_clients)
            yield found
        finally:
            for target in found.values():
                if target.pooler:
                    target.stop()


@dataclass
class Case:
    name: str
    section: str  # of the page
    title: str
    measure: Callable  # of a Run


# ---- pgbench ----

def lanes_of(run, mode, caches, logged, idlers):
    """The lanes of a mode of pgbench, and which are left out because of what."""
    lanes, left_out = {}, {}
    for name in run.names:
        if name == "direct" and (mode.pool != "bench" or logged or idlers):
            continue  # without a pooler there is no pool that is too small, no log of a pooler, no idle client of it
        if name in run.bench.peers and logged:
            left_out[name] = "its log is as its owner configured it"
        elif mode.named and not run.bench.prepares(name):
            left_out[name] = "no named prepared statements in transaction mode before 1.21"
        elif caches and name in OURS:
            lanes |= {f"{name} {cache}": Lane(name, texts.POOLS[cache]) for cache in caches}
        else:
            try:
                run.bench.target(name).database(mode.pool)
                lanes[name] = Lane(name, mode.pool)
            except Unavailable as e:
                left_out[name] = str(e)
    return lanes, left_out


def of_pgbench(section, mode, title, caches=(), logged=False, measure=throughput.measure, idlers=0):
    """A case that runs pgbench. `caches`: pgwithd with each of these statement_cache. `idlers`: idle clients beside."""

    def run_it(run):
        lanes, left_out = lanes_of(run, mode, caches, logged, idlers)
        names = list(dict.fromkeys(lane.target for lane in lanes.values()))
        options = {"logged": True} if logged else {}
        with contextlib.ExitStack() as stack:
            started = stack.enter_context(run.started(names, max_clients=1000 + idlers, **options))
            for name in names:
                if idlers:
                    try:
                        stack.callback(idle.Idlers(started[name], idlers).close)
                    except RuntimeError as e:
                        left_out[name] = str(e)
            lanes = {label: lane for label, lane in lanes.items() if lane.target not in left_out}

            def one(lane, warming):
                return measure(run.bench, started[lane.target], replace(mode, pool=lane.pool), run.scale,
                               1 if warming else run.seconds)

            cells = interleave(lanes, run.rounds, one, run.say, mode.name)
        return {"lanes": cells, "left_out": left_out}

    return Case(mode.name, section, title, run_it)


def modes(section, titles):
    """Cases of throughput.MODES."""
    known = {m.name: m for m in throughput.MODES}
    return [of_pgbench(section, known[name], title) for name, title in titles.items()]


def beside_idle(count):
    mode = Mode(f"idle-{count}", *select("simple", 2, clients=ACTIVE))
    case = of_pgbench("idle", mode, f"{count:,} idle clients", idlers=count)

    def run_it(run):
        if count not in run.idle:
            return {"lanes": {}, "left_out": {"all": "not asked for"}}
        if idle.limit() < count + idle.SPARE_FILES:
            return {"lanes": {}, "left_out": {"all": f"{count + idle.SPARE_FILES:,} descriptors are needed, "
                                                     f"and ulimit -Hn is {idle.limit():,}"}}
        return case.measure(run)

    return replace(case, measure=run_it)


# ---- others ----

def of_bulk(kind, title):
    def run_it(run):
        bulk.initialise(run.bench)
        with run.started(run.names) as started:
            return {"lanes": interleave(started, run.rounds, lambda target, warming:
                                        bulk.measure(target, kind, 0 if warming else run.seconds),
                                        run.say, f"bulk-{kind}"), "left_out": {}}

    return Case(f"bulk-{kind}", "bulk", title, run_it)


def of_memory(run):
    left_out = {name: "no named prepared statements in transaction mode before 1.21: only idle clients"
                for name in run.poolers if not run.bench.prepares(name)}
    if idle.limit() < run.clients + idle.SPARE_FILES:
        return {"lanes": {}, "left_out": {"all": f"ulimit -Hn is {idle.limit():,}"}}

    seen = set()

    def one(name, warming):
        if warming or (name in run.bench.peers and name in seen):
            return {}  # a peer goes on running, and has taken what it needs
        seen.add(name)
        with run.started([name], max_clients=run.clients) as started:
            try:
                figures = memory.measure(started[name], run.clients, run.bench.prepares(name))
                if figures["idle_bytes"] <= 0:
                    raise RuntimeError("it has not grown: it has had as many clients before")
                return figures
            except (OSError, RuntimeError, ServerError) as e:
                return {"error": str(e)}

    cells = interleave({name: name for name in run.poolers}, min(run.rounds, MOST_ROUNDS), one, run.say, "memory")
    return {"lanes": cells, "left_out": left_out}


def of_storm(protocol):
    def run_it(run):
        def one(name, warming):
            return {} if warming else storm.fresh(run.bench, name, protocol, run.storm_seconds)

        return {"lanes": interleave({name: name for name in run.poolers}, min(run.rounds, MOST_ROUNDS), one,
                                    run.say, f"storm-{protocol}"), "left_out": {}}

    return Case(f"storm-{protocol}", "storm", f"{protocol} protocol", run_it)


COUNTED = [
    Mode("simple", *select("simple", 2)),
    Mode("extended", *select("extended", 2, "benchoff")),
    Mode("extended-on", *select("extended", 2, "benchon")),
    Mode("prepared", *select("prepared", 2), named=True),
    Mode("begin", ["-M", "simple", "-j", "2"], script=throughput.BEGIN_SCRIPT),
]


def of_counting(what, mode, title):
    """`what`: syscalls or instructions."""

    def run_it(run):
        lanes, left_out = {}, {}
        by = ("perf" if syscalls.perf_works(run.bench) else "strace") if what == "syscalls" else \
            instructions.tool(run.bench)
        for name in run.poolers:
            ours = name in OURS
            if mode.named and not run.bench.prepares(name):
                left_out[name] = "no named prepared statements in transaction mode before 1.21"
            elif mode.pool == "benchon" and not ours:
                continue
            elif by is None:
                left_out[name] = "neither the processor nor valgrind counts instructions here"
            elif by == "callgrind" and name in run.bench.peers:
                left_out[name] = "the processor does not count here, and this pooler does not run under valgrind"
            else:
                lanes[name] = replace(mode, pool=mode.pool if ours else "bench")

        def one(name, warming):
            if warming:
                return {}
            if what == "instructions":
                return instructions.count(run.bench, name, lanes[name], run.scale, run.instructions, by)
            with run.started([name]) as started:
                cell = syscalls.count(run.bench, started[name], lanes[name], run.scale, run.transactions, by,
                                      syscalls.FEW_EVENTS)
            return cell if "error" in cell else {"calls": sum(cell.values()), "by_name": cell}

        cells = interleave({name: name for name in lanes}, min(run.rounds, MOST_ROUNDS) if what == "syscalls" else 1,
                           one, run.say, f"{what}-{mode.name}")
        return {"lanes": cells, "left_out": left_out, "counted_by": by}

    return Case(f"{what}-{mode.name}", what, title, run_it)


ALL = tuple(texts.POOLS)
COUNTED_TITLES = {"simple": "one SELECT, simple protocol", "extended": "extended, statement_cache off",
                  "extended-on": "extended, statement_cache on", "prepared": "extended, named prepared statement",
                  "begin": "BEGIN; SELECT; COMMIT, simple protocol"}

# In the order in which they are measured: memory first, as long as a peer has had no clients.
CASES = [
    Case("memory", "memory", "clients that are connected and do nothing", of_memory),
    *modes("throughput", {
        "select-simple-j1": "SELECT, simple protocol, one pgbench thread",
        "select-simple-j2": "SELECT, simple protocol",
        "select-extended-j1": "SELECT, extended protocol, one pgbench thread",
        "select-extended-j2": "SELECT, extended protocol"}),
    of_pgbench("throughput", Mode("select-prepared-j2", *select("prepared", 2), named=True),
               "SELECT, named prepared statement"),
    *modes("throughput", {
        "begin-simple": "BEGIN; SELECT; COMMIT, simple protocol",
        "begin-extended": "BEGIN; SELECT; COMMIT, extended protocol",
        "tpcb-simple": "TPC-B, seven statements"}),
    *modes("scarce", {
        "select-simple-pool5": "SELECT, simple protocol, 16 clients on 5 servers",
        "select-extended-pool5": "SELECT, extended protocol, 16 clients on 5 servers",
        "select-simple-pool5-c50": "SELECT, simple protocol, 50 clients on 5 servers",
        "select-prepared-pool5-c50": "SELECT, named prepared statement, 50 clients on 5 servers",
        "begin-simple-pool5-c50": "BEGIN; SELECT; COMMIT, 50 clients on 5 servers"}),
    of_pgbench("texts", Mode("cache-inferred", *select("extended", 2)),
               "pgbench -S -M extended: PostgreSQL infers the type", ALL),
    of_pgbench("texts", Mode("cache-typed", [], load="again"),
               "a driver that gives types", ALL),
    of_pgbench("texts", Mode("cache-join", ["-M", "extended", "-j", "2"], script=JOIN_SCRIPT),
               "a join of four tables, the text says the type", ALL),
    of_pgbench("texts", Mode("cache-once", [], load="once"),
               "a driver that gives types, texts that never repeat", ALL),
    *modes("connect", {"connect-simple": "a connection for each SELECT, no log of it"}),
    of_pgbench("connect", replace(next(m for m in throughput.MODES if m.name == "connect-simple"),
                                  name="connect-logged"),
               "a connection for each SELECT, coming and going logged", logged=True),
    *(of_pgbench("latency", Mode(f"latency-{protocol}", *select(protocol, 1, clients=1), named=protocol == "prepared"),
                 title, measure=latency.measure) for protocol, title in
      {"simple": "SELECT, simple protocol", "extended": "SELECT, extended protocol",
       "prepared": "SELECT, named prepared statement"}.items()),
    *(of_pgbench("many", Mode(f"many-{protocol}", *select(protocol, 2, clients=MANY), named=protocol == "prepared"),
                 title, caches, measure=latency.measure) for protocol, caches, title in
      (("simple", (), "SELECT, simple protocol"),
       ("extended", ("off", "auto"), "SELECT, extended protocol"),
       ("prepared", (), "SELECT, named prepared statement"))),
    of_bulk("select", "SELECT of rows of 8 kB"),
    of_bulk("copy-out", "COPY OUT of rows of 8 kB"),
    of_bulk("copy-in", "COPY IN of rows of 8 kB"),
    *(beside_idle(count) for count in (0, 1000, 15000)),
    *(of_storm(protocol) for protocol in storm.PROTOCOLS),
    *(of_counting("syscalls", mode, COUNTED_TITLES[mode.name]) for mode in COUNTED),
    *(of_counting("instructions", mode, COUNTED_TITLES[mode.name]) for mode in COUNTED),
]
