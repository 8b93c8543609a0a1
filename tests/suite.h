/*
 * How a program's tests come to be run: each says so where it stands, and there
 * is no list of them. Behind <check.h>, and once in a program.
 *
 *	CASE("mail", 60, set_up, tear_down);
 *	TEST(stat_does_not_count_deleted_mail) { ... }
 *	TEST_EACH(numbers_never_wrap, COUNT(numbers)) { ... numbers[_i] ... }
 *
 * A test belongs to the case above it in the file, which may come several times,
 * and is run once, or for each _i below a number. Which of them are run where:
 *
 *	AS_ROOT, AS_ROOT_EACH	by root, on Linux
 *	TEST_IF(name, who, n)	see enum who
 *
 * With PART=2/3 in the environment every third round is run, from the second on:
 * programs that wait for most of their time are run in parts, side by side.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Check writes to a file where it is, at each assertion that holds: a third of
 * the time of those who assert something of millions of images.
 */
#undef _mark_point
#define _mark_point(file, line)	((void)0)

/* For peer.h. */
#define fail_with(text)	ck_abort_msg("%s", text)

enum who {
	ANYBODY,
	ROOT,
	NOT_ROOT,
	PATIENT		/* root, who has set CHECK_LONG */
};

struct test {
	const TTest *test;
	const char *of;		/* its case, or NULL: the one above it */
	int line, n;
	enum who who;
};

/* Whether this round of a test is left out. */
typedef int left_out(const struct test *, int);

struct section {
	const char *name;
	int line, seconds;
	void (*set_up)(void), (*tear_down)(void);
};

static struct test all_tests[200];
static struct section sections[50];
static int n_tests, n_sections;
static struct { int number, of, rounds; } slice = { 1, 1, 0 };

#define TEST_IN(name, of, who, n)					\
static const TTest *name;						\
__attribute__((constructor)) static void				\
name##_is_known(void)							\
{									\
	note_test((struct test){ name, of, __LINE__, (int)(n), who });	\
}									\
START_TEST(name)

#define TEST_IF(name, who, n)	TEST_IN(name, NULL, who, n)
#define TEST_EACH(name, n)	TEST_IN(name, NULL, ANYBODY, n)
#define TEST(name)		TEST_IN(name, NULL, ANYBODY, 1)
#define AS_ROOT_EACH(name, n)	TEST_IN(name, NULL, ROOT, n)
#define AS_ROOT(name)		TEST_IN(name, NULL, ROOT, 1)

#define CASE(...)		CASE_AT(__LINE__, __VA_ARGS__)
#define CASE_AT(line, ...)	CASE_OF(line, __VA_ARGS__)
#define CASE_OF(at, text, limit, before, after)				\
__attribute__((constructor)) static void				\
case_of_line_##at(void)							\
{									\
	sections[n_sections++] = (struct section){ text, at, limit, before,	\
	    after };							\
}									\
struct section

static void
note_test(struct test t)
{
	if (n_tests == sizeof(all_tests) / sizeof(*all_tests))
		abort();
	all_tests[n_tests++] = t;
}

static void
skip(const char *what, const char *why)
{
	printf("skipped: %s: %s\n", what, why);
	fflush(stdout);
}

/*
 * A number of the environment: ROUNDS, SEED, or FEWER, how many times fewer
 * rounds a test has that takes long.
 */
static inline unsigned
setting(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);
	unsigned n = text == NULL ? 0 : (unsigned)strtoul(text, NULL, 10);

	return n > 0 ? n : otherwise;
}

/* The constructors of a file may be called in any order. */
static int
compare_lines(const void *a, const void *b)
{
	return ((const struct section *)a)->line - ((const struct section *)b)->line;
}

static const char *
section_of(const struct test *t)
{
	int i = n_sections - 1;

	if (t->of != NULL)
		return t->of;
	while (i > 0 && sections[i].line > t->line)
		i--;
	return sections[i].name;
}

static int
is_for_us(const struct test *t)
{
	int root = geteuid() == 0;
	const char *why;

	if (t->who == PATIENT && getenv("CHECK_LONG") == NULL)
		return 0;
	if (t->who == NOT_ROOT && root)
		why = "root may do all";
	else if ((t->who == ROOT || t->who == PATIENT) && !root)
		why = "it needs root";
	else if ((t->who == ROOT || t->who == PATIENT) &&
	    access("/proc/self/status", R_OK) == -1)
		why = "it needs a /proc as Linux has it";
	else
		return 1;
	if (slice.number == 1)	/* the other parts do not say it again */
		skip(t->test->name, why);
	return 0;
}

static void
add_section(Suite *s, const struct section *g, left_out *is_left_out)
{
	TCase *t = tcase_create(g->name);
	const struct test *test;
	int i;

	tcase_add_checked_fixture(t, g->set_up, g->tear_down);
	tcase_set_timeout(t, g->seconds);
	for (test = all_tests; test < all_tests + n_tests; test++) {
		if (strcmp(section_of(test), g->name) != 0 || !is_for_us(test))
			continue;
		for (i = 0; i < test->n; i++)
			if ((is_left_out == NULL || !is_left_out(test, i)) &&
			    slice.rounds++ % slice.of == slice.number - 1)
				tcase_add_loop_test(t, test->test, i, i + 1);
	}
	suite_add_tcase(s, t);
}

/* All tests, but rounds that are left out; what main returns. */
static int
run_suite(const char *name, left_out *is_left_out)
{
	Suite *s = suite_create(name);
	SRunner *runner;
	const char *text = getenv("PART");
	int i, k, failed;

	if (text != NULL && (sscanf(text, "%d/%d", &slice.number,
	    &slice.of) != 2 || slice.number < 1 || slice.number > slice.of))
		abort();
	qsort(sections, (size_t)n_sections, sizeof(*sections), compare_lines);
	for (i = 0; i < n_sections; i++) {
		for (k = 0; strcmp(sections[k].name, sections[i].name) != 0; k++)
			;
		if (k == i)
			add_section(s, &sections[i], is_left_out);
	}
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
