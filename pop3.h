/*
 * pop3d: what the three source files share.
 *
 * pop3.c talks to the client, mailbox.c to the disk, auth.c decides who may.
 * pop3.c makes no process and changes no id; mailbox.c knows neither client nor
 * log; auth.c knows no mail, and of a client's words only name and secret. This
 * file holds the limits and the contracts between them, nothing else.
 */
#ifndef POP3_H
#define POP3_H

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* Octets of mail that are read or written at a time. */
#ifndef MBOX_BUFFER
#define MBOX_BUFFER	163840
#endif
/* Octets kept in front of them: enough to know an empty CRLF line. */
#define MBOX_BEFORE	16

enum {
	FIELD_MAX = 255,	/* octets of a name or secret as received */
	NAME_OCTETS = 128,	/* octets of an account's name */
	PATH_OCTETS = 1024,	/* octets of a path, with its NUL */
	PIECE_MAX = 16384,	/* octets of mail handed on at a time */
	UID_OCTETS = 32,	/* a unique-id and NUL; at most 70 may be used:
				 * RFC 1939, section 7 */
	TRIES_MAX = 3,		/* failed logins a connection */
	LOCK_SECONDS = 30,	/* for a lock that others hold */
	REFRESH_SECONDS = 15	/* a dotlock of ours is touched so often */
};

/* Messages shown at most: 40 octets of memory each. */
#ifndef MESSAGES_MAX
#define MESSAGES_MAX	1000000
#endif

struct md5 {
	uint32_t state[4];
	uint64_t octets;
	size_t held_len;
	unsigned char held[1024];	/* what most messages have to hash */
};

/* Milliseconds of a clock that nobody sets. */
long long clock_ms(void);

/*
 * RFC 1321. md5_finish ends n contexts of an array, at most 16; their state is
 * the digest then, the lowest octet of each word first.
 */
void md5_init(struct md5 *m);
void md5_update(struct md5 *m, const void *data, size_t len);
void md5_finish(struct md5 *m, size_t n);

enum mbox_result {
	MBOX_OK,
	MBOX_BUSY,	/* somebody else kept the lock for LOCK_SECONDS */
	MBOX_TEMP,	/* disk, memory or lock trouble, in errno and why */
	MBOX_PERM,	/* not a mailbox we may or can serve, as above */
	MBOX_GONE	/* the message, or the whole file, is not there; of
			 * mbox_update: a deleted message may still be */
};

struct message {
	off_t offset;		/* in the file, of its "From " line */
	off_t length;		/* octets in the file up to the next one */
	off_t size;		/* octets as sent, before dot-stuffing */
	uint64_t hash;		/* its unique-id without ordinal */
	uint32_t body;		/* octets of the body as sent, modulo 2^32 */
	unsigned ordinal:24;	/* among those with the same hash, from 1; 0:
				 * they are not numbered yet */
	unsigned deleted:1;	/* named by DELE */
	unsigned gone:1;	/* no longer in the file, offset is void; */
	unsigned unsure:1;	/* or it is, and cannot be told from others */
	unsigned crlf:1;	/* its "From " line ends so */
};

/* A dotlock: <mailbox>.lock in the working directory. */
struct dotlock {
	char name[256];		/* the mailbox's, in that directory */
	struct stat file;	/* the mailbox, as it was looked at last */
	pid_t pid;		/* the session that holds the lock */
	pid_t holder;		/* who has it, if DOT_BUSY and known, or 0 */
	int fd;			/* the lock while it is ours, or -1 */
};

/* What the keeper answers: a fixed record for each octet asked. */
struct dot_answer {
	char what;
	int error;		/* errno, of DOT_ERROR */
	pid_t holder;
};

/* Instead of a socket: the dotlock is made in this process; or no longer. */
enum { NO_KEEPER = -1, LOST_KEEPER = -2 };

struct mbox {
	int fd;			/* -1: no mailbox, hence no messages; its offset
				 * stays 0: only pread and pwrite are used */
	int index;		/* the file of -i, or -1 */
	int keeper;		/* socket to the lock keeper, or as above */
	struct dotlock dot;
	int no_dotlock;		/* none can be made here: the kernel's alone */
	int locked;		/* locks are ours, or may be */
	time_t touched;		/* when our dotlock was asked for or touched */
	sigset_t mask;		/* as it was before the lock */

	struct message *msg;	/* n are shown; room for room of them */
	size_t n, room;
	size_t unseen;		/* the first ones, where the file has grown:
				 * the index alone knows them */
	int more;		/* the file has more than MESSAGES_MAX */
	int no_copy;		/* UPDATE went without copies: disk full */
	size_t removed;		/* messages that UPDATE took out */
	const char *why;	/* what failed last, for the log */

	off_t octets;		/* dot.file's, as scanned; -1: it was not */
	long long late;		/* when a scan must have ended, by clock_ms */
	int young;		/* it may have changed without a trace since */

	size_t current;		/* the message being read */

	off_t base;		/* offset in the file of data[MBOX_BEFORE] */
	size_t pos, len;	/* in data: next octet, end of what is there */
	unsigned char data[MBOX_BEFORE + MBOX_BUFFER + 8];
};

/*
 * Open a mailbox with the ids the process has and make its directory the
 * working directory. It must be a regular file of owner's with one link. A
 * missing one is an empty maildrop, but not where the directory is missing. m
 * needs no preparation and is not given back: the process serves one mailbox,
 * and ends. MBOX_OK, MBOX_TEMP or MBOX_PERM; nothing may follow the latter two.
 */
enum mbox_result mbox_open(struct mbox *m, const char *path, uid_t owner);

/*
 * Open the index of an opened mailbox, or make it, with the ids the process
 * has: mbox_load takes from it what it need not read, and writes it. Without
 * one, for whatever reason, all goes the same way, but slower. (A file system
 * that does not answer is waited for, here and in mbox_load.)
 */
void mbox_index(struct mbox *m, const char *path, uid_t owner);

/*
 * Lock, scan and unlock the mailbox: fills msg. Any result; m->n is 0 unless
 * MBOX_OK.
 */
enum mbox_result mbox_load(struct mbox *m);

/*
 * Prepare message i (from 0) for mbox_read. If the mailbox has changed it is
 * scanned and matched again first. MBOX_GONE: the message is not there (any
 * more), and so marked.
 */
enum mbox_result mbox_seek(struct mbox *m, size_t i);

/*
 * The next octets of that message as in the file, 1 to PIECE_MAX, valid until
 * the next mbox_ call. No piece ends within CRLF. Behind the message stand line
 * ends without end: the caller stops when the lines, with CRLF all, add up
 * to its size. 0, or -1: it was moved, changed or cannot be read.
 */
int mbox_read(struct mbox *m, const unsigned char **p, size_t *len);

/*
 * The unique-id of message i: RFC 1939, section 7. MBOX_TEMP without memory for
 * the search for repeats (8 octets a message).
 */
enum mbox_result mbox_uid(struct mbox *m, size_t i, char uid[UID_OCTETS]);

/*
 * Remove what is marked deleted: RFC 1939, section 6. MBOX_OK: none of it is in
 * the file. MBOX_GONE: a message was not found for sure, and may be there. Else
 * some may be there. Nothing else is ever lost. The list is void afterwards.
 */
enum mbox_result mbox_update(struct mbox *m);

/*
 * One step of the dotlock protocol: DOT_LOCK, DOT_TOUCH, or anything else for
 * DOT_UNLOCK. The answer to DOT_LOCK is DOT_LOCK (held), DOT_NONE (no lock can
 * be made here), DOT_BUSY, DOT_GONE (held by nobody: the name leads elsewhere)
 * or DOT_ERROR (errno); to DOT_TOUCH, DOT_GONE if the lock is not ours (any
 * more); else what was asked. Never waits. For the keeper and for mailbox.c.
 */
enum { DOT_LOCK = 'l', DOT_UNLOCK = 'u', DOT_TOUCH = 't', DOT_NONE = 'n',
	DOT_BUSY = 'b', DOT_GONE = 'g', DOT_ERROR = 'e' };
char dotlock_step(struct dotlock *d, char what);

/*
 * One login: a fixed record, as it goes from dialogue to verifier. This and the
 * next have at most 512 octets (_POSIX_PIPE_BUF): one read gets them whole.
 */
struct attempt {
	char mechanism;		/* AUTH_PASS, AUTH_APOP or AUTH_NEVER */
	char user[NAME_OCTETS + 2];	/* what is cut off here is no name */
	char secret[FIELD_MAX + 1];
};
enum { AUTH_PASS = 'p', AUTH_APOP = 'a', AUTH_NEVER = 'n' };

/* AUTH_TROUBLE: it could not be tried; that is logged. */
enum auth_result { AUTH_YES = 'y', AUTH_NO = 'n', AUTH_TROUBLE = 't' };

struct account {
	uid_t uid;
	gid_t gid;
	char name[NAME_OCTETS + 1];
	char home[256];
};

struct auth {
	/* set by the caller, strings not copied */
	const char *file;	/* -f, or NULL: the system's accounts */
	const char *saslauthd;	/* -x, or NULL: hashes say who may */
	const char *mailbox;	/* -m */
	const char *index;	/* -i, or NULL */
	const char *empty;	/* -e */
	const char *user;	/* -u */
	const char *ip;		/* the client's address, for the log */
	const char *challenge;	/* of APOP, or NULL */
	unsigned seconds;	/* for all of AUTHORIZATION */
	/* filled in by auth_ */
	int root;		/* started as root: processes are split */
	uid_t uid;		/* the dialogue's */
	gid_t gid;
	int to, from;		/* in the dialogue: records out, answers in;
				 * without root, to: the scout */
	int tries;
	struct account account;	/* who is in */
	char why[PATH_OCTETS + 128];	/* what auth_start or m->why says */
};

/*
 * Check what the options ask for against who we are. NULL, or why not
 * (for the log). With pipe the account is the invoking user's.
 */
const char *auth_start(struct auth *a, int pipe);

/*
 * Have somebody log in: runs dialogue(arg), which calls auth_try until that
 * returns AUTH_YES and then returns, in a confined process if we are root, else
 * in this one. 1: a->account is in, and in this process. 0: nobody is. -1: the
 * system failed (logged); nothing was said to the client.
 */
int auth_login(struct auth *a, void (*dialogue)(void *), void *arg);

/*
 * For the dialogue: try one login. What is not AUTH_YES comes at a multiple of
 * three seconds, unless there is nobody to ask. The attempt is wiped. At most
 * TRIES_MAX calls.
 */
enum auth_result auth_try(struct auth *a, struct attempt *t);

/* Overwrite a secret for good. */
void auth_wipe(void *p, size_t len);

/*
 * Open the mailbox as the account's user, start the lock keeper, and give up
 * every privilege for good. As mbox_open; on MBOX_TEMP and MBOX_PERM too the
 * privileges are gone. A privilege that cannot be given up ends the process.
 */
enum mbox_result auth_enter(struct auth *a, struct mbox *m);

#endif
