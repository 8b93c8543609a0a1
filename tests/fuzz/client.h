/*
 * pop3.c with a target for its client: what it reads and writes goes to the
 * target's hook_read and hook_write, and exit(3) to where ended was set.
 * Included behind the other sources.
 */
#include <sys/wait.h>

#include <setjmp.h>

static jmp_buf ended;

static void hook_exit(int) __attribute__((__noreturn__));

static void
hook_exit(int status)
{
	CHECK(status == 0);
	longjmp(ended, 1);
}

#define exit(status)		hook_exit(status)
#define read(fd, p, n)		hook_read(fd, p, n)
#define write(fd, p, n)		hook_write(fd, p, n)
#define alarm(n)		((void)(n))
/* the only child here is the one that the fuzzer asks for names */
#define wait(status)		((void)(status))
#define main			pop3_main
int pop3_main(int, char **);
#include "../../pop3.c"
#include "../real.h"
