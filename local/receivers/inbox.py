"""Receivers of ecr-rescan's HTTPS requests: Slack, Teams, PagerDuty and a webhook."""

import contextlib
import json
import secrets
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast, get_args
from urllib.parse import parse_qs, urlsplit

import trustme

from local.receivers.webhook_services import Answer, Posted, pagerduty, slack, teams, webhook

Channel = Literal["slack", "teams", "pagerduty", "webhook"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
# A silent client keeps a thread busy for at most this long.
SILENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Received:
    """A request: its raw body, the body as JSON (None if it is not JSON), and the response.

    Header names are in lower case. Requests other than POST are refused and not recorded.
    """

    channel: Channel
    headers: Mapping[str, str]
    body: bytes
    json: Any
    received_at: datetime
    answer: Answer

    @property
    def is_accepted(self) -> bool:
        """Return whether the receiver accepted the request."""
        return HTTPStatus(self.answer.status).is_success


# The response of a scripted channel: constant, or a function of the request. None leaves the
# request to the service.
Script = Answer | Callable[[Posted], Answer | None]


@dataclass
class _Fault:
    script: Script
    times: int | None


@dataclass(frozen=True)
class _Door:
    """The address of a channel: its path and the required query parameters."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)

    def is_opened_by(self, target: str) -> bool:
        address = urlsplit(target)
        query = parse_qs(address.query)
        return address.path == self.path and all(
            query.get(name) == [value] for name, value in self.query.items()
        )


class Inbox:
    """The HTTPS receivers of ecr-rescan's messages, for the duration of a `with` block.

    Each answers as its service does, and is found only by who knows its address: `secrets()` holds
    what an operator would put into Secrets Manager. A client trusts it with `environment` set.
    """

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="inbox-")
        authority = trustme.CA()
        self._certificate_authority = Path(self._temporary.name) / "certificate-authority.pem"
        authority.cert_pem.write_to_path(str(self._certificate_authority))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
        self._routing_key = secrets.token_hex(16)
        self._signing_key = secrets.token_hex(32)
        self._doors: dict[Channel, _Door] = {
            "slack": _Door(f"/slack/services/{_name('T')}/{_name('B')}/{secrets.token_hex(12)}"),
            "teams": _Door(
                f"/teams/workflows/{secrets.token_hex(16)}/triggers/manual/paths/invoke",
                {"sig": secrets.token_urlsafe(32)},
            ),
            "pagerduty": _Door("/pagerduty/v2/enqueue"),
            "webhook": _Door(f"/webhook/{secrets.token_urlsafe(24)}"),
        }
        self._received: list[Received] = []
        self._faults: dict[Channel, list[_Fault]] = {channel: [] for channel in CHANNELS}
        self._troubles: list[str] = []
        self._lock = threading.Lock()
        self._server = _Server(self, tls)

    def __enter__(self) -> Self:
        """Start to listen."""
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Stop listening. Received messages can still be read."""
        self._server.shutdown()
        self._server.server_close()
        self._temporary.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        """Return the variable that makes Python's default TLS contexts trust the inbox."""
        return {"SSL_CERT_FILE": str(self._certificate_authority)}

    @property
    def received(self) -> tuple[Received, ...]:
        """Return all requests in order, including those that their service refused."""
        with self._lock:
            return tuple(self._received)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Return why requests could not be read: TLS error, unknown address, broken connection."""
        with self._lock:
            return tuple(self._troubles)

    def url(self, channel: Channel) -> str:
        """Return the address of a channel, including its secret parts."""
        door = self._doors[channel]
        query = "".join(
            f"{'&' if position else '?'}{name}={value}"
            for position, (name, value) in enumerate(door.query.items())
        )
        return f"https://127.0.0.1:{self._server.server_port}{door.path}{query}"

    def secrets(self) -> dict[Channel, str]:
        """Return the secret of each channel, as JSON for Secrets Manager."""
        more: dict[Channel, dict[str, str]] = {
            "pagerduty": {"routing_key": self._routing_key},
            "webhook": {"signing_key": self._signing_key},
        }
        return {
            channel: json.dumps({"url": self.url(channel)} | more.get(channel, {}))
            for channel in CHANNELS
        }

    def script(self, channel: Channel, script: Script, *, times: int | None = None) -> None:
        """Script the response of a channel, for a number of times or until `repair`.

        A channel that is scripted more than once takes one script after the other.
        """
        with self._lock:
            self._faults[channel].append(_Fault(script, times))

    def repair(self, channel: Channel) -> None:
        """End the scripted responses of a channel."""
        with self._lock:
            self._faults[channel].clear()

    def channel_of(self, target: str) -> Channel | None:
        """Return the channel of a request target, or None."""
        return next(
            (channel for channel in CHANNELS if self._doors[channel].is_opened_by(target)), None
        )

    def receive(self, channel: Channel, headers: Mapping[str, str], body: bytes) -> Answer:
        """Record a request and return the response."""
        posted = Posted(headers, body)
        answer = self._scripted(channel, posted) or self._service(channel, posted)
        received = Received(channel, headers, body, posted.json, datetime.now(UTC), answer)
        with self._lock:
            self._received.append(received)
        return answer

    def note(self, trouble: str) -> None:
        """Record why a request could not be read."""
        with self._lock:
            self._troubles.append(trouble)

    def _scripted(self, channel: Channel, posted: Posted) -> Answer | None:
        with self._lock:
            faults = self._faults[channel]
            if not faults:
                return None
            fault = faults[0]
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    faults.pop(0)
        return fault.script if isinstance(fault.script, Answer) else fault.script(posted)

    def _service(self, channel: Channel, posted: Posted) -> Answer:
        match channel:
            case "slack":
                return slack(posted)
            case "teams":
                return teams(posted)
            case "pagerduty":
                return pagerduty(posted, self._routing_key)
            case "webhook":
                return webhook()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # do not wait for connected clients

    def __init__(self, inbox: Inbox, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.inbox = inbox
        # The handshake happens in the connection's thread: here, one client could block all others.
        self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, _request: object, _client: object) -> None:
        """Record the error of a connection instead of printing it."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SILENCE_SECONDS
    disable_nagle_algorithm = True  # headers and body are two writes: otherwise 40 ms per request

    @property
    def _inbox(self) -> Inbox:
        return cast("_Server", self.server).inbox

    def handle(self) -> None:
        """Serve one connection."""
        try:
            super().handle()
        except OSError as error:  # includes ssl.SSLError
            self._inbox.note(str(error))

    def do_POST(self) -> None:
        """Pass a message to the receiver with this address."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        channel = self._inbox.channel_of(self.path)
        if channel is None:
            self._inbox.note(f"Unknown address: {urlsplit(self.path).path}")
            self._answer(Answer(HTTPStatus.NOT_FOUND, b"no_service"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(self._inbox.receive(channel, headers, body))

    def log_message(self, *_: object) -> None:
        """Log nothing: `Inbox.received` has all requests."""

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        with contextlib.suppress(ConnectionError):  # the client did not wait for the response
            self.end_headers()
            self.wfile.write(answer.body)


def _name(kind: str) -> str:
    """Return an identifier like Slack's: a letter for its kind, and ten others."""
    return kind + secrets.token_hex(5).upper()
