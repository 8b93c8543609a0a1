/*
 * Who may: accounts, verification, the processes and their privileges.
 *
 * Started as root, a connection is served by these processes, each of which
 * can do only what its line says, also when somebody has taken it over:
 *
 *   root --+-- dialogue  uid of -u, chroot -e, no files, no forks. It alone
 *          |             reads what a stranger sends. It may ask TRIES_MAX
 *          |             times, with fixed records, and is told yes or no.
 *          +-- verifier  root; one a record, which it reads itself and does not
 *          |             trust. It tells root an account or nothing. alarm(2)
 *          |             ends it, and while it waits, the dialogue's end does.
 *          +-- keeper    after login: the user, and the group of the spool if
 *          |             that is what locks need; chroot to the mailbox's
 *          |             directory. Single octets from the session: lock,
 *          |             unlock. It ends, and its lock, when the session does.
 *          '-> session   root itself, once it has opened the mailbox as the
 *                        user: chroot -e, the user for good. One descriptor.
 *
 * Root reads nothing that comes from the client or the dialogue, and no secret.
 * What may run as root is called priv_. Started by an ordinary user all is one
 * process, which has nothing to give up.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <grp.h>
#include <pwd.h>

#include "pop3.h"

/* What systems have beyond POSIX: hashes, and ways to confine a process. */
#if defined(__GLIBC__) || defined(__sun)
#include <crypt.h>
#endif
#if defined(__linux__) || defined(__sun)
#include <shadow.h>

/* The hash of an account that may log in now: shadow(5). NULL: it may not. */
static const char *
get_hash(const struct passwd *pw)
{
	const struct spwd *sp = getspnam(pw->pw_name);
	long today = (long)(time(NULL) / 86400);

	if (sp == NULL)
		return strcmp(pw->pw_passwd, "x") == 0 ? NULL : pw->pw_passwd;
	if ((sp->sp_expire >= 0 && sp->sp_expire <= today) ||
	    sp->sp_lstchg == 0)
		return NULL;
	if (sp->sp_lstchg > 0 && sp->sp_max >= 0 && sp->sp_inact >= 0 &&
	    today > sp->sp_lstchg + sp->sp_max + sp->sp_inact)
		return NULL;
	return sp->sp_pwdp;
}
#else
/* The same on the BSDs: passwd(5) itself says when an account ends; 0: never. */
#define get_hash(pw)	((pw)->pw_expire > 0 &&				\
	(pw)->pw_expire <= time(NULL) ? NULL : (pw)->pw_passwd)
#endif

/* OpenBSD's getpwnam hides the hash from root, too. */
#if !defined(__OpenBSD__)
#define getpwnam_shadow	getpwnam
#endif

/* A dialogue ends with root; a session does not with the superserver. */
#if defined(__OpenBSD__)
#define confine_more(writes)	pledge("stdio flock", NULL)
#elif defined(__linux__)
#include <sys/prctl.h>
#define confine_more(writes)	\
	prctl(PR_SET_PDEATHSIG, (writes) ? 0UL : SIGKILL)
#else
#define confine_more(writes)	0
#endif

/*
 * illumos has no limit of processes: they lose the privilege to make some, and
 * three more. Its select is poll, which fails where it may have no descriptor.
 */
#if defined(__sun)
#include <priv.h>
#define FILES		1
#define stop_forks(none)						\
	priv_set(PRIV_OFF, PRIV_ALLSETS, PRIV_PROC_FORK, PRIV_PROC_EXEC,	\
	    PRIV_PROC_INFO, PRIV_NET_ACCESS, (char *)NULL)
#elif defined(RLIMIT_NPROC)
#define FILES		0
#define stop_forks(none)	setrlimit(RLIMIT_NPROC, none)
#else
#error "nothing here keeps a confined process from making others"
#endif

#define LINE_OCTETS	2048	/* of a line of -f, with its NUL */

void
auth_wipe(void *p, size_t len)
{
	volatile char *c = p;

	while (len-- > 0)
		*c++ = 0;
}

static int
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

/* A home that is too long counts as none, which matters only to %h. */
static void
set_account(struct auth *a, uid_t uid, gid_t gid, const char *name,
    const char *home)
{
	a->account.uid = uid;
	a->account.gid = gid;
	snprintf(a->account.name, sizeof(a->account.name), "%s", name);
	snprintf(a->account.home, sizeof(a->account.home), "%s",
	    strlen(home) < sizeof(a->account.home) ? home : "");
}

/* Take one line of the -f file: its hash, if it is the account looked for. */
static const char *
take_entry(struct auth *a, const char *name, char *line)
{
	char *field[6];
	size_t i;

	line[strcspn(line, "\r")] = '\0';
	for (i = 0; i < 6; i++) {
		field[i] = line;
		line += strcspn(line, ":");
		if (*line != '\0')
			*line++ = '\0';
	}
	/* a comment's # is in no name */
	if (strcmp(field[0], name) != 0)
		return NULL;
	set_account(a, parse_id(field[2], '\0'), parse_id(field[3], '\0'), name,
	    field[5]);
	if (a->root && (a->account.uid == 0 || a->account.gid == 0))
		syslog(LOG_ERR, "%s: no uid and gid for %s", a->file, name);
	return field[1];
}

/* The hash of the first such account, in line; NULL: there is none. */
static const char *
find_in_file(struct auth *a, const char *name, char line[LINE_OCTETS])
{
	char room[4096];
	struct stat st;
	FILE *f = fopen(a->file, "r");
	const char *hash = NULL;
	size_t len;
	int c = 0;

	if (f == NULL || fstat(fileno(f), &st) == -1 ||
	    (st.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
		syslog(LOG_ERR, "%s: not readable, or by others too", a->file);
		c = EOF;
	} else
		setvbuf(f, room, _IOFBF, sizeof(room));
	while (hash == NULL && c != EOF) {
		for (len = 0; (c = getc(f)) != EOF && c != '\n'; len++)
			if (len < LINE_OCTETS)
				line[len] = (char)c;
		/* one that is too long is none, nor is one with a NUL */
		line[len < LINE_OCTETS ? len : 0] = '\0';
		if (strlen(line) == len)
			hash = take_entry(a, name, line);
	}
	if (f != NULL)
		fclose(f);
	auth_wipe(room, sizeof(room));
	return hash;
}

/* The name is the account's own: what was typed may be another spelling. */
static const char *
find_in_system(struct auth *a, const char *name)
{
	const struct passwd *pw = getpwnam_shadow(name);

	if (pw == NULL || !is_name(pw->pw_name))
		return NULL;
	set_account(a, pw->pw_uid, pw->pw_gid, pw->pw_name, pw->pw_dir);
	return get_hash(pw);
}

/* Compare in a time that depends on the lengths alone. */
static int
is_equal(const char *a, const char *b)
{
	size_t i, len = strlen(a);
	unsigned differ = len != strlen(b);

	for (i = 0; i < len && !(differ & 1); i++)
		differ |= (unsigned)(unsigned char)(a[i] ^ b[i]) << 1;
	return differ == 0;
}

/* Whether the secret belongs to the hash: crypt(3), {PLAIN}, or APOP's MD5. */
static int
is_secret(const struct auth *a, const struct attempt *t, const char *hash)
{
	const char *got;
	char digest[33];
	struct md5 m;
	int plain, i;

	plain = strncmp(hash, "{PLAIN}", 7) == 0;
	if (*hash == '{' && strchr(hash, '}') != NULL)
		hash = strchr(hash, '}') + 1;
	if (*hash == '\0')
		return 0;
	if (t->mechanism == AUTH_APOP && plain && a->challenge != NULL) {
		md5_init(&m);
		md5_update(&m, a->challenge, strlen(a->challenge));
		md5_update(&m, hash, strlen(hash));
		md5_finish(&m, 1);
		for (i = 0; i < 16; i++)
			snprintf(digest + 2 * i, 3, "%02x",
			    (unsigned)m.state[i / 4] >> 8 * (i % 4) & 255);
		return is_equal(digest, t->secret);
	}
	if (t->mechanism != AUTH_PASS || (!plain && strchr("*!", *hash)))
		return 0;
	/* crypt's failures, NULL and "*0", equal no hash that is tried */
	got = plain ? t->secret : crypt(t->secret, hash);
	return got != NULL && is_equal(got, hash);
}

/* Wait for the next full multiple of TRY_SECONDS behind begun. */
static void
hold_back(long long begun)
{
	long long step = TRY_SECONDS * 1000;
	long ms = (long)(step - (clock_ms() - begun) % step);
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	alarm(0);
	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		;
}

/*
 * Whether t is the login of an account: that is in a->account then. A no
 * takes its time. Nothing in t is trusted, not even that its strings end.
 */
static int
verify(struct auth *a, struct attempt *t)
{
	const struct account *who = &a->account;
	long long begun = clock_ms();
	const char *hash = NULL;
	char line[LINE_OCTETS];
	int ok;

	t->user[NAME_OCTETS + 1] = t->secret[FIELD_MAX] = '\0';
	if (is_name(t->user))
		hash = a->file != NULL ? find_in_file(a, t->user, line) :
		    find_in_system(a, t->user);
	ok = hash != NULL && strlen(hash) <= FIELD_MAX &&
	    is_secret(a, t, hash) && (!a->root || (who->uid != 0 &&
	    who->gid != 0 && who->uid != a->uid));
	auth_wipe(line, sizeof(line));
	auth_wipe(t->secret, sizeof(t->secret));
	if (!ok) {
		memset(&a->account, 0, sizeof(a->account));
		syslog(LOG_NOTICE, "LOGIN FAILED, user=%s, ip=[%s]",
		    is_name(t->user) ? t->user : "-", a->ip);
		hold_back(begun);
	}
	return ok;
}

/* ---- Login ---- */

int
auth_try(struct auth *a, struct attempt *t)
{
	char answer = 'n';

	a->tries++;
	if (a->root) {
		/* what was begun in time is answered */
		alarm(0);
		if (write(a->to, t, sizeof(*t)) != sizeof(*t) ||
		    read(a->from, &answer, 1) != 1)
			_exit(1);
	} else if (verify(a, t))
		answer = 'y';
	auth_wipe(t, sizeof(*t));
	return answer == 'y';
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

/* No more descriptors, no more processes. */
static void
confine(int writes)
{
	struct rlimit none = { 0, 0 }, files = { FILES, FILES };

	if (setrlimit(RLIMIT_NOFILE, &files) == -1 ||
	    stop_forks(&none) == -1 ||
	    (!writes && setrlimit(RLIMIT_FSIZE, &none) == -1) ||
	    confine_more(writes) == -1)
		die("cannot confine a process");
}

/*
 * One login, in a process of its own. It is what holds a no back. Exit status
 * 0: it was tried, and answer has the account if it may come in.
 */
static void
priv_verify(struct auth *a, int records, int answer)
{
	const struct account *who = &a->account;
	struct attempt t;

	if (read(records, &t, sizeof(t)) != sizeof(t))
		_exit(1);
	signal(SIGALRM, SIG_DFL);
	alarm(60);
	if (verify(a, &t) && write(answer, who, sizeof(*who)) != sizeof(*who))
		die("verifier");
	_exit(0);
}

/*
 * Wait for a process. When the time is over the dialogue is ended: then the
 * verifier, too, has nothing more to wait for.
 */
static int
priv_wait(pid_t pid, pid_t dialogue)
{
	int status = 0;

	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		kill(dialogue, SIGKILL);
	return status;
}

/* Have one record verified: 1, 0, or -1: the dialogue is over. */
static int
priv_try(struct auth *a, int records, int answers, pid_t dialogue)
{
	int p[2], yes, status;
	pid_t pid;

	if (pipe(p) == -1 || (pid = fork()) == -1) {
		syslog(LOG_ERR, "no verifier: %s", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		close(p[0]);
		close(answers);
		priv_verify(a, records, p[1]);
	}
	close(p[1]);
	status = priv_wait(pid, dialogue);
	yes = read(p[0], &a->account, sizeof(a->account)) ==
	    sizeof(a->account);
	close(p[0]);
	if (WIFSIGNALED(status))
		syslog(LOG_NOTICE, "LOGIN FAILED, user=-, ip=[%s]", a->ip);
	return status == 0 ? yes : -1;
}

/*
 * Root's side of the login: no octet of the dialogue's is read here. The
 * dialogue keeps the time itself; the alarm is for one that does not.
 */
static int
priv_login(struct auth *a, void (*dialogue)(void *), void *arg)
{
	int to[2], from[2], r = 0;
	pid_t pid;

	if (pipe(to) == -1 || pipe(from) == -1 || (pid = fork()) == -1) {
		syslog(LOG_ERR, "no dialogue: %s", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		close(to[0]);
		close(from[1]);
		a->to = to[1];
		a->from = from[0];
		priv_drop(a->uid, a->gid, a->empty);
		confine(0);
		dialogue(arg);
		_exit(0);
	}
	close(to[1]);
	close(from[0]);
	alarm(a->seconds + TRY_SECONDS);
	while (r == 0 && a->tries++ < TRIES_MAX) {
		r = priv_try(a, to[0], from[1], pid);
		if (r >= 0 && write(from[1], r ? "y" : "n", 1) != 1)
			r = -1;
	}
	close(to[0]);
	close(from[1]);
	priv_wait(pid, pid);
	alarm(0);
	return r == 1;
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
 * The lock keeper. Single octets from the session, single octets back, and a
 * touch when there was none for a while; when there are no more, however that
 * came about, the lock goes too.
 */
static void
keeper_run(struct dotlock *d, int fd)
{
	char what;
	ssize_t n;

	while ((n = read(fd, &what, 1)) == 1 ||
	    (n == -1 && (errno == EAGAIN || errno == EINTR))) {
		if (n == -1 || what != DOT_LOCK)
			what = n == -1 ? DOT_TOUCH : DOT_UNLOCK;
		what = dotlock_step(d, what);
		if (n == 1 && write(fd, &what, 1) != 1)
			break;
	}
	dotlock_step(d, DOT_UNLOCK);
	_exit(0);
}

/*
 * Start the keeper in the mailbox's directory, which is the working directory.
 * Its group is the directory's where that is how locks are made: a spool that
 * is not the user's, that its group may write and not everybody, and whose
 * name no user has a part in.
 */
static int
priv_start_keeper(struct auth *a, struct mbox *m)
{
	const char *base = strrchr(a->mailbox, '/');
	struct timeval t = { REFRESH_SECONDS, 0 };
	gid_t gid = a->account.gid;
	struct stat st;
	sigset_t all;
	int pair[2];
	pid_t pid;

	if (stat(".", &st) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1 ||
	    setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == -1)
		return -1;
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) == S_IWGRP &&
	    st.st_uid != a->account.uid && st.st_gid != 0 && base != NULL &&
	    memchr(a->mailbox, '%', (size_t)(base - a->mailbox)) == NULL &&
	    strstr(base, "%h") == NULL)
		gid = st.st_gid;
	if ((pid = fork()) == 0) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		close(0);
		close(1);
		close(m->fd);
		close(pair[0]);
		priv_drop(a->account.uid, gid, ".");
		closelog();
		keeper_run(&m->dot, pair[1]);
	}
	close(pair[1]);
	m->keeper = pair[0];
	return pid == -1 ? -1 : 0;
}

/* Open the mailbox once, with the user's ids, and drop everything else. */
static enum mbox_result
priv_enter(struct auth *a, struct mbox *m, const char *path)
{
	const struct account *who = &a->account;
	enum mbox_result r;
	int saved;

	if (setgroups(1, &who->gid) == -1 || setegid(who->gid) == -1 ||
	    seteuid(who->uid) == -1)
		die("cannot become the user");
	r = mbox_open(m, path, who->uid);
	if (seteuid(0) == -1 || setegid(0) == -1)
		die("cannot become root again");
	if (r == MBOX_OK && m->fd != -1 && priv_start_keeper(a, m) == -1) {
		m->why = "has no lock keeper";
		r = MBOX_TEMP;
	}
	saved = errno;
	priv_drop(who->uid, who->gid, a->empty);
	confine(1);
	errno = saved;
	return r;
}

/* Build a mailbox's path from -m. -1: it is unknown, empty or too long. */
static int
expand(const char *p, const char *name, const char *home,
    char path[PATH_OCTETS])
{
	const char *add;
	char one[2] = "";
	size_t len = 0, n;

	for (; *p != '\0'; p++) {
		one[0] = *p;
		add = one;
		if (*p == '%' && *++p != '%')
			add = *p == 'u' ? name : *p == 'h' ? home : "";
		n = strlen(add);
		if (n == 0 || n >= PATH_OCTETS - len)
			return -1;
		memcpy(path + len, add, n + 1);
		len += n;
	}
	return len == 0 ? -1 : 0;
}

enum mbox_result
auth_enter(struct auth *a, struct mbox *m)
{
	char path[PATH_OCTETS];

	if (expand(a->mailbox, a->account.name, a->account.home, path) == -1) {
		syslog(LOG_ERR, "-m: no home, or the path is too long, user=%s",
		    a->account.name);
		path[0] = '\0';
	}
	return a->root ? priv_enter(a, m, path) : mbox_open(m, path, getuid());
}

/* ---- Start ---- */

/* -u is uid:gid, so that nothing need be looked up, or a name. */
static const char *
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
		return "-u: no such account, or it is root's";
	/* not relative: it is entered from the mailbox's directory, too */
	if (*a->empty != '/' || lstat(a->empty, &st) == -1 ||
	    !S_ISDIR(st.st_mode) || st.st_uid != 0 ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return "-e: not a directory that root alone can write";
	return NULL;
}

const char *
auth_start(struct auth *a, int pipe)
{
	const struct passwd *pw = pipe ? getpwuid(getuid()) : NULL;
	char path[PATH_OCTETS];

	a->root = geteuid() == 0;
	if (getuid() != geteuid() || getgid() != getegid())
		return "a set-id installation is not supported";
	if (a->challenge != NULL && a->file == NULL)
		return "-a needs -f";
	if (pipe && a->root)
		return "-p is not for root";
	if (pw != NULL)
		set_account(a, getuid(), getgid(), pw->pw_name, pw->pw_dir);
	/* before the login any name will do to try -m */
	if (expand(a->mailbox, pipe ? a->account.name : "u",
	    pipe ? a->account.home : "/", path) == -1)
		return "-m: unknown %, no name or home for it, or too long";
	if (pipe)
		return NULL;
	if (a->root)
		return start_root(a);
	return a->file == NULL ? "not root, and no -f" : NULL;
}
