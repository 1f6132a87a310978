/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_OPTIONS_H
#define HUTCH_TOOLS_OPTIONS_H

/*
 * The options of all verbs: one table, and the struct that parsing fills.
 *
 * A row of the table is all there is to know about an option. Parsing, `--help`, profile files, shell completion and (by a
 * test) the man page are made from it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hutch/hutch.h>

/* Bits of option.verbs; a verb's own bit is in its struct verb. */
enum {
	FOR_RUN = 1u << 0,
	FOR_DOCTOR = 1u << 1,
	FOR_VERSION = 1u << 2,
	FOR_COMPLETION = 1u << 3,
	FOR_HELP = 1u << 4,
	FOR_START = 1u << 5,
	FOR_EXEC = 1u << 6,
	FOR_SHELL = 1u << 7,
	FOR_WAIT = 1u << 8,
	FOR_LS = 1u << 9,
	FOR_INSPECT = 1u << 10,
	FOR_LOGS = 1u << 11,
	FOR_CP = 1u << 12,
	FOR_DIFF = 1u << 13,
	FOR_KILL = 1u << 14,
	FOR_STOP = 1u << 15,
	FOR_RM = 1u << 16,
	FOR_GC = 1u << 17,
	FOR_UPDATE = 1u << 18,
	FOR_PAUSE = 1u << 19,
	FOR_RESUME = 1u << 20,
	FOR_STATS = 1u << 21,
	FOR_ALL = 0x7fffffff,

	FOR_NEW = FOR_RUN | FOR_START,                     /* they make a sandbox */
	FOR_COMMAND = FOR_NEW | FOR_EXEC | FOR_SHELL,      /* they start a command */
	FOR_ATTENDED = FOR_RUN | FOR_EXEC | FOR_SHELL,     /* and may stay until it has ended */
	/* Their words are no command, so options may stand behind words, too. */
	FOR_MIXED = FOR_WAIT | FOR_LS | FOR_INSPECT | FOR_LOGS | FOR_CP | FOR_DIFF | FOR_KILL | FOR_STOP | FOR_RM | FOR_GC |
	            FOR_UPDATE | FOR_PAUSE | FOR_RESUME | FOR_STATS
};

enum workspace_choice {
	WORKSPACE_DEFAULT = 0, /* the current directory, if it may be shown */
	WORKSPACE_NONE,
	WORKSPACE_GIVEN        /* spec.workspace */
};

struct kept_text; /* strings that the options own */

struct run_options {
	struct hutch_spec spec;       /* points into what follows, and into argv */
	struct hutch_command command;

	const char **env;             /* NULL-terminated, one entry per name */
	size_t env_count;
	struct hutch_mount *mounts;
	size_t mounts_count;
	struct hutch_ulimit *ulimits;
	size_t ulimits_count;
	const char **labels;          /* NULL-terminated */
	size_t labels_count;
	char **words;                 /* of a FOR_MIXED verb, in their order */
	struct kept_text *kept;

	enum workspace_choice workspace;
	const char *stdin_file;
	const char *save;
	const char *result;
	const char *profile;          /* of the last --profile; for the parser */
	bool tty;
	bool diff;
	bool dry_run;

	/* of kept sandboxes */
	uint32_t exec_id;             /* --exec; 0: the main command */
	uint64_t wait_ms;             /* wait, cp --timeout; 0: none */
	uint64_t limit;               /* cp --limit, bytes; 0: none */
	uint64_t tail;                /* lines, when has_tail */
	uint64_t offset;              /* bytes */
	int64_t since_ms;             /* since the epoch; 0: from the start */
	int signal;                   /* 0: none was named */
	bool has_tail;
	bool interactive;
	bool detach;
	bool all;
	bool force;
	bool follow;
	bool timestamps;
	bool changes;
	bool outside_links;

	bool json;
	bool quiet;
	bool verbose;
	bool help;
};

enum option_kind {
	OPTION_FLAG,      /* sets a bool */
	OPTION_SIZE,      /* uint64_t, bytes, not zero */
	OPTION_DURATION,  /* uint64_t, milliseconds, not zero */
	OPTION_COUNT,     /* uint32_t, not zero */
	OPTION_TEXT,      /* const char *, not empty */
	OPTION_FILE,      /* the same, to completion a file */
	OPTION_DIRECTORY, /* a directory */
	OPTION_CHOICE,    /* an enum: index into `words` */
	OPTION_OWN        /* what `set` makes of it */
};

struct option;
typedef int option_set_fn(struct run_options *options, const char *value, struct hutch_error *err);

struct option {
	const char *name;         /* without the dashes */
	char letter;              /* 0: none */
	bool is_optional;         /* the argument may be left away; if given, then as --name=argument */
	bool is_command_line;     /* not in profile files */
	enum option_kind kind;
	const char *argument;     /* as help shows it; NULL: takes none */
	unsigned int verbs;       /* FOR_* */
	const char *section;      /* heading in help; NULL: that of the row before */
	const char *help;
	size_t field;             /* offset in struct run_options; not for OPTION_OWN */
	option_set_fn *set;       /* OPTION_OWN; `value` is NULL when there is none */
	const char *const *words; /* what the argument can be, NULL-terminated */
	char complete;            /* OPTION_OWN: 'f' files, 'd' directories, 0 neither */
};

extern const struct option option_table[]; /* ends with a row without a name */

const struct option *option_find(const char *name, size_t length, unsigned int verb);

/* Fills `options`, which must be all-zero, from `argv` (NULL-terminated, without program and verb). *ret_words is what
 * follows the options. What it fills must be freed in any case. Returns 0, or -1 and the reason. */
int options_parse(struct run_options *options, unsigned int verb, char **argv, char ***ret_words, struct hutch_error *err);
void options_free(struct run_options *options);

/* Was --json among the options? For errors that come before all of them are read. */
bool options_ask_json(unsigned int verb, char **argv);

/* Sets one option, as the command line or a profile names it. `value` NULL: none was given. */
int option_apply(struct run_options *options, const struct option *option, const char *value, struct hutch_error *err);

/* The name of the table that is meant by a misspelt one, or NULL. */
const char *option_suggestion(const char *name, unsigned int verb);

#endif
