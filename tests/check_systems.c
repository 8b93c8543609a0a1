/*
 * What auth.c says for OpenBSD or, with SYSTEM_SUN, for illumos: compiled here
 * with stand-ins for the calls and fields that Linux has not. The file is
 * included.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <crypt.h>
#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <shadow.h>
#include <stdarg.h>

#include <check.h>
#include "suite.h"

#include "../pop3.h"

/* As the BSDs have it. */
struct bsd_passwd {
	const char *pw_name, *pw_passwd, *pw_dir;
	uid_t pw_uid;
	gid_t pw_gid;
	time_t pw_expire;
};
static struct bsd_passwd shown = { "alice", "*", "/", 12001, 12001, 0 };
static struct rlimit descriptors, forks;
static int shown_all;
static const char *promised;

#define passwd bsd_passwd
#define getpwnam(name)		((void)(name), &shown)
#define getpwuid(uid)		((void)(uid), &shown)
#define getpwent()		(shown_all++ == 0 ? &shown : NULL)
#define setpwent()		((void)0)
#define setrlimit(what, limit)	note_limit(what, limit)

static int
note_limit(int what, const struct rlimit *limit)
{
	/* after pledge(2) this call ends the process */
	ck_assert_ptr_null(promised);
	if (what == RLIMIT_NOFILE)
		descriptors = *limit;
	if (what == RLIMIT_NPROC)
		forks = *limit;
	return 0;
}

#undef __linux__
#if defined(SYSTEM_SUN)
#define __sun 1
static char gone[200];		/* the privileges that were given up */
#define getspnam(name)		((struct spwd *)NULL)

static int
priv_set(int how, const char *set, ...)
{
	const char *name;
	va_list ap;

	ck_assert_int_eq(how, 3);
	ck_assert_str_eq(set, "all");
	va_start(ap, set);
	while ((name = va_arg(ap, const char *)) != NULL) {
		strncat(gone, name, sizeof(gone) - strlen(gone) - 1);
		strncat(gone, " ", sizeof(gone) - strlen(gone) - 1);
	}
	va_end(ap);
	return 0;
}
#else
#define __OpenBSD__ 1
static struct bsd_passwd whole = { "alice", "$2b$x", "/", 12001, 12001, 0 };
#define getpwnam_shadow(name)	((void)(name), &whole)

static int
pledge(const char *promises, const char *more)
{
	ck_assert_ptr_null(more);
	promised = promises;
	return 0;
}
#endif
#include "../auth.c"

CASE("stand-ins", 30, NULL, NULL);

#if defined(SYSTEM_SUN)
TEST(illumos_keeps_a_confined_process_from_making_others)
{
	descriptors.rlim_cur = 1;
	confine(SESSION_PROCESS);
	ck_assert_str_eq(gone, "fork exec info net ");
	ck_assert_int_eq((int)descriptors.rlim_cur, 0);
}
#else
/* getpwnam shows a star there. */
TEST(openbsd_is_asked_for_the_hash_by_the_call_that_tells_it)
{
	static struct auth a;
	static struct claim c;

	ck_assert_int_eq(find_exactly(&a, "alice", &c), AUTH_YES);
	ck_assert_str_eq(c.hash, "$2b$x");
	ck_assert_ptr_null(c.why);
}

/* There getpwent shows a star, too: an unknown name costs what bcrypt does. */
TEST(openbsd_has_a_hash_of_its_own_kind_for_who_has_none)
{
	static struct auth a;
	static struct claim c;
	const char *got;

	find_any_hash(&a, &c);
	got = crypt("x", c.hash);
	ck_assert_ptr_nonnull(got);
	ck_assert_int_eq(strncmp(got, "$2b$10$", 7), 0);
	ck_assert_uint_eq(strlen(got), 60);
}

TEST(an_account_of_the_bsds_ends_at_its_time)
{
	static struct auth a;
	static struct claim c;

	whole.pw_expire = time(NULL) + 1000;
	find_exactly(&a, "alice", &c);
	ck_assert_ptr_null(c.why);
	whole.pw_expire = time(NULL);
	find_exactly(&a, "alice", &c);
	ck_assert_ptr_nonnull(c.why);
	ck_assert_str_eq(c.why, "expired");
}

TEST_EACH(openbsd_is_promised_no_more_than_mail_needs, 2)
{
	descriptors.rlim_cur = 1;
	confine(_i == 0 ? DIALOGUE_PROCESS : SESSION_PROCESS);
	ck_assert_str_eq(promised, "stdio flock");
	ck_assert_int_eq((int)descriptors.rlim_cur, 0);
}

/* It opens files, so it makes no promise. */
TEST(openbsd_keeps_the_only_process_from_making_others)
{
	forks.rlim_cur = 1;
	confine(ONLY_PROCESS);
	ck_assert_ptr_null(promised);
	ck_assert_int_eq((int)forks.rlim_cur, 0);
}
#endif

int
main(void)
{
	return run_suite("systems", NULL);
}
