"""What can be posted to: whatever is accepted can be sent, and nothing that is refused is shown."""

import re
import socket
import string
import traceback
from http.client import HTTPSConnection
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notify_scan.webhooks.address import ACCEPTED, MOST_CHARACTERS, WebhookAddress, address_of
from notify_scan.webhooks.secrets import PAGERDUTY

LABEL = "a" * 63
LONGEST_HOST = f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}"
LONGEST_PATH = "/" + "a" * (MOST_CHARACTERS - len("https://h/"))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (PAGERDUTY, ("events.pagerduty.com", 443, "/v2/enqueue")),
        ("https://hooks.example.org", ("hooks.example.org", 443, "/")),
        ("https://hooks.example.org:/x", ("hooks.example.org", 443, "/x")),
        ("HTTPS://Hooks.Example.ORG:8443/X?Y=Z", ("hooks.example.org", 8443, "/X?Y=Z")),
        ("https://h:1/", ("h", 1, "/")),
        ("https://h.:65535?a=%2Fb&sig=c_d-e~", ("h.", 65535, "/?a=%2Fb&sig=c_d-e~")),
        ("https://h/a;b?c?d#e", ("h", 443, "/a;b?c?d")),
        ("https://h/a@b:c", ("h", 443, "/a@b:c")),
        ("https://h/ünï?ö", ("h", 443, "/%C3%BCn%C3%AF?%C3%B6")),
        ("https://bücher.example/x", ("xn--bcher-kva.example", 443, "/x")),
        ("https://my_hooks.example/x", ("my_hooks.example", 443, "/x")),
        ("https://127.0.0.1:8443/x", ("127.0.0.1", 8443, "/x")),
        ("https://[2001:DB8::1]:8443/x", ("2001:db8::1", 8443, "/x")),
        (f"https://{LONGEST_HOST}/", (LONGEST_HOST, 443, "/")),
        (f"https://h{LONGEST_PATH}", ("h", 443, LONGEST_PATH)),
    ],
)
def test_finds_host_port_and_target(url: str, address: tuple[str, int, str]) -> None:
    assert address_of(url) == WebhookAddress(*address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "secret",
        "https:",
        "https://",
        "https:///secret",
        "https://:443/secret",
        "https:secret.example/secret",
        "http://h/secret",
        "ftp://h/secret",
        "//h/secret",
        "https://user@h/secret",
        "https://user:secret@h/secret",
        "https://@h/secret",
        "https://h:0/secret",
        "https://h:65536/secret",
        "https://h:99999/secret",
        "https://h:-1/secret",
        "https://h:4a3/secret",
        "https://h:\N{FULLWIDTH DIGIT FOUR}/secret",
        "https://.../secret",
        "https://a..b/secret",
        "https://.h/secret",
        "https://h%41/secret",
        "https://h*/secret",
        "https://h,i/secret",
        "https://[secret",
        "https://[::1/secret",
        "https://[secret]/secret",
        "https://[fe80::1%25eth0]/secret",
        f"https://{LABEL}a/secret",
        f"https://{LONGEST_HOST}a/secret",
        "https://\N{MATHEMATICAL BOLD SMALL A}\N{LEFT-TO-RIGHT MARK}\N{ARABIC LETTER ALEF}a/secret",
        "https://h\N{FULLWIDTH SOLIDUS}i/secret",
        "https://h/secret\n",
        " https://h/secret",
        "https://h/sec ret",
        "https://h/sec\tret",
        "https://h/sec\rret",
        "https://h/sec\0ret",
        "https://h/sec\x7fret",
        "https://h/sec\x85ret",
        "https://h/sec\N{NO-BREAK SPACE}ret",
        "https://h/sec\N{LINE SEPARATOR}ret",
        "https://h\\secret",
        "https://h/secret\\",
        "https://h/secret\ud800",
        f"https://h{LONGEST_PATH}s",
    ],
)
def test_names_what_is_accepted_and_not_what_is_there(url: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(ACCEPTED)}$") as raised:
        address_of(url)
    assert "secret" not in "".join(
        text for text in traceback.format_exception(raised.value) if "Error" in text
    )


def test_shows_no_part_of_a_url() -> None:
    assert repr(address_of("https://secret.example/secret")) == "WebhookAddress(port=443)"


HOSTS = st.one_of(
    st.text(
        string.ascii_letters + string.digits + ".-_:[]%@ü\u0130\u00df\u200d\u3002", max_size=40
    ),
    st.text(max_size=20),
    st.from_regex(r"[a-z]{1,70}(\.[a-z0-9-]{1,70}){0,5}", fullmatch=True),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
PORTS = st.one_of(
    st.just(""), st.integers(-1, 70_000).map(lambda port: f":{port}"), st.text(max_size=4)
)
URLS = st.one_of(
    st.text(),
    st.builds(
        lambda *parts: "".join(parts),
        st.sampled_from(["https://", "HTTPS://", "http://", "https:/", ""]),
        st.sampled_from(["", "", "user@", "a:b@"]),
        HOSTS,
        PORTS,
        st.sampled_from(["/", "?", "", "\\"]),
        st.text(max_size=60),
    ),
)


@pytest.mark.no_cover
@given(URLS)
@example("https://\u0130.example/x")
@example("https://h/\u2028")
def test_whatever_is_accepted_is_sent(url: str) -> None:
    """Python's client takes each of its parts without an error, and as one line."""
    try:
        address = address_of(url)
    except ValueError:
        return
    assert not re.search(r"\s|[\x00-\x1f\x7f]|@.*://", url)
    assert 1 <= address.port <= 65_535
    sent = mock.MagicMock(spec=socket.socket)
    connection = HTTPSConnection(address.host, address.port)
    connection.sock = sent
    connection.request("POST", address.target, b"{}", {"Content-Type": "application/json"})
    head = b"".join(call.args[0] for call in sent.sendall.call_args_list).partition(b"\r\n\r\n")[0]
    first, *headers = head.split(b"\r\n")
    assert re.fullmatch(rb"POST /[!-~]* HTTP/1\.1", first)
    assert len(headers) == 4
    # What the resolver does with a name before it asks for it.
    assert address.host.encode("idna").decode() == address.host
