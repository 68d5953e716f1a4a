"""How server connections get old: they are replaced one after the other, and not all at once, whatever has made them
begin at once."""

import re
import time

from pgwtest import check, equal, main, note, slow_factor, test, wait_until

LIFE = 4.0  # seconds
SIZE = 12


def closed(d, why):
    """(when, how old) of each server that was closed for that reason, in order."""
    found = re.findall(r'^\S+ (\d+):(\d+):([\d.]+) .* server \d+: closed .* why="%s" age=([\d.]+)s' % why, d.log_text(), re.M)
    return [(int(h) * 3600 + int(m) * 60 + float(s), float(age)) for h, m, s, age in found]


def most_within(times, seconds):
    return max(sum(1 for x in times if t <= x < t + seconds) for t in times)


@test(timeout=90)
def lifetime(t):
    """max_lifetime: each connection ends a little earlier than it must, alone, and min_size are there all the time"""
    d = t.daemon(size=SIZE, min_size=SIZE, max_lifetime="%ds" % LIFE, max_opening=SIZE)
    wait_until(lambda: len(d.servers()) == SIZE, 10, "all are there")
    holder = t.client(d)
    holder.sql("BEGIN")
    held = holder.backend()
    least = []

    def all_replaced():
        least.append(len(d.servers()))
        return len(closed(d, "max_lifetime")) >= SIZE - 1
    wait_until(all_replaced, LIFE + 5, "each was replaced")
    found = closed(d, "max_lifetime")[:SIZE - 1]
    ages, times = [age for _, age in found], [when for when, _ in found]
    note("ages: " + " ".join("%.2f" % a for a in ages))
    check(min(ages) >= 0.9 * LIFE - 0.05, "not before nine tenths")
    check(max(ages) <= LIFE + 1.5 * slow_factor(), "not much later than it")
    check(min(least) >= SIZE - 2, "servers at any time: %d" % min(least))
    # One in each sweep, every tenth of a second. A sweep that a busy machine delays may come right before the next;
    # three of them within less than a tenth cannot be.
    check(most_within(times, 0.09) <= 2, "three at once: %s" % times)
    check(max(times) - min(times) >= 0.2, "spread: %s" % times)
    # Only what is idle ends.
    equal(holder.backend(), held, "the one that is held")
    holder.sql("COMMIT")
    wait_until(lambda: held not in d.server_pids(), LIFE, "that ends when it is free")


@test(timeout=90)
def opened_over_time(t):
    """over several lifetimes the new connections are not made at the same time again and again"""
    d = t.daemon(size=SIZE, min_size=SIZE, max_lifetime="2s", max_opening=SIZE)
    wait_until(lambda: len(closed(d, "max_lifetime")) >= 4 * SIZE, 30, "four generations")
    times = [when for when, _ in closed(d, "max_lifetime")]
    check(most_within(times, 0.09) <= 2, "at once: %d" % most_within(times, 0.09))


@test
def idle(t):
    """idle_timeout: those that a burst has left are closed one after the other, down to min_size"""
    d = t.daemon(size=SIZE, min_size=2, idle_timeout="500ms")
    clients = [t.client(d) for _ in range(SIZE)]
    for c in clients:
        c.sql("BEGIN; SELECT 1")
    for c in clients:
        c.sql("COMMIT")
    d.quiet()
    equal(len(d.servers()), SIZE, "a burst")
    wait_until(lambda: len(closed(d, "idle_timeout")) == SIZE - 2, 10, "they are closed")
    times = [when for when, _ in closed(d, "idle_timeout")]
    check(most_within(times, 0.09) <= 2, "at once: %s" % times)
    time.sleep(0.7)
    equal(len(d.servers()), 2, "min_size")


if __name__ == "__main__":
    main()
