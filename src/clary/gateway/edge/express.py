"""The express way of an invocation: what is known and plain is verified and answered in one go.

    names ──▶ Shape: which value is which        Signer ◀── "Credential=…, SignedHeaders=…"
                └──────▶ text of the canonical request, by a template ──▶ SHA-256, HMAC, compare

It only ever says yes. Whatever it does not know, or what does not hold, goes the long way, whose answer
counts: nothing is accepted here that `wire.signature` would refuse, and no error is spelled here.
"""

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from hmac import compare_digest
from operator import itemgetter
from time import perf_counter, time
from typing import TYPE_CHECKING

from clary.gateway.edge import faults
from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.inplace import InPlace, Seat
from clary.gateway.edge.invocation import PASSED_IN, WHOLE, Invocation, clean, header_of
from clary.gateway.edge.legs import Leg
from clary.gateway.edge.metrics import Metrics
from clary.kernel.errors import SignatureFault
from clary.serving.frames import FrameError, head
from clary.wire import signature, skew
from clary.wire.credential import Credential

if TYPE_CHECKING:
    from clary.gateway.edge.exchange import Exchange
    from clary.gateway.edge.invoke import Invoke

MOST_BODY_BYTES = 64 * 1024
"""Longer bodies are hashed in a thread."""
SKEW_S = skew.SKEW_S - 1
MOST_KEPT = 1024
"""Entries of each cache; all are dropped when there are more."""
MOST_NAME_BYTES = 2048
"""Of a head whose shape is remembered."""
_TARGET = re.compile(rb"/endpoints/([a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62})/invocations")
_PREFIX = re.compile(
    rb"AWS4-HMAC-SHA256 Credential=([A-Za-z0-9_]{3,128})/(\d{8})/([a-z0-9-]+)/sagemaker/aws4_request, "
    rb"SignedHeaders=([a-z0-9;_-]+), Signature="
)
_LONG_WAY = frozenset(
    {
        b"connection",
        b"expect",
        b"transfer-encoding",
        b"upgrade",
        b"x-amzn-sagemaker-target-variant",
        b"x-amzn-sagemaker-target-container-hostname",
        b"x-amzn-sagemaker-inference-component",
        b"x-amzn-sagemaker-session-id",
        b"x-amzn-sagemaker-prefix-aware-id",
    }
)
"""Headers whose requests go the long way."""
_BLOCK = 64
_HASH = sha256()
"""Copied for each use: a new one costs twice as much."""
Pick = Callable[[Sequence[bytes]], tuple[bytes, ...]]
_SPACES = re.compile(rb"  |\t| \n|: ")
"""What a canonical request has otherwise than the client may have sent it."""


class Shape:
    """The names of a request's headers, in order, and what follows from them alone."""

    __slots__ = (
        "accept",
        "authorization",
        "content_type",
        "date",
        "is_plain",
        "length",
        "names",
        "passed",
        "target_model",
        "token",
    )

    def __init__(self, raw: tuple[bytes, ...]) -> None:
        names = [name.lower() for name in raw]
        self.names = {name: place for place, name in enumerate(names)}
        self.is_plain = len(self.names) == len(names) and not _LONG_WAY.intersection(names)
        self.authorization = self.names.get(b"authorization", -1)
        self.date = self.names.get(b"x-amz-date", -1)
        self.token = self.names.get(b"x-amz-security-token", -1)
        self.content_type = self.names.get(b"content-type", -1)
        self.accept = self.names.get(b"accept", -1)
        self.length = self.names.get(b"content-length", -1)
        self.target_model = self.names.get(b"x-amzn-sagemaker-target-model", -1)
        self.is_plain = self.is_plain and min(self.authorization, self.date, self.length) >= 0
        passed = (name.encode() for name, _ in PASSED_IN)
        self.passed = tuple(self.names[name] for name in passed if name in self.names)


class Signer:
    """A credential, a day, a region, and the headers that are signed: what a client repeats all day."""

    __slots__ = (
        "_templates",
        "access_key_id",
        "credential",
        "date",
        "expires",
        "inner",
        "outer",
        "place",
        "scope",
        "signed",
        "token",
    )

    def __init__(self, match: "re.Match[bytes]", credential: Credential) -> None:
        key, date, region, names = match.groups()
        self.access_key_id = key.decode()
        self.credential = credential
        self.date = date
        self.token = (credential.session_token or "").encode()
        self.expires = credential.expires.timestamp() if credential.expires is not None else float("inf")
        self.signed = names.split(b";")
        self.scope = b"\n%b/%b/sagemaker/aws4_request\n" % (date, region)
        secret = signature.signing_key(credential.secret, date.decode(), region.decode(), "sagemaker")
        padded = secret.ljust(_BLOCK, b"\0")
        self.inner = sha256(bytes(byte ^ 0x36 for byte in padded))
        self.outer = sha256(bytes(byte ^ 0x5C for byte in padded))
        self.place = f"{credential.account}/{region.decode()}/"
        self._templates: dict[Shape, tuple[bytes, Pick] | None] = {}

    def template(self, shape: Shape) -> tuple[bytes, Pick] | None:
        """Return the canonical headers and what picks their values; None where not all is signed."""
        try:
            return self._templates[shape]
        except KeyError:
            found = self._templates[shape] = self._made(shape)
            return found

    def _made(self, shape: Shape) -> tuple[bytes, Pick] | None:
        signed = self.signed
        if len(self._templates) > MOST_KEPT:
            self._templates.clear()
        if b"host" not in signed or any(name not in shape.names for name in signed):
            return None
        for name in shape.names:
            if name.startswith(b"x-amz-") and name not in signed and name != b"x-amz-content-sha256":
                return None
        lines = b"".join([b"%b:%%b\n" % name for name in signed])
        text = lines + b"\n" + b";".join(signed) + b"\n%b"
        return text, itemgetter(*(shape.names[name] for name in signed))  # two at least: host and date


class Express:
    """The express way of one edge."""

    def __init__(self, control: ControlPlane, invoke: "Invoke", inplace: InPlace, metrics: Metrics) -> None:
        self._routes = control.routes
        self._credentials = control.credentials
        self._invoke = invoke
        self._inplace = inplace
        self._metrics = metrics
        self._shapes: dict[tuple[bytes, ...], Shape] = {}
        self._signers: dict[bytes, Signer] = {}
        self._targets: dict[bytes, str] = {}
        self._texts: dict[bytes, str] = {}
        self._headers: dict[tuple[Shape, tuple[bytes, ...]], bytes] = {}
        self._date = b""
        self._date_s = 0.0

    def shape(self, names: tuple[bytes, ...]) -> Shape:
        """Return the shape of a head."""
        found = self._shapes.get(names)
        if found is None:
            found = Shape(names)
            if sum(map(len, names)) > MOST_NAME_BYTES:
                found.is_plain = False
                return found
            if len(self._shapes) >= MOST_KEPT:
                self._shapes.clear()
            self._shapes[names] = found
        return found

    def is_target(self, target: bytes) -> bool:
        """Tell whether a target is an invocation's, spelled as everybody spells it."""
        if target in self._targets:
            return True
        match = _TARGET.fullmatch(target)
        if match is None:
            return False
        if len(self._targets) >= MOST_KEPT:
            self._targets.clear()
        self._targets[target] = match[1].decode()
        return True

    def leg(  # noqa: PLR0911 - a chain of conditions, all must hold
        self, shape: Shape, target: bytes, values: list[bytes], body: bytes
    ) -> Leg | None:
        """Verify a request, and return the leg it goes to; None where the long way must tell."""
        authorization = values[shape.authorization]
        signer = self._signers.get(authorization[:-64]) or self._signer(authorization[:-64])
        if signer is None or self._credentials.get(signer.access_key_id) is not signer.credential:
            return None
        template = signer.template(shape)
        if template is None:
            return None
        now, date = time(), values[shape.date]
        if date != self._date and not self._learn(date):
            return None
        if abs(now - self._date_s) > SKEW_S or date[:8] != signer.date or signer.expires <= now:
            return None
        if (values[shape.token] if shape.token >= 0 else b"") != signer.token:
            return None
        text, pick = template
        hashed, whole = _HASH.copy(), _HASH.copy()
        hashed.update(body)
        fields = text % (*pick(values), hashed.hexdigest().encode())
        has_blanks = b" " in fields or b"\t" in fields  # looking for one byte costs nothing
        if has_blanks and _SPACES.search(fields):
            fields = b"\n".join([b" ".join(line.split()) for line in fields.split(b"\n")])
        whole.update(b"POST\n%b\n\n%b" % (target, fields))
        inner, outer = signer.inner.copy(), signer.outer.copy()
        inner.update(b"AWS4-HMAC-SHA256\n%b%b%b" % (date, signer.scope, whole.hexdigest().encode()))
        outer.update(inner.digest())
        if not compare_digest(outer.hexdigest().encode(), authorization[-64:]):
            return None
        routed = self._routes.get(signer.place + self._targets[target])
        leg = routed.sole if routed is not None else None
        return None if leg is not None and shape.target_model >= 0 and leg.models is None else leg

    def _signer(self, prefix: bytes) -> Signer | None:
        match = _PREFIX.fullmatch(prefix)
        if match is None:
            return None
        credential = self._credentials.get(match[1].decode())
        if credential is None:
            return None
        if len(self._signers) >= MOST_KEPT:
            self._signers.clear()
        found = self._signers[prefix] = Signer(match, credential)
        return found

    def _learn(self, date: bytes) -> bool:
        try:
            self._date_s = skew.seconds(date.decode("ascii"))
        except (SignatureFault, UnicodeDecodeError):
            return False
        self._date = date
        return True

    def in_place(
        self, leg: Leg, shape: Shape, values: list[bytes], body: bytes, begun: float
    ) -> bytes | None:
        """Return the whole answer of a model in place; None where the replica should answer."""
        seat = leg.seat() if shape.target_model < 0 else self._seat(leg, values[shape.target_model])
        if seat is None or leg.asks or leg.tells:
            return None
        model = seat.model
        if model is None:
            self._inplace.miss(seat)
            return None
        asked = perf_counter()
        content_type = self._text(values[shape.content_type]) if shape.content_type >= 0 else ""
        accept = self._text(values[shape.accept]) if shape.accept >= 0 else ""
        found = model.answer(body, content_type, accept)
        if found is None:
            return None
        kind, text = found
        template = leg.templates.get(kind) or self._template(leg, kind)
        now = perf_counter()
        took_s = now - asked
        tally = leg.tally
        tally.n += 1
        tally.n_in_place += 1
        tally.n_hits += leg.models is not None
        tally.model_s += took_s
        tally.model_most_s = max(tally.model_most_s, took_s)
        tally.overhead_s += asked - begun
        tally.n_received += len(body)
        tally.n_sent += len(text)
        seat.used = now
        self._metrics.count("invoke", 200, now - begun, len(body), len(text))
        return template % (faults.request_id_bytes(), len(text), text)

    def _seat(self, leg: Leg, target: bytes) -> Seat | None:
        """Return the seat of the model that a request names."""
        return leg.models.seat(self._text(target)) if leg.models is not None else None

    def _template(self, leg: Leg, content_type: str) -> bytes:
        lines = (
            f"content-type: {clean(content_type)}\r\nx-Amzn-Invoked-Production-Variant: {leg.variant.name}"
        )
        head_lines = lines.replace("%", "%%").encode()
        made = leg.templates[content_type] = (
            b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: %b\r\n" + head_lines + b"\r\ncontent-length: %d\r\n\r\n%b"
        )
        return made

    def _text(self, value: bytes) -> str:
        found = self._texts.get(value)
        if found is None:
            if len(self._texts) >= MOST_KEPT:
                self._texts.clear()
            found = value.decode("latin-1")
            if len(value) < MOST_NAME_BYTES:
                self._texts[value] = found
        return found

    def send(self, exchange: "Exchange", leg: Leg, shape: Shape, values: list[bytes], body: bytes) -> None:
        """Go on with a verified request on the long way: by the leg's stages to a replica."""
        mark = (shape, tuple([values[place] for place in shape.passed]))
        header = self._headers.get(mark)
        if header is None:
            try:
                header = head(header_of(exchange.head.fields, WHOLE))
            except FrameError as error:
                text = f"The headers of the invocation are too long: {error}."
                exchange.answer(*faults.rest_json("ValidationError", text, 400))
                return
            if len(self._headers) >= MOST_KEPT:
                self._headers.clear()
            if len(header) < MOST_NAME_BYTES:
                self._headers[mark] = header
        Invocation(self._invoke, exchange, leg, WHOLE, body, header).go_on()
