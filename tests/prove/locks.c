/*
 * The dotlock between processes that may be stopped, continued or killed at any
 * call: every order of their calls, with the real dotlock_step. What a process
 * has been answered so far says where it is, so it is run again up to there and
 * given one answer more. States that were seen are not looked at again.
 *
 * Time passes in steps of STALE_SECONDS, at any point: whoever is in the middle
 * of something then was stopped. What must hold in all states, for sessions of
 * one host: no lock is taken off that is younger than that, unless by its
 * owner; no two are inside; whoever ends leaves nothing. Agents that do not look
 * before they remove a lock, and disks without flock, are counted, not judged.
 *
 *	locks [-l] [-r] ROLES ...
 *		s session, k one with a keeper, either of which may end first,
 *		a agent like dotlockfile, r session of another host, n the disk
 *		is NFS; -l larger; -r nobody is stopped for long
 */
#include <sys/file.h>
#include <sys/vfs.h>

#include <setjmp.h>

#include "../../pop3.h"

enum { PROCS = 3, INODES = 8, LOCK = PROCS, NAMES = PROCS + 1, PID = 10,
	DEAD = PID + PROCS, TRACE = 400, HASHES = 1 << 22 };

/* What all of them see: nothing else is shared. */
struct world {
	signed char name[NAMES];	/* inode, or 0 */
	struct inode {
		signed char links, opened, pid, host, maker, locked, mtime;
	} ino[INODES];
	signed char alive[PROCS], running[PROCS], inside[PROCS];
	signed char left[PROCS];	/* the session has gone, not its keeper */
	signed char now, crashes, again, bad;
};

/* What a call is answered. */
struct answer {
	int r, e;
	struct inode what;
	signed char ino;
};

/* A process that was answered so, after what its parent was answered. */
struct node {
	int parent, child, next;
	struct answer a;
};

struct state {
	struct world w;
	int at[PROCS];		/* nodes */
	int from;		/* the state before, or 0; not compared */
	int step;
	int next;		/* of the same hash, or 0 */
};

static struct node *node;
static struct state *states;
static int *seen;		/* the last state of each hash, or 0 */
static int n_nodes, room_nodes, n_states, room_states;
static int nfs, crashes_max, ticks_max, tries[PROCS] = { 2, 1, 1 };
static char role[PROCS];

static struct world *w;		/* that of the process that runs, */
static int me, current;		/* its node, */
static int told[TRACE], pos;	/* and the nodes up to it, the last one last */
static time_t step_seconds;	/* so long is a step of time */
static jmp_buf stopped;
static unsigned long counted[4];
static const char *const what_is_bad[] = { "", "a young lock was taken off",
	"two are inside", "something was left" };

static void *
more(void *p, int *room, size_t size)
{
	*room = *room * 2 + 1024;
	if ((p = realloc(p, (size_t)*room * size)) == NULL) {
		puts("no memory");
		exit(2);
	}
	return p;
}

static int
new_node(void)
{
	if (n_nodes == room_nodes)
		node = more(node, &room_nodes, sizeof(*node));
	memset(&node[n_nodes], 0, sizeof(*node));
	return n_nodes++;
}

/* The process goes on from here when it is its turn again. */
static void
give(const struct answer *a)
{
	int n;

	for (n = node[current].child; n != 0; n = node[n].next)
		if (memcmp(&node[n].a, a, sizeof(*a)) == 0)
			break;
	if (n == 0) {
		n = new_node();
		node[n].a = *a;
		node[n].parent = current;
		node[n].next = node[current].child;
		node[current].child = n;
	}
	current = n;
	longjmp(stopped, 1);
}

/*
 * A call. What it does is done once, when it is the process's turn; then the
 * process is left. The next time it is only answered.
 */
#define CALL(act)							\
	struct answer a;						\
	if (pos == TRACE) {						\
		memset(&a, 0, sizeof(a));				\
		act;							\
		give(&a);						\
	}								\
	a = node[told[pos++]].a;					\
	errno = a.e

#define FAIL(error)	(a.r = -1, a.e = (error))

static int
find_name(const char *s)
{
	int pid;

	if (sscanf(s, ".pop3d.%d", &pid) == 1)
		return pid - PID;
	return LOCK;
}

static void
forget(int i)
{
	if (w->ino[i].links == 0 && w->ino[i].opened == 0)
		memset(&w->ino[i], 0, sizeof(w->ino[i]));
}

static void
take_off(int n, int for_good)
{
	int i = w->name[n];

	if (n == LOCK && w->ino[i].maker != me && w->ino[i].mtime == w->now &&
	    role[me] != 'a')
		w->bad = 1;
	w->name[n] = 0;
	w->ino[i].links = (signed char)(w->ino[i].links - for_good);
	forget(i);
}

static int
make_file(int n)
{
	int i = 2;

	while (w->ino[i].links != 0 || w->ino[i].opened != 0)
		i++;
	w->ino[i].links = 1;
	w->ino[i].opened = (signed char)(1 << me);
	w->ino[i].maker = (signed char)me;
	w->ino[i].mtime = w->now;
	w->name[n] = (signed char)i;
	return i;
}

static int
s_open(const char *s, int flags, ...)
{
	int n;

	if (strcmp(s, ".") == 0)
		return -1;	/* so names are looked up anew, which is all */
	n = find_name(s);
	CALL(
		if (flags & O_CREAT) {
			if (w->name[n] != 0)
				FAIL(EEXIST);
			else
				a.r = make_file(n);
		} else if (w->name[n] == 0)
			FAIL(ENOENT);
		else {
			a.r = w->name[n];
			w->ino[a.r].opened |= (signed char)(1 << me);
		});
	return a.r;
}

static int
s_close(int fd)
{
	if (fd == -1)
		return -1;	/* no other process can see that */
	CALL(
		if (w->ino[fd].locked == me + 1)
			w->ino[fd].locked = 0;
		w->ino[fd].opened &= (signed char)~(1 << me);
		forget(fd));
	return a.r;
}

static int
s_link(const char *from, const char *to)
{
	int f = find_name(from), t = find_name(to);
	CALL(
		if (w->name[f] == 0)
			FAIL(ENOENT);
		else if (w->name[t] != 0)
			FAIL(EEXIST);
		else {
			w->name[t] = w->name[f];
			w->ino[w->name[f]].links++;
		});
	return a.r;
}

static int
s_unlink(const char *s)
{
	int n = find_name(s);
	CALL(
		if (w->name[n] == 0)
			FAIL(ENOENT);
		else
			take_off(n, 1));
	return a.r;
}

static int
s_rename(const char *from, const char *to)
{
	int f = find_name(from), t = find_name(to), i;
	CALL(
		if ((i = w->name[f]) == 0)
			FAIL(ENOENT);
		else if (w->name[t] != i) {
			if (w->name[t] != 0)
				take_off(t, 1);
			take_off(f, 0);
			w->name[t] = (signed char)i;
		});
	return a.r;
}

static int
tell(const struct answer *a, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = (ino_t)a->ino;
	st->st_nlink = (nlink_t)a->what.links;
	st->st_mode = S_IFREG;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec =
	    1000000 + a->what.mtime * step_seconds;
	return a->r;
}

static int
s_lstat(const char *s, struct stat *st)
{
	static const struct answer mailbox = { .ino = 1, .what = { .links = 1 } };
	int n = find_name(s);

	if (strcmp(s, "m") == 0)
		return tell(&mailbox, st);
	CALL(
		if (w->name[n] == 0)
			FAIL(ENOENT);
		else {
			a.ino = w->name[n];
			a.what = w->ino[a.ino];
			a.what.opened = a.what.locked = a.what.pid = 0;
		});
	return tell(&a, st);
}

static int
s_fstat(int fd, struct stat *st)
{
	if (fd == -1)		/* no step of its own: nobody sees it */
		return errno = EBADF, -1;
	CALL(
		a.ino = (signed char)fd;
		a.what = w->ino[fd];
		a.what.opened = a.what.locked = a.what.pid = 0);
	return tell(&a, st);
}

static int
s_fstatfs(int fd, struct statfs *s)
{
	s->f_type = nfs ? 0x6969 : 0;
	return fd == -1 ? -1 : 0;
}

static int
s_flock(int fd, int how)
{
	(void)how;
	CALL(
		if (w->ino[fd].locked != 0 && w->ino[fd].locked != me + 1)
			FAIL(EWOULDBLOCK);
		else
			w->ino[fd].locked = (signed char)(me + 1));
	return a.r;
}

static int
host_of(int p)
{
	return role[p] == 'r' ? 'r' : 'h';
}

static int
s_gethostname(char *p, size_t len)
{
	snprintf(p, len, "%c", host_of(me));
	return 0;
}

static int
s_kill(pid_t pid, int sig)
{
	(void)sig;
	CALL(
		if (pid == DEAD || !w->alive[pid - PID] ||
		    host_of((int)pid - PID) != host_of(me))
			FAIL(ESRCH));
	return a.r;
}

static ssize_t
s_write(int fd, const void *p, size_t len)
{
	int pid = 0;

	sscanf(p, "%d", &pid);
	CALL(
		w->ino[fd].pid = (signed char)pid;
		w->ino[fd].host = (signed char)host_of(me));
	return a.r == 0 ? (ssize_t)len : -1;
}

static ssize_t
s_read(int fd, void *p, size_t len)
{
	CALL(a.what = w->ino[fd]; a.what.locked = a.what.opened = 0);
	return a.what.pid == 0 ? 0 :
	    snprintf(p, len, "%d:%c", a.what.pid, a.what.host);
}

static int
s_futimens(int fd, const struct timespec *t)
{
	(void)t;
	if (fd == -1)
		return errno = EBADF, -1;
	CALL(w->ino[fd].mtime = w->now);
	return a.r;
}

static time_t
s_time(time_t *t)
{
	(void)t;
	return 0;		/* a unique name has a pid in it, too */
}

#define open		s_open
#define close		s_close
#define link		s_link
#define unlink		s_unlink
#define rename		s_rename
#define lstat		s_lstat
#define fstat		s_fstat
#define fstatfs(fd, s)	s_fstatfs(fd, s)
#define flock(fd, how)	s_flock(fd, how)
#define kill		s_kill
#define write		s_write
#define read		s_read
#define futimens	s_futimens
#define fchmod(fd, m)	((void)(fd), 0)
#define gethostname	s_gethostname
#define time		s_time
#ifndef MAILBOX
#define MAILBOX		"../../mailbox.c"
#endif
#include MAILBOX

/* Into what the lock is for, out of it, and to the end. */
static void
set_inside(int inside)
{
	CALL(
		w->inside[me] = (signed char)(inside && !w->left[me]);
		if (inside && role[me] != 'a')
			w->bad = (w->inside[0] & 1) + (w->inside[1] & 1) +
			    (w->inside[2] & 1) > 1 ? 2 : w->bad);
	(void)a;
}

static void
end(void)
{
	CALL(w->running[me] = 0);
	(void)a;
}

/* The keeper reads what the session asks, or the end of it. */
static int
is_left(void)
{
	if (role[me] != 'k')
		return 0;
	CALL(a.r = w->left[me]);
	return a.r;
}

static void
run_session(void)
{
	struct dotlock d = { .name = "m", .file = { .st_ino = 1 },
	    .pid = PID + me, .fd = -1 };
	int i;

	for (i = 0; i < tries[me] && !is_left(); i++) {
		if (dotlock_step(&d, DOT_LOCK) != DOT_LOCK)
			continue;
		set_inside(1);
		if (!is_left())
			dotlock_step(&d, DOT_TOUCH);
		set_inside(0);
		break;
	}
	dotlock_step(&d, DOT_UNLOCK);
	end();
}

/* As liblockfile does it: whoever is gone loses his lock, unseen. */
static void
run_agent(void)
{
	char own[32], text[32] = "";
	struct stat st;
	int fd, i, pid;

	snprintf(own, sizeof(own), ".pop3d.%d", PID + me);
	for (i = 0; i < tries[me]; i++) {
		if ((fd = s_open(own, O_CREAT | O_EXCL)) == -1)
			break;
		snprintf(text, sizeof(text), "%d", PID + me);
		s_write(fd, text, strlen(text));
		s_close(fd);
		s_link(own, "m.lock");
		s_lstat(own, &st);
		s_unlink(own);
		if (st.st_nlink == 2) {
			set_inside(1);
			set_inside(0);
			s_unlink("m.lock");
			break;
		}
		if ((fd = s_open("m.lock", O_RDONLY)) == -1)
			continue;
		pid = 0;
		if (s_read(fd, text, sizeof(text)) > 0)
			sscanf(text, "%d", &pid);
		s_close(fd);
		if (pid != 0 && s_kill(pid, 0) == -1)
			s_unlink("m.lock");
	}
	end();
}

static void
show(int i)
{
	const struct state *s = &states[i];
	int p;

	if (s->from != 0)
		show(s->from);
	printf("%4d: lock is %d, of %d;", s->step, s->w.name[LOCK],
	    s->w.ino[s->w.name[LOCK]].maker);
	for (p = 0; p < PROCS; p++)
		printf(" %s%d", s->w.inside[p] ? "inside " : "", s->w.name[p]);
	printf("; time %d\n", s->w.now);
}

static uint64_t
hash(const struct state *s)
{
	const unsigned char *c = (const unsigned char *)s;
	uint64_t h = 14695981039346656037ULL;
	size_t i;

	for (i = 0; i < offsetof(struct state, from); i++)
		h = (h ^ c[i]) * 1099511628211ULL;
	return h ^ h >> 29;
}

/* It is kept if it was not seen before, and shown if it is the first so bad. */
static void
add(struct state *s, int from, int step)
{
	int bad = s->w.bad, *last, i;

	s->w.bad = 0;
	last = &seen[hash(s) % HASHES];
	for (i = *last; i != 0; i = states[i].next)
		if (memcmp(&states[i], s, offsetof(struct state, from)) == 0)
			break;
	if (i != 0 && bad == 0)
		return;
	s->from = from;
	s->step = step;
	s->next = *last;
	if (n_states >= room_states)
		states = more(states, &room_states, sizeof(*states));
	states[n_states] = *s;
	if (bad != 0 && counted[bad]++ == 0) {
		printf("%s:\n", what_is_bad[bad]);
		show(n_states);
	}
	if (i == 0)
		*last = n_states++;
}

/* The next call of process p. */
static void
advance(int i, int p)
{
	struct state s = states[i];
	int n;

	me = p;
	w = &s.w;
	current = s.at[p];
	for (pos = TRACE, n = current; n != p; n = node[n].parent)
		told[--pos] = n;
	if (setjmp(stopped) == 0) {
		if (role[p] == 'a')
			run_agent();
		else
			run_session();
	}
	s.at[p] = s.w.running[p] ? current : p;
	if (!s.w.running[0] && !s.w.running[1] && !s.w.running[2] &&
	    s.w.crashes == 0 && (s.w.name[0] || s.w.name[1] || s.w.name[2] ||
	    (s.w.name[LOCK] && s.w.ino[s.w.name[LOCK]].maker != PROCS)))
		s.w.bad = 3;
	add(&s, i, p);
}

/*
 * It is killed: the kernel closes its files, and its pid is nobody's. That of a
 * keeper is not in the lock: its session is there still.
 */
static void
crash(int i, int p)
{
	struct state s = states[i];
	int k;

	w = &s.w;
	for (k = 2; k < INODES; k++) {
		w->ino[k].opened = (signed char)(w->ino[k].opened & ~(1 << p));
		if (w->ino[k].locked == p + 1)
			w->ino[k].locked = 0;
		forget(k);
	}
	w->running[p] = 0;
	if (role[p] != 'k')
		w->alive[p] = w->inside[p] = 0;
	w->crashes++;
	s.at[p] = p;
	add(&s, i, 100 + p);
}

/* The session ends, or is killed, and its keeper is not. */
static void
leave(int i, int p)
{
	struct state s = states[i];

	s.w.left[p] = 1;
	s.w.alive[p] = s.w.inside[p] = 0;
	add(&s, i, 400 + p);
}

/* Its pid comes again, as that of somebody who has nothing to do with it. */
static void
come_again(int i, int p)
{
	struct state s = states[i];

	s.w.alive[p] = 1;
	s.w.again = 1;
	add(&s, i, 200 + p);
}

static void
pass_time(int i)
{
	struct state s = states[i];

	s.w.now++;
	add(&s, i, 300);
}

static void
begin(const char *roles, int stale)
{
	struct state s;
	int p;

	memset(&s, 0, sizeof(s));
	memset(counted, 0, sizeof(counted));
	memset(role, 0, sizeof(role));
	nfs = 0;
	n_nodes = 0;
	for (p = 0; p < PROCS; p++)
		s.at[p] = new_node();
	for (p = 0; *roles != '\0'; roles++) {
		if (*roles == 'n')
			nfs = 1;
		else if (p < PROCS) {
			role[p] = *roles;
			s.w.alive[p] = s.w.running[p] = 1;
			p++;
		}
	}
	/* somebody's who died long ago */
	if (stale) {
		s.w.name[LOCK] = 2;
		s.w.ino[2].links = 1;
		s.w.ino[2].maker = PROCS;
		s.w.ino[2].pid = DEAD;
		s.w.ino[2].host = 'h';
	}
	s.w.now = 1;
	free(seen);
	if ((seen = calloc(HASHES, sizeof(*seen))) == NULL)
		exit(2);
	n_states = 1;
	add(&s, 0, 0);
}

/* Whether nothing bad was found, as far as these are judged. */
static int
explore(const char *roles, int stale)
{
	int i, p, judged = strchr(roles, 'n') == NULL &&
	    (ticks_max == 1 || strpbrk(roles, "ar") == NULL);

	begin(roles, stale);
	for (i = 1; i < n_states; i++) {
		for (p = 0; p < PROCS; p++) {
			if (states[i].w.running[p])
				advance(i, p);
			if (states[i].w.running[p] &&
			    states[i].w.crashes < crashes_max)
				crash(i, p);
			if (role[p] == 'k' && !states[i].w.left[p])
				leave(i, p);
			if (role[p] != 0 && !states[i].w.alive[p] &&
			    !states[i].w.again)
				come_again(i, p);
		}
		if (states[i].w.now < ticks_max)
			pass_time(i);
	}
	fflush(stdout);
	printf("locks: %s, %s lock, %d killed: %d states, %lu young locks "
	    "taken off, %lu twice inside, %lu left%s\n", roles,
	    stale ? "stale" : "no", crashes_max, n_states - 1, counted[1],
	    counted[2], counted[3], judged ? "" : " (counted, not judged)");
	return !judged || counted[1] + counted[2] + counted[3] == 0;
}

int
main(int argc, char **argv)
{
	static const char *const small[] = { "ss", "sa", NULL };
	const char *const *roles = small;
	int bad = 0, n = 0, stale;

	step_seconds = STALE_SECONDS;
	crashes_max = 1;
	ticks_max = 2;
	for (; argc > 1 && *argv[1] == '-'; argv++, argc--) {
		if (strcmp(argv[1], "-l") == 0)
			crashes_max = tries[1] = 2;
		else
			ticks_max = 1;
	}
	if (argc > 1)
		roles = (const char *const *)argv + 1;
	for (; *roles != NULL; roles++)
		for (stale = 0; stale < 2; stale++, n++)
			bad += !explore(*roles, stale);
	printf("%d%%: Checks: %d, Failures: %d, Errors: 0\n",
	    100 * (n - bad) / n, n, bad);
	return bad > 0;
}
