"""Two routes with JSON, and a third that fails: its traceback is in the app's log."""

from web import HttpError, Request, Response

GREETING = "Hello, world!\n"


def answer(request: Request) -> Response:
    match request.method, request.path:
        case "GET", "/":
            return Response(GREETING)
        case "POST", "/words":
            return words(request.json())
        case "GET", "/fail":
            return fail()
        case method, path:
            raise HttpError(404, f"There is nothing at {method} {path}.")


def words(body: object) -> Response:
    if not isinstance(body, dict) or not isinstance(body.get("text"), str):
        raise HttpError(422, 'Send {"text": "some words"}.')
    found = body["text"].split()
    return Response.json({"words": len(found), "longest": max(found, key=len, default="")})


def fail() -> Response:
    stock = {"apples": 3}
    return Response.json({"pears": stock["pears"]})
