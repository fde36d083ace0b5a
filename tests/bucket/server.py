"""An S3 API server on loopback, in memory: moto's, made atomic and, where a test asks for it, unreliable.

moto honours `If-None-Match` and `If-Match`, but looks first and writes later without a lock, so that of two rivals on
two threads both can win (`--unlocked` shows it). Here requests are taken one at a time, so exactly one wins.

    server.py [--unlocked] [--port N]     prints `listening 127.0.0.1:PORT`; ends when its standard input does
    GET  /-/requests                      how many requests there were, as {"METHOD status": count}
    POST /-/faults                        from now on, of a thousand requests each (all default to 0):
        {"seed": 1,
         "slow_down": 100,                answered 503 SlowDown, without effect
         "lost": 50,                      done, and answered 500 all the same
         "cut": 50,                       done, and the connection is cut without an answer
         "latency_ms": 20,                slower by so much
         "unconditional": true}           conditions of puts are ignored, as old stores do
"""

import argparse
import io
import json
import random
import sys
import threading
import time
from collections import Counter

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
INTERNAL = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"


class Cut(Exception):
    """The connection ends without an answer."""


class Bucket:
    """The application between the connections and moto."""

    def __init__(self, locked):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()
        self.locked = locked
        self.counts = Counter()
        self.faults = {}
        self.random = random.Random(0)

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ["PATH_INFO"].startswith("/-/"):
            return self.control(environ["PATH_INFO"], body, start_response)
        with self.lock:
            faults, drawn = self.faults, self.random.randrange(1000)
        time.sleep(faults.get("latency_ms", 0) / 1000)
        kinds = ("slow_down", "lost", "cut")
        bounds = [sum(faults.get(kind, 0) for kind in kinds[: i + 1]) for i in range(3)]
        kind = next((kind for kind, bound in zip(kinds, bounds) if drawn < bound), None)
        method = environ["REQUEST_METHOD"]
        if kind == "slow_down":
            return self.answer(method, "503 Slow Down", [], SLOW_DOWN, start_response)
        if faults.get("unconditional") and method == "PUT":
            environ.pop("HTTP_IF_NONE_MATCH", None)
            environ.pop("HTTP_IF_MATCH", None)
        environ["wsgi.input"] = io.BytesIO(body)
        status, headers, content = self.ask(environ)
        if kind == "cut":
            self.count(method, "cut")
            raise Cut
        if kind == "lost":
            return self.answer(method, "500 Internal Server Error", [], INTERNAL, start_response)
        return self.answer(method, status, headers, content, start_response)

    def ask(self, environ):
        told = []
        if self.locked:
            with self.lock:
                content = b"".join(self.moto(environ, lambda status, headers, *_: told.extend([status, headers])))
        else:
            content = b"".join(self.moto(environ, lambda status, headers, *_: told.extend([status, headers])))
        return told[0], told[1], content

    def answer(self, method, status, headers, content, start_response):
        self.count(method, status[:3])
        start_response(status, headers)
        return [content]

    def count(self, method, how):
        with self.lock:
            self.counts[f"{method} {how}"] += 1

    def control(self, path, body, start_response):
        with self.lock:
            if path == "/-/faults":
                self.faults = json.loads(body)
                self.random = random.Random(self.faults.get("seed", 0))
            content = json.dumps(self.counts).encode()
        start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(content)))])
        return [content]


class Handler(WSGIRequestHandler):
    """Keeps connections, as S3 does, and is quiet."""

    protocol_version = "HTTP/1.1"

    def run_wsgi(self):
        try:
            super().run_wsgi()
        except Cut:
            self.close_connection = True

    def log(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--unlocked", action="store_true")
    args = parser.parse_args()
    bucket = Bucket(locked=not args.unlocked)
    server = make_server("127.0.0.1", args.port, bucket, threaded=True, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening 127.0.0.1:{server.port}", flush=True)
    # Whoever started this holds its input: when they are gone, so is the server.
    sys.stdin.read()


if __name__ == "__main__":
    main()
