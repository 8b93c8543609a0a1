/*
 * The program as a superserver starts it, and a client of it; and what tests of
 * it need of files, time and other processes. Behind suite.h, and behind the
 * source that is tested, whose calls may be replaced; or, in a tool without
 * Check, behind its fail_with, which is given a text and does not return.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#ifndef PATIENCE
#define PATIENCE	20000	/* ms for an answer that needs no waiting */
#endif

static char scratch[512];	/* where all files of the tests are */
static char program[PATH_MAX];
static int job_out = -1;	/* in a background test: where it reports to */

/* ---- Failing ---- */

static inline void blame(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Fail the test: as Check does, or through the background test's pipe. */
static inline void
blame(const char *format, ...)
{
	char text[2000];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (job_out == -1)
		fail_with(text);
	if (write(job_out, text, strlen(text)) == -1)
		_exit(2);
	_exit(1);
}

static inline void
must(int condition, const char *what)
{
	if (!condition)
		blame("%s: %s", what, strerror(errno));
}

/* ---- Time ---- */

static inline long long
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static inline void
sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* ---- Files ---- */

static inline char *in_base(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* A path in the scratch directory, in one of a few buffers used in turn. */
static inline char *
in_base(const char *format, ...)
{
	static char room[64][PATH_MAX];
	static unsigned next;
	char *p = room[next++ % 64], rest[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(rest, sizeof(rest), format, ap);
	va_end(ap);
	snprintf(p, PATH_MAX, "%s/%s", scratch, rest);
	return p;
}

/* A new file in the place of what is there. */
static inline char *
put_file(char *path, const char *text, size_t len, mode_t mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	must(fd != -1, path);
	must(write(fd, text, len) == (ssize_t)len && fchmod(fd, mode) == 0,
	    path);
	close(fd);
	return path;
}

/* ---- Other processes ---- */

static inline void
become(uid_t uid)
{
	gid_t gid = (gid_t)uid;

	if (getuid() == 0 && (setgroups(1, &gid) == -1 || setgid(gid) == -1 ||
	    setuid(uid) == -1))
		_exit(126);
}

static char jail[PATH_MAX];	/* a directory for a program alone */

static inline void
enter_jail(void)
{
	if (chroot(jail) == -1 || chdir("/") == -1)
		_exit(126);
}

/* Run a program, its output thrown away: its exit status. */
static inline int
run(const char *const argv[])
{
	int fd, status;
	pid_t pid;

	fflush(NULL);
	if ((pid = fork()) == 0) {
		if ((fd = open("/dev/null", O_RDWR)) != -1) {
			dup2(fd, 0);
			dup2(fd, 1);
			dup2(fd, 2);
		}
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static inline int
remove_tree(const char *path)
{
	const char *const argv[] = { "rm", "-rf", path, NULL };

	return run(argv);
}

/*
 * A directory for all files of the tests, and in it, if we are root, a copy of the
 * program that others can run, too. 0, or -1 if that cannot be had.
 */
static inline int
make_scratch(const char *name)
{
	const char *tmp = getenv("TMPDIR"), *pop3d = getenv("POP3D");
	char path[PATH_MAX], real[PATH_MAX];
	const char *argv[] = { "cp", program, path, NULL };

	snprintf(path, sizeof(path), "%s/%s.XXXXXX",
	    tmp != NULL && *tmp != '\0' ? tmp : "/tmp", name);
	if (mkdtemp(path) == NULL || realpath(path, real) == NULL ||
	    chmod(path, 0755) == -1 || strlen(real) >= sizeof(scratch)) {
		perror(path);
		return -1;
	}
	memcpy(scratch, real, strlen(real) + 1);
	if (realpath(pop3d != NULL ? pop3d : "./pop3d", program) == NULL) {
		perror("pop3d");
		return -1;
	}
	if (getuid() != 0)
		return 0;
	snprintf(path, sizeof(path), "%s/pop3d", scratch);
	if (run(argv) != 0 || chmod(path, 0755) == -1)
		return -1;
	memcpy(program, path, strlen(path) + 1);
	return 0;
}

/* Wait until nothing we started is left: 0 if that takes too long. */
static inline int
all_ended(long ms)
{
	long long end = now_ms() + ms;
	pid_t pid;

	while (now_ms() < end) {
		pid = waitpid(0, NULL, WNOHANG);
		if (pid == -1 && errno == ECHILD)
			return 1;
		if (pid == 0)
			sleep_ms(2);
	}
	return 0;
}

/* Wait for a process to end, for at most so long; its exit status. */
static inline int
wait_for(pid_t pid, long patience)
{
	long long end = now_ms() + patience;
	int status;
	pid_t r;

	while ((r = waitpid(pid, &status, WNOHANG)) == 0) {
		if (now_ms() > end) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			blame("the server does not end");
		}
		sleep_ms(2);
	}
	must(r == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
}

/* What a small file says, or "" without one; valid until the next call. */
static inline char *
read_text(const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static inline char *
read_proc(pid_t pid, const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, what);
	return read_text(path);
}

/* A line of /proc/pid/status, its name taken off, blanks as single spaces. */
static inline const char *
status_of(pid_t pid, const char *name)
{
	static char value[256];
	char *p = read_proc(pid, "status"), *to = value;
	size_t len = strlen(name);

	for (; p != NULL; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, len) == 0 && p[len] == ':')
			break;
	}
	for (p = p == NULL ? NULL : p + len + 1; p != NULL && *p != '\n' &&
	    *p != '\0'; p++) {
		if (*p != '\t' && *p != ' ')
			*to++ = *p;
		else if (to > value && to[-1] != ' ')
			*to++ = ' ';
	}
	if (to > value && to[-1] == ' ')
		to--;
	*to = '\0';
	return value;
}

static inline int
find_children(pid_t parent, pid_t *out, int max)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	int n = 0;
	pid_t pid;

	must(d != NULL, "/proc");
	while ((e = readdir(d)) != NULL && n < max) {
		pid = (pid_t)atol(e->d_name);
		if (pid > 0 && atol(status_of(pid, "PPid")) == (long)parent)
			out[n++] = pid;
	}
	closedir(d);
	return n;
}

/* ---- Connections ---- */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* An address without a port; its length, or 0 if it is none. */
static inline socklen_t
fill_address(union address *a, const char *text)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		return sizeof(a->in);
	}
	if (inet_pton(AF_INET6, text, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		return sizeof(a->in6);
	}
	return 0;
}

/* A socket that listens there, on a port that to gets; IPv4 reaches it, too. */
static inline int
listen_at(const char *text, union address *to)
{
	socklen_t len = fill_address(to, text);
	int l = socket(to->sa.sa_family, SOCK_STREAM, 0), off = 0;

	if (to->sa.sa_family == AF_INET6)
		setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (l != -1 && bind(l, &to->sa, len) == 0 && listen(l, 1) == 0 &&
	    getsockname(l, &to->sa, &len) == 0)
		return l;
	close(l);
	return -1;
}

/*
 * A connected pair over TCP, the client's end first: the listener is on
 * loopback, the client comes from the address given, or from where the system
 * likes. -1: that cannot be had.
 */
static inline int
connect_pair(int pair[2], const char *at, const char *from)
{
	union address to, own;
	socklen_t len;
	in_port_t port;
	int l = listen_at(at, &to);

	pair[1] = -1;
	if (l == -1)
		return -1;
	/* a port is at the same place in both */
	port = to.in.sin_port;
	len = fill_address(&to, strncmp(at, "::ffff:", 7) == 0 ? at + 7 : at);
	to.in.sin_port = port;
	pair[0] = socket(to.sa.sa_family, SOCK_STREAM, 0);
	if ((from == NULL || bind(pair[0], &own.sa, fill_address(&own, from))
	    == 0) && connect(pair[0], &to.sa, len) == 0)
		pair[1] = accept(l, NULL, NULL);
	close(l);
	if (pair[1] == -1)
		close(pair[0]);
	return pair[1] == -1 ? -1 : 0;
}

static inline void
keep_to_ourselves(int fd)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/*
 * poll for one event, in ms. If the program hangs again and again, later tests
 * do not wait for it as long: a file counts how often it did.
 */
static inline int
wait_until(int fd, short events, int patience)
{
	struct pollfd p = { fd, events, 0 };
	char path[sizeof(scratch) + 8];
	struct stat st;
	int late;

	snprintf(path, sizeof(path), "%s/late", scratch);
	if (patience == PATIENCE && stat(path, &st) == 0 && st.st_size > 5)
		patience = 1000;
	if (poll(&p, 1, patience) == 1)
		return 1;
	if (*scratch == '\0')
		return 0;
	late = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (late != -1 && write(late, "x", 1) == 1)
		close(late);
	return 0;
}

/* ---- A client ---- */

struct peer {
	pid_t pid;		/* what the superserver would have started */
	int fd;			/* both ways */
	char *got;		/* what came and is not taken: pos to len */
	size_t pos, len, room;
	size_t most;		/* octets that are read at once, or 0 */
	size_t line_len;	/* of the line that was taken last */
	char last[80];		/* the command, for messages */
};

/*
 * Start it as inetd does, 0, 1 and 2 being one end of a pair; if there is a
 * prepare, it is called first.
 */
static inline void
start_on(struct peer *p, const int pair[2], void (*prepare)(void),
    const char *const argv[])
{
	int i;

	memset(p, 0, sizeof(*p));
	p->fd = pair[0];
	keep_to_ourselves(p->fd);
	fflush(NULL);
	must((p->pid = fork()) != -1, "fork");
	if (p->pid != 0) {
		close(pair[1]);
		return;
	}
	for (i = 0; i < 3; i++)
		dup2(pair[1], i);
	if (pair[1] > 2)
		close(pair[1]);
	if (prepare != NULL)
		prepare();
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static inline void
start_with(struct peer *p, void (*prepare)(void), const char *const argv[])
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
	start_on(p, pair, prepare, argv);
}

static inline void
send_bytes(struct peer *p, const char *data, size_t len)
{
	ssize_t n;

	snprintf(p->last, sizeof(p->last), "%.*s", (int)(len < 70 ? len : 70),
	    data);
	for (; len > 0; data += n, len -= (size_t)n) {
		if (!wait_until(p->fd, POLLOUT, PATIENCE))
			blame("the server does not read: %s", p->last);
		if ((n = write(p->fd, data, len)) <= 0)
			blame("cannot send %s: %s", p->last,
			    strerror(errno));
	}
}

static inline void say(struct peer *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void
say(struct peer *p, const char *format, ...)
{
	char text[4096];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	must(n >= 0 && (size_t)n < sizeof(text), "say");
	send_bytes(p, text, (size_t)n);
}

/* Read more: 1, 0 at the end of the connection, -1 if nothing comes. */
static inline int
read_more(struct peer *p, int patience)
{
	size_t most;
	ssize_t n;

	/* what is taken makes room, or a long answer would be kept whole */
	if (p->pos >= p->len - p->pos) {
		if (p->len > p->pos)
			memcpy(p->got, p->got + p->pos, p->len - p->pos);
		p->len -= p->pos;
		p->pos = 0;
	}
	if (p->room - p->len < 65536) {
		p->room = p->room * 2 + 131072;
		p->got = realloc(p->got, p->room);
		must(p->got != NULL, "realloc");
	}
	if (!wait_until(p->fd, POLLIN, patience))
		return -1;
	most = p->room - p->len - 1;
	if (p->most > 0 && p->most < most)
		most = p->most;
	n = read(p->fd, p->got + p->len, most);
	p->len += n > 0 ? (size_t)n : 0;
	p->got[p->len] = '\0';
	return n > 0;
}

static inline int
receive(struct peer *p, int patience)
{
	int r = read_more(p, patience);

	if (r == -1)
		blame("no answer after %d ms: %s", patience, p->last);
	return r;
}

/*
 * Take a line, without its CRLF, which must be one; NULL at the end of the
 * connection. The string is valid until the next line is taken.
 */
static inline char *
next_line(struct peer *p, int patience)
{
	size_t seen = 0;
	char *lf, *line;

	while ((lf = p->len == p->pos ? NULL : memchr(p->got + p->pos + seen,
	    '\n', p->len - p->pos - seen)) == NULL) {
		seen = p->len - p->pos;
		if (!receive(p, patience))
			return NULL;
	}
	line = p->got + p->pos;
	p->line_len = (size_t)(lf - line);
	p->pos += p->line_len + 1;
	if (p->line_len == 0 || lf[-1] != '\r')
		blame("a line that does not end in CRLF: %.100s", line);
	line[--p->line_len] = '\0';
	return line;
}

static inline char *
take_line(struct peer *p)
{
	char *line = next_line(p, PATIENCE);

	if (line == NULL)
		blame("the connection ended: %s", p->last);
	return line;
}

/* Whether text is as the pattern says: * at its end stands for anything. */
static inline int
is_like(const char *text, const char *pattern)
{
	size_t len = strlen(pattern);

	if (len > 0 && pattern[len - 1] == '*')
		return strncmp(text, pattern, len - 1) == 0;
	return strcmp(text, pattern) == 0;
}

static inline void
expect(struct peer *p, const char *pattern)
{
	const char *line = take_line(p);

	if (!is_like(line, pattern))
		blame("after \"%s\": got \"%.200s\", wanted \"%s\"", p->last,
		    line, pattern);
}

/* One command and the line that answers it. */
static inline void
ask(struct peer *p, const char *command, const char *pattern)
{
	say(p, "%s\r\n", command);
	expect(p, pattern);
}

static inline void
expect_end(struct peer *p)
{
	if (p->pos < p->len || receive(p, PATIENCE))
		blame("after \"%s\": wanted the end, got \"%.200s\"",
		    p->last, p->got + p->pos);
}

/* Close the connection, and see the program end. */
static inline int
finish(struct peer *p)
{
	close(p->fd);
	free(p->got);
	p->got = NULL;
	return wait_for(p->pid, PATIENCE);
}

/* The connection ends, and the program by itself: its exit status. */
static inline int
see_end(struct peer *p)
{
	expect_end(p);
	return finish(p);
}

/* The end that a session should have: one line, and nothing behind it. */
static inline void
quit(struct peer *p)
{
	ask(p, "QUIT", "+OK *");
	if (see_end(p) != 0)
		blame("exit status after QUIT");
}
