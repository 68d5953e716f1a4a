"""The server behind TLS: the relay goes through libpq's SSL connection."""

from pgwtest import check, equal, main, test, wire
from pgwtest.looks import Watch, abandon, runs


def tls(t, **more):
    cluster = t.cluster
    cluster.sql("ALTER ROLE postgres PASSWORD 'secret \\ ''7'")
    return t.conninfo(host="127.0.0.1", sslmode="require", password=r"'secret \\ \'7'", **more)


@test
def login(t):
    """logs in with TLS and SCRAM, and queries pass"""
    d = t.daemon(conninfo=tls(t), size=2)
    c = t.client(d)
    equal(c.sql("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
          [("t", "TLSv1.3")], "the server connection")
    equal(c.ask_extended("SELECT $1::int", (4,)).value, "4", "an extended query")
    check("secret" not in d.log_text(), "no password in the log")


@test
def kills(t):
    """killed with a query running, without Sync, in COPY IN: cleaned up, same server"""
    t.sql("CREATE TABLE marks (a int, b text)")
    w = Watch(t, t.daemon(conninfo=tls(t)))
    insert = "INSERT INTO marks VALUES (1)"
    abandon(t, lambda c: c.send(wire.query("BEGIN; %s; SELECT pg_sleep(60)" % insert)), w,
            runs("pg_sleep"))
    abandon(t, lambda c: c.send(wire.extended(insert) + wire.extended("SELECT pg_sleep(60)") +
                                wire.flush()), w, runs("pg_sleep"))
    abandon(t, lambda c: c.send(wire.query("COPY marks FROM STDIN") + wire.copy_data(b"1\tx\n")), w,
            runs("COPY"))
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


@test
def cancel(t):
    """a CancelRequest reaches the query"""
    w = Watch(t, t.daemon(conninfo=tls(t)))
    c = t.client(w.daemon)
    c.send(wire.query("SELECT pg_sleep(60)"))
    w.runs("pg_sleep")
    c.cancel()
    equal(c.until_ready().errors[0].sqlstate, "57014", "the answer")
    w.free_again()


@test
def large(t):
    """results and COPY of 20 MB, and a pipeline, pass unharmed (TLS records end anywhere)"""
    t.sql("CREATE UNLOGGED TABLE sink (v text)")
    d = t.daemon(conninfo=tls(t), options={"log_level": "info"})
    c = t.client(d)
    r = c.ask("SELECT repeat(md5(i::text), 1000) FROM generate_series(1, 600) i")
    direct = t.direct().ask("SELECT repeat(md5(i::text), 1000) FROM generate_series(1, 600) i")
    equal(r.rows == direct.rows, True, "the rows are the same")
    c.send(wire.query("COPY sink FROM STDIN"))
    c.until("G")
    for i in range(600):
        c.send(wire.copy_data((b"%d" % i).ljust(32000, b"x") + b"\n"))
    c.send(wire.copy_done())
    equal(c.until_ready().tags, ["COPY 600"], "COPY")
    equal(t.value("SELECT sum(length(v)) FROM sink"), str(600 * 32000), "its bytes")
    c.send(b"".join(wire.extended("SELECT %d" % i) + wire.sync() for i in range(500)))
    equal([c.until_ready().value for _ in range(500)], [str(i) for i in range(500)], "the pipeline")
    # The last bytes of an answer may sit in the TLS layer while the socket is silent.
    for size in list(range(16200, 16500, 7)) + [16384 * n - k for n in (1, 2) for k in range(40)]:
        equal(len(c.value("SELECT repeat('x', %d)" % size)), size, "the row")


@test
def restart(t):
    """PostgreSQL restarts: served again over TLS"""
    d = t.daemon(conninfo=tls(t), retry_delay="100ms")
    c = t.client(d)
    c.sql("SELECT 1")
    t.cluster.restart("fast")
    equal(c.value("SELECT 1"), "1", "the same session")


@test
def wrong_password(t):
    """a wrong password is told to the client, without the password"""
    tls(t)
    d = t.daemon(conninfo=t.conninfo(host="127.0.0.1", sslmode="require", password="wrong1"))
    try:
        d.connect().sql("SELECT 1")
        check(False, "an error must come")
    except wire.ServerError as e:
        check("password authentication failed" in str(e), "the error: %s" % e)
    check("wrong1" not in d.log_text(), "no password in the log")


if __name__ == "__main__":
    main(cluster={"tls": True})
