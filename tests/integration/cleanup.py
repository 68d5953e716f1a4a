"""Every way in which a client can leave in the middle of something. After each one the query is gone,
the transaction is gone, the same backend serves the next client, and that one finds nothing."""

from pgwtest import check, equal, main, test, wait_until, wire
from pgwtest.looks import Watch, abandon, killed_while, leased, runs, state

SLEEP = "SELECT pg_sleep(60)"
MARK = "INSERT INTO marks VALUES (1, 'x')"


def in_transaction(c):
    c.sql("BEGIN; " + MARK)
    c.sql("SELECT pg_advisory_xact_lock(7)")


# ---- closing ---------------------------------------------------------------------------------------
def closes(t, how):
    """A client in a transaction closes by `how`, which gets its connection."""
    t.sql("CREATE TABLE marks (a int, b text)")
    w = Watch(t, t.daemon())
    c = w.daemon.connect()
    in_transaction(c)
    w.state("idle in transaction")
    how(c)
    w.free_again()
    w.serves_clean()
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


@test
def closes_with_terminate(t):
    """a client says Terminate in a transaction: rolled back, same server for the next"""
    closes(t, lambda c: c.close())


@test
def closes_without_terminate(t):
    """a client closes its socket in a transaction without a word: the same"""
    closes(t, lambda c: c.drop())


@test
def closes_in_failed_transaction(t):
    """a client closes in a failed transaction: the same"""
    def script(c):
        in_transaction(c)
        equal(c.ask("SELECT nonsense").status, "E", "the status")

    killed_while(t, script, state("idle in transaction (aborted)"))


@test
def closes_idle(t):
    """a client that holds nothing closes: the server was never touched"""
    w = Watch(t, t.daemon())
    c = w.daemon.connect()
    c.sql("SELECT 1")
    check(w.is_free(), "the server is free between two statements")
    c.drop()
    w.serves_clean()


@test
def half_closed(t):
    """a client shuts down its sending side with a query running: it has gone"""
    t.sql("CREATE TABLE marks (a int, b text)")
    w = Watch(t, t.daemon())
    c = w.daemon.connect()
    c.send(wire.query("BEGIN; %s; %s" % (MARK, SLEEP)))
    w.runs("pg_sleep")
    c.sock.shutdown(1)
    w.free_again()
    c.drop()
    w.serves_clean()
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


# ---- killed with something running -----------------------------------------------------------------
@test
def killed_in_transaction(t):
    """killed while idle in a transaction: locks and transaction go"""
    killed_while(t, in_transaction, state("idle in transaction"))


@test
def killed_running_simple(t):
    """killed with a simple query running"""
    killed_while(t, lambda c: c.send(wire.query(SLEEP)), runs("pg_sleep"))


@test
def killed_running_in_transaction(t):
    """killed with a simple query running in a transaction"""
    def script(c):
        in_transaction(c)
        c.send(wire.query(SLEEP))

    killed_while(t, script, runs("pg_sleep"))


@test
def killed_running_multi(t):
    """killed with a string of several statements running, a COMMIT after the sleep"""
    killed_while(t, lambda c: c.send(wire.query("BEGIN; %s; %s; COMMIT" % (MARK, SLEEP))),
                 runs("pg_sleep"))


@test
def killed_running_extended(t):
    """killed with an extended query running, its Sync sent"""
    def script(c):
        in_transaction(c)
        c.send(wire.extended(SLEEP) + wire.sync())

    killed_while(t, script, runs("pg_sleep"))


@test
def killed_blocked_on_lock(t):
    """killed while its statement waits for a lock in PostgreSQL"""
    other = t.direct()
    t.sql("CREATE TABLE held (a int)")
    other.sql("BEGIN; LOCK held")
    t.sql("CREATE TABLE marks (a int, b text)")
    d = t.daemon()
    with d.connect() as c:
        pid = c.backend()
    d.quiet()

    def script(side):
        c = d.connect()
        in_transaction(c)
        c.send(wire.query("LOCK held"))
        side.say("done")
        side.stay()

    p = t.process(script)
    p.heard()
    wait_until(lambda: t.cluster.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %d" % pid),
               10, "it waits for the lock")
    p.kill()
    wait_until(lambda: not t.cluster.locks(pid) and not d.leased(), 1, "the wait is over")
    equal(d.server_pids(), {pid}, "the servers")
    with d.connect() as c:
        equal(c.backend(), pid, "the backend of the next client")


# ---- killed inside an extended-protocol exchange ---------------------------------------------------
@test
def killed_after_parse_bind(t):
    """killed after Parse and Bind, before Sync"""
    killed_while(t, lambda c: c.send(wire.parse(MARK) + wire.bind()), leased)


@test
def killed_after_flush(t):
    """killed after Parse, Bind, Execute and Flush were answered, before Sync: not committed"""
    def script(c):
        c.send(wire.extended(MARK) + wire.flush())
        c.until("C")

    killed_while(t, script, leased)


@test
def killed_executing_without_sync(t):
    """killed with an Execute running and no Sync sent"""
    def script(c):
        c.send(wire.extended(MARK) + wire.flush())
        c.until("C")
        c.send(wire.extended(SLEEP) + wire.flush())

    killed_while(t, script, runs("pg_sleep"))


@test
def killed_executing_in_transaction_without_sync(t):
    """killed with an Execute running in an explicit transaction and no Sync sent"""
    def script(c):
        in_transaction(c)
        c.send(wire.extended(SLEEP) + wire.flush())

    killed_while(t, script, runs("pg_sleep"))


@test
def killed_after_error_before_sync(t):
    """killed after an error while the server skips to the Sync"""
    def script(c):
        c.send(wire.extended(MARK) + wire.flush())
        c.until("C")
        c.send(wire.parse("SELECT nonsense") + wire.flush())
        equal(c.until("E").errors[0].sqlstate, "42703", "the error")

    killed_while(t, script, leased)


@test
def killed_with_ignored_query(t):
    """killed after an error and a simple Query that the server ignores, before Sync"""
    def script(c):
        c.send(wire.parse("SELECT nonsense") + wire.flush())
        equal(c.until("E").errors[0].sqlstate, "42703", "the error")
        c.send(wire.query(MARK))

    killed_while(t, script, leased)


@test
def ignored_query_counts_no_answer(t):
    """an error, a Query that the server ignores, a Sync: one answer, and the server is free"""
    w = Watch(t, t.daemon())
    c = t.client(w.daemon)
    c.send(wire.parse("SELECT nonsense") + wire.flush())
    c.until("E")
    c.send(wire.query("SELECT 1") + wire.sync())
    equal(c.until_ready().kinds, "Z", "the answer")
    check(c.silent(), "nothing more comes")
    w.free_again()
    equal(c.value("SELECT 2"), "2", "the session goes on")
    # The same, all sent at once: what is ignored is known only when the error comes.
    c.send(wire.parse("SELECT nonsense") + wire.query("SELECT 1") + wire.sync() +
           wire.extended("SELECT 3") + wire.sync())
    equal(c.until_ready().kinds, "EZ", "the failed part")
    r = c.until_ready()
    equal((r.rows, r.kinds), ([("3",)], "12TDCZ"), "the next part")
    w.free_again()


@test
def query_in_open_exchange(t):
    """a simple Query after Parse and Bind without Sync: answers are counted right"""
    w = Watch(t, t.daemon())
    c = t.client(w.daemon)
    c.send(wire.extended("SELECT 1") + wire.query("SELECT 2") + wire.sync())
    r = c.until_ready()
    equal((r.rows, r.kinds), ([("1",), ("2",)], "12TDCTDCZ"), "first answer")
    equal(c.until_ready().kinds, "Z", "answer to the Sync")
    w.free_again()
    # PostgreSQL 18 fails with XX000 in the statement behind that: it must not be another client's.
    for messages in (wire.extended("SELECT 1") + wire.query("SELECT 2") + wire.sync(),
                     wire.extended("SELECT 1") + wire.query("SELECT 2"),
                     wire.extended("SELECT 1") + wire.query("SELECT 2") + wire.extended("SELECT 3") + wire.sync(),
                     wire.parse("SELECT 1") + wire.query("SELECT 2") + wire.sync()):
        c = t.client(w.daemon)
        c.send(messages)
        for _ in range(1 if messages.endswith(wire.query("SELECT 2")) else 2):
            c.until_ready()
        c.close()
        equal(t.client(w.daemon).value("SELECT 4"), "4", "the next client's answer")
        w.free_again()


@test
def killed_with_suspended_portal(t):
    """killed with a portal suspended by a row limit"""
    def script(c):
        c.send(wire.parse("SELECT generate_series(1, 1000000)") + wire.bind() +
               wire.execute(limit=5) + wire.flush())
        equal(c.until("s").kinds, "12DDDDDs", "five rows")

    killed_while(t, script, leased)


# ---- COPY ------------------------------------------------------------------------------------------
@test
def killed_in_copy_in(t):
    """killed in COPY IN (simple)"""
    def script(c):
        c.send(wire.query("COPY marks FROM STDIN"))
        c.until("G")
        c.send(wire.copy_data(b"1\tx\n2\ty\n") * 1000)

    killed_while(t, script, runs("COPY marks"))


@test
def killed_in_copy_in_transaction(t):
    """killed in COPY IN inside a transaction with rows of its own"""
    def script(c):
        in_transaction(c)
        c.send(wire.query("COPY marks FROM STDIN"))
        c.until("G")
        c.send(wire.copy_data(b"1\tx\n2\ty\n"))

    killed_while(t, script, runs("COPY marks"))


@test
def killed_in_copy_in_extended(t):
    """killed in COPY IN (extended), no Sync sent"""
    def script(c):
        c.send(wire.parse("COPY marks FROM STDIN") + wire.bind() + wire.execute() + wire.flush())
        c.until("G")
        c.send(wire.copy_data(b"1\tx\n"))

    killed_while(t, script, runs("COPY marks"))


@test
def killed_in_copy_in_extended_with_sync(t):
    """killed in COPY IN (extended), a Sync sent with the Execute, which the copy swallows"""
    def script(c):
        c.send(wire.parse("COPY marks FROM STDIN") + wire.bind() + wire.execute() + wire.sync())
        c.until("G")
        c.send(wire.copy_data(b"1\tx\n"))

    killed_while(t, script, runs("COPY marks"))


@test
def copy_in_extended_with_early_sync(t):
    """COPY IN as libpq does it (Sync with the Execute, another after CopyDone): server free after it"""
    t.sql("CREATE TABLE marks (a int, b text)")
    w = Watch(t, t.daemon())
    c = t.client(w.daemon)
    c.send(wire.parse("COPY marks FROM STDIN") + wire.bind() + wire.execute() + wire.sync())
    c.until("G")
    c.send(wire.copy_data(b"1\tx\n") + wire.copy_done() + wire.sync())
    r = c.until_ready()
    equal((r.tags, r.kinds, r.status), (["COPY 1"], "CZ", "I"), "the answer")
    w.free_again()
    # A copy that fails: the rest of the data and its end are skipped.
    c.send(wire.parse("COPY marks FROM STDIN") + wire.bind() + wire.execute() + wire.sync())
    c.until("G")
    c.send(wire.copy_data(b"nonsense\n") + wire.copy_data(b"1\tx\n") * 50 + wire.copy_done() +
           wire.sync())
    r = c.until_ready()
    equal((r.errors[0].sqlstate, r.status), ("22P02", "I"), "the answer of a failed copy")
    w.free_again()
    equal(c.value("SELECT count(*) FROM marks"), "1", "rows")
    # The client itself gives up.
    c.send(wire.query("COPY marks FROM STDIN"))
    c.until("G")
    c.send(wire.copy_data(b"1\tx\n") + wire.copy_fail("changed my mind"))
    equal(c.until_ready().errors[0].sqlstate, "57014", "CopyFail")
    w.free_again()


@test
def killed_after_failed_copy(t):
    """killed while it goes on sending to a COPY IN that has failed already"""
    def script(c):
        c.send(wire.query("COPY marks FROM STDIN"))
        c.until("G")
        c.send(wire.copy_data(b"nonsense\n"))
        c.until_ready()
        c.send(wire.copy_data(b"1\tx\n") * 10)

    killed_while(t, script, lambda w: None)


@test
def killed_in_half_copy_data(t):
    """killed in the middle of a small CopyData message: nothing copied, same server"""
    def script(c):
        c.send(wire.query("COPY marks FROM STDIN"))
        c.until("G")
        c.send(wire.copy_data(b"1\tx\n") + wire.copy_data(b"2\t" + b"y" * 20000 + b"\n")[:9000])

    killed_while(t, script, runs("COPY marks"))


@test
def killed_in_copy_out(t):
    """killed in a large COPY OUT that it never read"""
    killed_while(t, lambda c: c.send(wire.query(
        "COPY (SELECT repeat('x', 10000) FROM generate_series(1, 200000)) TO STDOUT")),
        lambda w: wait_until(lambda: (w.row() or {}).get("wait_event") == "ClientWrite", 10,
                             "the backend waits for its reader"))


@test
def killed_in_result(t):
    """killed in a large result that it never read, in a transaction"""
    def script(c):
        in_transaction(c)
        c.send(wire.extended("SELECT repeat('x', 10000) FROM generate_series(1, 200000)") +
               wire.sync())

    killed_while(t, script,
                 lambda w: wait_until(lambda: (w.row() or {}).get("wait_event") == "ClientWrite",
                                      10, "the backend waits for its reader"))


# ---- half a message --------------------------------------------------------------------------------
@test
def killed_after_header(t):
    """killed after the header of a message, in a transaction: same server"""
    def script(c):
        in_transaction(c)
        c.send(wire.query(MARK)[:5])

    killed_while(t, script, state("idle in transaction"))


@test
def killed_in_half_header(t):
    """killed after three bytes of a message: same server"""
    def script(c):
        in_transaction(c)
        c.send(wire.query(MARK)[:3])

    killed_while(t, script, state("idle in transaction"))


@test
def killed_in_small_message(t):
    """killed in the middle of a message below 64 kB: nothing executed, same server"""
    def script(c):
        in_transaction(c)
        c.send(wire.query(MARK + " -- " + "x" * 60000)[:50000])

    killed_while(t, script, state("idle in transaction"))


@test
def killed_in_small_message_outside(t):
    """killed in the middle of a message below 64 kB outside a transaction: no server was taken"""
    t.sql("CREATE TABLE marks (a int, b text)")
    w = Watch(t, t.daemon())
    c = w.daemon.connect()
    c.send(wire.query(MARK)[:10])
    check(w.is_free(), "half a message takes no server")
    c.drop()
    w.serves_clean()


@test
def killed_in_small_bind(t):
    """killed in the middle of a Bind after a whole Parse: same server"""
    def script(c):
        c.send(wire.parse("INSERT INTO marks VALUES (1, $1)") + wire.bind(("x" * 30000,))[:20000])

    killed_while(t, script, leased)


@test
def killed_in_large_message(t):
    """killed in the middle of a message of 1 MB: costs the server, executes nothing"""
    def script(c):
        in_transaction(c)
        c.send(wire.query(MARK + " -- " + "x" * 1000000)[:500000])

    killed_while(t, script, state("idle in transaction"), same=False)


@test
def killed_in_large_message_outside(t):
    """killed in the middle of a message of 1 MB outside a transaction: executes nothing"""
    def script(c):
        c.send(wire.query("INSERT INTO marks VALUES (1, 'x'); SELECT '" + "x" * 1000000 + "'")
               [:500000])

    killed_while(t, script, leased, same=False)


@test
def killed_in_large_copy_data(t):
    """killed in the middle of a CopyData message of 1 MB: costs the server, copies nothing"""
    def script(c):
        c.send(wire.query("COPY marks FROM STDIN"))
        c.until("G")
        c.send(wire.copy_data(b"1\tx\n"))
        c.send(wire.copy_data(b"2\t" + b"y" * 1000000 + b"\n")[:500000])

    killed_while(t, script, runs("COPY marks"), same=False)


# ---- pipelines -------------------------------------------------------------------------------------
@test
def killed_with_pipelined_queries(t):
    """killed with ten pg_sleep(10) sent ahead (simple): all gone within 1 s"""
    killed_while(t, lambda c: c.send(wire.query("SELECT pg_sleep(10)") * 10), runs("pg_sleep"))


@test
def killed_with_pipelined_extended(t):
    """killed with ten pg_sleep(10) sent ahead (extended, a Sync each): all gone within 1 s"""
    killed_while(t, lambda c: c.send((wire.extended("SELECT pg_sleep(10)") + wire.sync()) * 10),
                 runs("pg_sleep"))


@test
def killed_with_pipelined_marks(t):
    """killed with a sleep and many inserts sent ahead: each is there whole or not at all"""
    t.sql("CREATE TABLE marks (a int, b text)")
    w = Watch(t, t.daemon())
    sql = "BEGIN; INSERT INTO marks VALUES (%d, 'x'); INSERT INTO marks VALUES (%d, 'y'); COMMIT"
    abandon(t, lambda c: c.send(wire.query(SLEEP) + b"".join(
        wire.query(sql % (i, i)) for i in range(100))), w, runs("pg_sleep"))
    equal(t.sql("SELECT a FROM marks GROUP BY a HAVING count(*) <> 2"), [], "halves")


@test
def killed_with_pipelined_error(t):
    """killed with a pipeline sent ahead, in which an error comes first"""
    killed_while(t, lambda c: c.send(
        wire.parse("SELECT nonsense") + wire.bind() + wire.execute() + wire.extended(MARK) +
        wire.sync() + wire.extended("SELECT pg_sleep(60)") + wire.flush()), runs("pg_sleep"))


# ---- the next in line ------------------------------------------------------------------------------
@test
def waiter_gets_the_cleaned_server(t):
    """the server of a killed client goes straight to the next waiter, clean"""
    t.sql("CREATE TABLE marks (a int, b text)")
    w = Watch(t, t.daemon())
    d = w.daemon

    def script(side):
        c = d.connect()
        in_transaction(c)
        c.send(wire.query(SLEEP))
        side.say("done")
        side.stay()

    p = t.process(script)
    p.heard()
    w.runs("pg_sleep")
    c = t.client(d)
    c.send(wire.query("SELECT pg_backend_pid(), count(*) FROM marks"))
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    p.kill()
    equal(c.until_ready().rows, [(str(w.pid), "0")], "the waiter's answer")
    w.free_again()


@test
def late_cancel_hits_nobody(t):
    """a CancelRequest that is under way keeps the server from the next client until it has ended"""
    proxy = t.proxy()
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), cleanup_timeout="30s")
    with d.connect() as c:
        pid = c.backend()
    d.quiet()
    t.sql("SELECT pg_advisory_lock(1)")

    def script(side):
        c = d.connect()
        c.send(wire.query("SELECT pg_advisory_lock(1)"))
        side.say("done")
        side.stay()

    p = t.process(script)
    p.heard()
    wait_until(lambda: t.cluster.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %d" % pid),
               10, "it waits for the lock")
    proxy.cancel_gate.clear()
    p.kill()
    wait_until(lambda: proxy.cancels == 1, 5, "the cancel is under way")
    c = t.client(d)
    c.send(wire.query("SELECT pg_sleep(0.2), pg_backend_pid()"))
    wait_until(lambda: d.waiting() == 1, 5, "the next client waits")
    # The query ends by itself, before the cancel arrives.
    t.sql("SELECT pg_advisory_unlock(1)")
    wait_until(lambda: t.activity()[0]["state"] == "idle", 5, "the query has ended")
    check(c.silent(0.2), "the next client gets nothing while the cancel is under way")
    equal(d.waiting(), 1, "clients that wait")
    proxy.cancel_gate.set()
    r = c.until_ready()
    equal((r.errors, r.rows), ([], [("", str(pid))]), "the next client's answer")
    equal(c.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0",
          "advisory locks that the abandoned statement has left")


@test
def cleanup_out_of_time(t):
    """a cleanup that does not end within cleanup_timeout costs the server; the next client is served"""
    proxy = t.proxy()
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), cleanup_timeout="300ms")
    with d.connect() as c:
        pid = c.backend()
    d.quiet()
    proxy.cancel_gate.clear()
    t.sql("SELECT pg_advisory_lock(1)")
    c = d.connect()
    c.send(wire.query("SELECT pg_advisory_lock(1)"))
    wait_until(lambda: t.cluster.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %d" % pid),
               10, "it waits for the lock")
    c.drop()
    c = t.client(d)
    check(c.backend() != pid, "another backend serves the next client")
    equal(len(d.servers()), 1, "servers")
    t.sql("SELECT pg_advisory_unlock(1)")
    proxy.cancel_gate.set()
    d.quiet()


@test(timeout=120)
def many_in_a_row(t):
    """sixty clients killed one after the other in every way: one backend serves them all"""
    t.sql("CREATE TABLE marks (a int, b text)")
    w = Watch(t, t.daemon())
    ways = [
        lambda c: c.send(wire.query("BEGIN; %s; %s" % (MARK, SLEEP))),
        lambda c: c.send(wire.extended(MARK) + wire.extended(SLEEP) + wire.flush()),
        lambda c: c.send(wire.extended(SLEEP) + wire.sync()),
        lambda c: c.send(wire.query(SLEEP) * 3),
        lambda c: c.send(wire.query("COPY marks FROM STDIN") + wire.copy_data(b"1\tx\n")),
        lambda c: c.send(wire.parse("SELECT nonsense") + wire.sync() + wire.query("BEGIN") +
                         wire.query(MARK) + wire.query(SLEEP)[:4]),
    ]
    for i in range(60):
        c = w.daemon.connect()
        t.random.choice(ways)(c)
        if i % 2:
            wait_until(w.daemon.leased, 5, "it is leased")
        c.drop()
    w.free_again()
    w.serves_clean()
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


if __name__ == "__main__":
    main()
