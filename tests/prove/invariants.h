/*
 * What the pieces for cbmc share: any value, the C library by contract, and the
 * invariants, in words and in C. A piece calls one function of the product once,
 * in any state in which the invariants hold, and asserts that they still do. So
 * they hold after any number of calls, whatever came in.
 *
 * The limits are smaller than the product's (see run.sh), as every octet costs
 * time; no code depends on which they are. What is replaced by a contract is
 * named any_, has its conditions asserted, and returns anything that it may.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

int nondet_int(void);
long nondet_long(void);
size_t nondet_size(void);

#define CHECK(is)	__CPROVER_assert(is, #is)
#define ASSUME(is)	__CPROVER_assume(is)
#define CAN_READ(p, n)	CHECK((n) == 0 || __CPROVER_r_ok(p, n))
#define CAN_WRITE(p, n)	CHECK((n) == 0 || __CPROVER_w_ok(p, n))

/* So often in a piece: it counts from anything, and so from 0, too. */
#define AT_MOST(n)							\
do {									\
	static size_t times;						\
									\
	ASSUME(times++ < (n));						\
} while (0)

/* What a clock can show: no system sets one beyond that. */
#define IS_TIME(t)	((t) >= 0 && (t) < 1LL << 40)

#define IS_BIT(i)	((i) == 0 || (i) == 1)

/*
 * No file has 2^60 octets, and no session sends that many. What is sent of a
 * message is less than twice of it.
 */
#define MAIL_OCTETS	(1LL << 60)
#define IS_MAIL(n)	((n) >= 0 && (n) < MAIL_OCTETS)

/* What was read and not used yet lies in the buffer. */
#define IS_INPUT(s)	((s)->in_pos <= (s)->in_len &&			\
	(s)->in_len <= sizeof(*(s)->in))

/* No more is in out than it holds. */
#define IS_OUT(s)	((s)->out_len <= sizeof(*(s)->out))

/* Behind a reply or mail out has room for END_OCTETS. */
#define HAS_ROOM(s)	((s)->out_len <= sizeof(*(s)->out) - END_OCTETS)

/* -t has at most a million seconds, and one at least. */
#define IS_IDLE(s)	((s)->idle > 0 && (s)->idle <= 1000000)

/* A deadline is set to so many seconds from some moment that is over. */
#define IS_DEADLINE(s, now)	((s)->deadline >= 0 &&			\
	(s)->deadline <= (now) + 1000000000LL)

/*
 * What was read of a mailbox and is not used yet lies in the buffer, behind
 * MBOX_BEFORE octets, and in the file as it was scanned.
 */
#define IS_BUFFER(m)	(IS_MAIL((m)->octets) && (m)->base >= 0 &&	\
	(m)->pos >= MBOX_BEFORE && (m)->pos <= (m)->len &&		\
	(m)->len <= MBOX_BEFORE + MBOX_BUFFER &&			\
	(m)->base <= (m)->octets &&					\
	(off_t)((m)->len - MBOX_BEFORE) <= (m)->octets - (m)->base)

/* A sum's context holds less than it has room for, the last octets of all. */
#define IS_SUM(m)	((m)->held_len < sizeof((m)->held) &&		\
	(m)->octets % 64 == (m)->held_len % 64)

/*
 * Of a scan, with what comes next at p: one more id can be under way besides
 * those of the list's last messages. At most twice what was looked at, of the
 * message or in front of all, counts as sent. Where a header has ended, that was
 * an empty line. Behind a line without an end some of header or body is there,
 * and behind an empty line of the body, two octets.
 */
#define IS_SCAN(s, p)	((s)->waiting < LANES && IS_LANES(s) &&		\
	(s)->state <= BODY && (s)->size >= 0 && ((s)->state == BEFORE ?	\
	(s)->size <= 2 * here((s)->m) : IS_UNDER_WAY(s, p)))
#define IS_LANES(s)	((s)->first <= (s)->m->n &&			\
	(s)->waiting <= (s)->m->n - (s)->first)
#define IS_UNDER_WAY(s, p)	(IS_SUM(&(s)->id[(s)->waiting]) &&	\
	IS_SUM(&(s)->wide) && (s)->start >= 0 &&			\
	(s)->start <= here((s)->m) &&					\
	(s)->size <= 2 * (here((s)->m) - (s)->start) &&			\
	((s)->state == FROM ? (s)->size == 0 : (s)->state == HEADER ?	\
	(s)->size > 0 || (p)[-1] == '\n' : IS_BODY(s, p)))
#define IS_BODY(s, p)	((s)->header >= 2 && (s)->header <= (s)->size &&	\
	((s)->size > (s)->header || (p)[-1] == '\n') &&			\
	((s)->size == (s)->header || (s)->size >= (s)->header + 2 ||	\
	!is_after_empty(p, 1)))

/* A message begins with "From ", which was taken up to an offset. */
#define HAS_FROM(s, at)	((s)->state == BEFORE || (at) - (s)->start >= 5)

/* Where a message of the list can lie, and what can be sent of it. */
#define IS_MESSAGE(msg, octets)	((msg)->offset >= 0 &&			\
	(msg)->length >= 5 && (msg)->length <= (octets) &&		\
	(msg)->offset <= (octets) - (msg)->length && (msg)->size >= 2 &&	\
	(msg)->size / 2 - 2 <= (msg)->length)

/* ---- The C library: what cbmc does not have, or looks at for too long ---- */

/* Small strings are searched as they are. */
size_t
strspn(const char *s, const char *set)
{
	size_t n;

	for (n = 0; s[n] != '\0' && strchr(set, s[n]) != NULL; n++)
		;
	return n;
}

size_t
strcspn(const char *s, const char *set)
{
	size_t n;

	for (n = 0; s[n] != '\0' && strchr(set, s[n]) == NULL; n++)
		;
	return n;
}

char *
strpbrk(const char *s, const char *set)
{
	size_t n = strcspn(s, set);

	return s[n] != '\0' ? (char *)s + n : NULL;
}

void *
memchr(const void *s, int c, size_t n)
{
	const unsigned char *p = s;

	for (; n > 0; p++, n--)
		if (*p == (unsigned char)c)
			return (void *)p;
	return NULL;
}

/* A few octets: the one of cbmc takes long where nobody knows how many. */
void *
any_memcpy(void *to, const void *from, size_t n)
{
	char *p = to;
	const char *q = from;

	CAN_READ(from, n);
	CAN_WRITE(to, n);
	for (; n > 0; n--)
		*p++ = *q++;
	return to;
}

/* What was there may be anything: so one octet is moved, or copied, any one. */
static size_t watched;

void *
any_memmove(void *to, const void *from, size_t n)
{
	CAN_READ(from, n);
	CAN_WRITE(to, n);
	if (watched < n)
		((char *)to)[watched] = ((const char *)from)[watched];
	return to;
}

/* Any string that fits. Its length: where it may be cut off nobody asks. */
static int
any_text(char *p, size_t n)
{
	size_t i = nondet_size();

	CAN_WRITE(p, n);
	__CPROVER_havoc_slice(p, n);
	ASSUME(n > 0 && i < n);
	p[i] = '\0';
	return (int)i;
}

/* Any string of n octets at most. Who leaves it is seen. */
static char *
any_string(size_t n)
{
	char *p = __CPROVER_allocate(n + 1, 0);

	p[n] = '\0';
	return p;
}

/* What is read or written of n octets; or -1. */
static ssize_t
any_count(size_t n)
{
	ssize_t r = nondet_long();

	ASSUME(r >= -1 && r <= (ssize_t)n);
	return r;
}

int
snprintf(char *p, size_t n, const char *format, ...)
{
	CAN_READ(format, 1);
	return any_text(p, n);
}
