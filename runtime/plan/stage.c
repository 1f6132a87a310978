/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/stage.h"

const char *stage_name(unsigned stage)
{
	switch (stage) {
#define X(id, name) case STAGE_##id: return name;
	OWNER_STAGES(X) SETUP_STAGES(X) COMMAND_STAGES(X)
#undef X
	default:
		return "";
	}
}
