"""Nodes, and the node that a machine belongs to: what several control planes over one database need.

On a million machines it adds a column with a constant, which both databases do at once, and builds one index
of them: about a second.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add them; machines that are there belong to nobody yet."""
    op.create_table(
        "node",
        sa.Column("node_id", NAME, primary_key=True),
        sa.Column("life", NAME, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
    )
    op.add_column("work", sa.Column("node", NAME, nullable=False, server_default=sa.text("''")))
    op.create_index("work_by_node", "work", ["node", "ready"])


def downgrade() -> None:
    """Take them away; machines are anybody's again, which is right for one control plane alone."""
    op.drop_index("work_by_node", "work")
    op.drop_column("work", "node")
    op.drop_table("node")
