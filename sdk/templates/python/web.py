"""A request and an answer, without a server: tests make them, too."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class HttpError(Exception):
    """Ends a request with a status and a sentence for the client."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status = status


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise HttpError(400, f"The body is not JSON: {error}.")


@dataclass
class Response:
    body: str
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"

    @staticmethod
    def html(page: str) -> "Response":
        return Response(page, content_type="text/html; charset=utf-8")

    @staticmethod
    def json(value: Any, status: int = 200) -> "Response":
        return Response(json.dumps(value) + "\n", status, "application/json")

    @staticmethod
    def problem(status: int, detail: str) -> "Response":
        """An error as a document that programs can read (RFC 9457)."""
        body = json.dumps({"type": "about:blank", "status": status, "detail": detail})
        return Response(body, status, "application/problem+json")
