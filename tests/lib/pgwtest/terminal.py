"""A terminal that a program runs in, by tmux: what stands on its screen, and keys that are pressed."""

import os
import re
import shutil

from . import child
from .ports import listens
from .tap import check, unavailable, wait_until

TMUX = "tmux"


class Terminal:
    """A shell with the prompt `$ ` in a terminal of that size. env: further variables, None: not set."""

    def __init__(self, directory, width=80, height=24, env=None, term="screen"):
        if not shutil.which(TMUX):
            unavailable("no tmux is installed")
        os.makedirs(directory, exist_ok=True)
        self.socket = os.path.join(directory, "tmux")
        variables = {"PS1": "$ ", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": term, "NO_COLOR": None,
                     "COLUMNS": None, "LINES": None, "ENV": None}
        variables.update(env or {})
        words = ["env"] + [w for k, v in variables.items() if v is None for w in ("-u", k)]
        words += ["%s=%s" % (k, v) for k, v in variables.items() if v is not None]
        # its server ends with the test, whatever ends that
        self.server = child.start([TMUX, "-D", "-u", "-S", self.socket, "-f", "/dev/null"], self.socket + ".log")
        wait_until(lambda: listens(self.socket), 10, "tmux listens on its socket")
        self.tmux("set-option", "-g", "default-terminal", term)
        self.tmux("new-session", "-d", "-x", str(width), "-y", str(height), *words, "sh", "-i")
        self.tmux("set-option", "-g", "window-size", "manual")
        self.shows(r"^\$")

    def tmux(self, *words):
        return child.run_ok([TMUX, "-u", "-S", self.socket, *words])

    def text(self):
        """The lines of the screen."""
        return self.tmux("capture-pane", "-p")

    def coloured(self):
        """The same with the escape sequences of colours and attributes."""
        return self.tmux("capture-pane", "-p", "-e")

    def shows(self, pattern, within=10):
        """Waits until the screen matches the regular expression, and returns its text."""
        seen = [""]

        def look():
            seen[0] = self.text()
            return re.search(pattern, seen[0], re.M)
        try:
            wait_until(look, within, "the screen shows %r" % pattern)
        except BaseException:
            for line in seen[0].splitlines():
                print("# | " + line, flush=True)
            raise
        return seen[0]

    def shows_not(self, pattern, within=10):
        """Waits until the screen does not match."""
        wait_until(lambda: not re.search(pattern, self.text(), re.M), within, "the screen shows no %r" % pattern)
        return self.text()

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def keys(self, *names):
        """Keys by tmux's names: Enter, Escape, Up, PageDown, C-c."""
        self.tmux("send-keys", *names)

    def run(self, command):
        self.type(command)
        self.keys("Enter")

    def resize(self, width, height):
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def pid(self):
        """Of the shell."""
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def foreground(self):
        """The name of the program that the keys go to."""
        return self.tmux("display-message", "-p", "#{pane_current_command}").strip()

    def child(self, program):
        """The process that the shell has started and that runs this program."""
        def look():
            with open("/proc/%d/task/%d/children" % (self.pid(), self.pid())) as f:
                pids = f.read().split()
            for pid in pids:
                try:
                    with open("/proc/%s/comm" % pid) as comm:
                        if comm.read().strip() == program:
                            return int(pid)
                except (FileNotFoundError, ProcessLookupError):
                    continue
            return None
        return wait_until(look, 10, "%s runs in the terminal" % program)

    def is_alternate(self):
        """Is a program drawing on the whole screen?"""
        return self.tmux("display-message", "-p", "#{alternate_on}").strip() == "1"

    def close(self):
        if self.server.poll() is None:
            try:
                self.tmux("kill-server")
            finally:
                self.server.kill()
                self.server.wait()
