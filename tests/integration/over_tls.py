"""What holds for servers behind a Unix socket holds behind TLS too: the tests of the other scripts,
with verify-full and channel binding. PGWITH_TEST_TLS=1 does the same to any script by itself."""

import os

# Of the bulk tests; the full size is run by hand.
os.environ.setdefault("PGWITH_TEST_BULK_MB", "64")

import bulk  # noqa: E402,F401
import cancel  # noqa: E402,F401
import cleanup  # noqa: E402,F401
import storm  # noqa: E402,F401
from pgwtest import main  # noqa: E402

if __name__ == "__main__":
    main(cluster={"connections": 120}, tls=True)
