#!/usr/bin/env python3
"""Break the sources in one place at a time, and see a test fail.

usage: mutate.py [-jN] [-n SAMPLE] [-s SEED] [-f REGEX] [-k KIND,...] [-l]
                 [-u] [-o LOG] [-m PERCENT] [FILE...]

  -j  so many at a time                    -l  list the mutants, run nothing
  -n  a random sample of so many           -s  the seed of the sample
  -f  only functions that match REGEX      -k  only these kinds, see below
  -o  results; what LOG knows as killed, in a function that has not changed
      since, is not tried again
  -m  exit status 1 below so many per cent killed
  -u  the unbroken program is known to pass, and is not tried

Everything in pop3.c is broken, and in mailbox.c but MD5; in auth.c what runs as
root or gives it up. The kinds:

  cmp     a comparison: its boundary, or its opposite
  logic   && for || and back, a ! left out, an if turned round
  arith   + for -, | for & and back
  const   a number, a character or a name of a constant
  call    a call left out as if it had worked
  stmt    an assignment, a break or a continue left out

A mutant that its compiler, optimizing, cannot tell from the original counts as
the same program. Runs as root in namespaces (tests/alone.sh); not as root the
tests that need it are missing, and more mutants survive.
"""
import argparse
import collections
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

# What is broken: the functions. And what finds it: a program, the functions it
# is run for, and the seconds of CPU that one of its tests may take, which is
# several times what it does. The quickest come first.
UPDATE = (r"^(next_kept|measure|read_kept|write_all|transfer|put_empty_line|"
    r"land|is_our_end|copy_window|look|compact|count_removed|mbox_update)$")
LOCKS = (r"^(dotlock_|is_ours$|is_still$|is_stale$|open_lock$|clear_stale$|"
    r"without_lock$|find_mailbox$|settle$|mbox_open$|mbox_index$)")
FILES = {
    "pop3.c": (r"", [("check_pop3", r"", 20), ("check_auth", r"", 20)]),
    "mailbox.c": (r"^(?!md5_|F[1-4]$|STEP$|ROUND$)", [
        ("check_small", r"", 20),
        ("check_mailbox", r"", 15),
        ("prove/locks", LOCKS, 30),
        ("check_hostile", LOCKS, 20),
        ("prove/update", UPDATE, 90),
        ("check_crash", UPDATE, 90)]),
    "auth.c": (r"^(priv_|keeper_|confine$|hold_back$|auth_enter$)",
        [("check_auth", r"", 20), ("check_hostile", r"", 20)]),
}
FLAGS = ["CFLAGS=-O2 -w", "HARDENING=", "HARDENED_LINK="]
# Calls that answer 0 if they have worked.
CALLS = set("""chdir chroot close fchmod flock fsync ftruncate futimens kill
    link lockf rename setegid seteuid setgid setgroups setrlimit setuid
    sigfillset sigprocmask unlink""".split())
KEYWORDS = set("""break case char const continue default do double else enum
    for goto if int long return short signed sizeof static struct switch union
    unsigned void volatile while""".split())
SILENCE = 180           # seconds without a word from a program

TOKEN = re.compile(r"""
    (?P<skip>\s+|/\*.*?\*/|\\\n)
    |(?P<string>"(?:\\.|[^"\\])*")
    |(?P<char>'(?:\\.|[^'\\])+')
    |(?P<number>\d[\w.]*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<op><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
    """, re.S | re.X)

Token = collections.namedtuple("Token", "kind text start end")
# body: where the function's begins and ends
Mutant = collections.namedtuple("Mutant",
    "file function body kind start end new")


def tokens_of(text, start, end):
    found = []
    while start < end:
        m = TOKEN.match(text, start, end)
        if m.lastgroup != "skip":
            found.append(Token(m.lastgroup, m.group(), m.start(), m.end()))
        start = m.end()
    return found


def functions_of(text):
    """Name, start and end of every function, table and macro with a body."""
    bodies = list(re.finditer(
        r"^([A-Za-z_]\w*)\([^;{}]*?\)\n\{\n(.*?)^\}$", text, re.S | re.M))
    tables = re.finditer(r"^static const [^;(){}]*?(?:\{[^{}]*\} )?"
        r"(\w+)\[\w*\] = \{(.*?)^\};$", text, re.S | re.M)
    macros = re.finditer(
        r"^#define (\w+)\([^)]*\)((?:.*\\\n)*.*)$", text, re.M)
    for m in bodies + [t for t in tables if t.group(1) != "sines"] + \
            [m for m in macros if not any(b.start(2) <= m.start() < b.end(2)
                for b in bodies)]:
        yield m.group(1), m.start(2), m.end(2)


def is_unary(tokens, i):
    """Whether the operator at i has nothing to its left."""
    before = tokens[i - 1] if i > 0 else None
    return before is None or (before.kind == "op" and
        before.text not in (")", "]", "++", "--")) or before.text in KEYWORDS


def partner(tokens, i, step=1):
    """The index of the bracket that belongs to the one at i, ahead or back."""
    depth, k = 0, i
    while 0 <= k < len(tokens):
        depth += tokens[k].text in ("(", "[", "{")
        depth -= tokens[k].text in (")", "]", "}")
        if depth == 0:
            return k
        k += step
    return k - step


def behind(tokens, i):
    """The index behind a token, or behind all of a bracket that it opens."""
    return (partner(tokens, i) if tokens[i].text in "([{" else i) + 1


def starts_statement(tokens, i):
    if i == 0:
        return True
    before = tokens[i - 1].text
    if before == ")":       # of if (...), for (...) or while (...)
        k = partner(tokens, i - 1, -1)
        return k > 0 and tokens[k - 1].text in ("if", "for", "while")
    return before in (";", "{", "}", "else", "do", ":")


def in_for_head(tokens, i):
    while i > 0:
        i -= 1
        if tokens[i].text == "(":
            return tokens[i - 1].text == "for"
        if tokens[i].text == ")":
            i = partner(tokens, i, -1)
    return False


COMPARE = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="),
    ">=": (">", "<"), "==": ("!=",), "!=": ("==",)}
SWAP = {"&&": ("logic", "||"), "||": ("logic", "&&"), "+": ("arith", "-"),
    "-": ("arith", "+"), "+=": ("arith", "-="), "-=": ("arith", "+="),
    "&": ("arith", "|"), "|": ("arith", "&"), "|=": ("arith", "=")}


def break_operator(tokens, i):
    t = tokens[i].text
    if t in COMPARE:
        for new in COMPARE[t]:
            yield "cmp", i, i, new
    elif t in SWAP and not is_unary(tokens, i):
        yield SWAP[t][0], i, i, SWAP[t][1]
    elif t == "!" and is_unary(tokens, i):
        yield "logic", i, i, ""


def break_constant(tokens, i, line):
    t = tokens[i]
    before = tokens[i - 1].text if i > 0 else ""
    after = tokens[i + 1].text if i + 1 < len(tokens) else ""
    # the size of an array is none of the program's doing
    if before == "[" and re.match(r"\s*(static |const |unsigned |struct )*"
            r"(char|int|long|size_t|uint\d+_t|gid_t)\b", line):
        return
    if t.kind == "number":
        m = re.match(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)$", t.text)
        octal = re.match(r"0[0-7]+$", m.group(1))
        n = int(m.group(1), 8 if octal else 0)
        # a 1 that is all that is returned or assigned is true, as 2 would be
        if n != 1 or after != ";" or before not in ("return", "=", "|="):
            yield "const", i, i, ("0%o%s" if octal else "%d%s") % (n + 1,
                m.group(2))
        if n == 1 and before != "-":
            yield "const", i, i, "0" + m.group(2)
    elif t.kind == "char":
        other = {"'\\n'": "'\\r'", "'\\r'": "'\\n'", "' '": "'\\t'"}
        yield "const", i, i, other.get(t.text, "'\\1'")
    elif re.match(r"[A-Z][A-Z0-9_]{2,}$", t.text) and after != "(" and \
            t.text != "NULL":
        if "|" in (before, after) or before == "&" and not \
                is_unary(tokens, i - 1) or t.text.startswith("RLIMIT"):
            yield "const", i, i, "0"
        else:
            yield "const", i, i, "(%s + 1)" % t.text


def break_statement(tokens, i):
    """A call, an assignment or a jump that is a statement, or an if."""
    t = tokens[i]
    after = tokens[i + 1].text if i + 1 < len(tokens) else ""
    if t.text in ("break", "continue") and after == ";":
        yield "stmt", i, i, ""
    if t.text == "if" and after == "(":
        end, k = partner(tokens, i + 1), i + 2
        while k < end:
            if tokens[k].text in (*COMPARE, "&&", "||", "!"):
                return
            k = behind(tokens, k)
        yield "logic", i + 1, end, None     # negated
    if t.kind != "name" or t.text in KEYWORDS:
        if not (t.text == "*" and is_unary(tokens, i)):
            return
    if after == "(" and t.text in CALLS:
        end = partner(tokens, i + 1)
        if not starts_statement(tokens, i):
            yield "call", i, end, "0"
    if not starts_statement(tokens, i) or in_for_head(tokens, i):
        return
    if after == "(":
        end = partner(tokens, i + 1)
        if end + 1 < len(tokens) and tokens[end + 1].text == ";":
            yield "call", i, end, ""
        return
    k = i + 1
    while k < len(tokens) and (tokens[k].text in ("->", ".") or
            tokens[k].kind == "name" and tokens[k - 1].text in
            ("->", ".", "*") or tokens[k].text == "["):
        k = behind(tokens, k)
    if k >= len(tokens) or not re.match(r"([-+*/|&]|<<|>>)?=$",
            tokens[k].text):
        return
    while k < len(tokens) and tokens[k].text != ";":
        k = behind(tokens, k)
    yield "stmt", i, k - 1, ""


def mutants_of(name, text, pattern):
    seen = set()
    for function, start, end in functions_of(text):
        if not re.search(pattern, function):
            continue
        tokens = tokens_of(text, start, end)
        for i, t in enumerate(tokens):
            begin = text.rfind("\n", 0, t.start) + 1
            line = text[begin:text.find("\n", t.start)]
            if re.match(r"#(undef|if|else|endif|define \w+$)", line):
                continue
            if text[begin:t.start].strip() == "#define":
                continue
            for kind, a, b, new in itertools.chain(break_operator(tokens, i),
                    break_constant(tokens, i, line),
                    break_statement(tokens, i)):
                a, b = tokens[a].start, tokens[b].end
                if new is None:
                    new = "(!%s)" % text[a:b]
                m = Mutant(name, function, (start, end), kind, a, b, new)
                if m not in seen and text[a:b] != new:
                    seen.add(m)
                    yield m


def apply(m, text):
    return text[:m.start] + m.new + text[m.end:]


def describe(m, text):
    """The place, and what has become of its lines, like diff -u0."""
    first = text.rfind("\n", 0, m.start) + 1
    last = text.find("\n", m.end)
    number = text.count("\n", 0, m.start) + 1
    new = text[first:m.start] + m.new + text[m.end:last]
    return "%s:%d: %s: %s\n%s\n%s" % (m.file, number, m.function, m.kind,
        "\n".join("-" + l for l in text[first:last].split("\n")),
        "\n".join("+" + l for l in new.split("\n")))


def key_of(m, text):
    """The same as long as the function is the same, wherever it stands."""
    start, end = m.body
    what = [m.file, m.function, m.kind, text[start:end], str(m.start - start),
        str(m.end - start), m.new]
    return hashlib.sha1("\0".join(what).encode()).hexdigest()


class Worker:
    """A copy of the tree, in which one mutant at a time is built and run."""

    def __init__(self, room, number, finders):
        self.tree = os.path.join(room, "tree%d" % number)
        self.log = os.path.join(room, "log%d" % number)
        self.finders = finders
        self.running = None
        shutil.copytree(".", self.tree,
            ignore=shutil.ignore_patterns(".*", "*.tmp", "*.o"))
        os.chmod(self.tree, 0o755)

    def write(self, name, text):
        with open(os.path.join(self.tree, name), "w") as f:
            f.write(text)

    def build(self, program):
        targets = ["tests/" + program]
        if program in ("check_auth", "check_hostile", "check_pop3"):
            targets.insert(0, "pop3d")
        return subprocess.run(["make", "-s"] + targets + FLAGS, cwd=self.tree,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL).returncode == 0

    def optimized(self, name):
        """What a file becomes, without names of files and lines."""
        return subprocess.run("cc $(make -s print-flags CFLAGS=-O2 | sed "
            "'s/-W[a-z][a-z-]*//g') -w -S -o - %s" % name, shell=True,
            cwd=self.tree, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL).stdout

    def run(self, program, seconds, case=None):
        """None if all is well, or the first test that fails."""
        open(self.log, "w").close()
        with open(self.log + ".out", "w") as out:
            env = dict(os.environ, CK_TAP_LOG_FILE_NAME=self.log)
            if case is not None:
                env["CK_RUN_CASE"] = case
            p = subprocess.Popen(["sh", "tests/alone.sh", "sh", "-c",
                "ulimit -t %d; ulimit -c 0; exec tests/%s" % (seconds,
                program)], cwd=self.tree, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True, env=env)
        self.running = p
        failed, at, alive = None, 0, time.monotonic()
        while failed is None:
            status, size = p.poll(), os.path.getsize(self.log)
            if size > at:
                at, alive = size, time.monotonic()
                failed = self.first_failure()
            elif status is not None:
                break
            elif time.monotonic() - alive > SILENCE:
                failed = "silence"
            time.sleep(0.05)
        self.stop(p)
        if failed is None and p.returncode != 0:
            failed = "exit status %d" % p.returncode
        return failed

    def first_failure(self):
        with open(self.log, errors="replace") as f:
            for line in f:
                if line.startswith("not ok") and line.endswith("\n"):
                    return ":".join(line.split(":")[1:3])
        return None

    def stop(self, p):
        """End the program; its namespace takes all else with it."""
        if p is None or p.poll() is not None:
            return
        os.killpg(p.pid, signal.SIGTERM)
        try:
            p.wait(2)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()

    def judge(self, m, text, programs, plain):
        """(killed, survived, same or void; by which test)."""
        self.write(m.file, apply(m, text))
        for program, functions, seconds in programs:
            if not re.search(functions, m.function):
                continue
            if not self.build(program):
                return "void", "does not compile"
            # what has found the function's last ones comes first
            case = self.finders.get((m.function, program))
            failed = case and self.run(program, seconds, case)
            if failed is None:
                failed = self.run(program, seconds)
            if failed is not None:
                if ":" in failed:
                    self.finders[m.function, program] = failed.split(":")[0]
                return "killed", program + ": " + failed
        if self.optimized(m.file) == plain:
            return "same", "the same machine code"
        return "survived", ""


def options():
    p = argparse.ArgumentParser(usage=__doc__)
    for flag, otherwise in (("-j", 2), ("-n", 0), ("-s", 1), ("-f", ""),
            ("-k", ""), ("-o", ""), ("-m", 0.0)):
        p.add_argument(flag, type=type(otherwise), default=otherwise)
    for flag in ("-l", "-u"):
        p.add_argument(flag, action="store_true")
    p.add_argument("files", nargs="*")
    o = p.parse_args()
    o.files = o.files or sorted(FILES)
    return o


def choose(o, texts):
    mutants = [m for name in o.files
        for m in mutants_of(name, texts[name], FILES[name][0])
        if re.search(o.f, m.function) and
        (not o.k or m.kind in o.k.split(","))]
    if 0 < o.n < len(mutants):
        mutants = random.Random(o.s).sample(mutants, o.n)
    return mutants


def known_results(o):
    if not os.path.exists(o.o):
        return {}
    with open(o.o) as f:
        return {r["key"]: (r["result"], r["by"]) for r in map(json.loads, f)}


def run_all(o, texts, mutants, room):
    """Judge the mutants in o.j threads: each with its result."""
    known = known_results(o)
    todo, done = collections.deque(), []
    for m in mutants:
        result = known.get(key_of(m, texts[m.file]))
        if result is not None and result[0] != "survived":
            done.append((m, result))
        else:
            todo.append(m)
    print("%d mutants, %d known" % (len(mutants), len(done)), flush=True)
    if not todo:
        return done
    finders = {}
    workers = [Worker(room, i, finders) for i in range(max(1, o.j))]
    plain = {}
    for name in set(m.file for m in todo):
        for program, _, seconds in FILES[name][1] if not o.u else []:
            workers[0].build(program)
            failed = workers[0].run(program, seconds)
            if failed is not None:
                sys.exit("unbroken, %s fails: %s" % (program, failed))
        plain[name] = workers[0].optimized(name)
    lock = threading.Lock()

    def work(w):
        while True:
            with lock:
                if not todo:
                    return
                m = todo.popleft()
            text = texts[m.file]
            result = w.judge(m, text, FILES[m.file][1], plain[m.file])
            w.write(m.file, text)
            with lock:
                done.append((m, result))
                if o.o:
                    with open(o.o, "a") as f:
                        f.write(json.dumps({"key": key_of(m, text),
                            "result": result[0], "by": result[1],
                            "what": describe(m, text)}) + "\n")
                print("%d/%d %s %s" % (len(done), len(mutants), result[0],
                    result[1]), flush=True)
                if result[0] == "survived":
                    print(describe(m, text), flush=True)

    threads = [threading.Thread(target=work, args=(w,), daemon=True)
        for w in workers]
    for t in threads:
        t.start()
    try:
        for t in threads:
            t.join()
    finally:
        todo.clear()
        for w in workers:
            w.stop(w.running)
    return done


def main():
    o = options()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    texts = {name: open(name).read() for name in o.files}
    mutants = choose(o, texts)
    if o.l:
        for m in mutants:
            print(describe(m, texts[m.file]))
        print(len(mutants), "mutants")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    room = tempfile.mkdtemp(prefix="pop3d-mutate.", dir=base)
    os.chmod(room, 0o755)
    try:
        done = run_all(o, texts, mutants, room)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    count = collections.Counter(r[0] for _, r in done)
    left = sorted((m for m, r in done if r[0] == "survived"),
        key=lambda m: (m.file, m.start))
    for m in left:
        print("survived " + describe(m, texts[m.file]))
    print("%d do not compile, %d are the same program, %d fell silent; "
        "%d seconds" % (count["void"], count["same"],
        sum(r[1].endswith(": silence") for _, r in done),
        time.monotonic() - began))
    tried = count["killed"] + count["survived"]
    score = 100 * count["killed"] / tried if tried else 0
    print("mutants %d, killed %d (%.1f %%)" % (tried, count["killed"], score))
    return score < o.m


if __name__ == "__main__":
    sys.exit(main())
