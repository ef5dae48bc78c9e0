"""What a built-in model's artefact holds, file by file, and the lines of Python that open it."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary.algorithms import base
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FASTTEXT = struct.pack("<i", 793712314)
_ARRAYS_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of an artefact."""

    path: Path
    name: str
    """As it is called in the artefact."""
    what: str
    opening: tuple[str, ...] = ()
    """Lines of Python that open it without Clary; none of a file that explains itself."""

    @property
    def kind(self) -> str:
        """What it is, without what is in it."""
        return self.what.partition(":")[0]


def parts(folder: Path) -> list[Part]:
    """Return the files of an unpacked artefact, in the order of their names."""
    return [
        _part(path, str(path.relative_to(folder))) for path in sorted(folder.rglob("*")) if path.is_file()
    ]


def _part(path: Path, name: str) -> Part:
    with path.open("rb") as file:
        head = file.read(4)
    for fits, what, opening in _KINDS:
        if fits(path, head):
            lines = tuple(line.format(path=str(path)) for line in opening)
            return Part(path=path, name=name, what=_arrays(path) or what, opening=lines)
    return Part(path=path, name=name, what="")


def _is_archive(path: Path, head: bytes) -> bool:
    return head == b"PK\x03\x04" and bool(_arrays(path))


def _arrays(path: Path) -> str:
    """Say which arrays a NumPy archive has; nothing of any other file."""
    import numpy as np  # noqa: PLC0415 - not for the server

    if not zipfile.is_zipfile(path):
        return ""
    found = []
    with zipfile.ZipFile(path) as archive:
        names = [each for each in archive.namelist() if each.endswith(".npy")]
        for each in names[:_ARRAYS_SHOWN]:
            with archive.open(each) as stream:
                read = np.lib.format.read_magic(stream)
                header = (
                    np.lib.format.read_array_header_1_0
                    if read == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, kind = header(stream)
            found.append(f"{each.removesuffix('.npy')} {kind.name} {'x'.join(map(str, shape)) or 'alone'}")
    more = f" and {len(names) - _ARRAYS_SHOWN} more" if len(names) > _ARRAYS_SHOWN else ""
    return f"NumPy archive: {', '.join(found)}{more}" if found else ""


_KINDS: tuple[tuple[Callable[[Path, bytes], bool], str, tuple[str, ...]], ...] = (
    (
        _is_archive,
        "NumPy archive",
        (
            "import numpy",
            'model = numpy.load(r"{path}")',
            "print({{name: model[name].shape for name in model.files}})",
        ),
    ),
    (
        lambda path, head: path.name == "xgboost-model",
        "XGBoost's own file",
        ("import xgboost", 'model = xgboost.Booster(model_file=r"{path}")', "print(model.num_features())"),
    ),
    (
        lambda path, head: head == _FASTTEXT,
        "fastText's binary",
        ("import fasttext", 'model = fasttext.load_model(r"{path}")', "print(model.get_words()[:10])"),
    ),
    (
        lambda path, head: path.name == "vectors.txt",
        "word2vec's text: a word and its vector a line",
        (
            "from gensim.models import KeyedVectors",
            'model = KeyedVectors.load_word2vec_format(r"{path}")',
            "print(model.index_to_key[:10])",
        ),
    ),
    (
        lambda path, head: path.suffix == ".onnx",
        "ONNX",
        (
            "import onnxruntime",
            'model = onnxruntime.InferenceSession(r"{path}")',
            "print([(each.name, each.shape) for each in model.get_inputs()])",
        ),
    ),
    (
        lambda path, head: path.suffix in {".pt", ".pth"},
        "weights of PyTorch",
        ("import torch", 'model = torch.load(r"{path}", weights_only=True)', "print(list(model))"),
    ),
    (
        lambda path, head: path.suffix == ".labels",
        "labels, float32",
        ("import numpy", 'labels = numpy.fromfile(r"{path}", "<f4")', "print(labels[:10])"),
    ),
    (lambda path, head: path.suffix == ".json", "JSON", ()),
)


def opened_by(kind: str) -> str:
    """Return the module that opens files of a kind."""
    return next(opening[0].split()[1] for _, what, opening in _KINDS if what.partition(":")[0] == kind)


def algorithms_of(folder: Path) -> list[str]:
    """Return the algorithms that can load what lies in a folder."""
    found = []
    for name in base.names():
        try:
            base.find(name).load(folder, {})
        except (CustomerError, ImportError, OSError, ValueError, KeyError, AttributeError):
            continue
        found.append(name)
    return found


def answering(name: str, folder: Path) -> tuple[str, ...]:
    """Return the lines of Python by which the plain library answers for a model."""
    return (
        "from pathlib import Path; from clary.algorithms import base",
        f'model = base.find("{name}").load(Path(r"{folder}"), {{}})',
        'answers = model.predict_many([base.Question(body=b"...", content_type='
        f'"{base.find(name).request_types[0]}")])',
    )
