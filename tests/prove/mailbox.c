/*
 * For cbmc: what a sender's octets meet in a scan, and what lists do. One step
 * at a time, so for a file of any length. Run by run.sh, which names the pieces.
 */
#include <ctype.h>
/* as in the locale C, which nobody leaves */
#undef toupper
#undef isdigit
#undef isalpha
#define toupper(c)	((c) >= 'a' && (c) <= 'z' ? (c) - 32 : (c))
#define isdigit(c)	((c) >= '0' && (c) <= '9')
#define isalpha(c)	(((c) | 32) >= 'a' && ((c) | 32) <= 'z')
/* cbmc compares rows with rows alone */
#define FOUR(c)	c, c, c, c
#define ROW(c)	((row){ FOUR(c), FOUR(c), FOUR(c), FOUR(c) })
#define FROM_MAX	12
#define MESSAGES_MAX	3
#include <small/mailbox.c>
#include "invariants.h"

enum { LIST = MESSAGES_MAX };
static struct mbox box;
static struct scan s;
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
	ssize_t r = any_count(n), k = nondet_long();

	CHECK(n > 0 && at >= 0);
	CHECK((off_t)n <= box.octets - at);
	CAN_WRITE(p, n);
	ASSUME(k >= 0 && (k < r || r <= 0));
	if (r > 0)
		__CPROVER_havoc_slice((char *)p + k, 1);
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
void
any_md5_update(struct md5 *m, const void *p, size_t len)
{
	CHECK(IS_SUM(m));
	CAN_READ(p, len);
	m->octets += len;
	m->held_len = (m->held_len + len) % sizeof(m->held);
}

/* Of the buffer anything is used, up to an offset. */
static void
any_place(struct mbox *m, off_t at)
{
	m->base = nondet_long();
	m->pos = nondet_size();
	m->len = nondet_size();
	ASSUME(IS_BUFFER(m) && here(m) == at);
}

/* prove_fill, and a look whether the file is the same: it goes on there. */
int
any_read_on(struct mbox *m)
{
	AT_MOST(2);
	any_place(m, here(m));
	__CPROVER_havoc_slice(data, sizeof(data));
	return nondet_int() ? 0 : -1;
}

/* ---- Pieces ---- */

static void
begin(void)
{
	s.m = &box;
	box.data = &data;
	box.msg = list;
	ASSUME(IS_BUFFER(&box));
}

/*
 * It goes on where it was, with what was not used and what was in front of it;
 * and a line end that does not count is behind.
 */
void
prove_fill(void)
{
	unsigned char was;
	off_t at;
	int r;

	begin();
	at = here(&box);
	watched = nondet_size();
	ASSUME(watched < MBOX_BEFORE + box.len - box.pos);
	was = data[box.pos - MBOX_BEFORE + watched];
	r = fill(&box);
	CHECK(data[watched] == was);
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

/* ---- The scan: contracts ---- */

static unsigned steps;
static int is_found;
static size_t found;		/* octets of the line, or what is there of it */

/* A line end or none: which of more it is matters to nobody. */
void *
any_memchr(const void *p, int c, size_t n)
{
	size_t i = nondet_size();

	CAN_READ(p, n);
	is_found = i < n;
	found = is_found ? i + 1 : n;
	if (!is_found) {
		ASSUME(n == 0 || ((const unsigned char *)p)[n - 1] != c);
		return NULL;
	}
	ASSUME(((const unsigned char *)p)[i] == c);
	return (unsigned char *)p + i;
}

/* What comes next. */
static const unsigned char *
begin_scan(void)
{
	begin();
	ASSUME(box.n <= LIST && IS_SCAN(&s, data + box.pos));
	data[box.len] = '\n';
	return data + box.pos;
}

/* Up to the buffer's end, behind which a line end stands and two octets more. */
static void
can_look_ahead(const unsigned char *p)
{
	CHECK(p >= data + MBOX_BEFORE && p <= data + box.len);
	CHECK(data[box.len] == '\n');
	CHECK(box.len + 2 < sizeof(data));
}

/* prove_is_from */
int
any_is_from(const unsigned char *p)
{
	can_look_ahead(p);
	return nondet_int() & 1;
}

/*
 * Up to here lines were taken, and so much of them is sent: a line end is two
 * octets. There IS_SCAN holds. HAS_FROM needs five octets.
 */
static off_t taken, sent;
static int has_begun;

/*
 * prove_is_start. Of a line as much is there as it looks at, wherever the buffer
 * ends.
 */
int
any_is_start(const struct scan *x, const unsigned char *p)
{
	size_t len = box.len - box.pos;

	can_look_ahead(p);
	CHECK(IS_BUFFER(&box) && here(&box) == taken);
	CHECK(p == data + box.pos && len > 0);
	CHECK(is_found || len >= FROM_MAX || is_at_end(&box));
	CHECK(x->size == sent);
	sent += (off_t)found + (is_found && *(p + found - 2) != '\r');
	/* the next one finds what this one leaves, which is looked at here */
	ASSUME(steps++ < 1);
	has_begun = nondet_int() & 1;
	/* data[len] is a line end: so there are five octets */
	if (has_begun)
		ASSUME(memcmp(p, "From ", 5) == 0);
	else if (x->state == BODY)
		taken += (off_t)found;	/* nothing else is asked */
	return has_begun;
}

/* prove_take_stride: some octets of a body, and what they become. */
size_t
any_take_stride(struct scan *x, const unsigned char *p, size_t len)
{
	size_t n = nondet_size(), more = nondet_size();

	CHECK(IS_BUFFER(&box) && here(&box) == taken && x->size == sent);
	CHECK(p == data + box.pos && len == box.len - box.pos);
	if (x->state != BODY || n > len || n == 0)
		return 0;
	ASSUME(more <= n && steps++ < 2);
	taken += (off_t)n;
	x->size = sent += (off_t)(n + more);
	return n;
}

/* prove_end_message. One more in the list, or it ends; or it is hidden. */
void
any_end_message(struct scan *x)
{
	CHECK(x->state != BEFORE);
	CHECK(HAS_FROM(x, here(x->m)));
	if ((x->end = nondet_int() & 1))
		x->result = MBOX_TEMP;
	else if (nondet_int())
		x->m->n++;
	x->waiting = nondet_size();
	ASSUME(x->waiting < LANES && IS_LANES(x));
}

/* prove_begin_message */
void
any_begin_message(struct scan *x)
{
	CHECK(has_begun && here(&box) == taken);
	x->end = nondet_int() & 1;
	x->state = FROM;
	sent -= x->size;
	x->size = 0;
}

/* prove_scan_line */
void
any_scan_line(struct scan *x, const unsigned char *p, size_t len, int has_end)
{
	CHECK(len == found && p == data + box.pos && x->state != BODY);
	CHECK(x->size == sent);
	x->size = sent = nondet_long();
	ASSUME(IS_MAIL(sent));
	CHECK(has_end == (p[len - 1] == '\n'));
	CHECK(has_end || (len == box.len - box.pos &&
	    (len >= FROM_MAX || is_at_end(&box))));
	CHECK(here(&box) == taken && (!has_begun || len >= 5));
	taken += (off_t)len;
	x->end |= nondet_int() & 1;
}

/* prove_hash_line */
static int hashed;

void
any_hash_line(struct scan *x, const unsigned char *p, size_t len)
{
	CHECK(IS_SUM(&x->id[x->waiting]) && IS_SUM(&x->wide));
	can_look_ahead(p);
	CHECK(len > 0);
	hashed++;
}

/* prove_classify: by the first letter at least. */
static int what_line;

int
any_classify(const unsigned char *p)
{
	can_look_ahead(p);
	return what_line;
}

void
any_md5_finish(struct md5 *m, size_t n)
{
	CHECK(m == s.id && n <= LANES);
	CAN_WRITE(m, n * sizeof(*m));
}

/* prove_finish_ids: a place in the list for each. */
void
any_finish_ids(struct scan *x)
{
	CHECK(x->waiting <= LANES && IS_LANES(x));
	x->waiting = 0;
}

static struct message added;

enum mbox_result
any_add_message(struct mbox *m, const struct message *new)
{
	added = *new;
	if (nondet_int() & 1)
		return MBOX_TEMP;
	m->n++;
	return MBOX_OK;
}

/* prove_fill: it is as it was, or there is more. */
int
any_fill(struct mbox *m)
{
	size_t had = m->len - m->pos;
	unsigned char before[3];
	int r = nondet_int();

	CHECK(IS_BUFFER(m));
	ASSUME(r >= -1 && r <= 1);
	memcpy(before, data + m->pos - sizeof(before), sizeof(before));
	any_place(m, here(m));
	ASSUME(r == 1 ? m->len - m->pos > had : m->len - m->pos == had);
	__CPROVER_havoc_slice(data, sizeof(data));
	memcpy(data + m->pos - sizeof(before), before, sizeof(before));
	data[m->len] = '\n';
	return r;
}

/* prove_scan_lines */
void
any_scan_lines(struct scan *x)
{
	struct scan now;

	CHECK(IS_BUFFER(x->m) && x->m->data == &data);
	CHECK(data[x->m->len] == '\n');
	CHECK(IS_SCAN(x, data + x->m->pos));
	CHECK(HAS_FROM(x, here(x->m)));
	AT_MOST(2);
	now.m = x->m;
	now.first = x->first;
	x->m->pos = nondet_size();
	x->m->n = nondet_size();
	*x = now;
	ASSUME(x->m->n <= LIST && IS_BUFFER(x->m));
	ASSUME(IS_BIT(x->end) && x->result <= MBOX_GONE);
	ASSUME(x->end || x->result == MBOX_OK);
	ASSUME(IS_SCAN(x, data + x->m->pos) && HAS_FROM(x, here(x->m)));
	ASSUME(x->end || !is_at_end(x->m) || x->m->pos == x->m->len);
}

/* ---- The scan: pieces ---- */

/* An empty line of LF counts, one of CRLF where it is said so. */
void
prove_is_after_empty(void)
{
	static unsigned char p[3];
	int crlf = nondet_int();

	CHECK(is_after_empty(p + 3, crlf) == (memcmp(p + 1, "\n\n", 2) == 0 ||
	    (crlf && memcmp(p, "\n\r\n", 3) == 0)));
}

static int
has_date(const unsigned char *p)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr",
	    "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	size_t i;

	for (i = 0; i < 12; i++)
		if (memcmp(p, months[i], 3) == 0 && !isalpha(p[3]))
			return 1;
	for (i = 0; i < 10; i++)
		if (i == 4 || i == 7 ? p[i] != '-' : !isdigit(p[i]))
			return 0;
	return 1;
}

/* Behind the line end there are two octets: that is as far as it looks. */
void
prove_is_date(void)
{
	enum { MOST = 11 };
	static unsigned char line[MOST + 3], same[MOST + 11];
	size_t at = nondet_size();

	line[MOST] = '\n';
	ASSUME(at <= MOST);
	memcpy(same, line, sizeof(line));
	CHECK(is_date(line + at) == has_date(same + at));
}

/* memchr in a line, of which each octet is looked at in its place. */
static const unsigned char *line;
static size_t line_octets;

void *
any_first(const void *from, int c, size_t n)
{
	size_t at = (size_t)((const unsigned char *)from - line), k;
	size_t i = nondet_size();

	CAN_READ(from, n);
	ASSUME(i <= n);
	for (k = 0; k < line_octets; k++)
		ASSUME(k < at || k > at + i || k == at + n ||
		    (line[k] == c) == (k == at + i));
	return i == n ? NULL : (unsigned char *)from + i;
}

/* Any octets of a line may be a date. */
static unsigned char dates[FROM_MAX + 2];

int
any_is_date(const unsigned char *p)
{
	CHECK(__CPROVER_r_ok(p, 3));
	return dates[p - line] & 1;
}

/*
 * The line, or what is looked at of it, has behind "From" a space and a date,
 * and further on a space and a time.
 */
static void
check_is_from(const unsigned char *p, size_t octets)
{
	size_t i, k, end;
	int dated = 0, want = 0;

	line = p;
	line_octets = octets;
	for (end = 0; end < FROM_MAX && p[end] != '\n'; end++)
		;
	for (i = 4; i < end; i++) {
		if (p[i] != ' ')
			continue;
		k = isdigit(p[i + 2]) ? i + 3 : i + 2;
		want |= dated && isdigit(p[i + 1]) && p[k] == ':' &&
		    isdigit(p[k + 1]) && isdigit(p[k + 2]) && k + 2 < end;
		dated |= dates[i + 1] & 1;
	}
	want = want && memcmp(p, "From ", 5) == 0;
	CHECK(is_from(p) == want);
}

/* Where the buffer ends, two octets behind the line end; and a longer line. */
void
prove_is_from(void)
{
	static unsigned char shorter[FROM_MAX + 2], longer[FROM_MAX + 4];

	shorter[FROM_MAX - 1] = longer[FROM_MAX + 1] = '\n';
	if (nondet_int())
		check_is_from(shorter, sizeof(shorter));
	else
		check_is_from(longer, sizeof(longer));
}

/* Behind what separates it; and where the file begins, whatever it is. */
void
prove_is_start(void)
{
	const unsigned char *p = begin_scan();
	int r;

	r = is_start(&s, p);
	CHECK(IS_BIT(r));
	if (r == 0)
		return;
	CHECK(s.state == BEFORE || s.state == BODY);
	CHECK(*p == 'F');
	CHECK((s.state == BEFORE && s.found == 0) ||
	    is_after_empty(p, s.crlf));
	CHECK((s.state == BODY || s.found > 0) ||
	    memcmp(p, "From ", 5) == 0);
}

/* In however many pieces a line comes, with what was counted of it. */
void
prove_scan_line(void)
{
	const unsigned char *p = begin_scan(), *next;
	size_t len = nondet_size();
	int has_end, is_empty, state;
	off_t size;

	ASSUME(s.state != BODY && len > 0 && len <= box.len - box.pos);
	next = p + len;
	ASSUME(len < 2 || next[-2] != '\n');
	ASSUME(len < 3 || next[-3] != '\n');
	has_end = next[-1] == '\n';
	is_empty = has_end && (len == 1 ? p[-1] == '\n' ||
	    (p[-1] == '\r' && p[-2] == '\n') :
	    len == 2 && *p == '\r' && p[-1] == '\n');
	ASSUME(HAS_FROM(&s, here(&box) + (off_t)len));
	state = (int)s.state;
	s.size += (off_t)len + (has_end && next[-2] != '\r');
	size = s.size;
	s.end = hashed = 0;
	s.result = MBOX_OK;
	scan_line(&s, p, len, has_end);
	box.pos += len;
	CHECK(IS_SCAN(&s, next));
	CHECK(HAS_FROM(&s, here(&box)));
	CHECK(s.end == (state == BEFORE && !is_empty));
	CHECK(s.end == (s.result != MBOX_OK));
	CHECK(s.state == (state == FROM ? (has_end ? HEADER : FROM) :
	    state == HEADER && is_empty ? BODY : state));
	CHECK(s.size == (state == FROM ? 0 : size));
	CHECK(hashed == (state == HEADER && !is_empty));
}

/* Of a body, with no line that begins with F: as many, and a CR for each LF. */
void
prove_take_stride(void)
{
	static unsigned char octets[18];
	size_t len = nondet_size(), i, n;
	int starts = 0;
	off_t size;

	ASSUME(len <= 17 && IS_MAIL(s.size) && s.state <= BODY);
	size = s.size;
	n = take_stride(&s, octets + 1, len);
	CHECK(n <= len && (n == 0 || s.state == BODY));
	for (i = 1; i <= 16; i++) {
		starts |= octets[i] == 'F' && octets[i - 1] == '\n';
		size += 1 + (octets[i] == '\n' && octets[i - 1] != '\r');
	}
	CHECK(n == 0 || (n == 16 && !starts && s.size == size));
	CHECK(n > 0 || len < 16 || starts || s.state != BODY);
}

/*
 * Line by line, all that is there; what stays is less than the buffer holds, so
 * there is room to go on.
 */
void
prove_scan_lines(void)
{
	begin();
	data[box.len] = '\n';
	ASSUME(IS_BIT(s.end));
	taken = here(&box);
	ASSUME(IS_MAIL(s.size));
	sent = s.size;
	steps = 0;
	scan_lines(&s);
	CHECK(IS_BUFFER(&box) && here(&box) == taken);
	CHECK(s.end || box.len - box.pos < FROM_MAX);
	CHECK(s.end || box.pos == box.len || !is_at_end(&box));
}

/* As if it looked at each line, whatever was there before. */
void
prove_hash_line(void)
{
	const unsigned char *p = begin_scan();
	size_t i = nondet_size(), len = nondet_size();
	int received, what, seen, in_id, in_wide;

	ASSUME(s.state == HEADER);
	ASSUME(len > 0 && len <= box.len - box.pos);
	ASSUME(i <= N_HEADER_LINES);
	ASSUME(i == N_HEADER_LINES || *header_lines[i].start == toupper(*p));
	what_line = i < N_HEADER_LINES ? header_lines[i].what : 0;
	seen = s.seen;
	in_id = s.in_id;
	in_wide = s.in_wide;
	received = seen & RECEIVED;
	if (p[-1] == '\n' && *p != ' ' && *p != '\t') {
		what = what_line;
		in_id = ((what & ALWAYS) && *p != 'x') ||
		    (!received && (what & (RECEIVED | EARLY)));
		in_wide = !((seen | what) & (RECEIVED | MESSAGE_ID)) &&
		    !(what & UNSTABLE);
		if (!received)
			seen |= what;
	}
	hash_line(&s, p, len);
	CHECK(IS_SCAN(&s, p));
	CHECK(!s.in_id == !in_id && !s.in_wide == !in_wide);
	CHECK((s.seen & RECEIVED) == (seen & RECEIVED));
	CHECK(received || s.seen == seen);
}

/* What the list gets is what read_list takes, and what can be sent. */
void
prove_end_message(void)
{
	off_t at;
	size_t n;

	begin_scan();
	ASSUME(s.state != BEFORE && HAS_FROM(&s, here(&box)));
	ASSUME(box.n < LIST);
	at = here(&box);
	added.offset = -1;
	n = box.n;
	s.result = MBOX_OK;
	s.end = 0;
	end_message(&s);
	CHECK(s.waiting < LANES && IS_LANES(&s));
	CHECK(s.end == (s.result != MBOX_OK));
	CHECK(box.n == n + (added.offset != -1 && !s.end));
	if (added.offset == -1) {
		CHECK((s.seen & (FOLDER | SUBJECT)) == (FOLDER | SUBJECT));
		return;
	}
	CHECK(IS_MESSAGE(&added, at));
	CHECK(added.offset + added.length == at);
	CHECK(!added.deleted && !added.gone && !added.unsure);
	CHECK(added.body == (uint32_t)(s.state == BODY ? added.size - s.header :
	    0));
}

void
prove_begin_message(void)
{
	begin_scan();
	ASSUME(HAS_FROM(&s, here(&box)) && IS_BIT(s.end));
	begin_message(&s);
	CHECK(s.state == FROM && s.start == here(&box));
	CHECK(IS_SCAN(&s, data + box.pos));
}

/* Each of the last messages gets its id. */
void
prove_finish_ids(void)
{
	begin();
	ASSUME(box.n <= LIST && s.waiting <= LANES && IS_LANES(&s));
	finish_ids(&s);
	CHECK(s.waiting == 0);
}

/* Nothing is appended where it fails, and each look reads on. */
void
prove_scan_from(void)
{
	off_t from = nondet_long();
	size_t n = box.n;
	enum mbox_result r;

	begin();
	ASSUME(n <= LIST && from >= 0 && from <= box.octets);
	ASSUME(from == 0 || from >= 3);
	r = scan_from(&box, from, nondet_int() & 1);
	CHECK(r == MBOX_OK ? box.n >= n : box.n == n && box.octets == -1);
	CHECK(box.octets == -1 || IS_BUFFER(&box));
}

/* ---- Matching ---- */

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
	memcpy(was, list, sizeof(was));
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

/* The next stretch that stays, all of it before another begins or ends. */
void
prove_next_kept(void)
{
	struct place p = { nondet_size(), nondet_long() };
	off_t len, at = 0, x = nondet_long();
	size_t i;
	int stays = 1;

	box.msg = list;
	u.m = &box;
	ASSUME(box.n <= LIST && u.end >= 0 && u.end <= FILE_OCTETS);
	ASSUME(p.i <= box.n && p.at >= 0 && p.at <= u.end);
	/*
	 * Messages ascend, and lie in the mail; what is gone lies nowhere. What
	 * the list has before the place is behind it.
	 */
	for (i = 0; i < box.n; i++) {
		if (list[i].gone)
			continue;
		ASSUME(list[i].offset >= at && list[i].length > 0 &&
		    list[i].length <= FILE_OCTETS &&
		    list[i].offset <= u.end - list[i].length);
		at = list[i].offset + list[i].length;
		ASSUME(i >= p.i || at <= p.at);
		stays &= !list[i].deleted || x < list[i].offset || x >= at;
	}
	at = p.at;
	len = next_kept(&u, &p);
	CHECK(len >= 0 && p.at >= at && p.at <= u.end - len);
	CHECK(len > 0 || p.at == u.end);
	ASSUME(x >= at && x < p.at + len);
	CHECK(stays == (x >= p.at));
}

/* prove_next_kept: one stretch behind the other, from the end of the last on. */
static struct {
	off_t at, len;
} stretch[LIST];

off_t
any_next_kept(const struct update *x, struct place *p)
{
	size_t k;

	for (k = 0; k < LIST && stretch[k].at + stretch[k].len <= p->at; k++)
		;
	p->i = nondet_size();
	if (k == LIST) {
		p->at = x->end;
		return 0;
	}
	CHECK(p->at <= stretch[k].at);
	p->at = stretch[k].at;
	return stretch[k].len;
}

/* As many stretches as fit, one at least, and none of them in part. */
void
prove_measure(void)
{
	struct place p = { 0, 0 }, end;
	off_t len, at = 0, n = 0;
	size_t k;

	for (k = 0; k < LIST; k++) {
		ASSUME(stretch[k].at >= at && IS_MAIL(stretch[k].at));
		ASSUME(stretch[k].len > 0 && IS_MAIL(stretch[k].len));
		at = stretch[k].at + stretch[k].len;
	}
	ASSUME(IS_MAIL(u.limit) && u.end >= at);
	p.at = nondet_long();
	ASSUME(p.at == 0 || p.at == stretch[0].at + stretch[0].len ||
	    p.at == at);
	at = p.at;
	len = measure(&u, p, &end);
	CHECK((len == 0) == (end.at == at));
	for (k = 0; k < LIST && stretch[k].at < end.at; k++)
		if (stretch[k].at >= at)
			n += stretch[k].len;
	CHECK(len == n);
	CHECK(len == 0 || end.at == stretch[k - 1].at + stretch[k - 1].len);
	CHECK(len <= u.limit || k == 1 || stretch[k - 2].at < at);
	CHECK(k == LIST || (len > 0 && len + stretch[k].len > u.limit));
}

/* ---- Sorting ---- */

void
prove_octet(void)
{
	unsigned k = (unsigned)nondet_int();
	uint64_t n = k < 4 ? list[0].body : list[0].hash, i;

	ASSUME(k < 12);
	for (i = k % 4 + (k > 7 ? 4 : 0); i > 0; i--)
		n /= 256;
	CHECK(octet(list, k) == n % 256);
}

/* The small one has 2 bits of a hash and 2 of a body, each for an octet. */
static unsigned char key[LIST];

unsigned
any_octet(const struct message *msg, unsigned k)
{
	size_t i;

	CHECK(k < 4);
	for (i = 0; i < LIST && msg != &list[i]; i++)
		;
	CHECK(i < box.n);
	return key[i] >> k & 1;
}

static uint32_t order[2 * (LIST + 1)];

void *
any_malloc(size_t n)
{
	CHECK(n == (box.n + 1) * 2 * sizeof(*order));
	return nondet_int() ? order : NULL;
}

/* Each once, by hash or by hash and body, and equal ones as they were. */
void
prove_sort_index(void)
{
	uint32_t *index;
	int by_body = nondet_int() & 1;
	unsigned a, b;
	size_t i;

	ASSUME(box.n <= LIST);
	index = sort_index(list, box.n, by_body);
	CHECK(index == NULL || index == order);
	ASSUME(index != NULL);
	for (i = 0; i < box.n; i++) {
		CHECK(order[i] < box.n);
		if (i == 0)
			continue;
		a = (key[order[i - 1]] & 15) >> (by_body ? 0 : 2);
		b = (key[order[i]] & 15) >> (by_body ? 0 : 2);
		CHECK(a < b || (a == b && order[i - 1] < order[i]));
	}
}

/* prove_sort_index */
uint32_t *
any_sort_index(const struct message *msg, size_t n, int by_body)
{
	const struct message *a, *b;
	size_t i;

	CHECK(msg == list && n == box.n && !by_body);
	for (i = 0; i < n; i++) {
		ASSUME(order[i] < n);
		if (i == 0)
			continue;
		a = &list[order[i - 1]];
		b = &list[order[i]];
		ASSUME(a->hash < b->hash || (a->hash == b->hash &&
		    order[i - 1] < order[i]));
	}
	return nondet_int() ? order : NULL;
}

static int is_freed;

void
any_free(void *p)
{
	CHECK(p == order && !is_freed);
	is_freed = 1;
}

/* From 1, among those with the same hash, in the mailbox's order. */
void
prove_number(void)
{
	size_t i, k, n;
	int r;

	box.msg = list;
	ASSUME(box.n <= LIST);
	is_freed = 0;
	r = number(&box);
	CHECK(is_freed == (r == 0));
	if (r != 0)
		return;
	for (i = 0; i < box.n; i++) {
		for (n = 1, k = 0; k < i; k++)
			n += list[k].hash == list[i].hash;
		CHECK(list[i].ordinal == n);
	}
}

/* ---- The index, and reading by it ---- */

static struct message whole[LIST + 1];
static uint64_t head[HEAD];

/* In the file, one behind the other, and none is marked. */
static int
is_list(const struct message *msg, const struct mbox *m)
{
	struct message is;
	off_t at = 0;
	size_t i;
	int ok = 1;

	for (i = 0; i < m->n; i++) {
		is = msg[i];
		ok = ok && IS_MESSAGE(&is, m->octets) && is.offset >= at &&
		    !is.deleted && !is.gone && !is.unsure;
		at = ok ? is.offset + is.length : 0;
	}
	return ok;
}

void *
any_realloc(void *p, size_t n)
{
	CHECK(n >= sizeof(*whole) && n <= sizeof(whole));
	return nondet_int() ? whole : NULL;
}

/* Advice, of what is there. */
void
any_have_pages(void *p, size_t n)
{
	CAN_WRITE(p, n);
}

/* What is in the index may be anything. */
ssize_t
any_read_index(int fd, void *p, size_t n, off_t at)
{
	CAN_WRITE(p, n);
	return any_count(n);
}

/* Whatever stands in it, it is a list, or none. */
void
prove_read_list(void)
{
	int r;

	box.msg = NULL;
	box.n = box.room = 0;
	ASSUME(IS_MAIL(box.octets));
	r = read_list(&box, head);
	CHECK(IS_BIT(r));
	CHECK(box.n <= LIST && box.n <= box.room);
	CHECK(r == 0 || box.msg == whole);
	CHECK(r == 0 || is_list(whole, &box));
}

void
prove_describe(void)
{
	box.msg = list;
	ASSUME(box.n <= LIST + 1);
	describe(&box, head);
	CHECK(head[MAGIC] == INDEX_MAGIC && head[COUNT] == box.n);
	CHECK(head[OCTETS] == (uint64_t)box.octets);
}

enum mbox_result
any_take_figures(struct mbox *m)
{
	m->octets = nondet_long();
	ASSUME(m->octets == -1 || IS_MAIL(m->octets));
	return m->octets == -1 ? MBOX_TEMP : MBOX_OK;
}

/* prove_read_list */
int
any_read_list(struct mbox *m, const uint64_t h[HEAD])
{
	CAN_READ(h, HEAD * sizeof(*h));
	m->msg = list;
	m->n = nondet_size();
	ASSUME(m->n <= LIST);
	return nondet_int() && is_list(list, m);
}

int
any_memcmp(const void *p, const void *q, size_t n)
{
	CAN_READ(p, n);
	CAN_READ(q, n);
	return nondet_int();
}

void
any_describe(const struct mbox *m, uint64_t h[HEAD])
{
	CHECK(is_list(list, m));
	__CPROVER_havoc_slice(h, HEAD * sizeof(*h));
}

/* prove_scan_from: what it appends is in the file, behind that. */
enum mbox_result
any_scan_from(struct mbox *m, off_t from, int crlf)
{
	size_t n = m->n, i;

	CHECK(from >= 3 && from <= m->octets && is_list(list, m));
	for (i = 0; i < n; i++)
		CHECK(list[i].offset + list[i].length <= from);
	m->n = nondet_size();
	ASSUME(m->n >= n && m->n <= LIST + 1);
	if (nondet_int()) {
		m->n = n;
		m->octets = -1;
		return MBOX_TEMP;
	}
	for (i = n; i < m->n; i++)
		list[i] = whole[i];
	ASSUME(is_list(list, m) && (m->n == n || list[n].offset >= from));
	return MBOX_OK;
}

void
any_save(const struct mbox *m, size_t from)
{
	CHECK(from <= m->n && is_list(list, m));
}

/* What is taken from an index is a list; and never more of it than is shown. */
void
prove_recall(void)
{
	int r;

	box.msg = NULL;
	box.n = box.room = box.unseen = 0;
	r = recall(&box);
	CHECK(IS_BIT(r));
	if (r == 0)
		return;
	CHECK(box.n <= MESSAGES_MAX && box.msg == list);
	CHECK(is_list(list, &box));
	CHECK(box.young);
	CHECK(box.unseen == 0 || box.unseen < box.n);
}

static size_t wanted;
static struct message renewed;

enum mbox_result
any_renew(struct mbox *m)
{
	enum mbox_result r = nondet_int();

	CHECK(wanted >= m->unseen || m->octets == -1);
	ASSUME(r >= MBOX_OK && r <= MBOX_GONE);
	m->octets = nondet_long();
	if (r != MBOX_OK)
		return r;
	ASSUME(IS_BUFFER(m));
	/* the others nobody looks at */
	list[wanted] = renewed;
	ASSUME(list[wanted].gone || IS_MESSAGE(&list[wanted], m->octets));
	return r;
}

/* prove_mbox_read */
int
any_mbox_read(struct mbox *m, const unsigned char **p, size_t *len)
{
	const struct message *msg = &list[wanted];
	off_t at = here(m);

	CHECK(m->current == wanted && !msg->gone);
	CHECK(IS_BUFFER(m));
	CHECK(at >= msg->offset && at <= msg->offset + msg->length);
	AT_MOST(1);
	if (nondet_int())
		return -1;
	if (at == msg->offset + msg->length) {
		*p = (const unsigned char *)"\n";
		*len = 1;
		return 0;
	}
	*len = nondet_size();
	ASSUME(*len > 0 && *len <= PIECE_MAX);
	any_place(m, at + (off_t)*len);
	ASSUME(*len <= m->pos - MBOX_BEFORE);
	ASSUME(here(m) <= msg->offset + msg->length);
	*p = data + m->pos - *len;
	return 0;
}

/* Behind a line end of the message, or at its end. */
void
prove_mbox_seek(void)
{
	enum mbox_result r;

	begin();
	ASSUME(box.n > 0 && box.n <= LIST && wanted < box.n);
	r = mbox_seek(&box, wanted);
	if (r != MBOX_OK)
		return;
	CHECK(IS_BUFFER(&box));
	CHECK(box.current == wanted && !list[wanted].gone);
	CHECK(here(&box) >= list[wanted].offset);
	CHECK(here(&box) <= list[wanted].offset + list[wanted].length);
}
