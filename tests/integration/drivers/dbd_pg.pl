# Perl's DBD::Pg, by drivers_matrix.py: dbd_pg.pl DSN FEATURE
use strict;
use warnings;
use utf8;
use DBI;
use DBD::Pg qw(:async);
$| = 1;
binmode STDERR, ':utf8';

my ($dsn, $feature) = @ARGV;
$dsn =~ tr/ /;/;
my $large = "SELECT repeat('x', 1000) FROM generate_series(1, 55000)";
my $seen = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND"
	. " query LIKE '%pg_sleep(61)%' AND pid <> pg_backend_pid()";

sub connection {
	my ($autocommit) = @_;
	return DBI->connect("dbi:Pg:$dsn", '', '',
		{ AutoCommit => $autocommit, RaiseError => 1, PrintError => 0, pg_enable_utf8 => 1 });
}

sub expect {
	my ($got, $want) = @_;
	$got = 'undef' unless defined $got;
	die "got $got, want $want\n" unless $got eq $want;
}

sub one {
	my ($dbh, $sql, @args) = @_;
	return ($dbh->selectrow_array($sql, undef, @args))[0];
}

sub state_of {
	my ($dbh, $call) = @_;
	return 'none' if eval { $call->(); 1 };
	return $dbh->state;
}

my %features = (
	version => sub {
		my $dbh = connection(1);
		print "DBD::Pg $DBD::Pg::VERSION, libpq $dbh->{pg_lib_version}\n";
	},
	query => sub {
		my $dbh = connection(1);
		my @row = $dbh->selectrow_array("SELECT 1 + 1, NULL, 'grüße'");
		expect($row[0], 2);
		expect(defined $row[1] ? 1 : 0, 0);
		expect($row[2], 'grüße');
		expect(scalar @{$dbh->selectall_arrayref('SELECT generate_series(1, 1000)')}, 1000);
		expect(scalar @{$dbh->selectall_arrayref('SELECT 1 WHERE false')}, 0);
		expect(scalar(() = $dbh->tables('', 'pg_catalog', 'pg_class')), 1);
	},
	parameters => sub {
		my $dbh = connection(1);
		for my $value ('', "it's", 'back\\slash', 'grüße', 'x' x 100000, '$1 %s ?') {
			expect(one($dbh, 'SELECT ?::text', $value), $value);
		}
		expect(one($dbh, 'SELECT ?::int + ?::int', 1, 2), 3);
		expect(one($dbh, 'SELECT ?::int IS NULL', undef), 1);
		my $sth = $dbh->prepare('SELECT ?::bytea');
		$sth->bind_param(1, "\0\xff", { pg_type => DBD::Pg::PG_BYTEA() });
		$sth->execute;
		expect(($sth->fetchrow_array)[0], "\0\xff");
	},
	prepared => sub {
		my $dbh = connection(0);
		my $sth = $dbh->prepare('SELECT ?::int + 1, pg_backend_pid()', { pg_prepare_now => 1 });
		my $two = $dbh->prepare('SELECT ?::text');
		my (%pids, $n);
		for ($n = 0; $n < 50 || keys %pids < 2; $n++) {
			$sth->execute($n);
			my @row = $sth->fetchrow_array;
			$sth->finish;
			expect($row[0], $n + 1);
			$pids{$row[1]} = 1;
			$dbh->commit;
			$two->execute("n$n");
			expect(($two->fetchrow_array)[0], "n$n");
			$two->finish;
			$n % 2 ? $dbh->commit : $dbh->rollback;
		}
		$dbh->disconnect;
	},
	transactions => sub {
		my $dbh = connection(0);
		$dbh->do('CREATE TABLE x (a int)');
		$dbh->commit;
		$dbh->do('INSERT INTO x VALUES (1)');
		$dbh->rollback;
		$dbh->do('INSERT INTO x VALUES (2)');
		$dbh->pg_savepoint('s');
		$dbh->do('INSERT INTO x VALUES (3)');
		$dbh->pg_rollback_to('s');
		$dbh->commit;
		expect(join(',', @{$dbh->selectcol_arrayref('SELECT a FROM x')}), '2');
		$dbh->disconnect;
	},
	errors => sub {
		my $dbh = connection(0);
		expect(state_of($dbh, sub { $dbh->do('SELEC 1') }), '42601');
		expect(state_of($dbh, sub { $dbh->do('SELECT 1') }), '25P02');
		$dbh->rollback;
		expect(state_of($dbh, sub { one($dbh, 'SELECT 1 / ?::int', 0) }), '22012');
		$dbh->rollback;
		expect(one($dbh, 'SELECT 1'), 1);
		$dbh->disconnect;
	},
	copy => sub {
		my $dbh = connection(1);
		$dbh->do('CREATE TABLE x (a int, b text)');
		$dbh->do('COPY x FROM STDIN');
		$dbh->pg_putcopydata("$_\tb$_\n") for 1 .. 10000;
		$dbh->pg_putcopyend;
		$dbh->do('COPY x TO STDOUT');
		my ($line, $lines) = ('', 0);
		$lines++ while $dbh->pg_getcopydata($line) >= 0;
		expect($lines, 10000);
		$dbh->do('COPY x FROM STDIN');
		$dbh->pg_putcopydata("nonsense\n");
		expect(state_of($dbh, sub { $dbh->pg_putcopyend }), '22P02');
		expect(one($dbh, 'SELECT count(*) FROM x'), 10000);
	},
	listen => sub {
		my ($dbh, $other) = (connection(1), connection(1));
		$dbh->do('LISTEN chan');
		print "ready\n";
		defined <STDIN> or die 'the runner is gone';
		$other->do("NOTIFY chan, 'hello'");
		my $notify;
		until ($notify = $dbh->pg_notifies) {
			my $bits = '';
			vec($bits, $dbh->{pg_socket}, 1) = 1;
			select $bits, undef, undef, undef;
		}
		expect($notify->[2], 'hello');
		$dbh->do('UNLISTEN *');
		expect(one($dbh, 'SELECT 1'), 1);
	},
	large => sub {
		my $dbh = connection(1);
		my ($sth, $total) = ($dbh->prepare($large), 0);
		$sth->execute;
		while (my $row = $sth->fetchrow_arrayref) { $total += length $row->[0] }
		expect($total, 55000000);
		expect(one($dbh, 'SELECT 1'), 1);
	},
	cancel => sub {
		my ($dbh, $other) = (connection(1), connection(1));
		$dbh->do('SELECT pg_sleep(61)', { pg_async => PG_ASYNC });
		1 until one($other, $seen);
		expect(state_of($dbh, sub { $dbh->pg_cancel or die 'too late' }), 'none');
		expect($dbh->state, '57014');
		expect(one($dbh, 'SELECT 1'), 1);
	},
	restart => sub {
		my ($idle, $busy) = (connection(1), connection(0));
		my $sth = $idle->prepare('SELECT ?::int', { pg_prepare_now => 1 });
		$sth->execute(1);
		expect(($sth->fetchrow_array)[0], 1);
		$busy->do('SELECT 1');
		print "ready\n";
		defined <STDIN> or die 'the runner is gone';
		$sth->execute(2);
		expect(($sth->fetchrow_array)[0], 2);
		die "a transaction outlived its server\n" if eval { $busy->do('SELECT 1'); 1 };
		expect(one(connection(1), 'SELECT 3'), 3);
	},
);
$features{$feature}->();
print "ok\n";
