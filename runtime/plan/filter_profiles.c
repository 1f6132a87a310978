/* SPDX-License-Identifier: Apache-2.0 */
/* Which policy options make which profile; for the build-time compiler, the runtime and the tests. */
#include "plan/filter_builtin.h"
#include "spec/policy.h"

const struct filter_builtin_profile_info filter_builtin_profiles[FILTER_BUILTIN_PROFILES] = {
	[FILTER_BUILTIN_DEFAULT] = {"default", 0},
	[FILTER_BUILTIN_STRICT] = {"strict", POLICY_STRICT},
	[FILTER_BUILTIN_DEBUG] = {"debug", POLICY_DEBUG},
};
