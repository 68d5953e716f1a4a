"""Logins by password with made-up messages: pgwithd answers the same bytes as PostgreSQL, SQLSTATE, message and detail.
PGWITH_TEST_EXCHANGES is how many are made (1,500)."""

import base64
import hashlib
import hmac
import os
import random
import re
import struct

from pgwtest import Closed, check, equal, main, note, sanitized, test, wait_until, wire

COUNT = int(os.environ.get("PGWITH_TEST_EXCHANGES") or (300 if sanitized() else 1500))
PASSWORD = "anna's secret"
HBA = "local all anna,nobody,ghost scram-sha-256\n"
PROVED = "proved"
salted_passwords = {}


def salted(password, salt, iterations):
    """PBKDF2, once for each of its questions."""
    key = password, salt, iterations
    if key not in salted_passwords:
        salted_passwords[key] = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    return salted_passwords[key]


def mutate(r, data):
    """A few bytes of it are others."""
    data = bytearray(data)
    for _ in range(r.choice((1, 1, 1, 2, 3, 8))):
        at = r.randrange(len(data) + 1)
        what = r.randrange(5)
        byte = r.choice((0, 1, 9, 10, 13, 32, 33, 34, 43, 44, 44, 44, 45, 61, 61, 65, 97, 99, 110, 112, 112, 114, 127, 128, 255))
        if what == 0:
            data.insert(at, byte)
        elif what == 1 and at < len(data):
            data[at] = byte
        elif what == 2 and at < len(data):
            del data[at]
        elif what == 3:
            end = min(len(data), at + r.randrange(1, 12))
            data[at:at] = data[at:end]
        else:
            del data[at:at + r.randrange(1, 12)]
    return bytes(data)


# ---- what a client sends -----------------------------------------------------------------------------


class Exchange:
    """One login, drawn from a seed: the same for each server, but for what depends on the server's challenge."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        r = self.r
        self.mutated = False
        self.user = r.choice(("anna",) * 6 + ("nobody", "ghost"))
        self.password = PASSWORD if r.random() < 0.7 else r.choice(("", "x", PASSWORD + "x"))
        self.nonce = r.choice(("abc", "rOprNGfwEbeRWgbNEkqO", "", "!~", "x" * 500, "a b", "\u00e4", "=", "a=b"))
        if r.random() < 0.7:
            self.nonce = "rOprNGfwEbeRWgbNEkqO"
        self.flag = r.choice(("n",) * 7 + ("y", "y", "p=tls-server-end-point", "p", "", "N", "n=", "x"))
        self.authzid = r.choice(("",) * 12 + ("a=anna", "a", "b=c"))
        self.name = r.choice(("n=",) * 8 + ("n=anna", "n=*", "n=other", "m=1,n=", "n", "x=1,n=", ""))
        self.extension = r.choice(("",) * 10 + (",x=1", ",x=1,Y=2", ",", ",x", ",1=2", ",=", ",r=more", ",m=1"))
        self.mechanism = r.choice((b"SCRAM-SHA-256",) * 14 + (b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-1", b"", b"PLAIN", b"SCRAM-SHA-25"))
        if r.random() < 0.5:  # what most clients say, so that many come further
            self.flag, self.authzid, self.name, self.extension, self.mechanism = "n", "", "n=", "", b"SCRAM-SHA-256"
        self.plan = [self.r.randrange(1 << 60) for _ in range(6)]

    def header(self):
        return "%s,%s," % (self.flag, self.authzid)

    def bare(self):
        return "%s,r=%s%s" % (self.name, self.nonce, self.extension)

    def first(self):
        """The messages up to the challenge."""
        r = random.Random(self.plan[0])
        text = (self.header() + self.bare()).encode()
        if r.random() < 0.1:
            text = mutate(r, text)
        # What the server repeats: a shorter one may continue as self.nonce does, in one of the two servers only.
        said = re.search(rb"(?:^|,)r=([^,]*)", text)
        self.repeated = b"r=" + said.group(1) if said else b""
        length = len(text)
        if r.random() < 0.06:
            length += r.choice((-2, -1, 1, 2, 1000, -length, -length - 1, -length - 2, 1 << 30))
        alone = r.random() < 0.12  # the choice without the message
        body = self.mechanism + b"\0" + struct.pack("!i", max(-(1 << 31), -1 if alone else length))
        if not alone:
            body += text
        elif r.random() < 0.2:
            body += b"x"
        if r.random() < 0.05:
            body = mutate(r, body)
        sent = [self.framed(r, body)]
        if alone:
            sent.append(self.framed(r, text))
        return sent

    def framed(self, r, body):
        kind, length = b"p", len(body) + 4
        if r.random() < 0.02:
            kind = r.choice((b"Q", b"X", b"d", b"\0", b"\xff", b"P", b"S"))
        if r.random() < 0.02:
            length = r.choice((0, 1, 3, -1, 1025, 1 << 20, 1 << 30))
            body += b"x" * 8
        elif r.random() < 0.02:
            body += b"," * (1100 - len(body))
            length = len(body) + 4
        elif r.random() < 0.02:
            body += b"," * (1020 - len(body))  # the longest that is read
            length = len(body) + 4
        return kind + struct.pack("!i", length) + body

    def final(self, challenge):
        """The client's last message."""
        r = random.Random(self.plan[1])
        parts = dict(item.split("=", 1) for item in challenge.split(",") if "=" in item)
        salt, iterations = base64.b64decode(parts["s"]), int(parts["i"])
        nonce = challenge[2:challenge.rindex(",s=")]
        cbind = base64.b64encode(self.header().encode()).decode()
        if r.random() < 0.06:
            cbind = r.choice(("biws", "eSws", "", "bixh", "biws=", "x", "biwsAAAA"))
        if r.random() < 0.05:
            nonce = r.choice((nonce + "x", nonce[:-1], nonce[1:], self.nonce, "", nonce.swapcase()))
        extension = r.choice(("",) * 12 + (",x=1", ",x=,y=1", ",", ",x", ",m=1", ",p=AAAA"))
        without = "c=%s,r=%s%s" % (cbind, nonce, extension)
        signed = ("%s,%s,%s" % (self.bare(), challenge, without)).encode()
        key_of_all = salted(self.password, salt, iterations)
        key = hmac.digest(key_of_all, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        self.expected = hmac.digest(hmac.digest(key_of_all, b"Server Key", "sha256"), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        if r.random() < 0.08:
            proof = r.choice((proof[:-1], proof + "=", proof[:20] + " \n\t\r" + proof[20:], "A" * 43 + "=", proof[:40], proof + "AAAA", "",
                              proof[:42] + "=A", proof.replace("=", ""), "=" + proof, proof[:10] + "-" + proof[11:], proof * 2,
                              proof[:42] + "=AAAAA", proof[:41] + "==" + proof[43:]))
        text = without.encode() + b",p=%s" % proof.encode() + r.choice((b"",) * 14 + (b",", b",x=1", b"x", b"\0"))
        if r.random() < 0.08 and nonce and proof:
            # What differs from server to server stays whole; its letters may still come to stand where one decides.
            text = text.replace(nonce.encode(), b"\1").replace(proof.encode(), b"\2")
            text = mutate(r, text).replace(b"\1", nonce.encode()).replace(b"\2", proof.encode())
            self.mutated = True
        if r.random() < 0.01:
            text = b""
        return self.framed(r, text)


# ---- what comes back ---------------------------------------------------------------------------------


def play(connect, seed):
    """What a server answers, without what has to differ: nonces, salts of roles that are not there, source lines."""
    x, seen = Exchange(seed), []
    c = connect(x.user)
    try:
        c.send(wire.startup_packet({"user": x.user, "database": c.params["database"]}))
        seen.append(heard(c, x, seen))
        todo = x.first()
        challenge = None
        while seen[-1][0] == "R" and (todo or challenge):
            c.send(todo.pop(0) if todo else x.final(challenge))
            challenge = None
            seen.append(heard(c, x, seen))
            if seen[-1][:2] == ("R", 11) and seen[-1][2]:
                if todo:
                    break
                challenge = c.challenge
            elif seen[-1][:2] == ("R", 12):
                seen.append(heard(c, x, seen))
                break
        if seen[-1][:2] == ("R", 0):
            seen.append((PROVED,))
    except (Closed, ConnectionError):
        seen.append(("closed",))
    finally:
        c.drop()
    return seen


def heard(c, x, seen):
    kind, body = c.read()
    if kind == "E":
        e = wire.ServerError(body)
        detail = e.detail if not x.mutated or e.message != "malformed SCRAM message" else "?"
        return kind, e.fields.get("S"), e.severity, e.sqlstate, e.message, detail, e.hint
    if kind != "R":
        return kind, body
    code, = struct.unpack_from("!i", body)
    data = body[4:].decode()
    if code == 11 and data:
        c.challenge = data
        salt = data[data.rindex(",s="):] if x.user == "anna" else len(data[data.rindex(",s="):])
        return kind, code, len(data), data.encode().startswith(x.repeated), salt
    if code == 12:
        return kind, code, base64.b64decode(data[2:]) == x.expected
    return kind, code, data


def recover(t, seeds, d):
    """Plays each of the seeds on both sides; returns how many of each kind of end there were."""
    ends = {}
    for seed in seeds:
        theirs = play(lambda user: wire.Client(t.cluster.sockets, t.cluster.port, t.database, user, login=False), seed)
        ours = play(lambda user: d.connect(user=user, login=False), seed)
        if ours and theirs and ours != theirs:
            note("seed of the exchange: %d" % seed)
        equal(ours, theirs, "exchange %d" % seed)
        end = theirs[-1]
        end = end[0] if end[0] != "E" else "%s %s" % (end[3], end[5] or end[4])
        ends[end] = ends.get(end, 0) + 1
    return ends


@test(timeout=60 + COUNT // 10)
def exchanges(t):
    """made-up exchanges: the same answers as from PostgreSQL, to each message"""
    for name in ("anna", "nobody"):
        t.cluster.role(name)
    t.cluster.sql("ALTER ROLE anna PASSWORD '%s'" % PASSWORD.replace("'", "''"))
    path = t.path("userlist.txt")
    with open(path, "w") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write('"anna" "%s"\n"nobody" ""\n' % t.cluster.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'anna'"))
    d = t.daemon(options={"auth": "scram-sha-256", "auth_file": path, "auth_delay": "0", "log_level": "info"}, users="*", size=2)
    ends = recover(t, [t.random.randrange(1 << 40) for _ in range(COUNT)], d)
    for end, count in sorted(ends.items(), key=lambda kv: -kv[1]):
        note("%6d  %s" % (count, end))
    check(ends.get(PROVED, 0) > COUNT // 40, "some prove their password")
    check(sum(n for end, n in ends.items() if end.startswith("28P01")) > COUNT // 20, "some have a wrong one")
    check(len(ends) > min(20, COUNT // 30), "many kinds of ends")
    d.quiet()
    wait_until(lambda: not d.clients(), 10, "nobody is left")


main(cluster={"hba": HBA, "connections": 60})
