#!/bin/sh
# How much of each source file "make check" runs, best as root: lines, and the
# ways that conditions turn out. Fails below 95 and 85 per cent. Needs clang,
# llvm and python3. "make coverage" calls this from the top directory.
#
# Not gcov: most of the program ends in _exit or by a signal, in a chroot, with
# other ids and no descriptors, where gcov cannot write. clang's counters can
# be mapped into a file from the start, and need nothing at the end. Every
# process has a file of its own, that begins as its parent's: most counts are
# differences of others, and what came of a fork in one process must not be
# taken off the other's.
. tests/report.sh
min_lines=95
min_branches=85
sources="pop3.c mailbox.c auth.c"

has() {
	command -v "$1" >/dev/null 2>&1
}

for v in '' -14 -15 -16 -17 -18 -19; do
	has llvm-cov$v && has llvm-profdata$v && break
done
for tool in clang llvm-cov$v llvm-profdata$v python3; do
	if ! has "$tool"; then
		echo "skip: coverage, $tool is not installed"
		exit 0
	fi
done

# Below TMPDIR, not here: every user the program runs as must get there.
make_tmp pop3d-coverage
dir=$tmp
mkdir "$dir/tree" "$dir/counters" &&
    chmod 755 "$dir" "$dir/tree" && chmod 777 "$dir/counters" &&
    cp -R Makefile README ./*.c pop3.h tests xinetd.d "$dir/tree" &&
    cd "$dir/tree" && make -s clean >/dev/null || exit 1

cat >"$dir/forked.c" <<'END'
#include <sys/mman.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char file[4096];
static void *map;
static size_t size;

/* If there is no descriptor to be had: as before. */
static void
have_a_file(void)
{
	char name[4200];
	struct timespec t;
	int fd;

	clock_gettime(CLOCK_REALTIME, &t);
	snprintf(name, sizeof(name), "%s.%ld.%ld.profraw", file,
	    (long)getpid(), t.tv_sec * 1000000000L + t.tv_nsec);
	fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd == -1)
		return;
	if (map != NULL && write(fd, map, size) == (ssize_t)size)
		mmap(map, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		    fd, 0);
	close(fd);
}

static void
find_map(void)
{
	char line[4200];
	FILE *f = map == NULL ? fopen("/proc/self/maps", "r") : NULL;
	unsigned long from;
	struct stat st;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, ".profraw") != NULL && sscanf(line,
		    "%lx-%*s %*s %*s %*s %*s %4095s", &from, file) == 2 &&
		    stat(file, &st) == 0) {
			map = (void *)from;
			size = (size_t)st.st_size;
		}
	if (f != NULL)
		fclose(f);
}

__attribute__((constructor)) static void
start(void)
{
	pthread_atfork(find_map, NULL, have_a_file);
}
END
clang -O1 -c -o "$dir/forked.o" "$dir/forked.c" || exit 1

# Without check_hostile: its limits and empty environments would hold for the
# counters' files, too.
# %m: the file is closed once it is mapped; %p: by process; %c: mapped.
if ! FEWER=4 sh tests/alone.sh make check CC=clang LDFLAGS="$dir/forked.o" \
    PROGRAMS="tests/check_auth tests/check_crash tests/check_pop3 \
    tests/check_mailbox tests/check_small" \
    CFLAGS="-O1 -g -Wno-unused-command-line-argument -fcoverage-mapping \
    -fprofile-instr-generate=$dir/counters/%m-%p%c.profraw \
    -fprofile-update=single -mllvm -runtime-counter-relocation" \
    >"$dir/log" 2>&1 </dev/null; then
	cat "$dir/log"
	echo "0 passed, 1 failed"
	exit 1
fi
grep -E '^skip|passed' "$dir/log"

"llvm-profdata$v" merge -o "$dir/merged" "$dir"/counters/*.profraw || exit 1
set -- -instr-profile="$dir/merged" pop3d
for program in tests/check_*; do
	[ ! -x "$program" ] || set -- "$@" -object "$program"
done
for format in lcov text; do
	"llvm-cov$v" export -format=$format "$@" >"$dir/$format" || exit 1
done

# The programs hold the same code several times: what one of them ran was run.
# shellcheck disable=SC2086
python3 - "$dir" $min_lines $min_branches $sources <<'END'
import json, os, sys

directory, min_lines, min_branches = sys.argv[1], *map(int, sys.argv[2:4])
sources = sys.argv[4:]
lines = {f: {} for f in sources}
branches = {f: {} for f in sources}

name = None
for record in open(os.path.join(directory, "lcov")):
    if record.startswith("SF:"):
        name = os.path.basename(record[3:].strip())
    elif record.startswith("DA:") and name in lines:
        number, count = map(int, record[3:].split(",")[:2])
        lines[name][number] = lines[name].get(number, 0) + count
for function in json.load(open(os.path.join(directory, "text")))["data"][0][
        "functions"]:
    for b in function["branches"]:
        name = os.path.basename(function["filenames"][b[6]])
        if name in branches:
            known = branches[name].setdefault(tuple(b[:4]), [0, 0])
            known[0] += b[4]
            known[1] += b[5]

def share(part, whole):
    return 100 * part / whole if whole else 0

bad = 0
print("%-12s%8s%9s%9s%10s%9s%9s" % ("", "lines", "not run", "%",
    "branches", "never", "%"))
for f in sources:
    ways = [w for b in branches[f].values() for w in b]
    missed = sum(c == 0 for c in lines[f].values())
    never = sum(c == 0 for c in ways)
    line_share = share(len(lines[f]) - missed, len(lines[f]))
    branch_share = share(len(ways) - never, len(ways))
    bad += (line_share < min_lines) + (branch_share < min_branches)
    print("%-12s%8d%9d%9.2f%10d%9d%9.2f" % (f, len(lines[f]), missed,
        line_share, len(ways), never, branch_share))
for f in sources:
    text = open(f).read().split("\n")
    for number in sorted(n for n, c in lines[f].items() if c == 0):
        print("%s:%d: not run: %s" % (f, number, text[number - 1].strip()))
    for (line, column, to, last), ways in sorted(branches[f].items()):
        if 0 in ways:
            what = text[line - 1][column - 1:]
            if to == line:
                what = what[:last - column]
            print("%s:%d: never %s: %s" % (f, line, " nor ".join(w for w, c
                in zip(("true", "false"), ways) if c == 0), what.strip()))
print("coverage: at least %d %% of lines and %d %% of branches: %s" %
    (min_lines, min_branches, "no" if bad else "yes"))
print("%d passed, %d failed" % (2 * len(sources) - bad, bad))
sys.exit(bad > 0)
END
