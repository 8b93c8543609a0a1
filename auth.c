/*
 * Who may: accounts, verification, the processes and their privileges.
 *
 * Started as root, a connection is served by these processes, each of which
 * can do only what its line says, also when somebody has taken it over:
 *
 *   root --+-- dialogue  uid of -u, chroot -e, no files, no forks. It alone
 *          |             reads what a stranger sends. It may ask TRIES_MAX
 *          |             times, with fixed records, and is told yes or no.
 *          +-- verifier  root; it reads these records, and does not trust
 *          |             them. It tells root an account or nothing. alarm(2)
 *          |             ends it, and while it waits, the dialogue's end does.
 *          +-- keeper    after login: the user, and the group of the spool if
 *          |             that is what locks need; chroot to the mailbox's
 *          |             directory. Single octets from the session: lock,
 *          |             touch, unlock. It ends with the session, and its lock.
 *          '-> session   root itself, once it has opened the mailbox as the
 *                        user: chroot -e, the user for good. Of files it has
 *                        that mailbox and its index, nothing else.
 *
 * As root run main of pop3.c and what is called priv_, and what these call:
 *
 *   at the start  main, auth_start, start_, find_in_file: they read options,
 *                 environment, the file of -f and, for -u, passwd(5), before
 *                 anything of the client's
 *   root          expand, is_shared_spool, confine, and, with the user's ids,
 *                 mbox_open and mbox_index, which reads eight octets. Nothing
 *                 that comes from the client or the dialogue is read, and no
 *                 secret: one account, the verifier's
 *   verifier      verify and all above it: records of the dialogue, the file of
 *                 -f or the system's accounts, and what saslauthd answers
 *
 * Started by an ordinary user all is one process, which makes no other and runs
 * no program, and a scout, which only looks whether the mailbox's file system
 * answers.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <ctype.h>
#include <grp.h>
#include <pwd.h>

#include "pop3.h"

/* What systems have beyond POSIX: hashes, and ways to confine a process. */
#if defined(__GLIBC__) || defined(__sun)
#include <crypt.h>
#endif
#if defined(__linux__) || defined(__sun)
#include <shadow.h>

/*
 * An account's hash, or "": it has none, and x or * stands for it in passwd(5).
 * why: it may not log in now, by shadow(5).
 */
static const char *
get_hash(const struct passwd *pw, const char **why)
{
	const struct spwd *sp = getspnam(pw->pw_name);
	long today = (long)(time(NULL) / 86400);

	if (sp == NULL)
		return strlen(pw->pw_passwd) > 1 ? pw->pw_passwd : "";
	if (sp->sp_lstchg == 0)
		*why = "password must be changed";
	if ((sp->sp_expire >= 0 && sp->sp_expire <= today) ||
	    (sp->sp_lstchg > 0 && sp->sp_max >= 0 && sp->sp_inact >= 0 &&
	    today > sp->sp_lstchg + sp->sp_max + sp->sp_inact))
		*why = "expired";
	return sp->sp_pwdp;
}
#else
/* The same on the BSDs: passwd(5) says when an account ends, and 0 is never. */
static const char *
get_hash(const struct passwd *pw, const char **why)
{
	if (pw->pw_expire > 0 && pw->pw_expire <= time(NULL))
		*why = "expired";
	return pw->pw_passwd;
}
#endif

/*
 * OpenBSD's getpwnam hides the hash from root, too, and so does its getpwent.
 * SOME_HASH costs what one does, where no account's can be had.
 */
#if defined(__OpenBSD__)
#define SOME_HASH	"$2b$10$0123456789abcdefghijke"
#else
#define SOME_HASH	"$6$0123456789abcdef$"
#define getpwnam_shadow	getpwnam
#endif

/*
 * What a process gives up for good besides root. ONLY_PROCESS never was root.
 * It still opens mail and makes locks. The kernel ends a dialogue, and no other
 * process, when the one that made it is gone.
 */
enum process { DIALOGUE_PROCESS, SESSION_PROCESS, ONLY_PROCESS };
#if defined(__linux__)
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#if !defined(SYS_landlock_create_ruleset)
#define SYS_landlock_create_ruleset	-1
#define SYS_landlock_restrict_self	-1
#endif

/* No core file, not even through a pipe, and nobody but root looks in. */
#define hide_memory()	prctl(PR_SET_DUMPABLE, 0UL)

/*
 * Reach files as a user does, and keep what else root can. A server of NFS may
 * take root for nobody, and root may have no right to look everywhere.
 */
#define reach_files_as(uid, gid)	((void)setfsgid(gid), setfsuid(uid))

/*
 * Landlock, as far as the kernel has it: no file (the only process: no exec,
 * and nothing but plain files made or removed), no bind and no connect with
 * TCP, no abstract socket, no signal to others, and no ptrace.
 */
static int
confine_more(enum process process)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0UL, 1UL), fd;
	const struct { uint64_t files, tcp, scope; } no = {
	    process == ONLY_PROCESS ? 0x1ed1 : 0x1fff, abi >= 4 ? 3 : 0,
	    abi >= 6 ? 3 : 0 };

	if (hide_memory() == -1 || prctl(PR_SET_PDEATHSIG,
	    process == DIALOGUE_PROCESS ? SIGKILL : 0UL) == -1)
		return -1;
	if (abi < 1)
		return 0;
	fd = syscall(SYS_landlock_create_ruleset, &no, sizeof(no), 0UL);
	if (fd == -1 || prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == -1 ||
	    syscall(SYS_landlock_restrict_self, fd, 0UL) == -1)
		return -1;
	return close((int)fd);
}
#else
#define hide_memory()		0
#define reach_files_as(uid, gid)	((void)0)
#define confine_more(process)	0
#endif

/*
 * illumos has no limit of processes: they lose the privilege to make some, and
 * three more. OpenBSD's pledge(2) takes much more away, setrlimit(2), too, so
 * this comes last.
 */
#if defined(__sun)
#include <priv.h>
#define stop_forks(process, none)	\
	priv_set(PRIV_OFF, PRIV_ALLSETS, PRIV_PROC_FORK, PRIV_PROC_EXEC, \
	    PRIV_PROC_INFO, PRIV_NET_ACCESS, (char *)NULL)
#elif defined(__OpenBSD__)
#define stop_forks(process, none)	((process) != ONLY_PROCESS ?	\
	pledge("stdio flock", NULL) : setrlimit(RLIMIT_NPROC, none))
#elif defined(RLIMIT_NPROC)
#define stop_forks(process, none)	setrlimit(RLIMIT_NPROC, none)
#else
#error "nothing here keeps a confined process from making others"
#endif

#define LINE_OCTETS	2048	/* of a line of -f, with its NUL */

enum {
	TRY_SECONDS = 3,	/* a refusal comes at a multiple of this */
	VERIFY_SECONDS = 60,	/* for a password, with the wait behind a no */
	SASL_SECONDS = 30,	/* for each word of saslauthd's */
	LOOK_SECONDS = 25,	/* for the scout's look at the mailbox, */
	OPEN_SECONDS = 30	/* the verifier's, and all that opens it */
};

/* What is known of somebody who wants to come in. */
struct claim {
	const char *why;	/* he may not, for the log; or NULL */
	const char *entry;	/* the hash with its {SCHEME}, and */
	const char *hash;	/* without; empty: there is none */
	int plain;		/* that was {PLAIN} */
	int scheme;		/* octets of entry that the log gets */
	char line[LINE_OCTETS];	/* of -f, where they are */
};

void
auth_wipe(void *p, size_t len)
{
	volatile char *c = p;

	while (len-- > 0)
		*c++ = 0;
}

/* Say in a->why what is wrong with an option's value, and errno: -1. */
static int
complain(struct auth *a, const char *option, const char *value,
    const char *what)
{
	snprintf(a->why, sizeof(a->why), "%s %s: %s%s%s", option, value, what,
	    errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
	return -1;
}

static void
die(const char *what)
{
	syslog(LOG_CRIT, "%s: %s", what, strerror(errno));
	_exit(1);
}

/* ---- Accounts ---- */

static int
is_name(const char *name)
{
	size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789._@+-");

	/* alice.lock would be alice's dotlock */
	return len > 0 && len <= NAME_OCTETS && name[len] == '\0' &&
	    *name != '.' && *name != '-' &&
	    (len < 5 || strcmp(name + len - 5, ".lock") != 0);
}

/* Decimal digits up to end, as an id that can be served; else 0. */
static unsigned
parse_id(const char *p, char end)
{
	unsigned long long n = 0;

	while (*p >= '0' && *p <= '9' && n < UINT_MAX)
		n = n * 10 + (unsigned)(*p++ - '0');
	return *p == end && n < UINT_MAX ? (unsigned)n : 0;
}

/*
 * A home that no path can begin with, as it is too long or relative, counts as
 * none: that matters only where -m has %h.
 */
static void
set_account(struct auth *a, uid_t uid, gid_t gid, const char *name,
    const char *home)
{
	a->account.uid = uid;
	a->account.gid = gid;
	snprintf(a->account.name, sizeof(a->account.name), "%s", name);
	snprintf(a->account.home, sizeof(a->account.home), "%s",
	    *home == '/' && strlen(home) < sizeof(a->account.home) ? home : "");
}

/*
 * Take a line of the -f file if it is the account looked for: 1. With no name,
 * take the hash alone, if it is one that crypt(3) made.
 */
static int
take_entry(struct auth *a, const char *name, struct claim *c)
{
	char *field[6], *line = c->line;
	const char *end;
	size_t i;

	line[strcspn(line, "\r")] = '\0';
	for (i = 0; i < 6; i++) {
		field[i] = line;
		line += strcspn(line, ":");
		if (*line != '\0')
			*line++ = '\0';
	}
	/* a comment's # is in no name */
	if (name != NULL && strcmp(field[0], name) != 0)
		return 0;
	c->entry = strlen(field[1]) <= FIELD_MAX ? field[1] : "";
	end = *c->entry == '{' ? strchr(c->entry, '}') : NULL;
	c->hash = end == NULL ? c->entry : end + 1;
	c->plain = strncasecmp(c->entry, "{PLAIN}", 7) == 0;
	if (name == NULL)
		return *c->hash == '$' && !c->plain;
	set_account(a, parse_id(field[2], '\0'), parse_id(field[3], '\0'), name,
	    field[5]);
	return 1;
}

/* Take the first such line. AUTH_TROUBLE: for a reason in a->why. */
static enum auth_result
find_in_file(struct auth *a, const char *name, struct claim *c)
{
	enum auth_result r = AUTH_NO;
	char room[4096];
	struct stat st;
	FILE *f;
	size_t len;
	int octet = 0, bad;

	errno = 0;
	f = fopen(a->file, "r");
	bad = f == NULL || fstat(fileno(f), &st) == -1 ||
	    (st.st_mode & (S_IFMT | S_IWGRP | S_IRWXO)) != S_IFREG ||
	    setvbuf(f, room, _IOFBF, sizeof(room)) != 0;
	while (!bad && r == AUTH_NO && octet != EOF) {
		for (len = 0; (octet = getc(f)) != EOF && octet != '\n'; len++)
			if (len < LINE_OCTETS)
				c->line[len] = (char)octet;
		/* a line that is too long or has a NUL is no account's */
		c->line[len < LINE_OCTETS ? len : 0] = '\0';
		if (strlen(c->line) == len && take_entry(a, name, c))
			r = AUTH_YES;
		bad = ferror(f);
	}
	if (bad) {
		complain(a, "-f", a->file,
		    "it must be a file that others cannot read");
		r = AUTH_TROUBLE;
	}
	if (f != NULL)
		fclose(f);
	auth_wipe(room, sizeof(room));
	return r;
}

static enum auth_result
find_exactly(struct auth *a, const char *name, struct claim *c)
{
	const struct passwd *pw;

	if (a->file != NULL)
		return find_in_file(a, name, c);
	if ((pw = getpwnam_shadow(name)) == NULL || !is_name(pw->pw_name))
		return AUTH_NO;
	set_account(a, pw->pw_uid, pw->pw_gid, pw->pw_name, pw->pw_dir);
	c->entry = c->hash = a->saslauthd != NULL ? "" : get_hash(pw, &c->why);
	return AUTH_YES;
}

/* Why nobody gets in with this account, whatever the secret; or NULL. */
static const char *
why_not(const struct auth *a, const struct claim *c, char mechanism)
{
	if (a->root && (a->account.uid == 0 || a->account.gid == 0))
		return a->file == NULL ? "root's" : "root's, or no uid and gid";
	if (a->root && a->account.uid == a->uid)
		return "uid is that of -u";
	if (mechanism == AUTH_NEVER || (mechanism == AUTH_APOP && !c->plain))
		return "APOP without {PLAIN}, or PLAIN as somebody else";
	if (c->why != NULL || a->saslauthd != NULL)
		return c->why;
	if (*c->hash == '\0')
		return "no hash for it";
	return !c->plain && strchr("*!", *c->hash) != NULL ? "locked" : NULL;
}

/*
 * Find whom a name means: as it is, in small letters, and without what follows
 * @. What counts then is the account's own name. AUTH_YES: there is one.
 */
static enum auth_result
find_account(struct auth *a, const struct attempt *t, struct claim *c)
{
	enum auth_result r = AUTH_NO;
	char name[NAME_OCTETS + 2], *p;
	int step;

	snprintf(name, sizeof(name), "%s", t->user);
	for (step = 0; step < 3 && r == AUTH_NO && is_name(name); step++) {
		if (step == 0 || strcmp(name, t->user) != 0)
			r = find_exactly(a, name, c);
		for (p = name; *p != '\0'; p++)
			*p = (char)tolower((unsigned char)*p);
		if (step > 0)
			name[strcspn(name, "@")] = '\0';
	}
	c->why = r == AUTH_YES ? why_not(a, c, t->mechanism) :
	    "no such account";
	return r;
}

/* A hash that costs what others cost here: any account's. */
static void
find_any_hash(struct auth *a, struct claim *c)
{
	const struct passwd *pw;
	const char *why, *hash = "";

	if (a->file != NULL)
		hash = find_in_file(a, NULL, c) == AUTH_YES ? c->hash : "";
	else
		for (setpwent(); *hash != '$' && (pw = getpwent()) != NULL;)
			hash = get_hash(pw, &why);
	c->hash = *hash == '$' ? hash : SOME_HASH;
}

/* Compare in a time that depends on the lengths alone. */
static int
is_equal(const char *a, const char *b)
{
	size_t i, len = strlen(a);
	int differ = 0;

	if (strlen(b) != len)
		return 0;
	for (i = 0; i < len; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

/* Whether a {PLAIN} secret, or its MD5 with APOP's challenge, was sent. */
static int
is_plain(const struct auth *a, const struct attempt *t, const char *secret)
{
	char digest[33];
	struct md5 m;
	int i;

	if (*secret == '\0' || t->mechanism == AUTH_PASS)
		return *secret != '\0' && is_equal(secret, t->secret);
	if (t->mechanism != AUTH_APOP || a->challenge == NULL)
		return 0;
	md5_init(&m);
	md5_update(&m, a->challenge, strlen(a->challenge));
	md5_update(&m, secret, strlen(secret));
	md5_finish(&m, 1);
	for (i = 0; i < 16; i++)
		snprintf(digest + 2 * i, 3, "%02x",
		    (unsigned)m.state[i / 4] >> 8 * (i % 4) & 255);
	auth_wipe(&m, sizeof(m));
	return is_equal(digest, t->secret);
}

/*
 * Whether the secret is the account's. A no costs one hash, whatever its reason
 * is: else its time would tell who has an account, and of what kind.
 */
static int
is_secret(struct auth *a, const struct attempt *t, struct claim *c)
{
	/* strchr finds the end of the string, too: an empty hash is none */
	int usable = !c->plain && t->mechanism == AUTH_PASS &&
	    strchr("*!", *c->hash) == NULL, yes;
	char none[1] = "", *got;
	const char *end;
	size_t len;

	if (c->plain && is_plain(a, t, c->hash))
		return 1;
	/* from here on c may be another's, but for why */
	if (!usable)
		find_any_hash(a, c);
	if ((got = crypt(t->secret, c->hash)) == NULL)
		got = none;
	len = strlen(got);
	yes = usable && is_equal(got, c->hash);
	if (usable && c->why == NULL && (len < 3 || len != strlen(c->hash))) {
		c->why = "unknown scheme";
		end = strchr("{$", *c->entry) == NULL ? NULL :
		    strpbrk(c->entry + 1, "}$");
		c->scheme = end == NULL ? 0 : (int)(end + 1 - c->entry);
	}
	/* what says that there is no hash is short, and a constant in musl */
	if (len > 2)
		auth_wipe(got, len);
	return yes;
}

/*
 * Ask saslauthd: four strings, each behind its length in two octets, go to the
 * socket of -x, and one such string comes back. OK is the only yes. Where no
 * whole answer comes, nobody has failed. It is asked of unknown names, too: the
 * time it takes must not tell them.
 */
static enum auth_result
ask_saslauthd(struct auth *a, const char *name, const struct attempt *t)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval wait = { SASL_SECONDS, 0 };
	enum auth_result r = AUTH_TROUBLE;
	unsigned char text[65535];
	ssize_t len;
	int fd;

	if (t->mechanism != AUTH_PASS || !is_name(name))
		return AUTH_NO;
	errno = 0;
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", a->saslauthd);
	len = snprintf((char *)text, sizeof(text), "%c%c%s%c%c%s%c%cpop3%c%c",
	    0, (int)strlen(name), name, 0, (int)strlen(t->secret), t->secret,
	    0, 4, 0, 0);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    write(fd, text, (size_t)len) == len &&
	    recv(fd, text, 2, MSG_WAITALL) == 2) {
		len = text[0] << 8 | text[1];
		if (recv(fd, text, (size_t)len, MSG_WAITALL) == len)
			r = len >= 2 && memcmp(text, "OK", 2) == 0 ? AUTH_YES :
			    AUTH_NO;
	}
	complain(a, "-x", a->saslauthd, "no whole answer");
	close(fd);
	auth_wipe(text, sizeof(text));
	return r;
}

/*
 * Wait for the next full multiple of TRY_SECONDS behind begun. What is left is
 * counted in nanoseconds: rounded, it would tell what the work took.
 */
static void
hold_back(const struct timespec *begun)
{
	long long step = TRY_SECONDS * 1000000000LL, ns;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	ns = (t.tv_sec - begun->tv_sec) * 1000000000LL + t.tv_nsec -
	    begun->tv_nsec;
	ns = step - ns % step;
	t.tv_sec = (time_t)(ns / 1000000000);
	t.tv_nsec = (long)(ns % 1000000000);
	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		;
}

/*
 * Whether t is the login of an account: that is in a->account then. All else
 * takes its time. Nothing in t is trusted, not even that its strings end.
 */
static enum auth_result
verify(struct auth *a, struct attempt *t)
{
	struct timespec begun;
	struct claim c = { .hash = "", .entry = "" };
	enum auth_result r;
	const char *name;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	t->user[NAME_OCTETS + 1] = t->secret[FIELD_MAX] = '\0';
	r = find_account(a, t, &c);
	name = r == AUTH_YES ? a->account.name :
	    is_name(t->user) ? t->user : "-";
	if (r != AUTH_TROUBLE)
		r = a->saslauthd != NULL ? ask_saslauthd(a, name, t) :
		    is_secret(a, t, &c) ? AUTH_YES : AUTH_NO;
	if (r == AUTH_YES && c.why != NULL)
		r = AUTH_NO;
	if (r == AUTH_NO)
		syslog(LOG_NOTICE, "LOGIN FAILED, user=%s, ip=[%s], "
		    "reason=%s%s%.*s", name, a->ip, c.why != NULL ? c.why :
		    "wrong password", c.scheme > 0 ? " " : "", c.scheme,
		    c.entry);
	else if (r == AUTH_TROUBLE)
		syslog(LOG_ERR, "%s, user=%s, ip=[%s]", a->why, name, a->ip);
	auth_wipe(&c, sizeof(c));
	auth_wipe(t->secret, sizeof(t->secret));
	if (r != AUTH_YES) {
		memset(&a->account, 0, sizeof(a->account));
		hold_back(&begun);
	}
	return r;
}

/* ---- Login ---- */

enum auth_result
auth_try(struct auth *a, struct attempt *t)
{
	char answer;

	a->tries++;	/* the dialogue's; the verifier counts for itself */
	alarm(0);	/* a good attempt that began in time gets its answer */
	if (a->root) {
		if (write(a->to, t, sizeof(*t)) != sizeof(*t) ||
		    read(a->from, &answer, 1) != 1)
			answer = AUTH_TROUBLE;
	} else
		answer = (char)verify(a, t);
	auth_wipe(t, sizeof(*t));
	return (enum auth_result)answer;
}

/* SECURITY: whatever lives on goes through here, for good; dir is its root. */
static void
priv_drop(uid_t uid, gid_t gid, const char *dir)
{
	gid_t group;

	if (chdir(dir) == -1 || chroot(".") == -1 || chdir("/") == -1)
		die("chroot");
	if (setgroups(1, &gid) == -1 || setgid(gid) == -1 || setuid(uid) == -1)
		die("cannot give up root");
	if (setuid(0) != -1 || setgid(0) != -1 || getuid() != uid ||
	    geteuid() != uid || getgid() != gid || getegid() != gid ||
	    getgroups(1, &group) != 1 || group != gid)
		die("root or its groups were not given up");
}

/*
 * No more processes and, but for the only one, descriptors. Landlock comes
 * first: it needs one.
 */
static void
confine(enum process process)
{
	struct rlimit none = { 0, 0 };
	struct stat st;

	/* RLIMIT_FSIZE would stop answers, too, where 1 is a file */
	if (confine_more(process) == -1 ||
	    (process != ONLY_PROCESS &&
	    setrlimit(RLIMIT_NOFILE, &none) == -1) ||
	    (process == DIALOGUE_PROCESS &&
	    !(fstat(1, &st) == 0 && S_ISREG(st.st_mode)) &&
	    setrlimit(RLIMIT_FSIZE, &none) == -1) ||
	    stop_forks(process, &none) == -1)
		die("cannot confine a process");
}

/* Build a path from -m or -i. -1: it is unknown, empty or too long. */
static int
expand(const char *p, const struct account *who, char path[PATH_OCTETS])
{
	const char *add;
	char one[2] = "";
	size_t len = 0, n;

	for (; *p != '\0'; p++) {
		one[0] = *p;
		add = one;
		if (*p == '%' && *++p != '%')
			add = *p == 'u' ? who->name : *p == 'h' ? who->home :
			    "";
		n = strlen(add);
		if (n == 0 || n >= PATH_OCTETS - len)
			return -1;
		memcpy(path + len, add, n + 1);
		len += n;
	}
	return len == 0 ? -1 : 0;
}

/*
 * The verifier: one octet goes back for each record. A no comes late, by
 * hold_back, and the dialogue cannot hurry it. After a yes the account goes to
 * root first. Then the verifier looks for the mailbox as the user, since a file
 * system may never answer. SIGALRM has no handler here, so it ends even such a
 * call, and with it this process alone.
 */
static void
priv_verify(struct auth *a, int records, int answers, const int accounts[2])
{
	const struct account *who = &a->account;
	char path[PATH_OCTETS], answer = AUTH_NO;
	struct attempt t;
	struct stat st;

	close(accounts[0]);
	signal(SIGALRM, SIG_DFL);
	if (hide_memory() == -1)
		die("verifier");
	while (answer != AUTH_YES && a->tries++ < TRIES_MAX &&
	    read(records, &t, sizeof(t)) == sizeof(t)) {
		alarm(VERIFY_SECONDS);
		answer = (char)verify(a, &t);
		if (answer == AUTH_YES) {
			if (write(accounts[1], who, sizeof(*who)) !=
			    sizeof(*who))
				die("verifier");
			alarm(OPEN_SECONDS);
			if (seteuid(who->uid) == 0 &&
			    expand(a->mailbox, who, path) == 0)
				stat(path, &st);
		}
		alarm(0);
		if (write(answers, &answer, 1) != 1)
			break;
	}
	_exit(0);
}

/*
 * Wait for a process. When the time is over the dialogue is ended: then the
 * verifier, too, has nothing more to wait for.
 */
static int
priv_wait(pid_t child, pid_t dialogue)
{
	int status = 0;

	while (waitpid(child, &status, 0) == -1 && errno == EINTR)
		kill(dialogue, SIGKILL);
	return status;
}

/*
 * Root's side of the login: nothing but an account is read here, and that from
 * the verifier. The dialogue keeps the time itself; the alarm is for one that
 * does not. Its handler is pop3.c's, and comes each second until alarm(0).
 */
static int
priv_login(struct auth *a, void (*dialogue)(void *), void *arg)
{
	int to[2], from[2], accounts[2], in, status;
	pid_t pid, verifier;

	if (pipe(to) == -1 || pipe(from) == -1 || pipe(accounts) == -1 ||
	    (pid = fork()) == -1) {
		syslog(LOG_ERR, "no dialogue: %s", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		close(to[0]);
		close(from[1]);
		close(accounts[0]);
		close(accounts[1]);
		a->to = to[1];
		a->from = from[0];
		priv_drop(a->uid, a->gid, a->empty);
		confine(DIALOGUE_PROCESS);
		dialogue(arg);
		_exit(0);
	}
	close(to[1]);
	close(from[0]);
	alarm(a->seconds + TRY_SECONDS);
	if ((verifier = fork()) == 0)
		priv_verify(a, to[0], from[1], accounts);
	if (verifier == -1)
		syslog(LOG_ERR, "no verifier: %s", strerror(errno));
	close(to[0]);
	close(from[1]);
	close(accounts[1]);
	status = verifier == -1 ? 0 : priv_wait(verifier, pid);
	in = read(accounts[0], &a->account, sizeof(a->account)) ==
	    sizeof(a->account);
	close(accounts[0]);
	if (WIFSIGNALED(status)) {
		syslog(LOG_ERR, "%s: signal %d, user=%s, ip=[%s]", in ?
		    "-m was not found in time" : "a password was not checked",
		    WTERMSIG(status), in ? a->account.name : "-", a->ip);
		in = 0;
	}
	status = priv_wait(pid, pid);
	alarm(0);
	if (WIFSIGNALED(status))
		syslog(LOG_ERR, "dialogue: signal %d, ip=[%s]",
		    WTERMSIG(status), a->ip);
	/* a dialogue that failed has logged why, and told nobody */
	return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? -1 : in;
}

int
auth_login(struct auth *a, void (*dialogue)(void *), void *arg)
{
	if (a->root)
		return priv_login(a, dialogue, arg);
	dialogue(arg);
	return a->account.name[0] != '\0';
}

/* ---- The session ---- */

/*
 * The lock keeper. Single octets from the session, fixed records back, and a
 * touch when there was none for a while; when there are no more, however that
 * came about, the lock goes too.
 */
static void
keeper_run(struct dotlock *d, int fd)
{
	static struct dot_answer a;	/* zeros: its padding is sent, too */
	char what;
	ssize_t n;

	while ((n = read(fd, &what, 1)) == 1 ||
	    (n == -1 && (errno == EAGAIN || errno == EINTR))) {
		if (n == -1)
			what = DOT_TOUCH;
		a.what = dotlock_step(d, what);
		a.holder = d->holder;
		a.error = errno;
		if (n == 1 && write(fd, &a, sizeof(a)) != sizeof(a))
			break;
	}
	dotlock_step(d, DOT_UNLOCK);
	_exit(0);
}

/*
 * Whether the mailbox's directory is a spool that its group makes locks in: not
 * the user's, writable for its group and not for everybody, and with a name
 * that no user has a part in, or he could lead the keeper to another.
 */
static int
is_shared_spool(const struct auth *a, const struct stat *dir)
{
	const char *base = strrchr(a->mailbox, '/');

	return (dir->st_mode & (S_IWGRP | S_IWOTH)) == S_IWGRP &&
	    dir->st_uid != a->account.uid && dir->st_gid != 0 &&
	    base != NULL && strstr(base, "%h") == NULL &&
	    memchr(a->mailbox, '%', (size_t)(base - a->mailbox)) == NULL;
}

/*
 * Start the keeper in the mailbox's directory, which is the working directory,
 * with the group that makes locks there. The session waits for it no longer
 * than for a lock, as its user may stop it.
 */
static int
priv_start_keeper(struct auth *a, struct mbox *m)
{
	struct timeval refresh = { REFRESH_SECONDS, 0 };
	struct timeval patience = { LOCK_SECONDS, 0 };
	struct stat st;
	sigset_t all;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1 ||
	    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience)) == -1 ||
	    setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &refresh,
	    sizeof(refresh)) == -1)
		return -1;
	if ((pid = fork()) == 0) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		close(0);
		close(1);
		close(m->fd);
		close(m->index);
		close(pair[0]);
		reach_files_as(a->account.uid, a->account.gid);
		if (stat(".", &st) == -1)
			die("keeper");
		priv_drop(a->account.uid, is_shared_spool(a, &st) ?
		    st.st_gid : a->account.gid, ".");
		closelog();
		keeper_run(&m->dot, pair[1]);
	}
	close(pair[1]);
	m->keeper = pair[0];
	return pid == -1 ? -1 : 0;
}

/*
 * Without root: a process that looks for the mailbox first, as the verifier
 * does otherwise. It is made while processes can be made, and waits for a path.
 * It ends before the one that asked, if the file system does not answer. If the
 * scout cannot be made, the mailbox counts as one that does not answer.
 */
static void
start_scout(struct auth *a)
{
	char path[PATH_OCTETS];
	struct stat st;
	int pair[2];
	pid_t pid;

	a->to = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1 ||
	    (pid = fork()) == -1) {
		syslog(LOG_ERR, "no scout: %s", strerror(errno));
		return;
	}
	if (pid == 0) {
		close(0);
		close(1);
		close(pair[0]);
		signal(SIGALRM, SIG_DFL);
		if (read(pair[1], path, sizeof(path)) != sizeof(path))
			_exit(0);
		alarm(LOOK_SECONDS);
		stat(path, &st);
		_exit(write(pair[1], "", 1) != 1);
	}
	close(pair[1]);
	a->to = pair[0];
}

/* Open the mailbox, and the index if one is wanted, with the user's ids. */
static enum mbox_result
open_mailbox(struct auth *a, struct mbox *m, uid_t uid)
{
	enum mbox_result r;
	char path[PATH_OCTETS] = "", answer;
	int silent;

	if (expand(a->mailbox, &a->account, path) == -1)
		path[0] = '\0';
	silent = !a->root && !(write(a->to, path, sizeof(path)) ==
	    sizeof(path) && read(a->to, &answer, 1) == 1);
	r = mbox_open(m, silent ? "" : path, uid);
	if (silent) {
		errno = ETIMEDOUT;
		r = MBOX_TEMP;
	}
	if (r != MBOX_OK) {
		snprintf(a->why, sizeof(a->why), "%s, %s", m->why,
		    *path != '\0' ? path : "no home for -m, or too long");
		m->why = a->why;
	} else if (m->fd != -1 && a->index != NULL &&
	    expand(a->index, &a->account, path) == 0)
		mbox_index(m, path, uid);
	return r;
}

/* Open the mailbox once, with the user's ids, and drop everything else. */
static enum mbox_result
priv_enter(struct auth *a, struct mbox *m)
{
	const struct account *who = &a->account;
	enum mbox_result r;
	int saved;

	if (setgroups(1, &who->gid) == -1 || setegid(who->gid) == -1 ||
	    seteuid(who->uid) == -1)
		die("cannot become the user");
	r = open_mailbox(a, m, who->uid);
	if (seteuid(0) == -1 || setegid(0) == -1)
		die("cannot become root again");
	if (r == MBOX_OK && m->fd != -1 && priv_start_keeper(a, m) == -1) {
		m->why = "mailbox has no lock keeper";
		r = MBOX_TEMP;
	}
	saved = errno;
	priv_drop(who->uid, who->gid, a->empty);
	confine(SESSION_PROCESS);
	errno = saved;
	return r;
}

enum mbox_result
auth_enter(struct auth *a, struct mbox *m)
{
	const struct sigaction end = { .sa_handler = SIG_DFL };
	struct sigaction before;
	enum mbox_result r;

	/*
	 * A file system whose server is gone may never answer. No handler runs
	 * then, but a signal without one ends the process. The alarm is set
	 * first: the login's, whose place it takes, could end us too soon.
	 */
	alarm(OPEN_SECONDS);
	sigaction(SIGALRM, &end, &before);
	r = a->root ? priv_enter(a, m) : open_mailbox(a, m, getuid());
	alarm(0);
	sigaction(SIGALRM, &before, NULL);
	return r;
}

/* ---- Start ---- */

/* -u is uid:gid, so that nothing need be looked up, or a name. */
static int
start_root(struct auth *a)
{
	const char *colon = strchr(a->user, ':');
	const struct passwd *pw;
	struct stat st;

	if (colon != NULL) {
		a->uid = parse_id(a->user, ':');
		a->gid = parse_id(colon + 1, '\0');
	} else if ((pw = getpwnam(a->user)) != NULL) {
		a->uid = pw->pw_uid;
		a->gid = pw->pw_gid;
	}
	if (a->uid == 0 || a->gid == 0)
		return complain(a, "-u", a->user, "no account, or root's");
	/* not relative: it is entered from the mailbox's directory, too */
	errno = 0;
	if (*a->empty != '/' || lstat(a->empty, &st) == -1 ||
	    !S_ISDIR(st.st_mode) || st.st_uid != 0 ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return complain(a, "-e", a->empty,
		    "not a directory that root alone can write");
	return 0;
}

/* Is there a path in an option? A pipe's mailbox alone may be relative. */
static int
start_path(struct auth *a, const char *option, const char *value, int pipe)
{
	static const struct account any = { .name = "u", .home = "/" };
	char path[PATH_OCTETS];

	errno = 0;
	return expand(value, pipe ? &a->account : &any, path) == 0 &&
	    (*path == '/' || (pipe && value == a->mailbox)) ? 0 :
	    complain(a, option, value, "not / or %h first, "
	    "an unknown %, no name or home for it, or too long");
}

/* Do the options fit, and can what they name be had? NULL, or why not. */
static const char *
start_options(struct auth *a, int pipe)
{
	struct sockaddr_un to;
	struct claim c;

	if (a->challenge != NULL && (a->file == NULL || a->saslauthd != NULL))
		return "-a needs -f, and no -x";
	if (a->saslauthd != NULL && (*a->saslauthd != '/' ||
	    strlen(a->saslauthd) >= sizeof(to.sun_path)))
		return "-x is not a path from / on, or too long";
	if (start_path(a, "-m", a->mailbox, pipe) == -1 ||
	    (a->index != NULL && start_path(a, "-i", a->index, pipe) == -1) ||
	    (a->file != NULL && !pipe &&
	    find_in_file(a, NULL, &c) == AUTH_TROUBLE) ||
	    (a->root && start_root(a) == -1))
		return a->why;
	auth_wipe(&c, sizeof(c));
	return NULL;
}

const char *
auth_start(struct auth *a, int pipe)
{
	const struct passwd *pw = pipe ? getpwuid(getuid()) : NULL;
	const char *why;

	a->root = geteuid() == 0;
	if (getuid() != geteuid() || getgid() != getegid())
		return "a set-id installation is not supported";
	if (pipe && a->root)
		return "-p is not for root";
	if (!pipe && !a->root && a->file == NULL)
		return "not root, and no -f";
	if (pw != NULL)
		set_account(a, getuid(), getgid(), pw->pw_name, pw->pw_dir);
	if ((why = start_options(a, pipe)) != NULL || a->root)
		return why;
	start_scout(a);
	confine(ONLY_PROCESS);
	return NULL;
}
