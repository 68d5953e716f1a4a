# Ruby's pg, by drivers_matrix.py: ruby_pg.rb DSN FEATURE
require 'pg'
$stdout.sync = true

DSN, FEATURE = ARGV
LARGE = "SELECT repeat('x', 1000) FROM generate_series(1, 55000)"
SEEN = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND " \
       "query LIKE '%pg_sleep(61)%' AND pid <> pg_backend_pid()"

def connect
  PG.connect(DSN)
end

def expect(got, want)
  abort("got #{got.inspect}, want #{want.inspect}") if got != want
end

def state_of
  yield
  nil
rescue PG::Error => e
  e.result&.error_field(PG::Result::PG_DIAG_SQLSTATE)
end

FEATURES = {
  'version' => lambda {
    v = PG.library_version
    puts "pg #{PG::VERSION}, libpq #{v / 10_000}.#{v % 10_000}"
  },
  'query' => lambda {
    c = connect
    expect(c.exec("SELECT 1 + 1, NULL, 'grüße'").values, [['2', nil, 'grüße']])
    expect(c.exec('SELECT generate_series(1, 1000)').ntuples, 1000)
    expect(c.exec('SELECT 1 WHERE false').ntuples, 0)
    expect(c.exec('').result_status, PG::PGRES_EMPTY_QUERY)
  },
  'parameters' => lambda {
    c = connect
    ['', "it's", 'back\\slash', 'grüße', 'x' * 100_000, '$1 %s ?'].each do |value|
      expect(c.exec_params('SELECT $1::text', [value]).getvalue(0, 0), value)
    end
    r = c.exec_params('SELECT $1::int + $2::int, $3::int IS NULL, $4::bytea',
                      [1, 2, nil, { value: "\0\xff".b, format: 1 }], 1)
    expect(r.values, [["\0\0\0\3".b, "\1".b, "\0\xff".b]])
  },
  'prepared' => lambda {
    c = connect
    c.prepare('add', 'SELECT $1::int + 1, pg_backend_pid()')
    c.prepare('echo', 'SELECT $1::text')
    expect(c.describe_prepared('add').nfields, 2)
    pids = {}
    n = 0
    while n < 50 || pids.size < 2
      row = c.transaction { c.exec_prepared('add', [n]).values[0] }
      expect(row[0], (n + 1).to_s)
      pids[row[1]] = true
      expect(c.exec_prepared('echo', ["n#{n}"]).getvalue(0, 0), "n#{n}")
      n += 1
    end
    c.exec('DEALLOCATE echo')
    expect(state_of { c.exec_prepared('echo', ['']) }, '26000')
  },
  'transactions' => lambda {
    c = connect
    c.exec('CREATE TABLE x (a int)')
    begin
      c.transaction do
        c.exec('INSERT INTO x VALUES (1)')
        raise 'back'
      end
    rescue RuntimeError
      expect(c.transaction_status, PG::PQTRANS_IDLE)
    end
    c.transaction do
      c.exec('INSERT INTO x VALUES (2)')
      c.exec('SAVEPOINT s')
      c.exec('INSERT INTO x VALUES (3)')
      c.exec('ROLLBACK TO s')
    end
    expect(c.exec('SELECT a FROM x').values, [['2']])
  },
  'errors' => lambda {
    c = connect
    expect(state_of { c.exec('SELEC 1') }, '42601')
    c.exec('BEGIN')
    expect(state_of { c.exec_params('SELECT 1 / $1::int', [0]) }, '22012')
    expect(state_of { c.exec('SELECT 1') }, '25P02')
    c.exec('ROLLBACK')
    expect(c.exec('SELECT 1').values, [['1']])
  },
  'copy' => lambda {
    c = connect
    c.exec('CREATE TABLE x (a int, b text)')
    c.copy_data('COPY x FROM STDIN') { 10_000.times { |i| c.put_copy_data("#{i}\tb#{i}\n") } }
    lines = 0
    c.copy_data('COPY x TO STDOUT') { lines += 1 while c.get_copy_data }
    expect(lines, 10_000)
    expect(state_of { c.copy_data('COPY x FROM STDIN') { c.put_copy_data("nonsense\n") } }, '22P02')
    expect(c.exec('SELECT count(*) FROM x').values, [['10000']])
  },
  'listen' => lambda {
    c = connect
    other = connect
    c.exec('LISTEN chan')
    puts 'ready'
    $stdin.gets or abort('the runner is gone')
    other.exec("NOTIFY chan, 'hello'")
    c.wait_for_notify { |_channel, _pid, payload| expect(payload, 'hello') }
    c.exec('UNLISTEN *')
    expect(c.exec('SELECT 1').values, [['1']])
  },
  'large' => lambda {
    c = connect
    c.send_query(LARGE)
    c.set_single_row_mode
    total = 0
    c.get_result.stream_each_row { |row| total += row[0].size }
    c.get_result
    expect(total, 55_000_000)
    expect(c.exec('SELECT 1').values, [['1']])
  },
  'cancel' => lambda {
    c = connect
    other = connect
    c.send_query('SELECT pg_sleep(61)')
    nil while other.exec(SEEN).getvalue(0, 0) == '0'
    c.cancel
    expect(state_of { c.get_last_result }, '57014')
    expect(c.exec('SELECT 1').values, [['1']])
  },
  'restart' => lambda {
    idle = connect
    busy = connect
    idle.prepare('p', 'SELECT $1::int')
    expect(idle.exec_prepared('p', [1]).values, [['1']])
    busy.exec('BEGIN')
    busy.exec('SELECT 1')
    puts 'ready'
    $stdin.gets or abort('the runner is gone')
    expect(idle.exec_prepared('p', [2]).values, [['2']])
    begin
      busy.exec('SELECT 1')
      abort('a transaction outlived its server')
    rescue PG::Error
      busy.reset
    end
    expect(busy.exec('SELECT 3').values, [['3']])
  }
}.freeze

FEATURES.fetch(FEATURE).call
puts 'ok'
