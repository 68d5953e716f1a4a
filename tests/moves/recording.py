"""A recording: what pgwithd did in each test, run by run. One file, compressed JSON."""

import gzip
import hashlib
import json
import os

from reading import Move, Story

FORMAT = 1


class Problem(Exception):
    """The file cannot be read, or is none of ours."""


class Run:
    """One run of one test. result: ok, not ok, skip. stories: {the daemon's directory: [Story]}; told:
    {directory: [text]}."""

    def __init__(self, result, stories=None, told=None):
        self.result, self.stories, self.told = result, stories or {}, told or {}


class Recording:
    """about: what was run, as a dict. cases: {(script, test): [Run]}. calls: {exchange: [{call: count}]},
    see calls.py."""

    def __init__(self, about=None):
        self.about, self.cases, self.calls = about or {}, {}, {}

    def add(self, script, case, run):
        self.cases.setdefault((script, case), []).append(run)

    def scripts(self):
        return sorted({script for script, _ in self.cases})

    def states(self):
        """{(machine, state)} of all its moves."""
        return {(item.machine, state) for runs in self.cases.values() for run in runs
                for stories in run.stories.values() for story in stories
                for item in story.items if isinstance(item, Move) for state in (item.old, item.new)}

    def merge(self, other):
        """The other's runs come behind ours."""
        for (script, case), runs in other.cases.items():
            self.cases.setdefault((script, case), []).extend(runs)
        for name, counts in other.calls.items():
            self.calls.setdefault(name, []).extend(counts)
        self.about.setdefault("scripts", {}).update(other.about.get("scripts", {}))

    def save(self, path):
        strings = {}

        def number(item):
            text = "\t".join((item.machine, item.old, item.new, item.rest)) if isinstance(item, Move) else item
            return strings.setdefault(text, len(strings))

        cases = []
        for (script, case), runs in sorted(self.cases.items()):
            cases.append([script, case, [
                [r.result,
                 {d: [[s.kind, s.name, [number(i) for i in s.items]] for s in stories] for d, stories in r.stories.items()},
                 {d: [number(t) for t in told] for d, told in r.told.items()}] for r in runs]])
        data = {"format": FORMAT, "about": self.about, "calls": self.calls, "cases": cases,
                "strings": list(strings)}
        making = "%s.%d" % (path, os.getpid())
        with gzip.open(making, "wt", compresslevel=6) as f:
            json.dump(data, f)
        os.replace(making, path)


def load(path):
    try:
        with gzip.open(path, "rt") as f:
            data = json.load(f)
    except (OSError, EOFError, ValueError) as e:
        raise Problem("%s: not a recording: %s" % (path, e)) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise Problem("%s: not a recording of format %d" % (path, FORMAT))
    strings = [Move(*text.split("\t")) if text.count("\t") == 3 else text for text in data["strings"]]
    rec = Recording(data["about"])
    rec.calls = data["calls"]
    for script, case, runs in data["cases"]:
        for result, stories, told in runs:
            run = Run(result)
            for d, some in stories.items():
                run.stories[d] = []
                for kind, name, items in some:
                    story = Story(kind, name)
                    story.items = [strings[i] for i in items]
                    run.stories[d].append(story)
            for d, some in told.items():
                run.told[d] = [strings[i] for i in some]
            rec.add(script, case, run)
    return rec


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _of_libraries(*directories):
    """The digest of every Python file in them: its name and what is in it."""
    total = hashlib.sha256()
    for directory in directories:
        for where, below, files in os.walk(directory):
            below[:] = sorted(d for d in below if d != "__pycache__")
            for name in sorted(n for n in files if n.endswith(".py")):
                path = os.path.join(where, name)
                total.update(("%s\0%s\n" % (os.path.relpath(path, directory), digest(path))).encode())
    return total.hexdigest()


def digests_of_tests(tests, scripts):
    """{script: digest} of what a test consists of: its script, and tests/lib, which all scripts use. `tests`: the
    directory; a script that is not there has None."""
    libraries = _of_libraries(os.path.join(tests, "lib"))

    def one(script):
        path = os.path.join(tests, script)
        return hashlib.sha256((digest(path) + libraries).encode()).hexdigest() if os.path.exists(path) else None

    return {script: one(script) for script in scripts}


def other_tests(old, new):
    """The scripts of both recordings that are not the same in both: what differs may come from that."""
    a, b = old.about.get("scripts", {}), new.about.get("scripts", {})
    return sorted(script for script in set(a) & set(b) if a[script] != b[script])
