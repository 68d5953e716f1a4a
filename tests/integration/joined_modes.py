"""Joined scopes: READ ONLY in all its spellings, AND CHAIN, DISCARD ALL. Each program is run alone on a direct connection and
by a member of a joined scope, and gets the same answers."""

from pgwtest import equal, main, note, test, wire
from pgwtest.joined import compare, enter

INSERT = "INSERT INTO t VALUES (1)"
DEFAULT = "default_transaction_read_only"

PROGRAMS = {
    "COMMIT AND CHAIN": [
        "BEGIN READ ONLY", INSERT, "ROLLBACK", "BEGIN READ ONLY", "COMMIT AND CHAIN", "SHOW transaction_read_only", INSERT, "ROLLBACK",
        "BEGIN", "COMMIT AND CHAIN", INSERT, "COMMIT AND CHAIN", INSERT, "COMMIT", "SHOW transaction_read_only"],
    "ROLLBACK AND CHAIN": [
        "BEGIN READ ONLY", "ROLLBACK AND CHAIN", INSERT, "ROLLBACK AND CHAIN", INSERT, "ROLLBACK", INSERT,
        "BEGIN READ ONLY", "SELECT 1/0", "COMMIT AND CHAIN", INSERT, "ROLLBACK", "BEGIN READ ONLY", "SELECT 1", "ROLLBACK AND CHAIN",
        INSERT, "ROLLBACK"],
    "SET TRANSACTION and AND CHAIN": [
        "BEGIN", "SET TRANSACTION READ ONLY", "COMMIT AND CHAIN", INSERT, "ROLLBACK", "BEGIN", "SET transaction_read_only = on",
        "COMMIT AND CHAIN", INSERT, "ROLLBACK", "START TRANSACTION READ ONLY", "END AND CHAIN", INSERT, "ABORT"],
    "BEGIN in BEGIN": [
        "BEGIN", "BEGIN READ ONLY", INSERT, "ROLLBACK", "BEGIN", "SELECT 1", "START TRANSACTION READ ONLY", INSERT, "ROLLBACK",
        "BEGIN", "BEGIN", "BEGIN READ ONLY", "COMMIT AND CHAIN", INSERT, "ROLLBACK", INSERT],
    "the default": [
        "SET %s = on" % DEFAULT, INSERT, "SELECT 1", "BEGIN", "SHOW transaction_read_only", INSERT, "ROLLBACK", "BEGIN READ WRITE",
        INSERT, "COMMIT AND CHAIN", INSERT, "COMMIT", "BEGIN", "COMMIT AND CHAIN", INSERT, "ROLLBACK", "SET %s = off" % DEFAULT,
        INSERT, "BEGIN READ ONLY", "COMMIT", INSERT],
    "SET SESSION CHARACTERISTICS": [
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", INSERT, "BEGIN", INSERT, "ROLLBACK", "RESET ALL", INSERT,
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", INSERT],
    "set_config": ["SELECT set_config('%s', 'on', false)" % DEFAULT, INSERT, "DISCARD ALL", INSERT],
}


@test(timeout=180)
def programs(t):
    """each program gets the answers that it gets alone"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=2)
    for name, statements in PROGRAMS.items():
        compare(t, d, name, statements, lambda: t.sql("DELETE FROM t"))
    note("%d programs" % len(PROGRAMS))
    d.quiet()


@test
def default_by_options(t):
    """default_transaction_read_only as a startup option keeps a member from writing, and nobody else"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=2)
    c, member = enter(t, d)
    w, other = member(**{DEFAULT: "on"}), member()
    for _ in range(3):
        equal([e.sqlstate for e in w.ask(INSERT).errors], ["25006"], "the error")
        other.sql(INSERT)
        equal(w.value("SHOW transaction_read_only"), "on", "the mode")
    c.sql("EXIT")
    equal(t.value("SELECT count(*) FROM t"), "3", "rows")
    d.quiet()


@test
def discard_all(t):
    """DISCARD ALL behind another Execute of its exchange is refused, alone in its exchange it is done, as on a direct connection"""
    d = t.daemon(size=2)
    c, member = enter(t, d)
    answers = []
    for w in t.direct(), member():
        w.sql("SET work_mem = '9MB'")
        got = []
        for messages in ([wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.parse("DISCARD ALL"), wire.bind(), wire.execute()],
                         [wire.parse("DISCARD ALL"), wire.bind(), wire.execute()],
                         [wire.parse("DISCARD ALL"), wire.bind(), wire.describe(), wire.execute(), wire.close_()]):
            w.send(b"".join(messages) + wire.sync())
            r = w.until_ready()
            got.append((r.tags, [(e.sqlstate, e.message) for e in r.errors], r.status))
            got.append(w.value("SHOW work_mem"))
        answers.append(got)
    equal(answers[1], answers[0], "the answers")
    c.sql("EXIT")
    d.quiet()


if __name__ == "__main__":
    main()
