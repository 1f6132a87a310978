/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf.h"

#include <string.h>

struct machine {
	uint32_t a, x;
	uint32_t scratch[BPF_MEMWORDS];
};

static bool load(struct machine *m, const struct sock_filter *i, const struct seccomp_data *data)
{
	switch (BPF_MODE(i->code)) {
	case BPF_ABS:
		if (BPF_SIZE(i->code) != BPF_W || i->k % 4 || i->k > sizeof *data - 4)
			return false;
		memcpy(&m->a, (const char *)data + i->k, 4);
		return true;
	case BPF_IMM:
		m->a = i->k;
		return true;
	case BPF_MEM:
		if (i->k >= BPF_MEMWORDS)
			return false;
		m->a = m->scratch[i->k];
		return true;
	default:
		return false;
	}
}

static bool compute(struct machine *m, const struct sock_filter *i)
{
	uint32_t operand = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
	if (BPF_OP(i->code) != BPF_AND)
		return false;
	m->a &= operand;
	return true;
}

/* -1: not a jump that we know. */
static int jump(const struct machine *m, const struct sock_filter *i)
{
	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return m->a == i->k ? i->jt : i->jf;
	case BPF_JGT:
		return m->a > i->k ? i->jt : i->jf;
	case BPF_JGE:
		return m->a >= i->k ? i->jt : i->jf;
	case BPF_JSET:
		return m->a & i->k ? i->jt : i->jf;
	default:
		return -1;
	}
}

uint32_t bpf_run(const struct sock_filter *code, size_t length, const struct seccomp_data *data, bool *ran)
{
	struct machine m = {0};
	for (size_t pc = 0; pc < length; pc++) {
		const struct sock_filter *i = &code[pc];
		bool ok = true;
		if (ran)
			ran[pc] = true;
		switch (BPF_CLASS(i->code)) {
		case BPF_RET:
			return BPF_RVAL(i->code) == BPF_K ? i->k : BPF_BROKEN;
		case BPF_LD:
			ok = load(&m, i, data);
			break;
		case BPF_ST:
			ok = i->k < BPF_MEMWORDS;
			if (ok)
				m.scratch[i->k] = m.a;
			break;
		case BPF_ALU:
			ok = compute(&m, i);
			break;
		case BPF_JMP: {
			int skip = BPF_OP(i->code) == BPF_JA ? (int)i->k : jump(&m, i);
			ok = skip >= 0;
			pc += ok ? (size_t)skip : 0;
			break;
		}
		default:
			ok = false;
		}
		if (!ok)
			return BPF_BROKEN;
	}
	return BPF_BROKEN;
}
