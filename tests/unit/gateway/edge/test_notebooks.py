"""Who may ask a notebook instance for what, and which headers it gets to see."""

import time

import pytest

from clary.gateway.edge.control import Lab
from clary.gateway.edge.notebooks import _has_session, _is_own, _passed, signature

LAB = Lab(address="/run/lab.sock", seal="key of this instance")


def cookie(expires: str, seal: str = LAB.seal) -> dict[str, str]:
    return {"cookie": f"other=1; clary-notebook={expires}.{signature(seal, expires)}"}


def test_a_session_holds_until_its_end_and_for_its_instance():
    later, over = str(int(time.time()) + 60), str(int(time.time()) - 1)
    assert _has_session(cookie(later), LAB)
    assert not _has_session(cookie(over), LAB)
    assert not _has_session(cookie(later, "key of another"), LAB)
    assert not _has_session(cookie("soon"), LAB)
    assert not _has_session({}, LAB)
    assert not _has_session({"cookie": "clary-notebook=é.ü"}, LAB)


@pytest.mark.parametrize(
    ("fields", "method", "upgrades", "is_own"),
    [
        ({}, "GET", False, True),
        ({}, "POST", False, True),
        ({"origin": "http://localhost:4747"}, "POST", False, True),
        ({"origin": "http://LOCALHOST:4747"}, "GET", True, True),
        ({"origin": "http://127.0.0.1:4747"}, "POST", False, False),
        ({"origin": "http://localhost:8080"}, "GET", True, False),
        ({"origin": "null"}, "POST", False, False),
        ({"sec-fetch-site": "same-origin"}, "POST", False, True),
        ({"sec-fetch-site": "cross-site"}, "POST", False, False),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "POST", False, False),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "GET", False, True),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, "GET", False, False),
    ],
)
def test_requests_of_other_sites_pages_are_told_by_their_origin(fields, method, upgrades, is_own):
    given = {"host": "localhost:4747", **fields}
    assert _is_own(given, method, upgrades=upgrades) is is_own


def test_a_notebook_sees_no_credentials_but_its_own_cookies():
    lines = [
        (b"Host", b"localhost"),
        (b"Cookie", b"_xsrf=1; clary-notebook=2; name=3"),
        (b"Authorization", b"AWS4-HMAC-SHA256 ..."),
        (b"X-Clary-Peer", b"127.0.0.1"),
        (b"Connection", b"keep-alive"),
    ]
    assert _passed(lines) == b"Host: localhost\r\ncookie: _xsrf=1; name=3\r\n"
