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
#include <sys/types.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum {
	MAIL_MAX = 1 << 19,
	BOX_MAX = 1 << 27,
	SERIALS = 1 << 20,
	WAIT_SECONDS = 35	/* 30 for the locks, and a busy host */
};

static uint32_t dice;

static unsigned
roll(unsigned sides)
{
	dice = dice * 1664525 + 1013904223;
	return (dice >> 8) % sides;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
doze(double seconds)
{
	struct timespec t;

	t.tv_sec = (time_t)seconds;
	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	nanosleep(&t, NULL);
}

static void
say(const char *format, ...)
{
	char line[600];
	va_list ap;
	int fd, n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line) - 1, format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	fd = open("log", O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (fd == -1 || write(fd, line, (size_t)n) != n) {
		perror("log");
		exit(2);
	}
	close(fd);
}

static void
die(const char *what)
{
	say("F %s: %s", what, strerror(errno));
	exit(1);
}

/* ---- Mail ---- */

/*
 * Of six serials four are twins: everything that makes the unique-id is the
 * same, bodies and their lengths differ. Some have neither Received nor
 * Message-ID. Every 15th is longer than the server's buffers.
 */
static unsigned
group(unsigned serial)
{
	return serial / 2 % 3 > 0 ? serial & ~1u : serial;
}

static const char from_line[] =
    "From stress@example.org Mon Nov 23 10:00:00 2026\n";

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

/* Whether mail readers and delivery agents may add this header line. */
static int
is_added(const char *line)
{
	static const char *const names[] = { "Status:", "X-Status:", "Lines:",
	    "Content-Length:", "X-Keywords:", "X-UID:", "Return-Path:",
	    "Delivered-To:" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
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
open_box(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	if (fd == -1)
		die(name);
	return fd;
}

static int
write_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n)
		if ((n = write(fd, p, len)) <= 0)
			return -1;
	return 0;
}

/* A party that locks as the policy says: dotlock, then fcntl. */
static void
lock_box(const char *name, int fd)
{
	char lock[300], own[64];
	double start = now();
	struct flock fl;
	int l;

	snprintf(lock, sizeof(lock), "%s.lock", name);
	snprintf(own, sizeof(own), ".own.%ld", (long)getpid());
	memset(&fl, 0, sizeof(fl));
	fl.l_whence = SEEK_SET;
	for (;;) {
		if ((l = open(own, O_WRONLY | O_CREAT | O_TRUNC, 0600)) == -1)
			die(own);
		dprintf(l, "%ld\n", (long)getpid());
		close(l);
		if (link(own, lock) == 0) {
			fl.l_type = F_WRLCK;
			if (fcntl(fd, F_SETLK, &fl) == 0)
				break;
			unlink(lock);
		}
		unlink(own);
		if (now() - start > WAIT_SECONDS)
			die("a lock was held too long");
		doze(0.005 + roll(30) / 1000.0);
	}
	unlink(own);
}

static void
unlock_box(const char *name, int fd)
{
	char lock[300];

	snprintf(lock, sizeof(lock), "%s.lock", name);
	unlink(lock);
	close(fd);
}

static void
deliver(const char *name, unsigned serial)
{
	static char mail[MAIL_MAX];
	size_t body, n = make_mail(serial, mail, &body);
	int fd = open_box(name);

	lock_box(name, fd);
	mail[n++] = '\n';
	if (lseek(fd, 0, SEEK_END) == -1 ||
	    write_all(fd, from_line, strlen(from_line)) == -1 ||
	    write_all(fd, mail, n) == -1)
		die("delivery");
	unlock_box(name, fd);
	say("D %u", serial);
}

/*
 * As some agents are: one kernel lock and no dotlock, and the message in one
 * write to the end.
 */
static void
append(const char *name, unsigned serial, int use_flock)
{
	static char mail[MAIL_MAX];
	size_t head = strlen(from_line), body, n;
	int fd = open(name, O_WRONLY | O_APPEND);
	double start = now();

	if (fd == -1)
		die(name);
	memcpy(mail, from_line, head);
	n = head + make_mail(serial, mail + head, &body);
	mail[n++] = '\n';
	while ((use_flock ? flock(fd, LOCK_EX | LOCK_NB) :
	    lockf(fd, F_TLOCK, 0)) == -1) {
		if (now() - start > WAIT_SECONDS)
			die("a kernel lock was held too long");
		doze(0.002);
	}
	if (write_all(fd, mail, n) == -1)
		die("delivery");
	close(fd);
	say("D %u", serial);
}

/* ---- The client of one session ---- */

struct client {
	int fd;
	pid_t pid;
	size_t pos, len;
	char in[65536];
	char line[1200];
};

static const char *pop3d;

/* Start a server; the words of prefix, if any, come before its name. */
static void
start(struct client *c, const char *name, const char *seconds,
    const char *const *prefix)
{
	const char *argv[24];
	int pair[2], n = 0, small = 4096;

	for (; prefix != NULL && *prefix != NULL && n < 16; prefix++)
		argv[n++] = *prefix;
	argv[n++] = pop3d;
	argv[n++] = "-p";
	argv[n++] = "-t";
	argv[n++] = seconds;
	argv[n++] = "-m";
	argv[n++] = name;
	argv[n] = NULL;
	memset(c, 0, offsetof(struct client, in));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1)
		die("socketpair");
	/* so that a server waits for its client, and others come in between */
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	if ((c->pid = fork()) == -1)
		die("fork");
	if (c->pid == 0) {
		dup2(pair[1], 0);
		dup2(pair[1], 1);
		close(pair[0]);
		close(pair[1]);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(pair[1]);
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	c->fd = pair[0];
}

/* A line without its end in c->line: 1; at the end of the connection 0. */
static int
get_line(struct client *c)
{
	struct pollfd p;
	char *lf;
	size_t n;
	ssize_t got;

	while ((lf = memchr(c->in + c->pos, '\n', c->len - c->pos)) == NULL) {
		memmove(c->in, c->in + c->pos, c->len -= c->pos);
		c->pos = 0;
		p.fd = c->fd;
		p.events = POLLIN;
		if (poll(&p, 1, WAIT_SECONDS * 1000) == 0) {
			say("F no answer for %d seconds", WAIT_SECONDS);
			kill(c->pid, SIGKILL);
			return 0;
		}
		got = read(c->fd, c->in + c->len, sizeof(c->in) - c->len);
		if (got <= 0)
			return 0;
		c->len += (size_t)got;
	}
	n = (size_t)(lf - (c->in + c->pos));
	if (n == 0 || lf[-1] != '\r' || n > sizeof(c->line)) {
		say("F a line without CRLF, or too long: %.*s", (int)n < 300 ?
		    (int)n : 300, c->in + c->pos);
		return 0;
	}
	memcpy(c->line, c->in + c->pos, n - 1);
	c->line[n - 1] = '\0';
	c->pos += n + 1;
	return 1;
}

static void
put(struct client *c, const char *format, ...)
{
	char text[200];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	(void)!write(c->fd, text, (size_t)n);
}

static int
is_ok(struct client *c)
{
	return get_line(c) && strncmp(c->line, "+OK", 3) == 0;
}

/* Hang up; the process must end by itself, within seconds. */
static void
hang_up(struct client *c, double seconds)
{
	double end = now() + seconds;
	int status;

	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
	while (waitpid(c->pid, &status, WNOHANG) == 0) {
		if (now() > end) {
			say("F a session did not end");
			kill(c->pid, SIGKILL);
			end += 1000;
		}
		doze(0.005);
	}
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
				say("F message %u is a mixture: %.300s", i,
				    text);
			return serial;
		}
		p = c->line + (*c->line == '.');
		len = strlen(p);
		if (n + len + 2 > sizeof(text)) {
			say("F message %u of %ld octets has no end: %.300s", i,
			    octets, text);
			return -1;
		}
		memcpy(text + n, p, len);
		n += len;
		text[n++] = '\n';
		if (slowly && n > 2000 && roll(400) == 0)
			doze(roll(50) / 1000.0);
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

/* QUIT, in one of the ways that clients have. */
static void
leave(struct client *c, const long *named, size_t n)
{
	unsigned how = roll(20);
	double start_quit = now();
	size_t i;

	if (how < 2) {
		hang_up(c, WAIT_SECONDS);
		return;
	}
	if (how == 2) {
		kill(c->pid, SIGKILL);
		hang_up(c, WAIT_SECONDS);
		return;
	}
	for (i = 0; i < n; i++)
		say("g %ld", named[i]);
	put(c, "QUIT\r\n");
	if (how < 5) {
		hang_up(c, WAIT_SECONDS);
		return;
	}
	if (is_ok(c))
		for (i = 0; i < n; i++)
			say("G %ld", named[i]);
	else if (strncmp(c->line, "-ERR [IN-USE]", 13) != 0)
		say("F QUIT: %s", c->line);
	else
		say("S busy at QUIT");
	if (now() - start_quit > WAIT_SECONDS)
		say("F QUIT took %d seconds", (int)(now() - start_quit));
	hang_up(c, WAIT_SECONDS);
}

static void
visit(const char *name)
{
	static struct client c;
	unsigned n, i, k;
	long named[64], serial = 0;
	size_t nnamed = 0;
	double begun = now();

	start(&c, name, "60", NULL);
	if (!is_ok(&c)) {
		if (strncmp(c.line, "-ERR [IN-USE]", 13) != 0)
			say("F greeting: %s", c.line);
		else
			say("S busy at login");
		hang_up(&c, WAIT_SECONDS);
		return;
	}
	if (now() - begun > WAIT_SECONDS)
		say("F login took %d seconds", (int)(now() - begun));
	n = count_list(&c);
	for (k = 0; k < 2 + roll(30) && n > 0; k++) {
		i = 1 + roll(n);
		serial = retrieve(&c, i, 1);
		say("S %s", serial == -1 ? "gone or moved" : "retrieved");
		if (serial == -1 && strncmp(c.line, "-ERR", 4) != 0)
			break;
		if (serial != -1 && nnamed < 64 && roll(3) == 0) {
			put(&c, "DELE %u\r\n", i);
			if (is_ok(&c))
				named[nnamed++] = serial;
		}
		if (roll(3) == 0)
			doze(roll(60) / 1000.0);
	}
	if (serial == -1 && strncmp(c.line, "-ERR", 4) != 0)
		hang_up(&c, WAIT_SECONDS);
	else
		leave(&c, named, nnamed);
	say("S session");
}

/* The next message in the box at p: its end. Naive, and knows our mail only. */
static char *
next_mail(char *p)
{
	char *q = p + 1;

	while ((q = strstr(q, "\nFrom ")) != NULL && q[-1] != '\n')
		q++;
	return q == NULL ? p + strlen(p) : q + 1;
}

/*
 * A mail reader: reads all, marks messages as read, deletes some, and writes
 * the file back in its place.
 */
static void
rewrite(const char *name)
{
	static char new[BOX_MAX];
	int fd = open_box(name);
	char *p, *end, *header;
	size_t n = 0;
	long serial, gone[1000];
	size_t ngone = 0;

	lock_box(name, fd);
	read_box(fd);
	for (p = box; *p != '\0'; p = end) {
		end = next_mail(p);
		header = p + strcspn(p, "\n") + 1;
		serial = which_mail(header, (size_t)(end - header), 1);
		if (serial == -1)
			say("F the mailbox holds a mixture: %.300s", p);
		else if (roll(12) == 0 && ngone < 1000) {
			gone[ngone++] = serial;
			say("g %ld", serial);
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
	if (lseek(fd, 0, SEEK_SET) == -1 || write_all(fd, new, n) == -1 ||
	    ftruncate(fd, (off_t)n) == -1)
		die("rewrite");
	unlock_box(name, fd);
	while (ngone > 0)
		say("G %ld", gone[--ngone]);
	say("S rewritten");
}

/* What is known of a serial. */
enum { SENT = 1, MAYBE_SENT = 2, GONE = 4, MAYBE_GONE = 8, THERE = 16 };

/* Compare the mailbox with the log: what all this is for. */
static int
account(const char *name)
{
	static unsigned char known[SERIALS];
	unsigned i, n[5] = { 0 }, faults = 0, left = 0;
	char line[700], *p, *end, *header;
	FILE *f = fopen("log", "r");
	long serial;

	if (f == NULL)
		die("log");
	while (fgets(line, sizeof(line), f) != NULL) {
		if (*line == 'F')
			faults += printf("%s", line) > 0;
		else if (strchr("DdGg", *line) != NULL)
			known[atol(line + 2) % SERIALS] |= *line == 'D' ? SENT :
			    *line == 'd' ? MAYBE_SENT : *line == 'G' ? GONE :
			    MAYBE_GONE;
	}
	fclose(f);
	read_box(open_box(name));
	for (p = box; *p != '\0'; p = end) {
		end = next_mail(p);
		header = p + strcspn(p, "\n") + 1;
		serial = which_mail(header, (size_t)(end - header), 1);
		left++;
		if (serial == -1)
			faults += printf("F not a message: %.300s\n", p) > 0;
		else if (known[serial] & THERE)
			faults += printf("F %ld is there twice\n", serial) > 0;
		else
			known[serial] |= THERE;
	}
	for (i = 0; i < SERIALS; i++) {
		if ((known[i] & SENT) && !(known[i] & (THERE | GONE |
		    MAYBE_GONE)))
			faults += printf("F %u is lost\n", i) > 0;
		if ((known[i] & THERE) && (known[i] & GONE))
			faults += printf("F %u was deleted and is there\n",
			    i) > 0;
		if ((known[i] & THERE) && !(known[i] & (SENT | MAYBE_SENT)))
			faults += printf("F %u came from nowhere\n", i) > 0;
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
	static char mail[MAIL_MAX];
	unsigned i;
	size_t body, len;
	int fd;

	unlink(name);
	fd = open_box(name);
	for (i = 0; i < n; i++) {
		len = make_mail(first + i, mail, &body);
		mail[len++] = '\n';
		if (write_all(fd, from_line, strlen(from_line)) == -1 ||
		    write_all(fd, mail, len) == -1)
			die(name);
	}
	close(fd);
}

/* The server must end by itself within seconds; deliveries go on meanwhile. */
static void
await_end(struct client *c, const char *name, unsigned serial, double seconds,
    const char *what, const char *drip)
{
	double end = now() + seconds, begun, worst = 0;
	unsigned n = 0;

	while (waitpid(c->pid, NULL, WNOHANG) == 0) {
		if (now() > end) {
			say("F %s: the session goes on", what);
			kill(c->pid, SIGKILL);
			end += 1000;
		}
		begun = now();
		deliver(name, serial + n++);
		if (now() - begun > worst)
			worst = now() - begun;
		if (*drip != '\0' && n % 4 == 0)
			put(c, "%c", *drip++);
		doze(0.2);
	}
	if (worst > 2)
		say("F %s: a delivery took %d ms", what, (int)(worst * 1000));
	close(c->fd);
}

/* That only those were removed which shall be: the first n - left of them. */
static void
expect_left(const char *name, unsigned first, unsigned n, unsigned left,
    const char *what)
{
	char *p, *end, *header;
	unsigned serial = first + n - left;

	read_box(open_box(name));
	for (p = box; *p != '\0' && serial < first + n; p = end, serial++) {
		end = next_mail(p);
		header = p + strcspn(p, "\n") + 1;
		if (which_mail(header, (size_t)(end - header), 1) !=
		    (long)serial)
			say("F %s: not %u but %.200s", what, serial, p);
	}
	if (serial != first + n)
		say("F %s: messages are missing from %u on", what, serial);
}

static const struct stall {
	const char *what;
	const char *sent;	/* behind DELE 1 and 2 */
	const char *drip;	/* then an octet at a time */
	int wait;		/* until the timer ends it; else hang up */
	unsigned removed;
} stalls[] = {
	{ "stops reading", "RETR 3\r\nRETR 4\r\nRETR 5\r\nRETR 6\r\n", "", 1,
	    0 },
	{ "says nothing", "", "", 1, 0 },
	{ "sends an octet at a time", "", "NOOP NOOP NOOP NOOP NOOP", 1, 0 },
	{ "vanishes", "", "", 0, 0 },
	{ "vanishes in RETR", "RETR 3\r\nRETR 4\r\n", "", 0, 0 },
	{ "vanishes in DELE", "DELE 3", "", 0, 0 },
	{ "vanishes behind DELE", "DELE 3\r\n", "", 0, 0 },
	{ "vanishes in QUIT", "QUI", "", 0, 0 },
	{ "vanishes before the end of QUIT", "QUIT", "", 0, 0 },
	{ "vanishes before the last octet of QUIT", "QUIT\r", "", 0, 0 },
	{ "vanishes behind QUIT", "QUIT\r\n", "", 0, 2 }
};
enum { NSTALLS = sizeof(stalls) / sizeof(stalls[0]), STALL_MAIL = 400 };

static void
stall(const struct stall *s, unsigned number)
{
	static struct client c;
	unsigned first = 1000 * number, i;
	char name[32], lock[40];

	snprintf(name, sizeof(name), "stall%u", number);
	make_box(name, first, STALL_MAIL);
	start(&c, name, s->wait ? "2" : "60", NULL);
	if (!is_ok(&c))
		say("F %s: %s", s->what, c.line);
	put(&c, "DELE 1\r\nDELE 2\r\n");
	if (!is_ok(&c) || !is_ok(&c))
		say("F %s: %s", s->what, c.line);
	put(&c, "%s", s->sent);
	for (i = 0; s->wait && *s->drip == '\0' && *s->sent != '\0' && i < 60;
	    i++)
		put(&c, "RETR %u\r\nRETR 10\r\nRETR 11\r\n", 10 + i * 3);
	if (s->wait)
		await_end(&c, name, first + STALL_MAIL, 7, s->what, s->drip);
	else
		hang_up(&c, 5);
	expect_left(name, first, STALL_MAIL, STALL_MAIL - s->removed, s->what);
	if (snprintf(lock, sizeof(lock), "%s.lock", name) > 0 &&
	    access(lock, F_OK) == 0)
		say("F %s: a lock is left", s->what);
	unlink(name);
}

/* All of them at once. */
static void
stall_all(void)
{
	unsigned i;
	pid_t pid;

	for (i = 0; i < NSTALLS; i++) {
		if ((pid = fork()) == -1)
			die("fork");
		if (pid == 0) {
			stall(&stalls[i], i + 1);
			exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
}

/* ---- Killed ---- */

/* Whether the next session finds all that had to stay, whole. */
static void
check_kept(const char *name, unsigned first, unsigned n, const char *kept,
    const char *what)
{
	static struct client c;
	static char found[4096];
	unsigned i, shown;
	long serial;

	memset(found, 0, sizeof(found));
	start(&c, name, "60", NULL);
	if (!is_ok(&c))
		say("F killed %s: %s", what, c.line);
	shown = count_list(&c);
	for (i = 1; i <= shown; i++) {
		serial = retrieve(&c, i, 0);
		if (serial >= (long)first && serial < (long)(first + n))
			found[serial - (long)first] = 1;
	}
	put(&c, "QUIT\r\n");
	if (!is_ok(&c))
		say("F killed %s: QUIT: %s", what, c.line);
	hang_up(&c, 5);
	for (i = 0; i < n; i++)
		if (kept[i] && !found[i])
			say("F killed %s: %u is lost", what, first + i);
}

/*
 * One session that deletes some of n messages and is killed: seconds after
 * QUIT, or by the words in front of its command. 1: it was quicker, and is
 * done. *took: how long QUIT was, if nobody killed it.
 */
static int
kill_quit(unsigned n, double seconds, const char *const *prefix,
    const char *what, double *took)
{
	static const char name[] = "box", lock[] = "box.lock";
	static struct client c;
	char kept[4096];
	unsigned first = roll(SERIALS - 4096), i;
	double begun;
	int done;

	make_box(name, first, n);
	start(&c, name, "60", prefix);
	if (!is_ok(&c)) {
		say("F killed %s: %s", what, c.line);
		return 1;
	}
	memset(kept, 1, sizeof(kept));
	kept[n / 8] = 0;
	for (i = 0; i < n; i++) {
		kept[i] &= roll(4) > 0;
		if (kept[i])
			continue;
		put(&c, "DELE %u\r\n", i + 1);
		if (!is_ok(&c))
			say("F killed %s: DELE %s", what, c.line);
	}
	begun = now();
	put(&c, "QUIT\r\n");
	if (seconds >= 0) {
		doze(seconds);
		kill(c.pid, SIGKILL);
	}
	done = is_ok(&c);
	if (took != NULL)
		*took = now() - begun;
	hang_up(&c, WAIT_SECONDS);
	check_kept(name, first, n, kept, what);
	if (access(lock, F_OK) == 0)
		say("F killed %s: a lock is left", what);
	unlink(name);
	return done;
}

/*
 * At random moments, for so many seconds. Each time some sessions of one size
 * are killed, and one is not, to know how long that takes.
 */
static void
kill_often(double seconds)
{
	double end = now() + seconds, took = 0;
	unsigned n = 0, done = 0, size, i;

	while (now() < end || n < 8) {
		size = n % 32 == 24 ? 1000 : 20 + roll(80);
		if (!kill_quit(size, -1, NULL, "not at all", &took))
			say("F QUIT of a session that nobody killed");
		for (i = 0; i < 8; i++, n++)
			done += (unsigned)kill_quit(size, took * roll(1000) /
			    900, NULL, "at random", NULL);
	}
	printf("killed %u sessions at random moments of QUIT, %u were "
	    "quicker\n", n, done);
}

/* At every call of one kind, by strace. */
static void
kill_at_calls(const char *call, unsigned most)
{
	char inject[100], what[100];
	const char *prefix[8] = { "strace", "-qq", "-o", "/dev/null", "-e",
	    inject, NULL };
	unsigned n;

	for (n = 1; n < most; n++) {
		snprintf(inject, sizeof(inject),
		    "inject=%s:signal=KILL:when=%u", call, n);
		snprintf(what, sizeof(what), "at %s %u", call, n);
		dice = 5;
		if (kill_quit(60, -1, prefix, what, NULL))
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
	double end;
	size_t n, body;
	unsigned serial;

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	pop3d = getenv("POP3D");
	dice = (uint32_t)getpid() * 2654435761u + (uint32_t)time(NULL);
	end = now() + (argc > 3 ? atof(argv[3]) : 0);
	if (pop3d == NULL)
		pop3d = "./pop3d";
	if ((strcmp(what, "mail") == 0 || strcmp(what, "mbox") == 0) &&
	    argc == 3) {
		n = make_mail((unsigned)atol(argv[2]), mail, &body);
		if (what[1] == 'b')
			printf("%s", from_line);
		fwrite(mail, 1, n, stdout);
		return what[1] == 'b' && putchar('\n') == EOF;
	}
	if (strcmp(what, "visit") == 0 && argc == 4)
		while (now() < end)
			visit(argv[2]);
	else if (strcmp(what, "deliver") == 0 && argc == 5)
		for (serial = (unsigned)atol(argv[4]); now() < end; serial++) {
			deliver(argv[2], serial);
			doze(roll(40) / 1000.0);
		}
	else if ((strcmp(what, "flock") == 0 || strcmp(what, "fcntl") == 0) &&
	    argc == 5)
		for (serial = (unsigned)atol(argv[4]); now() < end; serial++) {
			append(argv[2], serial, what[1] == 'l');
			doze(roll(20) / 1000.0);
		}
	else if (strcmp(what, "rewrite") == 0 && argc == 4)
		while (now() < end) {
			rewrite(argv[2]);
			doze(0.1 + roll(400) / 1000.0);
		}
	else if (strcmp(what, "account") == 0 && argc == 3)
		return account(argv[2]);
	else if (strcmp(what, "stall") == 0)
		stall_all();
	else if (strcmp(what, "kill") == 0 && argc == 3)
		kill_often(atof(argv[2]));
	else if (strcmp(what, "strace") == 0 && argc == 4)
		kill_at_calls(argv[2], (unsigned)atol(argv[3]));
	else {
		fprintf(stderr, "see stress.sh\n");
		return 2;
	}
	return 0;
}
