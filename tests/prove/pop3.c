/*
 * For cbmc: what a stranger's octets meet before login, and put_mail. Run by
 * run.sh, which names the pieces.
 */
#include <small/pop3.c>
#include "invariants.h"

static struct session s;
static int replies, tries;

/* ---- Contracts ---- */

/* It never goes back. */
static long long now;

long long
clock_ms(void)
{
	long long t = nondet_long();

	ASSUME(IS_TIME(t) && t >= now);
	now = t;
	return t;
}

int
any_vsnprintf(char *p, size_t n, const char *format, va_list ap)
{
	return any_text(p, n);
}

/* prove_client_io */
size_t
any_client_io(struct session *t, int fd, char *p, size_t len)
{
	size_t n = nondet_size();

	CHECK(len > 0);
	ASSUME(n > 0 && n <= len);
	CAN_READ(p, len);
	return n;
}

void
any_flush(struct session *t)
{
	CHECK(t->out_len <= sizeof(t->out));
	t->out_len = 0;
}

void
any_reply(struct session *t, const char *format, ...)
{
	CAN_READ(format, 1);
	replies++;
}

void
any_wrong(struct session *t, const char *text)
{
	CAN_READ(text, 1);
	replies++;
}

void
auth_wipe(void *p, size_t len)
{
	CAN_WRITE(p, len);
}

static size_t io_calls;

ssize_t
any_read(int fd, void *p, size_t n)
{
	ssize_t r = nondet_long();

	CAN_WRITE(p, n);
	/* then it is the same once more */
	ASSUME(io_calls++ < 2 && r >= -1 && r <= (ssize_t)n);
	return r;
}

ssize_t
any_write(int fd, const void *p, size_t n)
{
	ssize_t r = nondet_long();

	CAN_READ(p, n);
	ASSUME(io_calls++ < 2 && r >= -1 && r <= (ssize_t)n);
	return r;
}

unsigned
any_alarm(unsigned seconds)
{
	CHECK(seconds > 0);
	return 0;
}

void
any_leave(struct session *t)
{
	ASSUME(0);
}

void
any_note(const struct session *t, const char *what)
{
	CAN_READ(what, 1);
}

void
any_note_end(const struct session *t, const char *how, const char *figures)
{
	CAN_READ(how, 1);
}

/* Who logs in has a name, and no field is longer than may be. */
void
any_try_login(struct session *t, char mechanism, const char *name,
    const char *secret)
{
	CHECK(mechanism == AUTH_PASS || mechanism == AUTH_NEVER ||
	    mechanism == AUTH_APOP);
	CHECK(strlen(name) > 0);
	CHECK(strlen(name) <= FIELD_MAX);
	CHECK(strlen(secret) <= FIELD_MAX);
	tries++;
	replies++;
}

int
any_inet_pton(int family, const char *text, void *a)
{
	CHECK(strlen(text) < 80);
	CAN_WRITE(a, family == AF_INET ? 4 : 16);
	__CPROVER_havoc_slice(a, family == AF_INET ? 4 : 16);
	return nondet_int();
}

const char *
any_inet_ntop(int family, const void *a, char *p, socklen_t len)
{
	CAN_READ(a, family == AF_INET ? 4 : 16);
	CHECK(len >= (family == AF_INET ? INET_ADDRSTRLEN : INET6_ADDRSTRLEN));
	any_text(p, len);
	return p;
}

/* ---- Pieces ---- */

/* It returns only with 1 to len octets. */
void
prove_client_io(void)
{
	static char p[4];
	size_t len = nondet_size(), n;
	int fd = nondet_int() & 1;

	io_calls = 0;
	ASSUME(len > 0 && len <= sizeof(p) && IS_IDLE(&s));
	ASSUME(IS_TIME(now) && IS_DEADLINE(&s, now));
	n = client_io(&s, fd, p, len);
	CHECK(n > 0 && n <= len);
}

void
prove_flush(void)
{
	ASSUME(s.out_len <= sizeof(s.out));
	flush(&s);
	CHECK(s.out_len == 0);
}

void
prove_reply(void)
{
	ASSUME(HAS_ROOM(&s));
	reply(&s, "%s", "");
	CHECK(HAS_ROOM(&s));
}

/* Digits only, then end; the exact number, or max. */
void
prove_parse_number(void)
{
	enum { MOST = 7 };
	static char text[MOST + 1];
	size_t max = nondet_int() ? 1000000 : MESSAGES_MAX + 1, n, d = 0;
	const char *p = text;
	char end = nondet_int() ? ' ' : '\0';
	unsigned want = 0;
	int r;

	text[MOST] = '\0';
	while (text[d] >= '0' && text[d] <= '9')
		want = want * 10 + (unsigned)(text[d++] - '0');
	r = parse_number(&p, end, max, &n);
	CHECK((r == 0) == (d > 0 && text[d] == end));
	CHECK(r == 0 || r == -1);
	CHECK(r == -1 || n == (want < max ? (size_t)want : max));
	CHECK(r == -1 || p == text + d + 1);
}

/* A digit's value, the other way round: RFC 4648, section 4; 64: none. */
static unsigned
value_of(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned)(c - 'A') :
	    c >= 'a' && c <= 'z' ? (unsigned)(c - 'a') + 26 :
	    c >= '0' && c <= '9' ? (unsigned)(c - '0') + 52 :
	    c == '+' ? 62 : c == '/' ? 63 : 64;
}

void
prove_decode_base64(void)
{
	enum { MOST = 8 };
	static char text[MOST + 1];
	unsigned v[MOST] = { 0 };
	size_t i, k, len = 0, pad = 0;
	int n, ok;

	text[MOST] = '\0';
	while (text[len] != '\0')
		len++;
	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	ok = len % 4 == 0;
	for (i = 0; i < len - pad; i++) {
		v[i] = value_of(text[i]);
		ok &= v[i] < 64;
	}
	/* no stray bits */
	ok = ok && (pad != 1 || v[len - 2] % 4 == 0) &&
	    (pad != 2 || v[len - 3] % 16 == 0);
	n = decode_base64(text);
	CHECK(n == (ok ? (int)(len / 4 * 3 - pad) : -1));
	k = nondet_size();
	ASSUME(n > 0 && k < (size_t)n);
	i = k / 3 * 4;
	CHECK((unsigned char)text[k] == (unsigned char)(k % 3 == 0 ?
	    v[i] << 2 | v[i + 1] >> 4 : k % 3 == 1 ?
	    v[i + 1] << 4 | v[i + 2] >> 2 : v[i + 2] << 6 | v[i + 3]));
}

/* What prove_decode_base64 has shown. */
int
any_decode_base64(char *text)
{
	size_t len = strlen(text);
	int n = nondet_int();

	ASSUME(n >= -1 && n <= (int)(len / 4 * 3));
	__CPROVER_havoc_slice(text, len);
	return n;
}

/* Whatever was decoded: one answer, and fields that are as they may be. */
void
prove_login_plain(void)
{
	static char text[SASL_MAX];

	text[SASL_MAX - 1] = '\0';
	replies = tries = 0;
	login_plain(&s, text);
	CHECK(replies == 1);
}

/* The messages' numbers are those of the list. */
void
prove_check_argument(void)
{
	static struct message list[3];
	static char arg[6];
	const char *why;
	size_t which = nondet_size();

	ASSUME(which < sizeof(commands) / sizeof(*commands) - 1);
	s.command = &commands[which];
	s.arg = nondet_int() ? NULL : arg;
	arg[sizeof(arg) - 1] = '\0';
	s.mbox.msg = list;
	ASSUME(s.mbox.n <= 3);
	why = check_argument(&s);
	if (why != NULL) {
		CAN_READ(why, 1);
		return;
	}
	CHECK(s.message <= s.mbox.n);
	if (s.command->argument == MESSAGE || s.command->argument == LINES) {
		CHECK(s.message < s.mbox.n);
		CHECK(!list[s.message].deleted && !list[s.message].gone);
	}
	if (s.command->argument == NAME || s.command->argument == TEXT)
		CHECK(s.arg != NULL && *s.arg != '\0');
	if (s.command->argument == NAME)
		CHECK(strchr(s.arg, ' ') == NULL);
	if (s.command->argument == NOTHING)
		CHECK(s.arg == NULL);
}

/* In the log stands an address or what stood there. */
void
prove_take_address(void)
{
	static char text[6];

	text[sizeof(text) - 1] = '\0';
	take_address(&s, text);
}
