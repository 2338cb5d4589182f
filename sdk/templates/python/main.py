"""What the server calls: connects app.py to wasi:http. Everything that can be tested without a server is in app.py."""

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import store, types
from wit_world.imports.streams import StreamError_Closed

import app
from web import HttpError, Request, Response

READ_BYTES = 64 * 1024
# The most that one blocking write of wasi:io takes.
WRITE_BYTES = 4096


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: types.IncomingRequest, response_out: types.ResponseOutparam) -> None:
        # What else is raised ends the request, with its traceback in the app's log.
        try:
            response = app.answer(read(request), store.get)
        except HttpError as error:
            response = Response.problem(error.status, str(error))
        send(response, response_out)


def read(request: types.IncomingRequest) -> Request:
    method = request.method()
    # Each standard method is a class of its own, such as Method_Get.
    name = getattr(method, "value", type(method).__name__.removeprefix("Method_").upper())
    headers = {field: value.decode("latin-1") for field, value in request.headers().entries()}
    pieces = []
    with request.consume() as body, body.stream() as stream:
        try:
            while True:
                pieces.append(stream.blocking_read(READ_BYTES))
        except Err as error:
            if not isinstance(error.value, StreamError_Closed):
                raise
    return Request(name, request.path_with_query() or "/", headers, b"".join(pieces))


def send(response: Response, out: types.ResponseOutparam) -> None:
    fields = types.Fields.from_list([("content-type", response.content_type.encode())])
    outgoing = types.OutgoingResponse(fields)
    outgoing.set_status_code(response.status)
    body = outgoing.body()
    types.ResponseOutparam.set(out, Ok(outgoing))
    content = response.body.encode()
    with body.write() as stream:
        for start in range(0, len(content), WRITE_BYTES):
            stream.blocking_write_and_flush(content[start : start + WRITE_BYTES])
    types.OutgoingBody.finish(body, None)
