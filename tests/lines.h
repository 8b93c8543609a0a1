/*
 * What mbox_read gives, line by line: for tests of mailbox.c that want a message
 * as it is sent, without pop3.c. Needs pop3.h.
 */
struct piece {
	const unsigned char *p;	/* valid until mbox_read is called again */
	size_t len;		/* octets without a line end */
	int eol;		/* a line ends behind it */
};

struct reading {
	off_t left;		/* set to the message's size behind mbox_seek */
	const unsigned char *p;	/* read, and not given yet */
	size_t len;
};

/* The next line, or a piece of one: 1, or 0 at the end, or -1. */
static int
next_line(struct mbox *m, struct reading *r, struct piece *out)
{
	const unsigned char *lf;
	size_t taken;

	if (r->left <= 0)
		return r->left == 0 ? 0 : -1;
	if (r->len == 0 && (mbox_read(m, &r->p, &r->len) != 0 || r->len == 0 ||
	    r->len > PIECE_MAX))
		return -1;
	lf = memchr(r->p, '\n', r->len);
	out->p = r->p;
	out->eol = lf != NULL;
	out->len = lf != NULL ? (size_t)(lf - r->p) : r->len;
	taken = out->len + (lf != NULL);
	r->p += taken;
	r->len -= taken;
	if (lf != NULL && out->len > 0 && lf[-1] == '\r')
		out->len--;
	r->left -= (off_t)out->len + 2 * out->eol;
	return r->left < 0 ? -1 : 1;
}
