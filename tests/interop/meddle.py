"""Between pop3d and a client, as a superserver starts it.

usage: meddle.py how [argument] program argument ...

    cut n     the connection ends after n octets of answers
    change    an octet of each message is another one
    again     unique-ids are others at each connection
    twice     the first message comes in the place of the second, too
    keep      DELE is not passed on
    pass      nothing is changed
"""
import os
import re
import select
import socket
import subprocess
import sys

how = sys.argv.pop(1)
left = int(sys.argv.pop(1)) if how == "cut" else sys.maxsize
fresh = b"%08x" % (os.getpid() * 65537 % 2**32)


def answers(data):
    if how == "change":
        return re.sub(rb"(?<=\nSubject: .)\S", b"#", data)
    if how == "again":
        return re.sub(rb"(?m)^((?:[+]OK )?\d+ )[0-9a-f]{8}"
                      rb"(?=[0-9a-f]{8}\S*\r$)", rb"\g<1>" + fresh, data)
    return data


def commands(data):
    if how == "keep":
        return re.sub(rb"(?im)^dele \d+ *", b"NOOP", data)
    if how == "twice":
        return re.sub(rb"(?im)^retr 2(?= *\r$)", b"RETR 1", data)
    return data


ours, its = socket.socketpair()
server = subprocess.Popen(sys.argv[1:], stdin=its, stdout=its)
its.close()
while True:
    ready, _, _ = select.select([0, ours], [], [])
    if ours in ready:
        data = ours.recv(65536)
        if not data:
            break
        data = answers(data)[:left]
        left -= len(data)
        while data:
            data = data[os.write(1, data):]
        if left == 0:
            break
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            break
        ours.sendall(commands(data))
