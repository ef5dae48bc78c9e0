"""Uploads by POST form: the fields are held to the policy, the file goes to the store as a PUT.

    fields … file ──Form──▶ exchange of a PUT ──relay──▶ store
                    answer ◀── 204, 201 with XML, or 303 to where the form says

Source: Amazon S3 API reference, "Browser-Based Uploads Using POST"; POST Object.
"""

import asyncio
import re
import tempfile
from urllib.parse import quote
from xml.sax.saxutils import escape

from clary.gateway.edge import faults
from clary.gateway.edge.exchange import Exchange, Sink
from clary.gateway.edge.head import Head, Lines
from clary.gateway.edge.multipart import MalformedError, Multipart
from clary.kernel.errors import AwsError
from clary.wire.post_policy import Allowed

MOST_BYTES = 5 << 30
"""Source: S3 user guide, POST Object."""
SPOOL_BYTES = 1 << 20
"""Smaller files never touch the disk."""
PIECE_BYTES = 256 * 1024
HEADERS = frozenset({"cache-control", "content-disposition", "content-encoding", "content-type", "expires"})
"""Fields that the object keeps as headers; beside those that begin with `x-amz-`."""
_SIGNATURE = frozenset(
    {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature"}
)
_TOKEN = re.compile(r"[a-z0-9!#$&^_.+-]+")


class GoneError(Exception):
    """The client went away before its form was here."""


def _too_large() -> AwsError:
    return AwsError("Your proposed upload exceeds the maximum allowed size", code="EntityTooLarge")


def is_form(head: Head) -> bool:
    """Tell whether a request is an upload by form: its signature, if any, stands in its body."""
    return (
        head.method == "POST"
        and "authorization" not in head.fields
        and head.fields.get("content-type", "").startswith("multipart/form-data")
    )


class Form:
    """An exchange whose body is a form; towards the relay that of a PUT of its file.

    The file is kept on the disk until it is whole, for the store would take half of one for an object.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._parts = Multipart(exchange.head.fields.get("content-type", ""))
        self._file = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - `close` closes it
        self._most_bytes = MOST_BYTES
        self._n_bytes = 0
        loop = asyncio.get_running_loop()
        self._has_fields: asyncio.Future[None] = loop.create_future()
        self._is_whole: asyncio.Future[None] = loop.create_future()
        self._sink: Sink | None = None
        self._is_held = self._is_sent = False
        self._answer: tuple[int, bytes, bytearray] | None = None
        self._place = ("", "")
        self.head = exchange.head

    async def fields(self) -> dict[str, str]:
        """Return what stands before the file, names in lower case, once it is here.

        Raises
        ------
        AwsError
            `MalformedPOSTRequest`, `InvalidArgument`: it is no form, or one without key or file.
        """
        self._exchange.stream(self)
        await self._has_fields
        fields = self._parts.fields
        key = fields.get("key", "").replace("${filename}", self._parts.filename)
        if not key:
            raise AwsError(
                "Bucket POST must contain a field named 'key'. If it is specified, please check the order "
                "of the fields.",
                code="InvalidArgument",
            )
        if "tagging" in fields:
            raise AwsError("Clary does not take the field 'tagging'.", code="NotImplemented", status=501)
        return {**fields, "key": key}

    async def whole(self, bucket: str, key: str, allowed: Allowed) -> None:
        """Wait for the file, and become the exchange of a PUT of it.

        Raises
        ------
        AwsError
            `EntityTooLarge`, `EntityTooSmall`, `MalformedPOSTRequest`, or a field that cannot be a header.
        """
        lines = self._lines()
        self._place = (bucket, key)
        self._most_bytes = MOST_BYTES if allowed.most_bytes is None else min(MOST_BYTES, allowed.most_bytes)
        if self._n_bytes <= self._most_bytes:
            self._exchange.release()
            await self._is_whole
        if self._n_bytes > self._most_bytes:
            raise _too_large()
        if self._n_bytes < allowed.least_bytes:
            text = "Your proposed upload is smaller than the minimum allowed size"
            raise AwsError(text, code="EntityTooSmall")
        lines.append((b"content-length", b"%d" % self._n_bytes))
        self.head = Head("PUT", self._exchange.head.target, lines, is_http10=False, keeps_alive=True)

    def _lines(self) -> Lines:
        lines: Lines = []
        for name, value in self._parts.fields.items():
            is_kept = name in HEADERS or (name.startswith("x-amz-") and name not in _SIGNATURE)
            if not is_kept and name != "acl":
                continue
            if not _TOKEN.fullmatch(name) or not value.isprintable():
                raise AwsError(f"The field '{name[:60]}' is no header.", code="InvalidArgument")
            lines.append((b"x-amz-acl" if name == "acl" else name.encode(), value.encode()))
        return lines

    def close(self) -> None:
        """Forget the file."""
        self._file.close()

    # From the client: a sink of the exchange.

    def feed(self, chunk: bytes) -> None:
        """Take a piece of the form."""
        if self._is_whole.done():
            return
        try:
            data = self._parts.feed(chunk)
        except MalformedError as error:
            self._fail(AwsError(str(error), code="MalformedPOSTRequest"))
            return
        self._n_bytes += len(data)
        self._file.write(data)
        if self._parts.is_in_file and not self._has_fields.done():
            self._has_fields.set_result(None)
            self._exchange.hold()  # until the policy is known to allow it
        elif self._n_bytes > self._most_bytes:
            self._fail(_too_large())

    def feed_end(self) -> None:
        """Hear that the form is complete."""
        if not self._has_fields.done():
            text = "POST requires exactly one file upload per request."
            self._fail(AwsError(text, code="InvalidArgument"))
        elif not self._parts.is_over:
            text = "The body of your POST request is not well-formed multipart/form-data."
            self._fail(AwsError(text, code="MalformedPOSTRequest"))
        elif not self._is_whole.done():
            self._is_whole.set_result(None)

    def gone(self) -> None:
        """Hear that the client went away, or was answered."""
        self._fail(GoneError())
        if self._sink is not None:
            self._sink.gone()

    def client_full(self) -> None:
        """Nothing is on its way to the client but a short answer."""

    def client_ready(self) -> None:
        """Nothing is on its way to the client but a short answer."""

    def _fail(self, error: Exception) -> None:
        for each in (self._has_fields, self._is_whole):
            if not each.done():
                each.set_exception(error)
                each.exception()  # whoever awaits it sees it; nobody has to

    # Towards the relay: an exchange.

    @property
    def is_gone(self) -> bool:
        """The client went away."""
        return self._exchange.is_gone

    @property
    def has_started(self) -> bool:
        """The answer's head is out."""
        return self._exchange.has_started

    @property
    def is_replayable(self) -> bool:
        """The file can be sent again."""
        return True

    def stream(self, sink: Sink) -> None:
        """Give the file to `sink`, as fast as it takes it."""
        self._sink = sink
        self._is_held = self._is_sent = False
        self._file.seek(0)
        self._pump()

    def _pump(self) -> None:
        while self._sink is not None and not self._is_held and not self._is_sent:
            data = self._file.read(PIECE_BYTES)
            if data:
                self._sink.feed(data)
            else:
                self._is_sent = True
                self._sink.feed_end()

    def unstream(self) -> None:
        """Drop the sink."""
        self._sink = None

    def hold(self) -> None:
        """Stop sending."""
        self._is_held = True

    def release(self) -> None:
        """Go on."""
        if self._is_held:
            self._is_held = False
            self._pump()

    def begin(self, status: int, lines: bytes, _length: int | None) -> None:
        """Take the head of the store's answer."""
        self._answer = (status, lines, bytearray())

    def write(self, chunk: bytes) -> None:
        """Take a piece of the store's answer."""
        assert self._answer is not None
        self._answer[2].extend(chunk)

    def end(self) -> None:
        """Answer as the form asks to."""
        assert self._answer is not None
        status, lines, body = self._answer
        self._sink = None
        if status == 200:
            self._exchange.answer(*self._success(lines))
        else:
            self._exchange.answer(status, lines, bytes(body))

    def answer(self, status: int, lines: bytes = b"", body: bytes = b"") -> None:
        """Send a whole answer."""
        self._exchange.answer(status, lines, body)

    def break_off(self) -> None:
        """Cut the connection."""
        self._exchange.break_off()

    def _success(self, lines: bytes) -> faults.Fault:
        fields, (bucket, key) = self._parts.fields, self._place
        found = re.search(rb"(?im)^etag: *([^\r\n]*)", lines)
        etag = found[1].decode("latin-1") if found else ""
        where = f"http://{self._exchange.head.fields.get('host', '')}/{bucket}/{quote(key)}"
        head = f"ETag: {etag}\r\nx-amz-request-id: {faults.request_id()}\r\n"
        target = fields.get("success_action_redirect") or fields.get("redirect")
        if target and target.startswith(("http://", "https://")) and target.isprintable():
            mark = "&" if "?" in target else "?"
            query = f"bucket={quote(bucket)}&key={quote(key, safe='')}&etag={quote(etag, safe='')}"
            to = quote(target, safe="%/:=&?~#+!$,;'@()*[]")
            return faults.Fault(303, f"Location: {to}{mark}{query}\r\n{head}".encode(), b"")
        status = fields.get("success_action_status", "204")
        head += f"Location: {where}\r\n"
        if status != "201":
            return faults.Fault(200 if status == "200" else 204, head.encode(), b"")
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<PostResponse><Location>{escape(where)}</Location><Bucket>{escape(bucket)}</Bucket>"
            f"<Key>{escape(key)}</Key><ETag>{escape(etag)}</ETag></PostResponse>"
        )
        return faults.Fault(201, f"{head}content-type: application/xml\r\n".encode(), text.encode())
