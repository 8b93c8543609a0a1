/*
 * Octets, files, stand-ins and slow readings for the fuzz targets.
 */
#include <ctype.h>

#include "../../pop3.h"
#include "fuzz.h"

void
fault(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

void
add(struct bytes *b, const void *p, size_t len)
{
	if (b->room - b->len <= len) {
		b->room = 2 * (b->room + len) + 64;
		b->p = realloc(b->p, b->room);
		CHECK(b->p != NULL);
	}
	if (len > 0)
		memcpy(b->p + b->len, p, len);
	b->len += len;
	b->p[b->len] = '\0';
}

void
add_text(struct bytes *b, const char *text)
{
	add(b, text, strlen(text));
}

int
is_same(const struct bytes *a, const struct bytes *b)
{
	return a->len == b->len &&
	    (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

void
drop(struct bytes *b)
{
	free(b->p);
	memset(b, 0, sizeof(*b));
}

size_t
find(const unsigned char *p, size_t len, const void *what, size_t n)
{
	const unsigned char *q = p;

	if (n == 0)
		return 0;
	for (; (size_t)(p + len - q) >= n; q++) {
		q = memchr(q, *(const unsigned char *)what,
		    (size_t)(p + len - q) - n + 1);
		if (q == NULL)
			break;
		if (memcmp(q, what, n) == 0)
			return (size_t)(q - p);
	}
	return len;
}

static char dir[512];
static pid_t maker;

static void
remove_dir(void)
{
	static const char *const names[] = { "alice", "alice.lock", "index",
	    "passwd" };
	size_t i;

	if (getpid() != maker)
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	if (chdir("/") == 0)
		rmdir(dir);
}

const char *
path_of(const char *name)
{
	static char room[4][600];
	static unsigned next;
	const char *tmp = getenv("TMPDIR");
	char *path = room[next++ % 4];

	if (maker != getpid()) {
		snprintf(dir, sizeof(dir), "%s/pop3d-fuzz.XXXXXX",
		    tmp != NULL ? tmp : "/tmp");
		CHECK(mkdtemp(dir) != NULL);
		maker = getpid();
		atexit(remove_dir);
	}
	snprintf(path, sizeof(room[0]), "%s/%s", dir, name);
	return path;
}

const char *
write_whole(const char *path, const void *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd != -1);
	CHECK(len == 0 || write(fd, p, len) == (ssize_t)len);
	close(fd);
	return path;
}

void
read_whole(const char *path, struct bytes *b)
{
	unsigned char room[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	CHECK(fd != -1);
	b->len = 0;
	while ((n = read(fd, room, sizeof(room))) > 0)
		add(b, room, (size_t)n);
	CHECK(n == 0);
	close(fd);
}

int
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

struct bytes
take_field(const uint8_t **data, size_t *size)
{
	struct bytes field = { NULL, 0, 0 };
	size_t len = 0;

	while (len < *size && !((len == 0 || (*data)[len - 1] == '\n') &&
	    *size - len >= 4 && memcmp(*data + len, "%%%\n", 4) == 0))
		len++;
	add(&field, *data, len);
	len += len < *size ? 4 : 0;
	*data += len;
	*size -= len;
	return field;
}

unsigned
take_number(const uint8_t **data, size_t *size)
{
	unsigned n;

	if (*size == 0)
		return 0;
	n = (*data)[0] - (unsigned)'0';
	++*data;
	--*size;
	return n & 63;
}

char *
fake_crypt(const char *secret, const char *setting)
{
	static char hash[300], failed[] = "*0";

	if (strncmp(setting, "$1$", 3) != 0)
		return *setting == '$' ? NULL : failed;
	snprintf(hash, sizeof(hash), "$1$%s", secret);
	return hash;
}

void
no_log(int level, const char *format, ...)
{
	(void)level, (void)format;
}

unsigned nwaits;

int
count_wait(const struct timespec *t)
{
	CHECK(t->tv_sec <= 3 && (t->tv_sec < 3 || t->tv_nsec == 0));
	nwaits++;
	return 0;
}

int
slow_base64(const char *text, char *to)
{
	static const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	int n = 0, i, k, pad;
	long bits;
	const char *d;

	if (strlen(text) % 4 != 0)
		return -1;
	for (; *text != '\0'; text += 4) {
		for (bits = 0, pad = 0, i = 0; i < 4; i++) {
			d = strchr(digits, text[i]);
			if (text[i] == '=' && i >= 2 && text[4] == '\0')
				pad++;
			else if (d == NULL || pad > 0)
				return -1;
			bits = bits * 64 + (d == NULL ? 0 : d - digits);
		}
		for (k = 2; k >= pad; k--)
			to[n++] = (char)(bits >> 8 * k & 255);
		for (k = 0; k < pad; k++)
			if ((bits >> 8 * k & 255) != 0)
				return -1;
	}
	return n;
}

/* A field of at least min and at most 255 octets, up to a NUL or the end. */
static int
copy_plain(const char **p, const char *end, size_t min, char field[256])
{
	size_t len = 0;

	while (*p + len < end && (*p)[len] != '\0')
		len++;
	if (len < min || len > 255)
		return 0;
	memcpy(field, *p, len);
	field[len] = '\0';
	*p += len;
	return 1;
}

int
slow_plain(const char *text, struct attempt *t)
{
	char message[1100], role[256], name[256];
	const char *p = message, *end;
	int n;

	CHECK(strlen(text) <= sizeof(message));
	n = slow_base64(text, message);
	memset(t, 0, sizeof(*t));
	end = message + (n > 0 ? n : 0);
	if (n <= 0 || !copy_plain(&p, end, 0, role) || p++ == end ||
	    !copy_plain(&p, end, 1, name) || p++ == end ||
	    !copy_plain(&p, end, 1, t->secret) || p != end)
		return 0;
	t->mechanism = *role == '\0' || strcmp(role, name) == 0 ? AUTH_PASS :
	    AUTH_NEVER;
	/* one octet too many is enough to be nobody's */
	snprintf(t->user, sizeof(t->user), "%.129s", name);
	return 1;
}

int
may_be_name(const char *name)
{
	const char *p;

	for (p = name; *p != '\0'; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		    (*p >= '0' && *p <= '9') || memchr("._@+-", *p, 5)))
			return 0;
	return p > name && p - name <= 128 && *name != '.' && *name != '-' &&
	    !(p - name >= 5 && memcmp(p - 5, ".lock", 5) == 0);
}

const char *
account_of(const char *name)
{
	static const char *const known[] = { "alice", "bob" };
	char small[130], *p;
	size_t i;

	snprintf(small, sizeof(small), "%s", name);
	for (p = small; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	if (!may_be_name(small))
		return NULL;
	small[strcspn(small, "@")] = '\0';
	for (i = 0; i < 2; i++)
		if (strcmp(small, known[i]) == 0)
			return known[i];
	return NULL;
}
