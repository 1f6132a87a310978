/* SPDX-License-Identifier: Apache-2.0 */
#include "test_filter.h"

#include <stdlib.h>

/* libseccomp 2.5.4 loses some memory when it merges conditions of one call on the same argument. Nothing of ours. */
const char *__lsan_default_suppressions(void) __attribute__((visibility("default")));
const char *__lsan_default_suppressions(void)
{
	return "leak:libseccomp.so";
}

int main(void)
{
	SRunner *runner = srunner_create(suite_filter_table());
	srunner_add_suite(runner, suite_filter_programs());
	srunner_add_suite(runner, suite_filter_policy());
	srunner_add_suite(runner, suite_filter_live());
	srunner_run_all(runner, CK_ENV);
	int failures = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
