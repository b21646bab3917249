"""A server of the Lambda Runtime API for one process of AWS's runtime client."""

import contextlib
import queue
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, cast

PREFIX = "/2018-06-01/runtime"


@dataclass(frozen=True)
class Invocation:
    """One event for a handler."""

    request_id: str
    function_arn: str
    payload: bytes
    trace_id: str = ""


@dataclass(frozen=True)
class Message:
    """A message from the runtime; `exited` is sent on behalf of a process that has ended."""

    kind: Literal["ready", "response", "error", "exited"]
    body: bytes = b""


class RuntimeApi(ThreadingHTTPServer):
    """A server for exactly one process.

    The next process needs another one: a request of a killed process may still be waiting here,
    and would take the next event.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApiRequest)
        self._messages: queue.Queue[Message] = queue.Queue()
        self._events: queue.Queue[tuple[dict[str, str], bytes] | None] = queue.Queue()
        self._is_ready = False
        # shutdown() takes one poll interval, and every kill waits for it.
        threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    @property
    def address(self) -> str:
        """Return the value of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self.server_port}"

    def deliver(self, invocation: Invocation, timeout_seconds: float) -> None:
        """Answer the runtime's request for the next event."""
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout_seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        self._events.put((headers, invocation.payload))

    def wait(self, seconds: float) -> Message | None:
        """Return the next message of the runtime, or None on timeout."""
        try:
            return self._messages.get(timeout=seconds)
        except queue.Empty:
            return None

    def accept(self, message: Message) -> None:
        """Accept a message of the runtime."""
        self._messages.put(message)

    def next_event(self) -> tuple[dict[str, str], bytes] | None:
        """Wait for the next event; None if there are no more."""
        if not self._is_ready:
            self._is_ready = True
            self.accept(Message("ready"))
        return self._events.get()

    def stop(self) -> None:
        """Stop listening and release a waiting request."""
        self._events.put(None)
        self.shutdown()
        self.server_close()


class _RuntimeApiRequest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: otherwise 40 ms per event

    @property
    def _api(self) -> RuntimeApi:
        return cast("RuntimeApi", self.server)

    def do_GET(self) -> None:
        """Serve `/invocation/next`."""
        event = self._api.next_event()
        if event is None:
            self.close_connection = True
            return
        headers, payload = event
        self._answer(HTTPStatus.OK, headers, payload)

    def do_POST(self) -> None:
        """Serve `/invocation/<id>/response`, `/invocation/<id>/error` and `/init/error`."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind: Literal["response", "error"] = (
            "response" if self.path.endswith("/response") else "error"
        )
        self._api.accept(Message(kind, body))
        self._answer(HTTPStatus.ACCEPTED, {}, b"")

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, status: HTTPStatus, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        # A process that failed to initialize may be killed before it has read this.
        with contextlib.suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)
