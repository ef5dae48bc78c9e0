"""Lists: how many items a page has when nobody says."""

import re

import botocore.session

from clary.resource.listing import DEFAULT_PAGE, DEFAULT_PAGES

STATED = re.compile(r"default[a-zA-Z ]* (?:is|to) (\d+)|\((\d+) by default|returns up to (\d+)")


def test_pages_are_as_long_as_the_service_model_says():
    model = botocore.session.get_session().get_service_model("sagemaker")
    stated = {}
    for name in model.operation_names:
        members = getattr(model.operation_model(name).input_shape, "members", {})
        if name.startswith("List") and "MaxResults" in members:
            found = STATED.search(re.sub(r"</?code>", "", members["MaxResults"].documentation))
            if found:
                stated[name] = int(next(number for number in found.groups() if number))
    assert len(stated) >= 30
    assert {name: n for name, n in stated.items() if n != DEFAULT_PAGE} == DEFAULT_PAGES
