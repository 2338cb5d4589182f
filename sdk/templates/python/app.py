"""The app: from a request to an answer."""

from collections.abc import Callable

from page import PAGE
from web import HttpError, Request, Response

# What is set with `typecase config set`, by its key.
Config = Callable[[str], str | None]


def answer(request: Request, config: Config) -> Response:
    match request.method, request.path:
        case "GET", "/":
            return Response.html(PAGE)
        case "GET", "/hello":
            name = request.query.get("name", "world")
            print(f"greeting {name}", flush=True)
            return Response(f"{config('greeting') or 'Hello'}, {name}!\n")
        case "POST", "/sum":
            return add(request.json())
        case method, path:
            raise HttpError(404, f"There is nothing at {method} {path}.")


def add(numbers: object) -> Response:
    if not isinstance(numbers, list) or not all(isinstance(number, int | float) for number in numbers):
        raise HttpError(422, "Send a list of numbers as JSON.")
    return Response.json({"sum": sum(numbers)})
