/*
 * What an attacker tries: a dialogue and a session that were taken over, users
 * who put things in the way of their mailbox and its lock, mailboxes that
 * change or do not end, and what a superserver may leave behind.
 *
 * auth.c and mailbox.c are called as main() does, with hostile
 * code in the place of pop3.c's; the rest is done to the real program (POP3D,
 * ./pop3d). Most of it is for root. What other programs try already is not
 * repeated here. With CHECK_LONG set, trials of several minutes are run too.
 */
#if defined(__linux__)
#define _GNU_SOURCE 1		/* ptrace's relatives, leases, limits */
#endif
#include <sys/types.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sched.h>
#endif

/* What processes of a test tell each other. */
struct shared {
	int in, entered;
	int yes, no;		/* answers that a dialogue got */
	char got[1024];		/* what a probe succeeded in */
	long opened, refused;
	pid_t session;
	unsigned calls[2];	/* behind mbox_load, by session and keeper */
	int stops, at;		/* one of them stops behind this call, */
	int stopped;		/* and has */
	long later;		/* seconds all clocks are put forward */
	int result;		/* of mbox_update, or -1 */
};

static struct shared *sh;
enum { NEITHER = -1, THE_SESSION, THE_KEEPER, BOTH };
static int slept;		/* seconds of naps that were not taken */

/*
 * What stands behind each call that changes the mailbox or its lock, which has
 * returned r: some tests stop or end a process there.
 */
static int
behind_call(ssize_t r)
{
	int saved = errno, who = getpid() == sh->session ? THE_SESSION :
	    THE_KEEPER;

	if (sh->at > 0 && sh->result == -1 &&
	    ++sh->calls[who] == (unsigned)sh->at && who == sh->stops) {
		sh->stopped = 1;
		kill(getpid(), SIGSTOP);
	}
	errno = saved;
	return (int)r;	/* a window is written at most */
}

/* And they let minutes pass. */
static int
slow_clock_gettime(clockid_t id, struct timespec *t)
{
	int r = clock_gettime(id, t);

	t->tv_sec += sh->later + slept;
	return r;
}

/* Where a process is made to wait for locks, nobody else does. */
static int
slow_nanosleep(const struct timespec *t, struct timespec *rest)
{
	if (sh->at == 0)
		return nanosleep(t, rest);
	slept++;
	return 0;
}

static off_t window_octets = 16 * 1024 * 1024;
#define WINDOW			window_octets
#define pwrite(fd, p, n, at)	behind_call(pwrite(fd, p, n, at))
#define fsync(fd)		behind_call(fsync(fd))
#define ftruncate(fd, n)	behind_call(ftruncate(fd, n))
#define link(from, to)		behind_call(link(from, to))
#define unlink(name)		behind_call(unlink(name))
#define futimens(fd, t)		behind_call(futimens(fd, t))
#define clock_gettime(id, t)	slow_clock_gettime(id, t)
#define nanosleep(t, rest)	slow_nanosleep(t, rest)
#define time(t)			(time(t) + sh->later)
#include "../mailbox.c"
#include "real.h"

/* After it: Check's macro fail would hide a function. */
#include <check.h>
#include "suite.h"
#include "peer.h"

static const char mail_1[] = "From a@b Mon Nov 23 10:00:00 2026\n"
    "Received: x\nSubject: one\n\ntext\n\n";
static const char login[] = "USER alice\r\nPASS s\r\n";
static const char dele_quit[] = "USER alice\r\nPASS s\r\nDELE 1\r\nQUIT\r\n";

static const char victim[] = "nobody's business\n";
/* Ids that no other run of these tests has at the same time. */
static unsigned dialogue_id, user_id, other_id, spool_id;
static char mail_2[4000];	/* a message longer than the first */

/* ---- Small tools ---- */

static void
own(const char *path, unsigned id)
{
	if (getuid() == 0)
		ck_assert(lchown(path, id, id) == 0);
}

static void
make_file(char *path, const char *text, size_t len, unsigned id)
{
	put_file(path, text, len, 0600);
	own(path, id);
}

static void
make_dir(const char *path, mode_t mode, unsigned uid, unsigned gid)
{
	ck_assert_msg(mkdir(path, 0755) == 0, "%s: %s", path, strerror(errno));
	if (getuid() == 0)
		ck_assert(chown(path, uid, gid) == 0);
	ck_assert(chmod(path, mode) == 0);
}

static int
shell(const char *command)
{
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };

	return run(argv);
}

/* The octets of a file; the caller's until the next call. */
static const char *
contents(const char *path, size_t *len)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text));

	if (fd != -1)
		close(fd);
	*len = n > 0 ? (size_t)n : 0;
	return text;
}

/* Whether a file has both messages, or the second alone. */
static int
has_mail(const char *path, int first)
{
	size_t len, at = first ? strlen(mail_1) : 0;
	const char *text = contents(path, &len);

	return len == at + strlen(mail_2) &&
	    memcmp(text, mail_1, at) == 0 &&
	    memcmp(text + at, mail_2, strlen(mail_2)) == 0;
}

static int
is_in(const char *text, size_t len, const char *mail)
{
	size_t i;

	for (i = 0; i + strlen(mail) <= len; i++)
		if (memcmp(text + i, mail, strlen(mail)) == 0)
			return 1;
	return 0;
}

static void
make_mailbox(char *path, unsigned id)
{
	char text[sizeof(mail_1) + sizeof(mail_2)];

	snprintf(text, sizeof(text), "%s%s", mail_1, mail_2);
	make_file(path, text, strlen(text), id);
}

/* Whether a directory holds a name that begins so. */
static int
holds(const char *dir, const char *begin)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL)
		n += strncmp(e->d_name, begin, strlen(begin)) == 0;
	closedir(d);
	return n;
}

/* A process that does one thing until it is ended, with a user's ids. */
static pid_t
start_helper(unsigned id, void (*act)(void))
{
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0) {
		if (id != 0)
			become(id);
		for (;;)
			act();
	}
	ck_assert(pid != -1);
	return pid;
}

static void
end_helper(pid_t pid)
{
	ck_assert(kill(pid, SIGKILL) == 0);
	ck_assert(waitpid(pid, NULL, 0) == pid);
}

static int
count_fds(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
	return holds(path, "") - 2;
}

/* ---- The real program ---- */

static int
count_ok(const struct peer *c)
{
	const char *p = c->got;
	int n = 0;

	while (p != NULL && (p = strstr(p, "+OK")) != NULL) {
		n += p == c->got || p[-1] == '\n';
		p++;
	}
	return n;
}

/*
 * Read until there are that many answers, +OK all: 1. 0: the connection has
 * ended. -1: neither in that time.
 */
static int
answers(struct peer *c, int want, long ms)
{
	long long end = now_ms() + ms;
	int r = 1;

	while (count_ok(c) < want && r == 1)
		r = now_ms() >= end ? -1 :
		    read_more(c, (int)(end - now_ms()));
	return r;
}

static void
expect_ok(struct peer *c, int want)
{
	ck_assert_msg(answers(c, want, 10000) == 1, "not %d answers: %s", want,
	    c->got);
}

static void
expect_no_more(struct peer *c, long ms)
{
	ck_assert_msg(answers(c, 1000, ms) == 0, "no end: %s", c->got);
}

static void
hang_up(int fd)
{
	close(fd);
	ck_assert(all_ended(5000));
}

/* One session, all of it said at once. */
static void
session(struct peer *c, void (*prepare)(void), const char *const argv[],
    const char *text)
{
	start_with(c, prepare, argv);
	if (send(c->fd, text, strlen(text), MSG_NOSIGNAL) == -1)
		errno = 0;	/* it has ended already */
	expect_no_more(c, 15000);
	close(c->fd);
	ck_assert_msg(all_ended(15000), "a process is left");
}

/* Where a server has its accounts and the rest. */
static char accounts[PATH_MAX], box_path[PATH_MAX], empty[PATH_MAX];
static char dialogues[64];

static void
set_words(const char *mailbox)
{
	snprintf(accounts, sizeof(accounts), "%s", in_base("accounts"));
	snprintf(box_path, sizeof(box_path), "%s", mailbox);
	snprintf(empty, sizeof(empty), "%s", in_base("empty"));
	snprintf(dialogues, sizeof(dialogues), "%u:%u", dialogue_id,
	    dialogue_id);
}

/* The options of a server for accounts of a file. */
static const char *const *
server(const char *mailbox, const char *option, const char *value)
{
	static const char *argv[] = { program, "-f", accounts, "-m",
	    box_path, "-e", empty, "-u", dialogues, NULL, NULL, NULL };

	set_words(mailbox);
	argv[9] = option;
	argv[10] = value;
	return argv;
}

static void
start_server(struct peer *c, void (*prepare)(void), const char *option,
    const char *value)
{
	start_with(c, prepare, server(in_base("spool/%%u"), option, value));
}

/* Each test has a directory of its own, with accounts and an empty spool. */
static void
begin(void)
{
	char text[PATH_MAX + 64], command[sizeof(scratch) + 64];
	size_t i;

	memset(sh, 0, sizeof(*sh));
#if defined(__linux__)
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
#endif
	signal(SIGPIPE, SIG_IGN);
	setenv("ASAN_OPTIONS", "detect_leaks=0", 0);
	snprintf(command, sizeof(command), "cd '%s' && rm -rf $(ls -A | "
	    "grep -vx pop3d)", scratch);
	ck_assert(shell(command) == 0);
	i = (size_t)snprintf(mail_2, sizeof(mail_2), "%s",
	    "From a@b Mon Nov 23 10:00:01 2026\nReceived: y\n\n");
	while (i < sizeof(mail_2) - 80)
		i += (size_t)snprintf(mail_2 + i, sizeof(mail_2) - i,
		    "octet %lu of the mail that stays\n", (unsigned long)i);
	snprintf(mail_2 + i, sizeof(mail_2) - i, "\n");
	make_dir(in_base("empty"), 0755, getuid(), getgid());
	make_dir(in_base("home"), 0700, user_id, user_id);
	make_dir(in_base("spool"), 02775, getuid(), spool_id);
	make_mailbox(in_base("spool/alice"), user_id);
	make_mailbox(in_base("home/alice"), user_id);
	make_file(in_base("victim"), victim, strlen(victim), other_id);
	ck_assert(chmod(in_base("victim"), 0666) == 0);
	snprintf(text, sizeof(text), "alice:{PLAIN}s:%u:%u::%s:\n", user_id,
	    user_id, in_base("home"));
	make_file(in_base("accounts"), text, strlen(text), getuid());
}

static void
expect_as_it_was(const char *path, const char *text, mode_t mode, unsigned id)
{
	size_t len;
	const char *is = contents(path, &len);
	struct stat st;

	ck_assert(lstat(path, &st) == 0);
	ck_assert_msg(len == strlen(text) && memcmp(is, text, len) == 0 &&
	    (st.st_mode & 07777) == mode && st.st_uid == id,
	    "%s has changed: mode %o, of %u, \"%.*s\"", path,
	    (unsigned)st.st_mode, (unsigned)st.st_uid, (int)len, is);
}

static void
expect_victim_untouched(void)
{
	expect_as_it_was(in_base("victim"), victim, 0666, other_id);
}

/* ---- Probes: what a process that was taken over would try ---- */

static void
got(int success, const char *what)
{
	size_t n = strlen(sh->got);

	if (success)
		snprintf(sh->got + n, sizeof(sh->got) - n, "%s, ", what);
}

/* A descriptor that came through the client's Unix socket. */
static int
receive_fd(void)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char octet;
	struct iovec v = { &octet, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
	    .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *h;

	if (recvmsg(0, &m, MSG_DONTWAIT) != 1) {
		got(1, "(nothing was sent)");
		return 0;
	}
	h = CMSG_FIRSTHDR(&m);
	return h != NULL && h->cmsg_len > CMSG_LEN(0);
}

/* Send a descriptor, a directory outside of every chroot. */
static void
send_fd(int to, const char *text)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char room[64];
	struct iovec v = { room, strlen(text) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
	    .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int fd = open("/", O_RDONLY);

	snprintf(room, sizeof(room), "%s", text);
	memset(&control, 0, sizeof(control));
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	ck_assert(sendmsg(to, &m, 0) == (ssize_t)strlen(text));
	close(fd);
}

static void
probe_files(void)
{
	struct rlimit more = { 64, 64 };
	char *argv[] = { NULL };
	int fd;

	got(setrlimit(RLIMIT_NOFILE, &more) == 0, "more descriptors");
	got(setrlimit(RLIMIT_NPROC, &more) == 0, "more processes");
	got(fcntl(0, F_DUPFD, 0) != -1, "F_DUPFD");
	got(receive_fd(), "a descriptor from the client");
	got(open("/proc/self/exe", O_RDONLY) != -1, "/proc");
	got(open(".", O_RDONLY) != -1, "its own directory");
	got(mkdir("x", 0700) == 0 || symlink("/", "x") == 0 ||
	    mkfifo("x", 0600) == 0, "a new name");
	got(unlink("x") == 0 || rmdir("x") == 0, "unlink");
	for (fd = 0; fd < 256; fd++)
		got(fchdir(fd) == 0, "a way out of the chroot");
	got(execv("/proc/self/exe", argv) == 0 ||
	    execv("/bin/sh", argv) == 0, "exec");
#if defined(__linux__)
	got(syscall(SYS_memfd_create, "x", 0) != -1, "memfd_create");
	got(syscall(SYS_epoll_create1, 0) != -1, "epoll");
	got(syscall(SYS_inotify_init1, 0) != -1, "inotify");
	got(syscall(SYS_eventfd2, 0, 0) != -1, "eventfd");
	got(unshare(CLONE_NEWUSER) == 0, "a user namespace");
#endif
}

/* Another process; with same, of the same user, who may end and limit it. */
static void
probe_process(pid_t pid, int same)
{
#if defined(__linux__)
	struct rlimit r = { 1, 1 };
	char octet;
	struct iovec here = { &octet, 1 }, there = { sh, 1 };

	got(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0, "ptrace");
	got(process_vm_readv(pid, &here, 1, &there, 1, 0) != -1, "its memory");
	got(!same && prlimit(pid, RLIMIT_CORE, &r, NULL) == 0, "its limits");
#endif
	got(!same && kill(pid, SIGSTOP) == 0, "a signal");
}

static int log_socket = -1;		/* what descriptor 2 is, if not the client */

/* ---- As root: a dialogue that was taken over ---- */

static struct auth
an_auth(const char *mailbox)
{
	set_words(mailbox);
	return (struct auth){ .file = accounts, .mailbox = box_path,
	    .empty = empty, .user = dialogues, .ip = "192.0.2.7",
	    .seconds = 10 };
}

static void
on_alarm(int sig)
{
	(void)sig;
	alarm(1);
}

/*
 * What main() does, in a process of its own with fd as the client: the login
 * and, unless session is NULL, what comes behind it. Its pid.
 */
static pid_t
serve(struct auth *a, int fd, void (*dialogue)(void *),
    void (*behind)(struct mbox *))
{
	static struct mbox m;
	struct sigaction sa = { .sa_handler = on_alarm };
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) != 0)
		return pid;
	sigaction(SIGALRM, &sa, NULL);
	signal(SIGXFSZ, SIG_IGN);
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(log_socket == -1 ? fd : log_socket, 2);
	for (fd = 3; fd < 64; fd++)
		close(fd);
	if (auth_start(a, 0) != NULL)
		_exit(3);
	sh->in = auth_login(a, dialogue, a);
	if (sh->in != 1 || behind == NULL)
		_exit(4);
	sh->entered = 1 + (int)auth_enter(a, &m);
	if (sh->entered == 1 + MBOX_OK)
		behind(&m);
	mbox_close(&m);
	_exit(0);
}

static void
send_record(struct auth *a, const char *user, const char *secret)
{
	struct attempt t = { .mechanism = AUTH_PASS };

	snprintf(t.user, sizeof(t.user), "%s", user);
	snprintf(t.secret, sizeof(t.secret), "%s", secret);
	if (write(a->to, &t, sizeof(t)) != sizeof(t))
		_exit(1);
}

static void
take_answers(struct auth *a)
{
	char c;

	while (read(a->from, &c, 1) == 1)
		*(c == 'y' ? &sh->yes : &sh->no) += 1;
}

static void
good_dialogue(void *arg)
{
	send_record(arg, "alice", "s");
	take_answers(arg);
}

/* Root, the verifier and whatever else has a number near its own. */
static void
probing_dialogue(void *arg)
{
	pid_t pid;

	probe_files();
	for (pid = getppid(); pid < getpid() + 8; pid++)
		if (pid != getpid() && kill(pid, 0) == -1 && errno == EPERM)
			probe_process(pid, 0);
	kill(-1, SIGKILL);	/* its like: who else is hit shows later */
	got(kill(getppid(), SIGKILL) == 0, "a signal to root");
	good_dialogue(arg);
}

/* Whoever is taken over, by a client who has sent a descriptor, gets nothing. */
static void
take_over(void (*dialogue)(void *), void (*behind)(struct mbox *))
{
	struct auth a = an_auth(in_base("spool/%%u"));
	int fd[2];

	ck_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	send_fd(fd[0], "x");
	serve(&a, fd[1], dialogue, behind);
	close(fd[1]);
	ck_assert(all_ended(8000));
	ck_assert_str_eq(sh->got, "");
}

AS_ROOT(a_dialogue_that_was_taken_over_reaches_no_file_and_no_process)
{
	take_over(probing_dialogue, NULL);
	/* and nobody else was hit: the login still works */
	ck_assert_int_eq(sh->in, 1);
	ck_assert_int_eq(sh->yes, 1);
}

/* Root believes a record of an account: it must not be had from here. */
static void
forging_dialogue(void *arg)
{
	struct auth *a = arg;
	struct account who = { .uid = user_id, .gid = user_id,
	    .name = "alice" };
	char text[2 * sizeof(who)];
	int fd, shift = a->tries;	/* is 0 in all but this test */

	memset(text, 'p', sizeof(text));
	memcpy(text + shift, &who, sizeof(who));
	for (fd = 0; fd < 64; fd++)
		if (fd != a->to && fd > 2)
			got(write(fd, &who, sizeof(who)) != -1,
			    "a descriptor to write to");
	if (write(a->to, text, sizeof(struct attempt) + 1) == -1)
		_exit(1);
	take_answers(a);
}

AS_ROOT(an_account_record_cannot_come_from_the_dialogue)
{
	struct auth a[3];
	int i, fd[2];

	ck_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	sh->in = -1;
	for (i = 0; i < 3; i++) {
		a[i] = an_auth(in_base("spool/%%u"));
		a[i].tries = i;		/* more of them cost 3 seconds each */
		serve(&a[i], fd[1], forging_dialogue, NULL);
	}
	ck_assert(all_ended(8000));
	ck_assert_str_eq(sh->got, "");
	ck_assert_int_eq(sh->in, 0);
	ck_assert_int_eq(sh->yes, 0);
	ck_assert_int_eq(sh->no, 3);
}

/* A client may send descriptors along with his commands. */
AS_ROOT(descriptors_that_a_client_sends_are_not_taken)
{
	static struct peer c;
	pid_t child[4];
	int i, n, before;

	start_server(&c, NULL, NULL, NULL);
	expect_ok(&c, 1);
	for (i = 0; i < 200 && find_children(c.pid, child, 4) < 2; i++)
		sleep_ms(100);
	sleep_ms(100);		/* the verifier closes what is not its own */
	n = find_children(c.pid, child, 4);
	ck_assert_int_eq(n, 2);
	for (before = 0, i = 0; i < n; i++)
		before += count_fds(child[i]);
	before += count_fds(c.pid);
	send_fd(c.fd, "USER alice\r\n");
	expect_ok(&c, 2);
	for (i = 0; i < n; i++)
		before -= count_fds(child[i]);
	ck_assert_int_eq(before, count_fds(c.pid));
	say(&c, login);
	expect_ok(&c, 4);
	before = count_fds(c.pid);
	send_fd(c.fd, "NOOP\r\n");
	expect_ok(&c, 5);
	ck_assert_int_eq(before, count_fds(c.pid));
	say(&c, "QUIT\r\n");
	expect_ok(&c, 6);
	hang_up(c.fd);
}

/* ---- As root: a session that was taken over ---- */

static void
probing_session(struct mbox *m)
{
	pid_t pid;

	probe_files();
	/* the keeper is a process of the user's: a signal, but no more */
	for (pid = getpid() + 1; pid < getpid() + 8; pid++)
		probe_process(pid, 1);
	probe_process(getppid(), 0);
	got(openat(m->fd, "", O_RDWR) != -1, "another descriptor");
	got(kill(1, 0) == 0, "a signal to init");
	sh->opened = 1;		/* it is still this program */
}

AS_ROOT(a_session_that_was_taken_over_reaches_one_file)
{
	take_over(good_dialogue, probing_session);
	ck_assert_int_eq(sh->entered, 1 + MBOX_OK);
	ck_assert_int_eq(sh->opened, 1);
}

/* ---- As root: the network, and other processes of the same user ---- */

#if defined(__linux__) && defined(SYS_landlock_create_ruleset)
static struct sockaddr_in elsewhere;	/* a service that is not for it */
static struct sockaddr_un abstract;	/* one without a file */
static pid_t same;			/* a process of the same user */
static long landlock;			/* what the kernel has of it */

/* A limit of no descriptors does not stop this: two sockets are open. */
static void
probe_network(void)
{
	struct sockaddr_in own = { .sin_family = AF_INET };
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	got(kill(same, 0) == 0, "a signal");
	got(ptrace(PTRACE_ATTACH, same, NULL, NULL) == 0, "ptrace");
	got(sendto(2, "x", 1, 0, (struct sockaddr *)&abstract,
	    sizeof(abstract)) == 1, "an abstract socket");
	connect(0, &none, sizeof(none));
	got(bind(0, (struct sockaddr *)&own, sizeof(own)) == 0, "a port");
	got(connect(0, (struct sockaddr *)&elsewhere, sizeof(elsewhere)) == 0,
	    "a service");
	got(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0, "a core file");
	sh->opened = 1;
}

static void
network_dialogue(void *arg)
{
	(void)arg;
	probe_network();
}

static void
network_session(struct mbox *m)
{
	(void)m;
	probe_network();
}

/* Under -p, or with nothing done to it at all. */
static void
probe_alone(int fd, int confined)
{
	struct auth a = an_auth(in_base("home/alice"));

	become(user_id);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	dup2(fd, 0);
	dup2(log_socket, 2);
	if (confined && auth_start(&a, 1) != NULL)
		_exit(1);
	probe_network();
	_exit(0);
}

/* It may be looked at, as a program may be that the user has started. */
static void
be_open(void)
{
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	pause();
}

/* A TCP connection, the client's end first, and a service beside it. */
static void
make_connection(int fd[2])
{
	union address at;

	must(listen_at("127.0.0.1", &at) != -1 &&
	    connect_pair(fd, "127.0.0.1", NULL) == 0, "a connection");
	elsewhere = at.in;
}

enum { BY_DIALOGUE, BY_SESSION, BY_PIPE, BY_NOBODY, TAKEN };

/*
 * What a process that was taken over can reach without a new descriptor. The
 * last time round it is not confined, and reaches all of it.
 */
AS_ROOT_EACH(a_process_that_was_taken_over_stays_where_it_is, TAKEN)
{
	struct auth a = an_auth(in_base("spool/%%u"));
	int fd[2], reached = socket(AF_UNIX, SOCK_DGRAM, 0);
	size_t len;
	char want[256];
	/* some kernels let nobody trace what he has not started */
	const char *scope = contents("/proc/sys/kernel/yama/ptrace_scope",
	    &len);
	int strict = len > 0 && *scope != '0';

	landlock = syscall(SYS_landlock_create_ruleset, NULL, 0UL, 1UL);
	if (landlock < 6 && _i == 0)
		skip("a_process_that_was_taken_over_stays_where_it_is",
		    landlock < 1 ? "no Landlock in this kernel" :
		    landlock < 4 ? "this kernel's Landlock knows no network" :
		    "this kernel's Landlock knows no scope");
	abstract.sun_family = AF_UNIX;
	snprintf(abstract.sun_path + 1, sizeof(abstract.sun_path) - 1,
	    "check_hostile.%ld", (long)getpid());
	ck_assert(bind(reached, (struct sockaddr *)&abstract,
	    sizeof(abstract)) == 0);
	log_socket = socket(AF_UNIX, SOCK_DGRAM, 0);
	make_connection(fd);
	same = start_helper(_i == BY_DIALOGUE ? dialogue_id : user_id,
	    be_open);
	sleep_ms(50);		/* until it is that user's */
	fflush(stdout);
	if (_i == BY_DIALOGUE)
		serve(&a, fd[1], network_dialogue, NULL);
	else if (_i == BY_SESSION)
		serve(&a, fd[1], good_dialogue, network_session);
	else if (fork() == 0)
		probe_alone(fd[1], _i == BY_PIPE);
	close(fd[1]);
	while (sh->opened == 0)
		sleep_ms(5);
	end_helper(same);
	close(fd[0]);
	close(reached);
	ck_assert(all_ended(8000));
	/* of a kernel that is too old, what can be done is README's */
	snprintf(want, sizeof(want), "%s%s%s%s%s",
	    _i == BY_NOBODY || landlock < 6 ? "a signal, " : "",
	    (_i == BY_NOBODY || landlock < 1) && !strict ? "ptrace, " : "",
	    _i == BY_NOBODY || landlock < 6 ? "an abstract socket, " : "",
	    _i == BY_NOBODY || landlock < 4 ? "a port, a service, " : "",
	    _i == BY_NOBODY ? "a core file, " : "");
	ck_assert_str_eq(sh->got, want);
}
#endif

/* ---- As root: the keeper ---- */

/* A session of which we are the client, and its keeper. */
static pid_t session_pid, keeper;
static int client;

/* In a session: tell us that it is there, and wait. 0: we have gone. */
static int
report(void)
{
	char c;

	return write(1, "!", 1) == 1 && read(0, &c, 1) == 1;
}

/*
 * A session that passes octets on from fd 0 to its keeper, and what it answers
 * back: whoever holds the other end is the one who took it over.
 */
static void
puppet(struct mbox *m)
{
	struct dot_answer a;
	char c;

	if (write(1, "!", 1) != 1)
		return;
	while (read(0, &c, 1) == 1)
		if (write(m->keeper, &c, 1) != 1 ||
		    read(m->keeper, &a, sizeof(a)) != sizeof(a) ||
		    write(1, &a.what, 1) != 1)
			return;
}

/* The answer to an octet, or to none: -1. If it does not come, -1, too. */
static int
ask_keeper(int what)
{
	char c = (char)what;

	if ((what != -1 && write(client, &c, 1) != 1) ||
	    !wait_until(client, POLLIN, 3000) || read(client, &c, 1) != 1)
		return -1;
	return (unsigned char)c;
}

/* Log in as the client, and wait until the session says that it is there. */
static void
serve_us(const char *mailbox, void (*behind)(struct mbox *))
{
	struct auth a = an_auth(mailbox);
	int fd[2];

	ck_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	client = fd[0];
	session_pid = serve(&a, fd[1], good_dialogue, behind);
	close(fd[1]);
	ck_assert_int_eq(ask_keeper(-1), '!');
	ck_assert_int_eq(find_children(session_pid, &keeper, 1), 1);
}

/*
 * The user's own processes may end the keeper. But it has the spool's group,
 * and whoever could trace it or look into it would have that, too.
 */
AS_ROOT(a_user_cannot_get_at_the_group_of_his_keeper)
{
	static const char *const what[] = { "mem", "root", "cwd", "fd/3" };
	char path[64];
	pid_t child;
	int i;

	serve_us(in_base("spool/%%u"), puppet);
	ck_assert_int_eq(ask_keeper(DOT_UNLOCK), DOT_UNLOCK);
	fflush(stdout);
	if ((child = fork()) == 0) {
		become(user_id);
		probe_process(keeper, 1);
		probe_process(session_pid, 1);
		for (i = 0; i < 4; i++) {
			snprintf(path, sizeof(path), "/proc/%ld/%s",
			    (long)keeper, what[i]);
			got(open(path, O_RDONLY) != -1, path);
		}
		sh->opened = kill(keeper, SIGTERM) == 0;
		_exit(0);
	}
	ck_assert(waitpid(child, NULL, 0) == child);
	ck_assert_int_eq(sh->opened, 1);
	ck_assert_str_eq(sh->got, "");
	/* and that it was sent a signal matters to nobody */
	ck_assert_int_eq(ask_keeper(DOT_LOCK), DOT_LOCK);
	hang_up(client);
	ck_assert_int_eq(holds(in_base("spool"), "alice.lock"), 0);
}

AS_ROOT(no_octet_makes_the_keeper_do_more_than_lock)
{
	int i, answer;

	make_mailbox(in_base("spool/bob"), other_id);
	make_file(in_base("spool/bob.lock"), "1", 1, other_id);
	serve_us(in_base("spool/%%u"), puppet);
	for (i = 0; i < 256; i++) {
		answer = ask_keeper(i);
		ck_assert_msg(answer == (i == DOT_LOCK ? DOT_LOCK :
		    i == DOT_TOUCH ? DOT_GONE : DOT_UNLOCK),
		    "octet %d: %d", i, answer);
		ck_assert_int_eq(holds(in_base("spool"), "alice.lock"),
		    i == DOT_LOCK);
		ck_assert_int_eq(holds(in_base("spool"), "."), 2);
	}
	ck_assert_int_eq(holds(in_base("spool"), ""), 5);
	ck_assert_int_eq(holds(in_base("spool"), "bob"), 2);
	ck_assert(has_mail(in_base("spool/bob"), 1));
	ck_assert(has_mail(in_base("spool/alice"), 1));
	hang_up(client);
}

/* However often it was asked for, the lock ends with the session. */
AS_ROOT(a_lock_that_is_asked_for_twice_is_removed_all_the_same)
{
	int i, before;

	serve_us(in_base("spool/%%u"), puppet);
	ck_assert_int_eq(ask_keeper(DOT_UNLOCK), DOT_UNLOCK);
	before = count_fds(keeper);
	for (i = 0; i < 3; i++)
		ck_assert(ask_keeper(DOT_LOCK) != -1);
	ck_assert_int_eq(ask_keeper(DOT_UNLOCK), DOT_UNLOCK);
	ck_assert_int_eq(count_fds(keeper), before);
	ck_assert_int_eq(holds(in_base("spool"), "alice.lock"), 0);
	ck_assert_int_eq(ask_keeper(DOT_LOCK), DOT_LOCK);
	ck_assert(ask_keeper(DOT_LOCK) != -1);
	hang_up(client);
	ck_assert_int_eq(holds(in_base("spool"), ""), 3);
}

/* It asks, and never reads the answers. */
static void
deaf_session(struct mbox *m)
{
	struct timespec t = { 0, 100000000 };
	int i = 0;

	(void)!write(1, "!", 1);
	fcntl(m->keeper, F_SETFL, O_NONBLOCK);
	while (i++ < 4) {
		while (write(m->keeper, "xxxxxxxxxxxxxxxl", 16) > 0)
			sh->opened++;
		nanosleep(&t, NULL);
	}
}

AS_ROOT(a_keeper_that_nobody_listens_to_ends_with_its_session)
{
	serve_us(in_base("spool/%%u"), deaf_session);
	ck_assert(all_ended(9000));
	ck_assert_int_gt(sh->opened, 0);
	ck_assert_int_eq(holds(in_base("spool"), "alice.lock"), 0);
	ck_assert_int_eq(holds(in_base("spool"), "."), 2);
}

/* How a session can end. */
static const struct {
	const char *said;
	int answers;		/* then the client goes; 0: it waits */
} partings[] = {
	{ "QUIT\r\n", 0 }, { "USER alice\r\nPASS s\r\nQUIT\r\n", 0 },
	{ "USER alice\r\nPASS s\r\nDELE 1\r\nQUIT\r\n", 0 },
	{ "USER alice\r\nPASS s\r\n", 3 }, { "USER alice\r\n", 2 },
	{ "USER alice\r\nPASS s\r\n", 0 }	/* until -t ends it */
};

/*
 * What a process leaves behind comes to process 1, which in a container may be
 * a superserver that counts it as a child of its own. Here it comes to us.
 */
AS_ROOT_EACH(no_session_leaves_a_process_to_its_superserver, COUNT(partings))
{
	struct peer c;
	pid_t pid;
	int n;

	start_server(&c, NULL, "-t", "1");
	say(&c, "%s", partings[_i].said);
	if (partings[_i].answers > 0)
		expect_ok(&c, partings[_i].answers);
	else
		expect_no_more(&c, 10000);
	close(c.fd);
	for (n = 0; (pid = waitpid(-1, NULL, 0)) != -1; n++)
		ck_assert_msg(pid == c.pid, "process %ld was left, %d",
		    (long)pid, n);
	ck_assert_int_eq(n, 1);
}

/* It waits a second for its keeper, and not LOCK_SECONDS. */
static void
impatient_session(struct mbox *m)
{
	struct timeval second = { 1, 0 };

	if (setsockopt(m->keeper, SOL_SOCKET, SO_RCVTIMEO, &second,
	    sizeof(second)) == 0 && report()) {
		sh->opened = (int)mbox_load(m);
		if (report())
			sh->opened = 100 + (int)mbox_load(m);
	}
}

/* A user may stop his keeper. He is not waited for, and his lock goes later. */
AS_ROOT(a_keeper_that_is_stopped_holds_nobody_up)
{
	serve_us(in_base("spool/%%u"), impatient_session);
	ck_assert(kill(keeper, SIGSTOP) == 0);
	ck_assert_int_eq(ask_keeper('x'), '!');
	ck_assert_int_eq(sh->opened, MBOX_TEMP);
	ck_assert(kill(keeper, SIGCONT) == 0);
	/* its late answer is not taken for one to the next question */
	ck_assert_int_eq(ask_keeper('x'), -1);
	ck_assert_int_eq(sh->opened, 100 + MBOX_TEMP);
	hang_up(client);
	ck_assert_int_eq(holds(in_base("spool"), "alice.lock"), 0);
}

static void
curious_session(struct mbox *m)
{
	/* after the first answer the keeper is where it will stay */
	if (mbox_load(m) == MBOX_OK && report()) {
		errno = 0;
		sh->opened = mbox_load(m) == MBOX_TEMP ? errno : -1;
		(void)!write(1, "!", 1);
	}
}

/* The log names what the keeper met, not what the session met last. */
AS_ROOT(why_a_keeper_can_make_no_lock_is_known_to_the_session)
{
	struct stat st;

	serve_us(in_base("spool/%%u"), curious_session);
	ck_assert(stat(in_base("spool"), &st) == 0);
	ck_assert(chmod(in_base("spool"), 0) == 0);
	ck_assert_int_eq(ask_keeper('x'), '!');
	ck_assert_int_eq(sh->opened, EACCES);
	ck_assert(chmod(in_base("spool"), st.st_mode & 07777) == 0);
	hang_up(client);
}

/* ---- As root: a session or its keeper that stands still or ends ---- */

/* What becomes of the two when one of them stops behind a call of UPDATE's. */
static const struct fate {
	const char *what;
	int stops;		/* of the two */
	int killed, held;	/* then these are killed, or stopped, too */
	int late;		/* and continued when the session has ended */
} fates[] = {
	{ "the session stops", THE_SESSION, NEITHER, NEITHER, 0 },
	{ "both stop", THE_SESSION, NEITHER, BOTH, 0 },
	{ "the session is killed", THE_SESSION, THE_SESSION, NEITHER, 0 },
	{ "its keeper is killed", THE_SESSION, THE_KEEPER, NEITHER, 0 },
	{ "both are killed", THE_SESSION, BOTH, NEITHER, 0 },
	{ "the keeper stops", THE_KEEPER, NEITHER, NEITHER, 0 },
	{ "the keeper stops for long", THE_KEEPER, NEITHER, NEITHER, 1 },
	{ "the keeper is killed", THE_KEEPER, THE_KEEPER, NEITHER, 0 }
};

static const char brought[] = "From c@d Mon Nov 23 11:00:00 2026\n"
    "Received: z\n\nThe agent's.\n\n";
static char kept[3][1200];		/* the messages that stay */

/* The first message and the third are deleted. */
static void
updating_session(struct mbox *m)
{
	struct timeval patience = { 0, 300000 };

	if (setsockopt(m->keeper, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience)) == -1 || mbox_load(m) != MBOX_OK || m->n != 5)
		return;
	m->msg[0].deleted = m->msg[2].deleted = 1;
	window_octets = 1500;
	sh->session = getpid();
	if (report())
		sh->result = (int)mbox_update(m);
}

/* The mailbox for it. */
static void
make_long_mailbox(void)
{
	char text[sizeof(kept) + 2 * sizeof(mail_1)];
	size_t n = 0, i, k;

	for (i = 0; i < 3; i++) {
		k = (size_t)snprintf(kept[i], sizeof(kept[i]), "From a@b Mon "
		    "Nov 23 10:00:00 2026\nReceived: %d\n\n", (int)i);
		memset(kept[i] + k, 'a' + (int)i, 1000 + 50 * i);
		snprintf(kept[i] + k + 1000 + 50 * i, 3, "\n\n");
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
		    i < 2 ? mail_1 : "", kept[i]);
	}
	make_file(in_base("home/alice"), text, n, user_id);
}

/* Another session of the user's: its result, and by *n what it finds. */
static int
visit(int *n)
{
	static struct mbox m;
	int at = sh->at;
	pid_t pid;

	sh->opened = -1;
	fflush(stdout);
	if ((pid = fork()) == 0) {
		become(user_id);
		sh->at = -1;	/* it naps quickly, and stops nowhere */
		if (mbox_open(&m, in_base("home/alice"), user_id) == MBOX_OK)
			sh->opened = (long)mbox_load(&m);
		sh->refused = (long)m.n;
		_exit(0);
	}
	ck_assert(waitpid(pid, NULL, 0) == pid);
	sh->at = at;
	*n = (int)sh->refused;
	return (int)sh->opened;
}

static void
signal_one(int who, int sig)
{
	if (who == THE_SESSION || who == BOTH)
		ck_assert(kill(session_pid, sig) == 0);
	if (who == THE_KEEPER || who == BOTH)
		ck_assert(kill(keeper, sig) == 0);
}

/*
 * An agent that knows dotlocks alone, some minutes later. It takes for dead
 * what nobody touches, and that is a lock whose keeper stands still. 1: it is
 * in, and has brought its mail.
 */
static int
enter_as_agent(const struct fate *f)
{
	const char *lock = in_base("home/alice.lock");
	long long end = now_ms() + 3000;
	int fd;

	while (f->killed == THE_SESSION && access(lock, F_OK) == 0 &&
	    now_ms() < end)
		sleep_ms(2);
	if (f->stops == THE_KEEPER || f->killed == THE_KEEPER ||
	    f->killed == BOTH || f->held == BOTH)
		unlink(lock);
	fd = open(lock, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd == -1)
		return 0;
	close(fd);
	fd = open(in_base("home/alice"), O_WRONLY | O_APPEND);
	ck_assert(write(fd, brought, strlen(brought)) ==
	    (ssize_t)strlen(brought));
	close(fd);
	return 1;
}

/* What must hold whatever happened. */
static void
expect_whole(const char *what, int in)
{
	size_t len;
	const char *text = contents(in_base("home/alice"), &len);
	int i;

	for (i = 0; i < 3; i++)
		ck_assert_msg(is_in(text, len, kept[i]),
		    "%s, call %d: message %d is lost", what, sh->at, i);
	ck_assert_msg(!in || is_in(text, len, brought),
	    "%s, call %d: the agent's is lost", what, sh->at);
	ck_assert_msg(sh->result != MBOX_OK || len == strlen(kept[0]) +
	    strlen(kept[1]) + strlen(kept[2]) + (in ? strlen(brought) : 0),
	    "%s, call %d: not what was said", what, sh->at);
}

/*
 * It has stopped. The minutes pass; then the two go on, as far as they can, and
 * whoever came in is alone until he leaves.
 */
static int
wait_and_go_on(const struct fate *f)
{
	static char was[65536];
	const char *box = in_base("home/alice"), *text;
	size_t len, before;
	int in, n, at = sh->at;

	signal_one(f->held, SIGSTOP);
	signal_one(f->killed, SIGKILL);
	in = enter_as_agent(f);
	ck_assert_msg(visit(&n) == MBOX_BUSY, "%s, call %d: two are inside",
	    f->what, at);
	text = contents(box, &before);
	memcpy(was, text, before);
	sh->later = 400;
	kill(session_pid, SIGCONT);
	if (!f->late)
		kill(keeper, SIGCONT);
	while (*status_of(session_pid, "State") != 'Z')
		sleep_ms(1);
	kill(keeper, SIGCONT);
	n = all_ended(5000);
	ck_assert_msg(n, "%s, call %d: a process is left", f->what, at);
	if (!in)
		return 0;
	text = contents(box, &len);
	ck_assert_msg(len == before && memcmp(was, text, len) == 0,
	    "%s, call %d: the agent was not alone", f->what, at);
	ck_assert_msg(access(in_base("home/alice.lock"), F_OK) == 0,
	    "%s, call %d: the agent's lock is gone", f->what, at);
	unlink(in_base("home/alice.lock"));
	return 1;
}

/* One session of which somebody stops behind a call: whether there was one. */
static int
meet_fate(const struct fate *f, int at)
{
	int in = 0, n;

	memset(sh, 0, sizeof(*sh));
	make_long_mailbox();
	sh->result = -1;
	serve_us("%h/alice", updating_session);
	sh->stops = f->stops;
	sh->at = at;
	ck_assert(write(client, "x", 1) == 1);
	while (*status_of(f->stops == THE_KEEPER ? keeper : session_pid,
	    "State") != 'T' && *status_of(session_pid, "State") != 'Z')
		sleep_ms(1);
	if (sh->stopped)
		in = wait_and_go_on(f);
	hang_up(client);
	expect_whole(f->what, in);
	ck_assert_msg(in || sh->result == (f->killed == NEITHER ||
	    !sh->stopped ? MBOX_OK : -1), "%s, call %d: %d", f->what, at,
	    sh->result);
	ck_assert_int_eq(visit(&n), MBOX_OK);
	ck_assert_int_ge(n, 3 + in);
	ck_assert_int_eq(holds(in_base("home"), "alice.lock"), 0);
	return sh->stopped;
}

/*
 * Whoever of the two stands still for minutes, or ends, behind whatever call:
 * nothing is lost, a second session waits, and who took the lock meanwhile is
 * alone with the mailbox.
 */
AS_ROOT_EACH(a_session_that_loses_its_lock_stops_whenever_that_is, COUNT(fates))
{
	int step = (int)setting("FEWER", 1), at = 1 + _i % step;

	while (meet_fate(&fates[_i], at))
		at += step;
	ck_assert_int_gt(at, fates[_i].stops == THE_SESSION ? 12 : 6);
}

/* ---- As root: users who put things in the way ---- */

enum thing {
	LINK, DANGLING, FIFO, A_DEVICE, DIRECTORY, YOUNG, OLD, ENDLESS, CLOSED,
	THINGS
};

/* Something of the user's, or a thing only root could have put there. */
static void
put_thing(enum thing what, char *path)
{
	struct timeval ago[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	int fd;

	switch (what) {
	case LINK:
		ck_assert(symlink(in_base("victim"), path) == 0);
		break;
	case DANGLING:
		ck_assert(symlink(in_base("home/new"), path) == 0);
		break;
	case FIFO:
		ck_assert(mkfifo(path, 0666) == 0);
		break;
	case A_DEVICE:
		if (mknod(path, S_IFCHR | 0666, (dev_t)(1 << 8 | 5)) == -1)
			skip("a device as a lock", "none can be made here");
		break;
	case DIRECTORY:
		ck_assert(mkdir(path, 0777) == 0);
		break;
	case YOUNG:
	case OLD:
		make_file(in_base("home/letter"), "dear", 4, user_id);
		ck_assert(what == YOUNG ||
		    utimes(in_base("home/letter"), ago) == 0);
		ck_assert(link(in_base("home/letter"), path) == 0);
		break;
	case ENDLESS:
		make_file(path, "", 0, user_id);
		fd = open(path, O_WRONLY);
		ck_assert(ftruncate(fd, 1LL << 40) == 0);
		close(fd);
		break;
	case CLOSED:
		make_file(path, "99999", 5, other_id);
		ck_assert(chmod(path, 0) == 0);
		break;
	default:
		break;
	}
}

/* What may be there all the same afterwards, whatever the answer was. */
static void
expect_letter(void)
{
	struct stat st;

	if (lstat(in_base("home/letter"), &st) == 0)
		expect_as_it_was(in_base("home/letter"), "dear", 0600, user_id);
}

/* The keeper can lock, and when it has ended there is nothing of its making. */
static void
expect_nothing_else(void)
{
	ck_assert_int_eq(ask_keeper(DOT_LOCK), DOT_LOCK);
	hang_up(client);
	ck_assert(access(in_base("home/new"), F_OK) == -1);
	expect_victim_untouched();
	expect_letter();
	ck_assert_int_eq(holds(in_base("home"), "."), 2);
	ck_assert_int_eq(holds(in_base("home"), "alice.lock"), 0);
}

/*
 * An old file is young again by its ctime once it has a second name: nothing
 * a user can put here counts as stale but what says so itself.
 */
AS_ROOT_EACH(what_a_user_puts_in_the_place_of_the_lock_is_left_alone, THINGS)
{
	char lock[PATH_MAX];
	struct stat before, after;

	snprintf(lock, sizeof(lock), "%s", in_base("home/alice.lock"));
	serve_us("%h/alice", puppet);
	put_thing((enum thing)_i, lock);
	if (lstat(lock, &before) == 0) {
		ck_assert_int_eq(ask_keeper(DOT_LOCK), DOT_BUSY);
		ck_assert_int_eq(ask_keeper(DOT_UNLOCK), DOT_UNLOCK);
		ck_assert(lstat(lock, &after) == 0);
		ck_assert(before.st_ino == after.st_ino &&
		    before.st_nlink == after.st_nlink &&
		    before.st_mode == after.st_mode &&
		    before.st_size == after.st_size);
		ck_assert(remove(lock) == 0);
	}
	expect_nothing_else();
}

/* They are known beforehand: the pid can be seen, and time goes on evenly. */
AS_ROOT_EACH(names_that_the_keeper_would_use_may_be_taken, YOUNG + 1)
{
	char path[PATH_MAX];
	struct stat st;
	long start_time;
	int i;

	serve_us("%h/alice", puppet);
	start_time = (long)time(NULL);
	for (i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "%s", in_base(
		    "home/.pop3d.%ld.%ld", (long)session_pid,
		    start_time + i));
		unlink(in_base("home/letter"));
		put_thing((enum thing)_i, path);
	}
	if (lstat(path, &st) == 0)	/* else no device could be made */
		for (i = 0; i < 5; i++)
			ck_assert_int_eq(ask_keeper(DOT_LOCK), DOT_BUSY);
	ck_assert_int_eq(holds(in_base("home"), "alice.lock"), 0);
	for (i = 0; i < 8; i++)
		remove(in_base("home/.pop3d.%ld.%ld", (long)session_pid,
		    start_time + i));
	expect_nothing_else();
}

/* Put one thing after the other in the lock's place, as fast as it goes. */
static void
swap_lock(void)
{
	static unsigned n;
	char lock[PATH_MAX], room[PATH_MAX];

	snprintf(lock, sizeof(lock), "%s", in_base("home/alice.lock"));
	snprintf(room, sizeof(room), "%s", in_base("home/next"));
	switch (n++ % 7) {
	case 0: if (symlink(in_base("victim"), room) == 0) break; return;
	case 1: if (mkfifo(room, 0666) == 0) break; return;
	case 2: if (link(in_base("home/letter"), room) == 0) break; return;
	case 3: rmdir(lock); unlink(lock); mkdir(lock, 0777); return;
	case 4: rmdir(lock); return;
	case 5: if (symlink(in_base("home/new"), room) == 0) break; return;
	default: unlink(lock); return;
	}
	if (rename(room, lock) == -1)
		unlink(room);
}

AS_ROOT(a_lock_that_changes_all_the_time_leads_the_keeper_nowhere)
{
	long long end;
	int answer, locked = 0, busy = 0;
	pid_t helper;

	make_file(in_base("home/letter"), "dear", 4, user_id);
	serve_us("%h/alice", puppet);
	helper = start_helper(user_id, swap_lock);
	for (end = now_ms() + 500; now_ms() < end; ) {
		answer = ask_keeper(DOT_LOCK);
		ck_assert_msg(answer == DOT_LOCK || answer == DOT_BUSY,
		    "%d", answer);
		locked += answer == DOT_LOCK;
		busy += answer == DOT_BUSY;
		ck_assert_int_eq(ask_keeper(DOT_UNLOCK), DOT_UNLOCK);
	}
	end_helper(helper);
	ck_assert(locked > 0 && busy > 0);
	remove(in_base("home/alice.lock"));
	expect_nothing_else();
}

/*
 * The mailbox by turns a link to somebody's file, a second name of it, a FIFO,
 * a directory, and itself: put there by one who may do all that.
 */
static void
swap_mailbox(void)
{
	static unsigned n;
	char box[PATH_MAX], room[PATH_MAX];
	int made = -1;

	snprintf(box, sizeof(box), "%s", in_base("spool/alice"));
	snprintf(room, sizeof(room), "%s", in_base("spool/next"));
	switch (n++ % 6) {
	case 0: made = symlink(in_base("victim"), room); break;
	case 1: made = link(in_base("victim"), room); break;
	case 2: made = mkfifo(room, 0666); break;
	case 3: made = link(in_base("spool/own"), room); break;
	case 4:
		unlink(box);
		mkdir(box, 0755);
		break;
	default:
		remove(box);
		rename(in_base("spool/own"), box);
		sleep_ms(1);
		rename(box, in_base("spool/own"));
		break;
	}
	if (made == 0)
		rename(room, box);
}

/* Open as priv_enter does, again and again, and look at what was opened. */
static void
open_often(const char *path, const char *name)
{
	static struct mbox m;
	long long end = now_ms() + 500;
	struct stat st, there;
	gid_t gid = user_id;

	if (setgroups(1, &gid) == -1 || setegid(gid) == -1 ||
	    seteuid(user_id) == -1)
		_exit(2);
	/* on a busy machine it takes longer until both have happened */
	while (now_ms() < end || (now_ms() < end + 10000 &&
	    (sh->opened == 0 || sh->refused == 0))) {
		if (mbox_open(&m, path, user_id) != MBOX_OK)
			sh->refused++;
		else if (m.fd != -1) {
			sh->opened++;
			if (fstat(m.fd, &st) == -1 || !S_ISREG(st.st_mode) ||
			    st.st_uid != user_id)
				got(1, "somebody's file");
			if (name != NULL && (lstat(name, &there) == -1 ||
			    there.st_ino != st.st_ino))
				got(1, "a directory that is not its own");
		}
		mbox_close(&m);
	}
	_exit(0);
}

/* While a helper changes what is there; then it ends. */
static void
expect_own_or_nothing(pid_t helper, const char *path, const char *name)
{
	pid_t pid = fork();

	if (pid == 0)
		open_often(path, name);
	ck_assert(waitpid(pid, NULL, 0) == pid);
	end_helper(helper);
	ck_assert_str_eq(sh->got, "");
	ck_assert_msg(sh->opened > 0 && sh->refused > 0, "%ld, %ld",
	    sh->opened, sh->refused);
}

AS_ROOT(a_mailbox_that_changes_while_it_is_opened_is_nobody_elses)
{
	ck_assert(rename(in_base("spool/alice"), in_base("spool/own")) == 0);
	expect_own_or_nothing(start_helper(0, swap_mailbox),
	    in_base("spool/alice"), NULL);
	expect_victim_untouched();
}

/* The directory is a link, by turns to ours, somebody's and the spool. */
static void
swap_directory(void)
{
	static const char *const to[] = { "own", "theirs", "../spool" };
	static unsigned n;
	char room[PATH_MAX];

	snprintf(room, sizeof(room), "%s", in_base("home/next"));
	if (symlink(to[n++ % 3], room) == 0 &&
	    rename(room, in_base("home/box")) == -1)
		unlink(room);
}

AS_ROOT(a_directory_that_changes_is_entered_only_with_the_mailbox)
{
	make_dir(in_base("home/own"), 0700, user_id, user_id);
	make_dir(in_base("home/theirs"), 0755, other_id, other_id);
	make_mailbox(in_base("home/own/alice"), user_id);
	make_file(in_base("home/theirs/alice"), mail_1, strlen(mail_1),
	    other_id);
	ck_assert(chmod(in_base("home/theirs/alice"), 0666) == 0);
	expect_own_or_nothing(start_helper(user_id, swap_directory),
	    in_base("home/box/alice"), "alice");
}

/* A user's link into the spool does not get him the spool's group. */
AS_ROOT(a_link_to_the_spool_gives_the_keeper_no_group)
{
	char want[64];

	ck_assert(symlink("../spool", in_base("home/box")) == 0);
	serve_us("%h/box/alice", puppet);
	snprintf(want, sizeof(want), "%u %u %u %u", user_id, user_id,
	    user_id, user_id);
	ck_assert_int_eq(ask_keeper(DOT_LOCK), DOT_NONE);
	ck_assert_str_eq(status_of(keeper, "Gid"), want);
	hang_up(client);
	/* by the way that is meant, it has it */
	serve_us(in_base("spool/%%u"), puppet);
	ck_assert_int_eq(ask_keeper(DOT_LOCK), DOT_LOCK);
	hang_up(client);
}

/* ---- As root: mailboxes ---- */

#if defined(__linux__)
static char leased[PATH_MAX];

static void
hold_lease(void)
{
	int fd = open(leased, O_RDWR);

	signal(SIGIO, SIG_IGN);
	if (fd == -1 || fcntl(fd, F_SETLEASE, F_WRLCK) == -1)
		_exit(1);
	sh->opened = 1;
	for (;;)
		pause();
}

static pid_t
start_lease(const char *path)
{
	long long end = now_ms() + 2000;
	pid_t pid;

	snprintf(leased, sizeof(leased), "%s", path);
	pid = start_helper(user_id, hold_lease);
	while (!sh->opened && now_ms() < end)
		sleep_ms(2);
	if (!sh->opened)
		skip("a lease", "none can be had on this file system");
	return pid;
}

CASE("mailboxes and limits", 120, begin, NULL);

/* Who opens such a file waits for 45 seconds, if he is willing to wait. */
AS_ROOT(a_lease_on_mailbox_or_lock_holds_nobody_up)
{
	static struct peer c;
	pid_t helper;

	helper = start_lease(in_base("spool/alice"));
	start_server(&c, NULL, NULL, NULL);
	say(&c, login);
	say(&c, "QUIT\r\n");
	if (sh->opened)
		expect_no_more(&c, 3000);
	close(c.fd);
	end_helper(helper);
	ck_assert(all_ended(5000));
	sh->opened = 0;
	make_file(in_base("home/alice.lock"), "1", 1, user_id);
	helper = start_lease(in_base("home/alice.lock"));
	serve_us("%h/alice", puppet);
	ck_assert_int_eq(ask_keeper(DOT_LOCK), DOT_BUSY);
	close(client);
	end_helper(helper);
	ck_assert(all_ended(5000));
}
#endif

/* As much of a mailbox as fits no disk. 0, or -1 where this cannot be. */
static int
make_endless(const char *path)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	int r = write(fd, mail_1, strlen(mail_1)) == -1 ? -1 :
	    ftruncate(fd, 8LL << 40);

	close(fd);
	if (r == -1)
		skip("a mailbox of 8 TB", "no such file can be made here");
	return r;
}

static int
is_locked(const char *path)
{
	int fd = open(path, O_RDWR), r;
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	ck_assert(fd != -1 && fcntl(fd, F_GETLK, &fl) == 0);
	r = fl.l_type != F_UNLCK;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		r |= 2;
	close(fd);
	return r;
}

/* Its owner can have it scanned for hours; an administrator can end that. */
AS_ROOT(a_scan_without_end_can_be_ended_and_leaves_no_lock)
{
	static struct peer c;
	long long end = now_ms() + 20000;

	if (make_endless(in_base("spool/alice")) == -1)
		return;
	start_server(&c, NULL, NULL, NULL);
	say(&c, login);
	while (!is_locked(in_base("spool/alice")) && now_ms() < end)
		sleep_ms(10);
	ck_assert_int_eq(answers(&c, 3, 500), -1);
	ck_assert(is_locked(in_base("spool/alice")));
	ck_assert_int_eq(holds(in_base("spool"), "alice.lock"), 1);
	ck_assert(kill(c.pid, SIGKILL) == 0);
	ck_assert(all_ended(5000));
	close(c.fd);
	ck_assert(!is_locked(in_base("spool/alice")));
	ck_assert_int_eq(holds(in_base("spool"), "alice.lock"), 0);
}

/* With CHECK_LONG: nobody waits for that long, so it ends by itself. */
TEST_IN(a_scan_that_no_client_waits_for_ends, "long", PATIENT, 1)
{
	static struct peer c;

	if (make_endless(in_base("spool/alice")) == -1)
		return;
	start_server(&c, NULL, NULL, NULL);
	say(&c, login);
	if (answers(&c, 3, 660 * 1000L) == -1) {
		kill(c.pid, SIGKILL);
		ck_abort_msg("it is still scanning after 11 minutes");
	}
	hang_up(c.fd);
}

/* ---- As anybody: mailboxes ---- */

enum { LONG = 600000 };
static char long_mail[2][LONG];	/* a message, and quite another one */

static void
make_long_mail(int which)
{
	char *text = long_mail[which];
	size_t i = (size_t)snprintf(text, LONG, "%s%c\n\n",
	    "From a@b Mon Nov 23 10:00:01 2026\nReceived: ", 'a' + which);

	while (i < LONG - 80)
		i += (size_t)snprintf(text + i, LONG - i,
		    "octet %lu of message %c\n", (unsigned long)i, 'a' + which);
}

/*
 * Cut the mailbox and let it grow again without any lock, by turns as it was
 * and with the other message.
 */
static void
grow_and_shrink(void)
{
	static unsigned n;
	const char *text = long_mail[++n / 2 % 2];
	size_t len = strlen(text), at = n % 2 ? len / (2 + n % 5) : 0;
	int fd = open(in_base("home/alice"), O_WRONLY | O_APPEND);
	ssize_t k;

	if (fd == -1 || ftruncate(fd, (off_t)at) == -1)
		_exit(1);
	while (at < len) {
		k = write(fd, text + at, len - at < 90011 ? len - at : 90011);
		if (k <= 0)
			_exit(1);
		at += (size_t)k;
		sched_yield();
	}
	close(fd);
	sleep_ms(n % 3 == 0 ? 70 : 1);
}

/*
 * The answer to RETR, from its first octet on: 1 if it is complete, and then
 * it must be what one file that was cut somewhere has; 0 if it was cut off.
 */
static int
is_whole(const char *text, size_t len)
{
	const char *end, *p, *m;
	long octets, n = 0;

	if (sscanf(text, "+OK %ld octets", &octets) != 1 || len < 100 ||
	    memcmp(text + len - 5, "\r\n.\r\n", 5) != 0)
		return 0;
	end = text + len - 3;
	p = strchr(text, '\n') + 1;
	m = strchr(long_mail[p[10] == 'b'], '\n') + 1;
	for (; p < end; p++) {
		n++;
		if (*p == '\r' || (*p == '\n' && p == end - 1 && *m != '\n'))
			continue;	/* the last line had no end */
		if (*p != *m++)
			ck_abort_msg("octet %ld is another", n);
	}
	ck_assert_int_eq(n, octets);
	return 1;
}

static void
become_user(void)
{
	become(user_id);
}

TEST(a_mailbox_that_grows_and_shrinks_is_sent_as_it_was_or_cut_off)
{
	const char *const argv[] = { program, "-p", "-m",
	    in_base("home/alice"), NULL };
	struct peer c;
	long long end = now_ms() + 20000;
	size_t len;
	pid_t helper;
	int whole = 0, cut = 0, cuts = 20 / (int)setting("FEWER", 1);
	char *retr;

	make_long_mail(0);
	make_long_mail(1);
	make_file(in_base("home/alice"), long_mail[0], strlen(long_mail[0]),
	    user_id);
	helper = start_helper(user_id, grow_and_shrink);
	while ((whole < 3 || cut < cuts) && now_ms() < end) {
		start_with(&c, become_user, argv);
		say(&c, "RETR 1\r\n");
		shutdown(c.fd, SHUT_WR);
		for (len = 0; read_more(&c, PATIENCE) == 1; len = c.len)
			if (c.len - len > 50000)
				sleep_ms(2);	/* time to change */
		retr = c.len == 0 ? NULL : strchr(c.got, '\n');
		if (retr != NULL && retr[1] != '\0' &&
		    is_whole(retr + 1, c.len - (size_t)(retr + 1 - c.got)))
			whole++;
		else
			cut++;
		finish(&c);
	}
	end_helper(helper);
	ck_assert_msg(whole > 0 && cut > 0, "%d whole, %d cut", whole, cut);
}

/* ---- As anybody: limits ---- */

#if defined(__GLIBC__)
#define RESOURCE	__rlimit_resource_t
#else
#define RESOURCE	int
#endif
static struct rlimit limit;
static int resource;

static void
set_limit(void)
{
	if (setrlimit((RESOURCE)resource, &limit) == -1)
		_exit(126);
}

static void
set_limit_as_user(void)
{
	become(user_id);
	set_limit();
}

/* A session with a limit: it does what it was told, or says that it did not. */
static void
expect_all_or_nothing(void (*prepare)(void), const char *const argv[],
    const char *dir, const char *said)
{
	char path[PATH_MAX];
	static struct peer c;
	const char *text;
	size_t len;
	int done;

	snprintf(path, sizeof(path), "%s/alice", dir);
	make_mailbox(path, user_id);
	session(&c, prepare, argv, said);
	done = count_ok(&c) == (strcmp(said, dele_quit) == 0 ? 5 : 3);
	if (resource == (int)RLIMIT_CPU && !done) {
		/* killed at any moment: of UPDATE, too, and its keeper */
		text = contents(path, &len);
		ck_assert_msg(is_in(text, len, mail_2),
		    "killed, and mail was lost");
		snprintf(path, sizeof(path), "rm -f '%.400s'/.pop3d.* "
		    "'%.400s'/alice.lock", dir, dir);
		ck_assert(shell(path) == 0);
		return;
	}
	ck_assert_msg(has_mail(path, !done), "limit %d of %ld: %s%s",
	    resource, (long)limit.rlim_cur, c.got, has_mail(path, done) ?
	    "which is not true" : "mail was lost");
	ck_assert_msg(holds(dir, "alice") == 1 && holds(dir, ".") == 2,
	    "limit %d of %ld: a lock is left", resource,
	    (long)limit.rlim_cur);
}

TEST(no_limit_on_the_size_of_files_costs_mail)
{
	const char *const argv[] = { program, "-p", "-m",
	    in_base("home/alice"), NULL };
	size_t n = strlen(mail_1) + strlen(mail_2), i;

	resource = (int)RLIMIT_FSIZE;
	/* at the end there is room for a copy and the empty line behind it */
	for (i = 0; i < 2 * n + 400; i += i < 70 ? 23 : 397) {
		limit.rlim_cur = limit.rlim_max = i;
		expect_all_or_nothing(set_limit_as_user, argv,
		    in_base("home"), "DELE 1\r\nQUIT\r\n");
	}
	ck_assert(has_mail(in_base("home/alice"), 0));
}

static const struct {
	int resource;
	long value;
} limits[] = {
	{ (int)RLIMIT_NOFILE, 1 }, { (int)RLIMIT_NOFILE, 3 },
	{ (int)RLIMIT_NOFILE, 4 }, { (int)RLIMIT_NOFILE, 5 },
	{ (int)RLIMIT_NOFILE, 6 }, { (int)RLIMIT_NOFILE, 7 },
	{ (int)RLIMIT_NOFILE, 8 }, { (int)RLIMIT_NOFILE, 9 },
	{ (int)RLIMIT_NOFILE, 10 }, { (int)RLIMIT_CPU, 1 },
	{ (int)RLIMIT_STACK, 65536 }, { (int)RLIMIT_STACK, 262144 },
	{ (int)RLIMIT_FSIZE, 3000 }, { (int)RLIMIT_DATA, 65536 },
	{ (int)RLIMIT_DATA, 262144 }, { (int)RLIMIT_AS, 1048576 },
	{ (int)RLIMIT_AS, 3000000 }, { (int)RLIMIT_AS, 6000000 },
	{ (int)RLIMIT_AS, 10000000 }, { (int)RLIMIT_FSIZE, 7 },
	{ (int)RLIMIT_FSIZE, 100 }
};

static void
limit_server(int what, rlim_t value)
{
	resource = what;
	limit.rlim_cur = limit.rlim_max = value;
	expect_all_or_nothing(set_limit, server(in_base("spool/%%u"), NULL,
	    NULL), in_base("spool"), dele_quit);
}

/* Started as root: all there are, of 0, and some that are just too small. */
AS_ROOT(no_limit_of_the_superservers_costs_mail_or_leaves_a_lock)
{
	int i;

#if defined(RLIM_NLIMITS)
	for (i = 0; i < (int)RLIM_NLIMITS; i++)
		limit_server(i, 0);
#endif
	for (i = 0; i < COUNT(limits); i++)
		limit_server(limits[i].resource, (rlim_t)limits[i].value);
}

/* ---- As root: what else a superserver leaves behind ---- */

#if defined(__linux__) && defined(PR_SET_SECUREBITS)
static unsigned long securebits;

static void
set_securebits(void)
{
	if (prctl(PR_SET_SECUREBITS, securebits, 0, 0, 0) == -1)
		_exit(126);
}

/* With these bits of capabilities(7) root's powers may outlive root. */
AS_ROOT_EACH(a_process_that_would_keep_capabilities_serves_nobody, 8)
{
	static const char none[] = "0000000000000000";
	static struct peer c;
	pid_t child[4];
	int n;

	securebits = 1UL << _i;
	start_server(&c, set_securebits, NULL, NULL);
	if (answers(&c, 1, 5000) == 1) {
		sleep_ms(50);
		for (n = find_children(c.pid, child, 4); n > 0; n--)
			if (strncmp(status_of(child[n - 1], "Uid"), "0 ",
			    2) != 0) {
				ck_assert_str_eq(status_of(child[n - 1],
				    "CapPrm"), none);
				ck_assert_str_eq(status_of(child[n - 1],
				    "CapAmb"), none);
			}
		say(&c, login);
		expect_ok(&c, 3);
		ck_assert_str_eq(status_of(c.pid, "CapPrm"), none);
		ck_assert_str_eq(status_of(c.pid, "CapEff"), none);
	} else	/* bits that root without its powers cannot serve with */
		ck_assert_msg(_i == 0 || _i == 2, "bit %d", _i);
	hang_up(c.fd);
}
#endif

static void
shut_signals(void)
{
	sigset_t all;
	int i;

	for (i = 1; i < 32; i++)
		signal(i, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

AS_ROOT(signals_that_were_shut_off_stop_no_clock)
{
	static struct peer c[2];
	long long begun = now_ms();

	start_server(&c[0], shut_signals, "-t", "1");
	start_server(&c[1], shut_signals, "-t", "1");
	say(&c[1], login);
	expect_ok(&c[1], 3);
	expect_no_more(&c[0], 4000);
	expect_no_more(&c[1], 4000);
	ck_assert_int_ge(now_ms() - begun, 900);
	close(c[0].fd);
	close(c[1].fd);
	ck_assert(all_ended(5000));
}

/*
 * A relative name of the empty directory would be another one once the
 * mailbox's directory is entered, which may be a user's.
 */
AS_ROOT(a_session_is_never_confined_to_a_users_directory)
{
	static struct peer c;
	const char *argv[12];
	char target[PATH_MAX], path[64];
	ssize_t n;

	make_dir(in_base("home/empty"), 0755, user_id, user_id);
	memcpy(argv, server("%h/alice", NULL, NULL), sizeof(argv));
	argv[6] = "empty";
	ck_assert(chdir(scratch) == 0);
	start_with(&c, NULL, argv);
	if (answers(&c, 1, 2000) == 1)
		say(&c, login);
	if (answers(&c, 3, 2000) == 1) {
		snprintf(path, sizeof(path), "/proc/%ld/root", (long)c.pid);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		ck_assert_msg(strcmp(target, in_base("empty")) == 0,
		    "the session's root is %s", target);
	}
	hang_up(c.fd);
}

/* ---- As root, in a directory of their own: the log ---- */

static struct sockaddr_un log_address;	/* /dev/log in it */

/*
 * The program with the libraries it needs, and a /dev/log that is ours alone.
 * The log's socket, or -1 with a line that says why not.
 */
static int
make_jail(const char *who)
{
	static char command[3 * PATH_MAX + 10 * sizeof(jail)];
	int fd;

	snprintf(jail, sizeof(jail), "%s/jail", scratch);
	snprintf(command, sizeof(command), "mkdir %s && cd %s && mkdir dev "
	    "spool empty && chmod 777 spool && cp %s pop3d && ldd ./pop3d | "
	    "awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^\\//) print $i }' | "
	    "while read f; do mkdir -p .${f%%/*} && cp $f .$f || exit 1; "
	    "done", jail, jail, program);
	log_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(log_address.sun_path, sizeof(log_address.sun_path),
	    "%.90s/dev/log", jail);
	if (SANITIZED || shell(command) != 0 ||
	    strlen(jail) > 90) {
		skip(who, SANITIZED ? "AddressSanitizer needs /proc" :
		    "no ldd, or the scratch directory's name is too long");
		return -1;
	}
	snprintf(command, sizeof(command), "alice:{PLAIN}s:%u:%u\n", user_id,
	    user_id);
	make_file(in_base("jail/accounts"), command, strlen(command), 0);
	make_mailbox(in_base("jail/spool/alice"), user_id);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ck_assert(bind(fd, (struct sockaddr *)&log_address,
	    sizeof(log_address)) == 0);
	ck_assert(chmod(log_address.sun_path, 0666) == 0);
	ck_assert(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
	return fd;
}

static const char *const *
jailed(const char *option, const char *value)
{
	static const char *argv[] = { "/pop3d", "-f", "/accounts", "-m",
	    "/spool/%u", "-e", "/empty", "-u", dialogues, NULL, NULL, NULL };

	set_words("");
	argv[9] = option;
	argv[10] = value;
	return argv;
}

/* The log as it is now, lines after one another. */
static const char *
read_log(int fd)
{
	static char text[65536];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 2 && (n = recv(fd, text + len,
	    sizeof(text) - 2 - len, MSG_DONTWAIT)) > 0) {
		len += (size_t)n;
		text[len++] = '\n';
	}
	text[len] = '\0';
	return text;
}

static char long_value[60000] = "TCPREMOTEINFO=";
static char hostile_environment[][80] = {
	"TCPREMOTEIP=192.0.2.66\nLOGIN, user=evil, ip=[192.0.2.1]",
	"REMOTE_ADDR=%n%n%n%n%s%s", "REMOTE_HOST=evil.example",
	"SOCAT_PEERADDR=[[[[[[[::1", "TCPREMOTEADDR=:::::::::::::::",
	"SSH_CONNECTION=192.0.2.66\n 1 192.0.2.1 22", "SSH_CONNECTION",
	"TZ=:/accounts", "TZDIR=/", "LANG=../../evil", "LC_ALL=../../evil",
	"LOCPATH=/", "NLSPATH=/%N", "LANGUAGE=evil", "CHARSET=%s%n",
	"HOSTALIASES=/accounts", "LOCALDOMAIN=evil.example",
	"RES_OPTIONS=debug attempts:100", "RESOLV_HOST_CONF=/accounts",
	"MALLOC_PERTURB_=165", "MALLOC_ARENA_MAX=1", "MALLOC_TRACE=/spool/t",
	"GLIBC_TUNABLES=glibc.malloc.check=3:x=y::::",
	"POSIXLY_CORRECT=1", "GETCONF_DIR=/spool", "TMPDIR=/spool",
	"PATH=/spool", "IFS=/", "HOME=/spool", "USER=evil", "LOGNAME=evil",
	"LD_LIBRARY_PATH=/spool", "LD_BIND_NOW=1", "GCONV_PATH=/spool",
	"=", "=x", "x", ""
};

AS_ROOT(no_environment_changes_a_session_or_its_log)
{
	static struct peer c;
	const char *text, *p;
	int log = make_jail("no_environment_changes_a_session_or_its_log");
	char *all[COUNT(hostile_environment) + 2], **ours = environ;
	int lines = 0, i;

	if (log == -1)
		return;
	for (i = 0; i < COUNT(hostile_environment); i++)
		all[i] = hostile_environment[i];
	memset(long_value + strlen(long_value), 'x', sizeof(long_value) - 16);
	all[i] = long_value;
	all[i + 1] = NULL;
	environ = all;
	session(&c, enter_jail, jailed(NULL, NULL), dele_quit);
	environ = ours;
	ck_assert_int_eq(count_ok(&c), 5);
	ck_assert(has_mail(in_base("jail/spool/alice"), 0));
	ck_assert_int_eq(holds(in_base("jail/spool"), ""), 3);
	text = read_log(log);
	for (p = text; *p != '\0'; p++)
		lines += *p == '\n';
	ck_assert_msg(lines == 2 &&
	    strstr(text, ": LOGIN, user=alice, ip=[local]\n") != NULL &&
	    strstr(text, ": LOGOUT, user=alice, ip=[local], ") != NULL &&
	    strstr(text, "evil") == NULL, "%s", text);
}

/* Fill the log, which nobody reads, to the last line. */
static void
fill_log(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), n = 0;

	ck_assert(connect(fd, (struct sockaddr *)&log_address,
	    sizeof(log_address)) == 0);
	while (send(fd, "x", 1, MSG_DONTWAIT) == 1)
		ck_assert_int_lt(n++, 1000000);
	close(fd);
}

/* Who cannot log waits; the mailbox is everybody's meanwhile. */
AS_ROOT(no_lock_is_held_while_the_log_is_full)
{
	static struct peer c;
	int log = make_jail("no_lock_is_held_while_the_log_is_full");
	int i;

	if (log == -1)
		return;
	start_with(&c, enter_jail, jailed(NULL, NULL));
	expect_ok(&c, 1);
	fill_log();
	say(&c, dele_quit);
	if (answers(&c, 3, 300) == -1)
		for (i = 0; i < 50; i++) {
			ck_assert_int_eq(is_locked(
			    in_base("jail/spool/alice")), 0);
			ck_assert_int_eq(holds(in_base("jail/spool"),
			    "alice.lock"), 0);
			sleep_ms(2);
		}
	/* as soon as somebody reads, all goes on */
	while (answers(&c, 5, 20) == -1)
		read_log(log);
	ck_assert_int_eq(count_ok(&c), 5);
	close(c.fd);
	while (!all_ended(20))
		read_log(log);
	ck_assert(has_mail(in_base("jail/spool/alice"), 0));
}

AS_ROOT(a_full_log_does_not_hold_a_session_for_ever)
{
	static struct peer c;
	int log = make_jail("a_full_log_does_not_hold_a_session_for_ever");

	if (log == -1)
		return;
	start_with(&c, enter_jail, jailed("-t", "1"));
	expect_ok(&c, 1);
	fill_log();
	say(&c, login);
	if (answers(&c, 3, 5000) == -1) {
		kill(c.pid, SIGKILL);
		ck_abort_msg("no answer, long after the idle time");
	}
	hang_up(c.fd);
}

/* With CHECK_LONG: the verifier waits for its line, for a minute. */
TEST_IN(a_full_log_does_not_hold_a_login_for_ever, "long", PATIENT, 1)
{
	static struct peer c;
	int log = make_jail("a_full_log_does_not_hold_a_login_for_ever");

	if (log == -1)
		return;
	start_with(&c, enter_jail, jailed(NULL, NULL));
	expect_ok(&c, 1);
	fill_log();
	say(&c, "USER alice\r\nPASS wrong\r\nNOOP\r\n");
	ck_assert_msg(answers(&c, 3, 70000) != -1, "no answer: %s", c.got);
	close(c.fd);
	ck_assert(all_ended(90000));
}

/* ---- All tests ---- */

int
main(void)
{
	unsigned id = 200000 + (unsigned)getpid() % 100000 * 10;
	int failed;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED || make_scratch("check_hostile") == -1)
		return 1;
	dialogue_id = id + 1;
	user_id = getuid() == 0 ? id + 2 : getuid();
	other_id = getuid() == 0 ? id + 3 : getuid();
	spool_id = getuid() == 0 ? id + 4 : getgid();
	failed = run_suite("hostile", NULL);
	return remove_tree(scratch) != 0 || failed;
}
