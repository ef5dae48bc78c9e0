"""A corpus that is on every machine with Clary: what botocore says of the operations of AWS's services."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import botocore
import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

N_DOCUMENTS, N_HELD_OUT = 1132, 150
LENGTH = 400
"""Letters-only words of a document, about."""


def documents() -> tuple[Any, Any, list[str]]:
    """Return counts of words, of documents to learn from and of others, and the vocabulary."""
    texts = operations()
    draw = np.random.default_rng(0)
    texts = [texts[place] for place in draw.permutation(len(texts))[:N_DOCUMENTS]]
    found = Counter(word for text in texts for word in set(text))
    vocabulary = sorted(word for word, n in found.items() if 8 <= n <= len(texts) / 2)
    places = {word: place for place, word in enumerate(vocabulary)}
    counted = [Counter(places[word] for word in text if word in places) for text in texts]
    matrix = sparse.csr_matrix(
        (
            np.array([n for each in counted for n in each.values()], np.float32),
            np.array([place for each in counted for place in each]),
            np.cumsum([0, *(len(each) for each in counted)]),
        ),
        shape=(len(texts), len(vocabulary)),
    )
    matrix.sort_indices()
    return matrix[N_HELD_OUT:], matrix[:N_HELD_OUT], vocabulary


def operations() -> list[list[str]]:
    """Return the words of documents; operations of one service follow each other until one is long enough."""
    texts: list[list[str]] = []
    for path in sorted(Path(botocore.__file__).parent.glob("data/*/*/service-2.json*")):
        content = path.read_bytes()
        model = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
        words: list[str] = []
        for _, operation in sorted(model["operations"].items()):
            words += _words(operation.get("documentation", ""))
            if len(words) >= LENGTH:
                texts.append(words)
                words = []
    return texts


def _words(text: str) -> list[str]:
    plain = re.sub(r"<[^>]+>|https?://\S+", " ", text).lower()
    return [word for word in re.findall(r"[a-z]{3,}", plain) if word not in ENGLISH_STOP_WORDS]


def halves(held_out: Any) -> tuple[Any, Any]:
    """Split the words of each document, by word, into those that are shown and those asked for."""
    is_shown = np.random.default_rng(0).random(held_out.nnz) < 0.5
    found = []
    for chosen in (is_shown, ~is_shown):
        part = held_out.copy()
        part.data = part.data * chosen
        part.eliminate_zeros()
        found.append(part)
    return found[0], found[1]


def perplexity(mixtures: Any, topics: Any, asked: Any) -> float:
    """Return how many words each word was one of, by what was said of documents' other halves."""
    rows = asked.tocoo()
    chances = np.einsum("ij,ij->i", mixtures[rows.row], np.ascontiguousarray(topics.T)[rows.col])
    return float(np.exp(-(rows.data * np.log(np.maximum(chances, 1e-12))).sum() / rows.data.sum()))


def npmi(topics: Any, matrix: Any, n_top: int = 10) -> float:
    """Return the mean, over topics, of the normalised pointwise mutual information of top words.

    Source: Bouma (2009), "Normalized (pointwise) mutual information in collocation extraction".
    """
    is_there, n_documents = (matrix > 0).astype(float), matrix.shape[0]
    found = []
    for topic in topics:
        uses = is_there[:, np.argsort(-topic)[:n_top]]
        together = np.asarray((uses.T @ uses).toarray()) / n_documents
        alone = np.diag(together)
        for one in range(n_top):
            for other in range(one):
                both = together[one, other]
                if both == 0:
                    found.append(-1.0)
                else:
                    found.append(np.log(both / alone[one] / alone[other]) / -np.log(min(both, 1 - 1e-9)))
    return float(np.mean(found))
