"""Large results and COPY: megabytes a second, and what a megabyte costs the pooler."""

import time

import procfs
from pgwire import message, query

ROW = 8000   # bytes
ROWS = 8000  # of one statement: 64 MB
MEGABYTE = 1_000_000
RECEIVE = 1 << 18
READY = b"Z\0\0\0\x05I"
ROWS_SQL = f"SELECT repeat('x', {ROW}) FROM generate_series(1, {ROWS})"
SINK = "bulk_sink"


def initialise(bench):
    """COPY IN goes to a table that keeps no row of it: PostgreSQL shall be as fast as it can."""
    client = bench.postgres.client()
    client.query(f"CREATE TABLE IF NOT EXISTS {SINK} (t text)")
    client.close()


def receive(client, sql):
    """Reads the answer without looking at it, but for its end."""
    buffer = memoryview(bytearray(RECEIVE))
    client.send(query(sql))
    end = b""
    while end != READY:
        count = client.socket.recv_into(buffer)
        if count == 0:
            raise ConnectionError("the server closed the connection")
        end = (end + bytes(buffer[max(0, count - len(READY)):count]))[-len(READY):]


def select(client):
    receive(client, ROWS_SQL)


def copy_out(client):
    receive(client, f"COPY ({ROWS_SQL}) TO STDOUT")


def copy_in(client):
    client.send(query(f"COPY {SINK} FROM STDIN WHERE false"))
    kind, _ = client.receive()
    if kind != b"G":
        raise RuntimeError(f"COPY was answered with {kind}")
    rows = message(b"d", b"x" * (ROW - 1) + b"\n") * 32
    for _ in range(ROWS // 32):
        client.send(rows)
    client.send(message(b"c"))
    client.until_ready()


KINDS = {"select": select, "copy-out": copy_out, "copy-in": copy_in}


def measure(target, kind, seconds):
    """Statements one after the other for `seconds`, at least one."""
    client = target.client(timeout=60)
    try:
        client.query("SELECT 1")
        before = procfs.usage(target.pid) if target.pooler else None
        start, statements = time.monotonic(), 0
        while statements == 0 or time.monotonic() < start + seconds:
            KINDS[kind](client)
            statements += 1
        megabytes = statements * ROW * ROWS / MEGABYTE
        figures = {"mb_s": megabytes / (time.monotonic() - start)}
        if target.pooler:
            figures["cpu_us_mb"] = procfs.usage(target.pid).since(before).cpu_us / megabytes
        return figures
    except (OSError, RuntimeError) as e:
        return {"error": f"{e}{'' if target.alive() else target.last_words()}"}
    finally:
        client.close()
