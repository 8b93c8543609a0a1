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
#include "box.h"

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
		check_message(i, &d.mail[i], size);
	for (i = d.n; i-- > 0; )
		check_message(i, &d.mail[i], size);
	mbox_close(&box);
	read_whole(path_of("alice"), &after);
	CHECK(after.len == size && find(after.p, size, data, size) == 0);
	CHECK(!exists(path_of("alice.lock")));
	drop(&after);
	drop_maildrop(&d);
	return 0;
}
