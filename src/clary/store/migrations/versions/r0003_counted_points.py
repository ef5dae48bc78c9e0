"""Metric points that stand for several samples of one value."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add how many; points that are there stand for one."""
    op.add_column("metric_point", sa.Column("n", sa.Double(), nullable=False, server_default=sa.text("1")))


def downgrade() -> None:
    """Take the count away: points that stood for several stand for one."""
    op.drop_column("metric_point", "n")
