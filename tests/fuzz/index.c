/*
 * A session with an index that is old, torn or made by somebody: what it shows
 * and sends is the reference's, or belongs to the file at least, and what it
 * does not name stays.
 *
 * Input: a mailbox; what is behind it at the second login, if the number in
 * front is even, else the whole mailbox then; octets that are laid over the
 * index, which gets a right sum for it if the number is above 3.
 */
#define MBOX_BUFFER	1024
#define MESSAGES_MAX	24

#include "../../pop3.h"
#include "fuzz.h"

/* All files are old. */
static int
later_clock(clockid_t id, struct timespec *t)
{
	int r = clock_gettime(id, t);

	t->tv_sec += 10;
	return r;
}

#define clock_gettime(id, t)	later_clock(id, t)
#include "box.h"

static enum mbox_result
load(void)
{
	CHECK(mbox_open(&box, path_of("alice"), getuid()) == MBOX_OK);
	mbox_index(&box, path_of("index"), getuid());
	CHECK(box.index != -1);
	return mbox_load(&box);
}

static void
write_box(const struct bytes *b, time_t when)
{
	struct timespec t[2] = { { when, 0 }, { when, 0 } };

	write_whole(path_of("alice"), b->p, b->len);
	CHECK(utimensat(AT_FDCWD, path_of("alice"), t, 0) == 0);
}

/* Lay octets over the index, but not over what says that it is one. */
static void
spoil_index(const struct bytes *with, int with_sum)
{
	struct bytes index = { NULL, 0, 0 };
	struct mbox m = box;
	uint64_t head[HEAD];
	size_t i;

	read_whole(path_of("index"), &index);
	for (i = 0; i < with->len && i + 8 < index.len; i++)
		index.p[i + 8] ^= with->p[i];
	m.n = index.len < sizeof(head) ? 0 : (index.len - sizeof(head)) /
	    sizeof(struct message);
	m.msg = malloc(m.n * sizeof(*m.msg) + 1);
	CHECK(m.msg != NULL);
	if (with_sum && index.len >= sizeof(head)) {
		memcpy(m.msg, index.p + sizeof(head), m.n * sizeof(*m.msg));
		describe(&m, head);
		memcpy(index.p + SUM * 8, &head[SUM], 8);
	}
	free(m.msg);
	write_whole(path_of("index"), index.p, index.len);
	drop(&index);
}

/* Whether a mailbox may have folder data, which hides where it comes first. */
static int
has_folder_data(const struct maildrop *d)
{
	size_t i, k;

	for (i = 0; i < d->n; i++)
		for (k = 0; k + 8 < d->mail[i].sent.len; k++)
			if (strncasecmp((char *)d->mail[i].sent.p + k,
			    "INTERNAL", 8) == 0)
				return 1;
	return 0;
}

/* Delete the first; every message that has another id than it stays. */
static void
delete_first(const struct maildrop *d)
{
	struct bytes after = { NULL, 0, 0 };
	struct maildrop left;
	char hash[17];
	size_t i, k;

	snprintf(hash, sizeof(hash), "%016llx",
	    (unsigned long long)box.msg[0].hash);
	box.msg[0].deleted = 1;
	mbox_update(&box);
	read_whole(path_of("alice"), &after);
	left = parse(after.p, after.len, MESSAGES_MAX);
	for (i = k = 0; i < d->n; i++) {
		/* what is sent may be the same, but for the "From " line */
		if (k < left.n && strcmp(d->mail[i].hash, left.mail[k].hash) ==
		    0 && is_same(&d->mail[i].sent, &left.mail[k].sent))
			k++;
		else
			CHECK(strcmp(d->mail[i].hash, hash) == 0 ||
			    left.n == MESSAGES_MAX);
	}
	drop(&after);
	drop_maildrop(&left);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned how = take_number(&data, &size);
	struct bytes one = take_field(&data, &size);
	struct bytes two = take_field(&data, &size), second = { NULL, 0, 0 };
	struct bytes with = take_field(&data, &size);
	int exact = how % 2 == 0 && (with.len == 0 || how < 4);
	struct maildrop d;
	enum mbox_result r;
	size_t i;

	write_whole(path_of("index"), "", 0);
	write_box(&one, 1000000000);
	load();
	mbox_close(&box);
	spoil_index(&with, how > 3);
	if (how % 2 == 0)
		add(&second, one.p, one.len);
	add(&second, two.p, two.len);
	write_box(&second, 1000000001);
	d = parse(second.p, second.len, MESSAGES_MAX);
	r = load();
	if (exact) {
		CHECK(r == (d.is_mbox ? MBOX_OK : MBOX_PERM));
		CHECK(box.n == d.n);
	}
	for (i = 0; i < box.n; i++)
		check_message(i, exact ? &d.mail[i] : NULL, second.len);
	if (r == MBOX_OK && box.n > 0 && d.is_mbox && !has_folder_data(&d))
		delete_first(&d);
	mbox_close(&box);
	CHECK(!exists(path_of("alice.lock")));
	drop_maildrop(&d);
	drop(&one);
	drop(&two);
	drop(&second);
	drop(&with);
	return 0;
}
