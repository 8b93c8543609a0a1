/*
 * The record between the dialogue and the verifier: a dialogue that was taken
 * over may write anything. Whatever it writes, the verifier reads three records
 * and no more, says a whole account or nothing, which takes its time; and it says
 * yes only to a name and a secret that are right as strings that end in their
 * fields, and reads no more behind that.
 *
 * Input: a number: 0, the octets are what is in the pipe, as they are; 1, they
 * are written over a record full of a's; 2, they are a record that auth_try
 * sends, with the answer yes; 3, with no; 4, with none: that is trouble. The
 * octets.
 *
 * Of auth.c: priv_verify.
 */
#include <setjmp.h>

#include "../../pop3.h"
#include "fuzz.h"

enum { UID = 1001, GID = 1002 };

static const char ours[] = "alice:{PLAIN}secret:1001:1002::/home/alice:\n"
    "bob:{MD5}$1$word:1001:1002:::\n";

static jmp_buf ended;
static int exit_status;
static unsigned alarms;

static void hook_exit(int) __attribute__((__noreturn__));

static void
hook_exit(int status)
{
	exit_status = status;
	longjmp(ended, 1);
}

static unsigned
hook_alarm(unsigned seconds)
{
	alarms += seconds > 0;
	return 0;
}

#include "../../mailbox.c"
#define _exit(status)		hook_exit(status)
#define alarm(n)		hook_alarm(n)
#define signal(sig, what)	((void)(sig), (void)(what))
#define seteuid(uid)		((void)(uid), 0)
#undef syslog
#define syslog			no_log
#define nanosleep(t, rest)	count_wait(t)
#define crypt			fake_crypt
#include "../../auth.c"
#include "../real.h"

static void
open_pipe(int p[2])
{
	CHECK(pipe(p) == 0);
	CHECK(fcntl(p[0], F_SETFL, O_NONBLOCK) == 0);
}

/* What is in a pipe, at most room octets. */
static size_t
drain(int fd, void *to, size_t room)
{
	ssize_t n = read(fd, to, room);

	return n > 0 ? (size_t)n : 0;
}

/* The account of the file that a record is right for, or NULL. */
static const char *
right_for(const struct attempt *t)
{
	char user[NAME_OCTETS + 2];
	const char *name;

	snprintf(user, sizeof(user), "%.*s", NAME_OCTETS + 1, t->user);
	name = t->mechanism == AUTH_PASS ? account_of(user) : NULL;
	return name != NULL && strncmp(t->secret, *name == 'a' ? "secret" :
	    "word", sizeof(t->secret)) == 0 ? name : NULL;
}

static void
run_verifier(const struct auth *a, int records, int answers, int accounts[2])
{
	struct auth own = *a;

	alarms = 0;
	exit_status = -1;
	if (setjmp(ended) == 0)
		priv_verify(&own, records, answers, accounts);
}

/* The verifier, with these octets in its pipe. */
static void
check_verifier(const struct auth *set_up, const uint8_t *data, size_t size)
{
	struct attempt t;
	struct account who;
	uint8_t said[sizeof(who) + 16], rest[4096], octets[8];
	int records[2], answers[2], accounts[2], own;
	const char *name = NULL;
	size_t n, left, tries, at;

	open_pipe(records);
	open_pipe(answers);
	open_pipe(accounts);
	own = dup(accounts[0]);
	CHECK(write(records[1], data, size) == (ssize_t)size);
	close(records[1]);
	run_verifier(set_up, records[0], answers[1], accounts);
	n = drain(own, said, sizeof(said));
	left = drain(records[0], rest, sizeof(rest));
	memset(octets, 0, sizeof(octets));
	drain(answers[0], octets, sizeof(octets));
	for (at = tries = 0; name == NULL && tries < 3 &&
	    size - at >= sizeof(t); tries++) {
		memcpy(&t, data + at, sizeof(t));
		at += sizeof(t);
		name = right_for(&t);
		CHECK(octets[tries] == (name == NULL ? AUTH_NO : AUTH_YES));
	}
	CHECK(octets[tries] == 0 && exit_status == 0);
	/* what is no whole record is read, and ends it */
	if (name == NULL && tries < 3)
		at = size;
	CHECK(left == size - at && memcmp(rest, data + at, left) == 0);
	CHECK(alarms == tries + (name != NULL));
	CHECK(nwaits == tries - (name != NULL));
	CHECK(n == (name == NULL ? 0 : sizeof(who)));
	if (name != NULL) {
		memcpy(&who, said, sizeof(who));
		CHECK(who.uid == UID && who.gid == GID);
		CHECK(strcmp(who.name, name) == 0);
		CHECK(strcmp(who.home, *name == 'a' ? "/home/alice" : "") == 0);
	}
	close(records[0]);
	close(answers[0]);
	close(answers[1]);
	close(own);
	close(accounts[1]);
}

/* The dialogue's side: one record, one answer, and the secret is gone. */
static void
send_record(struct auth *a, const struct attempt *record, const char *answer,
    uint8_t sent[sizeof(struct attempt)])
{
	struct attempt t = *record;
	uint8_t more;
	size_t i;
	int to[2], from[2];
	volatile int said = -1;

	open_pipe(to);
	open_pipe(from);
	CHECK(write(from[1], answer, strlen(answer)) ==
	    (ssize_t)strlen(answer));
	close(from[1]);
	a->to = to[1];
	a->from = from[0];
	exit_status = -1;
	if (setjmp(ended) == 0)
		said = (int)auth_try(a, &t);
	CHECK(exit_status == -1);
	CHECK(said == (*answer == '\0' ? AUTH_TROUBLE : *answer));
	CHECK(nwaits == 0);	/* root does that */
	for (i = 0; i < sizeof(t); i++)
		CHECK(((char *)&t)[i] == '\0');
	CHECK(drain(to[0], sent, sizeof(t)) == sizeof(t));
	CHECK(memcmp(sent, record, sizeof(t)) == 0);
	CHECK(drain(to[0], &more, 1) == 0);
	CHECK(a->account.name[0] == '\0');
	close(to[0]);
	close(to[1]);
	close(from[0]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const answers[] = { "y", "n", "" };
	unsigned how = take_number(&data, &size) % 5;
	uint8_t octets[sizeof(struct attempt)];
	struct attempt t;
	struct auth a = { .mailbox = "/nonexistent/%u", .ip = "local",
	    .root = 1, .uid = 777 };

	if (size > 4096)
		return 0;
	a.file = write_whole(path_of("passwd"), ours, sizeof(ours) - 1);
	nwaits = 0;
	if (how == 0) {
		check_verifier(&a, data, size);
		return 0;
	}
	memset(&t, how == 1 ? 'a' : 0, sizeof(t));
	memcpy(&t, data, size < sizeof(t) ? size : sizeof(t));
	memcpy(octets, &t, sizeof(t));
	if (how > 1)
		send_record(&a, &t, answers[how - 2], octets);
	check_verifier(&a, octets, sizeof(octets));
	return 0;
}
