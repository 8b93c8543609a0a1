/*
 * For cbmc: what a sender's octets meet in a scan, and what lists do. One step
 * at a time, so for a file of any length. Run by run.sh, which names the pieces.
 */
#include <ctype.h>
/* as in the locale C, which nobody leaves */
#undef toupper
#define toupper(c)	((c) >= 'a' && (c) <= 'z' ? (c) - 32 : (c))
#include <small/mailbox.c>
#include "invariants.h"

enum { LIST = 3 };	/* messages */
static struct mbox box;
static unsigned char data[sizeof(*box.data)];
static struct message list[LIST + 1];
static struct md5 sum;

/* ---- Contracts ---- */

long long
any_clock_ms(void)
{
	long long t = nondet_long();

	ASSUME(IS_TIME(t));
	return t;
}

int
any_touch(struct mbox *m)
{
	return nondet_int() ? 0 : -1;
}

ssize_t
any_pread(int fd, void *p, size_t n, off_t at)
{
	ssize_t r = nondet_long();

	CHECK(n > 0 && at >= 0);
	CHECK((off_t)n <= box.octets - at);
	CAN_WRITE(p, n);
	ASSUME(r >= -1 && r <= (ssize_t)n);
	return r;
}

/* It holds whole blocks, all of them. */
void
any_md5_run(struct md5 *m, size_t n)
{
	size_t l;

	CHECK(n > 0 && n <= LANES);
	for (l = 0; l < n; l++)
		CHECK(m[l].held_len % 64 == 0 &&
		    m[l].held_len <= sizeof(m->held));
}

/* prove_md5_update */
#define IS_SUM(m)	((m)->held_len < sizeof((m)->held) &&		\
	(m)->octets % 64 == (m)->held_len % 64)

void
any_md5_update(struct md5 *m, const void *p, size_t len)
{
	CHECK(IS_SUM(m));
	CAN_READ(p, len);
	m->octets += len;
	m->held_len = (m->held_len + len) % sizeof(m->held);
}

/* prove_fill, and a look whether the file is the same: it goes on there. */
static size_t looks;

int
any_read_on(struct mbox *m)
{
	off_t at = here(m);

	ASSUME(looks++ < 2);
	m->base = nondet_long();
	m->pos = nondet_size();
	m->len = nondet_size();
	ASSUME(IS_BUFFER(m) && here(m) == at);
	__CPROVER_havoc_slice(data, sizeof(data));
	return nondet_int() ? 0 : -1;
}

/* ---- Pieces ---- */

static void
begin(void)
{
	box.data = &data;
	box.msg = list;
	ASSUME(IS_BUFFER(&box));
}

/* It goes on where it was, and a line end that does not count is behind. */
void
prove_fill(void)
{
	off_t at;
	int r;

	begin();
	at = here(&box);
	r = fill(&box);
	CHECK(r >= -1 && r <= 1);
	CHECK(here(&box) == at);
	CHECK(IS_BUFFER(&box));
	CHECK(r == -1 || data[box.len] == '\n');
	CHECK(r != 1 || box.len > box.pos);
}

/* A line end stops it; it finds the one whose start is there, in any case. */
void
prove_classify(void)
{
	static unsigned char line[18];
	size_t end = nondet_size(), i, k;
	const char *start;
	int want = 0;

	ASSUME(end < sizeof(line));
	line[end] = '\n';
	for (i = 0; i < N_HEADER_LINES; i++) {
		start = header_lines[i].start;
		for (k = 0; k < sizeof(line) && start[k] != '\0' &&
		    toupper(line[k]) == toupper(start[k]); k++)
			;
		if (k < sizeof(line) && start[k] == '\0')
			want = header_lines[i].what;
	}
	CHECK(classify(line) == want);
}

void
prove_md5_update(void)
{
	static const unsigned char p[200];
	size_t len = nondet_size();
	uint64_t before = sum.octets;

	ASSUME(IS_SUM(&sum) && len <= sizeof(p));
	md5_update(&sum, p, len);
	CHECK(IS_SUM(&sum));
	CHECK(sum.octets == before + len);
}

void
prove_md5_finish(void)
{
	static struct md5 m[2];
	size_t n = nondet_size();

	ASSUME(n > 0 && n <= 2 && IS_SUM(&m[0]) && IS_SUM(&m[1]));
	md5_finish(m, n);
}

/*
 * Pieces are in the message and in the buffer, of 1 to PIECE_MAX octets; none
 * ends within CRLF.
 */
void
prove_mbox_read(void)
{
	const unsigned char *p;
	size_t len;
	off_t at, end;
	int r;

	begin();
	box.current = nondet_int() & 1;
	at = here(&box);
	ASSUME(IS_MAIL(list[box.current].offset) &&
	    IS_MAIL(list[box.current].length));
	end = list[box.current].offset + list[box.current].length;
	ASSUME(end <= box.octets);
	looks = 0;
	r = mbox_read(&box, &p, &len);
	CHECK(r == 0 || r == -1);
	if (r == -1)
		return;
	CHECK(len > 0 && len <= PIECE_MAX);
	CAN_READ(p, len);
	CHECK(IS_BUFFER(&box));
	if (at >= end) {
		CHECK(len == 1 && *p == '\n' && here(&box) == at);
		return;
	}
	CHECK(here(&box) == at + (off_t)len && here(&box) <= end);
	CHECK(p + len == data + box.pos);
	CHECK(p[len - 1] != '\r' || here(&box) == end || p[len] == '\r');
}

/*
 * Old ones that nothing tells apart get the first of the new ones, in order; if
 * there are fewer of these, all are gone.
 */
void
prove_match_group(void)
{
	enum { MOST = LIST + 1 };
	static struct message was[MOST];
	static uint32_t index[MOST];
	size_t n = nondet_size(), old = nondet_size(), i, k, olds = 0;
	size_t known = 0, rank = 0, r;

	ASSUME(n <= MOST && old <= MOST);
	for (i = 0; i < n; i++) {
		ASSUME(index[i] < MOST && (i == 0 || index[i - 1] < index[i]));
		olds += index[i] < old;
		known += index[i] < old && !list[index[i]].gone;
	}
	for (i = 0; i < MOST; i++)
		was[i] = list[i];
	r = match_group(list, old, index, n);
	CHECK(r == n - olds - (known <= n - olds ? known : 0));
	for (i = 0; i < olds; i++) {
		k = index[i];
		if (was[k].gone || known > n - olds) {
			CHECK(list[k].gone && list[k].offset == was[k].offset);
			continue;
		}
		CHECK(!list[k].gone);
		CHECK(list[k].offset == was[index[olds + rank]].offset);
		CHECK(list[k].length == was[index[olds + rank]].length);
		CHECK(list[k].size == was[index[olds + rank]].size);
		rank++;
	}
}

/* ---- What UPDATE keeps ---- */

static struct update u;
enum { FILE_OCTETS = 12 };

/* Messages ascend, and lie in the mail; what is gone lies nowhere. */
static void
begin_list(void)
{
	off_t at = 0;
	size_t i;

	box.msg = list;
	u.m = &box;
	ASSUME(box.n <= LIST && u.end >= 0 && u.end <= FILE_OCTETS);
	for (i = 0; i < box.n; i++) {
		if (list[i].gone)
			continue;
		ASSUME(list[i].offset >= at && list[i].length > 0 &&
		    list[i].length <= FILE_OCTETS &&
		    list[i].offset <= u.end - list[i].length);
		at = list[i].offset + list[i].length;
	}
}

static int
stays(off_t x)
{
	size_t i;

	for (i = 0; i < box.n; i++)
		if (!list[i].gone && list[i].deleted && x >= list[i].offset &&
		    x < list[i].offset + list[i].length)
			return 0;
	return 1;
}

/* Anywhere before the end; what the list has before that is behind it. */
static struct place
any_place(void)
{
	struct place p = { nondet_size(), nondet_long() };
	size_t i;

	ASSUME(p.i <= box.n && p.at >= 0 && p.at <= u.end);
	for (i = 0; i < p.i; i++)
		ASSUME(list[i].gone ||
		    list[i].offset + list[i].length <= p.at);
	return p;
}

/* The next stretch that stays, all of it before another begins or ends. */
void
prove_next_kept(void)
{
	struct place p;
	off_t len, at, x = nondet_long();

	begin_list();
	p = any_place();
	at = p.at;
	len = next_kept(&u, &p);
	CHECK(len >= 0 && p.at >= at && p.at <= u.end - len);
	CHECK(len > 0 || p.at == u.end);
	ASSUME(x >= at && x < p.at + len);
	CHECK(stays(x) == (x >= p.at));
}
