/*
 * The disk: locks, the scan of an mbox, unique-ids, reading, and UPDATE.
 *
 * Nothing here knows the client or the log; of identities, it knows the owner
 * that it is told and the pids in locks. All mail is read and written through
 * one buffer in struct mbox; the only memory from the heap is the list of
 * messages and, for a moment, an order to sort it by.
 */
#include <ctype.h>

#include "pop3.h"

#define SMALLER(a, b)	((a) < (b) ? (a) : (b))
/* How to open what may be no plain file: without waiting for anything. */
#define WARILY	(O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* What Linux has beyond POSIX: flock, statfs, and pages that are asked for. */
#if defined(__linux__)
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/vfs.h>

/*
 * Whether the disk that fd is on belongs to this host alone. All but NFS count
 * so. Then a pid means something, and flock(2) is a lock of its own. On NFS it
 * is fcntl's lock, and would refuse us what we hold already. If nobody knows,
 * the answer is no.
 */
static int
is_local(int fd)
{
	struct statfs s;

	return fstatfs(fd, &s) == 0 && s.f_type != 0x6969;	/* NFS */
}

#define bsd_lock(fd, how)	(is_local(fd) ? flock(fd, how) : 0)

/*
 * Have the memory that is filled next from the kernel in one call: in a virtual
 * machine a trap for each page takes longer than what is put there. Before 5.14
 * the kernel knows no such advice (MADV_POPULATE_WRITE), and nothing is lost.
 */
static void
have_pages(void *p, size_t len)
{
	size_t before = (uintptr_t)p % 4096;

	(void)madvise((char *)p - before, before + len, 23);
}
#else
#define have_pages(p, len)	(void)(p)
#define is_local(fd)	((void)(fd), 0)
#define bsd_lock(fd, how)	0
#endif

/* ---- MD5: RFC 1321 ---- */

static const uint32_t sines[64] = {
	0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a,
	0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
	0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
	0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
	0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
	0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
	0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa,
	0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
	0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
	0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
	0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391
};

/* Contexts go side by side, in loops that compilers make vector code of. */
enum { LANES = 16 };

#define F1(x, y, z)	((z) ^ ((x) & ((y) ^ (z))))
#define F2(x, y, z)	((y) ^ ((z) & ((x) ^ (y))))
#define F3(x, y, z)	((x) ^ (y) ^ (z))
#define F4(x, y, z)	((y) ^ ((x) | ~(z)))
/* Step k in all lanes, with a word of the block and a turn by s bits. */
#define STEP(F, a, b, c, d, x, mul, add, k, s)				\
	for (unsigned l = 0; l < LANES; l++) {				\
		a[l] += F(b[l], c[l], d[l]) +				\
		    x[((mul) * (k) + (add)) % 16][l] + sines[k];	\
		a[l] = (a[l] << (s) | a[l] >> (32 - (s))) + b[l];	\
	}
#define ROUND(F, v, x, first, mul, add, s1, s2, s3, s4)			\
	for (unsigned k = (first); k < (first) + 16; k += 4) {		\
		STEP(F, v[0], v[1], v[2], v[3], x, mul, add, k, s1)	\
		STEP(F, v[3], v[0], v[1], v[2], x, mul, add, k + 1, s2)	\
		STEP(F, v[2], v[3], v[0], v[1], x, mul, add, k + 2, s3)	\
		STEP(F, v[1], v[2], v[3], v[0], x, mul, add, k + 3, s4)	\
	}

/* Hash what n contexts hold, whole blocks all. */
static void
md5_run(struct md5 *m, size_t n)
{
	uint32_t x[16][LANES] = { { 0 } }, v[4][LANES] = { { 0 } };
	const unsigned char *p;
	size_t at, end = 0, i, j;

	for (i = 0; i < n; i++)
		if (m[i].held_len > end)
			end = m[i].held_len;
	for (at = 0; at < end; at += 64) {
		for (i = 0; i < n; i++) {
			for (j = 0; j < 4; j++)
				v[j][i] = m[i].state[j];
			p = m[i].held + at;
			for (j = 0; j < 16; j++, p += 4)
				x[j][i] = p[0] | (uint32_t)p[1] << 8 |
				    (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
		}
		ROUND(F1, v, x, 0, 1, 0, 7, 12, 17, 22)
		ROUND(F2, v, x, 16, 5, 1, 5, 9, 14, 20)
		ROUND(F3, v, x, 32, 3, 5, 4, 11, 16, 23)
		ROUND(F4, v, x, 48, 7, 0, 6, 10, 15, 21)
		for (i = 0; i < n; i++)
			for (j = 0; j < 4 && at < m[i].held_len; j++)
				m[i].state[j] += v[j][i];
	}
}

void
md5_init(struct md5 *m)
{
	static const uint32_t start[4] = { 0x67452301, 0xefcdab89,
	    0x98badcfe, 0x10325476 };

	memcpy(m->state, start, sizeof(start));
	m->octets = m->held_len = 0;
}

void
md5_update(struct md5 *m, const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = SMALLER(len, sizeof(m->held) - m->held_len);
		memcpy(m->held + m->held_len, p, n);
		m->octets += n;
		m->held_len += n;
		if (m->held_len == sizeof(m->held)) {
			md5_run(m, 1);
			m->held_len = 0;
		}
	}
}

void
md5_finish(struct md5 *m, size_t n)
{
	static const unsigned char pad[64] = { 0x80 };
	unsigned char length[8];
	size_t l;
	unsigned i;

	for (l = 0; l < n; l++) {
		for (i = 0; i < 8; i++)
			length[i] = (unsigned char)(m[l].octets << 3 >> 8 * i);
		md5_update(&m[l], pad, 1 + (119 - m[l].octets % 64) % 64);
		md5_update(&m[l], length, 8);
	}
	md5_run(m, n);
}

/* ---- The dotlock ---- */

enum {
	GONE_SECONDS = 60,	/* a dotlock not touched for so long is dead if
				 * its process is gone, */
	STALE_SECONDS = 300,	/* for so long, if nobody knows its process, */
	ALIVE_SECONDS = 86400	/* and for so long, whoever lives */
};

static int
is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static int
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/*
 * The process of this host that a lock names, as "pid" or "pid:host"; 0: none
 * that is known. A pid without a host says nothing where other hosts have the
 * same disk. Nor does 0, which is procmail's: kill(0, 0) always succeeds.
 */
static pid_t
read_holder(int fd)
{
	char text[65] = "", ours[256] = "", host[256] = "";
	size_t digits;
	long pid = 0;
	int n = 0;

	/* a pid ends at a colon, a line end or the NUL (strchr finds it) */
	if (fd != -1 && read(fd, text, sizeof(text) - 1) > 0 &&
	    (digits = strspn(text, "0123456789")) < 10 &&
	    strchr(":\n", text[digits]) != NULL)
		n = sscanf(text, "%ld:%255[^\n]", &pid, host);
	gethostname(ours, sizeof(ours) - 1);
	return pid > 1 && (n == 1 ? is_local(fd) : strcmp(host, ours) == 0) ?
	    (pid_t)pid : 0;
}

/*
 * Open a lock to read it, and take its times and its holder. -1: it cannot be
 * read. It is looked at first, as some files must not be opened. Mode 0: none.
 */
static int
open_lock(struct dotlock *d, const char *lock, struct stat *st)
{
	int fd = -1;

	if (lstat(lock, st) == -1)
		st->st_mode = 0;
	else if (S_ISREG(st->st_mode)) {
		fd = open(lock, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		/* it may have been removed since: there is none, then */
		if (fd == -1 ? errno == ENOENT : fstat(fd, st) == -1)
			st->st_mode = 0;
	}
	d->holder = read_holder(fd);
	return fd;
}

/*
 * Whether a lock is nobody's. Who holds one touches it: so a process that seems
 * to be gone, but may live in another container, has some time for that. One
 * that lives may be stopped, or its host asleep, but not for ever: pids come
 * again. Ours may, too, and it holds no lock now. d->holder: by open_lock.
 */
static int
is_stale(const struct dotlock *d, const struct stat *st)
{
	struct stat ours;
	/* by the file system's clock, where we have a file there */
	time_t age = fstat(d->fd, &ours) == 0 ? ours.st_mtime : time(NULL);

	/* link(2) touches ctime alone */
	age -= st->st_mtime > st->st_ctime ? st->st_mtime : st->st_ctime;
	return S_ISREG(st->st_mode) && age >= (d->holder == 0 ? STALE_SECONDS :
	    d->holder == d->pid ||
	    (kill(d->holder, 0) == -1 && errno == ESRCH) ? GONE_SECONDS :
	    ALIVE_SECONDS);
}

/* Whether a name leads to the file that was looked at, not touched since. */
static int
is_still(const char *name, const struct stat *st)
{
	struct stat again;

	return lstat(name, &again) == 0 && is_same_file(&again, st) &&
	    is_same_time(again.st_mtim, st->st_mtim);
}

/*
 * Somebody's lock is in the way: remove it if it is stale. Whoever removes one
 * here holds flock(2) on it, so between the last look and unlink(2) its name
 * cannot come to mean a new lock of somebody who found the old one stale, too.
 * Where that cannot be had, it is moved onto our unique file, which nobody
 * else uses, looked at there, and put back if it was another.
 */
static void
clear_stale(struct dotlock *d, const char *lock, const char *unique)
{
	struct stat st;
	int fd = open_lock(d, lock, &st), has_flock = fd != -1 && is_local(fd);
	int stale = is_stale(d, &st);

	if (stale && has_flock && bsd_lock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    is_still(lock, &st))
		unlink(lock);
	if (stale && !has_flock && rename(lock, unique) == 0 &&
	    !is_still(unique, &st))
		(void)!link(unique, lock);
	close(fd);
}

/*
 * Say in the lock who holds it. liblockfile reads 16 octets into 16, so a long
 * host name is left out. On a full disk the file stays empty and is a lock all
 * the same: that is when people must be able to delete.
 */
static void
write_owner(const struct dotlock *d)
{
	char text[300], host[256] = "";
	int n;

	gethostname(host, sizeof(host) - 1);
	n = snprintf(text, sizeof(text), "%ld:%s", (long)d->pid, host);
	if (n > 15 || *host == '\0')
		n = snprintf(text, sizeof(text), "%ld\n", (long)d->pid);
	(void)!write(d->fd, text, (size_t)n);	/* !: gcc wants it used */
}

/*
 * Whether the lock is the file that we made. Not by its links: on NFS and FUSE
 * the unique name of an open file stays, under another name. Over NFS names are
 * remembered for a minute, but who opens their directory asks the server anew.
 */
static int
is_ours(const struct dotlock *d, const char *lock)
{
	struct stat ours, st;

	close(d->fd == -1 ? -1 : open(".", O_RDONLY | O_CLOEXEC));
	return fstat(d->fd, &ours) == 0 && lstat(lock, &st) == 0 &&
	    is_same_file(&ours, &st);
}

static void
dotlock_release(struct dotlock *d, const char *lock)
{
	int saved = errno;

	if (is_ours(d, lock))
		unlink(lock);
	close(d->fd);
	d->fd = -1;
	errno = saved;
}

/*
 * No file, or no link to it, can be made here, and e says why. Where the right,
 * the room or links are missing the kernel's locks must do: on a full disk
 * people must be able to delete. Somebody else's live lock counts, though.
 */
static char
without_lock(struct dotlock *d, const char *lock, int e)
{
	struct stat st;

	if (e != EACCES && e != EPERM && e != EROFS && e != ENOSPC &&
	    e != EDQUOT && e != EOPNOTSUPP && e != ENOSYS)
		return e == EEXIST ? DOT_BUSY : DOT_ERROR;
	close(open_lock(d, lock, &st));
	return st.st_mode == 0 || is_stale(d, &st) ? DOT_NONE : DOT_BUSY;
}

/*
 * Whether the mailbox's name still leads to the file that was opened: DOT_LOCK,
 * a lock may be taken, or kept. Else what to answer instead.
 */
static char
find_mailbox(const struct dotlock *d)
{
	struct stat st;

	if (lstat(d->name, &st) == -1)
		return errno == ENOENT ? DOT_GONE : DOT_ERROR;
	return is_same_file(&st, &d->file) && st.st_nlink == 1 ? DOT_LOCK :
	    DOT_GONE;
}

/*
 * A unique file is linked to the lock's name, which is atomic over NFS too;
 * there the answer of link(2) can be lost, so what counts is who is there.
 */
static char
dotlock_take(struct dotlock *d, const char *lock)
{
	char unique[64], answer = find_mailbox(d);
	int e;

	d->holder = 0;		/* what DOT_BUSY found outlives DOT_UNLOCK */
	if (answer != DOT_LOCK)
		return answer;
	snprintf(unique, sizeof(unique), ".pop3d.%ld.%ld", (long)d->pid,
	    (long)time(NULL));
	d->fd = open(unique, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (d->fd == -1)
		return without_lock(d, lock, errno);
	/* as long as we live nobody clears it, though we may be stopped */
	(void)bsd_lock(d->fd, LOCK_EX | LOCK_NB);
	write_owner(d);
	(void)fchmod(d->fd, 0644);	/* a lock that few can read is one */
	e = link(unique, lock) == -1 ? errno : EEXIST;
	if (is_ours(d, lock))
		answer = find_mailbox(d);
	else {
		clear_stale(d, lock, unique);
		errno = e;	/* for the log */
		answer = without_lock(d, lock, e);
	}
	unlink(unique);
	if (answer != DOT_LOCK)
		dotlock_release(d, lock);
	return answer;
}

char
dotlock_step(struct dotlock *d, char what)
{
	char lock[sizeof(d->name) + 8];

	snprintf(lock, sizeof(lock), "%s.lock", d->name);
	if (what == DOT_TOUCH) {
		futimens(d->fd, NULL);
		return is_ours(d, lock) ? DOT_TOUCH : DOT_GONE;
	}
	/* before DOT_LOCK, too: only one lock can be remembered */
	dotlock_release(d, lock);
	if (what == DOT_LOCK)
		return dotlock_take(d, lock);
	return DOT_UNLOCK;
}

/* ---- All locks ---- */

enum { SCAN_SECONDS = 600 };	/* under one lock: no client waits longer */

static enum mbox_result
fail(struct mbox *m, enum mbox_result r, const char *why)
{
	m->why = why;
	return r;
}

long long
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/*
 * Have the keeper do it, or do it here. A keeper whose user has stopped it does
 * not answer. It is not asked again, since a late answer would be taken for the
 * next one. It gives up the lock when it sees our end closed.
 */
static char
ask_dotlock(struct mbox *m, char what)
{
	struct dot_answer a;

	m->touched = time(NULL);
	if (m->keeper == NO_KEEPER)
		return dotlock_step(&m->dot, what);
	if (m->keeper != LOST_KEEPER && write(m->keeper, &what, 1) == 1 &&
	    read(m->keeper, &a, sizeof(a)) == sizeof(a)) {
		m->dot.holder = a.holder;
		errno = a.error;
		return a.what;
	}
	close(m->keeper);	/* if it is lost already, that does nothing */
	m->keeper = LOST_KEEPER;
	errno = ETIMEDOUT;
	return DOT_ERROR;
}

static void
unlock(struct mbox *m)
{
	int saved = errno;

	/* lockf counts from the file offset, which stays 0: see struct mbox.
	 * try_lock has blocked all signals, so none interrupts it. */
	(void)!lockf(m->fd, F_ULOCK, 0);
	(void)bsd_lock(m->fd, LOCK_UN);
	ask_dotlock(m, DOT_UNLOCK);
	m->locked = 0;
	sigprocmask(SIG_SETMASK, &m->mask, NULL);
	errno = saved;
}

/*
 * One attempt at all locks. The dotlock comes first, then fcntl's (which lockf
 * is), then flock's, the order of Debian's policy and of most delivery agents;
 * none is waited for while another is held, so no order of theirs can lock us
 * up. No signal ends the process while it holds a dotlock.
 */
static enum mbox_result
try_lock(struct mbox *m)
{
	enum mbox_result r = MBOX_BUSY;
	sigset_t all;
	char dot;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &m->mask);
	m->locked = 1;		/* from here on unlock undoes it */
	m->why = "mailbox locked by a dotlock";
	dot = ask_dotlock(m, DOT_LOCK);
	m->no_dotlock = dot == DOT_NONE;
	if (dot == DOT_GONE)
		r = fail(m, MBOX_GONE, "mailbox was replaced");
	else if (dot == DOT_ERROR)
		r = fail(m, MBOX_TEMP, "dotlock cannot be made");
	else if (dot != DOT_BUSY) {
		m->why = "mailbox locked by fcntl";
		if (lockf(m->fd, F_TLOCK, 0) == 0) {
			m->why = "mailbox locked by flock";
			m->late = clock_ms() + SCAN_SECONDS * 1000LL;
			if (bsd_lock(m->fd, LOCK_EX | LOCK_NB) == 0)
				return MBOX_OK;
		}
		if (errno != EAGAIN && errno != EACCES)
			r = fail(m, MBOX_TEMP, "mailbox cannot be locked");
	}
	unlock(m);
	return r;
}

static enum mbox_result
lock(struct mbox *m)
{
	long long end = clock_ms() + LOCK_SECONDS * 1000;
	enum mbox_result r;
	struct timespec t;
	size_t i;

	while ((r = try_lock(m)) == MBOX_BUSY && clock_ms() < end) {
		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_sec = 0;
		t.tv_nsec = 20000000 + (t.tv_nsec + m->dot.pid) % 180000000;
		nanosleep(&t, NULL);
	}
	for (i = 0; r == MBOX_GONE && i < m->n; i++)
		m->msg[i].gone = m->msg[i].unsure = 1;
	return r;
}

/* ---- The scan ---- */

/* Octets of a "From " line looked at. */
#ifndef FROM_MAX
#define FROM_MAX	1000
#endif

/* What a header line is to a unique-id and to the folder data. */
enum {
	RECEIVED = 1,		/* hashed, the first one */
	EARLY = 2,		/* hashed if before that */
	ALWAYS = 4,		/* hashed, unless it begins with a small x */
	MESSAGE_ID = 8,
	UNSTABLE = 16,		/* mail readers rewrite it */
	FOLDER = 32,		/* UW's and Dovecot's folder data has it, */
	SUBJECT = 64		/* and has this one */
};

static const struct {
	const char *start;	/* in the order of their first letters */
	int what;
} header_lines[] = {
	{ "Content-Length:", UNSTABLE }, { "Date:", EARLY },
	{ "Delivered-To:", ALWAYS }, { "Lines:", UNSTABLE },
	{ "Message-ID:", EARLY | MESSAGE_ID }, { "Received:", RECEIVED },
	{ "Status:", UNSTABLE },
	{ "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA",
	    SUBJECT },
	{ "X-Delivery-ID:", ALWAYS }, { "X-IMAP:", UNSTABLE | FOLDER },
	{ "X-IMAPbase:", UNSTABLE | FOLDER }, { "X-Keywords:", UNSTABLE },
	{ "X-Status:", UNSTABLE }, { "X-UID:", UNSTABLE }
};
#define N_HEADER_LINES	(sizeof(header_lines) / sizeof(*header_lines))

struct scan {
	struct mbox *m;
	enum { BEFORE, FROM, HEADER, BODY } state;
	int seen;		/* kinds of header lines, or'ed */
	int in_id, in_wide;	/* the header line under way is hashed */
	int end;		/* no more messages are wanted */
	enum mbox_result result;
	size_t first;		/* index of the first message of this scan */
	size_t found;		/* messages so far, the hidden one too */
	off_t start;		/* of the message: its "From " line */
	off_t size;		/* octets of it as sent, so far, */
	off_t header;		/* and of its header */
	int crlf;		/* its "From " line ends so */
	/*
	 * The ids of the list's last messages wait to be finished side by side.
	 * Under way are id[waiting], by popa3d's rule, and wide, by ours.
	 */
	size_t waiting;
	struct md5 id[LANES], wide;
};

static off_t
here(const struct mbox *m)
{
	return m->base + (off_t)(m->pos - MBOX_BEFORE);
}

static int
is_at_end(const struct mbox *m)
{
	return m->base + (off_t)(m->len - MBOX_BEFORE) >= m->octets;
}

/* Go to an offset with nothing read yet; before it, empty lines are seen. */
static void
go_to(struct mbox *m, off_t offset)
{
	memset(m->data, '\n', MBOX_BEFORE);
	m->base = offset;
	m->pos = m->len = MBOX_BEFORE;
}

/*
 * Whether our lock is still ours; it is touched, too, so that it does not look
 * stale. -1: somebody took it, as we were stopped or the host was asleep.
 */
static int
keep_lock(struct mbox *m)
{
	if (m->no_dotlock || ask_dotlock(m, DOT_TOUCH) == DOT_TOUCH)
		return 0;
	errno = EBUSY;
	return -1;
}

/* The same for long work: by a clock that goes on while the host is asleep. */
static int
touch(struct mbox *m)
{
	return m->locked && llabs((long long)(time(NULL) - m->touched)) >=
	    REFRESH_SECONDS ? keep_lock(m) : 0;
}

/*
 * Read on, up to the size the file had. What is not used yet and MBOX_BEFORE
 * octets in front of it are kept; behind the last octet stands a line end that
 * does not count. 1: there is more. 0: no room, or the end. -1: errno.
 */
static int
fill(struct mbox *m)
{
	size_t keep = m->len - m->pos, room = MBOX_BUFFER - keep;
	off_t at = here(m) + (off_t)keep;
	ssize_t n;

	memmove(m->data, m->data + m->pos - MBOX_BEFORE, MBOX_BEFORE + keep);
	m->base = at - (off_t)keep;
	m->pos = MBOX_BEFORE;
	m->len = MBOX_BEFORE + keep;
	room = (size_t)SMALLER((off_t)room, m->octets - at);
	touch(m);
	if (m->locked && clock_ms() > m->late) {
		errno = ETIMEDOUT;
		return -1;
	}
	n = room == 0 ? 0 : pread(m->fd, m->data + m->len, room, at);
	if (n > 0)
		m->len += (size_t)n;
	m->data[m->len] = '\n';	/* stops is_from and classify */
	return n > 0 ? 1 : (int)n;
}

/* Whether an empty line ends in front of p: LF, or CRLF where that counts. */
static int
is_after_empty(const unsigned char *p, int crlf)
{
	return p[-1] == '\n' &&
	    (p[-2] == '\n' || (crlf && p[-2] == '\r' && p[-3] == '\n'));
}

/*
 * Whether a date is at p: a month's three letters as a word, or 2020-01-31. Two
 * octets behind the line end are looked at: data has them.
 */
static int
is_date(const unsigned char *p)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const char digits[] = "0000-00-00";
	size_t i;

	for (i = 0; i < sizeof(months) - 1; i += 3)
		if (memcmp(p, months + i, 3) == 0)
			return !isalpha(p[3]);
	for (i = 0; i < 10 && (isdigit(p[i]) ? '0' : p[i]) == digits[i]; i++)
		;
	return i == 10;
}

/*
 * Whether a message can start at p: "From ", and in the first FROM_MAX octets
 * of the line a date and, behind it, a time of day, each behind a space. With
 * the time alone "From next Monday at 8:00 on" would be one.
 */
static int
is_from(const unsigned char *p)
{
	const unsigned char *t, *end;
	int dated = 0;

	if (memcmp(p, "From ", 5) != 0)
		return 0;
	if ((end = memchr(p, '\n', FROM_MAX)) == NULL)
		end = p + FROM_MAX;
	for (p += 4; (p = memchr(p, ' ', (size_t)(end - p))) != NULL; p++) {
		t = isdigit(p[2]) ? p + 3 : p + 2;
		if (!dated)
			dated = is_date(p + 1);
		else if (isdigit(p[1]) && *t == ':' && isdigit(t[1]) &&
		    isdigit(t[2]) && t + 2 < end)
			return 1;
	}
	return 0;
}

/* What the header line at p is; a line end stops it, at the latest. */
static int
classify(const unsigned char *p)
{
	int first = toupper(*p);
	size_t i;

	for (i = 0; i < N_HEADER_LINES && *header_lines[i].start <= first; i++)
		if (*header_lines[i].start == first &&
		    (header_lines[i].start[2] | 32) == (p[2] | 32) &&
		    strncasecmp((const char *)p, header_lines[i].start,
		    strlen(header_lines[i].start)) == 0)
			return header_lines[i].what;
	return 0;
}

/*
 * Hash a header line, or a piece of one, for two unique-ids at once: popa3d's,
 * so that a site can change over without mail being fetched again; and, until
 * Received or Message-ID says enough for that, one of all lines that no mail
 * reader changes.
 */
static void
hash_line(struct scan *s, const unsigned char *p, size_t len)
{
	int what = 0, received = s->seen & RECEIVED;

	/* else it is as the line it continues */
	if (p[-1] == '\n' && *p != ' ' && *p != '\t') {
		/* behind Received only Delivered-To and X-Delivery-ID count */
		if (!received || *p == 'D' || *p == 'd' || *p == 'X')
			what = classify(p);
		s->in_id = ((what & ALWAYS) && *p != 'x') ||
		    (!received && (what & (RECEIVED | EARLY)));
		s->seen |= what;
		s->in_wide = !(s->seen & (RECEIVED | MESSAGE_ID)) &&
		    !(what & UNSTABLE);
	}
	if (s->in_id)
		md5_update(&s->id[s->waiting], p, len);
	if (s->in_wide)
		md5_update(&s->wide, p, len);
}

static enum mbox_result
add_message(struct mbox *m, const struct message *new)
{
	size_t room = m->room + m->room / 4 + 64;
	struct message *more;

	if (m->n == m->room &&
	    (more = realloc(m->msg, room * sizeof(*more))) != NULL) {
		m->msg = more;
		m->room = room;
	}
	if (m->n == m->room)
		return fail(m, MBOX_TEMP, "mailbox is too long");
	if (m->n % 128 == 0 && m->room - m->n >= 128)
		have_pages(&m->msg[m->n], 128 * sizeof(*new));
	m->msg[m->n++] = *new;
	return MBOX_OK;
}

static void
finish_ids(struct scan *s)
{
	size_t i, first = s->m->n - s->waiting;

	md5_finish(s->id, s->waiting);
	for (i = 0; i < s->waiting; i++)
		s->m->msg[first + i].hash =
		    (uint64_t)s->id[i].state[0] << 32 | s->id[i].state[1];
	s->waiting = 0;
}

/*
 * The message ends here. Its size is what will be sent: all lines with CRLF,
 * without the empty line that belongs to the next "From ", but with the one
 * that ends the header, be it in the file or not.
 */
static void
end_message(struct scan *s)
{
	struct mbox *m = s->m;
	const unsigned char *p = m->data + m->pos;
	struct message new = { .offset = s->start, .size = s->size,
	    .length = here(m) - s->start, .crlf = (unsigned)s->crlf & 1 };
	char number[24];

	if (s->state != FROM && p[-1] != '\n')
		new.size += 2;
	if (s->state != BODY)
		s->header = new.size += 2;
	else if (new.size > s->header && is_after_empty(p, s->crlf))
		new.size -= 2;
	new.body = (uint32_t)(new.size - s->header);
	if (!(s->seen & (RECEIVED | MESSAGE_ID))) {
		snprintf(number, sizeof(number), "%lld",
		    (long long)(new.size - s->header));
		md5_update(&s->wide, number, strlen(number));
		s->id[s->waiting] = s->wide;
	}
	if (s->found++ == 0 && (s->seen & FOLDER) && (s->seen & SUBJECT) &&
	    !(s->seen & RECEIVED))
		return;
	s->result = add_message(m, &new);
	s->end = s->result != MBOX_OK;
	if (!s->end && ++s->waiting == LANES)
		finish_ids(s);
}

static void
begin_message(struct scan *s)
{
	if (s->state != BEFORE)
		end_message(s);
	if (s->m->n - s->first == MESSAGES_MAX)
		s->m->more = s->end = 1;
	s->state = FROM;
	s->start = here(s->m);
	s->size = 0;
	s->seen = s->in_id = s->in_wide = 0;
	md5_init(&s->id[s->waiting]);
	md5_init(&s->wide);
}

/*
 * Whether a message starts at the line at p. An empty CRLF line counts only
 * where the last message's "From " line ends so. Else a sender could forge one:
 * agents that quote "From " look for it behind LF LF alone.
 */
static int
is_start(const struct scan *s, const unsigned char *p)
{
	if (*p != 'F')
		return 0;
	if (s->state == BEFORE && s->found == 0)
		return memcmp(p, "From ", 5) == 0;
	return (s->state == BODY || s->state == BEFORE) &&
	    is_after_empty(p, s->crlf) && is_from(p);
}

/* Take a line of no body, or a piece of it; has_end: its end is there. */
static void
scan_line(struct scan *s, const unsigned char *p, size_t len, int has_end)
{
	const unsigned char *next = p + len;
	int is_empty = has_end && is_after_empty(next, 1);

	if (s->state == BEFORE && !is_empty) {
		errno = EINVAL;
		s->result = fail(s->m, MBOX_PERM, "mailbox is not an mbox");
		s->end = 1;
	} else if (s->state == FROM) {
		md5_update(&s->wide, p, len);
		s->size = 0;	/* it is not sent */
		s->crlf = next[-2] == '\r';
		if (has_end)
			s->state = HEADER;
	} else if (s->state == HEADER && is_empty) {
		s->state = BODY;
		s->header = s->size;
	} else if (s->state == HEADER)
		hash_line(s, p, len);
}

/*
 * Where the processor compares many octets at once, a body is taken in strides,
 * in half the time that lines take. A stride begins and ends wherever it does,
 * and becomes longer by a CR for each LF without. How many octets were taken: 0
 * where a line of the stride begins with F, since it may be a "From " line.
 */
#if defined(__GNUC__) && (defined(__SSE2__) || defined(__ARM_NEON))
typedef unsigned char row __attribute__((vector_size(16)));

static size_t
take_stride(struct scan *s, const unsigned char *p, size_t len)
{
	enum { STRIDE = 4 * sizeof(row) };
	row now, before, bare = { 0 }, from = { 0 };
	uint64_t sum[2], any[2];
	size_t i;

	if (s->state != BODY || len < STRIDE)
		return 0;
	for (i = 0; i < STRIDE; i += sizeof(row)) {
		memcpy(&now, p + i, sizeof(row));
		memcpy(&before, p + i - 1, sizeof(row));
		/* each octet of a row is compared, and true is -1 */
		bare -= (row)((now == '\n') & (before != '\r'));
		from |= (row)((now == 'F') & (before == '\n'));
	}
	memcpy(sum, &bare, sizeof(sum));
	memcpy(any, &from, sizeof(any));
	if ((any[0] | any[1]) != 0)
		return 0;
	/* the product's highest octet is the sum of eight octets */
	s->size += STRIDE + (off_t)((sum[0] + sum[1]) * 0x0101010101010101u
	    >> 56);
	return STRIDE;
}
#else
#define take_stride(s, p, len)	0
#endif

/*
 * Take the lines that are there. Of a line whose end is not there, wait for as
 * much as says what it is.
 */
static void
scan_lines(struct scan *s)
{
	struct mbox *m = s->m;
	const unsigned char *p = m->data + m->pos, *lf;
	size_t len;

	for (; !s->end; p += len, m->pos += len) {
		if ((len = take_stride(s, p, m->len - m->pos)) > 0)
			continue;
		len = m->len - m->pos;
		if ((lf = memchr(p, '\n', len)) != NULL)
			len = (size_t)(lf + 1 - p);
		else if (len == 0 || (len < FROM_MAX && !is_at_end(m)))
			return;
		if (is_start(s, p))
			begin_message(s);
		s->size += (off_t)len + (lf != NULL && lf[-1] != '\r');
		if (s->state != BODY)
			scan_line(s, p, len, lf != NULL);
	}
}

/* Remember what the file looks like before it is read. */
static enum mbox_result
take_figures(struct mbox *m)
{
	static const struct timespec tick = { 0, 20000000 };
	struct stat *st = &m->dot.file;
	struct timespec now;
	long long age, goal;

	m->octets = -1;
	if (fstat(m->fd, st) == -1)
		return fail(m, MBOX_TEMP, "mailbox cannot be read");
	m->octets = st->st_size;
	clock_gettime(CLOCK_REALTIME, &now);
	age = (now.tv_sec - st->st_ctim.tv_sec) * 1000LL +
	    (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
	if (age < 0)		/* the file system has a clock of its own */
		age = 0;
	/* wait until that clock ticks, so that it shows the next change */
	goal = st->st_mtim.tv_nsec == 0 && st->st_ctim.tv_nsec == 0 ? 2000 : 20;
	for (; age < goal; age += 20)
		nanosleep(&tick, NULL);
	m->young = age < 2000;
	return MBOX_OK;
}

/*
 * Append to the list the messages of the file from an offset to m->octets. If
 * that fails none are appended. crlf: of the message in front of them.
 */
static enum mbox_result
scan_from(struct mbox *m, off_t from, int crlf)
{
	struct scan s = { .m = m, .first = m->n, .found = from > 0,
	    .crlf = crlf };
	int r;

	go_to(m, from);
	/* what is_after_empty looks at: an empty line must be in front then */
	r = from == 0 || pread(m->fd, m->data + MBOX_BEFORE - 3, 3,
	    from - 3) == 3 ? 1 : -1;
	while (!s.end && r > 0 && (r = fill(m)) > 0)
		scan_lines(&s);
	if (r == -1 || (!s.end && !is_at_end(m)))
		s.result = fail(m, MBOX_TEMP, "mailbox cannot be read");
	else if (!s.end && s.state != BEFORE)
		end_message(&s);
	if (s.result == MBOX_OK)
		finish_ids(&s);
	else {
		m->n = s.first;
		m->octets = -1;
	}
	return s.result;
}

/* Append all messages of the file to the list. */
static enum mbox_result
scan(struct mbox *m)
{
	m->unseen = 0;
	return take_figures(m) == MBOX_OK ? scan_from(m, 0, 0) : MBOX_TEMP;
}

/* ---- Sorting, repeats and matching ---- */

/* The k-th octet of what is sorted by, the last one first. */
static unsigned
octet(const struct message *msg, unsigned k)
{
	return k < 4 ? msg->body >> 8 * k & 255 :
	    (unsigned)(msg->hash >> 8 * (k - 4)) & 255;
}

/*
 * An order of the list, by hash, or with by_body by hash and body; equal ones
 * stay as they were. Linear whatever strangers send, where a comparing sort or
 * a table of their hashes is not. To be freed; NULL without memory.
 */
static uint32_t *
sort_index(const struct message *msg, size_t n, int by_body)
{
	uint32_t *order = malloc((n + 1) * 2 * sizeof(*order));
	uint32_t *from, *to;
	size_t count[257], i;
	unsigned k;

	if (order == NULL)
		return NULL;
	for (i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (k = by_body ? 0 : 4; k < 12; k++) {
		from = order + k % 2 * n;
		to = order + (k + 1) % 2 * n;
		memset(count, 0, sizeof(count));
		for (i = 0; i < n; i++)
			count[octet(&msg[i], k) + 1]++;
		for (i = 0; i < 256; i++)
			count[i + 1] += count[i];
		for (i = 0; i < n; i++)
			to[count[octet(&msg[from[i]], k)]++] = from[i];
	}
	return order;	/* an even number of passes ends in the first half */
}

/* Number the messages of each hash, in mailbox order. */
static int
number(struct mbox *m)
{
	uint32_t *order = sort_index(m->msg, m->n, 0);
	struct message *msg, *last = NULL;
	size_t i;

	if (order == NULL)
		return -1;
	for (i = 0; i < m->n; i++, last = msg) {
		msg = &m->msg[order[i]];
		msg->ordinal = last != NULL && last->hash == msg->hash ?
		    (last->ordinal + 1U) & 0xffffff : 1;
	}
	free(order);
	return 0;
}

enum mbox_result
mbox_uid(struct mbox *m, size_t i, char uid[UID_OCTETS])
{
	const struct message *msg = &m->msg[i];

	if (msg->ordinal == 0 && number(m) == -1)
		return fail(m, MBOX_TEMP, "mailbox is too long");
	snprintf(uid, UID_OCTETS, "%016llx", (unsigned long long)msg->hash);
	if (msg->ordinal > 1)
		snprintf(uid + 16, UID_OCTETS - 16, "-%u", msg->ordinal);
	return MBOX_OK;
}

/*
 * order[0..n) is a group that nothing tells apart, messages of the old list
 * first. If it has fewer new ones than old ones that are there, nobody knows
 * which of these went: all count as gone. Else each takes the place of a new
 * one. How many new ones are left over. What is in front of hash is taken over;
 * crlf stays as it was: only recall asks, before any of this.
 */
static size_t
match_group(struct message *msg, size_t old, const uint32_t *order, size_t n)
{
	size_t i, known = 0, next = 0;

	for (; next < n && order[next] < old; next++)
		known += !msg[order[next]].gone;
	for (i = 0; known > n - next && i < next; i++)
		msg[order[i]].gone = 1;
	for (i = 0; i < n && order[i] < old; i++)
		if (!msg[order[i]].gone)
			memcpy(&msg[order[i]], &msg[order[next++]],
			    offsetof(struct message, hash));
	return n - next;
}

/*
 * Scan a changed file again and find the old messages in it. Numbers, ordinals
 * and marks stay as they were. One that is gone is unsure if a new one with its
 * hash is left over: that may be the same message with another body. Nobody
 * reorders a mailbox. If somebody did, what is out of order counts as gone, so
 * that offsets always ascend.
 */
static enum mbox_result
rescan(struct mbox *m)
{
	size_t old = m->n, all, i, k, first, left = 0;
	enum mbox_result r = scan(m);
	uint32_t *order;
	struct message *msg;
	off_t at = 0;

	all = m->n;
	m->n = old;
	if (r != MBOX_OK)
		return r;
	if ((order = sort_index(m->msg, all, 1)) == NULL) {
		m->octets = -1;
		return fail(m, MBOX_TEMP, "mailbox is too long");
	}
	for (i = first = 0; i < all; i = k) {
		msg = &m->msg[order[i]];
		for (k = i + 1; k < all && msg->hash == m->msg[order[k]].hash &&
		    msg->body == m->msg[order[k]].body; k++)
			;
		left += match_group(m->msg, old, order + i, k - i);
		if (k < all && msg->hash == m->msg[order[k]].hash)
			continue;
		for (; first < k; first++)
			m->msg[order[first]].unsure = left > 0;
		left = 0;
	}
	free(order);
	for (msg = m->msg; msg < m->msg + old; msg++) {
		if (!msg->gone && msg->offset < at)
			msg->gone = msg->unsure = 1;
		if (!msg->gone)
			at = msg->offset + msg->length;
	}
	return MBOX_OK;
}

static int
is_unchanged(const struct mbox *m)
{
	struct stat st;

	return fstat(m->fd, &st) == 0 && st.st_size == m->octets &&
	    is_same_time(st.st_mtim, m->dot.file.st_mtim) &&
	    is_same_time(st.st_ctim, m->dot.file.st_ctim);
}

/* Make the list true again if the file is not as it was. */
static enum mbox_result
renew(struct mbox *m)
{
	enum mbox_result r = MBOX_OK;

	if (!is_unchanged(m) && (r = lock(m)) == MBOX_OK) {
		r = rescan(m);
		unlock(m);
	}
	return r;
}

/* ---- The index: what a scan found, for the next login ---- */

/*
 * The head of the file. Behind it stands the list, as it is in memory; magic
 * says how that is, and gets another number when a scan finds something else.
 * Nothing in an index is trusted: it may be old, torn, or anybody's work.
 */
enum { MAGIC, SUM, COUNT, DEVICE, INODE, OCTETS, MODIFIED, MODIFIED_NS,
	CHANGED, CHANGED_NS, HEAD };
#define INDEX_MAGIC (0x706f703364310000u | sizeof(long) << 8 | \
	sizeof(struct message))

/* The head that goes with the list and the mailbox as they are. */
static void
describe(const struct mbox *m, uint64_t head[HEAD])
{
	const struct stat *st = &m->dot.file;
	const uint64_t now[HEAD] = { INDEX_MAGIC, 0, m->n,
	    (uint64_t)st->st_dev, st->st_ino, (uint64_t)m->octets,
	    (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
	    (uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec };
	const unsigned char *p = (const unsigned char *)m->msg;
	uint64_t word;
	size_t i;

	memcpy(head, now, sizeof(now));
	for (i = 0; i < m->n * sizeof(*m->msg); i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		head[SUM] = (head[SUM] ^ word) * 0x9e3779b97f4a7c15u;
		head[SUM] ^= head[SUM] >> 32;
	}
}

/*
 * Write the messages behind the first `from`, which the index has, and then the
 * head: until that is there, the old one is either true or its sum is wrong. If
 * it cannot be written, the next login scans again.
 */
static void
save(const struct mbox *m, size_t from)
{
	const struct message *list = from < m->n ? &m->msg[from] : NULL;
	size_t len = (m->n - from) * sizeof(*list);
	uint64_t head[HEAD];

	if (m->index == -1 || m->young || m->more)
		return;
	describe(m, head);
	(void)(pwrite(m->index, list, len, (off_t)(sizeof(head) +
	    from * sizeof(*list))) == (ssize_t)len &&
	    pwrite(m->index, head, sizeof(head), 0) == sizeof(head));
}

/* Read the list from behind the head, without marks: 0 if it can be none. */
static int
read_list(struct mbox *m, const uint64_t head[HEAD])
{
	size_t n = head[COUNT] <= MESSAGES_MAX ? (size_t)head[COUNT] : 0;
	struct message *msg = realloc(m->msg, (n + 64) * sizeof(*msg));
	off_t at = 0;

	if (msg == NULL)
		return 0;
	m->msg = msg;
	m->room = n + 64;
	have_pages(msg, n * sizeof(*msg));
	if (pread(m->index, msg, n * sizeof(*msg), HEAD * sizeof(*head)) !=
	    (ssize_t)(n * sizeof(*msg)))
		return 0;
	m->n = n;
	for (; msg < m->msg + n; at = msg->offset + msg->length, msg++) {
		if (msg->offset < at || msg->length < 5 ||
		    msg->length > m->octets - msg->offset || msg->size < 2 ||
		    msg->size / 2 - 2 > msg->length)
			return 0;
		msg->ordinal = msg->deleted = msg->gone = msg->unsure = 0;
	}
	return 1;
}

/*
 * Take the list from the index: as it is, if the mailbox is what it was. If
 * that has only grown, the last message and what follows are scanned: so it is
 * seen whether that one ended there. What is before it is seen again before it
 * is sent, and before UPDATE, as if the file were young.
 */
static int
recall(struct mbox *m)
{
	uint64_t head[HEAD], now[HEAD];
	struct message was;

	if (m->index == -1 || take_figures(m) != MBOX_OK ||
	    pread(m->index, head, sizeof(head), 0) != sizeof(head) ||
	    !read_list(m, head))
		return 0;
	describe(m, now);
	if (memcmp(head, now, OCTETS * sizeof(*head)) != 0)
		return 0;
	if (memcmp(head, now, sizeof(head)) != 0) {
		if (head[OCTETS] >= now[OCTETS] || m->n < 2)
			return 0;	/* the first one may be hidden */
		m->unseen = --m->n;
		was = m->msg[m->n];
		if (scan_from(m, was.offset, m->msg[m->n - 1].crlf) !=
		    MBOX_OK || m->n == m->unseen || m->n > MESSAGES_MAX ||
		    memcmp(&m->msg[m->unseen], &was, offsetof(struct message,
		    body) + sizeof(was.body)) != 0)
			return 0;
		save(m, m->unseen);
	}
	m->young = 1;
	return 1;
}

/* ---- Opening and reading ---- */

/* Whether a path is wrong, or forbidden: to wait does not help. */
static int
is_wrong_path(int e)
{
	return e == EACCES || e == EPERM || e == ELOOP || e == EISDIR ||
	    e == ENOTDIR || e == ENAMETOOLONG || e == ENXIO || e == EROFS;
}

/* Look at what was opened. */
static enum mbox_result
settle(struct mbox *m, const char *name, uid_t owner)
{
	struct stat *st = &m->dot.file;

	if (fstat(m->fd, st) == -1)
		return fail(m, MBOX_TEMP, "mailbox cannot be read");
	errno = 0;
	if (!S_ISREG(st->st_mode))
		return fail(m, MBOX_PERM, "mailbox is not a regular file");
	if (st->st_uid != owner)
		return fail(m, MBOX_PERM, "mailbox belongs to somebody else");
	if (st->st_nlink != 1)
		return fail(m, MBOX_PERM, "mailbox has more than one link");
	if (strlen(name) + sizeof(".lock") > sizeof(m->dot.name))
		return fail(m, MBOX_PERM, "mailbox has too long a name");
	snprintf(m->dot.name, sizeof(m->dot.name), "%s", name);
	m->dot.pid = getpid();
	return MBOX_OK;
}

enum mbox_result
mbox_open(struct mbox *m, const char *path, uid_t owner)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	char dir[PATH_OCTETS];
	int there;

	memset(m, 0, offsetof(struct mbox, data));
	m->keeper = NO_KEEPER;
	m->fd = m->dot.fd = m->index = -1;
	m->why = "";
	go_to(m, 0);
	/* where the locks are made; / alone counts, too */
	snprintf(dir, sizeof(dir), "%.*s", (int)(name - path), path);
	there = *path != '\0' && (*dir == '\0' || chdir(dir) == 0);
	if (there)
		m->fd = open(*name != '\0' ? name : ".", WARILY);
	if (m->fd != -1)
		return settle(m, name, owner);
	if (there && errno == ENOENT)
		return MBOX_OK;
	return fail(m, *path == '\0' || is_wrong_path(errno) ? MBOX_PERM :
	    MBOX_TEMP, "mailbox cannot be opened");
}

/* Only an index is written to: a new one has no octets, or begins with 0. */
void
mbox_index(struct mbox *m, const char *path, uid_t owner)
{
	uint64_t magic = 0;
	struct stat st;
	int fd = open(path, WARILY | O_CREAT, 0600);

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == owner &&
	    st.st_nlink == 1 && !is_same_file(&st, &m->dot.file) &&
	    pread(fd, &magic, sizeof(magic), 0) != -1 &&
	    (magic == 0 || (magic ^ INDEX_MAGIC) >> 16 == 0))
		m->index = fd;
	else
		close(fd);
}

enum mbox_result
mbox_load(struct mbox *m)
{
	enum mbox_result r = MBOX_OK;

	if (m->fd == -1 || (r = lock(m)) != MBOX_OK)
		return r;
	if (!recall(m)) {
		m->n = 0;
		if ((r = scan(m)) == MBOX_OK)
			save(m, 0);
	}
	unlock(m);
	return r;
}

/*
 * Read more of the current message, and look afterwards whether the file is
 * still the one that was scanned. If it is not, scan it again, and go on only
 * if the message has the same place, length and size: else -1.
 */
static int
read_on(struct mbox *m)
{
	const struct message was = m->msg[m->current], *is;
	off_t at = here(m);
	int r = fill(m);

	if (is_unchanged(m))
		return r > 0 ? 0 : -1;
	if (renew(m) != MBOX_OK)
		return -1;
	is = &m->msg[m->current];
	if (is->gone || memcmp(is, &was, offsetof(struct message, hash)) != 0)
		return -1;
	go_to(m, at);
	return 0;
}

int
mbox_read(struct mbox *m, const unsigned char **p, size_t *len)
{
	/* read_on leaves this as it is, or fails */
	off_t end = m->msg[m->current].offset + m->msg[m->current].length;
	off_t rest;
	size_t n;

	while ((rest = end - here(m)) > 0) {
		*p = m->data + m->pos;
		n = SMALLER(m->len - m->pos, PIECE_MAX);
		n = (size_t)SMALLER((off_t)n, rest);
		/* a CR may belong to a line end that is not here yet */
		if (n > 0 && (off_t)n < rest && (*p)[n - 1] == '\r')
			n--;
		m->pos += *len = n;
		if (n > 0)
			return 0;
		if (read_on(m) == -1)
			return -1;
	}
	*p = (const unsigned char *)"\n";
	*len = 1;
	return 0;
}

enum mbox_result
mbox_seek(struct mbox *m, size_t i)
{
	const struct message *msg;
	const unsigned char *p, *lf;
	enum mbox_result r;
	size_t len;

	if (i < m->unseen)
		m->octets = -1;	/* the file has changed since: scan it all */
	if ((r = renew(m)) != MBOX_OK)
		return r;
	msg = &m->msg[i];	/* not before: the list may have moved */
	if (msg->gone)
		return fail(m, MBOX_GONE, "message is not there any more");
	m->current = i;
	if (msg->offset >= m->base && msg->offset - m->base <=
	    (off_t)(m->len - MBOX_BEFORE))
		m->pos = MBOX_BEFORE + (size_t)(msg->offset - m->base);
	else
		go_to(m, msg->offset);
	do {
		if (mbox_read(m, &p, &len) == -1)
			return fail(m, MBOX_TEMP, "message cannot be read");
	} while ((lf = memchr(p, '\n', len)) == NULL);
	m->pos -= (size_t)(p + len - (lf + 1));
	return MBOX_OK;
}

/* ---- UPDATE ---- */

/*
 * The messages that stay are moved down over the deleted ones, window by
 * window, in place: other programs may have the file open. A window is as many
 * whole messages as WINDOW holds, at least one. At every instant each of them
 * is whole somewhere in the file, behind an empty line that counts:
 *
 * - A window that fits into the gap it moves over lands on deleted messages and
 *   on what is on disk already in its new place. Its source stays whole, and so
 *   do two octets in front of it, LF LF. (A CRLF that was there counts only
 *   behind a "From " line with CRLF, and that line lies in the gap.)
 * - A larger one would land on itself. So it is copied behind the end of the
 *   mail first, fsync, and only then moved from there, fsync. It moves down, so
 *   it cannot reach the next window. Before it moves, LF LF is put in front of
 *   what follows: CRLF does not count while the "From " line that makes it
 *   count is in pieces. LF LF takes the place of two octets that are deleted,
 *   or the window's last ones, which the copy has.
 * - The fsync after each move comes before anything is written over the source
 *   or the copy. The file is cut after the last of them.
 *
 * Agents append their mail right behind the last octet, so at every instant
 * what they append after a crash must be a message, too. The file ends as it
 * did, because what is moved lands in front of the end of what it was; or,
 * while there is a copy, with an empty line behind that, which is on disk
 * before the copy is begun; or, once it is cut, with the last one that stays.
 *
 * A crash leaves what is not moved yet twice, deleted mail, and pieces of both.
 * Somebody who writes to the file without asking for the lock makes it longer
 * than we did: then all behind the old end is one more window, carried along.
 * Between looking and cutting he can still lose; nobody can prevent that. One
 * who does it again and again ends the UPDATE, or the file would grow for ever.
 *
 * A full disk leaves no room for copies: windows are halved, and single
 * messages that still do not fit are moved without, one at a time, each on disk
 * before the next. A crash then costs one message, or what came since the
 * login, which counts as one. Where that was the last one and ended with CRLF,
 * what is delivered next may hang on the one before it. Without this, nobody
 * could delete on a full disk, and all new mail would be lost. Some file
 * systems need room even for octets that are there. So such a message is
 * written onto itself first: if that works, it can be moved.
 */
#ifndef WINDOW
#define WINDOW	(16 * 1024 * 1024)
#endif

enum { STRANGERS_MAX = 8 };	/* times that others may write without a lock */

/* How a step went: errno says why it FAILED, or what is FULL. */
enum outcome { DONE, GREW, FULL, FAILED };

struct update {
	struct mbox *m;
	off_t end;		/* of the mail; a copy starts here */
	off_t size;		/* the file's, as we made it */
	off_t limit;		/* octets of a window */
	int strangers;		/* times that others made the file longer */
};

/* A place in the file, with the list index of what is there or follows. */
struct place {
	size_t i;
	off_t at;
};

/*
 * Move p over deleted messages to the next stretch that stays: one message, or
 * what lies between two of the list. The octets of it, 0: there is none. Behind
 * the mail, those of the copy.
 */
static off_t
next_kept(const struct update *u, struct place *p)
{
	const struct message *msg;

	for (; p->i < u->m->n; p->i++) {
		msg = &u->m->msg[p->i];
		if (msg->gone || msg->offset + msg->length <= p->at)
			continue;
		if (msg->offset > p->at)
			return msg->offset - p->at;
		if (!msg->deleted)
			return msg->offset + msg->length - p->at;
		p->at = msg->offset + msg->length;
	}
	return (p->at > u->end ? u->size : u->end) - p->at;
}

/* The octets of the window at p, 0 if nothing is left; *end: where it ends. */
static off_t
measure(const struct update *u, struct place p, struct place *end)
{
	off_t len = 0, more;

	*end = p;
	while ((more = next_kept(u, &p)) > 0 &&
	    (len == 0 || len + more <= u->limit)) {
		len += more;
		p.at += more;
		*end = p;
	}
	return len;
}

/*
 * Read octets that stay, *len at most, from p on into the buffer behind the
 * have that are there. All that are there then, or 0: errno.
 */
static size_t
read_kept(struct update *u, struct place *p, off_t *len, size_t have)
{
	struct mbox *m = u->m;
	off_t want;
	ssize_t n;

	while (have < MBOX_BUFFER && *len > 0) {
		want = next_kept(u, p);
		want = SMALLER(want, *len);
		want = SMALLER(want, (off_t)(MBOX_BUFFER - have));
		errno = EIO;
		n = pread(m->fd, m->data + have, (size_t)want, p->at);
		if (n <= 0)
			return 0;
		have += (size_t)n;
		*len -= n;
		p->at += n;
	}
	return have;
}

/* After a short write, the next one tells why it was short. */
static int
write_all(int fd, const void *data, size_t len, off_t at)
{
	const char *p = data;
	ssize_t n;

	for (; len > 0; len -= (size_t)n, at += n, p += n) {
		errno = EIO;
		if ((n = pwrite(fd, p, len, at)) <= 0)
			return -1;
	}
	return 0;
}

/*
 * Have the window of len octets at p on disk at `to`, behind `have` line ends.
 * A block is read before it is written, and what is moved down never lands on
 * what is still to be read.
 */
static enum outcome
transfer(struct update *u, struct place p, off_t len, size_t have, off_t to)
{
	struct mbox *m = u->m;

	memset(m->data, '\n', have);
	for (; len > 0; to += (off_t)have, have = 0) {
		/* half a message without a copy would be lost for good */
		if ((have = read_kept(u, &p, &len, have)) == 0 ||
		    (touch(m) == -1 && !m->no_copy) ||
		    write_all(m->fd, m->data, have, to) == -1)
			return FAILED;
	}
	return fsync(m->fd) == -1 ? FAILED : DONE;
}

/* Have an empty line of LF alone end at an offset. */
static enum outcome
put_empty_line(struct update *u, off_t at)
{
	struct mbox *m = u->m;

	if (at <= u->size && pread(m->fd, m->data, 2, at - 2) == 2 &&
	    memcmp(m->data, "\n\n", 2) == 0)
		return DONE;
	if (write_all(m->fd, "\n\n", 2, at - 2) == -1)
		return FAILED;
	if (at > u->size)
		u->size = at;
	return fsync(m->fd) == -1 ? FAILED : DONE;
}

/*
 * Move a window that lands on itself, from its copy or, without one, from its
 * place. What follows is parted from it by LF LF first. Where no deleted octets
 * are in front of that, the window's own last ones are overwritten: the copy
 * has them, and without one they are put back afterwards.
 */
static enum outcome
land(struct update *u, struct place from, off_t len, struct place end, off_t to)
{
	struct mbox *m = u->m;
	struct place next = end;
	enum outcome r;
	off_t follows = next_kept(u, &next);
	char last[2] = { '\n', '\n' };

	if (follows > 0 && ((m->no_copy && pread(m->fd, last, 2,
	    end.at - 2) != 2) || put_empty_line(u, next.at) != DONE))
		return FAILED;
	r = transfer(u, from, len, 0, to);
	if (follows > 0 && next.at == end.at && memcmp(last, "\n\n", 2) != 0 &&
	    (write_all(m->fd, last, 2, (r == DONE ? to + len : end.at) - 2) ==
	    -1 || fsync(m->fd) == -1))
		r = FAILED;
	return r;
}

/*
 * Whether what failed may be cut off at the mail's end: nobody else has made
 * the file longer. A write that failed has done so over NFS, and what it left
 * out is zeros; nobody's mail begins with one.
 */
static int
is_our_end(struct update *u, off_t wanted)
{
	struct mbox *m = u->m;
	struct stat st;

	m->data[0] = '\0';
	return fstat(m->fd, &st) == 0 && st.st_size >= u->end &&
	    (st.st_size <= u->size || (st.st_size <= wanted &&
	    pread(m->fd, m->data, 1, u->size) != -1 && m->data[0] == '\0'));
}

/*
 * A copy of the window at *p behind the mail, and *p is there then. If that
 * fails, it is cut off again.
 */
static enum outcome
copy_window(struct update *u, struct place *p, off_t len)
{
	/* two octets from an even place on are written both or not at all */
	size_t line_ends = 2 + (size_t)((u->end + len) & 1);
	off_t end = u->end + (off_t)line_ends + len + 2;
	int saved;

	if (put_empty_line(u, end) == DONE &&
	    transfer(u, *p, len, line_ends, u->end) == DONE) {
		p->i = u->m->n;
		p->at = u->end + (off_t)line_ends;
		return DONE;
	}
	saved = errno;
	/* EBUSY: our lock is not ours, so nothing may be cut off */
	if (saved == EBUSY || !is_our_end(u, end)) {
		u->strangers++;
		return GREW;
	}
	if (ftruncate(u->m->fd, u->end) == -1)
		saved = EIO;
	u->size = u->end;
	errno = saved;
	return saved == ENOSPC || saved == EDQUOT ? FULL : FAILED;
}

/*
 * See whether the lock is still ours and the file as we made it. If that is
 * longer, all of that stays. At this point all that stays is whole.
 */
static enum outcome
look(struct update *u)
{
	struct stat st;

	if (keep_lock(u->m) == -1)
		return FAILED;
	if (fstat(u->m->fd, &st) == -1 || st.st_size < u->size) {
		errno = EIO;
		return FAILED;
	}
	if (st.st_size > u->size) {
		u->end = u->size = st.st_size;
		u->strangers++;
	}
	errno = EBUSY;
	return u->strangers > STRANGERS_MAX ? FAILED : DONE;
}

/* Move all that stays from p on down to `to`, and cut the file behind it. */
static enum outcome
compact(struct update *u, struct place p, off_t to)
{
	struct mbox *m = u->m;
	enum outcome r;
	struct place end;
	off_t one, len;

	while ((r = look(u)) == DONE) {
		one = next_kept(u, &p);
		if ((len = measure(u, p, &end)) == 0)
			return ftruncate(m->fd, to) == -1 ||
			    fsync(m->fd) == -1 ? FAILED : DONE;
		if (len > p.at - to - 2) {
			r = m->no_copy ? transfer(u, p, len, 0, p.at) :
			    copy_window(u, &p, len);
			if (r == DONE)
				r = land(u, p, len, end, to);
		} else if ((r = put_empty_line(u, p.at)) == DONE)
			r = transfer(u, p, len, 0, to);
		if (r == DONE) {
			to += len;
			p = end;
		} else if (r == FULL) {
			m->no_copy = u->limit < one;
			u->limit = m->no_copy ? 0 : u->limit / 2;
		} else if (r == FAILED)
			break;
	}
	return r;
}

/* Of what DELE named all is removed, or was before, or may be there. */
static enum mbox_result
count_removed(struct mbox *m)
{
	enum mbox_result r = MBOX_OK;
	const struct message *msg;

	for (msg = m->msg; msg < m->msg + m->n; msg++) {
		m->removed += msg->deleted && !msg->gone;
		if (msg->deleted && msg->gone && msg->unsure)
			r = fail(m, MBOX_GONE,
			    "a deleted message was not found again");
	}
	return r;
}

enum mbox_result
mbox_update(struct mbox *m)
{
	struct update u = { .m = m, .limit = WINDOW };
	struct place p = { 0, 0 };
	enum mbox_result r;
	size_t i, named = 0;

	for (i = 0; i < m->n; i++)
		named += m->msg[i].deleted;
	if (named == 0)
		return MBOX_OK;
	if ((r = lock(m)) != MBOX_OK)
		return r;
	if (!is_unchanged(m) || m->young)
		r = rescan(m);
	while (p.i < m->n && (m->msg[p.i].gone || !m->msg[p.i].deleted))
		p.i++;
	if (r == MBOX_OK && p.i < m->n) {
		p.at = m->msg[p.i].offset;
		u.end = u.size = m->octets;
		/* a crash may leave the mailbox moved, and its times as now */
		if (m->index != -1 && ftruncate(m->index, 0) != -1)
			(void)fsync(m->index);
		if (compact(&u, p, p.at) == FAILED)
			r = fail(m, MBOX_TEMP, "mailbox cannot be rewritten");
	}
	if (r == MBOX_OK)
		r = count_removed(m);
	m->octets = -1;
	unlock(m);
	return r;
}
