/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   include default|strict|debug
 *   default enosys|eperm|kill
 *   allow NAME...                [if CONDITION [and CONDITION]...]
 *   deny NAME... [errno ERRNO]   [if CONDITION [and CONDITION]...]
 *   kill NAME...                 [if CONDITION [and CONDITION]...]
 *
 * CONDITION is argN == VALUE or argN & MASK == VALUE. Words are separated by blanks; # starts a comment.
 *
 * One call has one verdict: either one line without conditions, or any number of lines with conditions and all the same
 * verdict. libseccomp 2.5.4 makes a wrong program of other combinations without an error (an allow beside a conditional
 * denial allows), and of comparisons other than equality; the grammar has no way to write either.
 */
#include "plan/policy_file.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>

#include "base/error.h"
#include "plan/filter_builtin.h"

#define ERRNO_MAX      133
#define LINE_MAX_BYTES 4096

struct parser {
	const char *name;
	unsigned line;
	const char *next; /* what is left of the line */
	char word[64];    /* the word just taken; "" at the end of the line */
	struct policy_file *policy;
	bool has_default;
	struct hutch_error *err;
};

#define FAIL(p, ...) fail((p), err_set((p)->err, HUTCH_E_INVALID, __VA_ARGS__))

static int fail(const struct parser *p, int ret)
{
	return err_prefix(p->err, ret, "%s:%u", p->name, p->line);
}

/* ---- words ---- */

static int next_word(struct parser *p)
{
	p->next += strspn(p->next, " \t");
	size_t length = strcspn(p->next, " \t");
	if (length >= sizeof p->word)
		return FAIL(p, "a word of %zu characters is too long", length);
	memcpy(p->word, p->next, length);
	p->word[length] = '\0';
	p->next += length;
	return 0;
}

static bool word_is(const struct parser *p, const char *word)
{
	return strcmp(p->word, word) == 0;
}

static int expect_end(struct parser *p)
{
	int ret = next_word(p);
	if (ret < 0)
		return ret;
	return p->word[0] ? FAIL(p, "'%s' is one word too many", p->word) : 0;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* Decimal, 0x hexadecimal, or octal with a leading 0; no signs. */
static bool parse_number(const char *text, uint64_t *ret)
{
	unsigned base = 10;
	uint64_t value = 0;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	} else if (text[0] == '0' && text[1]) {
		base = 8;
		text++;
	}
	const char *start = text;
	for (; *text; text++) {
		unsigned digit = (unsigned)digit_value(*text);
		if (digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value))
			return false;
	}
	*ret = value;
	return text > start;
}

static int next_number(struct parser *p, uint64_t *ret)
{
	int failed = next_word(p);
	if (failed < 0)
		return failed;
	return parse_number(p->word, ret) ? 0 : FAIL(p, "'%s' is not a number", p->word);
}

/* ---- conditions ---- */

static int parse_argument(struct parser *p, unsigned *ret)
{
	int failed = next_word(p);
	if (failed < 0)
		return failed;
	if (strlen(p->word) != 4 || strncmp(p->word, "arg", 3) != 0 || p->word[3] < '0' || p->word[3] >= '0' + (int)POLICY_FILE_ARGUMENTS)
		return FAIL(p, "'%s' is not an argument; write arg0 to arg5", p->word);
	*ret = (unsigned)(p->word[3] - '0');
	return 0;
}

static int parse_mask(struct parser *p, uint64_t *ret)
{
	int failed = next_number(p, ret);
	if (failed < 0)
		return failed;
	if (*ret == 0 || *ret > UINT32_MAX)
		return FAIL(p, "the mask %s is not within 1 to 0xffffffff", p->word);
	return next_word(p);
}

static int parse_condition(struct parser *p, struct policy_file_rule *rule)
{
	unsigned argument = 0;
	struct policy_file_condition condition = {.is_used = true, .mask = UINT64_MAX};
	int failed = parse_argument(p, &argument);
	if (failed == 0)
		failed = next_word(p);
	if (failed == 0 && word_is(p, "&"))
		failed = parse_mask(p, &condition.mask);
	if (failed < 0)
		return failed;
	if (!word_is(p, "=="))
		return FAIL(p, "'%s' is not a comparison; there is only ==, or & MASK ==", p->word);
	failed = next_number(p, &condition.value);
	if (failed < 0)
		return failed;
	if (condition.value & ~condition.mask)
		return FAIL(p, "%s has bits outside of the mask, so this never applies", p->word);
	if (rule->conditions[argument].is_used)
		return FAIL(p, "arg%u is compared twice in one line", argument);
	rule->conditions[argument] = condition;
	return 0;
}

/* What follows "if", to the end of the line. */
static int parse_conditions(struct parser *p, struct policy_file_rule *rule)
{
	do {
		int failed = parse_condition(p, rule);
		if (failed == 0)
			failed = next_word(p);
		if (failed < 0)
			return failed;
	} while (word_is(p, "and"));
	return p->word[0] ? FAIL(p, "'%s' where 'and' or the end of the line was expected", p->word) : 0;
}

bool policy_file_is_conditional(const struct policy_file_rule *rule)
{
	for (size_t i = 0; i < POLICY_FILE_ARGUMENTS; i++)
		if (rule->conditions[i].is_used)
			return true;
	return false;
}

static bool same_conditions(const struct policy_file_rule *a, const struct policy_file_rule *b)
{
	for (size_t i = 0; i < POLICY_FILE_ARGUMENTS; i++) {
		const struct policy_file_condition *one = &a->conditions[i], *two = &b->conditions[i];
		if (one->is_used != two->is_used || one->mask != two->mask || one->value != two->value)
			return false;
	}
	return true;
}

/* ---- rules ---- */

/* Our own table first; libseccomp may know calls that are younger than this program. */
static int resolve_call(struct parser *p, const char *name, uint16_t *ret)
{
	int number = policy_number(p->policy->arch, name);
	if (number < 0)
		number = seccomp_syscall_resolve_name(name);
	if (number < 0 || number >= POLICY_NUMBERS)
		return FAIL(p, "there is no system call '%s' on %s", name, p->policy->arch->name);
	*ret = (uint16_t)number;
	return 0;
}

static int check_consistent(struct parser *p, const char *name, const struct policy_file_rule *rule)
{
	for (size_t i = 0; i < p->policy->rules_count; i++) {
		const struct policy_file_rule *other = &p->policy->rules[i];
		if (other->number != rule->number)
			continue;
		if (!policy_file_is_conditional(other) || !policy_file_is_conditional(rule))
			return FAIL(p, "'%s' is decided in line %u already; a call has one line without conditions or only lines with them",
			            name, other->line);
		if (other->verdict != rule->verdict)
			return FAIL(p, "'%s' has another verdict in line %u; all conditions of a call lead to the same", name, other->line);
		if (same_conditions(other, rule))
			return FAIL(p, "'%s' has the same condition in line %u", name, other->line);
	}
	return 0;
}

static int add_rule(struct parser *p, const char *name, struct policy_file_rule rule)
{
	int failed = resolve_call(p, name, &rule.number);
	if (failed == 0)
		failed = check_consistent(p, name, &rule);
	if (failed < 0)
		return failed;
	if (p->policy->rules_count == POLICY_FILE_RULES_MAX)
		return FAIL(p, "more than %u rules", POLICY_FILE_RULES_MAX);
	p->policy->rules[p->policy->rules_count++] = rule;
	return 0;
}

static int parse_errno(struct parser *p, uint32_t *ret_verdict)
{
	int failed = next_word(p);
	if (failed < 0)
		return failed;
	for (int value = 1; value <= ERRNO_MAX; value++) {
		const char *name = hutch_errno_name(value);
		if (*name && word_is(p, name)) {
			*ret_verdict = SECCOMP_RET_ERRNO | (uint32_t)value;
			return next_word(p);
		}
	}
	return FAIL(p, "'%s' is not the name of an error, such as EPERM", p->word);
}

/* The words of a line that are no names. */
static bool ends_names(const struct parser *p)
{
	return !p->word[0] || word_is(p, "if") || word_is(p, "errno");
}

/* Passes over the names, so that verdict and conditions are known when they are added. */
static int parse_tail(struct parser *p, bool may_errno, struct policy_file_rule *rule)
{
	int failed = 0;
	while (failed == 0 && !ends_names(p))
		failed = next_word(p);
	if (failed == 0 && word_is(p, "errno"))
		failed = may_errno ? parse_errno(p, &rule->verdict) : FAIL(p, "only 'deny' takes an errno");
	if (failed == 0 && word_is(p, "if"))
		return parse_conditions(p, rule);
	if (failed == 0 && p->word[0])
		return FAIL(p, "'%s' where 'if' or the end of the line was expected", p->word);
	return failed;
}

static int parse_rule(struct parser *p, uint32_t verdict)
{
	struct policy_file_rule rule = {.verdict = verdict, .line = p->line};
	int failed = next_word(p);
	if (failed < 0)
		return failed;
	if (ends_names(p))
		return FAIL(p, "no system call is named");
	struct parser names = *p;
	failed = parse_tail(p, (verdict & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO, &rule);
	while (failed == 0 && !ends_names(&names)) {
		failed = add_rule(p, names.word, rule);
		if (failed == 0)
			failed = next_word(&names);
	}
	return failed;
}

/* ---- lines ---- */

static int parse_include(struct parser *p)
{
	if (p->policy->has_include || p->policy->rules_count > 0)
		return FAIL(p, "'include' comes once, before all rules");
	int failed = next_word(p);
	if (failed < 0)
		return failed;
	for (size_t i = 0; i < FILTER_BUILTIN_PROFILES; i++)
		if (word_is(p, filter_builtin_profiles[i].name)) {
			p->policy->has_include = true;
			p->policy->include = filter_builtin_profiles[i].options;
			return expect_end(p);
		}
	return FAIL(p, "'%s' is not a profile; there are default, strict and debug", p->word);
}

static int parse_default(struct parser *p)
{
	if (p->has_default)
		return FAIL(p, "a second 'default'");
	p->has_default = true;
	int failed = next_word(p);
	if (failed < 0)
		return failed;
	if (word_is(p, "enosys"))
		p->policy->otherwise = SECCOMP_RET_ERRNO | ENOSYS;
	else if (word_is(p, "eperm"))
		p->policy->otherwise = SECCOMP_RET_ERRNO | EPERM;
	else if (word_is(p, "kill"))
		p->policy->otherwise = SECCOMP_RET_KILL_PROCESS;
	else
		return FAIL(p, "'%s' is not a default; there are enosys, eperm and kill", p->word);
	return expect_end(p);
}

static int parse_line(struct parser *p, char *line)
{
	line[strcspn(line, "#")] = '\0';
	p->next = line;
	int failed = next_word(p);
	if (failed < 0 || !p->word[0])
		return failed;
	if (word_is(p, "include"))
		return parse_include(p);
	if (word_is(p, "default"))
		return parse_default(p);
	if (word_is(p, "allow"))
		return parse_rule(p, SECCOMP_RET_ALLOW);
	if (word_is(p, "deny"))
		return parse_rule(p, SECCOMP_RET_ERRNO | EPERM);
	if (word_is(p, "kill"))
		return parse_rule(p, SECCOMP_RET_KILL_PROCESS);
	return FAIL(p, "'%s' is not known; lines start with include, default, allow, deny or kill", p->word);
}

/* Comments may hold anything. */
static bool is_text(const char *line, size_t length)
{
	for (size_t i = 0; i < length && line[i] != '#'; i++)
		if ((line[i] < ' ' || line[i] > '~') && line[i] != '\t')
			return false;
	return true;
}

static int parse_lines(struct parser *p, const char *text, size_t size)
{
	for (size_t at = 0; at < size; p->line++) {
		const char *newline = memchr(text + at, '\n', size - at);
		size_t length = newline ? (size_t)(newline - text) - at : size - at;
		char line[LINE_MAX_BYTES];
		if (length >= sizeof line)
			return FAIL(p, "the line is longer than %zu characters", sizeof line - 1);
		memcpy(line, text + at, length);
		line[length] = '\0';
		if (!is_text(line, length))
			return FAIL(p, "only printable ASCII is allowed outside of comments");
		int failed = parse_line(p, line);
		if (failed < 0)
			return failed;
		at += length + 1;
	}
	return 0;
}

bool policy_file_names(const struct policy_file *policy, unsigned number)
{
	for (size_t i = 0; i < policy->rules_count; i++)
		if (policy->rules[i].number == number)
			return true;
	return false;
}

int policy_file_parse(const char *name, const char *text, size_t size, struct policy_file *ret, struct hutch_error *err)
{
	memset(ret, 0, sizeof *ret); /* too large for a temporary on the stack */
	ret->arch = policy_arch_native();
	ret->otherwise = SECCOMP_RET_ERRNO | ENOSYS;
	struct parser p = {.name = name, .line = 1, .policy = ret, .err = err};
	if (size > POLICY_FILE_BYTES_MAX)
		return err_set(err, HUTCH_E_INVALID, "%s: larger than %u bytes", name, POLICY_FILE_BYTES_MAX);
	int failed = parse_lines(&p, text, size);
	if (failed < 0)
		return failed;
	for (size_t i = 0; i < ret->rules_count; i++)
		if (ret->rules[i].verdict == SECCOMP_RET_ALLOW)
			return 0;
	if (ret->has_include)
		return 0;
	return err_set(err, HUTCH_E_INVALID, "%s: allows no system call at all", name);
}
