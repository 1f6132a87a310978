/* SPDX-License-Identifier: Apache-2.0 */
#include "api/client.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "engine/image.h"
#include "spec/check.h"

/* A stream as the supervisor shall have it: `fd` becomes the index among the message's descriptors. */
static void pack_stream(struct hutch_stream *stream, bool is_input, int fds[4], unsigned *count)
{
	switch (stream->io) {
	case HUTCH_IO_FD:
		fds[*count] = stream->fd;
		stream->fd = (int)(*count)++;
		break;
	case HUTCH_IO_DEFAULT:
	case HUTCH_IO_CAPTURE:
	case HUTCH_IO_STREAM: stream->io = is_input ? HUTCH_IO_NULL : HUTCH_IO_STREAM; break;
	case HUTCH_IO_NULL:
	case HUTCH_IO_PTY: /* nobody types there; what is written goes to the log */
	case HUTCH_IO_PIPE: break;
	}
}

static int take_command(const struct hutch_command *command, struct pack_request *request, int fds[4], unsigned *count, struct hutch_error *err)
{
	struct hutch_command *copy = &request->command;
	int ret = command_check(command, copy, err);
	if (ret < 0)
		return err_stage(err, ret, "plan");
	pack_stream(&copy->in, true, fds, count);
	pack_stream(&copy->out, false, fds, count);
	pack_stream(&copy->err, false, fds, count);
	request->has_command = true;
	return 0;
}

int request_pack(const struct hutch_spec *spec, const struct hutch_command *command, int fds[4], unsigned *ret_count, struct hutch_error *err)
{
	struct pack_request request = {.has_spec = spec};
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	unsigned count = 1;
	int ret = spec ? spec_check(spec, &request.spec, err) : 0;
	if (ret == 0 && command)
		ret = take_command(command, &request, fds, &count, err);
	if (ret < 0)
		return ret;
	ret = pack_request_write(&request, &bytes, &size);
	if (ret < 0)
		return err_set(err, -ret, ret == -HUTCH_E_INVALID ? "the request is too long" : "out of memory");
	fds[0] = image_memfd("hutch-request", bytes, size, 0, err);
	if (fds[0] < 0)
		return fds[0];
	*ret_count = count;
	return 0;
}
