/*
 * A disk that may stop at any moment: it keeps all versions that each sector has
 * had since the last fsync, and all sizes of the file. Any may be found then.
 * And what goes wrong with the calls that change the file.
 *
 * In front of it stand the octets of a DISK, SECTOR_MAX, and how many SECTORS,
 * VERSIONS and SIZES there may be; and give_up, for what does not fit.
 */
static size_t sector = SECTOR_MAX;

/* How much is written of len octets that do not lie in one sector. */
static size_t shorten(size_t len);

static struct {
	unsigned char now[DISK];	/* as the kernel has it */
	size_t size;
	size_t most;			/* octets the file had at most */
	struct sector {
		size_t n;
		int stuck;		/* an fsync failed: not even that helps */
		unsigned char version[VERSIONS][SECTOR_MAX];	/* [0]: synced */
	} s[SECTORS];
	struct { size_t size; unsigned char end[2]; time_t when; } sizes[SIZES];
	size_t nsizes;
	time_t when;			/* for what is written */
	size_t dirty[SECTORS];		/* what has more than one version */
	size_t ndirty;
} disk;

/* The file before UPDATE and after it: whether no empty line is at its end. */
static struct ending {
	size_t size;
	int open;
} before, after;

/* What goes wrong, and how far it is. */
static struct {
	size_t calls;			/* so far */
	size_t fail_at, fail_until;	/* these calls fail, from 1 */
	int error;
	int spill;		/* half of what fails is written before */
	size_t limit;		/* the file cannot be longer, or 0 */
	int at_sync;		/* and only fsync notices */
	int grows;		/* a write that fails makes the file longer, */
	int longer;		/* and has done so */
	int copies;		/* a sector needs room when first written on, */
	size_t room;		/* and there is room for so many */
	unsigned char own[SECTORS];	/* those that had theirs */
} fault;

static void
add_size(size_t size)
{
	size_t n = disk.nsizes;

	if (n > 0 && disk.sizes[n - 1].size == size)
		return;
	if (n == SIZES)
		give_up("too many sizes");
	disk.sizes[n].size = size;
	disk.sizes[n].when = disk.when;
	memcpy(disk.sizes[n].end, disk.now + (size < 2 ? 0 : size - 2), 2);
	disk.nsizes++;
}

static void
add_version(size_t i)
{
	const unsigned char *p = disk.now + i * sector;
	struct sector *s = &disk.s[i];
	size_t k;

	s->stuck = 0;
	for (k = 0; k < s->n; k++)
		if (memcmp(s->version[k], p, sector) == 0)
			return;
	if (s->n == VERSIONS)
		give_up("too many versions");
	memcpy(s->version[s->n++], p, sector);
}

/* What nobody has written yet is a hole. */
static void
lengthen(size_t size)
{
	size_t i;

	if (size > DISK - SECTOR_MAX)
		give_up("the disk is too small");
	for (i = (disk.most + sector - 1) / sector; i * sector < size; i++) {
		disk.s[i].n = 1;
		memset(disk.s[i].version[0], 0, sector);
	}
	if (size > disk.most)
		disk.most = size;
	disk.size = size;
	add_size(size);
}

/* What makes a file longer does so sector by sector, or at once. */
static void
put_on_disk(const void *p, size_t len, size_t at, int at_once)
{
	size_t i;

	memcpy(disk.now + at, p, len);
	for (i = at / sector + 1; !at_once && i * sector < at + len; i++)
		if (i * sector > disk.size)
			lengthen(i * sector);
	if (at + len > disk.size)
		lengthen(at + len);
	for (i = at / sector; i * sector < at + len; i++)
		add_version(i);
}

/* What was cut off is seen again only if the disk has the old size. */
static void
cut_disk(size_t size)
{
	if (size < disk.size)
		memset(disk.now + size, 0, disk.size - size);
	disk.size = size;
	add_size(size);
}

/* An fsync that worked: 1 if nothing is stuck. */
static int
sync_disk(void)
{
	size_t i, stuck = 0;

	for (i = 0; i * sector < disk.most; i++) {
		stuck += disk.s[i].stuck != 0;
		if (!disk.s[i].stuck) {
			disk.s[i].n = 0;
			add_version(i);
		}
	}
	disk.nsizes = 0;
	add_size(disk.size);
	return stuck == 0;
}

static void
make_disk(const unsigned char *p, size_t size)
{
	size_t i;

	memset(disk.now, 0, disk.most + sector);
	memcpy(disk.now, p, size);
	disk.size = size;
	if (size > disk.most)
		disk.most = size;
	for (i = 0; i * sector < disk.most; i++)
		disk.s[i].stuck = 0;
	sync_disk();
	disk.most = size;
}

/* ---- What it may hold ---- */

static void
list_dirty(void)
{
	size_t i;

	disk.ndirty = 0;
	for (i = 0; i * sector < disk.most; i++)
		if (disk.s[i].n > 1)
			disk.dirty[disk.ndirty++] = i;
}

static void
put_synced(unsigned char *image)
{
	size_t i;

	for (i = 0; i * sector < disk.most; i++)
		memcpy(image + i * sector, disk.s[i].version[0], sector);
}

/* Over that, version which[i] of the i-th dirty sector; 0 is the synced one. */
static void
put_versions(unsigned char *image, const size_t *which)
{
	size_t i;

	for (i = 0; i < disk.ndirty; i++)
		memcpy(image + disk.dirty[i] * sector,
		    disk.s[disk.dirty[i]].version[which[i]], sector);
}

/* The next choice of versions, from the synced ones on; 0: it is those again. */
static int
next_choice(size_t *which)
{
	size_t i;

	for (i = 0; i < disk.ndirty; i++) {
		which[i] = (which[i] + 1) % disk.s[disk.dirty[i]].n;
		if (which[i] != 0)
			return 1;
	}
	return 0;
}

/*
 * Whether what is appended to this image need not be a message: the file ends
 * as it did, or as it will, without an empty line; or the disk has this size and
 * not the octets that were at the end then, which are in written. (Few file
 * systems write a size first, and then for an instant. A file that a failed write
 * over NFS made longer has that length in one host's memory.)
 */
static int
may_be_shut(const unsigned char *p, size_t size, const unsigned char *written)
{
	return (before.open && size == before.size) ||
	    (after.open && size == after.size) ||
	    (fault.longer && p[size - 1] == '\0') ||
	    (written != NULL && size >= 2 &&
	    memcmp(p + size - 2, written, 2) != 0);
}

static int
has(const unsigned char *p, size_t size, const char *text)
{
	size_t len = strlen(text), i;

	for (i = 0; i + len <= size; i++)
		if (memcmp(p + i, text, len) == 0)
			return 1;
	return 0;
}

static uint64_t
sum(uint64_t h, const unsigned char *p, size_t len)
{
	while (len-- > 0)
		h = (h ^ *p++) * 1099511628211u;
	h ^= h >> 31;
	h *= 0xbf58476d1ce4e5b9u;
	return h ^ h >> 29;
}

/* ---- The calls ---- */

static int
is_failing(void)
{
	fault.calls++;
	errno = fault.error;
	return fault.calls >= fault.fail_at && fault.calls < fault.fail_until;
}

/* How much can be written where sectors are shared with another file. */
static size_t
find_room(size_t at, size_t len)
{
	size_t i = at / sector;

	for (; i * sector < at + len; i++) {
		if (!fault.own[i] && fault.room == 0)
			break;
		fault.room -= !fault.own[i];
		fault.own[i] = 1;
	}
	if (i * sector >= at + len)
		return len;
	return i * sector > at ? i * sector - at : 0;
}

/* A disk writes a sector whole or not at all: what lies in one is not cut. */
static int
is_one_sector(size_t at, size_t len)
{
	return at / sector == (at + len - 1) / sector;
}

/* A call of pwrite: how much of it is written; 0: it fails. */
static size_t
take_write(size_t at, size_t len)
{
	int whole = is_one_sector(at, len);

	if (is_failing()) {
		if (!fault.spill || whole)
			return 0;
		/* a short write now, and the error at the next call */
		fault.spill = 0;
		fault.fail_at++;
		fault.fail_until++;
		len /= 2;
	}
	if (!whole)
		len = shorten(len);
	if (fault.limit > 0 && !fault.at_sync && at + len > fault.limit) {
		if (at >= fault.limit || whole)
			return 0;
		len = fault.limit - at;
	}
	return fault.copies ? find_room(at, len) : len;
}

/* A call of fsync: whether it fails. */
static int
is_sync_failing(size_t size)
{
	return is_failing() || (fault.at_sync && size > fault.limit);
}
