/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ERROR_H
#define HUTCH_ERROR_H

/*
 * Errors of libhutch.
 *
 * Every fallible call returns 0 (or a positive count) on success and -CODE on failure, CODE being one of
 * enum hutch_error_code. The last parameter, `struct hutch_error *err`, is filled on failure and untouched on
 * success; it may be NULL. An error is a plain value of 1 KiB: it is never allocated and never has to be freed.
 */

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library is built with all else hidden */

/* The words in quotes are what hutch_error_code_name() returns and what `error.code` of a result record holds. */
enum hutch_error_code {
	HUTCH_E_NONE = 0,
	HUTCH_E_INVALID,        /* "invalid"         a field of the request is wrong; `message` names the field */
	HUTCH_E_NO_MEMORY,      /* "no_memory"       this process is out of memory */
	HUTCH_E_SYSTEM,         /* "system"          a system call of the owner failed unexpectedly */
	HUTCH_E_UNSUPPORTED,    /* "unsupported"     this kernel or host lacks a layer that was needed; `hint` says what to do */
	HUTCH_E_UNENFORCEABLE,  /* "unenforceable"   a limit was asked for and cannot be enforced on this host */
	HUTCH_E_SETUP,          /* "setup"           a stage of building the sandbox failed: `stage`, `sys_errno` */
	HUTCH_E_COMMAND,        /* "command"         a stage of starting the command failed: `stage`, `sys_errno` */
	HUTCH_E_NOT_FOUND,      /* "not_found"       the command, or its interpreter, does not exist inside */
	HUTCH_E_NOT_EXECUTABLE, /* "not_executable"  it exists and cannot be executed (mode, directory, format, too long) */
	HUTCH_E_CWD,            /* "cwd"             the working directory cannot be entered */
	HUTCH_E_NESTED,         /* "nested"          hutch runs inside a hutch sandbox, where it cannot build another */
	HUTCH_E_TIMEOUT,        /* "timeout"         the call's own waiting time is over; nothing else happened */
	HUTCH_E_EXECUTION,      /* "execution"       the command failed and `check` was set; the result is filled in too */
	HUTCH_E_STATE,          /* "state"           the call does not fit the state of the object */
	HUTCH_E_GONE,           /* "gone"            the sandbox's init ended or spoke nonsense; everything in it is dead */
	HUTCH_E_BUSY,           /* "busy"            a bound of this library is reached (commands per sandbox, ...) */
	HUTCH_E_IS_DIRECTORY,   /* "is_directory"    a file was wanted; this, and all that follow, are about files inside */
	HUTCH_E_NOT_DIRECTORY,  /* "not_directory"   a directory was wanted, at the end of the path or on the way */
	HUTCH_E_PERMISSION,     /* "permission"      the sandbox's user may not do that, or the place is read-only */
	HUTCH_E_TOO_LARGE,      /* "too_large"       more bytes than the call allowed */
	HUTCH_E_NOT_REGULAR,    /* "not_regular"     a FIFO, socket or device, which is never opened */
	HUTCH_E_EXISTS,         /* "exists"          something is there already, or a directory is not empty */
	HUTCH_E_NO_SPACE,       /* "no_space"        the file system, or its share of it, is full */
	HUTCH_E_ARCHIVE,        /* "archive"         a tar stream is broken, or leads out of where it is unpacked */
	HUTCH_E_FILE,           /* "file"            another failure of a file operation: `sys_errno`, or its helper was killed */
	HUTCH_E_CODES           /* number of codes, not a code */
};

/* `stage` is the name of a stage of design chapter "Stages" ("binds", "seccomp", "exec", ...), or of the owner's part
 * of a start ("plan", "clone", "maps"), or "" where stages don't apply. All strings are terminated. */
struct hutch_error {
	int code;      /* enum hutch_error_code */
	int sys_errno; /* errno value, 0 if none */
	char stage[32];
	char message[600];
	char hint[384];
};

const char *hutch_error_code_name(int code); /* never NULL; "unknown" for what is not a code */
const char *hutch_errno_name(int sys_errno); /* "ENOENT"; never NULL; "" for 0 */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
