"""TCP ports: each is this process's alone from when it is given until the process ends."""

import os
import socket

FIRST = 10240
_kept = []


def _end():
    """The first port that the kernel gives to whoever connects or binds without one; ours are below it."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
            first = int(f.read().split()[0])
    except OSError:
        first = 32768
    return first if first > FIRST + 1000 else 65536


def _keep(port):
    """No other test may have the port, even while nobody listens there: a name says so that the kernel frees with the
    process, in the same network namespace as the port."""
    s = socket.socket(socket.AF_UNIX)
    try:
        s.bind("\0pgwtest-port-%d" % port)
    except OSError:
        s.close()
        return False
    _kept.append(s)
    return True


def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port():
    end = _end()
    begin = FIRST + os.getpid() * 7 % (end - FIRST)
    for port in (*range(begin, end), *range(FIRST, begin)):
        if _keep(port) and _is_free(port):
            return port
    raise RuntimeError("no port is free")


def listens(path):
    """Does anybody listen at the Unix socket? It exists from bind() on, and refuses whoever connects before listen()."""
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True
