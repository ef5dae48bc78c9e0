"""`clary explain NOUN`: the whole resolved resource, so that nothing is magic."""

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
        for state in sorted(machine.states, key=lambda each: (machine.is_final(each), each)):
            follow = ", ".join(sorted(machine.edges.get(state, ()))) or "final"
            shown = machine.status(state)
            lines.append(f"    {state:<20} {'' if shown == state else f'({shown}) '}-> {follow}")
    return "\n".join(lines)


def _is_about(operation: str, noun: str) -> bool:
    verbs = ("Create", "Describe", "Delete", "Update", "Stop", "List")
    rest = next((operation.removeprefix(verb) for verb in verbs if operation.startswith(verb)), "")
    return rest.removesuffix("s") == noun or (
        rest.startswith(noun) and rest.removeprefix(noun) == "WeightsAndCapacities"
    )
