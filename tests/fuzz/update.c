/*
 * UPDATE of any file with any messages deleted, while others append to it,
 * remove messages, write without locking, and the disk fails. What has to be in
 * the file afterwards is worked out from the reference's list; before each call
 * that changes the file, and after a failure, each message that stays must be
 * whole in it.
 *
 * Input: 12 numbers, see struct plan; the mailbox; what is added to it under
 * the lock before UPDATE; what is added without locking. The fields end at
 * lines that are %%%.
 *
 * Of mailbox.c no static is used.
 */
#define MBOX_BUFFER	1024
#define MESSAGES_MAX	24
#define WINDOW		200

#include "../../pop3.h"
#include "fuzz.h"

enum { NMASK = MESSAGES_MAX / 6 };

struct plan {
	unsigned old;		/* 1: long unchanged when it is scanned; 2: and
				 * messages are read before UPDATE */
	unsigned at_once;	/* octets of a pread, 0: all */
	unsigned stranger;	/* the look at the file before which somebody
				 * writes without locking; 0: never */
	unsigned fails;		/* the call that fails; 0: none */
	unsigned how;		/* fails how: 4 errors; 4: for good; 8: half of
				 * it is written */
	unsigned removed[NMASK];	/* by somebody else; 6 messages each */
	unsigned deleted[NMASK];	/* by us */
};

static struct plan plan;
static struct mbox box;
static unsigned looks, calls;
static int updating, failed, writing;
static struct bytes unlocked;

/* What has to stay: each stretch of it, as it was. */
struct stretch {
	struct bytes octets;
	int is_mail;		/* an empty line stands in front of it */
};

/* By the list of messages: without what the stranger wrote, and with it. */
static struct kept {
	struct stretch stretch[2 * MESSAGES_MAX + 4];
	size_t n;
} kept[2];
static off_t longer_len;	/* octets of the file with it */
static int scanned;		/* the scan has seen it: the second list */

static void
keep(struct kept *k, const unsigned char *p, size_t len, int is_mail)
{
	struct stretch *s = &k->stretch[k->n++];

	memset(s, 0, sizeof(*s));
	add(&s->octets, p, len);
	s->is_mail = is_mail;
}

static void
append(const struct bytes *b)
{
	int fd = open(path_of("alice"), O_WRONLY | O_APPEND);

	CHECK(fd != -1);
	CHECK(write(fd, b->p, b->len) == (ssize_t)b->len);
	close(fd);
}

static int
is_behind_empty_line(const unsigned char *p, size_t at)
{
	return at == 0 || (p[at - 1] == '\n' && (at == 1 || p[at - 2] == '\n' ||
	    (p[at - 2] == '\r' && (at == 2 || p[at - 3] == '\n'))));
}

static int
is_whole(const struct stretch *s, const struct bytes *file)
{
	size_t at = 0;

	for (;; at++) {
		at += find(file->p + at, file->len - at, s->octets.p,
		    s->octets.len);
		if (at + s->octets.len > file->len)
			return 0;
		if (!s->is_mail || is_behind_empty_line(file->p, at))
			return 1;
	}
}

/*
 * Nothing is lost; but a full disk, on which messages are moved without a copy,
 * may cost the one that is being moved.
 */
static void
check_nothing_is_lost(void)
{
	static struct bytes file;
	const struct kept *k;
	size_t i, lost = 0;

	/* nothing is moved before the scan, and then both lists hold */
	scanned |= writing && box.octets == longer_len;
	k = &kept[scanned];
	read_whole(path_of("alice"), &file);
	for (i = 0; i < k->n; i++)
		lost += !is_whole(&k->stretch[i], &file);
	CHECK(lost <= (box.no_copy ? 1 : 0));
}

static int
fails_now(void)
{
	static const int errors[] = { ENOSPC, EIO, EDQUOT, EFBIG };

	if (!updating)
		return 0;
	check_nothing_is_lost();
	calls++;
	if (plan.fails == 0 || calls < plan.fails ||
	    (calls > plan.fails && !(plan.how & 4)))
		return 0;
	failed = 1;
	errno = errors[plan.how & 3];
	return 1;
}

static ssize_t
hook_pread(int fd, void *p, size_t n, off_t at)
{
	return pread(fd, p, plan.at_once > 0 && plan.at_once < n ?
	    plan.at_once : n, at);
}

static ssize_t
hook_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (!fails_now())
		return pwrite(fd, p, n, at);
	return (plan.how & 8) && n > 1 ? pwrite(fd, p, n / 2, at) : -1;
}

static int
hook_fsync(int fd)
{
	(void)fd;
	return fails_now() ? -1 : 0;
}

static int
hook_ftruncate(int fd, off_t size)
{
	/* to cut back is also what follows a failure, and may not fail then */
	return fails_now() && !(plan.how & 4) ? -1 : ftruncate(fd, size);
}

static int
hook_fstat(int fd, struct stat *st)
{
	if (updating && fd == box.fd && ++looks == plan.stranger) {
		append(&unlocked);
		writing = 1;
		keep(&kept[0], unlocked.p, unlocked.len, 0);
	}
	return fstat(fd, st);
}

static int
hook_clock_gettime(clockid_t id, struct timespec *t)
{
	int r = clock_gettime(id, t);

	t->tv_sec += id == CLOCK_REALTIME && plan.old ? 10 : 0;
	return r;
}

#undef fstat
#define pread(fd, p, n, at)	hook_pread(fd, p, n, at)
#define pwrite(fd, p, n, at)	hook_pwrite(fd, p, n, at)
#define fsync(fd)		hook_fsync(fd)
#define ftruncate(fd, n)	hook_ftruncate(fd, n)
#define fstat(fd, st)		hook_fstat(fd, st)
#define clock_gettime(id, t)	hook_clock_gettime(id, t)
#define nanosleep(t, rest)	((void)(t), (void)(rest))
#include "../../mailbox.c"
#include "../lines.h"
#include "../real.h"

static int
is_set(const unsigned mask[NMASK], size_t i)
{
	return (mask[i / 6] >> i % 6 & 1) != 0;
}

static size_t
body_of(const struct mail *m)
{
	return m->sent.len - m->header;
}

static int
is_alike(const struct mail *a, const struct mail *b)
{
	return strcmp(a->hash, b->hash) == 0 && body_of(a) == body_of(b);
}

/*
 * Find the old messages in the new list: to[i] is the number of i there, or
 * is->n if it is gone. The k-th of some that are alike is the k-th of those, and
 * owner[] of that is i + 1; if there are fewer than before all are gone. Gone,
 * too, is what went to a place in front of one that was in front of it. What
 * gone names was gone before, and stays so.
 */
static void
match(const struct maildrop *was, const struct maildrop *is, const int *gone,
    size_t *to, size_t *owner)
{
	size_t i, k, before, old, new, at = 0;

	memset(owner, 0, MESSAGES_MAX * sizeof(*owner));
	for (i = 0; i < was->n; i++) {
		for (before = old = k = 0; k < was->n; k++)
			if (!gone[k] &&
			    is_alike(&was->mail[i], &was->mail[k])) {
				before += k < i;
				old++;
			}
		to[i] = is->n;
		for (new = k = 0; !gone[i] && k < is->n; k++)
			if (is_alike(&was->mail[i], &is->mail[k]) &&
			    new++ == before)
				to[i] = k;
		if (new < old)
			to[i] = is->n;
		if (to[i] == is->n)
			continue;
		owner[to[i]] = i + 1;
		if (is->mail[to[i]].start < at)
			to[i] = is->n;
		else
			at = is->mail[to[i]].end;
	}
}

/*
 * What must be left of a file when the messages that `to` leads to and that
 * were deleted are gone; each stretch of it is remembered.
 */
static struct bytes
remove_deleted(const struct bytes *file, const struct maildrop *is,
    const size_t *to, size_t n, struct kept *stays)
{
	struct bytes left = { NULL, 0, 0 };
	size_t i, k, at = 0, start, end;
	int known, dead;

	for (i = 0; i <= is->n; i++) {
		start = i < is->n ? is->mail[i].start : file->len;
		end = i < is->n ? is->mail[i].end : file->len;
		known = dead = 0;
		for (k = 0; i < is->n && k < n; k++)
			if (to[k] == i) {
				known = 1;
				dead |= is_set(plan.deleted, k);
			}
		if (i < is->n && !known)
			continue;	/* part of what lies between */
		add(&left, file->p + at, start - at);
		if (start > at)
			keep(stays, file->p + at, start - at, at > 0);
		if (!dead)
			add(&left, file->p + start, end - start);
		if (!dead && end > start)
			keep(stays, file->p + start, end - start, 1);
		at = end;
	}
	return left;
}

/* The mailbox as somebody else leaves it, under the lock. */
static struct bytes
change(const struct bytes *file, const struct maildrop *was,
    const struct bytes *added)
{
	struct bytes now = { NULL, 0, 0 };
	size_t i, at = 0;

	for (i = 0; i < was->n; i++)
		if (is_set(plan.removed, i)) {
			add(&now, file->p + at, was->mail[i].start - at);
			at = was->mail[i].end;
		}
	add(&now, file->p + at, file->len - at);
	add(&now, added->p, added->len);
	return now;
}

/* Messages that are still there must be read as they are. */
static void
check_reading(const struct maildrop *is, const size_t *to, size_t n)
{
	struct bytes got = { NULL, 0, 0 };
	struct reading reading;
	struct piece piece;
	size_t i;

	for (i = 0; i < n; i++) {
		got.len = 0;
		CHECK(mbox_seek(&box, i) == (to[i] < is->n ? MBOX_OK :
		    MBOX_GONE));
		CHECK(box.msg[i].gone == (to[i] == is->n));
		if (to[i] == is->n)
			continue;
		reading = (struct reading){ .left = box.msg[i].size };
		while (next_line(&box, &reading, &piece) == 1) {
			add(&got, piece.p, piece.len);
			if (piece.eol)
				add_text(&got, "\r\n");
		}
		CHECK(is_same(&got, &is->mail[to[i]].sent));
	}
	drop(&got);
}

/* After all of it: the file is what it has to be. */
static void
check_result(enum mbox_result r, const struct bytes *left,
    const struct bytes *with)
{
	struct bytes file = { NULL, 0, 0 };

	read_whole(path_of("alice"), &file);
	updating = 0;
	check_nothing_is_lost();
	CHECK(r == MBOX_OK || r == MBOX_GONE || failed);
	if (r != MBOX_TEMP && !writing)
		CHECK(is_same(&file, left));
	/* copies that were there stay in front of what a stranger wrote */
	if (r != MBOX_TEMP && writing)
		CHECK(is_same(&file, with) || (file.len >= left->len &&
		    memcmp(file.p, left->p, left->len) == 0 &&
		    find(file.p + left->len, file.len - left->len, unlocked.p,
		    unlocked.len) + unlocked.len <= file.len - left->len));
	drop(&file);
}

static int
is_any_deleted(const struct maildrop *is, const size_t *to, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (is_set(plan.deleted, i) && to[i] < is->n)
			return 1;
	return 0;
}

/*
 * Whether one that is gone and was deleted may be one that is there: of those
 * with its unique-id, one that is not another's.
 */
static int
is_any_unsure(const struct maildrop *was, const struct maildrop *is,
    const size_t *to, const size_t *owner)
{
	size_t i, k;

	for (i = 0; i < was->n; i++)
		for (k = 0; is_set(plan.deleted, i) && to[i] == is->n &&
		    k < is->n; k++)
			if ((owner[k] == 0 || owner[k] == i + 1) &&
			    strcmp(was->mail[i].hash, is->mail[k].hash) == 0)
				return 1;
	return 0;
}

/* UPDATE of what the file is now. */
static void
run_update(const struct bytes *now, const struct maildrop *was)
{
	struct maildrop is = parse(now->p, now->len, MESSAGES_MAX), later;
	struct bytes left, with, longer = { NULL, 0, 0 };
	size_t to[MESSAGES_MAX], to_later[MESSAGES_MAX], i, k;
	size_t owner[MESSAGES_MAX], owner_later[MESSAGES_MAX];
	int gone[MESSAGES_MAX] = { 0 }, named = 0;
	enum mbox_result r;

	match(was, &is, gone, to, owner);
	for (i = 0; i < was->n; i++) {
		box.msg[i].deleted = is_set(plan.deleted, i) ? 1 : 0;
		named |= is_set(plan.deleted, i);
	}
	if (is.is_mbox && plan.old == 2) {
		check_reading(&is, to, was->n);
		for (i = 0; i < was->n; i++)
			gone[i] = to[i] == is.n;
	}
	if (!is.is_mbox || !is_any_deleted(&is, to, was->n)) {
		r = mbox_update(&box);
		CHECK(r == (!named ? MBOX_OK : !is.is_mbox ? MBOX_PERM :
		    is_any_unsure(was, &is, to, owner) ? MBOX_GONE : MBOX_OK));
		read_whole(path_of("alice"), &longer);
		CHECK(is_same(&longer, now));
		drop(&longer);
		drop_maildrop(&is);
		return;
	}
	left = remove_deleted(now, &is, to, was->n, &kept[0]);
	/* the stranger may also come before the scan */
	add(&longer, now->p, now->len);
	add(&longer, unlocked.p, unlocked.len);
	later = parse(longer.p, longer.len, MESSAGES_MAX);
	match(was, &later, gone, to_later, owner_later);
	with = remove_deleted(&longer, &later, to_later, was->n, &kept[1]);
	longer_len = (off_t)longer.len;
	looks = calls = 0;
	failed = writing = scanned = 0;
	updating = 1;
	r = mbox_update(&box);
	check_result(r, &left, &with);
	if (r != MBOX_TEMP && !writing)
		CHECK((r == MBOX_GONE) == is_any_unsure(was, &is, to, owner));
	for (k = 0; k < 2; k++)
		for (i = 0; i < kept[k].n; i++)
			drop(&kept[k].stretch[i].octets);
	drop(&left);
	drop(&with);
	drop(&longer);
	drop_maildrop(&is);
	drop_maildrop(&later);
}

static void
take_plan(const uint8_t **data, size_t *size)
{
	size_t i;

	plan.old = take_number(data, size) % 3;
	plan.at_once = take_number(data, size);
	plan.stranger = take_number(data, size);
	plan.fails = take_number(data, size);
	plan.how = take_number(data, size);
	for (i = 0; i < NMASK; i++)
		plan.removed[i] = take_number(data, size);
	for (i = 0; i < NMASK; i++)
		plan.deleted[i] = take_number(data, size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes file, added, now;
	struct maildrop was;

	updating = 0;
	kept[0].n = kept[1].n = 0;
	take_plan(&data, &size);
	file = take_field(&data, &size);
	added = take_field(&data, &size);
	unlocked = take_field(&data, &size);
	if (unlocked.len == 0)
		plan.stranger = 0;
	was = parse(file.p, file.len, MESSAGES_MAX);
	now = change(&file, &was, &added);
	/* a change that leaves size and time as they were is seen by no one */
	if (now.len == file.len && !is_same(&now, &file))
		plan.old = 0;
	write_whole(path_of("alice"), file.p, file.len);
	CHECK(mbox_open(&box, path_of("alice"), getuid()) == MBOX_OK);
	if (mbox_load(&box) == MBOX_OK) {
		CHECK(box.n == was.n);
		if (!is_same(&now, &file))
			write_whole(path_of("alice"), now.p, now.len);
		run_update(&now, &was);
	}
	mbox_close(&box);
	CHECK(!exists(path_of("alice.lock")));
	drop(&file);
	drop(&added);
	drop(&unlocked);
	drop(&now);
	drop_maildrop(&was);
	return 0;
}
