/* SPDX-License-Identifier: Apache-2.0 */
#include <hutch/hutch.h>

#include "base/error.h"
#include "kernel/probe.h"

int hutch_doctor(struct hutch *h, struct hutch_finding *findings, size_t capacity, struct hutch_error *err)
{
	if (!h)
		return err_set(err, HUTCH_E_INVALID, "hutch: NULL");
	if (!findings && capacity > 0)
		return err_set(err, HUTCH_E_INVALID, "findings: NULL with a capacity of %zu", capacity);
	return (int)probe_all(findings, capacity);
}
