"""Compares two recordings, and one with itself.

What is compared is counted in each run of each test. What repeats (the same count in every run of a
recording) must be the same on both sides. What does not repeat must not be always on one side and never on
the other. That a test does not repeat is known from its runs, and is said.

Six levels, the strictest first; the first at which a test's runs agree with each other is compared
exactly. At levels that do not repeat, an item that is always on one side and never on the other may be there by
chance, in thousands of items even often: it is a difference if the two sides have more such items than (nearly) any
other way to deal the same runs into two sides has (a permutation test). The levels:

  sequences   each subject's lines, whole, in their order; how often each sequence is there
  numberless  the same without the numbers in them
  unwaited    the same without the waits for a lease: a server may be free by then, or not yet
  episodes    how often each piece is there: a sequence is cut where a session or a server was idle
  lines       how often each line is there, without numbers
  pairs       how often a line follows a line in a sequence

Of sessions on the console, which tests ask as often as they must wait, and of lines that the daemon folds
(warnings, errors), only which ones there are is compared: "which"."""

import difflib
import itertools
import random
from collections import Counter

import words as map_of_words
from reading import Move, masked

LEVELS = ("sequences", "numberless", "unwaited", "episodes", "lines", "pairs")
WHOLE = LEVELS[:4]  # their items are sequences
WAITS = tuple(map_of_words.Rule("", "fold", ["new", machine, "waiting"]) for machine in ("lease", "session"))
RUNS_TO_BE_SURE = 5  # of each side, for what does not repeat: 126 ways to deal them
DEALS = 200          # at most so many of them are tried
CHANCE = 0.01        # the share of them that may be as far apart as the two sides are
SHOWN_LINES = 40


def _begins(item):
    """Does the session or server leave its rest with this?"""
    return isinstance(item, Move) and (item.machine, item.old) in (("lease", "none"), ("session", "idle"), ("server", "idle"))


def _episodes(items):
    cut, rested = [], False
    for item in items:
        if _begins(item) and not rested or not cut:
            cut.append([])
        rested = _begins(item)
        cut[-1].append(masked(str(item)))
    return [tuple(episode) for episode in cut]


class Side:
    """The counts of one test on one side, by kind and level: a Counter for each run."""

    def __init__(self, runs, rules, side):
        self.runs = len(runs)
        self.results = [r.result for r in runs]
        self.levels = {}        # kind: {level: [Counter]}
        self.found = {}         # a sequence: where the first one is
        for number, run in enumerate(runs):
            self._count(number, run, rules, side)

    def _at(self, kind, level, number):
        runs = self.levels.setdefault(kind, {}).setdefault(level, [])
        while len(runs) < self.runs:
            runs.append(Counter())
        return runs[number]

    def _count(self, number, run, rules, side):
        for daemon, stories in run.stories.items():
            for story in stories:
                mapped = map_of_words.apply(rules, side, story.items)
                items = tuple(str(i) for i in mapped)
                plain = tuple(masked(i) for i in items)
                if story.kind == "console":
                    for item in plain:
                        self._at("console", "which", number)[item] = 1
                    continue
                kind = story.kind
                where = "%s %s in %s of run %d" % (story.kind, story.name, daemon, number + 1)
                self.found.setdefault(items, where)
                self.found.setdefault(plain, where)
                self._at(kind, "sequences", number)[items] += 1
                self._at(kind, "numberless", number)[plain] += 1
                unwaited = map_of_words.apply(WAITS, "new", mapped)
                text = tuple(masked(str(i)) for i in unwaited)
                self._at(kind, "unwaited", number)[text] += 1
                self.found.setdefault(text, where)
                for episode in _episodes(unwaited):
                    self._at(kind, "episodes", number)[episode] += 1
                    self.found.setdefault(episode, where)
                lines, pairs = self._at(kind, "lines", number), self._at(kind, "pairs", number)
                for before, item in zip(("(begins)",) + plain, plain + ("(ends)",)):
                    pairs[before + "  =>  " + item] += 1
                    if item != "(ends)":
                        lines[item] += 1
        for told in run.told.values():
            for text in told:
                self._at("told", "which", number)[text] = 1

    def counts(self, kind, level):
        return self.levels.get(kind, {}).get(level) or [Counter() for _ in range(self.runs)]

    def repeats(self, kind, level):
        runs = self.counts(kind, level)
        return all(r == runs[0] for r in runs)


def _apart(old, new):
    """Do the counts of an item in the runs of both sides say that the sides differ?"""
    if not any(old) or not any(new):
        return 0 not in old or 0 not in new
    return old[0] != new[0] and len(set(old)) == 1 == len(set(new))


class Item:
    """An item of a level, and how often it was in each run of either side."""

    def __init__(self, what, old, new):
        self.what, self.old, self.new = what, old, new


def _more_than_chance(old, new, kind, level, found):
    """Have the two sides more items apart than any other way to deal the runs into two sides?"""
    runs = old.counts(kind, level) + new.counts(kind, level)
    numbers = [tuple(r[what] for r in runs) for what in set().union(*runs)]
    numbers = [n for n in numbers if len(set(n)) > 1]
    size = old.runs
    true = set(range(size))
    deals = list(itertools.islice(itertools.combinations(range(len(runs)), size), 20000))
    deals = [d for d in deals if set(d) != true and (2 * size != len(runs) or set(range(len(runs))) - set(d) != true)]
    if len(deals) > DEALS:
        deals = random.Random(1).sample(deals, DEALS)
    allowed = int(CHANCE * len(deals))
    for deal in deals:
        others = [i for i in range(len(runs)) if i not in deal]
        count = sum(_apart([n[i] for i in deal], [n[i] for i in others]) for n in numbers)
        allowed -= count >= found
        if allowed < 0:
            return False
    return True


class Verdict:
    """Of one kind of subject of one test. level: at which it was compared exactly, or None. different: the
    items that are, by level. doubtful: what repeats on one side, and was otherwise in some runs of the other."""

    def __init__(self, script, case, kind, level, repeats, different, sure=True, doubtful=()):
        self.script, self.case, self.kind, self.level = script, case, kind, level
        self.repeats, self.different, self.sure, self.doubtful = repeats, different, sure, list(doubtful)

    @property
    def shown(self):
        """The level at which the difference is shown: the one that repeats, or where it is seen best."""
        order = ((self.level,) if self.level else ("episodes",)) + LEVELS + ("which",)
        return next(at for at in order if at in self.different)


def _differing(old, new, kind, level):
    a, b = old.counts(kind, level), new.counts(kind, level)
    found = []
    for what in sorted(set().union(*a, *b), key=str):
        item = Item(what, [r[what] for r in a], [r[what] for r in b])
        if _apart(item.old, item.new):
            found.append(item)
    exact = old.repeats(kind, level) and new.repeats(kind, level)
    return found if exact or found and _more_than_chance(old, new, kind, level, len(found)) else []


def _doubtful(old, new, kind, level):
    """What one side, which repeats at this level, has never, and the other in some of its runs."""
    a, b = old.counts(kind, level), new.counts(kind, level)
    if old.repeats(kind, level) == new.repeats(kind, level):
        return []
    steady, other = (a, b) if old.repeats(kind, level) else (b, a)
    return [Item(what, [r[what] for r in a], [r[what] for r in b])
            for what in sorted(set().union(*other) - set(steady[0]), key=str)]


def verdicts(script, case, old, new):
    found = []
    for kind in sorted(set(old.levels) | set(new.levels)):
        if kind in ("console", "told"):
            repeats = old.repeats(kind, "which") and new.repeats(kind, "which")
            different = {"which": _differing(old, new, kind, "which")}
            level = "which" if repeats else None
        else:
            level = next((at for at in LEVELS if old.repeats(kind, at) and new.repeats(kind, at)), None)
            repeats = level == "sequences"
            # Down to the level that repeats; below it is nothing that it does not show.
            chosen = LEVELS if level is None else LEVELS[:LEVELS.index(level) + 1]
            # How often there is a wait follows the load of the machine, which is another at another time.
            chosen = [at for at in chosen if at == level or at not in LEVELS[:2]]
            different = {at: _differing(old, new, kind, at) for at in chosen}
        different = {at: items for at, items in different.items() if items}
        enough = min(old.runs, new.runs) >= RUNS_TO_BE_SURE
        sure = not different or enough or repeats and min(old.runs, new.runs) >= 2
        at = "which" if kind in ("console", "told") else "unwaited"
        doubtful = [] if different else _doubtful(old, new, kind, at)
        found.append(Verdict(script, case, kind, level, repeats, different, sure, doubtful))
    return found


class Comparison:
    def __init__(self, old, new, rules, only=None):
        """only: the (script, case) that are compared; all, otherwise."""
        rules = map_of_words.that_apply(rules, old.states(), new.states())
        self.verdicts, self.results, self.missing = [], [], []
        self.sides = {}
        scripts = set(old.scripts()) & set(new.scripts())
        self.scripts_once = sorted(set(old.scripts()) ^ set(new.scripts()))
        for key in sorted(set(old.cases) | set(new.cases)):
            script, case = key
            if script not in scripts or only is not None and key not in only:
                continue
            if key not in old.cases or key not in new.cases:
                self.missing.append((key, "new" if key in new.cases else "old"))
                continue
            a, b = Side(old.cases[key], rules, "old"), Side(new.cases[key], rules, "new")
            if set(a.results) != set(b.results):
                self.results.append((key, a.results, b.results))
            self.verdicts += verdicts(script, case, a, b)
            if any(v.different or v.doubtful for v in self.verdicts if (v.script, v.case) == key):
                self.sides[key] = a, b

    @property
    def different(self):
        return [v for v in self.verdicts if v.different]

    @property
    def doubtful(self):
        return [v for v in self.verdicts if v.doubtful]

    def suspects(self, doubts):
        """The tests of which more runs can tell more, since they differ, or with `doubts` since they may: {script: [case]}.
        A test that always ends in one way with the one program and never so with the other is told already."""
        told = {key for key, old, new in self.results if min(len(old), len(new)) > 1 and not set(old) & set(new)}
        keys = {(v.script, v.case) for v in self.different + (self.doubtful if doubts else [])}
        found = {}
        for script, case in sorted((keys | {key for key, _, _ in self.results}) - told):
            found.setdefault(script, []).append(case)
        return found


def _nearest(what, others):
    best, most = None, 0.0
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(what)
    for other in others:
        matcher.set_seq1(other)
        if matcher.real_quick_ratio() > most and matcher.quick_ratio() > most and matcher.ratio() > most:
            best, most = other, matcher.ratio()
    return best


def _counts(numbers):
    return str(numbers[0]) if len(set(numbers)) == 1 else "/".join(map(str, numbers))


def report(comparison, say, most=20):
    """Prints what differs, so that the session, the test and both sequences are found."""
    for v in comparison.different[:most]:
        a, b = comparison.sides[v.script, v.case]
        how = "repeats in every run" if v.repeats else "does not repeat whole, compared by %s" % (v.level or "what does repeat")
        say("DIFFERENT  %s  %s: %s (%d old runs, %d new ones; %s)%s"
            % (v.script, v.case, v.kind, a.runs, b.runs, how, "" if v.sure else "; MORE RUNS ARE NEEDED to be sure"))
        level = v.shown
        items = v.different[level]
        fewer = [i for i in items if sum(i.old) / len(i.old) > sum(i.new) / len(i.new)]
        more = [i for i in items if i not in fewer]
        if level in WHOLE:
            _report_sequences(fewer, more, a, b, say)
        else:
            for i in (fewer + more)[:SHOWN_LINES]:
                say("    %s: old %s, new %s times: %s" % (level, _counts(i.old), _counts(i.new), i.what))
        say("")
    if len(comparison.different) > most:
        say("... and %d more" % (len(comparison.different) - most))
        for v in comparison.different[most:]:
            say("DIFFERENT  %s  %s: %s" % (v.script, v.case, v.kind))


def report_doubts(comparison, say, most):
    for v in comparison.doubtful[most:]:
        say("DOUBTFUL  %s  %s: %s" % (v.script, v.case, v.kind))
    for v in comparison.doubtful[:most]:
        a, b = comparison.sides[v.script, v.case]
        say("DOUBTFUL  %s  %s: %s (%d old runs, %d new ones): on one side it never was so, on the other sometimes"
            % (v.script, v.case, v.kind, a.runs, b.runs))
        if v.kind in ("console", "told"):
            for i in v.doubtful[:3]:
                say("    old %s, new %s times: %s" % (_counts(i.old), _counts(i.new), i.what))
            continue
        i = v.doubtful[0]
        steady = a if max(i.old) == 0 else b
        other = _nearest(i.what, list(steady.counts(v.kind, "unwaited")[0]))
        say("    old %s, new %s times: %s" % (_counts(i.old), _counts(i.new), (b if steady is a else a).found[i.what]))
        for line in list(difflib.unified_diff(other or (), i.what, "never so", "sometimes", n=2, lineterm=""))[2:][:SHOWN_LINES]:
            say("      " + line)


def _report_sequences(fewer, more, a, b, say, most=3):
    left = [i.what for i in more]
    for i in fewer[:most]:
        other = _nearest(i.what, left)
        say("    old %s, new %s times: %s" % (_counts(i.old), _counts(i.new), a.found[i.what]))
        if other is None:
            for line in list(i.what)[:SHOWN_LINES]:
                say("      -" + line)
            continue
        left.remove(other)
        j = next(x for x in more if x.what == other)
        say("    old %s, new %s times: %s" % (_counts(j.old), _counts(j.new), b.found[other]))
        for line in list(difflib.unified_diff(i.what, other, "old", "new", n=4, lineterm=""))[2:][:SHOWN_LINES]:
            say("      " + line)
    for what in left[:most]:
        i = next(x for x in more if x.what == what)
        say("    old %s, new %s times: %s" % (_counts(i.old), _counts(i.new), b.found[what]))
        for line in list(what)[:SHOWN_LINES]:
            say("      +" + line)
    hidden = max(0, len(fewer) - most) + max(0, len(left) - most)
    if hidden:
        say("    ... and %d more sequences" % hidden)


def _varying(side, kind, most=3):
    """The lines whose number varies most from run to run, in words."""
    counts = side.counts(kind, "lines")
    spread = Counter()
    for line in set().union(*counts):
        numbers = [c[line] for c in counts]
        spread[line] = max(numbers) - min(numbers)
    texts = ["%s (by %d)" % (line[:70], n) for line, n in spread.most_common(most) if n]
    return ", varying: " + ", ".join(texts) if texts else ""


def unrepeatable(rec, rules=()):
    """[(script, case, kind, level, text)] of a recording: what does not repeat from run to run, up to which
    level it does, and how much of it."""
    found = []
    for (script, case), runs in sorted(rec.cases.items()):
        if len(runs) < 2:
            continue
        side = Side(runs, list(rules), "new")
        if len(set(side.results)) > 1:
            found.append((script, case, "result", None, "/".join(side.results)))
        for kind, levels in sorted(side.levels.items()):
            if "which" in levels:
                if not side.repeats(kind, "which"):
                    counts = side.counts(kind, "which")
                    varying = [w for w in set().union(*counts) if len({c[w] for c in counts}) > 1]
                    found.append((script, case, kind, None, "%d lines come and go, as: %s" % (len(varying), varying[0])))
                continue
            if side.repeats(kind, "sequences"):
                continue
            level = next((at for at in LEVELS if side.repeats(kind, at)), None)
            counts = side.counts(kind, level if level in WHOLE else "episodes")
            steady = sum(min(c[w] for c in counts) for w in counts[0])
            whole = max(sum(c.values()) for c in counts)
            text = "%d of %d %s repeat" % (steady, whole, level if level in WHOLE else "episodes")
            found.append((script, case, kind, level, text + _varying(side, kind)))
    return found
