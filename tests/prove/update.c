/*
 * UPDATE, and the machine stops: every small mailbox, window, sector and failing
 * call, and every image that the disk may hold then. The real mbox_update of
 * mailbox.c works on a disk in memory, which keeps of each sector written since
 * the last fsync any version, and of the file any size it had. Nothing is
 * sampled.
 *
 * Of each image the real scan must list every message that was to stay, whole.
 * Then an agent appends a message at once, and that must be listed, too, unless
 * it would not have been before UPDATE, or after it; or the disk has the size of
 * the file and not yet what was written at its end.
 *
 * Assumed: a sector is written whole or not at all, has an even number of
 * octets, and is what it was until then. A sector whose fsync failed may stay
 * any of its versions, until it is written again. Two images of one mailbox
 * with the same sum of 64 bits are looked at once.
 *
 *	update [-l]	-l larger: minutes instead of seconds
 */
#if defined(__linux__)
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#endif

#define MBOX_BUFFER	1024
#include "../../pop3.h"

static ssize_t sim_pread(int, void *, size_t, off_t);
static ssize_t sim_pwrite(int, const void *, size_t, off_t);
static int sim_fsync(int);
static int sim_ftruncate(int, off_t);
static int sim_fstat(int, struct stat *);
static ssize_t sim_write(int, const void *, size_t);
static ssize_t sim_read(int, void *, size_t);
static time_t sim_time(void);
static int sim_clock(struct timespec *);

/* Messages are as short as can be, so lines and blocks are, too. */
static off_t window_octets;
static size_t buffer_octets;
#define WINDOW			window_octets
#undef MBOX_BUFFER
#define MBOX_BUFFER		buffer_octets
#define FROM_MAX		20
#define pread			sim_pread
#define pwrite			sim_pwrite
#define fsync			sim_fsync
#define ftruncate		sim_ftruncate
#define fstat(fd, st)		sim_fstat(fd, st)
#define read			sim_read
#define write			sim_write
#define close(fd)		((void)(fd))
#define time(t)			((void)(t), sim_time())
#define clock_gettime(id, t)	((void)(id), sim_clock(t))
#define nanosleep(t, left)	((void)(t))
#define lockf(fd, how, len)	((void)(fd), 0)
#define flock(fd, how)		((void)(fd), (void)(how), 0)
#define fstatfs(fd, s)		((void)(fd), (s)->f_type = 0, 0)
#define sigprocmask(how, s, old) ((void)(s), (void)(old))
/* Memory that is there already; to say so took a quarter of the time. */
#define madvise(p, len, how)	((void)(p), (void)(len), 0)
#ifndef MAILBOX
#define MAILBOX			"../../mailbox.c"
#endif
#include MAILBOX
#undef pread
#undef pwrite
#undef read
#undef write
#undef close
#undef time

enum { DISK = 4096, SECTOR_MIN = 4, SECTOR_MAX = 16, VERSIONS = 24,
	SECTORS = DISK / SECTOR_MIN, SIZES = 64, PARTS = 5, STRANGERS = 20,
	ALL = PARTS + STRANGERS, CACHE = 1 << 20, IMAGES_MAX = 1 << 22,
	CALLS_MAX = 1000 };

/* ---- Mailboxes ---- */

enum role { KEEP, DELETE, UNSEEN };	/* unseen: not in the session's list */
enum ends { LF, CRLF, MIXED };	/* mixed: CRLF behind "From ", then LF */

static struct part {
	enum role role;
	enum ends ends;
	size_t body;		/* octets of it; 0: none */
	unsigned char text[80];
	size_t len;
	int stretch;		/* what is moved as one, on a full disk */
	int certain;		/* it is on disk; this is a stranger's */
	int message;		/* it was one when it came */
} part[ALL];
static size_t nparts, nstrangers;
static int open_end;		/* 1: no empty line at the end; 2: no line end */

static unsigned char was[DISK], want[DISK];
static size_t was_size, want_size;
static uint64_t serial;		/* of the mailbox */
static struct mbox box, judge_box;

static void
add_text(struct part *p, const char *text)
{
	size_t len = strlen(text);

	memcpy(p->text + p->len, text, len);
	p->len += len;
}

/* Message number i, in which each stretch of letters is its own. */
static void
write_part(struct part *p, int letter, int open)
{
	static const char *const from[] = { "\n", "\r\n", "\r\n" };
	static const char *const other[] = { "\n", "\r\n", "\n" };
	char text[40];
	size_t i;

	p->len = 0;
	snprintf(text, sizeof(text), "From %c Jan 1:00", letter);
	add_text(p, text);
	add_text(p, from[p->ends]);
	if (p->body == 0 && open > 0)
		return;
	add_text(p, other[p->ends]);
	if (p->body == 0)
		return;
	for (i = 0; i < p->body; i++)
		text[i] = (char)letter;
	text[i] = '\0';
	add_text(p, text);
	if (open < 2)
		add_text(p, other[p->ends]);
	if (open < 1)
		add_text(p, other[p->ends]);
}

/* ---- The disk ---- */

static void give_up(const char *);
#include "../disk.h"

enum event { NONE, EIO_ONCE, EIO_AFTER_HALF, EIO_ON, EIO_LONGER, ONE_OCTET,
	HALF, NO_ROOM, NO_ROOM_SYNC, NO_ROOM_LONGER, COPIES, LOST, NO_READ, NO_LOOK,
	STRANGER, STRANGER_ON, EVENTS };
static const char *const event_names[] = { "none", "EIO once", "half, then EIO",
	"EIO on", "EIO and longer", "one octet", "half", "full", "full at fsync",
	"full and longer", "copies", "lock lost", "no read", "no look",
	"stranger", "strangers on" };

static struct plan {
	enum event what;
	size_t at;
} plan[2];
static int running, spilled;	/* a write was not in one sector */
static size_t reads, looks, asks, chances, unasked;
static int lost;		/* the lock; and fsyncs behind that */
static time_t now_seconds;
static const unsigned char *view;	/* what is read */
static size_t view_size;

static unsigned long nmailboxes, nruns, nimages, nscans;

static void
show_text(const unsigned char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		printf(p[i] == '\n' ? "\\n" : p[i] == '\r' ? "\\r" :
		    p[i] == '\0' ? "." : "%c", p[i]);
	printf("\n");
}

/* What went wrong, with all that is needed to see it again; and the end. */
static void
complain(const char *what, const unsigned char *image, size_t size)
{
	static const char roles[] = "kdu";
	static const char *const ends[] = { "", "c", "m" };
	size_t i;

	printf("update: %s\nmailbox:", what);
	for (i = 0; i < nparts; i++)
		printf(" %c%lu%s", roles[part[i].role],
		    (unsigned long)part[i].len, ends[part[i].ends]);
	printf(", open end %d, window %ld, buffer %lu, sector %lu; %s at %lu, "
	    "%s at %lu, call %lu, no_copy %d\nbefore: ", open_end,
	    (long)window_octets, (unsigned long)buffer_octets,
	    (unsigned long)sector, event_names[plan[0].what],
	    (unsigned long)plan[0].at, event_names[plan[1].what],
	    (unsigned long)plan[1].at, (unsigned long)fault.calls, box.no_copy);
	show_text(was, was_size);
	printf("image:  ");
	show_text(image, size);
	printf("0%%: Checks: 1, Failures: 1, Errors: 0\n");
	exit(1);
}

static void
give_up(const char *what)
{
	complain(what, disk.now, disk.size);
}

/* ---- What an image is worth ---- */

struct verdict {
	uint64_t key;
	uint32_t missing;	/* parts that are not messages of it */
	int shut;		/* what is appended to it is no message */
};
static struct verdict cache[CACHE];

static const char agent[] = "From z Jan 3:00\n\nz\n\n";

static uint32_t
list_missing(const unsigned char *p, size_t size)
{
	const struct message *m;
	uint32_t missing = 0;
	size_t i, k;

	view = p;
	view_size = size;
	judge_box.fd = judge_box.keeper = 1;
	judge_box.index = -1;
	nscans++;
	if (mbox_load(&judge_box) != MBOX_OK)
		return UINT32_MAX;
	for (i = 0; i < nparts + nstrangers; i++) {
		for (k = 0; k < judge_box.n; k++) {
			m = &judge_box.msg[k];
			if ((size_t)m->length >= part[i].len &&
			    memcmp(p + m->offset, part[i].text, part[i].len) ==
			    0)
				break;
		}
		if (k == judge_box.n)
			missing |= (uint32_t)1 << i;
	}
	return missing;
}

/* A scan goes from left to right, so what is appended hides nothing. */
static void
judge_anew(struct verdict *v, unsigned char *p, size_t size)
{
	const size_t len = sizeof(agent) - 1;
	const struct message *last;
	int saved = running, buffer = (int)buffer_octets;
	uint32_t with;

	running = 0;
	buffer_octets = 1000;
	memcpy(p + size, agent, len);
	with = list_missing(p, size + len);
	last = &judge_box.msg[judge_box.n - 1];
	v->shut = judge_box.n == 0 || last->offset != (off_t)size ||
	    last->length != (off_t)len;
	v->missing = with;
	if (v->shut || with != 0)
		v->missing = list_missing(p, size);
	v->shut |= (with & ~v->missing) != 0;
	running = saved;
	buffer_octets = (size_t)buffer;
	view = disk.now;
}

/* Without the cache, which does not know it. */
static struct verdict
judge_copy(const unsigned char *p, size_t size)
{
	static unsigned char image[DISK + sizeof(agent)];
	struct verdict v;

	memcpy(image, p, size);
	judge_anew(&v, image, size);
	return v;
}

static const struct verdict *
judge(uint64_t key, unsigned char *p, size_t size)
{
	struct verdict *v = &cache[key % CACHE];

	nimages++;
	if (v->key != key) {
		v->key = key;
		judge_anew(v, p, size);
	}
	return v;
}

/*
 * The parts that must be there: a stranger's, once it is on disk for sure; on a
 * full disk, where a message is moved without a copy, in the end only.
 */
static uint32_t
list_demanded(int all)
{
	uint32_t d = 0;
	size_t i;

	for (i = 0; i < nparts + nstrangers; i++)
		if (i < nparts ? part[i].role != DELETE : part[i].message &&
		    (all || (part[i].certain && !box.no_copy)))
			d |= (uint32_t)1 << i;
	return d;
}

/* On a full disk, without copies, a crash may cost what is moved as one. */
static int
is_one_stretch(uint32_t missing)
{
	int stretch = -1;
	size_t i;

	for (i = 0; i < nparts + nstrangers; i++) {
		if (!(missing >> i & 1))
			continue;
		if (stretch != -1 && part[i].stretch != stretch)
			return 0;
		stretch = part[i].stretch;
	}
	return 1;
}

static void
demand(const struct verdict *v, const unsigned char *p, size_t size,
    const unsigned char *end, int all)
{
	uint32_t missing = v->missing & list_demanded(all);

	if (missing != 0 && !(box.no_copy && is_one_stretch(missing)))
		complain("mail is lost", p, size);
	/* what is lost so may have been what made a CRLF at the end count */
	if (v->shut && !may_be_shut(p, size, end) && !(box.no_copy &&
	    missing != 0 && part[nparts - 1].ends != LF))
		complain("an agent's mail is no message, or hides one", p,
		    size);
}

/* With the k-th of the sizes, every choice of versions. clean: see below. */
static void
try_versions(size_t k, uint64_t clean, uint64_t sums[SECTORS][VERSIONS])
{
	static unsigned char image[DISK + sizeof(agent)];
	size_t which[SECTORS] = { 0 }, size = disk.sizes[k].size, i;
	uint64_t key;

	put_synced(image);
	do {
		put_versions(image, which);
		memset(image + size, 0, disk.most + sizeof(agent) - size);
		key = sum(serial + size, NULL, 0) ^ clean;
		for (i = 0; i < disk.ndirty; i++)
			key ^= sums[disk.dirty[i]][which[i]];
		demand(judge(key, image, size), image, size,
		    disk.sizes[k].end, 0);
	} while (next_choice(which));
}

/* Pull the plug: every image that may be left then. */
static void
pull_the_plug(void)
{
	static uint64_t sums[SECTORS][VERSIONS];
	size_t images = disk.nsizes, i, k;
	uint64_t clean = 0;	/* the sum of what has one version */

	if (nstrangers > 1 && plan[0].what == STRANGER_ON)
		return;		/* then only the end is looked at */
	list_dirty();
	for (i = 0; i * sector < disk.most; i++) {
		for (k = 0; k < disk.s[i].n; k++)
			sums[i][k] = sum(i + 1, disk.s[i].version[k], sector);
		if (disk.s[i].n == 1)
			clean ^= sums[i][0];
		if ((images *= disk.s[i].n) > IMAGES_MAX)
			give_up("too many images");
	}
	for (k = 0; k < disk.nsizes; k++)
		try_versions(k, clean, sums);
}

/* ---- The calls ---- */

static int
strikes(enum event what, size_t at, int on)
{
	int i;

	for (i = 0; running && i < 2; i++)
		if (plan[i].what == what && (on ? at >= plan[i].at :
		    at == plan[i].at))
			return 1;
	return 0;
}

static size_t
shorten(size_t len)
{
	if (strikes(ONE_OCTET, fault.calls, 0))
		return 1;
	return strikes(HALF, fault.calls, 0) ||
	    strikes(EIO_AFTER_HALF, fault.calls, 0) ? len / 2 : len;
}

/* Whether a part is in no list; what a stranger hangs on an open end is not. */
static int
is_unlisted(size_t i)
{
	return i >= nparts || part[i].role == UNSEEN ||
	    (i == nparts - 1 && nstrangers > 0 && before.open);
}

/* What is moved as one on a full disk: a message, or all between two. */
static void
find_stretches(void)
{
	size_t i;

	for (i = 0; i < nparts + nstrangers; i++)
		part[i].stretch = i > 0 && is_unlisted(i) &&
		    is_unlisted(i - 1) ? part[i - 1].stretch : (int)i;
}

/* The next part is a stranger's, behind all there is. */
static void
bring_stranger(void)
{
	struct part *p = &part[nparts + nstrangers];
	int shut = judge_copy(disk.now, disk.size).shut;
	size_t i, k;

	memset(p, 0, sizeof(*p));
	p->body = 1;
	write_part(p, 'A' + (int)nstrangers, 0);
	p->message = !shut;
	if (++nstrangers == STRANGERS)
		give_up("it does not end");
	find_stretches();
	fault.limit += fault.limit > 0 ? p->len : 0;
	/* where it was cut before, that comes first; this is not ours to prove */
	for (i = k = 0; i < disk.nsizes; i++)
		if (disk.sizes[i].size <= disk.size)
			disk.sizes[k++] = disk.sizes[i];
	disk.nsizes = k;
	put_on_disk(p->text, p->len, disk.size, 1);
}

/*
 * He may come before any call. But before the file is made longer or is cut,
 * nobody can save what he brings then.
 */
static void
meet_stranger(void)
{
	if (running && strikes(STRANGER, ++chances, 0))
		bring_stranger();
}

static int
sim_fstat(int fd, struct stat *st)
{
	(void)fd;
	memset(st, 0, sizeof(*st));
	if (running) {
		looks++;
		meet_stranger();
		if (strikes(STRANGER_ON, looks, 1))
			bring_stranger();
		view_size = disk.size;
		errno = EIO;
		if (strikes(NO_LOOK, looks, 0))
			return -1;
	}
	st->st_mode = S_IFREG;
	st->st_nlink = 1;
	st->st_size = (off_t)view_size;
	return 0;
}

static ssize_t
sim_pread(int fd, void *p, size_t len, off_t at)
{
	size_t n = view_size > (size_t)at ? view_size - (size_t)at : 0;

	(void)fd;
	if (running) {
		/* over NFS a failed write is looked at so before it is cut */
		if (!fault.longer)
			meet_stranger();
		n = disk.size > (size_t)at ? disk.size - (size_t)at : 0;
		errno = EIO;
		if (strikes(NO_READ, ++reads, 0))
			return -1;
	}
	if (n > len)
		n = len;
	memcpy(p, view + at, n);
	return (ssize_t)n;
}

/*
 * Without the lock only a window that has no copy is brought to its end: it is
 * written onto itself, and then moved; with CRLF, what follows it is parted from
 * it before, and its own end put back afterwards.
 */
static void
check_lock(void)
{
	int crlf = 0;
	size_t i;

	for (i = 0; i < nparts; i++)
		crlf |= part[i].ends != LF;
	if (lost > (!box.no_copy ? 0 : crlf ? 4 : 2))
		give_up("it goes on without its lock");
}

/* In front of each call that changes the file. */
static void
note_call(void)
{
	if (fault.calls == CALLS_MAX)
		give_up("it does not end");
	/* what was cut short before now says why */
	if (spilled && strikes(EIO_AFTER_HALF, fault.calls, 0)) {
		fault.fail_at = fault.calls + 1;
		fault.fail_until = fault.calls + 2;
	}
}

static ssize_t
sim_pwrite(int fd, const void *p, size_t len, off_t where)
{
	size_t at = (size_t)where, end = at + len;

	(void)fd;
	if ((plan[0].what == LOST || plan[1].what == LOST) && lost == 0 &&
	    ++unasked > 2)
		give_up("the lock is not refreshed");
	check_lock();
	if (len > buffer_octets)
		give_up("more than the buffer holds");
	note_call();
	spilled = !is_one_sector(at, len);
	len = take_write(at, len);
	if (len == 0 && fault.grows && end > disk.size) {
		fault.longer = 1;
		lengthen(end);
	} else if (len == 0 || at + len <= disk.size)
		meet_stranger();
	if (len == 0) {
		errno = fault.error;
		return -1;
	}
	put_on_disk(p, len, at, 0);
	return (ssize_t)len;
}

static int
sim_fsync(int fd)
{
	size_t i;
	int failing;

	(void)fd;
	meet_stranger();
	note_call();
	failing = is_sync_failing(disk.size);
	lost += lost > 0;
	pull_the_plug();
	if (failing) {
		for (i = 0; i * sector < disk.most; i++)
			disk.s[i].stuck = disk.s[i].n > 1;
		errno = fault.error;
		return -1;
	}
	/* else his may be among what the failed one left out */
	if (sync_disk())
		for (i = nparts; i < nparts + nstrangers; i++)
			part[i].certain = 1;
	return 0;
}

static int
sim_ftruncate(int fd, off_t size)
{
	size_t i;

	(void)fd;
	check_lock();
	note_call();
	if (is_failing())
		return -1;
	pull_the_plug();
	cut_disk((size_t)size);
	i = ((size_t)size + sector - 1) / sector;
	for (; i * sector < disk.most; i++) {
		fault.room += fault.own[i];
		fault.own[i] = 0;
	}
	return 0;
}

/* The keeper. */
static char asked;

static ssize_t
sim_write(int fd, const void *p, size_t len)
{
	(void)fd;
	memcpy(&asked, p, 1);
	return (ssize_t)len;
}

static ssize_t
sim_read(int fd, void *p, size_t len)
{
	struct dot_answer a = { .what = asked };

	(void)fd;
	if (running && asked == DOT_TOUCH)
		asks++;
	unasked = 0;
	if (strikes(LOST, asks, 1) && asked == DOT_TOUCH) {
		a.what = DOT_GONE;
		lost += lost == 0;
	}
	len = len < sizeof(a) ? len : sizeof(a);
	memcpy(p, &a, len);
	return (ssize_t)len;
}

/* A clock that hurries where the lock is to be asked for often. */
static time_t
sim_time(void)
{
	if (plan[0].what == LOST || plan[1].what == LOST)
		now_seconds += REFRESH_SECONDS;
	return now_seconds;
}

static int
sim_clock(struct timespec *t)
{
	t->tv_sec = 1000000;
	t->tv_nsec = 0;
	return 0;
}

/* ---- Runs ---- */

/* These need not end well. */
static int
may_fail(void)
{
	enum event e;
	int i;

	for (i = 0; i < 2; i++) {
		e = plan[i].what;
		/* what a stranger stands behind cannot be cut off again */
		if (e == NO_ROOM_SYNC || e == NO_ROOM_LONGER) {
			if (nstrangers > 0)
				return 1;
		} else if (e != NONE && e != ONE_OCTET && e != HALF &&
		    e != NO_ROOM && e != STRANGER)
			return 1;
	}
	return 0;
}

/* Room enough to copy any stretch, with all line ends. */
static size_t
most_room(void)
{
	size_t len[ALL] = { 0 }, i, m = 0;

	for (i = 0; i < nparts + nstrangers; i++)
		if (i >= nparts || part[i].role != DELETE)
			len[part[i].stretch] += part[i].len;
	for (i = 0; i < ALL; i++)
		if (len[i] > m)
			m = len[i];
	return m + 5;
}

static void
check_end(enum mbox_result r)
{
	struct verdict v = judge_copy(disk.now, disk.size);
	size_t i;

	pull_the_plug();
	if (box.no_copy && nstrangers == 0 && (plan[0].what == NO_ROOM ||
	    plan[0].what == NO_ROOM_LONGER) && plan[0].at >= most_room())
		give_up("there was room for a copy");
	/* as nobody has pulled the plug: not even without a copy */
	box.no_copy = 0;
	demand(&v, disk.now, disk.size, NULL, 1);
	for (i = nparts; i < nparts + nstrangers; i++)
		if (!has(disk.now, disk.size, (char *)part[i].text))
			give_up("a stranger's mail is lost");
	if (r != MBOX_OK) {
		if (!may_fail())
			give_up("it failed");
		return;
	}
	for (i = 0; i < nparts; i++)
		if (part[i].role == DELETE && !(v.missing >> i & 1) &&
		    (nstrangers == 0 || !before.open))
			give_up("a deleted message is there");
	if (nstrangers > 0)
		return;
	if (disk.size != want_size || disk.nsizes > 1 ||
	    memcmp(disk.now, want, want_size) != 0)
		give_up("not what should be left");
	for (i = 0; i * sector < disk.size; i++)
		if (disk.s[i].n > 1)
			give_up("it is not on disk");
}

/* Have the calls go wrong; the other events are seen to where they come. */
static void
arrange(enum event what, size_t at)
{
	memset(&fault, 0, sizeof(fault));
	fault.error = what >= NO_ROOM && what <= COPIES ? ENOSPC : EIO;
	if (what == EIO_ONCE || what == EIO_ON || what == EIO_LONGER) {
		fault.fail_at = at;
		fault.fail_until = what == EIO_ON ? SIZE_MAX : at + 1;
	}
	if (what >= NO_ROOM && what <= NO_ROOM_LONGER)
		fault.limit = was_size + at;
	fault.at_sync = what == NO_ROOM_SYNC;
	fault.grows = what == EIO_LONGER || what == NO_ROOM_LONGER;
	fault.copies = what == COPIES;
	fault.room = at;
}

static void
run(enum event a, size_t at, enum event b, size_t bt)
{
	static struct message list[PARTS];
	enum mbox_result r;
	size_t i;

	nruns++;
	plan[0].what = a;
	plan[0].at = at;
	plan[1].what = b;
	plan[1].at = bt;
	reads = looks = asks = chances = nstrangers = 0;
	spilled = lost = 0;
	arrange(a, at);
	make_disk(was, was_size);
	find_stretches();
	view = disk.now;
	view_size = disk.size;
	memcpy(list, box.msg, box.n * sizeof(*list));
	box.octets = (off_t)was_size;
	box.no_copy = 0;
	box.removed = 0;
	i = box.n;
	running = 1;
	r = mbox_update(&box);
	running = 0;
	box.n = i;
	check_end(r);
	memcpy(box.msg, list, box.n * sizeof(*list));
}

static int large;

/* Each event at each place where it can be, found from a run without. */
static void
run_all(void)
{
	size_t places[EVENTS], k, l, e;

	run(NONE, 0, NONE, 0);
	for (e = EIO_ONCE; e <= HALF; e++)
		places[e] = fault.calls + 1;
	places[NO_ROOM] = places[NO_ROOM_SYNC] = places[NO_ROOM_LONGER] =
	    disk.most - was_size + 1;
	places[COPIES] = disk.most / sector + 2;
	places[NO_READ] = reads;
	places[NO_LOOK] = looks;
	places[STRANGER_ON] = looks + 1;
	places[STRANGER] = chances + 1;
	run(LOST, 1000, NONE, 0);
	places[LOST] = asks;
	for (e = EIO_ONCE; e < EVENTS; e++)
		for (k = e >= NO_ROOM && e <= COPIES ? 0 : 1; k <= places[e]; k++) {
			run((enum event)e, k, NONE, 0);
			for (l = 1; ((large && nparts == 2) || e == LOST || (e == NO_ROOM &&
			    (k == 0 || k == 9))) && e != STRANGER_ON &&
			    l <= places[STRANGER] + 1; l++)
				run((enum event)e, k, STRANGER, l);
		}
	for (l = 1; l <= places[LOST] + 9; l++)
		run(NO_ROOM, 0, LOST, l);
}

/* Put the parts together, and have the session see them. */
static int
make_mailbox(void)
{
	struct verdict v;
	size_t i, k;

	was_size = want_size = nstrangers = 0;
	for (i = 0; i < nparts; i++) {
		write_part(&part[i], 'a' + (int)i, i + 1 < nparts ? 0 :
		    open_end);
		memcpy(was + was_size, part[i].text, part[i].len);
		was_size += part[i].len;
		if (part[i].role == DELETE)
			continue;
		memcpy(want + want_size, part[i].text, part[i].len);
		want_size += part[i].len;
	}
	serial = (uint64_t)++nmailboxes * 0x9e3779b97f4a7c15u;
	v = judge_copy(was, was_size);
	if (v.missing != 0)
		return 0;	/* where one ends is not what was meant */
	before = (struct ending){ was_size, v.shut };
	v = judge_copy(want, want_size);
	after = (struct ending){ want_size, v.shut };
	if ((v.missing & list_demanded(0)) != 0)
		return 0;
	view = was;
	view_size = was_size;
	buffer_octets = 1000;
	box.fd = box.keeper = 1;
	box.index = -1;
	if (mbox_load(&box) != MBOX_OK || box.n != nparts)
		return 0;
	for (k = 0; k < box.n; k++) {
		box.msg[k].deleted = part[k].role == DELETE;
		box.msg[k].gone = part[k].role == UNSEEN;
	}
	return 1;
}

/* own: part k has the k-th body; else each has any. Line ends: from, to. */
static const struct size {
	size_t parts;
	int own;
	enum ends from, to;
	size_t bodies[8];
	size_t sectors[4];
	off_t windows[4];
} small[] = {
	{ 2, 0, LF, MIXED, { 1, 2, 8 }, { 8 }, { 1 } },
	{ 3, 0, LF, LF, { 2 }, { 8 }, { 1, 1000 } },
	{ 3, 0, CRLF, CRLF, { 2 }, { 8 }, { 1, 1000 } }
}, big[] = {
	{ 2, 0, LF, MIXED, { 1, 2, 3, 8 }, { 16 }, { 1 } },
	{ 3, 0, LF, MIXED, { 2 }, { 8 }, { 1, 1000 } },
	{ 3, 1, LF, LF, { 2, 9, 20 }, { 8 }, { 1 } },
	{ 4, 1, CRLF, CRLF, { 1, 2, 1, 1 }, { 8 }, { 1 } }
};

/* Part k and those behind it, in every way. */
static void
choose(const struct size *s, size_t k)
{
	int role, ends, i, w;

	if (k == s->parts) {
		nparts = k;
		for (open_end = 0; open_end < 3; open_end++)
			for (i = 0; i < 4 && s->sectors[i] != 0; i++) {
				sector = s->sectors[i];
				if (!make_mailbox())
					continue;
				for (w = 0; w < 4 && s->windows[w] != 0; w++) {
					window_octets = s->windows[w];
					buffer_octets = w > 0 ? 1000 : 24;
					run_all();
				}
			}
		return;
	}
	/* nothing in front of the first deleted one is touched */
	if (k == 2 && part[0].role != DELETE && part[1].role != DELETE)
		return;
	for (role = KEEP; role <= UNSEEN; role++)
		for (ends = (int)s->from; ends <= (int)s->to; ends++)
			for (i = 0; i < 8 && (i == 0 || s->bodies[i] != 0);
			    i++) {
				part[k].role = (enum role)role;
				part[k].ends = (enum ends)ends;
				part[k].body = s->bodies[i];
				if (!s->own || i == (int)k)
					choose(s, k + 1);
			}
}

int
main(int argc, char **argv)
{
	const struct size *s = small;
	size_t n = sizeof(small) / sizeof(*small), i;

	if ((large = argc > 1 && strcmp(argv[1], "-l") == 0)) {
		s = big;
		n = sizeof(big) / sizeof(*big);
	}
	for (i = 0; i < n; i++) {
		choose(&s[i], 0);
		printf("update: up to %lu messages: %lu mailboxes, %lu runs, "
		    "%lu images, %lu looked at\n", (unsigned long)s[i].parts,
		    nmailboxes, nruns, nimages, nscans);
		fflush(stdout);
	}
	printf("100%%: Checks: %lu, Failures: 0, Errors: 0\n", (unsigned long)n);
	return 0;
}
