"""Sentences to learn words from, and texts with labels, as files.

Sentences are those of a dictionary and of WordNet's glosses, two packages of Debian that nobody installs;
where they cannot be had, what botocore says of AWS's operations. Texts are 5,000 reviews of food.
"""

import gzip
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.algorithms import _corpus
from bench.algorithms._ratings import FOLDER, table

PACKAGES = ("dict-gcide", "wordnet-base")


def sentences() -> tuple[Path, int, bool]:
    """Return a file of sentences, its words, and whether they are English of all kinds."""
    path = FOLDER / "sentences.txt"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            found = list(_of_packages(Path(folder)))
        if found:
            path.write_text("\n".join(found) + "\n")
    if path.exists():
        return path, len(path.read_bytes().split()), True
    path = FOLDER / "sentences-of-operations.txt"
    path.write_text("\n".join(" ".join(words) for words in _corpus.operations()) + "\n")
    return path, len(path.read_bytes().split()), False


def _of_packages(folder: Path) -> Iterator[str]:
    try:
        asked = ["apt-get", "download", *PACKAGES]
        subprocess.run(asked, cwd=folder, check=True, capture_output=True, timeout=300)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        return
    text = gzip.decompress((folder / "usr/share/dictd/gcide.dict.dz").read_bytes()).decode("utf-8", "replace")
    for paragraph in re.split(r"\n(?=\S)", text):
        yield from _words(paragraph)
    for path in sorted((folder / "usr/share/wordnet").glob("data.*")):
        for line in path.read_text().splitlines():
            if not line.startswith(" "):
                head, _, gloss = line.partition("|")
                parts = head.split()
                synonyms = " ".join(parts[4 : 4 + 2 * int(parts[3], 16) : 2])
                yield from _words(f"{synonyms} {gloss}")


def _words(text: str) -> Iterator[str]:
    found = re.findall(r"[a-z]+", text.lower())
    if len(found) > 1:
        yield " ".join(found)


def reviews() -> tuple[Path, Path] | None:
    """Return files of reviews to learn from and of others; None where pip cannot have them."""
    paths = FOLDER / "reviews-training.txt", FOLDER / "reviews-testing.txt"
    for path, name in zip(paths, ("training_data", "testing_data"), strict=True):
        if not path.exists():
            found = table(f"modeldata/{name}")
            if found is None:
                return None
            lines = (
                f"__label__{row.score} "
                + " ".join(re.findall(r"[a-z0-9']+|[.!?]", re.sub("<[^>]+>", " ", row.review.lower())))
                for row in found.itertuples()
            )
            path.write_text("\n".join(lines) + "\n")
    return paths
