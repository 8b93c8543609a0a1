/*
 * The file of -f: whatever is in it, who is let in, and with what ids and home,
 * must be what a slow reading of the file says.
 *
 * Input: a number: 1, started as root; the name that is typed; the secret; the
 * file. The fields end at lines that are %%%.
 *
 * Of auth.c no static is used, but as root: verify.
 */
#include "../../pop3.h"
#include "fuzz.h"

#include "../../mailbox.c"
#undef syslog
#define syslog			no_log
#define nanosleep(t, rest)	count_wait(t)
#define crypt			fake_crypt
#include "../../auth.c"
#include "../real.h"

/* ---- The slow reading ---- */

enum { LINE_ALLOWED = 2047, DIALOGUE_UID = 777 };

struct who {
	char home[256], hash[256];
	unsigned long uid, gid;
	int refused;		/* without ids, or with too long a hash */
};

/* Field n, up to a colon or the end, into room octets: 0 if it is too long. */
static int
copy_field(const char *line, unsigned n, char *to, size_t room)
{
	size_t len;

	for (; n > 0 && line != NULL; n--)
		line = strchr(line, ':') == NULL ? NULL :
		    strchr(line, ':') + 1;
	len = line == NULL ? 0 : strcspn(line, ":");
	if (len >= room)
		len = room;
	else
		room = len + 1;
	memcpy(to, line == NULL ? "" : line, room - 1);
	to[room - 1] = '\0';
	return len < room;
}

/* An id is decimal, not 0, and has a place in 32 bits. 0: it is none. */
static unsigned long
id_of(const char *line, unsigned n)
{
	char text[300];
	unsigned long long id = 0;
	size_t i;

	if (!copy_field(line, n, text, sizeof(text)))
		return 0;
	for (i = 0; text[i] != '\0'; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		id = id * 10 + (unsigned)(text[i] - '0');
		if (id >= 0xffffffff)
			return 0;
	}
	return (unsigned long)id;
}

/* Whether a line without its end is the account that is looked for. */
static int
is_account(const char *line, const char *name, int root, struct who *who)
{
	char field[200];

	memset(who, 0, sizeof(*who));
	if (*line == '#' || !copy_field(line, 0, field, sizeof(field)) ||
	    strcmp(field, name) != 0)
		return 0;
	who->uid = id_of(line, 2);
	who->gid = id_of(line, 3);
	if (!copy_field(line, 5, who->home, sizeof(who->home)) ||
	    who->home[0] != '/')
		who->home[0] = '\0';
	who->refused = !copy_field(line, 1, who->hash, sizeof(who->hash)) ||
	    (root && (who->uid == 0 || who->gid == 0));
	return 1;
}

static int
opens(const char *hash, const char *secret)
{
	const char *end = strchr(hash, '}'), *crypted;
	int plain = strncasecmp(hash, "{PLAIN}", 7) == 0;

	if (*hash == '{' && end != NULL)
		hash = end + 1;
	if (*hash == '\0' || (!plain && (*hash == '*' || *hash == '!')))
		return 0;
	crypted = plain ? secret : fake_crypt(secret, hash);
	return crypted != NULL && (plain || *crypted != '*') &&
	    strcmp(crypted, hash) == 0;
}

/*
 * The first line of the file that is the account, in who: 1. Lines that are too
 * long do not count, nor do those with a NUL.
 */
static int
look_up(const uint8_t *p, size_t size, const char *name, int root,
    struct who *who)
{
	char line[LINE_ALLOWED + 1];
	size_t len;
	int found = 0, end;

	for (; size > 0 && !found; p += len, size -= len) {
		end = (int)find(p, size, "\n", 1);
		len = (size_t)end + ((size_t)end < size);
		if (end > LINE_ALLOWED || memchr(p, '\0', len) != NULL)
			continue;
		memcpy(line, p, (size_t)end);
		line[end] = '\0';
		end = (int)strcspn(line, "\r\n");
		line[end] = '\0';
		found = is_account(line, name, root, who);
	}
	return found;
}

/*
 * The account that a name means: DESIGN, section 8. What is typed, the same in
 * small letters, and that without a domain; the account's name goes to name.
 */
static int
look_for(const uint8_t *p, size_t size, char *name, int root, struct who *who)
{
	char *c;

	if (!may_be_name(name) || look_up(p, size, name, root, who))
		return may_be_name(name);
	for (c = name; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 32;
	/* what was .LOCK makes it none now */
	if (!may_be_name(name) || look_up(p, size, name, root, who))
		return may_be_name(name);
	if ((c = strchr(name, '@')) != NULL)
		*c = '\0';
	return may_be_name(name) && look_up(p, size, name, root, who);
}

/* Have it verified by auth.c. */
static int
ask(struct auth *a, int root, const char *name, const char *secret,
    struct account *who)
{
	struct attempt t = { .mechanism = AUTH_PASS };
	int yes;

	snprintf(t.user, sizeof(t.user), "%s", name);
	snprintf(t.secret, sizeof(t.secret), "%s", secret);
	nwaits = 0;
	if (root)
		yes = verify(a, &t) == AUTH_YES;
	else {
		yes = auth_try(a, &t) == AUTH_YES;
		CHECK(t.user[0] == '\0' && t.mechanism == '\0');
	}
	*who = a->account;
	CHECK((int)nwaits == !yes);
	CHECK(t.secret[0] == '\0' && t.secret[strlen(secret)] == '\0');
	CHECK(yes == (who->name[0] != '\0'));
	return yes;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes typed, word;
	char name[NAME_OCTETS + 2], means[NAME_OCTETS + 2];
	char secret[FIELD_MAX + 1];
	struct auth a = { .ip = "local", .uid = DIALOGUE_UID };
	struct account got;
	struct who want;
	int root = take_number(&data, &size) & 1, found, yes;

	typed = take_field(&data, &size);
	word = take_field(&data, &size);
	snprintf(name, sizeof(name), "%.*s",
	    (int)find(typed.p, typed.len, "\n", 1), (char *)typed.p);
	snprintf(secret, sizeof(secret), "%.*s",
	    (int)find(word.p, word.len, "\n", 1), (char *)word.p);
	a.file = write_whole(path_of("passwd"), data, size);
	a.root = root;
	memcpy(means, name, sizeof(means));
	found = look_for(data, size, means, root, &want);
	yes = ask(&a, root, name, secret, &got);
	CHECK(yes == (found && !want.refused && opens(want.hash, secret) &&
	    !(root && want.uid == DIALOGUE_UID)));
	if (yes)
		CHECK(strcmp(got.name, means) == 0 &&
		    strcmp(got.home, want.home) == 0);
	if (yes && root)
		CHECK(got.uid == want.uid && got.gid == want.gid);
	drop(&typed);
	drop(&word);
	return 0;
}
