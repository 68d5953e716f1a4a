"""Aligned tables for people."""


def table(title, columns, rows):
    """Text of a table of strings: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(row):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([title, "", line(columns), rule, *map(line, rows), ""])


def number(value, digits=1):
    """A number, or `-` for what was not measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def ratio(above, below):
    """The quotient as a number, None where it has no meaning."""
    return None if above is None or not below else above / below
