"""`clary explain NOUN`: the whole resolved resource, so that nothing is magic."""

from clary.engine.machine import Machine
from clary.resource.declare import Resource
from clary.resource.registry import Served, served


def explain(noun: str, package: str = "clary.services") -> str:
    """Describe a noun as it is served: operations, key, states, filters.

    Raises
    ------
    LookupError
        No such noun; the text lists those that are served.
    """
    services = served(package)
    for service in services.values():
        for name, resource in service.resources.items():
            if name.lower() == noun.lower().replace("-", "").replace("_", ""):
                return _text(service, resource)
    known = sorted(name for service in services.values() for name in service.resources)
    raise LookupError(f"'{noun}' is not served; there are: {', '.join(known)}.")


def _text(service: Served, resource: Resource) -> str:
    operations = sorted(name for name in service.handlers if _is_about(name, resource.noun))
    lines = [
        f"{resource.noun}  (service {service.name})",
        f"  named by     {resource.name_member}",
        f"  ARN          arn:aws:{service.name}:<region>:<account>:{resource.arn}",
        f"  missing      {resource.missing.value}: {resource.missing_text}",
        f"  taken        {resource.taken}: {resource.taken_text}",
        "  operations",
        *(f"    {name}" for name in operations),
    ]
    listing = f"List{resource.noun}s"
    if listing in service.model.operations:
        members = sorted(service.model.operations[listing].input.members)
        lines += ["  list members", *(f"    {name}" for name in members)]
    machine = resource.machine
    if machine is not None:
        lines.append("  states")
        ends = sorted(state for state in machine.states if machine.is_final(state))
        for state in (*machine.edges, *ends):  # in the order of a life, as the table is written
            shown = machine.status(state)
            lines.append(
                f"    {state:<20} {'' if shown == state else f'({shown}) '}-> {_after(machine, state)}"
            )
    return "\n".join(lines)


def _after(machine: Machine, state: str) -> str:
    """Return what may follow a state: those that go on by name, all of the final ones as `any end`."""
    follow = machine.edges.get(state, frozenset())
    ends = {each for each in machine.states if machine.is_final(each)}
    names = [each for each in machine.edges if each in follow]
    names += ["any end"] if len(ends) > 1 and ends <= follow else sorted(ends & follow)
    return ", ".join(names) or "the end"


def _is_about(operation: str, noun: str) -> bool:
    verbs = ("Create", "Describe", "Delete", "Update", "Stop", "List")
    rest = next((operation.removeprefix(verb) for verb in verbs if operation.startswith(verb)), "")
    return rest.removesuffix("s") == noun or (
        rest.startswith(noun) and rest.removeprefix(noun) == "WeightsAndCapacities"
    )
