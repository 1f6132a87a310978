/* SPDX-License-Identifier: Apache-2.0 */
#include <hutch/hutch.h>

const char *hutch_version(void)
{
	return HUTCH_VERSION;
}
