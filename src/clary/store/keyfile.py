"""The key that encrypts secrets at rest: a file of its own, readable by its owner alone."""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from clary.kernel.errors import SetupError

_PROOF = b"clary"


def load(path: Path, *, may_create: bool) -> Fernet:
    """Read the key at `path`; make a new one, with mode 0600, where there is none.

    Raises
    ------
    SetupError
        The file is not a key, cannot be read or written, or is missing while `may_create` is false.
    """
    try:
        if not path.exists():
            if not may_create:
                raise SetupError(
                    f"the key file {path} is missing, and this store's secrets need it: put it back"
                )
            _create(path)
        return Fernet(path.read_bytes().strip())
    except ValueError:
        raise SetupError(f"the file {path} does not hold a key: put the right one back") from None
    except OSError as fault:
        raise SetupError(f"the key file {path} cannot be used: {fault.strerror or fault}") from None


def _create(path: Path) -> None:
    """Write a new key whole, or leave the one that another process wrote meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(Fernet.generate_key())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def prove(cipher: Fernet) -> str:
    """Return a text that only `cipher` can read, to be stored beside the data."""
    return cipher.encrypt(_PROOF).decode()


def is_proven(cipher: Fernet, proof: str) -> bool:
    """Say whether `proof` was made with the key of `cipher`."""
    try:
        return cipher.decrypt(proof.encode()) == _PROOF
    except InvalidToken:
        return False
