/*
 * Who may: auth.c through the functions of pop3.h, with the system's calls
 * replaced, and the real program (POP3D, ./pop3d) looked at from /proc.
 *
 * The first part needs no privilege: ids are make-believe, kept for each
 * process, and every call can be made to come out wrong. The second part is
 * for root; each of its tests prints a line where it cannot run.
 */
#include <sys/types.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <check.h>
#include "suite.h"

#include "../pop3.h"
#include "md5.h"

#if defined(__GLIBC__) || defined(__sun)
#include <crypt.h>
#endif
#if defined(__linux__) || defined(__sun)
#include <shadow.h>
#define HAS_SHADOW 1
#else
#define HAS_SHADOW 0
#endif
#if defined(__linux__)
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sysmacros.h>
#define ADOPT_ORPHANS() prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
#else
#define ADOPT_ORPHANS() (-1)
#endif

#define DIALOGUE_IDS	"54321:54321"	/* of -u */

enum {
	DIALOGUE = 54321,	/* the same */
	USER = 12001,		/* uid and gid of an account */
	SPOOL = 12010,		/* group of a spool */
	LINES = 256,
	CALLS = 512,
	ALARMS = 12	/* of one login: root's, and three a try */
};

/* What all processes of a test see. */
struct shared {
	int nlines, ncalls;
	int strange;			/* lines of a priority they should not
					 * have */
	int collect;			/* lines of /dev/log are wanted */
	char line[LINES][512];	/* of the log */
	struct {
		int role, index;
		char name[16];
	} call[CALLS];
	int spoil_role, spoil_index;	/* the call that is to go wrong */
	int spoiled, after;		/* it did; calls of its process since */
	char spoiled_name[16];
	long long slept;		/* ns in nanosleep */
	int naps, interrupts;
	int hidden;			/* roles that nobody may look into */
	int hashes;			/* calls of crypt */
	char asked[1024];		/* what saslauthd was sent, */
	int asked_len, nasked;		/* and how often it was */
	time_t sasl_wait[2];		/* for what it says, and for its ear */
	char hashed[64];		/* the last one's setting */
	long long patience;		/* the keeper's, in microseconds, */
	long long session_patience;	/* and the session's */
	uid_t opened_uid, keeper_uid;	/* effective, as the mailbox is opened */
	gid_t opened_gid, keeper_gid;	/* and when the keeper is started */
	gid_t opened_group;		/* the only one besides, or 0 */
	int error;			/* errno after that */
	struct timespec clock;
	int in, entered, loaded, talked;
	int answer[8];
	unsigned alarms[ALARMS];	/* what was asked of alarm, last first */
	char why[PATH_MAX];
	struct account account;
};

static struct shared *sh;

struct ids {
	unsigned real, effective, saved;
};

/* Whether calls are replaced, and this process's make-believe. */
static struct {
	int on;
	int role, forks, index;
	struct ids user, group;
	gid_t groups[4];
	int ngroups;
	char jail[PATH_MAX];
	int session_fd, keeper_fd;
	struct passwd pw[5];	/* accounts, ended by a NULL name */
	int next_pw;		/* the one that getpwent returns */
	long long crypt_ns;	/* how long a hash takes */
	int quick;		/* alarms come soon */
	int rings;		/* an older one comes when one is set */
	int lie;		/* a call that says yes and does not do it */
	int gullible;		/* crypt takes any secret */
	int endless;		/* the alarm comes before crypt ends */
	int mute;		/* the verifier's answer cannot be written */
#if HAS_SHADOW
	struct spwd sp;		/* the only entry, unless its name is NULL */
#endif
} fake;

/* What a call can pretend to have done; of a group as of a user. */
enum {
	LIE_NONE, LIE_SETUID, LIE_REAL_UID, LIE_SAVED_UID, LIE_SETGID,
	LIE_REAL_GID, LIE_SAVED_GID, LIE_SETGROUPS, LIE_MORE_GROUPS, LIES
};

/* ---- The system's calls, replaced ---- */

static void fake_syslog(int priority, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
fake_syslog(int priority, const char *format, ...)
{
	va_list ap;
	int i = __sync_fetch_and_add(&sh->nlines, 1);

	/* fail2ban reads the one, somebody who set it up wrong the other */
	sh->strange |= priority != LOG_CRIT && priority !=
	    (strncmp(format, "LOGIN FAILED", 12) == 0 ? LOG_NOTICE : LOG_ERR);
	if (i >= LINES)
		return;
	va_start(ap, format);
	vsnprintf(sh->line[i], sizeof(sh->line[i]), format, ap);
	va_end(ap);
}

/* Note a call down: 1 if it is the one that must come out wrong. */
static int
spoil(const char *name)
{
	int i, mine = fake.index++;

	if (sh->spoiled && fake.role == sh->spoil_role)
		__sync_fetch_and_add(&sh->after, 1);
	if ((i = __sync_fetch_and_add(&sh->ncalls, 1)) < CALLS) {
		sh->call[i].role = fake.role;
		sh->call[i].index = mine;
		snprintf(sh->call[i].name, sizeof(sh->call[i].name), "%s",
		    name);
	}
	if (fake.role != sh->spoil_role || mine != sh->spoil_index)
		return 0;
	sh->spoiled = 1;
	snprintf(sh->spoiled_name, sizeof(sh->spoiled_name), "%s", name);
	return 1;
}

/* The result of a call that may or may not succeed. */
static int
outcome(const char *name, int ok)
{
	if (spoil(name) ? !ok : ok)
		return 0;
	errno = EPERM;
	return -1;
}

/* setuid and setgid, which as root change all three; seteuid and setegid. */
static int
set_ids(const char *call, struct ids *of, unsigned id, int all)
{
	int root = fake.user.effective == 0;
	int ok = root || id == of->real || id == of->saved;
	int lie = fake.lie + (of == &fake.user ? 0 : LIE_SETUID - LIE_SETGID);

	if (outcome(call, ok) == -1)
		return -1;
	if (!ok || (all && lie == LIE_SETUID))
		return 0;
	if (all && root && lie != LIE_REAL_UID)
		of->real = id;
	if (all && root && lie != LIE_SAVED_UID)
		of->saved = id;
	of->effective = id;
	return 0;
}

static unsigned
get_id(const char *call, unsigned id)
{
	return id + (spoil(call) ? 1 : 0);
}

static int
fake_setgroups(size_t n, const gid_t *groups)
{
	if (outcome("setgroups", fake.user.effective == 0 && n <= 4) == -1)
		return -1;
	if (fake.lie == LIE_SETGROUPS)
		return 0;
	fake.ngroups = (int)n;
	memcpy(fake.groups, groups, n * sizeof(*groups));
	if (fake.lie == LIE_MORE_GROUPS)
		fake.groups[fake.ngroups++] = 8;
	return 0;
}

static int
fake_getgroups(int n, gid_t *groups)
{
	if (spoil("getgroups") || n < fake.ngroups)
		return -1;
	memcpy(groups, fake.groups, (size_t)fake.ngroups * sizeof(*groups));
	return fake.ngroups;
}

/* A make-believe root directory: only chdir("/") can tell. */
static int
fake_chroot(const char *path)
{
	if (outcome("chroot", fake.user.effective == 0) == -1)
		return -1;
	ck_assert_str_eq(path, ".");
	return getcwd(fake.jail, sizeof(fake.jail)) == NULL ? -1 : 0;
}

static int
fake_chdir(const char *path)
{
	if (outcome("chdir", 1) == -1)
		return -1;
	return chdir(strcmp(path, "/") == 0 && fake.jail[0] != '\0' ?
	    fake.jail : path);
}

/* -e must be root's: of a directory that is ours, say that it is. */
static int
fake_lstat(const char *path, struct stat *st)
{
	if (lstat(path, st) == -1)
		return -1;
	if (fake.on && st->st_uid == getuid())
		st->st_uid = 0;
	return 0;
}

static int
fake_socketpair(int domain, int type, int protocol, int p[2])
{
	if ((fake.on && outcome("socketpair", 1) == -1) ||
	    socketpair(domain, type, protocol, p) == -1)
		return -1;
	fake.session_fd = p[0];
	fake.keeper_fd = p[1];
	return 0;
}

/* What the keeper waits for the session before it touches the lock. */
static int
fake_setsockopt(int fd, int level, int what, const void *value, socklen_t len)
{
	static const struct timeval soon = { 0, 200000 };
	const struct timeval *t = value;
	int waits = level == SOL_SOCKET && len == sizeof(*t) &&
	    (what == SO_RCVTIMEO || what == SO_SNDTIMEO);
	long long us;

	if (fake.on && outcome("setsockopt", 1) == -1)
		return -1;
	us = waits ? t->tv_sec * 1000000LL + t->tv_usec : 0;
	if (waits && fd == fake.keeper_fd)
		sh->patience = us;
	else if (waits && fd == fake.session_fd)
		sh->session_patience = us;
	else if (waits) {
		sh->sasl_wait[what == SO_SNDTIMEO] = t->tv_sec;
		if (fake.quick)
			t = &soon;
	}
	return setsockopt(fd, level, what, t, len);
}

/* Children are known by their order: 1 dialogue, 2 verifier, 3 keeper. */
static pid_t
fake_fork(void)
{
	pid_t pid;

	if (fake.on && outcome("fork", 1) == -1)
		return -1;
	if (++fake.forks == 3) {
		sh->keeper_uid = fake.user.effective;
		sh->keeper_gid = fake.group.effective;
	}
	if ((pid = fork()) == 0) {
		fake.role = fake.forks;
		fake.index = 0;
	}
	return pid;
}

static enum mbox_result
fake_mbox_open(struct mbox *m, const char *path, uid_t owner)
{
	sh->opened_uid = fake.user.effective;
	sh->opened_gid = fake.group.effective;
	sh->opened_group = fake.ngroups == 1 ? fake.groups[0] : 0;
	return mbox_open(m, path, owner);
}

static int
fake_clock_gettime(clockid_t which, struct timespec *t)
{
	(void)which;
	*t = sh->clock;
	return 0;
}

static void
pass_time(long long ns)
{
	ns += sh->clock.tv_nsec;
	sh->clock.tv_sec += (time_t)(ns / 1000000000);
	sh->clock.tv_nsec = (long)(ns % 1000000000);
}

static int
fake_nanosleep(const struct timespec *want, struct timespec *left)
{
	long long ns = want->tv_sec * 1000000000LL + want->tv_nsec;
	int interrupted = sh->interrupts > 0;

	ns /= 1 + interrupted;
	sh->naps++;
	sh->slept += ns;
	pass_time(ns);
	if (!interrupted)
		return 0;
	sh->interrupts--;
	left->tv_sec = (time_t)(ns / 1000000000);
	left->tv_nsec = (long)(ns % 1000000000);
	errno = EINTR;
	return -1;
}

/* A second passes in 50 ms. */
static unsigned
fake_alarm(unsigned seconds)
{
	struct itimerval t;

	if (fake.rings && seconds > 0)
		raise(SIGALRM);
	memmove(sh->alarms + 1, sh->alarms,
	    sizeof(sh->alarms) - sizeof(*sh->alarms));
	sh->alarms[0] = seconds;
	if (!fake.quick || seconds >= 60)
		return alarm(seconds);
	memset(&t, 0, sizeof(t));
	t.it_value.tv_sec = (time_t)(seconds / 20);
	t.it_value.tv_usec = (suseconds_t)(seconds % 20) * 50000;
	setitimer(ITIMER_REAL, &t, NULL);
	return 0;
}

/*
 * An account of that name or, for NULL, of that uid. Capitals and small letters
 * are the same, as for directories that do not tell them apart.
 */
static struct passwd *
find_pw(const char *name, uid_t uid)
{
	struct passwd *pw;

	for (pw = fake.pw; pw->pw_name != NULL; pw++)
		if (name == NULL ? pw->pw_uid == uid :
		    strcasecmp(pw->pw_name, name) == 0)
			return pw;
	return NULL;
}

static struct passwd *
next_pw(void)
{
	struct passwd *pw = &fake.pw[fake.next_pw];

	fake.next_pw += pw->pw_name != NULL;
	return pw->pw_name == NULL ? NULL : pw;
}

#if HAS_SHADOW
static struct spwd *
fake_getspnam(const char *name)
{
	return fake.sp.sp_namp != NULL && strcmp(fake.sp.sp_namp, name) == 0 ?
	    &fake.sp : NULL;
}
#define getspnam	fake_getspnam
#endif

/* What says that no hash was made may be a constant, as it is in musl. */
static char *
fake_crypt(const char *secret, const char *hash)
{
	static const char failed[] = "*";
	static char same[256];
	char *got;

	if (fake.on)
		pass_time(fake.crypt_ns);
	__sync_fetch_and_add(&sh->hashes, 1);
	snprintf(sh->hashed, sizeof(sh->hashed), "%s", hash);
	if (fake.endless)
		raise(SIGALRM);
	if (!fake.gullible) {
		got = crypt(secret, hash);
		return got == NULL || strlen(got) > 2 ? got :
		    (char *)(uintptr_t)failed;
	}
	snprintf(same, sizeof(same), "%s", hash);
	return same;
}

static ssize_t
fake_write(int fd, const void *p, size_t n)
{
	if (!fake.mute || fake.role != 2)
		return write(fd, p, n);
	errno = EIO;
	return -1;
}

#if defined(__linux__)
/* Elsewhere no process ends with its parent: so none does here either. */
static int
fake_prctl(int what, unsigned long first)
{
	if (what == PR_SET_DUMPABLE && first == 0)
		__sync_fetch_and_or(&sh->hidden, 1 << fake.role);
	return outcome("prctl", 1);
}

/* A kernel without Landlock: the tests' own process must not be confined. */
static long
fake_syscall(void)
{
	errno = ENOSYS;
	return -1;
}
#define prctl(what, ...) \
	(fake.on ? fake_prctl(what, FIRST(__VA_ARGS__, 0)) : \
	(prctl)(what, __VA_ARGS__))
#define FIRST(a, ...)	(a)
#define syscall(...)	(fake.on ? fake_syscall() : (syscall)(__VA_ARGS__))
#endif

/*
 * All of these are the system's where fake.on is 0. Elsewhere some are ours,
 * and some the system's that are made to fail.
 */
#define FAKE(name, ...)	\
	(fake.on ? fake_##name(__VA_ARGS__) : (name)(__VA_ARGS__))
#define FAIL(name, ...)	(fake.on && outcome(#name, 1) == -1 ? -1 : \
	(name)(__VA_ARGS__))
#define SET_IDS(name, of, id, all) \
	(fake.on ? set_ids(#name, of, id, all) : (name)(id))
#define GET_ID(name, id)	(fake.on ? get_id(#name, id) : (name)())

#define setuid(id)	SET_IDS(setuid, &fake.user, id, 1)
#define setgid(id)	SET_IDS(setgid, &fake.group, id, 1)
#define seteuid(id)	SET_IDS(seteuid, &fake.user, id, 0)
#define setegid(id)	SET_IDS(setegid, &fake.group, id, 0)
#define getuid()	GET_ID(getuid, fake.user.real)
#define getgid()	GET_ID(getgid, fake.group.real)
#define geteuid()	GET_ID(geteuid, fake.user.effective)
#define getegid()	GET_ID(getegid, fake.group.effective)
#define setgroups(n, to)	FAKE(setgroups, n, to)
#define getgroups(n, to)	FAKE(getgroups, n, to)
#define chroot(path)	FAKE(chroot, path)
#define chdir(path)	FAKE(chdir, path)
#define clock_gettime(which, t)	FAKE(clock_gettime, which, t)
#define nanosleep(t, left)	FAKE(nanosleep, t, left)
#define pipe(p)		FAIL(pipe, p)
#define stat(path, st)	FAIL(stat, path, st)
#define setrlimit(what, limit)	\
	(fake.on ? outcome("setrlimit", 1) : (setrlimit)(what, limit))
/* fortified headers have it as a macro */
#undef syslog
#define syslog		fake_syslog
#define lstat		fake_lstat
#define socketpair	fake_socketpair
#define setsockopt	fake_setsockopt
#define fork		fake_fork
#define mbox_open	fake_mbox_open
#define alarm		fake_alarm
#define getpwnam(name)	find_pw(name, 0)
#define getpwuid(uid)	find_pw(NULL, uid)
#define getpwent	next_pw
#define setpwent()	((void)(fake.next_pw = 0))
#define crypt		fake_crypt
#define write		fake_write

#include "../auth.c"

#include "real.h"

#include "peer.h"

static const char mail[] = "From a@b Mon Nov 23 10:00:00 2026\n"
    "Received: x\nSubject: one\n\ntext\n\n"
    "From a@b Mon Nov 23 10:00:01 2026\n"
    "Received: y\nSubject: two\n\nmore\n\n";

/* ---- auth.c alone ---- */

/* Each test starts with make-believe ids, a still clock and an empty log. */
static void
begin_unit(void)
{
	memset(sh, 0, sizeof(*sh));
	memset(&fake, 0, sizeof(fake));
	sh->spoil_role = -1;
	sh->clock.tv_sec = 1000;
	fake.on = 1;
	fake.ngroups = 1;
	fake.session_fd = fake.keeper_fd = -1;
	ADOPT_ORPHANS();
}

static pid_t saslauthd;

static void
end_saslauthd(void)
{
	ck_assert(kill(saslauthd, SIGKILL) == 0 &&
	    waitpid(saslauthd, NULL, 0) == saslauthd);
	saslauthd = 0;
}

static void
end_unit(void)
{
	if (saslauthd != 0)
		end_saslauthd();
	ck_assert_int_eq(sh->strange, 0);
}

static void
be_user(unsigned id)
{
	fake.user = fake.group = (struct ids){ id, id, id };
}

static struct auth
an_auth(const char *file)
{
	struct auth a;

	memset(&a, 0, sizeof(a));
	a.file = file;
	a.mailbox = "/nonexistent/%u";
	a.empty = "/";
	a.user = DIALOGUE_IDS;
	a.ip = "192.0.2.7";
	a.seconds = 60;
	return a;
}

static struct attempt
an_attempt(char mechanism, const char *user, const char *secret)
{
	struct attempt t;

	memset(&t, 'x', sizeof(t));
	t.mechanism = mechanism;
	snprintf(t.user, sizeof(t.user), "%s", user);
	snprintf(t.secret, sizeof(t.secret), "%.*s", FIELD_MAX, secret);
	return t;
}

static enum auth_result
try_as_is(struct auth *a, char mechanism, const char *user, const char *secret)
{
	struct attempt t = an_attempt(mechanism, user, secret);

	return auth_try(a, &t);
}

static int
try_as(struct auth *a, char mechanism, const char *user, const char *secret)
{
	return try_as_is(a, mechanism, user, secret) == AUTH_YES;
}

/* One login without separate processes. */
static int
try_login(const char *file, const char *user, const char *secret)
{
	struct auth a = an_auth(file);

	return try_as(&a, AUTH_PASS, user, secret);
}

static char *a_file(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* A file of accounts for -f. */
static char *
a_file(const char *format, ...)
{
	static char path[PATH_MAX], text[8192];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	ck_assert_int_lt(n, (int)sizeof(text));
	snprintf(path, sizeof(path), "%s", in_base("accounts"));
	return put_file(path, text, (size_t)n, 0600);
}

static void expect_line(int n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* So many lines were logged, this one last: * at its end is for anything. */
static void
expect_line(int n, const char *format, ...)
{
	char want[PATH_MAX + 128];
	const char *last = sh->nlines < 1 || sh->nlines > LINES ? "" :
	    sh->line[sh->nlines - 1];
	va_list ap;

	va_start(ap, format);
	vsnprintf(want, sizeof(want), format, ap);
	va_end(ap);
	ck_assert_msg(sh->nlines == n && is_like(last, want), "%d lines in the "
	    "log, the last: %s; wanted: %d, %s", sh->nlines, last, n, want);
}

#define FAILED(user, reason)	\
	"LOGIN FAILED, user=" user ", ip=[192.0.2.7], reason=" reason

/* A letter 128 or 129 times. */
#define X8	"xxxxxxxx"
#define X128	X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8

static const struct {
	const char *name;
	int legal;
} names[] = {
	{ "a", 1 }, { "alice", 1 }, { "ALICE", 1 }, { "a.b", 1 },
	{ "a_b", 1 }, { "a@b", 1 }, { "a+b", 1 }, { "a-b", 1 }, { "0", 1 },
	{ "_", 1 }, { "@", 1 }, { "+", 1 }, { "a.", 1 }, { "a..b", 1 },
	{ "a-", 1 }, { X128, 1 },
	{ "", 0 }, { ".", 0 }, { "..", 0 }, { ".a", 0 }, { "-a", 0 },
	{ "-", 0 }, { X128 "x", 0 }, { "../x", 0 }, { "a/b", 0 },
	{ "/a", 0 }, { "a b", 0 }, { " a", 0 }, { "a ", 0 }, { "a\n", 0 },
	{ "a\nb", 0 }, { "a\r", 0 }, { "a\tb", 0 }, { "a\033b", 0 },
	{ "a\177", 0 }, { "a\200", 0 }, { "\303\244", 0 }, { "a%u", 0 },
	{ "a,b", 0 }, { "a=b", 0 }, { "a[b]", 0 }, { "a:b", 0 }, { "#a", 0 },
	{ "a*", 0 }, { "a?", 0 }, { "a\\", 0 }, { "a'", 0 }, { "a\"", 0 },
	{ "a$b", 0 }, { "a;b", 0 }, { "a|b", 0 }, { "a~", 0 },
	{ "x, ip=[9.9.9.9]", 0 }, { "x, ip=[9.9.9.9]\n", 0 }
};

CASE("accounts", 30, begin_unit, end_unit);

/* The account is there with the right secret: only the name decides. */
TEST_EACH(a_name_is_taken_if_it_is_legal, COUNT(names))
{
	const char *name = names[_i].name;

	ck_assert_int_eq(try_login(a_file("%s:{PLAIN}s\n", name), name, "s"),
	    names[_i].legal);
	if (names[_i].legal)
		ck_assert_int_eq(sh->nlines, 0);
	else
		expect_line(1, FAILED("-", "no such account"));
}

TEST(every_octet_that_is_not_named_is_refused_in_a_name)
{
	char name[4] = "a?b";
	int c, legal;

	for (c = 1; c < 256; c++) {
		name[1] = (char)c;
		legal = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') || strchr("._@+-", c) != NULL;
		ck_assert_msg(try_login(a_file("%s:{PLAIN}s\n", name), name,
		    "s") == legal, "octet %d", c);
	}
}

TEST(a_wrong_secret_is_logged_with_the_legal_name)
{
	ck_assert_int_eq(try_login(a_file("alice:{PLAIN}s\n"), "alice", "t"),
	    0);
	expect_line(1, FAILED("alice", "wrong password"));
	ck_assert_int_eq(try_login(a_file("alice:{PLAIN}s\n"), "bob", "s"), 0);
	expect_line(2, FAILED("bob", "no such account"));
}

TEST(the_attempt_is_wiped_and_its_account_forgotten)
{
	struct auth a = an_auth(a_file("alice:{PLAIN}s\n"));
	struct attempt t = an_attempt(AUTH_PASS, "alice", "wrong");
	char *p = (char *)&t;
	size_t i;

	ck_assert_int_eq(auth_try(&a, &t), AUTH_NO);
	for (i = 0; i < sizeof(t); i++)
		ck_assert(p[i] == 0);
	ck_assert_str_eq(a.account.name, "");
	ck_assert_int_eq(try_as(&a, AUTH_PASS, "alice", "s"), 1);
	ck_assert_str_eq(a.account.name, "alice");
	ck_assert_int_eq(a.tries, 2);
}

/* SHA-crypt's own example, and one of MD5-crypt. */
#define HELLO6	"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3u" \
	"BnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
#define HELLO1	"$1$abcdefgh$fzmjzFdo5nMtBG8gtud5e0"
#define HELLO	"Hello world!"
#define L16	"0123456789abcdef"
#define L64	L16 L16 L16 L16
#define L256	L64 L64 L64 L64
#define L2048	L256 L256 L256 L256 L256 L256 L256 L256

static const struct {
	const char *text, *name, *secret;
	int in;
} files[] = {
	/* hashes */
	{ "a:" HELLO6 "\n", "a", HELLO, 1 },
	{ "a:" HELLO6 "\n", "a", "Hello world", 0 },
	{ "a:" HELLO6 "\n", "a", HELLO6, 0 },
	{ "a:" HELLO6 "\n", "a", "", 0 },
	{ "a:" HELLO1 "\n", "a", HELLO, 1 },
	{ "a:" HELLO1 "\n", "a", "hello world!", 0 },
	{ "a:{CRYPT}" HELLO6 "\n", "a", HELLO, 1 },
	{ "a:{SHA512-CRYPT}" HELLO6 "\n", "a", HELLO, 1 },
	{ "a:{MD5-CRYPT}" HELLO1 "\n", "a", HELLO, 1 },
	{ "a:{}" HELLO1 "\n", "a", HELLO, 1 },
	{ "a:{CRYPT" HELLO1 "\n", "a", HELLO, 0 },
	{ "a:{CRYPT" HELLO1 "\n", "a", "{CRYPT" HELLO1, 0 },
	{ "a:*" HELLO1 "\n", "a", HELLO, 0 },
	{ "a:!" HELLO1 "\n", "a", HELLO, 0 },
	{ "a:!!\n", "a", "!!", 0 }, { "a:*\n", "a", "*", 0 },
	{ "a:*0\n", "a", "*0", 0 }, { "a:*1\n", "a", "*1", 0 },
	{ "a:{CRYPT}*0\n", "a", "x", 0 }, { "a:{CRYPT}!\n", "a", "!", 0 },
	{ "a:\n", "a", "", 0 }, { "a:\n", "a", "x", 0 },
	{ "a::\n", "a", "", 0 }, { "a\n", "a", "", 0 }, { "a", "a", "", 0 },
	{ "a:{CRYPT}\n", "a", "", 0 }, { "a:{PLAIN}\n", "a", "", 0 },
	{ "a:x\n", "a", "x", 0 }, { "a:$6$\n", "a", "x", 0 },
	{ "a:$\n", "a", "$", 0 }, { "a:secret\n", "a", "secret", 0 },
	{ "a:{SHA}c2VjcmV0\n", "a", "c2VjcmV0", 0 },
	/* {PLAIN} */
	{ "a:{PLAIN}s\n", "a", "s", 1 }, { "a:{PLAIN}s\n", "a", "S", 0 },
	{ "a:{PLAIN}s\n", "a", "", 0 }, { "a:{PLAIN}s\n", "a", "st", 0 },
	{ "a:{PLAIN}st\n", "a", "s", 0 }, { "a:{PLAIN}s t \n", "a", "s t ", 1 },
	{ "a:{PLAIN}\303\244\n", "a", "\303\244", 1 },
	{ "a:{PLAIN}\303\244\n", "a", "\303\245", 0 },
	{ "a:{PLAIN}*s\n", "a", "*s", 1 }, { "a:{PLAIN}!\n", "a", "!", 1 },
	{ "a:{PLAIN}{x}y\n", "a", "{x}y", 1 },
	{ "a:{PLAIN}{x}y\n", "a", "y", 0 },
	{ "a:{PLAIN}s\n", "a", "{PLAIN}s", 0 },
	/* fields */
	{ "a:{PLAIN}s:1:2\n", "a", "s", 1 },
	{ "a:{PLAIN}s:1:2:A. Person:/home/a:/bin/sh\n", "a", "s", 1 },
	{ "a:{PLAIN}s:1:2:A. Person:/home/a:/bin/sh:x=1:y=2\n", "a", "s", 1 },
	{ "a:{PLAIN}s::::::::::::\n", "a", "s", 1 },
	{ "a:{PLAIN}s:0:0\n", "a", "s", 1 },
	{ "a:{PLAIN}s:x:y\n", "a", "s", 1 },
	{ "a:{PLAIN}s:t\n", "a", "s:t", 0 },
	{ "a:b:{PLAIN}s\n", "a", "s", 0 },
	/* lines */
	{ "", "a", "", 0 }, { "\n\n\n", "a", "", 0 },
	{ "a:{PLAIN}s", "a", "s", 1 },
	{ "b:{PLAIN}t\na:{PLAIN}s", "a", "s", 1 },
	{ "b:{PLAIN}t\na:{PLAIN}s", "a", "t", 0 },
	{ "#a:{PLAIN}s\n", "a", "s", 0 }, { "#a:{PLAIN}s\n", "#a", "s", 0 },
	{ "# a comment\n\na:{PLAIN}s\n", "a", "s", 1 },
	{ " a:{PLAIN}s\n", "a", "s", 0 }, { "aa:{PLAIN}s\n", "a", "s", 0 },
	{ "a:{PLAIN}s\n", "aa", "s", 0 }, { "A:{PLAIN}s\n", "a", "s", 0 },
	{ "x" L2048 ":y\na:{PLAIN}s\n", "a", "s", 1 },
	{ "#" L2048 L256 "\na:{PLAIN}s\n", "a", "s", 1 },
	{ "#" L2048 "a:{PLAIN}s\n", "a", "s", 0 },
	/* what lies behind the buffer's end is no line of its own */
	{ "#" L256 L256 L256 L256 L256 L256 L256 L64 L64 L64
	    "0123456789abcdef0123456789abcdef0123456789abcdef01234567a"
	    ":{PLAIN}s\n", "a", "s", 0 },
	{ "#" L256 L256 L256 L256 L256 L256 L256 L64 L64 L64
	    "0123456789abcdef0123456789abcdef0123456789abcdef012345678a"
	    ":{PLAIN}s\n", "a", "s", 0 },
	{ "#" L256 L256 L256 L256 L256 L256 L256 L64 L64 L64
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456a"
	    ":{PLAIN}s\n", "a", "s", 0 },
	{ "#" L2048 L256, "a", "s", 0 },
	{ "a:{PLAIN}s:1:2::" L256 ":\n", "a", "s", 1 },
	{ "a:{PLAIN}s:1:2:" L2048 ":/home\nb:{PLAIN}t\n", "a", "s", 0 },
	{ "a:{PLAIN}s:1:2:" L2048 ":/home\nb:{PLAIN}t\n", "b", "t", 1 }
};

TEST_EACH(a_line_of_the_file_lets_in_whom_it_names, COUNT(files))
{
	ck_assert_int_eq(try_login(a_file("%s", files[_i].text),
	    files[_i].name, files[_i].secret), files[_i].in);
}

TEST(a_line_with_a_nul_is_no_entry_and_hides_no_other)
{
	static const char text[] = "a:{PLAIN}s\0t\nb:{PLAIN}u\nc:{PLAIN}v\0";
	char *path = put_file(in_base("accounts"), text, sizeof(text) - 1,
	    0600);

	ck_assert_int_eq(try_login(path, "a", "s"), 0);
	ck_assert_int_eq(try_login(path, "b", "u"), 1);
	ck_assert_int_eq(try_login(path, "c", "v"), 0);
}

/* What a system's crypt(3) makes of these is not to be relied on. */
TEST(a_locked_or_empty_hash_is_not_even_tried)
{
	static const char *const hashes[] = { "", "*", "!", "!!", "*0", "*1",
	    "!" HELLO1, "*" HELLO1, "{CRYPT}", "{CRYPT}*", "{CRYPT}!x" };
	char *file;
	int i;

	fake.gullible = 1;
	ck_assert_int_eq(try_login(a_file("a:xyz\n"), "a", "s"), 1);
	for (i = 0; i < COUNT(hashes); i++) {
		file = a_file("a:%s\n", hashes[i]);
		ck_assert_msg(!try_login(file, "a", "s") &&
		    !try_login(file, "a", ""), "%s", hashes[i]);
	}
}

TEST(secrets_of_all_lengths_are_compared_whole)
{
	char secret[FIELD_MAX + 1], last;
	struct auth a;
	size_t n;

	for (n = 1; n < sizeof(secret); n++) {
		memset(secret, 's', n);
		secret[n] = '\0';
		/* what a refusal costs is little here */
		a = an_auth(a_file("b:" HELLO1 "\na:{PLAIN}%s\n", secret));
		/* a hash field holds 255 octets, and 7 of them say {PLAIN} */
		ck_assert_msg(try_as(&a, AUTH_PASS, "a", secret) ==
		    (n + 7 <= 255), "%zu octets", n);
		last = secret[n - 1];
		secret[n - 1] = (char)(last ^ 1);
		ck_assert_int_eq(try_as(&a, AUTH_PASS, "a", secret), 0);
		secret[n - 1] = (char)(last ^ -128);
		ck_assert_int_eq(try_as(&a, AUTH_PASS, "a", secret), 0);
		secret[n - 1] = '\0';
		ck_assert_int_eq(try_as(&a, AUTH_PASS, "a", secret), 0);
	}
}

TEST(a_secret_of_255_octets_is_hashed_whole)
{
	char secret[FIELD_MAX + 1];
	const char *hash;
	struct auth a;

	memset(secret, 's', FIELD_MAX);
	secret[FIELD_MAX] = '\0';
	hash = crypt(secret, "$6$rounds=1000$salt$");
	if (hash == NULL || *hash != '$') {
		skip("a_secret_of_255_octets_is_hashed_whole",
		    "this crypt(3) does not know $6$");
		return;
	}
	a = an_auth(a_file("a:%s\n", hash));
	ck_assert_int_eq(try_as(&a, AUTH_PASS, "a", secret), 1);
	secret[FIELD_MAX - 1] = 't';
	ck_assert_int_eq(try_as(&a, AUTH_PASS, "a", secret), 0);
}

#define NOT_OTHERS	"it must be a file that others cannot read"

TEST(the_file_must_not_be_for_others)
{
	static const struct {
		mode_t mode;
		int in;
	} modes[] = { { 0600, 1 }, { 0400, 1 }, { 0640, 1 }, { 0440, 1 },
	    { 0700, 1 }, { 0604, 0 }, { 0602, 0 }, { 0606, 0 }, { 0644, 0 },
	    { 0660, 0 }, { 0620, 0 }, { 0666, 0 }, { 0444, 0 }, { 0777, 0 } };
	char *path = a_file("a:{PLAIN}s\n");
	int i;

	for (i = 0; i < COUNT(modes); i++) {
		sh->nlines = 0;
		ck_assert(chmod(path, modes[i].mode) == 0);
		ck_assert_msg(try_login(path, "a", "s") == modes[i].in,
		    "mode %o", (unsigned)modes[i].mode);
		if (modes[i].in)
			ck_assert_int_eq(sh->nlines, 0);
		else
			expect_line(1, "-f %s: " NOT_OTHERS ", user=a, "
			    "ip=[192.0.2.7]", path);
	}
}

/* It was there at the start: nobody is counted as a failed login for that. */
TEST(without_the_file_nobody_is_let_in_and_nobody_has_failed)
{
	struct auth a = an_auth(in_base("none"));

	ck_assert_int_eq(try_as_is(&a, AUTH_PASS, "a", "s"), AUTH_TROUBLE);
	expect_line(1, "-f %s: " NOT_OTHERS ": %s, user=a, ip=[192.0.2.7]",
	    a.file, strerror(ENOENT));
	ck_assert_int_eq(sh->slept, 3000000000LL);
	ck_assert_str_eq(a.account.name, "");
	/* a directory opens, but cannot be read */
	a.file = in_base("folder");
	ck_assert(mkdir(a.file, 0700) == 0);
	ck_assert_int_eq(try_as_is(&a, AUTH_PASS, "a", "s"), AUTH_TROUBLE);
	ck_assert_int_eq(sh->nlines, 2);
}

TEST(a_file_that_cannot_be_used_is_seen_at_the_start)
{
	struct auth a = an_auth(in_base("none"));
	char none[PATH_MAX + 100], others[PATH_MAX + 100];
	int i;

	snprintf(none, sizeof(none), "-f %s: " NOT_OTHERS ": %s",
	    in_base("none"), strerror(ENOENT));
	snprintf(others, sizeof(others), "-f %s: " NOT_OTHERS,
	    in_base("accounts"));
	for (i = 0; i < 2; i++) {
		if (i == 1)
			be_user(USER);
		a.file = in_base("none");
		ck_assert_str_eq(auth_start(&a, 0), none);
		a.file = a_file("a:{PLAIN}s:1:1\n");
		ck_assert_ptr_null(auth_start(&a, 0));
		ck_assert(chmod(a.file, 0644) == 0);
		ck_assert_str_eq(auth_start(&a, 0), others);
		/* under -p it is not used */
		if (i == 1) {
			a.mailbox = "/mail";
			ck_assert_ptr_null(auth_start(&a, 1));
		}
	}
	ck_assert_int_eq(sh->nlines, 0);
}

/* One hash, and of the kind that the accounts have. */
#define NOT_SO	"APOP without {PLAIN}, or PLAIN as somebody else"
#define B6	"b:" HELLO6 "\n"
static const struct {
	const char *text, *name, *setting, *why;
	char mechanism;
} costs[] = {
	{ B6 "a:" HELLO1 "\n", "a", HELLO1, "wrong password", AUTH_PASS },
	{ B6 "a:" HELLO1 "\n", "nobody", HELLO6, "no such account", AUTH_PASS },
	{ B6 "a:" HELLO1 "\n", "x y", HELLO6, "no such account", AUTH_PASS },
	{ "b:{CRYPT}" HELLO6 "\na:!" HELLO1 "\n", "a", HELLO6, "locked",
	    AUTH_PASS },
	{ "b:{CRYPT}" HELLO6 "\na:*\n", "a", HELLO6, "locked", AUTH_PASS },
	{ "b:{PLAIN}$t\nc:" HELLO1 "\na:{PLAIN}s\n", "a", HELLO1,
	    "wrong password", AUTH_PASS },
	{ B6 "a:\n", "a", HELLO6, "no hash for it", AUTH_PASS },
	{ B6 "a:{PLAIN}\n", "a", HELLO6, "no hash for it", AUTH_PASS },
	{ B6 "a:" HELLO1 "\n", "a", HELLO6, NOT_SO, AUTH_NEVER },
	{ B6 "a:{PLAIN}s\n", "a", HELLO6, NOT_SO, AUTH_NEVER },
	{ B6 "a:" HELLO1 "\n", "a", HELLO6, NOT_SO, AUTH_APOP },
	{ B6 "a:{PLAIN}s\n", "a", HELLO6, "wrong password", AUTH_APOP },
	{ "a:{PLAIN}s\n", "a", SOME_HASH, "wrong password", AUTH_PASS },
	{ "a:{PLAIN}s\n", "b", SOME_HASH, "no such account", AUTH_PASS },
	{ "a:{PLAIN}$s", "b", SOME_HASH, "no such account", AUTH_PASS },
	{ "", "b", SOME_HASH, "no such account", AUTH_PASS },
	/* of what crypt(3) does not know, the scheme and no more is told */
	{ "a:$9$salt$hash\n", "a", "$9$salt$hash", "unknown scheme $9$",
	    AUTH_PASS },
	{ "a:{SSHA}c2VjcmV0\n", "a", "c2VjcmV0", "unknown scheme {SSHA}",
	    AUTH_PASS },
	{ "a:secret$1\n", "a", "secret$1", "unknown scheme", AUTH_PASS },
	{ "a:$ecret\n", "a", "$ecret", "unknown scheme", AUTH_PASS },
	{ "a:{PLAINsecret\n", "a", "{PLAINsecret", "unknown scheme",
	    AUTH_PASS }
};

TEST_EACH(a_refusal_costs_one_hash_whatever_its_reason, COUNT(costs))
{
	struct auth a = an_auth(a_file("%s", costs[_i].text));
	const char *setting = costs[_i].setting;

	a.challenge = "<1@a>";
	ck_assert_int_eq(try_as(&a, costs[_i].mechanism, costs[_i].name, "no"),
	    0);
	ck_assert_int_eq(sh->hashes, 1);
	ck_assert_msg(strncmp(sh->hashed, setting, sizeof(sh->hashed) - 1) == 0,
	    "%s", sh->hashed);
	expect_line(1, FAILED("%s", "%s"), strchr(costs[_i].name, ' ') != NULL ?
	    "-" : costs[_i].name, costs[_i].why);
}

TEST(a_scheme_is_read_in_any_case)
{
	ck_assert_int_eq(try_login(a_file("a:{plain}s\n"), "a", "s"), 1);
	ck_assert_int_eq(try_login(a_file("a:{Plain}s\n"), "a", "s"), 1);
	ck_assert_int_eq(try_login(a_file("a:{crypt}" HELLO1 "\n"), "a",
	    HELLO), 1);
	ck_assert_int_eq(try_login(a_file("a:{plain}s\n"), "a", "S"), 0);
}

/* People and their programs type more than the account's name. */
static const struct {
	const char *accounts, *typed, *who;	/* who NULL: nobody */
} spellings[] = {
	{ "alice:{PLAIN}s\n", "Alice", "alice" },
	{ "alice:{PLAIN}s\n", "ALICE", "alice" },
	{ "alice:{PLAIN}s\n", "alice@example.org", "alice" },
	{ "alice:{PLAIN}s\n", "Alice@Example.ORG", "alice" },
	{ "alice:{PLAIN}s\n", "alice@", "alice" },
	{ "alice:{PLAIN}s\n", "alice@a@b", "alice" },
	/* the longer spelling comes first */
	{ "alice:{PLAIN}t\nalice@a:{PLAIN}s\n", "alice@a", "alice@a" },
	{ "alice:{PLAIN}t\nalice@a:{PLAIN}s\n", "ALICE@A", "alice@a" },
	{ "alice:{PLAIN}t\nAlice:{PLAIN}s\n", "Alice", "Alice" },
	/* and what is an account is that one alone */
	{ "alice:{PLAIN}s\nAlice:{PLAIN}t\n", "Alice", NULL },
	{ "alice:{PLAIN}s\nalice@a:{PLAIN}t\n", "alice@a", NULL },
	{ "Alice:{PLAIN}s\n", "alice", NULL },
	{ "alice:{PLAIN}s\n", "bob@alice", NULL },
	{ ":{PLAIN}s\n", "@", NULL }, { "\n:{PLAIN}s\n", "@a", NULL },
	{ "alice.lock:{PLAIN}s\n", "alice.lock@a", NULL },
	{ "alice:{PLAIN}s\n", "alice@[192.0.2.1]", NULL },
	{ "alice:{PLAIN}s\n", "alice @a", NULL },
	{ "\303\244:{PLAIN}s\n", "\303\204", NULL }
};

TEST_EACH(a_name_that_is_no_account_is_tried_in_other_spellings,
    COUNT(spellings))
{
	struct auth a = an_auth(a_file("%s", spellings[_i].accounts));
	const char *who = spellings[_i].who;

	ck_assert_int_eq(try_as(&a, AUTH_PASS, spellings[_i].typed, "s"),
	    who != NULL);
	ck_assert_str_eq(a.account.name, who == NULL ? "" : who);
	if (who == NULL)
		return;
	ck_assert_int_eq(try_as(&a, AUTH_PASS, spellings[_i].typed, "no"), 0);
	ck_assert_int_eq(sh->hashes, 1);
	expect_line(1, FAILED("%s", "wrong password"), who);
}

/* RFC 1939, section 7, has this very login. */
#define RFC_CHALLENGE	"<1896.697170952@dbc.mtview.ca.us>"
#define RFC_DIGEST	"c4c9334bac560ecc979e58001b3e22fb"

static const struct {
	const char *text, *challenge, *secret;
	char mechanism;
	int in;
} apop[] = {
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, RFC_DIGEST, AUTH_APOP, 1 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, "tanstaaf", AUTH_PASS, 1 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, "tanstaaf", AUTH_APOP, 0 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, RFC_DIGEST, AUTH_PASS, 0 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, RFC_DIGEST, AUTH_NEVER, 0 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, "tanstaaf", AUTH_NEVER, 0 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, RFC_DIGEST, 'x', 0 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, RFC_DIGEST, '\0', 0 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, "tanstaaf", '\0', 0 },
	{ "mrose:{PLAIN}tanstaaf\n", NULL, RFC_DIGEST, AUTH_APOP, 0 },
	{ "mrose:{PLAIN}tanstaaf\n", "<1@a>", RFC_DIGEST, AUTH_APOP, 0 },
	{ "mrose:{PLAIN}tanstaaF\n", RFC_CHALLENGE, RFC_DIGEST, AUTH_APOP, 0 },
	{ "mrose:tanstaaf\n", RFC_CHALLENGE, RFC_DIGEST, AUTH_APOP, 0 },
	{ "mrose:{CRYPT}tanstaaf\n", RFC_CHALLENGE, RFC_DIGEST, AUTH_APOP, 0 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, "", AUTH_APOP, 0 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE, RFC_DIGEST "0", AUTH_APOP,
	    0 },
	{ "mrose:{PLAIN}tanstaaf\n", RFC_CHALLENGE,
	    "c4c9334bac560ecc979e58001b3e22f", AUTH_APOP, 0 },
	{ "mrose:{PLAIN}\n", RFC_CHALLENGE, "aab7a5d9cd1e6c1b0a1a0a5a3b0d1e2f",
	    AUTH_APOP, 0 },
	{ "mrose:" HELLO1 "\n", RFC_CHALLENGE, HELLO, AUTH_APOP, 0 },
	{ "mrose:" HELLO1 "\n", RFC_CHALLENGE, HELLO, AUTH_NEVER, 0 }
};

TEST_EACH(apop_takes_the_digest_of_a_plain_secret_alone, COUNT(apop))
{
	struct auth a = an_auth(a_file("%s", apop[_i].text));

	a.challenge = apop[_i].challenge;
	ck_assert_int_eq(try_as(&a, apop[_i].mechanism, "mrose",
	    apop[_i].secret), apop[_i].in);
	ck_assert_int_eq(sh->nlines, apop[_i].in ? 0 : 1);
}

/* The record comes from a process that may be anybody's by now. */
TEST(strings_that_do_not_end_are_ended)
{
	struct auth a = an_auth(a_file("a:{PLAIN}s\n"));
	struct attempt t;

	memset(&t, 'A', sizeof(t));
	ck_assert_int_eq(auth_try(&a, &t), AUTH_NO);
	expect_line(1, FAILED("-", "no such account"));
	memset(&t, 'A', sizeof(t));
	t.mechanism = AUTH_PASS;
	ck_assert_int_eq(auth_try(&a, &t), AUTH_NO);
	memset(&t, 'A', sizeof(t));
	t.mechanism = AUTH_PASS;
	memcpy(t.user, "a", 2);
	ck_assert_int_eq(auth_try(&a, &t), AUTH_NO);
	expect_line(3, FAILED("a", "wrong password"));
	memset(&t, 0xff, sizeof(t));
	ck_assert_int_eq(auth_try(&a, &t), AUTH_NO);
	ck_assert_int_eq(sh->nlines, 4);
}

/* ---- The system's accounts ---- */

enum { TODAY = -7, PAST = -8, FUTURE = -9 };

static char w_x[] = "x", w_star[] = "*", w_none[] = "", w_home[] = "/home/a",
    w_hash[] = HELLO1, w_locked[] = "!" HELLO1, w_starred[] = "*" HELLO1,
    w_alice[] = "alice", w_plain[] = "{PLAIN}" HELLO, w_bad[] = "a/b",
    w_bang[] = "!", w_failed[] = "*0";

/* The days are relative to today where they are TODAY, PAST or FUTURE. */
static const struct {
	char *passwd, *shadow;		/* shadow NULL: no such entry */
	long lstchg, max, inact, expire;
	uid_t uid;
	gid_t gid;
	const char *why;		/* NULL: he is let in */
} states[] = {
	{ w_x, w_hash, PAST, 99999, -1, -1, USER, USER, NULL },
	{ w_x, w_hash, -1, -1, -1, -1, USER, USER, NULL },
	{ w_x, w_locked, PAST, 99999, -1, -1, USER, USER, "locked" },
	{ w_x, w_starred, PAST, 99999, -1, -1, USER, USER, "locked" },
	{ w_x, w_bang, PAST, 99999, -1, -1, USER, USER, "locked" },
	{ w_x, w_star, PAST, 99999, -1, -1, USER, USER, "locked" },
	{ w_x, w_failed, PAST, 99999, -1, -1, USER, USER, "locked" },
	{ w_x, w_none, PAST, 99999, -1, -1, USER, USER, "no hash for it" },
	{ w_x, w_x, PAST, 99999, -1, -1, USER, USER, "unknown scheme" },
	{ w_x, w_hash, 0, 99999, -1, -1, USER, USER,
	    "password must be changed" },
	{ w_x, w_hash, PAST, 99999, -1, PAST, USER, USER, "expired" },
	{ w_x, w_hash, PAST, 99999, -1, TODAY, USER, USER, "expired" },
	{ w_x, w_hash, PAST, 99999, -1, 0, USER, USER, "expired" },
	{ w_x, w_hash, PAST, 99999, -1, FUTURE, USER, USER, NULL },
	/* PAST is ten days ago */
	{ w_x, w_hash, PAST, 5, 4, -1, USER, USER, "expired" },
	{ w_x, w_hash, PAST, 5, 5, -1, USER, USER, NULL },
	{ w_x, w_hash, PAST, 10, 0, -1, USER, USER, NULL },
	{ w_x, w_hash, PAST, 9, 0, -1, USER, USER, "expired" },
	{ w_x, w_hash, PAST, 5, -1, -1, USER, USER, NULL },
	{ w_x, w_hash, PAST, -1, 4, -1, USER, USER, NULL },
	{ w_x, w_hash, -1, 5, 4, -1, USER, USER, NULL },
	{ w_x, NULL, 0, 0, 0, 0, USER, USER, "no hash for it" },
	{ w_hash, NULL, 0, 0, 0, 0, USER, USER, NULL },
	{ w_star, NULL, 0, 0, 0, 0, USER, USER, "no hash for it" },
	{ w_none, NULL, 0, 0, 0, 0, USER, USER, "no hash for it" },
	{ w_locked, NULL, 0, 0, 0, 0, USER, USER, "locked" },
	/* only as root do ids matter */
	{ w_x, w_hash, PAST, 99999, -1, -1, 0, USER, "root's" },
	{ w_x, w_hash, PAST, 99999, -1, -1, USER, 0, "root's" },
	{ w_x, w_hash, PAST, 99999, -1, -1, 0, 0, "root's" },
	{ w_x, w_hash, PAST, 99999, -1, -1, DIALOGUE, USER,
	    "uid is that of -u" }
};

#if HAS_SHADOW
static long
day(long n)
{
	long today = (long)(time(NULL) / 86400);

	return n == TODAY ? today : n == PAST ? today - 10 :
	    n == FUTURE ? today + 1 : n;
}
#endif

/* Make alice the only account there is. */
static void
make_system(char *hash, char *shadow, uid_t uid, gid_t gid)
{
	fake.pw[0] = (struct passwd){ .pw_name = w_alice, .pw_passwd = hash,
	    .pw_uid = uid, .pw_gid = gid, .pw_dir = w_home };
#if HAS_SHADOW
	fake.sp = (struct spwd){ .sp_namp = shadow == NULL ? NULL : w_alice,
	    .sp_pwdp = shadow, .sp_lstchg = -1, .sp_max = -1, .sp_inact = -1,
	    .sp_expire = -1 };
#else
	(void)shadow;
#endif
}

/* Whether this login gets through all processes; enter: to the mail. */
static int login_through(struct auth *a, const char *user, const char *secret,
    int enter);

/* Who was let in by that. */
static void
expect_account(const char *name, unsigned uid, unsigned gid, const char *home)
{
	const struct account *a = &sh->account;

	ck_assert_msg(strcmp(a->name, name) == 0 && a->uid == uid &&
	    a->gid == gid && strcmp(a->home, home) == 0,
	    "%s, %u, %u, %s; not: %s, %u, %u, %s", a->name, (unsigned)a->uid,
	    (unsigned)a->gid, a->home, name, uid, gid, home);
}

TEST_EACH(an_account_is_refused_unless_its_state_allows_it, COUNT(states))
{
#if HAS_SHADOW
	struct auth a = an_auth(NULL);
	const char *why = states[_i].why;
	int n = why != NULL;

	make_system(states[_i].passwd, states[_i].shadow, states[_i].uid,
	    states[_i].gid);
	fake.sp.sp_lstchg = day(states[_i].lstchg);
	fake.sp.sp_max = states[_i].max;
	fake.sp.sp_inact = states[_i].inact;
	fake.sp.sp_expire = day(states[_i].expire);
	ck_assert_int_eq(login_through(&a, "alice", HELLO, 0), why == NULL);
	ck_assert_int_eq(sh->hashes, 1);
	ck_assert_int_eq(sh->nlines, n);
	if (why == NULL)
		expect_account("alice", USER, USER, "/home/a");
	else
		expect_line(n, FAILED("alice", "%s"), why);
	ck_assert_int_eq(login_through(&a, "alice", "wrong", 0), 0);
	expect_line(n + 1, FAILED("alice", "%s"),
	    why == NULL ? "wrong password" : why);
	ck_assert_int_eq(login_through(&a, "bob", HELLO, 0), 0);
	expect_line(n + 2, FAILED("bob", "no such account"));
	/* whoever it is: one hash each */
	ck_assert_int_eq(sh->hashes, 3);
#else
	if (_i == 0)
		skip("an_account_is_refused_unless_its_state_allows_it",
		    "no shadow(5) here");
#endif
}

/* Of the host's own accounts the first that has one shows what a hash costs. */
TEST(an_unknown_name_costs_what_an_account_of_the_host_does)
{
	struct passwd *pw = fake.pw;
	struct auth a = an_auth(NULL);

	make_system(w_hash, NULL, USER, USER);
	pw[1] = pw[2] = pw[0];
	pw[0].pw_name = w_none;
	pw[0].pw_passwd = w_star;
	pw[1].pw_name = w_bad;
	pw[1].pw_passwd = w_locked;
	ck_assert_int_eq(try_as(&a, AUTH_PASS, "bob", HELLO), 0);
	ck_assert_str_eq(sh->hashed, HELLO1);
	pw[2].pw_passwd = w_star;
	ck_assert_int_eq(try_as(&a, AUTH_PASS, "bob", HELLO), 0);
	ck_assert_str_eq(sh->hashed, SOME_HASH);
	ck_assert_int_eq(sh->hashes, 2);
}

TEST(the_hosts_accounts_are_tried_in_other_spellings)
{
	struct auth a = an_auth(NULL);

	make_system(w_hash, NULL, USER, USER);
	ck_assert_int_eq(try_as(&a, AUTH_PASS, "Alice@example.org", HELLO), 1);
	ck_assert_str_eq(a.account.name, "alice");
	ck_assert_int_eq(try_as(&a, AUTH_PASS, "bob@alice", HELLO), 0);
}

/* Directory services may find ALICE for alice: the mailbox is still alice's. */
TEST(the_name_is_the_accounts_and_not_the_one_typed)
{
	struct auth a = an_auth(NULL);

	make_system(w_hash, NULL, USER, USER);
	ck_assert_int_eq(try_as(&a, AUTH_PASS, "ALICE", HELLO), 1);
	ck_assert_str_eq(a.account.name, "alice");
}

TEST(an_account_whose_own_name_is_hostile_is_refused)
{
	struct auth a = an_auth(NULL);

	make_system(w_hash, NULL, USER, USER);
	fake.pw[0].pw_name = w_bad;
	ck_assert_int_eq(try_as(&a, AUTH_PASS, "a/b", HELLO), 0);
}

TEST(apop_is_not_for_the_systems_accounts)
{
	struct auth a = an_auth(NULL);

	make_system(w_hash, NULL, USER, USER);
	a.challenge = RFC_CHALLENGE;
	ck_assert_int_eq(try_as(&a, AUTH_APOP, "alice", HELLO), 0);
	fake.pw[0].pw_passwd = w_plain;
	ck_assert_ptr_nonnull(auth_start(&a, 0));
}

/* ---- saslauthd ---- */

static void
on_signal(int sig)
{
	(void)sig;
	fake_alarm(1);
}

/* A socket at that path, for everybody; -1: there can be none. */
static int
bind_socket(int type, const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    chmod(path, 0777) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One for a, which answers all alike; NULL: never. It ends with the test. */
static void
start_saslauthd(struct auth *a, const char *answer, size_t len)
{
	struct pollfd asked = { .events = POLLIN };
	pid_t test = getpid();
	int fd, l;
	size_t done;
	ssize_t n;

	a->saslauthd = in_base("mux");
	unlink(a->saslauthd);
	asked.fd = l = bind_socket(SOCK_STREAM, a->saslauthd);
	ck_assert(l != -1 && listen(l, 8) == 0);
	fflush(stdout);
	if ((saslauthd = fork()) != 0) {
		ck_assert(saslauthd != -1);
		close(l);
		return;
	}
	signal(SIGPIPE, SIG_IGN);
	setpgid(0, 0);		/* not one that all_ended waits for */
	/* a test that fails does not end it */
	while (getppid() == test) {
		if (poll(&asked, 1, 100) != 1 ||
		    (fd = accept(l, NULL, NULL)) == -1)
			continue;
		n = read(fd, sh->asked, sizeof(sh->asked));
		sh->asked_len = (int)n;
		__sync_fetch_and_add(&sh->nasked, 1);
		while (answer == NULL && getppid() == test)
			sleep_ms(100);
		for (done = 0; done < len && n > 0; done += (size_t)n)
			n = write(fd, answer + done, len - done);
		close(fd);
	}
	_exit(0);
}

static const struct {
	const char *answer;
	int len, padded;	/* with x, to this many octets; 0: as it is */
	enum auth_result result;
} sasl[] = {
	{ "\0\2OK", 4, 0, AUTH_YES }, { "\0\2NO", 4, 0, AUTH_NO },
	{ "\0\7OK fine", 9, 0, AUTH_YES },
	{ "\0\12NO failure", 12, 0, AUTH_NO },
	{ "\0\2Ok", 4, 0, AUTH_NO }, { "\0\2ok", 4, 0, AUTH_NO },
	{ "\0\2KO", 4, 0, AUTH_NO }, { "\0\3 OK", 5, 0, AUTH_NO },
	{ "\0\1OK", 4, 0, AUTH_NO }, { "\0\0OK", 4, 0, AUTH_NO },
	{ "\0\0", 2, 0, AUTH_NO },
	/* what lies behind the string is none of it */
	{ "\0\2OKNO", 6, 0, AUTH_YES }, { "\0\2NOOK", 6, 0, AUTH_NO },
	/* not whole */
	{ "", 0, 0, AUTH_TROUBLE }, { "\0", 1, 0, AUTH_TROUBLE },
	{ "\0\2", 2, 0, AUTH_TROUBLE }, { "\0\2O", 3, 0, AUTH_TROUBLE },
	{ "\0\7OK", 4, 0, AUTH_TROUBLE }, { "\2\0OK", 4, 0, AUTH_TROUBLE },
	{ "OK", 2, 0, AUTH_TROUBLE }, { "OK\r\n", 4, 0, AUTH_TROUBLE },
	{ "HTTP/1.1 400 Bad Request\r\n", 26, 0, AUTH_TROUBLE },
	/* 64 KB */
	{ "\377\377OK", 4, 65537, AUTH_YES },
	{ "\377\377NO", 4, 65537, AUTH_NO },
	{ "\377\377OK", 4, 65536, AUTH_TROUBLE },
	{ "\0\2NO", 4, 100000, AUTH_NO }
};

TEST_EACH(ok_is_the_only_yes_of_saslauthds, COUNT(sasl))
{
	static char answer[100000];
	struct auth a = an_auth(a_file("a:*\n"));
	size_t len = (size_t)(sasl[_i].padded > 0 ? sasl[_i].padded :
	    sasl[_i].len);

	memset(answer, 'x', sizeof(answer));
	memcpy(answer, sasl[_i].answer, (size_t)sasl[_i].len);
	start_saslauthd(&a, answer, len);
	ck_assert_int_eq(try_as_is(&a, AUTH_PASS, "a", "s"), sasl[_i].result);
	ck_assert_int_eq(sh->nasked, 1);
	ck_assert_int_eq(sh->asked_len, 14);
	ck_assert_mem_eq(sh->asked, "\0\1a\0\1s\0\4pop3\0\0", 14);
	ck_assert_int_eq(sh->hashes, 0);
	ck_assert_int_eq(sh->sasl_wait[0], SASL_SECONDS);
	ck_assert_int_eq(sh->sasl_wait[1], SASL_SECONDS);
	ck_assert_int_eq(sh->nlines, sasl[_i].result != AUTH_YES);
	if (sasl[_i].result == AUTH_NO)
		expect_line(1, FAILED("a", "wrong password"));
	if (sasl[_i].result == AUTH_TROUBLE)
		expect_line(1, "-x %s: no whole answer*", a.saslauthd);
	ck_assert_str_eq(a.account.name, sasl[_i].result == AUTH_YES ? "a" :
	    "");
}

TEST(saslauthd_gets_names_and_secrets_as_they_are)
{
	static const char *const users[] = { "a", X128, "a@example.org" };
	struct auth a = an_auth(NULL);
	char secrets[3][FIELD_MAX + 1], want[600];
	int i, n;

	start_saslauthd(&a, "\0\2OK", 4);
	memset(secrets[0], ':', FIELD_MAX);
	secrets[0][FIELD_MAX] = '\0';
	snprintf(secrets[1], sizeof(secrets[1]), "%s", " a:b%s\303\244\n\t ");
	secrets[2][0] = '\0';
	for (i = 0; i < 3; i++) {
		a.file = a_file("%s\n", users[i]);
		ck_assert_int_eq(try_as_is(&a, AUTH_PASS, users[i],
		    secrets[i]), AUTH_YES);
		n = snprintf(want, sizeof(want), "%c%c%s%c%c%s%c%cpop3%c%c", 0,
		    (int)strlen(users[i]), users[i], 0,
		    (int)strlen(secrets[i]), secrets[i], 0, 4, 0, 0);
		ck_assert_int_eq(sh->asked_len, n);
		ck_assert_mem_eq(sh->asked, want, (size_t)n);
	}
}

/* The account's own name is what is asked for, and it must be an account. */
TEST(saslauthd_alone_lets_nobody_in)
{
	struct auth a = an_auth(a_file("alice\n"));

	start_saslauthd(&a, "\0\2OK", 4);
	ck_assert_int_eq(try_as_is(&a, AUTH_PASS, "Alice@a", "s"), AUTH_YES);
	ck_assert_mem_eq(sh->asked, "\0\5alice", 7);
	/* an unknown name is asked for, too: it takes as long */
	ck_assert_int_eq(try_as_is(&a, AUTH_PASS, "bob", "s"), AUTH_NO);
	ck_assert_mem_eq(sh->asked, "\0\3bob", 5);
	expect_line(1, FAILED("bob", "no such account"));
	ck_assert_int_eq(sh->nasked, 2);
	/* but nothing that is no name, and nothing but a password */
	ck_assert_int_eq(try_as_is(&a, AUTH_PASS, "b/b", "s"), AUTH_NO);
	ck_assert_int_eq(try_as_is(&a, AUTH_APOP, "alice", "s"), AUTH_NO);
	ck_assert_int_eq(try_as_is(&a, AUTH_NEVER, "alice", "s"), AUTH_NO);
	ck_assert_int_eq(sh->nasked, 2);
	ck_assert_int_eq(sh->hashes, 0);
}

/* Of the system's accounts ids and home count, and no hash and no dates. */
TEST(with_saslauthd_the_systems_hashes_are_not_looked_at)
{
	struct auth a = an_auth(NULL);

	start_saslauthd(&a, "\0\2OK", 4);
	make_system(w_x, w_locked, USER, USER);
#if HAS_SHADOW
	fake.sp.sp_expire = 1;
#endif
	ck_assert_int_eq(login_through(&a, "alice", "s", 0), 1);
	expect_account("alice", USER, USER, "/home/a");
	ck_assert_int_eq(sh->nlines, 0);
	make_system(w_x, w_hash, 0, USER);
	ck_assert_int_eq(login_through(&a, "alice", "s", 0), 0);
	expect_line(1, FAILED("alice", "root's"));
	make_system(w_x, w_hash, DIALOGUE, USER);
	ck_assert_int_eq(login_through(&a, "alice", "s", 0), 0);
	expect_line(2, FAILED("alice", "uid is that of -u"));
	ck_assert_int_eq(sh->hashes, 0);
}

/* Else fail2ban would shut everybody out. */
TEST_EACH(without_saslauthd_nobody_has_failed, 3)
{
	static const int why[] = { ENOENT, ECONNREFUSED, EAGAIN };
	struct auth a = an_auth(NULL);

	make_system(w_x, w_hash, USER, USER);
	fake.quick = 1;
	a.seconds = 600;
	start_saslauthd(&a, NULL, 0);
	if (_i == 0)	/* never there */
		a.saslauthd = in_base("no-mux");
	if (_i == 1)	/* gone: its socket is still there */
		end_saslauthd();
	ck_assert_int_eq(login_through(&a, "alice", HELLO, 0), 0);
	ck_assert_int_eq(sh->answer[0], AUTH_TROUBLE);
	expect_line(1, "-x %s: no whole answer: %s, user=alice, "
	    "ip=[192.0.2.7]", a.saslauthd, strerror(why[_i]));
	ck_assert_int_eq(sh->slept, 3000000000LL);
	/* without root, too */
	be_user(USER);
	a.file = a_file("a\n");
	a.root = 0;
	a.saslauthd = in_base("no-mux");
	ck_assert_int_eq(try_as_is(&a, AUTH_PASS, "a", "s"), AUTH_TROUBLE);
}

/* The time for a login is over while saslauthd looks: who began gets an answer. */
TEST(without_root_too_a_good_attempt_that_began_in_time_is_answered)
{
	const struct sigaction interrupts = { .sa_handler = on_signal };
	struct auth a = an_auth(a_file("a\n"));
	pid_t waker;

	a.root = 0;
	start_saslauthd(&a, "\0\2OK", 4);
	be_user(USER);
	sigaction(SIGALRM, &interrupts, NULL);
	ck_assert(kill(saslauthd, SIGSTOP) == 0);
	fflush(stdout);
	if ((waker = fork()) == 0) {
		sleep_ms(1500);
		_exit(kill(saslauthd, SIGCONT) == -1);
	}
	alarm(1);
	ck_assert_int_eq(try_as_is(&a, AUTH_PASS, "a", "s"), AUTH_YES);
	ck_assert(waitpid(waker, NULL, 0) == waker);
}

TEST(a_socket_that_has_no_place_is_seen_at_the_start)
{
	static const char *const wrong[] = { "/" L64 L64, "mux", "" };
	struct auth a = an_auth(a_file("a\n"));
	int i;

	a.saslauthd = "/run/saslauthd/mux";
	ck_assert_ptr_null(auth_start(&a, 0));
	a.challenge = RFC_CHALLENGE;
	ck_assert_ptr_nonnull(auth_start(&a, 0));
	a.challenge = NULL;
	for (i = 0; i < COUNT(wrong); i++) {
		a.saslauthd = wrong[i];
		ck_assert_msg(auth_start(&a, 0) != NULL, "%s", wrong[i]);
	}
}

/* ---- How long a refusal takes ---- */

static const struct {
	long long took, waits;	/* ns */
} holds[] = {
	{ 0, 3000000000 }, { 1, 2999999999 }, { 1000000, 2999000000 },
	{ 123456789, 2876543211 }, { 1500000000, 1500000000 },
	{ 2999999999, 1 }, { 3000000000, 3000000000 },
	{ 3000000001, 2999999999 }, { 5999000000, 1000000 },
	{ 7500000001, 1499999999 }, { 59000000000, 1000000000 }
};

TEST_EACH(a_refusal_comes_at_a_multiple_of_three_seconds, COUNT(holds))
{
	static const time_t starts[] = { 0, 1, 2, 1000000000 };
	static const long ns[] = { 0, 1, 500000000, 999999999 };
	struct auth a = an_auth(a_file("a:" HELLO1 "\n"));
	size_t i, j;

	for (i = 0; i < 4; i++)
		for (j = 0; j < 4; j++) {
			sh->clock.tv_sec = starts[i];
			sh->clock.tv_nsec = ns[j];
			sh->slept = 0;
			fake.crypt_ns = holds[_i].took;
			ck_assert_int_eq(try_as(&a, AUTH_PASS, "a", "no"), 0);
			/* to the nanosecond, or it tells what the hash took */
			ck_assert_int_eq(sh->slept, holds[_i].waits);
			ck_assert_int_eq((sh->clock.tv_sec - starts[i]) %
			    TRY_SECONDS, 0);
			ck_assert_int_eq(sh->clock.tv_nsec, ns[j]);
		}
}

TEST(a_refusal_is_not_hurried_by_signals)
{
	struct auth a = an_auth(a_file("a:{PLAIN}s\n"));

	sh->interrupts = 5;
	ck_assert_int_eq(try_as(&a, AUTH_PASS, "a", "no"), 0);
	ck_assert_int_eq(sh->naps, 6);
	ck_assert_msg(sh->slept >= 2999000000LL && sh->slept <= 3000000000LL,
	    "%lld", sh->slept);
}

TEST(a_good_login_does_not_wait)
{
	ck_assert_int_eq(try_login(a_file("a:{PLAIN}s\n"), "a", "s"), 1);
	ck_assert_int_eq(sh->naps, 0);
}

/* ---- Options ---- */

static const struct {
	const char *template, *file;	/* the file that must be opened */
	int ok;
} templates[] = {
	{ "%h/box", "home/box", 1 },
	{ "@/mail/%u", "mail/alice", 1 },
	{ "@/mail/%u.%u", "mail/alice.alice", 1 },
	{ "@/mail/100%%", "mail/100%", 1 },
	{ "@/mail/%%u", "mail/%u", 1 },
	{ "%h/%u/%u", "home/alice/alice", 1 },
	{ "@/mail/fixed", "mail/fixed", 1 },
	{ "@/mail/%", NULL, 0 }, { "@/mail/%x", NULL, 0 },
	{ "@/mail/%U", NULL, 0 }, { "@/mail/%s", NULL, 0 },
	{ "@/mail/%n%n", NULL, 0 }, { "@/mail/%u%", NULL, 0 },
	{ "@/mail/%1u", NULL, 0 }, { "%", NULL, 0 }, { "", NULL, 0 },
	/* from / on, or under the home */
	{ "mail/%u", NULL, 0 }, { "~/mbox", NULL, 0 }, { "./%u", NULL, 0 },
	{ "mbox:/mail/%u", NULL, 0 }, { "%u", NULL, 0 }, { "%%h/mbox", NULL, 0 },
	{ "/" L2048, NULL, 0 }
};

static void
make_dirs(void)
{
	mkdir(in_base("mail"), 0755);
	mkdir(in_base("home"), 0755);
	mkdir(in_base("home/alice"), 0755);
}

/* Whose mailboxes are ours to open, whoever runs the test. */
static uid_t
owner(void)
{
	return getuid() == 0 ? USER : getuid();
}

static void
put_mail(char *path)
{
	put_file(path, mail, strlen(mail), 0600);
	ck_assert(getuid() != 0 || chown(path, USER, USER) == 0);
}

/* One process, as an ordinary user has it, and alice's home. */
static struct auth
a_home(const char *home, const char *mailbox)
{
	struct auth a = an_auth(a_file("alice:{PLAIN}s:::x:%s:\n", home));

	be_user(owner());
	a.mailbox = mailbox;
	return a;
}

static void
start_and_log_in(struct auth *a)
{
	ck_assert_ptr_null(auth_start(a, 0));
	ck_assert_int_eq(try_as(a, AUTH_PASS, "alice", "s"), 1);
}

CASE("options", 30, begin_unit, end_unit);

TEST_EACH(the_mailbox_template_is_expanded, COUNT(templates))
{
	static struct mbox m;
	char template[4096], *path;
	struct stat st, of_path;
	struct auth a;

	make_dirs();
	snprintf(template, sizeof(template), "%s%s",
	    templates[_i].template[0] == '@' ? scratch : "",
	    templates[_i].template + (templates[_i].template[0] == '@'));
	a = a_home(in_base("home"), template);
	if (!templates[_i].ok) {
		ck_assert_ptr_nonnull(auth_start(&a, 0));
		return;
	}
	path = in_base("%s", templates[_i].file);
	put_mail(path);
	start_and_log_in(&a);
	ck_assert_int_eq(auth_enter(&a, &m), MBOX_OK);
	ck_assert(fstat(m.fd, &st) == 0 && stat(path, &of_path) == 0 &&
	    st.st_dev == of_path.st_dev && st.st_ino == of_path.st_ino);
	mbox_close(&m);
}

/* %u and %h are the account's; a wrong path is an error at the start. */
TEST(the_index_is_made_where_i_says_and_belongs_to_the_user)
{
	static const char *const wrong[] = { "%h/%x", "index", "./index",
	    "~/index", "%u/index", "" };
	static struct mbox m;
	struct auth a = a_home(in_base("home"), "%h/mbox");
	const char *why;
	int i;
	struct stat st;

	make_dirs();
	for (i = 0; i < COUNT(wrong); i++) {
		a.index = wrong[i];
		ck_assert_msg((why = auth_start(&a, 0)) != NULL &&
		    strstr(why, "-i ") != NULL && strstr(why, wrong[i]) !=
		    NULL, "%s", wrong[i]);
	}
	a.index = "%h/%u.index";
	put_mail(in_base("home/mbox"));
	put_file(in_base("home/alice.index"), "", 0, 0600);
	ck_assert(chown(in_base("home/alice.index"), owner(), (gid_t)-1) == 0);
	start_and_log_in(&a);
	ck_assert_int_eq(auth_enter(&a, &m), MBOX_OK);
	ck_assert_int_eq(fstat(m.index, &st), 0);
	ck_assert(st.st_uid == owner());
	mbox_close(&m);
}

/* An empty maildrop would make a client forget what it knows. */
TEST_EACH(a_path_that_cannot_be_built_is_no_empty_maildrop, 3)
{
	/* none, one that is too long, and one that makes the path so */
	static const char *const homes[] = { "", L256, L64 L64 L64 };
	static struct mbox m;
	struct auth a = a_home(homes[_i], "%h/" L256 L256 L256 L64 "/mbox");

	start_and_log_in(&a);
	ck_assert_int_eq(auth_enter(&a, &m), MBOX_PERM);
	ck_assert(strstr(m.why, "no home for -m") != NULL);
	mbox_close(&m);
}

static volatile sig_atomic_t rung;

static void
count_ring(int sig)
{
	(void)sig;
	rung++;
}

/* One that was set for the client's last line may run out at any moment. */
TEST(a_timer_of_the_login_does_not_end_the_opening)
{
	static struct mbox m;
	struct auth a = a_home("/nowhere", "%h/mbox");

	start_and_log_in(&a);
	ck_assert(signal(SIGALRM, count_ring) != SIG_ERR);
	fake.rings = 1;
	ck_assert_int_eq(auth_enter(&a, &m), MBOX_TEMP);
	ck_assert_int_ge((int)rung, 1);
	mbox_close(&m);
}

static char w_pop3d[] = "pop3d", w_root[] = "toor", w_wheel[] = "wheel";
static char w_numbers[] = "1:1";

static const struct {
	const char *user;
	unsigned uid, gid;	/* 0: refused */
} dialogues[] = {
	{ "54321:54322", 54321, 54322 }, { "1:1", 1, 1 },
	{ "999999999:1", 999999999, 1 },
	{ "1234567890:1234567891", 1234567890, 1234567891 },
	{ "4294967294:4294967293", 4294967294U, 4294967293U },
	{ "pop3d", 777, 778 },
	{ "toor", 0, 0 }, { "wheel", 0, 0 }, { "nobody-of-that-name", 0, 0 },
	{ "", 0, 0 }, { ":", 0, 0 }, { "0:0", 0, 0 }, { "0:1", 0, 0 },
	{ "1:0", 0, 0 }, { "00:1", 0, 0 }, { "1:", 0, 0 }, { ":1", 0, 0 },
	{ "1:1:1", 0, 0 }, { "1:1 ", 0, 0 }, { " 1:1", 0, 0 },
	{ "-1:1", 0, 0 }, { "+1:1", 0, 0 }, { "0x1:1", 0, 0 },
	{ "1:a", 0, 0 }, { "a:1", 0, 0 }, { "4294967295:1", 0, 0 },
	{ "4294967296:1", 0, 0 }, { "4294967297:1", 0, 0 },
	{ "1:4294967296", 0, 0 }, { "1:4294967295", 0, 0 },
	{ "18446744073709551617:1", 0, 0 },
	{ "99999999999999999999999999999999:1", 0, 0 },
	{ "000000000000000000000000000000000000000000000000:1", 0, 0 }
};

TEST_EACH(the_dialogues_account_is_a_name_or_numbers_and_not_roots,
    COUNT(dialogues))
{
	struct passwd *pw = fake.pw;
	struct auth a = an_auth(NULL);
	const char *why;

	pw[0] = (struct passwd){ .pw_name = w_pop3d, .pw_uid = 777,
	    .pw_gid = 778 };
	pw[1] = (struct passwd){ .pw_name = w_root, .pw_gid = 5 };
	pw[2] = (struct passwd){ .pw_name = w_wheel, .pw_uid = 5 };
	/* numbers are not looked up */
	pw[3] = (struct passwd){ .pw_name = w_numbers, .pw_uid = 5,
	    .pw_gid = 5 };
	a.user = dialogues[_i].user;
	why = auth_start(&a, 0);
	if (dialogues[_i].uid == 0) {
		ck_assert_ptr_nonnull(why);
		return;
	}
	ck_assert_ptr_null(why);
	ck_assert_int_eq(a.root, 1);
	ck_assert_uint_eq(a.uid, dialogues[_i].uid);
	ck_assert_uint_eq(a.gid, dialogues[_i].gid);
}

TEST(the_empty_directory_must_be_roots_alone)
{
	struct auth a = an_auth(NULL);
	char *dir = in_base("e"), *link = in_base("link");
	static const mode_t good[] = { 0755, 0711, 0555, 0700, 01755 };
	static const mode_t bad[] = { 0775, 0757, 0777, 01777, 0722 };
	const char *const others[] = { link, in_base("none"),
	    in_base("accounts"), "" };
	int i;

	mkdir(dir, 0755);
	ck_assert(symlink(dir, link) == 0 || errno == EEXIST);
	a_file("%s", "");
	a.empty = dir;
	for (i = 0; i < 5; i++) {
		ck_assert(chmod(dir, good[i]) == 0);
		ck_assert_ptr_null(auth_start(&a, 0));
		ck_assert(chmod(dir, bad[i]) == 0);
		ck_assert_ptr_nonnull(auth_start(&a, 0));
	}
	ck_assert(chmod(dir, 0755) == 0);
	for (i = 0; i < COUNT(others); i++) {
		a.empty = others[i];
		ck_assert_msg(auth_start(&a, 0) != NULL, "%s", others[i]);
	}
}

TEST(ids_that_differ_are_refused)
{
	struct auth a = an_auth(a_file("%s", ""));
	uid_t ids[4];
	int i, pipe;

	for (i = 0; i < 32; i++) {
		ids[0] = ids[1] = ids[2] = ids[3] = i & 1 ? USER : 0;
		pipe = i >> 1 & 1;
		ids[i >> 2 & 3] = DIALOGUE;
		fake.user = (struct ids){ ids[0], ids[1], 0 };
		fake.group = (struct ids){ ids[2], ids[3], 0 };
		ck_assert_ptr_nonnull(auth_start(&a, pipe));
	}
}

TEST(options_that_do_not_fit_are_refused)
{
	struct auth a = an_auth(NULL);

	ck_assert_ptr_null(auth_start(&a, 0));
	ck_assert_ptr_nonnull(auth_start(&a, 1));	/* -p as root */
	a.challenge = "<1@a>";
	ck_assert_ptr_nonnull(auth_start(&a, 0));	/* -a without -f */
	a.file = in_base("accounts");
	ck_assert_ptr_null(auth_start(&a, 0));
	a.challenge = NULL;
	be_user(USER);
	ck_assert_ptr_null(auth_start(&a, 0));
	ck_assert_int_eq(a.root, 0);
	a.file = NULL;
	ck_assert_ptr_nonnull(auth_start(&a, 0));	/* no -f, not root */
}

static struct auth
a_pipe_of_alice(void)
{
	make_system(w_x, NULL, USER, USER);
	be_user(USER);
	return an_auth(NULL);
}

TEST(a_pipe_needs_a_passwd_entry_only_if_the_path_does)
{
	struct auth a = a_pipe_of_alice();

	a.mailbox = "/var/mail/%u";
	ck_assert_ptr_null(auth_start(&a, 1));
	ck_assert_str_eq(a.account.name, "alice");
	ck_assert_str_eq(a.account.home, "/home/a");
	ck_assert_uint_eq(a.account.uid, USER);
	be_user(DIALOGUE);
	memset(&a.account, 0, sizeof(a.account));
	ck_assert_ptr_nonnull(auth_start(&a, 1));
	a.mailbox = "%h/mbox";
	ck_assert_ptr_nonnull(auth_start(&a, 1));
	a.mailbox = "/var/mail/box";
	ck_assert_ptr_null(auth_start(&a, 1));
}

/* The index is opened when the mailbox's directory has been entered. */
TEST(in_a_pipe_the_mailbox_may_be_relative_and_the_index_not)
{
	struct auth a = a_pipe_of_alice();

	a.mailbox = "mail/box";
	ck_assert_ptr_null(auth_start(&a, 1));
	a.index = "cache/box";
	ck_assert_ptr_nonnull(auth_start(&a, 1));
	ck_assert_ptr_nonnull(strstr(a.why, "-i cache/box"));
	a.index = "%h/cache/box";
	ck_assert_ptr_null(auth_start(&a, 1));
}

/* ---- All processes, with make-believe ids ---- */

/* What a dialogue gets. */
struct talk {
	struct auth *a;
	const char *user, *secret;
};

static void
talk(void *arg)
{
	struct talk *t = arg;

	sh->talked = 1;
	sh->answer[0] = (int)try_as_is(t->a, AUTH_PASS, t->user, t->secret);
}

/*
 * Try what a process that was taken over would try: a bit for everything that
 * succeeds.
 */
static int
probe(void)
{
	int got = 0;
	pid_t pid;

	got |= open("/", O_RDONLY) != -1 ? 1 : 0;
	got |= open("file", O_WRONLY | O_CREAT, 0600) != -1 ? 2 : 0;
	got |= socket(AF_INET, SOCK_STREAM, 0) != -1 ? 4 : 0;
	got |= socket(AF_UNIX, SOCK_DGRAM, 0) != -1 ? 8 : 0;
	if ((pid = fork()) == 0)
		_exit(0);
	got |= pid != -1 ? 16 : 0;
	got |= setuid(0) == 0 || seteuid(0) == 0 ? 32 : 0;
	got |= setgid(0) == 0 || setegid(0) == 0 ? 64 : 0;
	got |= kill(getppid(), 0) == 0 ? 128 : 0;
	got |= chroot(".") == 0 ? 256 : 0;
	got |= dup(0) != -1 ? 512 : 0;
	got |= access("..", W_OK) == 0 ? 1024 : 0;
	return got;
}

/* Neither a process nor alice's lock. */
static void
expect_nothing_left(void)
{
	int ended = all_ended(20000);
	int locked = access(in_base("spool/alice.lock"), F_OK) == 0;

	ck_assert_msg(ended && !locked, "left: %s%s; spoiled: call %d of "
	    "process %d, %s", ended ? "" : "a process ", locked ? "a lock" :
	    "", sh->spoil_index, sh->spoil_role, sh->spoiled_name);
}

/* What main() does, in a process of its own: its wait status. */
static int
serve(struct auth *a, void (*dialogue)(void *), void *arg, int enter)
{
	static struct mbox m;
	const struct sigaction interrupts = { .sa_handler = on_signal };
	const char *why;
	int status, alive[2];
	pid_t pid;

	ck_assert(pipe(alive) == 0);
	sh->ncalls = 0;
	sh->in = sh->entered = sh->loaded = -9;
	fflush(stdout);
	if ((pid = fork()) == 0) {
		close(alive[0]);
		sigaction(SIGALRM, &interrupts, NULL);
		signal(SIGPIPE, SIG_IGN);
		why = auth_start(a, 0);
		snprintf(sh->why, sizeof(sh->why), "%s", why ? why : "");
		if (why != NULL)
			_exit(3);
		sh->in = auth_login(a, dialogue, arg);
		sh->account = a->account;
		if (sh->in != 1)
			_exit(4);
		if (!enter)
			_exit(0);
		sh->entered = (int)auth_enter(a, &m);
		sh->error = errno;
		if (sh->entered == MBOX_OK)
			sh->loaded = (int)mbox_load(&m);
		snprintf(sh->why, sizeof(sh->why), "%s", m.why);
		if (sh->loaded == MBOX_OK && m.n != 2)
			sh->loaded = -8;
		if (!fake.on)
			sh->answer[3] = probe();
		mbox_close(&m);
		_exit(sh->loaded == MBOX_OK ? 0 : 5);
	}
	close(alive[1]);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	/* it ends with the last that has it, where orphans are not ours, too */
	wait_until(alive[0], POLLIN, 20000);
	close(alive[0]);
	expect_nothing_left();
	return status;
}

static int
login_through(struct auth *a, const char *user, const char *secret, int enter)
{
	struct talk t = { a, user, secret };

	serve(a, talk, &t, enter);
	return sh->in == 1 && (!enter || sh->loaded == MBOX_OK);
}

static const struct {
	const char *ids;
	unsigned uid, gid;	/* 0: refused */
} ids[] = {
	{ ":12001:12002", 12001, 12002 }, { ":12001:12002:", 12001, 12002 },
	{ ":12001:12002:::", 12001, 12002 },
	{ ":1:1:x:/home:/bin/sh", 1, 1 }, { ":000000007:8", 7, 8 },
	{ ":999999999:999999998", 999999999, 999999998 },
	{ ":1234567890:2234567890", 1234567890, 2234567890U },
	{ ":4294967294:1", 4294967294U, 1 },
	{ "", 0, 0 }, { ":", 0, 0 }, { "::", 0, 0 }, { ":1", 0, 0 },
	{ ":1:", 0, 0 }, { "::1", 0, 0 }, { ":0:0", 0, 0 }, { ":0:1", 0, 0 },
	{ ":1:0", 0, 0 }, { ":00000:1", 0, 0 }, { ":1:00", 0, 0 },
	{ ":-1:1", 0, 0 }, { ":1:-1", 0, 0 }, { ":+1:1", 0, 0 },
	{ ": 1:1", 0, 0 }, { ":1 :1", 0, 0 }, { ":x:y", 0, 0 },
	{ ":1x:1", 0, 0 }, { ":0x10:1", 0, 0 }, { ":1.5:1", 0, 0 },
	{ ":4294967295:1", 0, 0 }, { ":1:4294967295", 0, 0 },
	{ ":4294967296:1", 0, 0 }, { ":1:4294967296", 0, 0 },
	{ ":4294967297:1", 0, 0 }, { ":18446744073709551617:1", 0, 0 },
	{ ":99999999999999999999:1", 0, 0 },
	{ ":54321:1", 0, 0 }	/* the dialogue's: it could signal this one */
};

CASE("processes", 60, begin_unit, end_unit);

TEST_EACH(an_entry_needs_ids_that_are_not_roots, COUNT(ids))
{
	struct auth a = an_auth(a_file("a:{PLAIN}s%s\n", ids[_i].ids));

	ck_assert_int_eq(login_through(&a, "a", "s", 0), ids[_i].uid != 0);
	if (ids[_i].uid != 0) {
		expect_account("a", ids[_i].uid, ids[_i].gid,
		    strchr(ids[_i].ids, '/') != NULL ? "/home" : "");
		ck_assert_int_eq(sh->nlines, 0);
		ck_assert_int_eq(login_through(&a, "a", "t", 0), 0);
	} else
		expect_line(1, FAILED("a", "%s"),
		    strncmp(ids[_i].ids, ":54321", 6) == 0 ?
		    "uid is that of -u" : "root's, or no uid and gid");
}

/* An account whose mailbox is ours to open, whoever runs the test. */
static struct auth
a_mailbox(void)
{
	static char template[PATH_MAX], empty[PATH_MAX];
	struct auth a = an_auth(a_file("alice:{PLAIN}s:%u:%u\n",
	    (unsigned)owner(), (unsigned)USER));

	mkdir(in_base("empty"), 0755);
	mkdir(in_base("spool"), 0755);
	put_mail(in_base("spool/alice"));
	snprintf(template, sizeof(template), "%s", in_base("spool/%%u"));
	snprintf(empty, sizeof(empty), "%s", in_base("empty"));
	a.mailbox = template;
	a.empty = empty;
	return a;
}

/* What was asked of alarm, the last first. */
static void
expect_alarms(const unsigned *want, int n)
{
	int i;

	for (i = 0; i < n; i++)
		ck_assert_msg(sh->alarms[i] == want[i], "%d. from the end: "
		    "%u, not %u", i, sh->alarms[i], want[i]);
}

TEST(a_login_leads_through_all_processes)
{
	/* the time of verifier and opening was limited, root's no longer is */
	static const unsigned after_yes[] = { 0, OPEN_SECONDS, 0, 0,
	    OPEN_SECONDS, VERIFY_SECONDS };
	static const unsigned after_no[] = { 0, 0, VERIFY_SECONDS };
	struct auth a = a_mailbox();

	ck_assert_int_eq(login_through(&a, "alice", "s", 1), 1);
	ck_assert_int_eq(sh->nlines, 0);
	ck_assert_int_eq(sh->answer[0], AUTH_YES);
	ck_assert_int_eq(sh->naps, 0);
	expect_alarms(after_yes, COUNT(after_yes));
	ck_assert_int_eq(sh->patience, REFRESH_SECONDS * 1000000LL);
	ck_assert_int_eq(sh->session_patience, LOCK_SECONDS * 1000000LL);
	ck_assert_str_eq(sh->account.name, "alice");
	/* the mailbox is opened with the user's ids, the keeper begins as root */
	ck_assert_uint_eq(sh->opened_uid, sh->account.uid);
	ck_assert_uint_eq(sh->opened_gid, sh->account.gid);
	ck_assert_uint_eq(sh->opened_group, sh->account.gid);
	ck_assert_uint_eq(sh->keeper_uid, 0);
	ck_assert_uint_eq(sh->keeper_gid, 0);
#if defined(__linux__)
	/* the session, the dialogue and the verifier have seen secrets */
	ck_assert_int_eq(sh->hidden, 1 << 0 | 1 << 1 | 1 << 2);
#endif
	ck_assert_int_eq(login_through(&a, "alice", "t", 1), 0);
	ck_assert_int_eq(sh->in, 0);
	ck_assert_int_eq(sh->answer[0], AUTH_NO);
	ck_assert_int_eq(sh->slept, 3000000000LL);
	expect_alarms(after_no, COUNT(after_no));
	expect_line(1, FAILED("alice", "wrong password"));
}

static void
expect_not_opened(const char *path, enum mbox_result result, int error)
{
	char why[sizeof(sh->why)];

	snprintf(why, sizeof(why), "mailbox cannot be opened, %s", path);
	ck_assert_str_eq(sh->why, why);
	ck_assert_int_eq(sh->entered, result);
	ck_assert_int_eq(sh->error, error);
}

/* What giving up root leaves in errno is not the reason. */
TEST(the_reason_of_a_refusal_outlives_root)
{
	struct auth a = a_mailbox();

	a.mailbox = in_base("spool");
	ck_assert_int_eq(login_through(&a, "alice", "s", 1), 0);
	ck_assert_int_eq(sh->in, 1);
	expect_not_opened(a.mailbox, MBOX_PERM, EISDIR);
	/* nor is a directory that is not there an empty maildrop */
	a = a_mailbox();
	a.mailbox = in_base("spoil/%%u");
	ck_assert_int_eq(login_through(&a, "alice", "s", 1), 0);
	expect_not_opened(in_base("spoil/alice"), MBOX_TEMP, ENOENT);
}

/* Nobody is told that the password was wrong, nor is it counted so. */
TEST(a_verifier_that_is_killed_is_no_failed_login)
{
	struct auth a = an_auth(a_file("a:" HELLO1 ":12001:12001\n"));

	fake.endless = 1;
	ck_assert_int_eq(login_through(&a, "a", HELLO, 0), 0);
	ck_assert_int_eq(sh->in, 0);
	ck_assert_int_eq(sh->answer[0], AUTH_TROUBLE);
	expect_line(1, "a password was not checked: signal %d, user=-, "
	    "ip=[192.0.2.7]", SIGALRM);
}

/* The password was right: nobody may be told anything else. */
TEST(a_verifier_that_cannot_answer_is_trouble)
{
	struct auth a = a_mailbox();

	fake.mute = 1;
	ck_assert_int_eq(login_through(&a, "alice", "s", 1), 0);
	ck_assert_int_eq(sh->in, 0);
	ck_assert_int_eq(sh->answer[0], AUTH_TROUBLE);
	expect_line(1, "verifier: *");
}

/* Whether a call's failure leaves the process something to do. */
static int
is_given_up(const char *name)
{
	return strcmp(name, "fork") == 0 || strcmp(name, "pipe") == 0 ||
	    strcmp(name, "stat") == 0 || strcmp(name, "socketpair") == 0 ||
	    strcmp(name, "setsockopt") == 0;
}

/*
 * Calls that succeed are made to fail, those that must fail to succeed, and
 * the ids that are asked for come out wrong. Nobody may get at mail, and the
 * process in which it happened must do nothing more.
 */
TEST(no_privilege_call_may_come_out_wrong)
{
	struct auth fresh = a_mailbox(), a = fresh;
	static struct shared first;
	struct talk t = { &a, "alice", "s" };
	int i, n, status, role, lines, begun = 0;

	ck_assert_int_eq(login_through(&a, "alice", "s", 1), 1);
	first = *sh;
	n = first.ncalls;
	ck_assert_int_gt(n, 50);
	for (i = 0; i < n; i++) {
		/* at the start, and in the verifier, ids are only asked for */
		begun |= strcmp(first.call[i].name, "pipe") == 0;
		if (!begun || first.call[i].role == 2)
			continue;
		a = fresh;
		memset(sh, 0, sizeof(*sh));
		sh->clock.tv_sec = 1000;
		role = sh->spoil_role = first.call[i].role;
		sh->spoil_index = first.call[i].index;
		status = serve(&a, talk, &t, 1);
#define FINE(what) ck_assert_msg(what, "call %d of process %d, %s: in %d, " \
	"entered %d, loaded %d, after %d, lines %d, status %x: %s",	\
	sh->spoil_index, role, first.call[i].name, sh->in, sh->entered,	\
	sh->loaded, sh->after, lines, (unsigned)status, sh->line[0])
		lines = sh->nlines;
		FINE(sh->spoiled && strcmp(sh->spoiled_name,
		    first.call[i].name) == 0);
		FINE(sh->loaded != MBOX_OK);
		FINE(WIFEXITED(status) && WEXITSTATUS(status) != 0);
		FINE(is_given_up(first.call[i].name) || sh->after == 0);
		FINE(lines > 0 || sh->why[0] != '\0');
		FINE(!sh->strange);
		if (role == 1)
			FINE(!sh->talked && sh->in != 1);
		if (role == 0 && !is_given_up(first.call[i].name))
			FINE(WEXITSTATUS(status) == 1);
		if (role == 0 && is_given_up(first.call[i].name))
			FINE(strncmp(sh->line[0], "no verifier: ", 13) == 0 ||
			    strncmp(sh->line[0], "no dialogue: ", 13) == 0 ||
			    (sh->entered == MBOX_TEMP &&
			    strcmp(sh->why,
			    "mailbox has no lock keeper") == 0));
	}
}

/* The kernel is asked what has become of the privileges. */
TEST_EACH(a_privilege_that_was_not_given_up_ends_the_process, LIES - 1)
{
	struct auth a = a_mailbox();

	fake.lie = 1 + _i;
	ck_assert_int_eq(login_through(&a, "alice", "s", 1), 0);
	ck_assert_int_eq(sh->talked, 0);
	expect_line(1, "root or its groups were not given up: *");
}

/* ---- Dialogues that were taken over ---- */

static void
send_raw(struct auth *a, const void *p, size_t len)
{
	if (write(a->to, p, len) != (ssize_t)len)
		sh->answer[7]++;
}

static void
send_record(struct auth *a, const char *user, const char *secret)
{
	struct attempt t = an_attempt(AUTH_PASS, user, secret);

	send_raw(a, &t, sizeof(t));
}

/* Take all answers there are: how many, how many of them yes. */
static void
take_answers(struct auth *a)
{
	char c;

	while (read(a->from, &c, 1) == 1) {
		sh->answer[0]++;
		sh->answer[1] += c == 'y';
	}
}

/* What it does, step by step; at the end it ends as it should. */
enum step {
	END,
	RIGHT, WRONG,		/* alice's login, or a wrong secret for her */
	GARBAGE, TEXT,		/* as long as eight records: 0xff, or p */
	OCTET, PIECE,		/* of a record the first, or the first six */
	ANSWERS,		/* takes them, up to the last */
	SHUT, BLIND,		/* closes what it asks by, or is answered by */
	DEAF,			/* no signal ends it that can be ignored */
	STAY, CRASH		/* does not go, or not well */
};

static const enum step *plan;

static void
carry_out(void *arg)
{
	struct auth *a = arg;
	char junk[8 * sizeof(struct attempt)];
	const enum step *s;
	int i;

	for (s = plan; *s != END; s++) {
		if (*s == RIGHT || *s == WRONG)
			send_record(a, "alice", *s == RIGHT ? "s" : "wrong");
		memset(junk, *s == GARBAGE ? 0xff : 'p', sizeof(junk));
		if (*s == GARBAGE || *s == TEXT)
			send_raw(a, junk, sizeof(junk));
		if (*s == OCTET || *s == PIECE)
			send_raw(a, "palice", *s == OCTET ? 1 : 6);
		if (*s == ANSWERS)
			take_answers(a);
		if (*s == SHUT || *s == BLIND)
			close(*s == SHUT ? a->to : a->from);
		for (i = 1; *s == DEAF && i < 32; i++)
			signal(i, SIG_IGN);
		while (*s == STAY)
			pause();
		if (*s == CRASH)
			raise(SIGUSR1);
	}
}

/* What ends them; a slow machine must not take the one for the other. */
enum { BY_TIME = 20, BY_TRIES = 100 };

static const struct {
	unsigned seconds;
	int answers, yes, failed, in;	/* failed: lines in the log */
	enum step steps[10];
} hostile[] = {
	{ BY_TRIES, 3, 0, 3, 0, { GARBAGE, ANSWERS } },
	{ BY_TRIES, 3, 0, 3, 0, { TEXT, ANSWERS } },
	{ BY_TRIES, 3, 0, 3, 0, { WRONG, WRONG, WRONG, RIGHT, RIGHT, RIGHT,
	    RIGHT, RIGHT, ANSWERS } },
	{ BY_TIME, 1, 0, 1, 0, { WRONG, OCTET, ANSWERS, STAY } },
	{ BY_TRIES, 0, 0, 0, 0, { PIECE, SHUT, ANSWERS } },
	{ BY_TIME, 0, 0, 0, 0, { SHUT, BLIND, STAY } },
	{ BY_TIME, 0, 0, 0, 0, { STAY } },
	{ BY_TIME, 0, 0, 1, 0, { BLIND, WRONG, WRONG, STAY } },
	/* a real client's login is stolen, and the thief will not go */
	{ BY_TIME, 1, 1, 0, 1, { DEAF, RIGHT, ANSWERS, RIGHT, STAY } }
};

TEST_EACH(a_hostile_dialogue_gets_no_further_than_its_tries, COUNT(hostile))
{
	struct auth a = a_mailbox();
	long long start = now_ms();
	int i, failed = 0;

	a.seconds = hostile[_i].seconds;
	fake.quick = 1;
	plan = hostile[_i].steps;
	serve(&a, carry_out, &a, 1);
	ck_assert_int_lt(now_ms() - start, 30000);
	/* the first of all alarms is root's, whatever the dialogue does */
	for (i = ALARMS - 1; i > 0 && sh->alarms[i] == 0; i--)
		;
	ck_assert_uint_eq(sh->alarms[i], hostile[_i].seconds + TRY_SECONDS);
	ck_assert_int_eq(sh->in, hostile[_i].in);
	ck_assert_int_eq(sh->loaded, hostile[_i].in ? MBOX_OK : -9);
	ck_assert_int_eq(sh->answer[0], hostile[_i].answers);
	ck_assert_int_eq(sh->answer[1], hostile[_i].yes);
	for (i = 0; i < sh->nlines; i++)
		failed += strncmp(sh->line[i], "LOGIN FAILED, user=", 19) == 0;
	ck_assert_int_eq(failed, hostile[_i].failed);
	/* root's side keeps every no back, whatever was sent at once */
	ck_assert_int_eq(sh->slept, 3000000000LL * failed);
}

/* Root may see its end before the answer is sent or after: both are right. */
TEST(a_dialogue_that_dies_leaves_nothing)
{
	static const enum step gone[] = { RIGHT, END };
	struct auth a = a_mailbox();

	plan = gone;
	serve(&a, carry_out, &a, 1);
	ck_assert(sh->in == 0 || sh->in == 1);
	ck_assert_int_eq(sh->nlines, 0);
}

/* Somebody may have tried something, so an administrator must see it. */
TEST(a_dialogue_that_a_signal_ends_is_logged)
{
	static const enum step crashes[] = { CRASH, END };
	struct auth a = a_mailbox();

	plan = crashes;
	serve(&a, carry_out, &a, 1);
	ck_assert_int_eq(sh->in, 0);
	expect_line(1, "dialogue: signal %d, ip=[192.0.2.7]", SIGUSR1);
}

/* ---- The real program ---- */

static const char failed_line[] = "-ERR [AUTH] login failed";
static const char setup_line[] =
    "-ERR [SYS/PERM] the server is not set up";
static const char trouble_line[] =
    "-ERR [SYS/TEMP] no login is possible now, wait and try again";
static int janitor = -1;	/* a pipe to who cleans up in the end */
static int has_log;		/* /dev/log is ours, and lines come in */
static pid_t first;		/* the process that all tests are forked from */

enum { PAIR, TCP };

static void
start_over(struct peer *c, int how, void (*prepare)(void),
    const char *const argv[])
{
	int pair[2];

	if (how == PAIR) {
		start_with(c, prepare, argv);
		return;
	}
	ck_assert(connect_pair(pair, "127.0.0.1", NULL) == 0);
	start_on(c, pair, prepare, argv);
}

/* The login, behind the greeting. */
static void
type_login(struct peer *c, const char *user, const char *secret)
{
	say(c, "USER %s\r\nPASS %s\r\n", user, secret);
	expect(c, "+OK*");
	expect(c, "+OK*");
}

static void
log_in(struct peer *c, const char *user, const char *secret)
{
	expect(c, "+OK*");
	type_login(c, user, secret);
}

static void
leave(struct peer *c)
{
	quit(c);
	expect_nothing_left();
}

/* The client goes, and nothing that was started for it stays. */
static void
hang_up(struct peer *c)
{
	close(c->fd);
	expect_nothing_left();
}

/* The program has ended the connection. */
static void
expect_gone(struct peer *c)
{
	expect_end(c);
	hang_up(c);
}

/*
 * The usual options, without -f if file is NULL, and one more with its value,
 * or NULL.
 */
static const char *const *
options(const char *file, const char *mailbox, const char *option,
    const char *value)
{
	static const char *argv[12] = { program, "-u", DIALOGUE_IDS, "-e" };
	int n = 4;

	argv[n++] = in_base("empty");
	argv[n++] = "-m";
	argv[n++] = mailbox;
	if (file != NULL) {
		argv[n++] = "-f";
		argv[n++] = file;
	}
	argv[n++] = option;
	argv[n++] = value;
	argv[n] = NULL;
	return argv;
}

/* Those of a server of the spool, with the accounts of a_file. */
static const char *const *
with(const char *option, const char *value)
{
	return options(in_base("accounts"), in_base("spool/%%u"), option,
	    value);
}

static void
start(struct peer *c, void (*prepare)(void))
{
	start_with(c, prepare, with(NULL, NULL));
}

static void
start_session(struct peer *c)
{
	start(c, NULL);
	log_in(c, "alice", "tanstaaf");
}

/* A spool of its own, with alice's mailbox. */
static void
make_spool(mode_t mode, uid_t uid, gid_t gid)
{
	char *dir = in_base("spool");

	remove_tree(dir);
	ck_assert(mkdir(dir, 0755) == 0);
	put_mail(in_base("spool/alice"));
	ck_assert(chown(dir, uid, gid) == 0);
	ck_assert(chmod(dir, mode) == 0);
}

/* A third message for alice, without which her mailbox is as it was. */
static void
add_message(void)
{
	static const char more[] = "From a@b Mon Nov 23 10:00:02 2026\n\n";
	int fd = open(in_base("spool/alice"), O_WRONLY | O_APPEND);

	ck_assert(write(fd, more, strlen(more)) == (ssize_t)strlen(more));
	close(fd);
}

static int
is_untouched(void)
{
	return strcmp(read_text(in_base("spool/alice")), mail) == 0;
}

/* ---- The log ---- */

static pid_t collector;

static void
collect(int fd)
{
	struct timeval t = { 1, 0 };
	char line[512];
	ssize_t n;
	int i;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	/* should the tests be killed, nobody waits for lines */
	while (getppid() == first) {
		if ((n = recv(fd, line, sizeof(line) - 1, 0)) == -1)
			continue;
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\0'))
			n--;
		line[n] = '\0';
		i = sh->nlines;
		if (!sh->collect || i >= LINES)
			continue;
		memcpy(sh->line[i], line, (size_t)n + 1);
		__sync_fetch_and_add(&sh->nlines, 1);
	}
	_exit(1);
}

/* The socket is the system's: it is ours only if nobody else has one. */
static void
start_log(void)
{
	int fd = bind_socket(SOCK_DGRAM, "/dev/log");

	if (fd == -1) {
		skip("what the log says",
		    "there is a /dev/log already, or none can be made");
		return;
	}
	fflush(stdout);
	if ((collector = fork()) == 0) {
		signal(SIGTERM, SIG_DFL);
		collect(fd);
	}
	close(fd);
	/* a word to the janitor: it is ours to remove */
	has_log = write(janitor, "l", 1) == 1;
}

static void
stop_log(void)
{
	if (!has_log)
		return;
	kill(collector, SIGTERM);
	waitpid(collector, NULL, 0);
}

static int
count_logged(const char *what, const char *and)
{
	int i, n = 0;

	for (i = 0; i < sh->nlines && i < LINES; i++)
		n += strstr(sh->line[i], what) != NULL &&
		    strstr(sh->line[i], and) != NULL;
	return n;
}

/* Lines arrive a moment later. */
static void
expect_logged(const char *what, const char *and, int n)
{
	long long end = now_ms() + 20000;

	if (!has_log)
		return;
	while (count_logged(what, and) < n && now_ms() < end)
		sleep_ms(5);
	ck_assert_msg(count_logged(what, and) == n,
	    "%d lines with %s and %s, not %d", count_logged(what, and), what,
	    and, n);
}

/* Lines of the test before may be on their way still: they come before this. */
static void
forget_log(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX,
	    .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char mark[32];

	snprintf(mark, sizeof(mark), "test %ld", (long)getpid());
	if (has_log) {
		ck_assert(sendto(fd, mark, strlen(mark), 0,
		    (struct sockaddr *)&sun, sizeof(sun)) != -1);
		expect_logged(mark, "", 1);
	}
	close(fd);
	sh->nlines = 0;
}

static void
begin_real(void)
{
	begin_unit();
	fake.on = 0;
	sh->collect = 1;
	signal(SIGPIPE, SIG_IGN);
	setenv("ASAN_OPTIONS", "detect_leaks=0", 0);
	make_dirs();
	mkdir(in_base("empty"), 0755);
	forget_log();
}

/* With a spool like README's, alice's mailbox in it, and accounts for -f. */
static void
begin_as_root(void)
{
	begin_real();
	make_spool(02775, 0, SPOOL);
	a_file("# accounts\n"
	    "alice:{PLAIN}tanstaaf:%d:%d::%s:\nroot:{PLAIN}tanstaaf:0:0\n"
	    "dialogue:{PLAIN}tanstaaf:%d:%d\nlocked:!" HELLO1 ":%d:%d\n"
	    "empty::%d:%d\n", USER, USER, in_base("spool"), DIALOGUE, USER,
	    USER, USER, USER, USER);
}

/* What the log says of a client: no other run of these tests has the same. */
static const char *
set_address(int n)
{
	static char address[64], text[80];

	snprintf(address, sizeof(address), "2001:db8::%lx:%x",
	    (unsigned long)first % 60000 + 1, (unsigned)n + 1);
	setenv("TCPREMOTEIP", address, 1);
	snprintf(text, sizeof(text), "ip=[%s]", address);
	return text;
}

/* ---- /proc ---- */

/* The children, when there are that many. */
static void
wait_children(pid_t parent, pid_t *out, int want)
{
	long long end = now_ms() + 3000;
	int n;

	do {
		n = find_children(parent, out, 8);
		if (n == want)
			return;
		sleep_ms(10);
	} while (now_ms() < end);
	ck_abort_msg("%d children, not %d", n, want);
}

static void
expect_ids(pid_t pid, unsigned uid, unsigned gid)
{
	char want[64];

	snprintf(want, sizeof(want), "%u %u %u %u", uid, uid, uid, uid);
	ck_assert_str_eq(status_of(pid, "Uid"), want);
	snprintf(want, sizeof(want), "%u %u %u %u", gid, gid, gid, gid);
	ck_assert_str_eq(status_of(pid, "Gid"), want);
	if (uid == 0)
		return;
	snprintf(want, sizeof(want), "%u", gid);
	ck_assert_str_eq(status_of(pid, "Groups"), want);
	ck_assert_str_eq(status_of(pid, "CapEff"), "0000000000000000");
	ck_assert_str_eq(status_of(pid, "CapPrm"), "0000000000000000");
}

/* What a link of /proc leads to, or "". */
static const char *
link_of(pid_t pid, const char *dir, const char *name)
{
	static char target[PATH_MAX];
	char path[300];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%ld/%s%.20s", (long)pid, dir, name);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return target;
}

static void
expect_root(pid_t pid, const char *dir)
{
	ck_assert_str_eq(link_of(pid, "", "root"), dir);
	ck_assert_str_eq(link_of(pid, "", "cwd"), dir);
}

/* With one id, in the empty directory, with no more of what is limited. */
static void
expect_confined(pid_t pid, unsigned id, int may_write)
{
	static const char *const limits[] = { "Max open files",
	    "Max processes", "Max core file size", "Max file size" };
	char soft[32], hard[32];
	const char *p;
	int i, none;

	expect_ids(pid, id, id);
	expect_root(pid, in_base("empty"));
	for (i = 0; i < COUNT(limits); i++) {
		p = strstr(read_proc(pid, "limits"), limits[i]);
		ck_assert(p != NULL && sscanf(p + strlen(limits[i]),
		    "%31s%31s", soft, hard) == 2);
		none = i < 3 || !may_write;
		ck_assert_msg((strcmp(soft, "0") == 0) == none &&
		    (strcmp(hard, "0") == 0) == none, "%s: %s, %s", limits[i],
		    soft, hard);
	}
}

/* What the descriptors of a process are. */
struct fds {
	int sockets, pipes, null, mailbox, other, input;
	char text[1024];
};

static struct fds
fds_of(pid_t pid)
{
	char path[64];
	const char *target;
	struct fds f;
	DIR *d;
	struct dirent *e;
	size_t n;

	memset(&f, 0, sizeof(f));
	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
	ck_assert((d = opendir(path)) != NULL);
	while ((e = readdir(d)) != NULL) {
		target = link_of(pid, "fd/", e->d_name);
		if (*target == '\0')
			continue;
		n = strlen(f.text);
		snprintf(f.text + n, sizeof(f.text) - n, "%.20s=%.60s ",
		    e->d_name, target);
		if (strncmp(target, "socket:", 7) == 0) {
			f.sockets++;
			f.input += strcmp(e->d_name, "0") == 0 ||
			    strcmp(e->d_name, "1") == 0;
		} else if (strncmp(target, "pipe:", 5) == 0)
			f.pipes++;
		else if (strcmp(target, "/dev/null") == 0)
			f.null++;
		else if (strstr(target, "/spool/alice") != NULL)
			f.mailbox++;
		else
			f.other++;
	}
	closedir(d);
	return f;
}

/* What is closed after a fork may take a moment. */
static void
expect_fds(pid_t pid, int sockets, int pipes, int mailbox, int logs)
{
	int spare = logs && !has_log && access("/dev/log", F_OK) == 0;
	long long end = now_ms() + 1000;
	struct fds f;

	sockets += logs && has_log;
	do {
		f = fds_of(pid);
		if ((f.sockets == sockets || (spare && f.sockets == sockets +
		    1)) && f.pipes == pipes && f.mailbox == mailbox &&
		    f.null == 1 && f.other == 0)
			return;
		sleep_ms(10);
	} while (now_ms() < end);
	ck_abort_msg("%s", f.text);
}

/* Whether a process with these ids may send signals to another. */
static int
can_signal(uid_t uid, pid_t pid)
{
	pid_t child;
	int status;

	fflush(stdout);
	if ((child = fork()) == 0) {
		become(uid);
		_exit(kill(pid, 0) == 0 ? 1 : errno == EPERM ? 0 : 2);
	}
	status = wait_for(child, PATIENCE);
	ck_assert_int_lt(status, 2);
	return status;
}

/* ---- As root: who runs what ---- */

CASE("as root", 60, begin_as_root, NULL);

AS_ROOT_EACH(before_login_the_dialogue_alone_is_not_root_and_is_confined, 2)
{
	pid_t child[8], dialogue, verifier;
	struct peer c;

	start_over(&c, _i, NULL, with(NULL, NULL));
	expect(&c, "+OK*");
	wait_children(c.pid, child, 2);
	dialogue = child[strncmp(status_of(child[1], "Uid"), "0 ", 2) != 0];
	verifier = dialogue == child[0] ? child[1] : child[0];
	expect_confined(dialogue, DIALOGUE, 0);
	expect_ids(verifier, 0, 0);
	expect_ids(c.pid, 0, 0);
	expect_fds(dialogue, 2, 2, 0, 1);
	expect_fds(verifier, 2, 3, 0, 1);
	expect_fds(c.pid, 2, 1, 0, 1);
	ck_assert(!can_signal(DIALOGUE, c.pid));
	ck_assert(!can_signal(DIALOGUE, verifier));
	/* pipelined: what follows the login belongs to the session */
	say(&c, "CAPA\r\nUSER alice\r\nPASS tanstaaf\r\nSTAT\r\nNOOP\r\n");
	while (strcmp(next_line(&c, 5000), ".") != 0)
		;
	expect(&c, "+OK*");
	expect(&c, "+OK*");
	expect(&c, "+OK 2 *");
	expect(&c, "+OK*");
	ck_assert(kill(dialogue, 0) == -1 && errno == ESRCH);
	ck_assert(kill(verifier, 0) == -1 && errno == ESRCH);
	leave(&c);
}

/* A terminal, or -1: a bare folder of a system has none. */
static int
open_terminal(void)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);

	return fd == -1 || grantpt(fd) == -1 || unlockpt(fd) == -1 ? -1 :
	    open(ptsname(fd), O_RDWR | O_NOCTTY);
}

static void
show_terminal(void)
{
	if (dup2(open_terminal(), 2) == -1)
		_exit(9);
}

/* As where tcpserver or socat was started from root's shell. */
AS_ROOT(no_process_has_roots_terminal)
{
	pid_t child[8];
	struct peer c;

	if (open_terminal() == -1) {
		skip("root's terminal", "there are none here");
		return;
	}
	start(&c, show_terminal);
	expect(&c, "+OK*");
	wait_children(c.pid, child, 2);
	expect_fds(child[0], 2, strncmp(status_of(child[0], "Uid"), "0 ", 2) ==
	    0 ? 3 : 2, 0, 1);
	type_login(&c, "alice", "tanstaaf");
	wait_children(c.pid, child, 1);
	expect_fds(c.pid, 3, 0, 1, 1);
	expect_fds(child[0], 1, 0, 0, 0);
	leave(&c);
}

AS_ROOT(dialogue_and_verifier_end_when_root_is_killed)
{
	struct peer c;
	pid_t child[8];

	start(&c, NULL);
	expect(&c, "+OK*");
	wait_children(c.pid, child, 2);
	ck_assert(kill(c.pid, SIGKILL) == 0);
	expect_nothing_left();
	expect_end(&c);
	close(c.fd);
}

AS_ROOT_EACH(a_session_and_its_keeper_hold_what_they_need_and_no_more, 2)
{
	pid_t keeper[8], none[8];
	struct peer c;

	start_over(&c, _i, NULL, with(NULL, NULL));
	log_in(&c, "alice", "tanstaaf");
	wait_children(c.pid, keeper, 1);
	ck_assert_int_eq(find_children(keeper[0], none, 8), 0);
	expect_confined(c.pid, USER, 1);
	expect_fds(c.pid, 3, 0, 1, 1);
	expect_ids(keeper[0], USER, SPOOL);
	expect_root(keeper[0], in_base("spool"));
	expect_fds(keeper[0], 1, 0, 0, 0);
	ck_assert(!can_signal(DIALOGUE, c.pid));
	ck_assert(!can_signal(DIALOGUE, keeper[0]));
	/* nobody can have it let go of the lock */
	ck_assert(kill(keeper[0], SIGTERM) == 0);
	ck_assert(kill(keeper[0], SIGHUP) == 0);
	ck_assert(kill(keeper[0], SIGALRM) == 0);
	ask(&c, "DELE 1", "+OK*");
	leave(&c);
	ck_assert(!is_untouched());
}

/*
 * The directory for indexes: README's; one that root alone may write; and one
 * in which root has a file, or a link to one, of that name.
 */
static const struct {
	mode_t mode;
	int there, made;
} index_dirs[] = {
	{ 01733, 0, 1 }, { 0755, 0, 0 }, { 0755, 1, 0 }, { 0755, 2, 0 }
};

AS_ROOT_EACH(the_index_is_opened_with_the_users_ids, COUNT(index_dirs))
{
	char *dir = in_base("indexes"), *name = in_base("indexes/alice");
	char *secret = in_base("indexes/root's");
	struct peer c;
	struct stat st;
	int there;

	remove_tree(dir);
	ck_assert(mkdir(dir, 0755) == 0);
	put_file(secret, "", 0, 0600);
	if (index_dirs[_i].there == 1)
		put_file(name, "", 0, 0600);
	else if (index_dirs[_i].there == 2)
		ck_assert(symlink(secret, name) == 0);
	ck_assert(chmod(dir, index_dirs[_i].mode) == 0);
	sleep_ms(2100);		/* for an index the mailbox must be so old */
	start_with(&c, NULL, with("-i", in_base("indexes/%%u")));
	log_in(&c, "alice", "tanstaaf");
	ask(&c, "STAT", "+OK 2 *");
	leave(&c);
	there = lstat(name, &st) == 0;
	ck_assert_int_eq(there, index_dirs[_i].made || index_dirs[_i].there);
	if (index_dirs[_i].made)
		ck_assert(st.st_uid == USER && st.st_size > 0 &&
		    (st.st_mode & 0777) == 0600);
	else if (there)
		ck_assert(st.st_uid == 0);
	if (index_dirs[_i].there == 1)
		ck_assert(st.st_size == 0);
	ck_assert(stat(secret, &st) == 0 && st.st_size == 0);
	remove_tree(dir);
}

AS_ROOT(without_a_mailbox_there_is_no_keeper)
{
	pid_t child[8];
	struct peer c;

	ck_assert(unlink(in_base("spool/alice")) == 0);
	start_session(&c);
	ck_assert_int_eq(find_children(c.pid, child, 8), 0);
	expect_confined(c.pid, USER, 1);
	expect_fds(c.pid, 2, 0, 0, 1);
	leave(&c);
}

static void
probe_and_log_in(void *arg)
{
	sh->answer[2] = probe();
	send_record(arg, "alice", "tanstaaf");
	take_answers(arg);
}

AS_ROOT(dialogue_and_session_can_open_connect_and_fork_nothing)
{
	struct auth a = an_auth(in_base("accounts"));

	a.mailbox = in_base("spool/%%u");
	a.empty = in_base("empty");
	sh->answer[2] = sh->answer[3] = -1;
	serve(&a, probe_and_log_in, &a, 1);
	ck_assert_int_eq(sh->in, 1);
	ck_assert_int_eq(sh->loaded, MBOX_OK);
	ck_assert_int_eq(sh->answer[2], 0);
	ck_assert_int_eq(sh->answer[3], 0);
}

/* Whether a process has these octets anywhere in what it can write to. */
static int
has_in_memory(pid_t pid, const char *what)
{
	static char block[1 << 20];
	char path[64], *maps, *p;
	unsigned long from, to, at;
	int fd, found = 0;
	ssize_t n, i, len = (ssize_t)strlen(what);

	snprintf(path, sizeof(path), "/proc/%ld/mem", (long)pid);
	fd = open(path, O_RDONLY);
	ck_assert_msg(fd != -1, "%s: %s", path, strerror(errno));
	maps = read_proc(pid, "maps");
	ck_assert(*maps != '\0');
	for (p = maps; p != NULL && *p != '\0'; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (sscanf(p, "%lx-%lx rw", &from, &to) != 2 ||
		    strstr(p, " rw") == NULL || strstr(p, " rw") > p + 40)
			continue;
		for (at = from; at < to; at += (unsigned long)n - 512) {
			n = pread(fd, block, to - at < sizeof(block) ?
			    to - at : sizeof(block), (off_t)at);
			for (i = 0; i + len <= n; i++)
				found |= block[i] == *what && memcmp(block + i,
				    what, (size_t)len) == 0;
			if (n < (ssize_t)sizeof(block))
				break;
		}
	}
	close(fd);
	return found;
}

static void
become_user(void)
{
	become(USER);
}

/* Whoever serves alice now has no copy of what let her in. */
AS_ROOT_EACH(no_secret_outlives_the_login, 2)
{
	struct peer c;

	if (SANITIZED) {
		if (_i == 0)
			skip("no_secret_outlives_the_login",
			    "AddressSanitizer keeps copies of everything");
		return;
	}
	if (_i == 1)
		ck_assert(chown(in_base("accounts"), USER, USER) == 0);
	start(&c, _i == 1 ? become_user : NULL);
	expect(&c, "+OK*");
	/* nor of a line that holds too much, */
	say(&c, "PASS %0200d first-of-all %0100d", 0, 0);
	sleep_ms(100);
	say(&c, "\r\n");
	expect(&c, "-ERR *");
	/* nor of what would nearly have */
	say(&c, "USER alice\r\nPASS typing-error\r\n");
	expect(&c, "+OK*");
	expect(&c, "-ERR [AUTH]*");
	type_login(&c, "alice", "tanstaaf");
	ck_assert(has_in_memory(c.pid, "alice"));
	ck_assert_msg(!has_in_memory(c.pid, "tanstaaf"), "as user: %d", _i);
	ck_assert_msg(!has_in_memory(c.pid, "typing-error"), "as user: %d", _i);
	ck_assert_msg(!has_in_memory(c.pid, "first-of-all"), "as user: %d", _i);
	leave(&c);
}

/* ---- As root: locks ---- */

/*
 * Root that may not look everywhere: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
 * are gone, as by a unit of systemd. To a server of NFS it is nobody, too.
 */
static void
lose_sight(void)
{
#if defined(__linux__)
	if (prctl(PR_CAPBSET_DROP, 1UL, 0UL, 0UL, 0UL) == -1 ||
	    prctl(PR_CAPBSET_DROP, 2UL, 0UL, 0UL, 0UL) == -1)
		_exit(126);
#endif
}

static const struct {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int home;		/* -m %h/alice */
	gid_t keeper;		/* its group */
	int dotlock;		/* whether one is possible */
	void (*before)(void);	/* what the superserver did */
} spools[] = {
	{ 02775, 0, SPOOL, 0, SPOOL, 1, NULL },
	{ 0775, 0, SPOOL, 0, SPOOL, 1, NULL },
	{ 03775, 0, SPOOL, 0, SPOOL, 1, NULL },
	{ 01777, 0, 0, 0, USER, 1, NULL },
	{ 01777, 0, SPOOL, 0, USER, 1, NULL },
	{ 0755, 0, 0, 0, USER, 0, NULL },
	{ 0775, 0, 0, 0, USER, 0, NULL },
	{ 0700, USER, USER, 1, USER, 1, NULL },
	{ 0700, USER, USER, 1, USER, 1, lose_sight },
	{ 0775, USER, SPOOL, 1, USER, 1, NULL },
	{ 0775, USER, SPOOL, 0, USER, 1, NULL },
	{ 02775, 0, SPOOL, 1, USER, 0, NULL }
};

#if defined(__linux__)
/* Whether this process has both kernel locks; it must not run meanwhile. */
static int
has_locks(pid_t pid)
{
	int fd = open(in_base("spool/alice"), O_RDWR), locked;
	struct flock fl;

	memset(&fl, 0, sizeof(fl));
	fl.l_type = F_WRLCK;
	fl.l_whence = SEEK_SET;
	ck_assert(fcntl(fd, F_GETLK, &fl) == 0);
	locked = fl.l_type == F_WRLCK && fl.l_pid == pid &&
	    flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK;
	close(fd);
	return locked;
}

/*
 * Log in, and leave the session stopped where it holds its locks. However busy
 * the machine is, it does not get past that place: it is looked at before and
 * after each system call.
 */
static void
stop_when_locked(struct peer *c)
{
	int status, pass;

	expect(c, "+OK*");
	ck_assert(ptrace(PTRACE_SEIZE, c->pid, NULL,
	    (void *)(long)PTRACE_O_TRACESYSGOOD) == 0);
	ck_assert(ptrace(PTRACE_INTERRUPT, c->pid, NULL, NULL) == 0);
	say(c, "USER alice\r\nPASS tanstaaf\r\n");
	for (;;) {
		ck_assert(waitpid(c->pid, &status, 0) == c->pid);
		ck_assert_msg(WIFSTOPPED(status), "no lock is seen");
		if (has_locks(c->pid))
			break;
		/* its own signals are for it, not what tells of a call */
		pass = status >> 16 != 0 ? 0 : WSTOPSIG(status) & ~0x80;
		ck_assert(ptrace(PTRACE_SYSCALL, c->pid, NULL,
		    (void *)(long)(pass == SIGTRAP ? 0 : pass)) == 0);
	}
	ck_assert(kill(c->pid, SIGSTOP) == 0);
	ck_assert(ptrace(PTRACE_DETACH, c->pid, NULL, NULL) == 0);
	ck_assert(waitpid(c->pid, &status, WUNTRACED) == c->pid);
	ck_assert(WIFSTOPPED(status) && has_locks(c->pid));
}
#else
static void
stop_when_locked(struct peer *c)
{
	(void)c;
	ck_abort_msg("how to do this is known for Linux alone");
}
#endif

/* The lock says whose it is, in the words that other programs read. */
static void
expect_lock_of(const struct peer *c)
{
	const char *lock = in_base("spool/alice.lock");
	char want[400], host[256] = "";
	struct stat st;

	ck_assert_msg(lstat(lock, &st) == 0, "no dotlock");
	gethostname(host, sizeof(host) - 1);
	snprintf(want, sizeof(want), "%ld:%s", (long)c->pid, host);
	if (strlen(want) > 15)
		snprintf(want, sizeof(want), "%ld\n", (long)c->pid);
	ck_assert_str_eq(read_text(lock), want);
	ck_assert_uint_eq(st.st_uid, USER);
	ck_assert_uint_eq(st.st_mode & 07777, 0644);
	ck_assert_uint_eq(st.st_nlink, 1);
}

AS_ROOT_EACH(a_dotlock_is_made_where_one_is_possible, COUNT(spools))
{
	const char *ip = set_address(100);
	pid_t keeper[8];
	struct peer c;

	make_spool(spools[_i].mode, spools[_i].uid, spools[_i].gid);
	add_message();
	start_with(&c, spools[_i].before, options(in_base("accounts"),
	    spools[_i].home ? "%h/alice" : in_base("spool/%%u"), NULL, NULL));
	stop_when_locked(&c);
	wait_children(c.pid, keeper, 1);
	expect_ids(keeper[0], USER, spools[_i].keeper);
	if (spools[_i].dotlock)
		expect_lock_of(&c);
	else
		ck_assert(access(in_base("spool/alice.lock"), F_OK) == -1);
	ck_assert(kill(c.pid, SIGCONT) == 0);
	expect(&c, "+OK*");
	expect(&c, "+OK*");
	ck_assert(access(in_base("spool/alice.lock"), F_OK) == -1);
	ask(&c, "DELE 3", "+OK*");
	leave(&c);
	ck_assert(is_untouched());
	expect_logged("LOGOUT, user=alice", ip, 1);
	expect_logged("no dotlock", ip, !spools[_i].dotlock);
}

static const struct {
	const char *text;	/* %d: a dead pid, %l: ours, %h: this host */
	char kind;		/* a file, a link or a directory */
} foreign[] = {
	{ "%d:%h", 'f' }, { "%d\n", 'f' }, { "%d", 'f' },
	{ "%d:%h\n", 'f' },
	{ "%l:%h", 'f' }, { "%l\n", 'f' },
	{ "1:%h", 'f' }, { "0", 'f' }, { "0:%h", 'f' },
	{ "", 'f' }, { "another program's", 'f' },
	{ "%d:another.host", 'f' }, { "%d:%hx", 'f' },
	{ "-%d", 'f' }, { "99999999999999999999", 'f' },
	{ "%d:%h", 'l' }, { "", 'd' }
};

static void
make_foreign(char *path, int i, pid_t dead)
{
	char text[400] = "", host[256] = "";
	const char *p;
	size_t n = 0;

	gethostname(host, sizeof(host) - 1);
	for (p = foreign[i].text; *p != '\0'; p++) {
		n = strlen(text);
		if (*p != '%')
			snprintf(text + n, sizeof(text) - n, "%c", *p);
		else if (*++p == 'h')
			snprintf(text + n, sizeof(text) - n, "%s", host);
		else
			snprintf(text + n, sizeof(text) - n, "%ld",
			    (long)(*p == 'd' ? dead : getpid()));
	}
	if (foreign[i].kind == 'd') {
		ck_assert(mkdir(path, 0755) == 0);
		return;
	}
	if (foreign[i].kind == 'l') {
		ck_assert(symlink("elsewhere", path) == 0);
		path = in_base("spool/elsewhere");
	}
	put_file(path, text, strlen(text), 0644);
}

/*
 * All at once, each with an account and a mailbox of its own. Of those that are
 * older than these the tests of mailbox.c know, which can put its clock forward.
 */
AS_ROOT(a_foreign_lock_that_is_young_is_respected)
{
	enum { N = sizeof(foreign) / sizeof(foreign[0]) };
	static struct peer c[N];
	static char text[N * 64];
	struct pollfd p = { .events = POLLIN };
	const char *lock;
	struct stat st;
	pid_t dead;
	int i;

	if ((dead = fork()) == 0)
		_exit(0);
	waitpid(dead, NULL, 0);
	for (i = 0; i < N; i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "u%d:{PLAIN}s:%d:%d\n", i, USER, USER);
		put_mail(in_base("spool/u%d", i));
		make_foreign(in_base("spool/u%d.lock", i), i, dead);
	}
	a_file("%s", text);
	for (i = 0; i < N; i++) {
		start(&c[i], NULL);
		expect(&c[i], "+OK*");
		say(&c[i], "USER u%d\r\nPASS s\r\n", i);
		expect(&c[i], "+OK*");
	}
	sleep_ms(1000);
	for (i = 0; i < N; i++) {
		p.fd = c[i].fd;
		if (c[i].pos < c[i].len || poll(&p, 1, 0) == 1)
			ck_abort_msg("lock %d, %s: %s", i, foreign[i].text,
			    next_line(&c[i], 1000));
		lock = in_base("spool/u%d.lock", i);
		ck_assert_msg(lstat(lock, &st) == 0, "lock %d", i);
		ck_assert(foreign[i].kind == 'd' ? rmdir(lock) == 0 :
		    unlink(lock) == 0);
		expect(&c[i], "+OK*");
		ask(&c[i], "QUIT", "+OK*");
		expect_end(&c[i]);
		close(c[i].fd);
		ck_assert(access(lock, F_OK) == -1);
	}
	expect_nothing_left();
}

static const struct {
	int signal;		/* 0: the client goes */
	int locked;		/* while it holds the lock */
	int named;		/* after DELE 1 */
} deaths[] = {
	{ SIGKILL, 1, 0 }, { SIGTERM, 1, 0 }, { SIGHUP, 1, 0 }, { 0, 1, 0 },
	{ SIGKILL, 0, 1 }, { SIGTERM, 0, 1 }, { SIGHUP, 0, 1 },
	{ SIGINT, 0, 1 }, { SIGSEGV, 0, 1 }, { 0, 0, 1 }
};

AS_ROOT_EACH(however_a_session_ends_no_lock_and_no_process_is_left,
    COUNT(deaths))
{
	struct peer c;
	DIR *d;
	struct dirent *e;

	start(&c, NULL);
	if (deaths[_i].locked) {
		stop_when_locked(&c);
		expect_lock_of(&c);
	} else {
		log_in(&c, "alice", "tanstaaf");
		ask(&c, "DELE 1", "+OK*");
	}
	if (deaths[_i].signal == 0)
		close(c.fd);
	else
		ck_assert(kill(c.pid, deaths[_i].signal) == 0);
	kill(c.pid, SIGCONT);
	expect_nothing_left();
	/* neither the lock nor the unique file it is made of */
	ck_assert((d = opendir(in_base("spool"))) != NULL);
	while ((e = readdir(d)) != NULL)
		ck_assert_msg(strcmp(e->d_name, "alice") == 0 ||
		    strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") ==
		    0, "%s is left", e->d_name);
	closedir(d);
	if (deaths[_i].named)
		ck_assert(is_untouched());
}

/* What ended the session is said once: sums over the log are right then. */
AS_ROOT(a_client_that_does_not_wait_for_the_answer_to_quit_is_logged_once)
{
	const char *ip = set_address(102);
	struct peer c;

	start_session(&c);
	ck_assert(kill(c.pid, SIGSTOP) == 0);
	say(&c, "QUIT\r\n");
	close(c.fd);
	ck_assert(kill(c.pid, SIGCONT) == 0);
	expect_nothing_left();
	expect_logged("LOGOUT", ip, 1);
	expect_logged("DISCONNECTED", ip, 0);
}

/* Without its keeper a session has no lock, and without a lock no UPDATE. */
AS_ROOT(when_the_keeper_is_gone_quit_is_refused_and_nothing_is_lost)
{
	pid_t keeper[8];
	struct peer c;

	start_session(&c);
	wait_children(c.pid, keeper, 1);
	ask(&c, "DELE 1", "+OK*");
	ck_assert(kill(keeper[0], SIGKILL) == 0);
	wait_children(c.pid, keeper, 1);	/* a zombie: not reaped */
	say(&c, "RETR 2\r\nQUIT\r\n");
	expect(&c, "+OK*");
	while (strcmp(next_line(&c, 5000), ".") != 0)
		;
	expect(&c, "-ERR [SYS/TEMP]*");
	expect_gone(&c);
	ck_assert(is_untouched());
}

#if defined(__linux__)
/*
 * FUSE, with a server that never says a word. A second passes in 50 ms. The
 * client of several processes is told, and so is that of one and its scout. A
 * file system that stops answering behind that look just ends the process.
 */
AS_ROOT_EACH(a_file_system_that_does_not_answer_ends_the_opening, 3)
{
	struct auth a = an_auth(in_base("accounts"));
	struct talk t = { &a, "alice", "tanstaaf" };
	char *dir = in_base("silent%d", _i), *device = in_base("fuse%d", _i);
	char text[128];
	static struct mbox m;
	long long begun;
	int fd, status, pair[2];
	pid_t pid;

	ck_assert(mkdir(dir, 0755) == 0);
	fd = mknod(device, S_IFCHR | 0600, makedev(10, 229)) == -1 ? -1 :
	    open(device, O_RDWR);
	snprintf(text, sizeof(text), "fd=%d,rootmode=40000,user_id=0,"
	    "group_id=0,allow_other", fd);
	if (fd == -1 || mount("silent", dir, "fuse", 0, text) == -1) {
		skip("a_file_system_that_does_not_answer_ends_the_opening",
		    "no FUSE here, or it may not be mounted");
		return;
	}
	a.mailbox = in_base("silent%d/%%u", _i);
	a.empty = in_base("empty");
	snprintf(a.account.name, sizeof(a.account.name), "alice");
	fake.quick = 1;
	/* only what this test says: others may be logging to the same socket */
	sh->collect = sh->nlines = 0;
	begun = now_ms();
	if (_i == 0)
		serve(&a, talk, &t, 1);
	else if ((pid = fork()) == 0) {
		if (_i == 1)
			start_scout(&a);
		else if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 &&
		    write(pair[1], "", 1) == 1)
			a.to = pair[0];
		sh->entered = (int)auth_enter(&a, &m);
		sh->error = errno;
		snprintf(sh->why, sizeof(sh->why), "%s", m.why);
		_exit(0);
	} else
		ck_assert(waitpid(pid, &status, 0) == pid);
	umount2(dir, MNT_DETACH);
	close(fd);
	expect_nothing_left();
	ck_assert_int_ge(now_ms() - begun,
	    (_i == 1 ? LOOK_SECONDS : OPEN_SECONDS) * 50);
	if (_i == 1) {
		expect_not_opened(in_base("silent1/alice"), MBOX_TEMP,
		    ETIMEDOUT);
		return;
	}
	if (_i == 2) {
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
		return;
	}
	ck_assert_int_eq(sh->in, 0);
	ck_assert_int_eq(sh->answer[0], AUTH_TROUBLE);
	expect_line(1, "-m was not found in time: signal %d, user=alice, "
	    "ip=[192.0.2.7]", SIGALRM);
}
#endif

/* A link in the place of a mailbox, or two names: it is not served. */
AS_ROOT_EACH(what_is_not_the_users_own_file_is_not_served, 6)
{
	char *path = in_base("spool/alice"), *other = in_base("spool/other");
	const char *ip = set_address(101);
	char who[128];
	struct peer c;

	make_spool(01777, 0, 0);
	switch (_i) {
	case 0:
		ck_assert(rename(path, other) == 0);
		ck_assert(symlink("other", path) == 0);
		break;
	case 1:
		ck_assert(link(path, other) == 0);
		break;
	case 2:
		ck_assert(chown(path, DIALOGUE, USER) == 0);
		ck_assert(chmod(path, 0666) == 0);
		break;
	case 3:
		ck_assert(unlink(path) == 0 && mkfifo(path, 0666) == 0);
		ck_assert(chown(path, USER, USER) == 0);
		break;
	case 4:
		ck_assert(unlink(path) == 0 && mkdir(path, 0777) == 0);
		break;
	case 5:
		ck_assert(chown(path, 0, 0) == 0);
		break;
	}
	start(&c, NULL);
	expect(&c, "+OK*");
	say(&c, "USER alice\r\nPASS tanstaaf\r\nSTAT\r\nQUIT\r\n");
	expect(&c, "+OK*");
	expect(&c, "-ERR [SYS/PERM]*");
	expect(&c, "-ERR [SYS/PERM]*");
	expect(&c, "+OK*");
	expect_gone(&c);
	snprintf(who, sizeof(who), "user=alice, %s", ip);
	expect_logged("mailbox", who, 1);
	expect_logged("LOGIN FAILED", ip, 0);
	/* and not for a reason that came later */
	expect_logged("Operation not permitted", ip, 0);
}

/* ---- As root: failed logins ---- */

static void
put_base64(char *out, const char *in, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned long bits;
	size_t i, j;

	for (i = 0; i < len; i += 3) {
		bits = 0;
		for (j = i; j < i + 3; j++)
			bits = bits << 8 | (j < len ? (unsigned char)in[j] : 0);
		for (j = 0; j < 4; j++)
			*out++ = i + j > len ? '=' :
			    digits[bits >> (18 - 6 * j) & 63];
	}
	*out = '\0';
}

struct wrong {
	const char *user, *secret, *logged;
};

/* AUTH PLAIN takes what no USER would: spaces, line ends, any octet. */
static void
send_plain(struct peer *c, const struct wrong *w)
{
	char text[600], line[900];
	int n;

	n = snprintf(text, sizeof(text), "%c%s%c%s", 0, w->user, 0,
	    w->secret);
	put_base64(line, text, (size_t)n);
	ask(c, "AUTH PLAIN", "+ *");
	say(c, "%s\r\n", line);
}

/*
 * All at once, from the one on that is named: each one's time between question
 * and answer, if it is less.
 */
static void
fail_all(const struct wrong *w, int n, const char *const *argv, int from,
    long long *least)
{
	static struct peer c[32];
	struct pollfd p[32];
	long long begun[32], took;
	char *line;
	int i, left;

	for (i = 0; i < n; i++) {
		set_address(i);
		start_with(&c[i], NULL, argv);
		expect(&c[i], "+OK*");
		p[i].fd = c[i].fd;
		p[i].events = POLLIN;
	}
	for (left = n; left > 0; left--) {
		i = (from + left) % n;
		begun[i] = now_ms();
		send_plain(&c[i], &w[i]);
	}
	for (left = n; left > 0; left--) {
		ck_assert(poll(p, (nfds_t)n, -1) > 0);
		for (i = 0; i < n && (p[i].fd == -1 || p[i].revents == 0); i++)
			;
		took = now_ms() - begun[i];
		least[i] = took < least[i] ? took : least[i];
		line = next_line(&c[i], 1000);
		ck_assert_ptr_nonnull(line);
		ck_assert_msg(strcmp(line, failed_line) == 0, "%s: %s",
		    w[i].user, line);
		close(c[i].fd);
		c[i].fd = p[i].fd = -1;
	}
	for (i = 0; i < n; i++)
		wait_for(c[i].pid, PATIENCE);
}

/* Milliseconds that are allowed, more of them where others want the processors. */
static long long
allow_ms(long long ms)
{
	double load = 0;

	return getloadavg(&load, 1) == 1 && load > 1 ?
	    (long long)((double)ms * (1 + load)) : ms;
}

/*
 * The same for all but the log. On a busy machine those are late that come last:
 * each comes first in its turn, and its shortest time counts.
 */
static void
expect_same_failures(const struct wrong *w, int n, const char *const *argv)
{
	long long took[32], least = 0, most = 1000000;
	char want[400];
	const char *ip;
	int i, tries;

	for (i = 0; i < n; i++)
		took[i] = 1000000;
	for (tries = 0; tries < 6 && most - least >= allow_ms(50); tries++) {
		sh->nlines = 0;
		fail_all(w, n, argv, tries * n / 6, took);
		least = most = took[0];
		for (i = 1; i < n; i++) {
			least = took[i] < least ? took[i] : least;
			most = took[i] > most ? took[i] : most;
		}
		ck_assert_msg(least >= 2999, "after %lld ms", least);
	}
	ck_assert_msg(most - least < allow_ms(50), "from %lld to %lld ms", least, most);
	for (i = 0; i < n; i++) {
		ip = set_address(i);
		snprintf(want, sizeof(want), ": LOGIN FAILED, user=%s, %s",
		    w[i].logged, ip);
		expect_logged(want, ip, 1);
		expect_logged("LOGIN FAILED", ip, 1);
	}
	expect_logged("9.9.9.9", "", 0);
}

/* The system's accounts, made and removed again. */
static const struct {
	const char *kind, *hash, *expires, *changed;	/* NULL: now */
	const char *secret;
} made[] = {
	{ "good", HELLO6, "", NULL, "wrong" },
	{ "lock", "!" HELLO6, "", NULL, HELLO },
	{ "over", HELLO6, "2001-01-01", NULL, HELLO },
	{ "must", HELLO6, "", "0", HELLO },
	{ "none", "", "", NULL, "x" },
	{ "late", HELLO6, "", "2001-01-01", HELLO }
};

static void
account_name(char name[32], const char *kind)
{
	snprintf(name, 32, "p3%s%ld", kind, (long)(first % 100000));
}

/* Others may hold the account files for a moment. */
static int
run_patiently(const char *const argv[])
{
	int i, r = -1;

	for (i = 0; i < 10 && (r = run(argv)) != 0 && r != 127; i++)
		sleep_ms(200);
	return r;
}

static void
remove_accounts(void)
{
	char name[32];
	const char *const argv[] = { "userdel", name, NULL };
	int i;

	for (i = 0; geteuid() == 0 && i < COUNT(made); i++) {
		account_name(name, made[i].kind);
		if (getpwnam(name) != NULL)
			run_patiently(argv);
	}
}

static int
make_account(int i)
{
	char name[32];
	const char *const add[] = { "useradd", "-M", "-N", "-e",
	    made[i].expires, "-s", "/usr/sbin/nologin", "-p", made[i].hash,
	    name, NULL };
	const char *const age[] = { "chage", "-d", made[i].changed, "-M", "10",
	    "-I", "5", name, NULL };

	account_name(name, made[i].kind);
	return run_patiently(add) == 0 && (made[i].changed == NULL ||
	    run_patiently(age) == 0);
}

static void
fail_in_system(void)
{
	const char *const *argv = options(NULL, in_base("spool/%%u"), NULL,
	    NULL);
	char user[COUNT(made)][32], *path;
	struct wrong w[COUNT(made) + 2] = { { "root", HELLO, "root" },
	    { "daemon", HELLO, "daemon" } };
	const struct passwd *pw;
	struct peer c;
	int i;

	for (i = 0; i < COUNT(made); i++) {
		if (!make_account(i)) {
			skip("the system's accounts", "no useradd(8) and "
			    "chage(1), or they do not work here");
			return;
		}
		account_name(user[i], made[i].kind);
		w[2 + i] = (struct wrong){ user[i], made[i].secret, user[i] };
	}
	expect_same_failures(w, COUNT(w), argv);
	/* the shell is not looked at, and the name is a part of the path */
	ck_assert((pw = getpwnam(user[0])) != NULL);
	path = put_file(in_base("spool/%s", user[0]), mail, strlen(mail),
	    0600);
	ck_assert(chown(path, pw->pw_uid, pw->pw_gid) == 0);
	start_with(&c, NULL, argv);
	log_in(&c, user[0], HELLO);
	expect_ids(c.pid, pw->pw_uid, pw->pw_gid);
	ask(&c, "STAT", "+OK 2 *");
	quit(&c);
}

/* The digest that the greeting asks for. */
static void
take_digest(struct peer *c, char hex[33])
{
	ck_assert_int_eq(apop_digest(take_line(c), "tanstaaf", hex), 0);
}

AS_ROOT(apop_works_with_separate_processes)
{
	struct peer c;
	char hex[33];

	start_with(&c, NULL, with("-a", NULL));
	take_digest(&c, hex);
	say(&c, "APOP alice %s\r\n", hex);
	expect(&c, "+OK*");
	expect_ids(c.pid, USER, USER);
	leave(&c);
}

/* Whichever process says it, it has the number of the session's lines. */
AS_ROOT(all_lines_of_a_connection_have_one_number)
{
	struct peer c;
	char me[64];

	start_with(&c, NULL, with("-t", "60"));
	expect(&c, "+OK*");
	say(&c, "USER alice\r\nPASS wrong\r\n");
	expect(&c, "+OK*");
	expect(&c, failed_line);
	hang_up(&c);
	snprintf(me, sizeof(me), " pop3d[%ld]: ", (long)c.pid);
	expect_logged("-t is below", me, 1);
	expect_logged("LOGIN FAILED, user=alice", me, 1);
	expect_logged("DISCONNECTED", me, 1);
}

AS_ROOT(every_failed_login_looks_the_same_to_the_client)
{
	static const struct wrong w[] = {
		{ "alice", "wrong", "alice" },
		{ "alice", "tanstaaf ", "alice" },
		{ "unknown", "tanstaaf", "unknown" },
		{ "root", "tanstaaf", "root" },
		{ "dialogue", "tanstaaf", "dialogue" },
		{ "locked", HELLO, "locked" }, { "empty", "x", "empty" },
		{ "ALICE", "wrong", "alice" },
		{ "../x", "tanstaaf", "-" }, { "a/b", "tanstaaf", "-" },
		{ "x, ip=[9.9.9.9]", "x", "-" },
		{ "x\nLOGIN FAILED, user=y, ip=[9.9.9.9]", "x", "-" },
		{ "\303\244", "x", "-" }, { "a\r\n", "x", "-" },
		{ X128, "x", X128 }, { X128 "x", "x", "-" },
		{ X128 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 X8 "xxxxxxx",
		    "x", "-" },
		{ "%s%n%u", "x", "-" }, { "alice.lock", "x", "-" }
	};
	struct peer three;
	char hex[33];
	int i;

	/* a good digest after three bad ones comes too late, in 9 seconds */
	start_with(&three, NULL, with("-a", NULL));
	take_digest(&three, hex);
	/* one digit less each time: the same again would not count */
	for (i = 0; i < 3; i++)
		say(&three, "APOP alice %.*s\r\n", 31 - i, hex);
	say(&three, "APOP alice %s\r\n", hex);
	expect_same_failures(w, COUNT(w), with(NULL, NULL));
	fail_in_system();
	for (i = 0; i < 3; i++)
		expect(&three, failed_line);
	expect_gone(&three);
}

/* ---- The start ---- */

static void
be_half_root(void)
{
	if (setreuid(USER, (uid_t)-1) == -1)
		_exit(126);
}

static void
be_half_group(void)
{
	if (setregid(USER, (gid_t)-1) == -1)
		_exit(126);
}

static const struct {
	const char *option, *value;	/* @: in the scratch directory */
	void (*prepare)(void);
	const char *why;		/* a word of the log line */
} setups[] = {
	{ "-p", NULL, NULL, "-p" }, { "-a", NULL, NULL, "-a" },
	{ "-m", "@/mail/%x", NULL, "-m" }, { "-m", "", NULL, "-m" },
	{ "-u", "no-such-account", NULL, "-u" }, { "-u", "root", NULL, "-u" },
	{ "-u", "0:0", NULL, "-u" }, { "-u", "1:0", NULL, "-u" },
	{ "-e", "@/none", NULL, "-e" }, { "-e", "@/file", NULL, "-e" },
	{ "-e", "@/alien", NULL, "-e" }, { "-e", "@/open", NULL, "-e" },
	{ "-e", "@/link", NULL, "-e" },
	{ "-t", "60", be_half_root, "set-id" },
	{ "-t", "60", be_half_group, "set-id" },
	{ "-t", "60", become_user, "-f" },
	{ "-f", "@/none", NULL, "/none: " }, { "-f", "@/file", NULL, "/file: " },
	{ "-f", "@/empty", NULL, "/empty: " }
};

AS_ROOT_EACH(a_wrong_setup_is_one_line_for_the_client_and_one_for_the_log,
    COUNT(setups))
{
	const char *v = setups[_i].value;
	char me[32];
	struct peer c;

	put_file(in_base("file"), "", 0, 0644);
	mkdir(in_base("alien"), 0755);
	mkdir(in_base("open"), 0755);
	ck_assert(chown(in_base("alien"), USER, USER) == 0);
	ck_assert(chmod(in_base("open"), 0777) == 0);
	unlink(in_base("link"));
	ck_assert(symlink("empty", in_base("link")) == 0);
	if (v != NULL && *v == '@')
		v = in_base("%s", v + 2);
	start_with(&c, setups[_i].prepare, options(NULL, in_base("spool/%%u"),
	    setups[_i].option, v));
	expect(&c, setup_line);
	ck_assert_int_eq(see_end(&c), 1);
	expect_nothing_left();
	snprintf(me, sizeof(me), "pop3d[%ld]: ", (long)c.pid);
	expect_logged(setups[_i].why, me, 1);
}

static int errors[2];		/* a pipe for descriptor 2 */

static void
leak_directories(void)
{
	sigset_t all;
	int fd = open("/", O_RDONLY), i;

	for (i = 3; i < 21; i++)
		if (i != fd)
			dup2(fd, i);
	dup2(fd, 255);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGALRM, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	alarm(1);
	umask(0);
}

AS_ROOT(what_the_superserver_leaves_behind_is_put_in_order)
{
	unsigned long long set;
	pid_t keeper[8];
	struct peer c;

	start(&c, leak_directories);
	sleep_ms(1100);		/* an alarm that was not ours */
	log_in(&c, "alice", "tanstaaf");
	wait_children(c.pid, keeper, 1);
	expect_fds(c.pid, 3, 0, 1, 1);
	expect_fds(keeper[0], 1, 0, 0, 0);
	ck_assert_str_eq(status_of(c.pid, "SigBlk"), "0000000000000000");
	set = strtoull(status_of(c.pid, "SigIgn"), NULL, 16);
	ck_assert(set & 1ULL << (SIGPIPE - 1));
	ck_assert(set & 1ULL << (SIGXFSZ - 1));
	ck_assert(!(set & (1ULL << (SIGCHLD - 1) | 1ULL << (SIGTERM - 1) |
	    1ULL << (SIGALRM - 1))));
	ck_assert_str_eq(status_of(c.pid, "Umask"), "0077");
	leave(&c);
}

static void
close_some(void)
{
	int i;

	for (i = 0; i < 3; i++)
		if (sh->answer[0] & 1 << i)
			close(i);
}

/* Whatever is missing, no mailbox and no lock takes the place of 0 to 2. */
AS_ROOT_EACH(closed_descriptors_are_filled, 8)
{
	/* neither 0 nor 1 is missing, or only 0 */
	int answers = (_i & 3) == 0 ? 5 : (_i & 3) == 1;
	struct peer c;

	sh->answer[0] = _i;
	start(&c, close_some);
	if ((_i & 1) == 0)
		say(&c, "USER alice\r\nPASS tanstaaf\r\nDELE 1\r\nQUIT\r\n");
	while (answers-- > 0)
		expect(&c, "+OK*");
	expect_gone(&c);
	ck_assert_int_eq(is_untouched(), _i & 1);
}

static void
catch_errors(void)
{
	dup2(errors[1], 2);
}

/* It is the client, and must see no error of ours: RFC 1939 has none such. */
AS_ROOT_EACH(nothing_is_written_to_descriptor_2, 3)
{
	struct peer c;
	char octet;

	ck_assert(pipe(errors) == 0);
	start_with(&c, catch_errors, _i == 0 ? with(NULL, NULL) :
	    options(NULL, in_base("spool/%%u"), _i == 1 ? "-Z" : "-t",
	    _i == 1 ? NULL : "x"));
	close(errors[1]);
	if (_i == 0) {
		log_in(&c, "alice", "tanstaaf");
		ask(&c, "QUIT", "+OK*");
	}
	ck_assert_int_eq(wait_for(c.pid, PATIENCE), _i == 0 ? 0 : 2);
	close(c.fd);
	ck_assert(read(errors[0], &octet, 1) == 0);
	close(errors[0]);
	expect_nothing_left();
}

/* ---- As root: a kernel that says no ---- */

static const struct {
	const char *calls;	/* as strace knows them: for libcs that differ,
				 * and with ? for machines that do */
	int at_once;		/* in the dialogue, else in the session */
} refusals[] = {
	{ "setuid,?setuid32", 1 }, { "setgid,?setgid32", 1 },
	{ "setgroups,?setgroups32", 1 }, { "chroot", 1 },
	{ "chdir", 1 }, { "setrlimit,prlimit64", 1 },
	{ "getuid,?getuid32", 1 }, { "getgroups,?getgroups32", 1 },
	{ "setuid,?setuid32", 0 }, { "setgid,?setgid32", 0 },
	{ "setgroups,?setgroups32", 0 },
	{ "chroot", 0 },
	{ "setreuid,setresuid,?setreuid32,?setresuid32", 0 },
	{ "setregid,setresgid,?setregid32,?setresgid32", 0 },
	{ "setrlimit,prlimit64", 0 }, { "getgroups,?getgroups32", 0 },
	{ "prctl", 1 }, { "prctl", 0 },
	{ "?fork,?clone,?clone3", 1 }, { "?fork,?clone,?clone3", 0 }
};

/* Attach strace to what is still root, so that only it is lied to. */
static pid_t
attach_strace(const struct peer *c, const char *inject)
{
	char who[32];
	pid_t pid;
	long long end = now_ms() + 5000;
	int fd;

	snprintf(who, sizeof(who), "%ld", (long)c->pid);
	fflush(stdout);
	if ((pid = fork()) == 0) {
		if ((fd = open("/dev/null", O_RDWR)) != -1)
			dup2(fd, 2);
		execlp("strace", "strace", "-o", "/dev/null", "-e", inject,
		    "-p", who, (char *)NULL);
		_exit(127);
	}
	while (strcmp(status_of(c->pid, "TracerPid"), "0") == 0) {
		ck_assert_msg(now_ms() < end, "strace does not attach");
		sleep_ms(5);
	}
	return pid;
}

AS_ROOT_EACH(a_kernel_that_refuses_leaves_no_session, COUNT(refusals))
{
	static const char *const works[] = { "strace", "-f", "-o", "/dev/null",
	    "-e", "inject=chroot:error=EPERM", "true", NULL };
	char inject[80], *line;
	const char *argv[32] = { "/usr/bin/strace", "-f", "-o", "/dev/null",
	    "-e", inject };
	const char *const *server = with(NULL, NULL);
	struct peer c;
	int i, n = refusals[_i].at_once ? 6 : 0;

	if (SANITIZED || run(works) != 0 || access(argv[0], X_OK) == -1) {
		if (_i == 0)
			skip("a_kernel_that_refuses_leaves_no_session",
			    SANITIZED ? "AddressSanitizer needs the kernel" :
			    "no strace(1), or it may not trace");
		return;
	}
	snprintf(inject, sizeof(inject), "inject=%s:error=EPERM",
	    refusals[_i].calls);
	for (i = 0; server[i] != NULL; i++)
		argv[n++] = server[i];
	argv[n] = NULL;
	start_with(&c, NULL, argv);
	if (!refusals[_i].at_once) {
		expect(&c, "+OK*");
		attach_strace(&c, inject);
		say(&c, "USER alice\r\nPASS tanstaaf\r\nSTAT\r\n");
		expect(&c, "+OK*");
	}
	line = next_line(&c, 10000);
	/* what is asked before there is a dialogue is taken for a wrong id */
	ck_assert_msg(line == NULL || strcmp(line, trouble_line) == 0 ||
	    (strcmp(line, setup_line) == 0 && refusals[_i].calls[0] == 'g') ||
	    (!refusals[_i].at_once &&
	    strncmp(line, "-ERR [SYS/TEMP] the mailbox ", 28) == 0), "%s",
	    line);
	ck_assert(line != NULL || refusals[_i].calls[0] != '?');
	hang_up(&c);
}

/* ---- As root: in a chroot that holds nothing else ---- */

/*
 * Make a static program, with musl or with the usual C library. Where musl
 * comes without crypt(3), as Debian's does, hashes are of no use but {PLAIN}.
 */
static int
build_static(int musl, const char *out)
{
	static const char stub[] = "char *crypt(const char *s, const char *h);"
	    " char *crypt(const char *s, const char *h)"
	    " { (void)s; (void)h; return 0; }\n";
	const char *cc = getenv("CC");
	const char *argv[] = { musl ? "musl-gcc" : cc != NULL && *cc != '\0' ?
	    cc : "cc", "-static", "-O0", "-std=c99", "-D_DEFAULT_SOURCE",
	    "-D_FILE_OFFSET_BITS=64", "-o", out, "pop3.c", "mailbox.c",
	    "auth.c", musl ? NULL : "-lcrypt", NULL };

	if (run(argv) == 0)
		return 0;
	if (!musl)
		return -1;
	argv[11] = put_file(in_base("crypt.c"), stub, strlen(stub), 0644);
	return run(argv) == 0 ? 0 : -1;
}

/* musl first, then what the system has. */
AS_ROOT_EACH(a_static_build_works_in_an_empty_chroot, 2)
{
	const char *argv[] = { "/pop3d", "-f", "/accounts", "-m",
	    "/spool/%u", "-e", "/empty", "-u", "12345:12345", NULL };
	const char *hash = _i == 0 ? "{PLAIN}" HELLO : HELLO6;
	char out[PATH_MAX + 8], text[256], *path;
	pid_t keeper[8];
	struct peer c;
	struct fds f;

	snprintf(jail, sizeof(jail), "%s", in_base("jail%d", _i));
	snprintf(out, sizeof(out), "%s/pop3d", jail);
	mkdir(jail, 0755);
	if (build_static(_i == 0, out) == -1) {
		skip("a_static_build_works_in_an_empty_chroot", _i == 0 ?
		    "no musl-gcc, or no sources here" :
		    "no static libraries, or no sources here");
		return;
	}
	mkdir(in_base("jail%d/empty", _i), 0755);
	path = in_base("jail%d/spool", _i);
	mkdir(path, 0755);
	ck_assert(chown(path, 0, SPOOL) == 0 && chmod(path, 02775) == 0);
	put_mail(in_base("jail%d/spool/alice", _i));
	snprintf(text, sizeof(text), "alice:%s:%d:%d\n", hash, USER, USER);
	put_file(in_base("jail%d/accounts", _i), text, strlen(text), 0600);
	start_over(&c, TCP, enter_jail, argv);
	log_in(&c, "alice", HELLO);
	wait_children(c.pid, keeper, 1);
	expect_ids(c.pid, USER, USER);
	expect_ids(keeper[0], USER, SPOOL);
	expect_root(c.pid, in_base("jail%d/empty", _i));
	f = fds_of(c.pid);
	/* where there is no /dev/null, a pipe that leads nowhere */
	ck_assert_msg(f.input == 2 && f.null == 0 && f.pipes == 1 &&
	    f.mailbox == 1 && f.other == 0, "%s", f.text);
	say(&c, "DELE 1\r\nRETR 2\r\n");
	expect(&c, "+OK*");
	while (strcmp(next_line(&c, 5000), ".") != 0)
		;
	leave(&c);
	/* no passwd file: no name for -u */
	argv[7] = NULL;
	start_with(&c, enter_jail, argv);
	expect(&c, setup_line);
	ck_assert_int_eq(see_end(&c), 1);
}

/* ---- As anybody ---- */

CASE("the program", 30, begin_real, NULL);

TEST(an_ordinary_user_needs_a_file_of_accounts)
{
	const char *const argv[] = { program, NULL };
	struct peer c;

	start_with(&c, become_user, argv);
	expect(&c, setup_line);
	ck_assert_int_eq(see_end(&c), 1);
}

static void
be_alone(void)
{
	const struct rlimit none = { 0, 0 };

	become_user();
	setrlimit(RLIMIT_NPROC, &none);
}

static void
start_as_user(struct peer *c, void (*prepare)(void))
{
	char *file = a_file("virtual:{PLAIN}s:1:1\n");

	ck_assert(getuid() != 0 || chown(file, USER, USER) == 0);
	start_with(c, prepare, options(file, in_base("mail/%%u"), NULL, NULL));
}

/* Without a process that looks for the mailbox first it is not looked for. */
TEST(an_ordinary_user_needs_a_scout)
{
	const char *emulator = getenv("EMULATOR");
	struct peer c;

	if (emulator != NULL && *emulator != '\0') {
		skip("without a scout", "the emulator needs threads");
		return;
	}
	start_as_user(&c, be_alone);
	expect(&c, "+OK*");
	say(&c, "USER virtual\r\nPASS s\r\nSTAT\r\n");
	expect(&c, "+OK*");
	expect(&c, "-ERR [SYS/TEMP] the mailbox cannot be read now*");
	expect(&c, "-ERR [SYS/TEMP] the mailbox cannot be read now*");
	leave(&c);
}

/* In one process, with the ids that the program was started with. */
TEST(an_ordinary_user_serves_accounts_of_its_own)
{
	struct peer c;

	put_mail(in_base("mail/virtual"));
	start_as_user(&c, become_user);
	log_in(&c, "virtual", "s");
	ask(&c, "STAT", "+OK 2 *");
	leave(&c);
}

/*
 * Process 1 may be a superserver that counts its children: whatever pop3d has
 * started ends before it.
 */
TEST_EACH(an_ordinary_users_scout_ends_before_its_session, 3)
{
	static const char *const said[] = { "", "QUIT\r\n",
	    "USER virtual\r\nPASS s\r\nQUIT\r\n" };
	struct peer c;

	if (ADOPT_ORPHANS() == -1) {
		skip("an_ordinary_users_scout_ends_before_its_session",
		    "nobody but process 1 adopts here");
		return;
	}
	start_as_user(&c, become_user);
	expect(&c, "+OK*");
	say(&c, "%s", said[_i]);
	shutdown(c.fd, SHUT_WR);
	ck_assert_int_eq(wait_for(c.pid, PATIENCE), 0);
	close(c.fd);
	free(c.got);
	ck_assert(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

/* ---- All tests ---- */

/*
 * Clean up when everybody who holds the other end of the pipe is gone: should
 * the tests be killed, no account and no socket of theirs may stay behind.
 */
static pid_t
start_janitor(void)
{
	int p[2], log = 0;
	ssize_t n;
	pid_t pid;
	char c;

	fflush(stdout);
	if (pipe(p) == -1 || (pid = fork()) == -1)
		return -1;
	if (pid != 0) {
		close(p[0]);
		fcntl(p[1], F_SETFD, FD_CLOEXEC);
		janitor = p[1];
		return pid;
	}
	close(p[1]);
	setsid();
	while ((n = read(p[0], &c, 1)) == 1 || (n == -1 && errno == EINTR))
		log |= n == 1;
	if (log)
		unlink("/dev/log");
	remove_accounts();
	remove_tree(scratch);
	_exit(0);
}

int
main(void)
{
	pid_t cleaner;
	int failed;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED || make_scratch("check_auth") == -1)
		return 1;
	first = getpid();
	if ((cleaner = start_janitor()) == -1) {
		perror("check_auth");
		return 1;
	}
	if (geteuid() == 0)
		start_log();
	failed = run_suite("auth", NULL);
	stop_log();
	close(janitor);
	waitpid(cleaner, NULL, 0);
	return failed;
}
