"""The peer of `bench.transform`: the classic container, asked payload by payload as the service asks it.

    python -m bench._classic SETTINGS   (as `_onepass`, with the `port` of a container that runs already)

MultiRecord, 6 MB a payload, one at a time: what `MaxConcurrentTransforms` is where nobody sets it. Prints the
seconds after its imports.
"""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench._onepass import store_of

PAYLOAD_BYTES = 6 << 20
CHUNK_BYTES = 1 << 20


def payloads(stream: Any) -> Iterator[bytes]:
    """Yield whole lines, as many as fit."""
    held = b""
    while chunk := stream.read(CHUNK_BYTES):
        held += chunk
        while len(held) >= PAYLOAD_BYTES:
            end = held.rindex(b"\n", 0, PAYLOAD_BYTES) + 1
            yield held[:end]
            held = held[end:]
    if held:
        yield held


def main() -> None:
    """Read, ask, write."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    began = time.perf_counter()
    store, n_rows = store_of(settings), 0
    line = http.client.HTTPConnection("127.0.0.1", settings["port"])
    with (
        store.open_input_stream(settings["source"]) as source,
        store.open_output_stream(settings["target"]) as target,
    ):
        for payload in payloads(source):
            line.request("POST", "/invocations", payload, {"Content-Type": "text/csv", "Accept": "text/csv"})
            answer = line.getresponse()
            scores = answer.read()
            assert answer.status == 200, scores[:500]
            n_rows += scores.count(b"\n")
            target.write(scores)
    print(time.perf_counter() - began, n_rows)


if __name__ == "__main__":
    main()
