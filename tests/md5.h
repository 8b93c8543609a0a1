/* One context to its end, and the digest as octets. Behind the include. */
static void
md5_final(struct md5 *m, unsigned char d[16])
{
	int i;

	md5_finish(m, 1);
	for (i = 0; i < 16; i++)
		d[i] = (unsigned char)(m->state[i / 4] >> 8 * (i % 4));
}
