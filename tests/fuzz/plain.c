/*
 * AUTH PLAIN: what becomes of the line a client sends. Base64 must be decoded
 * as a slow decoder does it, and what is handed over for verification must be
 * the fields of the message, whole, or nothing.
 *
 * Input: a number: 0 and 1, the line is as it is; 2 and 3, it is the base64 of
 * the rest; 1 and 3, it is an initial response. The line.
 *
 * Of pop3.c: struct session, dialogue, decode_base64. Its auth_try is replaced.
 */
#include "../../pop3.h"
#include "fuzz.h"

static struct bytes asked, told;
static size_t asked_at;
static struct attempt got;
static int tries;

static ssize_t
hook_read(int fd, char *p, size_t n)
{
	CHECK(fd == 0 && n > 0);
	if (n > asked.len - asked_at)
		n = asked.len - asked_at;
	memcpy(p, asked.p + asked_at, n);
	asked_at += n;
	return (ssize_t)n;
}

static ssize_t
hook_write(int fd, const char *p, size_t n)
{
	CHECK(fd == 1 && n > 0);
	add(&told, p, n);
	return (ssize_t)n;
}

static enum auth_result
hook_try(struct auth *a, struct attempt *t)
{
	a->tries++;
	tries++;
	got = *t;
	auth_wipe(t, sizeof(*t));
	return AUTH_NO;
}

#include "../../mailbox.c"
#undef syslog
#define syslog			no_log
#define crypt			fake_crypt
#include "../../auth.c"
#define auth_try(a, t)		hook_try(a, t)
#include "client.h"

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
	right = !bad && slow_plain((how & 1) && line.len == 1 &&
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
