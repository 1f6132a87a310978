/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_FILTER_GRAPH_H
#define HUTCH_PLAN_FILTER_GRAPH_H

/*
 * A decision graph and its layout as a seccomp program.
 *
 * A node either returns a verdict or tests one word of struct seccomp_data. Equal nodes are one node, so that what several
 * calls have in common is in the program once. Nodes are made leaves first; an edge can only lead to what exists already,
 * so there are no cycles.
 */

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_GRAPH_NODES 2048

struct filter_node {
	/* what it is */
	bool is_return;
	uint16_t jump;  /* BPF_JEQ, BPF_JGE or BPF_JSET */
	uint16_t word;  /* offset in struct seccomp_data */
	uint32_t mask;  /* 0xffffffff: none. A masked word has to be loaded again by whoever looks at it next */
	uint32_t value; /* to compare with; the verdict of a return */
	uint16_t yes, no;
	/* where it went: distances from the end of the program */
	bool reached, needs_load;
	uint16_t at_load, at_test;
};

struct filter_graph {
	size_t count;
	bool full; /* a node did not fit; kept until the assembly, so that building needs no checks */
	struct filter_node nodes[FILTER_GRAPH_NODES];
};

uint16_t filter_graph_return(struct filter_graph *graph, uint32_t verdict);

/* `test`: jump, word, mask, value, yes and no are set. With yes == no there is nothing to test, and that is returned. */
uint16_t filter_graph_test(struct filter_graph *graph, struct filter_node test);

/* -1: more than FILTER_GRAPH_NODES nodes, or more than `capacity` instructions. */
int filter_graph_assemble(struct filter_graph *graph, uint16_t root, struct sock_filter *ret, size_t capacity, size_t *ret_length);

#endif
