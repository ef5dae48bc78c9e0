"""CloudWatch's simple filter patterns: terms that must, may or must not stand in a line.

    error timeout      both
    "not found"        the words together
    ?error ?warning    at least one of them; ignored beside a term without a question mark
    error -retry       the first and not the second

Source
------
CloudWatch Logs user guide, "Filter pattern syntax", terms in unstructured log events. Letter case counts,
and a term may stand anywhere in the line.
"""

import re
from dataclasses import dataclass

from clary.kernel.errors import ValidationException

_TERM = re.compile(r'([?\-]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')


@dataclass(frozen=True, slots=True)
class Terms:
    """A pattern taken apart; empty matches every line."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def match(self, text: str) -> bool:
        """Say whether a line fits."""
        if any(term in text for term in self.excluded) or not all(term in text for term in self.required):
            return False
        return bool(self.required) or not self.optional or any(term in text for term in self.optional)


def parse(pattern: str) -> Terms:
    """Take a pattern apart.

    Raises
    ------
    ValidationException
        `InvalidParameterException`: a JSON, column or regular-expression pattern, or an open quote.
    """
    pattern = pattern.strip()
    if pattern[:1] in {"{", "["} or (len(pattern) > 1 and pattern[0] == pattern[-1] == "%"):
        raise ValidationException(
            f'filterPattern {pattern!r}: only terms are served (word, "a phrase", ?optional, -excluded).',
            code="InvalidParameterException",
        )
    kinds: dict[str, list[str]] = {"": [], "?": [], "-": []}
    for match in _TERM.finditer(pattern):
        sign, phrase, word = match.groups()
        if word is not None and '"' in word:
            raise ValidationException(
                f"filterPattern {pattern!r}: a quotation mark is not closed.",
                code="InvalidParameterException",
            )
        kinds[sign].append(re.sub(r"\\(.)", r"\1", phrase) if word is None else word)
    return Terms(tuple(kinds[""]), tuple(kinds["?"]), tuple(kinds["-"]))
