"""What is compared is measured in turn, A B C A B C ..., so that a change of the machine meets all alike.

A cell is what became of one lane: {"rounds": [{figure: number} or {"error": text}, ...]}."""

import statistics


def interleave(lanes, rounds, measure, say, title):
    """lanes: {label: lane}; measure(lane, warming) returns the figures of a round. The first round fills pools and
    caches and is not counted. Returns {label: cell}."""
    cells = {label: {"rounds": []} for label in lanes}
    for turn in range(-1, rounds):
        for label, lane in lanes.items():
            figures = measure(lane, turn < 0)
            if turn >= 0 and figures:
                cells[label]["rounds"].append(figures)
                say(f"{title} {turn + 1}/{rounds} {label}: {brief(figures)}")
    return cells


def brief(figures):
    if "error" in figures:
        return figures["error"]
    return ", ".join(f"{key} {value:.5g}" for key, value in figures.items() if isinstance(value, (int, float)))


def add_medians(cells):
    """Puts the medians of the rounds beside them, and the number of those that failed."""
    for cell in cells.values():
        good = [r for r in cell["rounds"] if "error" not in r]
        cell["failed"] = len(cell["rounds"]) - len(good)
        for key in good[0] if good and not cell["failed"] else ():
            cell[key] = statistics.median(r[key] for r in good)


def errors(cells, what):
    return [f"{what} through {label}: {r['error']}" for label, cell in cells.items()
            for r in cell["rounds"] if "error" in r]
