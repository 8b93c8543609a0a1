/*
 * AUTH PLAIN: what becomes of the line a client sends. Base64 must be decoded
 * as a slow decoder does it, and what is handed over for verification must be
 * the fields of the message, whole, or nothing.
 *
 * Input: a number: 0 and 1, the line is as it is; 2 and 3, it is the base64 of
 * the rest; 1 and 3, it is an initial response. The line.
 *
 * Of pop3.c: struct session, dialogue, decode_base64. Its other halves are
 * replaced.
 */
#include <sys/wait.h>

#include <setjmp.h>

#include "../../pop3.h"
#include "fuzz.h"

static jmp_buf ended;
static struct bytes asked, told;
static size_t asked_at;
static struct attempt got;
static int tries;

static void hook_exit(int) __attribute__((__noreturn__));

static void
hook_exit(int status)
{
	CHECK(status == 0);
	longjmp(ended, 1);
}

static ssize_t
hook_read(char *p, size_t n)
{
	if (n > asked.len - asked_at)
		n = asked.len - asked_at;
	memcpy(p, asked.p + asked_at, n);
	asked_at += n;
	return (ssize_t)n;
}

static ssize_t
hook_write(const char *p, size_t n)
{
	add(&told, p, n);
	return (ssize_t)n;
}

static void
hook_syslog(int level, const char *format, ...)
{
	(void)level, (void)format;
}

#define exit(status)		hook_exit(status)
#define read(fd, p, n)		hook_read(p, n)
#define write(fd, p, n)		hook_write(p, n)
#define alarm(n)		((void)(n))
/* the only child here is the one that the fuzzer asks for names */
#define wait(status)		((void)(status))
#undef syslog
#define syslog			hook_syslog
#define main			pop3_main
int pop3_main(int, char **);
#include "../../pop3.c"
#include "../real.h"

/* ---- In place of auth.c and mailbox.c ---- */

#include "md5.h"

enum auth_result
auth_try(struct auth *a, struct attempt *t)
{
	a->tries++;
	tries++;
	got = *t;
	auth_wipe(t, sizeof(*t));
	return AUTH_NO;
}

void
auth_wipe(void *p, size_t len)
{
	memset(p, 0, len);
}

long long
clock_ms(void)
{
	return 1000;
}

const char *
auth_start(struct auth *a, int pipe)
{
	(void)a, (void)pipe;
	return NULL;
}

int
auth_login(struct auth *a, void (*talk)(void *), void *arg)
{
	(void)a, (void)talk, (void)arg;
	return 0;
}

enum mbox_result
auth_enter(struct auth *a, struct mbox *m)
{
	(void)a, (void)m;
	return MBOX_PERM;
}

enum mbox_result
mbox_load(struct mbox *m)
{
	(void)m;
	return MBOX_PERM;
}

enum mbox_result
mbox_seek(struct mbox *m, size_t i)
{
	(void)m, (void)i;
	return MBOX_GONE;
}

int
mbox_read(struct mbox *m, const unsigned char **p, size_t *len)
{
	(void)m, (void)p, (void)len;
	return -1;
}

enum mbox_result
mbox_uid(struct mbox *m, size_t i, char uid[UID_OCTETS])
{
	(void)m, (void)i, (void)uid;
	return MBOX_TEMP;
}

enum mbox_result
mbox_update(struct mbox *m)
{
	(void)m;
	return MBOX_OK;
}

/* ---- The check ---- */

static void
encode(struct bytes *to, const uint8_t *p, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned long bits;
	size_t i, k;

	for (i = 0; i < len; i += 3) {
		for (bits = 0, k = 0; k < 3; k++)
			bits = bits << 8 | (i + k < len ? p[i + k] : 0);
		for (k = 0; k < 4; k++)
			add(to, i + k > len ? "=" :
			    &digits[bits >> (18 - 6 * k) & 63], 1);
	}
}

static void
check_decoder(const char *text)
{
	size_t room = strlen(text) + 1;
	char *ours = malloc(room), *theirs = malloc(room);
	int n;

	CHECK(ours != NULL && theirs != NULL);
	memcpy(ours, text, room);
	n = slow_base64(text, theirs);
	CHECK(decode_base64(ours) == (n == -1 ? NULL : ours + n));
	CHECK(n <= 0 || memcmp(ours, theirs, (size_t)n) == 0);
	free(ours);
	free(theirs);
}

/* A field of at least min and at most FIELD_MAX octets, up to a NUL or end. */
static int
take(const char **p, const char *end, size_t min, char field[FIELD_MAX + 1])
{
	size_t len = 0;

	while (*p + len < end && (*p)[len] != '\0')
		len++;
	if (len < min || len > FIELD_MAX)
		return 0;
	memcpy(field, *p, len);
	field[len] = '\0';
	*p += len;
	return 1;
}

/* RFC 4616, section 2: what the message of a line asks for; 0: malformed. */
static int
understand(const char *text, struct attempt *t)
{
	char message[SASL_MAX + 2], role[FIELD_MAX + 1], name[FIELD_MAX + 1];
	const char *p = message, *end;
	int n = slow_base64(text, message);

	end = message + (n > 0 ? n : 0);
	if (n <= 0 || !take(&p, end, 0, role) || p++ == end ||
	    !take(&p, end, 1, name) || p++ == end ||
	    !take(&p, end, 1, t->secret) || p != end)
		return 0;
	t->mechanism = *role == '\0' || strcmp(role, name) == 0 ? AUTH_PASS :
	    AUTH_NEVER;
	/* one octet too many is enough to be nobody's */
	snprintf(t->user, sizeof(t->user), "%.*s", NAME_OCTETS + 1, name);
	return 1;
}

static void
run_dialogue(void)
{
	static struct session s;

	memset(&s, 0, sizeof(s));
	s.state = AUTHORIZATION;
	s.idle = IDLE_SECONDS;
	s.deadline = clock_ms() + IDLE_SECONDS * 1000LL;
	if (setjmp(ended) == 0)
		dialogue(&s);
	CHECK(asked_at == asked.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bytes line;
	struct attempt want;
	unsigned how = take_number(&data, &size) & 3;
	char answers[100];
	size_t end;
	int bad, right;

	memset(&want, 0, sizeof(want));
	line.len = asked.len = told.len = asked_at = 0;
	tries = 0;
	add_text(&line, "");
	if (how & 2)
		encode(&line, data, size);
	else
		add(&line, data, find(data, size, "\n", 1));
	add_text(&asked, how & 1 ? "AUTH PLAIN " : "AUTH PLAIN\r\n");
	add(&asked, line.p, line.len);
	add_text(&asked, "\r\nQUIT\r\n");
	bad = memchr(line.p, '\0', line.len) != NULL ||
	    line.len + 2 > (how & 1 ? COMMAND_MAX - 11 : SASL_MAX);
	/* blanks at the end of a line count as nothing; then it asks for one */
	while (!bad && line.len > 0 && line.p[line.len - 1] == ' ')
		line.p[--line.len] = '\0';
	if ((how & 1) && line.len == 0)
		return 0;
	if (memchr(line.p, '\0', line.len) == NULL)
		check_decoder((const char *)line.p);
	right = !bad && understand((how & 1) && line.len == 1 &&
	    *line.p == '=' ? "" : (const char *)line.p, &want);
	run_dialogue();
	snprintf(answers, sizeof(answers), "+OK pop3d ready\r\n%s-ERR %s",
	    how & 1 ? "" : "+ \r\n", right ? "[AUTH] login failed\r\n" : "");
	CHECK(told.len > strlen(answers) &&
	    memcmp(told.p, answers, strlen(answers)) == 0);
	end = strlen(answers) - (right ? 2 : 0);
	end += find(told.p + end, told.len - end, "\r\n", 2);
	CHECK(told.len - end == 11 &&
	    memcmp(told.p + end, "\r\n+OK bye\r\n", 11) == 0);
	CHECK(tries == right);
	if (right)
		CHECK(got.mechanism == want.mechanism &&
		    strcmp(got.user, want.user) == 0 &&
		    strcmp(got.secret, want.secret) == 0);
	return 0;
}
