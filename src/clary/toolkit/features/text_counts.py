"""Text counts: lengths and the most frequent words of a text, as numbers."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from clary.toolkit.features.base import Learned

LENGTHS = ("n_characters", "n_words", "n_digits", "upper_share")


class TextCounts(Learned):
    """Counts of each text: characters, words, digits, share of capitals, and the most frequent words.

    Parameters
    ----------
    max_words : int
        Words of all texts that get a column; ties go by the alphabet.
    min_texts : int
        Texts that must hold a word.
    lowercase : bool
        Count words without regard to case.
    is_sparse : bool
        Return a sparse matrix.
    """

    def __init__(
        self, *, max_words: int = 100, min_texts: int = 1, lowercase: bool = True, is_sparse: bool = False
    ) -> None:
        self.max_words = max_words
        self.min_texts = min_texts
        self.lowercase = lowercase
        self.is_sparse = is_sparse

    def _begin(self) -> None:
        self.words_: list[Counter[str]] = [Counter() for _ in self.columns_]
        self.texts_: list[Counter[str]] = [Counter() for _ in self.columns_]

    def _gather(self, rows: pd.DataFrame, y: NDArray[Any] | None) -> None:
        analyse = CountVectorizer(lowercase=self.lowercase).build_analyzer()
        for words, texts, name in zip(self.words_, self.texts_, self.columns_, strict=True):
            for text in _texts(rows[name]):
                found = analyse(text)
                words.update(found)
                texts.update(set(found))

    def _settle(self) -> None:
        self.vocabularies_, self.inner_ = [], []
        for words, texts in zip(self.words_, self.texts_, strict=True):
            known = [word for word in words if texts[word] >= self.min_texts]
            chosen = sorted(sorted(known, key=lambda word: (-words[word], word))[: self.max_words])
            self.vocabularies_.append(chosen)
            self.inner_.append(
                CountVectorizer(lowercase=self.lowercase, vocabulary=chosen) if chosen else None
            )

    def _apply(self, rows: pd.DataFrame) -> Any:
        blocks = []
        for name, inner in zip(self.columns_, self.inner_, strict=True):
            texts = _texts(rows[name])
            blocks.append(sparse.csr_matrix(_lengths(texts)))
            if inner is not None:
                blocks.append(inner.transform(texts))
        found = sparse.hstack(blocks, format="csr", dtype=np.float64)
        return found if self.is_sparse else found.toarray()

    def _names(self, given: list[str]) -> list[str]:
        return [
            f"{name}_{each}"
            for name, words in zip(given, self.vocabularies_, strict=True)
            for each in [*LENGTHS, *(f"word_{word}" for word in words)]
        ]


def _texts(values: pd.Series) -> list[str]:
    return [str(each) for each in values.astype(object).where(values.notna(), "")]


def _lengths(texts: list[str]) -> NDArray[np.float64]:
    rows = [
        (
            len(text),
            len(text.split()),
            sum(map(str.isdigit, text)),
            sum(map(str.isupper, text)) / max(len(text), 1),
        )
        for text in texts
    ]
    return np.array(rows, dtype=np.float64).reshape(len(texts), len(LENGTHS))
