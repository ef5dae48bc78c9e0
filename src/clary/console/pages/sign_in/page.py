"""Sign in with an account's keys, its console password, or a link from `clary console`; and sign out."""

import hmac
from typing import TYPE_CHECKING

from clary.console import render, session
from clary.console.api import Api, Key
from clary.console.visit import Page

if TYPE_CHECKING:
    from clary.console.app import Asked, Console, Reply

PAGE = Page(path=r"/sign-in", title="Sign in", is_public=True)
WRONG = "These do not fit. Check the key and its secret, or the account's name and its password."
_NEXT = "/"


def answer(console: "Console", asked: "Asked", key: Key | None, address: str) -> "Reply":
    """Show the form, take its answer, redeem a link, or end the session."""
    from clary.console.app import Reply, redirect  # noqa: PLC0415 - the one page that makes its own answers

    if asked.query.get("out"):
        sent = asked.form.get("form_token", "")
        if key is None or not console.seal.is_form_token(key.access_key_id, sent):
            return redirect("/")
        console.server.end(key.access_key_id)
        cookie = session.set_cookie(session.COOKIE, "", life=None, is_secure=False)
        return redirect("/sign-in", cookies=cookie)
    target = _local(asked.query.get("next", "") or asked.form.get("next", ""))
    owner, error = None, ""
    if token := asked.query.get("token"):
        owner = console.server.key(console.seal.redeem(token, console.server.clock()))
        error = "" if owner else "This link was used, or is too old. `clary console` prints a new one."
    elif asked.method == "POST" and asked.headers.get("origin") not in {None, address}:
        error = "This form did not come from a page of this Clary."
    elif asked.method == "POST":
        owner = _by_keys(console, asked) or _by_password(console, asked)
        error = "" if owner else WRONG
    if owner is not None:
        is_secure = address.startswith("https:")
        cookie = session.set_cookie(
            session.COOKIE,
            console.seal.cookie(_temporary(console, owner)),
            life=session.LIFE,
            is_secure=is_secure,
        )
        return redirect(target, cookies=cookie)
    shown = {"title": PAGE.title, "scripts": (), "error": error, "next": target}
    return Reply(403 if error else 200, render.headers(address), render.page("sign_in/page.html", shown))


def _by_keys(console: "Console", asked: "Asked") -> Key | None:
    found = console.server.key(asked.form.get("name", "").strip())
    given = asked.form.get("secret", "").strip()
    if found and not found.session_token and hmac.compare_digest(found.secret_access_key, given):
        return found
    return None


def _by_password(console: "Console", asked: "Asked") -> Key | None:
    kept = console.server.password(asked.form.get("name", "").strip())
    if kept and session.is_password(asked.form.get("secret", ""), kept[0]):
        return console.server.key(kept[1])
    return None


def _temporary(console: "Console", owner: Key) -> str:
    """Return a key of the session's own, which ends with it."""
    api = Api(console.server.transport, owner, console.server.region)
    answer = api.call("GetSessionToken", "sts", DurationSeconds=int(session.LIFE.total_seconds()))
    key: str = answer["Credentials"]["AccessKeyId"]
    return key


def _local(path: str) -> str:
    """Return a path of the console's own; anything else becomes the start."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else _NEXT
