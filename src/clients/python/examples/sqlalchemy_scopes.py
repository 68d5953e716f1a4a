"""Scopes of pgwithd in a program that uses SQLAlchemy (1.4 or 2).

The scopes are the transactions: the engine is in autocommit mode, so that the driver sends no BEGIN of its own. The
connection of the driver is what pgwith wants. PGHOST, PGPORT and PGDATABASE lead to pgwithd."""

import contextlib

import sqlalchemy
from sqlalchemy.orm import Session, declarative_base

import pgwith

engine = sqlalchemy.create_engine("postgresql+psycopg2://", isolation_level="AUTOCOMMIT")
Base = declarative_base()


class Order(Base):
    __tablename__ = "orders"
    id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
    what = sqlalchemy.Column(sqlalchemy.Text)


# ---- Core ----------------------------------------------------------------------------------------------
@contextlib.contextmanager
def connection_scope(name, **options):
    """A connection in a scope: commits at the end, rolls back if an exception leaves it."""
    with engine.connect() as conn, pgwith.scope(conn.connection.driver_connection, name, **options):
        yield conn


# ---- ORM -----------------------------------------------------------------------------------------------
@contextlib.contextmanager
def session_scope(name, **options):
    """A session in a scope. The session's own commit() comes when the scope has committed, and sends nothing."""
    with engine.connect() as conn, Session(bind=conn) as session:
        with pgwith.scope(conn.connection.driver_connection, name, **options):
            yield session
            session.flush()
        session.commit()


@contextlib.contextmanager
def locked(name, **options):
    """A named lock, on a connection of its own, around whatever is done with others."""
    with engine.connect() as conn, pgwith.lock(conn.connection.driver_connection, name, **options):
        yield


def main():
    insert = sqlalchemy.text("INSERT INTO orders VALUES (:id, :what)")
    with connection_scope("order", deadline=30) as conn:
        conn.execute(insert, {"id": 1, "what": "tea"})
    try:
        with connection_scope("order") as conn:
            conn.execute(insert, {"id": 2, "what": "lost"})
            raise ValueError("changed my mind")
    except ValueError as e:
        print(e)

    with session_scope("order") as session:
        session.add(Order(id=3, what="rice"))
    try:
        with session_scope("order") as session:
            session.add(Order(id=3, what="twice"))
    except sqlalchemy.exc.IntegrityError:
        print("refused")
    with locked("nightly", wait=5), session_scope("nightly", isolation="serializable") as session:
        for order in session.query(Order):
            order.what = order.what.upper()


if __name__ == "__main__":
    main()
