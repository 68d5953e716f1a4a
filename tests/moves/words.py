"""The map of words between two recordings (words.txt): what the older program called otherwise, or had
not. With it a comparison over a change of names is still exact. A rule that was never used is reported."""

import re
import shlex

from reading import Move

KINDS = {"rename": 3, "fold": 3, "ignore": 2, "text": 2}


class Rule:
    def __init__(self, place, kind, words):
        self.place, self.kind, self.words, self.used = place, kind, words, 0
        self.both = False  # what it says that only one recording has is in both: it is not applied
        if kind == "text":
            self.pattern = re.compile(words[0])

    def __str__(self):
        return "%s: %s %s" % (self.place, self.kind, " ".join(self.words))


class Problem(Exception):
    """A line of the file that says nothing we know."""


def load(path):
    rules = []
    with open(path) as f:
        for number, line in enumerate(f, 1):
            words = shlex.split(line, comments=True)
            if not words:
                continue
            place = "%s:%d" % (path, number)
            kind, words = words[0], words[1:]
            if KINDS.get(kind) != len(words) or kind in ("fold", "ignore") and words[0] not in ("old", "new"):
                raise Problem("%s: not a rule: %s" % (place, line.strip()))
            rules.append(Rule(place, kind, words))
    return rules


def that_apply(rules, old, new):
    """The rules without those that are out of date: what they say that only one program has, both have. old, new: the
    (machine, state) of all moves of each recording."""
    for r in rules:
        if r.kind in ("ignore", "fold"):
            other = new if r.words[0] == "old" else old
            r.both = any(machine == r.words[1] and r.words[2:] in ([], [state]) for machine, state in other)
    return [r for r in rules if not r.both]


def _rename(rules, item):
    for r in rules:
        if r.kind == "rename" and isinstance(item, Move) and r.words[0] == item.machine:
            old, new = (r.words[2] if state == r.words[1] else state for state in (item.old, item.new))
            if (old, new) != (item.old, item.new):
                r.used += 1
                item = Move(item.machine, old, new, item.rest)
        elif r.kind == "text" and not isinstance(item, Move):
            item, count = r.pattern.subn(r.words[1], item)
            r.used += count
    return item


def _fold(rule, items):
    """Without the state: A -> X, X -> B is A -> B at the place where X is left, and nothing if A is B."""
    _, machine, state = rule.words
    before, out = None, []
    for item in items:
        if isinstance(item, Move) and item.machine == machine and state in (item.old, item.new):
            rule.used += 1
            if item.new == state:
                before = before if item.old == state else item.old
                continue
            old, before = before or item.old, None
            if old != item.new and old != state:
                out.append(Move(machine, old, item.new, item.rest))
            continue
        out.append(item)
    return out


def apply(rules, side, items):
    """The items of one story of the recording that is `side`, old or new, in common words."""
    items = list(items)
    for r in rules:
        if r.kind == "ignore" and r.words[0] == side:
            kept = [i for i in items if not (isinstance(i, Move) and i.machine == r.words[1])]
            r.used += len(items) - len(kept)
            items = kept
        elif r.kind == "fold" and r.words[0] == side:
            items = _fold(r, items)
    if side == "old":
        items = [_rename(rules, i) for i in items]
    return items
