"""Makes man/pgwith-top.svg, the picture in README.md, of a real run: make top-picture."""

import os
import re
import sys
import threading
import time
from html import escape

from pgwtest import main, test, wait_until, wire
from pgwtest.daemon import program
from pgwtest.terminal import Terminal

WIDTH, HEIGHT = 96, 24
CELL, LINE, EDGE = 8.4, 18, 12
COLOURS = {None: "#d0d0d0", 31: "#ff6b6b", 32: "#7fd67f", 33: "#e8c15a"}
BACKGROUND = "#1b1f24"


def runs(line, now):
    """The parts of a line that have the same attributes. now: those at its beginning, and then at its end."""
    for part in re.split(r"(\033\[[0-9;]*m|\033\(B|\017|\016)", line):
        sgr = re.fullmatch(r"\033\[([0-9;]*)m", part)
        if sgr is None:
            if part and not part.startswith(("\033", "\017", "\016")):
                yield part, dict(now)
            continue
        for code in map(int, (sgr.group(1) or "0").split(";")):
            if code == 0:
                now.update(colour=None, bold=False, under=False, reverse=False, faint=False)
            elif code in (1, 2, 4, 7):
                now[{1: "bold", 2: "faint", 4: "under", 7: "reverse"}[code]] = True
            elif code in (39,) or 30 <= code <= 37:
                now["colour"] = None if code == 39 else code


def svg(lines):
    width, height = WIDTH * CELL + 2 * EDGE, len(lines) * LINE + 2 * EDGE
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">' % (width, height, width, height),
           "<title>pgwith top</title>",
           '<rect width="100%%" height="100%%" rx="6" fill="%s"/>' % BACKGROUND,
           '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">']
    now = {"colour": None, "bold": False, "under": False, "reverse": False, "faint": False}
    for row, line in enumerate(lines):
        x, y = 0, EDGE + (row + 0.75) * LINE
        for text, look in runs(line, now):
            front, back = COLOURS.get(look["colour"], COLOURS[None]), BACKGROUND
            if look["reverse"]:
                front, back = back, front
                out.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>'
                           % (EDGE + x * CELL, EDGE + row * LINE, len(text) * CELL, LINE, back))
            if text.strip() or look["under"]:
                out.append('<text x="%.1f" y="%.1f" textLength="%.1f" fill="%s"%s%s%s>%s</text>'
                           % (EDGE + x * CELL, y, len(text) * CELL, front, ' font-weight="bold"' if look["bold"] else "",
                              ' text-decoration="underline"' if look["under"] else "",
                              ' opacity="0.6"' if look["faint"] else "",
                              # not every browser keeps blanks
                              escape(text.replace(" ", "\u00a0"))))
            x += len(text)
    return "\n".join(out + ["</g>", "</svg>", ""])


def work(d, ended):
    """A client that works all the time."""
    with d.connect("billing", application_name="billing") as c:
        while not ended.is_set():
            c.sql("SELECT count(*) FROM generate_series(1, 2000)")


@test
def picture(t):
    """a saturated pool, its culprit, a lock with a queue, a pinned session"""
    conninfo = t.conninfo()
    d = t.daemon(options={"log_level": "warn"}, pools={
        "orders": {"conninfo": conninfo, "size": 12, "wait_timeout": 0}, "billing": {"conninfo": conninfo, "size": 8}})
    c = t.client(d, "orders", application_name="checkout")
    c.sql("BEGIN")
    c.sql("SELECT 1")
    listener = t.client(d, "billing", application_name="notifier")
    listener.sql("LISTEN paid")
    lock = t.client(d, "billing", application_name="nightly")
    lock.sql("ENTER LOCK 'invoices'")
    term = Terminal(t.path("term"), WIDTH, HEIGHT, term="screen-256color")
    t.defer(term.close)
    term.run("%s -S %s -p %d -U postgres top" % (program("pgwith"), d.sockets, d.port))
    term.shows("all is well")
    ended = threading.Event()
    workers = [threading.Thread(target=work, args=(d, ended)) for _ in range(3)]
    for worker in workers:
        worker.start()
    t.defer(lambda: [worker.join() for worker in workers])
    t.defer(ended.set)
    sleepers = []
    for i in range(11):
        s = t.client(d, "orders", application_name="report")
        s.send(wire.query("SELECT pg_sleep(100)"))
        sleepers.append(s)
    for i in range(14):
        if i in (5, 9):
            w = t.client(d, "billing", application_name="billing")
            w.send(wire.query("ENTER LOCK 'invoices'"))
        w = t.client(d, "orders", application_name="shop")
        w.send(wire.query("SELECT 1"))
        time.sleep(0.6)  # the line of the past rises
    wait_until(lambda: "14 waiting" in term.text(), 10, "all wait")
    target = os.environ.get("TOP_PICTURE", "pgwith-top.svg")
    with open(target, "w") as f:
        f.write(svg(term.coloured().rstrip("\n").split("\n")))
    print("# " + target, file=sys.stderr)


if __name__ == "__main__":
    main()
