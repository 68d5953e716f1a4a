"""README.md: the configuration that it shows is one that pgwithd takes, and the lines to copy do what they are for."""

import os
import re
import shutil

from pgwtest import check, child, equal, main, test, unavailable
from pgwtest.daemon import SANITIZE_ENV, program

SOURCE = os.environ.get("PGWITH_SRCDIR", os.getcwd())


def block(first, last):
    """The indented lines between two headings, without their indentation."""
    with open(os.path.join(SOURCE, "README.md")) as f:
        part = f.read().split("\n## %s" % first, 1)[1].split("\n## %s" % last, 1)[0]
    return [line[4:] for line in part.splitlines() if line.startswith("    ")]


def judged(t, lines):
    """What pgwithd -t says to such a file: (status, words)."""
    path = t.path("pgwith.conf")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    status, out, err = child.run([program("pgwithd"), "-t", "-c", path], env=SANITIZE_ENV)
    return status, out + err


@test
def configuration(t):
    """the configuration is good, and with a wrong word it is refused"""
    lines = block("Configuration", "Manuals")
    check(any(line.startswith("size = ") for line in lines), "it has a size: %s" % lines)
    status, words = judged(t, lines)
    equal(status, 0, words)
    status, words = judged(t, [re.sub("^size", "sise", line) for line in lines])
    check(status != 0 and "sise" in words, "status %d: %s" % (status, words))


@test
def lines_to_copy(t):
    """the lines to copy, into one shell as they stand there; only the directory is another one"""
    if shutil.which("psql") is None:
        unavailable("psql is missing")
    build = os.path.dirname(os.path.dirname(program("pgwithd")))
    lines = block("Five lines", "The parts")
    equal(len(lines), 5, "lines to copy: %s" % lines)
    text = "\n".join(lines).replace("/tmp/try", t.path("try"))
    text = re.sub(r"(?m)(^|; )src/", r"\1%s/src/" % build, text)
    script = t.path("lines")
    with open(script, "w") as f:
        f.write("unset PGHOST PGPORT PGUSER PGDATABASE\n" + text + "\nkill %1 %2; wait\n")
    status, out, err = child.run(["bash", "-m", script], env=SANITIZE_ENV, cwd=build)
    said = out + err
    equal(status, 0, said)
    check(not re.search(r"ERROR|FATAL|rror:", said), said)
    check(re.search(r"(?m)^\(1 row\)", said) and re.search(r" shop  *idle", said), said)


if __name__ == "__main__":
    main()
