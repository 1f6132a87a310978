/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What costs is loading: the kernel translates every instruction (about 0.4 us each) and then runs the program once for
 * every call number, to learn which are always allowed (a few ns a step). Those are never filtered again. So the tree is
 * chosen to have few instructions first and short ways second; an optimum over all trees, found by dynamic programming:
 *
 *   runs of numbers with one leaf   |..A..|B|....A....|..C..|   ...
 *   cost(i..j) = the cheaper of     split into i..k-1 and k..j: one `>=`, and both parts
 *                                   all runs have the same leaf A but for a few single numbers: one `==` for each, then A
 *
 * The kernel's own run understands only plain instructions (no shifts, no index register), hence no bit maps.
 */
#include "plan/filter_compile.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>

#include <hutch/error.h>

#include "base/cleanup.h"
#include "plan/filter_graph.h"

#define INSTRUCTION_COST 250 /* in steps of the kernel's run */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low word of an argument comes first");
#define WORD_OF_NUMBER             offsetof(struct seccomp_data, nr)
#define WORD_OF_ARCH               offsetof(struct seccomp_data, arch)
#define WORD_OF_ARGUMENT(n, high_) (offsetof(struct seccomp_data, args) + 8u * (n) + ((high_) ? 4u : 0u))

/* ---- leaves ---- */

static uint16_t test_equal(struct filter_graph *graph, size_t word, uint32_t value, uint16_t yes, uint16_t no)
{
	return filter_graph_test(graph, (struct filter_node){.jump = BPF_JEQ, .word = (uint16_t)word, .mask = UINT32_MAX,
	                                                     .value = value, .yes = yes, .no = no});
}

static uint16_t condition_node(struct filter_graph *graph, const struct policy_condition *c, uint16_t holds, uint16_t fails)
{
	struct filter_node node = {.jump = BPF_JEQ, .word = (uint16_t)WORD_OF_ARGUMENT(c->argument, c->high), .mask = UINT32_MAX,
	                           .value = c->value, .yes = holds, .no = fails};
	switch (c->test) {
	case POLICY_IS:
		break;
	case POLICY_IS_NOT:
		node.yes = fails;
		node.no = holds;
		break;
	case POLICY_HAS_ANY:
		node.jump = BPF_JSET;
		break;
	case POLICY_MASKED_IS:
		node.mask = c->mask;
		break;
	}
	return filter_graph_test(graph, node);
}

static uint16_t rule_node(struct filter_graph *graph, const struct policy_rule *rule, uint16_t otherwise)
{
	uint16_t node = filter_graph_return(graph, rule->verdict);
	for (size_t i = rule->count; i-- > 0;)
		node = condition_node(graph, &rule->all[i], node, otherwise);
	return node;
}

static uint16_t entry_node(struct filter_graph *graph, const struct policy_entry *entry)
{
	uint16_t node = filter_graph_return(graph, entry->verdict);
	for (size_t i = entry->check ? entry->check->count : 0; i-- > 0;)
		node = rule_node(graph, &entry->check->rules[i], node);
	return node;
}

/* ---- runs of numbers ---- */

struct run {
	uint32_t first, count; /* count: only of numbers below POLICY_NUMBERS, which are all the kernel tries */
	uint16_t leaf;
};

struct cell {
	uint32_t cost;
	uint16_t split; /* the run that starts the upper part; 0: no split, a chain of `==` */
};

struct tree {
	struct filter_graph *graph;
	size_t count;
	struct run runs[POLICY_NUMBERS + 1];
	struct cell *cells; /* count * count, [low * count + high], low <= high */
};

static struct cell *cell(const struct tree *tree, size_t low, size_t high)
{
	return &tree->cells[low * tree->count + high];
}

static void add_number(struct tree *tree, uint32_t number, uint16_t leaf)
{
	if (tree->count > 0 && tree->runs[tree->count - 1].leaf == leaf)
		tree->runs[tree->count - 1].count++;
	else
		tree->runs[tree->count++] = (struct run){.first = number, .count = 1, .leaf = leaf};
}

static void collect_runs(struct tree *tree, const struct policy_map *map)
{
	for (uint32_t number = 0; number < POLICY_NUMBERS; number++)
		add_number(tree, number, entry_node(tree->graph, &map->calls[number]));
	add_number(tree, POLICY_NUMBERS, filter_graph_return(tree->graph, map->other));
	if (tree->runs[tree->count - 1].first == POLICY_NUMBERS)
		tree->runs[tree->count - 1].count = UINT32_MAX; /* never a single number */
}

/* The leaf that all runs of the interval have, single numbers excepted; -1 if there is none. */
static int chain_leaf(const struct tree *tree, size_t low, size_t high)
{
	int leaf = -1;
	for (size_t i = low; i <= high; i++) {
		if (tree->runs[i].count == 1)
			continue;
		if (leaf >= 0 && leaf != tree->runs[i].leaf)
			return -1;
		leaf = tree->runs[i].leaf;
	}
	return leaf >= 0 ? leaf : tree->runs[low].leaf;
}

static uint32_t numbers_in(const struct tree *tree, size_t low, size_t high)
{
	uint32_t last = high + 1 < tree->count ? tree->runs[high + 1].first : POLICY_NUMBERS;
	return last - tree->runs[low].first;
}

static struct cell cheapest(const struct tree *tree, size_t low, size_t high)
{
	struct cell best = {.cost = UINT32_MAX};
	uint32_t numbers = numbers_in(tree, low, high);
	int leaf = chain_leaf(tree, low, high);
	if (leaf >= 0) {
		uint32_t singles = 0;
		for (size_t i = low; i <= high; i++)
			singles += tree->runs[i].leaf != leaf;
		best.cost = singles * (INSTRUCTION_COST + numbers);
	}
	for (size_t split = low + 1; split <= high; split++) {
		uint32_t cost = INSTRUCTION_COST + numbers + cell(tree, low, split - 1)->cost + cell(tree, split, high)->cost;
		if (cost < best.cost)
			best = (struct cell){.cost = cost, .split = (uint16_t)split};
	}
	return best;
}

static void plan_tree(const struct tree *tree)
{
	for (size_t width = 0; width < tree->count; width++)
		for (size_t low = 0; low + width < tree->count; low++)
			*cell(tree, low, low + width) = cheapest(tree, low, low + width);
}

/* ---- the tree ---- */

static uint16_t chain(const struct tree *tree, size_t low, size_t high)
{
	uint16_t rest = (uint16_t)chain_leaf(tree, low, high), node = rest;
	for (size_t i = high + 1; i-- > low;)
		if (tree->runs[i].leaf != rest)
			node = test_equal(tree->graph, WORD_OF_NUMBER, tree->runs[i].first, tree->runs[i].leaf, node);
	return node;
}

static uint16_t build(const struct tree *tree, size_t low, size_t high)
{
	uint16_t split = cell(tree, low, high)->split;
	if (split == 0)
		return chain(tree, low, high);
	uint16_t below = build(tree, low, split - 1u);
	uint16_t from = build(tree, split, high);
	return filter_graph_test(tree->graph, (struct filter_node){.jump = BPF_JGE, .word = WORD_OF_NUMBER, .mask = UINT32_MAX,
	                                                           .value = tree->runs[split].first, .yes = from, .no = below});
}

/* The architecture is looked at first: numbers mean something only then. */
static uint16_t root(const struct tree *tree, uint32_t audit)
{
	uint16_t numbers = build(tree, 0, tree->count - 1);
	uint16_t foreign = filter_graph_return(tree->graph, SECCOMP_RET_KILL_PROCESS);
	return test_equal(tree->graph, WORD_OF_ARCH, audit, numbers, foreign);
}

int filter_compile(const struct policy_map *map, uint32_t audit, struct sock_filter ret[static FILTER_INSTRUCTIONS_MAX],
                   size_t *ret_length)
{
	CLEANUP_FREE struct filter_graph *graph = calloc(1, sizeof *graph);
	CLEANUP_FREE struct tree *tree = calloc(1, sizeof *tree);
	if (!graph || !tree)
		return -HUTCH_E_NO_MEMORY;
	tree->graph = graph;
	collect_runs(tree, map);
	CLEANUP_FREE struct cell *cells = calloc(tree->count * tree->count, sizeof *cells);
	if (!cells)
		return -HUTCH_E_NO_MEMORY;
	tree->cells = cells;
	plan_tree(tree);
	if (filter_graph_assemble(graph, root(tree, audit), ret, FILTER_INSTRUCTIONS_MAX, ret_length) < 0)
		return -HUTCH_E_INVALID;
	return 0;
}
