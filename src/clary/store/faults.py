"""What the database says, as one clear line."""

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from clary.kernel.errors import InternalFailure, SetupError

_ADVICE = (
    ("database or disk is full", "the disk is full; free some space"),
    ("no space left", "the disk is full; free some space"),
    ("readonly database", "it is read-only; check the permissions of the file and of its folder"),
    (
        "unable to open database file",
        "it cannot be opened; check the permissions of the file and of its folder",
    ),
    ("not a database", "the file is no SQLite database; move it away or name another"),
    ("malformed", "the file is damaged; restore it from a backup"),
    ("disk i/o error", "the disk answers with errors, or is full"),
    ("locked", "another process holds it for too long"),
    ("connection refused", "the server does not answer; check that it runs"),
    ("password authentication failed", "the server refuses the user or the password"),
    ("does not exist", "it does not exist on the server"),
)


def explain(fault: BaseException, where: str) -> str:
    """Return one line: which store, what is wrong, what to do."""
    text = str(fault.orig if isinstance(fault, DBAPIError) and fault.orig else fault).strip()
    first = text.splitlines()[0] if text else type(fault).__name__
    lowered = text.lower()
    advice = next((advice for mark, advice in _ADVICE if mark in lowered), "")
    return f"the store {where} failed: {advice} ({first})" if advice else f"the store {where} failed: {first}"


def as_setup(fault: Exception, where: str) -> SetupError:
    """Return the error that stops a start."""
    return SetupError(explain(fault, where))


def as_failure(fault: SQLAlchemyError, where: str) -> InternalFailure:
    """Return the error that a request gets."""
    return InternalFailure(explain(fault, where))
