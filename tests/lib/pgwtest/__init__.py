"""pgwtest: the harness of pgwith's tests. A test script imports from here, marks its tests with
@test, and ends with main()."""

from . import child, wire
from .cluster import Cluster
from .context import Suite, Test
from .daemon import Daemon, Fixture, seconds
from .process import ClientProcess
from .proxy import Proxy
from .server import only_local
from .tap import (Failure, Skip, brief, check, equal, main, note, sanitized, slow_factor, test, unavailable,
                  wait_until)
from .wire import Client, Closed, ServerError

__all__ = ["Client", "ClientProcess", "Closed", "Cluster", "Daemon", "Failure", "Fixture", "Proxy",
           "ServerError", "Skip", "Suite", "Test", "brief", "check", "child", "equal", "main", "note", "only_local",
           "sanitized", "seconds", "slow_factor", "test", "unavailable", "wait_until", "wire"]
