"""Keys of the accounts that the owner of a data folder may act in: credentials.json, readable by no other."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from clary.kernel.errors import SetupError

FILE = "credentials.json"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys of one account."""

    account: str
    """Its id: 12 digits."""
    access_key_id: str
    secret_access_key: str


def read(data_dir: Path) -> dict[str, Keys]:
    """Return the keys by the account's name.

    Raises
    ------
    SetupError
        The file cannot be read, or is damaged.
    """
    path = data_dir / FILE
    try:
        document = json.loads(path.read_text())
        return {name: Keys(**each) for name, each in document.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise SetupError(f"{path} is damaged: {error}") from None


def find(data_dir: Path, name: str) -> Keys:
    """Return the keys of one account, by its name.

    Raises
    ------
    SetupError
        There are none; the text lists the accounts that have some.
    """
    known = read(data_dir)
    if name not in known:
        there = f"; there are: {', '.join(sorted(known))}" if known else ""
        raise SetupError(f"no account {name!r} here{there}; `clary account create {name}` makes one")
    return known[name]


def keep(data_dir: Path, name: str, keys: Keys) -> None:
    """Add the keys of an account."""
    with (data_dir / f"{FILE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        everyone = {each: asdict(value) for each, value in (read(data_dir) | {name: keys}).items()}
        beside = data_dir / f"{FILE}.tmp"
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(everyone, file, indent=2)
        beside.replace(data_dir / FILE)
