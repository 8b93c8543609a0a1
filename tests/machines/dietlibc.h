/*
 * What dietlibc lacks of POSIX.1-2008, for `diet gcc -include` of this file:
 * struct stat with whole times, futimens, functions that set the effective ids,
 * and a setvbuf that takes a buffer of the caller's. For Linux alone.
 */
#include <time.h>

#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct posix_stat {
	dev_t st_dev;
	ino_t st_ino;
	mode_t st_mode;
	nlink_t st_nlink;
	uid_t st_uid;
	gid_t st_gid;
	off_t st_size;
	struct timespec st_mtim, st_ctim;
};

static inline int
posix_stat_from(int result, const struct stat *from, struct posix_stat *to)
{
	if (result == -1)
		return -1;
	to->st_dev = (dev_t)from->st_dev;
	to->st_ino = (ino_t)from->st_ino;
	to->st_mode = (mode_t)from->st_mode;
	to->st_nlink = (nlink_t)from->st_nlink;
	to->st_uid = (uid_t)from->st_uid;
	to->st_gid = (gid_t)from->st_gid;
	to->st_size = (off_t)from->st_size;
	to->st_mtim.tv_sec = (time_t)from->st_mtime;
	to->st_mtim.tv_nsec = (long)from->st_mtime_nsec;
	to->st_ctim.tv_sec = (time_t)from->st_ctime;
	to->st_ctim.tv_nsec = (long)from->st_ctime_nsec;
	return 0;
}

static inline int
posix_stat(const char *path, struct posix_stat *to)
{
	struct stat st;

	return posix_stat_from(stat(path, &st), &st, to);
}

static inline int
posix_lstat(const char *path, struct posix_stat *to)
{
	struct stat st;

	return posix_stat_from(lstat(path, &st), &st, to);
}

static inline int
posix_fstat(int fd, struct posix_stat *to)
{
	struct stat st;

	return posix_stat_from(fstat(fd, &st), &st, to);
}

/* The system call takes a descriptor alone; its wrapper is only that call. */
static inline int
posix_futimens(int fd, const struct timespec *t)
{
	return utimensat(fd, NULL, (struct timespec *)(size_t)t, 0);
}

static inline int
posix_seteuid(uid_t uid)
{
	return setreuid((uid_t)-1, uid);
}

static inline int
posix_setegid(gid_t gid)
{
	return setregid((gid_t)-1, gid);
}

/*
 * Its own forgets whose the buffer is, so that fclose frees what is nobody's to
 * free: on a stack, a page of that may be gone. A bit in the second word of a
 * FILE says it.
 */
static inline int
posix_setvbuf(FILE *f, char *buf, int mode, size_t len)
{
	int *head = (int *)(void *)f, r = setvbuf(f, buf, mode, len);

	head[1] |= 32;
	return r;
}

#undef seteuid
#undef setegid
#define seteuid		posix_seteuid
#define setegid		posix_setegid
#define stat		posix_stat
#define lstat		posix_lstat
#define fstat		posix_fstat
#define futimens	posix_futimens
#define setvbuf		posix_setvbuf
#undef st_mtime
#undef st_ctime
#define st_mtime	st_mtim.tv_sec
#define st_ctime	st_ctim.tv_sec
