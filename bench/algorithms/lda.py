"""LDA: 30 topics of what botocore says of operations, against scikit-learn's."""

from typing import Any

import numpy as np
from bench._bars import Report
from bench.algorithms import _corpus
from bench.algorithms._trainings import clock, staged, train
from sklearn.decomposition import LatentDirichletAllocation

from clary.algorithms.lda.predict import as_counts, load

N_TOPICS = 30


def run(report: Report) -> None:
    documents, held_out, _ = _corpus.documents()
    shown, asked = _corpus.halves(held_out)
    given = {
        "feature_dim": documents.shape[1],
        "num_topics": N_TOPICS,
        "mini_batch_size": documents.shape[0],
        "alpha0": 1.0,
    }

    def measured(mixtures: Any, topics: Any) -> tuple[float, float]:
        return _corpus.perplexity(mixtures, topics, asked), _corpus.npmi(topics, documents)

    with staged(train=(documents, None)) as folder:
        (model_dir, _), ours = clock(lambda: train("lda", folder, given), 2)
        model = load(model_dir, {}).topics
    found = measured(model.mixtures(as_counts(shown)), model.beta.T)
    table = [("clary", f"{ours:.2f}", f"{found[0]:.0f}", f"{found[1]:.3f}")]
    peers = []
    for name, settings in (
        ("online, 5 passes", {"learning_method": "online", "max_iter": 5}),
        ("online, 10 passes", {"learning_method": "online", "max_iter": 10}),
        ("batch, 10 passes", {"learning_method": "batch", "max_iter": 10}),
    ):
        peer, seconds = clock(
            lambda: LatentDirichletAllocation(N_TOPICS, random_state=0, **settings).fit(documents)  # noqa: B023
        )
        topics = peer.components_ / peer.components_.sum(axis=1, keepdims=True)
        perplexity, npmi = measured(peer.transform(shown), topics)
        peers.append((seconds, perplexity, npmi))
        table.append((f"scikit-learn, {name}", f"{seconds:.2f}", f"{perplexity:.0f}", f"{npmi:.3f}"))
    report.table(
        f"LDA, {documents.shape[0]} documents of {int(documents.sum()):,} words, {N_TOPICS} topics",
        ("", "CPU s", "perplexity", "NPMI"),
        table,
    )
    times, perplexities, coherences = np.array(peers).T
    report.bar("LDA: time, of scikit-learn's fastest", ours / float(times.min()), 1, "x")
    report.bar("LDA: perplexity, of scikit-learn's best", found[0] / float(perplexities.min()), 1, "x")
    report.bar("LDA: scikit-learn's best NPMI, of ours", float(coherences.max()) / found[1], 1, "x")
