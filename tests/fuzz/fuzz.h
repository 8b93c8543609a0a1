/*
 * What the fuzz targets share. Each target is one file that includes the
 * sources it tests and defines LLVMFuzzerTestOneInput; clang's libFuzzer calls
 * that, or replay.c does, with the files of corpus/.
 *
 * The reference (reference.c) is DESIGN's mbox once more, slow and obvious. It
 * shares no line with mailbox.c.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Variables of a target may have the names of locals in the sources. */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wshadow"
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(ok)	((ok) ? (void)0 : fault(__FILE__, __LINE__, #ok))

/* Say what does not hold, and abort. */
void fault(const char *file, int line, const char *what);

struct bytes {
	unsigned char *p;
	size_t len, room;
};

void add(struct bytes *b, const void *p, size_t len);
void add_text(struct bytes *b, const char *text);
int is_same(const struct bytes *a, const struct bytes *b);
void drop(struct bytes *b);

/* The first place of what in p, or len if there is none. */
size_t find(const unsigned char *p, size_t len, const void *what, size_t n);

/*
 * A directory of this process's own that goes with it, and a file in it: where
 * it is (one of a few buffers used in turn), what is in it. write_whole returns
 * the path.
 */
const char *path_of(const char *name);
const char *write_whole(const char *path, const void *p, size_t len);
void read_whole(const char *path, struct bytes *b);
int exists(const char *path);

/*
 * The next field of an input, up to a line that is %%% or to its end. *data and
 * *size move behind it.
 */
struct bytes take_field(const uint8_t **data, size_t *size);

/* A number of an input: a digit or a character behind the digits. */
unsigned take_number(const uint8_t **data, size_t *size);

/* Stands in for crypt(3), which strangers' settings make slow. */
char *fake_crypt(const char *secret, const char *setting);

/* For syslog(3), and for nanosleep(2) behind a wrong password, in nwaits. */
void no_log(int level, const char *format, ...);
int count_wait(const struct timespec *t);
extern unsigned nwaits;

/*
 * RFC 4648, section 4, strictly: the octets of text, into room for as many as
 * the text has. -1: it is not base64.
 */
int slow_base64(const char *text, char *to);

/*
 * RFC 4616, section 2: the login that a message in base64 asks for; 0: it is
 * malformed.
 */
struct attempt;
int slow_plain(const char *text, struct attempt *t);

/* DESIGN, section 8: whether it may name an account. */
int may_be_name(const char *name);

/*
 * Which of two accounts, alice and bob, a name means, as section 8 has it: in
 * any letters, and with any @domain behind it. NULL: neither.
 */
const char *account_of(const char *name);

/* RFC 1321: the digest as 32 hex digits. */
void slow_md5(const unsigned char *p, size_t len, char hex[33]);

/* A message of a mailbox as a client has to see it. */
struct mail {
	size_t start, end;	/* in the file */
	struct bytes sent;	/* what RETR sends, before dot-stuffing */
	size_t header;		/* octets of that, with the empty line */
	char hash[17];		/* the unique-id without ordinal, and with */
	char id[40];
};

struct maildrop {
	int is_mbox;
	size_t n;
	struct mail *mail;
};

/* At most max messages are shown. To be given back with drop_maildrop. */
struct maildrop parse(const unsigned char *p, size_t len, size_t max);
void drop_maildrop(struct maildrop *d);

#endif
