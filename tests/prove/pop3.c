/*
 * For cbmc: what a stranger's octets meet before login, all commands, and
 * put_mail. Run by run.sh, which names the pieces.
 */
struct session;
static void any_run(struct session *s);	/* instead of a handler */
#include <small/pop3.c>
#include "invariants.h"

static struct session s;
static char in[sizeof(*s.in)], out[sizeof(*s.out)];
static int replies;	/* status lines */
static int tries;
static int entered;	/* somebody has: the session answers */

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

/*
 * prove_client_io. As root nothing is read that may be the session's. Two reads
 * show all there is: what the third one meets has been there before.
 */
size_t
any_client_io(struct session *t, int fd, char *p, size_t len)
{
	size_t n = nondet_size();

	CHECK(len > 0);
	CHECK(IS_IDLE(t));
	ASSUME(n > 0 && n <= len);
	if (fd == 0) {
		CHECK(IS_DEADLINE(t, now));
		CHECK(len == 1 || t->state != AUTHORIZATION || !t->auth.root);
		CAN_WRITE(p, len);
		/* what was there before may be other octets, too */
		__CPROVER_havoc_slice(t->in, sizeof(*t->in));
		AT_MOST(2);
	} else
		CAN_READ(p, len);
	return n;
}

void
any_flush(struct session *t)
{
	CHECK(IS_OUT(t));
	t->out_len = 0;
}

/* prove_reply. A status line has + or - in front; that of a list has not. */
void
any_reply(struct session *t, const char *format, ...)
{
	const char *first = format;
	va_list ap;

	CAN_READ(format, 1);
	CHECK(IS_OUT(t));
	va_start(ap, format);
	if (strncmp(format, "%s", 2) == 0)
		first = va_arg(ap, const char *);
	va_end(ap);
	replies += *first == '-' || (*first == '+' && format[1] != ' ');
	t->out_len = nondet_size();
	ASSUME(HAS_ROOM(t));
}

void
any_wrong(struct session *t, const char *text)
{
	CAN_READ(text, 1);
	if (t->state == NO_MAILBOX)
		CAN_READ(t->refusal, 1);
	any_reply(t, "-");
}

/* prove_refuse */
void
any_refuse(struct session *t, enum mbox_result r, const char *text)
{
	CHECK(r > MBOX_OK && r <= MBOX_GONE);
	CAN_READ(text, 1);
	CAN_READ(t->mbox.why, 1);
	any_reply(t, "-");
}

void
auth_wipe(void *p, size_t len)
{
	CAN_WRITE(p, len);
}

ssize_t
any_read(int fd, void *p, size_t n)
{
	CAN_WRITE(p, n);
	AT_MOST(2);	/* then it is the same once more */
	return any_count(n);
}

ssize_t
any_write(int fd, const void *p, size_t n)
{
	CAN_READ(p, n);
	AT_MOST(2);
	return any_count(n);
}

unsigned
any_alarm(unsigned seconds)
{
	CHECK(seconds > 0);
	return 0;
}

void
any_leave(const struct session *t, int status)
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
	if (nondet_int())
		any_reply(t, "-");
	else
		t->done = entered = 1;
}

/* prove_login_plain: one status line, or the session's will come. */
void
any_login_plain(struct session *t, char *text)
{
	CHECK(strlen(text) < SASL_MAX);
	if (nondet_int())
		any_reply(t, "-");
	else
		t->done = entered = 1;
}

/*
 * prove_get_line. It has room for the longest command's name and an argument
 * of FIELD_MAX octets, which is more than the small COMMAND_MAX. No command has
 * a longer argument: that goes for the large one, too.
 */
char *
any_get_line(struct session *t, size_t max)
{
	static char line[4 + 1 + FIELD_MAX + 1];

	CHECK(max == COMMAND_MAX || max == SASL_MAX);
	CHECK(IS_OUT(t));
	if (nondet_int()) {
		any_reply(t, "-");
		return NULL;
	}
	__CPROVER_havoc_slice(line, sizeof(line));
	line[sizeof(line) - 1] = '\0';
	return line;
}

/* prove_put_mail */
int
any_put_mail(struct session *t, const unsigned char *p, size_t len)
{
	CHECK(IS_OUT(t));
	CHECK(t->sent == &t->top || t->sent == &t->retr);
	CHECK(t->left > 0);
	CAN_READ(p, len);
	t->left = nondet_long();
	t->out_len = nondet_size();
	ASSUME(HAS_ROOM(t) && t->left < MAIL_OCTETS);
	return t->left > 0 && nondet_int();
}

/*
 * The disk may be in any trouble at any time. Of a message two pieces show all
 * there is.
 */
static struct message list[3];

static enum mbox_result
any_result(struct mbox *m)
{
	enum mbox_result r = nondet_int();

	ASSUME(r >= MBOX_OK && r <= MBOX_GONE);
	m->why = "";
	return r;
}

enum mbox_result
mbox_seek(struct mbox *m, size_t i)
{
	CHECK(i < m->n);
	__CPROVER_havoc_slice(list, sizeof(list));
	ASSUME(list[i].size >= 2 && list[i].size < MAIL_OCTETS);
	return any_result(m);
}

int
mbox_read(struct mbox *m, const unsigned char **p, size_t *len)
{
	static unsigned char piece[PIECE_MAX];

	AT_MOST(2);
	ASSUME(*len > 0 && *len <= PIECE_MAX);
	*p = piece;
	return nondet_int() ? 0 : -1;
}

enum mbox_result
mbox_uid(struct mbox *m, size_t i, char uid[UID_OCTETS])
{
	CHECK(i < m->n);
	any_text(uid, UID_OCTETS);
	return any_result(m);
}

enum mbox_result
mbox_update(struct mbox *m)
{
	return any_result(m);
}

/* What is tried has strings that end, and is not what was refused last. */
enum auth_result
auth_try(struct auth *a, struct attempt *t)
{
	CHECK(strlen(t->user) <= NAME_OCTETS + 1);
	CHECK(strlen(t->secret) <= FIELD_MAX);
	a->tries++;
	tries++;
	return nondet_int() ? AUTH_YES : nondet_int() ? AUTH_NO : AUTH_TROUBLE;
}

/* ---- The address ---- */

static int is_socket;
static sa_family_t family;

int
getpeername(int fd, struct sockaddr *a, socklen_t *len)
{
	CHECK(*len == sizeof(struct sockaddr_storage));
	CAN_WRITE(a, *len);
	errno = nondet_int();
	is_socket = errno != ENOTSOCK;
	if (!is_socket || nondet_int())
		return -1;
	a->sa_family = family;
	return 0;
}

int
getnameinfo(const struct sockaddr *a, socklen_t alen, char *host, socklen_t n,
    char *service, socklen_t slen, int flags)
{
	CHECK(service == NULL && slen == 0);
	any_text(host, n);
	return nondet_int();
}

char *
getenv(const char *name)
{
	return nondet_int() ? NULL : any_string(5);
}

/* prove_take_address */
int
any_take_address(struct session *t, const char *text)
{
	CHECK(strlen(text) < 80);
	if (nondet_int())
		return 0;
	any_text(t->ip, sizeof(t->ip));
	return 1;
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

static void
begin(void)
{
	s.in = &in;
	s.out = &out;
	ASSUME(IS_INPUT(&s) && IS_OUT(&s) && IS_IDLE(&s));
	replies = tries = entered = 0;
}

/* It returns only with 1 to len octets. */
void
prove_client_io(void)
{
	static char p[4];
	size_t len = nondet_size(), n;
	int fd = nondet_int() & 1;

	ASSUME(len > 0 && len <= sizeof(p) && IS_IDLE(&s));
	ASSUME(IS_TIME(now) && IS_DEADLINE(&s, now));
	n = client_io(&s, fd, p, len);
	CHECK(n > 0 && n <= len);
}

void
prove_flush(void)
{
	begin();
	flush(&s);
	CHECK(s.out_len == 0);
}

void
prove_reply(void)
{
	begin();
	reply(&s, "%s", "");
	CHECK(HAS_ROOM(&s));
}

/*
 * A string of less than max octets, with no line end in it, and with no blanks
 * at its end unless it is a password; or one status line for what is not. From
 * any state of the buffer: so it is true of all reads and lines.
 */
void
prove_get_line(void)
{
	size_t max = nondet_size(), len;
	char *line;

	ASSUME(max > 0 && max < sizeof(in));
	begin();
	ASSUME(IS_TIME(now) && IS_DEADLINE(&s, now));
	s.refusal = "";
	line = get_line(&s, max);
	CHECK(IS_INPUT(&s));
	CHECK(replies == (line == NULL));
	if (line == NULL)
		return;
	len = strlen(line);
	CHECK(line >= in);
	CHECK(line + len < in + s.in_pos);
	CHECK(len < max);
	CHECK(strchr(line, '\n') == NULL);
	CHECK(len == 0 || line[len - 1] != ' ' ||
	    strncasecmp(line, "PASS ", 5) == 0);
}

void
prove_wrong(void)
{
	static char why[4];

	begin();
	ASSUME(s.wrong < WRONG_MAX);
	s.refusal = s.state == NO_MAILBOX ? why : NULL;
	wrong(&s, why);
	CHECK(replies == 1);
	CHECK(s.wrong < WRONG_MAX || s.done);
}

void
prove_refuse(void)
{
	begin();
	any_result(&s.mbox);
	refuse(&s, any_result(&s.mbox), unreadable);
	CHECK(replies == 1);
	CAN_READ(s.refusal, 1);
}

/* What was refused last costs no attempt; and the last attempt is the end. */
void
prove_try_login(void)
{
	ASSUME(s.auth.tries >= 0 && s.auth.tries < TRIES_MAX);
	begin();
	s.done = 0;
	try_login(&s, AUTH_PASS, any_string(NAME_OCTETS + 2),
	    any_string(FIELD_MAX));
	CHECK(tries <= 1);
	CHECK(replies == 1 || (replies == 0 && tries == 1 && s.done));
	CHECK(s.done || s.auth.tries < TRIES_MAX);
}

/* An argument that check_argument lets pass. */
static int
is_checked(const struct session *t)
{
	enum argument kind = t->command->argument;

	if (t->message > t->mbox.n || (t->message < t->mbox.n &&
	    !is_there(t, t->message)))
		return 0;
	if (kind == MESSAGE || kind == LINES)
		return t->message < t->mbox.n;
	if (kind == NAME || kind == TEXT)
		return t->arg != NULL && *t->arg != '\0' &&
		    (kind == TEXT || strchr(t->arg, ' ') == NULL);
	return t->arg == NULL || (kind != NOTHING && *t->arg != '\0');
}

/* prove_check_argument */
const char *
any_check_argument(struct session *t)
{
	CHECK(t->command->name != NULL);
	/* numbers may be longer */
	CHECK(t->arg == NULL || t->command->argument >= MESSAGE ||
	    strlen(t->arg) <= FIELD_MAX);
	t->message = nondet_size();
	t->lines = nondet_size();
	if (nondet_int())
		return "";
	ASSUME(is_checked(t));
	return NULL;
}

/* prove_cmd_user and so on, whatever the handler. */
static void
any_run(struct session *t)
{
	CHECK(t->command->states & (unsigned)t->state);
	CHECK(is_checked(t));
	CHECK(!t->need_tls || t->command->states != AUTHORIZATION);
	if (t->state == AUTHORIZATION && nondet_int())
		entered = 1;
	else
		any_reply(t, "-");
}

static void
begin_command(void)
{
	s.state = nondet_int() ? AUTHORIZATION : nondet_int() ? TRANSACTION :
	    nondet_int() ? PIPE : NO_MAILBOX;
	s.mbox.msg = list;
	ASSUME(s.mbox.n <= (s.state & LOGGED_IN ? 3 : 0));
	begin();
	s.mbox.why = "";
	s.refusal = s.state == NO_MAILBOX ? "" : NULL;
	s.auth.challenge = nondet_int() ? NULL : "";
	s.name[FIELD_MAX] = '\0';
	ASSUME(IS_MAIL(list[0].size) && IS_MAIL(list[1].size) &&
	    IS_MAIL(list[2].size) && IS_MAIL(s.top) && IS_MAIL(s.retr));
	/* counted up at commands before the login */
	ASSUME(s.need_tls >= 0 && s.need_tls <= COMMANDS_MAX);
	s.done = 0;
}

/* Any command, with an argument or without. */
static void
choose_command(void)
{
	size_t which = nondet_size();

	ASSUME(which < sizeof(commands) / sizeof(*commands) - 1);
	s.command = &commands[which];
	s.arg = nondet_int() ? NULL : any_string(FIELD_MAX);
}

/* Any line in any state has one status line, or a handler's. */
void
prove_run_command(void)
{
	begin_command();
	run_command(&s);
	CHECK(replies + entered == 1);
	CHECK(IS_OUT(&s));
}

/*
 * A handler has one status line, in each state in which it may run; or somebody
 * is in, and the session's comes.
 */
static void
handle(void (*run)(struct session *))
{
	begin_command();
	choose_command();
	ASSUME(s.command->run == run);
	ASSUME(s.command->states & (unsigned)s.state);
	ASSUME(is_checked(&s));
}

#define HANDLER(run)							\
void									\
prove_##run(void)							\
{									\
	handle(run);							\
	run(&s);							\
	CHECK(replies + entered == 1);					\
	CHECK(!entered || (s.done && s.state == AUTHORIZATION));	\
	CHECK(IS_OUT(&s));						\
}

HANDLER(cmd_user)
HANDLER(cmd_pass)
HANDLER(cmd_apop)
HANDLER(cmd_auth)
HANDLER(cmd_capa)
HANDLER(cmd_stat)
HANDLER(cmd_list)
HANDLER(cmd_retr)
HANDLER(cmd_dele)
HANDLER(cmd_rset)
HANDLER(cmd_quit)

/*
 * Octet by octet: RFC 1939, section 3. What one piece leaves is what the next
 * one meets, so a message may have any number of them.
 */
void
prove_put_mail(void)
{
	static unsigned char p[PIECE_MAX];
	static char want[2 * PIECE_MAX + 2];
	static long long sent;
	size_t len = nondet_size(), i, n = 0, was, lines = s.lines;
	off_t left = s.left;
	int begins = s.at_line_start, body = s.in_body, r;

	begin();
	ASSUME(len > 0 && len <= PIECE_MAX);
	ASSUME(IS_MAIL(left) && IS_BIT(begins) && IS_BIT(body));
	s.sent = &sent;
	ASSUME(IS_MAIL(sent));
	was = s.out_len + 2 * len > sizeof(out) - END_OCTETS ? 0 : s.out_len;
	for (i = 0; i < len; i++) {
		if ((i == 0 || p[i - 1] == '\n') && left <= 0)
			break;
		if (begins && body && lines != ALL_LINES && lines-- == 0)
			break;
		if (begins && p[i] == '.')
			want[n++] = '.';
		if (begins && (p[i] == '\n' || (p[i] == '\r' && i + 1 < len &&
		    p[i + 1] == '\n')))
			body = 1;
		begins = p[i] == '\n';
		if (p[i] == '\n') {
			want[n++] = '\r';
			want[n++] = '\n';
			left -= 2;
		} else if (p[i] != '\r' || i + 1 == len || p[i + 1] != '\n') {
			want[n++] = (char)p[i];
			left--;
		}
	}
	r = put_mail(&s, p, len);
	CHECK(HAS_ROOM(&s));
	CHECK(s.out_len == was + n);
	CHECK(s.left == left);
	CHECK(r == (i == len && left > 0));
	CHECK(s.at_line_start == begins);
	CHECK(i < len || (s.in_body == body && s.lines == lines));
	i = nondet_size();
	ASSUME(i < n);
	CHECK(out[was + i] == want[i]);
}

/* Digits only, then end; the exact number, or max. */
void
prove_parse_number(void)
{
	char *text = any_string(7);
	size_t max = nondet_int() ? 1000000 : MESSAGES_MAX + 1, n, d = 0;
	const char *p;
	char end = nondet_int() ? ' ' : '\0';
	unsigned want = 0;

	while (text[d] >= '0' && text[d] <= '9')
		want = want * 10 + (unsigned)(text[d++] - '0');
	p = parse_number(text, end, max, &n);
	CHECK((p != NULL) == (d > 0 && text[d] == end));
	CHECK(p == NULL || n == (want < max ? (size_t)want : max));
	CHECK(p == NULL || p == text + d + 1);
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
	char *text = any_string(MOST);
	unsigned v[MOST] = { 0 };
	size_t i, k, len = 0, pad = 0;
	char *end;
	int n, ok;

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
	end = decode_base64(text);
	n = end == NULL ? -1 : (int)(end - text);
	CHECK(n == -1 || *end == '\0');
	CHECK(n == (ok ? (int)(len / 4 * 3 - pad) : -1));
	k = nondet_size();
	ASSUME(n > 0 && k < (size_t)n);
	i = k / 3 * 4;
	CHECK((unsigned char)text[k] == (unsigned char)(k % 3 == 0 ?
	    v[i] << 2 | v[i + 1] >> 4 : k % 3 == 1 ?
	    v[i + 1] << 4 | v[i + 2] >> 2 : v[i + 2] << 6 | v[i + 3]));
}

/* What prove_decode_base64 has shown. */
char *
any_decode_base64(char *text)
{
	size_t len = strlen(text);
	int n = nondet_int();

	ASSUME(n >= -1 && n <= (int)(len / 4 * 3));
	__CPROVER_havoc_slice(text, len);
	if (n == -1)
		return NULL;
	text[n] = '\0';
	return text + n;
}

/* Whatever was decoded: one answer, and fields that are as they may be. */
void
prove_login_plain(void)
{
	begin();
	ASSUME(s.state == AUTHORIZATION);
	login_plain(&s, any_string(SASL_MAX - 1));
	CHECK(replies + entered == 1);
}

/* The messages' numbers are those of the list. */
void
prove_check_argument(void)
{
	const char *why;

	choose_command();
	s.mbox.msg = list;
	ASSUME(s.mbox.n <= 3);
	why = check_argument(&s);
	if (why != NULL) {
		CAN_READ(why, 1);
		return;
	}
	CHECK(is_checked(&s));
}

/* In the log stands an address or what stood there. */
void
prove_take_address(void)
{
	take_address(&s, any_string(5));
}

/* Nobody but this host can listen: a pipe, or the loopback. */
void
prove_find_client(void)
{
	int r;

	r = find_client(&s);
	CHECK(r == 0 || r == 1);
	CHECK(r == 0 || !is_socket || family == AF_UNIX ||
	    strcmp(s.ip, "::1") == 0 || strncmp(s.ip, "127.", 4) == 0);
	CHECK(strlen(s.ip) < sizeof(s.ip));
}
