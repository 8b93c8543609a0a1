/*
 * The client: options, the two descriptors, lines, commands, replies, timers
 * and the session's log. RFC 1939, RFC 2449, RFC 3206, RFC 5034.
 *
 * The functions that touch the client end the process when he is gone or late,
 * so that everything above them is straight-line. A command handler gets its
 * arguments as the table wants them. It sends one status line, but for a login
 * that was right: that is answered by the session.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>

#include "pop3.h"

/* Close all descriptors from 3 up; -1: that cannot be done at once here. */
#if defined(__linux__)
#include <sys/syscall.h>
#if !defined(SYS_close_range)
#define SYS_close_range	-1
#endif
#define close_rest()	syscall(SYS_close_range, 3U, ~0U, 0U)
#elif defined(__FreeBSD__) || defined(__DragonFly__) || defined(__NetBSD__) || \
    defined(__OpenBSD__) || defined(__sun)
#define close_rest()	(closefrom(3), 0)
#else
#define close_rest()	-1
#endif

#define VERSION		"1.0"

enum {
	COMMAND_MAX = 255,	/* octets with CRLF: RFC 2449, section 4 */
	SASL_MAX = 1026,	/* the same for an answer to "+ ": three fields
				 * of 255 octets (RFC 4616, section 2), two
				 * NULs, base64; RFC 5034, section 4 */
	IDLE_SECONDS = 600,	/* RFC 1939, section 3: 10 minutes or more */
	COMMANDS_MAX = 100,	/* before login, right or wrong */
	LOGIN_SECONDS = 120,	/* for all of AUTHORIZATION, */
	ANSWER_SECONDS = 3,	/* and the last answer of it: TRY_SECONDS */
	WRONG_MAX = 20,		/* wrong commands without a mailbox */
	END_OCTETS = 3,		/* ".\r\n": a reply leaves room for it */
	LEAVE_SECONDS = 15,	/* for a client to leave without one */
	REPLY_MAX = 512		/* octets with CRLF: RFC 1939, section 3 */
};
#define ALL_LINES	((size_t)-1)

/* NO_MAILBOX: who logged in cannot have his mailbox, and has not left yet. */
enum state { AUTHORIZATION = 1, TRANSACTION = 2, PIPE = 4, NO_MAILBOX = 8 };
#define LOGGED_IN	(TRANSACTION | PIPE)

struct session {
	struct auth auth;
	struct mbox mbox;
	char name[FIELD_MAX + 1];	/* USER's, until PASS comes */
	struct attempt refused;	/* the last one that was */
	enum state state;
	int need_tls;		/* -s, and others can listen; above 1: logged */
	int done;		/* no more commands are read */
	unsigned idle;		/* seconds */
	unsigned wrong;		/* commands in AUTHORIZATION or NO_MAILBOX */
	const char *refusal;	/* why the mailbox failed, for the client */
	const struct command *command;	/* under way, */
	char *arg;		/* with its argument; checked, as */
	size_t message, lines;	/* its numbers; message: from 0, or mbox.n
				 * for none */
	off_t left;		/* octets of the message not sent yet */
	long long *sent;	/* where what was sent is counted: */
	long long top, retr;	/* by TOP, or by RETR */
	int at_line_start;	/* the next one begins a line */
	int in_body;		/* the header was sent */
	long long start;	/* of the session, by clock_ms */
	long long deadline;	/* by clock_ms, of the line that is read; and
				 * of all of AUTHORIZATION or NO_MAILBOX */
	char ip[INET6_ADDRSTRLEN];
	char challenge[128];
	size_t in_pos, in_len, out_len;
	char in[4096];		/* more than SASL_MAX, for a longer line */
	char out[4 * PIECE_MAX];
};

/* The first three may be missing; the next two are no numbers. */
enum argument { NOTHING, ANY, MAYBE, NAME, TEXT, MESSAGE, LINES };

struct command {
	const char *name;
	unsigned states;
	enum argument argument;
	void (*run)(struct session *);
	const char *text;	/* instead of run */
};

static volatile sig_atomic_t expired;

/*
 * It ends a call that blocks, with EINTR. It may come just before that call: so
 * it comes again each second.
 */
static void
on_alarm(int sig)
{
	(void)sig;
	expired = 1;
	alarm(1);
}

static void
note(const struct session *s, const char *what)
{
	syslog(LOG_INFO, "%s, user=%s, ip=[%s]", what,
	    s->auth.account.name[0] != '\0' ? s->auth.account.name : "-",
	    s->ip);
}

/* The session is over. figures: more of them, each with a comma in front. */
static void
note_end(const struct session *s, const char *how, const char *figures)
{
	syslog(LOG_INFO, "%s, user=%s, ip=[%s], top=%lld, retr=%lld%s, "
	    "time=%ld", how, s->auth.account.name[0] != '\0' ?
	    s->auth.account.name : "-", s->ip, s->top, s->retr, figures,
	    (long)((clock_ms() - s->start) / 1000));
}

/*
 * End the process, and before it the lock keeper, or the scout. Else process 1
 * gets it: in a container that may be tcpserver, which takes it for a child of
 * its own. Where there is none, 0 is closed, the client's, which ends anyway.
 */
static void
leave(const struct session *s, int status)
{
	close(s->mbox.keeper);
	close(s->auth.to);
	alarm(1);
	wait(NULL);
	exit(status);
}

/*
 * Read or write something, within the time there is. RFC 1939, section 3: a
 * session that ends so removes nothing.
 */
static size_t
client_io(struct session *s, int fd, char *p, size_t len)
{
	long long left = s->deadline - clock_ms();
	ssize_t n;

	/* who reads no answers before the login gets no more time by that */
	if (fd == 1)
		left = s->state & LOGGED_IN ? s->idle * 1000LL :
		    left + ANSWER_SECONDS * 1000;
	/* rounded up to seconds, so that it does not come too early */
	expired = left <= 0;
	alarm(left > 0 ? (unsigned)(left + 999) / 1000 : 1);
	while (!expired) {
		n = fd == 0 ? read(fd, p, len) : write(fd, p, len);
		if (n > 0)
			return (size_t)n;
		if (n == 0 || (errno != EINTR && errno != EAGAIN))
			break;
		/* a superserver may have set O_NONBLOCK */
		if (errno == EAGAIN)
			fcntl(fd, F_SETFL, 0);
	}
	if (!s->done)		/* else it has ended already */
		note_end(s, expired ? "TIMEOUT" : "DISCONNECTED", "");
	leave(s, 0);
	return 0;
}

static void
flush(struct session *s)
{
	size_t done = 0;

	while (done < s->out_len)
		done += client_io(s, 1, s->out + done, s->out_len - done);
	s->out_len = 0;
}

static void
reply(struct session *s, const char *format, ...)
{
	va_list ap;

	if (s->out_len + REPLY_MAX > sizeof(s->out) - END_OCTETS)
		flush(s);
	va_start(ap, format);
	vsnprintf(s->out + s->out_len, REPLY_MAX - 1, format, ap);
	va_end(ap);
	s->out_len += strlen(s->out + s->out_len);
	memcpy(s->out + s->out_len, "\r\n", 2);
	s->out_len += 2;
}

static void
wrong(struct session *s, const char *text)
{
	reply(s, "-ERR %s", s->state == NO_MAILBOX ? s->refusal : text);
	if (!(s->state & LOGGED_IN) && ++s->wrong >= WRONG_MAX)
		s->done = 1;
}

/*
 * The next line as a string without its end, valid until the next call; blanks
 * there count as nothing, but in a password. NULL: it was over max octets or
 * held a NUL, and has been eaten whole and refused. Answers wait while there
 * are commands to answer: RFC 2449, section 6.6.
 * Before the login, if root started us, octets that belong to the session must
 * stay in the kernel: one is read at a time.
 */
static char *
get_line(struct session *s, size_t max)
{
	char *line, *lf;
	size_t len;
	int bad = 0;

	if (s->state & LOGGED_IN)
		s->deadline = clock_ms() + s->idle * 1000LL;
	for (;;) {
		line = s->in + s->in_pos;
		len = s->in_len - s->in_pos;
		if ((lf = memchr(line, '\n', len)) != NULL)
			len = (size_t)(lf + 1 - line);
		bad |= len > max || memchr(line, '\0', len) != NULL;
		if (lf != NULL)
			break;
		/* what is moved may be half of a password */
		if (bad)
			len = 0;
		memmove(s->in, line, len);
		auth_wipe(s->in + len, s->in_len - len);
		s->in_len = len;
		s->in_pos = 0;
		flush(s);
		s->in_len += client_io(s, 0, s->in + s->in_len,
		    s->state == AUTHORIZATION && s->auth.root ? 1 :
		    sizeof(s->in) - s->in_len);
	}
	s->in_pos += len;
	if (bad) {
		wrong(s, "line too long or with a NUL");
		return NULL;
	}
	*lf = '\0';
	if (lf > line && lf[-1] == '\r')
		*--lf = '\0';
	while (lf > line && lf[-1] == ' ' && strncasecmp(line, "PASS ", 5) != 0)
		*--lf = '\0';
	return line;
}

/* ---- Replies that more than one command gives ---- */

/*
 * RFC 2449, section 8.1.1; RFC 3206. fetchmail takes "wait" and "lock" for
 * trouble that passes.
 */
static const char unreadable[] =
    "[SYS/TEMP] the mailbox cannot be read now, wait and try again";

/* Say that the mailbox failed, and log why: errno is still as it left it. */
static void
refuse(struct session *s, enum mbox_result r, const char *text)
{
	char why[PATH_OCTETS + 256];
	int e = r == MBOX_TEMP || r == MBOX_PERM ? errno : 0;

	snprintf(why, sizeof(why), "%s%s%s", s->mbox.why, e != 0 ? ": " : "",
	    e != 0 ? strerror(e) : "");
	if (r == MBOX_BUSY && s->mbox.dot.holder != 0)
		snprintf(why, sizeof(why), "%s of process %ld", s->mbox.why,
		    (long)s->mbox.dot.holder);
	note(s, why);
	s->refusal = r != MBOX_BUSY ? text :
	    "[IN-USE] the mailbox is locked, wait and try again";
	reply(s, "-ERR %s", s->refusal);
}

/* ---- AUTHORIZATION: RFC 1939, sections 4 and 7; RFC 5034 ---- */

/*
 * One login. A good one is answered by the session: RFC 1939, section 4. The
 * attempt that was refused last is refused again at once: Thunderbird sends
 * AUTH PLAIN, and then USER and PASS with the same secret, and people have
 * only so many attempts. It is kept for that no longer than the dialogue.
 */
static void
try_login(struct session *s, char mechanism, const char *name,
    const char *secret)
{
	struct attempt t = { .mechanism = mechanism };
	enum auth_result r = AUTH_NO;

	snprintf(t.user, sizeof(t.user), "%.*s", NAME_OCTETS + 1, name);
	snprintf(t.secret, sizeof(t.secret), "%.*s", FIELD_MAX, secret);
	if (memcmp(&t, &s->refused, sizeof(t)) != 0) {
		s->refused = t;
		r = auth_try(&s->auth, &t);
	}
	auth_wipe(&t, sizeof(t));
	auth_wipe(s->in, s->in_pos);
	if (r != AUTH_NO)
		auth_wipe(&s->refused, sizeof(s->refused));
	if (r != AUTH_YES)
		reply(s, r == AUTH_NO ? "-ERR [AUTH] login failed" :
		    "-ERR [SYS/TEMP] passwords cannot be checked now, "
		    "wait and try again");
	s->done = r == AUTH_YES || s->auth.tries >= TRIES_MAX;
}

static void
cmd_user(struct session *s)
{
	snprintf(s->name, sizeof(s->name), "%s", s->arg);
	reply(s, "+OK now the password");
}

static void
cmd_pass(struct session *s)
{
	if (s->name[0] == '\0')
		wrong(s, "USER comes first");
	else
		try_login(s, AUTH_PASS, s->name, s->arg);
	s->name[0] = '\0';
}

static void
cmd_apop(struct session *s)
{
	char *digest = strchr(s->arg, ' ');

	if (s->auth.challenge == NULL || digest == NULL || digest == s->arg) {
		wrong(s, "APOP is not offered, or a digest is missing");
		return;
	}
	*digest++ = '\0';
	try_login(s, AUTH_APOP, s->arg, digest);
}

/*
 * Decode base64 in place: RFC 4648, section 4, nothing outside the alphabet and
 * no stray bits. The end of what it gives, where a NUL stands now; or NULL.
 */
static char *
decode_base64(char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = strcspn(text, "="), pad = strlen(text) - len, i;
	const char *digit;
	char *to = text;
	unsigned bits = 0;

	if ((len + pad) % 4 != 0 || pad > 2 || strspn(text + len, "=") != pad)
		return NULL;
	for (i = 0; i < len; i++) {
		if ((digit = strchr(digits, text[i])) == NULL)
			return NULL;
		bits = bits << 6 | (unsigned)(digit - digits);
		if (i % 4 != 0)
			*to++ = (char)(bits >> (6 - 2 * (i % 4)));
	}
	*to = '\0';
	return (bits & (pad == 0 ? 0 : pad == 1 ? 3 : 15)) != 0 ? NULL : to;
}

/*
 * PLAIN: RFC 4616. The message is authzid NUL name NUL password; who may act
 * for somebody else is not known here, so the first is empty or the name. What
 * cancels, "*", and the empty response, "=", are no base64.
 */
static void
login_plain(struct session *s, char *text)
{
	char *end = decode_base64(text), *name, *secret;

	if (end == NULL) {
		wrong(s, "cancelled, or malformed base64");
		return;
	}
	name = text + strlen(text) + 1;
	secret = name < end ? name + strlen(name) + 1 : end;
	if (secret >= end || *name == '\0' || secret + strlen(secret) != end ||
	    secret - name > FIELD_MAX + 1 || end - secret > FIELD_MAX ||
	    name - text > FIELD_MAX + 1)
		wrong(s, "malformed PLAIN message");
	else
		try_login(s, *text == '\0' || strcmp(text, name) == 0 ?
		    AUTH_PASS : AUTH_NEVER, name, secret);
}

static void
cmd_auth(struct session *s)
{
	char *mechanism = s->arg, *line;

	if (mechanism == NULL)
		reply(s, "+OK mechanisms follow\r\nPLAIN\r\n.");
	else if (strcasecmp(mechanism, "PLAIN") == 0) {
		reply(s, "+ ");
		if ((line = get_line(s, SASL_MAX)) != NULL)
			login_plain(s, line);
	} else if (strncasecmp(mechanism, "PLAIN ", 6) == 0)
		login_plain(s, mechanism + 6);
	else
		wrong(s, "unknown mechanism");
}

/* ---- Both states ---- */

/* RFC 2449, section 5. The same list in both states: clients ask in either. */
static void
cmd_capa(struct session *s)
{
	reply(s, "+OK capabilities follow\r\nTOP\r\nUIDL\r\n%s%s"
	    "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
	    "IMPLEMENTATION pop3d\r\n.", s->need_tls ? "" : "USER\r\n",
	    s->need_tls || s->state == PIPE ? "" : "SASL PLAIN\r\n");
}

/* ---- TRANSACTION: RFC 1939, sections 5 and 7 ---- */

static int
is_there(const struct session *s, size_t i)
{
	return i < s->mbox.n && !s->mbox.msg[i].deleted && !s->mbox.msg[i].gone;
}

/* How many messages are there, and their octets. */
static size_t
total(const struct session *s, long long *octets)
{
	size_t i, n = 0;

	for (*octets = 0, i = 0; i < s->mbox.n; i++)
		if (is_there(s, i)) {
			*octets += s->mbox.msg[i].size;
			n++;
		}
	return n;
}

static void
cmd_stat(struct session *s)
{
	long long octets;
	size_t n = total(s, &octets);

	reply(s, "+OK %lu %lld", (unsigned long)n, octets);
}

/* LIST and UIDL: of one message, or of all that are there. */
static void
cmd_list(struct session *s)
{
	int uidl = strcmp(s->command->name, "UIDL") == 0;
	int all = s->message == s->mbox.n;
	size_t i = all ? 0 : s->message, end = all ? s->mbox.n : i + 1;
	char value[UID_OCTETS];

	/* the first call may need memory, later ones do not */
	if (uidl && end > 0 && mbox_uid(&s->mbox, 0, value) != MBOX_OK) {
		refuse(s, MBOX_TEMP, unreadable);
		return;
	}
	if (all)
		reply(s, "+OK list follows");
	for (; i < end; i++) {
		if (uidl)
			mbox_uid(&s->mbox, i, value);
		else
			snprintf(value, sizeof(value), "%lld",
			    (long long)s->mbox.msg[i].size);
		if (is_there(s, i))
			reply(s, "%s%lu %s", all ? "" : "+OK ",
			    (unsigned long)i + 1, value);
	}
	if (all)
		reply(s, ".");
}

/*
 * PIECE_MAX octets of mail or less, dot-stuffed: RFC 1939, section 3. Each may
 * become two. Where there may be no room for them, what the buffer holds is
 * sent first. They are not sent at once: what follows goes out with them, so
 * that no packet holds the end of a message alone. 0: no more are wanted.
 */
static int
put_mail(struct session *s, const unsigned char *p, size_t len)
{
	const unsigned char *end = p + len, *lf, *next;
	char *to;

	if (s->out_len + 2 * len > sizeof(s->out) - END_OCTETS)
		flush(s);
	for (to = s->out + s->out_len; p < end && s->left > 0; p = next) {
		if (s->at_line_start) {
			if (s->in_body && s->lines != ALL_LINES &&
			    s->lines-- == 0)
				break;
			if (*p == '.')
				*to++ = '.';
		}
		lf = memchr(p, '\n', (size_t)(end - p));
		next = lf != NULL ? lf + 1 : end;
		len = (size_t)(next - p);
		memcpy(to, p, len);
		if (lf != NULL) {
			len -= len > 1 && lf[-1] == '\r' ? 2 : 1;
			s->in_body |= s->at_line_start && len == 0;
			memcpy(to + len, "\r\n", 2);
			len += 2;
		}
		to += len;
		s->at_line_start = lf != NULL;
		s->left -= (off_t)len;
		*s->sent += (long long)len;
	}
	s->out_len = (size_t)(to - s->out);
	return p == end && s->left > 0;
}

/*
 * RETR and TOP: a message, or its header and some lines. If it moves while it
 * is sent, the connection ends without the final dot: no client may take a
 * mixture for a message.
 */
static void
cmd_retr(struct session *s)
{
	const unsigned char *p;
	enum mbox_result r;
	size_t len;
	int ok;

	if ((r = mbox_seek(&s->mbox, s->message)) != MBOX_OK) {
		refuse(s, r, r == MBOX_GONE ? "no such message" : unreadable);
		return;
	}
	s->left = s->mbox.msg[s->message].size;
	s->sent = strcmp(s->command->name, "TOP") == 0 ? &s->top : &s->retr;
	s->at_line_start = 1;
	s->in_body = 0;
	reply(s, "+OK %lld octets", (long long)s->left);
	while ((ok = mbox_read(&s->mbox, &p, &len)) == 0 &&
	    put_mail(s, p, len))
		;
	if (ok == -1 || s->left < 0) {
		flush(s);
		note_end(s, "message changed, or cannot be read", "");
		leave(s, 0);
	}
	memcpy(s->out + s->out_len, ".\r\n", END_OCTETS);
	s->out_len += END_OCTETS;
}

static void
cmd_dele(struct session *s)
{
	s->mbox.msg[s->message].deleted = 1;
	reply(s, "+OK marked for deletion");
}

static void
cmd_rset(struct session *s)
{
	size_t i;

	for (i = 0; i < s->mbox.n; i++)
		s->mbox.msg[i].deleted = 0;
	reply(s, "+OK nothing is marked");
}

/* UPDATE comes before its answer: RFC 1939, section 6. */
static void
cmd_quit(struct session *s)
{
	enum mbox_result r = MBOX_OK;
	long long octets;
	size_t left = total(s, &octets);
	char figures[64];

	s->done = 1;
	if (s->state & LOGGED_IN)
		r = mbox_update(&s->mbox);
	if (r == MBOX_OK)
		reply(s, "+OK bye");
	else
		refuse(s, r, "[SYS/TEMP] some deleted messages not removed, "
		    "wait and try again");
	if (s->mbox.no_copy)
		note(s, "mailbox was rewritten without a copy, disk full");
	snprintf(figures, sizeof(figures), ", del=%lu, left=%lu",
	    (unsigned long)s->mbox.removed, (unsigned long)left);
	if (s->state & LOGGED_IN)
		note_end(s, "LOGOUT", figures);
}

/* ---- Commands ---- */

/*
 * LAST is left out on purpose: fetchmail prefers it to UIDL, and then fetches
 * everything again at each poll. USER and PASS behind a pipe are mutt's.
 */
static const struct command commands[] = {
	{ "USER", AUTHORIZATION, NAME, cmd_user, NULL },
	{ "PASS", AUTHORIZATION, TEXT, cmd_pass, NULL },
	{ "APOP", AUTHORIZATION, TEXT, cmd_apop, NULL },
	{ "AUTH", AUTHORIZATION, ANY, cmd_auth, NULL },
	{ "USER", PIPE, NAME, NULL, "+OK you are logged in" },
	{ "PASS", PIPE, TEXT, NULL, "+OK you are logged in" },
	{ "STAT", LOGGED_IN, NOTHING, cmd_stat, NULL },
	{ "LIST", LOGGED_IN, MAYBE, cmd_list, NULL },
	{ "RETR", LOGGED_IN, MESSAGE, cmd_retr, NULL },
	{ "DELE", LOGGED_IN, MESSAGE, cmd_dele, NULL },
	{ "RSET", LOGGED_IN, NOTHING, cmd_rset, NULL },
	{ "TOP", LOGGED_IN, LINES, cmd_retr, NULL },
	{ "UIDL", LOGGED_IN, MAYBE, cmd_list, NULL },
	{ "NOOP", LOGGED_IN, NOTHING, NULL, "+OK nothing done" },
	{ "CAPA", AUTHORIZATION | LOGGED_IN, NOTHING, cmd_capa, NULL },
	{ "QUIT", ~0U, NOTHING, cmd_quit, NULL },	/* in any state */
	{ NULL, 0, NOTHING, NULL, NULL }
};

/*
 * The number at p, digits only and then end; what is above max counts as max.
 * What is behind that; NULL if there is anything else.
 */
static const char *
parse_number(const char *p, char end, size_t max, size_t *n)
{
	size_t digit;

	if (*p < '0' || *p > '9')
		return NULL;
	for (*n = 0; *p >= '0' && *p <= '9'; p++) {
		digit = (size_t)(*p - '0');
		*n = *n > (max - digit) / 10 ? max : *n * 10 + digit;
	}
	return *p == end ? p + 1 : NULL;
}

/*
 * Check the command's argument, and take the numbers in it. NULL, or what is
 * wrong with it.
 */
static const char *
check_argument(struct session *s)
{
	enum argument kind = s->command->argument;
	const char *p = s->arg;
	size_t n;

	s->message = s->mbox.n;
	s->lines = ALL_LINES;
	if (p == NULL)
		return kind > MAYBE ? "an argument is missing" : NULL;
	if (kind == NOTHING || *p == '\0' ||
	    (kind == NAME && strchr(p, ' ') != NULL))
		return "wrong argument";
	if (kind != MAYBE && kind < MESSAGE)
		return NULL;
	p = parse_number(p, kind == LINES ? ' ' : '\0', MESSAGES_MAX + 1, &n);
	if (p == NULL || (kind == LINES &&
	    parse_number(p, '\0', ALL_LINES, &s->lines) == NULL))
		return "malformed number";
	if (n == 0 || !is_there(s, n - 1))
		return "no such message";
	s->message = n - 1;
	return NULL;
}

static void
run_command(struct session *s)
{
	const struct command *c = commands;
	const char *why = NULL;
	char *line;

	if ((line = get_line(s, COMMAND_MAX)) == NULL)
		return;
	if ((s->arg = strchr(line, ' ')) != NULL)
		*s->arg++ = '\0';
	while (c->name != NULL && (!(c->states & (unsigned)s->state) ||
	    strcasecmp(line, c->name) != 0))
		c++;
	s->command = c;
	if (c->name == NULL)
		why = "unknown command, or not now";
	else if (s->need_tls && c->states == AUTHORIZATION) {
		/* what is allowed in that state alone logs in */
		why = "plaintext login is refused here, use TLS";
		if (s->need_tls++ == 1)
			note(s, "plaintext login refused");
	} else
		why = check_argument(s);
	if (why != NULL)
		wrong(s, why);
	else if (c->run == NULL)
		reply(s, "%s", c->text);
	else
		c->run(s);
}

static void
dialogue(void *arg)
{
	struct session *s = arg;
	unsigned n;

	reply(s, "+OK pop3d ready%s%s", s->auth.challenge != NULL ? " " : "",
	    s->auth.challenge != NULL ? s->auth.challenge : "");
	for (n = 0; n < COMMANDS_MAX && !s->done; n++)
		run_command(s);
	flush(s);
}

/*
 * TRANSACTION and UPDATE. The first reply answers the login. Where there is no
 * mailbox for it, the client hears the same line again until it leaves, but not
 * for long: one that finds its connection closed instead of an answer to QUIT
 * logs in again for ever (Thunderbird), or does not show why (mutt, Emacs).
 */
static void
serve(struct session *s, enum mbox_result r)
{
	long long octets;

	/* syslog(3) can block, too, where nobody reads the log */
	alarm(s->idle);
	if (r == MBOX_OK)
		r = mbox_load(&s->mbox);
	if (s->state == AUTHORIZATION)
		s->state = TRANSACTION;
	s->done = 0;
	if (r == MBOX_OK) {
		note(s, "LOGIN");
		total(s, &octets);
		reply(s, "+OK pop3d ready, %lu messages, %lld octets",
		    (unsigned long)s->mbox.n, octets);
	} else {
		s->state = NO_MAILBOX;
		s->wrong = 0;
		s->idle = s->idle < LEAVE_SECONDS ? s->idle : LEAVE_SECONDS;
		s->deadline = clock_ms() + s->idle * 1000LL;
		refuse(s, r, r == MBOX_PERM ?
		    "[SYS/PERM] the mailbox cannot be served" : unreadable);
	}
	if (s->mbox.no_dotlock)
		note(s, "no dotlock can be made here, kernel locks only");
	if (s->mbox.more)
		note(s, "mailbox has more messages than are shown");
	while (!s->done)
		run_command(s);
	flush(s);
}

/* ---- Start ---- */

/*
 * Take text for the client's address if it is one: without brackets or what
 * stands behind it, and IPv4-mapped as IPv4.
 */
static int
take_address(struct session *s, const char *text)
{
	struct in6_addr a;
	char ip[80];

	snprintf(ip, sizeof(ip), "%s", text + (*text == '['));
	/* a single colon is of IPv4, with a port behind it */
	if (strchr(ip, ':') == strrchr(ip, ':'))
		ip[strcspn(ip, ":")] = '\0';
	ip[strcspn(ip, " ]")] = '\0';
	if (inet_pton(AF_INET, ip, &a) == 1)
		inet_ntop(AF_INET, &a, s->ip, sizeof(s->ip));
	else if (inet_pton(AF_INET6, ip, &a) != 1)
		return 0;
	else if (IN6_IS_ADDR_V4MAPPED(&a))
		inet_ntop(AF_INET, &a.s6_addr[12], s->ip, sizeof(s->ip));
	else
		inet_ntop(AF_INET6, &a, s->ip, sizeof(s->ip));
	return 1;
}

/*
 * The client's address: the peer's; where that is no address, what a tunnel or
 * a superserver says in the environment. It goes to the log alone: whom to
 * trust is decided by the descriptor. 1: nobody can listen to it.
 */
static int
find_client(struct session *s)
{
	static const char *const names[] = { "TCPREMOTEIP", "REMOTE_ADDR",
	    "REMOTE_HOST", "SOCAT_PEERADDR", "SSH_CONNECTION",
	    "TCPREMOTEADDR", NULL };
	struct sockaddr_storage peer = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(peer);
	const char *const *name, *value;
	char text[80];

	snprintf(s->ip, sizeof(s->ip), "local");
	if (getpeername(0, (struct sockaddr *)&peer, &len) == -1 &&
	    errno != ENOTSOCK)
		return 0;
	if (peer.ss_family != AF_UNIX) {
		if (getnameinfo((struct sockaddr *)&peer, len, text,
		    sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
			return 0;
		text[strcspn(text, "%")] = '\0';
		return take_address(s, text) && (strcmp(s->ip, "::1") == 0 ||
		    strncmp(s->ip, "127.", 4) == 0);
	}
	for (name = names; *name != NULL; name++)
		if ((value = getenv(*name)) != NULL && take_address(s, value))
			break;
	return 1;
}

/*
 * What a superserver leaves behind is put in order: a descriptor may lead out
 * of a chroot, descriptor 2 to the client or to root's terminal, where who has
 * taken over a process could type; an ignored SIGCHLD hides children.
 */
static void
clean_up(void)
{
	struct rlimit none = { 0, 0 };
	struct sigaction sa = { .sa_handler = SIG_DFL };
	long limit = sysconf(_SC_OPEN_MAX);
	int p[2], i;

	for (i = 0; i < 3; i++)
		if (i == 2 || fcntl(i, F_GETFD) == -1) {
			/* without /dev/null, in a chroot, a pipe does */
			p[1] = open("/dev/null", O_RDWR);
			if ((p[1] == -1 && pipe(p) == -1) ||
			    dup2(p[1], i) == -1)
				exit(1);
		}
	/* and what was opened here */
	if (close_rest() == -1)
		for (i = 3; i < 256 || i < limit; i++)
			close(i);
	for (i = 1; i < 65; i++) {
		sa.sa_handler = i == SIGPIPE || i == SIGXFSZ ? SIG_IGN :
		    i == SIGALRM ? on_alarm : SIG_DFL;
		sigaction(i, &sa, NULL);
	}
	alarm(0);
	sigprocmask(SIG_SETMASK, &sa.sa_mask, NULL);
	umask(077);
	setrlimit(RLIMIT_CORE, &none);
}

static void
usage(void)
{
	static const char text[] = "usage: pop3d [-apsV] [-e dir] [-f file] "
	    "[-i index] [-m mailbox] [-t seconds] [-u user] [-x socket]";

	syslog(LOG_ERR, "%s", text);
	if (isatty(1))		/* no client */
		puts(text);
	exit(2);
}

static void
read_options(struct session *s, int argc, char **argv)
{
	size_t seconds;
	int c;

	opterr = 0;
	while ((c = getopt(argc, argv, "ae:f:i:m:pst:u:Vx:")) != -1)
		switch (c) {
		case 'a': s->auth.challenge = s->challenge; break;
		case 'e': s->auth.empty = optarg; break;
		case 'f': s->auth.file = optarg; break;
		case 'i': s->auth.index = optarg; break;
		case 'm': s->auth.mailbox = optarg; break;
		case 'p': s->state = PIPE; break;
		case 's': s->need_tls = 1; break;
		case 't':
			if (parse_number(optarg, '\0', 1000000, &seconds) ==
			    NULL || seconds == 0)
				usage();
			s->idle = (unsigned)seconds;
			break;
		case 'u': s->auth.user = optarg; break;
		case 'x': s->auth.saslauthd = optarg; break;
		case 'V':
			puts("pop3d " VERSION);
			exit(0);
		default: usage();
		}
	if (optind != argc)
		usage();
	s->auth.seconds = s->idle < LOGIN_SECONDS ? s->idle : LOGIN_SECONDS;
	s->deadline = clock_ms() + s->auth.seconds * 1000LL;
}

int
main(int argc, char **argv)
{
	static struct session s;
	struct timespec t;
	char host[64] = "", ident[32];
	const char *why;
	int one = 1, in;

	clean_up();
	/* one number for all lines of a connection, whoever says it */
	snprintf(ident, sizeof(ident), "pop3d[%ld]", (long)getpid());
	openlog(ident, LOG_NDELAY, LOG_MAIL);
	tzset();
	s.auth = (struct auth){ .mailbox = "/var/mail/%u", .ip = s.ip,
	    .empty = "/var/empty", .user = "pop3d" };
	s.state = AUTHORIZATION;
	s.idle = IDLE_SECONDS;
	s.start = clock_ms();
	read_options(&s, argc, argv);
	if (s.idle < IDLE_SECONDS)
		syslog(LOG_WARNING, "-t is below 600: RFC 1939, section 3");
	if (find_client(&s))
		s.need_tls = 0;
	setsockopt(1, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	clock_gettime(CLOCK_REALTIME, &t);
	gethostname(host, sizeof(host) - 1);
	snprintf(s.challenge, sizeof(s.challenge), "<%ld.%lld%09ld@%s>",
	    (long)getpid(), (long long)t.tv_sec, t.tv_nsec, host);
	if ((why = auth_start(&s.auth, s.state == PIPE)) != NULL)
		syslog(LOG_ERR, "%s", why);
	in = why != NULL ? -1 : s.state == PIPE ? 1 :
	    auth_login(&s.auth, dialogue, &s);
	if (in == 1)
		serve(&s, auth_enter(&s.auth, &s.mbox));
	else if (in == -1)
		reply(&s, "-ERR %s", why != NULL ?
		    "[SYS/PERM] the server is not set up" :
		    "[SYS/TEMP] no login is possible now, wait and try again");
	flush(&s);
	leave(&s, in == -1);
	return 0;
}
