"""Every method of poplib.POP3 against a server with seven known messages."""
import poplib
import sys

plain, apop = int(sys.argv[1]), int(sys.argv[2])
user, secret, directory = sys.argv[3:6]
messages = [open("%s/%d" % (directory, i), "rb").read()
            for i in range(1, 8)]
sizes = [len(m) + m.count(b"\n") for m in messages]


def octets(lines):
    return b"".join(line + b"\n" for line in lines)


def refused(call, *args):
    try:
        call(*args)
    except poplib.error_proto as e:
        text = e.args[0]
        if isinstance(text, str):   # of the module's own
            text = text.encode()
        assert text.startswith(b"-ERR "), e
        return text
    raise AssertionError("not refused: %r %r" % (call, args))


def connect(port=plain):
    return poplib.POP3("127.0.0.1", port, timeout=30)


# The module's own limit of a line is 2,048 octets, RFC 1939 knows none.
poplib._MAXLINE = 100000

p = connect()
assert p.getwelcome().startswith(b"+OK "), p.getwelcome()
capa = p.capa()
for c in ("TOP", "UIDL", "USER", "PIPELINING", "RESP-CODES",
          "AUTH-RESP-CODE"):
    assert c in capa, capa
assert capa["SASL"] == ["PLAIN"], capa
assert capa["EXPIRE"] == ["NEVER"], capa
refused(p.stls)
refused(p.apop, user, secret)
refused(p.stat)
p.set_debuglevel(0)
p.user(user)
assert refused(p.pass_, "wrong").startswith(b"-ERR [AUTH] ")
p.user(user)
p.pass_(secret)
assert p.stat() == (7, sum(sizes)), p.stat()
resp, lines, n = p.list()
assert lines == [b"%d %d" % (i + 1, s) for i, s in enumerate(sizes)], lines
assert p.list(3) == b"+OK 3 %d" % sizes[2], p.list(3)
ids = [line.split()[1] for line in p.uidl()[1]]
assert len(set(ids)) == 7, ids
assert p.uidl(2) == b"+OK 2 " + ids[1]
for i, m in enumerate(messages):
    resp, lines, n = p.retr(i + 1)
    assert octets(lines) == m, (i, octets(lines)[:300])
header, body = messages[4].split(b"\n\n", 1)
resp, lines, n = p.top(5, 2)
assert octets(lines) == header + b"\n\n" + \
    octets(body.split(b"\n")[:2]), lines
assert octets(p.top(1, 0)[1]) == messages[0].split(b"\n\n")[0] + b"\n\n"
assert octets(p.top(4, 99999999)[1]) == messages[3]
assert p.noop().startswith(b"+OK")
p.dele(1)
refused(p.dele, 1)
refused(p.retr, 1)
assert p.stat()[0] == 6
assert p.rset().startswith(b"+OK")
assert p.stat()[0] == 7
refused(p.retr, 8)
refused(p.rpop, user)
assert p.utf8 and refused(p.utf8)
assert p.capa() == capa
assert p.quit().startswith(b"+OK")

p = connect()
p.user(user)
p.pass_(secret)
assert [line.split()[1] for line in p.uidl()[1]] == ids
for i in range(1, 4):
    p.dele(i)
p.close()

p = connect(apop)
assert p.apop(user, secret).startswith(b"+OK ")
assert p.stat()[0] == 7
for i in range(1, 6):
    p.dele(i)
p.quit()

p = connect()
p.user(user)
p.pass_(secret)
assert [line.split()[1] for line in p.uidl()[1]] == ids[5:]
p.quit()
