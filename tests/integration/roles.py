"""role = client: servers log in as the role of their client; the roles of a pool share its size."""

from pgwtest import check, equal, main, test, wait_until, wire


def pool(t, **options):
    for role in ("alice", "bob", "carol"):
        t.cluster.role(role)
    return t.daemon(role="client", **options)


@test
def own_role(t):
    """each client is its own role on the server, and its login parameters are those of its role"""
    d = pool(t, size=4)
    for role in ("alice", "bob", "postgres"):
        with d.connect(user=role) as c:
            equal(c.value("SELECT session_user || ' ' || current_user"), "%s %s" % (role, role), role)
            equal(c.parameters["session_authorization"], role, "what the client was told")
            equal(c.parameters["is_superuser"], "on" if role == "postgres" else "off", role)


@test
def bounded_together(t):
    """size bounds all roles together: an idle server of one role makes room for another"""
    d = pool(t, size=2)
    clients = {role: t.client(d, user=role) for role in ("alice", "bob", "carol")}
    for _ in range(3):
        for role, c in clients.items():
            equal(c.value("SELECT session_user"), role, role)
            check(len([r for r in d.servers() if r["state"] != "closed"]) <= 2, "two servers at most")
    check(len(t.activity()) <= 2, "in PostgreSQL too")


@test
def one_order(t):
    """a client of another role that waits gets the place of the role that held all servers"""
    d = pool(t, size=1)
    a = t.client(d, user="alice")
    b = t.client(d, user="bob")
    equal(b.value("SELECT session_user"), "bob", "bob, first")
    a.sql("BEGIN")
    b.send(wire.query("SELECT session_user"))
    wait_until(lambda: sum(int(r["cl_waiting"]) for r in d.show("POOLS") if r["database"] == "db") == 1, 5,
               "bob waits")
    check(b.silent(0.05), "as long as alice is in her transaction")
    a.sql("COMMIT")
    equal(b.until_ready().rows, [("bob",)], "bob is served")


@test
def fair(t):
    """two roles that both want the only server all the time are both served"""
    d = pool(t, size=1)
    a = [t.client(d, user="alice") for _ in range(3)]
    b = t.client(d, user="bob")
    served = 0
    for c in a:
        c.send(wire.query("SELECT pg_sleep(0.02)"))
    b.send(wire.query("SELECT session_user"))
    while b.silent(0.001):
        for c in a:
            if not c.silent(0.005):
                c.until_ready()
                served += 1
                c.send(wire.query("SELECT pg_sleep(0.02)"))
        check(served < 500, "bob is served before alice has been 500 times")
    equal(b.until_ready().rows, [("bob",)], "bob")
    for c in a:
        c.until_ready()


if __name__ == "__main__":
    main()
