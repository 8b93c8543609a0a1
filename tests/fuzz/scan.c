/*
 * The scan of any file: what is a message, its size, its unique-id and what is
 * read of it must be the reference's; and nothing is written.
 *
 * Input: a number that limits what one pread gives (the first ones; all
 * would take long), the mailbox.
 */
#define MBOX_BUFFER	1024
#define MESSAGES_MAX	24

#include "../../pop3.h"
#include "fuzz.h"

enum { SHORT_READS = 300 };

static size_t at_once, reads;

static ssize_t
short_pread(int fd, void *p, size_t n, off_t at)
{
	if (at_once > 0 && at_once < n && reads++ < SHORT_READS)
		n = at_once;
	return pread(fd, p, n, at);
}

#define pread(fd, p, n, at)	short_pread(fd, p, n, at)
#define nanosleep(t, rest)	((void)(t), (void)(rest))
#include "../../mailbox.c"
#include "../lines.h"
#include "../real.h"

static struct mbox box;

static void
check_message(size_t i, const struct mail *mail)
{
	struct bytes got = { NULL, 0, 0 };
	struct reading reading = { .left = box.msg[i].size };
	struct piece piece;
	char uid[UID_OCTETS];
	int r;

	CHECK((size_t)box.msg[i].size == mail->sent.len);
	CHECK(mbox_uid(&box, i, uid) == 0);
	CHECK(strcmp(uid, mail->id) == 0);
	CHECK(mbox_seek(&box, i) == MBOX_OK);
	while ((r = next_line(&box, &reading, &piece)) == 1) {
		add(&got, piece.p, piece.len);
		if (piece.eol)
			add_text(&got, "\r\n");
	}
	CHECK(r == 0);
	CHECK(is_same(&got, &mail->sent));
	drop(&got);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes after = { NULL, 0, 0 };
	struct maildrop d;
	enum mbox_result r;
	size_t i;

	at_once = take_number(&data, &size);
	reads = 0;
	write_whole(path_of("alice"), data, size);
	d = parse(data, size, MESSAGES_MAX);
	CHECK(mbox_open(&box, path_of("alice"), getuid()) == MBOX_OK);
	r = mbox_load(&box);
	CHECK(r == (d.is_mbox ? MBOX_OK : MBOX_PERM));
	CHECK(box.n == d.n);
	for (i = 0; i < d.n; i++)
		check_message(i, &d.mail[i]);
	for (i = d.n; i-- > 0; )
		check_message(i, &d.mail[i]);
	mbox_close(&box);
	read_whole(path_of("alice"), &after);
	CHECK(after.len == size && find(after.p, size, data, size) == 0);
	CHECK(!exists(path_of("alice.lock")));
	drop(&after);
	drop_maildrop(&d);
	return 0;
}
