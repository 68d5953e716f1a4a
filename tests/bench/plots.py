"""Pictures by gnuplot, as SVG on a light ground of their own. A target has a shape, not only a colour."""

import math
import subprocess
from dataclasses import dataclass, field

WIDTH = 860
LABELS = 300  # pixels to the left, for the names of the rows
INK, FAINT, GROUND = "#222222", "#c8c8c8", "#fdfdfc"
FONT = "sans-serif"
CHARACTER = 7.3  # pixels of a character, on average
ABOVE, BELOW = 40, 64  # the title; the names of the axis
# (point type of gnuplot, colour); the colours are told apart by people who see few colours, too.
SHAPES = {"direct": (2, "#555555"), "pgbouncer": (5, "#c24f00"), "pgwithd-epoll": (7, "#0068a8"),
          "pgwithd-ring": (13, "#00785a"), "off": (4, "#8a5a00"), "auto": (7, "#0068a8"), "on": (9, "#7a3b9a")}
OTHER_SHAPES = ((8, "#a3366f"), (10, "#6b6b00"), (12, "#3a3a9a"), (6, "#7a2020"))


@dataclass
class Series:
    name: str   # of SHAPES, or of a peer
    label: str


@dataclass
class Row:
    """Of a plot of dots: {name of a series: (value, least, greatest)}; of one of bars: the value is under ""."""

    label: str
    points: dict = field(default_factory=dict)
    name: str = ""  # of a bar: the series whose colour it has


def shape(name, series):
    if name in SHAPES:
        return SHAPES[name]
    peers = [s.name for s in series if s.name not in SHAPES]
    return OTHER_SHAPES[peers.index(name) % len(OTHER_SHAPES)]


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def draw(path, height, commands):
    """Runs gnuplot. The picture depends on the commands alone."""
    script = "\n".join([
        f"set terminal svg noenhanced size {WIDTH},{height} font '{FONT},13' background rgb '{GROUND}'"
        " linewidth 1.2 dashlength 0.7 fontscale 1",
        f"set output {quoted(path)}",
        f"set border 0 linecolor rgb '{INK}'",
        "set xlabel offset 0,0.3",
        f"set tics textcolor rgb '{INK}' nomirror scale 0",
        f"set grid xtics linecolor rgb '{FAINT}' linewidth 0.6 dashtype 1",
        *commands, ""])
    done = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True)
    if done.returncode != 0 or done.stderr.strip():
        raise RuntimeError(f"gnuplot, {path}: {done.stderr.strip()[-500:]}\n")


def margins(height, top, bottom):
    """Pixels of the picture that are not the plot's."""
    return [f"set lmargin at screen {LABELS / WIDTH:.4f}", f"set rmargin at screen {1 - 40 / WIDTH:.4f}",
            f"set tmargin at screen {1 - top / height:.4f}", f"set bmargin at screen {bottom / height:.4f}"]


def title_at(height, text):
    return [f"set label 999 {quoted(text)} at screen {12 / WIDTH:.4f}, screen {1 - 20 / height:.4f} left "
            f"font '{FONT},16' textcolor rgb '{INK}'"]


def legend(series):
    """[(series, x, y)] in pixels from the upper left corner, and the height of all."""
    places, x, y = [], 18, 14
    for s in series:
        width = 40 + CHARACTER * len(s.label)
        if x + width > WIDTH and x > 18:
            x, y = 18, y + 22
        places.append((s, x, y))
        x += width
    return places, y + 14


def legend_at(height, places):
    commands = ["set key off"]
    for s, x, y in places:
        kind, colour = shape(s.name, [p[0] for p in places])
        where = f"screen {x / WIDTH:.4f}, screen {1 - (ABOVE + y) / height:.4f}"
        commands.append(f"set label {quoted(s.label)} at {where} left "
                        f"point pointtype {kind} pointsize 0.8 linecolor rgb '{colour}' offset 1.6,-0.35 "
                        f"textcolor rgb '{INK}'")
    return commands


def dots(path, title, unit, rows, series, reference=None, tics=None, span=None):
    """A line for each row, a shape for each series with a whisker from the least to the greatest of the rounds.
    `tics`: on a logarithmic axis; `span`: of the axis."""
    used = [s for s in series if any(s.name in row.points for row in rows)]
    step = max(26, 11 * len(used) + 10)
    places, above = legend(used)
    height = ABOVE + above + step * len(rows) + BELOW
    commands = [*margins(height, ABOVE + above, BELOW), *title_at(height, title), *legend_at(height, places),
                f"set yrange [{len(rows)}:0]",
                "set ytics (" + ", ".join(f"{quoted(row.label)} {i + 0.5}" for i, row in enumerate(rows)) + ")",
                f"set xlabel {quoted(unit)} textcolor rgb '{INK}'"]
    for i in range(1, len(rows)):
        commands.append(f"set arrow from graph 0, first {i} to graph 1, first {i} nohead "
                        f"linecolor rgb '{FAINT}' linewidth 0.5 dashtype 3")
    if tics:
        commands += ["set logscale x", "set xtics (" + ", ".join(f"'{t:g}' {t:g}" for t in tics) + ")"]
    if span:
        commands.append(f"set xrange [{span[0]:g}:{span[1]:g}]")
    if reference is not None:
        commands.append(f"set arrow from {reference:g}, graph 0 to {reference:g}, graph 1 nohead back "
                        f"linecolor rgb '{INK}' linewidth 1 dashtype 2")
    plots = []
    for index, s in enumerate(used):
        lines = []
        for i, row in enumerate(rows):
            point = row.points.get(s.name)
            if point and all(map(math.isfinite, point)) and (not span or span[0] <= point[0] <= span[1]):
                y = i + 0.5 + (index - (len(used) - 1) / 2) * 0.72 / max(1, len(used))
                lines.append(f"{point[0]:.6g} {y:.4f} {point[1]:.6g} {point[2]:.6g}")
        if not lines:
            continue
        kind, colour = shape(s.name, used)
        commands += [f"$data{index} << EOD", *lines, "EOD"]
        plots.append(f"$data{index} using 1:2:3:4 with xerrorbars pointtype {kind} pointsize 0.75 "
                     f"linecolor rgb '{colour}' linewidth 1.2")
    if plots:
        draw(path, height, [*commands, "set errorbars 0.4", "plot " + ", ".join(plots)])
    return bool(plots)


def bars(path, title, unit, groups, digits=0):
    """`groups`: [(heading, [Row])]. Each bar has its name on the left and its number at its end."""
    groups = [(heading, [r for r in rows if "" in r.points and all(map(math.isfinite, r.points[""]))])
              for heading, rows in groups]
    groups = [(heading, rows) for heading, rows in groups if rows]
    if not groups:
        return False
    count = sum(len(rows) + 1 for _, rows in groups)
    height = ABOVE + 23 * count + BELOW
    most = max(r.points[""][2] for _, rows in groups for r in rows)
    commands = [*margins(height, ABOVE, BELOW), *title_at(height, title), "set key off", f"set yrange [{count}:0]",
                f"set xrange [0:{most * 1.12:g}]", "set style fill solid 0.85 noborder",
                f"set xlabel {quoted(unit)} textcolor rgb '{INK}'"]
    ytics, bar_lines, numbers = [], [], []
    y = 0
    series = [Series(r.name, r.label) for _, rows in groups for r in rows]
    for heading, rows in groups:
        commands.append(f"set label {quoted(heading)} at screen {12 / WIDTH:.4f}, first {y + 0.6} left "
                        f"font '{FONT},13' textcolor rgb '{INK}'")
        y += 1
        for row in rows:
            value, least, greatest = row.points[""]
            ytics.append(f"{quoted(row.label)} {y + 0.45}")
            bar_lines.append(f"{value:.6g} {y + 0.45:.2f} 0 {value:.6g} {y + 0.12:.2f} {y + 0.78:.2f} "
                             f"{least:.6g} {greatest:.6g} {int(shape(row.name, series)[1][1:], 16)}")
            numbers.append(f"set label {quoted(f'{value:,.{digits}f}')} at first {greatest:.6g}, first {y + 0.45:.2f} "
                           f"left offset 0.7,0 textcolor rgb '{INK}'")
            y += 1
    commands += [*numbers, "set ytics (" + ", ".join(ytics) + ")", "$bars << EOD", *bar_lines, "EOD",
                 "set errorbars 0.4",
                 "plot $bars using 1:2:3:4:5:6:9 with boxxyerror linecolor rgb variable, "
                 f"$bars using ($7 < $8 ? $1 : NaN):2:7:8 with xerrorbars pointtype 0 "
                 f"linecolor rgb '{INK}' linewidth 1"]
    draw(path, height, commands)
    return True


def lines(path, title, xlabel, ylabel, names, curves, series):
    """`curves`: {name of a series: [value]}, one of each of `names`, which stand below at equal distances."""
    used = [s for s in series if s.name in curves]
    if not used:
        return False
    places, above = legend(used)
    height = 400
    commands = [*title_at(height, title), *legend_at(height, places),
                f"set lmargin at screen {80 / WIDTH:.4f}", f"set rmargin at screen {1 - 40 / WIDTH:.4f}",
                f"set tmargin at screen {1 - (ABOVE + above + 6) / height:.4f}",
                f"set bmargin at screen {BELOW / height:.4f}",
                "set xtics (" + ", ".join(f"{quoted(n)} {i}" for i, n in enumerate(names)) + ")",
                f"set xrange [-0.2:{len(names) - 0.8}]", "set yrange [0:*]",
                f"set grid ytics linecolor rgb '{FAINT}' linewidth 0.6 dashtype 1",
                f"set xlabel {quoted(xlabel)} textcolor rgb '{INK}'",
                f"set ylabel {quoted(ylabel)} textcolor rgb '{INK}'"]
    plots = []
    for index, s in enumerate(used):
        kind, colour = shape(s.name, used)
        commands += [f"$data{index} << EOD", *(f"{i} {v:.6g}" for i, v in enumerate(curves[s.name])), "EOD"]
        plots.append(f"$data{index} using 1:2 with linespoints pointtype {kind} pointsize 0.8 linewidth 1.4 "
                     f"dashtype {index + 1} linecolor rgb '{colour}'")
    draw(path, height, [*commands, "plot " + ", ".join(plots)])
    return True
