"""Servers that are reached over TLS, on 127.0.0.1, everything verified both ways: what Cluster and Container have in
common there."""

import os

from . import child
from .server import USER

PASSWORD = r"secret \ '7"  # of USER

# of pg_hba.conf
RULES = "local all all trust\n"
TLS_RULES = RULES + """hostssl all certified 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
"""


class Verified:
    """Of a Server with a `directory`."""

    def authority(self):
        """A CA, the server's certificate, and one for the role `certified`, in directory/tls."""
        self.certificates = os.path.join(self.directory, "tls")
        os.makedirs(self.certificates)
        self.ca = self.certificate("ca", "/CN=pgwtest CA", ["-x509", "-days", "30"])
        self.certificate("server", "/CN=server", ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        self.certificate("certified", "/CN=certified", [])

    def certificate(self, name, subject, more):
        """Makes NAME.key and NAME.crt, signed by the CA but for the CA itself."""
        crt, key, csr = (os.path.join(self.certificates, name + e) for e in (".crt", ".key", ".csr"))
        own = "-x509" in more
        child.run_ok(["openssl", "req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:prime256v1", "-subj", subject, "-keyout", key,
                      "-out", crt if own else csr] + more)
        if not own:
            child.run_ok(["openssl", "x509", "-req", "-in", csr, "-days", "30", "-CA", self.ca, "-CAkey",
                          os.path.join(self.certificates, "ca.key"), "-CAcreateserial",
                          "-copy_extensions", "copy", "-out", crt])
        os.chmod(key, 0o600)
        return crt

    def tls_roles(self):
        self.sql("ALTER ROLE postgres PASSWORD '%s'" % PASSWORD.replace("'", "''"))
        self.sql("CREATE ROLE certified LOGIN")

    def tls_conninfo(self, **more):
        """Of a connection over TLS, everything verified both ways, as a dict."""
        parts = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": PASSWORD,
                 "sslmode": "verify-full", "sslrootcert": self.ca, "channel_binding": "require"}
        parts.update(more)
        return parts
