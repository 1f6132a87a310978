/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line prints: UTF-8, escapes, JSON, and the lanes between two terminals. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/json.h"
#include "../../tools/relay.h"
#include "../../tools/text.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

static const struct {
	const char *text;
	bool is_text, is_text_if_cut;
	size_t size; /* of what is valid */
} samples[] = {
	{"", true, true, 0},
	{"abc", true, true, 3},
	{"\xc3\xa4", true, true, 2},
	{"a\xc3", false, true, 1},
	{"a\xe2\x82", false, true, 1},
	{"a\xf0\x9f\x98", false, true, 1},
	{"\xf0\x9f\x98\x80", true, true, 4},
	{"a\xff", false, false, 1},
	{"a\x80", false, false, 1},
	{"a\xc0\x80", false, false, 1},     /* overlong */
	{"a\xe0\x80\x80", false, false, 1}, /* overlong */
	{"a\xed\xa0\x80", false, false, 1}, /* surrogate */
	{"a\xf4\x90\x80\x80", false, false, 1},
	{"a\xf5\x80", false, false, 1},
	{"a\xc3" "b", false, false, 1},
	{"a\xe2" "b", false, false, 1},
	{"\xef\xbf\xbd", true, true, 3},
};

START_TEST(utf8)
{
	size_t size = 99;
	const char *text = samples[_i].text;
	ck_assert_int_eq(utf8_text(text, strlen(text), false, &size), samples[_i].is_text);
	ck_assert_int_eq(utf8_text(text, strlen(text), true, &size), samples[_i].is_text_if_cut);
	ck_assert_uint_eq(size, samples[_i].size);
}
END_TEST

static const struct {
	enum escape_style style;
	const char *text, *escaped;
} escapes[] = {
	{ESCAPE_MESSAGE, "plain \xc3\xa4 \\", "plain \xc3\xa4 \\"},
	{ESCAPE_MESSAGE, "a\x1b[2J\nb\x7f", "a\\x1b[2J\\x0ab\\x7f"},
	{ESCAPE_MESSAGE, "\xc2\x9b" "31m", "\\xc2\\x9b31m"},
	{ESCAPE_MESSAGE, "\x9b" "31m\xff", "\\x9b31m\\xff"},
	{ESCAPE_LINES, "a\nb\r\x1b", "a\nb\\x0d\\x1b"},
	{ESCAPE_NAME, "a\nb\tc\rd\\e\x1b", "a\\nb\\tc\\rd\\\\e\\x1b"},
};

START_TEST(escaping)
{
	char to[64];
	size_t length = strlen(escapes[_i].text);
	ck_assert_uint_eq(escape_text(to, sizeof to, escapes[_i].text, length, escapes[_i].style), length);
	ck_assert_str_eq(to, escapes[_i].escaped);
}
END_TEST

START_TEST(escapes_are_not_cut)
{
	char to[6];
	ck_assert_uint_eq(escape_text(to, sizeof to, "ab\x1b", 3, ESCAPE_MESSAGE), 2);
	ck_assert_str_eq(to, "ab");
	ck_assert_uint_eq(escape_text(to, sizeof to, "a\x1b" "c", 3, ESCAPE_MESSAGE), 2);
	ck_assert_str_eq(to, "a\\x1b");
}
END_TEST

START_TEST(json_document)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct json_writer w = {.out = out};

	json_begin(&w, NULL, '{');
	json_begin(&w, "empty", '[');
	json_end(&w, ']');
	json_begin(&w, "list", '[');
	json_int(&w, NULL, -3);
	json_uint(&w, NULL, UINT64_MAX);
	json_bool(&w, NULL, true);
	json_null(&w, NULL);
	json_end(&w, ']');
	json_ms(&w, "ms", 1.5);
	json_text(&w, "text", "a\"b\\c\n\0\x1b\x7f\xc2\x9b\xff\xc3\xa4", 14);
	json_string(&w, "none", NULL);
	json_end(&w, '}');
	fclose(out);
	ck_assert_str_eq(text, "{\"empty\": [], \"list\": [-3, 18446744073709551615, true, null], \"ms\": 1.500, "
	                       "\"text\": \"a\\\"b\\\\c\\n\\u0000\\u001b\\u007f\\u009b\xef\xbf\xbd\xc3\xa4\", \"none\": null}\n");
	free(text);
}
END_TEST

START_TEST(base64)
{
	static const char *const expected[] = {"\"\"\n", "\"Zg==\"\n", "\"Zm8=\"\n", "\"Zm9v\"\n", "\"Zm9vYg==\"\n"};
	char text[32] = "";
	FILE *out = fmemopen(text, sizeof text, "w");
	struct json_writer w = {.out = out};
	json_base64(&w, NULL, "foob", (size_t)_i);
	putc('\n', out);
	fclose(out);
	ck_assert_str_eq(text, expected[_i]);
}
END_TEST

/* One round over pipes in the place of terminals. */
static void turn(struct relay *relay)
{
	struct pollfd polls[RELAY_POLLS];
	relay_poll(relay, polls);
	ck_assert_int_ge(poll(polls, RELAY_POLLS, 0), 0);
	relay_move(relay, polls);
}

START_TEST(a_full_sink_stops_the_source)
{
	struct relay relay = RELAY_NONE;
	struct pollfd polls[RELAY_POLLS];
	char block[4096] = "";
	int inside[2], outside[2];
	size_t written = 0;

	ck_assert_int_eq(pipe2(inside, O_NONBLOCK), 0);
	ck_assert_int_eq(pipe2(outside, O_NONBLOCK), 0);
	relay.master = inside[0];
	relay.sink = outside[1];
	for (int i = 0; i < 1000; i++) {
		ssize_t put = write(inside[1], block, sizeof block);
		written += put > 0 ? (size_t)put : 0;
		turn(&relay);
	}
	/* two pipes and a lane, and then nothing is polled that is ready */
	ck_assert_uint_le(written, 2 * 65536 + sizeof relay.out.data);
	relay_poll(&relay, polls);
	ck_assert_int_eq(poll(polls, RELAY_POLLS, 0), 0);
	ck_assert(!relay.is_broken);
	close(outside[0]);
	turn(&relay);
	ck_assert(relay.is_broken);
	close(outside[1]);
	close(inside[0]);
	close(inside[1]);
}
END_TEST

START_TEST(nothing_is_lost_in_a_pump)
{
	struct relay relay = RELAY_NONE;
	char got[65536];
	int inside[2], outside[2];

	ck_assert_int_eq(pipe2(inside, O_NONBLOCK), 0);
	ck_assert_int_eq(pipe2(outside, O_NONBLOCK), 0);
	for (int i = 0; i < 10000; i++)
		ck_assert_int_eq(write(inside[1], &i, sizeof i), sizeof i);
	close(inside[1]);
	relay.master = inside[0];
	relay.sink = outside[1];
	relay_pump(&relay, 100);
	ck_assert_int_eq(read(outside[0], got, sizeof got), 40000);
	for (int i = 0; i < 10000; i++)
		ck_assert_int_eq(memcmp(got + (size_t)i * sizeof i, &i, sizeof i), 0);
	close(inside[0]);
	close(outside[0]);
	close(outside[1]);
}
END_TEST

START_TEST(keys_are_read_only_when_they_are_ours)
{
	struct relay relay = RELAY_NONE;
	int keys[2], inside[2];
	char got[8] = "";

	ck_assert_int_eq(pipe2(keys, O_NONBLOCK), 0);
	ck_assert_int_eq(pipe2(inside, O_NONBLOCK), 0);
	ck_assert_int_eq(write(keys[1], "x", 1), 1);
	relay.source = keys[0];
	relay.master = inside[1];
	turn(&relay);
	turn(&relay);
	ck_assert_int_eq(read(inside[0], got, sizeof got), -1);
	relay.is_listening = true;
	turn(&relay);
	turn(&relay);
	ck_assert_int_eq(read(inside[0], got, sizeof got), 1);
	close(keys[0]);
	close(keys[1]);
	close(inside[0]);
	close(inside[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("text");
	TCase *text = tcase_create("text");
	TCase *relay = tcase_create("relay");

	signal(SIGPIPE, SIG_IGN);
	tcase_add_loop_test(text, utf8, 0, COUNT(samples));
	tcase_add_loop_test(text, escaping, 0, COUNT(escapes));
	tcase_add_test(text, escapes_are_not_cut);
	tcase_add_test(text, json_document);
	tcase_add_loop_test(text, base64, 0, 5);
	tcase_add_test(relay, a_full_sink_stops_the_source);
	tcase_add_test(relay, nothing_is_lost_in_a_pump);
	tcase_add_test(relay, keys_are_read_only_when_they_are_ours);
	suite_add_tcase(suite, text);
	suite_add_tcase(suite, relay);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
