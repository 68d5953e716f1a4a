"""What the Python drivers' programs share."""

import sys

# 55 MB in 55,000 rows
LARGE = "SELECT repeat('x', 1000) FROM generate_series(1, 55000)"
# A statement to be cancelled, and how many others run it now
SLEEP = "SELECT pg_sleep(61)"
SEEN = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(61)%'"
        " AND pid <> pg_backend_pid()")
# Values that must come back as they are
NAMES = ["", "it's", "back\\slash", "grüße", "x" * 100000, "$1 %s ?"]


def expect(got, want):
    if got != want:
        raise SystemExit("got %r, want %r" % (got, want))


def ready():
    """Tells the runner, which does something meanwhile, and waits for it."""
    print("ready", flush=True)
    if not sys.stdin.readline():
        raise SystemExit("the runner is gone")


def dispatch(functions):
    """Runs the feature that the command line names."""
    functions[sys.argv[2]]()
    print("ok", flush=True)
