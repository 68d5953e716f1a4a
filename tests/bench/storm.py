"""The storm: many clients in an open transaction with a query running are killed at once."""

import os
import signal
import statistics
import threading
import time

from pgwire import FLUSH, SYNC, extended, query
from table import number, table
from targets import POOL_SIZES, START_S, wait_until

CLIENTS = 50
POOL = "bench"
SIZE = POOL_SIZES[POOL]
GRACE_S = 5  # after the sleep has ended by itself
POLL_S = 0.01
PROTOCOLS = ("simple", "extended")


def storm_client(target, protocol, seconds, ready):
    """The life of one client process; it does not return. The byte says that BEGIN is sent."""
    sleep = f"SELECT pg_sleep({seconds})"
    client = target.client(POOL, timeout=None)
    client.send(query("BEGIN") if protocol == "simple" else extended("BEGIN") + SYNC)
    os.write(ready, b"1")
    client.until_ready()
    # Without Sync the exchange stays open: the server executes, and owes no ReadyForQuery yet.
    client.send(query(sleep) if protocol == "simple" else extended(sleep) + FLUSH)
    client.until_ready()


def start_clients(target, protocol, seconds):
    """Forks the clients; returns their pids when each has sent its BEGIN."""
    readable, ready = os.pipe()
    pids = []
    for _ in range(CLIENTS):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(readable)
                storm_client(target, protocol, seconds, ready)
            except BaseException as e:
                os.write(2, f"storm client: {e}\n".encode())
            finally:
                os._exit(status)
        pids.append(pid)
    os.close(ready)
    try:
        got = 0
        while got < CLIENTS:
            data = os.read(readable, CLIENTS)
            if not data:
                raise RuntimeError("clients ended before the storm")
            got += len(data)
    except BaseException:
        kill(pids)
        raise
    finally:
        os.close(readable)
    return pids


def kill(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)


def serving(target):
    """The server connections that serve the pool now: as many transactions at once as it has."""
    clients = []
    try:
        for _ in range(SIZE):
            clients.append(target.client(POOL))
            clients[-1].query("BEGIN")
        return {int(c.query("SELECT pg_backend_pid()")[0][0]) for c in clients}
    finally:
        for client in clients:
            client.close()


class Probe(threading.Thread):
    """A new client that comes right after the kill; `answered` is a monotonic time or None."""

    def __init__(self, target, timeout):
        super().__init__(daemon=True)
        self.target, self.timeout, self.answered, self.error = target, timeout, None, None

    def run(self):
        try:
            client = self.target.client(POOL, timeout=self.timeout)
            client.query("SELECT 1")
            self.answered = time.monotonic()
            client.close()
        except Exception as e:
            self.error = e


def once(target, watch, protocol, seconds):
    """One storm. `watch` is a connection to PostgreSQL itself. Times in seconds after the kill."""
    mine = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    running = f"SELECT pid FROM pg_stat_activity WHERE {mine} AND state = 'active'" \
              f" AND query LIKE 'SELECT pg_sleep({seconds})%'"

    def sleepers():
        return {int(row[0]) for row in watch.query(running)}

    cap = seconds + GRACE_S
    pids = start_clients(target, protocol, seconds)
    try:
        wait_until(lambda: len(sleepers()) == SIZE, f"{SIZE} queries run")
        before = sleepers()
    finally:
        killed = time.monotonic()
        kill(pids)
    all_dead = time.monotonic()
    probe = Probe(target, cap)
    probe.start()
    victims = ",".join(map(str, before))
    open_transactions = f"SELECT count(*) FROM pg_stat_activity WHERE pid IN ({victims})" \
                        f" AND xact_start < clock_timestamp() - interval '%f s'"
    queries_s = transactions_s = None
    abandoned = len(before)
    while time.monotonic() < killed + cap:
        left = sleepers() & before
        now = time.monotonic() - killed
        abandoned = len(left)
        if not left and queries_s is None:
            queries_s = now
        # Since before the kill: the next client's transaction is none of these.
        old = int(watch.query(open_transactions % (time.monotonic() - killed))[0][0])
        if not left and not old:
            transactions_s = time.monotonic() - killed
            break
        time.sleep(POLL_S)
    probe.join(cap)
    result = {"killed_in_s": all_dead - killed, "queries_s": queries_s,
              "transactions_s": transactions_s, "still_running": abandoned, "cap_s": cap,
              "answered_s": probe.answered - killed if probe.answered else None}
    if probe.error:
        result["error"] = f"the new client failed: {probe.error}"
    result["replaced"] = len(before - serving(target))
    return result


def fresh(bench, name, protocol, seconds):
    """One storm on a target that is started for it. Returns its figures, or {"error": text}."""
    target = bench.target(name)
    watch = bench.postgres.client(timeout=START_S)
    try:
        target.start()
        return once(target, watch, protocol, seconds)
    except Exception as e:
        dead = "" if target.alive() else target.last_words()
        return {"error": f"{e}{dead}"}
    finally:
        target.stop()
        watch.close()


def run_part(bench, names, seconds, rounds, say):
    """Returns {protocol: {target: {"rounds": [...], figure: median or None}}}."""
    result = {protocol: {n: {"rounds": []} for n in names if n != "direct"}
              for protocol in PROTOCOLS}
    for protocol, cells in result.items():
        for turn in range(rounds):
            for name, cell in cells.items():
                figures = fresh(bench, name, protocol, seconds)
                cell["rounds"].append(figures)
                say(f"storm {protocol} {turn + 1}/{rounds} {name}: "
                    + (figures.get("error") or f"queries {number(figures['queries_s'], 3)} s, "
                       f"answer {number(figures['answered_s'], 3)} s, "
                       f"{figures['replaced']} replaced"))
        for cell in cells.values():
            for key in ("queries_s", "transactions_s", "answered_s", "replaced"):
                values = [r.get(key) for r in cell["rounds"]]
                # Over the cap, or not known, counts as the worst.
                cell[key] = None if None in values else statistics.median(values)
    return result


def report(result):
    rows = []
    for protocol, cells in result.items():
        for label, key, digits in (("abandoned queries live on, s", "queries_s", 3),
                                   ("abandoned transactions live on, s", "transactions_s", 3),
                                   ("new client answered after, s", "answered_s", 3),
                                   (f"connections replaced, of {SIZE}", "replaced", 0)):
            cell = [number(cells.get(n, {}).get(key), digits) for n in ("pgbouncer", "pgwithd")]
            rows.append([f"{protocol}: {label}", *cell])
    return table(f"Storm: {CLIENTS} clients killed in BEGIN; SELECT pg_sleep() on a pool of {SIZE}",
                 ["", "pgbouncer", "pgwithd"], rows)


def failures(result):
    return [f"storm {protocol} through {name}: {r['error']}" for protocol, cells in result.items()
            for name, cell in cells.items() for r in cell["rounds"] if "error" in r]
