"""A value that is not of the type its shape asks for."""

from clary.kernel.errors import ValidationException


class Misfit(ValidationException):
    """Found one thing where the model says another; the path grows as it leaves the structures."""

    code = "SerializationException"

    def __init__(self, wanted: str, found: str) -> None:
        self._wanted = wanted
        self._found = found
        self._path: list[str] = []
        super().__init__(self._text())

    def within(self, part: str) -> "Misfit":
        """Return it as seen from the structure, list or map around."""
        self._path.append(part)
        self.message = self._text()
        self.args = (self.message,)
        return self

    @property
    def path(self) -> str:
        """Where: `inputDataConfig.1.member.channelName`."""
        return ".".join(reversed(self._path))

    def _text(self) -> str:
        where = f"Value at '{self.path}'" if self._path else "The request"
        return f"{where} must be {self._wanted}, but is {self._found}"


def member_name(name: str) -> str:
    """Return a member's name as error texts spell it: `trainingJobName`."""
    return name[:1].lower() + name[1:]


def kind_of(value: object) -> str:
    """Return what a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "a structure"
