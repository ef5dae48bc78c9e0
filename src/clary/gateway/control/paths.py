"""Paths of the platform's own: a table of method, pattern and function, answered in JSON."""

import re
from collections.abc import Callable, Mapping

from clary.gateway.control.answers import as_error, as_json
from clary.kernel.errors import AwsError
from clary.wire.http import Request, Response

Answer = Callable[..., Response]


class Paths:
    """Answers requests by the first row that fits.

    Parameters
    ----------
    table : mapping of "METHOD pattern" to function
        The function gets the request and what the pattern's groups matched.
    """

    def __init__(self, table: Mapping[str, Answer]) -> None:
        rows = (row.partition(" ") for row in table)
        patterns = [(method, re.compile(pattern)) for method, _, pattern in rows]
        self._rows = list(zip(patterns, table.values(), strict=True))

    def answer(self, request: Request) -> Response:
        """Answer one request; an error of AWS's becomes its status, code and message."""
        for (method, pattern), function in self._rows:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                try:
                    return function(request, *match.groups())
                except AwsError as error:
                    return as_error(error)
        return as_json({"message": f"nothing at {request.method} {request.path}"}, 404)
