"""K-NN: 200,000 x 50 vectors, 1,000 queries of 10 neighbours, against the faiss that it stands on."""

import numpy as np
from bench._bars import Report
from bench._peers import NotInstalledError
from bench.algorithms import _elsewhere
from bench.algorithms._trainings import clock, staged, train

from clary.algorithms import base
from clary.algorithms.knn.predict import KnnPredictor

N_ROWS, N_COLUMNS, N_QUERIES, K = 200_000, 50, 1_000, 10


def run(report: Report) -> None:
    try:
        faiss = _elsewhere.borrowed("faiss", ("faiss-cpu>=1.9",))
    except NotInstalledError as error:
        print(f"\nK-NN: faiss could not be installed, so there is no peer: {error}")
        return
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(N_ROWS, N_COLUMNS)).astype(np.float32)
    queries = draw.normal(size=(N_QUERIES, N_COLUMNS)).astype(np.float32)
    labels = draw.integers(0, 5, N_ROWS).astype(np.float32)
    asked = {"feature_dim": N_COLUMNS, "k": K, "predictor_type": "classifier", "sample_size": N_ROWS}
    table, ratios = [], {}
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatL2(N_COLUMNS)
    flat.add(rows)
    cells = faiss.index_factory(N_COLUMNS, f"IVF{int(N_ROWS**0.5)},Flat")
    cells.train(rows)
    cells.add(rows)
    cells.nprobe = 16
    with staged(train=(rows, labels)) as folder:
        for kind, index in (("faiss.Flat", flat), ("faiss.IVFFlat", cells)):
            model, _ = train("knn", folder, asked | {"index_type": kind})
            ours = base.find("knn").load(model, {})
            assert isinstance(ours, KnnPredictor)
            _, own = clock(lambda: ours.score(queries), 3)  # noqa: B023
            _, theirs = clock(lambda: index.search(queries, K), 3)  # noqa: B023
            ratios[kind] = own / theirs
            table.append((kind, f"{N_QUERIES / own:,.0f}", f"{N_QUERIES / theirs:,.0f}"))
    report.table(
        "K-NN, 200,000 x 50, k = 10: predictions a second", ("", "clary", "faiss, search alone"), table
    )
    for kind, ratio in ratios.items():
        report.bar(f"K-NN, {kind}: time of a prediction, of the index's own search", ratio, 1.1, "x")
