"""How a command ends when it does not end well."""

from clary.kernel.errors import SetupError


class CommandError(SetupError):
    """One line for stderr, and an exit code other than 1."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class NotRunningError(CommandError):
    """Clary does not run on this data folder; exit code 3, as service managers have it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=3)
