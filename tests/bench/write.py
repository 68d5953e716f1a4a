"""Writes the page, its pictures, and what README.md quotes, from the figures alone."""

import math
import os
import re
from collections import Counter

import plots
import texts
from cases import CASES, TARGETS
from figures import FIGURES, OURS, compare, is_other_pooler, is_ours, label, median, values
from goals import PGBOUNCER, judge
from latency import PERCENTS
from plots import Row, Series

# Per section of cases: the heading, what to know before reading, and the columns: a figure, or its ratio to that of
# another lane. `off` is the same pgwith with statement_cache off.
SECTIONS = {
    "throughput": ("Throughput", "`pgbench -c 16`, two threads unless said otherwise, on 20 servers.",
                   ["tps", "tps/direct", "tps/pgbouncer", "cpu_us", "cpu_us/pgbouncer", "postgres_us"]),
    "scarce": ("More clients than servers", "The pool has 5 servers, so most clients wait all the time.",
               ["tps", "tps/pgbouncer", "cpu_us", "cpu_us/pgbouncer", "postgres_us"]),
    "texts": ("Statements without a name",
              "16 clients on 20 servers, extended protocol, a Parse with each transaction. pgwith has three pools that "
              "differ in `statement_cache`. `auto` is the default; it serves a text again if the types of its parameters are "
              "given, by the driver or in the text. The driver is `load.c`, which is libpq. A text that never repeats "
              "cannot be served: there, the three must be alike.",
              ["tps", "tps/direct", "tps/pgbouncer", "tps/off", "cpu_us", "cpu_us/pgbouncer", "postgres_us"]),
    "connect": ("A connection for each transaction",
                "`pgbench -C -S -c 16`. Logged means that each pooler writes a line when a client comes and one when "
                "it goes (PgBouncer: `log_connections`, `log_disconnections`; pgwith: the options of the same names).",
                ["tps", "tps/pgbouncer", "cpu_us", "cpu_us/pgbouncer"]),
    "latency": ("One client alone", "`pgbench -c 1` as fast as it goes: how long a SELECT takes.",
                ["p50_ms", "p50_ms/direct", "p50_ms/pgbouncer", "p99_ms", "p99_ms/pgbouncer"]),
    "many": ("200 clients on 20 servers",
             "Fairness is the p99 of the times of all transactions (waiting and executing), divided by their p50: 1 if "
             "everybody waits equally long. The last column compares how many transactions clients had. `direct` has "
             "200 PostgreSQL processes.",
             ["tps", "tps/pgbouncer", "cpu_us", "cpu_us/pgbouncer", "p50_ms", "p99_ms", "p99_p50", "clients_ratio"]),
    "bulk": ("Large results and COPY", "One client, statements of 64 MB. COPY IN goes to a table that keeps nothing.",
             ["mb_s", "mb_s/direct", "mb_s/pgbouncer", "cpu_us_mb", "cpu_us_mb/pgbouncer"]),
    "idle": ("Many idle clients", "`pgbench -S -c 50` on 20 servers, beside clients that are connected and do nothing.",
             ["tps", "tps/pgbouncer", "cpu_us", "cpu_us/pgbouncer"]),
    "memory": ("Memory of an idle client",
               "Resident memory of the pooler with {clients:,} clients less that without, divided by their number. A "
               "process takes whole pages, and keeps what it has: so the second figure includes the first.",
               ["idle_bytes", "idle_bytes/pgbouncer", "used_bytes", "used_bytes/pgbouncer", "prepared_bytes"]),
    "storm": ("Storms",
              "50 clients in a transaction, 20 of them with `pg_sleep({storm_seconds})` running, are killed at once. "
              "Seconds after that; `never` is longer than was watched.",
              ["queries_s", "transactions_s", "answered_s", "replaced"]),
    "syscalls": ("System calls", "Of the pooler, 16 clients.", ["calls", "calls/pgbouncer"]),
    "instructions": ("User instructions", "What the pooler and its libraries execute, without the kernel. 16 clients.",
                     ["instructions", "instructions/pgbouncer"]),
}
# What decides whether pgwith is ahead.
JUDGED = ("tps", "cpu_us", "p50_ms", "p99_ms", "p99_p50", "mb_s", "cpu_us_mb", "idle_bytes", "used_bytes",
          "prepared_bytes", "queries_s", "transactions_s", "answered_s", "replaced", "calls", "instructions")
RATIO_TICS = (0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4, 6, 8)
MARKS = ("<!-- bench-page: begin -->", "<!-- bench-page: end -->")


# ---- numbers ----

def number(value, digits):
    if value is None:
        return ""
    if math.isinf(value):
        return "never"
    return f"{value:,.{digits}f}"


def digits_of(figure, value):
    """Small times need more digits than large ones."""
    return figure.digits if value is None or abs(value) < 100 or figure.digits == 0 else max(0, figure.digits - 1)


def spread(cell, figure):
    """`median (least to greatest)`"""
    value, all_values = median(cell, figure.key), values(cell, figure.key)
    if value is None:
        return ""
    text = number(value, digits_of(figure, value))
    if len(all_values) > 1 and min(all_values) != max(all_values):
        text += f" ({number(min(all_values), figure.digits)} – {number(max(all_values), figure.digits)})"
    return text


def ratio_text(ratio):
    if ratio is None or math.isnan(ratio.value):
        return ""
    text = number(ratio.value, 2)
    low, high = number(ratio.least, 2), number(ratio.greatest, 2)
    return text if low == high else f"{text} ({low} – {high})"


def table(columns, rows, left=1):
    """A table of Markdown; the first `left` columns stand to the left."""
    rule = ["---"] * left + ["---:"] * (len(columns) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, rule, *rows])


# ---- the parts of the page ----

class Page:

    def __init__(self, results, directory):
        self.results = results
        self.about = results["about"]
        self.cases = {c.name: (c, results["cases"][c.name]) for c in CASES if c.name in results["cases"]}
        self.pictures = os.path.join(directory, "results")
        os.makedirs(self.pictures, exist_ok=True)

    @property
    def pgbouncer(self):
        return re.sub(r"(?i)pgbouncer ", "PgBouncer ", self.about.get("pgbouncer", "PgBouncer"))

    def of_section(self, section):
        return [(c, found) for c, found in self.cases.values() if c.section == section]

    def lanes(self, cases):
        """All lanes of some cases, in the order of the targets: direct, poolers, ours."""
        names = dict.fromkeys(lane for _, found in cases for lane in found["lanes"])
        order = [TARGETS[0], TARGETS[1]]
        caches = ["", *texts.POOLS]

        def place(lane):
            target, _, cache = lane.partition(" ")
            return is_ours(lane), order.index(target) if target in order else len(order), target, caches.index(cache)

        return sorted(names, key=place)

    def series(self, names):
        return [Series(n, self.name(n)) for n in names]

    def name(self, lane):
        return self.pgbouncer if lane == "pgbouncer" else label(lane)

    # ---- text ----

    def machine(self):
        a = self.about
        settings = self.results["settings"]
        steal = [found.get("stolen", 0) for _, found in self.cases.values()]
        took = sum(found.get("took_s", 0) for _, found in self.cases.values())
        quick = "; **quick: this shows that the program works, and measures nothing**" if settings["quick"] else ""
        rows = [("measured", f"{a['when']}, in {took / 60:.0f} minutes; load before: {a['load']}"
                 + (f"; nice {a['nice']}" if a["nice"] else "")),
                ("rounds", f"{settings['rounds']} of {settings['seconds']} s, interleaved{quick}"),
                ("machine", f"{a['cpu']}, {a['cores']} cores, {a['memory_bytes'] / 2**30:.1f} GiB; "
                 f"at most {100 * max(steal, default=0):.1f} % of a case's time went to other virtual machines"),
                ("Linux", a["kernel"]), ("PostgreSQL", a["postgresql"]),
                ("PgBouncer", self.pgbouncer if "pgbouncer" in a else a["without"].get("pgbouncer", "")),
                *((name, version) for name, version in a.get("peers", {}).items()),
                ("pgwith", f"{a['pgwith']}, commit {a['commit']}"
                 + (f", configured with {a['configured']}" if a.get("configured") else "")),
                *self.measured_otherwise()]
        return table(["", ""], rows, 2)

    def measured_otherwise(self):
        """Rows about cases that stem from another run, of another day or pgwith."""
        others = {}
        for case, found in self.cases.values():
            origin = found["when"], found["commit"]
            if origin != (self.about["when"], self.about["commit"]):
                others.setdefault(origin, []).append(case.name)
        return [("measured before", f"{when}, commit {commit}: {', '.join(names)}")
                for (when, commit), names in sorted(others.items())]

    def goals(self):
        """A row for each goal, a column for each form of pgwith."""
        verdicts, rows = judge(self.results), []
        for goal in dict.fromkeys(v.goal.text for v in verdicts):
            of_goal = {v.io: v for v in verdicts if v.goal.text == goal}
            others = dict.fromkeys(v.other for v in of_goal.values() if v.measured and v.goal.other == PGBOUNCER)
            rows.append([goal, ", ".join(map(self.name, others)),
                         *(self.verdict(of_goal[io]) if io in of_goal else "" for io in OURS)])
        count = [sum(v.reached is verdict for v in verdicts) for verdict in (True, False, None)]
        return f"{count[0]} reached, {count[1]} not reached, {count[2]} not measured. PgBouncer is the best that was " \
            "measured in the case.\n\n" + table(["goal", "PgBouncer", *map(label, OURS)], rows, 2)

    @staticmethod
    def verdict(v):
        if v.measured is None:
            return "not measured"
        text = ratio_text(v.measured) if v.other else \
            number(v.measured.value, digits_of(FIGURES[v.goal.figure], v.measured.value))
        return f"{text}, reached" if v.reached else f"**{text}, not reached**"

    def not_ahead(self):
        """A row for each figure by which a form of pgwith is not better than another pooler by more than 2 %."""
        count, behind, level = Counter(), [], []
        forms = [n for n in OURS if any(lane.partition(" ")[0] == n for _, found in self.cases.values()
                                        for lane in found["lanes"])]
        for case, found in self.cases.values():
            _, _, columns = SECTIONS[case.section]
            for key in (k for k in columns if k in JUDGED):
                for other in filter(is_other_pooler, found["lanes"]):
                    verdicts, cells = set(), dict.fromkeys(forms, "")
                    for ours in filter(self.is_default, found["lanes"]):
                        verdict, ratio = self.against(found["lanes"], ours, other, FIGURES[key])
                        if verdict:
                            count[verdict] += 1
                            verdicts.add(verdict)
                            text = f"{ratio_text(ratio)} {verdict}".strip()
                            cells[ours.partition(" ")[0]] = f"**{text}**" if verdict == "behind" else text
                    row = [f"{SECTIONS[case.section][0].split(': ')[0]}: {case.title}", FIGURES[key].text,
                           self.name(other), *cells.values()]
                    if "behind" in verdicts:
                        behind.append(row)
                    elif "level" in verdicts:
                        level.append(row)
        columns = ["case", "figure", "compared with", *(f"{label(ours)} / it" for ours in forms)]
        text = f"Of {sum(count.values())} comparisons with other poolers pgwith is ahead in {count['ahead']}, level " \
               f"(within 2 %) in {count['level']}, and behind in {count['behind']}."
        if behind:
            text += "\n\n" + table(columns, behind, 3)
        if level:
            text += "\n\n<details><summary>Where it is level</summary>\n\n" + table(columns, level, 3) \
                + "\n\n</details>"
        return text

    @staticmethod
    def is_default(lane):
        """Of the lanes that differ in statement_cache only the default one."""
        return is_ours(lane) and lane.partition(" ")[2] in ("", "auto")

    @staticmethod
    def against(lanes, ours, other, figure):
        ratio = compare(lanes[ours], lanes[other], figure.key)
        if ratio is None:  # nothing to compare, or theirs is 0
            mine, theirs = median(lanes[ours], figure.key), median(lanes[other], figure.key)
            if mine is None or theirs is None:
                return None, None
            return ("level" if mine == theirs else "behind"), None
        better = ratio.value if figure.more_is_better else -ratio.value
        at = 1 if figure.more_is_better else -1
        if better > at + figure.level:
            return "ahead", ratio
        return ("behind" if better < at - figure.level else "level"), ratio

    def section(self, name):
        heading, intro, columns = SECTIONS[name]
        cases = self.of_section(name)
        if not cases:
            return ""
        columns = [c for c in columns if any(self.cell(found["lanes"], lane, c)
                                             for _, found in cases for lane in found["lanes"])]
        rows = []
        for case, found in cases:
            rows.append([f"**{case.title}**", *[""] * len(columns)])
            for lane in self.lanes([(case, found)]):
                rows.append([self.name(lane), *(self.cell(found["lanes"], lane, c) for c in columns)])
        parts = [f"## {heading}", intro.format(**self.results["settings"]), self.counted_by(cases),
                 *self.pictures_of(name, cases),
                 table(["", *map(self.column, columns)], rows), self.calls_by_name(cases), self.left_out(cases)]
        return "\n\n".join(filter(None, parts))

    def column(self, column):
        key, _, other = column.partition("/")
        figure = FIGURES[key]
        if other:
            return {"pgbouncer": "of PgBouncer's", "direct": "of direct", "off": "of cache off"}[other]
        return figure.text + (f", {figure.unit}" if figure.unit not in ("", "/s", "MB/s") else "")

    def cell(self, lanes, lane, column):
        key, _, other = column.partition("/")
        if not other:
            return spread(lanes[lane], FIGURES[key])
        target, _, cache = lane.partition(" ")
        other = f"{target} off" if other == "off" and cache not in ("", "off") else other
        if other == lane or other not in lanes or (lane == "direct" and other == "pgbouncer"):
            return ""
        return ratio_text(compare(lanes[lane], lanes[other], key))

    def counted_by(self, cases):
        by = {found["counted_by"] for _, found in cases if found.get("counted_by")}
        return " ".join({"perf": "Counted by `perf stat`.", "strace": "Counted by `strace`, which slows poolers down.",
                         "callgrind": "This machine's processor does not count instructions (`perf stat -e "
                         "instructions:u` is not supported), so valgrind's callgrind did, in one round: the pooler is "
                         "slow under it, and finds more to do at each wake-up than in truth."}[tool]
                        for tool in sorted(by))

    def calls_by_name(self, cases):
        rows = []
        for case, found in cases:
            for lane in self.lanes([(case, found)]):
                by_name = next((r["by_name"] for r in found["lanes"][lane]["rounds"] if "by_name" in r), {})
                calls = sorted(((n, c) for n, c in by_name.items() if c >= 0.01), key=lambda item: (-item[1], item[0]))
                if calls:
                    rows.append([case.title, self.name(lane), ", ".join(f"{n} {c:.2f}" for n, c in calls)])
        return "By name, in the first round:\n\n" + table(["", "", "calls per transaction"], rows, 3) if rows else ""

    def left_out(self, cases):
        lines = [f"- {case.title}, {'all' if lane == 'all' else self.name(lane)}: {why}"
                 for case, found in cases for lane, why in found["left_out"].items()]
        for case, found in cases:
            for lane, cell in found["lanes"].items():
                failed = [" ".join(r["error"].split()) for r in cell["rounds"] if "error" in r]
                if failed:
                    lines.append(f"- {case.title}, {self.name(lane)}: {len(failed)} of {len(cell['rounds'])} rounds "
                                 f"failed, the first one with `{failed[0][:200].replace('`', '')}`")
        return "Not measured:\n\n" + "\n".join(lines) if lines else ""

    # ---- pictures ----

    def picture(self, name, alt, drawn):
        return f"![{alt}](results/{name}.svg)" if drawn else ""

    def path(self, name):
        return os.path.join(self.pictures, name + ".svg")

    def pictures_of(self, section, cases):
        draw = {"latency": self.draw_latency, "many": self.draw_fairness, "bulk": self.draw_bulk,
                "idle": self.draw_idle, "memory": self.draw_memory, "texts": self.draw_texts, "syscalls": self.draw_counts,
                "instructions": self.draw_counts}.get(section)
        return draw(section, cases) if draw else []

    def overview(self):
        """Throughput and CPU of all cases of pgbench, relative to PgBouncer."""
        cases = [item for section in ("throughput", "scarce", "texts", "connect", "many", "idle")
                 for item in self.of_section(section)]
        found = []
        for key, name, title in (("tps", "throughput", "Throughput, PgBouncer = 1 (more is better)"),
                                 ("cpu_us", "cpu", "CPU of the pooler, PgBouncer = 1 (less is better)")):
            rows = []
            for case, result in cases:
                row = Row(self.short_title(case))
                for lane in result["lanes"]:
                    ratio = compare(result["lanes"][lane], result["lanes"].get("pgbouncer"), key) \
                        if "pgbouncer" in result["lanes"] else None
                    if ratio and lane != "pgbouncer" and (not is_ours(lane) or self.is_default(lane)):
                        row.points[lane.partition(" ")[0]] = (ratio.value, ratio.least, ratio.greatest)
                if row.points:
                    rows.append(row)
            names = [n for n in self.lanes(cases) if " " not in n and n != "pgbouncer"]
            if rows:
                drawn = plots.dots(self.path(name), title, "median of the rounds; the line: least and greatest round",
                                   rows, self.series(names), 1, RATIO_TICS, self.span(rows))
                found.append(self.picture(name, title, drawn))
        return found

    @staticmethod
    def span(rows):
        """Of the axis. All poolers are in it; direct may be far off where it makes a process for each transaction."""
        points = [p for row in rows for name, p in row.points.items() if name != "direct"]
        return min(0.8, min(p[1] for p in points) / 1.05), max(1.25, max(p[2] for p in points) * 1.05)

    @staticmethod
    def short_title(case):
        title = case.title
        for long, short in ((" protocol", ""), ("named prepared statement", "prepared"),
                            ("clients on 5 servers", "on 5"),
                            ("PostgreSQL infers the type", "types inferred"), (", the text says the type", ""),
                            ("a driver that gives types, texts", "texts"), ("pgbench -S -M extended:", "extended,"),
                            ("one pgbench thread", "1 thread"), ("a connection for each SELECT", "connection each"),
                            ("coming and going logged", "logged"), ("no log of it", "no log")):
            title = title.replace(long, short)
        return title + {"many": ", 200 on 20", "idle": " beside 50"}.get(case.section, "")

    def bar_rows(self, found, key, skip=()):
        rows = []
        for lane in self.lanes([(None, found)]):
            value, every = median(found["lanes"][lane], key), values(found["lanes"][lane], key)
            if value is not None and lane not in skip:
                rows.append(Row(self.name(lane), {"": (value, min(every), max(every))}, lane.partition(" ")[0]))
        return rows

    def draw_texts(self, _, cases):
        rows = []
        for case, found in cases:
            for ours in OURS:
                row = Row(f"{self.short_title(case)}" + (f" ({label(ours).split(', ')[1]})"))
                for lane, cell in found["lanes"].items():
                    if lane == "direct" or (is_ours(lane) and lane.partition(" ")[0] != ours):
                        continue
                    ratio = compare(cell, found["lanes"].get("direct"), "tps")
                    if ratio:
                        row.points[lane.partition(" ")[2] if is_ours(lane) else lane] = (
                            ratio.value, ratio.least, ratio.greatest)
                if set(row.points) & {"off", "auto", "on"}:
                    rows.append(row)
        names = [s for s in self.series(self.lanes(cases)) if is_other_pooler(s.name)]
        title = "Throughput, direct connection = 1 (more is better)"
        drawn = rows and plots.dots(
            self.path("texts"), title, "median of the rounds; the line: least and greatest round", rows,
            [*names, *(Series(c, f"pgwith, cache {c}") for c in ("off", "auto", "on"))], 1, RATIO_TICS, self.span(rows))
        return [self.picture("texts", title, drawn)]

    def draw_latency(self, _, cases):
        pictures = []
        for key, text in (("p50_ms", "half of all transactions take at most"), ("p99_ms", "99 of 100 take at most")):
            title = f"One client alone: {text} (less is better)"
            name = f"latency-{key.removesuffix('_ms')}"
            groups = [(case.title, self.bar_rows(found, key)) for case, found in cases]
            pictures.append(self.picture(name, title, plots.bars(self.path(name), title, "milliseconds", groups, 3)))
        return pictures

    def draw_fairness(self, _, cases):
        pictures = []
        for case, found in cases[:1]:
            curves = {}
            for lane, cell in found["lanes"].items():
                rounds = [r["latencies_ms"] for r in cell["rounds"] if "latencies_ms" in r]
                if rounds and lane != "direct":
                    curves[lane] = [sorted(column)[len(column) // 2] for column in zip(*rounds)]
            title = f"200 clients on 20 servers: how long transactions take ({case.title})"
            drawn = plots.lines(self.path("fairness"), title, "so many of 100 transactions took at most",
                                "milliseconds", [f"{p:g}" for p in PERCENTS], curves, self.series(self.lanes([(case, found)])))
            pictures.append(self.picture("fairness", title, drawn))
        return pictures

    def draw_bulk(self, _, cases):
        title = "Large results and COPY (more is better)"
        groups = [(case.title, self.bar_rows(found, "mb_s")) for case, found in cases]
        return [self.picture("bulk", title, plots.bars(self.path("bulk"), title, "MB/s", groups))]

    def draw_idle(self, _, cases):
        title = "CPU of the pooler per transaction beside idle clients (less is better)"
        groups = [(case.title, self.bar_rows(found, "cpu_us")) for case, found in cases]
        return [self.picture("idle", title, plots.bars(self.path("idle"), title, "microseconds", groups, 1))]

    def draw_memory(self, _, cases):
        title = "Memory for each client that is connected (less is better)"
        groups = [(FIGURES[key].text, self.bar_rows(found, key)) for _, found in cases
                  for key in ("idle_bytes", "used_bytes", "prepared_bytes")]
        return [self.picture("memory", title, plots.bars(self.path("memory"), title, "bytes", groups))]

    def draw_counts(self, section, cases):
        key = {"syscalls": "calls", "instructions": "instructions"}[section]
        title = f"{SECTIONS[section][0]} of the pooler per transaction (less is better)"
        groups = [(case.title, self.bar_rows(found, key)) for case, found in cases]
        return [self.picture(section, title, plots.bars(self.path(section), title, "per transaction", groups,
                                                        FIGURES[key].digits))]

    # ---- all of it ----

    def without(self):
        lines = [f"- {label(name)}: {' '.join(why.split())}" for name, why in self.about["without"].items()]
        missing = [c.name for c in CASES if c.name not in self.cases]
        if missing:
            lines.append(f"- these cases: {', '.join(missing)}")
        return "Not measured at all:\n\n" + "\n".join(lines) if lines else ""

    def text(self):
        parts = [
            "<!-- Written by tests/bench/page.py from results/results.json. Do not edit. -->",
            "# pgwith beside PostgreSQL and other poolers",
            "`make bench-page` measured this and wrote it; [README.md](README.md) says how. All stand on one machine "
            "and compete for its cores: PostgreSQL, the pooler and the clients. They talk over Unix sockets. `direct` is "
            "PostgreSQL without a pooler.",
            self.machine(),
            "Numbers are medians of the rounds, and in parentheses the least and the greatest round. A ratio is that "
            "of two medians, and in parentheses the least and the greatest ratio of one round. In a round all are "
            "measured one after the other.",
            self.without(),
            "## In short", *self.overview(),
            "In both pictures, pgwith has its default, `statement_cache = auto`. Where `direct` is far off, only the "
            "tables have it.",
            "## Where pgwith is not ahead", self.not_ahead(),
            "## The goals of issue 13", self.goals(),
            "The goals of prepared statements need a PgBouncer of 1.21 or later, as `--peer`. The issue's other goals, "
            "the fuzz programs and the suite, are no measurements.",
            *map(self.section, SECTIONS)]
        return "\n\n".join(filter(None, parts)) + "\n"

    def quote(self):
        """A few lines for README.md."""
        lanes = [n for n in ("direct", "pgbouncer", *OURS) if any(
            lane.partition(" ")[0] == n for _, found in self.cases.values() for lane in found["lanes"])]
        rows = []
        for text, case, key, cache in (
                ("SELECT, simple protocol, transactions a second", "select-simple-j2", "tps", ""),
                ("the same, CPU of the pooler per transaction, µs", "select-simple-j2", "cpu_us", ""),
                ("extended, a driver that gives types, transactions a second", "cache-typed", "tps", "auto"),
                ("a join of four tables, extended, transactions a second", "cache-join", "tps", "auto"),
                ("BEGIN; SELECT; COMMIT, transactions a second", "begin-simple", "tps", ""),
                ("a connection for each SELECT, transactions a second", "connect-simple", "tps", ""),
                ("a large SELECT, MB/s", "bulk-select", "mb_s", ""),
                ("memory of an idle client, bytes", "memory", "idle_bytes", ""),
                ("20 abandoned transactions are over after, s", "storm-simple", "transactions_s", ""),
                ("their server connections that are replaced", "storm-simple", "replaced", "")):
            cells = self.cases[case][1]["lanes"] if case in self.cases else {}
            row = [text]
            for lane in lanes:
                value = median(cells.get(f"{lane} {cache}" if cache and is_ours(lane) else lane), key)
                row.append(number(value, digits_of(FIGURES[key], value)) or "-")
            rows.append(row)
        settings = self.results["settings"]
        return "\n\n".join([
            table(["", *map(self.name, lanes)], rows),
            f"Medians of {settings['rounds']} rounds, {self.about['when']}, {self.about['cores']} cores for "
            "PostgreSQL, pooler and clients together. [tests/bench/RESULTS.md](tests/bench/RESULTS.md) has all of it, the spread, "
            "and where pgwith is not ahead."])


def write_page(results, directory, readme=None):
    """`readme`: a page with two MARKS, between which the quotation goes. A quick run is not quoted."""
    page = Page(results, directory)
    with open(os.path.join(directory, "RESULTS.md"), "w") as f:
        f.write(page.text())
    if readme and not results["settings"]["quick"]:
        with open(readme) as f:
            text = f.read()
        before, begin, rest = text.partition(MARKS[0])
        _, end, after = rest.partition(MARKS[1])
        if not end:
            raise RuntimeError(f"{readme} has no lines {MARKS[0]} and {MARKS[1]}")
        with open(readme, "w") as f:
            f.write(f"{before}{begin}\n\n{page.quote()}\n\n{end}{after}")
