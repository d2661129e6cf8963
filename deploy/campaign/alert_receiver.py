"""A webhook inside the cluster that prints the texts it gets, one JSON string a line.

It needs nothing but Python: it runs as a file alone, in a pod.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 8080


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        print(json.dumps(body["text"]), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: what is printed are the alerts."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("", PORT), _Handler) as server:
        server.serve_forever()
