"""Receivers that send too much, too slowly, too little, or nonsense."""

import contextlib
import gzip
import itertools
import socket
import ssl
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import trustme

from notify_scan.webhooks import client as client_module
from notify_scan.webhooks import exchange as exchange_module
from notify_scan.webhooks.client import WebhookClient, WebhookRefused, WebhookUnavailable
from notify_scan.webhooks.exchange import MOST_BYTES, Exchange
from notify_scan.webhooks.request import WebhookRequest, request_for
from notify_scan.webhooks.secrets import WebhookSecret
from reporting.channels.delivery import Channel
from tests.support.clock import NOW
from tests.support.template import template

pytestmark = pytest.mark.usefixtures("loopback")

PATH = "services/t0pSecretPath/b0ttomSecretPath"
KEY = "s1gningKeySecret"
LIMIT = 0.5  # seconds, instead of 13
OK = b"HTTP/1.1 200 OK\r\n"
BAD = b"HTTP/1.1 400 Bad Request\r\n"
END = b"\r\n"
BODY = b'{"version": "1"}'
PAUSE = None  # of a twentieth of a second, in what a receiver sends

type Sent = Iterable[bytes | None]


class Receiver:
    """A TLS server that reads a request and sends what it is told to, as long as it can."""

    def __init__(self, tls: ssl.SSLContext, sent: Sent) -> None:
        self._tls = tls
        self._sent = sent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.received = b""

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive(), "the client left its connection open"
        self._listener.close()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with (
            contextlib.suppress(OSError),
            self._tls.wrap_socket(connection, server_side=True) as tls,
        ):
            while not self.received.endswith(BODY):
                part = tls.recv(65_536)
                if not part:
                    return
                self.received += part
            for sent in self._sent:
                if sent is PAUSE:
                    time.sleep(0.05)
                else:
                    tls.sendall(sent)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def client(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WebhookClient]:
    """A client whose connections are all closed, and whose threads have all ended, afterwards."""
    monkeypatch.setattr(client_module, "LIMIT", LIMIT)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    yield WebhookClient(trusting)
    for thread in threading.enumerate():
        if isinstance(thread, Exchange):
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture
def receiver(authority: trustme.CA) -> Callable[[Sent], Receiver]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    return lambda sent: Receiver(tls, sent)


def request_to(port: int) -> WebhookRequest:
    secret = WebhookSecret(f"https://127.0.0.1:{port}/{PATH}", KEY)
    return request_for(Channel.WEBHOOK, {"version": "1"}, secret, now=NOW)


def assert_is_no_secret_in(error: Exception) -> None:
    shown = "".join([str(error), repr(error), *traceback.format_exception(error)])
    for secret in ("ecretPath", KEY):
        assert secret not in shown


def dripping(text: bytes) -> Sent:
    """Send a byte every twentieth of a second: every one comes long before a timeout of a read."""
    for byte in text:
        yield bytes([byte])
        yield PAUSE


def bomb() -> bytes:
    """A hundred megabytes of zeros, in a hundred kilobytes."""
    squeezed = zlib.compressobj(9, wbits=31)
    return b"".join(squeezed.compress(bytes(1_000_000)) for _ in range(100)) + squeezed.flush()


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        pytest.param(lambda: [OK, *[b"X: y\r\n"] * 200, END], "HTTPException", id="many headers"),
        pytest.param(
            lambda: itertools.chain([OK], (f"X-{n}: y\r\n".encode() for n in itertools.count())),
            "HTTPException",
            id="endless headers",
        ),
        pytest.param(lambda: [OK, b"X: " + b"y" * 70_000], "LineTooLong", id="a long header"),
        pytest.param(lambda: [b"HTTP/1.1 2" + b"0" * 70_000], "LineTooLong", id="a long status"),
        pytest.param(lambda: [b"any\r\n\r\n"], "BadStatusLine", id="no HTTP"),
        pytest.param(lambda: [b"HTTP/1.1 abc OK\r\n\r\n"], "BadStatusLine", id="no status"),
        pytest.param(list, "RemoteDisconnected", id="early close"),
        pytest.param(lambda: [b"HTTP/1.1"], "BadStatusLine", id="early close in the status"),
        pytest.param(lambda: [PAUSE] * 40, "TimeoutError", id="silence"),
        pytest.param(
            lambda: dripping(b"HTTP/1.1 200 OK" + b" " * 1_000), "TimeoutError", id="drip of status"
        ),
        pytest.param(
            lambda: itertools.chain([OK], dripping(b"X-Any: " + b"a" * 1_000)),
            "TimeoutError",
            id="drip of headers",
        ),
        pytest.param(
            lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
            "TimeoutError",
            id="endless promises",
        ),
    ],
)
def test_no_response_is_waited_for_beyond_the_limit(
    client: WebhookClient,
    receiver: Callable[[Sent], Receiver],
    sent: Callable[[], Sent],
    why: str,
) -> None:
    with receiver(sent()) as hostile:
        began = time.monotonic()
        with pytest.raises(WebhookUnavailable) as raised:
            client.post(request_to(hostile.port))
        assert time.monotonic() - began < LIMIT + 1
    assert str(raised.value) == f"WEBHOOK could not be reached ({why})"
    assert_is_no_secret_in(raised.value)
    assert hostile.received.count(b"POST ") == 1


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(lambda: itertools.repeat(b"x" * 1_000), id="endless body"),
        pytest.param(lambda: dripping(b"x" * 1_000), id="drip of a body"),
        pytest.param(list, id="early close"),
    ],
)
@pytest.mark.parametrize("length", [b"", b"Content-Length: 5000000\r\n"], ids=["", "length"])
def test_the_body_of_a_success_is_not_read(
    client: WebhookClient,
    receiver: Callable[[Sent], Receiver],
    sent: Callable[[], Sent],
    length: bytes,
) -> None:
    with receiver(itertools.chain([OK, length, END], sent())) as hostile:
        began = time.monotonic()
        assert client.post(request_to(hostile.port)) == 200
        assert time.monotonic() - began < LIMIT


@pytest.mark.parametrize(
    ("headers", "body", "shown"),
    [
        pytest.param(b"", lambda: itertools.repeat(b"x" * 1_000), "x" * 200, id="endless"),
        pytest.param(
            b"Content-Length: 90\r\n",
            lambda: [b"no such", b" hook"],
            "no such hook",
            id="too short",
        ),
        pytest.param(b"Content-Length: 4\r\n", lambda: [b"no such hook"], "no s", id="too long"),
        pytest.param(
            b"Content-Length: -7\r\n", lambda: [b"no such hook"], "no such hook", id="negative"
        ),
        pytest.param(
            b"Content-Length: 4, 5\r\n", lambda: [b"no such hook"], "no such hook", id="two lengths"
        ),
        pytest.param(b"", lambda: dripping(b"no such hook" * 9), "no such", id="drip"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n",
            lambda: [b"7\r\nno such\r\n5\r\n hook\r\n0\r\n\r\n"],
            "no such hook",
            id="chunks",
        ),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n",
            lambda: [b"7\r\nno such\r\nzz\r\n"],
            "no such",
            id="no chunk",
        ),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n",
            lambda: itertools.chain([b"7\r\nno such\r\n0\r\n"], itertools.repeat(b"X: y\r\n")),
            "no such",
            id="endless trailers",
        ),
        pytest.param(
            b"Connection: close\r\n", lambda: dripping(b"no such" * 9), "no such", id="close"
        ),
    ],
)
def test_a_refusal_is_told_by_the_beginning_of_its_body(
    client: WebhookClient,
    receiver: Callable[[Sent], Receiver],
    headers: bytes,
    body: Callable[[], Sent],
    shown: str,
) -> None:
    with receiver(itertools.chain([BAD, headers, END], body())) as hostile:
        began = time.monotonic()
        with pytest.raises(WebhookRefused) as raised:
            client.post(request_to(hostile.port))
        assert time.monotonic() - began < LIMIT + 1
    assert str(raised.value).startswith(f"WEBHOOK returned 400: {shown}")
    assert len(str(raised.value)) <= len("WEBHOOK returned 400: ") + 200
    assert_is_no_secret_in(raised.value)


def test_no_more_than_the_beginning_of_a_body_is_read(
    authority: trustme.CA, receiver: Callable[[Sent], Receiver]
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with receiver(itertools.chain([BAD, END], itertools.repeat(b"x" * 999))) as hostile:
        request = request_to(hostile.port)
        exchange = Exchange(request.secret.address, request.body, request.headers, tls=trusting)
        exchange.run_for(5)
    assert not exchange.is_alive()
    assert exchange.body == b"x" * MOST_BYTES == b"x" * 10_000


def test_nothing_is_decompressed(
    client: WebhookClient, receiver: Callable[[Sent], Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (gzip, zlib):
        monkeypatch.setattr(module, "decompress", lambda *_: pytest.fail("decompressed"))
    squeezed = bomb()
    headers = f"Content-Encoding: gzip\r\nContent-Length: {len(squeezed)}\r\n\r\n".encode()
    with receiver([BAD, headers, squeezed]) as hostile, pytest.raises(WebhookRefused) as raised:
        client.post(request_to(hostile.port))
    assert b"Accept-Encoding: identity" in hostile.received
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize("kept", [4, 12, 25])
def test_shows_no_secret_that_the_body_breaks_off_in(
    client: WebhookClient, receiver: Callable[[Sent], Receiver], kept: int
) -> None:
    secret = PATH.rpartition("/")[2].encode()
    with (
        receiver([BAD, END, b"no such hook: ", secret[:kept]]) as hostile,
        pytest.raises(WebhookRefused, match=r"400: no such hook: \(secret\)$"),
    ):
        client.post(request_to(hostile.port))


def test_the_handshake_is_bounded(client: WebhookClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "CONNECT_SECONDS", 0.1)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(WebhookUnavailable, match=r"could not be reached \(TimeoutError\)"),
    ):
        client.post(request_to(silent.getsockname()[1]))


def test_a_name_that_resolves_too_late_is_not_posted_to(
    client: WebhookClient, receiver: Callable[[Sent], Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    is_given_up = threading.Event()

    def late(*arguments: object, **more: object) -> object:
        is_given_up.wait(10)
        return resolve(*arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(socket, "getaddrinfo", late)
    with receiver([OK, END]) as hostile:
        began = time.monotonic()
        with pytest.raises(WebhookUnavailable, match=r"could not be reached \(TimeoutError\)"):
            client.post(request_to(hostile.port))
        assert time.monotonic() - began < LIMIT + 1
        is_given_up.set()
    assert hostile.received == b""


def test_a_call_leaves_time_to_the_function() -> None:
    assert client_module.LIMIT == 13
    left = template()["Globals"]["Function"]["Timeout"] - client_module.LIMIT
    assert left >= 5  # to read the secret
