"""Programs that nobody here wrote, in Python, Ruby, JavaScript and C, each with several connections: in pgwith run --rollback
they do what they do on a direct connection, and pg_dump then says the same as before, byte for byte."""

import os
import re
import shutil
import xml.etree.ElementTree

from pgwtest import Skip, check, child, equal, main, slow_factor, test, unavailable, wait_until
from pgwtest.daemon import SANITIZE_ENV
from pgwtest.runs import words
from pgwtest.server import bindir

SYSTEM_PYTHON = "/usr/bin/python3"
BEFORE = ("CREATE SCHEMA test_schema; CREATE TABLE mine (n serial PRIMARY KEY, s text);"
          "INSERT INTO mine (s) SELECT 'x' || i FROM generate_series(1, 50) i; CREATE INDEX ON mine (s)")


def pg(name):
    return os.path.join(bindir(), name)


def dump(t):
    """What pg_dump says of the test's database; without the key that newer ones draw at random."""
    out = child.run_ok([pg("pg_dump"), "-h", t.cluster.sockets, "-p", str(t.cluster.port), "-U", "postgres", t.database],
                       env={"PGPASSWORD": t.cluster.password or ""})
    return "\n".join(line for line in out.split("\n") if not line.startswith(("\\restrict", "\\unrestrict")))


def both(t, argv, outcome=None, env=None, prepare=BEFORE):
    """Runs the program directly, in a database of its own, and in pgwith run --rollback, in another one. Its status and its
    output, or what outcome(where) makes of it, are the same, and so is the second database. Returns that."""
    env = dict(os.environ, **(env or {}))
    t.sql(prepare)
    direct = dict(env, PGHOST=t.cluster.sockets, PGPORT=str(t.cluster.port), PGUSER="postgres", PGDATABASE=t.database,
                  PGPASSWORD=t.cluster.password or "")

    def run(argv, env, where):
        os.mkdir(t.path(where))
        status, out, err = child.run(argv, env=dict(env, WHERE=t.path(where)), cwd=t.path(where), timeout=150)
        return status, outcome(t.path(where)) if outcome else out, err
    want = run(argv, direct, "direct")
    t.new_database()
    t.sql(prepare)
    before = dump(t)
    d = t.daemon(size=2)
    got = run(words(d, "--pool", "db", "--rollback", "--deadline", "%ds" % (150 * slow_factor()), "--") + argv, dict(env, **SANITIZE_ENV), "run")
    equal(got[:2], want[:2], "as directly; stderr here: %s; there: %s" % (got[2][-2000:], want[2][-2000:]))
    equal(dump(t), before, "pg_dump")
    d.quiet()
    wait_until(lambda: not d.clients(), 5, "no session is left")
    check(re.search("joined", d.log_text()), "they have joined")
    joined = d.log_text().count(" joined scope=")
    check(joined > 1, "several connections: %d" % joined)
    print("# %d connections" % joined)
    return want


@test(timeout=300)
def sqlalchemy(t):
    """Python: the compliance suite of SQLAlchemy, 600 tests, with psycopg2: each has the outcome that it has directly"""
    status, _, _ = child.run([SYSTEM_PYTHON, "-c", "import os, sqlalchemy, psycopg2, pytest;"
                             " assert os.path.exists(os.path.dirname(sqlalchemy.__file__) + '/testing/suite/test_select.py')"])
    if status != 0:
        unavailable("no python3-sqlalchemy with its suite, python3-psycopg2 and python3-pytest")
    files = {
        "conftest.py": "import pytest\npytest.register_assert_rewrite('sqlalchemy.testing.assertions')\n"
                       "from sqlalchemy.testing.plugin.pytestplugin import *\n",
        "test_suite.py": "from sqlalchemy.testing.suite import *\n",
        "requirements.py": "from sqlalchemy.testing.requirements import SuiteRequirements\n"
                           "class Requirements(SuiteRequirements):\n    pass\n",
        "setup.cfg": "[tool:pytest]\naddopts = -p no:warnings -p no:logging -p no:cacheprovider\npython_files = test_suite.py\n"
                     "[sqla_testing]\nrequirement_cls = requirements:Requirements\nprofile_file = profiles.txt\n"
                     "[db]\ndefault = postgresql+psycopg2:///\n"}
    for name, text in files.items():
        with open(t.path(name), "w") as f:
            f.write(text)

    def outcome(where):
        found = {}
        for case in xml.etree.ElementTree.parse(os.path.join(where, "out.xml")).getroot().iter("testcase"):
            name = case.get("classname") + "." + case.get("name")
            found[name] = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        return found
    found = both(t, ["sh", "-c", "cd %s && exec %s -m pytest -q --junitxml=$WHERE/out.xml" % (t.directory, SYSTEM_PYTHON)], outcome)[1]
    good = sum(not x for x in found.values())
    check(len(found) > 400 and good > 250, "%d tests, %d good" % (len(found), good))
    print("# %d tests, %d of them good, %d skipped" % (len(found), good, sum(x == ["skipped"] for x in found.values())))


RAILS = r"""
require 'rails'
require 'active_record'
class App < Rails::Application
  config.eager_load = false
  config.secret_key_base = 'x'
  config.logger = Logger.new(nil)
end
App.initialize!
ActiveRecord::Base.establish_connection("postgresql:///?pool=4&prepared_statements=true")
ActiveRecord::Migration.verbose = false
gems = Gem::Specification.select { |s| %w[activestorage actionmailbox actiontext].include?(s.name) }
paths = gems.map { |s| File.join(s.gem_dir, 'db/migrate') }.select { |p| Dir.exist?(p) }.sort
context = ActiveRecord::MigrationContext.new(paths, ActiveRecord::SchemaMigration)
context.migrate
puts context.get_all_versions.inspect, ActiveRecord::Base.connection.tables.sort.join(' ')
class Blob < ActiveRecord::Base; self.table_name = 'active_storage_blobs'; end
threads = 3.times.map do |i|
  Thread.new do
    ActiveRecord::Base.connection_pool.with_connection do
      10.times do |n|
        Blob.transaction { Blob.create!(key: "#{i}-#{n}", filename: 'f', byte_size: n, service_name: 's', checksum: 'c') }
      end
      begin
        Blob.create!(key: "#{i}-0", filename: 'twice', byte_size: 0, service_name: 's', checksum: 'c')
      rescue ActiveRecord::RecordNotUnique
        puts 'refused' if i == 0
      end
      Blob.transaction { Blob.create!(key: "no#{i}", filename: 'f', byte_size: 1, service_name: 's', checksum: 'c'); raise ActiveRecord::Rollback }
    end
  end
end
threads.each(&:join)
puts Blob.count, Blob.sum(:byte_size), Blob.order(:key).pluck(:key).join(' '), ActiveRecord::Base.connection_pool.stat[:connections]
context.rollback(1)
puts ActiveRecord::Base.connection.tables.sort.join(' ')
context.migrate
puts ActiveRecord::Base.connection.tables.sort.join(' ')
"""


@test(timeout=120)
def rails(t):
    """Ruby: the migrations of Rails itself (Active Storage, Action Mailbox, Action Text), forth and back, and models in threads"""
    probe = "require 'rails'; require 'active_record'; require 'pg'; exit(Gem::Specification.any? { |s| s.name == 'activestorage' })"
    if shutil.which("ruby") is None or child.run(["ruby", "-e", probe])[0] != 0:
        unavailable("no ruby-activerecord, ruby-railties, ruby-pg and ruby-activestorage")
    with open(t.path("rails.rb"), "w") as f:
        f.write(RAILS)
    status, out, err = both(t, ["ruby", t.path("rails.rb")])
    equal(status, 0, out + err)
    check("active_storage_blobs" in out and "refused" in out, out)


KNEX = {
    "knexfile.js": "module.exports = { client: 'pg', connection: {}, pool: { min: 0, max: 4 }, migrations: { directory: './migrations' },"
                   " seeds: { directory: './seeds' } };\n",
    "migrations/1_users.js": "exports.up = (k) => k.schema.createTable('users', (t) => { t.increments(); t.string('name').unique(); t.timestamp('at'); })\n"
                             "  .createTable('posts', (t) => { t.increments(); t.integer('user_id').references('users.id');"
                             " t.jsonb('body'); t.index('user_id'); });\n"
                             "exports.down = (k) => k.schema.dropTable('posts').dropTable('users');\n",
    "migrations/2_alter.js": "exports.up = async (k) => { await k.schema.alterTable('posts', (t) => { t.boolean('draft').defaultTo(true);"
                             " t.dropIndex('user_id'); });\n  await k.raw('CREATE VIEW drafts AS SELECT * FROM posts WHERE draft'); };\n"
                             "exports.down = async (k) => { await k.raw('DROP VIEW drafts');"
                             " await k.schema.alterTable('posts', (t) => { t.dropColumn('draft'); t.index('user_id'); }); };\n",
    "migrations/3_fails.js": "exports.up = async (k) => { if (process.env.FAIL) { await k.schema.createTable('half', (t) => t.increments());"
                             " await k.raw('SELECT 1/0'); } };\nexports.down = async () => {};\n",
    "seeds/one.js": "exports.seed = async (k) => { await k('posts').del(); await k('users').del();\n"
                    "  await k.batchInsert('users', Array.from({ length: 300 }, (_, i) => ({ name: 'u' + i })), 100);\n"
                    "  const ids = await k('users').pluck('id').orderBy('id');\n"
                    "  await Promise.all(ids.slice(0, 40).map((id, i) => k.transaction(async (x) => {\n"
                    "    await x('posts').insert({ user_id: id, body: { i } });\n"
                    "    await x.transaction(async (y) => { await y('posts').insert({ user_id: id, body: {} }); throw new Error('no'); }).catch(() => {});\n"
                    "    if (i % 4 === 0) throw new Error('odd'); }).catch((e) => { if (e.message !== 'odd') throw e; })));\n"
                    "  await k('users').insert({ name: 'u1' }).then(() => console.log('twice?'), (e) => console.log(e.code));\n"
                    "  console.log(await k('posts').count('*'), await k('drafts').sum('user_id'), (await k('users').max('name'))[0]); };\n",
}


def modules():
    """Where knex and pg of npm are: installed once in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    where = os.path.join(cache, "pgwith-tests", "knex-3.3.0")
    if os.path.isdir(where):
        return os.path.join(where, "node_modules")
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Skip("no npm")
    making = "%s.%d" % (where, os.getpid())
    os.makedirs(making)
    try:
        status, out, err = child.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", making, "knex@3.3.0", "pg@8.23.1"])
        if status != 0:
            raise Skip("npm cannot install knex: " + " ".join((err or out).split())[:200])
        if not os.path.isdir(where):
            os.rename(making, where)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return os.path.join(where, "node_modules")


@test(timeout=120)
def knex(t):
    """JavaScript: knex's command line: migrations forth, back, one that fails, a seed with transactions side by side"""
    where = modules()
    project = t.path("project")
    for name, text in KNEX.items():
        os.makedirs(os.path.dirname(os.path.join(project, name)), exist_ok=True)
        with open(os.path.join(project, name), "w") as f:
            f.write(text)
    os.symlink(where, os.path.join(project, "node_modules"))
    commands = ("node_modules/.bin/knex migrate:up 1_users.js", "node_modules/.bin/knex migrate:up 2_alter.js",
                "FAIL=1 node_modules/.bin/knex migrate:latest", "node_modules/.bin/knex migrate:latest", "node_modules/.bin/knex seed:run",
                "node_modules/.bin/knex migrate:list", "node_modules/.bin/knex migrate:rollback --all", "node_modules/.bin/knex migrate:latest",
                "node_modules/.bin/knex seed:run", "node_modules/.bin/knex migrate:currentVersion")
    line = "; ".join("%s 2>&1 | sed 's/[^ ]*rting at.*//; /^    at /d'; echo" % c for c in commands)
    status, out, err = both(t, ["bash", "-c", "cd %s; %s" % (project, line)], env={"NO_COLOR": "1", "FORCE_COLOR": "0"})
    equal(status, 0, err)
    check("division by zero" in out and "23505" in out and "3_fails.js" in out, out)


@test(timeout=120)
def restore(t):
    """C: pg_restore -j 3 of a dump with tables, indexes, foreign keys, views, functions; pgbench with 4 clients; pg_dump of all"""
    t.sql("CREATE TABLE a (n int PRIMARY KEY, s text); INSERT INTO a SELECT i, repeat('x', i % 50) FROM generate_series(1, 3000) i;"
          "CREATE TABLE b (n int REFERENCES a, m numeric); INSERT INTO b SELECT i, i / 7.0 FROM generate_series(1, 2000) i;"
          "CREATE INDEX ON a (s); CREATE INDEX ON b (n, m); CREATE VIEW v AS SELECT count(*) FROM a JOIN b USING (n);"
          "CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1 + 1; END';"
          "CREATE TABLE c (n int CHECK (f(n) > 0)); INSERT INTO c VALUES (1); CREATE SEQUENCE s START 42; SELECT nextval('s')")
    path = t.path("dump")
    child.run_ok([pg("pg_dump"), "-Fc", "-f", path, "-h", t.cluster.sockets, "-p", str(t.cluster.port), "-U", "postgres", t.database],
                 env={"PGPASSWORD": t.cluster.password or ""})
    t.new_database()
    text = ("{0} -e -j 3 --no-owner -d $PGDATABASE {2} && {1} -i -I dtGpf -q -s 2 2>/dev/null && {1} -n -c 4 -j 2 -t 25 --random-seed=7 2>/dev/null |"
            " grep -E 'clients|processed:|failed' && {3} -XAtc 'SELECT sum(abalance), count(*) FROM pgbench_accounts' -c 'TABLE v'"
            " -c 'SELECT count(*) FROM pgbench_history' && {4} -s | grep -vE '^.(un)?restrict|^--|^SET|^SELECT pg_catalog'").format(
                pg("pg_restore"), pg("pgbench"), path, pg("psql"), pg("pg_dump"))
    status, out, err = both(t, ["sh", "-c", text])
    equal(status, 0, out + err)
    check("number of transactions actually processed: 100/100" in out and "CREATE VIEW public.v" in out, out)


if __name__ == "__main__":
    main()
