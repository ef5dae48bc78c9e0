"""How inference components stand among endpoints: in routes, in counts, in log groups."""

MARK = "~"
"""No endpoint's name begins with it, and no path has to quote it."""


def place_of(name: str) -> str:
    """Return what stands for a component where an endpoint's name is expected."""
    return MARK + name


def named(place: str) -> str:
    """Return the component that stands there; empty where it is an endpoint."""
    return place[1:] if place.startswith(MARK) else ""


def noun_and_key(place: str) -> tuple[str, str]:
    """Return noun and key of the record that stands there."""
    component = named(place)
    return ("InferenceComponent", component) if component else ("Endpoint", place)


def log_group(place: str) -> str:
    """Return the log group of what stands there. Source: developer guide, "CloudWatch logs"."""
    noun, key = noun_and_key(place)
    return f"/aws/sagemaker/{noun}s/{key}"


def dimensions(place: str, variant: str) -> dict[str, str]:
    """Return the dimensions of the metrics of what stands there."""
    component = named(place)
    if component:
        return {"InferenceComponentName": component}
    return {"EndpointName": place, "VariantName": variant}
