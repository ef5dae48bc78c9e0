"""Facets and the points of trial components.

On a table of a million training jobs it reads each once, in batches: about half a minute.
"""

import hashlib
import json
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BIG = sa.BigInteger()
BATCH = 1_000


def upgrade() -> None:
    """Make them, and file the training jobs that are there."""
    op.create_table(
        "facet",
        sa.Column("code", BIG, primary_key=True, autoincrement=False),
        sa.Column("key", NAME, primary_key=True),
        sa.Column("scope", BIG, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("facet_by_record", "facet", ["scope", "key"])
    op.create_table(
        "trial_series",
        sa.Column("id", ID, primary_key=True),
        sa.Column("arn", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
    )
    op.create_index("trial_series_identity", "trial_series", ["arn", "name"], unique=True)
    op.create_table(
        "trial_point",
        sa.Column("id", ID, primary_key=True),
        sa.Column("series_id", BIG, nullable=False),
        sa.Column("ms", BIG, nullable=False),
        sa.Column("step", BIG),
        sa.Column("value", sa.Double),
    )
    op.create_index("trial_point_by_series", "trial_point", ["series_id", "id"])
    _file_training_jobs()


def downgrade() -> None:
    """Take them away, and with them what runs logged."""
    for table in ("trial_point", "trial_series", "facet"):
        op.drop_table(table)


def _file_training_jobs() -> None:
    conn = op.get_bind()
    record = sa.table("record", *(sa.column(name) for name in ("id", "scope", "noun", "key", "document")))
    facet = sa.table("facet", sa.column("code"), sa.column("key"), sa.column("scope"))
    last = 0
    while True:
        found = conn.execute(
            sa.select(record.c.id, record.c.scope, record.c.key, sa.cast(record.c.document, sa.Text))
            .where(record.c.noun == "TrainingJob", record.c.id > last)
            .order_by(record.c.id)
            .limit(BATCH)
        ).all()
        if not found:
            return
        last = found[-1][0]
        rows = [
            {"code": code, "key": key, "scope": scope}
            for _, scope, key, document in found
            for code in set(_codes(scope, json.loads(document)))
        ]
        if rows:
            conn.execute(sa.insert(facet), rows)


def _codes(scope: int, document: dict[str, object]) -> Iterator[int]:
    artifacts = document.get("ModelArtifacts")
    values = {
        "TuningJobArn": document.get("TuningJobArn"),
        "ModelArtifacts.S3ModelArtifacts": artifacts.get("S3ModelArtifacts")
        if isinstance(artifacts, dict)
        else None,
    }
    for path, value in values.items():
        if isinstance(value, str):
            text = f"{scope}\n{path}\n{value}".encode("utf-8", "surrogatepass")
            yield int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
