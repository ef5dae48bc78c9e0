"""multipart/form-data, taken apart as it comes: fields first, then one file.

Source: RFC 7578; Amazon S3 API reference, POST Object: the file is the last field, what follows is ignored.
"""

import re
from enum import Enum

FIELDS_BYTES = 64 * 1024
"""All that stands before the file. S3 allows 20 KB."""
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^;,\s]{1,200}))', re.IGNORECASE)
_NAME = re.compile(r'[;\s]name=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', re.IGNORECASE)
_FILENAME = re.compile(r'[;\s]filename=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', re.IGNORECASE)
_TOO_LARGE = "Your POST request fields preceding the upload file were too large."
_END_OF_HEADERS = b"\r\n\r\n"


class MalformedError(ValueError):
    """It is no form."""


class _State(Enum):
    DELIMITER = "delimiter"
    HEADERS = "headers"
    VALUE = "value"
    FILE = "file"
    OVER = "over"


class Multipart:
    """A form's body, piece by piece.

    Raises
    ------
    MalformedError
        From `feed`: not well-formed, or the fields are too long.
    """

    def __init__(self, content_type: str) -> None:
        found = _BOUNDARY.search(content_type)
        boundary = (found[1] or found[2]) if found else ""
        self._delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
        self._has_boundary = bool(boundary)
        self._buffer = bytearray(b"\r\n")  # so that the first delimiter looks like the others
        self._state = _State.VALUE
        self._name = ""
        self._n_bytes = 0
        self.fields: dict[str, str] = {}
        """Values by name in lower case."""
        self.filename = ""
        """The file's own, without folders."""

    @property
    def is_in_file(self) -> bool:
        """All fields are here."""
        return self._state in {_State.FILE, _State.OVER} and "file" in self.fields

    @property
    def is_over(self) -> bool:
        """The file is complete."""
        return self._state is _State.OVER

    def feed(self, chunk: bytes) -> bytes:
        """Take a piece; return what of the file it makes known."""
        if self._state is _State.OVER:
            return b""
        if not self._has_boundary:
            raise MalformedError("The content type of your POST request names no boundary.")
        self._buffer += chunk
        while self._state is not _State.FILE and self._step():
            pass
        if self.is_in_file:
            return self._file()
        if self._n_bytes + len(self._buffer) > FIELDS_BYTES and not self.is_over:
            raise MalformedError(_TOO_LARGE)
        return b""

    def _step(self) -> bool:
        """Go one state on, if enough is here."""
        match self._state:
            case _State.VALUE:
                return self._value()
            case _State.DELIMITER:
                if len(self._buffer) < 2:
                    return False
                mark = self._take(2)
                if mark == b"--":
                    self._state = _State.OVER
                elif mark == b"\r\n":
                    self._state = _State.HEADERS
                else:
                    raise MalformedError(
                        "The body of your POST request is not well-formed multipart/form-data."
                    )
                return self._state is _State.HEADERS
            case _State.HEADERS:
                at = self._buffer.find(_END_OF_HEADERS)
                if at < 0:
                    return False
                self._headers(self._take(at + len(_END_OF_HEADERS)).decode("utf-8", "replace"))
                return True
            case _:
                return False

    def _value(self) -> bool:
        at = self._buffer.find(self._delimiter)
        if at < 0:
            return False
        value = self._take(at)
        self._take(len(self._delimiter))
        if self._name:
            self.fields.setdefault(self._name, value.decode("utf-8", "replace"))
        self._state = _State.DELIMITER
        return True

    def _headers(self, text: str) -> None:
        line = next(
            (each for each in text.split("\r\n") if each.lower().startswith("content-disposition:")), ""
        )
        named, filed = _NAME.search(line), _FILENAME.search(line)
        if self._n_bytes > FIELDS_BYTES:
            raise MalformedError(_TOO_LARGE)
        if named is None:
            raise MalformedError("A part of your POST request has no name.")
        self._name = (named[1] or named[2] or "").lower()
        if self._name == "file":
            name = (filed[1] or filed[2] or "") if filed else ""
            self.filename = re.split(r"[/\\]", name)[-1]
            self.fields["file"] = ""
            self._state = _State.FILE
        else:
            self._state = _State.VALUE

    def _file(self) -> bytes:
        at = self._buffer.find(self._delimiter)
        if at >= 0:
            data = self._take(at)
            self._state = _State.OVER
            self._buffer.clear()
            return data
        keep = len(self._delimiter) - 1
        return self._take(max(0, len(self._buffer) - keep))

    def _take(self, n_bytes: int) -> bytes:
        data = bytes(self._buffer[:n_bytes])
        del self._buffer[:n_bytes]
        self._n_bytes += n_bytes
        return data
