# pop3d. Portable make; nothing is configured. What may be set from outside:
# CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR, and the variables below.
.POSIX:

CC = cc
CFLAGS = -O2 -g
PREFIX = /usr/local
SBINDIR = $(PREFIX)/sbin
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/pop3d
EMPTYDIR = /var/empty

# The language and its library; 64-bit offsets and times on 32-bit hosts. All
# that a system has is asked for, as crypt, chroot and setgroups lie beyond
# POSIX: _DEFAULT_SOURCE on Linux, the next three on the BSDs, and then illumos.
LANGUAGE = -std=c99 -D_XOPEN_SOURCE=700 -D_DEFAULT_SOURCE -D_BSD_SOURCE \
	-D__BSD_VISIBLE=1 -D_NETBSD_SOURCE -D__EXTENSIONS__ \
	-D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wcast-qual \
	-Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wundef -Wvla
HARDENING = -fPIE -fstack-protector-strong -U_FORTIFY_SOURCE \
	-D_FORTIFY_SOURCE=2
HARDENED_LINK = -pie -Wl,-z,relro -Wl,-z,now
LIBS = -lcrypt
CHECK_LIBS = `pkg-config --libs check 2>/dev/null || \
	echo -lcheck_pic -lsubunit -lrt -lm -pthread`

# Tables for exceptions, which C does not have, are an eighth of the program.
# Copies of small functions, and the stubs that calls of the library go through,
# are a tenth, and make nothing faster.
COMPACT = -fno-asynchronous-unwind-tables -fno-inline-functions -fno-plt
# mailbox.c has loops that are meant to become vector code. Before version 12 gcc
# does that with -O2 only if it is told to.
VECTORS = -ftree-vectorize

FLAGS = $(LANGUAGE) $(WARNINGS) $(HARDENING) $(COMPACT) $(VECTORS) $(CFLAGS)
# For test programs that take as long to compile as to run; and for those that
# wait for others most of their time.
QUICKLY = $(FLAGS) -O1 -g1
AT_ONCE = $(FLAGS) -O0 -U_FORTIFY_SOURCE -g1
LINK = $(HARDENED_LINK) $(LDFLAGS)
OBJECTS = pop3.o mailbox.o auth.o
CHECKS = tests/check_mailbox tests/check_small tests/check_auth \
	tests/check_pop3 tests/check_crash tests/check_hostile \
	tests/check_openbsd tests/check_illumos \
	tests/prove/locks tests/prove/update
SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all

# Fuzz targets, and the same with the inputs of tests/fuzz/corpus alone.
FUZZERS = tests/fuzz/scan.fuzz tests/fuzz/session.fuzz \
	tests/fuzz/update.fuzz tests/fuzz/accounts.fuzz \
	tests/fuzz/plain.fuzz tests/fuzz/record.fuzz tests/fuzz/index.fuzz
REPLAYS = tests/fuzz/scan.replay tests/fuzz/session.replay \
	tests/fuzz/update.replay tests/fuzz/accounts.replay \
	tests/fuzz/plain.replay tests/fuzz/record.replay \
	tests/fuzz/index.replay
FUZZ_OBJECTS = tests/fuzz/tools.o tests/fuzz/reference.o
FUZZ_CC = clang
FUZZ_FLAGS = -O1 -g -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all
FUZZ_SECONDS = 60

all: pop3d

pop3d: $(OBJECTS) built-with
	$(CC) $(FLAGS) $(LINK) -o $@ $(OBJECTS) $(LIBS)

.SUFFIXES: .c .o .replay .fuzz
.c.o:
	$(CC) $(FLAGS) -c -o $@ $<

$(OBJECTS): pop3.h built-with

# What all is built with: with something else it is built again.
built-with: always
	@echo $(CC) $(FLAGS) $(LINK) $(LIBS) | cmp -s - $@ || \
	    echo $(CC) $(FLAGS) $(LINK) $(LIBS) > $@
always:

# Tests: one program for each source file, and the transcripts. The script makes
# the programs, each while others run: all, or those that are named.
SELF = $(MAKE)
PROGRAMS =
check: pop3d $(FUZZ_OBJECTS) tests/fuzz/replay.o
	MAKE="$(SELF)" sh tests/run.sh $(PROGRAMS)

tests/check_mailbox tests/check_small tests/check_auth tests/check_pop3 \
tests/check_crash tests/check_hostile tests/check_openbsd \
tests/check_illumos: tests/suite.h tests/real.h

tests/check_pop3 tests/check_auth tests/check_hostile: tests/peer.h

tests/check_mailbox: tests/check_mailbox.c tests/lines.h tests/md5.h mailbox.c \
	pop3.h $(FUZZ_OBJECTS) built-with
	$(CC) $(QUICKLY) $(LINK) -o $@ tests/check_mailbox.c $(FUZZ_OBJECTS) \
	    $(CHECK_LIBS) -lm

# The same with a buffer that lines and headers do not fit into.
tests/check_small: tests/check_mailbox.c tests/lines.h tests/md5.h mailbox.c \
	pop3.h $(FUZZ_OBJECTS) built-with
	$(CC) $(QUICKLY) -DMBOX_BUFFER=1024 -DWINDOW=3000 -DMESSAGES_MAX=10000 \
	    $(LINK) -o $@ tests/check_mailbox.c $(FUZZ_OBJECTS) $(CHECK_LIBS) -lm

tests/check_auth: tests/check_auth.c tests/md5.h auth.c mailbox.o pop3.h \
	built-with
	$(CC) $(AT_ONCE) $(LINK) -o $@ tests/check_auth.c mailbox.o \
	    $(CHECK_LIBS) $(LIBS)

tests/check_pop3: tests/check_pop3.c tests/md5.h pop3.c auth.o mailbox.o \
	pop3.h $(FUZZ_OBJECTS) built-with
	$(CC) $(AT_ONCE) $(LINK) -o $@ tests/check_pop3.c auth.o mailbox.o \
	    $(FUZZ_OBJECTS) $(CHECK_LIBS) $(LIBS) -lm

tests/check_crash: tests/check_crash.c tests/disk.h mailbox.c pop3.h built-with
	$(CC) $(QUICKLY) $(LINK) -o $@ tests/check_crash.c $(CHECK_LIBS)

# The locks, in every order of their calls.
tests/prove/locks: tests/prove/locks.c mailbox.c pop3.h built-with
	$(CC) $(QUICKLY) $(LINK) -o $@ tests/prove/locks.c

# UPDATE, with the plug pulled everywhere.
tests/prove/update: tests/prove/update.c tests/disk.h mailbox.c pop3.h \
	built-with
	$(CC) $(QUICKLY) -O2 $(LINK) -o $@ tests/prove/update.c

# All that is proved by trying everything, in large; some of it, if named.
PIECES =
prove:
	MAKE="$(SELF)" sh tests/prove/run.sh $(PIECES)

# What an attacker tries.
tests/check_hostile: tests/check_hostile.c auth.o mailbox.c pop3.h built-with
	$(CC) $(AT_ONCE) $(LINK) -o $@ tests/check_hostile.c auth.o \
	    $(CHECK_LIBS) $(LIBS)

# What auth.c says for other systems, with stand-ins for what they have.
tests/check_openbsd: tests/check_systems.c auth.c mailbox.o pop3.h built-with
	$(CC) $(AT_ONCE) $(LINK) -o $@ tests/check_systems.c mailbox.o \
	    $(CHECK_LIBS) $(LIBS)

tests/check_illumos: tests/check_systems.c auth.c mailbox.o pop3.h \
	tests/machines/sun/priv.h built-with
	$(CC) $(AT_ONCE) -DSYSTEM_SUN -Itests/machines/sun $(LINK) -o $@ \
	    tests/check_systems.c mailbox.o $(CHECK_LIBS) $(LIBS)

.c.replay:
	$(CC) $(AT_ONCE) $(LINK) -o $@ $< $(FUZZ_OBJECTS) tests/fuzz/replay.o \
	    $(CHECK_LIBS) -lm

.c.fuzz:
	$(FUZZ_CC) $(LANGUAGE) $(WARNINGS) $(FUZZ_FLAGS) -o $@ $< \
	    $(FUZZ_OBJECTS) -lm

$(FUZZ_OBJECTS) tests/fuzz/replay.o: tests/fuzz/fuzz.h pop3.h built-with

$(REPLAYS) $(FUZZERS): pop3.c mailbox.c auth.c pop3.h tests/fuzz/fuzz.h \
	tests/fuzz/client.h tests/fuzz/box.h tests/lines.h \
	tests/real.h $(FUZZ_OBJECTS) built-with

$(REPLAYS): tests/fuzz/replay.o

# Random inputs, FUZZ_SECONDS for each target; needs clang.
fuzz: $(FUZZERS)
	sh tests/fuzz.sh $(FUZZ_SECONDS) $(FUZZERS)

# A mailbox of its own, and a session on it.
demo: pop3d
	sh tests/demo.sh ./pop3d

# For lint: what the compiler is called with.
print-flags:
	@echo $(FLAGS)

# The budgets, forbidden calls, and what analyzers are installed.
lint:
	sh tests/lint.sh

# The same tests with AddressSanitizer and UBSan, in a copy of the tree: fewer
# at random, as each takes long. All memory that is asked for is mailbox.c's, so
# only check_small looks for leaks, which costs more than a test itself.
sanitize:
	rm -rf tests/sanitize.tmp && mkdir tests/sanitize.tmp
	cp -R Makefile *.c pop3.h tests/sanitize.tmp
	mkdir tests/sanitize.tmp/tests
	cp -R tests/*.[ch] tests/*.sh tests/sessions tests/machines \
	    tests/sanitize.tmp/tests
	mkdir tests/sanitize.tmp/tests/fuzz
	cp -R tests/fuzz/*.c tests/fuzz/*.h tests/fuzz/corpus \
	    tests/sanitize.tmp/tests/fuzz
	cp -R tests/prove tests/sanitize.tmp/tests
	cd tests/sanitize.tmp && FEWER=8 CK_TIMEOUT_MULTIPLIER=4 \
	    ASAN_OPTIONS=detect_leaks=0 $(MAKE) check CC="$(CC)" \
	    HARDENING= HARDENED_LINK= \
	    CFLAGS="$(SANITIZE)" LDFLAGS="$(SANITIZE)"
	rm -rf tests/sanitize.tmp

# How much of the sources the tests run, with clang and llvm.
coverage:
	sh tests/coverage.sh

# What breaks without a test that fails: hours, or a sample of the mutants.
# RESULTS keeps what was found; with it, make mutate goes on where it was.
SAMPLE = 0
SEED = 1
JOBS = 2
MINIMUM = 90
MUTATE =
RESULTS = tests/mutate.tmp/results
mutate:
	mkdir -p tests/mutate.tmp
	python3 tests/mutate.py -j $(JOBS) -n $(SAMPLE) -s $(SEED) \
	    -m $(MINIMUM) -o $(RESULTS) $(MUTATE)

# Other machines and libraries, as far as their compilers are installed; some
# of them, if named.
MACHINES =
machines:
	sh tests/machines.sh $(MACHINES)

# Memory that nobody set: what the sanitizers do not see.
valgrind: pop3d tests/check_mailbox tests/check_auth tests/check_pop3
	sh tests/valgrind.sh

# Everybody at once, on one mailbox: longer than check.
stress: pop3d tests/check_crash tests/stress_tool
	sh tests/stress.sh

tests/stress_tool: tests/stress_tool.c tests/peer.h built-with
	$(CC) $(FLAGS) $(LINK) -o $@ tests/stress_tool.c

# Real clients and superservers, as root; what is not installed is named.
interop: pop3d
	sh tests/interop/run.sh

# README's first two commands in fresh folders of Debian; for root, minutes.
fresh:
	sh tests/fresh.sh

# Real file systems, full ones too, as root; what is not there is named.
filesystems: pop3d
	sh tests/filesystems.sh

# NFS, in an emulated machine; what is not there is named.
nfs: pop3d tests/stress_tool
	sh tests/nfs.sh

# Compared with popa3d where that is installed.
bench: pop3d
	sh tests/bench.sh

pop3d.8: README tests/manual.awk
	awk -f tests/manual.awk README > $@

# A program that runs cannot be written to, but another can take its name.
install: pop3d pop3d.8
	umask 022 && mkdir -p "$(DESTDIR)$(SBINDIR)" \
	    "$(DESTDIR)$(MANDIR)/man8" "$(DESTDIR)$(DOCDIR)" \
	    "$(DESTDIR)$(EMPTYDIR)"
	cp pop3d "$(DESTDIR)$(SBINDIR)/pop3d.new"
	chmod 755 "$(DESTDIR)$(SBINDIR)/pop3d.new"
	mv -f "$(DESTDIR)$(SBINDIR)/pop3d.new" "$(DESTDIR)$(SBINDIR)/pop3d"
	cp pop3d.8 "$(DESTDIR)$(MANDIR)/man8/pop3d.8"
	for f in pop3 pop3s; do \
		sed 's|/usr/local/sbin|$(SBINDIR)|' xinetd.d/$$f \
		    > "$(DESTDIR)$(DOCDIR)/xinetd-$$f" || exit 1; done
	chmod 644 "$(DESTDIR)$(MANDIR)/man8/pop3d.8" \
	    "$(DESTDIR)$(DOCDIR)/xinetd-pop3" "$(DESTDIR)$(DOCDIR)/xinetd-pop3s"

uninstall:
	rm -f "$(DESTDIR)$(SBINDIR)/pop3d" "$(DESTDIR)$(MANDIR)/man8/pop3d.8"
	rm -rf "$(DESTDIR)$(DOCDIR)"

clean:
	rm -f pop3d pop3d.8 built-with $(OBJECTS) $(CHECKS) tests/stress_tool
	rm -f $(REPLAYS) $(FUZZERS) tests/fuzz/*.o
	rm -rf tests/*.tmp
