/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_BASE_SCOPE_H
#define HUTCH_BASE_SCOPE_H

/* What hutch-scope writes to descriptor 3, once: see runtime/scope/main.c. */

#include <stdint.h>

#define SCOPE_ANSWER_MAGIC 0x48534331u

struct scope_answer {
	uint32_t magic;
	int32_t error;      /* 0, or an errno; then `text` says what failed */
	char text[1024];    /* the scope's path, as /proc/PID/cgroup shows it */
};

#endif
