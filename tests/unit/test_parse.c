/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and durations: what is accepted, with its value, and what is refused. */
#include <hutch/error.h>
#include <hutch/spec.h>

#include <check.h>
#include <stdlib.h>

#define UNTOUCHED UINT64_C(0x5a5a5a5a5a5a5a5a)
#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

struct sample {
	const char *text;
	uint64_t value;
};

static const struct sample sizes[] = {
	{"0", 0},
	{"1", 1},
	{"007", 7},
	{"64M", UINT64_C(64) << 20},
	{"64m", UINT64_C(64) << 20},
	{"64MiB", UINT64_C(64) << 20},
	{"64miB", UINT64_C(64) << 20},
	{"1k", 1024},
	{"1K", 1024},
	{"1.5GiB", UINT64_C(3) << 29},
	{"1.5K", 1536},
	{"0.5T", UINT64_C(1) << 39},
	{"0.0001K", 0},
	{"1.0000009K", 1024},
	{"0.9999999999999999999999999T", UINT64_C(1099510528264)},
	{"18446744073709551615", UINT64_MAX},
	{"16777215T", UINT64_C(16777215) << 40},
};

static const char *const bad_sizes[] = {
	"", " ", "M", "12Q", "-1", "+1", " 1", "1 ", "1 M", "1.", ".5M", "1.5", "1..5M", "1,5M", "0x10", "1e3", "1MB", "1B", "1Mib", "1MIB",
	"1iB", "1MiBx", "1MM", "M1", "18446744073709551616", "16777216T", "99999999999999999999999", "1T1", "1.5\n", "\xd9\xa1", "1\x80",
	"inf", "nan", "unlimited",
};

static const struct sample durations[] = {
	{"0", 0},        {"1", 1000},        {"1s", 1000},         {"1.5s", 1500},          {"200ms", 200},
	{"2m", 120000},  {"1h", 3600000},    {"0.5h", 1800000},    {"0.5", 500},            {"0.30000000000000004", 300},
	{"0.4ms", 0},    {"1.999999ms", 1},  {"0.0000001h", 0},    {"18446744073709551615ms", UINT64_MAX},
};

static const char *const bad_durations[] = {
	"", "s", "ms", "-1s", "+1", "1d", "1S", "1M", "1 s", " 1s", "1s ", "1.s", ".5s", "1min", "1sec", "1m30s", "1:30",
	"18446744073709551615", "18446744073709551616ms", "5124095576031h", "infinity",
};

START_TEST(size_is_read)
{
	uint64_t value = UNTOUCHED;
	ck_assert_int_eq(hutch_parse_size(sizes[_i].text, &value), 0);
	ck_assert_uint_eq(value, sizes[_i].value);
}
END_TEST

START_TEST(size_is_refused)
{
	uint64_t value = UNTOUCHED;
	ck_assert_int_eq(hutch_parse_size(bad_sizes[_i], &value), -HUTCH_E_INVALID);
	ck_assert_uint_eq(value, UNTOUCHED);
}
END_TEST

START_TEST(duration_is_read)
{
	uint64_t value = UNTOUCHED;
	ck_assert_int_eq(hutch_parse_duration(durations[_i].text, &value), 0);
	ck_assert_uint_eq(value, durations[_i].value);
}
END_TEST

START_TEST(duration_is_refused)
{
	uint64_t value = UNTOUCHED;
	ck_assert_int_eq(hutch_parse_duration(bad_durations[_i], &value), -HUTCH_E_INVALID);
	ck_assert_uint_eq(value, UNTOUCHED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parse");
	TCase *numbers = tcase_create("sizes and durations");
	tcase_add_loop_test(numbers, size_is_read, 0, COUNT(sizes));
	tcase_add_loop_test(numbers, size_is_refused, 0, COUNT(bad_sizes));
	tcase_add_loop_test(numbers, duration_is_read, 0, COUNT(durations));
	tcase_add_loop_test(numbers, duration_is_refused, 0, COUNT(bad_durations));
	suite_add_tcase(suite, numbers);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
