"""A model of what pgwithd promises of scopes: the stacks of some sessions, the locks and semaphores,
the servers of the pools, and what PostgreSQL keeps of the statements in a journal. Model.run() does a
request at once, as far as it goes, and says which sessions are answered and how, what is logged, and
who waits. It can be copied, so that a step can be tried.

What a request means is one Statement after the other; see Generator for what there is of them.
"""

import pickle

WAITING = object()


class Refused(Exception):
    """A statement is answered by this SQLSTATE."""

    def __init__(self, sqlstate, detail=None):
        super().__init__(sqlstate)
        self.sqlstate, self.detail = sqlstate, detail


class Racy(Exception):
    """What comes out of this step depends on who is faster."""


class Statement:
    """kind: insert, violate, select, fail, sleep, begin, commit, rollback: ordinary ones; enter, use,
    defer, exit, show: ours. The other attributes are those of the kind."""

    def __init__(self, kind, sql, **more):
        self.kind, self.sql = kind, sql
        self.id = self.items = self.name = self.when = self.inner = None
        self.all = self.rollback = False
        self.state = None
        self.__dict__.update(more)

    @property
    def ours(self):
        return self.kind in ("enter", "use", "defer", "exit", "show")


class Item:
    """One of ENTER. kind: transaction, lock, semaphore, advisory. wait: None, "0", "short", "long";
    deadline: "short" or None."""

    def __init__(self, kind, key, **more):
        self.kind, self.key = kind, key
        self.name = self.pool = self.limit = self.wait = self.deadline = self.access = None
        self.new = self.shared = self.suppress = self.isolation = False
        self.__dict__.update(more)

    def sql(self, short):
        out = {"lock": "LOCK '%s'" % self.key, "advisory": "LOCK '%s'" % self.key,
               "semaphore": "SEMAPHORE '%s'" % self.key}.get(self.kind, self.key)
        if self.kind == "transaction" and self.key is None:
            return ""
        if self.limit is not None:
            out += " LIMIT %d" % self.limit
        if self.pool:
            out += " ON " + self.pool
        if self.name:
            out += " AS " + self.name
        out += " NEW" * self.new + " SHARED" * self.shared + " SUPPRESS" * self.suppress
        if self.access:
            out += " " + self.access
        if self.isolation:
            out += " ISOLATION LEVEL REPEATABLE READ"
        if self.wait:
            out += " WAIT '%s'" % {"0": "0", "short": "%dms" % (short / 5), "long": "500s"}[self.wait]
        if self.deadline:
            out += " DEADLINE '%dms'" % short
        return out


class Level:
    """What a savepoint, or the transaction itself, would undo."""

    def __init__(self, read_only=False):
        self.rows = []
        self.violates = False
        self.locks = []         # advisory ones: (key, shared)
        self.read_only = read_only


class Transaction:
    def __init__(self, pool, read_only=False):
        self.pool = pool
        self.status = "T"
        self.error = ""         # that made it fail
        self.levels = [Level(read_only)]

    def fail(self, sqlstate):
        """PostgreSQL undoes the innermost level at once, and its locks with it."""
        if self.status == "T":
            self.status, self.error = "E", sqlstate
            self.levels[-1].locks = []

    def push(self):
        self.levels.append(Level(self.levels[-1].read_only))

    def release(self):
        top = self.levels.pop()
        self.levels[-1].rows += top.rows
        self.levels[-1].violates |= top.violates
        self.levels[-1].locks += top.locks

    def back(self):
        self.levels.pop()
        self.status = "T"


class Frame:
    def __init__(self, kind, name):
        self.kind, self.name = kind, name
        self.pool = self.tx = self.base = self.hold = None
        self.state = "entering"
        self.failed = self.suppress = self.deadline = False
        self.error = ""
        self.deferred = []      # (when, Statement), first added first

    @property
    def begun(self):
        """By the client's own BEGIN."""
        return self.kind in ("implicit", "block")

    @property
    def inner(self):
        """A savepoint on the server."""
        return self.kind in ("savepoint", "block")


class Hold:
    def __init__(self, session, mode):
        self.session, self.mode = session, mode
        self.upgrade = False


class Lock:
    def __init__(self, limit):
        self.limit = limit      # None: no semaphore
        self.holders, self.queue = [], []

    def conflicts(self, h, held):
        return h.session != held.session and "exclusive" in (h.mode, held.mode)

    def has(self, session):
        return any(h.session == session for h in self.holders)

    def free_for(self, h):
        if self.limit is not None:
            return len(self.holders) < self.limit
        return not any(self.conflicts(h, held) for held in self.holders)

    def enter(self, h):
        """True if it has it now."""
        own = self.limit is None and self.has(h.session)
        if self.free_for(h) and (not self.queue or own):
            self.holders.append(h)
            return True
        h.upgrade = own and h.mode == "exclusive"
        at = len(self.queue)
        if h.upgrade:
            at = next((i for i, q in enumerate(self.queue) if not q.upgrade), at)
        self.queue.insert(at, h)
        return False


class Pool:
    def __init__(self, size):
        self.size = size
        self.leases = []        # numbers of sessions
        self.queue = []         # the same


class Answer:
    def __init__(self):
        self.tags = []
        self.error = self.detail = None
        self.status = "I"
        self.warnings = 0       # of deferred statements
        self.swept = 0          # warnings of scopes that were left behind
        self.notices = []       # of failures that were suppressed: SQLSTATEs
        self.shown = None       # rows of SHOW SCOPES

    def __str__(self):
        return "%s %s%s status %s%s%s" % (
            self.tags, self.error or "no error", " (%s)" % self.detail if self.detail else "",
            self.status, ", %d warnings" % self.warnings if self.warnings else "",
            ", notices %s" % self.notices if self.notices else "")


class Session:
    def __init__(self, number, pool):
        self.number, self.pool = number, pool
        self.frames = []
        self.used = None
        self.plain = None       # transaction of the client's own BEGIN
        self.work = []          # statements that are still to be done
        self.entering = None    # [number of the item, frames entered, waits for the server's lock]
        self.waiting = None     # what for: ("lock", Lock, Hold) or ("pool", Pool)
        self.sleeping = False
        self.answer = None
        self.late = 0           # warnings that stand before the next answer
        self.log = []           # (enter, granted, expired or released; name)

    @property
    def busy(self):
        return bool(self.waiting or self.sleeping)

    def innermost(self):
        return self.frames[-1] if self.frames else None

    def current(self):
        """The frame of the transaction that statements go to."""
        for f in [self.used] if self.used else reversed(self.frames):
            if f.base:
                return f.base
        return None

    def top_of(self, base):
        return [f for f in self.frames if f.base is base][-1]

    def is_plain(self):
        return self.plain and not any(f.tx is self.plain for f in self.frames)


class Model:
    """answers: those since the last step, by the session's number."""

    def __init__(self, sizes, pools):
        self.pools = {name: Pool(size) for name, size in sizes.items()}
        self.locks = {}
        self.rows = []          # committed: (number of the writing, session, id)
        self.written = 0
        self.maybe = set()      # nobody knows of these
        self.answers = {}
        self.ready = []         # granted, and to go on
        self.clock = 0
        self.loose = False
        self.sessions = [Session(i, p) for i, p in enumerate(pools)]

    def copy(self):
        return pickle.loads(pickle.dumps(self, -1))

    # -- PostgreSQL ------------------------------------------------------------------------------
    def keep(self, s, level):
        self.rows += [(n, s.number, i) for n, i in level.rows]

    def advisory_taken(self, tx, key, shared):
        for s in self.sessions:
            # A transaction of BEGIN is a frame only while there are others in it.
            others = {id(x): x for x in [f.tx for f in s.frames] + [s.plain] if x and x is not tx}
            for other in others.values():
                for level in other.levels:
                    if any(k == key and not (shared and sh) for k, sh in level.locks):
                        return True
        return False

    def execute(self, tx, st):
        """A statement inside a transaction. Raises Refused if it fails, which fails the transaction."""
        try:
            if tx.status == "E":
                # A syntax error is found first.
                raise Refused("42601" if st.state == "42601" else "25P02")
            level = tx.levels[-1]
            if st.kind == "fail":
                raise Refused(st.state)
            if st.kind in ("insert", "violate"):
                if level.read_only:
                    raise Refused("25006")
                if st.kind == "insert":
                    self.written += 1
                    level.rows.append((self.written, st.id))
                else:
                    level.violates = True
        except Refused as e:
            tx.fail(e.sqlstate)
            raise

    def alone(self, s, st):
        """A statement outside of a transaction."""
        tx = Transaction(None)
        self.execute(tx, st)
        if tx.levels[0].violates:
            raise Refused("23503")
        self.keep(s, tx.levels[0])

    # -- servers ---------------------------------------------------------------------------------
    def want_server(self, s, pool, wait=None):
        """Raises Refused; WAITING if it has to wait."""
        self.clock += 1
        p = self.pools[pool]
        if len(p.leases) < p.size and not p.queue:
            p.leases.append(s.number)
            return None
        p.queue.append(s.number)
        s.waiting = ("pool", pool, None)
        try:
            self.may_wait(s, wait, "53300")
        except Refused:
            p.queue.remove(s.number)
            raise
        return WAITING

    def give_server(self, s, pool):
        self.clock += 1
        p = self.pools[pool]
        p.leases.remove(s.number)
        if p.queue:
            n = p.queue.pop(0)
            p.leases.append(n)
            self.grant(self.sessions[n])

    # -- locks -----------------------------------------------------------------------------------
    def want_lock(self, s, f, item):
        self.clock += 1
        key = (item.kind, item.key)
        lock = self.locks.get(key)
        if lock is None:
            lock = self.locks[key] = Lock(item.limit)
        if lock.limit != item.limit:
            raise Refused("22023")
        h = Hold(s.number, "shared" if item.shared else "exclusive")
        f.hold = (key, h)
        if lock.enter(h):
            return None
        s.waiting = ("lock", key, h)
        self.may_wait(s, item.wait, "55P03")
        return WAITING

    def leave_lock(self, f):
        """Held or waited for."""
        self.clock += 1
        key, h = f.hold
        f.hold = None
        lock = self.locks[key]
        if h in lock.holders:
            lock.holders.remove(h)
        else:
            lock.queue.remove(h)
        while lock.queue and lock.free_for(lock.queue[0]):
            h = lock.queue.pop(0)
            lock.holders.append(h)
            self.grant(self.sessions[h.session])
        if not lock.holders:
            del self.locks[key]

    # -- waiting ---------------------------------------------------------------------------------
    def may_wait(self, s, wait, sqlstate):
        if self.closed(s):
            s.waiting = None
            raise Refused("40P01")
        if wait in ("0", "short"):
            s.waiting = None
            raise Refused(sqlstate)

    def closed(self, asking):
        """Does it wait for what can never be? The AND-OR model, by brute force: whoever can go on may
        release all that it has; what cannot go on when nothing changes any more never can."""
        can = {s.number for s in self.sessions if s.waiting is None}
        while True:
            more = {s.number for s in self.sessions if s.number not in can and self.can_go(s, can)}
            if not more:
                return asking.number not in can
            can |= more

    def can_go(self, s, can):
        kind, key, h = s.waiting
        if kind == "pool":
            p = self.pools[key]
            return len(p.leases) < p.size or any(n in can for n in p.leases)
        lock = self.locks[key]
        if lock.limit is not None:
            return len(lock.holders) < lock.limit or any(x.session in can for x in lock.holders)
        ahead = lock.queue[:lock.queue.index(h)]
        return (all(x.session in can for x in lock.holders if lock.conflicts(h, x)) and
                all(x.session in can for x in ahead))

    def grant(self, s):
        s.waiting = None
        self.ready.append((s, self.clock))

    # -- frames ----------------------------------------------------------------------------------
    def push(self, s, kind, name):
        f = Frame(kind, name)
        s.frames.append(f)
        s.entering[1].append(f)
        return f

    def begin_enter(self, s):
        if s.is_plain() and s.plain.status == "E":
            raise Refused("25P02")
        if s.innermost() and s.innermost().state == "expired":
            raise Refused("57014")
        s.entering = [0, [], False]
        if s.is_plain():
            f = Frame("implicit", "")
            f.pool, f.tx, f.base, f.state = s.pool, s.plain, f, "open"
            s.frames.append(f)

    def enter(self, s, st):
        """Returns WAITING or None; goes on where it has waited."""
        try:
            if s.entering is None:
                self.begin_enter(s)
            else:
                self.granted(s, st)
            while s.entering[0] < len(st.items):
                if self.enter_item(s, st.items[s.entering[0]]) is WAITING:
                    return WAITING
        except Refused as e:
            if s.entering:
                self.undo(s)
            raise e
        s.entering = None
        self.drop_implicit(s)
        return None

    def undo(self, s):
        x = Exiting("undoing", True)
        for f in reversed(s.entering[1]):
            self.end_frame(s, f, x)
        s.entering = None
        self.drop_implicit(s)

    def drop_implicit(self, s):
        if s.frames and s.frames[-1].kind == "implicit":
            s.frames.pop()

    def enter_item(self, s, item):
        pool = item.pool or s.pool
        name = item.name or item.key or pool
        if item.kind in ("transaction", "advisory") and pool not in self.pools:
            raise Refused("3D000")
        if any(f.name == name for f in s.frames):
            raise Refused("42710")
        s.log.append(("enter", name))
        if item.kind in ("lock", "semaphore"):
            kind = {"lock": "shared lock" if item.shared else "lock"}.get(item.kind, item.kind)
            f = self.push(s, kind, name)
            f.suppress, f.deadline = item.suppress, item.deadline
            if self.want_lock(s, f, item) is WAITING:
                return WAITING
            self.got(s, f, item)
            return None
        return self.enter_transaction(s, item, name, pool)

    def enter_transaction(self, s, item, name, pool):
        base = None
        if not item.new:
            base = next((f for f in reversed(s.frames) if f.base is f and f.pool == pool and
                         f.state == "open"), None)
        if base and (base.tx.status == "E" or base.failed):
            raise Refused("25P02")
        if base and item.isolation:
            raise Refused("22023")
        f = self.push(s, "savepoint" if base else "transaction", name)
        f.pool, f.base = pool, base or f
        f.suppress, f.deadline = item.suppress, item.deadline
        if base is None and self.want_server(s, pool, item.wait) is WAITING:
            return WAITING
        self.got(s, f, item)
        return None

    def got(self, s, f, item):
        """The frame has its server or lock."""
        s.log.append(("granted", f.name))
        if f.kind == "transaction":
            f.tx = Transaction(f.pool, item.access == "READ ONLY")
        elif f.kind == "savepoint":
            f.tx = f.base.tx
            f.tx.push()
            if item.access == "READ WRITE" and f.tx.levels[-2].read_only:
                f.tx.fail("25001")
                raise Refused("25001")
            f.tx.levels[-1].read_only |= item.access == "READ ONLY"
        if item.kind == "advisory":
            if self.advisory_taken(f.tx, item.key, item.shared):
                f.tx.fail("55P03")
                raise Refused("55P03")
            f.tx.levels[-1].locks.append((item.key, item.shared))
        f.state = "open"
        s.entering[0] += 1

    def granted(self, s, st):
        item = st.items[s.entering[0]]
        self.got(s, s.frames[-1], item)

    # -- the end of frames -----------------------------------------------------------------------
    def fail(self, s, f, x, sqlstate, detail=None, notice=None):
        if x.doing != "exiting":
            return
        if f.suppress:
            s.answer.notices.append(notice or sqlstate)
            return
        if x.failure is None:
            x.failure = (sqlstate, detail)
        x.rollback = True

    def deferred(self, s, f, whens, inside):
        """inside: the transaction that they run in, each in a savepoint, or None. Last added first."""
        for when, st in reversed(f.deferred):
            if when not in whens:
                continue
            try:
                if inside is None:
                    self.alone(s, st)
                    continue
                inside.push()
                self.execute(inside, st)
                inside.release()
            except Refused:
                if inside:
                    inside.back()
                if s.answer:
                    s.answer.warnings += 1
                else:
                    s.late += 1

    def end_frame(self, s, f, x):
        """The innermost frame ends. While expiring it stays, holding nothing."""
        good = x.doing == "exiting" and not x.rollback
        if f.state == "expired":
            if good and f.kind == "block":
                x.lost = True
            elif good:
                self.fail(s, f, x, "57014")
        elif f.base is None:
            if f.hold:
                if s.waiting:
                    s.waiting = None
                self.leave_lock(f)
        elif f.tx is None:
            if s.waiting:
                self.pools[f.pool].queue.remove(s.number)
                s.waiting = None
        else:
            self.end_transaction(s, f, x, good)
        if f.state != "expired" and not f.begun:
            s.log.append(("released", f.name))
        if x.doing == "expiring":
            f.state = "expired"
            f.deferred = []
        else:
            assert s.frames[-1] is f
            s.frames.pop()
            if s.used is f:
                s.used = None

    def end_transaction(self, s, f, x, good):
        tx = f.tx
        if good and (tx.status == "E" or f.failed):
            good = False
            if f.kind == "block" and not f.failed:
                x.lost = True
            else:
                self.fail(s, f, x, "40000", f.error)
        if good:
            self.deferred(s, f, ("", "ON COMMIT"), tx)
            if f.inner:
                tx.release()
                return
            if not tx.levels[0].violates:
                self.keep(s, tx.levels[0])
                self.give_server(s, f.pool)
                return
            f.error = f.error or "23503"
            outer = s.frames[:s.frames.index(f)]
            loser = next((o for o in reversed(outer) if o.base or o.suppress), None)
            loser = loser if loser and loser.base else None
            if loser and not f.suppress and x.doing == "exiting":
                loser.failed = True
                loser.error = loser.error or "23503"
            self.fail(s, f, x, "23503", notice="40000")
        if f.inner:
            tx.back()
            self.deferred(s, f, ("", "ON ROLLBACK"), tx)
        else:
            self.deferred(s, f, ("", "ON ROLLBACK"), None)
            self.give_server(s, f.pool)

    def exit(self, s, st):
        inner = s.innermost()
        if inner is None:
            raise Refused("55000")
        if s.is_plain() or inner.kind == "block":
            raise Refused("25001")
        upto = inner
        if st.name:
            found = [f for f in s.frames if f.name == st.name]
            if not found:
                raise Refused("42704")
            if found[0] is not inner:
                raise Refused("55000")
        elif st.all:
            for f in reversed(s.frames):
                if f.begun:
                    if f is not s.frames[0]:
                        raise Refused("25001")
                    break
                upto = f
        x = Exiting("exiting", st.rollback)
        while True:
            f = s.frames[-1]
            self.end_frame(s, f, x)
            if f.suppress and x.failure:
                # What failed inside it ends here.
                s.answer.notices.append("40000")
                x.failure, x.rollback = None, st.rollback
            if f is upto:
                break
        self.drop_implicit(s)
        if x.failure:
            raise Refused(*x.failure)
        return st.sql.split(" ")[0] + " " + ("ALL" if st.all else f.name)

    def expire(self, s, f):
        """A deadline has passed."""
        s.log.append(("expired", f.name))
        if s.sleeping:
            self.stop_sleep(s, "57014")
        if s.entering:
            self.interrupt(s, "57014")
        if f not in s.frames or f.state == "expired":
            return
        x = Exiting("expiring", True)
        for g in reversed(s.frames[s.frames.index(f):]):
            if g.state != "expired":
                self.end_frame(s, g, x)

    # -- our other statements --------------------------------------------------------------------
    def use(self, s, st):
        f = next((f for f in s.frames if f.name == st.name and not f.begun), None)
        if f is None:
            raise Refused("42704")
        if f.base is None:
            raise Refused("55000")
        if s.is_plain() or s.innermost().kind == "block":
            raise Refused("25001")
        s.used = f
        return "USE"

    def defer(self, s, st):
        base = s.current()
        f = s.top_of(base) if base else None
        if f is None or f.kind == "implicit":
            raise Refused("55000")
        if "expired" in (base.state, f.state):
            raise Refused("57014")
        if base.tx.status == "E":
            raise Refused("25P02")
        if st.inner.kind == "commit":
            raise Refused("0A000")
        f.deferred.append((st.when, st.inner))
        return "DEFER"

    def show(self, s, st):
        base = s.current()
        rows = []
        for i, f in enumerate(s.frames):
            top = f.base and s.top_of(f.base) is f
            state = f.state
            if state == "open" and (f.failed or (top and f.tx.status == "E")):
                state = "failed"
            rows.append((str(i + 1), f.pool if f.begun else f.name, f.kind,
                         f.pool, state, "t" if top and f.base is base else "f",
                         str(len(f.deferred)) if f.state != "expired" else None))
        if s.is_plain():
            rows.append((str(len(rows) + 1), s.pool, "implicit", s.pool, "failed" if s.plain.status == "E" else "open",
                         "f" if base else "t", "0"))
        s.answer.shown = rows
        return "SHOW %d" % len(rows)

    # -- ordinary statements ---------------------------------------------------------------------
    TAGS = {"insert": "INSERT 0 1", "violate": "INSERT 0 1", "select": "SELECT 1", "begin": "BEGIN"}

    def takes(self, s, st, base):
        """Has a BEGIN, COMMIT or ROLLBACK to do with a scope?"""
        inner = s.innermost()
        blocked = inner.kind == "block" and inner.base is base
        if st.kind == "commit":
            return blocked
        if st.kind == "rollback":
            return True
        gone = inner.state == "expired" and not s.used
        return not blocked and base.state == "open" and base.tx.status == "T" and not gone and \
            s.top_of(base).state == "open"

    def control(self, s, st, base):
        if st.kind == "begin":
            f = Frame("block", "")
            f.pool, f.base, f.tx, f.state = base.pool, base, base.tx, "open"
            f.tx.push()
            s.frames.append(f)
            return "BEGIN"
        x = Exiting("exiting", st.kind == "rollback")
        upto = s.innermost()
        if st.kind == "rollback":
            upto = next((f for f in reversed(s.frames) if f.begun), s.frames[0])
            if any(not f.begun for f in s.frames[s.frames.index(upto):]):
                s.answer.swept += 1
        while True:
            f = s.frames[-1]
            self.end_frame(s, f, x)
            if f.kind == "implicit":
                s.plain = None
            if f is upto:
                break
        self.drop_implicit(s)
        if x.failure:
            raise Refused(*x.failure)
        return "COMMIT" if st.kind == "commit" and not x.lost else "ROLLBACK"

    def ordinary(self, s, st):
        base = s.current()
        if base and st.kind in ("begin", "commit", "rollback") and self.takes(s, st, base):
            return self.control(s, st, base)
        if s.frames and s.frames[-1].state == "expired" and not s.used:
            raise Refused("57014")
        if base is None and s.plain is None:
            return self.outside(s, st)
        if base:
            top = s.top_of(base)
            if "expired" in (base.state, top.state):
                raise Refused("57014")
            if st.kind in ("commit", "rollback"):
                raise Refused("2D000")
        tx = base.tx if base else s.plain
        if st.kind in ("commit", "rollback"):
            return self.end_plain(s, st)
        try:
            if st.kind == "sleep" and tx.status == "T":
                s.sleeping = True
                return WAITING
            self.execute(tx, st)
        finally:
            self.noted(s, base, tx)
        return self.TAGS[st.kind]

    def noted(self, s, base, tx):
        """The server was at rest: the frame remembers the first error."""
        if base is None:
            return
        f = s.top_of(base)
        if tx.status == "E":
            f.error = f.error or tx.error
        elif not f.failed:
            f.error = ""

    def end_plain(self, s, st):
        tx, s.plain = s.plain, None
        tag = "ROLLBACK"
        error = None
        if st.kind == "commit" and tx.status == "T":
            if tx.levels[0].violates:
                error = "23503"
            else:
                self.keep(s, tx.levels[0])
                tag = "COMMIT"
        self.give_server(s, tx.pool)
        if error:
            raise Refused(error)
        return tag

    def outside(self, s, st):
        """A statement that needs a server for itself; `entering` tells that it has waited for it."""
        if s.entering is None:
            if self.want_server(s, s.pool) is WAITING:
                s.entering = []
                return WAITING
        s.entering = None
        if st.kind == "begin":
            s.plain = Transaction(s.pool)
            return "BEGIN"
        if st.kind == "sleep":
            s.sleeping = True
            return WAITING
        try:
            if st.kind in ("commit", "rollback"):
                return st.kind.upper()
            self.alone(s, st)
        finally:
            self.give_server(s, s.pool)
        return self.TAGS[st.kind]

    def stop_sleep(self, s, sqlstate):
        s.sleeping = False
        base = s.current()
        tx = base.tx if base else s.plain
        if tx:
            tx.fail(sqlstate)
            self.noted(s, base, tx)
        else:
            self.give_server(s, s.pool)
        self.answer(s, sqlstate)

    # -- requests --------------------------------------------------------------------------------
    def do(self, s, st):
        """Returns the tag, or WAITING."""
        if st.kind == "enter":
            return self.enter(s, st) or "ENTER"
        if st.kind == "exit":
            return self.exit(s, st)
        if st.kind in ("use", "defer", "show"):
            return getattr(self, st.kind)(s, st)
        return self.ordinary(s, st)

    def status(self, s):
        base = s.current()
        if base:
            return "E" if base.state == "expired" else base.tx.status
        return s.plain.status if s.plain else "I"

    def answer(self, s, error=None, detail=None):
        s.work = []
        s.answer.error, s.answer.detail = error, detail
        s.answer.status = self.status(s)
        self.answers.setdefault(s.number, []).append(s.answer)
        s.answer = None

    def go_on(self, s):
        try:
            while s.work:
                tag = self.do(s, s.work[0])
                if tag is WAITING:
                    return
                s.answer.tags.append(tag)
                s.work.pop(0)
            self.answer(s)
        except Refused as e:
            self.answer(s, e.sqlstate, e.detail)

    def settle(self):
        """All who have been granted something go on."""
        while self.ready:
            s, clock = self.ready.pop(0)
            if s.answer is None:
                continue
            st = s.work[0]
            more = len(s.work) > 1 or st.kind != "enter" or s.entering[0] + 1 < len(st.items) or \
                st.items[-1].kind == "advisory"
            if more and clock != self.clock and not self.loose:
                raise Racy
            self.go_on(s)

    # -- steps -----------------------------------------------------------------------------------
    def run(self, number, statements):
        s = self.sessions[number]
        s.work = list(statements)
        s.answer = Answer()
        s.answer.warnings, s.late = s.late, 0
        self.go_on(s)
        self.settle()

    def interrupt(self, s, sqlstate):
        """A session that waits gives up."""
        if s.entering:
            self.undo(s)
        elif s.waiting:
            self.pools[s.waiting[1]].queue.remove(s.number)
            s.entering = s.waiting = None
        self.answer(s, sqlstate)

    def cancel(self, number):
        s = self.sessions[number]
        if s.sleeping:
            self.stop_sleep(s, "57014")
        elif s.waiting:
            self.interrupt(s, "57014")
        self.settle()

    def kill(self, number, pool):
        """The client is gone; another one, of that pool, takes its place."""
        s = self.sessions[number]
        if s.waiting and not s.entering:
            self.pools[s.waiting[1]].queue.remove(number)
            s.waiting = None
        alone = s.sleeping and not s.current() and not s.plain
        s.answer = None
        if alone:
            self.give_server(s, s.pool)
        plain = s.plain if s.is_plain() else None
        if plain:
            self.give_server(s, s.pool)
        while s.frames:
            self.kill_frame(s, s.frames[-1])
        old, self.sessions[number] = s, Session(number, pool)
        self.settle()
        return old.log

    def kill_frame(self, s, f):
        if f.state == "expired":
            pass
        elif f.base is None:
            if f.hold:
                s.waiting = None
                self.leave_lock(f)
        elif f.tx is None:
            if s.waiting:
                self.pools[f.pool].queue.remove(s.number)
                s.waiting = None
        else:
            # Already the first frame of it rolls back the whole transaction.
            f.tx.levels = [Level()]
            self.deferred(s, f, ("", "ON ROLLBACK"), None)
            if f.base is f:
                self.give_server(s, f.pool)
        if f.state != "expired" and not f.begun:
            s.log.append(("released", f.name))
        s.frames.pop()

    def leases(self, pool):
        return len(self.pools[pool].leases)


class Exiting:
    def __init__(self, doing, rollback):
        self.doing, self.rollback = doing, rollback
        self.failure = None
        self.lost = False       # COMMIT of what has failed
