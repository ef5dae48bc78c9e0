"""Data capture of a transform job: manifests of what went in and of what came out, for monitors to read.

<DestinationS3Uri>/input/<yyyy>/<mm>/<dd>/<hh>/<uuid>.json    [{"prefix": "s3://in/"}, "a.csv", …]
                  /output/…                                   [{"prefix": "s3://out/"}, "a.csv.out", …]

Source: developer guide, "Capture data from batch transform job"; the manifests are those of inputs.
"""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from clary.compute.agent.batch.plan import Plan
from clary.toolkit.channels import Item
from clary.toolkit.objects import Objects


def write(objects: Objects, plan: Plan, published: Sequence[Item], mark: str) -> None:
    """Write the two manifests of what one host published.

    Parameters
    ----------
    mark : str
        The same for the same host and job, so that a second attempt replaces what the first has written.
    """
    if not plan.capture or not published:
        return
    name = uuid.uuid5(uuid.NAMESPACE_URL, mark)
    folder = datetime.now(UTC).strftime("%Y/%m/%d/%H")
    root = str(plan.capture["DestinationS3Uri"]).rstrip("/")
    entries = [item.entry for item in published if item.entry is not None]
    names = [item.name for item in published]
    made = [{"prefix": f"{plan.output}/"}, *[f"{each}.out" for each in names]]
    buckets = sorted({entry.bucket for entry in entries})
    first = entries[0]
    prefix = f"s3://{first.bucket}/{first.key.removesuffix(names[0])}"
    if all(f"{prefix}{each}" == entry.uri for each, entry in zip(names, entries, strict=True)):
        asked: list[object] = [{"prefix": prefix}, *names]
    elif len(buckets) == 1:
        asked = [{"prefix": f"s3://{buckets[0]}/"}, *[entry.key for entry in entries]]
    else:
        asked = [{"prefix": "s3://"}, *[entry.uri.removeprefix("s3://") for entry in entries]]
    for part, manifest in (("input", asked), ("output", made)):
        body = json.dumps(manifest).encode()
        objects.put(f"{root}/{part}/{folder}/{name}.json", body, content_type="application/json")
