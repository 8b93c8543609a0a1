/* One context to its end, and the digest as octets. Behind the include. */
static void
md5_final(struct md5 *m, unsigned char d[16])
{
	int i;

	md5_finish(m, 1);
	for (i = 0; i < 16; i++)
		d[i] = (unsigned char)(m->state[i / 4] >> 8 * (i % 4));
}

/* What APOP answers to a greeting with a challenge, in hex; -1: it has none. */
static inline int
apop_digest(const char *greeting, const char *secret, char hex[33])
{
	const char *p = strchr(greeting, '<'), *end = strchr(greeting, '>');
	unsigned char d[16];
	struct md5 m;
	int i;

	if (p == NULL || end < p)
		return -1;
	md5_init(&m);
	md5_update(&m, p, (size_t)(end + 1 - p));
	md5_update(&m, secret, strlen(secret));
	md5_final(&m, d);
	for (i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", d[i]);
	return 0;
}
