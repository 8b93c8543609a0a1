/*
 * The system's calls as they are, and main: behind a source for which some were
 * replaced by macros.
 */
#undef _exit
#undef alarm
#undef chdir
#undef chroot
#undef clock_gettime
#undef clock_ms
#undef crypt
#undef exit
#undef fchmod
#undef fdatasync
#undef fork
#undef fstat
#undef fstatfs
#undef fsync
#undef ftruncate
#undef futimens
#undef getegid
#undef geteuid
#undef getgid
#undef getgroups
#undef gethostname
#undef getpwent
#undef getpwnam
#undef getpwuid
#undef getspnam
#undef getuid
#undef kill
#undef link
#undef lockf
#undef lstat
#undef main
#undef malloc
#undef mbox_load
#undef mbox_open
#undef mbox_read
#undef mbox_seek
#undef mbox_uid
#undef mbox_update
#undef nanosleep
#undef open
#undef pipe
#undef prctl
#undef pread
#undef pwrite
#undef read
#undef realloc
#undef rename
#undef setegid
#undef seteuid
#undef setgid
#undef setgroups
#undef setpwent
#undef setrlimit
#undef setsockopt
#undef setuid
#undef signal
#undef socketpair
#undef stat
#undef syscall
#undef syslog
#undef time
#undef unlink
#undef wait
#undef write

/* A test opens more than one mailbox; the program ends with its only one. */
static inline void
mbox_close(struct mbox *m)
{
	close(m->index);
	close(m->fd);
	close(m->keeper);
	free(m->msg);
}
