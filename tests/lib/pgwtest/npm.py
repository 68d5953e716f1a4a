"""Packages of npm for tests: put once into a folder of the user's cache, outside of the tree."""

import os
import shutil

from . import child
from .tap import Failure, Skip

INSTALL_S = 180


def modules(name, packages):
    """The folder for NODE_PATH that has these packages ("pg@8.23.1"); `name` is that of the folder in the cache.
    Skips without npm, or if npm cannot get them."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    where = os.path.join(cache, "pgwith-tests", name)
    if not os.path.isdir(where):
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise Skip("npm is not installed")
        making = "%s.%d" % (where, os.getpid())
        os.makedirs(making)
        try:
            status, out, err = child.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", making,
                                          *packages], timeout=INSTALL_S)
            if status != 0:
                raise Skip("npm cannot install %s: %s" % (" ".join(packages), " ".join((err or out).split())[:200]))
            if not os.path.isdir(where):
                os.rename(making, where)
        except Failure as e:
            raise Skip("npm cannot install %s: %s" % (" ".join(packages), str(e)[:200])) from None
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return os.path.join(where, "node_modules")
