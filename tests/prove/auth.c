/*
 * For cbmc: what the verifier makes of a record, of the file of -f, of names
 * and hashes, and of saslauthd's answers. Run by run.sh, which names the pieces.
 */
#include <small/auth.c>
#include "invariants.h"

static struct auth a;
static struct attempt t;
static struct claim c;

/* ---- Contracts ---- */

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
any_find_account(struct auth *x, const struct attempt *y, struct claim *claim)
{
	CHECK(strlen(y->user) <= NAME_OCTETS + 1);
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

int
any_is_name(const char *name)
{
	CHECK(strlen(name) <= NAME_OCTETS + 1);
	return nondet_int() & 1;
}

int
any_complain(struct auth *x, const char *option, const char *value,
    const char *what)
{
	CAN_READ(value, 1);
	return -1;
}

/* ---- Pieces ---- */

/* By the letters; and nobody's dotlock. */
void
prove_is_name(void)
{
	char *name = any_string(7);
	size_t len = 0;
	int ok = 1;

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
	char *text = any_string(5);
	char end = nondet_int() ? ':' : '\0';
	unsigned long long want = 0;
	size_t n = 0;

	while (text[n] >= '0' && text[n] <= '9')
		want = want * 10 + (unsigned)(text[n++] - '0');
	CHECK(parse_id(text, end) == (text[n] == end && want < UINT_MAX ?
	    (unsigned)want : 0));
}

void
prove_is_equal(void)
{
	char *x = any_string(6), *y = any_string(6);
	size_t i = 0;

	while (x[i] != '\0' && x[i] == y[i])
		i++;
	CHECK(is_equal(x, y) == (x[i] == y[i]));
}

/* Whatever the line is: its hash lies in it, and the name is the one. */
void
prove_take_entry(void)
{
	int r;

	c.line[LINE_OCTETS - 1] = '\0';
	r = take_entry(&a, nondet_int() ? any_string(NAME_OCTETS) : NULL, &c);
	CHECK(r == 0 || r == 1);
	if (r == 0)
		return;
	CHECK(strlen(c.hash) <= FIELD_MAX);
	CHECK(*c.hash == '\0' ||
	    (c.hash >= c.line && c.hash < c.line + LINE_OCTETS));
	CHECK(c.hash >= c.entry || *c.hash == '\0');
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

/* Who is root's, or the dialogue's, is not let in whatever the secret. */
void
prove_why_not(void)
{
	char mechanism = (char)nondet_int();
	const char *r;

	a.file = nondet_int() ? NULL : "f";
	a.saslauthd = nondet_int() ? NULL : "s";
	c.line[LINE_OCTETS - 1] = '\0';
	c.hash = c.line;
	c.why = nondet_int() ? NULL : "";
	r = why_not(&a, &c, mechanism);
	if (r != NULL) {
		CAN_READ(r, 1);
		return;
	}
	CHECK(!a.root || (a.account.uid != 0 && a.account.gid != 0));
	CHECK(!a.root || a.account.uid != a.uid);
	CHECK(c.why == NULL);
	CHECK(mechanism != AUTH_NEVER);
	CHECK(a.saslauthd != NULL || *c.hash != '\0');
	CHECK(a.saslauthd != NULL || c.plain ||
	    (*c.hash != '*' && *c.hash != '!'));
}

/* ---- A name, and whom it means ---- */

static int asked;

enum auth_result
any_find_exactly(struct auth *x, const char *name, struct claim *claim)
{
	CHECK(strlen(name) <= NAME_OCTETS + 1);
	asked++;
	return nondet_int() ? AUTH_YES : nondet_int() ? AUTH_NO : AUTH_TROUBLE;
}

const char *
any_why_not(const struct auth *x, const struct claim *claim, char mechanism)
{
	return nondet_int() ? NULL : "";
}

/* It looks three times at most, and says why there is nobody. */
void
prove_find_account(void)
{
	static struct attempt typed;
	enum auth_result r;

	typed.user[NAME_OCTETS + 1] = '\0';
	asked = 0;
	r = find_account(&a, &typed, &c);
	CHECK(r == AUTH_YES || r == AUTH_NO || r == AUTH_TROUBLE);
	CHECK(asked <= 3);
	CHECK(asked > 0 || r == AUTH_NO);
	CHECK(r == AUTH_YES || c.why != NULL);
}

/* ---- The file of -f ---- */

/* cbmc opens it, and sees whoever uses it when it is not open. */
static mode_t mode;
static int octets, is_ended, has_nul, taken;

int
any_fstat(int fd, struct stat *st)
{
	st->st_mode = mode;
	return nondet_int() ? 0 : -1;
}

int
any_setvbuf(FILE *f, char *p, int how, size_t n)
{
	CAN_WRITE(f, sizeof(*f));
	CAN_WRITE(p, n);
	return nondet_int();
}

/*
 * One line shows all there is, be it too long: what is in the buffer before it
 * is any other.
 */
int
any_getc(FILE *f)
{
	int x = nondet_int();

	CAN_WRITE(f, sizeof(*f));
	ASSUME(x == EOF || (x >= 0 && x <= 255));
	if (is_ended) {
		AT_MOST(1);
		octets = has_nul = 0;
	}
	ASSUME(octets < LINE_OCTETS + 1 || x == EOF || x == '\n');
	is_ended = x == EOF || x == '\n';
	octets += !is_ended;
	has_nul |= x == '\0';
	return x;
}

int
any_fclose(FILE *f)
{
	CAN_WRITE(f, sizeof(*f));
	free(f);
	return 0;
}

/* A line is taken whole, or not at all. */
int
any_take_entry(struct auth *x, const char *name, struct claim *claim)
{
	CHECK(is_ended && !has_nul);
	CHECK(octets < LINE_OCTETS);
	CHECK(claim->line[octets] == '\0');
	CHECK(strlen(claim->line) == (size_t)octets);
	taken = nondet_int() & 1;
	return taken;
}

void
prove_find_in_file(void)
{
	enum auth_result r;

	a.file = "f";
	is_ended = 1;
	taken = 0;
	r = find_in_file(&a, nondet_int() ? NULL : "n", &c);
	CHECK(r == AUTH_YES || r == AUTH_NO || r == AUTH_TROUBLE);
	CHECK(r != AUTH_YES || taken);
	CHECK(r != AUTH_NO || !taken);
	CHECK(r == AUTH_TROUBLE || S_ISREG(mode));
	CHECK(r == AUTH_TROUBLE || (mode & (S_IWGRP | S_IRWXO)) == 0);
}

/* ---- Secrets ---- */

static int is_plainly, is_same;

int
any_is_plain(const struct auth *x, const struct attempt *y, const char *secret)
{
	CAN_READ(secret, 1);
	is_plainly = nondet_int() & 1;
	return is_plainly;
}

void
any_find_any_hash(struct auth *x, struct claim *claim)
{
	claim->hash = SOME_HASH;
}

char *
crypt(const char *key, const char *setting)
{
	CHECK(strlen(key) <= FIELD_MAX);
	CHECK(*setting != '\0');
	hashes++;
	return nondet_int() ? NULL : any_string(5);
}

int
any_is_equal(const char *x, const char *y)
{
	CAN_READ(x, 1);
	CAN_READ(y, 1);
	is_same = nondet_int() & 1;
	return is_same;
}

/*
 * A yes is the same secret, or the hash of it, which is asked for then and no
 * other; a no has cost one hash. What the log gets lies in the entry.
 */
void
prove_is_secret(void)
{
	size_t i = nondet_size();
	int r;

	c.line[LINE_OCTETS - 1] = t.secret[FIELD_MAX] = '\0';
	c.entry = c.line;
	ASSUME(i <= strlen(c.line));
	c.hash = c.line + i;
	c.why = nondet_int() ? NULL : "";
	c.scheme = hashes = is_same = is_plainly = 0;
	r = is_secret(&a, &t, &c);
	CHECK(r == 0 || r == 1);
	CHECK(hashes == !(c.plain && is_plainly));
	CHECK(r == 0 || is_plainly || is_same);
	CHECK(r == 0 || is_plainly || (!c.plain && t.mechanism == AUTH_PASS));
	CHECK(r == 0 || is_plainly || (c.hash == c.line + i && *c.hash != '\0'
	    && *c.hash != '*' && *c.hash != '!'));
	CHECK(c.scheme >= 0 && (size_t)c.scheme <= strlen(c.line));
}

/* Without a challenge there is no APOP, and an empty secret is none. */
void
prove_is_plain(void)
{
	char *secret = any_string(3);
	int r;

	t.secret[FIELD_MAX] = '\0';
	a.challenge = nondet_int() ? NULL : any_string(3);
	is_same = 0;
	r = is_plain(&a, &t, secret);
	CHECK(r == is_same);
	CHECK(r == 0 || *secret != '\0');
	CHECK(r == 0 || t.mechanism == AUTH_PASS ||
	    (t.mechanism == AUTH_APOP && a.challenge != NULL));
}

/* ---- saslauthd ---- */

enum { SASLAUTHD = 3, ACCOUNTS = 7, ANSWERS = 8 };
static int is_connected, is_written, received, is_ok;
static size_t announced;

int
any_socket(int domain, int type, int protocol)
{
	return nondet_int() ? SASLAUTHD : -1;
}

int
setsockopt(int fd, int level, int option, const void *p, socklen_t n)
{
	CAN_READ(p, n);
	return nondet_int() ? 0 : -1;
}

int
any_connect(int fd, const struct sockaddr *to, socklen_t len)
{
	CAN_READ(to, len);
	is_connected = fd == SASLAUTHD && (nondet_int() & 1);
	return is_connected - 1;
}

/* Anything, and any part of it: first a length, then so much. */
ssize_t
any_recv(int fd, void *p, size_t n, int flags)
{
	unsigned char *to = p;
	ssize_t r = any_count(n);

	CHECK(is_written && received < 2);
	CHECK(received == 0 ? n == 2 : n == announced);
	CAN_WRITE(p, n);
	if (n >= 2) {
		__CPROVER_havoc_slice(to, 2);
		announced = (size_t)to[0] * 256 + to[1];
		is_ok = to[0] == 'O' && to[1] == 'K';
	}
	if (r == (ssize_t)n)
		received++;
	return r;
}

/* A yes is a whole answer that begins with OK; half of one is no answer. */
void
prove_ask_saslauthd(void)
{
	enum auth_result r;

	t.secret[FIELD_MAX] = '\0';
	a.saslauthd = "/s";
	is_connected = is_written = received = is_ok = 0;
	r = ask_saslauthd(&a, any_string(NAME_OCTETS), &t);
	CHECK(r == AUTH_YES || r == AUTH_NO || r == AUTH_TROUBLE);
	CHECK(r != AUTH_YES || (received == 2 && is_ok));
	CHECK(r != AUTH_TROUBLE || received < 2);
	CHECK(r != AUTH_NO || received == 2 || t.mechanism != AUTH_PASS ||
	    !is_connected);
}

/* ---- Records ---- */

static int verified, answered, said;
static enum auth_result result;

enum auth_result
any_verify(struct auth *x, struct attempt *y)
{
	CAN_WRITE(y, sizeof(*y));
	CHECK(result != AUTH_YES);
	verified++;
	CHECK(verified <= TRIES_MAX);
	result = nondet_int() ? AUTH_YES :
	    nondet_int() ? AUTH_NO : AUTH_TROUBLE;
	return result;
}

ssize_t
any_read(int fd, void *p, size_t n)
{
	CAN_WRITE(p, n);
	CHECK(n == sizeof(struct attempt));
	CHECK(answered == verified && result != AUTH_YES);
	return any_count(n);
}

/*
 * To saslauthd; or an account for root with a yes alone, before the octet that
 * says it.
 */
ssize_t
any_write(int fd, const void *p, size_t n)
{
	ssize_t r = any_count(n);

	CAN_READ(p, n);
	if (fd != ACCOUNTS && fd != ANSWERS) {
		CHECK(is_connected && fd == SASLAUTHD);
		is_written = r == (ssize_t)n;
	} else if (fd == ACCOUNTS) {
		CHECK(result == AUTH_YES && n == sizeof(struct account));
		CHECK(said == 0 && answered == verified - 1);
		said++;
	} else {
		CHECK(n == 1 && *(const char *)p == (char)result);
		CHECK(answered == verified - 1);
		CHECK(said == (result == AUTH_YES));
		answered++;
	}
	return r;
}

void
any_die(const char *what)
{
	ASSUME(0);
}

void
any__exit(int status)
{
	CHECK(status == 0);
	ASSUME(0);
}

typedef void (*handler)(int);

handler
any_signal(int sig, handler h)
{
	CHECK(h == SIG_DFL);
	return h;
}

int
any_seteuid(uid_t uid)
{
	CHECK(said == 1);
	return nondet_int() ? 0 : -1;
}

int
any_stat(const char *path, struct stat *st)
{
	CHECK(strlen(path) < PATH_OCTETS);
	return -1;
}

int
any_expand(const char *p, const struct account *who, char path[PATH_OCTETS])
{
	any_text(path, PATH_OCTETS);
	return nondet_int() ? 0 : -1;
}

/* So many records, one octet for each, and one account at most. */
void
prove_priv_verify(void)
{
	static const int accounts[2] = { 6, ACCOUNTS };

	a.tries = 0;
	verified = answered = said = 0;
	result = AUTH_NO;
	priv_verify(&a, 5, ANSWERS, accounts);
}

/* ---- Paths ---- */

/* As it is read: octet by octet. */
void
prove_expand(void)
{
	static char want[PATH_OCTETS], path[PATH_OCTETS];
	static struct account who;
	const char *p = any_string(5);
	const char *add;
	char one[2] = "";
	size_t i, k, n = 0;
	int ok = 1;

	who.name[NAME_OCTETS] = '\0';
	who.home[sizeof(who.home) - 1] = '\0';
	for (i = 0; ok && p[i] != '\0'; i++) {
		one[0] = p[i];
		add = one;
		if (p[i] == '%') {
			i++;
			add = p[i] == '%' ? "%" : p[i] == 'u' ? who.name :
			    p[i] == 'h' ? who.home : "";
		}
		ok = *add != '\0';
		for (k = 0; ok && add[k] != '\0'; k++) {
			ok = n < PATH_OCTETS - 1;
			if (ok)
				want[n++] = add[k];
		}
	}
	CHECK(expand(p, &who, path) == (ok && n > 0 ? 0 : -1));
	ASSUME(ok && n > 0);
	CHECK(path[n] == '\0');
	i = nondet_size();
	ASSUME(i < n);
	CHECK(path[i] == want[i]);
}
