"""What PostgreSQL reads for a page of a list does not grow with the table: its plans, run at two sizes."""

from dataclasses import replace
from pathlib import Path

import pytest
from bench import _plans, store_million

from clary.store.database import Store
from clary.testing import postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing()),
]

ACCOUNT = "222233334444"
FEW, MANY = 10_000, 50_000
MOST = 15_000
"""Rows of a walk that fills a page whose condition one in a hundred satisfies, the page, and samples."""


def test_pages_read_bounded_parts_of_indexes_however_many_jobs_there_are(tmp_path: Path) -> None:
    with postgres.server() as url, Store.open(url, tmp_path / "key") as store:
        touched = []
        for first, last in ((0, FEW), (FEW, MANY)):
            _plans.fill(store, ACCOUNT, first, last)
            _plans.settle(url)
            queries = store_million.queries(last).items()
            touched.append(
                {name: _plans.explain(store, replace(query, account=ACCOUNT)) for name, query in queries}
            )
    few, many = touched
    for name, each in many.items():
        assert not any(node.startswith("Seq Scan") for node in each.nodes), (name, each)
        assert each.n_rows <= max(MOST, 2 * few[name].n_rows), (name, few[name], each)
        assert each.n_pages <= 2_000, (name, each)
