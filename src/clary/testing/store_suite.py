"""The laws of a store; run over every database that Clary supports.

class TestMyStore(StoreSuite):
    @pytest.fixture
    def store(self) -> Iterator[Store]: ...   # open and empty
"""

import sys

import pytest

if "clary.testing.store_laws" not in sys.modules:
    pytest.register_assert_rewrite("clary.testing.store_laws")  # a broken law then shows its values

from clary.testing.store_laws.facets import FacetLaws
from clary.testing.store_laws.identities import IdentityLaws
from clary.testing.store_laws.lists import ListingLaws
from clary.testing.store_laws.logs import LogLaws
from clary.testing.store_laws.metrics import MetricLaws
from clary.testing.store_laws.records import RecordLaws
from clary.testing.store_laws.runs import RunLaws
from clary.testing.store_laws.transactions import TransactionLaws
from clary.testing.store_laws.trials import TrialLaws
from clary.testing.store_laws.work import WorkLaws


class StoreSuite(
    TransactionLaws,
    RecordLaws,
    FacetLaws,
    ListingLaws,
    WorkLaws,
    RunLaws,
    LogLaws,
    MetricLaws,
    TrialLaws,
    IdentityLaws,
):
    """Every law; a subclass gives the fixture `store`: open and empty."""
