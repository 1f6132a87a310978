/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program is laid out from its end: BPF jumps lead forward only, so a node comes before (is written after) the nodes it
 * leads to, and every distance is known when a jump is written. A conditional jump reaches 255 instructions; when the
 * target is further away, a copy of it (a return) or an unconditional jump is put within reach first.
 *
 * A word is loaded only where it may not be in the accumulator already.
 */
#include "plan/filter_graph.h"

#define WHOLE   0xffffffffu
#define NOTHING UINT16_MAX /* what the accumulator holds: no word of the data */
#define REACH   (UINT8_MAX - 2) /* two helpers may come between the measuring and the jump */

static bool same(const struct filter_node *a, const struct filter_node *b)
{
	return a->is_return == b->is_return && a->jump == b->jump && a->word == b->word && a->mask == b->mask && a->value == b->value &&
	       a->yes == b->yes && a->no == b->no;
}

static uint16_t intern(struct filter_graph *graph, struct filter_node node)
{
	for (size_t i = 0; i < graph->count; i++)
		if (same(&graph->nodes[i], &node))
			return (uint16_t)i;
	if (graph->count == FILTER_GRAPH_NODES) {
		graph->full = true;
		return 0;
	}
	graph->nodes[graph->count] = node;
	return (uint16_t)graph->count++;
}

uint16_t filter_graph_return(struct filter_graph *graph, uint32_t verdict)
{
	return intern(graph, (struct filter_node){.is_return = true, .value = verdict});
}

uint16_t filter_graph_test(struct filter_graph *graph, struct filter_node test)
{
	return test.yes == test.no ? test.yes : intern(graph, test);
}

/* ---- assembly ---- */

struct assembly {
	struct filter_graph *graph;
	struct sock_filter *code; /* last instruction first */
	size_t capacity, count;
	bool full;
};

static uint16_t emit(struct assembly *as, struct sock_filter instruction)
{
	if (as->count == as->capacity) {
		as->full = true;
		return 0;
	}
	as->code[as->count] = instruction;
	return (uint16_t)as->count++;
}

static size_t distance(const struct assembly *as, uint16_t at)
{
	return as->count - at - 1;
}

/* The position of `node` for somebody who jumps there with `held` in the accumulator. */
static uint16_t within_reach(struct assembly *as, uint16_t node, uint16_t held)
{
	struct filter_node *to = &as->graph->nodes[node];
	uint16_t at = !to->is_return && held == to->word ? to->at_test : to->at_load;
	if (distance(as, at) <= REACH)
		return at;
	if (to->is_return)
		return to->at_load = emit(as, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, to->value));
	return emit(as, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)distance(as, at)));
}

static uint16_t held_after(const struct filter_node *node)
{
	return node->mask == WHOLE ? node->word : NOTHING;
}

static void emit_test(struct assembly *as, struct filter_node *node)
{
	uint16_t yes = within_reach(as, node->yes, held_after(node));
	uint16_t no = within_reach(as, node->no, held_after(node));
	node->at_test = emit(as, (struct sock_filter)BPF_JUMP(BPF_JMP | node->jump | BPF_K, node->value, (uint8_t)distance(as, yes),
	                                                      (uint8_t)distance(as, no)));
	if (node->mask != WHOLE)
		node->at_test = emit(as, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, node->mask));
	if (node->needs_load)
		node->at_load = emit(as, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, node->word));
}

/* Depth is bounded by the tree over the call numbers and the longest check. Returns are emitted only when reached. */
static void emit_node(struct assembly *as, uint16_t index)
{
	struct filter_node *node = &as->graph->nodes[index];
	if (node->reached)
		return;
	node->reached = true;
	if (node->is_return) {
		node->at_load = emit(as, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, node->value));
		return;
	}
	emit_node(as, node->no);
	emit_node(as, node->yes);
	emit_test(as, node);
}

/* Marks the tests that somebody reaches without their word at hand. */
static void mark_loads(struct filter_graph *graph, uint16_t index)
{
	struct filter_node *node = &graph->nodes[index];
	if (node->reached || node->is_return)
		return;
	node->reached = true;
	const uint16_t next[] = {node->yes, node->no};
	for (size_t i = 0; i < 2; i++) {
		struct filter_node *to = &graph->nodes[next[i]];
		if (!to->is_return && to->word != held_after(node))
			to->needs_load = true;
		mark_loads(graph, next[i]);
	}
}

static void reverse(struct sock_filter *code, size_t count)
{
	for (size_t i = 0; i < count / 2; i++) {
		struct sock_filter first = code[i];
		code[i] = code[count - 1 - i];
		code[count - 1 - i] = first;
	}
}

int filter_graph_assemble(struct filter_graph *graph, uint16_t root, struct sock_filter *ret, size_t capacity, size_t *ret_length)
{
	struct assembly as = {.graph = graph, .code = ret, .capacity = capacity};
	if (graph->full)
		return -1;
	for (size_t i = 0; i < graph->count; i++)
		graph->nodes[i].reached = graph->nodes[i].needs_load = false;
	graph->nodes[root].needs_load = true;
	mark_loads(graph, root);
	for (size_t i = 0; i < graph->count; i++)
		graph->nodes[i].reached = false;
	emit_node(&as, root);
	if (as.full)
		return -1;
	reverse(ret, as.count);
	*ret_length = as.count;
	return 0;
}
