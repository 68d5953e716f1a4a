"""The log of a pgwithd as the oracle sees it: for each session, server and pool the lines that are its
own, in their order, without what is random in them.

A line that moves a state ("session 4: lease none -> held") is a move of a machine (lease), and the map
of words (words.txt) applies to it. All other lines are kept as texts: they say what was decided, and why."""

import re

LINE = re.compile(r"^(?:<\d>)?(?:\d{4}-\d\d-\d\d \S+ )?pgwithd\[(\d+)\] (debug|info|warn|error) (.*)$")
SUBJECT = re.compile(r"^(session|server|pool) ([^ :]+): (.*)$")
MOVE = re.compile(r"^(?:([a-z_]+) )?([a-z_]+) -> ([a-z_]+)(?: (.*))?$")
LOCKS = ("exclusive", "shared", "semaphore")  # the machine of a lock is named by its mode

# Fields whose values come from the machine, the clock or the run.
RANDOM = re.compile(r"\b(pid|backend|uid|waited|held|took|age|cleanup|elapsed|after|bytes|version|socket|path|file|"
                    r"host|port|signs|was_path|repeated)=(\"(?:[^\"\\]|\\.)*\"|\S*)")
PATH = re.compile(r"/[\w./+-]*/pgw-[\w./+-]*")
OTHERS = re.compile(r"\b(session|server|pid|process|backend|user|uid) (\d+)")
TIMES = re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|us|s|min|h)\b")
NUMBER = re.compile(r"\d+")
DATABASE = re.compile(r"\bpgwtest_\w+")


class Move:
    """One change of a state."""

    __slots__ = ("machine", "old", "new", "rest")

    def __init__(self, machine, old, new, rest):
        self.machine, self.old, self.new, self.rest = machine, old, new, rest

    def __str__(self):
        return "%s: %s -> %s%s" % (self.machine, self.old, self.new, " " + self.rest if self.rest else "")


def without_random(text):
    text = PATH.sub("PATH", text)
    text = RANDOM.sub(r"\1=", text)
    text = OTHERS.sub(r"\1 N", text)
    text = DATABASE.sub("DATABASE", text)
    return TIMES.sub("TIME", text)


def masked(text):
    """Without any number: for what does not repeat otherwise."""
    return NUMBER.sub("#", text)


def is_folded(level, text):
    """Lines that the daemon holds back and counts when they repeat within a second (base/log.h)."""
    return level in ("warn", "error") or text.startswith(("error ", "refused "))


class Story:
    """The lines of one subject. kind: session, console (a session on the console), cancel (a session that
    is a CancelRequest), server, pool, daemon."""

    def __init__(self, kind, name):
        self.kind, self.name, self.items = kind, name, []

    def add(self, item):
        self.items.append(item)
        if isinstance(item, Move) and item.machine == "session" and item.new in ("console", "cancel"):
            self.kind = item.new

    @property
    def begins_again(self):
        """What a subject of this kind begins with."""
        return self.kind in ("session", "console", "cancel", "server")


def _is_beginning(item):
    if isinstance(item, Move):
        return item.machine == "session" and item.old == "startup"
    return item.startswith("connecting ")


def read(text):
    """All stories of one log, and what was said in lines that are folded: ([Story], [text])."""
    open_, done, told = {}, [], []
    for line in text.splitlines():
        m = LINE.match(line)
        if not m:
            continue
        level, said = m.group(2), m.group(3)
        s = SUBJECT.match(said)
        kind, name, said = s.groups() if s else ("daemon", "", said)
        if kind == "pool":
            said, name = "%s: %s" % (without_random(name), said), ""
        if is_folded(level, said) or "->" not in said and " repeated=" in said:
            told.append("%s: %s" % (kind, masked(without_random(said)).replace(" repeated=", "")))
            continue
        move = MOVE.match(said) if kind in ("session", "server") else None
        if move:
            machine = move.group(1) or kind
            if machine in LOCKS:
                machine = "lock_" + machine
            item = Move(machine, move.group(2), move.group(3), without_random(move.group(4) or ""))
        else:
            item = without_random(said)
        key = kind, name
        story = open_.get(key)
        if story is None or story.begins_again and _is_beginning(item):
            # Ids begin at 1 again in a daemon that was started anew.
            story = open_[key] = Story(kind, name)
            done.append(story)
        story.add(item)
    return done, told
