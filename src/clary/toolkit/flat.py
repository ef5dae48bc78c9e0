"""A model as plain arrays and a few words, in one file that a stranger may have written.

    magic, 8 bytes │ u32 length of the header │ header, JSON │ arrays, each at a multiple of 64

A replica writes it beside its socket; an edge reads it and answers in place. Nothing in it is code, and
whoever reads it checks all of it: dtypes and bounds here, what the arrays mean where its kind is known.
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"CLFLAT1\n"
MOST_BYTES = 256 * 1024 * 1024
_MOST_HEADER = 1 << 20
_DTYPES = {"float32": np.float32, "float64": np.float64, "int32": np.int32, "int64": np.int64}
_LINE = 64


class FlatError(ValueError):
    """The file is not a flat model; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How predictions are spelled: `{"predictions": [{"score": 0.5}, {"score": 0.1}]}` and the like.

    A row is `pieces[0]`, its first number, `pieces[1]`, its second, … `pieces[-1]`. Numbers are spelled as
    Python does; what is not finite, is not spelled at all.
    """

    content_type: str
    pieces: tuple[str, ...]
    start: str = ""
    between: str = ""
    end: str = ""
    integers: tuple[int, ...] = ()
    """Places of the numbers that are spelled without a point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """One model."""

    kind: str
    """Member of `clary.serving.inplace`."""
    n_features: int
    arrays: Mapping[str, NDArray[Any]]
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    requests: tuple[str, ...]
    """Content types, as clients send them, of bodies that are rows of CSV with nothing but features."""
    formats: Mapping[str, str] = field(default_factory=dict)
    """Of further content types, as what their bodies are read: `json`, `jsonlines` or `libsvm`."""
    forms: Mapping[str, Form]
    """By what the client accepts, as it sends it; empty for a client that says nothing."""


def write(flat: Flat, path: Path) -> None:
    """Write a model, whole or not at all."""
    header: dict[str, Any] = {
        "kind": flat.kind,
        "n_features": flat.n_features,
        "numbers": dict(flat.numbers),
        "requests": list(flat.requests),
        "formats": dict(flat.formats),
        "forms": {accept: _form_document(form) for accept, form in flat.forms.items()},
        "arrays": {},
    }
    at, pieces = 0, []
    for name, array in flat.arrays.items():
        plain = np.ascontiguousarray(array)
        header["arrays"][name] = {"dtype": plain.dtype.name, "shape": list(plain.shape), "at": at}
        raw = plain.tobytes()
        raw += b"\0" * (-len(raw) % _LINE)
        pieces.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    lead = MAGIC + struct.pack("<I", len(text)) + text
    lead += b" " * (-len(lead) % _LINE)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(b"".join((lead, *pieces)))
    draft.replace(path)


def read(path: Path, *, most_bytes: int = MOST_BYTES) -> Flat:
    """Read a model, into memory that nobody else can change.

    Raises
    ------
    FlatError
        It is not one, or longer than `most_bytes`.
    OSError
        There is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise FlatError("it is no plain file")
        if about.st_size > most_bytes:
            raise FlatError(f"it has {about.st_size} bytes, more than {most_bytes}")
        whole = stream.read(most_bytes + 1)
    return parse(whole)


def parse(whole: bytes) -> Flat:
    """Read a model from bytes.

    Raises
    ------
    FlatError
        They are not one.
    """
    start = len(MAGIC) + 4
    if whole[: len(MAGIC)] != MAGIC or len(whole) < start:
        raise FlatError("it does not begin as one")
    (length,) = struct.unpack_from("<I", whole, len(MAGIC))
    if length > min(_MOST_HEADER, len(whole) - start):
        raise FlatError(f"its header cannot have {length} bytes")
    first = start + length + (-(start + length) % _LINE)
    try:
        header = json.loads(whole[start : start + length])
        return Flat(
            kind=str(header["kind"]),
            n_features=_whole_number(header["n_features"]),
            arrays={str(name): _array(whole, first, each) for name, each in header["arrays"].items()},
            numbers=dict(header["numbers"]),
            requests=tuple(map(str, header["requests"])),
            formats={str(kind): str(name) for kind, name in header.get("formats", {}).items()},
            forms={str(accept): _form(each) for accept, each in header["forms"].items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise FlatError(f"its header is wrong: {type(error).__name__}: {error}") from error


def _array(whole: bytes, first: int, document: Mapping[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(_DTYPES[document["dtype"]])
    shape = tuple(map(_whole_number, document["shape"]))
    n_values = 1
    for size in shape:
        n_values *= size
    at = first + _whole_number(document["at"])
    if len(shape) > 4 or at % _LINE or at + n_values * dtype.itemsize > len(whole):
        raise FlatError(f"an array of {shape} does not lie at {at}")
    return np.frombuffer(whole, dtype, n_values, at).reshape(shape).copy()


def _whole_number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST_BYTES:
        raise FlatError(f"{value!r} is no size")
    return value


def _form_document(form: Form) -> dict[str, Any]:
    return {name: getattr(form, name) for name in Form.__slots__}


def _form(document: Mapping[str, Any]) -> Form:
    content_type = str(document["content_type"])
    if not content_type.isascii() or not content_type.isprintable():
        raise FlatError(f"{content_type!r} is no content type")
    return Form(
        content_type=content_type,
        pieces=tuple(map(str, document["pieces"])),
        start=str(document["start"]),
        between=str(document["between"]),
        end=str(document["end"]),
        integers=tuple(map(_whole_number, document["integers"])),
    )
