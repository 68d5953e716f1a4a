-- Accounts and orders: what the demo and the tests work on. Runs on pgwith-fixture and on PostgreSQL.
CREATE TABLE accounts (
	id integer PRIMARY KEY,
	owner text NOT NULL UNIQUE,
	balance bigint NOT NULL CHECK (balance >= 0)
);

CREATE TABLE orders (
	id serial PRIMARY KEY,
	account integer NOT NULL REFERENCES accounts (id),
	item text NOT NULL,
	price bigint NOT NULL CHECK (price > 0),
	placed timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX orders_account ON orders (account);

INSERT INTO accounts (id, owner, balance) VALUES
	(1, 'ada', 1000),
	(2, 'brian', 1000),
	(3, 'chen', 1000),
	(4, 'dana', 1000);

INSERT INTO orders (account, item, price) VALUES
	(1, 'lamp', 40),
	(2, 'chair', 120);
