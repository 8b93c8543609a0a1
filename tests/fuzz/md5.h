/* In place of the MD5 of mailbox.c: the slow one of the reference. */

void
md5_init(struct md5 *m)
{
	m->held_len = 0;
}

void
md5_update(struct md5 *m, const void *data, size_t len)
{
	CHECK(len <= sizeof(m->held) - m->held_len);
	memcpy(m->held + m->held_len, data, len);
	m->held_len += len;
}

void
md5_finish(struct md5 *m, size_t n)
{
	char hex[33], digit[3] = "";
	size_t i;

	CHECK(n == 1);
	slow_md5(m->held, m->held_len, hex);
	for (m->state[0] = m->state[1] = m->state[2] = m->state[3] = 0, i = 0;
	    i < 16; i++) {
		memcpy(digit, hex + 2 * i, 2);
		m->state[i / 4] |= (uint32_t)strtoul(digit, NULL, 16) <<
		    8 * (i % 4);
	}
}
