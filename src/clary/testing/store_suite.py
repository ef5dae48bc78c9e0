"""The laws of a store; run over every database that Clary supports.

class TestMyStore(StoreSuite):
    @pytest.fixture
    def store(self) -> Iterator[Store]: ...   # open and empty
"""

import pytest

pytest.register_assert_rewrite(
    "clary.testing.store_laws"
)  # before the imports: a broken law shows its values

from clary.testing.store_laws.identities import IdentityLaws  # noqa: E402
from clary.testing.store_laws.lists import ListingLaws  # noqa: E402
from clary.testing.store_laws.logs import LogLaws  # noqa: E402
from clary.testing.store_laws.metrics import MetricLaws  # noqa: E402
from clary.testing.store_laws.records import RecordLaws  # noqa: E402
from clary.testing.store_laws.runs import RunLaws  # noqa: E402
from clary.testing.store_laws.transactions import TransactionLaws  # noqa: E402
from clary.testing.store_laws.work import WorkLaws  # noqa: E402


class StoreSuite(
    TransactionLaws, RecordLaws, ListingLaws, WorkLaws, RunLaws, LogLaws, MetricLaws, IdentityLaws
):
    """Every law; a subclass gives the fixture `store`: open and empty."""
