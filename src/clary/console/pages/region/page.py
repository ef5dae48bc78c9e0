"""Choose the region that is shown: resources belong to one."""

import re
from typing import TYPE_CHECKING

from clary.console import session
from clary.console.api import Key
from clary.console.visit import Page

if TYPE_CHECKING:
    from clary.console.app import Asked, Console, Reply

PAGE = Page(path=r"/region", title="Region", is_public=True)
_NAME = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


def answer(_console: "Console", asked: "Asked", _key: Key | None, address: str) -> "Reply":
    """Remember the region, and go back."""
    from clary.console.app import redirect  # noqa: PLC0415 - it makes its own answer

    name, back = asked.query.get("name", ""), asked.query.get("next", "/")
    path = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/"
    if not _NAME.fullmatch(name):
        return redirect(path, f"'{name}' is no region: us-east-1 is one.")
    is_secure = address.startswith("https:")
    return redirect(
        path, cookies=session.set_cookie(session.REGION_COOKIE, name, life=session.LIFE, is_secure=is_secure)
    )
