"""`python3 -m unittest` runs these without a server."""

import json
import unittest

from app import answer
from web import HttpError, Request


def ask(method: str, target: str, body: bytes = b""):
    return answer(Request(method, target, body=body), {"greeting": "Hi"}.get)


class AppTest(unittest.TestCase):
    def test_has_a_page(self):
        page = ask("GET", "/")
        self.assertTrue(page.content_type.startswith("text/html"))
        self.assertIn("<h1>It works</h1>", page.body)

    def test_greets_as_the_config_says(self):
        self.assertEqual(ask("GET", "/hello?name=Ann").body, "Hi, Ann!\n")

    def test_adds_numbers(self):
        self.assertEqual(json.loads(ask("POST", "/sum", b"[1, 2.5]").body), {"sum": 3.5})

    def test_refuses_what_it_does_not_know(self):
        for method, target, body, status in [
            ("POST", "/sum", b"{}", 422),
            ("POST", "/sum", b"{", 400),
            ("GET", "/nowhere", b"", 404),
        ]:
            with self.assertRaises(HttpError) as raised:
                ask(method, target, body)
            self.assertEqual(raised.exception.status, status)


if __name__ == "__main__":
    unittest.main()
