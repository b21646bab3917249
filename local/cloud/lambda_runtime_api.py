"""The Lambda Runtime API, as one process of AWS's runtime client calls it."""

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
    """One event on its way to a handler."""

    request_id: str
    function_arn: str
    payload: bytes
    trace_id: str = ""


@dataclass(frozen=True)
class Message:
    """What a runtime said. `exited` it says by ending, so somebody else has to."""

    kind: Literal["ready", "response", "error", "exited"]
    body: bytes = b""


class RuntimeApi(ThreadingHTTPServer):
    """A server for one process from its start to its end.

    Not for its successor: a request of a killed process may still wait here for an event, and
    would take the one that is meant for the next process.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApiRequest)
        self._messages: queue.Queue[Message] = queue.Queue()
        self._events: queue.Queue[tuple[dict[str, str], bytes] | None] = queue.Queue()
        self._is_ready = False
        # shutdown() lasts as long as the poll does, and every kill waits for it.
        threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    @property
    def address(self) -> str:
        """Give the value of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self.server_port}"

    def deliver(self, invocation: Invocation, timeout_seconds: float) -> None:
        """Answer the request in which the runtime asks for its next event."""
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout_seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        self._events.put((headers, invocation.payload))

    def wait(self, seconds: float) -> Message | None:
        """Wait for the next thing that the runtime says; None when it said nothing in time."""
        try:
            return self._messages.get(timeout=seconds)
        except queue.Empty:
            return None

    def say(self, message: Message) -> None:
        """Take something that the runtime said."""
        self._messages.put(message)

    def next_event(self) -> tuple[dict[str, str], bytes] | None:
        """Wait for the next event; None when there will be no more."""
        if not self._is_ready:
            self._is_ready = True
            self.say(Message("ready"))
        return self._events.get()

    def stop(self) -> None:
        """Stop listening and let a waiting request go."""
        self._events.put(None)
        self.shutdown()
        self.server_close()


class _RuntimeApiRequest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go in two writes: 40 ms an event otherwise

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
        self._api.say(Message(kind, body))
        self._answer(HTTPStatus.ACCEPTED, {}, b"")

    def log_message(self, *_: object) -> None:
        """Keep quiet: the engine's log is for the engine."""

    def _answer(self, status: HTTPStatus, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        # A process whose initialization failed is killed before it has read this.
        with contextlib.suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)
