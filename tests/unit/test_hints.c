/* SPDX-License-Identifier: Apache-2.0 */
/* A user who reads that a stage failed also reads what to do: for every stage, from the same lists that make the stages. */
#include "engine/engine.h"
#include "helpers.h"
#include "plan/stage.h"

static const enum stage stages[] = {
#define X(id, name) STAGE_##id,
	OWNER_STAGES(X) SETUP_STAGES(X) COMMAND_STAGES(X)
#undef X
};

START_TEST(every_stage_has_a_hint)
{
	static const int errors[] = {EPERM, EINVAL, ENOSYS, ENOENT, EACCES, EIO, ELIBBAD};
	for (int i = 0; i < COUNT(errors); i++) {
		struct hutch_error err = {.hint = ""};
		hint_for_stage(&err, stages[_i], errors[i], "x");
		ck_assert_msg(*err.hint, "stage %s has no hint", stage_name(stages[_i]));
		ck_assert_msg(memchr(err.hint, '\0', sizeof err.hint - 1), "the hint of stage %s is cut", stage_name(stages[_i]));
	}
}
END_TEST

START_TEST(some_errors_have_their_own)
{
	struct hutch_error some = {.hint = ""}, other = {.hint = ""};
	hint_for_stage(&some, STAGE_EXEC, ENOEXEC, NULL);
	hint_for_stage(&other, STAGE_EXEC, EIO, NULL);
	ck_assert_str_ne(some.hint, other.hint);
	ck_assert_ptr_nonnull(strstr(some.hint, "interpreter"));
}
END_TEST

START_TEST(what_is_no_stage_has_none)
{
	struct hutch_error err = {.hint = ""};
	hint_for_stage(&err, STAGE_NONE, EPERM, NULL);
	hint_for_stage(&err, STAGES, EPERM, NULL);
	hint_for_stage(&err, ~0u, EPERM, NULL);
	ck_assert_str_eq(err.hint, "");
	hint_for_stage(NULL, STAGE_EXEC, EPERM, NULL);
}
END_TEST

START_TEST(the_lists_are_complete)
{
	ck_assert_int_eq(COUNT(stages), STAGES - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hints");
	TCase *tests = tcase_create("hints");
	tcase_add_loop_test(tests, every_stage_has_a_hint, 0, COUNT(stages));
	tcase_add_test(tests, some_errors_have_their_own);
	tcase_add_test(tests, what_is_no_stage_has_none);
	tcase_add_test(tests, the_lists_are_complete);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
