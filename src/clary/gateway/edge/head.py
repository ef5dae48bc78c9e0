"""The head of a request: method, target, headers."""

import re
from urllib.parse import quote_from_bytes

_ABSOLUTE = re.compile(rb"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?]*")
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))

_FRAMING_LENGTHS = frozenset(map(len, (b"content-length", b"transfer-encoding", b"expect")))

Lines = list[tuple[bytes, bytes]]
"""Headers as they came: order, case and repetition kept."""


class Head:
    """One request's head."""

    __slots__ = (
        "_fields",
        "chunked",
        "expects_continue",
        "is_http10",
        "keeps_alive",
        "length",
        "lines",
        "method",
        "path",
        "query",
        "target",
        "upgrades",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        lines: Lines,
        *,
        is_http10: bool,
        keeps_alive: bool,
        upgrades: bool = False,
    ) -> None:
        if not target.startswith(b"/"):
            target = _origin_form(target)
        if not target.isascii():
            target = quote_from_bytes(target, safe=_PRINTABLE).encode()
        self.method = method
        self.target = target
        """Origin form, as on the wire."""
        self.path, _, self.query = target.decode("ascii").partition("?")
        self.lines = lines
        self._fields: dict[str, str] | None = None
        self.is_http10 = is_http10
        self.keeps_alive = keeps_alive
        self.upgrades = upgrades
        """It asks for another protocol, such as WebSocket's."""
        self.chunked = False
        self.expects_continue = False
        self.length: int | None = 0
        """Bytes of the body; None when it is chunked."""
        for name, value in lines:
            if len(name) in _FRAMING_LENGTHS:
                lower = name.lower()
                if lower == b"content-length":
                    self.length = int(value)
                elif lower == b"transfer-encoding":
                    self.chunked = True
                elif lower == b"expect":
                    self.expects_continue = value.lower() == b"100-continue"
        if self.chunked:
            self.length = None

    @property
    def fields(self) -> dict[str, str]:
        """Header values by lower-case name; repeated headers joined with commas."""
        found = self._fields
        if found is None:
            found = self._fields = fields_of(self.lines)
        return found


def _origin_form(target: bytes) -> bytes:
    """Return the path and query of an absolute target; `host:port` and `*` as they are."""
    match = _ABSOLUTE.match(target)
    if match is None:
        return target
    rest = target[match.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def fields_of(lines: Lines) -> dict[str, str]:
    """Return header values by lower-case name, repeated ones joined with commas."""
    try:
        fields = {name.decode("ascii").lower(): value.decode() for name, value in lines}
    except UnicodeDecodeError:
        fields = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in lines}
    if len(fields) != len(lines):
        fields = {}
        for raw_name, raw_value in lines:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            fields[name] = f"{fields[name]},{value}" if name in fields else value
    return fields
