"""Resident memory of the pooler for each client that is connected and does nothing."""

import resource
import struct
import time

import procfs
import pgwire
from pgwire import ServerError
from table import number, ratio, table

WARM_CLIENTS = 10
IDLE_S = 0.5  # after which pgwithd has freed what only a session at work has


def prepare(client):
    """A named statement, executed once."""
    client.send(pgwire.message(b"P", b"s1\0SELECT $1::int + 1\0" + struct.pack("!HI", 1, 23))
                + pgwire.message(b"B", b"\0s1\0" + struct.pack("!HHi", 0, 1, 1) + b"7"
                                 + struct.pack("!H", 0))
                + pgwire.message(b"E", b"\0\0\0\0\0") + pgwire.SYNC)
    if client.until_ready() != [["8"]]:
        raise RuntimeError("the prepared statement has another result")


def run_part(bench, names, clients, say):
    """Returns {target: figures in bytes}."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < clients + 200:
        raise RuntimeError(f"{clients} clients need {clients + 200} descriptors; the limit: {hard}")
    result = {}
    for name in names:
        if name != "direct":
            target = bench.target(name)
            target.start(max_clients=clients)
            try:
                # PgBouncer 1.18 does not know whose a prepared statement is.
                result[name] = measure(target, clients, bench.prepares(name))
                say(f"memory, {name}: {result[name]['idle_bytes']:.0f} bytes for an idle client")
            except (OSError, RuntimeError) as e:
                result[name] = {"error": f"{e}{'' if target.alive() else target.last_words()}"}
            target.stop()
    return result


def measure(target, clients, named=False):
    """`named`: prepared statements are looked at, too."""
    # What the first clients cost (a server, pages of code touched, the first slabs) is no price of
    # an idle client.
    warm = [target.client() for _ in range(WARM_CLIENTS)]
    for client in warm:
        client.query("SELECT 1")
        client.close()
    start = procfs.resident(target.pid)
    connected = []
    try:
        for _ in range(clients):
            connected.append(target.client())
        idle = procfs.resident(target.pid)
        files = procfs.open_files(target.pid)
        if files < clients:
            raise RuntimeError(f"only {files} of {clients} clients are connected")
        for client in connected:
            client.query("SELECT 1")
        used = procfs.resident(target.pid)
        figures = {"clients": clients, "start_bytes": start, "idle_bytes": (idle - start) / clients,
                   "used_bytes": (used - start) / clients, "total_bytes": used}
        if named:
            try:
                for client in connected:
                    prepare(client)
                time.sleep(IDLE_S)
                figures["prepared_bytes"] = (procfs.resident(target.pid) - start) / clients
            except ServerError:
                pass  # a pooler in which two clients cannot have a statement of the same name
    finally:
        for client in connected:
            client.close()
    return figures


def report(result):
    rows = []
    for label, key in (("bytes per idle client, logged in", "idle_bytes"),
                       ("the same after one query each", "used_bytes"),
                       ("the same with a prepared statement each", "prepared_bytes"),
                       ("whole process before, bytes", "start_bytes"),
                       ("whole process after, bytes", "total_bytes")):
        values = [result.get(name, {}).get(key) for name in ("pgbouncer", "pgwithd")]
        rows.append([label, *(number(v, 0) for v in values),
                     number(ratio(values[1], values[0]), 2)])
    clients = next((r["clients"] for r in result.values() if "clients" in r), 0)
    return table(f"Resident memory with {clients} idle clients",
                 ["", "pgbouncer", "pgwithd", "pgwithd/pgbouncer"], rows)


def failures(result):
    return [f"memory of {name}: {r['error']}" for name, r in result.items() if "error" in r]
