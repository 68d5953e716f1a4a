"""Scopes of pgwithd in a Django project: put the functions into a module of yours.

Django is in autocommit mode but for its atomic() blocks, and these are savepoints inside of a scope. The settings lead
to pgwithd: HOST is its socket's directory, NAME the pool."""

import contextlib
import os

import pgwith


@contextlib.contextmanager
def scope(name, using="default", **options):
    """A scope around atomic(): commits at the end, rolls back if an exception leaves it. Inside of an atomic() block of
    Django's it is a savepoint, and the block decides. Functions of on_commit() are called at the end of the atomic() in
    it, just before its commit."""
    from django.db import connections, transaction
    connection = connections[using]
    connection.ensure_connection()
    with pgwith.scope(connection.connection, name, within_transaction=connection.in_atomic_block, **options) as entered:
        with transaction.atomic(using=using):
            yield entered


@contextlib.contextmanager
def lock(name, using="default", **options):
    """A named lock around transactions. Inside of an atomic() block it is refused, because it would be released before
    the commit."""
    from django.db import connections
    connection = connections[using]
    connection.ensure_connection()
    with pgwith.lock(connection.connection, name, **options) as entered:
        yield entered


def main():
    import django
    from django.conf import settings
    settings.configure(DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
        "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"]}}, USE_TZ=True)
    django.setup()
    from django.db import connection, models, transaction

    class Order(models.Model):
        what = models.TextField()

        class Meta:
            app_label = "shop"
            db_table = "orders"

    with scope("order", deadline=30):
        Order.objects.create(id=21, what="tea")
        try:
            with transaction.atomic():
                Order.objects.create(id=21, what="twice")
        except django.db.IntegrityError:
            print("refused")
    try:
        with scope("order"):
            Order.objects.create(id=22, what="lost")
            raise ValueError("changed my mind")
    except ValueError as e:
        print(e)

    with lock("nightly", wait=5), transaction.atomic():
        Order.objects.filter(id=21).update(what="TEA")

    with transaction.atomic():
        Order.objects.create(id=23, what="rice")
        with contextlib.suppress(ValueError), scope("part"):
            Order.objects.create(id=24, what="lost")
            raise ValueError
        try:
            with lock("nightly"):
                pass
        except pgwith.UsageError as e:
            print("no lock in atomic():", "autocommit" in e.message)
    connection.close()


if __name__ == "__main__":
    main()
