"""A small OpenAI-compatible server in a thread, which answers as a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Fake:
    """What was asked, and how to answer.

    `reply` takes the body of a request and its number, and gives a body, or status, body, headers.
    """

    def __init__(self, reply: Callable[[dict, int], Any]):
        self.reply, self.asked, self.keys = reply, [], []
        self.models = [{"id": "tiny", "object": "model", "owned_by": "test", "created": 1}]
        self.open = self.most_open = 0
        self.lock = threading.Lock()
        self.url = ""


def answer(texts: list[str | None], tokens: int = 4, reason: str = "stop") -> dict:
    """The body of a chat completion with some choices."""
    choices = [
        {"index": i, "finish_reason": reason, "message": {"role": "assistant", "content": text}}
        for i, text in enumerate(texts)
    ]
    usage = {"completion_tokens": tokens, "prompt_tokens": 1, "total_tokens": tokens + 1}
    return {
        "id": "1", "object": "chat.completion", "created": 1, "model": "tiny", "choices": choices,
        "usage": usage,
    }  # fmt: skip


@contextmanager
def serving(reply: Callable[[dict, int], Any]) -> Iterator[Fake]:
    """Serve until the block ends."""
    fake = Fake(reply)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self._send(200, {"object": "list", "data": fake.models}, {})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with fake.lock:
                fake.asked.append(body)
                fake.keys.append(self.headers["Authorization"])
                fake.open += 1
                fake.most_open = max(fake.most_open, fake.open)
                number = len(fake.asked)
            try:
                said = fake.reply(body, number)
            finally:
                with fake.lock:
                    fake.open -= 1
            if said is None:  # cut the connection
                self.connection.close()
                return
            status, content, headers = said if isinstance(said, tuple) else (200, said, {})
            self._send(status, content, headers)

        def _send(self, status: int, content: Any, headers: dict[str, str]):
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # who hung up is no news
    fake.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
