"""What the benchmarks of images share: whether torch is here, and channels of packed images."""

import contextlib
import importlib.util
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bench._bars import Report


def is_torch_here(report: Report, title: str) -> bool:
    """Say whether torch can be imported; where not, the report says how to run this."""
    if importlib.util.find_spec("torch") is not None:
        return True
    report.table(title, ("", ""), [("not run", "needs torch: .venvs/torch/bin/python -m bench.algorithms")])
    return False


@contextlib.contextmanager
def packed(channels: Mapping[str, Iterable[bytes]]) -> Iterator[Path]:
    """Write channels of frames; yield their folder."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        for name, frames in channels.items():
            (folder / name).mkdir()
            with (folder / name / "images.rec").open("wb") as stream:
                stream.writelines(frames)
        yield folder
    finally:
        shutil.rmtree(folder)
