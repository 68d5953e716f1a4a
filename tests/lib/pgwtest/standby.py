"""A streaming standby of a cluster, made by pg_basebackup."""

import os
import shutil

from . import child
from .cluster import Cluster
from .ports import free_port
from .server import USER, Server

# What a cluster needs of postgresql.conf and pg_hba.conf to have standbys.
PRIMARY = {"wal_level": "replica", "max_wal_senders": "4", "wal_keep_size": "64MB"}
RULE = "local replication all trust\n"


def made(t, name, make):
    """make(directory) makes a cluster of the test in a folder of that name; it ends with the test."""
    directory = t.path(name)
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    cluster = make(directory)
    t.defer(shutil.rmtree, cluster.data)
    t.defer(cluster.kill)
    return cluster


class Standby(Cluster):
    def __init__(self, directory, primary, settings=None):
        """Makes and starts it. `settings`: more lines of postgresql.conf. With TLS if the primary has it."""
        Server.__init__(self)
        self.bin, self.directory, self.tls = primary.bin, directory, primary.tls
        self.sockets = os.path.join(directory, "s")
        self.data = os.path.join(directory, "data")
        self.log = os.path.join(directory, "postgres.log")
        self.port = free_port() if primary.tls else primary.port
        if primary.tls:
            self.ca = primary.ca
        self.process = None
        os.makedirs(self.sockets)
        if os.geteuid() == 0:
            for d in (directory, self.sockets):
                shutil.chown(d, USER, USER)
        child.run_ok([self.program("pg_basebackup"), "-D", self.data, "-h", primary.sockets, "-p",
                      str(primary.port), "-U", USER, "-R", "-X", "stream", "-c", "fast", "--no-sync"],
                     user=USER, timeout=120)
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            own = {"port": self.port, "unix_socket_directories": self.sockets, "synchronous_standby_names": ""}
            for k, v in dict(own, **(settings or {})).items():
                f.write("%s = '%s'\n" % (k, v))
        try:
            self.start()
        except BaseException:
            self.kill()
            raise

    def promote(self):
        child.run_ok([self.program("pg_ctl"), "promote", "-w", "-D", self.data], user=USER)
        self.forget()
