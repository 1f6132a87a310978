/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stopping: TERM to every command; when none is left or the grace is over, init kills everything but itself and says
 * so. Init that does not answer is killed. It stays otherwise, so that the files can still be looked at.
 */
#include <signal.h>

#include "supervisor/server.h"

#define KILL_TAKES_MS 5000

static unsigned running(const struct server *server)
{
	return server->forwards_count + own_running(server);
}

static void kill_all(struct server *server)
{
	const struct message message = {.type = MESSAGE_KILL_ALL};
	server->stop = STOP_KILL;
	server->stop_at_ms = loop_deadline_ms(KILL_TAKES_MS);
	to_init(server, &message, NULL, 0);
}

void stop_begin(struct server *server, uint64_t grace_ms)
{
	int64_t at = loop_deadline_ms(grace_ms);
	if (server->stop == STOP_TERM && at < server->stop_at_ms)
		server->stop_at_ms = at; /* a second stop may be in a hurry */
	if (server_is_over(server))
		return;
	if (server->sandbox->is_suspended)
		hutch_sandbox_suspend(server->sandbox, false, NULL); /* they shall be able to handle it */
	server->stop = STOP_TERM;
	server->stop_at_ms = at;
	server->sandbox->was_ended = true;
	for (struct own *own = server->owns; own; own = own->next)
		if (own->process->state != HUTCH_PROCESS_ENDED)
			process_stop(own->process);
	forward_stop_all(server);
}

/* Init is believed only where it cannot be checked: without a cgroup. Zombies do not count as populating one. */
static bool is_populated(const struct cgroups *cgroups)
{
	uint64_t populated = 0;
	return cgroups_exist(cgroups) && (cgroup_read_key(cgroups->run, "cgroup.events", "populated", &populated) < 0 || populated != 0);
}

bool stop_emptied(struct server *server)
{
	if (server->stop != STOP_KILL)
		return true; /* told unasked, it means nothing */
	if (is_populated(&server->sandbox->cgroups))
		return false;
	server->stop = STOP_DONE;
	return true;
}

void stop_tick(struct server *server, int64_t now)
{
	if (server->stop == STOP_TERM && (running(server) == 0 || now >= server->stop_at_ms))
		kill_all(server);
	if (server->stop == STOP_KILL && now >= server->stop_at_ms)
		sandbox_gone(server->sandbox, NULL);
	if (server->stop != STOP_NONE && server->sandbox->is_gone)
		server->stop = STOP_DONE;
}

int64_t stop_next_deadline(const struct server *server)
{
	if (server->stop == STOP_TERM && running(server) == 0)
		return 0;
	return server->stop == STOP_TERM || server->stop == STOP_KILL ? server->stop_at_ms : NO_DEADLINE;
}
