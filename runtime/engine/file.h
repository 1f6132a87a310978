/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_FILE_H
#define HUTCH_ENGINE_FILE_H

/*
 * The owner's end of a file operation: it starts the helper like any command, and speaks the frames of plan/file.h with it.
 * What comes from it is untrusted: every number is bounded, text is cleaned, and a stream without its end is an error. A
 * helper that says nothing for FILE_SILENCE_MS is killed, as is one whose time is over. While a call waits, the loop goes on.
 */

#include <signal.h>

#include "engine/engine.h"
#include "plan/file.h"

#define FILE_SILENCE_MS 30000
#define FILE_READ_AHEAD (2 * (FILE_FRAME_MAX + 512))

struct file_reader {
	int fd;
	size_t at, filled;
	char bytes[FILE_READ_AHEAD];
};

struct file_call {
	struct hutch_sandbox *sandbox;
	struct hutch_process *process;
	const char *path;              /* as asked for */
	int in;                        /* write end of its input, -1: closed */
	bool is_over;                  /* FILE_END has come */
	struct tree_report report;     /* what it said */
	sigset_t mask;                 /* of the caller; SIGPIPE is blocked meanwhile */
	bool had_sigpipe;
	struct file_reader reader;
};

/* 1: *ret is a frame whose payload is *ret_bytes, until the next call; 0: more must be read first; -1: it is none. Pure. */
int file_frame_take(struct file_reader *reader, struct file_frame *ret, const char **ret_bytes);

/* *ret is NULL on failure; else it ends with file_end. */
int file_begin(struct hutch_sandbox *sandbox, const struct plan_file *file, const char *path, uint64_t timeout_ms, struct file_call **ret, struct hutch_error *err);
void file_end(struct file_call *call);

/* The next frame: 1; 0: the end, and it went well; or an error, the operation's own included. */
int file_next(struct file_call *call, struct file_frame *ret, const char **ret_bytes, struct hutch_error *err);

/* Sends data, and that there are no more. A helper that reads no more is no error yet: file_next tells why. 1: it reads no more. */
int file_send(struct file_call *call, const void *data, size_t size, struct hutch_error *err);
int file_send_end(struct file_call *call, struct hutch_error *err);

/* Waits until `fd` is ready for `events`; 0, or an error: too much silence, or the time is over. */
int file_wait(struct file_call *call, int fd, short events, struct hutch_error *err);

/* For what a report says of `path` ("" of the report: `path` itself). */
int file_error(const struct tree_report *report, const char *path, struct hutch_error *err);

#endif
