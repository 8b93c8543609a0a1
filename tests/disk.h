/*
 * A disk that may stop at any moment: it keeps all versions that each sector has
 * had since the last fsync, and all sizes of the file. Any may be found then.
 *
 * In front of it stand the octets of a DISK, SECTOR_MAX, and how many SECTORS,
 * VERSIONS and SIZES there may be; and disk_fault, for what does not fit.
 */
static size_t sector = SECTOR_MAX;

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
} disk;

static void
add_size(size_t size)
{
	size_t n = disk.nsizes;

	if (n > 0 && disk.sizes[n - 1].size == size)
		return;
	if (n == SIZES)
		disk_fault("too many sizes");
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
		disk_fault("too many versions");
	memcpy(s->version[s->n++], p, sector);
}

/* What nobody has written yet is a hole. */
static void
lengthen(size_t size)
{
	size_t i;

	if (size > DISK - SECTOR_MAX)
		disk_fault("the disk is too small");
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

/* The sectors that have more than one version. */
static size_t
list_dirty(size_t dirty[SECTORS])
{
	size_t i, n = 0;

	for (i = 0; i * sector < disk.most; i++)
		if (disk.s[i].n > 1)
			dirty[n++] = i;
	return n;
}
