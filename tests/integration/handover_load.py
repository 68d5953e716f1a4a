"""pgbench over restarts that hand over: no error, nothing lost, nothing doubled. PGWITH_HANDOVERS says how many
restarts (default 4). Not part of `make check`: `make check-handover` does 20."""

import os
import re
import time

from pgwtest import check, child, equal, main, note, test, wait_until

RESTARTS = int(os.environ.get("PGWITH_HANDOVERS", "4"))
CLIENTS = 50
SCALE = 2


def history(t):
    return int(t.value("SELECT count(*) FROM pgbench_history"))


def end(p, log):
    """pgbench has ended by itself, well; what it says."""
    p.wait(300)
    with open(log) as f:
        said = f.read()
    check(p.returncode == 0, "pgbench ends without error: %s" % said[-1500:])
    return said


def load(t, *mode):
    child.run_ok([t.cluster.program("pgbench"), "-i", "-q", "-s", str(SCALE), "-h", t.cluster.sockets, "-p",
                  str(t.cluster.port), "-U", "postgres", t.database])
    d = t.supervised(size=20, min_size=20, options={"log_level": "info"})
    # By the number of transactions, not by time: it ends when it has done them, however slow.
    log = t.path("pgbench.log")
    each = 15 * RESTARTS
    p = child.start([t.cluster.program("pgbench"), "-n", "-t", str(each), "-c", str(CLIENTS), "-j", "2", *mode,
                     "-h", d.sockets, "-p", str(d.port), "-U", "postgres", "db"], log)
    gaps = []
    for n in range(RESTARTS):
        wait_until(lambda n=n: history(t) >= CLIENTS * each * (n + 1) // (RESTARTS + 2), 120, "it goes on")
        began = time.monotonic()
        d.restart()
        gaps.append(time.monotonic() - began)
    check(p.poll() is None, "pgbench is still at work")
    said = end(p, log)
    count = int(re.search(r"actually processed: (\d+)", said).group(1))
    equal(count, CLIENTS * each, "transactions that pgbench has counted")
    equal(history(t), count, "rows in the history")
    sums = t.sql("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),"
                 " (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history)")[0]
    equal(len(set(sums)), 1, "balances %s" % (sums,))
    equal(d.store.names(), [], "what the supervisor still keeps")
    check(not d.log_has("not taken over"), "everything was taken over")
    gaps.sort()
    note("%d transactions, %d restarts: %.0f ms in the middle, %.0f ms at most"
         % (count, RESTARTS, 1000 * gaps[len(gaps) // 2], 1000 * gaps[-1]))


@test(timeout=60 + 30 * RESTARTS)
def simple(t):
    """pgbench, 50 clients on 20 servers, simple protocol"""
    load(t)


@test(timeout=60 + 30 * RESTARTS)
def prepared(t):
    """pgbench, 50 clients on 20 servers, prepared statements"""
    load(t, "-M", "prepared")


if __name__ == "__main__":
    main()
