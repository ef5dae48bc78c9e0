"""Forms, taken apart however they are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.gateway.edge.multipart import FIELDS_BYTES, MalformedError, Multipart

TYPE = "multipart/form-data; boundary=xYz"


def form(*fields, file=b"", filename="a.txt", tail=b"--xYz--\r\n"):
    parts = [
        f'--xYz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    head = f'--xYz\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
    return b"".join([*parts, head.encode(), b"Content-Type: text/x\r\n\r\n", file, b"\r\n", tail])


@given(
    values=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=9), max_size=3),
    file=st.binary(max_size=200) | st.sampled_from([b"\r\n--xY", b"\r\n-", b"\r", b"\r\n--xYz!"[:-2]]),
    cuts=st.lists(st.integers(0, 600), max_size=6),
)
def test_a_form_reads_the_same_however_it_is_cut(values, file, cuts):
    fields = [(f"F{i}", value) for i, value in enumerate(values)]
    if b"\r\n--xYz" in file:
        return
    body = form(*fields, file=file)
    parser, found = Multipart(TYPE), b""
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    for start, end in itertools.pairwise(edges):
        found += parser.feed(body[start:end])
    assert parser.is_over
    assert found == file
    assert parser.fields == {**{name.lower(): value for name, value in fields}, "file": ""}
    assert parser.filename == "a.txt"


def test_what_follows_the_file_does_not_count():
    parser = Multipart(TYPE)
    late = b'--xYz\r\nContent-Disposition: form-data; name="acl"\r\n\r\npublic\r\n--xYz--'
    assert parser.feed(form(("key", "k"), file=b"1", tail=late)) == b"1"
    assert parser.feed(b"more") == b""
    assert parser.fields == {"key": "k", "file": ""}


@pytest.mark.parametrize("filename", ["b.txt", "C:\\\\x\\b.txt", "/etc/b.txt", "../b.txt"])
def test_a_filename_is_a_name_alone(filename):
    parser = Multipart(TYPE)
    parser.feed(form(file=b"1", filename=filename))
    assert parser.filename == "b.txt"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", form()),
        (TYPE, b"--xYz and more" + b"x" * 10),
        (TYPE, b"--xYz\r\nContent-Type: a\r\n\r\n1\r\n--xYz--"),
        (TYPE, form(("a", "x" * FIELDS_BYTES))),
        (TYPE, b"x" * (FIELDS_BYTES + 1)),
    ],
    ids=["no boundary", "no line end", "no name", "long fields", "no form"],
)
def test_what_is_no_form_is_refused(content_type, body):
    with pytest.raises(MalformedError):
        Multipart(content_type).feed(body)


def test_a_form_without_a_file_never_gets_there():
    parser = Multipart(TYPE)
    parser.feed(b'--xYz\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--xYz--')
    assert not parser.is_in_file
