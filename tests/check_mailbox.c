/*
 * Tests of mailbox.c. The file is included, so that the calls it makes can be
 * counted, made to fail, and used as the moment at which another program does
 * something to the mailbox. Built twice: as it is, and with a buffer and an
 * UPDATE window that lines, headers and messages do not fit into.
 *
 * SEED and ROUNDS in the environment replace the random tests' own; a failure
 * prints the values that repeat it. FEWER=3 leaves out two rounds of three.
 */
#include <sys/types.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#if defined(__linux__)
#include <sys/vfs.h>
#endif

#include <dirent.h>
#include <stdarg.h>

#include "../pop3.h"	/* and the headers that declare these calls */

/* ---- The system calls of mailbox.c ---- */

enum call {
	C_OPEN, C_WRITE, C_PREAD, C_PWRITE, C_FSYNC, C_FTRUNCATE, C_FSTAT,
	C_LSTAT, C_LINK, C_RENAME, C_UNLINK, C_KILL, C_LOCKF, C_FUTIMENS,
	C_FCHMOD, C_MALLOC, C_REALLOC, C_SLEEP, C_FLOCK, N_CALLS
};

static struct {
	unsigned n[N_CALLS];	/* calls so far */
	unsigned total;
	enum call last;		/* the call before this one */
	enum call call;		/* the call that fails, */
	unsigned at;		/* which one of them, from 1; 0: none */
	int lasting;		/* and all after it */
	int error;		/* with this errno; 0: half is written */
	void (*before)(enum call);	/* runs before every call */
	int busy;
	void (*then)(void);	/* happens once, before this call, */
	enum call when;
	unsigned nth;		/* the nth of them */
	off_t room;		/* the file may not grow beyond; 0: it may */
	size_t step;		/* octets read at a time at most; 0: any */
	ino_t old;		/* this file seems to be */
	time_t age;		/* so many seconds older */
	time_t frozen;		/* all files seem to be of this time; 0: not; */
	struct timespec mtim, ctim;	/* or so much younger */
	int lie;		/* link works, and says that it did not */
	int nfs;		/* all file systems are NFS, */
	int silly;		/* and a file that is open keeps a link there */
	int remembers;		/* what the lock is, until "." is opened: */
	struct stat known;	/* if it has a mode */
	const char *host;
	int64_t slept;		/* nanoseconds that were not waited for */
	time_t later;		/* seconds the clocks are put forward */
	time_t asleep;		/* that the host slept: one clock stood still */
	time_t takes[N_CALLS];	/* seconds that each such call takes, */
	int dozes;		/* in which the host is asleep */
	time_t still;		/* they stand half a second behind this */
	size_t asked;		/* octets of memory asked for, the largest */
} hook;

/* Count a call, let another program have its turn, and say whether it fails. */
static int
hook_fails(enum call c)
{
	int saved = errno;

	hook.n[c]++;
	hook.total++;
	if (hook.then != NULL && c == hook.when && hook.n[c] == hook.nth)
		hook.then();
	if (hook.before != NULL && !hook.busy) {
		hook.busy = 1;
		hook.before(c);
		hook.busy = 0;
	}
	*(hook.dozes ? &hook.asleep : &hook.later) += hook.takes[c];
	hook.last = c;
	errno = saved;
	if (hook.at == 0 || c != hook.call || hook.n[c] < hook.at ||
	    (hook.n[c] > hook.at && !hook.lasting))
		return 0;
	errno = hook.error;
	return 1;
}

/* The nth such call from now on fails. */
static void
let_fail(enum call c, unsigned nth, int error)
{
	hook.call = c;
	hook.at = hook.n[c] + nth;
	hook.error = error;
}

/* Before the nth such call from now on this happens. */
static void
before_call(enum call c, unsigned nth, void (*then)(void))
{
	hook.when = c;
	hook.nth = hook.n[c] + nth;
	hook.then = then;
}

static int
hook_open_fails(const char *path, ...)
{
	if (hook_fails(C_OPEN))
		return 1;
	if (strcmp(path, ".") == 0)
		hook.known.st_mode = 0;
	return 0;
}

static ssize_t
hook_pread(int fd, void *p, size_t n, off_t at)
{
	if (hook_fails(C_PREAD))
		return -1;
	if (hook.step > 0 && n > hook.step)
		n = hook.step;
	return pread(fd, p, n, at);
}

static ssize_t
hook_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (hook_fails(C_PWRITE)) {
		if (hook.error != 0 || n < 2)
			return -1;
		n /= 2;
	}
	if (hook.room > 0 && at + (off_t)n > hook.room) {
		if (at >= hook.room) {
			errno = hook.error;
			return -1;
		}
		n = (size_t)(hook.room - at);
	}
	return pwrite(fd, p, n, at);
}

static void
hook_times(struct stat *st)
{
	if (hook.old != 0 && st->st_ino == hook.old) {
		st->st_mtime -= hook.age;
		st->st_ctime -= hook.age;
	}
	if (hook.frozen != 0) {
		st->st_mtim = hook.mtim;
		st->st_ctim = hook.ctim;
		st->st_mtime += hook.frozen;
		st->st_ctime += hook.frozen;
	}
}

static int
hook_fstat(int fd, struct stat *st)
{
	if (hook_fails(C_FSTAT) || fstat(fd, st) == -1)
		return -1;
	hook_times(st);
	return 0;
}

static int
hook_lstat(const char *path, struct stat *st)
{
	int is_known = hook.remembers && strcmp(path, "mbox.lock") == 0;

	if (hook_fails(C_LSTAT))
		return -1;
	if (is_known && hook.known.st_mode != 0)
		*st = hook.known;
	else if (lstat(path, st) == -1)
		return -1;
	if (is_known)
		hook.known = *st;
	hook_times(st);
	return 0;
}

static int
hook_link(const char *from, const char *to)
{
	int r;

	if (hook_fails(C_LINK))
		return -1;
	r = link(from, to);
	if (!hook.lie)
		return r;
	errno = hook.lie;
	return -1;
}

static int
hook_unlink(const char *path)
{
	if (hook_fails(C_UNLINK))
		return -1;
	return hook.silly && strncmp(path, ".pop3d.", 7) == 0 ?
	    rename(path, ".nfs0001") : unlink(path);
}

static int
hook_gethostname(char *name, size_t len)
{
	if (hook.host == NULL)
		return gethostname(name, len);
	if (*hook.host == '\0')
		return -1;
	return snprintf(name, len, "%s", hook.host) < 0 ? -1 : 0;
}

static void *
hook_realloc(enum call c, void *p, size_t n)
{
	if (n > hook.asked)
		hook.asked = n;
	return hook_fails(c) ? NULL : realloc(p, n);
}

static int
hook_nanosleep(const struct timespec *t)
{
	hook.slept += t->tv_sec * (int64_t)1000000000 + t->tv_nsec;
	return hook_fails(C_SLEEP) ? -1 : 0;
}

static int
hook_clock_gettime(clockid_t id, struct timespec *t)
{
	int64_t ns;

	if (clock_gettime(id, t) == -1)
		return -1;
	if (hook.still != 0) {
		t->tv_sec = hook.still;
		t->tv_nsec = 500000000;
	}
	ns = t->tv_nsec + hook.slept;
	t->tv_sec += (time_t)(ns / 1000000000) + hook.later;
	t->tv_nsec = (long)(ns % 1000000000);
	if (id != CLOCK_MONOTONIC)
		t->tv_sec += hook.asleep;
	return 0;
}

static time_t
hook_time(void)
{
	struct timespec now_ts;

	hook_clock_gettime(CLOCK_REALTIME, &now_ts);
	return now_ts.tv_sec;
}

/* A call that is the system's, unless it fails. */
#define UNLESS_IT_FAILS(c, call)	(hook_fails(c) ? -1 : (call))

#if defined(__linux__)
static int
hook_fstatfs(int fd, struct statfs *s)
{
	int r = fstatfs(fd, s);

	if (hook.nfs)
		s->f_type = 0x6969;
	return r;
}
#undef fstatfs
#define fstatfs(fd, s)		hook_fstatfs(fd, s)
#define flock(fd, how)		UNLESS_IT_FAILS(C_FLOCK, flock(fd, how))
#endif

/* mode is not always there; no argument does anything when it is read */
#define open(...)		(hook_open_fails(__VA_ARGS__) ? -1 : \
				    open(__VA_ARGS__))
#define write(fd, p, n)		UNLESS_IT_FAILS(C_WRITE, write(fd, p, n))
#define pread(fd, p, n, at)	hook_pread(fd, p, n, at)
#define pwrite(fd, p, n, at)	hook_pwrite(fd, p, n, at)
/* The disk itself is not waited for; what fsync is for has its own test. */
#define fsync(fd)		UNLESS_IT_FAILS(C_FSYNC, 0)
#define ftruncate(fd, n)	UNLESS_IT_FAILS(C_FTRUNCATE, ftruncate(fd, n))
#define fstat(fd, st)		hook_fstat(fd, st)
#define lstat(path, st)		hook_lstat(path, st)
#define link(from, to)		hook_link(from, to)
#define fchmod(fd, mode)	UNLESS_IT_FAILS(C_FCHMOD, fchmod(fd, mode))
#define rename(from, to)	UNLESS_IT_FAILS(C_RENAME, rename(from, to))
#define unlink(path)		hook_unlink(path)
#define kill(pid, sig)		UNLESS_IT_FAILS(C_KILL, kill(pid, sig))
#define lockf(fd, what, n)	UNLESS_IT_FAILS(C_LOCKF, lockf(fd, what, n))
#define futimens(fd, t)		UNLESS_IT_FAILS(C_FUTIMENS, futimens(fd, t))
#define gethostname(p, n)	hook_gethostname(p, n)
#define malloc(n)		hook_realloc(C_MALLOC, NULL, n)
#define realloc(p, n)		hook_realloc(C_REALLOC, p, n)
#define nanosleep(t, rest)	hook_nanosleep(t)
#define clock_gettime(id, t)	hook_clock_gettime(id, t)
#define time(t)			hook_time()

#include "../mailbox.c"
#include "lines.h"
#include "md5.h"

#include "real.h"

/* behind mailbox.c, whose fail() is a macro of Check's */
#include <check.h>
#include "suite.h"
#include "fuzz/fuzz.h"		/* the mbox once more, slow and obvious */
#undef CHECK

/* ---- What the tests share ---- */

/* What repeats the case under way. */
static char where[200];

#define CHECK(ok, ...) do {						\
	if (!(ok))							\
		complain(__LINE__, __VA_ARGS__);			\
} while (0)

static void complain(int, const char *, ...)
    __attribute__((format(printf, 2, 3)));

static void
complain(int line, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ck_abort_msg("line %d: %s%s%s", line, text,
	    where[0] == '\0' ? "" : "; ", where);
}

static void
put_octets(struct bytes *b, int octet, size_t n)
{
	unsigned char block[1024];
	size_t some;

	memset(block, octet, SMALLER(n, sizeof(block)));
	for (; n > 0; n -= some) {
		some = SMALLER(n, sizeof(block));
		add(b, block, some);
	}
}

static void
set_text(struct bytes *b, const char *text)
{
	b->len = 0;
	add_text(b, text);
}

static int
is_text(const struct bytes *b, const char *text)
{
	return b->len == strlen(text) && memcmp(b->p, text, b->len) == 0;
}

static int
has_text(const struct bytes *b, const char *text)
{
	return find(b->p, b->len, text, strlen(text)) < b->len;
}

static uint64_t random_state;

static unsigned
rnd(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 20) % n);
}

/*
 * Begin a round of a random test, which has usually so many: fewer where each
 * takes long. 0: that was the last one.
 */
static int
next_round(unsigned usual)
{
	static unsigned long r;
	unsigned long seed = setting("SEED", 1) + r;

	if (r++ == setting("ROUNDS", usual / setting("FEWER", 1))) {
		r = 0;
		return 0;
	}
	random_state = (uint64_t)seed * 0x9e3779b97f4a7c15u +
	    88172645463325252u;
	snprintf(where, sizeof(where), "SEED=%lu ROUNDS=1 repeats it", seed);
	rnd(2);
	return 1;
}

static char dir[PATH_MAX];		/* where the mailboxes are */
static char path[PATH_MAX + 300];	/* the mailbox */
static struct mbox box;
static int held, pauses;		/* counted by what runs in between */
static struct bytes file;		/* what is thought to be in it */
static struct bytes seen;		/* what was read, of it or of others */

/* What a disk says that has no room, or none for this user. */
static const int full_disk[] = { ENOSPC, EDQUOT };

/* Files in the directory, but the mailbox; with remove_all, those that were. */
static unsigned
count_files(int remove_all)
{
	struct dirent *e;
	unsigned n = 0;
	DIR *d = opendir(dir);

	if (d == NULL)
		abort();
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		n += strcmp(e->d_name, "mbox") != 0;
		if (remove_all && unlink(e->d_name) == -1)
			rmdir(e->d_name);
	}
	closedir(d);
	return n;
}

static unsigned
count_strangers(void)
{
	return count_files(0);
}

static void
setup(void)
{
	memset(&hook, 0, sizeof(hook));
	held = pauses = 0;
	where[0] = '\0';
	if (chmod(dir, 0700) == -1 || chdir(dir) == -1)
		abort();
	count_files(1);
	snprintf(path, sizeof(path), "%s/mbox", dir);
	file.len = 0;
	box.fd = box.keeper = box.index = -1;
	box.msg = NULL;
}

static void
teardown(void)
{
	mbox_close(&box);
}

static void
set_time(const char *name, time_t sec, long nsec)
{
	struct timespec t[2] = { { sec, nsec }, { sec, nsec } };

	ck_assert_int_eq(utimensat(AT_FDCWD, name, t, 0), 0);
}

/*
 * Write a file as another program would: in place, and with a time that no
 * version of it had before, however coarse the clock is.
 */
static void
write_file(const char *name, const struct bytes *b)
{
	static time_t stamp = 1000000000;
	int fd = open(name, O_WRONLY | O_CREAT, 0600);

	ck_assert_msg(fd != -1 && pwrite(fd, b->p, b->len, 0) ==
	    (ssize_t)b->len, "cannot write %s: %s", name, strerror(errno));
	ck_assert_int_eq(ftruncate(fd, (off_t)b->len), 0);
	close(fd);
	set_time(name, stamp++, 0);
}

static void
read_file(const char *name, struct bytes *b)
{
	CHECK(exists(name), "there is no %s", name);
	read_whole(name, b);
	add_text(b, "");	/* it may be empty: there is an end then, too */
}

/* What is in a file: octets, or a text that can be shown. */
static void
expect_octets(const char *name, const struct bytes *want)
{
	size_t at = 0;

	read_file(name, &seen);
	while (at < SMALLER(seen.len, want->len) && seen.p[at] == want->p[at])
		at++;
	CHECK(at == seen.len && at == want->len, "%s has %zu octets, not %zu, "
	    "and is right up to the %zuth", name, seen.len, want->len, at);
}

static void
expect_text(const char *name, const char *text)
{
	read_file(name, &seen);
	CHECK(is_text(&seen, text), "%s is \"%s\", not \"%s\"", name,
	    (const char *)seen.p, text);
}

static void
expect_file(const char *text)
{
	expect_text("mbox", text);
}

static void
write_mbox(void)
{
	write_file(path, &file);
}

static void
write_text(const char *text)
{
	set_text(&file, text);
	write_mbox();
}

static void
open_box(void)
{
	mbox_close(&box);
	CHECK(mbox_open(&box, path, getuid()) == MBOX_OK, "not opened: %s",
	    box.why);
}

static void
open_text(const char *text)
{
	write_text(text);
	open_box();
}

static void
load_box(void)
{
	enum mbox_result r;

	open_box();
	r = mbox_load(&box);
	CHECK(r == MBOX_OK, "not loaded: %d, %s", r, box.why);
}

/* Load what file holds. */
static void
load_mbox(void)
{
	write_mbox();
	load_box();
}

static void
load_text(const char *text)
{
	write_text(text);
	load_box();
}

/* Mark as deleted the messages for which there is no 0. */
static void
mark(const char *which)
{
	size_t i;

	CHECK(box.n == strlen(which), "%zu messages, to be marked %s", box.n,
	    which);
	for (i = 0; i < box.n; i++)
		box.msg[i].deleted = which[i] != '0';
}

static void
load_marked(const char *text, const char *which)
{
	load_text(text);
	mark(which);
}

/* Valid until the next call. */
static const char *
uid_of(size_t i)
{
	static char uid[UID_OCTETS];

	CHECK(mbox_uid(&box, i, uid) == MBOX_OK, "message %zu has no unique-id",
	    i);
	return uid;
}

static struct reading reading;	/* of the message that read_message was for */

/* Read on in it, so many pieces of lines at most: what next_line gave last. */
static int
read_lines(struct bytes *out, unsigned lines)
{
	struct piece piece;
	int n = 1;

	while (lines-- > 0 && (n = next_line(&box, &reading, &piece)) == 1) {
		add(out, piece.p, piece.len);
		if (piece.eol)
			add_text(out, "\r\n");
	}
	return n;
}

/*
 * Read what RETR would send of message i, into out: 1, or 0 if it is gone, or
 * -1 if it broke off. With lines, at most so many pieces.
 */
static int
read_message(size_t i, struct bytes *out, unsigned lines)
{
	enum mbox_result r = mbox_seek(&box, i);

	out->len = 0;
	if (r == MBOX_GONE)
		return 0;
	if (r != MBOX_OK)
		return -1;
	reading = (struct reading){ .left = box.msg[i].size };
	return read_lines(out, lines) == -1 ? -1 : 1;
}

static void
expect_message(size_t i, const char *text)
{
	int r = read_message(i, &seen, UINT_MAX);

	CHECK(r == 1, "message %zu: read gave %d", i, r);
	CHECK(is_text(&seen, text), "message %zu is \"%s\"", i,
	    (const char *)seen.p);
	CHECK((off_t)seen.len == box.msg[i].size, "wrong size");
}

/* Take, in this process, the lock that is asked for: see others_can_lock. */
static int
take_lock(int which)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd;

	if (which == 'd')
		return exists("mbox.lock") ? -1 : 0;
	fd = open(path, O_RDWR);
	return which == 'f' ? fcntl(fd, F_SETLK, &fl) :
	    flock(fd, LOCK_EX | LOCK_NB);
}

/*
 * Whether others can have what is asked for of "d" (dotlock), "f" (fcntl) and
 * "k" (flock). Asked in a process of its own, as fcntl's locks are a process's.
 */
static int
others_can_lock(const char *which)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		while (*which != '\0' && take_lock(*which) == 0)
			which++;
		_exit(*which != '\0');
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status == 0;
}

/* Have another process hold a kernel lock, "f" or "k", until it is ended. */
static pid_t
start_holder(int which)
{
	int p[2];
	char c = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(p), 0);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		if (take_lock(which) == -1 || write(p[1], "", 1) != 1)
			_exit(1);
		close(p[1]);
		for (;;)
			pause();
	}
	close(p[1]);
	ck_assert_int_eq((int)read(p[0], &c, 1), 1);
	close(p[0]);
	return pid;
}

static void
end_holder(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static pid_t
dead_pid(void)
{
	pid_t pid = fork();

	ck_assert_int_ne(pid, -1);
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	return pid;
}

/* ---- Random mailboxes, made of what is hard ---- */

static const char *const good_from[] = {
	"From a@b Thu Jan  1 00:00:00 2020", "From x Feb 1:00",
	"From Mar  12:34", "From - Mon Apr 9:59", "From x May 7:0 8:30",
	"From x Jun 999 23:59:59 +0100 x", "From x Jul, 1 2 3:333",
	"From x Aug Sep 1:00", "From x Sep\001 1:00", "From x 1:00 Oct 1:00",
	"From  Nov 1:00", "From x Dec4 1:00", "From () 2019-10-02 05:04:34",
	"From 0000-99-990 5:04"
}, *const bad_from[] = {
	"From me to you", "From 12:34", "From x Jan 1:2", "From x Jan 12-34",
	"From x Jan 123:45", "From x Jan a1:23", "From x Jan 1:", "From",
	"From ", ">From x Jan 1:00", "from x Jan 1:00", "From\tx Jan 1:00",
	" From x Jan 1:00", "From x Jan1:00", "From x Jan 1:\00100", "F", "Fr",
	"From x Jan 12:3", "From x 1:00", "From x 1:00 Jan", "From x jan 1:00",
	"From x Janu 1:00", "From xJan 1:00", "From x-Jan 1:00",
	"From next Monday at 8:00 on", "From x Ja 1:00", "FromJan 1:00",
	"From x 2019-10-2 5:04", "From 12019-10-02 5:04", "From x 2019.10.02 5:04"
}, *const names[] = {
	"Received:", "Date:", "Message-ID:", "Delivered-To:", "X-Delivery-ID:",
	"Status:", "X-Status:", "X-UID:", "X-IMAP:", "X-IMAPbase:",
	"X-Keywords:", "Content-Length:", "Lines:", "Subject:", "To:",
	"Received :", "Message-ID :", "Received", "Receiveds:", "X-Delivery:",
	"Dat:", ":", "Message-IDs:", "X-IMAPb:", "Delivered-To :"
}, *const values[] = {
	"", " ", " x", " y", "\tz", " 12345", " \200\377", " a:b", " .",
	" Received: no", " DON'T DELETE"
}, *const body_lines[] = {
	"", "", "", "x", ".", "..", ".x", "text of a line", "\200\377\001",
	"Received: in the body", "\r", "\rx", "x\ry", " ", "-- ", "FFFF",
	"Status: RO", ">From x Jan 1:00"
};

#define COUNT(list)	((int)(sizeof(list) / sizeof(list[0])))
#define ANY(list)	list[rnd((unsigned)COUNT(list))]

/* How the lines of a mailbox end. */
enum ends { LF, CRLF, MIXED, WILD, N_ENDS };

static void
put_end(struct bytes *b, enum ends ends)
{
	static const char *const wild[] = {
		"\n", "\r\n", "\r\r\n", "\r", "", "\n\r", "\n\n", "\r\n\r\n",
		"\n\r\n", "\r\n\n"
	};

	if (ends == WILD && rnd(4) == 0)
		add_text(b, ANY(wild));
	else if (ends == CRLF || (ends != LF && rnd(2) == 0))
		add_text(b, "\r\n");
	else
		add_text(b, "\n");
}

static void
put_line(struct bytes *b, const char *text, enum ends ends)
{
	add_text(b, text);
	if (rnd(30) == 0)
		put_octets(b, '\0', rnd(3));
	put_end(b, ends);
}

/*
 * So much that what follows lies at some offset near a block's end, as one
 * line or as many.
 */
static void
put_filler(struct bytes *b, enum ends ends)
{
	size_t edge = (b->len / MBOX_BUFFER + 1) * MBOX_BUFFER, n = 0;
	size_t to = edge + 20 - rnd(rnd(2) == 0 ? 60 : 1000);
	int many = rnd(2) == 0;

	while (b->len < to) {
		put_octets(b, rnd(50) == 0 ? '\r' : 'x', 1);
		if (many && ++n % 70 == 0)
			put_end(b, ends);
	}
}

static void
put_any_case(struct bytes *b, const char *text)
{
	int as_it_is = rnd(2) == 0;

	for (; *text != '\0'; text++)
		put_octets(b, as_it_is || rnd(3) > 0 ? *text :
		    islower(*text) ? toupper(*text) : tolower(*text), 1);
}

static void
put_header(struct bytes *b, enum ends ends, int big)
{
	put_any_case(b, ANY(names));
	if (big && rnd(12) == 0)
		put_filler(b, ends);
	put_line(b, ANY(values), ends);
	while (rnd(4) == 0) {
		add_text(b, rnd(2) == 0 ? " " : "\t");
		put_line(b, ANY(values), ends);
	}
}

/* The subject by which the data of mail readers is known, but for its end. */
#define FOLDER_TEXT	"DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DAT"
#define FOLDER_SUBJECT	"Subject: " FOLDER_TEXT "A\n"

static void
put_folder_data(struct bytes *b, enum ends ends)
{
	static const char *const variants[] = {
		"X-IMAP: 1 2", "x-imapbase: 1", "X-IMAPbase: 1 2", "X-UID: 1",
		"Received: x", "To: x", "Subject: " FOLDER_TEXT "A",
		"subject: " FOLDER_TEXT "A", "Subject: " FOLDER_TEXT,
		"Subject: internal data", "Subjects: " FOLDER_TEXT "A"
	};
	unsigned n = 2 + rnd(4);

	put_line(b, ANY(good_from), ends);
	while (n-- > 0) {
		add_text(b, ANY(variants));
		put_end(b, ends == WILD ? MIXED : ends);
	}
	put_line(b, "", ends);
	put_line(b, "text", ends);
	put_line(b, "", ends);
}

/* A time of day that ends at or just behind what is looked at of a line. */
static void
put_long_from(struct bytes *b, enum ends ends)
{
	add_text(b, "From Dec ");
	put_octets(b, 'a', 983 + rnd(6));
	put_line(b, rnd(2) == 0 ? " 1:00" : " 12:34", ends);
}

static void
put_message(struct bytes *b, enum ends ends, int big)
{
	unsigned n;

	if (rnd(12) == 0)
		put_long_from(b, ends);
	else
		put_line(b, rnd(6) == 0 ? ANY(bad_from) : ANY(good_from), ends);
	for (n = rnd(7); n > 0; n--)
		put_header(b, ends, big);
	if (rnd(20) == 0)
		put_line(b, ANY(bad_from), ends);
	if (rnd(10) > 0)
		put_line(b, "", ends);
	for (n = rnd(7); n > 0; n--) {
		if (big && rnd(8) == 0)
			put_filler(b, ends);
		put_line(b, rnd(8) == 0 ? ANY(bad_from) : rnd(16) == 0 ?
		    ANY(good_from) : ANY(body_lines), ends);
	}
	if (rnd(10) > 0)
		put_line(b, "", ends);
}

static void
make_random_mailbox(struct bytes *b)
{
	enum ends ends = (enum ends)rnd(N_ENDS);
	int big = rnd(MBOX_BUFFER > 8192 ? 10 : 2) == 0;
	size_t at = 0, was;
	unsigned n;

	b->len = 0;
	while (rnd(5) == 0)
		put_line(b, "", ends);
	if (rnd(50) == 0)
		put_line(b, ANY(bad_from), ends);
	if (rnd(8) == 0)
		put_folder_data(b, ends);
	for (n = rnd(9); n > 0; n--) {
		was = b->len;
		if (at < was && rnd(6) == 0) {
			/* the message before it once more */
			put_octets(b, 0, was - at);
			memcpy(b->p + was, b->p + at, was - at);
		} else
			put_message(b, ends, big);
		at = was;
	}
	while (rnd(8) == 0)
		put_line(b, "", ends);
	if (b->len > 0 && rnd(3) == 0)
		b->len -= rnd(b->len < 8 ? (unsigned)b->len : 8);
}

/* ---- The scan, and reading, against that ---- */

static int
has_hash(const struct message *got, const struct mail *m)
{
	char text[20];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)got->hash);
	return strcmp(text, m->hash) == 0;
}

static void
expect_list(const struct maildrop *l)
{
	const struct message *got;
	const struct mail *m;
	size_t i;

	CHECK(box.n == l->n, "%zu messages, not %zu", box.n, l->n);
	for (i = 0; i < l->n; i++) {
		got = &box.msg[i];
		m = &l->mail[i];
		CHECK(got->offset == (off_t)m->start &&
		    got->offset + got->length == (off_t)m->end,
		    "message %zu is at %lld, %lld octets; not %zu to %zu", i,
		    (long long)got->offset, (long long)got->length, m->start,
		    m->end);
		CHECK(got->size == (off_t)m->sent.len,
		    "message %zu has size %lld, not %zu", i,
		    (long long)got->size, m->sent.len);
		CHECK(got->body == m->sent.len - m->header,
		    "message %zu has a body of %u", i, got->body);
		CHECK(strcmp(uid_of(i), m->id) == 0, "unique-id %s, not %s",
		    uid_of(i), m->id);
		CHECK(!got->gone && !got->deleted, "marked");
	}
}

/* Read messages in any order, some not to their end. */
static void
expect_texts(const struct maildrop *l)
{
	unsigned n = (unsigned)l->n * 2;
	size_t i;
	int whole;

	while (n-- > 0) {
		i = rnd((unsigned)l->n);
		whole = rnd(3) > 0;
		CHECK(read_message(i, &seen, whole ? UINT_MAX : rnd(9)) == 1,
		    "message %zu cannot be read", i);
		CHECK(seen.len <= l->mail[i].sent.len && (seen.len == 0 ||
		    memcmp(seen.p, l->mail[i].sent.p, seen.len) == 0),
		    "message %zu reads otherwise", i);
		CHECK(!whole || seen.len == l->mail[i].sent.len,
		    "message %zu is cut", i);
	}
}

/* What loading has found of what file holds is what the other way finds. */
static void
expect_loaded(enum mbox_result r)
{
	struct maildrop l = parse(file.p, file.len, SIZE_MAX);

	CHECK(r == (l.is_mbox ? MBOX_OK : MBOX_PERM), "loading gave %d, %s", r,
	    box.why);
	expect_list(&l);
	expect_texts(&l);
	drop_maildrop(&l);
}

/*
 * The same, written and scanned. Locks, for which most of the time would go,
 * are taken each eighth time.
 */
static void
expect_agreement(void)
{
	static unsigned n;

	write_mbox();
	open_box();
	expect_loaded(n++ % 8 == 0 ? mbox_load(&box) : scan(&box));
}

CASE("md5 and scan", 600, setup, teardown);

TEST(random_mailboxes_are_scanned_and_read_as_the_naive_way_does)
{
	while (next_round(3000)) {
		make_random_mailbox(&file);
		hook.step = rnd(4) == 0 ? 1 + rnd(600) : 0;
		expect_agreement();
	}
}

/*
 * What decides something, in all ways to end lines: each octet of it comes to
 * lie at each place around the end of a block.
 */
TEST_EACH(what_lies_across_a_block_border_is_seen_all_the_same, 3)
{
	static const char *const tails[] = {
		"\nA: b\n\nbody\n\nFrom x Jan 12:34\nReceived: y\n\n.\n\n",
		("\r\nA: b\r\n\r\nbody\r\n\r\nFrom x Jan 12:34\r\nDate: y\r\n"
		    " z\r\n\r\n.\r\n\r\nFrom y"),
		"\n\nFrom x Jan 1:00\r\nX-Delivery-ID: y\r\n\n\r\n\nFrom y Jan 12:3"
	};
	size_t shift, fewer = setting("FEWER", 1);

	for (shift = 0; shift < 1000; shift++) {
		/* all near the border; fewer where only FROM_MAX matters */
		if ((shift > 150 && shift < 950 && shift % 7 != 0) ||
		    shift % fewer != 0)
			continue;
		snprintf(where, sizeof(where), "shift %zu", shift);
		set_text(&file, "From a Jan 1:00\n");
		add_text(&file, shift % 2 == 0 ? "Message-ID: " : "\n");
		put_octets(&file, 'x', MBOX_BUFFER + 10 - shift - file.len);
		add_text(&file, tails[_i]);
		if (shift % 3 != 0)
			put_octets(&file, 'y', 1100);
		random_state = 1 + shift;
		expect_agreement();
	}
}

/* ---- MD5 ---- */

static const char *
hex_md5(const void *data, size_t len, size_t piece)
{
	static char text[33];
	const unsigned char *p = data;
	unsigned char d[16];
	struct md5 md5;
	size_t n;

	md5_init(&md5);
	for (; len > 0; p += n, len -= n) {
		n = SMALLER(len, piece);
		md5_update(&md5, p, n);
	}
	md5_final(&md5, d);
	for (n = 0; n < 16; n++)
		snprintf(text + 2 * n, 3, "%02x", d[n]);
	return text;
}

/* RFC 1321, appendix A.5 */
static const struct {
	const char *text, *digest;
} md5_suite[] = {
	{ "", "d41d8cd98f00b204e9800998ecf8427e" },
	{ "a", "0cc175b9c0f1b6a831c399e269772661" },
	{ "abc", "900150983cd24fb0d6963f7d28e17f72" },
	{ "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
	{ "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b" },
	{ "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
	  "d174ab98d277d9f5a5611c2c9f419d9f" },
	{ "1234567890123456789012345678901234567890"
	  "1234567890123456789012345678901234567890",
	  "57edf4a22be3c955ac49da2e2107b67a" }
};

TEST_EACH(md5_gives_the_digests_of_the_rfc, COUNT(md5_suite))
{
	ck_assert_str_eq(hex_md5(md5_suite[_i].text,
	    strlen(md5_suite[_i].text), 1000), md5_suite[_i].digest);
}

TEST(md5_does_not_depend_on_how_it_is_fed)
{
	unsigned char data[201], digests[201 * 16];
	char whole[33];
	struct md5 md5;
	size_t len, piece;

	for (len = 0; len < sizeof(data); len++)
		data[len] = (unsigned char)(len * 7 + 1);
	for (len = 0; len < sizeof(data); len++) {
		snprintf(whole, sizeof(whole), "%s", hex_md5(data, len, 1000));
		for (piece = 1; piece < 130; piece++)
			ck_assert_str_eq(hex_md5(data, len, piece), whole);
		md5_init(&md5);
		md5_update(&md5, data, len);
		md5_final(&md5, digests + 16 * len);
	}
	/* by another implementation */
	ck_assert_str_eq(hex_md5(digests, sizeof(digests), 1000),
	    "2e3ec01a4d26bb2493e8ccdb451b81c2");
}

/* ---- The scan: what is known by heart ---- */

#define FROM_LINE	"From a@b Thu Jan  1 00:00:00 2020\n"

/* The ids that popa3d 1.0.3 gave these messages. */
static const struct {
	const char *text, *uid;
} popa3d_ids[] = {
	{ "Received: from x by y\nDate: z\n\nbody\n\n",
	  "622365290d64a79b" },
	{ "Date: Thu, 1 Jan 2020\nMessage-ID: <1@x>\n"
	  "Received: from x\n\tby y;\n a date\n\nbody\n\n",
	  "71950b3586efa2b4" },
	{ "Subject: s\nMessage-ID: <2@x>\n\nbody\n\n",
	  "0f7df38d22aad03c" },
	{ "Received: x\nDelivered-To: a\nSubject: s\n"
	  "Delivered-To: b\n and c\nTo: d\n\n\n\n",
	  "b8c44f6d15be27c2" },
	{ "rECEIVED: x\nDELIVERED-to: a\ndelivered-TO:b\n\nbody\n\n",
	  "ff73952528fc3f87" },
	{ "Received: x\nX-Delivery-ID: 1\nX-dELIVERY-iD: 2\n\nbody\n"
	  "\n",
	  "0c8a0eaa98c0bab8" },
	{ "Received: x\nx-delivery-id: 1\nx-Delivery-ID: 2\n\nbody\n"
	  "\n",
	  "012ae349b6558ee8" },
	{ "Received: 1\nReceived: 2\nDate: 3\nMessage-ID: 4\n 5\n\n"
	  "body\n\n",
	  "85047e8b8991c29e" },
	{ "Received : no\nDate : no\nMessage-ID: <3@x>\nDate\t: no\n"
	  "\nbody\n\n",
	  "6a2d9f6a3d983d18" },
	{ "Received: \200\377.\r x\r\r\n\nbody\n\n",
	  "96663f12e0a07ede" },
	{ "Status: RO\nMessage-ID: <4@x>\nX-Status: A\n"
	  "Content-Length: 5\n\nbody\n\n",
	  "894489e0d6ca7d2c" },
	{ "Received:\n\nReceived: in the body\n\n",
	  "451d94ce57669300" },
	{ "X: y\n Received: in a continuation\nDate: d\n"
	  "Message-ID: <5@x>\n\nbody\n\n",
	  "a1244de379a98c7b" },
	{ " Received: a continuation of nothing\nMessage-ID: <6@x>\n"
	  "\nbody\n\n",
	  "cd0d287b71e4dd9f" },
	{ "Delivered-To: before\nMESSAGE-id: <7@x>\ndate: d\n\nbody\n"
	  "\n",
	  "02153e6e568182b4" }
};

TEST(unique_ids_are_those_of_popa3d)
{
	int i;

	for (i = 0; i < COUNT(popa3d_ids); i++) {
		add_text(&file, FROM_LINE);
		add_text(&file, popa3d_ids[i].text);
	}
	load_mbox();
	ck_assert_int_eq((int)box.n, COUNT(popa3d_ids));
	for (i = 0; i < COUNT(popa3d_ids); i++)
		ck_assert_str_eq(uid_of((size_t)i), popa3d_ids[i].uid);
}

/*
 * Pairs of messages with neither Received nor Message-ID: have they one id?
 * Mail readers may rewrite what they own, and nothing else may be overlooked.
 */
static const struct {
	int same;
	const char *one, *two;
} plain_mail[] = {
	{ 1, "A: b\n\nx\n", "Status: RO\nA: b\n\nx\n" },
	{ 1, "A: b\n\nx\n", "A: b\nX-Status: A\n F\nX-UID: 7\n\nx\n" },
	{ 1, "A: b\n\nx\n", "X-IMAP: 1 2\nX-IMAPbase: 1\nA: b\n\nx\n" },
	{ 1, "A: b\n\nx\n", "A: b\nX-Keywords: x\n\ty\nLINES: 3\n\nx\n" },
	{ 1, "A: b\n\nx\n", "A: b\ncontent-length: 5\n\nx\n" },
	{ 1, "A: b\n\nx\n", "A: b\n\ny\n" },
	{ 0, "A: b\n\nx\n", "A: b\n\nxx\n" },
	{ 0, "A: b\n\nx\n", "A: c\n\nx\n" },
	{ 0, "A: b\n\nx\n", "A: b\nStatuses: c\n\nx\n" },
	{ 0, "A: b\n c\n\nx\n", "A: b\n d\n\nx\n" },
	{ 0, "Status: R\nA: b\n c\n\nx\n", "Status: R\nA: b\n\nx\n" },
	{ 0, "Delivered-To: a\n\nx\n", "Delivered-To: a\nDate: b\n\nx\n" }
};

TEST_EACH(mail_without_received_is_told_apart_by_all_that_stays,
    COUNT(plain_mail))
{
	const char *text[] = { plain_mail[_i].one, plain_mail[_i].two };
	char uid[2][UID_OCTETS];
	int i;

	for (i = 0; i < 2; i++) {
		set_text(&file, FROM_LINE);
		add_text(&file, text[i]);
		load_mbox();
		snprintf(uid[i], UID_OCTETS, "%s", uid_of(0));
	}
	ck_assert_msg((strcmp(uid[0], uid[1]) == 0) == plain_mail[_i].same,
	    "%s and %s", uid[0], uid[1]);
}

#define FOLDER_DATA							\
	"From MAILER-DAEMON Thu Jan  1 00:00:00 2020\n"			\
	"Date: x\nFrom: Mail System Internal Data <M@h>\n"		\
	FOLDER_SUBJECT							\
	"X-IMAP: 1234567890 0000000001\nStatus: RO\n\n"			\
	"This text is part of the internal format of your mail folder.\n\n"

/* Mailboxes, and what RETR sends of each of their messages. */
static const struct shape {
	const char *text;
	int n;			/* messages, or -1: not an mbox */
	const char *sent[3];
} shapes[] = {
	{ "", 0, { NULL } },
	{ "\n", 0, { NULL } },
	{ "\n\r\n\n\n", 0, { NULL } },
	{ "x\n", -1, { NULL } },
	{ "From", -1, { NULL } },
	{ "from x 1:00\n", -1, { NULL } },
	{ "\r", -1, { NULL } },
	{ "\n\n\rFrom x Jan 1:00\n", -1, { NULL } },
	{ " \nFrom x Jan 1:00\n", -1, { NULL } },
	{ "From ", 1, { "\r\n" } },
	{ "From nobody\n", 1, { "\r\n" } },
	{ "\n\r\nFrom nobody\nA: b\n\nc\n", 1, { "A: b\r\n\r\nc\r\n" } },
	{ "From x\nA: b", 1, { "A: b\r\n\r\n" } },
	{ "From x\nA: b\n", 1, { "A: b\r\n\r\n" } },
	{ "From x\nA: b\n\n", 1, { "A: b\r\n\r\n" } },
	{ "From x\nA: b\n\n\n", 1, { "A: b\r\n\r\n" } },
	{ "From x\nA: b\n\n\n\n", 1, { "A: b\r\n\r\n\r\n" } },
	{ "From x\n\n\n", 1, { "\r\n" } },
	{ "From x\n\nc", 1, { "\r\nc\r\n" } },
	{ "From x\n\nc\r", 1, { "\r\nc\r\r\n" } },
	{ "From x\n\nc\r\nd\r\r\n\re", 1, { "\r\nc\r\nd\r\r\n\re\r\n" } },
	{ "From x\r\nA: b\r\n\r\nc\r\n\r\n", 1, { "A: b\r\n\r\nc\r\n" } },
	{ "From x\n\n>From y Jan 1:00\n\n", 1, { "\r\n>From y Jan 1:00\r\n" } },
	{ "From x\n\nFrom y Jan 1:00\n\nFrom z Jan 1:00\n", 3,
	    { "\r\n", "\r\n", "\r\n" } },
	{ "From x\nA: b\n\nFrom y Jan 1:00\nC: d\n\n\nFrom z Jan 1:00\n\n\n", 3,
	    { "A: b\r\n\r\n", "C: d\r\n\r\n", "\r\n" } },
	{ "From x\nA: b\nFrom y Jan 1:00\n\nc\nFrom y Jan 1:00\n", 1,
	    { "A: b\r\nFrom y Jan 1:00\r\n\r\nc\r\nFrom y Jan 1:00\r\n" } },
	{ "From x\n\nc\n\nFrom me to you\n\nFrom y Jan 12:34", 2,
	    { "\r\nc\r\n\r\nFrom me to you\r\n", "\r\n" } },
	{ "From x\nContent-Length: 18\n\nc\n\nFrom y Jan 1:00\n\nd\n", 2,
	    { "Content-Length: 18\r\n\r\nc\r\n", "\r\nd\r\n" } },
	{ "From x\n\nc\r\n\r\nFrom y Jan 1:00\n\nd\n", 1,
	    { "\r\nc\r\n\r\nFrom y Jan 1:00\r\n\r\nd\r\n" } },
	{ "From x\r\n\nc\n\r\nFrom y Jan 1:00\n\nd\n\r\n", 2,
	    { "\r\nc\r\n", "\r\nd\r\n\r\n" } },
	{ "From x\nA: b\n\n\r\nFrom x@y Mon Jan  1 00:00:02 2024\n"
	    "Received: from\n\nc\n", 1,
	    { "A: b\r\n\r\n\r\nFrom x@y Mon Jan  1 00:00:02 2024\r\n"
	    "Received: from\r\n\r\nc\r\n" } },
	{ "From x\nA: b\r\n\r\nFrom y Jan 1:00\n\nFrom z Jan 1:00\n", 2,
	    { "A: b\r\n\r\nFrom y Jan 1:00\r\n", "\r\n" } },
	{ "From x\n\none\n\nFrom next Monday at 8:00 on, we are closed.\n", 1,
	    { "\r\none\r\n\r\nFrom next Monday at 8:00 on, we are closed."
	    "\r\n" } },
	{ FOLDER_DATA, 0, { NULL } },
	{ FOLDER_DATA "From x Jan 1:00\n\nc\n", 1, { "\r\nc\r\n" } },
	{ "\n" FOLDER_DATA "From x Jan 1:00\n\nc\n", 1, { "\r\nc\r\n" } },
	{ "From x Jan 1:00\n\n" FOLDER_DATA "From x Jan 1:00\n\nc\n", 3, { "\r\n" } },
	{ "From x\nX-IMAP: 1 2\nReceived: x\n" FOLDER_SUBJECT "\n", 1,
	    { NULL } },
	{ "From x\nX-IMAP: 1 2\nSubject: hello\n\n", 1,
	    { "X-IMAP: 1 2\r\nSubject: hello\r\n\r\n" } },
	{ "From x\nX-UID: 1\n" FOLDER_SUBJECT "\n", 1, { NULL } },
	{ "From x\nX-IMAP: 1\n\n" FOLDER_SUBJECT "\n", 1, { NULL } }
};

TEST_EACH(messages_begin_and_end_where_they_should, COUNT(shapes))
{
	const struct shape *s = &shapes[_i];
	enum mbox_result r;
	int i;

	open_text(s->text);
	r = mbox_load(&box);
	CHECK(r == (s->n == -1 ? MBOX_PERM : MBOX_OK), "loading gave %d", r);
	CHECK(s->n != -1 || (errno == EINVAL &&
	    strcmp(box.why, "mailbox is not an mbox") == 0),
	    "refused for %s: %s", box.why, strerror(errno));
	CHECK((int)box.n == (s->n == -1 ? 0 : s->n), "%zu messages", box.n);
	for (i = 0; i < s->n && i < COUNT(s->sent); i++)
		if (s->sent[i] != NULL)
			expect_message((size_t)i, s->sent[i]);
	CHECK(count_strangers() == 0, "something is left in the directory");
}

/* Wherever it lies: a body's end, and the messages with either "From " line. */
TEST_EACH(an_empty_line_with_cr_separates_only_behind_a_from_line_with_cr, 16)
{
	static const struct {
		const char *end;
		int lf, crlf;
	} ends[] = {
		{ "\n\n", 2, 2 }, { "\r\n\n", 2, 2 }, { "\n\r\n", 1, 2 },
		{ "\r\n\r\n", 1, 2 }, { "x\rx\n\n", 2, 2 }, { "\n\r\r\n", 1, 1 },
		{ "\r\n\r\nF\r\n\r\n", 1, 2 }, { "\n\n\r\n", 1, 2 }
	};
	size_t len;
	int crlf, i = _i / 2;

	for (len = 0; len < 1200; len++) {
		crlf = _i % 2;
		snprintf(where, sizeof(where), "%zu octets", len);
		set_text(&file, crlf ? "From x\r\na: b\n\n" :
		    "From x\na: b\r\n\r\n");
		put_octets(&file, 'x', len);
		add_text(&file, ends[i].end);
		add_text(&file, FROM_LINE "c: d\n\ny\n");
		expect_agreement();
		CHECK((int)box.n == (crlf ? ends[i].crlf : ends[i].lf),
		    "%zu messages", box.n);
	}
}

/* By every bit of the hash, and of the body if that is asked for. */
TEST_EACH(an_index_is_sorted_and_leaves_what_is_equal_in_order, 2)
{
	enum { N = 3 * (64 + 32) };
	static struct message msg[N];
	const struct message *a, *b;
	uint32_t *index;
	int i;

	for (i = 0; i < N; i++) {
		msg[i].hash = i % 96 < 64 ? (uint64_t)1 << (63 - i % 96) : 0;
		msg[i].body = i % 96 < 64 ? (uint32_t)i / 96 :
		    (uint32_t)1 << (95 - i % 96);
	}
	index = sort_index(msg, N, _i);
	ck_assert(index != NULL);
	for (i = 1; i < N; i++) {
		a = &msg[index[i - 1]];
		b = &msg[index[i]];
		ck_assert(a->hash < b->hash || (a->hash == b->hash &&
		    (_i && a->body != b->body ? a->body < b->body : a < b)));
	}
	free(index);
}

TEST(repeated_ids_are_numbered_in_mailbox_order)
{
	static const char *const ends[] = { "", "", "-2", "", "-3", "-2" };
	char first[2][UID_OCTETS];
	size_t i;

	/* a b a c a b, by their Message-ID */
	for (i = 0; i < 6; i++) {
		add_text(&file, FROM_LINE "Message-ID: ");
		add(&file, &"abacab"[i], 1);
		add_text(&file, "\n\n");
		put_octets(&file, 'x', i + 1);
		add_text(&file, "\n\n");
	}
	load_mbox();
	ck_assert_int_eq((int)box.n, 6);
	for (i = 0; i < 2; i++)
		snprintf(first[i], UID_OCTETS, "%s", uid_of(i));
	for (i = 0; i < 6; i++) {
		ck_assert_str_eq(uid_of(i) + 16, ends[i]);
		if (i != 3)
			ck_assert_int_eq(memcmp(uid_of(i),
			    first["010001"[i] - '0'], 16), 0);
	}
}

/* What begins is shown up to the limit; what lies beyond is kept. */
TEST(mail_beyond_the_limit_is_kept_for_later)
{
	static const char small[] = "From x Jan 1:00\n\n";
	char want[UID_OCTETS];
	size_t i;

	for (i = 0; i < (size_t)MESSAGES_MAX + 2; i++)
		add(&file, small, sizeof(small) - 1);
	hook.later = 10;
	load_mbox();
	ck_assert_int_eq((long)box.n, MESSAGES_MAX);
	ck_assert_int_eq(box.more, 1);
	snprintf(want, sizeof(want), "-%lu", (unsigned long)MESSAGES_MAX);
	ck_assert_str_eq(uid_of(MESSAGES_MAX - 1) + 16, want);
	box.msg[1].deleted = box.msg[MESSAGES_MAX - 1].deleted = 1;
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	file.len -= 2 * (sizeof(small) - 1);
	expect_octets(path, &file);
	load_box();
	ck_assert_int_eq((long)box.n, MESSAGES_MAX);
	ck_assert_int_eq(box.more, 0);
}

/* A hundred million octets without a line end, in a file with a hole. */
TEST(a_line_of_100_million_octets_needs_no_memory)
{
	static const off_t hole = 100000000;
	const char *end = "\nend\n";
	struct piece piece;
	off_t sum = 0;
	unsigned ends = 0;
	int fd, r;

	write_text("From x Jan 1:00\nMessage-ID: x\n\n");
	fd = open(path, O_WRONLY);
	ck_assert_int_eq((int)pwrite(fd, end, strlen(end),
	    (off_t)file.len + hole), (int)strlen(end));
	close(fd);
	load_box();
	ck_assert_int_eq((int)box.n, 1);
	ck_assert_int_eq((long)box.msg[0].size, 17 + hole + 2 + 5);
	ck_assert_int_eq(mbox_seek(&box, 0), MBOX_OK);
	reading = (struct reading){ .left = box.msg[0].size };
	while ((r = next_line(&box, &reading, &piece)) == 1) {
		sum += (off_t)piece.len;
		ends += piece.eol != 0;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq((long)sum, 13 + hole + 3);
	ck_assert_int_eq((int)ends, 4);
	ck_assert_int_lt((long)hook.asked, 65536);
}

/*
 * The same where the line is a header's or the first of all: lines as long as
 * the buffer or as a piece, and a little shorter and longer.
 */
TEST_EACH(a_long_line_may_stand_anywhere, 10)
{
	static const char *const heads[] = {
		"From ", "From x\nSubject: ", "From x\nReceived: ",
		"From x\n\n", "From x\n\nbody\n\nFrom x Jan 1:00 "
	};
	size_t n, unit = _i % 2 == 0 ? MBOX_BUFFER : PIECE_MAX;
	size_t step = setting("FEWER", 1);

	for (n = unit - 40; n < 3 * unit; n += n % unit < 40 ||
	    n % unit > unit - 60 ? step : unit / 5) {
		snprintf(where, sizeof(where), "%zu octets", n);
		set_text(&file, heads[_i / 2]);
		put_octets(&file, n % 2 == 0 ? 'x' : '\r', n);
		add_text(&file, "\r\nDate: y\r\n\r\nbody\n");
		random_state = n + 1;
		expect_agreement();
	}
}

TEST(a_mailbox_is_read_once_and_in_large_blocks)
{
	add_text(&file, FROM_LINE "\n");
	while (file.len < 20 * MBOX_BUFFER)
		add_text(&file, "a line of mail\nFROM\nFrom\n\n");
	load_mbox();
	ck_assert_int_eq((int)box.n, 1);
	ck_assert_int_le((int)hook.n[C_PREAD], 22);
}

/* ---- Opening ---- */

/* What may have the name of a mailbox, of its lock or index, and is none. */
enum kind {
	FIFO, DIRECTORY, SYMLINK, DANGLING, TWO_LINKS, FOREIGN, LONG_NAME,
	NULL_DEVICE, TEXT, NOWHERE
};

static void
make_special(const char *name, enum kind kind)
{
	static const struct bytes none;

	if (kind == SYMLINK)
		write_file("elsewhere", &file);
	if (kind == TWO_LINKS)
		write_file(name, &none);
	ck_assert_int_eq(kind == FIFO ? mkfifo(name, 0600) :
	    kind == DIRECTORY ? mkdir(name, 0700) :
	    kind == TWO_LINKS ? link(name, "elsewhere") :
	    symlink(kind == SYMLINK ? "elsewhere" : "nowhere", name), 0);
}

CASE("open", 600, setup, teardown);

TEST_EACH(what_is_not_the_users_own_regular_file_is_refused, NULL_DEVICE + 1)
{
	const enum kind kind = (enum kind)_i;
	size_t n = strlen(path);

	add_text(&file, FROM_LINE "\n");
	if (kind == LONG_NAME) {
		/* no room for .lock behind it */
		memset(path + n, 'x', 251 - 4);
		path[n + 251 - 4] = '\0';
	}
	if (kind == NULL_DEVICE)
		snprintf(path, sizeof(path), "/dev/null");
	else if (kind == LONG_NAME || kind == FOREIGN)
		write_mbox();
	else
		make_special(path, kind);
	ck_assert_int_eq(mbox_open(&box, path, getuid() + (kind == FOREIGN)),
	    MBOX_PERM);
	ck_assert_str_ne(box.why, "");
	ck_assert_int_eq(exists("mbox.lock"), 0);
}

TEST_IF(an_unreadable_mailbox_is_refused, NOT_ROOT, 1)
{
	write_text(FROM_LINE "\n");
	ck_assert_int_eq(chmod(path, 0), 0);
	if (getuid() != 0)
		ck_assert_int_eq(mbox_open(&box, path, getuid()), MBOX_PERM);
}

TEST(a_missing_mailbox_is_an_empty_maildrop)
{
	ck_assert_int_eq(mbox_open(&box, path, getuid()), MBOX_OK);
	ck_assert_int_eq(mbox_load(&box), MBOX_OK);
	ck_assert_int_eq((int)box.n, 0);
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	ck_assert_int_eq(exists("mbox"), 0);
	ck_assert_int_eq((int)count_strangers(), 0);
}

/* A wrong -m, or a disk that is not there, must not look like no mail. */
TEST_EACH(a_missing_directory_is_no_empty_maildrop, 10)
{
	static const char *const forms[] = { "none/mbox", "./none/mbox",
	    "none/none/mbox", "link/mbox", "none/" };
	char form[PATH_MAX + 300];

	ck_assert_int_eq(symlink("nowhere", "link"), 0);
	snprintf(form, sizeof(form), "%s/%s", _i % 2 ? dir : ".",
	    forms[_i / 2]);
	ck_assert_int_eq(mbox_open(&box, _i % 2 ? form : forms[_i / 2],
	    getuid()), MBOX_TEMP);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert(exists("link"));
}

TEST_EACH(a_mailbox_is_opened_by_any_form_of_path, 3)
{
	static const char *const forms[] = { "mbox", "./mbox", "" };
	char form[PATH_MAX + 300];

	write_text(FROM_LINE "\n");
	snprintf(form, sizeof(form), "%s", forms[_i]);
	if (_i == 2)
		snprintf(form, sizeof(form), "../%s/mbox",
		    strrchr(dir, '/') + 1);
	ck_assert_int_eq(mbox_open(&box, form, getuid()), MBOX_OK);
	ck_assert_int_eq(mbox_load(&box), MBOX_OK);
	ck_assert_int_eq((int)box.n, 1);
}

static const struct {
	int error;
	enum mbox_result result;
} open_errors[] = {
	{ EIO, MBOX_TEMP }, { ENOMEM, MBOX_TEMP }, { ENFILE, MBOX_TEMP },
	{ EACCES, MBOX_PERM }, { ELOOP, MBOX_PERM }, { EROFS, MBOX_PERM },
	{ ENOTDIR, MBOX_PERM }, { EISDIR, MBOX_PERM }, { EPERM, MBOX_PERM },
	{ ENAMETOOLONG, MBOX_PERM }, { ENXIO, MBOX_PERM }, { ENOENT, MBOX_OK },
	/* a file system whose server is gone */
	{ ESTALE, MBOX_TEMP }, { ETIMEDOUT, MBOX_TEMP }, { EINTR, MBOX_TEMP },
	{ ENOTCONN, MBOX_TEMP }, { EMFILE, MBOX_TEMP }
};

TEST_EACH(trouble_at_opening_is_told_from_refusal, COUNT(open_errors))
{
	write_text(FROM_LINE "\n");
	let_fail(C_OPEN, 1, open_errors[_i].error);
	ck_assert_int_eq(mbox_open(&box, path, getuid()),
	    open_errors[_i].result);
}

/* ---- The dotlock ---- */

/* The steps that a session would take, without the pauses. */
static char
take(void)
{
	char answer = DOT_BUSY;
	int i;

	for (i = 0; i < 3 && answer == DOT_BUSY; i++)
		answer = dotlock_step(&box.dot, DOT_LOCK);
	return answer;
}

static void
expect_release(void)
{
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_UNLOCK), DOT_UNLOCK);
	ck_assert_int_eq((int)count_strangers(), 0);
	ck_assert_int_eq(box.dot.fd, -1);
}

/* All tests of this case have a mailbox open. */
static void
setup_dotlock(void)
{
	setup();
	open_text(FROM_LINE "\n");
	ck_assert_int_eq(box.dot.fd, -1);
}

static struct bytes lock_text;	/* of the lock that put_lock made */

/*
 * The lock of somebody else. %d: a pid that is gone; %l: one that lives; %o:
 * our own; %h: this host.
 */
static void
put_lock(const char *form)
{
	char host[256] = "", pid[24];

	ck_assert_int_eq(gethostname(host, sizeof(host) - 1), 0);
	set_text(&lock_text, "");
	for (; *form != '\0'; form++) {
		if (*form != '%')
			add(&lock_text, form, 1);
		else if (*++form == 'h')
			add_text(&lock_text, host);
		else {
			snprintf(pid, sizeof(pid), "%ld", (long)(*form == 'd' ?
			    dead_pid() : *form == 'o' ? getpid() : getppid()));
			add_text(&lock_text, pid);
		}
	}
	write_whole("mbox.lock", lock_text.p, lock_text.len);
}

static void
expect_their_lock(void)
{
	expect_text("mbox.lock", (const char *)lock_text.p);
}

static void
make_old(const char *name, time_t age)
{
	struct stat st;

	ck_assert_int_eq(lstat(name, &st), 0);
	hook.old = st.st_ino;
	hook.age = age;
}

static void
put_old_lock(const char *form, time_t age)
{
	put_lock(form);
	make_old("mbox.lock", age);
}

/* What the lock says, by pid and host; liblockfile can read 15 octets. */
static const struct {
	pid_t pid;
	const char *host, *text;
} owners[] = {
	{ 2, "h", "2:h" },
	{ 12345, "ninechars", "12345:ninechars" },
	{ 12345, "tencharact", "12345\n" },
	{ 999999, "example.com", "999999\n" },
	{ 2147483647, "home", "2147483647:home" },
	{ 2147483647, "homes", "2147483647\n" },
	{ 77, "", "77\n" }		/* gethostname fails */
};

CASE("dotlock", 600, setup_dotlock, teardown);

TEST_EACH(a_dotlock_names_its_owner_so_that_others_can_read_it, COUNT(owners))
{
	struct stat st;

	hook.host = owners[_i].host;
	box.dot.pid = owners[_i].pid;
	umask(077);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_LOCK);
	expect_text("mbox.lock", owners[_i].text);
	ck_assert_int_le((int)strlen(owners[_i].text), 15);
	ck_assert_int_eq(lstat("mbox.lock", &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 07777), 0644);
	ck_assert_int_eq((int)st.st_nlink, 1);
	ck_assert_int_eq((int)count_strangers(), 1);
	expect_release();
}

TEST_EACH(a_full_disk_is_no_reason_not_to_lock, 2)
{
	let_fail(C_WRITE, 1, full_disk[_i]);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_LOCK);
	expect_text("mbox.lock", "");
	expect_release();
}

/*
 * Where nobody can tell whether a disk is shared, a bare pid says nothing, and
 * flock is not used.
 */
#if defined(__linux__)
enum { BARE_PID = 1 };
static const char kernel_locks[] = "fk";
#else
enum { BARE_PID = 0 };
static const char kernel_locks[] = "f";
#endif

static const struct {
	int stolen;
	const char *text;
} foreign[] = {
	{ 0, "%l" }, { 0, "%l\n" }, { 0, "%l:%h" }, { 0, "%l:%h\n" },
	{ BARE_PID, "%d" }, { BARE_PID, "%d\n" }, { BARE_PID, "%o" },
	{ 1, "%o:%h" }, { 0, "%o:elsewhere.example" },
	{ 1, "%d:%h" }, { 1, "%d:%h\n" },
	{ 0, "%d:elsewhere.example" }, { 0, "%d:%hx" }, { 0, "%d:x%h" },
	{ 0, "" }, { 0, "\n" }, { 0, "0" }, { 0, "0\n" }, { 0, "0:%h" },
	{ 0, "1" }, { 0, "1:%h" }, { 0, "-1" }, { 0, "-%d" }, { 0, " %d" },
	{ 0, "%dx" }, { 0, "%d %h" }, { 0, "x%d" }, { 0, "pid %d" },
	{ 0, ":%h" }, { 0, "99999999999999999999" }, { 0, "4294967297" },
	{ 0, "18446744073709551617:%h" }, { 0, "garbage" }
};

TEST_EACH(only_the_lock_of_a_dead_process_of_this_host_is_taken_away,
    COUNT(foreign))
{
	snprintf(where, sizeof(where), "lock \"%.100s\"", foreign[_i].text);
	/* another container's process seems gone, too, but touches its lock */
	put_old_lock(foreign[_i].text, GONE_SECONDS - 5);
	CHECK(take() == DOT_BUSY, "taken too soon");
	make_old("mbox.lock", GONE_SECONDS);
	CHECK(take() == (foreign[_i].stolen ? DOT_LOCK : DOT_BUSY),
	    "taken, or not");
	if (!foreign[_i].stolen)
		expect_their_lock();
	CHECK(count_strangers() == 1, "more than a lock");
	dotlock_step(&box.dot, DOT_UNLOCK);
	CHECK(exists("mbox.lock") == !foreign[_i].stolen,
	    "a lock stays, or does not");
}

/* kill(2) says EPERM of a process of somebody else: it lives. */
TEST(the_lock_of_a_process_that_may_not_be_signalled_is_respected)
{
	put_old_lock("%d:%h", GONE_SECONDS);
	let_fail(C_KILL, 1, EPERM);
	hook.lasting = 1;
	ck_assert_int_eq(take(), DOT_BUSY);
	ck_assert_int_ge((int)hook.n[C_KILL], 1);
	expect_their_lock();
}

/* procmail writes 0. Not even kill(2) is to decide about these. */
static const char *const nobodys[] = { "0", "0\n", "0:%h", "1", "1:%h" };

TEST_EACH(pids_0_and_1_are_nobody_who_can_be_dead, COUNT(nobodys))
{
	put_old_lock(nobodys[_i], GONE_SECONDS);
	let_fail(C_KILL, 1, ESRCH);
	hook.lasting = 1;
	ck_assert_int_eq(take(), DOT_BUSY);
	expect_their_lock();
}

#if defined(__linux__)
/* On NFS the pid may be another host's. */
TEST(a_pid_without_host_means_nothing_on_a_shared_disk)
{
	put_old_lock("%d\n", GONE_SECONDS);
	hook.nfs = 1;
	ck_assert_int_eq(take(), DOT_BUSY);
	expect_their_lock();
	put_lock("%d:%h");
	ck_assert_int_eq(take(), DOT_LOCK);
}
#endif

/* One that names no process, or one of another host; and one that lives. */
static const struct {
	const char *text;
	time_t seconds;
} old_locks[] = {
	{ "0", STALE_SECONDS }, { "", STALE_SECONDS },
	{ "garbage", STALE_SECONDS }, { "%d:elsewhere.example", STALE_SECONDS },
	{ "%l:%h", ALIVE_SECONDS },
	{ "%l", BARE_PID ? ALIVE_SECONDS : STALE_SECONDS }
};

TEST_EACH(a_lock_nobody_touched_for_long_is_taken_away, COUNT(old_locks))
{
	put_old_lock(old_locks[_i].text, old_locks[_i].seconds - 5);
	ck_assert_int_eq(take(), DOT_BUSY);
	expect_their_lock();
	make_old("mbox.lock", old_locks[_i].seconds);
	ck_assert_int_eq(take(), DOT_LOCK);
	ck_assert_int_eq((int)count_strangers(), 1);
}

/* The clocks of hosts that share a disk need not agree. */
TEST_EACH(how_old_a_lock_is_says_the_clock_of_the_disk, 2)
{
	put_lock("0");
	hook.later = (_i == 0 ? 10 : -10) * STALE_SECONDS;
	ck_assert_int_eq(take(), DOT_BUSY);
	expect_their_lock();
	make_old("mbox.lock", STALE_SECONDS);
	ck_assert_int_eq(take(), DOT_LOCK);
}

/* It may be unreadable: then its age counts alone. */
TEST(a_lock_that_cannot_be_read_is_judged_by_its_age)
{
	put_old_lock("0", STALE_SECONDS);
	/* behind our file and the directory */
	let_fail(C_OPEN, 3, EACCES);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_BUSY);
	ck_assert_int_eq((int)hook.n[C_RENAME], 1);
	ck_assert_int_eq(take(), DOT_LOCK);
	ck_assert_int_eq((int)count_strangers(), 1);
}

/* link(2) and chmod(2) move ctime alone; mtime can be set to anything. */
TEST(a_lock_is_as_young_as_the_younger_of_its_times)
{
	put_lock("%l");
	set_time("mbox.lock", 1000, 0);
	ck_assert_int_eq(take(), DOT_BUSY);
	expect_their_lock();
}

/* The first flock is for the file of our own. */
static int
is_clearing(enum call c)
{
	return c == C_RENAME || (c == C_FLOCK && hook.n[C_FLOCK] == 2);
}

static void
lock_is_touched(enum call c)
{
	if (is_clearing(c))
		hook.age = 0;
}

static void
lock_is_replaced(enum call c)
{
	if (!is_clearing(c))
		return;
	ck_assert_int_eq(rename("mbox.lock", "old"), 0);
	put_lock("renewed");
	ck_assert_int_eq(unlink("old"), 0);
}

static void
lock_is_rewritten(enum call c)
{
	struct stat st;

	if (!is_clearing(c))
		return;
	ck_assert_int_eq(lstat("mbox.lock", &st), 0);
	put_lock("renewed");
	set_time("mbox.lock", st.st_mtim.tv_sec + 1, st.st_mtim.tv_nsec);
}

static const struct {
	const char *lock;
	time_t age;
	void (*renewed)(enum call);
} renewals[] = {
	{ "0", 400, lock_is_touched },
	{ "0", 400, lock_is_replaced },
	{ "%d:%h", GONE_SECONDS, lock_is_rewritten }
};

/* Somebody else removes it as it is opened, and there is a new one at once. */
static void
lock_goes_and_comes(enum call c)
{
	if (c == C_OPEN && hook.n[C_OPEN] == 2)
		ck_assert_int_eq(unlink("mbox.lock"), 0);
	if (c == C_RENAME || c == C_UNLINK) {
		put_lock("new");
		hook.before = NULL;
	}
}

TEST(a_new_lock_stays_that_came_after_a_stale_one)
{
	put_old_lock("0", STALE_SECONDS);
	hook.n[C_OPEN] = 0;
	hook.before = lock_goes_and_comes;
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_BUSY);
	ck_assert_int_eq((int)hook.n[C_RENAME], 0);
	expect_text("mbox.lock", "new");
}

/* c-client takes away a lock that was renewed after it had looked. */
TEST_EACH(a_stale_lock_that_is_renewed_at_the_last_moment_stays,
    2 * COUNT(renewals))
{
	hook.nfs = _i % 2;
	put_old_lock(renewals[_i / 2].lock, renewals[_i / 2].age);
	hook.before = renewals[_i / 2].renewed;
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_BUSY);
	ck_assert_int_eq((int)hook.n[C_FLOCK], BARE_PID && !hook.nfs ? 2 : 0);
	ck_assert_int_eq((int)hook.n[C_RENAME], BARE_PID && !hook.nfs ? 0 : 1);
	expect_their_lock();
	ck_assert_int_eq((int)count_strangers(), 1);
	hook.before = NULL;
	hook.age = 0;
	ck_assert_int_eq(take(), DOT_BUSY);
	expect_their_lock();
}

TEST_EACH(a_lock_that_is_no_regular_file_is_respected, DANGLING + 1)
{
	struct stat after;
	unsigned n;

	make_special("mbox.lock", (enum kind)_i);
	n = count_strangers();
	make_old("mbox.lock", 400);
	ck_assert_int_eq(take(), DOT_BUSY);
	ck_assert_int_eq(lstat("mbox.lock", &after), 0);
	ck_assert(after.st_ino == hook.old);
	ck_assert_uint_eq(count_strangers(), n);
}

/* The file for the lock, or the link to it, cannot be made. */
static const struct {
	int error;
	const char *lock;	/* somebody else's */
	char answer;
} no_dotlock[] = {
	{ EACCES, NULL, DOT_NONE }, { EPERM, NULL, DOT_NONE },
	{ EROFS, NULL, DOT_NONE }, { ENOSPC, NULL, DOT_NONE },
	{ EDQUOT, NULL, DOT_NONE }, { EOPNOTSUPP, NULL, DOT_NONE },
	{ ENOSYS, NULL, DOT_NONE }, { EIO, NULL, DOT_ERROR },
	{ EIO, "%d:%h", DOT_ERROR },
	{ EACCES, "%l", DOT_BUSY }, { ENOSPC, "%l", DOT_BUSY },
	{ EACCES, "0", DOT_BUSY }, { EACCES, "%d:%h", DOT_NONE }
};

static void
expect_no_dotlock(size_t i, enum call c)
{
	const char *lock = no_dotlock[i].lock;

	if (lock != NULL)
		put_old_lock(lock, GONE_SECONDS);
	let_fail(c, 1, no_dotlock[i].error);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK),
	    no_dotlock[i].answer);
	/* what the log says */
	if (no_dotlock[i].answer == DOT_ERROR)
		ck_assert_int_eq(errno, no_dotlock[i].error);
	ck_assert_int_eq(box.dot.fd, -1);
	/* a stale lock is removed only where a file can be made */
	ck_assert_int_eq(exists("mbox.lock"), lock != NULL &&
	    (c == C_OPEN || no_dotlock[i].answer == DOT_BUSY));
	ck_assert_int_eq((int)count_strangers(), exists("mbox.lock"));
}

TEST_EACH(where_no_dotlock_can_be_made_the_answer_says_so, COUNT(no_dotlock))
{
	expect_no_dotlock((size_t)_i, C_OPEN);
}

TEST_EACH(where_no_link_can_be_made_the_answer_says_so, COUNT(no_dotlock))
{
	expect_no_dotlock((size_t)_i, C_LINK);
}

TEST(a_directory_that_forbids_dotlocks_leaves_the_kernels)
{
	ck_assert_int_eq(box.no_dotlock, 0);
	if (getuid() == 0) {
		/* root may write everywhere */
		let_fail(C_OPEN, 1, EACCES);
		hook.lasting = 1;
	} else
		ck_assert_int_eq(chmod(dir, 0500), 0);
	ck_assert_int_eq(mbox_load(&box), MBOX_OK);
	ck_assert_int_eq((int)box.n, 1);
	ck_assert_int_ne(box.no_dotlock, 0);
	box.msg[0].deleted = 1;
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	expect_file("");
	ck_assert_int_eq(chmod(dir, 0700), 0);
	ck_assert_int_eq((int)count_strangers(), 0);
}

/* Some file systems have no modes, and say so: a lock is a lock without. */
TEST(a_lock_whose_mode_cannot_be_set_is_held)
{
	let_fail(C_FCHMOD, 1, EPERM);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_LOCK);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_TOUCH), DOT_TOUCH);
	expect_release();
}

/* Over NFS the answer to link(2) can be lost. */
TEST_EACH(a_link_that_was_made_counts_whatever_link_says, 2)
{
	hook.lie = _i == 0 ? EEXIST : EIO;
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_LOCK);
	ck_assert_int_eq((int)count_strangers(), 1);
	expect_release();
}

/*
 * Over NFS and FUSE a file that is open and loses its name gets another, so that
 * the lock has two links for as long as it is held.
 */
TEST(a_lock_is_ours_however_many_links_it_has)
{
	hook.silly = 1;
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_LOCK);
	ck_assert(exists(".nfs0001") && exists("mbox.lock"));
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_TOUCH), DOT_TOUCH);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_UNLOCK), DOT_UNLOCK);
	ck_assert(!exists("mbox.lock"));
}

/* Nobody knows then whether the mailbox is gone. */
TEST_EACH(a_look_at_the_mailbox_that_fails_is_trouble_that_passes, 3)
{
	static const int errors[] = { EIO, ESTALE, EACCES };

	let_fail(C_LSTAT, 1, errors[_i]);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_ERROR);
	ck_assert_int_eq(errno, errors[_i]);
	ck_assert(!exists("mbox.lock"));
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_LOCK);
}

/* Who has it, for the log, if it is a process of this host. */
TEST(a_busy_lock_tells_its_holder)
{
	put_lock("%l:%h");
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_BUSY);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_UNLOCK), DOT_UNLOCK);
	ck_assert_int_eq((int)box.dot.holder, (int)getppid());
	put_lock("%l:elsewhere.example");
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_BUSY);
	ck_assert_int_eq((int)box.dot.holder, 0);
}

#if defined(__linux__)
/*
 * Its pid looks gone from another container, and its process may be stopped, so
 * that its lock gets old; but it lives, and has flock. Others can read the file,
 * and could have flock, too: so pop3d must have it before they can.
 */
TEST(a_lock_stays_as_long_as_its_process_lives)
{
	struct dotlock another = box.dot;
	int other;

	box.dot.pid = dead_pid();
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_LOCK);
	make_old("mbox.lock", GONE_SECONDS);
	ck_assert_int_eq(dotlock_step(&another, DOT_LOCK), DOT_BUSY);
	ck_assert(exists("mbox.lock"));
	ck_assert_int_ne(other = open("mbox.lock", O_RDONLY), -1);
	ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), -1);
	close(box.dot.fd);
	box.dot.fd = -1;
	/* now it is stale, if nobody else has flock */
	ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(dotlock_step(&another, DOT_LOCK), DOT_BUSY);
	ck_assert(exists("mbox.lock"));
	close(other);
	ck_assert_int_eq(dotlock_step(&another, DOT_LOCK), DOT_BUSY);
	ck_assert(!exists("mbox.lock"));
}
#endif

/* What another program can do to the mailbox while we have it open. */
enum { REPLACE, REMOVE, LINK, MOVE, N_DISPLACEMENTS };

static void
displace(int how)
{
	if (how == REPLACE)
		write_file("new", &file);
	ck_assert_int_eq(how == REPLACE ? rename("new", "mbox") :
	    how == REMOVE ? unlink("mbox") : how == LINK ?
	    link("mbox", "other") : rename("mbox", "other"), 0);
	if (how == MOVE)
		ck_assert_int_eq(symlink("other", "mbox"), 0);
}

TEST_EACH(a_mailbox_whose_name_leads_elsewhere_is_gone, N_DISPLACEMENTS)
{
	displace(_i);
	ck_assert_int_eq(take(), DOT_GONE);
	ck_assert_int_eq(exists("mbox.lock"), 0);
	ck_assert_int_eq(box.dot.fd, -1);
}

static int displacement;

static void
displace_now(void)
{
	displace(displacement);
}

TEST_EACH(a_mailbox_that_is_replaced_while_we_lock_is_gone, N_DISPLACEMENTS)
{
	displacement = _i;
	before_call(C_LINK, 1, displace_now);
	ck_assert_int_eq(take(), DOT_GONE);
	ck_assert_int_eq(exists("mbox.lock"), 0);
	ck_assert_int_eq(box.dot.fd, -1);
}

/* Without a dotlock too the name must lead to what we have open. */
TEST_EACH(a_mailbox_is_gone_where_no_dotlock_can_be_made_too, N_DISPLACEMENTS)
{
	displace(_i);
	let_fail(C_OPEN, 1, EACCES);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_LOCK), DOT_GONE);
}

TEST(a_lock_that_is_no_longer_ours_is_left_alone)
{
	ck_assert_int_eq(take(), DOT_LOCK);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_TOUCH), DOT_TOUCH);
	ck_assert_int_eq(unlink("mbox.lock"), 0);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_TOUCH), DOT_GONE);
	put_lock("theirs");
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_TOUCH), DOT_GONE);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_UNLOCK), DOT_UNLOCK);
	expect_their_lock();
	ck_assert_int_eq(box.dot.fd, -1);
}

/* As over NFS, for a minute. */
TEST(a_lock_that_is_another_is_seen_where_names_are_remembered)
{
	hook.remembers = 1;
	ck_assert_int_eq(take(), DOT_LOCK);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_TOUCH), DOT_TOUCH);
	ck_assert_int_eq(rename("mbox.lock", "old"), 0);
	put_lock("theirs");
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_TOUCH), DOT_GONE);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_UNLOCK), DOT_UNLOCK);
	expect_their_lock();
}

TEST(unlock_without_a_lock_touches_nothing)
{
	put_lock("theirs");
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_UNLOCK), DOT_UNLOCK);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_TOUCH), DOT_GONE);
	ck_assert_int_eq(take(), DOT_BUSY);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_UNLOCK), DOT_UNLOCK);
	expect_their_lock();
}

TEST(touch_makes_the_lock_young_again)
{
	struct stat st;

	ck_assert_int_eq(take(), DOT_LOCK);
	set_time("mbox.lock", 1000, 0);
	ck_assert_int_eq(dotlock_step(&box.dot, DOT_TOUCH), DOT_TOUCH);
	ck_assert_int_eq(lstat("mbox.lock", &st), 0);
	ck_assert(time(NULL) - st.st_mtime < 60);
	expect_release();
}

/* A message that takes so many blocks to read. */
static void
open_long_mail(size_t blocks)
{
	set_text(&file, FROM_LINE "\n");
	put_octets(&file, 'x', blocks * MBOX_BUFFER);
	write_mbox();
	open_box();
}

/* As of a sparse file of terabytes: the locks are not held for hours. */
TEST(a_scan_that_no_client_waits_for_ends)
{
	open_long_mail(10);
	hook.takes[C_PREAD] = SCAN_SECONDS / 8;
	ck_assert_int_eq(mbox_load(&box), MBOX_TEMP);
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_int_le((int)hook.n[C_PREAD], 9);
	ck_assert_int_eq(box.locked, 0);
}

static int64_t pass_ns;

static void
it_takes_so_long(void)
{
	hook.slept = pass_ns;
}

/* The block that is begun in time is read. */
TEST_EACH(a_scan_has_its_time_to_the_millisecond, 2)
{
	open_long_mail(3);
	hook.still = time(NULL) + 60;
	before_call(C_PREAD, 1, it_takes_so_long);
	pass_ns = SCAN_SECONDS * (int64_t)1000000000 + _i * 1000000;
	ck_assert_int_eq(mbox_load(&box), _i == 0 ? MBOX_OK : MBOX_TEMP);
	ck_assert_int_eq((int)hook.n[C_PREAD], _i == 0 ? 4 : 1);
}

TEST_EACH(a_lock_that_is_held_for_long_is_touched_in_between, 2)
{
	open_long_mail(10);
	hook.takes[C_PREAD] = REFRESH_SECONDS + 1;
	hook.dozes = _i;
	ck_assert_int_eq(mbox_load(&box), MBOX_OK);
	ck_assert_int_ge((int)hook.n[C_FUTIMENS], 9);
}

/* A message that is copied, and then moved. */
TEST(a_lock_is_touched_in_a_long_update)
{
	set_text(&file, FROM_LINE "\n\n" FROM_LINE "\n");
	put_octets(&file, 'x', 10 * MBOX_BUFFER);
	load_mbox();
	mark("10");
	memset(hook.n, 0, sizeof(hook.n));
	hook.takes[C_PWRITE] = REFRESH_SECONDS + 1;
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	ck_assert_int_ge((int)hook.n[C_PWRITE], 20);
	ck_assert_int_ge((int)hook.n[C_FUTIMENS], 18);
}

/* ---- All locks ---- */

static void
see_what_is_held(enum call c)
{
	static const char *const each[] = { "d", "f", "k" };
	size_t i;

	if (c != C_PREAD && c != C_PWRITE && c != C_FTRUNCATE)
		return;
	held++;
	for (i = 0; i < 1 + strlen(kernel_locks); i++)
		CHECK(!others_can_lock(each[i]), "lock %s is not held",
		    each[i]);
}

CASE("locks", 600, setup, teardown);

TEST(all_locks_are_held_for_scan_and_update_and_not_in_between)
{
	open_text(FROM_LINE "\n" FROM_LINE "\n" FROM_LINE "\nx\n");
	hook.before = see_what_is_held;
	ck_assert_int_eq(mbox_load(&box), MBOX_OK);
	ck_assert_int_ge(held, 1);
	hook.before = NULL;
	ck_assert(others_can_lock("dfk"));
	ck_assert_int_eq(mbox_seek(&box, 1), MBOX_OK);
	ck_assert(others_can_lock("dfk"));
	box.msg[1].deleted = 1;
	held = 0;
	hook.before = see_what_is_held;
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	ck_assert_int_ge(held, 3);
	hook.before = NULL;
	ck_assert(others_can_lock("dfk"));
	ck_assert_int_eq((int)count_strangers(), 0);
}

static void
see_pause(enum call c)
{
	if (c != C_SLEEP)
		return;
	pauses++;
	CHECK(!exists("mbox.lock"), "waiting with the dotlock held");
}

static void
see_no_pause_with_kernel_lock(enum call c)
{
	if (c != C_SLEEP)
		return;
	pauses++;
	CHECK(pauses % 50 != 0 || others_can_lock("fk"),
	    "waiting with a kernel lock held");
}

/* What a busy machine takes itself is a part of the time. */
static void
expect_busy(enum mbox_result (*call)(struct mbox *), void (*see)(enum call))
{
	long long began = clock_ms(), waited;
	enum mbox_result r;

	hook.before = see;
	r = call(&box);
	hook.before = NULL;
	waited = clock_ms() - began;
	CHECK(r == MBOX_BUSY, "%d, not busy", r);
	CHECK(waited >= LOCK_SECONDS * 1000 &&
	    waited <= (LOCK_SECONDS + 2) * 1000, "waited %lld ms", waited);
	CHECK(pauses > LOCK_SECONDS, "%d pauses", pauses);
	hook.slept = pauses = 0;
}

/* For 30 seconds, and never with the dotlock held, which others wait for. */
TEST_EACH(a_kernel_lock_of_others_is_waited_for, COUNT(kernel_locks) - 1)
{
	pid_t pid;

	write_text(FROM_LINE "\n" FROM_LINE "\n");
	pid = start_holder(kernel_locks[_i]);
	open_box();
	expect_busy(mbox_load, see_pause);
	ck_assert_int_eq((int)box.n, 0);
	end_holder(pid);
	ck_assert_int_eq(mbox_load(&box), MBOX_OK);

	pid = start_holder(kernel_locks[_i]);
	mark("10");
	expect_busy(mbox_update, see_pause);
	end_holder(pid);
	expect_file(FROM_LINE "\n" FROM_LINE "\n");
	ck_assert_int_eq((int)count_strangers(), 0);
	ck_assert(others_can_lock("dfk"));
}

TEST(a_dotlock_of_others_is_waited_for)
{
	open_text(FROM_LINE "\n");
	put_lock("%l");
	expect_busy(mbox_load, see_no_pause_with_kernel_lock);
	ck_assert_int_eq((int)box.dot.holder, (int)getppid());
	expect_their_lock();
	ck_assert_int_eq(unlink("mbox.lock"), 0);
	ck_assert_int_eq(mbox_load(&box), MBOX_OK);
	ck_assert_int_eq((int)box.dot.holder, 0);
	mark("1");
	put_lock("%l");
	expect_busy(mbox_update, see_no_pause_with_kernel_lock);
	expect_their_lock();
	expect_file(FROM_LINE "\n");
}

static void
remove_lock(void)
{
	ck_assert_int_eq(unlink("mbox.lock"), 0);
}

TEST(a_lock_that_is_released_in_time_is_got)
{
	open_text(FROM_LINE "\n");
	put_lock("%l");
	before_call(C_SLEEP, 20, remove_lock);
	ck_assert_int_eq(mbox_load(&box), MBOX_OK);
	ck_assert_uint_eq(hook.n[C_SLEEP], 20);
}

/* What the log says of it is not what the way back met. */
TEST(a_kernel_lock_that_fails_is_no_busy_mailbox)
{
	enum mbox_result r;
	int error;

	open_text(FROM_LINE "\n");
	let_fail(C_LOCKF, 1, ENOLCK);
	before_call(C_LOCKF, 1, remove_lock);
	r = mbox_load(&box);
	error = errno;
	ck_assert_int_eq(r, MBOX_TEMP);
	ck_assert_int_eq(error, ENOLCK);
	ck_assert_int_eq((int)hook.n[C_SLEEP], 0);
	ck_assert_int_eq((int)count_strangers(), 0);
}

static void
see_signals_blocked(enum call c)
{
	static const int signals[] = {
		SIGHUP, SIGINT, SIGTERM, SIGALRM, SIGPIPE, SIGUSR1, SIGXFSZ
	};
	sigset_t set;
	int i;

	if (c != C_PREAD && c != C_PWRITE && c != C_FTRUNCATE && c != C_FSYNC)
		return;
	held++;
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &set), 0);
	for (i = 0; i < COUNT(signals); i++)
		CHECK(sigismember(&set, signals[i]), "signal %d is not blocked",
		    signals[i]);
}

TEST(signals_wait_while_locks_are_held)
{
	sigset_t set, after;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	ck_assert_int_eq(sigprocmask(SIG_SETMASK, &set, NULL), 0);
	open_text(FROM_LINE "\n" FROM_LINE "\nx\n");
	hook.before = see_signals_blocked;
	ck_assert_int_eq(mbox_load(&box), MBOX_OK);
	box.msg[0].deleted = 1;
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	ck_assert_int_ge(held, 4);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &after), 0);
	ck_assert_int_eq(sigismember(&after, SIGUSR2), 1);
	ck_assert_int_eq(sigismember(&after, SIGTERM), 0);
	ck_assert_int_eq(sigismember(&after, SIGALRM), 0);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

/* What the keeper says, and what the session makes of it. */
static const struct {
	const char *says;
	enum mbox_result result;
} keepers[] = {
	{ "lu", MBOX_OK }, { "nu", MBOX_OK }, { "gu", MBOX_GONE },
	{ "eu", MBOX_TEMP }, { "", MBOX_TEMP }
};

static void
start_keeper(int pair[2])
{
	signal(SIGPIPE, SIG_IGN);
	open_text(FROM_LINE "\n");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	box.keeper = pair[0];
}

static void
keeper_says(int fd, char what)
{
	struct dot_answer a;

	memset(&a, 0, sizeof(a));
	a.what = what;
	a.error = what == DOT_ERROR ? ESTALE : 0;
	ck_assert_int_eq((int)write(fd, &a, sizeof(a)), (int)sizeof(a));
}

TEST_EACH(the_keeper_is_asked_in_single_octets, COUNT(keepers))
{
	const char *says = keepers[_i].says;
	char asked[9] = "";
	int pair[2];

	start_keeper(pair);
	if (*says == '\0')
		close(pair[1]);
	else {
		keeper_says(pair[1], says[0]);
		keeper_says(pair[1], says[1]);
	}
	ck_assert_int_eq(mbox_load(&box), keepers[_i].result);
	if (*says == DOT_ERROR)
		ck_assert_int_eq(errno, ESTALE);
	ck_assert_int_eq((int)box.n, keepers[_i].result == MBOX_OK);
	ck_assert_int_eq((int)count_strangers(), 0);
	if (*says == '\0')
		return;
	ck_assert_int_eq((int)read(pair[1], asked, 8), 2);
	ck_assert_str_eq(asked, "lu");
	close(pair[1]);
}

/* Its user has stopped it: a late answer is none to a later question. */
TEST(a_keeper_that_does_not_answer_is_not_asked_again)
{
	struct timeval soon = { 0, 100000 };
	char asked[9] = "";
	int pair[2];

	start_keeper(pair);
	ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &soon,
	    sizeof(soon)), 0);
	ck_assert_int_eq(mbox_load(&box), MBOX_TEMP);
	ck_assert_int_eq(errno, ETIMEDOUT);
	errno = 0;
	ck_assert_int_eq(mbox_load(&box), MBOX_TEMP);
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_int_eq((int)read(pair[1], asked, 8), 1);
	ck_assert_int_eq((int)read(pair[1], asked, 8), 0);
	close(pair[1]);
}

/* ---- Other programs between our steps ---- */

/* A message with an id of its own; with what mail readers rewrite in it. */
#define MSG(x)		MSG_WITH(x, "", "body of " x "\n")
#define MSG_RO(x)	MSG_WITH(x, "Status: RO\nX-UID: 12345\n", \
			    "body of " x "\n")
#define MSG_WITH(x, status, body)					\
	"From " x "@h Mon Jan  1 12:00:00 2024\nMessage-ID: <" x ">\n"	\
	status "\n" body "\n"

/*
 * A mailbox before and after another program was at it, which of its messages
 * are gone then, which DELE had named, and what UPDATE makes of it.
 */
static const struct change {
	const char *before, *after, *gone;
	const char *deleted;	/* ? if it may still be there */
	const char *final;
} changes[] = {
	/* nothing, and mail that arrives */
	{ MSG("a") MSG("b") MSG("c"), MSG("a") MSG("b") MSG("c"), "000",
	    "010", MSG("a") MSG("c") },
	{ MSG("a") MSG("b") MSG("c"), MSG("a") MSG("b") MSG("c") MSG("d"),
	    "000", "010", MSG("a") MSG("c") MSG("d") },
	{ MSG("a") MSG("b"), MSG("a") MSG("b") MSG("c"), "00", "11",
	    MSG("c") },
	{ MSG("a") MSG("b"), "\n\n" MSG("a") MSG("b"), "00", "10",
	    "\n\n" MSG("b") },
	/* what was added to may be another message: it stays */
	{ MSG("a") MSG("b"), MSG("a") MSG("b") "\n\n" MSG("c"), "01", "1?",
	    MSG("b") "\n\n" MSG("c") },
	/* somebody else deletes */
	{ MSG("a") MSG("b") MSG("c"), MSG("b") MSG("c"), "100", "010",
	    MSG("c") },
	{ MSG("a") MSG("b") MSG("c"), MSG("a") MSG("c"), "010", "001",
	    MSG("a") },
	{ MSG("a") MSG("b") MSG("c"), MSG("a") MSG("b"), "001", "101",
	    MSG("b") },
	{ MSG("a") MSG("b") MSG("c"), MSG("a") MSG("c"), "010", "010",
	    MSG("a") MSG("c") },
	{ MSG("a") MSG("b"), "", "11", "10", "" },
	{ MSG("a") MSG("b"), "\n", "11", "11", "\n" },
	{ MSG("a") MSG("b"), MSG("c") MSG("d") MSG("e"), "11", "11",
	    MSG("c") MSG("d") MSG("e") },
	/* a mail reader marks what it has shown, and puts its data in front */
	{ MSG("a") MSG("b") MSG("c"), MSG_RO("a") MSG("b") MSG_RO("c"),
	    "000", "010", MSG_RO("a") MSG_RO("c") },
	{ MSG_RO("a") MSG_RO("b"), MSG("a") MSG("b"), "00", "10", MSG("b") },
	{ MSG("a") MSG("b"), FOLDER_DATA MSG_RO("a") MSG_RO("b"), "00", "10",
	    FOLDER_DATA MSG_RO("b") },
	{ FOLDER_DATA MSG("a") MSG("b"), MSG("b"), "10", "11", "" },
	/* twins: if one went, nobody knows which */
	{ MSG("a") MSG("t") MSG("t") MSG("b"), MSG("a") MSG("t") MSG("b"),
	    "0110", "0?00", MSG("a") MSG("t") MSG("b") },
	{ MSG("t") MSG("t") MSG("t"), MSG("t") MSG("t"), "111", "???",
	    MSG("t") MSG("t") },
	{ MSG("a") MSG("t") MSG("t"), MSG("a"), "011", "010", MSG("a") },
	{ MSG("t") MSG_RO("t"), MSG("t") MSG_RO("t") MSG("c"), "00", "01",
	    MSG("t") MSG("c") },
	{ MSG("t") MSG_RO("t"), MSG("t") MSG_RO("t") MSG("c"), "00", "10",
	    MSG_RO("t") MSG("c") },
	{ MSG("t") MSG("t"), MSG("t") MSG("t") MSG_RO("t"), "00", "11",
	    MSG_RO("t") },
	/* one id, bodies of another length: no twins */
	{ MSG_WITH("t", "", "x\n") MSG_WITH("t", "", "xy\n"),
	    MSG_WITH("t", "", "xy\n"), "10", "11", "" },
	{ MSG_WITH("t", "", "x\n") MSG_WITH("t", "", "xy\n"),
	    MSG_WITH("t", "", "x\n"), "01", "01", MSG_WITH("t", "", "x\n") },
	{ MSG_WITH("t", "", "x\n") MSG_WITH("t", "", "y\n"),
	    MSG_WITH("t", "", "y\n"), "11", "?0", MSG_WITH("t", "", "y\n") },
	/* what cannot be followed is let go, not guessed */
	{ MSG("a") MSG("b"), MSG("b") MSG("a"), "01", "1?", MSG("b") },
	{ MSG("a") MSG("b") MSG("c"), MSG("c") MSG("a") MSG("b"), "001",
	    "010", MSG("c") MSG("a") }
};

/* The last octets of two texts, as many as a body has. */
static int
ends_alike(const struct bytes *a, const struct bytes *b, size_t n)
{
	return a->len >= n && b->len >= n &&
	    memcmp(a->p + a->len - n, b->p + b->len - n, n) == 0;
}

/* QUIT says yes if none of what DELE named can be in the file. */
static void
expect_removal(const struct change *c)
{
	size_t i, removed = 0;

	for (i = 0; i < box.n; i++)
		removed += c->deleted[i] == '1' && c->gone[i] == '0';
	ck_assert_int_eq(mbox_update(&box), strchr(c->deleted, '?') != NULL ?
	    MBOX_GONE : MBOX_OK);
	ck_assert_int_eq((int)box.removed, (int)removed);
	expect_file(c->final);
	ck_assert_int_eq((int)count_strangers(), 0);
}

CASE("change", 600, setup, teardown);

TEST_EACH(a_session_goes_on_with_what_is_still_there, COUNT(changes))
{
	const struct change *c = &changes[_i];
	static struct bytes was[4];
	char uid[4][UID_OCTETS];
	size_t i;

	load_marked(c->before, c->deleted);
	for (i = 0; i < box.n; i++) {
		CHECK(read_message(i, &was[i], UINT_MAX) == 1, "not read");
		snprintf(uid[i], UID_OCTETS, "%s", uid_of(i));
	}
	write_text(c->after);
	for (i = 0; i < box.n; i++) {
		CHECK(read_message(i, &seen, UINT_MAX) == (c->gone[i] == '0'),
		    "message %d is gone, or not", (int)i);
		CHECK(box.msg[i].gone == (c->gone[i] == '1'), "and so marked");
		CHECK(box.msg[i].deleted == (c->deleted[i] != '0'), "deleted");
		if (c->gone[i] == '0')
			CHECK(ends_alike(&was[i], &seen, box.msg[i].body),
			    "message %d is another", (int)i);
		ck_assert_str_eq(uid_of(i), uid[i]);
	}
	expect_removal(c);
}

/* The change comes when nothing but QUIT is left to do. */
TEST_EACH(update_removes_only_what_was_named_and_is_still_there, COUNT(changes))
{
	load_marked(changes[_i].before, changes[_i].deleted);
	write_text(changes[_i].after);
	expect_removal(&changes[_i]);
}

/* A scan of a file of that second naps so long. */
static void
expect_nap(time_t changed, int nanoseconds, int young)
{
	hook.frozen = changed;
	hook.slept = 0;
	load_box();
	ck_assert_int_eq((int)hook.slept, nanoseconds);
	ck_assert_int_eq(box.young, young);
}

/* A nap is under all locks: it is only for files changed this very moment. */
TEST(a_scan_waits_for_the_clock_behind_a_change_just_made)
{
	write_text(FROM_LINE "\n");
	hook.mtim.tv_nsec = 1;
	hook.still = time(NULL);
	expect_nap(hook.still + 60, 20000000, 1); /* a file server's clock */
	expect_nap(hook.still - 1, 0, 1);
	expect_nap(hook.still - 4, 0, 0);
}

static const struct {
	int age;		/* ms */
	int young, nap;
} ages[] = {
	{ -60000, 1, 20000000 }, { -1, 1, 20000000 }, { 0, 1, 20000000 },
	{ 19, 1, 20000000 }, { 20, 1, 0 }, { 700, 1, 0 }, { 1000, 1, 0 },
	{ 1999, 1, 0 }, { 2000, 0, 0 }, { 2700, 0, 0 }, { 3000, 0, 0 },
	/* times in whole seconds: until it is not young any more */
	{ -500, 0, 2000000000 }, { 500, 0, 1500000000 }, { 1500, 0, 500000000 },
	{ 2500, 0, 0 }
};

TEST_EACH(a_file_is_young_for_two_seconds, COUNT(ages))
{
	int ms = 500 - ages[_i].age, sec = 0;

	for (; ms < 0; ms += 1000)
		sec--;
	write_text(FROM_LINE "\n");
	hook.still = 100000;
	hook.mtim.tv_nsec = hook.ctim.tv_nsec = ms % 1000 * 1000000;
	expect_nap(hook.still + sec + ms / 1000, ages[_i].nap, ages[_i].young);
}

/*
 * Where time stamps are coarse, a change right after the scan leaves no trace.
 * UPDATE does not rely on them then.
 */
TEST(a_change_without_a_trace_is_seen_at_update)
{
	hook.frozen = time(NULL);
	hook.mtim.tv_nsec = 1;	/* not in whole seconds */
	load_marked(MSG("a") MSG("b") MSG("c"), "010");
	write_text(MSG("b") MSG("c") MSG("d"));
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	expect_file(MSG("c") MSG("d"));
}

/* What alone can tell of a change. */
static const struct {
	struct timespec mtim, ctim;
	const char *after;
} traces[] = {
	{ { 1, 0 }, { 0, 0 }, MSG("b") }, { { -1, 0 }, { 0, 0 }, MSG("b") },
	{ { 0, 1 }, { 0, 0 }, MSG("b") }, { { 0, 0 }, { 1, 0 }, MSG("b") },
	{ { 0, 0 }, { 0, 1 }, MSG("b") }, { { 0, 0 }, { 0, 0 }, MSG("bb") },
	{ { 0, 0 }, { 0, 0 }, "\n" }
};

TEST_EACH(any_trace_of_a_change_is_enough, COUNT(traces))
{
	hook.frozen = time(NULL) - 1000;
	load_marked(MSG("a"), "1");
	write_text(traces[_i].after);
	hook.mtim = traces[_i].mtim;
	hook.ctim = traces[_i].ctim;
	ck_assert_int_eq(mbox_seek(&box, 0), MBOX_GONE);
	ck_assert_str_eq(box.why, "message is not there any more");
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	expect_file(traces[_i].after);
}

/* Busy is not gone: the client may ask again. */
TEST(a_changed_mailbox_that_stays_locked_is_busy)
{
	pid_t pid;

	load_text(MSG("a") MSG("b"));
	pid = start_holder(kernel_locks[0]);
	ck_assert_int_eq(mbox_seek(&box, 1), MBOX_OK);
	end_holder(pid);
	write_text(MSG("b"));
	pid = start_holder(kernel_locks[0]);
	ck_assert_int_eq(mbox_seek(&box, 1), MBOX_BUSY);
	ck_assert_int_eq(box.msg[1].gone, 0);
	end_holder(pid);
	ck_assert_int_eq(mbox_seek(&box, 1), MBOX_OK);
	ck_assert_int_eq(mbox_seek(&box, 0), MBOX_GONE);
}

TEST(a_mailbox_that_is_none_any_more_is_left_as_it_is)
{
	load_marked(MSG("a") MSG("b"), "10");
	write_text("garbage\n");
	ck_assert_int_eq(mbox_seek(&box, 1), MBOX_PERM);
	ck_assert_int_eq(mbox_update(&box), MBOX_PERM);
	expect_file("garbage\n");
	write_text(MSG("a") MSG("b"));
	ck_assert_int_eq(mbox_seek(&box, 1), MBOX_OK);
}

TEST_EACH(after_the_mailbox_was_replaced_nothing_is_written, N_DISPLACEMENTS)
{
	load_marked(MSG("a") MSG("b"), "10");
	displace(_i);
	ck_assert_int_eq(mbox_update(&box), MBOX_GONE);
	if (_i != REMOVE)
		expect_file(MSG("a") MSG("b"));
	ck_assert_int_eq(exists("mbox.lock"), 0);
}

TEST_EACH(after_the_mailbox_was_replaced_all_is_gone, N_DISPLACEMENTS)
{
	write_text(MSG("a") MSG("b"));
	make_old("mbox", 100);
	load_box();
	hook.age = 0;		/* ctime will tell, however coarse */
	mark("10");
	displace(_i);
	ck_assert_int_eq(mbox_seek(&box, 1), MBOX_GONE);
	ck_assert_int_eq(mbox_seek(&box, 0), MBOX_GONE);
	ck_assert_int_ne(box.msg[0].gone && box.msg[1].gone, 0);
	ck_assert_int_eq(mbox_update(&box), MBOX_GONE);
	ck_assert_int_eq((int)box.removed, 0);
	if (_i != REMOVE)
		expect_file(MSG("a") MSG("b"));
	ck_assert_int_eq(exists("mbox.lock"), 0);
}

/* And is there again, without a trace of a change, when QUIT looks. */
TEST(a_mailbox_that_was_away_for_a_while_is_not_rewritten)
{
	hook.frozen = time(NULL) - 1000;
	load_marked(MSG("a") MSG("b"), "10");
	ck_assert_int_eq(rename("mbox", "away"), 0);
	hook.ctim.tv_sec = 1;
	ck_assert_int_eq(mbox_seek(&box, 1), MBOX_GONE);
	ck_assert_int_eq(rename("away", "mbox"), 0);
	hook.ctim.tv_sec = 0;
	ck_assert_int_eq(mbox_update(&box), MBOX_GONE);
	ck_assert_int_eq((int)box.removed, 0);
	expect_file(MSG("a") MSG("b"));
}

/* One that was removed by others, and its like that came since. */
TEST(a_twin_of_what_others_removed_is_not_taken_for_it)
{
	load_marked(MSG("a") MSG("t"), "01");
	write_text(MSG("a"));
	ck_assert_int_eq(mbox_seek(&box, 1), MBOX_GONE);
	write_text(MSG("a") MSG("t"));
	ck_assert_int_eq(mbox_update(&box), MBOX_GONE);
	ck_assert_str_eq(box.why, "a deleted message was not found again");
	expect_file(MSG("a") MSG("t"));
}

/* Two sessions: each deletes what it named. */
TEST(two_sessions_delete_what_each_of_them_named)
{
	static struct mbox second;

	load_marked(MSG("a") MSG("b") MSG("c") MSG("d"), "1010");
	ck_assert_int_eq(mbox_open(&second, path, getuid()), MBOX_OK);
	ck_assert_int_eq(mbox_load(&second), MBOX_OK);
	second.msg[2].deleted = second.msg[3].deleted = 1;
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	expect_file(MSG("b") MSG("d"));
	ck_assert_int_eq(mbox_seek(&second, 1), MBOX_OK);
	ck_assert_int_eq(mbox_seek(&second, 0), MBOX_GONE);
	ck_assert_int_eq(mbox_update(&second), MBOX_OK);
	expect_file(MSG("b"));
	mbox_close(&second);
}

/* What happens to a mailbox of three while the second one is being read. */
static const struct {
	const char *first, *third;	/* then */
	int goes_on;
} in_between[] = {
	{ MSG("a"), MSG("c") MSG("d"), 1 },
	{ MSG("a"), MSG_RO("c"), 1 },
	{ MSG("a"), "", 1 },
	{ MSG("x"), MSG("c"), 1 },
	{ MSG_RO("a"), MSG("c"), 0 },
	{ "", MSG("c"), 0 },
	{ "garbage\n\n", MSG("c"), 0 }
};

/* A large message, between others. */
static void
write_large(const char *before, const char *behind)
{
	size_t n;

	set_text(&file, before);
	add_text(&file, "From m@h Mon Jan  1 12:00:00 2024\nMessage-ID: m\n\n");
	for (n = file.len; file.len - n < 4 * MBOX_BUFFER;)
		add_text(&file, "a line of the message that is being read\n");
	add_text(&file, "\n");
	add_text(&file, behind);
	write_mbox();
}

TEST_EACH(a_message_that_moves_while_it_is_read_breaks_off, COUNT(in_between))
{
	static struct bytes whole;
	int r;

	write_large(MSG("a"), MSG("c"));
	load_box();
	CHECK(read_message(1, &whole, UINT_MAX) == 1, "not read");
	CHECK(read_message(1, &seen, 9) == 1, "not begun");
	write_large(in_between[_i].first, in_between[_i].third);
	r = read_lines(&seen, UINT_MAX);
	CHECK(r == (in_between[_i].goes_on ? 0 : -1), "%d", r);
	CHECK(seen.len <= whole.len && memcmp(seen.p, whole.p, seen.len) == 0,
	    "a mixture");
	CHECK((seen.len == whole.len) == in_between[_i].goes_on, "cut");
}

/* The read that is under way when it happens must not count. */
static void
rewrite(void)
{
	set_text(&file, MSG("another"));
	put_octets(&file, 'y', 9 * MBOX_BUFFER);
	write_mbox();
}

TEST_EACH(no_octet_of_a_changed_file_is_taken_for_the_message, 3)
{
	write_large(MSG("a"), "");
	load_box();
	before_call(C_PREAD, (unsigned)_i + 1, rewrite);
	/* whether it is already gone, or not to be read, or breaks off */
	CHECK(read_message(1, &seen, UINT_MAX) != 1, "read as if nothing was");
	CHECK(!has_text(&seen, "y"), "another message's octets");
}

TEST_EACH(a_read_that_fails_breaks_off, 2)
{
	write_large("", "");
	load_box();
	let_fail(C_PREAD, 2, _i == 0 ? EIO : ESTALE);
	CHECK(read_message(0, &seen, UINT_MAX) == -1, "read all the same");
	hook.at = 0;
	CHECK(read_message(0, &seen, UINT_MAX) == 1, "not read again");
}

/* Before anything is said of the message. */
TEST(a_read_that_fails_at_once_is_trouble_that_passes)
{
	write_large("", "");
	load_box();
	let_fail(C_PREAD, 1, EIO);
	ck_assert_int_eq(mbox_seek(&box, 0), MBOX_TEMP);
	ck_assert_int_eq(errno, EIO);
	ck_assert_str_eq(box.why, "message cannot be read");
	ck_assert_int_eq(mbox_seek(&box, 0), MBOX_OK);
}

/* ---- The index ---- */

enum { HEAD_OCTETS = HEAD * 8 };

static char index_path[PATH_MAX + 300];

static void
open_with_index(void)
{
	snprintf(index_path, sizeof(index_path), "%s/index", dir);
	open_box();
	mbox_index(&box, index_path, getuid());
}

static void
load_with_index(void)
{
	enum mbox_result r;

	open_with_index();
	r = mbox_load(&box);
	CHECK(r == MBOX_OK, "not loaded: %d, %s", r, box.why);
}

/* The same, and the list is the mailbox's, and so is what is read. */
static void
load_right(void)
{
	load_with_index();
	expect_loaded(MBOX_OK);
}

static int
is_right_list(void)
{
	struct maildrop l = parse(file.p, file.len, SIZE_MAX);
	int right = l.n == box.n;
	size_t i;

	for (i = 0; right && i < l.n; i++)
		right = has_hash(&box.msg[i], &l.mail[i]) &&
		    box.msg[i].offset == (off_t)l.mail[i].start &&
		    box.msg[i].size == (off_t)l.mail[i].sent.len;
	drop_maildrop(&l);
	return right;
}

/* Mail that an agent appends: one message, with so many lines of text. */
static void
put_new_mail(int i, int n_of_text)
{
	char text[100];

	snprintf(text, sizeof(text), FROM_LINE "Received: %d\nA: b\n\n", i);
	add_text(&file, text);
	while (n_of_text-- > 0)
		add_text(&file, "a line of text that is neither short nor long\n");
	add_text(&file, "\n");
}

static void
write_some_mail(int n, int n_of_text)
{
	int i;

	for (file.len = 0, i = 0; i < n; i++)
		put_new_mail(i, n_of_text);
	write_mbox();
	hook.later = 10;	/* it is not young any more */
}

/* How much of the mailbox is read by a login that finds it right. */
static unsigned
count_reads(void)
{
	unsigned before = hook.n[C_PREAD], n;

	load_with_index();
	n = hook.n[C_PREAD] - before;
	expect_loaded(MBOX_OK);
	return n;
}

/* The index of three messages, as a login writes it, and changed. */
static struct bytes good, bad;

static void
make_index(void)
{
	write_some_mail(3, 1);
	load_with_index();
	read_file(index_path, &good);
}

static void
set_bad(void)
{
	bad.len = 0;
	add(&bad, good.p, good.len);
}

/* Log in with what was made of it. */
static void
try_bad(void)
{
	write_file(index_path, &bad);
	load_right();
}

CASE("index", 600, setup, teardown);

TEST(an_index_spares_reading_what_was_there_at_the_last_login)
{
	unsigned all, i;

	write_some_mail(1 + 30 * MBOX_BUFFER / 1000, 20);
	all = count_reads();
	ck_assert_int_gt((int)all, 20);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq((int)count_reads(), 3);
	put_new_mail(1, 3);
	put_new_mail(2, 3);
	write_mbox();
	ck_assert_int_le((int)count_reads(), 8);
	ck_assert_int_eq((int)count_reads(), 3);
}

/* What came since takes too long, and nothing is begun anew behind that. */
TEST(an_index_gives_a_login_no_more_time)
{
	unsigned before;

	write_some_mail(2, 1);
	load_with_index();
	put_octets(&file, 'x', 10 * MBOX_BUFFER);
	write_mbox();
	open_with_index();
	before = hook.n[C_PREAD];
	hook.takes[C_PREAD] = SCAN_SECONDS / 8;
	ck_assert_int_eq(mbox_load(&box), MBOX_TEMP);
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_int_le((int)(hook.n[C_PREAD] - before), 11);
}

TEST(an_index_of_a_young_file_is_not_written)
{
	write_some_mail(3, 1);
	hook.later = 0;
	load_with_index();
	read_file(index_path, &seen);
	ck_assert_int_eq((int)seen.len, 0);
	hook.later = 10;
	load_with_index();
	read_file(index_path, &seen);
	ck_assert_int_eq((int)seen.len, HEAD_OCTETS + 3 *
	    (int)sizeof(struct message));
}

/* What happens to a mailbox between two logins. */
static void
change_at_random(void)
{
	static unsigned long n;
	struct stat st;
	size_t at;

	switch (rnd(10)) {
	case 0:
		break;
	case 1:			/* only the times */
		write_mbox();
		break;
	case 2:			/* another mailbox, in its place or not */
		make_random_mailbox(&file);
		if (rnd(2) == 0)
			unlink(path);
		write_mbox();
		break;
	case 3:			/* cut */
		hook.later = 10;
		file.len -= file.len == 0 ? 0 : rnd((unsigned)file.len);
		write_mbox();
		break;
	case 4:			/* one octet is another one, the size stays */
		if (file.len == 0)
			break;
		/* with mail behind it since the index: the next test */
		hook.later = 10;
		open_with_index();
		mbox_load(&box);
		at = rnd((unsigned)file.len);
		file.p[at] = (unsigned char)"\n\rxF: "[rnd(6)];
		write_mbox();
		break;
	case 5:			/* the index is gone, or torn */
		if (exists(index_path) && lstat(index_path, &st) == 0 &&
		    truncate(index_path, rnd((unsigned)st.st_size + 1)) == -1)
			abort();
		break;
	case 6:			/* the clock goes back */
		hook.later = rnd(2) == 0 ? 0 : 10;
		break;
	case 7:			/* what need not be a message */
		put_message(&file, (enum ends)rnd(N_ENDS), 0);
		write_mbox();
		break;
	default:
		put_new_mail((int)(n++ % 7), (int)rnd(4));
		write_mbox();
	}
}

TEST(with_an_index_all_is_as_without)
{
	unsigned n;
	enum mbox_result result;

	while (next_round(600)) {
		hook.later = 10;
		make_random_mailbox(&file);
		write_mbox();
		for (n = 12; n > 0; n--) {
			if (rnd(3) > 0)
				change_at_random();
			hook.step = rnd(4) == 0 ? 100 + rnd(600) : 0;
			open_with_index();
			result = mbox_load(&box);
			expect_loaded(result);
			if (result != MBOX_OK)
				unlink(index_path);
		}
	}
}

/*
 * A reader that rewrites the middle without another length, and mail behind it:
 * what is sent is right, and so is the list then.
 */
TEST(no_message_is_sent_by_an_old_list)
{
	struct maildrop l;
	size_t i, k, last;
	int n;

	while (next_round(1000)) {
		write_some_mail(2 + (int)rnd(6), (int)rnd(3));
		load_with_index();
		last = (size_t)box.msg[box.n - 1].offset;
		for (n = 1 + (int)rnd(4); n > 0; n--)
			file.p[rnd((unsigned)last)] =
			    (unsigned char)"\n\rxF: "[rnd(6)];
		memcpy(file.p, "From ", 5);
		put_new_mail(99, 2);
		write_mbox();
		load_with_index();
		l = parse(file.p, file.len, SIZE_MAX);
		for (k = 0; k < 2 * box.n; k++) {
			i = rnd((unsigned)box.n);
			n = read_message(i, &seen, UINT_MAX);
			CHECK(n >= 0, "message %zu: %s", i, box.why);
			if (n == 0)
				continue;
			for (n = 0; n < (int)l.n && (off_t)l.mail[n].start !=
			    box.msg[i].offset; n++)
				;
			CHECK(n < (int)l.n, "message %zu is none", i);
			CHECK(has_hash(&box.msg[i], &l.mail[n]),
			    "message %zu is another one", i);
			CHECK(is_same(&seen, &l.mail[n].sent),
			    "message %zu reads otherwise", i);
		}
		drop_maildrop(&l);
	}
}

/* The sum of an index that was changed, made right again. */
static void
forge_sum(void)
{
	uint64_t head[HEAD];
	struct mbox m;

	memset(&m, 0, offsetof(struct mbox, data));
	m.n = (bad.len - HEAD_OCTETS) / sizeof(struct message);
	m.msg = (struct message *)(void *)(bad.p + HEAD_OCTETS);
	describe(&m, head);
	memcpy(bad.p + 8 * SUM, &head[SUM], 8);
}

/* Every octet of it, cut anywhere, and with more behind it. */
TEST_EACH(an_index_that_is_not_as_it_was_written_counts_as_none, 2)
{
	static const unsigned char flips[] = { 1, 0x80, 0xff };
	size_t at, k;

	make_index();
	if (_i == 1) {		/* the file has grown since */
		put_new_mail(3, 2);
		write_mbox();
	}
	for (at = 0; at < good.len; at++) {
		snprintf(where, sizeof(where), "octet %zu", at);
		for (k = 0; k < sizeof(flips); k++) {
			set_bad();
			bad.p[at] ^= flips[k];
			try_bad();
		}
		bad.len = at;
		try_bad();
		set_bad();
		add(&bad, good.p, at);
		try_bad();
	}
}

/* With a sum that is right: no octet is read or sent that is not the file's. */
TEST(an_index_that_somebody_made_harms_no_more_than_its_reader)
{
	static const unsigned char flips[] = { 1, 8, 0x7f, 0x80, 0xff };
	size_t at, k, i;

	make_index();
	for (at = HEAD_OCTETS; at < good.len; at++)
		for (k = 0; k < sizeof(flips); k++) {
			snprintf(where, sizeof(where), "octet %zu", at);
			set_bad();
			bad.p[at] ^= flips[k];
			forge_sum();
			write_file(index_path, &bad);
			load_with_index();
			CHECK(box.n == 3, "%zu messages", box.n);
			for (i = 0; i < box.n; i++) {
				CHECK(!box.msg[i].gone && !box.msg[i].deleted,
				    "marked");
				CHECK(box.msg[i].offset >= 0 &&
				    box.msg[i].length <= (off_t)file.len -
				    box.msg[i].offset, "beyond the file");
				read_message(i, &seen, UINT_MAX);
				CHECK(seen.len < 3 * file.len, "too much");
			}
		}
}

/* The first two messages have changed places in an index that looks right. */
TEST_EACH(what_is_deleted_is_never_found_by_an_index, 2)
{
	struct message msg[2];
	uint64_t hash;

	make_index();
	set_bad();
	memcpy(msg, bad.p + HEAD_OCTETS, sizeof(msg));
	hash = msg[0].hash;
	msg[0].hash = msg[1].hash;
	msg[1].hash = hash;
	memcpy(bad.p + HEAD_OCTETS, msg, sizeof(msg));
	forge_sum();
	write_file(index_path, &bad);
	if (_i == 1) {
		put_new_mail(3, 1);
		write_mbox();
	}
	load_with_index();
	ck_assert(box.msg[1].hash == hash);
	box.msg[0].deleted = 1;		/* it has the id of the second */
	mbox_update(&box);
	read_file(path, &seen);
	ck_assert(has_text(&seen, "Received: 0"));
	ck_assert(!has_text(&seen, "Received: 1"));
	ck_assert(has_text(&seen, "Received: 2"));
}

/* The kill is as sudden: what should have followed is not written either. */
TEST(an_index_that_is_half_written_counts_as_the_old_one_or_none)
{
	static const int sizes[] = { 1, 2, 4, 7 };	/* messages, was 4 */
	unsigned call, error;
	int i;

	for (i = 0; i < COUNT(sizes); i++)
		for (call = 1; call <= 2; call++)
			for (error = 0; error < 2; error++) {
				snprintf(where, sizeof(where),
				    "%d messages, write %u", sizes[i], call);
				write_some_mail(4, 1);
				load_with_index();
				write_some_mail(sizes[i], 1 + (sizes[i] < 7));
				let_fail(C_PWRITE, call,
				    error == 0 ? 0 : ENOSPC);
				hook.lasting = 1;
				load_right();
				hook.at = 0;
				load_right();
				CHECK(count_reads() == 3, "not written again");
			}
}

static const enum kind no_index[] = {
	DANGLING, TWO_LINKS, DIRECTORY, FIFO, TEXT, FOREIGN, NOWHERE
};

static void
make_no_index(enum kind kind)
{
	static const char text[] = "pop3, said of the wrong way round";

	if (kind == NOWHERE)
		snprintf(index_path, sizeof(index_path), "%s/no/index", dir);
	else if (kind == TEXT || kind == FOREIGN)
		write_whole(index_path, text, kind == TEXT ? strlen(text) : 0);
	else
		make_special(index_path, kind);
	if (kind == FOREIGN && chown(index_path, 1, 1) == -1)
		unlink(index_path);	/* not root: there is none then */
}

TEST_EACH(what_is_not_the_users_own_index_is_left_alone, COUNT(no_index))
{
	struct stat was, is;
	int there;

	write_some_mail(3, 1);
	open_with_index();
	ck_assert_int_ne(box.index, -1);
	ck_assert_int_eq(unlink(index_path), 0);
	make_no_index(no_index[_i]);
	there = lstat(index_path, &was) == 0;
	open_box();
	mbox_index(&box, index_path, getuid());
	ck_assert_int_eq(box.index == -1, there || no_index[_i] == NOWHERE);
	expect_loaded(mbox_load(&box));
	ck_assert_int_eq(exists("nowhere"), 0);
	if (there) {
		ck_assert_int_eq(lstat(index_path, &is), 0);
		ck_assert(was.st_size == is.st_size);
	}
}

TEST(a_mailbox_is_never_its_own_index)
{
	file.len = 0;
	write_mbox();
	hook.later = 10;
	open_box();
	mbox_index(&box, path, getuid());
	ck_assert_int_eq(box.index, -1);
	ck_assert_int_eq(mbox_load(&box), MBOX_OK);
	expect_file("");
}

/* Another width of numbers, or another form of the list. */
TEST_EACH(an_index_of_another_layout_is_written_anew, 10)
{
	uint64_t magic;

	make_index();
	set_bad();
	memcpy(&magic, bad.p, sizeof(magic));
	magic ^= (uint64_t)1 << _i;
	memcpy(bad.p, &magic, sizeof(magic));
	write_file(index_path, &bad);
	ck_assert_int_gt((int)count_reads(), 3);
	expect_octets(index_path, &good);
}

TEST(two_sessions_share_an_index)
{
	static struct mbox other;

	write_some_mail(4, 1);
	load_with_index();
	put_new_mail(4, 1);
	write_mbox();
	ck_assert_int_eq(mbox_open(&other, path, getuid()), MBOX_OK);
	mbox_index(&other, index_path, getuid());
	ck_assert_int_eq(mbox_load(&other), MBOX_OK);
	ck_assert_int_eq((int)other.n, 5);
	box.msg[0].deleted = 1;
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	other.msg[3].deleted = 1;
	ck_assert_int_eq(mbox_update(&other), MBOX_OK);
	mbox_close(&other);
	file.len = 0;
	put_new_mail(1, 1);
	put_new_mail(2, 1);
	put_new_mail(4, 1);
	expect_octets(path, &file);
	load_right();
}

TEST(folder_data_stays_hidden_with_an_index)
{
	int n;

	add_text(&file, FOLDER_DATA);
	hook.later = 10;
	for (n = 0; n < 4; n++) {
		write_mbox();
		load_right();
		ck_assert_int_eq((int)box.n, n);
		load_right();
		put_new_mail(n, 2);
	}
}

/* ---- The same at random, against a model ---- */

enum { ITEMS = 40 };

static struct {
	struct item {
		int twin;	/* number that makes its id and body */
		unsigned status;	/* octets of it */
		int alive;	/* in the file */
		int lost;	/* it or a twin was deleted by others */
		int named;	/* by DELE, while it was not lost */
	} item[ITEMS];
	int n;
	int shown;		/* the first so many are in the session */
	int fresh;		/* others have brought so many */
} model;

static void
put_item(struct bytes *b, const struct item *it)
{
	char text[200];

	snprintf(text, sizeof(text), "From x Mon Jan  1 12:00:00 2024\n"
	    "Message-ID: <%d>\n", it->twin);
	add_text(b, text);
	if (it->status > 0) {
		add_text(b, "Status: ");
		put_octets(b, 'O', it->status);
		add_text(b, "\n");
	}
	snprintf(text, sizeof(text), "\nbody of %d\n", it->twin);
	add_text(b, text);
	put_octets(b, 'a' + it->twin % 26, (size_t)(it->twin * 37 % 900));
	add_text(b, "\n\n");
}

/* What should be in the file. */
static void
list_items(void)
{
	int i;

	file.len = 0;
	for (i = 0; i < model.n; i++)
		if (model.item[i].alive)
			put_item(&file, &model.item[i]);
}

static void
write_model(void)
{
	list_items();
	write_mbox();
}

static void
add_item(int twin)
{
	struct item *it = &model.item[model.n];

	if (model.n == ITEMS)
		return;
	memset(it, 0, sizeof(*it));
	it->twin = twin;
	it->status = rnd(3) == 0 ? 1 + rnd(30) : 0;
	it->alive = 1;
	model.n++;
}

/* Another program deletes message k. */
static void
kill_item(int k)
{
	int i;

	model.item[k].alive = 0;
	for (i = 0; i < model.n; i++)
		if (model.item[i].twin == model.item[k].twin)
			model.item[i].lost = 1;
}

static void
other_program(void)
{
	int i, k = (int)rnd((unsigned)model.n);

	switch (rnd(8)) {
	case 0:
	case 1:
		kill_item(k);
		break;
	case 2:
		for (i = 0; i < model.n; i++)
			if (rnd(3) == 0)
				kill_item(i);
		break;
	case 3:
		for (i = 0; i < model.n; i++)
			if (rnd(2) == 0)
				model.item[i].status = rnd(40);
		break;
	case 4:
		break;		/* only the times change */
	default:
		add_item(1000 + model.fresh++);
	}
	write_model();
}

/* Read one message; if it should be there it is, and as it stands there. */
static void
read_item(void)
{
	static struct bytes raw;
	int k = (int)rnd((unsigned)model.shown);
	const struct item *it = &model.item[k];
	struct maildrop l;
	int r;

	r = read_message((size_t)k, &seen, UINT_MAX);
	CHECK(r == (it->alive && !it->lost), "message %d: %d, but %s", k, r,
	    !it->alive ? "deleted" : it->lost ? "one of its twins is" :
	    "still there");
	if (r != 1)
		return;
	raw.len = 0;
	put_item(&raw, it);
	l = parse(raw.p, raw.len, SIZE_MAX);
	CHECK(l.n == 1 && is_same(&seen, &l.mail[0].sent),
	    "message %d reads otherwise", k);
	drop_maildrop(&l);
}

static void
delete_item(void)
{
	int k = (int)rnd((unsigned)model.shown);

	if (box.msg[k].gone)
		return;
	box.msg[k].deleted = 1;
	model.item[k].named = 1;
}

/* A session before, and what others do between that and the next. */
static void
leave_an_index(void)
{
	int i, n;

	hook.later = 10;
	load_with_index();
	for (n = (int)rnd(4); n > 0; n--)
		other_program();
	for (i = n = 0; i < model.n; i++)
		if (model.item[i].alive) {
			model.item[n] = model.item[i];
			model.item[n++].lost = 0;
		}
	model.n = n;
	if (n == 0)
		add_item(1);
	write_model();
}

/* Whether one that was named and lost may be one that is in the file. */
static int
is_any_named_left(void)
{
	const struct item *it, *like;

	for (it = model.item; it < model.item + model.n; it++)
		for (like = model.item; it->named && it->lost &&
		    like < model.item + model.n; like++)
			if (like->alive && like->twin == it->twin)
				return 1;
	return 0;
}

CASE("change", 600, setup, teardown);

TEST_EACH(a_session_among_others_loses_nothing_and_deletes_what_it_named, 2)
{
	int i, n;

	while (next_round(2000)) {
		memset(&model, 0, sizeof(model));
		for (n = 1 + (int)rnd(12); model.n < n;)
			add_item(rnd(4) == 0 ? 1 : model.n);
		write_model();
		if (_i == 1)
			leave_an_index();
		model.shown = model.n;
		hook.later = rnd(2) == 0 ? 0 : 10;
		if (_i == 0)
			load_box();
		else {
			load_with_index();
			if (!is_right_list() && box.unseen > 0)
				continue;	/* by chance */
		}
		for (n = (int)rnd(12); n > 0; n--) {
			if (rnd(3) == 0)
				other_program();
			else if (rnd(2) == 0)
				read_item();
			else
				delete_item();
		}
		CHECK(mbox_update(&box) == (is_any_named_left() ? MBOX_GONE :
		    MBOX_OK), "update: %s", box.why);
		for (i = 0; i < model.n; i++)
			if (model.item[i].named && !model.item[i].lost)
				model.item[i].alive = 0;
		list_items();
		expect_octets(path, &file);
	}
}

/* ---- UPDATE ---- */

static struct bytes expected;	/* what the file should become */

/* That is what file holds, without the messages that are marked. */
static void
remove_naively(const struct maildrop *l)
{
	size_t i, at = 0;

	expected.len = 0;
	for (i = 0; i < l->n; i++)
		if (box.msg[i].deleted) {
			add(&expected, file.p + at, l->mail[i].start - at);
			at = l->mail[i].end;
		}
	add(&expected, file.p + at, file.len - at);
}

CASE("update", 600, setup, teardown);

TEST(update_does_what_the_naive_way_does)
{
	struct maildrop l;
	struct stat before, st;
	unsigned few;
	size_t i;

	while (next_round(2000)) {
		do {
			make_random_mailbox(&file);
			l = parse(file.p, file.len, SIZE_MAX);
			if (l.n == 0)
				drop_maildrop(&l);
		} while (l.n == 0);
		write_mbox();
		ck_assert_int_eq(stat(path, &before), 0);
		hook.later = rnd(2) == 0 ? 0 : 10;
		hook.step = rnd(4) == 0 ? 1 + rnd(2000) : 0;
		load_box();
		few = 1 + rnd(4);
		for (i = 0; i < box.n; i++)
			box.msg[i].deleted = rnd(few) == 0;
		remove_naively(&l);
		drop_maildrop(&l);
		CHECK(mbox_update(&box) == MBOX_OK, "%s", box.why);
		expect_octets(path, &expected);
		ck_assert_int_eq(stat(path, &st), 0);
		CHECK(st.st_ino == before.st_ino, "another file");
		CHECK(count_strangers() == 0, "something is left");
		CHECK(!box.no_copy, "the disk was not full");
	}
}

/* A mailbox to be updated: octets of each message, and which are deleted. */
static const struct plan {
	const char *deleted;
	unsigned octets[9];
	const char *eol;
	int hidden;		/* folder data in front */
	int open_end;		/* no line end at the end */
} plans[] = {
	{ "10000000", { 300, 500, 700, 2500, 100, 100, 4000, 900 }, "\n",
	    0, 0 },
	{ "10100000", { 300, 500, 700, 2500, 100, 100, 4000, 900 }, "\n",
	    0, 1 },
	{ "00100100", { 300, 500, 700, 2500, 100, 100, 4000, 900 }, "\r\n", 1,
	    0 },
	{ "00000001", { 300, 500, 700, 2500, 100, 100, 4000, 900 }, "\n",
	    0, 0 },
	{ "11111111", { 300, 500, 700, 2500, 100, 100, 4000, 900 }, "\n",
	    1, 0 },
	{ "1000000", { 4000, 100, 200, 300, 100, 200, 3000 }, "\n", 0, 0 },
	{ "10101", { 100, 4000, 100, 4000, 100 }, "\r\n", 0, 0 },
	{ "0101010", { 100, 100, 100, 100, 100, 100, 100 }, "\n", 1, 1 },
	{ "100000", { 100, 1500, 200, 200, 200, 300 }, "\n", 0, 0 },
	{ "0100000", { 700, 700, 700, 700, 700, 700, 700 }, "\r\n", 0, 0 },
	{ "1001", { 3100, 3000, 2990, 3010 }, "\n", 0, 1 },
	/* as long as the gap; one, two, three octets shorter */
	{ "10", { 700, 700 }, "\n", 0, 1 },
	{ "10", { 700, 699 }, "\n", 0, 1 },
	{ "10", { 700, 698 }, "\r\n", 0, 1 },
	{ "10", { 700, 697 }, "\r\n", 0, 1 }
};

/* The plan under way: its messages, and its mailbox. */
static struct bytes part[8], original;
static int n_parts;
static const struct plan *plan;

/* Message i, which can be told from all others by any two of its lines. */
static void
make_part(int i)
{
	size_t ends = 2 * strlen(plan->eol);
	struct bytes *b = &part[i];
	char text[100];

	b->len = 0;
	snprintf(text, sizeof(text), "From x%d Mon Jan  1 12:34:56 2024%s"
	    "Message-ID: <%d>%s%s", i, plan->eol, i, plan->eol, plan->eol);
	add_text(b, text);
	while (b->len + 25 < plan->octets[i]) {
		snprintf(text, sizeof(text), "mark-%d-%zu%s", i,
		    b->len, plan->eol);
		add_text(b, text);
	}
	if (plan->open_end && i + 1 == n_parts)
		ends = 0;
	put_octets(b, 'x', plan->octets[i] - b->len - ends);
	if (ends > 0) {
		add_text(b, plan->eol);
		add_text(b, plan->eol);
	}
	ck_assert_int_eq((int)b->len, (int)plan->octets[i]);
}

/* Write the plan's mailbox, load it and mark what is to be deleted. */
static void
load_plan(void)
{
	memset(&hook, 0, sizeof(hook));
	unlink("mbox.lock");
	write_file(path, &original);
	load_box();
	mark(plan->deleted);
	memset(hook.n, 0, sizeof(hook.n));
	hook.total = 0;
}

/* Make the mailbox of a plan, and load it for the first time. */
static void
start_plan(int which)
{
	int i;

	plan = &plans[which];
	n_parts = (int)strlen(plan->deleted);
	original.len = expected.len = 0;
	if (plan->hidden)
		add_text(&original, FOLDER_DATA);
	add(&expected, original.p, original.len);
	for (i = 0; i < n_parts; i++) {
		make_part(i);
		add(&original, part[i].p, part[i].len);
		if (plan->deleted[i] == '0')
			add(&expected, part[i].p, part[i].len);
	}
	load_plan();
}

/* Whether a message stands in the file where it is taken for one. */
static int
is_whole(const struct bytes *b, const struct bytes *message)
{
	const unsigned char *p = b->p;
	size_t at;

	for (at = 0; at < b->len; at++) {
		at += find(p + at, b->len - at, message->p, message->len);
		if (at == b->len)
			break;
		if (at == 0 || (at >= 2 && p[at - 1] == '\n' &&
		    (p[at - 2] == '\n' || (at >= 3 && p[at - 2] == '\r' &&
		    p[at - 3] == '\n'))))
			return 1;
	}
	return 0;
}

/* How many of the messages that stay are not whole in these octets. */
static int
count_missing(const struct bytes *b)
{
	int i, missing = 0;

	for (i = 0; i < n_parts; i++)
		missing += plan->deleted[i] == '0' && !is_whole(b, &part[i]);
	return missing;
}

static int
has_deleted(const struct bytes *b)
{
	int i;

	for (i = 0; i < n_parts; i++)
		if (plan->deleted[i] == '1' && find(b->p, b->len, part[i].p,
		    strlen("From x0 ")) < b->len)
			return 1;
	return 0;
}

static void
expect_all_kept(void)
{
	read_file(path, &seen);
	CHECK(count_missing(&seen) == 0, "%d messages are lost",
	    count_missing(&seen));
}

/* After UPDATE, whatever befell it. */
static void
expect_nothing_lost(enum mbox_result r)
{
	CHECK(r == MBOX_OK || r == MBOX_TEMP || r == MBOX_BUSY, "result %d", r);
	if (r == MBOX_OK)
		expect_octets(path, &expected);
	expect_all_kept();
}

static const struct {
	enum call call;
	const char *name;
} update_calls[] = {
	{ C_PREAD, "pread" }, { C_PWRITE, "pwrite" }, { C_FSYNC, "fsync" },
	{ C_FTRUNCATE, "ftruncate" }, { C_FSTAT, "fstat" },
	{ C_LSTAT, "lstat" }, { C_MALLOC, "malloc" }, { C_REALLOC, "realloc" },
	{ C_LINK, "link" }, { C_OPEN, "open" }, { C_LOCKF, "lockf" }
};

static const int update_errors[] = {
	ENOSPC, EDQUOT, EFBIG, EIO, EINTR, 0
};

/*
 * A lock that we cannot see to be ours may be somebody else's by now; it stays
 * until it is stale.
 */
static int
may_leave_lock(enum call c)
{
	return c == C_FSTAT || c == C_LSTAT;
}

/*
 * Make one call fail, each of its calls in turn, with one errno. With FEWER
 * every so many, but other ones with another errno.
 */
static void
fail_each_in_turn(int c, int error, int lasting)
{
	unsigned step = (unsigned)setting("FEWER", 1), at;
	enum mbox_result r;

	for (at = 1 + (unsigned)(error + c + lasting) % step;; at += step) {
		snprintf(where, sizeof(where), "plan %d, %s %u%s: errno %d",
		    (int)(plan - plans), update_calls[c].name, at,
		    lasting ? " and on" : "", error);
		load_plan();
		let_fail(update_calls[c].call, at, error);
		hook.lasting = lasting;
		r = mbox_update(&box);
		if (hook.n[update_calls[c].call] < at)
			return;		/* it is not called so often */
		hook.at = 0;
		if (update_calls[c].call == C_LSTAT && r == MBOX_GONE)
			r = MBOX_TEMP;	/* the name was not seen to lead here */
		/* moves without a copy that fail are what README warns of */
		if (r == MBOX_OK || !box.no_copy)
			expect_nothing_lost(r);
		CHECK(may_leave_lock(update_calls[c].call) ||
		    !exists("mbox.lock"), "the dotlock stays");
	}
}

TEST_EACH(whatever_fails_during_update_nothing_is_lost, COUNT(plans))
{
	int c, e, lasting;

	start_plan(_i);
	for (c = 0; c < COUNT(update_calls); c++)
		for (e = 0; e < COUNT(update_errors); e++)
			for (lasting = 0; lasting < 2; lasting++) {
				if (update_errors[e] == 0 &&
				    update_calls[c].call != C_PWRITE)
					continue;
				/* signals are blocked: once, not for ever */
				if (lasting && update_errors[e] == EINTR)
					continue;
				fail_each_in_turn(c, update_errors[e], lasting);
			}
}

/* A copy that cannot be written leaves the file as it was. */
TEST_EACH(a_failed_copy_is_cut_off_again, 6)
{
	start_plan(_i / 2);
	let_fail(_i % 2 == 0 ? C_PWRITE : C_FSYNC, 1, EIO);
	ck_assert_int_eq(mbox_update(&box), MBOX_TEMP);
	expect_octets(path, &original);
}

/* Then nobody knows where the copies are: no room is not the reason. */
TEST(a_copy_that_cannot_be_cut_off_ends_the_update)
{
	start_plan(0);
	hook.room = (off_t)original.len + 1;
	let_fail(C_FTRUNCATE, 1, ENOSPC);
	ck_assert_int_eq(mbox_update(&box), MBOX_TEMP);
	ck_assert_int_eq(errno, EIO);
	ck_assert_int_eq((int)hook.n[C_FTRUNCATE], 1);
	expect_nothing_lost(MBOX_TEMP);
}

static void
cut_off_one(void)
{
	struct stat st;

	ck_assert(stat(path, &st) == 0 && truncate(path, st.st_size - 1) == 0);
}

TEST(a_file_that_somebody_makes_shorter_is_moved_no_further)
{
	start_plan(0);
	before_call(C_FSYNC, 1, cut_off_one);
	ck_assert_int_eq(mbox_update(&box), MBOX_TEMP);
	ck_assert_int_eq(errno, EIO);
	ck_assert_int_eq((int)hook.n[C_FTRUNCATE], 0);
}

/* The file may grow so and so far: a full disk, or a quota. */
TEST_EACH(on_a_full_disk_people_can_delete, COUNT(plans))
{
	off_t room, most;

	start_plan(_i);
	most = (off_t)original.len * 2 + 10;
	for (room = (off_t)original.len; room < most;
	    room += room < (off_t)original.len + 4 ? 1 : 211) {
		snprintf(where, sizeof(where), "plan %d, room for %lld", _i,
		    (long long)(room - (off_t)original.len));
		load_plan();
		hook.room = room;
		hook.error = full_disk[room % 2];
		expect_nothing_lost(mbox_update(&box));
		expect_octets(path, &expected);
	}
	CHECK(!box.no_copy, "there was room for copies");
}

/* Some file systems find no room only when they must write. */
TEST_EACH(a_disk_that_turns_out_to_be_full_at_fsync_is_full, 2)
{
	start_plan(0);
	let_fail(C_FSYNC, 1, full_disk[_i]);
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	expect_octets(path, &expected);
}

/* EFBIG is a limit, which may hold for octets in the file already, too. */
TEST(a_limit_for_files_is_no_reason_to_go_without_a_copy)
{
	start_plan(8);
	hook.room = (off_t)original.len;
	hook.error = EFBIG;
	ck_assert_int_eq(mbox_update(&box), MBOX_TEMP);
	ck_assert_int_eq(box.no_copy, 0);
	expect_octets(path, &original);
}

TEST(going_without_a_copy_is_reported)
{
	start_plan(8);
	hook.room = (off_t)original.len;
	hook.error = ENOSPC;
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	ck_assert_int_ne(box.no_copy, 0);
	load_plan();
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	ck_assert_int_eq(box.no_copy, 0);
}

static unsigned turn;
static const char theirs[] =
    "From them Mon Jan  1 12:00:00 2024\n\nappended without a lock\n\n";

/*
 * Before the call whose turn it is somebody appends mail. What falls between a
 * look at the size and the call behind it nobody can save.
 */
static void
append_in_turn(enum call c)
{
	int fd;

	if (hook.total < turn || (hook.last == C_FSTAT &&
	    (c == C_PWRITE || c == C_FTRUNCATE)))
		return;
	fd = open(path, O_WRONLY | O_APPEND);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq((int)write(fd, theirs, strlen(theirs)),
	    (int)strlen(theirs));
	close(fd);
	hook.before = NULL;
}

/* Whether there was still a call whose turn it was. */
static int
append_during_update(off_t room)
{
	enum mbox_result r;

	load_plan();
	hook.room = room;
	hook.error = ENOSPC;
	hook.before = append_in_turn;
	r = mbox_update(&box);
	if (hook.before != NULL && hook.total < turn)
		return 0;
	expect_all_kept();
	CHECK(hook.before != NULL || has_text(&seen, theirs), "theirs is lost");
	/* unless that mail was added to the last one's open end */
	if (has_deleted(&seen))
		CHECK(r == MBOX_GONE && box.msg[n_parts - 1].gone,
		    "a deleted message is there, and %d was said", r);
	else
		CHECK(r == MBOX_OK, "%d, %s", r, box.why);
	return 1;
}

/* With room for copies, and where a copy fails at the same time. */
TEST_EACH(mail_that_comes_without_a_lock_is_carried_along, COUNT(plans))
{
	off_t room[2];
	int i;

	start_plan(_i);
	room[0] = 0;
	room[1] = (off_t)original.len + 100;
	for (i = 0; i < 2; i++)
		for (turn = 1; append_during_update(room[i]); turn++)
			snprintf(where, sizeof(where),
			    "plan %d, call %u, room for %lld", _i, turn + 1,
			    (long long)room[i]);
}

/*
 * We are stopped, or the host is asleep, for so long that our lock counts as
 * dead: another takes it.
 */
static void
lose_lock(void)
{
	remove_lock();
	put_lock("theirs");
	hook.later += STALE_SECONDS;
}

/* That is before the call whose turn it is, and he appends mail. */
static void
lose_lock_in_turn(enum call c)
{
	if (c == C_UNLINK || !exists("mbox.lock"))
		return;
	append_in_turn(c);
	if (hook.before != NULL)
		return;
	lose_lock();
	hook.n[C_PWRITE] = hook.n[C_FTRUNCATE] = 0;
}

/* Then it stops: what is there is whole, theirs too, and nothing is cut off. */
TEST_EACH(an_update_stops_when_its_lock_is_lost, COUNT(plans))
{
	enum mbox_result r;

	start_plan(_i);
	for (turn = 1;; turn++) {
		snprintf(where, sizeof(where), "plan %d, call %u", _i, turn);
		load_plan();
		hook.before = lose_lock_in_turn;
		r = mbox_update(&box);
		if (hook.before != NULL)
			break;
		CHECK(r == MBOX_TEMP ? hook.n[C_PWRITE] <= 3 :
		    hook.n[C_PWRITE] == 0, "%d, %u writes", r,
		    hook.n[C_PWRITE]);
		CHECK(hook.n[C_FTRUNCATE] == 0, "cut, %d", r);
		expect_their_lock();
		ck_assert_int_eq(unlink("mbox.lock"), 0);
		expect_all_kept();
		CHECK(has_text(&seen, theirs), "theirs is lost");
	}
}

/*
 * One window can take minutes. It is left where it is, as it stands somewhere
 * else, too; but not where it does not, for want of room.
 */
TEST_EACH(a_window_is_not_written_on_when_the_lock_is_lost, 2)
{
	static struct bytes kept;
	enum mbox_result r;
	unsigned writes_before, n;

	set_text(&kept, MSG("b"));
	put_octets(&kept, 'x', 4 * MBOX_BUFFER);
	add_text(&kept, "\n");
	for (writes_before = 1;; writes_before++) {
		unlink("mbox.lock");
		set_text(&file, MSG("a"));
		add(&file, kept.p, kept.len);
		memset(&hook, 0, sizeof(hook));
		load_mbox();
		mark("10");
		memset(hook.n, 0, sizeof(hook.n));
		before_call(C_PWRITE, writes_before, lose_lock);
		hook.error = ENOSPC;
		hook.room = _i == 0 ? 0 : (off_t)file.len;
		r = mbox_update(&box);
		n = hook.n[C_PWRITE];
		ck_assert(box.no_copy <= _i);
		if (n < writes_before)
			break;
		CHECK(r == MBOX_TEMP, "%d at write %u", r, writes_before);
		CHECK(_i == 1 || n == writes_before, "lost at %u, %u writes",
		    writes_before, n);
		read_file(path, &file);
		CHECK(is_whole(&file, &kept), "mail is lost at write %u",
		    writes_before);
	}
	ck_assert_int_eq(r, MBOX_OK);
	/* windows are halved before they are moved without a copy */
	ck_assert(n == 11 || (_i == 1 && n == 16));
	ck_assert_int_eq(box.no_copy, _i);
	/* who is quick does not ask for each block */
	ck_assert_uint_le(hook.n[C_FUTIMENS], 3 + 6 * (unsigned)_i);
}

TEST(update_without_deletions_does_nothing_at_all)
{
	load_text(MSG("a") MSG("b"));
	hook.total = 0;
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	ck_assert_int_eq((int)hook.total, 0);
}

/* ---- Whatever fails ---- */

static const struct {
	enum call call;
	int error;
} load_failures[] = {
	{ C_PREAD, EIO }, { C_FSTAT, EIO }, { C_LSTAT, EIO },
	{ C_OPEN, EMFILE },
	{ C_LINK, EIO }, { C_WRITE, EIO }, { C_REALLOC, ENOMEM },
	{ C_OPEN, EEXIST }, { C_LSTAT, ENOENT }
};

/* Either the list is right, or there is none; and no lock stays. */
TEST_EACH(a_failed_load_leaves_neither_list_nor_lock, COUNT(load_failures))
{
	enum mbox_result r;
	unsigned at, n;

	for (n = 0; n < 200; n++)
		add_text(&file, MSG("a"));
	put_octets(&file, 'x', 3 * MBOX_BUFFER);
	write_mbox();
	for (at = 1; at < 2000; at++) {
		memset(&hook, 0, sizeof(hook));
		open_box();
		memset(hook.n, 0, sizeof(hook.n));
		let_fail(load_failures[_i].call, at, load_failures[_i].error);
		r = mbox_load(&box);
		snprintf(where, sizeof(where), "at %u", at);
		CHECK(box.n == (r == MBOX_OK ? n : 0), "%zu messages", box.n);
		CHECK(r == MBOX_OK || *box.why != '\0', "no reason given");
		CHECK(may_leave_lock(load_failures[_i].call) ||
		    count_strangers() == 0, "something is left");
		CHECK(others_can_lock("fk"), "a lock stays");
		unlink("mbox.lock");
		if (hook.n[load_failures[_i].call] < at)
			break;
	}
	CHECK(r == MBOX_OK, "without a failure too");
}

TEST_EACH(without_memory_a_changed_mailbox_is_matched_later, 2)
{
	static const enum call calls[] = { C_MALLOC, C_REALLOC };
	unsigned i, done = 0;

	for (i = 0; i < 300; i++)
		add_text(&file, MSG("a"));
	add_text(&file, MSG("b"));
	load_mbox();
	box.msg[300].deleted = 1;
	/* all stands elsewhere then */
	file.len = 0;
	for (i = 0; i < 702; i++)
		add_text(&file, i == 0 ? MSG("0") : i < 301 ? MSG("a") :
		    i < 302 ? MSG("b") : MSG("c"));
	write_mbox();
	for (i = 1; i < 50; i++) {
		let_fail(calls[_i], i, ENOMEM);
		if (mbox_seek(&box, 300) == MBOX_OK)
			break;
		done++;
		ck_assert(!is_unchanged(&box));	/* it is scanned again */
		ck_assert_int_eq((int)box.n, 301);
		ck_assert_int_eq(box.msg[300].gone, 0);
		ck_assert_int_eq((int)count_strangers(), 0);
		let_fail(calls[_i], i, ENOMEM);
		ck_assert_int_eq(mbox_update(&box), MBOX_TEMP);
	}
	ck_assert_int_ge((int)done, 1);
	hook.at = 0;
	expect_message(300, "Message-ID: <b>\r\n\r\nbody of b\r\n");
	ck_assert_int_eq(mbox_update(&box), MBOX_OK);
	file.len = 0;
	for (i = 0; i < 701; i++)
		add_text(&file, i == 0 ? MSG("0") : i < 301 ? MSG("a") :
		    MSG("c"));
	expect_octets(path, &file);
}

TEST(without_memory_there_is_no_unique_id)
{
	char uid[UID_OCTETS];

	load_text(MSG("a") MSG("a"));
	let_fail(C_MALLOC, 1, ENOMEM);
	ck_assert_int_eq(mbox_uid(&box, 1, uid), MBOX_TEMP);
	ck_assert_str_eq(box.why, "mailbox is too long");
	ck_assert_str_eq(uid_of(1) + 16, "-2");
}

/* ---- All of them ---- */

/*
 * With FEWER the limit is tried by check_small alone, where it is 10,000. That
 * leaves out what has nothing to do with the buffer.
 */
static int
is_left_out_here(const struct test *t, int i)
{
	const char *section = section_of(t);

	(void)i;
	if (MBOX_BUFFER < 8192)
		return strcmp(section, "dotlock") == 0 ||
		    strcmp(section, "locks") == 0 ||
		    strcmp(section, "open") == 0;
	if (t->test != mail_beyond_the_limit_is_kept_for_later ||
	    setting("FEWER", 1) == 1)
		return 0;
	skip(t->test->name, "a million messages take long: FEWER=1");
	return 1;
}

int
main(void)
{
	const char *tmp = getenv("TMPDIR");
	char name[PATH_MAX - 32];
	int failed;

	snprintf(name, sizeof(name), "%s/pop3d-mailbox.XXXXXX",
	    tmp == NULL || *tmp == '\0' ? "/tmp" : tmp);
	if (mkdtemp(name) == NULL || realpath(name, dir) == NULL) {
		perror(name);
		return 1;
	}
	failed = run_suite("mailbox", is_left_out_here);
	chmod(dir, 0700);
	if (chdir(dir) == 0)
		count_files(1);
	if (chdir("/") == -1 || rmdir(dir) == -1)
		perror(dir);
	return failed;
}
