"""Values as XML, for the query and rest-xml protocols."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any
from xml.etree.ElementTree import Element, ParseError, XMLParser

from clary.wire.codecs import text
from clary.wire.codecs.misfit import Misfit, member_name
from clary.wire.shape import Shape

Writer = Callable[[list[str], str, Any], None]
"""Appends to the parts of a document an element of a given name that holds a value."""
Reader = Callable[[Element], Any]

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#xD;"})
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Source: XML 1.0, production Char."""


def escape(value: str) -> str:
    """Return `value` as character data; what XML cannot carry becomes U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", value).translate(_ESCAPES)


def namespace(shape: Shape) -> str:
    """Return the attribute that declares the namespace of an element of `shape`, or nothing."""
    if shape.xml_namespace is None:
        return ""
    prefix, uri = shape.xml_namespace
    return f' xmlns{":" if prefix else ""}{prefix}="{escape(uri)}"'


# Writing.


@cache
def writer(shape: Shape) -> Writer:
    """Return a function that writes a value of `shape`."""
    if shape.type_name == "structure":
        return _structure_writer(shape)
    if shape.type_name == "list":
        return _list_writer(shape)
    if shape.type_name == "map":
        return _map_writer(shape)
    write = text.writer(shape)
    declared = namespace(shape)

    def scalar(parts: list[str], name: str, value: Any) -> None:
        parts.append(f"<{name}{declared}>{escape(write(value))}</{name}>")

    return scalar


def _structure_writer(shape: Shape) -> Writer:
    declared = namespace(shape)

    def write(parts: list[str], name: str, value: Any) -> None:
        parts.append(f"<{name}{declared}{_attributes(shape, value)}>")
        write_members(parts, shape, value)
        parts.append(f"</{name}>")

    return write


def write_members(parts: list[str], shape: Shape, value: Any) -> None:
    """Write the members of a structure that travel in the body, without an element around them."""
    for name, member in shape.members.items():
        item = value.get(name)
        if item is not None and not member.is_xml_attribute and not member.location:
            writer(member)(parts, _element_name(member, name), item)


def _attributes(shape: Shape, value: Any) -> str:
    return "".join(
        f' {member.wire_name or name}="{escape(str(value[name]))}"'
        for name, member in shape.members.items()
        if member.is_xml_attribute and value.get(name) is not None
    )


def _element_name(member: Shape, name: str) -> str:
    if member.type_name == "list" and member.is_flattened and member.element.wire_name:
        return member.element.wire_name
    return member.wire_name or name


def _list_writer(shape: Shape) -> Writer:
    declared = namespace(shape)

    def write(parts: list[str], name: str, value: Any) -> None:
        write_element = writer(shape.element)
        if shape.is_flattened:
            for item in value:
                write_element(parts, name, item)
            return
        parts.append(f"<{name}{declared}>")
        for item in value:
            write_element(parts, shape.element.wire_name or "member", item)
        parts.append(f"</{name}>")

    return write


def _map_writer(shape: Shape) -> Writer:
    key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"

    def write(parts: list[str], name: str, value: Any) -> None:
        entry = name if shape.is_flattened else "entry"
        if not shape.is_flattened:
            parts.append(f"<{name}>")
        for key, item in value.items():
            parts.append(f"<{entry}>")
            writer(shape.key)(parts, key_name, key)
            writer(shape.value)(parts, value_name, item)
            parts.append(f"</{entry}>")
        if not shape.is_flattened:
            parts.append(f"</{name}>")

    return write


# Reading.


def parse(body: bytes) -> Element:
    """Return the root of a request's document.

    Raises
    ------
    Misfit
        It is not XML; or it declares entities, which can be made to grow without end.
    """
    if b"<!" in body or b"\0" in body:  # a null: UTF-16, in which the first test would see nothing
        raise Misfit("plain XML in UTF-8", "another kind")
    parser = XMLParser()  # noqa: S314 - document types, and so entities, were refused above
    try:
        parser.feed(body)
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise Misfit("XML", f"not: {error}") from None
    return root


@cache
def reader(shape: Shape) -> Reader:
    """Return a function that reads an element as `shape`; it raises `Misfit`."""
    if shape.type_name == "structure":
        return _structure_reader(shape)
    if shape.type_name == "list":
        return lambda node: _read_list(shape, list(node))
    if shape.type_name == "map":
        return lambda node: _read_map(shape, list(node))
    read = text.reader(shape)
    return lambda node: read(node.text or "")


def _structure_reader(shape: Shape) -> Reader:
    def read(node: Element) -> dict[str, Any]:
        children: dict[str, list[Element]] = {}
        for child in node:
            children.setdefault(_plain(child.tag), []).append(child)
        attributes = {_plain(key): value for key, value in node.attrib.items()}
        found: dict[str, Any] = {}
        for name, member in shape.members.items():
            if member.is_xml_attribute:
                key = (member.wire_name or name).rpartition(":")[2]
                if key in attributes:
                    found[name] = attributes[key]
                continue
            nodes = children.get(_element_name(member, name))
            if nodes and not member.location:
                try:
                    found[name] = _read_nodes(member, nodes)
                except Misfit as misfit:
                    raise misfit.within(member_name(name)) from None
        return found

    return read


def _read_nodes(shape: Shape, nodes: list[Element]) -> Any:
    if shape.is_flattened and shape.type_name == "list":
        return _read_list(shape, nodes)
    if shape.is_flattened and shape.type_name == "map":
        return _read_map(shape, nodes)
    return reader(shape)(nodes[0])


def _read_list(shape: Shape, nodes: list[Element]) -> list[Any]:
    read = reader(shape.element)
    return [read(node) for node in nodes]


def _read_map(shape: Shape, nodes: list[Element]) -> dict[str, Any]:
    key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"
    found = {}
    for node in nodes:
        parts = {_plain(child.tag): child for child in node}
        if key_name not in parts or value_name not in parts:
            raise Misfit(f"entries of <{key_name}> and <{value_name}>", "another")
        found[reader(shape.key)(parts[key_name])] = reader(shape.value)(parts[value_name])
    return found


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]
