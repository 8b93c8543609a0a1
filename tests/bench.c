/*
 * How fast pop3d is, side by side with popa3d and with programs that do the
 * least there is to do. tests/bench.sh makes the surroundings and calls
 *
 *	bench make file messages octets		a mailbox, always the same one;
 *						with "mixed" behind it of mail
 *						that is not all alike
 *	bench try user				whether popa3d lets him in
 *	bench				all rows, details first, then the table
 *
 * Both sides of a row are run in turn, and the ratio is the median of the
 * rounds' own ratios: what disturbs the machine disturbs both. CPU is user and
 * system time of all processes of a server, keepers that outlive their session
 * too (this process adopts and reaps them), and none of the client's.
 */
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/resource.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail_with(const char *);
#define PATIENCE	120000
#include "peer.h"

enum {
	AT_ONCE = 64,		/* commands sent ahead */
	ROUNDS_MAX = 99,
	STARTS = 31,		/* sessions in a round of start to QUIT */
	TCP_MESSAGES = 100,	/* popa3d needs 40 ms for each */
	SETTLE_MS = 2100	/* then a mailbox counts as old */
};

/*
 * Who is measured. PIPE is pop3d -p, for who has logged in. What runs as
 * DOVECOT is its program for that, too: so it is compared with INDEXED_PIPE.
 */
enum who {
	NOBODY, POP3D, POPA3D, STATIC, PIPE, STATIC_PIPE, WC, CAT, LINE,
	SMALLER, TAIL, INDEXED, INDEXED_PIPE, DOVECOT
};

struct row {
	const char *id, *label, *unit;
	double (*measure)(enum who, const struct row *);
	const char *box, *smaller;	/* mailboxes */
	enum who ours, peer;
	double must;		/* of the ratio; 0: shown in the details only */
	int absolute;		/* of ours, not of the ratio */
	int rounds;		/* at most, 0: as many as are asked for */
};

struct figure {
	double median;
	int spread;		/* percent of the median */
};

struct result {
	struct figure ours, peer, ratio;
	int has_peer, is_judged, ok;
};

static struct peer srv;		/* a server. One at a time */
static double wrote;		/* MB, by its QUIT */

static char password[] = "opensesame";

static void
fail_with(const char *text)
{
	fprintf(stderr, "bench: %s\n", text);
	exit(2);
}

/* Milliseconds, and what is less. */
static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* What bench.sh says; empty counts as nothing. */
static char *
setting(const char *name)
{
	char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

static char *
spool(const char *box)
{
	return in_base("spool/benchbox-%s", box);
}

static off_t
file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == -1 ? -1 : st.st_size;
}

/* ---- Mailboxes ---- */

/* Reproducible noise: xorshift64. */
static uint64_t noise = 88172645463325252u;

static unsigned
dice(unsigned n)
{
	noise ^= noise << 13;
	noise ^= noise >> 7;
	noise ^= noise << 17;
	return (unsigned)((noise >> 33) % n);
}

static const char *const words[] = {
	"the", "of", "and", "a", "to", "in", "is", "you", "that", "it", "he",
	"was", "for", "on", "are", "as", "with", "his", "they", "I", "at",
	"be", "this", "have", "or", "one", "had", "by", "word", "but", "not",
	"what", "all", "were", "we", "when", "your", "can", "said", "there",
	"use", "an", "each", "which", "she", "do", "how", "their", "if",
	"will", "up", "other", "about", "out", "many", "then", "them", "these",
	"so", "some", "her", "would", "make", "like", "him", "into", "time",
	"has", "look", "two", "more", "write", "go", "see", "number", "no",
	"way", "could", "people", "my", "than", "first", "water", "been",
	"call", "who", "oil", "its", "now", "find", "long", "down", "day",
	"did", "get", "come", "made", "may", "part", "few", "mailbox",
	"attached", "meeting", "yesterday", "server", "questions", "Friday",
	"regards", "delivery", "information", "e.g.", "(see",
	"below)", "http://www.example.org/index.html", "=3D", "1,024"
};

enum { POOL = 1 << 20, LINES_MAX = POOL / 16 };

struct text {
	char pool[POOL];
	size_t start[LINES_MAX];	/* of each line */
	size_t n;
};

/* Lines of 40 to 76 columns, one in eight empty; some begin with a dot. */
static void
make_text(struct text *t)
{
	size_t at = 0, width, col, len;
	const char *w;

	while (at < POOL - 128 && t->n < LINES_MAX) {
		t->start[t->n++] = at;
		if (dice(8) == 0) {
			t->pool[at++] = '\n';
			continue;
		}
		width = 40 + dice(33);
		col = 0;
		if (dice(20) == 0)
			t->pool[at + col++] = "> .-"[dice(4)];
		for (;;) {
			w = words[dice(sizeof(words) / sizeof(words[0]))];
			len = strlen(w);
			if (col >= 40 && col + len > width)
				break;
			if (col + len > 75)
				continue;
			memcpy(t->pool + at + col, w, len);
			if (col == 0 && dice(4) == 0 && *w >= 'a' && *w <= 'z')
				t->pool[at] = (char)(*w - 'a' + 'A');
			col += len;
			t->pool[at + col++] = ' ';
		}
		t->pool[at + col - 1] = '\n';
		at += col;
	}
	t->start[t->n] = at;
}

static void
put_header(FILE *f, unsigned i)
{
	unsigned who = dice(5000), day = 1 + i / 86400 % 28;
	unsigned h = i / 3600 % 24, m = i / 60 % 60, s = i % 60;
	char date[64];

	snprintf(date, sizeof(date), "%u Feb 2021 %02u:%02u:%02u", day, h, m,
	    s);
	fprintf(f, "From sender%u@example.org Mon Feb %2u %02u:%02u:%02u 2021\n"
	    "Return-Path: <sender%u@example.org>\n"
	    "Delivered-To: user@example.net\n"
	    "Received: from mx%u.example.org (mx.example.org [192.0.2.%u])\n"
	    "\tby mail.example.net (Postfix) with ESMTPS id 4D%08X\n"
	    "\tfor <user@example.net>; Mon, %s +0000 (UTC)\n", who, day, h, m,
	    s, who, dice(9), dice(255), dice(0x7fffffff), date);
	fprintf(f, "From: Sender %u <sender%u@example.org>\n"
	    "To: user@example.net\n"
	    "Subject: %s %s, number %u\n"
	    "Date: Mon, %s +0000\n"
	    "Message-ID: <%08x.%u@example.org>\n"
	    "MIME-Version: 1.0\n"
	    "Content-Type: text/plain; charset=utf-8\n\n", who, who,
	    words[dice(100)], words[dice(100)], i, date, dice(0x7fffffff), i);
}

/* Neither popa3d nor pop3d waits for a mailbox that is old. */
static void
make_old(int fd)
{
	struct timespec t[2] = { { 1600000000, 0 }, { 1600000000, 0 } };

	must(fsync(fd) == 0 && futimens(fd, t) == 0, "a mailbox");
}

/* Sizes spread exponentially around a mean, down to no text at all. */
static size_t
spread_size(size_t mean)
{
	size_t size = 0;

	while (size < 8 * mean && dice(8) != 0)
		size += mean / 7;
	return size;
}

static int
make_mailbox(const char *path, unsigned long n, size_t octets, int mixed)
{
	static struct text text;
	FILE *f = fopen(path, "w");
	unsigned long i;
	size_t a, b, want;
	long start;

	must(f != NULL, path);
	make_text(&text);
	for (i = 0; i < n; i++) {
		start = ftell(f);
		put_header(f, (unsigned)i);
		want = mixed ? spread_size(octets) :
		    octets - (size_t)(ftell(f) - start);
		if (mixed) {	/* 12 header lines */
			fseek(f, -1, SEEK_CUR);
			fprintf(f, "X-Mailer: mailer\nReply-To: <list@example"
			    ".org>\nPrecedence: list\n\n");
		}
		do
			a = dice((unsigned)text.n);
		while (text.start[text.n] - text.start[a] < want);
		for (b = a; text.start[b] - text.start[a] < want; b++)
			;
		fwrite(text.pool + text.start[a], 1,
		    text.start[b] - text.start[a], f);
		fputc('\n', f);
	}
	must(fflush(f) == 0, path);
	make_old(fileno(f));
	fclose(f);
	return 0;
}

/* ---- Programs and their cost ---- */

static uid_t start_as;		/* 0: with our own ids */

/* As root, who asks for a password looks after ids himself. */
static int
has_login(enum who who)
{
	return who == POP3D || who == INDEXED || who == STATIC || who == POPA3D;
}

/* What a program says to 2 is not for the table. */
static void
prepare(void)
{
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
	if (start_as != 0 && (setgroups(0, NULL) == -1 ||
	    setgid((gid_t)start_as) == -1 || setuid(start_as) == -1))
		_exit(126);
}

/* End the connection, wait for all processes: their CPU in milliseconds. */
static double
end(void)
{
	struct rusage ru;
	double ms = 0;
	pid_t pid;
	int status;

	close(srv.fd);
	while ((pid = wait4(-1, &status, 0, &ru)) != -1 || errno == EINTR) {
		if (pid == srv.pid && WIFEXITED(status) &&
		    WEXITSTATUS(status) >= 126)
			blame("a program cannot be started");
		if (pid == -1)
			continue;
		ms += (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e3 +
		    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e3;
	}
	return ms;
}

/* Start whoever it is on a mailbox, with a socket on 0 and 1. */
static void
start_who(enum who who, const char *box, int tcp)
{
	int indexed = who == INDEXED || who == INDEXED_PIPE, pair[2];
	const char *ours = setting(who == STATIC || who == STATIC_PIPE ?
	    "STATIC" : "POP3D");
	const char *const piped[] = { ours, "-p", "-m", spool(box),
	    indexed ? "-i" : NULL, in_base("index/benchbox-%s", box), NULL };
	const char *const login[] = { ours, "-f", in_base(who == STATIC ?
	    "accounts.plain" : "accounts"), "-m", in_base("spool/%%u"), "-u",
	    setting("BENCH_DIALOGUE"), "-e", in_base("empty"),
	    indexed ? "-i" : NULL, in_base("index/%%u"), NULL };
	const char *const wc[] = { "wc", "-l", spool(box), NULL };
	const char *const cat[] = { "cat", spool(box), NULL };
	const char *const other[] = { who == POPA3D ? setting("POPA3D") :
	    in_base(who == DOVECOT ? "dovecot/run" : "line"), NULL };

	if (who == DOVECOT)
		setenv("USER", strrchr(spool(box), '/') + 1, 1);
	must((tcp ? connect_pair(pair, "127.0.0.1", NULL) :
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) == 0, "socket");
	free(srv.got);
	start_as = geteuid() == 0 && !has_login(who) ?
	    (uid_t)atoi(setting("BENCH_UID")) : 0;
	start_on(&srv, pair, prepare, who == WC ? wc : who == CAT ? cat :
	    who == POPA3D || who == DOVECOT || who == LINE ? other :
	    has_login(who) ? login : piped);
}

/* ---- The client ---- */

/* All that comes, up to the end. */
static void
drain(void)
{
	while (read_more(&srv, PATIENCE) == 1)
		srv.pos = srv.len;
}

/* The rest of an answer of many lines: its octets as they were in the mail. */
static long long
get_lines(void)
{
	long long octets = 0;
	const char *line;

	for (;;) {
		line = take_line(&srv);
		if (line[0] == '.') {
			if (srv.line_len == 1)
				return octets;
			octets--;
		}
		octets += (long long)srv.line_len + 2;
	}
}

/* Log in, or read what greets us without: the milliseconds that took. */
static double
log_in(enum who who, const char *box)
{
	double begun = now();

	if (who == DOVECOT) {	/* it knows who it is, and does not greet */
		ask(&srv, "STAT", "+OK*");
		return now() - begun;
	}
	expect(&srv, "+OK*");
	if (!has_login(who))
		return now() - begun;
	say(&srv, "USER benchbox-%s\r\n", box);
	expect(&srv, "+OK*");
	begun = now();
	say(&srv, "PASS %s\r\n", password);
	expect(&srv, "+OK*");
	return now() - begun;
}

static unsigned long
get_stat(long long *octets)
{
	unsigned long n;

	say(&srv, "STAT\r\n");
	if (sscanf(take_line(&srv), "+OK %lu %lld", &n, octets) != 2)
		blame("STAT: wrong answer");
	return n;
}

/* A command for messages 1 to n, AT_ONCE ahead of the answers at most. */
static long long
for_all(const char *command, int many, unsigned long n, unsigned long at_once)
{
	char out[AT_ONCE * 32];
	unsigned long sent = 0, done;
	long long octets = 0;
	size_t len;

	for (done = 0; done < n; done++) {
		if (sent < n && sent - done <= at_once * 3 / 4) {
			for (len = 0; sent < n && sent - done < at_once; )
				len += (size_t)snprintf(out + len, sizeof(out) -
				    len, "%s %lu\r\n", command, ++sent);
			send_bytes(&srv, out, len);
		}
		expect(&srv, "+OK*");
		if (many)
			octets += get_lines();
	}
	return octets;
}

/* ---- What is measured: milliseconds, if nothing else is said ---- */

struct cost {
	double login, act, all;	/* the time of each */
	double cpu;
};

/* A session that does one thing, or none; or a program that has no sessions. */
static struct cost
run_session(enum who who, const char *box, int tcp, void (*act)(void))
{
	struct cost c = { 0, 0, 0, 0 };
	double begun = now(), in;

	start_who(who, box, tcp);
	if (who == LINE)
		take_line(&srv);
	else if (who == WC || who == CAT)
		drain();
	else {
		c.login = log_in(who, box);
		in = now();
		if (act != NULL)
			act();
		c.act = now() - in;
		ask(&srv, "QUIT", "+OK*");
	}
	c.cpu = end();
	c.all = now() - begun;
	return c;
}

static void
fetch(void)
{
	long long octets;
	unsigned long n = get_stat(&octets);

	if (for_all("RETR", 1, n, AT_ONCE) != octets)
		blame("STAT and RETR do not agree");
}

static void
fetch_some(void)
{
	for_all("RETR", 1, TCP_MESSAGES, 1);
}

static void
ask_ids(void)
{
	ask(&srv, "UIDL", "+OK*");
	get_lines();
}

static double
log_in_once(enum who who, const struct row *row)
{
	struct cost c;
	double idle = 0;

	/* of Dovecot's time not what its start takes, as a daemon did that */
	if (who == DOVECOT)
		idle = run_session(who, "d", 0, NULL).login;
	c = run_session(who, row->box, 0, NULL);
	return who == WC ? c.all : c.login - idle;
}

/* The same with a message that has come since. */
static double
log_in_news(enum who who, const struct row *row)
{
	/* Dovecot writes into its mailbox, so it has a copy */
	char *path = who == DOVECOT ? in_base("dovecot/benchbox-%s", row->box) :
	    spool(row->box);
	FILE *f = fopen(path, "a");

	must(f != NULL, path);
	put_header(f, dice(86400));
	fputs("A short one.\n\n", f);
	fflush(f);
	make_old(fileno(f));
	fclose(f);
	sleep_ms(SETTLE_MS);
	return log_in_once(who, row);
}

/* The same with nothing of it in memory: for root, on Linux. */
static double
log_in_cold(enum who who, const struct row *row)
{
	FILE *f;

	sync();
	if ((f = fopen("/proc/sys/vm/drop_caches", "w")) == NULL ||
	    fputs("1\n", f) == EOF || fclose(f) == EOF)
		blame("the page cache cannot be dropped");
	return log_in_once(who, row);
}

/* CPU of a session that only logs in, or of wc. */
static double
log_in_cpu(enum who who, const struct row *row)
{
	return run_session(who, row->box, 0, NULL).cpu;
}

/* CPU of a session that fetches everything, or of cat. */
static double
fetch_all(enum who who, const struct row *row)
{
	return run_session(who, row->box, 0, fetch).cpu;
}

static double
fetch_by_tcp(enum who who, const struct row *row)
{
	return run_session(who, row->box, 1, fetch_some).act;
}

static double
list_ids(enum who who, const struct row *row)
{
	return run_session(who, row->box, 0, ask_ids).act;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(const double *v, size_t n)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*sorted), compare);
	return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

static double
start_to_quit(enum who who, const struct row *row)
{
	double v[STARTS];
	size_t i;

	for (i = 0; i < STARTS; i++)
		v[i] = run_session(who, row->box, 0, NULL).all;
	return median(v, STARTS);
}

/* CPU of a session with UIDL: what it costs to look at a mailbox. */
static double
look(enum who who, const struct row *row)
{
	const char *box = who == SMALLER ? row->smaller : row->box;
	double v[7];
	size_t i, n = file_size(spool(box)) < 1 << 24 ? 7 : 1;

	for (i = 0; i < n; i++)
		v[i] = run_session(PIPE, box, 0, ask_ids).cpu;
	return median(v, n);
}

/* ---- QUIT ---- */

/* A fresh copy of a mailbox, on disk, and as old as servers want it. */
static void
copy_mailbox(const char *from, const char *to)
{
	static char buf[1 << 20];
	int in = open(from, O_RDONLY);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0660);
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		must(write(out, buf, (size_t)n) == n, to);
	must(n == 0 && (geteuid() != 0 || fchown(out,
	    (uid_t)atoi(setting("BENCH_UID")), (gid_t)-1) == 0), to);
	make_old(out);
	close(in);
	close(out);
	sleep_ms(SETTLE_MS);
}

/* A number of a file in /proc behind its name, or -1. */
static double
proc_number(pid_t pid, const char *file, const char *name)
{
	const char *p = strstr(read_proc(pid, file), name);

	return p == NULL ? -1 : atof(p + strlen(name));
}

/*
 * Delete the first n messages of a copy of the mailbox, or with 0 all. The
 * time of QUIT.
 */
static double
delete_some(enum who who, const struct row *row, unsigned long n)
{
	long long octets;
	unsigned long all;
	double begun, took, before;
	siginfo_t info;

	copy_mailbox(spool(row->box), spool("q"));
	start_who(who, "q", 0);
	log_in(who, "q");
	all = get_stat(&octets);
	for_all("DELE", 0, n == 0 ? all : n, AT_ONCE);
	before = proc_number(srv.pid, "io", "wchar:");
	begun = now();
	ask(&srv, "QUIT", "+OK*");
	took = now() - begun;
	/* it is not reaped yet, so root can still read its account */
	waitid(P_PID, (id_t)srv.pid, &info, WEXITED | WNOWAIT);
	wrote = (proc_number(srv.pid, "io", "wchar:") - before) / 1048576;
	end();
	if (file_size(spool("q")) >= file_size(spool(row->box)) ||
	    (n == 0) != (file_size(spool("q")) == 0))
		blame("QUIT did not remove what it should");
	return took;
}

static double
delete_all(enum who who, const struct row *row)
{
	return delete_some(who, row, 0);
}

static double
delete_first(enum who who, const struct row *row)
{
	return delete_some(who, row, 1);
}

/* Megabytes written, and what stays behind the first message. */
static double
write_first(enum who who, const struct row *row)
{
	if (who == TAIL)	/* as ours left it, just before */
		return (double)file_size(spool("q")) / 1048576;
	delete_some(who, row, 1);
	return wrote;
}

/* ---- Sizes ---- */

/* The largest peak of the server's first process and its children, KB. */
static double
peak_memory(double peak)
{
	pid_t family[16] = { srv.pid };
	int n = 1 + find_children(srv.pid, family + 1, COUNT(family) - 1);
	double kb;

	while (n-- > 0) {
		kb = proc_number(family[n], "status", "VmHWM:");
		peak = kb > peak ? kb : peak;
	}
	return peak;
}

static double
use_memory(enum who who, const char *box)
{
	double peak = 0;

	start_who(who, box, 0);
	expect(&srv, "+OK*");
	if (has_login(who)) {
		peak = peak_memory(0);
		say(&srv, "USER benchbox-%s\r\nPASS %s\r\n", box, password);
		expect(&srv, "+OK*");
		expect(&srv, "+OK*");
	}
	ask(&srv, "STAT", "+OK*");
	peak = peak_memory(peak);
	ask(&srv, "QUIT", "+OK*");
	end();
	return peak;
}

static double
memory(enum who who, const struct row *row)
{
	return use_memory(who, row->box);
}

/*
 * Octets for each message that is held: 100,000 against few. Against none, the
 * buffers that are touched first are in it, too.
 */
static double
growth(enum who who, const struct row *row)
{
	double n = strcmp(row->smaller, "d") == 0 ? 100000 : 99000;
	double much = use_memory(who, row->box);

	return (much - use_memory(who, row->smaller)) * 1024 / n;
}

static double
binary(enum who who, const struct row *row)
{
	(void)row;
	return (double)file_size(who == POPA3D ? setting("POPA3D") :
	    in_base(who == STATIC ? "static.stripped" : "pop3d.stripped")) /
	    1024;
}

/* ---- Rows ---- */

static const struct row rows[] = {
	{ "login-c", "login, 20,000 messages of 50 KB", "ms", log_in_once,
	    "c", NULL, POP3D, POPA3D, 0.8, 0, 0 },
	{ "login-c-wc", "  the same to wc -l", "ms", log_in_once,
	    "c", NULL, POP3D, WC, 2.0, 0, 0 },
	{ "login-c-cpu", "login, 20,000 messages of 50 KB, CPU", "ms",
	    log_in_cpu, "c", NULL, POP3D, POPA3D, 0, 0, 0 },
	{ "login-b-cpu", "login, 100,000 messages of 1 KB, CPU", "ms",
	    log_in_cpu, "b", NULL, POP3D, POPA3D, 0, 0, 0 },
	{ "login-b", "login, 100,000 messages of 1 KB", "ms", log_in_once,
	    "b", NULL, POP3D, POPA3D, 0.8, 0, 0 },
	{ "login-e", "login, 100,000 of mixed sizes", "ms", log_in_once,
	    "e", NULL, POP3D, POPA3D, 0.8, 0, 0 },
	{ "poll-c", "-i, no news, 20,000 of 50 KB", "ms", log_in_once,
	    "c", NULL, INDEXED, POPA3D, 0.05, 0, 0 },
	{ "poll-b", "-i, no news, 100,000 of 1 KB", "ms", log_in_once,
	    "b", NULL, INDEXED, POPA3D, 0.25, 0, 0 },
	{ "poll-a", "-i, no news, 2,000 of 50 KB", "ms", log_in_once,
	    "a", NULL, INDEXED, POPA3D, 0.25, 0, 0 },
	{ "poll-c-cold", "  cold, 20,000 of 50 KB", "ms", log_in_cold,
	    "c", NULL, INDEXED, POPA3D, 0.05, 0, 2 },
	{ "poll-c-dovecot", "-p -i, no news, 20,000 of 50 KB", "ms",
	    log_in_once, "c", NULL, INDEXED_PIPE, DOVECOT, 0.25, 0, 0 },
	{ "poll-b-dovecot", "-p -i, no news, 100,000 of 1 KB", "ms",
	    log_in_once, "b", NULL, INDEXED_PIPE, DOVECOT, 0.25, 0, 0 },
	{ "retr-a", "RETR 2,000 of 50 KB, CPU", "ms", fetch_all,
	    "a", NULL, POP3D, POPA3D, 0.6, 0, 0 },
	{ "retr-a-cat", "  the same to cat", "ms", fetch_all,
	    "a", NULL, POP3D, CAT, 0, 0, 0 },
	{ "retr-b", "RETR 100,000 of 1 KB, CPU", "ms", fetch_all,
	    "b", NULL, POP3D, POPA3D, 0.35, 0, 0 },
	{ "retr-b-cat", "  the same to cat", "ms", fetch_all,
	    "b", NULL, POP3D, CAT, 0, 0, 0 },
	{ "tcp-a", "RETR 100 of 50 KB by TCP, not ahead", "ms", fetch_by_tcp,
	    "a", NULL, POP3D, POPA3D, 0.02, 0, 3 },
	{ "uidl-b", "UIDL of 100,000", "ms", list_ids,
	    "b", NULL, POP3D, POPA3D, 1.0, 0, 0 },
	{ "pipe-d", "start to QUIT, no mail, -p", "ms", start_to_quit,
	    "d", NULL, PIPE, POPA3D, 1.0, 0, 0 },
	{ "pipe-d-line", "  the same to printing a line", "ms", start_to_quit,
	    "d", NULL, PIPE, LINE, 2.0, 0, 0 },
	{ "root-d", "start to QUIT, no mail, $1$ password", "ms",
	    start_to_quit, "d", NULL, POP3D, POPA3D, 0.8, 0, 0 },
	{ "quit-all", "QUIT, deletes all of 98 MB", "ms", delete_all,
	    "a", NULL, POP3D, POPA3D, 1.1, 0, 5 },
	{ "quit-first", "QUIT, deletes the first of 98 MB", "ms", delete_first,
	    "a", NULL, POP3D, POPA3D, 3.0, 0, 5 },
	{ "quit-bytes", "  written, to the rest", "MB", write_first,
	    "a", NULL, POP3D, TAIL, 2.0, 0, 1 },
	{ "quit-bytes-popa3d", "  written by popa3d, to the rest", "MB",
	    write_first, "a", NULL, POPA3D, TAIL, 0, 0, 1 },
	{ "memory", "peak memory, static musl, -p, no mail", "KB", memory,
	    "d", NULL, STATIC_PIPE, POPA3D, 600, 1, 0 },
	{ "memory-root", "  largest process with a login", "KB", memory,
	    "d", NULL, STATIC, NOBODY, 0, 1, 0 },
	{ "growth", "memory for a message held", "B", growth,
	    "b", "b1", STATIC_PIPE, POPA3D, 40, 1, 0 },
	{ "growth-d", "  100,000 messages against none", "B", growth,
	    "b", "d", STATIC_PIPE, POPA3D, 0, 1, 0 },
	{ "growth-libc", "  the same, not static", "B", growth,
	    "b", "d", PIPE, POPA3D, 0, 1, 0 },
	{ "binary", "binary, stripped", "KB", binary,
	    NULL, NULL, POP3D, POPA3D, 64, 1, 1 },
	{ "binary-static", "binary, stripped, static musl", "KB", binary,
	    NULL, NULL, STATIC, NOBODY, 150, 1, 1 },
	/* last, as they change the mailbox */
	{ "news-e", "-i, one new, 100,000 of mixed sizes", "ms", log_in_news,
	    "e", NULL, INDEXED, POPA3D, 0.25, 0, 5 },
	{ "news-c", "-i, one new, 20,000 of 50 KB", "ms", log_in_news,
	    "c", NULL, INDEXED, POPA3D, 0.05, 0, 5 },
	{ "news-c-dovecot", "-p -i, one new, 20,000 of 50 KB", "ms",
	    log_in_news, "c", NULL, INDEXED_PIPE, DOVECOT, 0.25, 0, 5 },
	{ "linear-mb-1", "CPU to look, 10 MB to 1 MB", "ms", look,
	    "a10", "a1", PIPE, SMALLER, 0, 0, 0 },
	{ "linear-mb", "CPU to look, 98 MB to 10 MB", "ms", look,
	    "a", "a10", PIPE, SMALLER, 12, 0, 0 },
	{ "linear-n-1", "CPU to look, 10,000 to 1,000 mails", "ms", look,
	    "b10", "b1", PIPE, SMALLER, 0, 0, 0 },
	{ "linear-n", "CPU to look, 100,000 to 10,000 mails", "ms", look,
	    "b", "b10", PIPE, SMALLER, 12, 0, 0 }
};
enum { N_ROWS = COUNT(rows) };

static const char *const names[] = { "-", "pop3d", "popa3d", "static",
	"pop3d -p", "static -p", "wc -l", "cat", "a line", "smaller", "rest",
	"pop3d -i", "-p -i", "Dovecot" };

static int
can_run(enum who who)
{
	return who == POPA3D ? setting("POPA3D") != NULL :
	    who == DOVECOT ? setting("DOVECOT") != NULL :
	    who == STATIC || who == STATIC_PIPE ? setting("STATIC") != NULL :
	    who != NOBODY;
}

/* Whether a word is in a list, or there is no list. */
static int
is_wanted(const char *list, const char *word)
{
	char all[4096], one[64];

	snprintf(all, sizeof(all), " %s ", list == NULL ? word : list);
	snprintf(one, sizeof(one), " %s ", word);
	return strstr(all, one) != NULL;
}

/* The details of one side, or of the ratio, and what they come to. */
static struct figure
sum_up(const char *what, const double *v, size_t n)
{
	struct figure f = { median(v, n), 0 };
	double low = v[0], high = v[0];
	size_t i;

	printf("    %-9s", what);
	for (i = 0; i < n; i++) {
		printf(" %.*f", v[i] < 10 ? 3 : 1, v[i]);
		low = v[i] < low ? v[i] : low;
		high = v[i] > high ? v[i] : high;
	}
	printf("\n");
	fflush(stdout);
	if (f.median > 0)
		f.spread = (int)((high - low) / f.median * 50 + 0.5);
	return f;
}

/* As the table has it; and so it is compared with what must be. */
static const char *
number(double x)
{
	static char text[4][16];
	static unsigned turn;
	char *p = text[turn++ % 4];

	snprintf(p, sizeof(text[0]), x < 0.1 ? "%.3f" : x < 10 ? "%.2f" :
	    x < 100 ? "%.1f" : "%.0f", x);
	return p;
}

/* All rounds of a row. The first pair warms up and does not count. */
static struct result
run_row(const struct row *row)
{
	double ours[ROUNDS_MAX], peer[ROUNDS_MAX], ratio[ROUNDS_MAX];
	char *asked = setting("ROUNDS");
	int n = asked != NULL ? atoi(asked) : 5, i;
	struct result r;

	memset(&r, 0, sizeof(r));
	r.has_peer = can_run(row->peer);
	if (row->rounds != 0 && n > row->rounds)
		n = row->rounds;
	n = n < 1 ? 1 : n > ROUNDS_MAX ? ROUNDS_MAX : n;
	printf("%s: %s, %s\n", row->id, row->label, row->unit);
	for (i = row->rounds == 0 ? -1 : 0; i < n; i++) {
		size_t k = i < 0 ? 0 : (size_t)i;

		ours[k] = row->measure(row->ours, row);
		peer[k] = r.has_peer ? row->measure(row->peer, row) : 0;
		ratio[k] = peer[k] > 0 ? ours[k] / peer[k] : 0;
	}
	r.ours = sum_up(names[row->ours], ours, (size_t)n);
	if (r.has_peer) {
		r.peer = sum_up(names[row->peer], peer, (size_t)n);
		r.ratio = sum_up("ratio", ratio, (size_t)n);
	}
	r.is_judged = row->absolute || r.has_peer;
	r.ok = r.is_judged && atof(number(row->absolute ? r.ours.median :
	    r.ratio.median)) <= row->must;
	return r;
}

/* A line of the table, in 76 columns. */
static void
print_row(const struct row *row, const struct result *r)
{
	printf("%-37s %2s%6s %3d", row->label, row->unit,
	    number(r->ours.median), r->ours.spread);
	if (r->has_peer)
		printf("%6s %3d%6s", number(r->peer.median), r->peer.spread,
		    number(r->ratio.median));
	else
		printf("%6s %3s%6s", "-", "", "-");
	printf("%5g%s%s\n", row->must, row->absolute ? row->unit : "",
	    !r->is_judged ? "" : r->ok ? " ok" : " NO");
}

/*
 * QUICK leaves out what needs the mailbox of a gigabyte; who is not root does
 * not learn what was written.
 */
static int
run_all(void)
{
	static struct result results[N_ROWS];
	static int done[N_ROWS];
	const struct row *row;
	size_t i;
	int bad = 0;

	for (i = 0; i < N_ROWS; i++) {
		row = &rows[i];
		if (!is_wanted(setting("ROWS"), row->id) ||
		    (row->measure == write_first && geteuid() != 0) ||
		    (row->measure == log_in_cold &&
		    access("/proc/sys/vm/drop_caches", W_OK) == -1) ||
		    !can_run(row->ours) || (row->box != NULL &&
		    file_size(spool(row->box)) == -1))
			continue;
		results[i] = run_row(row);
		done[i] = row->must > 0;
	}
	printf("\n%-37s   %6s %3s%6s %3s%6s%5s\n", "", "pop3d", "+-%",
	    "peer", "+-%", "ratio", "must");
	for (i = 0; i < N_ROWS; i++)
		if (done[i]) {
			print_row(&rows[i], &results[i]);
			bad += results[i].is_judged && !results[i].ok;
		}
	return bad > 0;
}

/*
 * One processor for all, the last one: with two, times hang on where the kernel
 * wakes a process up, more than on what it does.
 */
static void
stay_here(void)
{
	cpu_set_t all, one;
	size_t i = CPU_SETSIZE - 1;

	if (sched_getaffinity(0, sizeof(all), &all) == -1)
		return;
	while (i > 0 && !CPU_ISSET(i, &all))
		i--;
	CPU_ZERO(&one);
	CPU_SET(i, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

int
main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
	if (argc >= 5 && strcmp(argv[1], "make") == 0)
		return make_mailbox(argv[2], strtoul(argv[3], NULL, 10),
		    strtoul(argv[4], NULL, 10), argc > 5);
	if (setting("BENCH_DIR") == NULL || setting("BENCH_UID") == NULL ||
	    setting("BENCH_DIALOGUE") == NULL)
		blame("use make bench");
	snprintf(scratch, sizeof(scratch), "%s", setting("BENCH_DIR"));
	if (argc == 3 && strcmp(argv[1], "try") == 0) {
		run_session(POPA3D, argv[2], 0, NULL);
		return 0;
	}
	if (argc != 1)
		blame("use make bench");
	stay_here();
	return run_all();
}
