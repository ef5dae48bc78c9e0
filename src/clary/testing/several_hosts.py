"""Trainings of an algorithm on several hosts, each a thread of this process."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from clary.algorithms import base
from clary.algorithms.base import Source, Training

HOSTS = ("127.0.0.1", "127.0.0.2")
"""Both are this machine, and both are names that resolve."""
PATIENCE_S = 120.0


def training(
    name: str,
    folder: Path,
    lines: Iterable[str],
    host: str,
    hosts: Sequence[str],
    params: Mapping[str, str],
    content_type: str,
) -> Training:
    """Return a training of `host` on a shard of lines, all its files below `folder`."""
    path = folder / host / "train"
    path.mkdir(parents=True)
    (path / "part").write_text("".join(lines))
    return Training(
        params=base.find(name).validate(params),
        sources={
            "train": Source(name="train", path=path, content_type=content_type, distribution="ShardedByS3Key")
        },
        model_dir=folder / host / "model",
        output_data_dir=folder / host / "output",
        hosts=tuple(hosts),
        host=host,
        name=f"{folder.name}-{name}",
        n_threads=1,
    )


def together(functions: Sequence[Callable[[], object]]) -> list[Exception | None]:
    """Run functions in threads of their own; return what each raised."""
    raised: list[Exception | None] = [None] * len(functions)

    def run(place: int) -> None:
        try:
            functions[place]()
        except Exception as error:
            raised[place] = error

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    return raised
