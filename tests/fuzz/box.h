/*
 * mailbox.c, in which nobody naps, and one mailbox. Included behind what a
 * target puts in the place of other calls.
 */
#define nanosleep(t, rest)	((void)(t), (void)(rest))
#include "../../mailbox.c"
#include "../lines.h"
#include "../real.h"

static struct mbox box;

/*
 * Read a message of a file of that many octets: its lines end, and it is the
 * reference's mail. Without one, it may be gone, too.
 */
static void
check_message(size_t i, const struct mail *mail, size_t file)
{
	struct bytes got = { NULL, 0, 0 };
	struct reading reading;
	struct piece piece;
	char uid[UID_OCTETS];
	int r;

	CHECK(mbox_uid(&box, i, uid) == MBOX_OK);
	if (mbox_seek(&box, i) == MBOX_OK) {
		CHECK(box.msg[i].size / 2 <= (off_t)file + 2);
		reading = (struct reading){ .left = box.msg[i].size };
		while ((r = next_line(&box, &reading, &piece)) == 1) {
			add(&got, piece.p, piece.len);
			if (piece.eol)
				add_text(&got, "\r\n");
		}
		CHECK(mail == NULL || (r == 0 && is_same(&got, &mail->sent) &&
		    (size_t)box.msg[i].size == mail->sent.len));
	} else
		CHECK(mail == NULL);
	CHECK(mail == NULL || strcmp(uid, mail->id) == 0);
	drop(&got);
}
