/*
 * The mbox as the design has it, once more and as slowly as it is said there:
 * the file is cut into lines, lines into messages, and each message is written
 * out as a client gets it.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fuzz.h"

/* RFC 1321, section 3: from sines, with one formula for all steps. */
void
slow_md5(const unsigned char *p, size_t len, char hex[33])
{
	static const unsigned turn[4][4] = { { 7, 12, 17, 22 }, { 5, 9, 14, 20 },
	    { 4, 11, 16, 23 }, { 6, 10, 15, 21 } };
	static uint32_t sine[64];
	uint32_t h[4] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 };
	uint32_t a, b, c, d, f, x, t;
	struct bytes text = { NULL, 0, 0 };
	size_t at, i, g;
	unsigned char octet;

	for (i = 0; sine[63] == 0 && i < 64; i++)
		sine[i] = (uint32_t)floor(fabs(sin((double)i + 1)) *
		    4294967296.0);
	add(&text, p, len);
	for (octet = 0x80; text.len % 64 != 56 || octet != 0; octet = 0)
		add(&text, &octet, 1);
	for (i = 0; i < 8; i++) {
		octet = (unsigned char)((uint64_t)len * 8 >> 8 * i);
		add(&text, &octet, 1);
	}
	for (at = 0; at < text.len; at += 64) {
		a = h[0], b = h[1], c = h[2], d = h[3];
		for (i = 0; i < 64; i++) {
			f = i < 16 ? (b & c) | (~b & d) :
			    i < 32 ? (d & b) | (~d & c) :
			    i < 48 ? b ^ c ^ d : c ^ (b | ~d);
			g = i < 16 ? i : i < 32 ? 5 * i + 1 :
			    i < 48 ? 3 * i + 5 : 7 * i;
			for (x = 0, t = 4; t-- > 0; )
				x = x << 8 | text.p[at + g % 16 * 4 + t];
			f += a + sine[i] + x;
			t = turn[i / 16][i % 4];
			a = d, d = c, c = b;
			b += f << t | f >> (32 - t);
		}
		h[0] += a, h[1] += b, h[2] += c, h[3] += d;
	}
	for (i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x",
		    (unsigned)(h[i / 4] >> 8 * (i % 4) & 255));
	drop(&text);
}

/* A line of the file, its end included. */
struct line {
	const unsigned char *p;
	size_t len;
};

static int
has_end(struct line l)
{
	return l.len > 0 && l.p[l.len - 1] == '\n';
}

static int
is_empty(struct line l)
{
	return has_end(l) && (l.len == 1 || (l.len == 2 && *l.p == '\r'));
}

static int
starts(struct line l, const char *text)
{
	return l.len >= strlen(text) &&
	    strncasecmp((const char *)l.p, text, strlen(text)) == 0;
}

/* Whether a text has a month as a word, or a date in digits, behind a space. */
static int
has_date(const char *text)
{
	static const char months[] = " Jan Feb Mar Apr May Jun Jul Aug Sep Oct "
	    "Nov Dec ";
	char word[6];
	int n;

	for (; (text = strchr(text, ' ')) != NULL; text++) {
		snprintf(word, sizeof(word), "%.4s ", text);
		if (strlen(word) == 5 && strchr(word + 1, ' ') == word + 4 &&
		    strstr(months, word) != NULL &&
		    !isalpha((unsigned char)text[4]))
			return 1;
		n = 0;
		sscanf(text, " %*4[0-9]-%*2[0-9]-%*2[0-9]%n", &n);
		if (n == 11 && isdigit((unsigned char)text[1]))
			return 1;
	}
	return 0;
}

/* Whether a message starts at a line behind an empty one. */
static int
is_postmark(struct line l)
{
	char text[1001], before[1001];
	size_t i, len = l.len < 1000 ? l.len : 1000;
	int hour, digits, n;

	memset(text, 0, sizeof(text));
	for (i = 0; i < len; i++)
		text[i] = l.p[i] == '\0' ? '.' : (char)l.p[i];
	if (strncmp(text, "From ", 5) != 0)
		return 0;
	for (i = 5; i < len; i++)
		for (digits = 1; digits <= 2; digits++) {
			for (hour = 0; hour < digits &&
			    isdigit((unsigned char)text[i + 1 + (size_t)hour]);
			    hour++)
				;
			n = -1;
			if (text[i] != ' ' || hour != digits ||
			    sscanf(text + i + 1 + digits, ":%*1[0-9]%*1[0-9]%n",
			    &n) == EOF || n != 3)
				continue;
			snprintf(before, sizeof(before), "%.*s", (int)i + 1,
			    text);
			if (has_date(before))
				return 1;
		}
	return 0;
}

/* Whether an empty line ends the message with this "From " line. */
static int
is_separator(struct line l, struct line from)
{
	return is_empty(l) && (l.len == 1 || (has_end(from) && from.len > 1 &&
	    from.p[from.len - 2] == '\r'));
}

/* As it is sent: CRLF behind it, whatever was. */
static void
add_line(struct bytes *b, struct line l)
{
	if (has_end(l)) {
		l.len--;
		if (l.len > 0 && l.p[l.len - 1] == '\r')
			l.len--;
	}
	add(b, l.p, l.len);
	add_text(b, "\r\n");
}

/* Header lines that mail readers rewrite. */
static int
is_unstable(struct line l)
{
	return starts(l, "Status:") || starts(l, "X-Status:") ||
	    starts(l, "X-UID:") || starts(l, "X-IMAP:") ||
	    starts(l, "X-IMAPbase:") || starts(l, "X-Keywords:") ||
	    starts(l, "Content-Length:") || starts(l, "Lines:");
}

/* The unique-id of a message, of whose lines h are header, "From " included. */
static void
hash_mail(struct mail *m, const struct line *l, size_t h)
{
	struct bytes set = { NULL, 0, 0 }, all = { NULL, 0, 0 };
	int received = 0, id = 0, in_set = 0, in_all = 0;
	char number[24], hex[33];
	const char *p;
	size_t i;

	add(&all, l[0].p, l[0].len);
	for (i = 1; i < h; i++) {
		if (*l[i].p != ' ' && *l[i].p != '\t') {
			in_set = starts(l[i], "Delivered-To:") ||
			    (starts(l[i], "X-Delivery-ID:") && *l[i].p == 'X');
			if (!received && (starts(l[i], "Received:") ||
			    starts(l[i], "Date:") ||
			    starts(l[i], "Message-ID:")))
				in_set = 1;
			received |= starts(l[i], "Received:");
			id |= starts(l[i], "Message-ID:");
			in_all = !is_unstable(l[i]);
		}
		if (in_set)
			add(&set, l[i].p, l[i].len);
		if (in_all)
			add(&all, l[i].p, l[i].len);
	}
	snprintf(number, sizeof(number), "%lu",
	    (unsigned long)(m->sent.len - m->header));
	add_text(&all, number);
	if (received || id)
		slow_md5(set.p, set.len, hex);
	else
		slow_md5(all.p, all.len, hex);
	for (p = "3210" "7654", i = 0; *p != '\0'; p++, i += 2)
		memcpy(m->hash + i, hex + 2 * (*p - '0'), 2);
	m->hash[16] = '\0';
	drop(&set);
	drop(&all);
}

/* Whether a message is the folder data of UW or Dovecot. */
static int
is_folder_data(const struct line *l, size_t h)
{
	int base = 0, subject = 0, received = 0;
	size_t i;

	for (i = 1; i < h; i++) {
		base |= starts(l[i], "X-IMAP:") || starts(l[i], "X-IMAPbase:");
		subject |= starts(l[i], "Subject: DON'T DELETE THIS MESSAGE -- "
		    "FOLDER INTERNAL DATA");
		received |= starts(l[i], "Received:");
	}
	return base && subject && !received;
}

/* Take a message of n lines: 0 if it is not to be shown. */
static int
take_mail(struct maildrop *d, const struct line *l, size_t n, int first,
    const unsigned char *file)
{
	struct mail m;
	size_t i, h, same = 1;

	memset(&m, 0, sizeof(m));
	m.start = (size_t)(l[0].p - file);
	m.end = (size_t)(l[n - 1].p - file) + l[n - 1].len;
	for (h = 1; h < n && !is_empty(l[h]); h++)
		add_line(&m.sent, l[h]);
	add_text(&m.sent, "\r\n");
	m.header = m.sent.len;
	for (i = h + 1; i < n && !(i == n - 1 && is_separator(l[i], l[0])); i++)
		add_line(&m.sent, l[i]);
	if (first && is_folder_data(l, h)) {
		drop(&m.sent);
		return 0;
	}
	hash_mail(&m, l, h);
	for (i = 0; i < d->n; i++)
		same += strcmp(d->mail[i].hash, m.hash) == 0;
	snprintf(m.id, sizeof(m.id), same > 1 ? "%s-%lu" : "%s", m.hash,
	    (unsigned long)same);
	d->mail = realloc(d->mail, (d->n + 1) * sizeof(m));
	CHECK(d->mail != NULL);
	d->mail[d->n++] = m;
	return 1;
}

struct maildrop
parse(const unsigned char *p, size_t len, size_t max)
{
	struct maildrop d = { 1, 0, NULL };
	struct line *l = malloc((len + 1) * sizeof(*l));
	size_t n, i, k, at;
	int first = 1;

	CHECK(l != NULL);
	for (n = at = 0; at < len; at += l[n++].len) {
		l[n].p = p + at;
		for (k = at; k < len && p[k] != '\n'; k++)
			;
		l[n].len = (k < len ? k + 1 : k) - at;
	}
	for (i = 0; i < n && is_empty(l[i]); i++)
		;
	if (i < n && (l[i].len < 5 || memcmp(l[i].p, "From ", 5) != 0))
		d.is_mbox = 0;
	for (; d.is_mbox && i < n && d.n < max; i = k) {
		for (k = i + 1; k < n && !(is_separator(l[k - 1], l[i]) &&
		    is_postmark(l[k])); k++)
			;
		take_mail(&d, l + i, k - i, first, p);
		first = 0;
	}
	free(l);
	return d;
}

void
drop_maildrop(struct maildrop *d)
{
	while (d->n > 0)
		drop(&d->mail[--d->n].sent);
	free(d->mail);
	d->mail = NULL;
}
