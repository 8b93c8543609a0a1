/*
 * Whole sessions: any octets from a client on any mailbox, behind a pipe (-p)
 * or with accounts from a file (-f). A model that knows the reference's list
 * and no line of pop3.c reads the client's lines and the server's answers side
 * by side: one status line a command, of the right sign; all numbers, lists and
 * messages to the octet; no answer kept back while the client is waited for;
 * and the mailbox as it was unless QUIT said otherwise.
 *
 * Input: 6 numbers, see struct plan; the mailbox, up to a line that is %%%;
 * what the client sends.
 *
 * Of pop3.c: struct session, enum state (AUTHORIZATION, PIPE), dialogue and
 * serve. All sources are in one unit; a static name that two of them have needs
 * a macro here.
 */
#include <stdarg.h>

#define MBOX_BUFFER	1024
#define MESSAGES_MAX	24

#include "../../pop3.h"
#include "fuzz.h"

enum { READS_MAX = 4000, WRONG_ALLOWED = 20, TRIES_ALLOWED = 3,
	COMMANDS_ALLOWED = 100, SATURATED = 1000000000 };

#define CHALLENGE	"<1.2@example.org>"
static const char accounts[] = "alice:{PLAIN}secret\nbob:{MD5}$1$word\n";

static struct plan {
	unsigned pipe;		/* 1: -p */
	unsigned refuse;	/* 1: -s, and somebody can listen */
	unsigned apop;		/* 1: -a */
	unsigned in_at_once;	/* octets that a read gives, 0: all there are */
	unsigned out_at_once;	/* octets that a write takes, 0: all */
	unsigned lost;		/* the write that finds no client; 0: none */
} plan;

static const uint8_t *client;
static size_t client_len, client_at;
static struct bytes told;
static struct { size_t in, out; } reads[READS_MAX];
static size_t nreads;
static unsigned nwrites, nfailed, nlogins, nlogouts, nrefused;

static ssize_t
hook_read(int fd, char *p, size_t n)
{
	size_t len = client_len - client_at;

	CHECK(fd == 0 && n > 0);
	if (nreads < READS_MAX) {
		reads[nreads].in = client_at;
		reads[nreads++].out = told.len;
	}
	if (plan.in_at_once > 0 && len > plan.in_at_once)
		len = plan.in_at_once;
	if (len > n)
		len = n;
	memcpy(p, client + client_at, len);
	client_at += len;
	return (ssize_t)len;
}

static ssize_t
hook_write(int fd, const char *p, size_t n)
{
	CHECK(fd == 1 && n > 0);
	if (++nwrites == plan.lost) {
		errno = EPIPE;
		return -1;
	}
	if (plan.out_at_once > 0 && n > plan.out_at_once)
		n = plan.out_at_once;
	add(&told, p, n);
	return (ssize_t)n;
}

/* The log is for people and fail2ban: one line of plain text each time. */
static void
hook_syslog(int level, const char *format, ...)
{
	char line[2048];
	va_list ap;
	int i, n;

	(void)level;
	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	CHECK(n > 0 && n < (int)sizeof(line));
	for (i = 0; i < n; i++)
		CHECK(line[i] >= ' ' && line[i] <= '~');
	CHECK(strstr(line, "secret") == NULL || strstr(line, "FAILED") != NULL);
	nfailed += strncmp(line, "LOGIN FAILED, user=", 19) == 0;
	nlogins += strncmp(line, "LOGIN, user=", 12) == 0;
	nrefused += strncmp(line, "plaintext login ", 16) == 0;
	nlogouts += strncmp(line, "LOGOUT, user=", 13) == 0;
}

#define nanosleep(t, rest)	((void)(t), (void)(rest))
#include "../../mailbox.c"
#undef nanosleep
#define nanosleep(t, rest)	count_wait(t)
#undef syslog
#define syslog			hook_syslog
#define crypt			fake_crypt
#include "../../auth.c"
#undef nanosleep
#include "client.h"

static struct session session;

static void
run_session(void)
{
	struct session *s = &session;
	int scout[2];

	memset(s, 0, sizeof(*s));
	/* which says that the mailbox's file system answers */
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, scout) == 0 &&
	    write(scout[1], "", 1) == 1);
	s->auth.to = scout[0];
	s->auth.mailbox = path_of("%u");
	s->auth.file = write_whole(path_of("passwd"), accounts,
	    sizeof(accounts) - 1);
	s->auth.ip = s->ip;
	s->auth.challenge = plan.apop ? CHALLENGE : NULL;
	s->state = plan.pipe ? PIPE : AUTHORIZATION;
	s->need_tls = plan.refuse != 0;
	s->idle = IDLE_SECONDS;
	s->deadline = clock_ms() + LOGIN_SECONDS * 1000LL;
	s->mbox.fd = s->mbox.keeper = -1;
	s->start = clock_ms();
	snprintf(s->ip, sizeof(s->ip), "local");
	if (plan.pipe)
		snprintf(s->auth.account.name,
		    sizeof(s->auth.account.name), "alice");
	if (setjmp(ended) == 0 &&
	    (plan.pipe || auth_login(&s->auth, dialogue, s) == 1))
		serve(s, auth_enter(&s->auth, &s->mbox));
	mbox_close(&s->mbox);
	close(scout[0]);
	close(scout[1]);
}

/* ---- The model ---- */

static struct model {
	size_t in, out;		/* what has been looked at of both */
	size_t waiting;		/* reads looked at */
	int cut;		/* the client was lost before more came */
	int logged_in, over, quit;
	int leaving;		/* there is no mailbox for who logged in */
	struct maildrop box;
	int dead[MESSAGES_MAX];
	char user[256];
	unsigned wrong, tries, commands;
	struct attempt last;	/* that was refused */
} mo;

/* The octets must be the next ones; less is there only if it was cut off. */
static void
expect(const void *p, size_t len)
{
	size_t there = told.len - mo.out;

	if (there < len) {
		CHECK(plan.lost > 0);
		mo.cut = 1;
		len = there;
	}
	CHECK(len == 0 || memcmp(told.p + mo.out, p, len) == 0);
	mo.out += len;
}

static void expect_text(const char *, ...)
    __attribute__((format(printf, 1, 2)));

static void
expect_text(const char *format, ...)
{
	char text[200];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	CHECK(n >= 0 && n < (int)sizeof(text));
	expect(text, (size_t)n);
}

/* A status line: it begins so, and some text follows. */
static void
expect_status(const char *start)
{
	size_t begin = mo.out, end;

	expect_text("%s", start);
	if (mo.cut)
		return;
	end = mo.out + find(told.p + mo.out, told.len - mo.out, "\r\n", 2);
	if (end == told.len) {
		CHECK(plan.lost > 0);
		mo.cut = 1;
	}
	CHECK(mo.cut || (end > begin + 4 && end + 2 - begin <= 512));
	for (; mo.out < end; mo.out++)
		CHECK((told.p[mo.out] >= ' ' && told.p[mo.out] <= '~') ||
		    (mo.cut && told.p[mo.out] == '\r' && mo.out + 1 == end));
	if (!mo.cut)
		mo.out += 2;
}

static void
is_wrong(void)
{
	expect_status(mo.leaving ? "-ERR [SYS/PERM] " : "-ERR ");
	if ((!mo.logged_in || mo.leaving) && ++mo.wrong == WRONG_ALLOWED)
		mo.over = 1;
}

/* When the client is waited for, all he has asked has been answered. */
static void
check_no_answer_is_late(void)
{
	for (; mo.waiting < nreads && reads[mo.waiting].in < mo.in;
	    mo.waiting++)
		;
	for (; mo.waiting < nreads && reads[mo.waiting].in == mo.in;
	    mo.waiting++)
		CHECK(reads[mo.waiting].out >= mo.out);
}

/*
 * The next line without its end in text (NUL-ended): 1. Wrong ones are
 * answered on the way. 0: the client is through.
 */
static int
next_line(size_t max, char text[1100], int *bad)
{
	const uint8_t *p = client + mo.in;
	const uint8_t *lf = memchr(p, '\n', client_len - mo.in);
	size_t len;

	check_no_answer_is_late();
	if (lf == NULL)
		return 0;
	len = (size_t)(lf + 1 - p);
	mo.in += len;
	*bad = len > max || memchr(p, '\0', len) != NULL;
	if (!*bad) {
		memcpy(text, p, len);
		len -= len > 1 && p[len - 2] == '\r' ? 2 : 1;
		while (len > 0 && p[len - 1] == ' ' &&
		    (len < 5 || strncasecmp(text, "PASS ", 5) != 0))
			len--;
		text[len] = '\0';
	}
	return 1;
}

static size_t
count_there(size_t *octets)
{
	size_t i, n = 0;

	for (*octets = 0, i = 0; i < mo.box.n; i++)
		if (!mo.dead[i]) {
			*octets += mo.box.mail[i].sent.len;
			n++;
		}
	return n;
}

static void
log_in(const char *name)
{
	size_t octets, n;

	mo.logged_in = 1;
	if (strcmp(name, "alice") != 0) {	/* he has no mailbox */
		drop_maildrop(&mo.box);
		mo.box.is_mbox = 1;
	}
	if (!mo.box.is_mbox) {
		expect_status("-ERR [SYS/PERM] ");
		mo.leaving = 1;
		mo.wrong = 0;
		return;
	}
	n = count_there(&octets);
	expect_text("+OK pop3d ready, %lu messages, %lu octets\r\n",
	    (unsigned long)n, (unsigned long)octets);
}

/* Whether it is what was refused last, which costs nothing then. */
static int
is_refused_again(const char *name, const char *secret, char how)
{
	struct attempt this = { .mechanism = how };

	/* what is cut off of a name makes it none */
	snprintf(this.user, sizeof(this.user), "%s", name);
	snprintf(this.secret, sizeof(this.secret), "%s", secret);
	if (memcmp(&this, &mo.last, sizeof(this)) == 0)
		return 1;
	mo.last = this;
	return 0;
}

static void
try_password(const char *name, const char *secret, char how)
{
	const char *account = account_of(name), *right = NULL;
	int apop = how == AUTH_APOP;
	char hex[33];

	if (is_refused_again(name, secret, how)) {
		expect_status("-ERR [AUTH] ");
		return;
	}
	slow_md5((const unsigned char *)CHALLENGE "secret",
	    sizeof(CHALLENGE "secret") - 1, hex);
	if (account != NULL && how != AUTH_NEVER)
		right = *account == 'a' ? (apop ? hex : "secret") :
		    apop ? NULL : "word";
	if (right != NULL && strcmp(secret, right) == 0)
		log_in(account);
	else {
		expect_status("-ERR [AUTH] ");
		mo.over |= ++mo.tries == TRIES_ALLOWED;
	}
}

static void
model_auth(char *arg)
{
	char text[1100];
	struct attempt t;
	int bad = 0;

	if (arg == NULL) {
		expect_status("+OK ");
		expect_text("PLAIN\r\n.\r\n");
		return;
	}
	if (strcasecmp(arg, "PLAIN") == 0) {
		expect_text("+ \r\n");
		if (!next_line(1026, text, &bad)) {
			mo.over = 1;
			return;
		}
		arg = text;
	} else if (strncasecmp(arg, "PLAIN ", 6) != 0)
		bad = 1;
	else if (strcmp(arg += 6, "=") == 0)
		arg = text, *text = '\0';
	if (bad || !slow_plain(arg, &t))
		is_wrong();
	else
		try_password(t.user, t.secret, t.mechanism);
}

static int
is_word(const char *line, const char *word)
{
	return strcasecmp(line, word) == 0;
}

static void
model_capa(void)
{
	expect_status("+OK ");
	expect_text("TOP\r\nUIDL\r\n%s%sRESP-CODES\r\nAUTH-RESP-CODE\r\n"
	    "PIPELINING\r\nEXPIRE NEVER\r\nIMPLEMENTATION pop3d\r\n.\r\n",
	    plan.refuse ? "" : "USER\r\n",
	    plan.refuse || plan.pipe ? "" : "SASL PLAIN\r\n");
}

static void
model_authorization(const char *line, char *arg)
{
	char *space = arg == NULL ? NULL : strchr(arg, ' ');
	int needs = is_word(line, "USER") || is_word(line, "PASS") ||
	    is_word(line, "APOP");

	if (plan.refuse || (needs && (arg == NULL || *arg == '\0')))
		is_wrong();
	else if (is_word(line, "USER")) {
		if (space != NULL)
			is_wrong();
		else {
			snprintf(mo.user, sizeof(mo.user), "%s", arg);
			expect_status("+OK ");
		}
	} else if (is_word(line, "PASS")) {
		if (*mo.user == '\0')
			is_wrong();
		else
			try_password(mo.user, arg, AUTH_PASS);
		*mo.user = '\0';
	} else if (is_word(line, "APOP")) {
		if (!plan.apop || space == NULL || space == arg ||
		    space[1] == '\0')
			is_wrong();
		else {
			*space = '\0';
			try_password(arg, space + 1, AUTH_APOP);
		}
	} else
		model_auth(arg);
}

/* Digits and nothing else; large ones saturate. -1: it is no number. */
static long
number_of(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || text[digits] != '\0')
		return -1;
	text += strspn(text, "0");
	return strlen(text) > 9 ? SATURATED : strtol(text, NULL, 10);
}

/* The message that arg names, from 0, or -1. */
static long
message_of(const char *arg)
{
	long n = arg == NULL ? -1 : number_of(arg);

	return n < 1 || (size_t)n > mo.box.n || mo.dead[n - 1] ? -1 : n - 1;
}

static void
expect_entry(int uidl, const char *status, size_t i)
{
	expect_text("%s%lu ", status, (unsigned long)i + 1);
	if (uidl)
		expect_text("%s\r\n", mo.box.mail[i].id);
	else
		expect_text("%lu\r\n",
		    (unsigned long)mo.box.mail[i].sent.len);
}

static void
model_list(int uidl, const char *arg)
{
	size_t i;

	if (arg == NULL) {
		expect_status("+OK ");
		for (i = 0; i < mo.box.n; i++)
			if (!mo.dead[i])
				expect_entry(uidl, "", i);
		expect_text(".\r\n");
	} else if (message_of(arg) == -1)
		is_wrong();
	else
		expect_entry(uidl, "+OK ", (size_t)message_of(arg));
}

/* The header and the first lines of the body, dots stuffed. */
static void
model_retr(const struct mail *m, size_t lines)
{
	const unsigned char *p = m->sent.p, *end = p + m->sent.len, *lf;

	expect_text("+OK %lu octets\r\n", (unsigned long)m->sent.len);
	for (; p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (p >= m->sent.p + m->header && lines-- == 0)
			break;
		if (*p == '.')
			expect_text(".");
		expect(p, (size_t)(lf + 1 - p));
	}
	expect_text(".\r\n");
}

static void
model_message(const char *line, char *arg)
{
	char *space = arg == NULL ? NULL : strchr(arg, ' ');
	long lines = SATURATED, n;

	if (is_word(line, "TOP")) {
		lines = space == NULL ? -1 : number_of(space + 1);
		if (space != NULL)
			*space = '\0';
	}
	if ((n = message_of(arg)) == -1 || lines == -1)
		is_wrong();
	else if (is_word(line, "DELE")) {
		mo.dead[n] = 1;
		expect_status("+OK ");
	} else
		model_retr(&mo.box.mail[n], (size_t)lines);
}

static void
model_transaction(const char *line, char *arg)
{
	size_t octets, n;

	if (is_word(line, "LIST") || is_word(line, "UIDL"))
		model_list(toupper(*line) == 'U', arg);
	else if (is_word(line, "RETR") || is_word(line, "DELE") ||
	    is_word(line, "TOP"))
		model_message(line, arg);
	else if (is_word(line, "STAT") && arg == NULL) {
		n = count_there(&octets);
		expect_text("+OK %lu %lu\r\n", (unsigned long)n,
		    (unsigned long)octets);
	} else if (is_word(line, "NOOP") && arg == NULL)
		expect_status("+OK ");
	else if (is_word(line, "RSET") && arg == NULL) {
		memset(mo.dead, 0, sizeof(mo.dead));
		expect_status("+OK ");
	} else if (plan.pipe && arg != NULL && *arg != '\0' &&
	    ((is_word(line, "USER") && strchr(arg, ' ') == NULL) ||
	    is_word(line, "PASS")))
		expect_status("+OK ");
	else
		is_wrong();
}

static void
model_command(char *line)
{
	char *arg = strchr(line, ' ');

	if (arg != NULL)
		*arg++ = '\0';
	if (is_word(line, "QUIT") && arg == NULL) {
		mo.over = 1;
		mo.quit = mo.logged_in && !mo.leaving;
		expect_status("+OK ");
	} else if (mo.leaving)
		is_wrong();
	else if (is_word(line, "CAPA") && arg == NULL)
		model_capa();
	else if (mo.logged_in)
		model_transaction(line, arg);
	else if (is_word(line, "USER") || is_word(line, "PASS") ||
	    is_word(line, "APOP") || is_word(line, "AUTH"))
		model_authorization(line, arg);
	else
		is_wrong();
}

static void
run_model(void)
{
	char line[1100];
	int bad;

	if (plan.pipe)
		log_in("alice");
	else
		expect_text("+OK pop3d ready%s\r\n",
		    plan.apop ? " " CHALLENGE : "");
	while (!mo.over && next_line(255, line, &bad)) {
		if (bad)
			is_wrong();
		else
			model_command(line);
		if (!mo.logged_in && ++mo.commands == COMMANDS_ALLOWED)
			mo.over = 1;
	}
	CHECK(mo.cut || mo.out == told.len);
}

/* ---- One input ---- */

/* The file, without what was deleted if QUIT came so far. */
static void
check_mailbox(const uint8_t *data, size_t size)
{
	struct bytes was = { NULL, 0, 0 }, left = was, is = was;
	size_t i, at = 0;

	add(&was, data, size);
	for (i = 0; i < mo.box.n; i++)
		if (mo.dead[i]) {
			add(&left, data + at, mo.box.mail[i].start - at);
			at = mo.box.mail[i].end;
		}
	add(&left, data + at, size - at);
	read_whole(path_of("alice"), &is);
	/* a client that was lost may have been so before QUIT was read */
	CHECK(is_same(&is, mo.quit ? &left : &was) ||
	    (plan.lost > 0 && is_same(&is, &was)));
	CHECK(!exists(path_of("alice.lock")));
	drop(&was);
	drop(&left);
	drop(&is);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes mail;

	plan.pipe = take_number(&data, &size) & 1;
	plan.refuse = take_number(&data, &size) & !plan.pipe;
	plan.apop = take_number(&data, &size) & !plan.pipe;
	plan.in_at_once = take_number(&data, &size);
	plan.out_at_once = take_number(&data, &size);
	plan.lost = take_number(&data, &size);
	mail = take_field(&data, &size);
	client = data;
	client_len = size;
	client_at = told.len = nreads = 0;
	nwrites = nwaits = nfailed = nlogins = nlogouts = nrefused = 0;
	memset(&mo, 0, sizeof(mo));
	mo.box = parse(mail.p, mail.len, MESSAGES_MAX);
	write_whole(path_of("alice"), mail.p, mail.len);
	run_session();
	run_model();
	CHECK(nfailed == nwaits && nfailed <= TRIES_ALLOWED);
	CHECK(nrefused <= plan.refuse);
	CHECK(mo.cut || (nfailed == mo.tries &&
	    nlogins == (unsigned)(mo.logged_in && mo.box.is_mbox) &&
	    nlogouts == (unsigned)mo.quit));
	check_mailbox(mail.p, mail.len);
	drop(&mail);
	drop_maildrop(&mo.box);
	return 0;
}
