/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TESTS_TEST_FILTER_H
#define HUTCH_TESTS_TEST_FILTER_H

/* The parts of the test of the system call filters: one binary, one suite for each file. */

#include <check.h>

Suite *suite_filter_table(void);    /* test_filter_table.c: the policy table and the numbers */
Suite *suite_filter_programs(void); /* test_filter_programs.c: the compiled programs against the model */
Suite *suite_filter_policy(void);   /* test_filter_policy.c: a user's own policy */
Suite *suite_filter_live(void);     /* test_filter_live.c: loaded into the kernel */

#endif
