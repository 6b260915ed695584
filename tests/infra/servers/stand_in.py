"""A small HTTP server in place of a model's: `python -m tests.infra.servers.stand_in HOST PORT [HOW]`.

It answers /health, and any other request with its number, the path and the body. HOW: `dies` (says why and ends before
it answers), `slow` (answers after a while), `family` (starts a child in a group of its own, whose number is in
/health).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    child: int | None = None

    def do_GET(self) -> None:
        self.answer("")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def answer(self, body: str) -> None:
        own = {"pid": os.getpid(), "child": self.child, "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}
        data = json.dumps({**own, "path": self.path, "body": body}).encode()
        self.send_response(404 if self.path.startswith("/gone") else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay quiet."""


def main(host: str, port: str, how: str = "") -> None:
    print("loading the weights", flush=True)
    if how == "dies":
        sys.exit("no weights in models/nothing")
    if how == "slow":
        time.sleep(30)
    if how == "family":
        words = [sys.executable, "-c", "import time; time.sleep(600)"]
        Handler.child = subprocess.Popen(words, start_new_session=True).pid
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
