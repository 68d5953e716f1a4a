"""What happens before a time limit can be judged only if the machine has not stood still meanwhile: a client that means to
speak every 100 ms may come to do it after 500 ms."""

import collections
import threading
import time

from .tap import note

TICK = 0.005      # seconds
KEPT = 10000      # stalls that are remembered


class _Watch(threading.Thread):
    """Notes for how long this process did not get to run."""

    def __init__(self):
        super().__init__(daemon=True)
        self._stalls = collections.deque(maxlen=KEPT)  # (when it ended, seconds)
        self._ticked = time.monotonic()
        self.start()

    def run(self):
        while True:
            time.sleep(TICK)
            now = time.monotonic()
            stall = now - self._ticked - TICK
            if stall > TICK:
                self._stalls.append((now, stall))
            self._ticked = now

    def longest(self, since):
        """The longest stall that has ended after that time; one that lasts still counts, too."""
        now = time.monotonic()
        return max([now - self._ticked - TICK] + [stall for when, stall in list(self._stalls) if when >= since])


_watch = None


def steady(function, *args, margin, tries=10):
    """Calls the function, which can be called again and fails if something was not in time. If it fails, and the process
    stood still for `margin` seconds or longer meanwhile, nothing is proved: it is called again."""
    global _watch
    if _watch is None:
        _watch = _Watch()
    for left in reversed(range(tries)):
        began = time.monotonic()
        try:
            return function(*args)
        except Exception as e:
            stall = _watch.longest(began)
            if stall < margin or left == 0:
                raise
            note("again, as this process stood still for %.0f ms: %s" % (1000 * stall, str(e)[:150]))
