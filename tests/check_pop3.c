/*
 * Tests of pop3.c: its statics, and the program itself as a client sees it.
 *
 * The program (POP3D in the environment, else ./pop3d) is run over socket
 * pairs, as an ordinary user: by root, as a uid that is nobody's. Whatever has
 * to wait for one of the program's timers is a background test: it is started
 * before all others, in a process of its own, and its Check test only collects
 * the result. Transcripts are described above struct transcript.
 *
 * With MBOX_DIR in the environment every *.mbox there is served, too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <syslog.h>

#include "../pop3.h"

static void keep_log(int priority, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum mbox_result answer_as_told(struct mbox *);
static enum mbox_result seek_as_told(struct mbox *, size_t);
static int read_as_told(struct mbox *, const unsigned char **, size_t *);
static enum mbox_result uid_as_told(struct mbox *, size_t,
    char uid[UID_OCTETS]);
static long long clock_as_told(void);
static int no_syscall;		/* as of an old kernel */
static int is_terminal;		/* descriptor 1 is one */

/* The program that is run has what is real. */
#undef syslog
#define main		pop3_main
#define syslog		keep_log
#define mbox_load	answer_as_told
#define mbox_update	answer_as_told
#define mbox_seek	seek_as_told
#define mbox_read	read_as_told
#define mbox_uid	uid_as_told
#define clock_ms	clock_as_told
#define syscall(...)	(no_syscall ? -1 : syscall(__VA_ARGS__))
#define isatty(fd)	((fd) == 1 && is_terminal)
int pop3_main(int, char **);
#include "../pop3.c"
#include "md5.h"
#include "real.h"

#include <sys/ioctl.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif
#include <sys/wait.h>

#include <dirent.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>

#include <check.h>
#include "suite.h"
#include "peer.h"
#include "fuzz/fuzz.h"		/* for real mailboxes, the mbox once more */

enum {
	SLACK = 6000,		/* ms a timer may be late on a busy machine */
	UNPRIVILEGED = 54321	/* what root becomes */
};

struct octets {
	const char *p;
	size_t len;
};
#define B(s)	{ s, sizeof(s) - 1 }

static uid_t user;		/* whom the program runs as */

static void
check_took(long long begun, long least, const char *what)
{
	long long took = now_ms() - begun;

	if (took < least || took > least + SLACK)
		blame("%s took %lld ms, wanted about %ld", what, took, least);
}

/* ---- Octets ---- */

/*
 * Append to what is empty, or was made so. There is always room for the next
 * power of two, and for a NUL.
 */
static void
add_bytes(struct octets *b, const char *p, size_t len)
{
	char *own = b->len > 0 ? (char *)(uintptr_t)b->p : NULL;
	size_t room = 64;

	if (len == 0)
		return;
	while (room < b->len + len)
		room *= 2;
	if (own == NULL || b->len <= room / 2)
		own = realloc(own, room + 1);
	must(own != NULL, "realloc");
	memcpy(own + b->len, p, len);
	own[b->len += len] = '\0';
	b->p = own;
}

static void
free_bytes(struct octets *b)
{
	if (b->len > 0)
		free((char *)(uintptr_t)b->p);
	b->len = 0;
}

static void
put_text(struct octets *b, const char *text)
{
	add_bytes(b, text, strlen(text));
}

static void
check_same(const struct octets *got, const struct octets *want,
    const char *what)
{
	size_t i;

	for (i = 0; i < got->len && i < want->len && got->p[i] == want->p[i];
	    i++)
		;
	if (got->len != want->len || i < want->len)
		blame("%s: %zu octets, wanted %zu; differs at %zu: \"%.*s\"",
		    what, got->len, want->len, i,
		    (int)(got->len - i < 100 ? got->len - i : 100), got->p + i);
}

/* ---- Files ---- */

static char own_dir[sizeof(scratch) + 16];

static void
give_to_user(const char *path)
{
	if (getuid() == 0)
		must(chown(path, user, (gid_t)user) == 0, path);
}

/*
 * A new directory that the program's user owns: a test, and the programs that
 * it starts, work there.
 */
static void
enter_new_dir(void)
{
	snprintf(own_dir, sizeof(own_dir), "%s/XXXXXX", scratch);
	must(mkdtemp(own_dir) != NULL && chdir(own_dir) == 0, own_dir);
	give_to_user(own_dir);
}

static void
write_file(const char *name, const char *p, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n;

	must(fd != -1, name);
	for (; len > 0; p += n, len -= (size_t)n)
		must((n = write(fd, p, len)) > 0, name);
	must(fchmod(fd, 0600) == 0, "fchmod");
	close(fd);
	give_to_user(name);
}

static void
write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

/* A whole file. */
static struct octets
read_file(const char *path)
{
	struct octets all = { "", 0 };
	int fd = open(path, O_RDONLY);
	char part[65536];
	ssize_t n;

	must(fd != -1, path);
	while ((n = read(fd, part, sizeof(part))) > 0)
		add_bytes(&all, part, (size_t)n);
	must(n == 0, path);
	close(fd);
	return all;
}

/* Whether the mailbox is so. */
static void
check_file(const struct octets *want, const char *what)
{
	struct octets got = read_file("mbox");

	check_same(&got, want, what);
	free_bytes(&got);
}

/* Nothing but the mailbox and the accounts: no lock, no temporary file. */
static void
check_dir(void)
{
	DIR *d = opendir(".");
	const struct dirent *e;

	must(d != NULL, own_dir);
	while ((e = readdir(d)) != NULL)
		if (*e->d_name != '.' ? strcmp(e->d_name, "mbox") != 0 &&
		    strcmp(e->d_name, "users") != 0 :
		    strspn(e->d_name, ".") != strlen(e->d_name))
			blame("left behind: %s", e->d_name);
	closedir(d);
}

/* ---- Mailboxes, with what must be sent of them, written by hand ---- */

enum { PARTS = 6 };

struct sample {
	const char *name;
	struct octets before;		/* what precedes the messages shown */
	struct octets raw[PARTS];	/* the messages in the file, */
	struct octets sent[PARTS];	/* and as the client must get them */
};

#define FROM1	"From anna@example.org Mon Jan  1 10:00:00 2024"
#define FROM2	"From bert@example.org Tue Jan  2 11:30:00 2024"
#define FROM3	"From - Wed Jan  3 1:02 2024"

static struct sample samples[] = {
{ "empty", B(""), { { NULL, 0 } }, { { NULL, 0 } } },
{ "blank", B("\n\r\n\n"), { { NULL, 0 } }, { { NULL, 0 } } },
{ "three", B(""), {
	B(FROM1 "\nSubject: one\nMessage-ID: <1@example.org>\n\n"
	    "first line\nsecond line\n\nfourth line\n\n"),
	B(FROM2 "\nSubject: two\nMessage-ID: <2@example.org>\n\n"
	    ".\n..\n.text\nend.\n\n"),
	B(FROM3 "\nSubject: three\nMessage-ID: <3@example.org>\n\n"
	    "last\n\n")
}, {
	B("Subject: one\r\nMessage-ID: <1@example.org>\r\n\r\n"
	    "first line\r\nsecond line\r\n\r\nfourth line\r\n"),
	B("Subject: two\r\nMessage-ID: <2@example.org>\r\n\r\n"
	    ".\r\n..\r\n.text\r\nend.\r\n"),
	B("Subject: three\r\nMessage-ID: <3@example.org>\r\n\r\n"
	    "last\r\n")
} },
{ "crlf", B(""), {
	B(FROM1 "\r\nSubject: one\r\nMessage-ID: <1@example.org>\r\n\r\n"
	    "first\r\n\r\n"),
	B(FROM2 "\r\nSubject: two\r\nMessage-ID: <2@example.org>\r\n\r\n"
	    "second\r\n.\r\n\r\n")
}, {
	B("Subject: one\r\nMessage-ID: <1@example.org>\r\n\r\nfirst\r\n"),
	B("Subject: two\r\nMessage-ID: <2@example.org>\r\n\r\n"
	    "second\r\n.\r\n")
} },
{ "mixed", B("\n"), {
	B(FROM1 "\r\nSubject: one\nDate: now\r\n\nunix\ndos\r\n\r\n"),
	B(FROM2 "\nSubject: two\r\nDate: now\n\r\ndos\r\nbare\rcr\n"
	    "two\r\r\n\n")
}, {
	B("Subject: one\r\nDate: now\r\n\r\nunix\r\ndos\r\n"),
	B("Subject: two\r\nDate: now\r\n\r\ndos\r\nbare\rcr\r\n"
	    "two\r\r\n")
} },
{ "unterminated", B(""), {
	B(FROM1 "\nSubject: one\n\nfirst\n\n"),
	B(FROM2 "\nSubject: two\n\nsecond\nno end")
}, {
	B("Subject: one\r\n\r\nfirst\r\n"),
	B("Subject: two\r\n\r\nsecond\r\nno end\r\n")
} },
{ "unterminated-cr", B(""), {
	B(FROM1 "\nSubject: one\n\ntext\r")
}, {
	B("Subject: one\r\n\r\ntext\r\r\n")
} },
{ "no-body", B(""), {
	B(FROM1 "\nSubject: one\n\n"),
	B(FROM2 "\nSubject: two\n\n\n"),
	B(FROM3 "\nSubject: three\n\n")
}, {
	B("Subject: one\r\n\r\n"),
	B("Subject: two\r\n\r\n"),
	B("Subject: three\r\n\r\n")
} },
{ "no-header", B(""), {
	B(FROM1 "\n\nbody only\n\n"),
	B(FROM2 "\n\n")
}, {
	B("\r\nbody only\r\n"),
	B("\r\n")
} },
{ "header-without-end", B(""), {
	B(FROM1 "\nSubject: one\n\nbody\n\n"),
	B(FROM2 "\nSubject: two\nTo: nobody\n")
}, {
	B("Subject: one\r\n\r\nbody\r\n"),
	B("Subject: two\r\nTo: nobody\r\n\r\n")
} },
{ "header-unterminated", B(""), {
	B(FROM1 "\nSubject: one\nTo: nob")
}, {
	B("Subject: one\r\nTo: nob\r\n\r\n")
} },
{ "from-line-alone", B(""), { B(FROM1) }, { B("\r\n") } },
{ "octets", B(""), {
	B(FROM1 "\nSubject: \xe9t\xe9\n\nnul\0nul\n\0\n\xff\xfe\n.\0\n\n"),
	B(FROM2 "\nSubject: a\0b\n\n\x80\x81\n\n")
}, {
	B("Subject: \xe9t\xe9\r\n\r\nnul\0nul\r\n\0\r\n\xff\xfe\r\n.\0\r\n"),
	B("Subject: a\0b\r\n\r\n\x80\x81\r\n")
} },
{ "from-in-text", B("\n\n"), {
	B("From \nSubject: one\n\n>From here, Jan 1 at 10:00\n"
	    "From there, Jan 1 at 10:00\n\nFrom no time of day\n\n"
	    "Fromage at 10:00\n\n"),
	B(FROM2 "\nSubject: two\n\n"),
	B("From the first line of a body, Jan 1:00\n\n")
}, {
	B("Subject: one\r\n\r\n>From here, Jan 1 at 10:00\r\n"
	    "From there, Jan 1 at 10:00\r\n\r\nFrom no time of day\r\n\r\n"
	    "Fromage at 10:00\r\n"),
	B("Subject: two\r\n\r\n"),
	B("\r\n")
} },
{ "folder-data", B(FROM1 "\nX-IMAP: 1 3\nStatus: RO\n"
    "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\n"
    "This text is internal.\n\n"), {
	B(FROM2 "\nSubject: shown\n\ntext\n\n"),
	B(FROM3 "\nSubject: shown too\n\nmore\n\n")
}, {
	B("Subject: shown\r\n\r\ntext\r\n"),
	B("Subject: shown too\r\n\r\nmore\r\n")
} },
/* the next ones get their messages from make_samples */
{ "long-lines", B(""), { { NULL, 0 } }, { { NULL, 0 } } },
{ "large", B(""), { { NULL, 0 } }, { { NULL, 0 } } }
};

static const struct sample *
find_sample(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(samples); i++)
		if (strcmp(samples[i].name, name) == 0)
			return &samples[i];
	blame("there is no mailbox %s", name);
	return NULL;
}

static size_t
count_parts(const struct sample *s)
{
	size_t n = 0;

	while (n < PARTS && s->raw[n].p != NULL)
		n++;
	return n;
}

/* One line of n octets c, in the file and as sent. A CR may be its end's. */
static void
add_long_line(struct octets *raw, struct octets *sent, char c, size_t n)
{
	char *line = malloc(n + 2);

	must(line != NULL, "malloc");
	memset(line, c, n);
	memcpy(line + n, "\n", 1);
	add_bytes(raw, line, n + 1);
	if (c == '\r')
		n--;
	memcpy(line + n, "\r\n", 2);
	add_bytes(sent, line, n + 2);
	free(line);
}

/*
 * Lines around the sizes of buffers, one of 300 KB, dots at the start of them;
 * and a mailbox of some megabytes, more than any socket buffers.
 */
static void
make_samples(void)
{
	static const size_t sizes[] = { 1, 998, 1023, 1024, 4095, 65533, 65534,
	    65535, 65536, 65537, 66559, 66560, 307200, 3 };
	struct sample *s = &samples[COUNT(samples) - 2];
	size_t i;

	for (i = 0; i < 3; i++) {
		put_text(&s->raw[i], FROM1 "\nSubject: long\n\n");
		put_text(&s->sent[i], "Subject: long\r\n\r\n");
	}
	for (i = 0; i < COUNT(sizes); i++) {
		add_long_line(&s->raw[0], &s->sent[0], 'x', sizes[i]);
		add_long_line(&s->raw[1], &s->sent[1], '.', sizes[i]);
		add_long_line(&s->raw[2], &s->sent[2], '\r', sizes[i]);
	}
	for (i = 0; i < 3; i++)
		put_text(&s->raw[i], "\n");
	s++;
	for (i = 0; i < 3; i++) {
		put_text(&s->raw[i], FROM2 "\nSubject: large\n\n");
		put_text(&s->sent[i], "Subject: large\r\n\r\n");
		add_long_line(&s->raw[i], &s->sent[i], (char)('a' + i),
		    i == 1 ? 4 * 1024 * 1024 : 10);
		put_text(&s->raw[i], "\n");
	}
}

/* The mailbox without the messages whose bits are set, from 1 << 0. */
static struct octets
mailbox_of(const struct sample *s, unsigned without)
{
	struct octets all = { "", 0 };
	size_t i, n = count_parts(s);

	add_bytes(&all, s->before.p, s->before.len);
	for (i = 0; i < n; i++)
		if (!(without >> i & 1))
			add_bytes(&all, s->raw[i].p, s->raw[i].len);
	return all;
}

static void
write_sample(const char *name)
{
	struct octets all = mailbox_of(find_sample(name), 0);

	write_file("mbox", all.p, all.len);
	free_bytes(&all);
}

/* What is left of a sample, and nothing else, is in the directory. */
static void
check_rest(const char *name, unsigned without, const char *what)
{
	struct octets all = mailbox_of(find_sample(name), without);

	check_file(&all, what);
	free_bytes(&all);
	check_dir();
}

static void
check_sample(const char *name, unsigned without)
{
	check_rest(name, without, name);
}

/* ---- The program, and a client of it ---- */

/*
 * Run the program. args are separated by spaces; @ in front of one stands for
 * the test's directory. fds: its 0, 1, 2.
 */
static pid_t
run_program(const char *args, const int fds[3], int as_root)
{
	char text[1024], *argv[32], room[PATH_MAX], *p;
	static char name[] = "pop3d";
	size_t n = 1, i;
	pid_t pid;

	snprintf(text, sizeof(text), "%s", args);
	argv[0] = name;
	for (p = strtok(text, " "); p != NULL && n < COUNT(argv) - 1;
	    p = strtok(NULL, " ")) {
		argv[n++] = p;
		if (*p != '@')
			continue;
		snprintf(room, sizeof(room), "%s%s", own_dir, p + 1);
		argv[n - 1] = room;
	}
	argv[n] = NULL;
	fflush(NULL);
	must((pid = fork()) != -1, "fork");
	if (pid != 0)
		return pid;
	for (i = 0; i < 3; i++)
		if (dup2(fds[i], (int)i) == -1)
			_exit(125);
	alarm(120);		/* it is the program's to clear this */
	if (!as_root)
		become(user);
	execv(program, argv);
	_exit(127);
}

/*
 * A client with the first end of a pair, the program having the other. err: its
 * descriptor 2, or -1.
 */
static struct peer
start_in(const char *args, const int pair[2], int err)
{
	int null = open("/dev/null", O_RDWR);
	int fds[3] = { pair[1], pair[1], err != -1 ? err : null };
	struct peer p;

	memset(&p, 0, sizeof(p));
	p.fd = pair[0];
	keep_to_ourselves(p.fd);
	p.pid = run_program(args, fds, 0);
	close(null);
	close(pair[1]);
	return p;
}

static struct peer
start(const char *args)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
	return start_in(args, pair, -1);
}

/*
 * The lines of an answer up to the dot, dots taken off, with CRLF. Valid until
 * it is called twice more.
 */
static struct octets
take_lines(struct peer *p)
{
	static struct octets kept[2];
	static int last;
	struct octets *all = &kept[last = !last];
	const char *line;

	free_bytes(all);
	all->p = "";
	for (;;) {
		line = take_line(p);
		if (p->line_len == 1 && *line == '.')
			return *all;
		if (*line == '.')
			add_bytes(all, line + 1, p->line_len - 1);
		else
			add_bytes(all, line, p->line_len);
		add_bytes(all, "\r\n", 2);
	}
}

/* A session behind its greeting. */
static struct peer
start_greeted(const char *args)
{
	struct peer p = start(args);

	expect(&p, "+OK *");
	return p;
}

static const char *fill_in(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* A text in one of a few buffers, used in turn. */
static const char *
fill_in(const char *format, ...)
{
	static char room[8][600];
	static unsigned next;
	char *text = room[next++ % 8];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(room[0]), format, ap);
	va_end(ap);
	return text;
}

/* A command, the line that answers it, and the lines below that. */
static struct octets
ask_lines(struct peer *p, const char *command, const char *pattern)
{
	ask(p, command, pattern);
	return take_lines(p);
}

/* The same, and these must be the lines. */
static void
ask_same(struct peer *p, const char *command, const char *pattern,
    const struct octets *want)
{
	struct octets got = ask_lines(p, command, pattern);

	check_same(&got, want, command);
}

/* One command after the other, all answered so. */
static void
ask_each(struct peer *p, const char *const *lines, size_t n,
    const char *pattern)
{
	for (; n > 0; n--)
		ask(p, *lines++, pattern);
}

static void
log_in(struct peer *p)
{
	ask(p, "USER alice", "+OK *");
	ask(p, "PASS secret", "+OK *");
}

/* The same on a sample. */
static struct peer
start_session(const char *name, const char *args)
{
	write_sample(name);
	return start_greeted(args);
}

static struct peer
start_pipe_session(const char *name)
{
	return start_session(name, "-p -m mbox");
}

#define FROM_FILE "-m @/mbox -f users"
#define ALICE	"alice:{PLAIN}secret\n"
#define DORA	"dora:{SHA512-CRYPT}$6$pop3dtest$aYitYXxSprpTSj70YoGYnB4ylC5U" \
	"DUsb/RSjXpUp0vMgbDOhtCV1Aui4S8/jhNHdtxR4Yu99/shrfGX1ExRPA.\n"

static void
write_login(void)
{
	write_sample("three");
	write_text("users", ALICE);
}

/* The same in AUTHORIZATION, with an -f file. */
static struct peer
start_login(const char *name, const char *more)
{
	write_text("users", ALICE DORA);
	return start_session(name, fill_in(FROM_FILE " %s", more));
}

/* ---- Background tests ---- */

struct job {
	const char *name;	/* of a test, or the path of a transcript */
	void (*run)(void);	/* NULL for a transcript */
	int fd;			/* "ok", or what is wrong */
};

static struct job jobs[200];
static size_t n_jobs;

static void play_transcript(const char *);

static void
add_job(const char *name, void (*job)(void))
{
	must(n_jobs < COUNT(jobs), "jobs");
	jobs[n_jobs++] = (struct job){ name, job, -1 };
}

static void
start_job(struct job *j)
{
	int p[2];

	must(pipe(p) == 0, "pipe");
	keep_to_ourselves(p[0]);
	keep_to_ourselves(p[1]);
	j->fd = p[0];
	fflush(NULL);
	switch (fork()) {
	case -1:
		must(0, "fork");
		break;
	case 0:
		alarm(100);
		job_out = p[1];
		if (j->run == NULL)
			play_transcript(j->name);
		else {
			enter_new_dir();
			j->run();
		}
		_exit(write(job_out, "ok", 2) != 2);
	}
	close(p[1]);
}

static void
start_jobs(void)
{
	size_t i;

	for (i = 0; i < n_jobs; i++)
		start_job(&jobs[i]);
}

/* Wait for a background test to end; fails if that did. */
static void
collect(const char *name)
{
	char text[2048];
	size_t len = 0, i;
	ssize_t n = 1;

	for (i = 0; i < n_jobs && strcmp(jobs[i].name, name) != 0; i++)
		;
	if (i == n_jobs)
		blame("%s was not started", name);
	while (n > 0 && len < sizeof(text) - 1) {
		n = read(jobs[i].fd, text + len, sizeof(text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	if (strcmp(text, "ok") != 0)
		blame("%s: %s", name, len > 0 ? text : "it died");
}

#define BACKGROUND(name)						\
static void name##_job(void);						\
__attribute__((constructor)) static void				\
name##_is_a_job(void)							\
{									\
	add_job(#name, name##_job);					\
}									\
TEST_IN(name, "background", ANYBODY, 1)					\
{									\
	collect(#name);							\
}									\
static void								\
name##_job(void)

/* ---- What the statics call ---- */

static char logged[1000];		/* lines of the log, */
static int logged_as = LOG_INFO;	/* all with this priority */
static enum mbox_result told;		/* what the mailbox's calls answer */
static const char *mail;		/* what is read, */
static size_t mail_at, mail_step;	/* up to here, so many octets at once */
static int out_of_memory;		/* for unique-ids */
static long long stopped;		/* the clock, at this; 0: it goes */

static void
keep_log(int priority, const char *format, ...)
{
	size_t len = strlen(logged);
	va_list ap;

	ck_assert_int_eq(priority, logged_as);
	va_start(ap, format);
	vsnprintf(logged + len, sizeof(logged) - len - 1, format, ap);
	va_end(ap);
	strcat(logged, "\n");
}

static enum mbox_result
answer_as_told(struct mbox *m)
{
	m->why = told == MBOX_OK ? "" : "because";
	return told;
}

static enum mbox_result
seek_as_told(struct mbox *m, size_t i)
{
	(void)i;
	mail_at = 0;
	return answer_as_told(m);
}

static int
read_as_told(struct mbox *m, const unsigned char **p, size_t *len)
{
	(void)m;
	*p = (const unsigned char *)mail + mail_at;
	*len = strlen(mail + mail_at);
	if (*len > mail_step)
		*len = mail_step;
	mail_at += *len;
	if (*len == 0)
		ck_abort_msg("more is read than is wanted");
	return 0;
}

static enum mbox_result
uid_as_told(struct mbox *m, size_t i, char uid[UID_OCTETS])
{
	m->why = out_of_memory ? "because" : m->why;
	return out_of_memory ? MBOX_TEMP : mbox_uid(m, i, uid);
}

static long long
clock_as_told(void)
{
	return stopped != 0 ? stopped : clock_ms();
}

/* ---- Statics ---- */

static const struct {
	const char *text;
	char end;
	size_t max;
	int good;
	size_t n;
} numbers[] = {
	{ "0", '\0', 100, 1, 0 },
	{ "1", '\0', 100, 1, 1 },
	{ "007", '\0', 100, 1, 7 },
	{ "99", '\0', 100, 1, 99 },
	{ "100", '\0', 100, 1, 100 },
	{ "101", '\0', 100, 1, 100 },
	{ "1000", '\0', 100, 1, 100 },
	{ "4294967296", '\0', 1000, 1, 1000 },
	{ "4294967297", '\0', 1000, 1, 1000 },
	{ "18446744073709551616", '\0', 1000, 1, 1000 },
	{ "18446744073709551617", '\0', 1000, 1, 1000 },
	{ "340282366920938463463374607431768211457", '\0', 9, 1, 9 },
	{ "1073741824", '\0', 1 << 30, 1, 1 << 30 },
	{ "1073741825", '\0', 1 << 30, 1, 1 << 30 },
	{ "2 5", ' ', 100, 1, 2 },
	{ "2 ", ' ', 100, 1, 2 },
	{ "2", ' ', 100, 0, 0 },
	{ "2 5", '\0', 100, 0, 0 },
	{ "2 ", '\0', 100, 0, 0 },
	{ "", '\0', 100, 0, 0 },
	{ " 1", '\0', 100, 0, 0 },
	{ "-1", '\0', 100, 0, 0 },
	{ "+1", '\0', 100, 0, 0 },
	{ "1abc", '\0', 100, 0, 0 },
	{ "0x1", '\0', 100, 0, 0 },
	{ "1.", '\0', 100, 0, 0 },
	{ "\xb2", '\0', 100, 0, 0 }
};

static void
clear_environment(void)
{
	static const char *const names[] = { "TCPREMOTEIP", "REMOTE_ADDR",
	    "REMOTE_HOST", "SOCAT_PEERADDR", "SSH_CONNECTION",
	    "TCPREMOTEADDR" };
	size_t i;

	for (i = 0; i < COUNT(names); i++)
		unsetenv(names[i]);
}

/* What tests of statics change is as it was. */
static void
tidy_up(void)
{
	alarm(0);
	clear_environment();
	no_syscall = is_terminal = out_of_memory = 0;
	logged_as = LOG_INFO;
	stopped = 0;
}

CASE("statics", 30, NULL, tidy_up);

TEST_EACH(numbers_are_digits_and_never_wrap, COUNT(numbers))
{
	size_t n = 0, i = (size_t)_i;
	const char *p;

	p = parse_number(numbers[i].text, numbers[i].end, numbers[i].max, &n);
	ck_assert_msg((p != NULL) == numbers[i].good, "\"%s\"",
	    numbers[i].text);
	if (numbers[i].good)
		ck_assert_uint_eq(n, numbers[i].n);
}

/* The alphabet, the length, the padding and the bits behind the last octet. */
static const struct {
	const char *text;
	int n;			/* -1: refused */
	const char *octets;
} base64[] = {
	{ "", 0, "" },
	{ "Zg==", 1, "f" },
	{ "Zm8=", 2, "fo" },
	{ "Zm9v", 3, "foo" },
	{ "Zm9vYg==", 4, "foob" },
	{ "Zm9vYmE=", 5, "fooba" },
	{ "Zm9vYmFy", 6, "foobar" },
	{ "+/+/", 3, "\xfb\xff\xbf" },
	{ "AAAA", 3, "\0\0\0" },
	{ "Z", -1, NULL },
	{ "Zg", -1, NULL },
	{ "Zg=", -1, NULL },
	{ "Zg===", -1, NULL },
	{ "Z===", -1, NULL },
	{ "====", -1, NULL },
	{ "=", -1, NULL },
	{ "==", -1, NULL },
	{ "Zh==", -1, NULL },
	{ "Zm9=", -1, NULL },
	{ "Zg==Zg==", -1, NULL },
	{ "Zm=v", -1, NULL },
	{ "=m9v", -1, NULL },
	{ "Zm9v ", -1, NULL },
	{ " Zm9v", -1, NULL },
	{ "Zm9v\r", -1, NULL },
	{ "Zm-_", -1, NULL },
	{ "Zm9\xff", -1, NULL },
	{ "Zm9*", -1, NULL }
};

TEST_EACH(base64_is_strict, COUNT(base64))
{
	size_t i = (size_t)_i;
	char text[64], *end;
	int n;

	snprintf(text, sizeof(text), "%s", base64[i].text);
	end = decode_base64(text);
	n = end == NULL ? -1 : (int)(end - text);
	ck_assert_msg(n == base64[i].n, "\"%s\": %d", base64[i].text, n);
	if (n > 0)
		ck_assert_mem_eq(text, base64[i].octets, (size_t)n);
}

static const struct {
	const char *name, *value, *ip;
} addresses[] = {
	{ "TCPREMOTEIP", "192.0.2.7", "192.0.2.7" },
	{ "TCPREMOTEIP", "2001:db8::7", "2001:db8::7" },
	{ "TCPREMOTEIP", "2001:0DB8:0:0:0:0:0:7", "2001:db8::7" },
	{ "TCPREMOTEIP", "::ffff:192.0.2.7", "192.0.2.7" },
	{ "TCPREMOTEIP", "::ffff:c000:207", "192.0.2.7" },
	{ "TCPREMOTEIP", "[2001:db8::7]", "2001:db8::7" },
	{ "REMOTE_ADDR", "192.0.2.7", "192.0.2.7" },
	{ "REMOTE_HOST", "192.0.2.7", "192.0.2.7" },
	{ "REMOTE_HOST", "::ffff:192.0.2.7", "192.0.2.7" },
	{ "SOCAT_PEERADDR", "192.0.2.7", "192.0.2.7" },
	{ "SOCAT_PEERADDR", "[2001:0db8:0000:0000:0000:0000:0000:0007]",
	    "2001:db8::7" },
	{ "SSH_CONNECTION", "192.0.2.7 50000 198.51.100.1 22", "192.0.2.7" },
	{ "SSH_CONNECTION", "2001:db8::7 50000 2001:db8::1 22",
	    "2001:db8::7" },
	{ "TCPREMOTEADDR", "192.0.2.7:50000", "192.0.2.7" },
	{ "TCPREMOTEADDR", "[2001:db8::7]:50000", "2001:db8::7" },
	{ "TCPREMOTEADDR", "[::ffff:192.0.2.7]:50000", "192.0.2.7" },
	/* hostile, or no address */
	{ "TCPREMOTEIP", "", "local" },
	{ "TCPREMOTEIP", "[", "local" },
	{ "TCPREMOTEIP", "[]", "local" },
	{ "TCPREMOTEIP", "local", "local" },
	{ "TCPREMOTEIP", "client.example.org", "local" },
	{ "TCPREMOTEIP", "192.0.2.7\nLOGIN", "local" },
	{ "TCPREMOTEIP", "], user=root, ip=[192.0.2.7", "local" },
	{ "TCPREMOTEIP", "192.0.2.256", "local" },
	{ "TCPREMOTEIP", "192.0.2", "local" },
	{ "TCPREMOTEIP", "%s%n%n%n", "local" },
	{ "TCPREMOTEIP", "1111111111111111111111111111111111111111111111111"
	    "11111111111111111111111111111111111111111111111111", "local" },
	{ "TCPREMOTEADDR", ":", "local" },
	{ "TCPREMOTEADDR", "::::::::::::", "local" },
	{ "REMOTE_HOST", "client.example.org", "local" }
};

static struct session unit;

/* Another descriptor in the place of one: what was there, for put_back. */
static int
put_in_place(int fd, int other)
{
	int was = dup(fd);

	fflush(stdout);
	must(was != -1 && dup2(other, fd) == fd, "dup");
	return was;
}

static void
put_back(int fd, int was)
{
	must(dup2(was, fd) == fd, "dup");
	close(was);
}

/* What the program takes for the client, with fd as its descriptor 0. */
static int
find_client_on(int fd)
{
	int error = errno, was = put_in_place(0, fd), trusted;

	errno = error;
	trusted = find_client(&unit);
	put_back(0, was);
	return trusted;
}

/*
 * What it takes for that where a variable is set, too, and the descriptor says
 * nothing of an address: a pipe's, or a Unix socket's.
 */
static void
expect_client(int is_pipe, const char *name, const char *value, const char *ip)
{
	int pair[2];

	must((is_pipe ? pipe(pair) : socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
	    == 0, "pair");
	setenv(name, value, 1);
	ck_assert_int_eq(find_client_on(pair[0]), 1);
	ck_assert_msg(strcmp(unit.ip, ip) == 0, "%s=%s: %s, wanted %s", name,
	    value, unit.ip, ip);
	close(pair[0]);
	close(pair[1]);
}

TEST_EACH(the_client_is_found_in_the_environment, 2 * COUNT(addresses))
{
	size_t i = (size_t)_i / 2;

	expect_client(_i % 2, addresses[i].name, addresses[i].value,
	    addresses[i].ip);
}

TEST(the_first_variable_with_an_address_counts)
{
	static const char *const rising[][3] = {
		{ "NO_ADDRESS", "192.0.2.7", "local" },
		{ "TCPREMOTEADDR", "192.0.2.6:1", "192.0.2.6" },
		{ "SSH_CONNECTION", "192.0.2.5 1 192.0.2.9 22", "192.0.2.5" },
		{ "SOCAT_PEERADDR", "192.0.2.4", "192.0.2.4" },
		{ "REMOTE_HOST", "192.0.2.3", "192.0.2.3" },
		{ "REMOTE_ADDR", "client.example.org", "192.0.2.3" },
		{ "TCPREMOTEIP", "x", "192.0.2.3" },
		{ "REMOTE_ADDR", "192.0.2.2", "192.0.2.2" },
		{ "TCPREMOTEIP", "192.0.2.1", "192.0.2.1" }
	};
	size_t i;

	for (i = 0; i < COUNT(rising); i++)
		expect_client(1, rising[i][0], rising[i][1], rising[i][2]);
}

TEST(an_address_in_the_environment_is_not_mixed_with_another)
{
	static const char *const hostile[] = { "::ffff:2001:db8::192.0.2.7",
	    "::ffff:::ffff:192.0.2.7", "::ffff:192.0.2.7.1", "::ffff:.",
	    "192.0.2.7%eth0" };
	size_t i;

	for (i = 0; i < COUNT(hostile); i++)
		expect_client(1, "REMOTE_HOST", hostile[i], "local");
}

/* A socket without a peer, or a closed descriptor: nobody is to be trusted. */
TEST(a_client_that_cannot_be_known_is_not_local)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	must(s != -1, "socket");
	errno = 0;
	ck_assert_int_eq(find_client_on(s), 0);
	close(s);
}

/* ---- Transcripts ---- */

/*
 * The files of tests/sessions: what a client says and must be told, in the form
 * of the RFC's examples. Above the lines of a session stand
 *	options: -p -m mbox	the program's, run in a new directory, @
 *	mailbox: three		one of samples, in the file mbox; "none": none
 *	user: alice:{PLAIN}x	a line of the file users; any number of them
 * and below it
 *	after: three		what mbox must be then; "three -1 -3" is what
 *				is left of it without these messages
 *	time: 9			how many seconds it must have taken
 * "--" begins another session in the same directory, # a comment.
 *	C: text			is sent with CRLF, or as it is if \ ends it
 *	S: text			is the next line; with * at its end, how it
 *				begins, but "S: -ERR *" has no response code;
 *				"S: <end>": the connection ends here
 *	OK: text		as C:, and the answer is "S: +OK *"
 *	ERR: text		as C:, and the answer is "S: -ERR *"
 * A session that begins with what the client says is greeted with "S: +OK *";
 * one whose end is not written ends with QUIT. In all texts, \r \n \0 \\,
 * \s (space) and \xHH are octets, {text*9} repeats, and {apop secret} is what
 * APOP answers to the greeting.
 */
struct transcript {
	const char *path;
	int line;
	char options[4096], users[4096], greeting[600];
	struct peer peer;
	int running;
	long long begun;
};

/* What stands behind a backslash at *p, which moves behind it. -1: nothing. */
static int
unescape(const char **p)
{
	static const char names[] = "rn0s\\", octets[] = "\r\n\0 \\";
	const char *found;
	char hex[3] = "";

	if (**p == 'x' && (*p)[1] != '\0' && (*p)[2] != '\0') {
		memcpy(hex, *p + 1, 2);
		*p += 3;
		return (int)strtol(hex, NULL, 16);
	}
	if (**p == '\0' || (found = strchr(names, **p)) == NULL)
		return -1;
	++*p;
	return (unsigned char)octets[found - names];
}

static void
add_unescaped(const struct transcript *t, struct octets *out, const char **p)
{
	char c = *(*p)++;
	int o = c;

	if (c == '\\' && (o = unescape(p)) == -1)
		blame("%s:%d: what is \\%c", t->path, t->line, **p);
	c = (char)o;
	add_bytes(out, &c, 1);
}

/* {...} at p: the octets it stands for are added. Octets read, or 0. */
static size_t
expand_braces(const struct transcript *t, const char *p, struct octets *out)
{
	const char *end = strchr(p, '}'), *star = NULL, *q;
	char text[64], hex[33];
	long n;

	if (end == NULL || (size_t)(end - p) > sizeof(text))
		return 0;
	snprintf(text, sizeof(text), "%.*s", (int)(end - p - 1), p + 1);
	if (strncmp(text, "apop ", 5) == 0) {
		must(apop_digest(t->greeting, text + 5, hex) == 0,
		    "no APOP challenge");
		put_text(out, hex);
	} else if ((star = strrchr(text, '*')) == NULL || star == text)
		return 0;
	for (n = star == NULL ? 0 : atol(star + 1); n > 0; n--)
		for (q = text; q < star; )
			add_unescaped(t, out, &q);
	return (size_t)(end - p) + 1;
}

static struct octets
expand_text(const struct transcript *t, const char *p)
{
	struct octets out = { "", 0 };
	size_t n;

	while (*p != '\0')
		if (*p == '{' && (n = expand_braces(t, p, &out)) > 0)
			p += n;
		else
			add_unescaped(t, &out, &p);
	return out;
}

static void
end_session(struct transcript *t)
{
	if (t->running)
		quit(&t->peer);
	t->running = 0;
}

static void
begin_session(struct transcript *t)
{
	if (t->running)
		return;
	if (t->users[0] != '\0')
		write_text("users", t->users);
	t->peer = start(t->options);
	t->begun = now_ms();
	t->greeting[0] = '\0';
	t->running = 1;
}

static void
say_line(struct transcript *t, char *text)
{
	size_t len = strlen(text);
	int whole = len == 0 || text[len - 1] != '\\';
	struct octets line;

	if (!whole)
		text[len - 1] = '\0';
	line = expand_text(t, text);
	if (whole)
		put_text(&line, "\r\n");
	send_bytes(&t->peer, line.p, line.len);
	free_bytes(&line);
}

static void
hear_line(struct transcript *t, const char *text)
{
	struct octets want;
	const char *line;
	int prefix;

	if (strcmp(text, "<end>") == 0) {
		see_end(&t->peer);
		t->running = 0;
		return;
	}
	want = expand_text(t, text);
	prefix = want.len > 0 && want.p[want.len - 1] == '*';
	line = take_line(&t->peer);
	if (t->peer.line_len < want.len - (size_t)prefix ||
	    (!prefix && t->peer.line_len != want.len) ||
	    memcmp(line, want.p, want.len - (size_t)prefix) != 0 ||
	    (strcmp(text, "-ERR *") == 0 && line[5] == '['))
		blame("%s:%d: got \"%.300s\"", t->path, t->line, line);
	free_bytes(&want);
	if (t->greeting[0] == '\0')
		snprintf(t->greeting, sizeof(t->greeting), "%s", line);
}

/* after: a sample's name and the numbers of messages that are gone. */
static void
compare_mailbox(struct transcript *t, char *text, const char *what)
{
	const char *name = strtok(text, " "), *number;
	unsigned without = 0;

	end_session(t);
	while ((number = strtok(NULL, " ")) != NULL)
		without |= 1U << (atoi(number + 1) - 1);
	check_rest(name, without, what);
}

static void
add_user(struct transcript *t, const char *entry)
{
	struct octets line = expand_text(t, entry);
	size_t len = strlen(t->users);

	snprintf(t->users + len, sizeof(t->users) - len, "%.*s\n",
	    (int)line.len, line.p);
	free_bytes(&line);
}

/* A line with what the client says, or hears, or both. */
static void
play_words(struct transcript *t, const char *mark, char *text)
{
	begin_session(t);
	if (strcmp(mark, "S:") == 0) {
		hear_line(t, text);
		return;
	}
	if (t->greeting[0] == '\0')
		hear_line(t, "+OK *");
	say_line(t, text);
	if (strcmp(mark, "C:") != 0)
		hear_line(t, strcmp(mark, "OK:") == 0 ? "+OK *" : "-ERR *");
}

/* One line of a transcript, its end taken off. */
static void
play_line(struct transcript *t, char *line)
{
	char *text = line + strcspn(line, " "), what[300];

	if (*line == '#' || *line == '\0')
		return;
	if (*text != '\0')
		*text++ = '\0';
	snprintf(what, sizeof(what), "%s:%d", t->path, t->line);
	if (strcmp(line, "options:") == 0)
		snprintf(t->options, sizeof(t->options), "%s", text);
	else if (strcmp(line, "mailbox:") == 0) {
		if (strcmp(text, "none") != 0)
			write_sample(text);
	} else if (strcmp(line, "user:") == 0)
		add_user(t, text);
	else if (strcmp(line, "after:") == 0)
		compare_mailbox(t, text, what);
	else if (strcmp(line, "time:") == 0)
		check_took(t->begun, atol(text) * 1000, what);
	else if (strcmp(line, "--") == 0)
		end_session(t);
	else if (strcmp(line, "C:") == 0 || strcmp(line, "S:") == 0 ||
	    strcmp(line, "OK:") == 0 || strcmp(line, "ERR:") == 0)
		play_words(t, line, text);
	else
		blame("%s: what is \"%s\"", what, line);
}

static void
play_transcript(const char *path)
{
	struct transcript t;
	char line[4096];
	FILE *f = fopen(path, "r");

	must(f != NULL, path);
	memset(&t, 0, sizeof(t));
	t.path = path;
	enter_new_dir();
	keep_to_ourselves(fileno(f));
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		t.line++;
		snprintf(t.peer.last, sizeof(t.peer.last), "%.50s:%d", t.path,
		    t.line);
		play_line(&t, line);
	}
	fclose(f);
	end_session(&t);
}

static glob_t transcripts;

/* All transcripts are background tests: failed logins take seconds. */
static void
add_transcripts(void)
{
	size_t i;

	glob("tests/sessions/*.txt", 0, NULL, &transcripts);
	for (i = 0; i < transcripts.gl_pathc; i++)
		add_job(transcripts.gl_pathv[i], NULL);
}

TEST_IN(there_are_transcripts, "background", ANYBODY, 1)
{
	ck_assert_uint_gt(transcripts.gl_pathc, 10);
}

/* As many rounds as there may be jobs, or nobody would collect some. */
TEST_IN(a_session_goes_as_it_is_written, "background", ANYBODY, COUNT(jobs))
{
	collect(transcripts.gl_pathv[_i]);
}

/* ---- Every command, in every state, with every shape of argument ---- */

static const char *const commands_sent[] = { "USER", "PASS", "AUTH",
	"AUTH PLAIN", "AUTH LOGIN", "APOP", "STAT", "LIST", "RETR", "DELE",
	"NOOP", "RSET", "TOP", "UIDL", "CAPA", "QUIT", "LAST", "STLS", "XTND",
	"", " ", "STATX", "STA", "RETR1", "\xe9\xe9", "stat", "tOp" };

static const char *const shapes[] = { "", " ", " 1", " 0", " 4", " 1000000",
	" 1000001", " 4294967297", " 18446744073709551617",
	" 99999999999999999999999999999999", " -1", " +1", " 1abc", " text",
	" 1 2", " 1 2 3", " 1 99999999999999999999", " 1 -1", " 1 x", " 1 ",
	"  1", " 1  2", " \xe9\xff", " %s%n", " =", " *", "\t1", " 1\t",
	" 1\r", " ." };

enum { NONE = 1, ONE = 2, TWO = 4, WORD = 8, WORDS = 16 };

/*
 * What of arguments a shape is. TWO: a count that saturates is right, too.
 * WORDS: of a password, whose blanks count; else those at the end do not.
 */
static int
kind_of(const char *text)
{
	char shape[200];
	int kind = text[0] == ' ' && text[1] != '\0' ? WORDS : 0;
	size_t len = (size_t)snprintf(shape, sizeof(shape), "%s", text);

	while (len > 0 && shape[len - 1] == ' ')
		shape[--len] = '\0';
	if (len == 0)
		return kind | NONE;
	if (strcmp(shape, " 1") == 0)
		kind |= ONE;
	if (strcmp(shape, " 1 2") == 0 ||
	    strcmp(shape, " 1 99999999999999999999") == 0)
		kind |= TWO;
	if (shape[0] == ' ' && strchr(shape + 1, ' ') == NULL)
		kind |= WORD;
	return kind;
}

/* Which are right, in AUTHORIZATION and behind -p. All others are -ERR. */
static const struct {
	const char *name;
	int before, after;
} right[] = {
	{ "USER", WORD, WORD }, { "PASS", 0, WORDS }, { "AUTH", NONE, 0 },
	{ "CAPA", NONE, NONE }, { "NOOP", 0, NONE }, { "QUIT", NONE, NONE },
	{ "STAT", 0, NONE }, { "stat", 0, NONE }, { "RSET", 0, NONE },
	{ "LIST", 0, NONE | ONE }, { "UIDL", 0, NONE | ONE },
	{ "RETR", 0, ONE }, { "DELE", 0, ONE }, { "TOP", 0, TWO },
	{ "tOp", 0, TWO }
};

static int
is_right(const char *command, size_t shape, int in_transaction)
{
	int kind = kind_of(shapes[shape]);
	size_t i;

	for (i = 0; i < COUNT(right); i++)
		if (strcmp(command, right[i].name) == 0)
			return (kind & (in_transaction ? right[i].after :
			    right[i].before)) != 0;
	return 0;
}

/* Whether more lines follow a +OK. */
static int
is_long_answer(const char *command, const char *arg)
{
	static const char *const names[] = { "CAPA", "RETR", "TOP" };
	size_t i;

	if (strcmp(command, "LIST") == 0 || strcmp(command, "UIDL") == 0 ||
	    strcmp(command, "AUTH") == 0)
		return kind_of(arg) == NONE;
	for (i = 0; i < COUNT(names); i++)
		if (strcasecmp(command, names[i]) == 0)
			return 1;
	return 0;
}

/* A status line: RFC 1939, section 3, and always a text (RFC 1957). */
static int
check_status(struct peer *p, const char *line)
{
	int good = strncmp(line, "+OK ", 4) == 0;

	if ((!good && strncmp(line, "-ERR ", 5) != 0) ||
	    line[good ? 4 : 5] == '\0' || line[good ? 4 : 5] == ' ' ||
	    p->line_len + 2 > 512)
		blame("after \"%s\": no status line: \"%.600s\"", p->last,
		    line);
	return good;
}

/* The next answer is the next command's, so nothing has come twice. */
static void
probe(struct peer *p)
{
	ask_lines(p, "CAPA", "+OK capabilities follow");
}

/*
 * Send one; it gets one status line and, if that is +OK, its lines. 0: the
 * connection is over.
 */
static int
send_shape(struct peer *p, const char *command, size_t shape,
    int in_transaction)
{
	char line[200];
	int good;

	snprintf(line, sizeof(line), "%s%s\r\n", command, shapes[shape]);
	say(p, "%s", line);
	if (!in_transaction && strcmp(command, "AUTH PLAIN") == 0 &&
	    kind_of(shapes[shape]) == NONE) {
		expect(p, "+ ");
		say(p, "*\r\n");
	}
	snprintf(line, sizeof(line), "%s", take_line(p));
	good = check_status(p, line);
	if (good != is_right(command, shape, in_transaction))
		blame("\"%s\": %s", p->last, line);
	if (good && strcmp(command, "QUIT") == 0) {
		expect_end(p);
		return 0;
	}
	if (good && is_long_answer(command, shapes[shape]))
		take_lines(p);
	if (strstr(line, "[AUTH]") != NULL)
		return 0;
	probe(p);
	return 1;
}

static void
send_shapes(const char *command, int in_transaction)
{
	struct peer p;
	size_t i;
	int open = 0;

	for (i = 0; i < COUNT(shapes); i++) {
		if (!open)
			p = in_transaction ? start_pipe_session("three") :
			    start_login("three", "-a");
		open = send_shape(&p, command, i, in_transaction);
		/* before too many wrong commands end it */
		if (open && (i % 10 == 9 || i == COUNT(shapes) - 1)) {
			quit(&p);
			open = 0;
		} else if (!open)
			finish(&p);
	}
}

CASE("commands", 60, enter_new_dir, NULL);

TEST_EACH(every_command_gets_one_status_line_in_transaction,
    COUNT(commands_sent))
{
	send_shapes(commands_sent[_i], 1);
}

TEST_EACH(every_command_gets_one_status_line_in_authorization,
    COUNT(commands_sent))
{
	/* APOP's failures take their time: below */
	if (strcmp(commands_sent[_i], "APOP") != 0)
		send_shapes(commands_sent[_i], 0);
}

BACKGROUND(every_apop_gets_one_status_line)
{
	send_shapes("APOP", 0);
}

/* Lines that are too long, or hold a NUL: one -ERR, nothing of them is run. */
static void
check_bad_line(struct peer *p, const char *text, size_t len, const char *what)
{
	const char *line;

	send_bytes(p, text, len);
	say(p, "\r\n");
	snprintf(p->last, sizeof(p->last), "%s", what);
	line = take_line(p);
	if (check_status(p, line))
		blame("%s: %s", what, line);
	probe(p);
}

TEST(a_line_over_the_buffer_is_not_executed)
{
	static const size_t sizes[] = { 254, 255, 256, 257, 510, 512, 513,
	    1024, 1026, 4094, 4095, 4096, 4097, 8192, 100000 };
	struct peer p = start_pipe_session("three");
	char *text = malloc(200000);
	size_t i, len;

	must(text != NULL, "malloc");
	for (i = 0; i < COUNT(sizes); i++) {
		memset(text, 'x', sizes[i]);
		check_bad_line(&p, text, sizes[i], "a long line");
		if (i % 8 != 7)
			continue;
		/* neither its head nor its tail is a command */
		memcpy(text, "DELE 1 ", 7);
		memcpy(text + sizes[i] - 7, " DELE 1", 7);
		check_bad_line(&p, text, sizes[i], "a long line");
	}
	for (len = 4090; len < 4100; len++) {
		memset(text, ' ', len);
		memcpy(text + len, "DELE 1", 6);
		check_bad_line(&p, text, len + 6, "a buffer and a command");
	}
	check_bad_line(&p, "DELE 1\0", 7, "a NUL at the end");
	check_bad_line(&p, "\0DELE 1", 7, "a NUL at the start");
	check_bad_line(&p, "DELE\0001", 6, "a NUL in the middle");
	check_bad_line(&p, "\0", 1, "a NUL");
	memset(text, '\0', 1000);
	check_bad_line(&p, text, 1000, "a long line of NULs");
	free(text);
	ask(&p, "STAT", "+OK 3 *");
	quit(&p);
	check_sample("three", 0);
}

TEST(a_line_over_the_buffer_ends_an_auth_under_way)
{
	static const char *const lines[] = { "\0", "AGFsaWNlAHNlY3JldA==\0" };
	struct peer p;
	char text[5000];
	size_t i;

	memset(text, 'A', sizeof(text));
	p = start_login("three", "");
	for (i = 1025; i < sizeof(text); i += 794) {
		ask(&p, "AUTH PLAIN", "+ ");
		check_bad_line(&p, text, i, "a long answer to AUTH");
	}
	for (i = 0; i < COUNT(lines); i++) {
		ask(&p, "AUTH PLAIN", "+ ");
		check_bad_line(&p, lines[i], strlen(lines[i]) + 1, "a NUL");
	}
	ask(&p, "AUTH PLAIN", "+ ");
	ask(&p, "AGFsaWNlAHNlY3JldA==", "+OK *");
	quit(&p);
}

/* ---- Pipelining ---- */

/* What the answers to these must be, all of them. */
struct pipelined {
	const char *options, *commands, *answers;
};

#define MESSAGE2 "Subject: two\r\nMessage-ID: <2@example.org>\r\n\r\n"	\
	"..\r\n...\r\n..text\r\nend.\r\n.\r\n"
#define GREETING "+OK pop3d ready, 3 messages, 203 octets\r\n"

static const struct pipelined pipelines[] = { {
	"-p -m mbox",
	"NOOP\r\nSTAT\r\nLIST\r\nRETR 2\r\nNONSENSE\r\nDELE 1\r\nDELE 1\r\n"
	"LIST\r\nTOP 3 0\r\nnoop\nQUIT\r\n",
	GREETING
	"+OK nothing done\r\n"
	"+OK 3 203\r\n"
	"+OK list follows\r\n1 85\r\n2 65\r\n3 53\r\n.\r\n"
	"+OK 65 octets\r\n" MESSAGE2
	"-ERR unknown command, or not now\r\n"
	"+OK marked for deletion\r\n"
	"-ERR no such message\r\n"
	"+OK list follows\r\n2 65\r\n3 53\r\n.\r\n"
	"+OK 53 octets\r\nSubject: three\r\nMessage-ID: <3@example.org>\r\n"
	"\r\n.\r\n"
	"+OK nothing done\r\n"
	"+OK bye\r\n"
}, {
	FROM_FILE,
	"NOOP\r\nAUTH PLAIN\r\n* \r\nUSER alice\r\nPASS secret\r\nSTAT\r\n"
	"RETR 2\r\nDELE 1\r\nRSET\r\nQUIT\r\n",
	"+OK pop3d ready\r\n"
	"-ERR unknown command, or not now\r\n"
	"+ \r\n"
	"-ERR cancelled, or malformed base64\r\n"
	"+OK now the password\r\n"
	GREETING
	"+OK 3 203\r\n"
	"+OK 65 octets\r\n" MESSAGE2
	"+OK marked for deletion\r\n"
	"+OK nothing is marked\r\n"
	"+OK bye\r\n"
} };

/* All that comes until the end; then the program ends. */
static void
expect_all(struct peer *p, const char *want, const char *what, size_t at)
{
	size_t len = strlen(want), have;
	const char *got;

	while (receive(p, PATIENCE))
		;
	got = p->got + p->pos;
	have = p->len - p->pos;
	if (have != len || memcmp(got, want, len) != 0)
		blame("%s %lu: got \"%.*s\"", what, (unsigned long)at,
		    (int)(have < 1500 ? have : 1500), got);
	finish(p);
}

/* Whether there is something to read, within so many ms. */
static int
is_readable(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, ms) == 1;
}

/* Let the program read what was sent, as far as that can be known. */
static void
let_read(const struct peer *p)
{
#ifdef TIOCOUTQ
	int left = 1, i;

	for (i = 0; i < 200 && ioctl(p->fd, TIOCOUTQ, &left) == 0 &&
	    left > 0; i++)
		sleep_ms(1);
#else
	(void)p;
	sleep_ms(2);
#endif
}

/* One session for every place at which the commands can be split in two. */
TEST_EACH(commands_may_be_split_anywhere, COUNT(pipelines))
{
	const struct pipelined *c = &pipelines[_i];
	size_t len = strlen(c->commands), at;
	/* odd, so that both kinds of splits below are met */
	size_t step = setting("FEWER", 1) | 1;
	struct peer p;

	for (at = 0; at <= len; at += step) {
		write_login();
		p = start(c->options);
		send_bytes(&p, c->commands, at);
		if (at % 4 != 0)
			let_read(&p);
		send_bytes(&p, c->commands + at, len - at);
		expect_all(&p, c->answers, "split at", at);
	}
	check_sample("three", _i == 0 ? 1 : 0);
}

TEST_EACH(commands_may_come_octet_by_octet, COUNT(pipelines))
{
	const struct pipelined *c = &pipelines[_i];
	struct peer p;
	size_t i;

	write_login();
	p = start(c->options);
	for (i = 0; i < strlen(c->commands); i++) {
		send_bytes(&p, c->commands + i, 1);
		let_read(&p);
	}
	expect_all(&p, c->answers, "octets", 0);
}

/* More commands than any buffer holds, and answers that are read late. */
TEST(no_answer_is_lost_in_a_long_pipeline)
{
	enum { ROUNDS = 3000 };
	static const char round[] = "RETR 2\r\nNOOP\r\nLIST 3\r\nNONSENSE\r\n";
	struct peer p = start_pipe_session("three");
	pid_t writer;
	int i;

	must((writer = fork()) != -1, "fork");
	if (writer == 0) {
		for (i = 0; i < ROUNDS; i++)
			if (write(p.fd, round, sizeof(round) - 1) !=
			    (ssize_t)sizeof(round) - 1)
				_exit(1);
		_exit(0);
	}
	sleep_ms(100);
	for (i = 0; i < ROUNDS; i++) {
		expect(&p, "+OK 65 octets");
		ck_assert_uint_eq(take_lines(&p).len, 65);
		expect(&p, "+OK nothing done");
		expect(&p, "+OK 3 53");
		expect(&p, "-ERR *");
	}
	ck_assert_int_eq(wait_for(writer, PATIENCE), 0);
	quit(&p);
}

/* Superservers leave descriptors in any state; ssh gives two pipes. */
TEST(two_pipes_serve_as_well_as_a_socket)
{
	const struct octets *want = &find_sample("large")->sent[1];
	int to[2], from[2], fds[3], ms;
	struct octets got;
	struct peer p;

	write_sample("large");
	must(pipe(to) == 0 && pipe(from) == 0, "pipe");
	keep_to_ourselves(to[1]);
	keep_to_ourselves(from[0]);
	fcntl(to[0], F_SETFL, O_NONBLOCK);
	fcntl(from[1], F_SETFL, O_NONBLOCK);
	fds[0] = to[0];
	fds[1] = fds[2] = from[1];
	memset(&p, 0, sizeof(p));
	p.pid = run_program("-p -m mbox", fds, 0);
	p.fd = from[0];
	close(from[1]);
	expect(&p, "+OK *");
	/* it waits for the client, and does not ask again and again */
	for (ms = 0; fcntl(to[0], F_GETFL) & O_NONBLOCK; ms += 10) {
		ck_assert_int_lt(ms, PATIENCE);
		sleep_ms(10);
	}
	must(write(to[1], "RETR 2\r\n", 8) == 8, "write");
	expect(&p, fill_in("+OK %zu octets", want->len));
	sleep_ms(50);
	got = take_lines(&p);
	check_same(&got, want, "RETR 2");
	must(write(to[1], "QUIT\r\n", 6) == 6, "write");
	expect(&p, "+OK *");
	ck_assert_int_eq(see_end(&p), 0);
	close(to[0]);
	close(to[1]);
}

/* ---- Retrieval ---- */

static char *
find_body(const struct octets *b)
{
	size_t i;

	for (i = 0; i < b->len; i++)
		if ((i == 0 || b->p[i - 1] == '\n') && b->p[i] == '\r' &&
		    i + 1 < b->len && b->p[i + 1] == '\n')
			return (char *)(uintptr_t)b->p + i + 2;
	return (char *)(uintptr_t)b->p + b->len;
}

/* RETR, and TOP in three lengths, of a message that must be sent so. */
static void
check_message(struct peer *p, const struct octets *want, size_t number)
{
	struct octets head = *want;

	ask_same(p, fill_in("RETR %zu", number),
	    fill_in("+OK %zu *", want->len), want);
	ask_same(p, fill_in("TOP %zu 4294967296", number), "+OK *", want);
	head.len = (size_t)(find_body(want) - want->p);
	ask_same(p, fill_in("TOP %zu 0", number), "+OK *", &head);
	while (head.len < want->len && want->p[head.len++] != '\n')
		;
	ask_same(p, fill_in("TOP %zu 1", number), "+OK *", &head);
}

/*
 * A session in which the messages must be these: STAT, the sum of LIST, each
 * RETR and TOP agree, and the unique-ids are legal, different and stable.
 */
static void
check_retrieval(const struct octets *sent, size_t n)
{
	struct octets ids, list = { "", 0 };
	struct peer p = start_greeted("-p -m mbox");
	size_t i, octets = 0;

	for (i = 0; i < n; i++) {
		octets += sent[i].len;
		put_text(&list, fill_in("%zu %zu\r\n", i + 1, sent[i].len));
	}
	ask(&p, "STAT", fill_in("+OK %zu %zu", n, octets));
	ask_same(&p, "LIST", "+OK *", &list);
	free_bytes(&list);
	for (i = 0; i < n; i++) {
		check_message(&p, &sent[i], i + 1);
		ask(&p, fill_in("LIST %zu", i + 1),
		    fill_in("+OK %zu %zu", i + 1, sent[i].len));
	}
	ids = ask_lines(&p, "UIDL", "+OK *");
	ask_same(&p, "UIDL", "+OK *", &ids);
	quit(&p);
}

CASE("mail", 60, enter_new_dir, NULL);

static void
serve_sample(const struct sample *s)
{
	write_sample(s->name);
	check_retrieval(s->sent, count_parts(s));
	check_sample(s->name, 0);
}

TEST_EACH(messages_are_sent_as_they_are_written_down, COUNT(samples))
{
	serve_sample(&samples[_i]);
}

/* Without each message alone, and without each but that. */
TEST_EACH(what_is_deleted_is_gone_and_nothing_else, 2 * COUNT(samples))
{
	const struct sample *s = &samples[_i / 2];
	size_t n = count_parts(s), i, k;
	unsigned without;
	struct peer p;

	for (i = 0; i < n; i++) {
		without = 1U << i;
		if (_i % 2)
			without = ((1U << n) - 1) & ~without;
		p = start_pipe_session(s->name);
		for (k = 0; k < n; k++)
			if (without >> k & 1)
				ask(&p, fill_in("DELE %zu", k + 1), "+OK *");
		quit(&p);
		check_sample(s->name, without);
	}
}

/* Somebody else removes a message: it is gone, the others are not. */
TEST(mail_that_another_program_removed_is_no_message)
{
	struct octets rest = mailbox_of(find_sample("three"), 2);
	struct peer p = start_pipe_session("three");

	write_file("mbox", rest.p, rest.len);
	ask(&p, "RETR 2", "-ERR no such message");
	ask(&p, "DELE 2", "-ERR *");
	ask_same(&p, "RETR 3", "+OK *", &find_sample("three")->sent[2]);
	ask(&p, "DELE 3", "+OK *");
	quit(&p);
	check_sample("three", 6);
	free_bytes(&rest);
}

/* A client must not take the beginning of one and the end of another for it. */
TEST(mail_that_moves_under_retr_ends_the_connection)
{
	struct octets rest = mailbox_of(find_sample("large"), 1);
	struct peer p = start_pipe_session("large");

	say(&p, "RETR 2\r\n");
	expect(&p, "+OK *");
	write_file("mbox", rest.p, rest.len);
	while (receive(&p, PATIENCE))
		;
	ck_assert_uint_lt(p.len, find_sample("large")->sent[1].len);
	ck_assert(memcmp(p.got + p.len - 3, ".\r\n", 3) != 0);
	ck_assert_int_eq(finish(&p), 0);
	check_sample("large", 1);
	free_bytes(&rest);
}

/* A limit may forbid what UPDATE must write: then it writes nothing. */
TEST_EACH(a_limit_for_files_costs_no_mail, 3)
{
	struct octets all = mailbox_of(find_sample("large"), 0);
	struct rlimit limit, full;
	struct peer p;

	write_sample("large");
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	full = limit;
	full.rlim_cur = (rlim_t)all.len / (rlim_t)(_i + 1);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &full), 0);
	p = start("-p -m mbox");
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	expect(&p, "+OK *");
	ask(&p, "DELE 1", "+OK *");
	ask(&p, "QUIT", "-ERR [SYS/TEMP] *");
	finish(&p);
	check_sample("large", 0);
	free_bytes(&all);
}

TEST(a_missing_mailbox_is_an_empty_maildrop)
{
	const struct octets none = { "", 0 };
	struct peer p = start_greeted("-p -m mbox");

	ask(&p, "STAT", "+OK 0 0");
	ask_same(&p, "LIST", "+OK *", &none);
	ask_same(&p, "UIDL", "+OK *", &none);
	ask(&p, "RETR 1", "-ERR *");
	quit(&p);
}

/* The second session has it from the index, and deletes what the first shows. */
TEST(what_i_names_remembers_the_mailbox)
{
	struct stat st;
	struct peer p;
	int i;

	write_sample("three");
	sleep(3);		/* it is not young any more */
	for (i = 0; i < 2; i++) {
		p = start_greeted("-p -m mbox -i @/index");
		ask(&p, "STAT", "+OK 3 *");
		ask_lines(&p, "UIDL", "+OK *");
		ask_lines(&p, "RETR 2", "+OK *");
		ck_assert_int_eq(stat("index", &st), 0);
		ck_assert_int_eq((int)st.st_mode & 0777, 0600);
		ck_assert_int_gt((int)st.st_size, 3 * 40);
		if (i == 1) {
			ask(&p, "DELE 1", "+OK *");
			ck_assert_int_eq(unlink("index"), 0);
		}
		quit(&p);
	}
	check_sample("three", 1);
}

/* ---- Timers ---- */

/* It has ended by itself, and left the mailbox as it was. */
static void
end_by_timer(struct peer *p, long long begun)
{
	expect_end(p);
	check_took(begun, 900, "-t 2");
	finish(p);
	check_sample("three", 0);
}

BACKGROUND(an_idle_login_ends_by_itself)
{
	struct peer p = start_login("three", "-t 2");

	end_by_timer(&p, now_ms());
}

/* RFC 1939, section 3: no answer is sent, nothing is removed. */
BACKGROUND(an_idle_session_ends_and_removes_nothing)
{
	struct peer p = start_session("three", "-p -m mbox -t 2");

	ask(&p, "DELE 1", "+OK *");
	end_by_timer(&p, now_ms());
}

/* Send the octets of a command that never ends until the program has gone. */
static void
send_slowly(struct peer *p, const char *text)
{
	size_t i = 0;

	while (!is_readable(p->fd, 300)) {
		if (write(p->fd, &text[i], 1) != 1)
			break;
		i = text[i + 1] == '\0' ? 0 : i + 1;
	}
}

BACKGROUND(single_octets_do_not_prolong_a_login)
{
	struct peer p = start_login("three", "-t 2");
	long long begun = now_ms();

	send_slowly(&p, "x");
	end_by_timer(&p, begun);
}

BACKGROUND(single_octets_do_not_prolong_a_session)
{
	struct peer p = start_session("three", "-p -m mbox -t 2");
	long long begun;

	ask(&p, "DELE 2", "+OK *");
	begun = now_ms();
	send_slowly(&p, "x");
	end_by_timer(&p, begun);
}

/* All of AUTHORIZATION must end in time, right commands or not. */
BACKGROUND(commands_do_not_prolong_a_login)
{
	struct peer p = start_login("three", "-t 2");
	long long begun = now_ms();

	send_slowly(&p, "\r\n");
	while (receive(&p, PATIENCE))
		if (now_ms() - begun > 2000 + SLACK)
			blame("it goes on");
	check_took(begun, 900, "-t 2");
	finish(&p);
	p = start_login("three", "-t 2");
	for (begun = now_ms(); write(p.fd, "CAPA\r\n", 6) == 6; ) {
		sleep_ms(300);
		if (now_ms() - begun > 2000 + SLACK)
			blame("it goes on");
	}
	check_took(begun, 900, "-t 2");
	finish(&p);
}

BACKGROUND(commands_prolong_a_session)
{
	struct peer p = start_session("three", "-p -m mbox -t 6");
	int i;

	for (i = 0; i < 10; i++) {
		sleep_ms(1000);
		ask(&p, "NOOP", "+OK *");
	}
	quit(&p);
}

BACKGROUND(a_client_that_stops_reading_is_given_up)
{
	struct peer p = start_session("large", "-p -m mbox -t 2");
	long long begun;

	ask(&p, "DELE 1", "+OK *");
	say(&p, "RETR 2\r\n");
	begun = now_ms();
	wait_for(p.pid, PATIENCE);
	check_took(begun, 900, "-t 2");
	close(p.fd);
	free(p.got);
	check_sample("large", 0);
}

/*
 * ... and one that reads slowly is not, as long as it reads. So little at once
 * that most of the message is still to come when the time of -t is over.
 */
BACKGROUND(a_client_that_reads_slowly_is_served)
{
	const struct octets *want = &find_sample("large")->sent[1];
	struct peer p = start_session("large", "-p -m mbox -t 6");
	struct octets got;
	long long begun = now_ms();

	say(&p, "RETR 2\r\n");
	p.most = 65536;
	while (now_ms() - begun < 9600) {
		sleep_ms(300);
		if (!receive(&p, PATIENCE))
			blame("it ended");
	}
	p.most = 0;
	expect(&p, "+OK *");
	got = take_lines(&p);
	check_same(&got, want, "RETR 2");
	quit(&p);
}

/* ---- Clients that go away ---- */

static const char *const last_words[] = { "", "QUI", "QUIT", "QUIT\r",
	"RETR 2\r\n", "RETR 1\r\nRETR 2\r\nRETR 3\r\n", "NOOP\r\n",
	"QUIT x\r\n", "DELE 2\r\n", "RSET\r\nDELE 3\r\n" };

/* RFC 1939, section 6: without QUIT nothing is removed. */
TEST_EACH(a_client_that_goes_without_quit_removes_nothing,
    2 * COUNT(last_words))
{
	struct peer p = start_pipe_session("large");

	ask(&p, "DELE 1", "+OK *");
	say(&p, "%s", last_words[_i / 2]);
	if (_i % 2) {		/* it can still hear what is said */
		shutdown(p.fd, SHUT_WR);
		while (receive(&p, PATIENCE))
			;
	} else if (last_words[_i / 2][0] != '\0')
		sleep_ms(5);
	finish(&p);
	check_sample("large", 0);
}

/* In the middle of a message, with more commands behind it. */
TEST_EACH(a_client_that_goes_within_retr_removes_nothing, 2)
{
	struct peer p = start_pipe_session("large");

	ask(&p, "DELE 1", "+OK *");
	say(&p, "%s", _i ? "RETR 2\r\nQUIT\r\n" : "RETR 2\r\nNOOP\r\n");
	expect(&p, "+OK *");
	receive(&p, PATIENCE);
	finish(&p);
	check_sample("large", 0);
}

TEST(a_client_that_goes_after_quit_does_not_stop_the_update)
{
	struct peer p = start_pipe_session("large");

	ask(&p, "DELE 2", "+OK *");
	say(&p, "QUIT\r\n");
	finish(&p);
	check_sample("large", 2);
}

static const int deadly[] = { SIGTERM, SIGHUP, SIGINT, SIGKILL, SIGQUIT };

TEST_EACH(a_signal_removes_nothing, COUNT(deadly))
{
	struct peer p = start_pipe_session("three");

	ask(&p, "DELE 2", "+OK *");
	kill(p.pid, deadly[_i]);
	see_end(&p);
	check_sample("three", 0);
}

/* ---- Mailboxes that are none ---- */

enum bad { TEXT_FILE, DIRECTORY, FIFO, SYMLINK, HARD_LINK, FOREIGN, UNREADABLE,
	NO_SUCH_DIRECTORY, BAD_COUNT };

/* Make one; its name. NULL: it cannot be made here. */
static const char *
make_bad(enum bad kind)
{
	static const char text[] = "Dear reader,\n\n" FROM1 "\n\n";

	if (kind != DIRECTORY && kind != FIFO && kind != NO_SUCH_DIRECTORY)
		write_sample("three");
	switch (kind) {
	case TEXT_FILE:
		write_text("mbox", text);
		break;
	case DIRECTORY:
		must(mkdir("mbox", 0700) == 0, "mkdir");
		give_to_user("mbox");
		break;
	case FIFO:
		must(mkfifo("mbox", 0600) == 0, "mkfifo");
		give_to_user("mbox");
		break;
	case SYMLINK:
		must(symlink("mbox", "users.link") == 0, "symlink");
		return "users.link";
	case HARD_LINK:
		must(link("mbox", "link") == 0, "link");
		break;
	case FOREIGN:
		if (getuid() != 0)
			return NULL;
		must(chown("mbox", user + 1, (gid_t)user + 1) == 0 &&
		    chmod("mbox", 0666) == 0, "chown");
		break;
	case UNREADABLE:
		must(chmod("mbox", 0) == 0, "chmod");
		break;
	default:
		write_text("nothing", "");
		return "nothing/mbox/mbox";
	}
	return "mbox";
}

/* Whatever is said behind a refused mailbox, it is answered so; but QUIT. */
static void
check_leaving(struct peer *p, const char *refusal)
{
	static const char *const lines[] = { "CAPA", "USER alice",
	    "PASS secret", "AUTH PLAIN", "AGFsaWNlAHNlY3JldA==", "STAT",
	    "DELE 1", "NOOP", "QUIT now", "NONSENSE" };
	const char *line = fill_in("%s", refusal);

	ask_each(p, lines, COUNT(lines), line);
	send_bytes(p, "CA\0PA\r\n", 7);
	expect(p, line);
	quit(p);
}

/* Not to be taken for a passing trouble by fetchmail. */
static void
check_refusal(struct peer *p)
{
	const char *line = take_line(p);

	if (strncmp(line, "-ERR [SYS/PERM] ", 16) != 0 ||
	    strstr(line, "wait") != NULL || strstr(line, "lock") != NULL)
		blame("got \"%s\"", line);
	check_leaving(p, line);
}

TEST_EACH(what_is_no_mailbox_is_refused_and_left_alone, 2 * BAD_COUNT)
{
	const char *name = make_bad((enum bad)_i / 2);
	struct stat before, after;
	struct peer p;

	if (name == NULL) {
		skip("a mailbox of another user's", "needs root");
		return;
	}
	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	lstat(name, &before);
	write_text("users", ALICE);
	p = start(fill_in(_i % 2 ? "-m %s -p" : "-m @/%s -f users", name));
	if (_i % 2 == 0) {
		expect(&p, "+OK *");
		ask(&p, "USER alice", "+OK *");
		say(&p, "PASS secret\r\n");
	}
	check_refusal(&p);
	lstat(name, &after);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	ck_assert_int_eq(before.st_size, after.st_size);
	ck_assert_int_eq(before.st_mtime, after.st_mtime);
	ck_assert_uint_eq(before.st_mode, after.st_mode);
}

/* ---- Locks that others hold ---- */

static void
write_lock(void)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	write_text("mbox.lock", fill_in("%ld:%s", (long)getpid(), host));
}

static void
check_in_use(struct peer *p, long long begun)
{
	const char *line = next_line(p, 30000 + PATIENCE);

	if (strncmp(line, "-ERR [IN-USE] ", 14) != 0 ||
	    strstr(line, "wait") == NULL)
		blame("got \"%s\"", line);
	check_took(begun, 28900, "the lock");
}

BACKGROUND(a_mailbox_that_stays_locked_is_in_use)
{
	long long begun = now_ms();
	struct peer p;

	write_sample("three");
	write_lock();
	p = start("-p -m mbox");
	check_in_use(&p, begun);
	check_leaving(&p, "-ERR [IN-USE] the mailbox is locked, wait and try "
	    "again");
	must(unlink("mbox.lock") == 0, "the lock was removed");
	check_sample("three", 0);
}

BACKGROUND(quit_on_a_mailbox_that_stays_locked_removes_nothing)
{
	struct peer p = start_pipe_session("three");
	long long begun;

	ask(&p, "DELE 1", "+OK *");
	write_lock();
	begun = now_ms();
	say(&p, "QUIT\r\n");
	check_in_use(&p, begun);
	see_end(&p);
	must(unlink("mbox.lock") == 0, "the lock was removed");
	check_sample("three", 0);
}

/* A login to what is no mailbox, up to its refusal. */
static struct peer
log_in_to_text(void)
{
	struct peer p = start_login("three", "-t 60");

	write_text("mbox", "no mailbox\n");
	ask(&p, "NONSENSE", "-ERR *");
	ask(&p, "AUTH PLAIN AGFsaWNlAHNlY3JldA==", "-ERR [SYS/PERM] *");
	return p;
}

/* 15 seconds in all, whatever is said meanwhile. */
BACKGROUND(a_client_without_a_mailbox_must_leave_in_time)
{
	struct peer p = log_in_to_text();
	long long begun = now_ms();
	int i;

	for (i = 0; i < 7; i++) {
		ask(&p, "USER alice", "-ERR [SYS/PERM] *");
		sleep_ms(1500);
	}
	expect_end(&p);
	check_took(begun, 13900, "leaving");
	finish(&p);
}

BACKGROUND(a_client_without_a_mailbox_has_twenty_commands)
{
	struct peer p;
	int i;

	p = log_in_to_text();
	for (i = 0; i < 20; i++)
		ask(&p, "STAT", "-ERR [SYS/PERM] *");
	see_end(&p);
}

/* +OK to QUIT means that it is done, not that it will be. */
BACKGROUND(quit_is_answered_after_the_update)
{
	struct octets all = mailbox_of(find_sample("three"), 0);
	struct peer p = start_pipe_session("three");

	ask(&p, "DELE 2", "+OK *");
	write_lock();
	say(&p, "QUIT\r\n");
	if (is_readable(p.fd, 1500))
		blame("QUIT was answered while the mailbox was locked");
	check_file(&all, "locked");
	free_bytes(&all);
	must(unlink("mbox.lock") == 0, "unlink");
	kill(p.pid, SIGSTOP);	/* so that an early answer would show */
	kill(p.pid, SIGCONT);
	expect(&p, "+OK *");
	check_sample("three", 2);
	see_end(&p);
}

/* ---- Failed logins ---- */

#define AGAIN "-ERR [AUTH] login failed"

/*
 * Three failures, and what comes until the end, each with its time checked. The
 * same octets whoever it is, or a stranger could find out names; and nothing
 * that fetchmail takes for trouble that passes.
 */
static void
fail_three_times(const char *name, const char *secret)
{
	struct peer p = start_login("three", "");
	long long begun = now_ms(), one;
	int i;

	for (i = 0; i < 3; i++) {
		ask(&p, fill_in("USER %s", name), "+OK now the password");
		one = now_ms();
		ask(&p, fill_in("PASS %s%d", secret, i), AGAIN);
		if (now_ms() - one < 2900)
			blame("a failure was answered too early");
	}
	check_took(begun, 8900, "three failures");
	see_end(&p);
}

BACKGROUND(three_failures_take_nine_seconds_and_end_the_connection)
{
	fail_three_times("alice", "wrong");
}

BACKGROUND(a_wrong_password_is_answered_as_an_unknown_name_is)
{
	fail_three_times("dora", "wrong");
}

BACKGROUND(an_unknown_name_is_answered_as_a_wrong_password_is)
{
	fail_three_times("nobody", "wrong");
}

BACKGROUND(a_hostile_name_is_answered_as_a_wrong_password_is)
{
	fail_three_times("../alice", "secret");
}

/* As Thunderbird asks: one mistake of a person's is one attempt. */
BACKGROUND(what_was_refused_last_is_refused_again_at_no_cost)
{
	struct peer p = start_login("three", "-a");
	long long begun = now_ms();
	int i;

	ask(&p, "AUTH PLAIN AGFsaWNlAHdyb25n", AGAIN);
	check_took(begun, 2900, "the first");
	begun = now_ms();
	for (i = 0; i < 4; i++) {
		ask(&p, "USER alice", "+OK *");
		ask(&p, "PASS wrong", AGAIN);
		ask(&p, "AUTH PLAIN YWxpY2UAYWxpY2UAd3Jvbmc=", AGAIN);
	}
	if (now_ms() - begun > 2500)
		blame("the same again took its time");
	log_in(&p);
	quit(&p);
}

/* Nor is a name with the end of a secret, or another way, the same again. */
BACKGROUND(what_is_not_the_very_same_is_another_attempt)
{
	static const char *const ways[][2] = {
		{ "USER alice", "PASS wrong" },
		{ "APOP alice wrong", NULL },
		{ "AUTH PLAIN Ym9iAGFsaWNlAHdyb25n", NULL },
		{ "USER alicew", "PASS rong" },
		{ "USER alice", "PASS wrong" },
		{ "USER Alice", "PASS wrong" }
	};
	struct peer p;
	long long begun;
	int i;

	for (i = 0; i < (int)COUNT(ways); i++) {
		if (i % 3 == 0)
			p = start_login("three", "-a");
		begun = now_ms();
		if (ways[i][1] != NULL)
			ask(&p, ways[i][0], "+OK *");
		ask(&p, ways[i][ways[i][1] != NULL], AGAIN);
		check_took(begun, 2900, "another attempt");
		if (i % 3 == 2)
			see_end(&p);
	}
}

/* ---- TCP, and -s ---- */

static const struct octets capa_login = B("TOP\r\nUIDL\r\nUSER\r\n"
    "SASL PLAIN\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
    "EXPIRE NEVER\r\nIMPLEMENTATION pop3d\r\n");
static const struct octets capa_refused = B("TOP\r\nUIDL\r\n"
    "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
    "IMPLEMENTATION pop3d\r\n");

static const struct {
	const char *at, *ip;	/* loopback, and who comes from there */
} peers[] = {
	{ "127.0.0.1", "127.0.0.1" },
	{ "127.3.2.1", "127.3.2.1" },
	{ "::1", "::1" },
	{ "::ffff:127.0.0.1", "127.0.0.1" }
};

/* A session over a connection, behind its greeting. */
static struct peer
start_over(const int pair[2], const char *args)
{
	struct peer p;

	write_login();
	p = start_in(args, pair, -1);
	expect(&p, "+OK *");
	return p;
}

CASE("start", 60, enter_new_dir, NULL);

TEST_EACH(s_lets_loopback_in, COUNT(peers))
{
	struct peer p;
	int pair[2];

	if (connect_pair(pair, peers[_i].at, NULL) == -1) {
		skip("-s over loopback: no such address", peers[_i].at);
		return;
	}
	p = start_over(pair, "-s " FROM_FILE);
	ask_same(&p, "CAPA", "+OK *", &capa_login);
	log_in(&p);
	ask(&p, "STAT", "+OK 3 203");
	quit(&p);
}

TEST(s_lets_a_unix_socket_in)
{
	struct peer p = start_login("three", "-s");

	ask_same(&p, "CAPA", "+OK *", &capa_login);
	log_in(&p);
	quit(&p);
}

/* An IPv4 address of this host's that is no loopback. */
static int
find_own_address(char text[INET_ADDRSTRLEN])
{
	union address to;
	socklen_t len = fill_address(&to, "198.51.100.1");
	int s = socket(AF_INET, SOCK_DGRAM, 0), found;

	/* nothing is sent: connect only asks for a route, and the source */
	to.in.sin_port = htons(9);
	found = s != -1 && connect(s, &to.sa, len) == 0 &&
	    getsockname(s, &to.sa, &len) == 0 &&
	    inet_ntop(AF_INET, &to.in.sin_addr, text, INET_ADDRSTRLEN) !=
	    NULL &&
	    strncmp(text, "127.", 4) != 0;
	if (s != -1)
		close(s);
	return found;
}

/* A connection from there to loopback: 0, or it says what is skipped. */
static int
connect_from_own(int pair[2], const char *at, const char *what,
    char own[INET_ADDRSTRLEN])
{
	if (find_own_address(own) && connect_pair(pair, at, own) == 0)
		return 0;
	skip(what, "no address but loopback, or no way from it to loopback");
	return -1;
}

CASE("statics", 30, NULL, tidy_up);

TEST_EACH(the_peer_of_a_connection_is_the_client, COUNT(peers))
{
	int pair[2], own = strchr(peers[_i].at, ':') == NULL;

	if (connect_pair(pair, peers[_i].at, own ? peers[_i].at : NULL) ==
	    -1) {
		skip("the peer's address: no such one", peers[_i].at);
		return;
	}
	setenv("TCPREMOTEIP", "192.0.2.7", 1);
	errno = 0;
	ck_assert_int_eq(find_client_on(pair[1]), 1);
	ck_assert_str_eq(unit.ip, peers[_i].ip);
	close(pair[0]);
	close(pair[1]);
}

/* Whom -s lets in must not depend on what an earlier call left in errno. */
TEST(an_old_errno_does_not_make_a_client_local)
{
	char own[INET_ADDRSTRLEN];
	int pair[2];

	if (connect_from_own(pair, "127.0.0.1", "a client from elsewhere",
	    own) == -1)
		return;
	errno = ENOTSOCK;
	ck_assert_int_eq(find_client_on(pair[1]), 0);
	ck_assert_str_eq(unit.ip, own);
	close(pair[0]);
	close(pair[1]);
}

/*
 * The final dot of a message goes into room that reply leaves for it. With that
 * room in use and the next answer at hand, what is there must go out first.
 */
TEST(an_answer_behind_a_full_buffer_flushes_it)
{
	size_t over, most = sizeof(unit.out);
	int null = open("/dev/null", O_WRONLY), out;

	unit.idle = 60;
	for (over = 1; over <= REPLY_MAX + END_OCTETS; over++) {
		unit.out_len = most - END_OCTETS - REPLY_MAX + over;
		out = put_in_place(1, null);
		reply(&unit, "+OK");
		put_back(1, out);
		ck_assert_uint_eq(unit.out_len, 5);
	}
	close(null);
}

/* 512 octets, CRLF and all: RFC 1939, section 3. */
TEST(a_status_line_is_cut_off_where_it_may_not_go_on)
{
	size_t len;

	for (len = 508; len < 514; len++) {
		unit.out_len = 0;
		reply(&unit, "%*s", (int)len, "x");
		ck_assert_uint_eq(unit.out_len, len < 510 ? len + 2 : 512);
		ck_assert_int_eq(unit.out[509] == 'x', len == 510);
		ck_assert_mem_eq(unit.out + unit.out_len - 2, "\r\n", 2);
	}
}

/* A session with a mailbox of so many messages, one octet each. */
static void
begin_unit(size_t n)
{
	static struct message msg[4];
	size_t i;

	memset(&unit, 0, sizeof(unit));
	memset(msg, 0, sizeof(msg));
	for (i = 0; i < n; i++) {
		msg[i].size = msg[i].length = 1;
		msg[i].hash = i;
	}
	unit.mbox.fd = unit.mbox.keeper = -1;
	unit.mbox.msg = msg;
	unit.mbox.n = n;
	unit.mbox.why = "";
	unit.idle = 60;
	unit.state = TRANSACTION;
	snprintf(unit.ip, sizeof(unit.ip), "192.0.2.7");
	snprintf(unit.auth.account.name, sizeof(unit.auth.account.name),
	    "alice");
	logged[0] = '\0';
	told = MBOX_OK;
	errno = 0;
}

/* It has been read from the client. */
static void
type(const char *text)
{
	unit.in_len = strlen(text);
	memcpy(unit.in, text, unit.in_len + 1);
}

static void
choose_command(const char *name)
{
	unit.command = commands;
	while (strcmp(unit.command->name, name) != 0)
		unit.command++;
}

/* A %s in log stands for what this library calls the error. */
static void
check_unit(const char *out, const char *log, int error)
{
	alarm(0);
	unit.out[unit.out_len] = '\0';
	ck_assert_str_eq(unit.out, out);
	ck_assert_str_eq(logged, fill_in(log, strerror(error)));
}

#define OF_ALICE ", user=alice, ip=[192.0.2.7]\n"

#define IN_USE "-ERR [IN-USE] the mailbox is locked, wait and try again\r\n"
#define UNREADABLE_NOW "-ERR [SYS/TEMP] the mailbox cannot be read now, wait " \
	"and try again\r\n"
#define NOT_REMOVED "-ERR [SYS/TEMP] some deleted messages not removed, wait " \
	"and try again\r\n"

static const struct {
	enum mbox_result r;
	int no_copy, error;
	unsigned removed;
	const char *out, *log;	/* the log, but for LOGOUT */
	pid_t holder;
} ends[] = {
	{ MBOX_OK, 0, 0, 2, "+OK bye\r\n", "", 0 },
	{ MBOX_OK, 1, 0, 2, "+OK bye\r\n",
	    "mailbox was rewritten without a copy, disk full" OF_ALICE, 0 },
	{ MBOX_TEMP, 0, EIO, 0, NOT_REMOVED, "because: %s" OF_ALICE, 0 },
	{ MBOX_GONE, 0, EIO, 1, NOT_REMOVED, "because" OF_ALICE, 0 },
	{ MBOX_BUSY, 0, EIO, 0, IN_USE, "because" OF_ALICE, 0 },
	{ MBOX_BUSY, 0, EIO, 0, IN_USE, "because of process 4711" OF_ALICE,
	    4711 }
};

TEST_EACH(quit_tells_client_and_log_what_became_of_the_mail, COUNT(ends))
{
	begin_unit(3);
	unit.mbox.msg[0].deleted = unit.mbox.msg[2].deleted = 1;
	unit.mbox.no_copy = ends[_i].no_copy;
	unit.mbox.removed = ends[_i].removed;
	unit.mbox.dot.holder = ends[_i].holder;
	unit.top = 1;
	unit.retr = 2;
	stopped = 100000;
	unit.start = stopped - 7999;
	told = ends[_i].r;
	errno = ends[_i].error;
	cmd_quit(&unit);
	ck_assert_int_eq(unit.done, 1);
	check_unit(ends[_i].out, fill_in("%sLOGOUT, user=alice, "
	    "ip=[192.0.2.7], top=1, retr=2, del=%u, left=1, time=7\n",
	    ends[_i].log, ends[_i].removed), ends[_i].error);
}

static const struct {
	enum mbox_result entered, loaded;
	int bare, more;
	const char *out, *log;
} begins[] = {
	{ MBOX_OK, MBOX_OK, 0, 0, "+OK pop3d ready, 2 messages, 2 octets\r\n"
	    "+OK bye\r\n", "LOGIN" OF_ALICE },
	{ MBOX_OK, MBOX_OK, 1, 1, "+OK pop3d ready, 2 messages, 2 octets\r\n"
	    "+OK bye\r\n", "LOGIN" OF_ALICE "no dotlock can be made here, "
	    "kernel locks only" OF_ALICE "mailbox has more messages than are "
	    "shown" OF_ALICE },
	{ MBOX_OK, MBOX_TEMP, 0, 0, UNREADABLE_NOW "+OK bye\r\n",
	    "because" OF_ALICE },
	{ MBOX_OK, MBOX_BUSY, 0, 0, IN_USE "+OK bye\r\n", "because" OF_ALICE },
	{ MBOX_PERM, MBOX_OK, 0, 0, "-ERR [SYS/PERM] the mailbox cannot be "
	    "served\r\n+OK bye\r\n", "because" OF_ALICE }
};

TEST_EACH(a_login_tells_client_and_log_what_the_mailbox_is, COUNT(begins))
{
	size_t len = strlen(begins[_i].log), served;
	char sent[200];
	int pipes[2], out;

	must(pipe(pipes) == 0, "pipe");
	begin_unit(2);
	type("QUIT\r\n");
	unit.mbox.no_dotlock = begins[_i].bare;
	unit.mbox.more = begins[_i].more;
	unit.mbox.why = begins[_i].entered == MBOX_OK ? "" : "because";
	told = begins[_i].loaded;
	unit.start = clock_ms();
	out = put_in_place(1, pipes[1]);
	serve(&unit, begins[_i].entered);
	put_back(1, out);
	served = (size_t)read(pipes[0], sent, sizeof(sent) - 1);
	ck_assert_uint_lt(served, sizeof(sent));
	sent[served] = '\0';
	ck_assert_str_eq(sent, begins[_i].out);
	ck_assert_uint_ge(strlen(logged), len);
	logged[len] = '\0';	/* LOGOUT is not looked at */
	ck_assert_str_eq(logged, begins[_i].log);
	close(pipes[0]);
	close(pipes[1]);
}

/* For all of AUTHORIZATION: 120, or the idle time if that is less. */
static const struct {
	const char *idle;
	unsigned seconds;
} limits[] = { { "1000", 120 }, { "121", 120 }, { "119", 119 }, { "2", 2 } };

TEST_EACH(a_login_has_two_minutes_at_most, COUNT(limits))
{
	char name[] = "pop3d", option[] = "-t", idle[10];
	char *argv[] = { name, option, idle, NULL };
	int null = open("/dev/null", O_WRONLY), out;

	begin_unit(0);
	unit.state = AUTHORIZATION;
	snprintf(idle, sizeof(idle), "%s", limits[_i].idle);
	optind = 1;
	stopped = 100000;
	read_options(&unit, 3, argv);
	ck_assert_uint_eq(unit.auth.seconds, limits[_i].seconds);
	type("QUIT\r\n");
	out = put_in_place(1, null);
	dialogue(&unit);
	put_back(1, out);
	ck_assert_int_eq(unit.deadline, stopped + limits[_i].seconds * 1000LL);
	close(null);
}

static const struct {
	size_t lines;
	const char *sent;
} parts[] = {
	{ ALL_LINES, "Subject: x\r\n\r\n..one\r\n\r\ntwo\r\n" },
	{ 3, "Subject: x\r\n\r\n..one\r\n\r\ntwo\r\n" },
	{ 2, "Subject: x\r\n\r\n..one\r\n\r\n" },
	{ 1, "Subject: x\r\n\r\n..one\r\n" },
	{ 0, "Subject: x\r\n\r\n" }
};

/* However few octets are read at a time; what is counted is not stuffed. */
TEST_EACH(mail_is_sent_and_counted_up_to_the_line_that_is_wanted, COUNT(parts))
{
	int most = parts[_i].lines == ALL_LINES;
	size_t octets = strlen(parts[_i].sent) - (parts[_i].lines > 0);

	mail = "Subject: x\n\n.one\n\ntwo\n";
	for (mail_step = 1; mail_step <= strlen(mail); mail_step++) {
		begin_unit(1);
		unit.mbox.msg[0].size = 27;
		unit.lines = parts[_i].lines;
		choose_command(most ? "RETR" : "TOP");
		cmd_retr(&unit);
		check_unit(fill_in("+OK 27 octets\r\n%s.\r\n",
		    parts[_i].sent), "", 0);
		ck_assert_uint_eq((size_t)unit.retr, most ? octets : 0);
		ck_assert_uint_eq((size_t)unit.top, most ? 0 : octets);
	}
}

/* An octet may become two. The last one that has no room flushes the others. */
TEST_EACH(mail_has_room_for_what_is_put_in, 2)
{
	static const char *const kinds[] = { "\n", ".\n" };
	enum { HALF = 10000 };
	size_t most = sizeof(unit.out) - END_OCTETS, over;
	unsigned char twice[HALF];
	int null = open("/dev/null", O_WRONLY), out, r;

	for (over = 0; over < HALF; over++)
		twice[over] = (unsigned char)
		    kinds[_i][over % strlen(kinds[_i])];
	for (over = 0; over <= 1; over++) {
		begin_unit(1);
		unit.left = 3 * HALF;
		unit.at_line_start = unit.in_body = 1;
		unit.sent = &unit.retr;
		unit.lines = ALL_LINES;
		unit.out_len = most - 2 * HALF + over;
		out = put_in_place(1, null);
		r = put_mail(&unit, twice, HALF);
		put_back(1, out);
		ck_assert_int_eq(r, 1);
		ck_assert(unit.lines == ALL_LINES);
		ck_assert_uint_eq(unit.out_len, over == 0 ? most : 2 * HALF);
	}
	close(null);
}

static void
show_log(void)
{
	if (write(2, logged, strlen(logged)) == -1)
		_exit(9);
}

/*
 * What ends the process: its exit status; and what it says on 1 and 2, and then
 * to the log.
 */
static int
run_in_child(void (*ends)(void), char got[1000])
{
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	must(pipe(pipes) == 0, "pipe");
	fflush(stdout);
	must((pid = fork()) != -1, "fork");
	if (pid == 0) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		if (atexit(show_log) == 0)
			ends();
		_exit(9);
	}
	close(pipes[1]);
	status = wait_for(pid, PATIENCE);
	n = read(pipes[0], got, 999);
	got[n > 0 ? n : 0] = '\0';
	close(pipes[0]);
	return status;
}

static void
retrieve_unit(void)
{
	unit.lines = ALL_LINES;
	choose_command("RETR");
	cmd_retr(&unit);
}

/* As of a file that changed without a trace: no client may take it for mail. */
TEST(mail_that_does_not_add_up_to_its_size_breaks_off)
{
	char got[1000];

	begin_unit(1);
	unit.mbox.msg[0].size = 12;
	mail = "\na line\nanother\n";
	mail_step = 9;
	ck_assert_int_eq(run_in_child(retrieve_unit, got), 0);
	ck_assert_ptr_eq(strstr(got, "\r\n.\r\n"), NULL);
	ck_assert_int_eq(strncmp(got, "+OK 1", 5), 0);
	ck_assert_ptr_ne(strstr(got, "message changed, or cannot be read, "
	    "user=alice, ip=[192.0.2.7], top=0, retr="), NULL);
}

static void
close_descriptors(void)
{
	if (fcntl(0, F_DUPFD, 255) != 255 || fcntl(0, F_DUPFD, 900) != 900)
		_exit(9);
	close(1);
	clean_up();
	_exit(fcntl(255, F_GETFD) != -1 || fcntl(900, F_GETFD) != -1 ||
	    fcntl(3, F_GETFD) != -1 || fcntl(1, F_GETFD) == -1 ||
	    fcntl(2, F_GETFD) == -1);
}

/* Where no call closes all at once, too. */
TEST_EACH(each_descriptor_is_closed_where_they_cannot_be_all_at_once, 2)
{
	char got[1000];

	no_syscall = _i;
	ck_assert_int_eq(run_in_child(close_descriptors, got), 0);
}

/* That was moved to the front, and wiped there alone. */
TEST(no_half_of_a_password_stays_in_the_buffer)
{
	size_t i;
	int pipes[2], in;

	must(pipe(pipes) == 0, "pipe");
	begin_unit(0);
	unit.state = AUTHORIZATION;
	unit.deadline = clock_ms() + 60000;
	type("USER alice\r\nPASS 0123456789se");
	get_line(&unit, COMMAND_MAX);
	ck_assert_int_eq(write(pipes[1], "cret\r\n", 6), 6);
	unit.in_pos = 12;
	in = put_in_place(0, pipes[0]);
	ck_assert_str_eq(get_line(&unit, COMMAND_MAX), "PASS 0123456789secret");
	put_back(0, in);
	auth_wipe(unit.in, unit.in_pos);
	for (i = 0; i < sizeof(unit.in); i++)
		ck_assert_msg(unit.in[i] == '\0', "octet %lu is left",
		    (unsigned long)i);
	close(pipes[0]);
	close(pipes[1]);
}

static void
read_late(void)
{
	unit.deadline = stopped;
	client_io(&unit, 0, unit.in, 1);
}

static void
read_at_the_end(void)
{
	unit.deadline = stopped + 60000;
	client_io(&unit, 0, unit.in, 1);
}

/* An answer is a part of the time for a login; and of the one without mail. */
static void
answer(enum state state, long long left)
{
	unit.state = state;
	unit.deadline = stopped - ANSWER_SECONDS * 1000 + left;
	client_io(&unit, 1, unit.out, 1);
}

static void answer_late(void) { answer(AUTHORIZATION, 0); }
static void answer_at_the_end(void) { answer(AUTHORIZATION, 1); }
static void refuse_late(void) { answer(NO_MAILBOX, 0); }

/* The client goes when some of a message was sent. */
static void
send_in_vain(void)
{
	static char text[9 * PIECE_MAX];

	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "\n", 1);
	mail = text;
	mail_step = PIECE_MAX;
	unit.mbox.msg[0].size = sizeof(text);
	retrieve_unit();
}

static const struct {
	void (*run)(void);
	const char *how;
	int retr;
} losses[] = {
	{ read_late, "TIMEOUT", 22 },
	{ answer_late, "TIMEOUT", 22 },
	{ answer_at_the_end, "DISCONNECTED", 22 },
	{ refuse_late, "TIMEOUT", 22 },
	{ read_at_the_end, "DISCONNECTED", 22 },
	/* two pieces, which fit the buffer, and a line end that had no CR */
	{ send_in_vain, "DISCONNECTED", 32791 }
};

static int loss;		/* the one that is tried */

/* Without a client: nothing comes, and nobody reads. */
static void
lose_client(void)
{
	int in[2], out[2];

	if (pipe(in) == 0 && pipe(out) == 0 && dup2(in[0], 0) == 0 &&
	    dup2(out[1], 1) == 1 && close(in[1]) == 0 && close(out[0]) == 0)
		losses[loss].run();
}

TEST_EACH(a_client_that_is_lost_is_logged_with_what_was_sent, COUNT(losses))
{
	char got[1000];

	begin_unit(1);
	unit.top = 11;
	unit.retr = 22;
	stopped = 100000;
	unit.start = stopped - 7999;
	loss = _i;
	ck_assert_int_eq(run_in_child(lose_client, got), 0);
	ck_assert_str_eq(got, fill_in("%s, user=alice, ip=[192.0.2.7], top=11, "
	    "retr=%d, time=7\n", losses[_i].how, losses[_i].retr));
}

/* Not the name, which is not looked at; once, as a client may ask on. */
TEST(a_login_that_s_refuses_is_logged_once)
{
	int i;

	begin_unit(0);
	unit.auth.account.name[0] = '\0';
	unit.state = AUTHORIZATION;
	unit.need_tls = 1;
	type("CAPA\r\nUSER alice\r\nPASS secret\r\nAUTH PLAIN\r\n");
	run_command(&unit);
	ck_assert_str_eq(logged, "");
	for (i = 0; i < 3; i++) {
		run_command(&unit);
		ck_assert_str_eq(logged, "plaintext login refused, user=-, "
		    "ip=[192.0.2.7]\n");
	}
	ck_assert_uint_eq(unit.wrong, 3);
}

/* What is there afterwards: -e, -f, -i, -m, -u, -x, -a, state, -s, -t. */
static const struct {
	const char *option, *set;
} options[] = {
	{ "-a", "e f i m u x offered 1 0 60" },
	{ "-eNEW", "NEW f i m u x - 1 0 60" },
	{ "-fNEW", "e NEW i m u x - 1 0 60" },
	{ "-iNEW", "e f NEW m u x - 1 0 60" },
	{ "-mNEW", "e f i NEW u x - 1 0 60" },
	{ "-p", "e f i m u x - 4 0 60" },
	{ "-s", "e f i m u x - 1 1 60" },
	{ "-t7", "e f i m u x - 1 0 7" },
	{ "-uNEW", "e f i m NEW x - 1 0 60" },
	{ "-xNEW", "e f i m u NEW - 1 0 60" }
};

TEST_EACH(an_option_sets_its_own_value_and_no_other, COUNT(options))
{
	char name[] = "pop3d", option[10];
	char *argv[] = { name, option, NULL };
	struct auth *a = &unit.auth;

	begin_unit(0);
	unit.state = AUTHORIZATION;
	*a = (struct auth){ .empty = "e", .file = "f", .index = "i",
	    .mailbox = "m", .user = "u", .saslauthd = "x" };
	snprintf(option, sizeof(option), "%s", options[_i].option);
	optind = 1;
	read_options(&unit, 2, argv);
	ck_assert_ptr_nonnull(a->empty);
	ck_assert_str_eq(fill_in("%s %s %s %s %s %s %s %d %d %u", a->empty,
	    a->file, a->index, a->mailbox, a->user, a->saslauthd,
	    a->challenge == unit.challenge ? "offered" : "-",
	    (int)unit.state, unit.need_tls, unit.idle), options[_i].set);
}

static void
read_wrong_option(void)
{
	char name[] = "pop3d", option[] = "-x";
	char *argv[] = { name, option, NULL };

	read_options(&unit, 2, argv);
}

/* A client is told nothing: it is no terminal. */
TEST_EACH(a_wrong_option_is_told_to_the_log_and_a_terminal, 2)
{
	const char *usage_text = "usage: pop3d [-apsV] [-e dir] [-f file] "
	    "[-i index] [-m mailbox] [-t seconds] [-u user] [-x socket]\n";
	char got[1000];

	begin_unit(0);
	logged_as = LOG_ERR;
	is_terminal = _i;
	ck_assert_int_eq(run_in_child(read_wrong_option, got), 2);
	ck_assert_str_eq(got, fill_in("%s%s", usage_text, _i == 0 ? "" :
	    usage_text));
}

/* The one thing UIDL needs memory for. Nothing of a list is sent then. */
TEST_EACH(uidl_without_memory_is_refused, 2)
{
	begin_unit((size_t)_i + 1);
	out_of_memory = 1;
	unit.message = unit.mbox.n;
	choose_command("UIDL");
	errno = ENOMEM;
	cmd_list(&unit);
	check_unit(UNREADABLE_NOW, "because: %s" OF_ALICE, ENOMEM);
}

CASE("start", 60, enter_new_dir, NULL);

/* Before a secret is sent, whatever the name; and not for the environment. */
TEST_EACH(s_refuses_logins_from_elsewhere, 2)
{
	static const char *const lines[] = { "USER alice", "USER nobody",
	    "PASS secret", "AUTH", "AUTH PLAIN", "AUTH LOGIN",
	    "AUTH PLAIN AGFsaWNlAHNlY3JldA==",
	    "APOP alice 00000000000000000000000000000000" };
	char own[INET_ADDRSTRLEN];
	struct peer p;
	int pair[2];

	if (connect_from_own(pair, _i ? "::ffff:127.0.0.1" : "127.0.0.1",
	    "-s from elsewhere", own) == -1)
		return;
	setenv("TCPREMOTEIP", "127.0.0.1", 1);
	p = start_over(pair, "-s -a " FROM_FILE);
	clear_environment();
	ask_same(&p, "CAPA", "+OK *", &capa_refused);
	ask_each(&p, lines, COUNT(lines),
	    "-ERR plaintext login is refused here, use TLS");
	quit(&p);
}

TEST(without_s_logins_come_from_anywhere)
{
	char own[INET_ADDRSTRLEN];
	struct peer p;
	int pair[2];

	if (connect_from_own(pair, "127.0.0.1", "a login from elsewhere",
	    own) == -1)
		return;
	p = start_over(pair, FROM_FILE);
	ask_same(&p, "CAPA", "+OK *", &capa_login);
	ask(&p, "AUTH PLAIN AGFsaWNlAHNlY3JldA==", "+OK *");
	quit(&p);
}

/* Nagle and a delayed ACK would make that 40 ms a message. */
TEST(messages_are_not_held_back_by_tcp)
{
	enum { ROUNDS = 50 };
	long long begun, took;
	struct peer p;
	int pair[2], i, theirs, set = 0;
	socklen_t len = sizeof(set);

	must(connect_pair(pair, "127.0.0.1", NULL) == 0, "TCP");
	must((theirs = dup(pair[1])) != -1, "dup");
	keep_to_ourselves(theirs);
	p = start_over(pair, "-p -m mbox");
	must(getsockopt(theirs, IPPROTO_TCP, TCP_NODELAY, &set, &len) == 0,
	    "getsockopt");
	ck_assert_msg(set != 0, "TCP_NODELAY is not set");
	close(theirs);
	begun = now_ms();
	for (i = 0; i < ROUNDS; i++)
		ask_lines(&p, "RETR 1", "+OK *");
	took = now_ms() - begun;
	ck_assert_msg(took < ROUNDS * 30, "%d messages took %lld ms", ROUNDS,
	    took);
	quit(&p);
}

/* ---- Start ---- */

/* Run it to its end with pipes at 0 and 1, and a socket at 2. */
static int
run_once(const char *args, int as_root, char said[2000])
{
	int in[2], out[2], err[2], fds[3], status;
	ssize_t n, len = 0;
	char c;

	must(pipe(in) == 0 && pipe(out) == 0 && socketpair(AF_UNIX,
	    SOCK_STREAM, 0, err) == 0, "pipe");
	keep_to_ourselves(in[1]);
	keep_to_ourselves(out[0]);
	keep_to_ourselves(err[0]);
	fds[0] = in[0];
	fds[1] = out[1];
	fds[2] = err[1];
	status = wait_for(run_program(args, fds, as_root), PATIENCE);
	close(in[0]);
	close(in[1]);
	close(out[1]);
	close(err[1]);
	while ((n = read(out[0], said + len, (size_t)(1999 - len))) > 0)
		len += n;
	said[len] = '\0';
	if (read(err[0], &c, 1) != 0)
		blame("%s: something went to descriptor 2", args);
	close(out[0]);
	close(err[0]);
	return status;
}

static const char *const wrong_options[] = { "-x", "-p -x", "-t", "-m", "-f",
	"-i", "-u", "-e", "-t 0", "-t x", "-t -5", "-t 5x", "-t 0x10", "-t +5",
	"mailbox", "-p mailbox", "-p -m mbox extra", "-", "-- x", "--help",
	"-p -t 1 -t" };

/* A person's mistake: said on a terminal and in the log, never to a client. */
TEST_EACH(wrong_options_say_nothing_and_exit_with_2, COUNT(wrong_options))
{
	char said[2000];

	ck_assert_int_eq(run_once(wrong_options[_i], 0, said), 2);
	ck_assert_str_eq(said, "");
}

static const char *const misfits[] = { "", "-m mbox", "-a -p -m mbox",
	"-a -m mbox", "-p -m %x", "-p -m mbox%", "-f users -m %x",
	"-f users -m a%", "-f users -m mbox", "-f users -m ~/mbox", "-s",
	"-p -m mbox -i %x" };

TEST_EACH(what_cannot_be_set_up_is_one_err_and_exit_1, COUNT(misfits))
{
	char said[2000];

	write_login();
	ck_assert_int_eq(run_once(misfits[_i], 0, said), 1);
	ck_assert_int_eq(strncmp(said, "-ERR [SYS/PERM] ", 16), 0);
	ck_assert_ptr_eq(strstr(said, "\r\n"), said + strlen(said) - 2);
	ck_assert_ptr_null(strstr(said, "wait"));
	ck_assert_ptr_null(strstr(said, "lock"));
}

/*
 * As a person tries it; then without the capability for chroot, for setuid.
 */
TEST_EACH(roots_answers_to_a_file_are_in_it_or_say_why_not, 3)
{
#if defined(__linux__)
	static const unsigned long missing[] = { 0, 18, 7 };
	struct octets said;
	struct stat st;
	int fds[3];

	if (getuid() != 0 || stat("/root", &st) == -1 || st.st_uid != 0) {
		skip("answers to a file", "needs root");
		return;
	}
	write_text("commands", "QUIT\r\n");
	write_text("users", ALICE);
	must(_i == 0 || prctl(PR_CAPBSET_DROP, missing[_i], 0, 0, 0) == 0,
	    "prctl");
	fds[0] = open("commands", O_RDONLY);
	fds[1] = fds[2] = open("answers", O_WRONLY | O_CREAT, 0600);
	must(fds[0] != -1 && fds[1] != -1, "open");
	ck_assert_int_eq(wait_for(run_program("-f users -u 54321:54321 "
	    "-e /root", fds, 1), PATIENCE), _i > 0);
	said = read_file("answers");
	ck_assert_str_eq(said.p, _i > 0 ? "-ERR [SYS/TEMP] no login is "
	    "possible now, wait and try again\r\n" :
	    "+OK pop3d ready\r\n+OK bye\r\n");
	free_bytes(&said);
#endif
}

TEST(a_pipe_is_not_for_root)
{
	char said[2000];

	if (getuid() != 0) {
		skip("-p as root", "needs root");
		return;
	}
	write_sample("three");
	ck_assert_int_eq(run_once("-p -m mbox", 1, said), 1);
	ck_assert_int_eq(strncmp(said, "-ERR [SYS/PERM] ", 16), 0);
	check_sample("three", 0);
}

TEST(the_version_is_told)
{
	char said[2000];

	ck_assert_int_eq(run_once("-V", 0, said), 0);
	ck_assert_str_eq(said, "pop3d " VERSION "\n");
}

/* A -f file that was opened to others lets nobody in, and is nobody's fault. */
BACKGROUND(a_file_that_others_can_read_lets_nobody_in)
{
	static const mode_t modes[] = { 0604, 0620, 0640 };
	struct peer p = start_login("three", "");
	int i;

	/* it is not refused, so that the same is tried again */
	for (i = 0; i < COUNT(modes); i++) {
		must(chmod("users", modes[i]) == 0, "chmod");
		ask(&p, "USER alice", "+OK *");
		ask(&p, "PASS secret", modes[i] == 0640 ? "+OK *" :
		    "-ERR [SYS/TEMP] passwords *");
	}
	quit(&p);
}

/* ---- What other servers shipped ---- */

CASE("commands", 60, enter_new_dir, NULL);

TEST(quit_is_answered_by_exactly_one_line)
{
	struct peer p;

	p = start_login("three", "");
	say(&p, "QUIT\r\nQUIT\r\nNOOP\r\n");
	expect_all(&p, "+OK bye\r\n", "QUIT before login", 0);
	p = start_pipe_session("three");
	say(&p, "QUIT\r\nQUIT\r\nNOOP\r\n");
	expect_all(&p, "+OK bye\r\n", "QUIT", 0);
	p = start_pipe_session("three");
	ask(&p, "DELE 1", "+OK *");
	say(&p, "QUIT\r\nRSET\r\n");
	expect_all(&p, "+OK bye\r\n", "QUIT", 0);
	check_sample("three", 1);
}

TEST(no_answer_begins_with_plus_err)
{
	static const char *const lines[] = { "RETR 4", "DELE 4", "LIST 4",
	    "UIDL 4", "TOP 4 1", "NONSENSE", "LAST" };
	struct peer p = start_pipe_session("three");

	ask_each(&p, lines, COUNT(lines), "-ERR *");
	quit(&p);
}

TEST(dele_of_a_deleted_message_is_refused)
{
	static const char *const lines[] = { "DELE 2", "RETR 2", "TOP 2 0",
	    "LIST 2", "UIDL 2" };
	struct peer p = start_pipe_session("three");

	ask(&p, "DELE 2", "+OK *");
	ask_each(&p, lines, COUNT(lines), "-ERR *");
	ask(&p, "RSET", "+OK *");
	ask(&p, "DELE 2", "+OK *");
	ask(&p, "RSET", "+OK *");
	quit(&p);
}

TEST(stat_does_not_count_deleted_mail)
{
	struct peer p = start_pipe_session("three");

	ask(&p, "STAT", "+OK 3 203");
	ask(&p, "DELE 1", "+OK *");
	ask(&p, "STAT", "+OK 2 118");
	ask(&p, "DELE 3", "+OK *");
	ask(&p, "STAT", "+OK 1 65");
	ask(&p, "DELE 2", "+OK *");
	ask(&p, "STAT", "+OK 0 0");
	ask(&p, "RSET", "+OK *");
	ask(&p, "STAT", "+OK 3 203");
	quit(&p);
}

TEST(numbers_stay_after_dele)
{
	const struct octets rest = B("2 65\r\n3 53\r\n");
	struct peer p = start_pipe_session("three");

	ask(&p, "DELE 1", "+OK *");
	ask(&p, "LIST 3", "+OK 3 53");
	ask_same(&p, "LIST", "+OK *", &rest);
	ck_assert_uint_eq(ask_lines(&p, "RETR 3", "+OK 53 *").len, 53);
	ask(&p, "RSET", "+OK *");
	quit(&p);
}

TEST(digits_with_letters_behind_them_are_no_number)
{
	static const char *const lines[] = { "DELE 1abc", "DELE 1\t",
	    "RETR 1abc", "TOP 1 1abc", "TOP 1abc 1" };
	struct peer p = start_pipe_session("three");

	ask_each(&p, lines, COUNT(lines), "-ERR *");
	ask(&p, "STAT", "+OK 3 *");
	quit(&p);
}

TEST(numbers_beyond_any_integer_are_no_message)
{
	static const char *const numbers_sent[] = { "0", "4", "257", "65537",
	    "4294967296", "4294967297", "18446744073709551617",
	    "340282366920938463463374607431768211457" };
	struct peer p = start_pipe_session("three");
	struct octets got;
	size_t i;

	for (i = 0; i < COUNT(numbers_sent); i++) {
		ask(&p, fill_in("DELE %s", numbers_sent[i]), "-ERR *");
		ask(&p, fill_in("TOP %s 0", numbers_sent[i]), "-ERR *");
		got = ask_lines(&p, fill_in("TOP 1 %s", numbers_sent[i]),
		    "+OK *");
		ck_assert_uint_eq(got.len, i == 0 ? 45 : 85);
	}
	ask(&p, "STAT", "+OK 3 *");
	quit(&p);
}

CASE("mail", 60, enter_new_dir, NULL);

/* CR CR LF from a CRLF mailbox; one octet short at an unterminated end. */
TEST_EACH(list_counts_what_is_sent_of_crlf_and_unterminated_mail, 4)
{
	static const char *const names[] = { "crlf", "unterminated",
	    "unterminated-cr", "header-unterminated" };

	serve_sample(find_sample(names[_i]));
}

CASE("commands", 60, enter_new_dir, NULL);

/* However high: a directory that a superserver has open leads out of a chroot. */
TEST(descriptors_that_are_left_open_are_closed)
{
	struct peer p;
	int pair[2], high;

	must(pipe(pair) == 0, "pipe");
	keep_to_ourselves(pair[0]);
	must((high = fcntl(pair[1], F_DUPFD, 700)) >= 700, "F_DUPFD");
	p = start_pipe_session("three");
	close(high);
	close(pair[1]);
	ck_assert(is_readable(pair[0], 0));
	quit(&p);
	close(pair[0]);
}

TEST(error_texts_do_not_go_to_the_client)
{
	int pair[2], err[2];
	struct peer p;
	char c;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 &&
	    socketpair(AF_UNIX, SOCK_STREAM, 0, err) == 0, "socketpair");
	keep_to_ourselves(err[0]);
	write_text("mbox", "no mailbox\n");
	p = start_in("-p -m mbox", pair, err[1]);
	close(err[1]);
	check_refusal(&p);
	ck_assert_int_eq(read(err[0], &c, 1), 0);
	close(err[0]);
}

/* 20 wrong commands end a login, right ones between them or not. */
TEST(twenty_wrong_commands_end_a_login)
{
	struct peer p = start_login("three", "");
	int i;

	for (i = 0; i < 19; i++) {
		ask(&p, i % 2 ? "NONSENSE" : "AUTH PLAIN =", "-ERR *");
		ask(&p, "USER alice", "+OK *");
	}
	ask(&p, "STAT", "-ERR *");
	see_end(&p);
}

/* Nor do right ones go on for ever. */
TEST_EACH(a_hundred_commands_end_a_login, 2)
{
	struct peer p = start_login("three", "");
	int i;

	for (i = 0; i < 99; i++)
		ask(&p, "USER alice", "+OK *");
	if (_i) {		/* the last one may be the login */
		ask(&p, "PASS secret", "+OK *");
		for (i = 0; i < 100; i++)
			ask(&p, "NOOP", "+OK *");
		quit(&p);
		return;
	}
	ask_lines(&p, "CAPA", "+OK *");
	see_end(&p);
}

/* Mail::Box wants two numbers and one dot, as in RFC 1939's example. */
TEST(an_apop_challenge_is_two_numbers_and_no_other_is_the_same)
{
	char last[200] = "", line[200];
	size_t pid, when;
	struct peer p;
	int i;

	write_text("users", ALICE);
	for (i = 0; i < 3; i++) {
		p = start("-a " FROM_FILE);
		snprintf(line, sizeof(line), "%s", take_line(&p));
		ck_assert_int_eq(strncmp(line, "+OK pop3d ready <", 17), 0);
		pid = strspn(line + 17, "0123456789");
		ck_assert(pid > 0 && line[17 + pid] == '.');
		when = strspn(line + 18 + pid, "0123456789");
		/* to the nanosecond */
		ck_assert(when == 19 && line[18 + pid + when] == '@');
		ck_assert(strchr(line, '>') == line + strlen(line) - 1);
		ck_assert_str_ne(line + 18 + pid, last);
		snprintf(last, sizeof(last), "%s", line + 18 + pid);
		quit(&p);
	}
}

TEST(wrong_commands_do_not_end_a_session)
{
	struct peer p = start_pipe_session("three");
	int i;

	for (i = 0; i < 100; i++)
		ask(&p, i % 2 ? "NONSENSE" : "RETR 0", "-ERR *");
	quit(&p);
}

/* ---- Real mailboxes: MBOX_DIR ---- */

static char mbox_dir[PATH_MAX];	/* from the root, or empty */

/* Delete the messages whose index is odd, or even. */
static void
check_deletion(const struct octets *f, const struct maildrop *d, size_t odd)
{
	struct octets rest = { "", 0 };
	struct peer p;
	size_t i, start_of, end = d->n > 0 ? d->mail[0].start : f->len;

	write_file("mbox", f->p, f->len);
	p = start_greeted("-p -m mbox");
	add_bytes(&rest, f->p, end);
	for (i = 0; i < d->n; i++) {
		start_of = end;
		end = i + 1 < d->n ? d->mail[i + 1].start : f->len;
		if (i % 2 == odd)
			ask(&p, fill_in("DELE %zu", i + 1), "+OK *");
		else
			add_bytes(&rest, f->p + start_of, end - start_of);
	}
	quit(&p);
	check_file(&rest, "after every second DELE");
	free_bytes(&rest);
	check_dir();
}

static void
check_real_mailbox(const char *path)
{
	static struct octets sent[5000];
	struct maildrop d;
	struct octets f = read_file(path);
	size_t i;

	d = parse((const unsigned char *)f.p, f.len, COUNT(sent));
	for (i = 0; i < d.n; i++)
		sent[i] = (struct octets){ (char *)d.mail[i].sent.p,
		    d.mail[i].sent.len };
	printf("%s: %lu\n", path, (unsigned long)d.n);
	fflush(stdout);
	write_file("mbox", f.p, f.len);
	check_retrieval(sent, d.n);
	check_file(&f, "after reading");
	check_deletion(&f, &d, 1);
	check_deletion(&f, &d, 0);
	drop_maildrop(&d);
	free_bytes(&f);
}

CASE("mail", 60, enter_new_dir, NULL);

TEST(real_mailboxes_are_served_and_kept)
{
	glob_t found;
	size_t i;

	if (*mbox_dir == '\0') {
		skip("real mailboxes", "MBOX_DIR is not set");
		return;
	}
	ck_assert_int_eq(glob(fill_in("%s/*.mbox", mbox_dir), 0, NULL, &found),
	    0);
	for (i = 0; i < found.gl_pathc; i++)
		check_real_mailbox(found.gl_pathv[i]);
	globfree(&found);
}

/* ---- main ---- */

CASE("background", 120, NULL, NULL);

static int
is_no_transcript(const struct test *t, int i)
{
	return t->test == a_session_goes_as_it_is_written &&
	    (size_t)i >= transcripts.gl_pathc;
}

/* The tests run in a child, so that the files go whatever becomes of it. */
int
main(void)
{
	const char *real = getenv("MBOX_DIR");
	int status = 1;
	pid_t pid;

	if (real != NULL && realpath(real, mbox_dir) == NULL) {
		perror(real);
		return 1;
	}
	clear_environment();
	/* nobody may look into pop3d, LeakSanitizer neither */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 0);
	signal(SIGPIPE, SIG_IGN);
	if (make_scratch("check_pop3") == -1)
		return 1;
	user = getuid() == 0 ? UNPRIVILEGED : getuid();
	if ((pid = fork()) == 0) {
		make_samples();
		add_transcripts();
		start_jobs();
		exit(run_suite("pop3", is_no_transcript));
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	while (pid != -1 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	remove_tree(scratch);
	return pid != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
