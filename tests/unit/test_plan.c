/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plan to bytes and back, and bytes that are no plan. The decoder runs in init, and nothing after it checks anything: so
 * whatever it accepts must lie inside the buffer, to the last byte. Buffers are allocated to the byte, so that a sanitizer
 * sees a read beyond the end.
 */
#include <linux/filter.h>
#include <sys/resource.h>

#include <hutch/spec.h>

#include "helpers.h"
#include "plan/build.h"
#include "plan/draft.h"
#include "plan/stage.h"

#define ROUNDS 100000

static const struct sock_filter allow[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};

struct bytes {
	unsigned char *data;
	size_t size;
};

static struct bytes sandbox_bytes(void)
{
	struct draft draft;
	const struct sock_filter *const filters[2] = {allow, allow + 1};
	draft_init(&draft);
	draft.fixed.hostname = draft_text(&draft, "host");
	draft.fixed.uid = 1000;
	draft.fixed.scratch_bytes = 1 << 20;
	draft.fixed.filter_lengths[0] = 2;
	draft.fixed.filter_lengths[1] = 1;
	plan_string source = draft_text(&draft, "contents\n");
	draft_op(&draft, PLAN_OP_DIRECTORY, "/run")->mode = 0755;
	draft_op(&draft, PLAN_OP_FILE, "/etc/x")->source = source;
	draft_op(&draft, PLAN_OP_SCRATCH, "/tmp")->flags = PLAN_OP_WRITABLE;
	void *data;
	size_t size;
	struct hutch_error err;
	ck_assert_int_eq(draft_encode(&draft, filters, &data, &size, &err), 0);
	draft_done(&draft);
	return (struct bytes){data, size};
}

static struct bytes command_bytes(void)
{
	static const char *const argv[] = {"sh", "-c", "exit 0", NULL}, *const env[] = {"A=1", "B=2", NULL};
	struct hutch_spec spec = {.size = sizeof spec, .uid = 1000, .limits.pids = 64};
	struct hutch_command command = {.size = sizeof command, .argv = argv, .env = env, .rows = 24, .columns = 80};
	struct command_draft draft = {0};
	void *data;
	size_t size;
	struct hutch_error err;
	ck_assert_int_eq(plan_command_build(&spec, &command, "/work", &draft, &err), 0);
	ck_assert_int_eq(command_draft_encode(&draft, &data, &size, &err), 0);
	command_draft_done(&draft);
	return (struct bytes){data, size};
}

/* ---- what an accepted plan must be ---- */

static const unsigned char *buffer;
static size_t buffer_size;

static void inside(const void *section, size_t count, size_t size)
{
	const unsigned char *start = section;
	ck_assert(start >= buffer && start <= buffer + buffer_size);
	ck_assert_uint_le(count * size, (size_t)(buffer + buffer_size - start));
	if (size >= 4)
		ck_assert_uint_eq((uintptr_t)start % 4, 0);
}

static size_t string_inside(const struct plan *plan, plan_string string)
{
	const char *text = plan_text(plan, string);
	inside(text, 1, 0);
	const char *end = memchr(text, '\0', (size_t)(buffer + buffer_size - (const unsigned char *)text));
	ck_assert_ptr_nonnull(end);
	return (size_t)(end - text);
}

static void list_inside(const struct plan *plan, const plan_string *list, uint32_t count)
{
	inside(list, count, sizeof *list);
	for (uint32_t i = 0; i < count; i++)
		string_inside(plan, list[i]);
}

static void check_sandbox(const struct plan *plan)
{
	const struct plan_sandbox *sandbox = plan->sandbox;
	inside(sandbox, 1, sizeof *sandbox);
	string_inside(plan, sandbox->hostname);
	inside(plan->ops, sandbox->ops_count, sizeof *plan->ops);
	for (uint32_t i = 0; i < sandbox->ops_count; i++) {
		const struct plan_op *op = &plan->ops[i];
		string_inside(plan, op->source);
		string_inside(plan, op->upper);
		ck_assert_uint_ge(string_inside(plan, op->target), 1);
		ck_assert_int_eq(plan_text(plan, op->target)[0], '/');
		ck_assert(op->kind >= 1 && op->kind < PLAN_OP_KINDS);
	}
	for (unsigned i = 0; i < 2; i++)
		inside(plan->filters[i], sandbox->filter_lengths[i], sizeof *plan->filters[i]);
	ck_assert_uint_gt(sandbox->filter_lengths[0], 0);
}

static void check_command(const struct plan *plan)
{
	const struct plan_command *command = plan->command;
	inside(command, 1, sizeof *command);
	string_inside(plan, command->cwd);
	ck_assert_uint_gt(command->argc, 0);
	ck_assert_uint_gt(command->pathc, 0);
	inside(plan->rlimits, command->rlimits_count, sizeof *plan->rlimits);
	list_inside(plan, plan->argv, command->argc);
	list_inside(plan, plan->env, command->envc);
	list_inside(plan, plan->path, command->pathc);
}

/* Decodes a copy that ends where its memory ends. True: accepted, and then everything in it is sound. */
static bool decode(const void *data, size_t size)
{
	unsigned char *copy = malloc(size ? size : 1);
	struct plan plan, untouched;
	memcpy(copy, data, size);
	memset(&plan, 0x5a, sizeof plan);
	untouched = plan;
	int ret = plan_decode(copy, size, &plan);
	ck_assert_msg(ret == 0 || ret == -EBADMSG, "%d", ret);
	buffer = copy;
	buffer_size = size;
	if (ret < 0)
		ck_assert_int_eq(memcmp(&plan, &untouched, sizeof plan), 0);
	else if (plan.kind == PLAN_SANDBOX)
		check_sandbox(&plan);
	else if (plan.kind == PLAN_COMMAND)
		check_command(&plan);
	else
		ck_abort_msg("a plan of kind %d", (int)plan.kind);
	free(copy);
	return ret == 0;
}

/* ---- round trips ---- */

START_TEST(sandbox_round_trip)
{
	struct bytes bytes = sandbox_bytes();
	struct plan plan;
	ck_assert(decode(bytes.data, bytes.size));
	ck_assert_int_eq(plan_decode(bytes.data, bytes.size, &plan), 0);
	ck_assert_int_eq((int)plan.kind, PLAN_SANDBOX);
	ck_assert_str_eq(plan_text(&plan, plan.sandbox->hostname), "host");
	ck_assert_uint_eq(plan.sandbox->uid, 1000);
	ck_assert_uint_eq(plan.sandbox->ops_count, 3);
	ck_assert_str_eq(plan_text(&plan, plan.ops[0].target), "/run");
	ck_assert_uint_eq(plan.ops[0].mode, 0755);
	ck_assert_int_eq(plan.ops[0].fd, -1);
	ck_assert_int_eq(plan.ops[0].upper_fd, -1);
	ck_assert_str_eq(plan_text(&plan, plan.ops[0].source), "");
	ck_assert_str_eq(plan_text(&plan, plan.ops[1].source), "contents\n");
	ck_assert_uint_eq(plan.ops[2].flags, PLAN_OP_WRITABLE);
	ck_assert_int_eq(memcmp(plan.filters[0], allow, sizeof allow), 0);
	ck_assert_int_eq(memcmp(plan.filters[1], allow + 1, sizeof *allow), 0);
	free(bytes.data);
}
END_TEST

START_TEST(command_round_trip)
{
	struct bytes bytes = command_bytes();
	struct plan plan;
	ck_assert(decode(bytes.data, bytes.size));
	ck_assert_int_eq(plan_decode(bytes.data, bytes.size, &plan), 0);
	ck_assert_int_eq((int)plan.kind, PLAN_COMMAND);
	ck_assert_uint_eq(plan.command->argc, 3);
	ck_assert_str_eq(plan_text(&plan, plan.argv[2]), "exit 0");
	ck_assert_str_eq(plan_text(&plan, plan.command->cwd), "/work");
	ck_assert_str_eq(plan_text(&plan, plan.path[0]), "/usr/local/sbin/sh");
	free(bytes.data);
}
END_TEST

START_TEST(empty_strings_are_offset_zero)
{
	struct pool pool = {0};
	ck_assert_uint_eq(pool_add(&pool, ""), 0);
	ck_assert_uint_eq(pool_add(&pool, "a"), 1);
	ck_assert_uint_eq(pool_add(&pool, ""), 0);
	ck_assert_uint_eq(pool_add(&pool, "bc"), 3);
	ck_assert_uint_eq(pool.size, 6);
	free(pool.bytes);
}
END_TEST

/* Too much is told once, by the encoder. */
START_TEST(too_large_is_an_error)
{
	struct hutch_error err;
	void *data = NULL;
	size_t size;
	char *big = malloc(PLAN_MAX + 1);
	memset(big, 'x', PLAN_MAX);
	big[PLAN_MAX] = '\0';
	struct command_draft command = {0};
	pool_add(&command.pool, big);
	ck_assert_int_eq(command_draft_encode(&command, &data, &size, &err), -HUTCH_E_NOT_EXECUTABLE);
	command_draft_done(&command);

	struct draft draft;
	const struct sock_filter *const filters[2] = {allow, allow};
	draft_init(&draft);
	draft.fixed.filter_lengths[0] = 1;
	for (unsigned i = 0; i <= PLAN_OPS_MAX; i++)
		draft_op(&draft, PLAN_OP_DIRECTORY, "/x");
	ck_assert_int_eq(draft_encode(&draft, filters, &data, &size, &err), -HUTCH_E_INVALID);
	draft_done(&draft);

	draft_init(&draft);
	draft_format(&draft, "%s", big);
	ck_assert(draft.failed);
	ck_assert_int_eq(draft_encode(&draft, filters, &data, &size, &err), -HUTCH_E_NO_MEMORY);
	draft_done(&draft);
	ck_assert_ptr_null(data);
	free(big);
}
END_TEST

/* ---- hostile bytes ---- */

static struct bytes (*const makers[])(void) = {sandbox_bytes, command_bytes};

START_TEST(every_truncation_is_refused)
{
	struct bytes bytes = makers[_i]();
	for (size_t size = 0; size < bytes.size; size++)
		ck_assert_msg(!decode(bytes.data, size), "%zu of %zu bytes", size, bytes.size);
	/* also when the header knows of it */
	for (size_t size = sizeof(struct plan_header); size < bytes.size; size++) {
		struct plan_header *header = (struct plan_header *)(void *)bytes.data;
		header->total = (uint32_t)size;
		header->strings_size = size > header->strings ? (uint32_t)size - header->strings : 0;
		decode(bytes.data, size);
	}
	free(bytes.data);
}
END_TEST

START_TEST(longer_is_refused)
{
	struct bytes bytes = makers[_i]();
	unsigned char *longer = calloc(1, bytes.size + 64);
	memcpy(longer, bytes.data, bytes.size);
	for (size_t more = 1; more <= 64; more++)
		ck_assert(!decode(longer, bytes.size + more));
	free(longer);
	free(bytes.data);
}
END_TEST

START_TEST(every_byte_flipped)
{
	static const unsigned char masks[] = {0xff, 0x01, 0x80, 0x7f};
	struct bytes bytes = makers[_i]();
	for (size_t at = 0; at < bytes.size; at++)
		for (int i = 0; i < COUNT(masks); i++) {
			bytes.data[at] ^= masks[i];
			decode(bytes.data, bytes.size);
			bytes.data[at] ^= masks[i];
		}
	ck_assert(decode(bytes.data, bytes.size));
	free(bytes.data);
}
END_TEST

/* Every aligned word takes each interesting value: counts, offsets and sizes are all among them. */
START_TEST(every_word_at_its_boundaries)
{
	struct bytes bytes = makers[_i]();
	const struct plan_header header = *(const struct plan_header *)(const void *)bytes.data;
	const uint32_t size = (uint32_t)bytes.size;
	const uint32_t values[] = {0, 1, 2, 3, 5, 7, 8, 23, 24, 25, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, size, size - 1, size + 1, header.strings, header.strings - 1,
	                           header.strings + 1, header.strings_size, header.strings_size - 1, header.strings_size + 1, PLAN_OPS_MAX, PLAN_OPS_MAX + 1, PLAN_RLIMITS_MAX,
	                           PLAN_RLIMITS_MAX + 1, PLAN_STRINGS_MAX, PLAN_STRINGS_MAX + 1, PLAN_FILTER_MAX, PLAN_FILTER_MAX + 1, PLAN_OP_KINDS, 256, 257, 0x24924925};
	for (size_t at = 0; at + 4 <= bytes.size; at += 4)
		for (int i = 0; i < COUNT(values); i++) {
			uint32_t before;
			memcpy(&before, bytes.data + at, 4);
			memcpy(bytes.data + at, &values[i], 4);
			decode(bytes.data, bytes.size);
			memcpy(bytes.data + at, &before, 4);
		}
	free(bytes.data);
}
END_TEST

/* Where the pool begins is said by the header, too: both numbers fit each other, and yet it begins in the header. */
START_TEST(a_pool_in_the_header_is_refused)
{
	struct bytes bytes = makers[_i]();
	struct plan_header *header = (struct plan_header *)(void *)bytes.data;
	for (size_t size = sizeof *header; size <= bytes.size; size++)
		for (uint32_t strings = 0; strings < sizeof *header; strings++) {
			header->total = (uint32_t)size;
			header->strings = strings;
			header->strings_size = (uint32_t)size - strings;
			unsigned char last = bytes.data[size - 1];
			bytes.data[size - 1] = '\0';
			ck_assert(!decode(bytes.data, size));
			bytes.data[size - 1] = last;
		}
	free(bytes.data);
}
END_TEST

START_TEST(unterminated_strings_are_refused)
{
	struct bytes bytes = makers[_i]();
	struct plan_header *header = (struct plan_header *)(void *)bytes.data;
	bytes.data[bytes.size - 1] = 'x';
	ck_assert(!decode(bytes.data, bytes.size));
	bytes.data[bytes.size - 1] = '\0';
	bytes.data[header->strings] = 'x';
	ck_assert(!decode(bytes.data, bytes.size));
	free(bytes.data);
}
END_TEST

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint32_t next_random(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % below;
}

static void mutate(unsigned char *data, size_t size)
{
	static const uint32_t values[] = {0, 1, 255, 0x7fffffff, 0x80000000, 0xffffffff, 512, 4096, 65536};
	size_t at = next_random((uint32_t)size);
	if (next_random(3) == 0) /* structure matters more than text */
		at = next_random(128) % size;
	switch (next_random(4)) {
	case 0: data[at] ^= (unsigned char)(1u << next_random(8)); break;
	case 1: data[at] = (unsigned char)next_random(256); break;
	case 2:
		at &= ~(size_t)3;
		if (at + 4 <= size)
			memcpy(data + at, &values[next_random(COUNT(values))], 4);
		break;
	default:
		at &= ~(size_t)3;
		if (at + 4 <= size) {
			uint32_t value = next_random((uint32_t)size + 8);
			memcpy(data + at, &value, 4);
		}
	}
}

START_TEST(random_mutations)
{
	struct bytes bytes = makers[_i]();
	unsigned char *copy = malloc(bytes.size);
	unsigned accepted = 0;
	for (int round = 0; round < ROUNDS; round++) {
		memcpy(copy, bytes.data, bytes.size);
		for (uint32_t times = 1 + next_random(8); times > 0; times--)
			mutate(copy, bytes.size);
		struct plan_header *header = (struct plan_header *)(void *)copy;
		if (next_random(2)) { /* so that more than the header is tried */
			header->magic = PLAN_MAGIC;
			header->version = PLAN_VERSION;
			header->total = (uint32_t)bytes.size;
			header->strings_size = (uint32_t)bytes.size - header->strings;
		}
		accepted += decode(copy, bytes.size);
	}
	ck_assert_uint_gt(accepted, 0);
	ck_assert_uint_lt(accepted, ROUNDS);
	free(copy);
	free(bytes.data);
}
END_TEST

/* ---- stages ---- */

START_TEST(stage_names_are_process_names)
{
	for (unsigned i = STAGE_NONE + 1; i < STAGES; i++) {
		ck_assert_str_ne(stage_name(i), "");
		ck_assert_uint_le(strlen(stage_name(i)), 15); /* prctl(PR_SET_NAME) */
		for (unsigned j = STAGE_NONE + 1; j < i; j++)
			ck_assert_str_ne(stage_name(i), stage_name(j));
	}
	ck_assert_str_eq(stage_name(STAGE_NONE), "");
	ck_assert_str_eq(stage_name(STAGES), "");
	ck_assert_str_eq(stage_name(~0u), "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plan");
	TCase *good = tcase_create("round trips");
	tcase_add_test(good, sandbox_round_trip);
	tcase_add_test(good, command_round_trip);
	tcase_add_test(good, empty_strings_are_offset_zero);
	tcase_add_test(good, too_large_is_an_error);
	tcase_add_test(good, stage_names_are_process_names);
	TCase *bad = tcase_create("hostile bytes");
	tcase_set_timeout(bad, 120);
	tcase_add_loop_test(bad, every_truncation_is_refused, 0, COUNT(makers));
	tcase_add_loop_test(bad, longer_is_refused, 0, COUNT(makers));
	tcase_add_loop_test(bad, every_byte_flipped, 0, COUNT(makers));
	tcase_add_loop_test(bad, every_word_at_its_boundaries, 0, COUNT(makers));
	tcase_add_loop_test(bad, a_pool_in_the_header_is_refused, 0, COUNT(makers));
	tcase_add_loop_test(bad, unterminated_strings_are_refused, 0, COUNT(makers));
	tcase_add_loop_test(bad, random_mutations, 0, COUNT(makers));
	suite_add_tcase(suite, good);
	suite_add_tcase(suite, bad);
	return run_suite(suite);
}
