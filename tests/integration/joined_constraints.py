"""Joined scopes: deferrable constraints. Each program is run alone on a direct connection and by a member of a joined
scope, and gets the same answers: what a unit has deferred is checked at its end, and nothing of it is left to others."""

from pgwtest import check, equal, main, note, test
from pgwtest.joined import compare, enter

SETUP = """
DROP SCHEMA IF EXISTS s CASCADE; DROP SCHEMA IF EXISTS "S 2" CASCADE; CREATE SCHEMA s; CREATE SCHEMA "S 2";
SET search_path = s;
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE i (id int, CONSTRAINT i_now UNIQUE (id) DEFERRABLE INITIALLY IMMEDIATE);
CREATE TABLE u (id int, CONSTRAINT "u'q ""x" UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "S 2".v (id int, CONSTRAINT "V v" UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE log (n int);
CREATE TABLE w (id int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.id < 0 THEN RAISE EXCEPTION 'negative'; END IF; RAISE NOTICE 'row %', NEW.id; INSERT INTO s.log VALUES (NEW.id);
  IF NEW.id > 100 THEN INSERT INTO s.c VALUES (NEW.id, NEW.id); END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER w_late AFTER INSERT ON w DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
CREATE TABLE part (id int, p int REFERENCES p DEFERRABLE INITIALLY DEFERRED) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1); CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2)
"""

PROGRAMS = {
    "ALTER TABLE in the next unit": [
        "INSERT INTO p VALUES (1)", "INSERT INTO c VALUES (1, 1)", "ALTER TABLE c ADD COLUMN x int",
        "ALTER TABLE p ADD COLUMN x int", "TRUNCATE c", "DROP TABLE c"],
    "the same in BEGIN": [
        "BEGIN", "INSERT INTO c VALUES (1, 1)", "INSERT INTO p VALUES (1), (2)", "COMMIT", "BEGIN", "UPDATE c SET p = 2",
        "ALTER TABLE c ADD COLUMN x int", "ROLLBACK", "BEGIN", "ALTER TABLE c ADD COLUMN x int", "COMMIT"],
    "a unit fails for its own": [
        "INSERT INTO c VALUES (1, 1)", "INSERT INTO p VALUES (1)", "INSERT INTO c VALUES (1, 1)", "BEGIN",
        "INSERT INTO c VALUES (2, 2)", "COMMIT", "SELECT * FROM c", "INSERT INTO p VALUES (7)", "DELETE FROM p WHERE id = 1",
        "SELECT * FROM p ORDER BY id"],
    "SET CONSTRAINTS ends with the unit": [
        "BEGIN", "SET CONSTRAINTS ALL IMMEDIATE", "INSERT INTO c VALUES (1, 1)", "COMMIT", "BEGIN", "INSERT INTO c VALUES (1, 1)",
        "COMMIT", "BEGIN", "SET CONSTRAINTS ALL DEFERRED", "INSERT INTO i VALUES (1), (1)", "DELETE FROM i", "COMMIT",
        "INSERT INTO i VALUES (2)", "BEGIN", "INSERT INTO i VALUES (2)", "COMMIT", "BEGIN", "SET CONSTRAINTS i_now DEFERRED",
        "COMMIT", "BEGIN", "INSERT INTO i VALUES (2)", "SELECT 1", "ROLLBACK"],
    "SET CONSTRAINTS by a function": [
        "BEGIN", "DO $$ BEGIN SET CONSTRAINTS ALL DEFERRED; END $$", "COMMIT", "INSERT INTO i VALUES (2)", "BEGIN",
        "INSERT INTO i VALUES (2)", "ROLLBACK"],
    "names in quotes, another schema": [
        "BEGIN", "INSERT INTO u VALUES (1), (1)", "DELETE FROM u", "INSERT INTO u VALUES (1)", "COMMIT", "INSERT INTO u VALUES (1)",
        "BEGIN", "INSERT INTO \"S 2\".v VALUES (1), (1)", "SELECT count(*) FROM \"S 2\".v", "COMMIT",
        "ALTER TABLE u ADD COLUMN x int", "ALTER TABLE \"S 2\".v ADD COLUMN x int"],
    "triggers": [
        "INSERT INTO w VALUES (1)", "SELECT * FROM log", "INSERT INTO w VALUES (-1)", "BEGIN", "INSERT INTO w VALUES (2)",
        "INSERT INTO w VALUES (3)", "SELECT * FROM log", "COMMIT", "SELECT * FROM log", "INSERT INTO w VALUES (101)",
        "SELECT * FROM c", "INSERT INTO p VALUES (101)", "INSERT INTO w VALUES (101)", "SELECT * FROM c", "SELECT * FROM log",
        "ALTER TABLE w ADD COLUMN x int", "ALTER TABLE c ADD COLUMN x int"],
    "partitions": [
        "INSERT INTO part VALUES (1, 1)", "INSERT INTO p VALUES (1)", "INSERT INTO part VALUES (1, 1), (2, 1)",
        "ALTER TABLE part ADD COLUMN x int", "INSERT INTO part_2 VALUES (2, 2)", "TRUNCATE part"],
    "TRUNCATE and as many rows again": [
        "INSERT INTO p VALUES (1), (2)", "INSERT INTO c VALUES (1, 1), (2, 2)", "BEGIN", "TRUNCATE c", "INSERT INTO c VALUES (1, 9)",
        "INSERT INTO c VALUES (2, 2)", "COMMIT", "BEGIN", "TRUNCATE c", "INSERT INTO c VALUES (1, 1), (2, 2)", "COMMIT",
        "ALTER TABLE c ADD COLUMN x int", "BEGIN", "TRUNCATE c", "INSERT INTO c VALUES (1, 1), (2, 9)", "COMMIT",
        "ALTER TABLE c ADD COLUMN y int"],
    "made in the scope": [
        "CREATE TABLE n (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)", "INSERT INTO n VALUES (1), (1)", "INSERT INTO n VALUES (1)",
        "ALTER TABLE n ADD COLUMN x int", "BEGIN", "CREATE TABLE n2 (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO n2 VALUES (1)", "COMMIT", "ALTER TABLE n2 ADD COLUMN x int", "BEGIN", "INSERT INTO n2 VALUES (1)",
        "SELECT count(*) FROM n2", "COMMIT", "CREATE TEMP TABLE tmp (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO tmp VALUES (1), (1)", "INSERT INTO tmp VALUES (1)", "ALTER TABLE tmp ADD COLUMN x int", "DROP TABLE tmp"],
    "savepoints": [
        "INSERT INTO p VALUES (1)", "BEGIN", "SAVEPOINT a", "SET CONSTRAINTS ALL IMMEDIATE", "INSERT INTO c VALUES (1, 2)",
        "ROLLBACK TO a", "INSERT INTO c VALUES (1, 2)", "SAVEPOINT b", "UPDATE c SET p = 1", "RELEASE b", "COMMIT",
        "ALTER TABLE c ADD COLUMN x int", "BEGIN", "SAVEPOINT a", "INSERT INTO c VALUES (2, 3)", "ROLLBACK TO a", "COMMIT"],
    "another role": [
        "SET ROLE fz_poor", "INSERT INTO c VALUES (1, 1)", "BEGIN", "INSERT INTO c VALUES (1, 1)", "RESET ROLE",
        "INSERT INTO p VALUES (1)", "COMMIT", "SET ROLE fz_poor", "INSERT INTO c VALUES (2, 1)", "INSERT INTO c VALUES (3, 2)",
        "RESET ROLE", "ALTER TABLE c ADD COLUMN x int"],
}


@test(timeout=180)
def programs(t):
    """each program gets the answers that it gets alone: checks, SET CONSTRAINTS, ALTER TABLE behind it, triggers, partitions"""
    def setup():
        w = t.direct()
        w.sql(SETUP)
        w.sql("GRANT USAGE ON SCHEMA s TO fz_poor; GRANT ALL ON ALL TABLES IN SCHEMA s TO fz_poor")
        w.close()
    t.cluster.role("fz_poor", "")
    d = t.daemon(size=2)
    for name, statements in PROGRAMS.items():
        compare(t, d, name, statements, setup, ["SET search_path = s"])
    note("%d programs" % len(PROGRAMS))
    d.quiet()


@test
def shared_names(t):
    """a name that deferred and other constraints of a schema share: the checks are the same, and nothing else is deferred"""
    def setup():
        t.sql("DROP TABLE IF EXISTS a, b, e")
        t.sql("CREATE TABLE a (id int CONSTRAINT same CHECK (id > 0))")
        t.sql("CREATE TABLE e (id int PRIMARY KEY)")
        t.sql("CREATE TABLE b (id int CONSTRAINT same REFERENCES e DEFERRABLE INITIALLY DEFERRED)")
    d = t.daemon(size=2)
    compare(t, d, "shared names", [
        "SET search_path = public", "INSERT INTO b VALUES (1)", "BEGIN", "INSERT INTO b VALUES (1)", "INSERT INTO e VALUES (1)",
        "COMMIT", "INSERT INTO a VALUES (0)", "INSERT INTO b VALUES (2)", "SELECT * FROM b"], setup)
    d.quiet()


@test
def other_operators(t):
    """a member whose search_path has operators of its own first: its units are checked, and constraints stay deferred for others"""
    t.sql("CREATE TABLE d (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    t.sql("CREATE SCHEMA mine")
    t.sql("CREATE FUNCTION mine.no(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT false'")
    t.sql("CREATE FUNCTION mine.fails(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''evil''; END'")
    t.sql("CREATE OPERATOR mine.= (FUNCTION = mine.no, LEFTARG = int, RIGHTARG = int)")
    for op in "=", "<>", "~", "~*":
        t.sql("CREATE OPERATOR mine.%s (FUNCTION = mine.fails, LEFTARG = text, RIGHTARG = text)" % op)
    d = t.daemon(size=2)
    for how in "SET search_path = mine, public, pg_catalog", "SELECT set_config('search_path', 'mine, public, pg_catalog', true)":
        t.sql("DELETE FROM d")
        c, member = enter(t, d)
        a, b = member(), member()
        for inserts in "%s; INSERT INTO public.d VALUES (5)" % how, "INSERT INTO public.d VALUES (6)":
            a.sql(inserts)
            b.sql("BEGIN")
            b.sql("INSERT INTO d VALUES (1), (2)")
            b.sql("INSERT INTO d VALUES (1)")
            b.sql("DELETE FROM d WHERE n = 1")
            equal(b.ask("ROLLBACK").errors, [], "what another has deferred")
        equal([e.sqlstate for e in a.ask("INSERT INTO public.d VALUES (5)").errors], ["23505"], "a unit is checked")
        c.sql("EXIT")
    d.quiet()


@test(timeout=120)
def many(t):
    """2,000 deferred constraints: a unit that writes checks them, and one that does not costs no more than without"""
    t.sql("CREATE TABLE e (id int PRIMARY KEY)")
    t.sql("DO $$ BEGIN FOR i IN 1..2000 LOOP EXECUTE format('CREATE TABLE many_%s (id int CONSTRAINT \"a rather long name of a "
          "constraint, number %s\" REFERENCES e DEFERRABLE INITIALLY DEFERRED)', i, i); END LOOP; END $$")
    d = t.daemon(size=2)
    c, member = enter(t, d)
    m = member()
    r = m.ask("INSERT INTO many_77 VALUES (1)")
    equal([e.sqlstate for e in r.errors], ["23503"], "the error")
    m.sql("INSERT INTO e VALUES (1)")
    m.sql("INSERT INTO many_77 VALUES (1)")
    m.sql("ALTER TABLE many_77 ADD COLUMN x int")
    for _ in range(3):
        equal(m.value("SELECT count(*) FROM many_77"), "1", "rows")
    m.sql("INSERT INTO e VALUES (2)")
    check(not m.ask("BEGIN; INSERT INTO many_1999 VALUES (3); INSERT INTO e VALUES (3); COMMIT").errors, "a BEGIN")
    c.sql("EXIT")
    equal(t.value("SELECT count(*) FROM e"), "3", "rows")
    d.quiet()


if __name__ == "__main__":
    main()
