/*
 * UPDATE under every kind of failure: the process is killed at any call and in
 * the middle of any write, the machine loses power with any of the sectors not
 * yet on disk, the disk is full or broken, and somebody writes without locking.
 *
 * The file is in memory, and the calls that change it are recorded. What it
 * looks like when the n-th call is never reached follows from the record, so
 * one run of UPDATE gives all images of all crashes. Each image is looked at
 * twice: by a search for the octets of every message that had to stay, which
 * knows nothing of mailbox.c, and by the next session. Then an agent delivers
 * a message to it, in each of the ways agents have, and all is looked at again.
 *
 * ROUNDS in the environment says how many random images and mailboxes are
 * tried; the default takes some seconds. FEWER=3 leaves out two plans of three,
 * and as many random ones.
 */
#include <sys/types.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static ssize_t note_pwrite(int, const void *, size_t, off_t);
static int note_fsync(int);
static int note_ftruncate(int, off_t);
static int note_fstat(int, struct stat *);
static ssize_t note_pread(int, void *, size_t, off_t);

/* Small, so that a mailbox of a few kilobytes has many windows and blocks. */
static off_t window_octets;
static size_t messages_max;
#define WINDOW		window_octets
#define MESSAGES_MAX	messages_max
#define MBOX_BUFFER	1024
#define pread		note_pread
#define pwrite		note_pwrite
#define fsync		note_fsync
#define fdatasync	note_fsync
#define ftruncate	note_ftruncate
#define fstat(fd, st)	note_fstat(fd, st)
/* Nobody else is here: a scan need not wait until the clock has ticked. */
#define nanosleep(t, left)	((void)(t))
#include "../mailbox.c"
#include "real.h"

/* After it: Check's macro fail would hide a function. */
#include <check.h>
#include "suite.h"

enum {
	SECTOR_MAX = 512,	/* a disk writes it whole or not at all */
	DISK_MAX = 80 * 1024,
	DISK = DISK_MAX + SECTOR_MAX,
	SECTORS = DISK / SECTOR_MAX,
	VERSIONS = 40,		/* of a sector between two fsyncs */
	SIZES = 400,
	PARTS_MAX = 40,
	OPS_MAX = 2000,
	CALLS_MAX = 600,	/* that an UPDATE of these mailboxes may take */
	SEEN_MAX = 1 << 17	/* images remembered */
};

struct image {
	size_t size;
	unsigned char data[DISK_MAX];
};

/* ---- Mailboxes ---- */

struct part {
	size_t at, len;
	char kind;		/* the first letter of its word */
	int keep;		/* must survive */
	int wide;		/* its unique-id depends on its length */
	uint64_t hash;
};

struct scene {
	const char *name;
	struct part part[PARTS_MAX];
	size_t n;
	size_t max;		/* messages that are shown, 0: all */
	size_t scanned;		/* octets before the first late part */
	struct image was;	/* before UPDATE */
	struct image want;	/* after it */
	uint64_t sum;		/* of both */
};

/*
 * A mailbox in words: one for each message, in order. The first letter: k is
 * kept, d deleted, h the folder data, a appended between the scan and UPDATE, s
 * put there between them in the place of another one, which is gone then.
 * Then its octets in the file. Then, if wanted: c lines end with CRLF, u the
 * last line has no end, e no empty line behind it, w neither Received nor
 * Message-ID, b no body. An n in front stands for an empty line at the start.
 */
static const struct plan {
	const char *name, *words;
	off_t window;
	size_t max;
} plans[] = {
	{ "window smaller than the gap", "k300 d3000 k400 k500 k600", 2000, 0 },
	{ "window larger than the gap", "k300 d200 k700 k800 k900", 2000, 0 },
	{ "the first goes", "d200 k700 k800 k900", 2000, 0 },
	{ "the first of all goes, small windows", "d300 k300 k310 k320 k330 "
	    "k340 k350", 350, 0 },
	{ "one window holds all", "d250 k700 k800 k900 k1000", 100000, 0 },
	{ "several gaps", "k200 d300 k400 d250 k900 k350 d1000 k300 d200 k2000 "
	    "k220", 1500, 0 },
	{ "every second goes", "d300 k310 d320 k330 d340 k350 d360 k370 d380 "
	    "k390", 800, 0 },
	{ "one huge message", "d200 k20000 k300", 2000, 0 },
	{ "a huge one goes", "k200 d9000 k2000 k300", 2000, 0 },
	{ "crlf", "k300c d200c k700c k800c d210c k900c", 1600, 0 },
	{ "crlf and lf", "d300c k300 k310c d320 k330c k340", 700, 0 },
	{ "lf behind crlf that goes", "d3000c k400 k500 k600", 900, 0 },
	{ "an unterminated end", "k200 d200 k700 k800u", 1000, 0 },
	{ "an unterminated end with crlf", "d200c k700c k800cu", 1000, 0 },
	{ "an unterminated end goes", "k200 d200 k700 d800u", 1000, 0 },
	{ "no empty line at the end", "k200 d200 k700 k800e", 1000, 0 },
	{ "all go", "d300 d400 d500", 2000, 0 },
	{ "only the last goes", "k300 k400 d500", 2000, 0 },
	{ "all but the folder data", "h400 d300 d500", 2000, 0 },
	{ "behind the folder data", "h400 d300 k800 k500", 600, 0 },
	{ "appended behind the scan", "k300 d200 k500 a600 a700", 700, 0 },
	{ "all go, and new mail comes", "d300 d400 a600", 2000, 0 },
	{ "the last goes, and new mail comes", "k300 d2000 a600", 2000, 0 },
	{ "more than are shown", "k300 d200 k400 d500 k600 d300 k700 d400 k200",
	    700, 4 },
	{ "more than are shown, all of them go", "d200 d210 d220 k800 k900",
	    1000, 3 },
	{ "empty lines in front", "n n d300 k500 k600", 700, 0 },
	{ "without a body", "d250b k240b k230b d220b k210b k400", 300, 0 },
	{ "unique-ids of the whole header", "d300w k310w k800w d400w k900wu",
	    900, 0 },
	{ "a sector each", "d512 k512 k512 k512 k512", 1024, 0 },
	{ "small ones behind a large one", "d200 k1500 k210 k220 k230 "
	    "k240 k250", 5000, 0 },
	{ "changed by others", "d200 k300 s400 d300 s800 k500 d200 s300 d300",
	    900, 0 },
	{ "windows that grow", "d200 k250 k500 d180 k900 k800 d200 k2000 k2100",
	    900, 0 },
	{ "lf behind crlf that goes, behind lf", "k532c d300c d331 k2202c d568c "
	    "k885 d674c k225c k408c k374u", 1500, 0 },
	{ "lf right behind crlf, behind lf", "d300 k900c k700 d210 k800c k850c "
	    "k400 k600c d300c k350 k500cu", 800, 0 },
	{ "lf in front, all else crlf", "d300 k900c k700c d210c k800c k850c "
	    "k400c k600c d300c k350c", 800, 0 }
};
enum { NPLANS = sizeof(plans) / sizeof(plans[0]) };

static struct scene scene;

#define give_up(what)	ck_abort_msg("%s: %s", scene.name, what)
#include "disk.h"

/*
 * Where sessions have an index, files are old enough for one, and each call
 * that changes the mailbox is a second later than the one before.
 */
static int with_index;
static int had_index;		/* UPDATE's session has written one */
static time_t stamp;		/* the mailbox's time */
static struct image old_index;	/* what the disk may have of UPDATE's session */

/* Images that were looked at, and what was found. */
static struct seen {
	uint64_t key;
	size_t missing;
	size_t refused;		/* ways in which no mail can be delivered */
} seen[SEEN_MAX];

static uint32_t dice = 1;

static unsigned
roll(unsigned sides)
{
	dice = dice * 1664525 + 1013904223;
	return (dice >> 8) % sides;
}

static unsigned
rounds(void)
{
	return setting("ROUNDS", 1 + 24 / setting("FEWER", 1));
}

/* Text at an octet of a file that has such line ends: the octet behind it. */
static size_t
put_text(unsigned char *p, size_t at, const char *text, const char *eol)
{
	for (; *text != '\0'; text++)
		if (*text == '\n') {
			memcpy(p + at, eol, strlen(eol));
			at += strlen(eol);
		} else
			p[at++] = (unsigned char)*text;
	return at;
}

/* A message of exactly len octets whose lines are nobody else's. */
static void
make_message(unsigned char *p, size_t len, unsigned serial, const char *flags)
{
	const char *eol = strchr(flags, 'c') != NULL ? "\r\n" : "\n";
	const char *end = strchr(flags, 'u') != NULL ? "" :
	    strchr(flags, 'e') != NULL ? "\n" : "\n\n";
	size_t i, body = len - strlen(end) * strlen(eol), column = 0;
	char text[512], received[64] = "";

	if (strchr(flags, 'w') == NULL)
		snprintf(received, sizeof(received),
		    "Received: by example.org id %08u\n", serial);
	snprintf(text, sizeof(text), "From u%u@example.org Mon Nov 23 "
	    "10:%02u:00 2026\n%sSubject: %u%s", serial, serial % 60,
	    *flags == 'h' ? "Subject: DON'T DELETE THIS MESSAGE -- FOLDER "
	    "INTERNAL DATA\nX-IMAP: 1234567890 0000000009\n" : received,
	    serial, strchr(flags, 'b') != NULL ? "" : "\n\n");
	i = put_text(p, 0, text, eol);
	ck_assert_msg(i < body, "no room for message %u", serial);
	for (; i < body; i++) {
		if (i + 70 < len && column > 20 + roll(45)) {
			/* lines that look like the start of a message */
			snprintf(text, sizeof(text), "\n%s%s",
			    roll(3) == 0 ? "\n" : "",
			    roll(4) == 0 ? "From here on " : "");
			i = put_text(p, i, text, eol) - 1;
			column = 0;
			continue;
		}
		p[i] = (unsigned char)('a' + roll(26));
		column++;
	}
	put_text(p, body, end, eol);
}

/* Nothing of an image counts behind its size. */
static void
copy_image(struct image *to, const struct image *from)
{
	to->size = from->size;
	memcpy(to->data, from->data, from->size);
}

static void
append(struct image *to, const void *p, size_t len)
{
	ck_assert(to->size + len <= DISK_MAX);
	memcpy(to->data + to->size, p, len);
	to->size += len;
}

static void
add_part(struct scene *s, const char *word)
{
	struct part *new = &s->part[s->n];
	size_t shown = 0, i;

	ck_assert(s->n < PARTS_MAX);
	memset(new, 0, sizeof(*new));
	for (i = 0; i < s->n; i++)
		shown += s->part[i].kind != 'h' && s->part[i].kind != 'a';
	new->kind = *word;
	new->wide = strchr(word, 'w') != NULL;
	new->keep = *word != 'd' || (s->max > 0 && shown >= s->max);
	new->at = s->was.size;
	new->len = (size_t)atol(word + 1);
	ck_assert(s->was.size + new->len <= DISK_MAX);
	make_message(s->was.data + s->was.size, new->len, (unsigned)s->n + 1,
	    word);
	s->was.size += new->len;
	if (new->kind != 'a')
		s->scanned = s->was.size;
	if (new->keep)
		append(&s->want, s->was.data + new->at, new->len);
	s->n++;
}

/* An empty line has LF or CRLF behind a line end; none need be at the start. */
static int
is_behind_empty_line(const struct image *im, size_t at)
{
	const unsigned char *p = im->data;

	return at == 0 || (p[at - 1] == '\n' && (at == 1 ||
	    p[at - 2] == '\n' || (p[at - 2] == '\r' && (at == 2 ||
	    p[at - 3] == '\n'))));
}

/* ---- The calls, and the record of them ---- */

/* The mailbox, and which descriptor it is. The file of that name is empty. */
static struct image file;
static int box_fd = -1;

/* What a scan is shown in its place, or NULL; nothing is open then. */
static const struct image *shown;

struct op {
	enum what { WRITE, CUT, SYNC, NO_SYNC } kind;
	size_t at, len;
	unsigned char *data;
	int foreign;		/* somebody else's */
};

/* What was done, and what others do. */
static struct run {
	int on;
	int pieces;		/* writes are short, and nothing is wrong */
	size_t foreign_at;	/* somebody appends behind this call, */
	size_t looks_at;	/* or before this look at the file, and */
	size_t looks_until;	/* those behind it */
	size_t looks, strangers;	/* so far */
	int no_copy;
	size_t n;
	struct op op[OPS_MAX];
} run;

/* Do what op did, or only the first len octets of it. */
static void
apply(struct image *to, const struct op *op, size_t len)
{
	if ((op->kind == WRITE && len > 0) || op->kind == CUT) {
		ck_assert_uint_le(op->at + len, DISK_MAX);
		/* a hole */
		if (op->at > to->size)
			memset(to->data + to->size, 0, op->at - to->size);
		if (op->kind == CUT || to->size < op->at + len)
			to->size = op->at + len;
		memcpy(to->data + op->at, op->data, len);
	}
}

static void
reset_run(void)
{
	while (run.n > 0)
		free(run.op[--run.n].data);
	unlink("box.lock");	/* a test that failed in UPDATE left it */
	memset(&run, 0, sizeof(run));
	memset(&fault, 0, sizeof(fault));
}

/* Do it, and remember it if UPDATE is what is looked at. */
static void
record(enum what kind, size_t at, const void *p, size_t len, int foreign)
{
	struct op *op = &run.op[run.n];

	ck_assert_uint_lt(run.n, OPS_MAX - 1);
	*op = (struct op){ kind, at, len, malloc(len + 1), foreign };
	ck_assert_ptr_nonnull(op->data);
	if (len > 0)
		memcpy(op->data, p, len);
	apply(&file, op, len);
	if (run.on)
		run.n++;
	else
		free(op->data);
}

/* The k-th mail that others bring. */
static const char *
make_foreign(size_t k)
{
	static char text[] =
	    "From nolock@example.org Mon Nov 23 11:11:11 2026\n"
	    "Received: from somewhere else\n\nI know no locks.\n\n";

	text[5] = (char)('a' + k / 26);
	text[6] = (char)('a' + k % 26);
	return text;
}

static void
write_foreign(void)
{
	const char *text = make_foreign(run.strangers++);

	record(WRITE, file.size, text, strlen(text), 1);
}

/* One of UPDATE's calls is over, and was this. */
static void
note_call(enum what kind, size_t at, const void *p, size_t len)
{
	record(kind, at, p, len, 0);
	if (run.on && fault.calls == run.foreign_at)
		write_foreign();
}

static size_t
shorten(size_t len)
{
	return run.pieces ? 1 + roll((unsigned)len) : len;
}

static ssize_t
note_pwrite(int fd, const void *p, size_t len, off_t offset)
{
	size_t at = (size_t)offset, end = at + len;

	if (fd != box_fd)
		return pwrite(fd, p, len, offset);
	ck_assert_uint_le(len, MBOX_BUFFER);
	if (run.on && (len = take_write(at, len)) == 0) {
		/* over NFS the file may be longer for it */
		if (fault.grows && end > file.size) {
			fault.longer = 1;
			record(CUT, end, NULL, 0, 0);
		}
		errno = fault.error;
		return -1;
	}
	note_call(WRITE, at, p, len);
	return (ssize_t)len;
}

static int
note_fsync(int fd)
{
	struct stat st;
	int failed;

	if (fd != box_fd && run.on && run.n == 0 && fstat(fd, &st) == 0 &&
	    st.st_size == 0)
		old_index.size = 0;	/* it is gone for good */
	if (fd != box_fd || !run.on)
		return 0;
	failed = is_sync_failing(file.size);
	note_call(failed ? NO_SYNC : SYNC, 0, NULL, 0);
	errno = fault.error;
	return failed ? -1 : 0;
}

static int
note_ftruncate(int fd, off_t size)
{
	if (fd != box_fd)
		return ftruncate(fd, size);
	if (run.on && is_failing())
		return -1;
	note_call(CUT, (size_t)size, NULL, 0);
	return 0;
}

static ssize_t
note_pread(int fd, void *p, size_t len, off_t at)
{
	const struct image *im = shown != NULL ? shown : &file;
	size_t left;

	if (fd != box_fd)
		return pread(fd, p, len, at);
	left = (size_t)at < im->size ? im->size - (size_t)at : 0;
	if (len > left)
		len = left;
	memcpy(p, im->data + at, len);
	return (ssize_t)len;
}

/* Without an index others may just have been at the mailbox, at any look. */
static int
note_fstat(int fd, struct stat *st)
{
	if (run.on && fd == box_fd && ++run.looks >= run.looks_at &&
	    run.looks < run.looks_until)
		write_foreign();
	memset(st, 0, sizeof(*st));
	if (shown == NULL && fstat(fd, st) == -1)
		return -1;
	if (fd != box_fd)
		return 0;
	st->st_size = (off_t)(shown != NULL ? shown : &file)->size;
	clock_gettime(CLOCK_REALTIME, &st->st_mtim);
	if (with_index) {
		st->st_mtim.tv_sec = stamp + (run.on ? (time_t)run.n : 0);
		st->st_mtim.tv_nsec = 1;
	}
	st->st_ctim = st->st_mtim;
	return 0;
}

/* ---- Sessions ---- */

static void
read_index(void)
{
	int fd = open("index", O_RDONLY);
	ssize_t n;

	ck_assert_int_ne(fd, -1);
	n = read(fd, old_index.data, DISK_MAX);
	ck_assert(n >= 0 && n < DISK_MAX);
	old_index.size = (size_t)n;
	close(fd);
}

static void
write_index(void)
{
	int fd = open("index", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, old_index.data, old_index.size),
	    (ssize_t)old_index.size);
	close(fd);
}

/* The file that is there is opened as a session does. */
static void
enter_session(struct mbox *m)
{
	ck_assert_int_eq(mbox_open(m, "box", getuid()), MBOX_OK);
	box_fd = m->fd;
	if (with_index)
		mbox_index(m, "index", getuid());
}

/* And read, in which so many messages are shown, or all. */
static void
load(struct mbox *m, size_t max)
{
	messages_max = max > 0 ? max : 1000000;
	enter_session(m);
	ck_assert_msg(mbox_load(m) == MBOX_OK, "%s: %s", scene.name, m->why);
}

static void
set_scene(const char *words, off_t window, size_t max)
{
	static struct mbox m;
	struct scene *s = &scene;
	char copy[512], *word;
	size_t i, k;

	reset_run();
	memset(s, 0, sizeof(*s));
	s->name = words;
	s->max = max;
	window_octets = window;
	snprintf(copy, sizeof(copy), "%s", words);
	for (word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		if (*word == 'n') {
			append(&s->was, "\n", 1);
			append(&s->want, "\n", 1);
		} else
			add_part(s, word);
	before.size = s->was.size;
	before.open = !is_behind_empty_line(&s->was, s->was.size);
	after.size = s->want.size;
	after.open = !is_behind_empty_line(&s->want, s->want.size);
	s->sum = sum(sum(1, s->was.data, s->was.size), s->want.data,
	    s->want.size);
	copy_image(&file, &s->was);
	load(&m, 0);
	for (i = k = 0; i < s->n; i++) {
		if (s->part[i].kind == 'h')
			continue;
		ck_assert_uint_lt(k, m.n);
		ck_assert_int_eq(m.msg[k].offset, (off_t)s->part[i].at);
		ck_assert_int_eq(m.msg[k].length, (off_t)s->part[i].len);
		s->part[i].hash = m.msg[k++].hash;
	}
	ck_assert_uint_eq(k, m.n);
	mbox_close(&m);
}

/* One session: load, mark, QUIT. */
static enum mbox_result
update_scene(void)
{
	static struct mbox m;
	const struct scene *s = &scene;
	enum mbox_result r;
	struct stat st;
	size_t i, k;

	unlink("index");
	old_index.size = 0;
	stamp = 1000;
	copy_image(&file, &s->was);
	file.size = s->scanned;
	for (i = 0; i < s->n; i++)
		if (s->part[i].kind == 's')
			memset(file.data + s->part[i].at + 60, 'x', 40);
	load(&m, s->max);
	for (i = k = 0; i < s->n && k < m.n; i++) {
		if (s->part[i].kind == 'h')
			continue;
		ck_assert_int_eq(m.msg[k].offset, (off_t)s->part[i].at);
		m.msg[k++].deleted = !s->part[i].keep;
	}
	if (with_index)
		read_index();
	had_index = old_index.size > 0;
	/* it is another one if others were at it */
	for (i = 0; i < s->n; i++)
		stamp += s->part[i].kind == 's' || s->part[i].kind == 'a';
	copy_image(&file, &s->was);
	run.on = 1;
	r = mbox_update(&m);
	run.on = 0;
	run.no_copy = m.no_copy;
	mbox_close(&m);
	ck_assert_msg(stat("box", &st) == 0 && st.st_size == 0,
	    "%s: the file changed behind the test's back", s->name);
	ck_assert_int_eq(access("box.lock", F_OK), -1);
	return r;
}

/* ---- What an image is worth ---- */

/* Whether nothing, or another message, follows on the octet at at. */
static int
is_clean_end(const struct image *im, size_t at)
{
	while (at < im->size && (im->data[at] == '\n' || im->data[at] == '\r'))
		at++;
	return at == im->size || (im->size - at >= 5 &&
	    memcmp(im->data + at, "From ", 5) == 0);
}

static size_t worst_hung;	/* messages at once with something behind */

/* How many of the messages that must stay are not whole in the image. */
static size_t
count_missing(const struct image *im, const struct mbox *m)
{
	const struct scene *s = &scene;
	const struct part *part;
	size_t i, k, hung = 0, missing = 0;
	const unsigned char *p, *end = im->data + im->size;
	int whole, clean, listed;

	for (i = 0; i < s->n; i++) {
		part = &s->part[i];
		if (!part->keep)
			continue;
		whole = clean = listed = 0;
		for (p = im->data; (size_t)(end - p) >= part->len; p++) {
			p = memchr(p, 'F', (size_t)(end - p) - part->len + 1);
			if (p == NULL)
				break;
			k = (size_t)(p - im->data);
			if (memcmp(p, s->was.data + part->at, part->len) != 0 ||
			    !is_behind_empty_line(im, k))
				continue;
			whole = 1;
			clean |= is_clean_end(im, k + part->len);
		}
		for (k = 0; k < m->n; k++)
			if (m->msg[k].offset + (off_t)part->len <=
			    (off_t)im->size &&
			    memcmp(im->data + m->msg[k].offset, s->was.data +
			    part->at, part->len) == 0 &&
			    (m->msg[k].hash == part->hash || (part->wide &&
			    m->msg[k].length != (off_t)part->len)))
				listed = 1;
		missing += !whole || (!listed && part->kind != 'h');
		hung += whole && !clean;
	}
	if (hung > worst_hung)
		worst_hung = hung;
	return missing;
}

/* Locks are left out, for they take most of the time. */
static enum mbox_result
scan_image(const struct image *im, struct mbox *m)
{
	enum mbox_result r;

	messages_max = 1000000;
	m->fd = box_fd;
	m->index = -1;
	m->n = 0;
	shown = im;
	r = scan(m);
	shown = NULL;
	return r;
}

/* As the next session finds it: how many messages are lost; no mbox: all. */
static size_t
load_image(const struct image *im, struct mbox *m)
{
	return scan_image(im, m) == MBOX_OK ? count_missing(im, m) :
	    scene.n + 1;
}

/*
 * Agents append "From " at once (procmail, maildrop, exim), with a line end
 * first (dovecot-lda), or with an empty line. None of them looks what is there.
 * In how many of the first of these ways what they bring is no message of its
 * own, or takes another one away.
 */
static size_t
deliver(const struct image *im, size_t ways)
{
	static const char *const fronts[] = { "", "\n", "\n\n" };
	static struct image now;
	static struct mbox m;
	const struct message *last;
	const char *mail = make_foreign(700);
	size_t i, at, refused = 0;

	for (i = 0; i < ways; i++) {
		copy_image(&now, im);
		append(&now, fronts[i], strlen(fronts[i]));
		at = now.size;
		append(&now, mail, strlen(mail));
		refused += load_image(&now, &m) > 0 || m.n == 0 ||
		    (last = &m.msg[m.n - 1])->offset != (off_t)at ||
		    last->length != (off_t)strlen(mail);
	}
	return refused;
}

static const struct seen *
look_at(const struct image *im)
{
	static struct mbox m;
	uint64_t key = sum(scene.sum, im->data, im->size);
	struct seen *now = &seen[key % SEEN_MAX];

	if (now->key != key) {
		now->key = key;
		now->missing = load_image(im, &m);
		/* the first way asks most; one image of three has them all */
		now->refused = deliver(im, key % 3 == 0 ? 3 : 1);
	}
	return now;
}

static int
is_wanted(const struct image *im)
{
	return im->size == scene.want.size &&
	    memcmp(im->data, scene.want.data, im->size) == 0;
}

static int
is_listed(const struct mbox *m, const struct message *msg)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		if (memcmp(&m->msg[i], msg, offsetof(struct message, body)) ==
		    0)
			return 1;
	return 0;
}

/*
 * The next session has the index that UPDATE's session wrote. Whether it sends
 * something that a session without does not see in this image.
 */
static int
is_misled(const struct image *im, time_t when)
{
	static struct mbox m, plain;
	size_t i;
	int wrong = 0;

	copy_image(&file, im);
	write_index();
	stamp = when;
	ck_assert_int_eq(scan_image(im, &plain), MBOX_OK);
	enter_session(&m);
	ck_assert_int_ne(m.index, -1);
	if (!recall(&m)) {
		m.n = 0;
		ck_assert_int_eq(scan(&m), MBOX_OK);
	}
	for (i = 0; i < m.n && !wrong; i++)
		wrong = mbox_seek(&m, i) == MBOX_OK &&
		    !is_listed(&plain, &m.msg[i]);
	mbox_close(&m);
	return wrong;
}

/* What is asked of many images, and what is learned. */
struct verdict {
	int again;		/* the messages that go are deleted again */
	int done;		/* UPDATE said so: they are what is wanted */
	unsigned long images, bad;
	unsigned long misled;	/* by an index */
	unsigned long shut;	/* no mail can be delivered, in some way */
	size_t worst;		/* messages lost in one image */
};

/*
 * After a crash the user deletes again what he deleted before, and that must
 * not cost anything either. The mailbox may have any shape now.
 */
static size_t
delete_again(const struct image *im)
{
	static struct mbox m;
	const struct part *part;
	size_t i, k;

	copy_image(&file, im);
	load(&m, 0);
	for (i = 0; i < scene.n; i++)
		for (k = 0, part = &scene.part[i]; k < m.n; k++)
			if (!part->keep && m.msg[k].hash == part->hash)
				m.msg[k].deleted = 1;
	ck_assert_int_eq(mbox_update(&m), MBOX_OK);
	mbox_close(&m);
	return look_at(&file)->missing;
}

/* written: see may_be_shut; when: the mailbox's time. */
static void
judge(struct verdict *v, const struct image *im, const unsigned char *written,
    time_t when)
{
	const struct seen *s = look_at(im);

	v->images++;
	v->bad += s->missing > 0;
	v->shut += s->refused > 0 && !may_be_shut(im->data, im->size, written);
	if (s->missing > v->worst)
		v->worst = s->missing;
	if (with_index)
		v->misled += (unsigned long)is_misled(im, when);
	if (v->again)
		v->bad += delete_again(im) > 0;
	v->bad += v->done && !is_wanted(im);
}

/* The mailbox, and what went wrong. */
static const char *
here_is(void)
{
	static char text[1024];

	snprintf(text, sizeof(text), "%s, window %d: error %d at call %lu or "
	    "behind octet %d", scene.name, (int)window_octets, fault.error,
	    (unsigned long)fault.fail_at, (int)fault.limit);
	return text;
}

/* A crash may cost so many messages; if none, it does no other harm either. */
static void
assert_none_lost(const struct verdict *v, size_t most, const char *how)
{
	ck_assert_msg(v->worst <= most && v->misled == 0 &&
	    (most > 0 || (v->bad == 0 && v->shut == 0)), "%s, %s: of %lu "
	    "images %lu lost mail, up to %lu messages and not %lu; to %lu no "
	    "mail can be delivered; in %lu an index leads to what is no "
	    "message", how, here_is(), v->images, v->bad,
	    (unsigned long)v->worst, (unsigned long)most, v->shut, v->misled);
}

/* ---- Killed ---- */

/*
 * Every state the file was in, the middle of writes included: what UPDATE may
 * cost then. See delete_again.
 */
static void
kill_at_any_call(size_t most, int again)
{
	static const size_t some[] = { 0, 1, 2, 3, 4, 5, 511, 512, 513 };
	static struct image was, im;
	struct verdict v = { .again = again };
	size_t i, k, n = sizeof(some) / sizeof(some[0]), len;
	time_t begun = stamp;

	copy_image(&was, &scene.was);
	for (i = 0; i < run.n; i++) {
		for (k = 0; k < n + 5; k++) {
			len = run.op[i].len;
			if (k < n && some[k] > len)
				continue;
			if (run.op[i].kind != WRITE || run.op[i].foreign ||
			    is_one_sector(run.op[i].at, len))
				break;
			len = k < n ? some[k] : k == n ? len - (len > 0) :
			    roll((unsigned)len + 1);
			copy_image(&im, &was);
			apply(&im, &run.op[i], len);
			judge(&v, &im, NULL, begun + (time_t)i + (len > 0));
		}
		apply(&was, &run.op[i], run.op[i].len);
		judge(&v, &was, NULL, begun + (time_t)i + 1);
	}
	assert_none_lost(&v, most, "killed");
}

/* ---- Power loss ---- */

/* With the k-th of the sizes. */
static void
judge_build(struct verdict *v, const size_t *which, size_t k)
{
	static struct image im;

	put_synced(im.data);
	put_versions(im.data, which);
	im.size = disk.sizes[k].size;
	judge(v, &im, disk.sizes[k].end, disk.sizes[k].when);
}

/* All subsets if there are few. */
static int
try_all(struct verdict *v, unsigned most)
{
	size_t which[SECTORS] = { 0 }, i, k;
	unsigned long all = disk.nsizes;

	for (i = 0; i < disk.ndirty; i++)
		if ((all *= disk.s[disk.dirty[i]].n) > most)
			return 0;
	for (k = 0; k < disk.nsizes; k++)
		do
			judge_build(v, which, k);
		while (next_choice(which));
	return 1;
}

/* Of the i-th dirty sector. */
static size_t
newest_of(size_t i)
{
	return disk.s[disk.dirty[i]].n - 1;
}

/*
 * Those that disks really leave behind: all in order up to one, all in reverse
 * order, only one, all but one. Then random ones.
 */
static void
try_some(struct verdict *v, unsigned n)
{
	size_t which[SECTORS], i, k, shape, step = 1 + disk.ndirty / 16;
	unsigned odds, newest, sizes = (unsigned)disk.nsizes;
	int new;

	for (shape = 0; shape < 4; shape++)
		for (k = 0; k <= disk.ndirty; k += step) {
			for (i = 0; i < disk.ndirty; i++) {
				new = shape == 0 ? i < k : shape == 1 ? i >= k :
				    (i == k) == (shape == 2);
				which[i] = new ? newest_of(i) : 0;
			}
			judge_build(v, which, roll(sizes));
			judge_build(v, which, disk.nsizes - 1);
		}
	while (n-- > 0) {
		odds = roll(10);
		for (i = 0; i < disk.ndirty; i++) {
			newest = (unsigned)newest_of(i);
			which[i] = roll(10) <= odds ? newest : roll(newest + 1);
		}
		judge_build(v, which, roll(sizes));
	}
}

enum kind { NONE, EMPTY_LINE, COPY, MOVE, END };

/* What the fsync after op i-1 is for. */
static enum kind
sync_kind(size_t i)
{
	if (i == 0 || run.op[i - 1].kind != WRITE)
		return END;
	if (run.op[i - 1].len == 2 && (i == 1 || run.op[i - 2].kind != WRITE))
		return EMPTY_LINE;
	return run.op[i - 1].at >= scene.was.size ? COPY : MOVE;
}

/*
 * What is written to a hole that is not on disk yet may make the file longer
 * there, sector by sector.
 */
static void
do_on_disk(const struct op *op)
{
	size_t at = op->at, to, was = disk.size;

	if (op->kind == CUT)
		cut_disk(at);
	if (op->kind != WRITE)
		return;
	put_on_disk(op->data, op->len, at, 0);
	for (to = (at / sector + 1) * sector; to < at + op->len && to < was;
	    to += sector)
		if (to > disk.sizes[0].size)
			add_size(to);
	if (at + op->len < was && at + op->len > disk.sizes[0].size)
		add_size(at + op->len);
	add_size(disk.size);
}

/*
 * Pull the plug in front of every fsync and at the end, as if the disk ignored
 * the fsyncs of kind without. If UPDATE said that it was done, it must be.
 */
static struct verdict
lose_power(enum kind without, int done, unsigned n)
{
	struct verdict v = { 0 };
	const struct op *op;
	size_t i;
	time_t begun = stamp;

	disk.when = begun;
	make_disk(scene.was.data, scene.was.size);
	for (i = 0; i <= run.n; i++) {
		op = &run.op[i];
		disk.when = begun + (time_t)i;
		if (i == run.n || (op->kind == SYNC &&
		    (without == NONE || sync_kind(i) != without))) {
			list_dirty();
			v.done = done && i == run.n;
			if (!try_all(&v, n))
				try_some(&v, n);
			sync_disk();
			continue;
		}
		disk.when++;
		do_on_disk(op);
	}
	return v;
}

/* ---- Tests ---- */

/* What UPDATE may cost then; see lose_power. */
static void
lose_power_at_any_call(size_t most, int done, unsigned n)
{
	struct verdict v = lose_power(NONE, done, n);

	assert_none_lost(&v, most, "without power");
}

static void
assert_is_wanted(void)
{
	ck_assert_msg(is_wanted(&file), "%s: not what should be left",
	    here_is());
}

/* UPDATE does what it should. */
static void
update_well(void)
{
	enum mbox_result r = update_scene();

	ck_assert_msg(r == MBOX_OK, "%s: the answer is %d", here_is(), (int)r);
	assert_is_wanted();
}

static void
use_plan(int i)
{
	dice = (uint32_t)i + 1;
	set_scene(plans[i].words, plans[i].window, plans[i].max);
	scene.name = plans[i].name;
}

CASE("update", 60 + 4 * (int)rounds(), NULL, NULL);

TEST_EACH(killed_at_any_call_nothing_is_lost, NPLANS)
{
	use_plan(_i);
	update_well();
	ck_assert_int_eq(run.no_copy, 0);
	kill_at_any_call(0, 1);
	ck_assert_uint_le(worst_hung, 2);
}

TEST_EACH(power_lost_at_any_call_nothing_is_lost, NPLANS)
{
	use_plan(_i);
	update_well();
	lose_power_at_any_call(0, 1, 5 * rounds());
}

/* It is looked for first: each one that is written waits for the disk. */
TEST_EACH(an_empty_line_that_is_there_is_not_written_again, NPLANS)
{
	static struct image now;
	size_t i;

	use_plan(_i);
	update_well();
	copy_image(&now, &scene.was);
	for (i = 0; i < run.n; i++) {
		ck_assert_msg(sync_kind(i + 1) != EMPTY_LINE ||
		    run.op[i].at + 2 > now.size ||
		    memcmp(now.data + run.op[i].at, "\n\n", 2) != 0,
		    "%s: call %lu", scene.name, (unsigned long)i);
		apply(&now, &run.op[i], run.op[i].len);
	}
}

CASE("index", 60 + 4 * (int)rounds(), NULL, NULL);

/*
 * The disk may have what was written without the times that tell of it. An
 * index sends nobody astray.
 */
TEST_EACH(after_a_crash_an_index_does_no_harm, NPLANS)
{
	with_index = 1;
	use_plan(_i);
	update_well();
	/* none is written of what is not shown to its end */
	ck_assert_int_eq(had_index, scene.max == 0);
	kill_at_any_call(0, 0);
	use_plan(_i);
	update_well();
	lose_power_at_any_call(0, 1, rounds());
}

CASE("update", 60 + 4 * (int)rounds(), NULL, NULL);

/* A test that would pass without them says nothing about them. */
TEST_EACH(without_any_one_fsync_mail_would_be_lost, END + 1 - EMPTY_LINE)
{
	unsigned long harm = 0;
	struct verdict v;
	int i, kind = EMPTY_LINE + _i;

	for (i = 0; i < NPLANS; i++) {
		use_plan(i);
		update_well();
		v = lose_power((enum kind)kind, 1, rounds());
		harm += kind == EMPTY_LINE ? v.shut : v.bad;
	}
	ck_assert_uint_gt(harm, 0);
}

/*
 * A window that just fits into the gap, by octets: the empty line in front of
 * what it came from must stay.
 */
TEST_EACH(a_window_that_just_fits_loses_nothing, 6)
{
	static const char *const ends[] = { "", "u", "e", "c", "cu", "ce" };
	const char *c = _i > 2 ? "c" : "";
	char words[64];
	int more;

	for (more = 0; more < 8; more++) {
		dice = (uint32_t)(more + 1);
		snprintf(words, sizeof(words), "k200%s d%d%s k1500%s", c,
		    1500 + more, c, ends[_i]);
		set_scene(words, 10000, 0);
		update_well();
		kill_at_any_call(0, 0);
		lose_power_at_any_call(0, 1, 10 * rounds());
	}
}

/*
 * The empty line behind a copy lies in one sector, wherever the copy ends: half
 * of it would be none.
 */
TEST(the_empty_line_behind_a_copy_is_never_half_there)
{
	char words[64];
	int more;

	for (more = 0; more < SECTOR_MAX; more++) {
		dice = (uint32_t)(more + 1);
		snprintf(words, sizeof(words), "k200 d%d k%d", 200 + more % 2,
		    700 + more / 2);
		set_scene(words, 10000, 0);
		update_well();
		kill_at_any_call(0, 0);
	}
}

/* Some mailbox or other. */
static void
make_words(char *words, size_t len)
{
	const char *c = roll(3) == 0 ? "c" : "";
	size_t n = 0, i, count = 2 + roll(9);
	int mixed = roll(2) == 0;

	if (roll(8) == 0)
		n += (size_t)snprintf(words, len, "h%u ", 350 + roll(300));
	for (i = 0; i < count; i++) {
		if (mixed)
			c = roll(2) == 0 ? "c" : "";
		n += (size_t)snprintf(words + n, len - n, "%s%u%s%s%s ",
		    roll(5) < 2 ? "d" : "k", 200 + roll(roll(6) == 0 ? 4000 :
		    700), c, roll(8) == 0 ? "w" : "", i + 1 < count ? "" :
		    roll(3) == 0 ? "u" : roll(3) == 0 ? "e" : "");
	}
	if (words[n - 2] != 'u' && words[n - 2] != 'e' && roll(5) == 0)
		snprintf(words + n, len - n, "a%u", 200 + roll(2000));
}

TEST_EACH(a_random_mailbox_loses_nothing, 4)
{
	char words[512];
	unsigned i;
	size_t max;

	for (i = 0; i < 1 + rounds() / 4; i++) {
		dice = (uint32_t)_i * 1000000 + i;
		make_words(words, sizeof(words));
		max = roll(6) == 0 ? 2 + roll(4) : 0;
		set_scene(words, 300 + (off_t)roll(4000), max);
		update_well();
		kill_at_any_call(0, 0);
		lose_power_at_any_call(0, 1, rounds());
	}
}

/* ---- A full or broken disk ---- */

static const int errors[] = { ENOSPC, EDQUOT, EFBIG, EIO };

/*
 * After UPDATE, whatever it said: it told the truth, and lost so many messages at
 * most. Where the very last fsync failed all is done, but nobody knows for sure.
 */
static void
assert_honest(enum mbox_result r, size_t most)
{
	int unsure = run.n > 1 && run.op[run.n - 2].kind == CUT &&
	    run.op[run.n - 1].kind == NO_SYNC;

	ck_assert_msg((r == MBOX_OK || unsure) == is_wanted(&file),
	    "%s: the answer is %d", here_is(), (int)r);
	ck_assert_msg(r != MBOX_OK || !unsure,
	    "%s: the last fsync failed, and nobody heard of it", here_is());
	ck_assert_msg(look_at(&file)->missing <= most, "%s: mail is lost",
	    here_is());
}

static void
assert_is_as_before(void)
{
	ck_assert_msg(file.size == scene.was.size &&
	    memcmp(file.data, scene.was.data, file.size) == 0,
	    "%s: the file is not as it was", here_is());
}

static void
fail_calls(size_t first, size_t many, int error)
{
	fault.fail_at = first;
	fault.fail_until = first + many;
	fault.error = error;
}

/* From the n-th call on one fails, or all. */
static void
fail_each(int i, int error, size_t many, int spill)
{
	enum mbox_result r;
	size_t n = 0;

	/* until there is no n-th call: one that fails ends most runs */
	do {
		use_plan(i);
		fail_calls(++n, many, error);
		fault.spill = spill;
		r = update_scene();
		assert_honest(r, 0);
		if (run.no_copy)
			continue;
		kill_at_any_call(0, 0);
		lose_power_at_any_call(0, r == MBOX_OK, 4);
	} while (n <= fault.calls);
}

TEST_EACH(a_call_that_fails_once_loses_nothing, NPLANS)
{
	size_t e;

	for (e = 0; e < 4; e++)
		fail_each(_i, errors[e], 1, (int)(e & 1));
}

TEST_EACH(a_disk_that_breaks_for_good_loses_nothing, NPLANS)
{
	fail_each(_i, EIO, 1000000, 0);
	fail_each(_i, ENOSPC, 1000000, 1);
}

/* Whether a part is not in the session's list, and moved with its like. */
static int
is_unlisted(size_t i)
{
	return scene.part[i].kind == 'a' || (scene.max > 0 && i >= scene.max);
}

/*
 * The most that a crash may cost when there is no room for a copy: one message,
 * or what is not in the session's list and hence moved as one.
 */
static size_t
most_lost(void)
{
	size_t i, unlisted = 0;

	for (i = 0; i < scene.n; i++)
		unlisted += (size_t)is_unlisted(i);
	return !run.no_copy ? 0 : unlisted > 1 ? unlisted : 1;
}

/* Without room for copies a call that fails may cost mail, but says so. */
TEST_EACH(a_full_disk_that_breaks_tells_the_truth, NPLANS)
{
	enum mbox_result r;
	size_t n = 0;

	do {
		use_plan(_i);
		fail_calls(++n, 1, ENOSPC);
		fault.limit = scene.was.size;
		r = update_scene();
		assert_honest(r, most_lost());
	} while (n <= fault.calls);
}

/* Room enough to copy whatever is moved as one, behind an empty line. */
static size_t
room_for_all(void)
{
	size_t i, unlisted = 0, most = 0;

	for (i = 0; i < scene.n; i++)
		if (is_unlisted(i))
			unlisted += scene.part[i].len;
		else if (scene.part[i].len > most)
			most = scene.part[i].len;
	return (unlisted > most ? unlisted : most) + 2;
}

/*
 * The file cannot grow, or by a little only: a write says so, or fsync, or a
 * write that makes it longer all the same. The user can delete; what cannot be
 * copied is moved without.
 */
static void
update_full_disk(int i, int error, size_t room, int way)
{
	enum mbox_result r;

	use_plan(i);
	fault.error = error;
	fault.limit = scene.was.size + room;
	fault.at_sync = way == 1;
	fault.grows = way == 2;
	r = update_scene();
	ck_assert_msg(fault.calls <= CALLS_MAX, "%s: %lu calls", here_is(),
	    (unsigned long)fault.calls);
	assert_honest(r, 0);
	if (error == ENOSPC || error == EDQUOT)
		ck_assert_int_eq(r, MBOX_OK);
	if (room >= room_for_all())
		ck_assert_int_eq(run.no_copy, 0);
	kill_at_any_call(most_lost(), 0);
	lose_power_at_any_call(most_lost(), r == MBOX_OK, 10);
}

TEST_EACH(on_a_full_disk_messages_can_be_deleted, NPLANS)
{
	/* for a part of an empty line, for one, and for some messages */
	static const size_t room[] = { 0, 1, 2, 3, 300, 700, 1100, 2500 };
	size_t e, k;
	int way;

	for (e = 0; e < 4; e++)
		for (k = 0; k < 8; k++)
			for (way = 0; way < 3; way++)
				update_full_disk(_i, errors[e], room[k], way);
}

/* More mailboxes, from the tests of UPDATE in check_mailbox. */
static const char *const more[] = {
	"d300 k500 k700 k2500 k100 k100 k4000 k900",
	"d300 k500 d700 k2500 k100 k100 k4000 k900u",
	"h400 k300c k500c d700c k2500c k130c d130c k4000c k900c",
	"k300 k500 k700 k2500 k100 k100 k4000 d900",
	"h400 d300 d500 d700 d2500 d100 d100 d4000 d900",
	"d4000 k100 k200 k300 k100 k200 k3000", "d130c k4000c d130c k4000c d130c",
	"h400 k100 d100 k100 d100 k100 d100 k100u",
	"d100 k1500 k200 k200 k200 k300",
	"k700c d700c k700c k700c k700c k700c k700c", "d3100 k3000 k2990 d3010u",
	"d700 k700u", "d700 k699u", "d700c k698cu", "d700c k697cu"
};

/* With room for copies no crash costs a message; without, at most one. */
TEST_EACH(a_crash_at_any_moment_loses_no_message,
    4 * (int)(sizeof(more) / sizeof(more[0])))
{
	dice = (uint32_t)_i + 1;
	set_scene(more[_i / 4], _i % 4 < 2 ? 3000 : 100000, 0);
	fault.error = ENOSPC;
	fault.limit = _i % 2 == 0 ? 0 : scene.was.size;
	update_well();
	kill_at_any_call(most_lost(), 0);
	lose_power_at_any_call(most_lost(), 1, 2 * rounds());
}

/* What is over NFS is not longer afterwards: nobody else has written. */
TEST_EACH(a_failed_write_that_makes_the_file_longer_is_cut_off_again, NPLANS)
{
	size_t e;

	for (e = 2; e < 4; e++) {
		use_plan(_i);
		fail_calls(1, 1, errors[e]);
		fault.grows = 1;
		if (update_scene() != MBOX_OK && run.op[0].kind == CUT)
			assert_is_as_before();	/* it was a copy's */
	}
}

/* A short write says nothing; what comes after it does. */
TEST_EACH(writes_in_pieces_are_no_full_disk, NPLANS)
{
	enum mbox_result r;
	size_t n;

	use_plan(_i);
	run.pieces = 1;
	update_well();
	ck_assert_int_eq(run.no_copy, 0);
	kill_at_any_call(0, 0);
	for (n = 1; n <= fault.calls + 3; n += 3) {
		use_plan(_i);
		run.pieces = 1;
		fail_calls(n, 1, n % 2 == 0 ? EIO : ENOSPC);
		r = update_scene();
		if (r == MBOX_OK || !run.no_copy)
			assert_honest(r, 0);
	}
}

/*
 * Sectors are shared with a copy of the file, so that writing on one needs room
 * the first time: there is room for so many. Without a crash nothing is lost.
 */
TEST_EACH(where_old_octets_need_room_too_nothing_is_lost, NPLANS)
{
	enum mbox_result r;
	size_t room;

	for (room = 0; room < 2 * SECTORS; room++) {
		use_plan(_i);
		fault.error = errors[room % 2];
		fault.copies = 1;
		fault.room = room;
		r = update_scene();
		assert_honest(r, 0);
		ck_assert_uint_le(fault.calls, CALLS_MAX);
		if (room == 0 && r != MBOX_OK)
			assert_is_as_before();
		if (r == MBOX_OK && !run.no_copy)
			break;
	}
	ck_assert_uint_lt(room, 2 * SECTORS);
}

/* ---- Somebody who does not lock ---- */

/* All that strangers brought is in the file, and what was there before. */
static void
assert_foreign_is_there(void)
{
	size_t k;

	ck_assert_msg(look_at(&file)->missing == 0, "%s: mail is lost",
	    here_is());
	for (k = 0; k < run.strangers; k++)
		ck_assert_msg(has(file.data, file.size, make_foreign(k)),
		    "%s: mail %d is lost", here_is(), (int)k);
}

TEST_EACH(what_is_written_without_locking_is_carried_along, NPLANS)
{
	size_t n = 1;

	do {
		use_plan(_i);
		run.foreign_at = n;
		ck_assert_int_eq(update_scene(), MBOX_OK);
		ck_assert_uint_eq(run.strangers, n <= fault.calls ? 1 : 0);
		assert_foreign_is_there();
		kill_at_any_call(0, 0);
	} while (n++ < fault.calls);
}

/* And the disk is full at the next call: no cut may take it along. */
TEST_EACH(what_is_written_without_locking_survives_a_full_disk, NPLANS)
{
	size_t n = 1;

	do {
		use_plan(_i);
		run.foreign_at = n;
		fail_calls(n + 1, 1, ENOSPC);
		update_scene();
		assert_foreign_is_there();
	} while (n++ <= fault.calls);
}

/*
 * Somebody appends before each look at the file, for ever or STRANGERS_MAX
 * times, on a disk with room or without. UPDATE ends, and all is whole.
 */
static void
meet_strangers(size_t first, size_t many, int full)
{
	enum mbox_result r;

	reset_run();
	run.looks_at = first;
	run.looks_until = first + many;
	fault.error = full ? ENOSPC : 0;
	fault.limit = full ? scene.was.size + 2000 : 0;
	fault.grows = full;
	r = update_scene();
	/* one that goes may have got theirs as a tail, and another length */
	ck_assert_msg(r == MBOX_OK || (r == MBOX_TEMP && (full ||
	    run.strangers > STRANGERS_MAX)) || (r == MBOX_GONE &&
	    before.open && !scene.part[scene.n - 1].keep),
	    "%s: the answer is %d", here_is(), (int)r);
	ck_assert_msg(fault.calls <= CALLS_MAX, "%s: %lu calls", here_is(),
	    (unsigned long)fault.calls);
	ck_assert_uint_le(run.strangers, 2 * STRANGERS_MAX + 5);
	assert_foreign_is_there();
	if (!run.no_copy)
		kill_at_any_call(0, 0);
}

TEST_EACH(update_ends_whoever_writes_without_locking, NPLANS)
{
	size_t first;

	use_plan(_i);
	if (scene.was.size > 3500)
		return;		/* it would not fit on this disk */
	scene.max = 0;		/* all are shown, and the same ones go */
	for (first = 1;; first++) {
		meet_strangers(first, 1000000, 0);
		if (run.strangers == 0)
			break;
		meet_strangers(first, STRANGERS_MAX, 0);
		meet_strangers(first, 1000000, 1);
	}
	ck_assert_uint_gt(first, 3);
}

/* ---- The program ---- */

static char directory[256];

static void
enter(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/check_crash.XXXXXX",
	    tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
	if (mkdtemp(directory) == NULL || chdir(directory) == -1) {
		perror(directory);
		exit(1);
	}
}

/* With FEWER, of the plans; other ones than in the next test. */
static int
is_one_too_many(const struct test *t, int i)
{
	return t->n == NPLANS && t->test != after_a_crash_an_index_does_no_harm &&
	    (t->line + i) % (int)setting("FEWER", 1) != 0;
}

int
main(void)
{
	int failed;

	enter();
	close(open("box", O_WRONLY | O_CREAT, 0600));
	failed = run_suite("crash", is_one_too_many);
	unlink("box");
	unlink("box.lock");
	unlink("index");
	if (chdir("/") == 0)
		rmdir(directory);
	return failed;
}
