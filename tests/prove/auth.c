/*
 * For cbmc: what the verifier makes of a record and of a line of -f. Run by
 * run.sh, which names the pieces.
 */
#include <small/auth.c>
#include "invariants.h"

static struct auth a;
static struct attempt t;
static struct claim c;

/* ---- Contracts ---- */

long long
clock_ms(void)
{
	return 0;
}

void
md5_init(struct md5 *m)
{
	CAN_WRITE(m, sizeof(*m));
}

void
md5_update(struct md5 *m, const void *p, size_t len)
{
	CAN_WRITE(m, sizeof(*m));
	CAN_READ(p, len);
}

void
md5_finish(struct md5 *m, size_t n)
{
	CHECK(n > 0 && n <= 16);
	CAN_WRITE(m, n * sizeof(*m));
}

void
any_auth_wipe(void *p, size_t len)
{
	CAN_WRITE(p, len);
}

/* A name, when it was found: prove_is_name, prove_take_entry. */
enum auth_result
any_find_account(struct auth *x, const char *typed, struct claim *claim)
{
	CHECK(strlen(typed) <= NAME_OCTETS + 1);
	claim->line[LINE_OCTETS - 1] = '\0';
	claim->entry = claim->hash = claim->line;
	claim->why = nondet_int() ? NULL : "";
	x->account.name[NAME_OCTETS] = '\0';
	return nondet_int() ? AUTH_YES : nondet_int() ? AUTH_NO : AUTH_TROUBLE;
}

static int hashes, held_back;

int
any_is_secret(struct auth *x, const struct attempt *y, struct claim *claim)
{
	CHECK(strlen(y->secret) <= FIELD_MAX);
	CAN_READ(claim->hash, 1);
	hashes++;
	return nondet_int() & 1;
}

enum auth_result
any_ask_saslauthd(struct auth *x, const char *name, const struct attempt *y)
{
	CHECK(strlen(name) <= NAME_OCTETS + 1);
	CHECK(strlen(y->secret) <= FIELD_MAX);
	hashes++;
	return nondet_int() ? AUTH_YES : nondet_int() ? AUTH_NO : AUTH_TROUBLE;
}

void
any_hold_back(const struct timespec *begun)
{
	held_back++;
}

static const struct timespec *since;

int
clock_gettime(clockid_t id, struct timespec *x)
{
	x->tv_sec = nondet_long();
	x->tv_nsec = nondet_long();
	ASSUME(IS_TIME(x->tv_sec) && x->tv_nsec >= 0 &&
	    x->tv_nsec < 1000000000);
	/* no login takes a month */
	if (since != NULL)
		ASSUME(x->tv_sec < since->tv_sec + 2000000 &&
		    (x->tv_sec > since->tv_sec || (x->tv_sec ==
		    since->tv_sec && x->tv_nsec >= since->tv_nsec)));
	return 0;
}

/* ---- Pieces ---- */

/* By the letters; and nobody's dotlock. */
void
prove_is_name(void)
{
	enum { MOST = 7 };
	static char name[MOST + 1];
	size_t len = 0;
	int ok = 1;

	name[MOST] = '\0';
	for (; name[len] != '\0'; len++) {
		char x = name[len];

		ok &= (x >= 'A' && x <= 'Z') || (x >= 'a' && x <= 'z') ||
		    (x >= '0' && x <= '9') || x == '.' || x == '_' ||
		    x == '@' || x == '+' || x == '-';
	}
	ok &= len > 0 && len <= NAME_OCTETS && name[0] != '.' &&
	    name[0] != '-';
	CHECK(is_name(name) == ok);
}

void
prove_parse_id(void)
{
	enum { MOST = 5 };
	static char text[MOST + 1];
	char end = nondet_int() ? ':' : '\0';
	unsigned long long want = 0;
	size_t n = 0;

	text[MOST] = '\0';
	while (text[n] >= '0' && text[n] <= '9')
		want = want * 10 + (unsigned)(text[n++] - '0');
	CHECK(parse_id(text, end) == (text[n] == end && want < UINT_MAX ?
	    (unsigned)want : 0));
}

void
prove_is_equal(void)
{
	enum { MOST = 6 };
	static char x[MOST + 1], y[MOST + 1];
	size_t i = 0;

	x[MOST] = y[MOST] = '\0';
	while (x[i] != '\0' && x[i] == y[i])
		i++;
	CHECK(is_equal(x, y) == (x[i] == y[i]));
}

/* Whatever the line is: its hash lies in it, and the name is the one. */
void
prove_take_entry(void)
{
	static char name[NAME_OCTETS + 1];
	int r;

	c.line[LINE_OCTETS - 1] = name[NAME_OCTETS] = '\0';
	r = take_entry(&a, nondet_int() ? name : NULL, &c);
	CHECK(r == 0 || r == 1);
	if (r == 0)
		return;
	CHECK(strlen(c.hash) <= FIELD_MAX);
	CHECK(*c.hash == '\0' ||
	    (c.hash >= c.line && c.hash < c.line + LINE_OCTETS));
	CHECK(c.hash >= c.entry || *c.hash == '\0');
}

int
any_is_name(const char *name)
{
	CHECK(strlen(name) <= NAME_OCTETS + 1);
	return nondet_int() & 1;
}

/*
 * Nothing in a record is trusted, not even that its strings end. Whoever is not
 * let in leaves no account, and waits; whoever is has cost one hash.
 */
void
prove_verify(void)
{
	enum auth_result r;
	size_t i = nondet_size();

	a.saslauthd = nondet_int() ? NULL : "s";
	since = NULL;
	hashes = held_back = 0;
	r = verify(&a, &t);
	CHECK(r == AUTH_YES || r == AUTH_NO || r == AUTH_TROUBLE);
	CHECK(held_back == (r != AUTH_YES));
	CHECK(r == AUTH_TROUBLE || hashes == 1);
	ASSUME(i < sizeof(a.account));
	CHECK(r == AUTH_YES || ((char *)&a.account)[i] == 0);
}

/* It waits for some time, and not for more than a step. */
static struct timespec begun;

int
any_nanosleep(const struct timespec *x, struct timespec *left)
{
	CHECK(x->tv_sec >= 0 && x->tv_sec <= TRY_SECONDS);
	CHECK(x->tv_nsec >= 0 && x->tv_nsec < 1000000000);
	CHECK(x->tv_sec > 0 || x->tv_nsec > 0);
	CHECK(x->tv_sec < TRY_SECONDS || x->tv_nsec == 0);
	return 0;
}

void
prove_hold_back(void)
{
	ASSUME(begun.tv_sec >= 0 && begun.tv_sec <= 1000000);
	ASSUME(begun.tv_nsec >= 0 && begun.tv_nsec < 1000000000);
	since = &begun;
	hold_back(&begun);
}
