/*
 * Runs a fuzz target on the files it is given, each as a test, where there is
 * no libFuzzer. They are read first: targets go elsewhere.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "fuzz.h"

static struct bytes *input;

START_TEST(an_input_shows_no_fault)
{
	/* a copy of its own, so that a sanitizer sees its end */
	uint8_t *data = malloc(input[_i].len + 1);

	ck_assert(data != NULL);
	memcpy(data + 1, input[_i].p, input[_i].len);
	ck_assert_int_eq(LLVMFuzzerTestOneInput(data + 1, input[_i].len), 0);
	free(data);
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *suite = suite_create("fuzz");
	const char *name;
	SRunner *runner;
	TCase *t;
	int i, failed;

	input = calloc((size_t)argc, sizeof(*input));
	if (input == NULL)
		return 1;
	for (i = 1; i < argc; i++) {
		add(&input[i], "", 0);
		read_whole(argv[i], &input[i]);
		name = strrchr(argv[i], '/');
		t = tcase_create(name == NULL ? argv[i] : name + 1);
		tcase_set_timeout(t, 20);
		tcase_add_loop_test(t, an_input_shows_no_fault, i, i + 1);
		suite_add_tcase(suite, t);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	for (i = 1; i < argc; i++)
		drop(&input[i]);
	free(input);
	return failed != 0;
}
