"""What customers ask of a running job: written to its record, read by its machine's next step."""

from dataclasses import replace

from clary.engine.machine import Machine
from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.store.records import Record


def ask(call: Call, record: Record, machine: Machine, intent: str, *, state: str = "") -> None:
    """Write what is asked of a job in progress, and wake its machine.

    Parameters
    ----------
    intent : str
        Name under which `Job.intent` shows it, such as `stop`.
    state : str
        State that the record shows from now on; empty leaves it to the machine.

    Raises
    ------
    ValidationException
        The job has ended, or is ending.
    """
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in record.noun)

    def change(current: Record) -> Record:
        if current.status != "InProgress":
            raise ValidationException(
                f"The request was rejected because the{words} is in status {current.status}."
            )
        asked = {**current.private.get("intent", {}), intent: True}
        document, status = dict(current.document), current.status
        if state:
            document |= machine.enter(document, state, now=call.now)
            status = machine.status(state)
        private = {**current.private, "intent": asked}
        return replace(current, document=document, private=private, status=status, modified=call.now)

    call.amend(record, change, is_waking=True)
