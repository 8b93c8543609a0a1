/*
 * The parties of tests/stress.sh, one word each: those who deliver, read,
 * delete, vanish, stall and kill; and the one who counts at the end.
 *
 * All mail is made from a serial number, so that every octet of it can be
 * checked by whoever meets it. Who does something that matters says so in the
 * file "log" of the working directory, a line each:
 *	D n, d n	n was delivered, or perhaps
 *	G n, g n	n was deleted by somebody who named it, or perhaps
 *	F text		a fault: something that must not happen
 *	S text		a figure for the report
 */
#include <sys/file.h>
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static void fail_with(const char *);
#include "peer.h"

enum {
	MAIL_MAX = 1 << 19,
	BOX_MAX = 1 << 27,
	SERIALS = 1 << 20,
	WAIT = 35000		/* ms: 30 s for the locks, and a busy host */
};

static uint32_t dice;

static unsigned
roll(unsigned sides)
{
	dice = dice * 1664525 + 1013904223;
	return (dice >> 8) % sides;
}

/* For less than so many ms. */
static void
doze(unsigned most)
{
	sleep_ms((long)roll(most));
}

static void
note(const char *format, ...)
{
	char line[600];
	va_list ap;
	ssize_t n;
	int fd;

	va_start(ap, format);
	vsnprintf(line, sizeof(line) - 1, format, ap);
	va_end(ap);
	n = (ssize_t)strlen(strcat(line, "\n"));
	fd = open("log", O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (fd == -1 || write(fd, line, (size_t)n) != n) {
		perror("log");
		exit(2);
	}
	close(fd);
}

static void
fail_with(const char *text)
{
	note("F %s", text);
	exit(1);
}

/* ---- Mail ---- */

/*
 * Of six serials four are twins: everything that makes the unique-id is the
 * same, bodies and their lengths differ. Some have neither Received nor
 * Message-ID, and so an id of their own. Every 15th is longer than the server's
 * buffers.
 */
static unsigned
group(unsigned serial)
{
	return serial / 2 % 3 > 0 ? serial & ~1u : serial;
}

/* The message behind its "From " line; *body: where that begins in it. */
static size_t
make_mail(unsigned serial, char *p, size_t *body)
{
	unsigned g = group(serial), lines, i, sum = 0;
	uint32_t x = g * 2654435761u;
	size_t n = 0;

	if (serial / 2 % 7 != 1)
		n += (size_t)sprintf(p, "Received: from a by b id %08u\n"
		    "Message-ID: <%08u@stress.example.org>\n", g, g);
	n += (size_t)sprintf(p + n, "Date: Mon, 23 Nov 2026 10:00:00 +0000\n"
	    "From: stress@example.org\nSubject: stress %08u\n\n", g);
	*body = n;
	x ^= x >> 15;
	lines = 2 * (x % 15 == 0 ? 2000 + x % 5000 : 1 + x % 30) + serial % 2;
	n += (size_t)sprintf(p + n, "serial %08u lines %u\n", serial, lines);
	x = serial * 2246822519u + 1;
	for (i = 0; i < lines; i++) {
		x = x * 1664525 + 1013904223;
		sum += x;
		n += (size_t)sprintf(p + n, "%s%08u %05u %08x%s\n",
		    x >> 29 == 0 ? "." : "", serial, i, (unsigned)x,
		    x >> 28 == 2 ? "\n" : "");
	}
	n += (size_t)sprintf(p + n, "end %08u %08x\n", serial, sum);
	return n;
}

/* The same as it stands in a mailbox. */
static size_t
make_entry(unsigned serial, char *p)
{
	size_t body, n = (size_t)sprintf(p, "%s",
	    "From stress@example.org Mon Nov 23 10:00:00 2026\n");

	n += make_mail(serial, p + n, &body);
	p[n++] = '\n';
	return n;
}

/* Whether mail readers and delivery agents may add this header line. */
static int
is_added(const char *line)
{
	static const char *const names[] = { "Status:", "X-Status:", "Lines:",
	    "Content-Length:", "X-Keywords:", "X-UID:", "Return-Path:",
	    "Delivered-To:" };
	int i;

	for (i = 0; i < COUNT(names); i++)
		if (strncasecmp(line, names[i], strlen(names[i])) == 0)
			return 1;
	return 0;
}

/*
 * Which message this is, len octets behind its "From " line: -1 if it is none
 * that was ever sent. What follows the body is looked at only if whole.
 */
static long
which_mail(const char *text, size_t len, int whole)
{
	static char want[MAIL_MAX];
	const char *end = text + len, *p = text, *w = want, *body;
	size_t n, at;
	unsigned serial;

	for (body = text; body + 1 < end; body++)
		if (body[0] == '\n' && body[1] == '\n')
			break;
	if (end - (body += 2) < 16 || memcmp(body, "serial ", 7) != 0)
		return -1;
	serial = (unsigned)atol(body + 7);
	if (serial >= SERIALS)
		return -1;
	n = make_mail(serial, want, &at);
	while (p < body)
		if (w < want + at && (size_t)(body - p) >=
		    strcspn(w, "\n") + 1 && memcmp(p, w, strcspn(w, "\n") + 1)
		    == 0) {
			p += strcspn(w, "\n") + 1;
			w += strcspn(w, "\n") + 1;
		} else if (is_added(p))
			p += strcspn(p, "\n") + 1;
		else
			return -1;
	if (w != want + at || (size_t)(end - p) < n - at ||
	    memcmp(p, w, n - at) != 0)
		return -1;
	for (p += n - at; whole && p < end; p++)
		if (*p != '\n')
			return -1;
	return (long)serial;
}

/* ---- Files and locks ---- */

static char box[BOX_MAX];

static size_t
read_box(int fd)
{
	size_t have = 0;
	ssize_t n;

	while ((n = pread(fd, box + have, BOX_MAX - 1 - have, (off_t)have)) > 0)
		have += (size_t)n;
	box[have] = '\0';
	return have;
}

static int
open_box(const char *name, int how)
{
	int fd = open(name, O_RDWR | O_CREAT | how, 0600);

	must(fd != -1, name);
	return fd;
}

static void
write_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n)
		must((n = write(fd, p, len)) > 0, "write");
}

/* In one write, as who has another lock may append meanwhile. */
static void
write_entry(int fd, unsigned serial)
{
	static char mail[MAIL_MAX];

	write_all(fd, mail, make_entry(serial, mail));
}

/*
 * The next message in the box at p: which it is, or -1; where it begins behind
 * its "From " line; and its end. Naive, and knows our mail only.
 */
static long
next_mail(char *p, char **header, char **end)
{
	char *q = p + 1;

	while ((q = strstr(q, "\nFrom ")) != NULL && q[-1] != '\n')
		q++;
	*end = q == NULL ? p + strlen(p) : q + 1;
	*header = p + strcspn(p, "\n") + 1;
	return which_mail(*header, (size_t)(*end - *header), 1);
}

/* The name of its dotlock. */
static const char *
lock_of(const char *name)
{
	static char lock[300];

	snprintf(lock, sizeof(lock), "%s.lock", name);
	return lock;
}

/* Take the dotlock: 1, or 0 if somebody has it. */
static int
take_dotlock(const char *name)
{
	char own[64];
	int l, taken;

	snprintf(own, sizeof(own), ".own.%ld", (long)getpid());
	must((l = open(own, O_WRONLY | O_CREAT | O_TRUNC, 0600)) != -1, own);
	dprintf(l, "%ld\n", (long)getpid());
	close(l);
	taken = link(own, lock_of(name)) == 0;
	unlink(own);
	return taken;
}

/*
 * A party locks as the policy says, by POLICY: dotlock, then fcntl. Or it has
 * one lock alone, as some agents do: 'd'otlock, 'f'cntl's or 'b'sd's. 1, or 0
 * if somebody holds it.
 */
enum { POLICY = 'p' };

static int
try_lock(const char *name, int fd, char which)
{
	if (which == 'b')
		return flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (which != 'f' && !take_dotlock(name))
		return 0;
	if (which == 'd' || lockf(fd, F_TLOCK, 0) == 0)
		return 1;
	if (which == POLICY)
		unlink(lock_of(name));
	return 0;
}

static void
lock_box(const char *name, int fd, char which)
{
	long long end = now_ms() + WAIT;

	while (!try_lock(name, fd, which)) {
		must(now_ms() <= end, "a lock was held too long");
		sleep_ms(which == POLICY ? 5 + (long)roll(30) : 2);
	}
}

static void
unlock_box(const char *name, int fd, char which)
{
	if (which == POLICY || which == 'd')
		unlink(lock_of(name));
	close(fd);
}

/*
 * Who has one lock alone may meet other agents who append meanwhile, as their
 * lock is another one; but nobody may touch what is there.
 */
static void
watch(int fd, char which)
{
	static char before[BOX_MAX];
	size_t had = read_box(fd);

	memcpy(before, box, had);
	doze(10);
	if (read_box(fd) < had || memcmp(before, box, had) != 0)
		note("F somebody wrote to the mailbox under the lock '%c'",
		    which);
}

static void
deliver(const char *name, unsigned serial, char which)
{
	int fd = open_box(name, O_APPEND);

	lock_box(name, fd, which);
	if (which != POLICY)
		watch(fd, which);
	write_entry(fd, serial);
	unlock_box(name, fd, which);
	note("D %u", serial);
}

/* ---- The client of one session ---- */

struct client {
	struct peer peer;
	pid_t keeper;		/* of a session by the server, or 0 */
	int served;		/* by that, or else our own child */
	const char *line;	/* the last one; none at the end */
};

static const char *pop3d;
static const char *server;	/* socket of a server of root's, or NULL */

/* A server waits for its client, and others come in between. */
static void
have_small_buffer(int fd)
{
	int small = 4096;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
}

static void
be_quiet(void)
{
	have_small_buffer(1);
	dup2(open("/dev/null", O_WRONLY), 2);
}

/*
 * Start a session of our own; strace injects something, if that is said. Every
 * other one has an index.
 */
static void
start(struct client *c, const char *name, const char *seconds,
    const char *inject)
{
	const char *dir = getenv("STRESS_INDEX"), *slash = strrchr(name, '/');
	char index[300];
	const char *argv[] = { "strace", "-qq", "-o", "/dev/null", "-e", inject,
	    pop3d, "-p", "-t", seconds, "-m", name,
	    dir != NULL && roll(2) == 0 ? "-i" : NULL, index, NULL };

	snprintf(index, sizeof(index), "%s/%s", dir == NULL ? "" : dir,
	    slash == NULL ? name : slash + 1);
	memset(c, 0, sizeof(*c));
	start_with(&c->peer, be_quiet, inject == NULL ? argv + 6 : argv);
}

/* A line: 1; at the end of the connection 0. */
static int
get_line(struct client *c)
{
	c->line = next_line(&c->peer, WAIT);
	if (c->line != NULL)
		return 1;
	c->line = "";
	return 0;
}

/* Whoever has gone already does not hear it. */
static void
put(struct client *c, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vdprintf(c->peer.fd, format, ap);
	va_end(ap);
}

static int
is_ok(struct client *c)
{
	return get_line(c) && strncmp(c->line, "+OK", 3) == 0;
}

/* What must be: or the fault names who it was, and at which step. */
static void
want_ok(struct client *c, const char *who, const char *step)
{
	if (!is_ok(c))
		note("F %s: %s: %s", who, step, c->line);
}

/* Whether a process that is not our child is no more, or waits to be reaped. */
static int
is_gone(pid_t pid)
{
	return pid == 0 || (kill(pid, 0) == -1 && errno == ESRCH) ||
	    *status_of(pid, "State") == 'Z';
}

static int
has_ended(const struct client *c)
{
	if (!c->served)
		return waitpid(c->peer.pid, NULL, WNOHANG) != 0;
	return is_gone(c->peer.pid) && is_gone(c->keeper);
}

/* Hang up; session and keeper must end by themselves, within seconds. */
static void
hang_up(struct client *c, long ms)
{
	long long end = now_ms() + ms;

	close(c->peer.fd);
	free(c->peer.got);
	c->peer.got = NULL;
	while (!has_ended(c)) {
		if (now_ms() > end) {
			note("F a session%s did not end", is_gone(c->peer.pid) ?
			    "'s keeper" : "");
			kill(c->peer.pid, SIGKILL);
			if (c->keeper != 0)
				kill(c->keeper, SIGKILL);
			end += 1000000;
		}
		sleep_ms(5);
	}
}

/*
 * Have the server start a session, and log in; the mailbox has the user's name.
 * What the first line says is the server's.
 */
static int
log_in(struct client *c, const char *name)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char children[40];

	memset(c, 0, sizeof(*c));
	c->served = 1;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", server);
	c->peer.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	must(c->peer.fd != -1 && connect(c->peer.fd, (const struct sockaddr *)
	    &to, sizeof(to)) == 0, server);
	keep_to_ourselves(c->peer.fd);
	must(get_line(c) && (c->peer.pid = (pid_t)atol(c->line)) > 0,
	    "the server said no pid");
	put(c, "USER %s\r\nPASS s\r\n", strrchr(name, '/') + 1);
	if (!is_ok(c) || !is_ok(c) || !is_ok(c))
		return 0;
	/* the session's only child; where it cannot be told, 0 */
	snprintf(children, sizeof(children), "task/%ld/children",
	    (long)c->peer.pid);
	c->keeper = (pid_t)atol(read_proc(c->peer.pid, children));
	return 1;
}

/* Begin a session: whether it is in. */
static int
begin(struct client *c, const char *name, int served, const char *inject)
{
	if (served)
		return log_in(c, name);
	start(c, name, "60", inject);
	return is_ok(c);
}

/*
 * A superserver on a Unix socket, for those who may not start the program as
 * root. What it starts says its pid first.
 */
static void
serve(const char *name, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int l = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", name);
	must(l != -1 && bind(l, (const struct sockaddr *)&at, sizeof(at)) == 0
	    && chmod(name, 0666) == 0 && listen(l, 64) == 0, name);
	signal(SIGCHLD, SIG_IGN);
	while ((fd = accept(l, NULL, NULL)) != -1) {
		if (fork() == 0) {
			have_small_buffer(fd);
			dprintf(fd, "%ld\r\n", (long)getpid());
			dup2(fd, 0);
			dup2(fd, 1);
			dup2(fd, 2);
			close(fd);
			close(l);
			execv(argv[0], argv);
			_exit(127);
		}
		close(fd);
	}
	must(0, "accept");
}

/*
 * RETR i: the serial, or -1 if the server says no or breaks off, as it may when
 * the message goes or moves. A whole answer that is no message is a fault.
 */
static long
retrieve(struct client *c, unsigned i, int whole)
{
	static char text[MAIL_MAX * 2];
	size_t n = 0, len;
	const char *p;
	long serial, octets;
	int slowly = whole && roll(4) == 0;

	put(c, "RETR %u\r\n", i);
	if (!is_ok(c))
		return -1;
	octets = atol(c->line + 4);
	while (get_line(c)) {
		if (strcmp(c->line, ".") == 0) {
			text[n] = '\0';
			serial = which_mail(text, n, whole);
			if (serial == -1 && whole)
				note("F message %u is a mixture: %.300s", i,
				    text);
			return serial;
		}
		p = c->line + (*c->line == '.');
		len = strlen(p);
		if (n + len + 2 > sizeof(text)) {
			note("F message %u of %ld octets has no end: %.300s", i,
			    octets, text);
			return -1;
		}
		memcpy(text + n, p, len);
		n += len;
		text[n++] = '\n';
		if (slowly && n > 2000 && roll(400) == 0)
			doze(50);
	}
	return -1;
}

/* How many messages LIST shows. */
static unsigned
count_list(struct client *c)
{
	unsigned n = 0;

	put(c, "LIST\r\n");
	if (!is_ok(c))
		return 0;
	while (get_line(c) && strcmp(c->line, ".") != 0)
		n++;
	return n;
}

/* ---- Everybody at once ---- */

/* Stop a process for a moment, in the middle of whatever it does. */
static void
hold(pid_t pid)
{
	kill(pid, SIGSTOP);
	doze(300);
	kill(pid, SIGCONT);
}

/*
 * Whether another message with the unique-id of one of these has come. If that
 * one went by another's hand meanwhile, QUIT cannot tell which of them is left,
 * and must not say +OK.
 */
static int
has_twin(const long *named, size_t n)
{
	char line[700];
	FILE *f = fopen("log", "r");
	int twin = 0;
	size_t i;

	must(f != NULL, "log");
	while (!twin && fgets(line, sizeof(line), f) != NULL)
		for (i = 0; strchr("Dd", *line) != NULL && i < n; i++)
			twin |= atol(line + 2) == (named[i] ^ 1) &&
			    group((unsigned)named[i]) ==
			    group((unsigned)named[i] ^ 1) &&
			    named[i] / 2 % 7 != 1;
	fclose(f);
	return twin;
}

/*
 * QUIT, in one of the ways that clients have; and in some that only those have
 * who may end what the server started for them. No lock is held before it.
 */
static void
leave(struct client *c, const long *named, size_t n)
{
	unsigned how = roll(20);
	long long begun = now_ms();
	int no_keeper, ok;
	size_t i;

	/* who may not, or cannot tell the keeper, just says QUIT */
	if (c->keeper == 0 && (how == 5 || how == 6 || how == 8))
		how = 9;
	if (how == 2 || how == 5)
		kill(c->peer.pid, SIGKILL);
	if (how == 5 || how == 6)
		kill(c->keeper, SIGKILL);
	if (how <= 2 || how == 5) {
		hang_up(c, WAIT);
		return;
	}
	for (i = 0; i < n; i++)
		note("g %ld", named[i]);
	put(c, "QUIT\r\n");
	if (how < 5) {
		hang_up(c, WAIT);
		return;
	}
	if (how == 7 || how == 8)
		hold(how == 7 ? c->peer.pid : c->keeper);
	no_keeper = how == 6;
	ok = is_ok(c);
	for (i = 0; ok && i < n; i++)
		note("G %ld", named[i]);
	if (no_keeper && n > 0 && !is_like(c->line, "-ERR [SYS/TEMP]*"))
		note("F QUIT without a keeper: %s", c->line);
	else if (no_keeper || ok)
		note("S QUIT %s", ok ? "done" : "without a keeper");
	else if (is_like(c->line, "-ERR [SYS/TEMP]*") && has_twin(named, n))
		note("S QUIT with a twin left");
	else if (!is_like(c->line, "-ERR [IN-USE]*"))
		note("F QUIT: %s", c->line);
	else
		note("S busy at QUIT");
	if (now_ms() - begun > WAIT)
		note("F QUIT took %lld ms", now_ms() - begun);
	hang_up(c, WAIT);
}

static void
visit(const char *name)
{
	static struct client c;
	unsigned n, i, k;
	long named[64], serial = 0;
	size_t nnamed = 0;
	long long begun = now_ms();

	if (!begin(&c, name, server != NULL && roll(2) == 0, NULL)) {
		if (!is_like(c.line, "-ERR [IN-USE]*"))
			note("F greeting: %s", c.line);
		else
			note("S busy at login");
		hang_up(&c, WAIT);
		return;
	}
	if (now_ms() - begun > WAIT)
		note("F login took %lld ms", now_ms() - begun);
	n = count_list(&c);
	for (k = 0; k < 2 + roll(30) && n > 0; k++) {
		i = 1 + roll(n);
		serial = retrieve(&c, i, 1);
		note("S %s", serial == -1 ? "gone or moved" : "retrieved");
		if (serial == -1 && strncmp(c.line, "-ERR", 4) != 0)
			break;
		if (serial != -1 && nnamed < 64 && roll(3) == 0) {
			put(&c, "DELE %u\r\n", i);
			if (is_ok(&c))
				named[nnamed++] = serial;
		}
		if (roll(3) == 0)
			doze(60);
	}
	if (serial == -1 && strncmp(c.line, "-ERR", 4) != 0)
		hang_up(&c, WAIT);
	else
		leave(&c, named, nnamed);
	note("S session%s", c.served ? " of root's" : "");
}

/*
 * A mail reader: reads all, marks messages as read, deletes some, and writes
 * the file back in its place.
 */
static void
rewrite(const char *name)
{
	static char new[BOX_MAX];
	int fd = open_box(name, 0);
	char *p, *end, *header;
	size_t n = 0;
	long serial, gone[1000];
	size_t ngone = 0;

	lock_box(name, fd, POLICY);
	read_box(fd);
	for (p = box; *p != '\0'; p = end) {
		serial = next_mail(p, &header, &end);
		if (serial == -1)
			note("F the mailbox holds a mixture: %.300s", p);
		else if (roll(12) == 0 && ngone < 1000) {
			gone[ngone++] = serial;
			note("g %ld", serial);
			continue;
		}
		memcpy(new + n, p, (size_t)(header - p));
		n += (size_t)(header - p);
		if (strncmp(header, "Status: ", 8) == 0)
			header += strcspn(header, "\n") + 1;
		n += (size_t)sprintf(new + n, "%s", roll(2) == 0 ?
		    "Status: RO\n" : roll(2) == 0 ? "Status: O\n" : "");
		memcpy(new + n, header, (size_t)(end - header));
		n += (size_t)(end - header);
	}
	must(lseek(fd, 0, SEEK_SET) == 0, "lseek");
	write_all(fd, new, n);
	must(ftruncate(fd, (off_t)n) == 0, "ftruncate");
	unlock_box(name, fd, POLICY);
	while (ngone > 0)
		note("G %ld", gone[--ngone]);
	note("S rewritten");
}

/* What is known of a serial. */
enum { SENT = 1, MAYBE_SENT = 2, GONE = 4, MAYBE_GONE = 8, THERE = 16 };

static unsigned faults;

/* The first ones say enough. */
static void
accuse(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (faults++ < 20)
		vprintf(format, ap);
	va_end(ap);
}

/* Compare the mailbox with the log: what all this is for. */
static int
account(const char *name)
{
	static int known[SERIALS];
	unsigned i, n[3] = { 0 }, left = 0;
	char line[700], *p, *end, *header;
	FILE *f = fopen("log", "r");
	long serial;

	must(f != NULL, "log");
	while (fgets(line, sizeof(line), f) != NULL) {
		if (*line == 'F')
			accuse("%s", line);
		else if (strchr("DdGg", *line) != NULL)
			known[atol(line + 2) % SERIALS] |= *line == 'D' ? SENT :
			    *line == 'd' ? MAYBE_SENT : *line == 'G' ? GONE :
			    MAYBE_GONE;
	}
	fclose(f);
	read_box(open_box(name, 0));
	for (p = box; *p != '\0'; p = end) {
		serial = next_mail(p, &header, &end);
		left++;
		if (serial == -1)
			accuse("F not a message: %.300s\n", p);
		else if (known[serial] & THERE)
			accuse("F %ld is there twice\n", serial);
		else
			known[serial] |= THERE;
	}
	for (i = 0; i < SERIALS; i++) {
		if ((known[i] & SENT) && !(known[i] & (THERE | GONE |
		    MAYBE_GONE)))
			accuse("F %u is lost\n", i);
		if ((known[i] & THERE) && (known[i] & GONE))
			accuse("F %u was deleted and is there\n", i);
		if ((known[i] & THERE) && !(known[i] & (SENT | MAYBE_SENT)))
			accuse("F %u came from nowhere\n", i);
		n[0] += (known[i] & (SENT | MAYBE_SENT)) != 0;
		n[1] += (known[i] & GONE) != 0;
		n[2] += (known[i] & (GONE | MAYBE_GONE)) == MAYBE_GONE;
	}
	printf("%u messages delivered, %u deleted, %u more perhaps, %u left, "
	    "%u faults\n", n[0], n[1], n[2], left, faults);
	return faults > 0;
}

/* ---- Clients that stall or vanish ---- */

/* Make a mailbox of its own for this process with n messages. */
static void
make_box(const char *name, unsigned first, unsigned n)
{
	int fd;

	unlink(name);
	for (fd = open_box(name, 0); n > 0; n--)
		write_entry(fd, first++);
	close(fd);
}

/* Its session has ended. */
static void
remove_box(const char *name, const char *who)
{
	if (access(lock_of(name), F_OK) == 0)
		note("F %s: a lock is left", who);
	unlink(name);
}

/* The server must end by itself within seconds; deliveries go on meanwhile. */
static void
await_end(struct client *c, const char *name, unsigned serial, long ms,
    const char *what, const char *drip)
{
	long long end = now_ms() + ms, begun, worst = 0;
	unsigned n = 0;

	while (!has_ended(c)) {
		if (now_ms() > end) {
			note("F %s: the session goes on", what);
			kill(c->peer.pid, SIGKILL);
			end += 1000000;
		}
		begun = now_ms();
		deliver(name, serial + n++, POLICY);
		if (now_ms() - begun > worst)
			worst = now_ms() - begun;
		if (*drip != '\0' && n % 4 == 0)
			put(c, "%c", *drip++);
		sleep_ms(200);
	}
	if (worst > 2000)
		note("F %s: a delivery took %lld ms", what, worst);
	close(c->peer.fd);
}

/* That only those were removed which shall be: the first n - left of them. */
static void
expect_left(const char *name, unsigned first, unsigned n, unsigned left,
    const char *what)
{
	char *p, *end, *header;
	unsigned serial = first + n - left;

	read_box(open_box(name, 0));
	for (p = box; *p != '\0' && serial < first + n; p = end, serial++)
		if (next_mail(p, &header, &end) != (long)serial)
			note("F %s: not %u but %.200s", what, serial, p);
	if (serial != first + n)
		note("F %s: messages are missing from %u on", what, serial);
}

/* Another file in the mailbox's place. */
static void
replace(const char *name)
{
	char new[300];
	int fd;

	snprintf(new, sizeof(new), "%s.new", name);
	fd = open_box(new, 0);
	write_all(fd, box, read_box(open_box(name, 0)));
	must(rename(new, name) == 0, new);
	close(fd);
}

/* We have it, and are alive. */
static void
keep_locked(const char *name)
{
	must(take_dotlock(name), "a lock is left");
}

static const struct stall {
	const char *what;
	const char *sent;	/* behind DELE 1 and 2 */
	const char *drip;	/* then an octet at a time */
	int wait;		/* until the timer ends it; else hang up */
	unsigned removed;
	void (*befalls)(const char *);	/* the mailbox; QUIT says -ERR then */
} stalls[] = {
	{ "quits when the mailbox is another", "", "", 0, 0, replace },
	{ "quits when it is locked for long", "", "", 0, 0, keep_locked },
	{ "stops reading", "RETR 3\r\nRETR 4\r\nRETR 5\r\nRETR 6\r\n", "", 1,
	    0, NULL },
	{ "says nothing", "", "", 1, 0, NULL },
	{ "sends an octet at a time", "", "NOOP NOOP NOOP NOOP NOOP", 1, 0,
	    NULL },
	{ "vanishes", "", "", 0, 0, NULL },
	{ "vanishes in RETR", "RETR 3\r\nRETR 4\r\n", "", 0, 0, NULL },
	{ "vanishes in DELE", "DELE 3", "", 0, 0, NULL },
	{ "vanishes behind DELE", "DELE 3\r\n", "", 0, 0, NULL },
	{ "vanishes in QUIT", "QUI", "", 0, 0, NULL },
	{ "vanishes before the end of QUIT", "QUIT", "", 0, 0, NULL },
	{ "vanishes before the last octet of QUIT", "QUIT\r", "", 0, 0, NULL },
	{ "vanishes behind QUIT", "QUIT\r\n", "", 0, 2, NULL }
};
enum { STALL_MAIL = 400 };

static void
stall(const struct stall *s, unsigned number)
{
	static struct client c;
	unsigned first = 1000 * number, i;
	char name[32];

	snprintf(name, sizeof(name), "stall%u", number);
	make_box(name, first, STALL_MAIL);
	start(&c, name, s->wait ? "2" : "60", NULL);
	want_ok(&c, s->what, "greeting");
	put(&c, "DELE 1\r\nDELE 2\r\n");
	want_ok(&c, s->what, "DELE 1");
	want_ok(&c, s->what, "DELE 2");
	put(&c, "%s", s->sent);
	if (s->befalls != NULL) {
		s->befalls(name);
		put(&c, "QUIT\r\n");
		if (is_ok(&c) || !is_like(c.line, "-ERR [*"))
			note("F %s: %s", s->what, c.line);
		if (s->befalls == keep_locked)
			unlink(lock_of(name));
	}
	for (i = 0; s->wait && *s->drip == '\0' && *s->sent != '\0' && i < 60;
	    i++)
		put(&c, "RETR %u\r\nRETR 10\r\nRETR 11\r\n", 10 + i * 3);
	if (s->wait)
		await_end(&c, name, first + STALL_MAIL, 7000, s->what, s->drip);
	else
		hang_up(&c, 5000);
	expect_left(name, first, STALL_MAIL, STALL_MAIL - s->removed, s->what);
	remove_box(name, s->what);
}

/* All of them at once. */
static void
stall_all(void)
{
	int i;
	pid_t pid;

	for (i = 0; i < COUNT(stalls); i++) {
		must((pid = fork()) != -1, "fork");
		if (pid == 0) {
			stall(&stalls[i], (unsigned)i + 1);
			exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
}

/* ---- Killed ---- */

enum victim { SESSION, KEEPER, BOTH, KEEPER_FIRST };

/* One session that deletes some messages and is killed. */
struct killing {
	const char *name;	/* of the mailbox */
	unsigned n;		/* messages in it */
	const char *what;	/* for the log: "killed ..." */
	const char *inject;	/* what has strace kill it; or */
	long long wait;		/* ms behind QUIT; < 0: not at all */
	int served;		/* by root's server, and there */
	enum victim victim;	/* this is killed, the last one before QUIT */
	int patient;		/* its lock is waited for */
	unsigned first;		/* serial; then which of them stay */
	char kept[4096];
	long long took;		/* ms, by QUIT */
};

/*
 * A killed session leaves its lock, which the next one takes for dead after a
 * minute. One is waited for; others are removed as an administrator would. A
 * keeper removes the lock itself, but must have the time for it.
 */
static void
clear_lock(struct killing *k, pid_t pid)
{
	char text[80] = "";
	int fd = open(lock_of(k->name), O_RDONLY);

	if (fd == -1)
		return;
	must(read(fd, text, sizeof(text) - 1) != -1, lock_of(k->name));
	close(fd);
	if (k->served && k->victim == SESSION)
		note("F %s: a keeper left its lock", k->what);
	else if (k->inject == NULL && atol(text) != (long)pid)
		note("F %s: a lock of %s is left", k->what, text);
	if (!k->patient)
		unlink(lock_of(k->name));
	else
		note("S a dead lock was waited for");
	k->patient = 0;
}

/*
 * Whether the next session finds all that had to stay, whole; and, if QUIT said
 * so, nothing of what had not.
 */
static void
check_kept(const struct killing *k, int done)
{
	static struct client c;
	static char found[4096];
	long long end = now_ms() + 90000;
	unsigned i, shown;
	long serial;

	memset(found, 0, sizeof(found));
	while (!begin(&c, k->name, k->served, NULL)) {
		if (!is_like(c.line, "-ERR [IN-USE]*") || now_ms() > end) {
			note("F %s: %s", k->what, c.line);
			hang_up(&c, 20000);
			return;
		}
		hang_up(&c, 20000);
	}
	shown = count_list(&c);
	for (i = 1; i <= shown; i++) {
		serial = retrieve(&c, i, 0) - (long)k->first;
		if (serial >= 0 && serial < (long)k->n)
			found[serial] = 1;
	}
	put(&c, "QUIT\r\n");
	want_ok(&c, k->what, "QUIT");
	hang_up(&c, 5000);
	for (i = 0; i < k->n; i++)
		if (k->kept[i] && !found[i])
			note("F %s: %u is lost", k->what, k->first + i);
		else if (done && !k->kept[i] && found[i])
			note("F %s: %u is there, and QUIT said +OK",
			    k->what, k->first + i);
}

/* Mark some messages. */
static void
name_some(struct killing *k, struct client *c)
{
	unsigned i;

	memset(k->kept, 1, sizeof(k->kept));
	k->kept[k->n / 8] = 0;
	for (i = 0; i < k->n; i++) {
		if (roll(4) == 0)
			k->kept[i] = 0;
		if (k->kept[i])
			continue;
		put(c, "DELE %u\r\n", i + 1);
		want_ok(c, k->what, "DELE");
	}
}

/* 1: it was quicker, and is done. */
static int
kill_quit(struct killing *k)
{
	static struct client c;
	long long begun;
	int done;

	k->first = roll(SERIALS - 4096);
	make_box(k->name, k->first, k->n);
	if (k->patient)
		sleep_ms(2100);	/* for an index it must be so old */
	if (!begin(&c, k->name, k->served, k->inject)) {
		note("F %s: %s", k->what, c.line);
		hang_up(&c, 5000);
		return 1;
	}
	if (c.keeper == 0)
		k->victim = SESSION;	/* it cannot be told */
	name_some(k, &c);
	if (k->victim == KEEPER_FIRST)
		kill(c.keeper, SIGKILL);
	begun = now_ms();
	put(&c, "QUIT\r\n");
	if (k->wait >= 0) {
		sleep_ms((long)k->wait);
		if (k->victim == SESSION || k->victim == BOTH)
			kill(c.peer.pid, SIGKILL);
		if (k->victim == KEEPER || k->victim == BOTH)
			kill(c.keeper, SIGKILL);
	}
	done = is_ok(&c);
	if (k->victim == KEEPER_FIRST && !is_like(c.line, "-ERR [SYS/TEMP]*"))
		note("F %s: without a keeper: %s", k->what, c.line);
	k->took = now_ms() - begun;
	hang_up(&c, WAIT);
	clear_lock(k, c.peer.pid);
	check_kept(k, done);
	remove_box(k->name, k->what);
	return done;
}

/*
 * At random moments, until a time. Each time some sessions of one size are
 * killed, and one is not, to know how long that takes. The first lock that is
 * left is waited for.
 */
static void
kill_often(const char *name, long long end)
{
	static struct killing k;
	long long took;
	unsigned n = 0, done = 0, served = 0, i;

	k.name = name;
	k.patient = 1;
	while (now_ms() < end || n < 32) {
		k.n = n % 32 == 24 ? 1000 : 20 + roll(80);
		k.served = server != NULL && n % 16 == 8;
		k.wait = -1;
		k.what = "killed not at all";
		if (!kill_quit(&k))
			note("F QUIT of a session that nobody killed");
		took = k.took;
		k.what = k.served ? "killed at random, root's" :
		    "killed at random";
		for (i = 0; i < 8; i++, n++) {
			k.victim = k.served ? (enum victim)(i % 4) : SESSION;
			k.wait = took * roll(1000) / 900;
			done += (unsigned)kill_quit(&k);
			served += (unsigned)k.served;
		}
		k.victim = SESSION;
	}
	printf("killed %u sessions at random moments of QUIT, %u of them or "
	    "their keepers root's, %u were quicker\n", n, served, done);
}

/* At every call of one kind, by strace. */
static void
kill_at_calls(const char *name, const char *call, unsigned most)
{
	static struct killing k;
	char inject[100], what[100];
	unsigned n;

	k.name = name;
	k.n = 60;
	k.what = what;
	k.inject = inject;
	k.wait = -1;
	for (n = 1; n < most; n++) {
		snprintf(inject, sizeof(inject),
		    "inject=%s:signal=KILL:when=%u", call, n);
		snprintf(what, sizeof(what), "killed at %s %u", call, n);
		dice = 5;
		if (kill_quit(&k))
			break;
	}
	printf("killed at each of %u calls of %s%s\n", n - 1, call,
	    n == most ? ", and there are more" : "");
}

/* ---- */

int
main(int argc, char **argv)
{
	static char mail[MAIL_MAX];
	const char *what = argc > 1 ? argv[1] : "";
	unsigned serial = argc > 4 ? (unsigned)atol(argv[4]) : 0;
	long long end;
	size_t body;

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	pop3d = getenv("POP3D");
	server = getenv("STRESS_SERVER");
	dice = (uint32_t)getpid() * 2654435761u + (uint32_t)time(NULL);
	end = now_ms() + (argc > 3 ? (long long)(atof(argv[3]) * 1e3) : 0);
	if (pop3d == NULL)
		pop3d = "./pop3d";
	if (strcmp(what, "mail") == 0 && argc == 3)
		fwrite(mail, 1, make_mail((unsigned)atol(argv[2]), mail, &body),
		    stdout);
	else if (strcmp(what, "mbox") == 0 && argc == 3)
		fwrite(mail, 1, make_entry((unsigned)atol(argv[2]), mail),
		    stdout);
	else if (strcmp(what, "visit") == 0 && argc == 4)
		while (now_ms() < end)
			visit(argv[2]);
	else if (strcmp(what, "deliver") == 0 && (argc == 5 || argc == 6))
		for (; now_ms() < end; serial++) {
			deliver(argv[2], serial, argc == 6 ? *argv[5] : POLICY);
			doze(argc == 6 ? 20 : 40);
		}
	else if (strcmp(what, "rewrite") == 0 && argc == 4)
		while (now_ms() < end) {
			rewrite(argv[2]);
			sleep_ms(100 + (long)roll(400));
		}
	else if (strcmp(what, "account") == 0 && argc == 3)
		return account(argv[2]);
	else if (strcmp(what, "stall") == 0)
		stall_all();
	else if (strcmp(what, "kill") == 0 && argc == 4)
		kill_often(argv[2], end);
	else if (strcmp(what, "strace") == 0 && argc == 5)
		kill_at_calls(argv[2], argv[4], (unsigned)atol(argv[3]));
	else if (strcmp(what, "serve") == 0 && argc > 3)
		serve(argv[2], argv + 3);
	else {
		fprintf(stderr, "see stress.sh\n");
		return 2;
	}
	return 0;
}
