"""One HTTP exchange in a thread of its own, because no timeout of a socket bounds a whole call.

A receiver that sends a byte now and then renews every timeout, and resolving a name has none.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Mapping
from http.client import HTTPException, HTTPSConnection
from typing import Any, cast

from notify_scan.webhooks.address import WebhookAddress

CONNECT_SECONDS = 3  # to connect to one of the host's IP addresses, and again for TLS
MOST_BYTES = 10_000  # of a response body


class _BreakableSocket(ssl.SSLSocket):
    """A socket that another thread can stop reading from, even while bytes keep coming."""

    is_broken = False

    def recv_into(self, *arguments: Any) -> int:
        """Receive, unless the socket is broken: a shut socket still returns what arrives."""
        if self.is_broken:
            raise TimeoutError
        return super().recv_into(*arguments)

    def break_off(self) -> None:
        """End a read that waits, and let no other begin."""
        self.is_broken = True
        # Not SSLSocket.shutdown: that would take the TLS state from the thread that reads.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self, socket.SHUT_RDWR)


class Exchange(threading.Thread):
    """A POST request, and what has come back so far.

    status: HTTP status, 0 without a response. retry_after: the header, or "".
    body: the beginning of the response body as it was sent, never decompressed. That of a success
    is read only if reads_success is set.
    trouble: the class of the error that ended the exchange. Its text may repeat the URL.
    """

    def __init__(
        self,
        address: WebhookAddress,
        body: bytes,
        headers: Mapping[str, str],
        *,
        tls: ssl.SSLContext,
    ) -> None:
        super().__init__(daemon=True)
        self.status = 0
        self.retry_after = ""
        self.body = b""
        self.trouble = ""
        self.reads_success = False
        self._request = (address.target, body, dict(headers))
        tls.sslsocket_class = _BreakableSocket
        self._connection = HTTPSConnection(
            address.host, address.port, timeout=CONNECT_SECONDS, context=tls
        )
        self._socket: _BreakableSocket | None = None
        self._is_over = False

    def run_for(self, seconds: float) -> None:
        """Make the exchange, and break it off when it takes longer."""
        self.start()
        self.join(seconds)
        self._is_over = True
        if self.is_alive():
            self.trouble = TimeoutError.__name__
            if self._socket:
                self._socket.break_off()

    def run(self) -> None:
        """Connect, send, and read the beginning of the response."""
        try:
            self._exchange()
        except (OSError, HTTPException) as error:
            self.trouble = self.trouble or type(error).__name__
        finally:
            self._connection.close()

    def _exchange(self) -> None:
        self._connection.connect()
        self._socket = cast("_BreakableSocket", self._connection.sock)
        if self._is_over:  # the call is retried: sent now, the message would come twice
            return
        self._socket.settimeout(None)  # from here on, run_for ends what takes too long
        target, body, headers = self._request
        self._connection.request("POST", target, body, headers)
        with self._connection.getresponse() as response:
            self.retry_after = response.headers.get("Retry-After", "")
            self.status = response.status
            if 200 <= response.status < 300 and not self.reads_success:
                return
            while len(self.body) < MOST_BYTES:
                part = response.read1(MOST_BYTES - len(self.body))
                if not part:
                    return
                self.body += part
