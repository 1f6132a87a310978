/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes and durations as people write them: a decimal number and a suffix.
 *
 * Everything is integer arithmetic, so that "1.5G" is exact and nothing depends on a locale. A fraction counts to six
 * digits, which is finer than a millisecond of an hour and a millionth of any size; further digits are read and ignored,
 * because programs print durations like 0.30000000000000004.
 */
#include <hutch/error.h>
#include <hutch/spec.h>

#include <stdbool.h>
#include <string.h>

#define FRACTION_SCALE 1000000u

struct decimal {
	uint64_t whole;
	uint64_t millionths;
	bool has_fraction;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Returns what follows the fraction's digits, NULL if there are none ("1." is no number). */
static const char *read_fraction(const char *text, uint64_t *ret_millionths)
{
	uint64_t value = 0;
	uint64_t unit = FRACTION_SCALE;

	if (!is_digit(*text))
		return NULL;
	for (; is_digit(*text); text++) {
		unit /= 10;
		value += (uint64_t)(*text - '0') * unit;
	}
	*ret_millionths = value;
	return text;
}

/* Returns what follows the number, NULL if there is none or it is too large. */
static const char *read_decimal(const char *text, struct decimal *ret)
{
	struct decimal number = {0};

	if (!is_digit(*text))
		return NULL;
	for (; is_digit(*text); text++) {
		if (__builtin_mul_overflow(number.whole, 10u, &number.whole) ||
		    __builtin_add_overflow(number.whole, (uint64_t)(*text - '0'), &number.whole))
			return NULL;
	}
	if (*text == '.') {
		number.has_fraction = true;
		text = read_fraction(text + 1, &number.millionths);
	}
	*ret = number;
	return text;
}

/* number * unit, rounded down. The largest unit is 2^40, so the fraction's product cannot overflow. */
static int scale(const struct decimal *number, uint64_t unit, uint64_t *ret)
{
	uint64_t value;

	if (__builtin_mul_overflow(number->whole, unit, &value) ||
	    __builtin_add_overflow(value, number->millionths * unit / FRACTION_SCALE, &value))
		return -HUTCH_E_INVALID;
	*ret = value;
	return 0;
}

int hutch_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char letters[] = "kmgtKMGT";
	struct decimal number;
	const char *suffix = read_decimal(text, &number);

	if (!suffix)
		return -HUTCH_E_INVALID;
	if (!*suffix) {
		/* half a byte is a slip of the pen */
		return number.has_fraction ? -HUTCH_E_INVALID : scale(&number, 1, ret_bytes);
	}
	const char *letter = strchr(letters, suffix[0]);
	if (!letter || (suffix[1] && strcmp(suffix + 1, "iB") != 0))
		return -HUTCH_E_INVALID;
	return scale(&number, UINT64_C(1) << (10 * ((letter - letters) % 4 + 1)), ret_bytes);
}

int hutch_parse_duration(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *suffix;
		uint64_t ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};
	struct decimal number;
	const char *suffix = read_decimal(text, &number);

	if (!suffix)
		return -HUTCH_E_INVALID;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (strcmp(suffix, units[i].suffix) == 0)
			return scale(&number, units[i].ms, ret_ms);
	}
	return -HUTCH_E_INVALID;
}
