"""Paths into documents, as SQL: one spelling for SQLite, one for PostgreSQL.

A path walks through lists: any element may be the one. What it reaches are leaves.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

Any_ = sa.ColumnElement[Any]
Truth = sa.ColumnElement[bool]
Names = tuple[str, ...]

_NUMERAL = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value that a path reached, in each of its readings; those that do not apply are NULL."""

    exists: Truth
    text: Any_
    number: Any_
    """Of a JSON number."""
    numeral: Any_
    """Of a text that spells a number."""
    time: Any_
    """ISO text of a stored datetime."""
    truth: Any_
    """1 or 0 of a JSON truth value."""


class JsonSql(ABC):
    """How one database looks into documents."""

    @abstractmethod
    def any_leaf(self, document: Any_, names: Names, test: Callable[[Leaf], Truth]) -> Truth:
        """Say whether `test` is true of any leaf that the path reaches; never NULL."""

    @abstractmethod
    def any_element(self, document: Any_, names: Names, test: Callable[[Any_], Truth]) -> Truth:
        """Say whether `test` is true of any structure that the path reaches; never NULL."""

    @abstractmethod
    def text_leaf(self, text: Any_) -> Leaf:
        """Return a plain text as a leaf."""

    @abstractmethod
    def contains(self, text: Any_, part: str) -> Truth:
        """Say whether `part` stands in `text`, letter case counting."""

    @abstractmethod
    def sort_key(self, document: Any_, names: Names, *, spelled: bool = False) -> list[Any_]:
        """Return rank, number and text to sort by: missing first, then numbers, then text, then times.

        Parameters
        ----------
        spelled : bool
            Whether a text that spells a number sorts as that number.
        """

    @abstractmethod
    def number_in_element(
        self, document: Any_, names: Names, member: str, value: str, field: Names, *, missing: float
    ) -> Any_:
        """Return the number at `field` of a list's first structure with this `member`, or `missing`."""

    def begins(self, text: Any_, prefix: str) -> Truth:
        """Say whether `text` begins with `prefix`."""
        return sa.func.substr(text, 1, len(prefix)) == prefix


class SqliteSql(JsonSql):
    """SQLite: `json_extract` on plain paths, a function in Python only where a list lies on the way."""

    def any_leaf(self, document: Any_, names: Names, test: Callable[[Leaf], Truth]) -> Truth:
        """See `JsonSql`."""
        elements = self._leaves(document, names)
        listed = sa.select(sa.literal(1)).select_from(elements)
        through_lists = listed.where(test(self._element_leaf(elements)).is_(sa.true())).exists()
        if not _is_plain(names):
            return through_lists
        kinds = [_json_type(document, names[: i + 1]) for i in range(len(names))]
        direct = sa.and_(kinds[-1].is_not(None), kinds[-1] != "array", test(self._leaf(document, names)))
        has_list = sa.or_(*(kind == "array" for kind in kinds))
        return sa.or_(direct.is_(sa.true()), sa.and_(has_list.is_(sa.true()), through_lists))

    def any_element(self, document: Any_, names: Names, test: Callable[[Any_], Truth]) -> Truth:
        """See `JsonSql`."""
        elements = self._leaves(document, names)
        is_structure = elements.c.type == "object"
        # SQLite may test in any order, and JSON functions raise on what is no JSON.
        element: Any_ = sa.case((is_structure, elements.c.value), else_=sa.literal_column("'{}'"))
        listed = sa.select(sa.literal(1)).select_from(elements)
        return listed.where(is_structure, test(element).is_(sa.true())).exists()

    def text_leaf(self, text: Any_) -> Leaf:
        """See `JsonSql`."""
        return Leaf(text.is_not(None), text, sa.null(), sa.func.clary_number(text), sa.null(), sa.null())

    def contains(self, text: Any_, part: str) -> Truth:
        """See `JsonSql`."""
        return sa.func.instr(text, part) > 0

    def sort_key(self, document: Any_, names: Names, *, spelled: bool = False) -> list[Any_]:
        """See `JsonSql`."""
        return _ranked(self._leaf(document, names), spelled=spelled)

    def number_in_element(
        self, document: Any_, names: Names, member: str, value: str, field: Names, *, missing: float
    ) -> Any_:
        """See `JsonSql`. What a document was read for once is remembered: reading is most of such a sort."""
        elements = sa.func.json_each(document, _dollar(names)).table_valued("type", "value")
        is_structure = elements.c.type == "object"
        structure: Any_ = sa.case((is_structure, elements.c.value), else_=sa.literal_column("'{}'"))
        found = sa.func.json_extract(structure, _dollar(field))
        number = sa.case((_json_type(structure, field).in_(("integer", "real")), found))
        listed = sa.select(number).select_from(elements)
        wanted = listed.where(is_structure, sa.func.json_extract(structure, _dollar((member,))) == value)
        first = wanted.limit(1).scalar_subquery()  # `json_each` goes through a list in its order
        asked = json.dumps([names, member, value, field])
        found = sa.func.coalesce(first, sa.literal(missing))
        return sa.func.coalesce(
            sa.func.clary_known(document, asked), sa.func.clary_learn(document, asked, found)
        )

    def _leaves(self, document: Any_, names: Names) -> sa.TableValuedAlias:
        found = sa.func.clary_leaves(document, json.dumps(names))
        return sa.func.json_each(found).table_valued("type", "value", "atom")

    def _element_leaf(self, elements: sa.TableValuedAlias) -> Leaf:
        value: Any_ = sa.case(
            (elements.c.type == "object", elements.c.value), else_=sa.literal_column("'{}'")
        )
        return _sqlite_leaf(elements.c.type, elements.c.atom, sa.func.json_extract(value, '$."$time"'))

    def _leaf(self, document: Any_, names: Names) -> Leaf:
        atom = sa.func.json_extract(document, _dollar(names))
        return _sqlite_leaf(
            _json_type(document, names), atom, sa.func.json_extract(document, _dollar((*names, "$time")))
        )


class PostgresSql(JsonSql):
    """PostgreSQL: lax JSON paths walk through lists by themselves.

    Parameters
    ----------
    walks : bool
        Whether the trigram index shall not be used.
    """

    def __init__(self, *, walks: bool = False) -> None:
        self._walks = walks

    def any_leaf(self, document: Any_, names: Names, test: Callable[[Leaf], Truth]) -> Truth:
        """See `JsonSql`."""
        reached = self._reached(document, names, through_last=True)
        listed = sa.select(sa.literal(1)).select_from(reached)
        return listed.where(test(_postgres_leaf(reached.c.value)).is_(sa.true())).exists()

    def any_element(self, document: Any_, names: Names, test: Callable[[Any_], Truth]) -> Truth:
        """See `JsonSql`."""
        reached = self._reached(document, names, through_last=True)
        element: Any_ = reached.c.value
        listed = sa.select(sa.literal(1)).select_from(reached)
        return listed.where(sa.func.jsonb_typeof(element) == "object", test(element).is_(sa.true())).exists()

    def text_leaf(self, text: Any_) -> Leaf:
        """See `JsonSql`."""
        return Leaf(text.is_not(None), text, sa.null(), _postgres_numeral(text), sa.null(), sa.null())

    def contains(self, text: Any_, part: str) -> Truth:
        """See `JsonSql`."""
        # LIKE rather than strpos: the trigram index understands it, but not with another collation.
        column = sa.cast(text, sa.Text)
        return (column.collate("POSIX") if self._walks else column).contains(part, autoescape=True)

    def sort_key(self, document: Any_, names: Names, *, spelled: bool = False) -> list[Any_]:
        """See `JsonSql`."""
        value = sa.cast(document, JSONB).op("#>", return_type=JSONB)(sa.cast(list(names), sa.ARRAY(sa.Text)))
        return _ranked(_postgres_leaf(value), spelled=spelled)

    def number_in_element(
        self, document: Any_, names: Names, member: str, value: str, field: Names, *, missing: float
    ) -> Any_:
        """See `JsonSql`."""
        reached = self._reached(document, names, through_last=True)
        element: Any_ = reached.c.value
        found = element.op("#>", return_type=JSONB)(sa.cast(list(field), sa.ARRAY(sa.Text)))
        is_it = element.op("->>", return_type=sa.Text())(member) == value
        listed = sa.select(_postgres_leaf(found).number).select_from(reached).where(is_it)
        return sa.func.coalesce(sa.cast(listed.limit(1).scalar_subquery(), sa.Double), sa.literal(missing))

    def _reached(self, document: Any_, names: Names, *, through_last: bool) -> sa.TableValuedAlias:
        steps = "".join(f".{json.dumps(name)}" for name in names)
        found = sa.func.jsonb_path_query(
            sa.cast(document, JSONB), sa.cast(f"${steps}{'[*]' if through_last else ''}", JSONPATH)
        )
        return found.table_valued(sa.column("value", JSONB)).render_derived()


def of(conn: sa.Connection, *, walks: bool = False) -> JsonSql:
    """Return the spelling for a connection's database; `walks` keeps PostgreSQL from its trigram index."""
    return SqliteSql() if conn.dialect.name == "sqlite" else PostgresSql(walks=walks)


def _is_plain(names: Names) -> bool:
    """Say whether SQLite can spell the path; its quoted names know no escapes."""
    return not any('"' in name for name in names)


def _dollar(names: Names) -> str:
    return "$" + "".join(f'."{name}"' for name in names)


def _json_type(document: Any_, names: Names) -> Any_:
    return sa.func.json_type(document, _dollar(names))


def _sqlite_leaf(kind: Any_, atom: Any_, time: Any_) -> Leaf:
    return Leaf(
        exists=sa.and_(kind.is_not(None), kind != "null"),
        text=sa.case((kind == "text", atom)),
        number=sa.case((kind.in_(("integer", "real")), atom)),
        numeral=sa.case((kind == "text", sa.func.clary_number(atom))),
        time=time,
        truth=sa.case((kind == "true", 1), (kind == "false", 0)),
    )


def _postgres_leaf(value: Any_) -> Leaf:
    kind = sa.func.jsonb_typeof(value)
    plain = value.op("#>>", return_type=sa.Text())(sa.literal_column("'{}'"))
    text = sa.case((kind == "string", plain)).collate("C")
    return Leaf(
        exists=kind != "null",
        text=text,
        number=sa.case((kind == "number", sa.cast(plain, sa.Numeric))),
        numeral=_postgres_numeral(text),
        time=value.op("->>", return_type=sa.Text())(sa.literal_column("'$time'")).collate("C"),
        truth=sa.case((kind == "boolean", sa.case((plain == "true", 1), else_=0))),
    )


def _postgres_numeral(text: Any_) -> Any_:
    return sa.case((text.op("~")(_NUMERAL), sa.cast(text, sa.Numeric)))


def _ranked(leaf: Leaf, *, spelled: bool) -> list[Any_]:
    number: Any_ = sa.func.coalesce(leaf.number, leaf.truth)
    text = leaf.text
    if spelled:
        number = sa.func.coalesce(number, leaf.numeral)
        text = sa.case((leaf.numeral.is_(None), text))
    rank = sa.case((leaf.time.is_not(None), 3), (text.is_not(None), 2), (number.is_not(None), 1), else_=0)
    return [rank, sa.func.coalesce(number, 0), sa.func.coalesce(text, leaf.time, "")]
