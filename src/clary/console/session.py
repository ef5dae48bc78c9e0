"""Sessions: a signed cookie that names a temporary key, and the token that forms must carry.

The cookie is `<access key id>.<signature>`; the key itself, its secret and its end are in the store, so that
signing out, or the key's end, ends every use of the cookie.
"""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie

COOKIE = "clary-console"
REGION_COOKIE = "clary-region"
PATH = "/_clary/console"
LIFE = timedelta(hours=12)
LINK_LIFE = timedelta(minutes=5)
"""How long a sign-in link from the command line can be used, once."""


class Seal:
    """Signs what a browser keeps for us."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._used: dict[str, datetime] = {}

    def cookie(self, access_key_id: str) -> str:
        """Return the session cookie's value."""
        return f"{access_key_id}.{self._signature('session', access_key_id)}"

    def access_key_id(self, cookie: str) -> str:
        """Return the key that a session cookie names; empty if we did not sign it."""
        key, _, signature = cookie.partition(".")
        return key if hmac.compare_digest(signature, self._signature("session", key)) else ""

    def form_token(self, access_key_id: str) -> str:
        """Return the token that every form of a session carries: another site cannot know it."""
        return self._signature("form", access_key_id)

    def is_form_token(self, access_key_id: str, token: str) -> bool:
        """Tell whether a form came from a page of this session."""
        return hmac.compare_digest(token, self.form_token(access_key_id))

    def link(self, access_key_id: str, now: datetime) -> str:
        """Return a token that signs in as the owner of a key, once, soon."""
        text = f"{access_key_id}.{int((now + LINK_LIFE).timestamp())}.{secrets.token_urlsafe(12)}"
        return f"{text}.{self._signature('link', text)}"

    def redeem(self, token: str, now: datetime) -> str:
        """Return the key of a sign-in token, and void the token; empty if it is not ours, late or used."""
        text, _, signature = token.rpartition(".")
        parts = text.split(".")
        if len(parts) != 3 or not hmac.compare_digest(signature, self._signature("link", text)):
            return ""
        self._used = {used: end for used, end in self._used.items() if end > now}
        if int(parts[1]) < now.timestamp() or text in self._used:
            return ""
        self._used[text] = now + LINK_LIFE
        return parts[0]

    def _signature(self, purpose: str, text: str) -> str:
        return hmac.new(self._secret, f"console:{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def cookies(header: str) -> dict[str, str]:
    """Return the cookies of a request; a header that cannot be read has none."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(header)
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


def set_cookie(name: str, value: str, *, life: timedelta | None, is_secure: bool) -> str:
    """Return a `Set-Cookie` line: for the console alone, unseen by scripts; without life it removes it."""
    seconds = int(life.total_seconds()) if life else 0
    secure = "; Secure" if is_secure else ""
    return f"{name}={value}; Path={PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def hash_password(password: str) -> str:
    """Return what is kept of a console password: salt and scrypt's answer."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}:{_stretch(password, salt)}"


def is_password(password: str, kept: str) -> bool:
    """Tell whether a password is the one whose hash is kept."""
    salt, _, answer = kept.partition(":")
    return bool(answer) and hmac.compare_digest(_stretch(password, bytes.fromhex(salt)), answer)


def _stretch(password: str, salt: bytes) -> str:
    # OWASP Password Storage Cheat Sheet: scrypt with N=2^17 is 128 MiB; 2^15, r=8, p=3 is its 32 MiB equal.
    return hashlib.scrypt(password.encode(), salt=salt, n=2**15, r=8, p=3, maxmem=2**26).hex()
