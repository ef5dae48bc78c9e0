# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of accounts and access keys."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from clary.store import identities
from clary.store.base import Duplicate
from clary.store.database import Store
from clary.store.identities import Credential
from clary.testing.store_laws.samples import HERE, NOW


class IdentityLaws:
    """What accounts and access keys promise."""

    def test_an_access_key_comes_back_and_its_secret_is_not_stored_plain(self, store: Store) -> None:
        temporary = Credential("ASIA1", "very secret", HERE[0], "arn:role", "the session", NOW)
        lasting = Credential("AKIA1", "other secret", HERE[0], "arn:user")
        store.write(identities.insert, temporary)
        store.write(identities.insert, lasting)
        assert store.read(identities.find, "ASIA1") == temporary
        assert store.read(identities.find, "AKIA1") == lasting
        assert store.read(identities.find, "AKIA2") is None
        assert store.read(identities.of_principal, HERE[0], "arn:user") == [lasting]
        with pytest.raises(Duplicate, match="ASIA1"):
            store.write(identities.insert, temporary)

        def stored(conn: sa.Connection) -> str:
            return str(conn.execute(sa.text("SELECT * FROM credential")).all())

        text = store.read(stored)
        assert "ASIA1" in text
        assert "secret" not in text
        assert "session" not in text

    def test_access_keys_end(self, store: Store) -> None:
        for name, expires in (("old", NOW), ("new", NOW + timedelta(seconds=1)), ("lasting", None)):
            store.write(identities.insert, Credential(name, "s", HERE[0], "arn", "t", expires))
        assert store.write(identities.expire, NOW) == 1
        assert store.read(identities.find, "old") is None
        assert store.write(identities.delete, "new") is True
        assert store.write(identities.delete, "new") is False
        assert store.read(identities.find, "lasting") is not None

    def test_accounts_are_found_by_name_and_by_id(self, store: Store) -> None:
        made = store.write(identities.create_account, "team", "123456789012", NOW)
        store.write(identities.create_account, "another", "222222222222", NOW)
        assert store.read(identities.find_account, "team") == made
        assert store.read(identities.find_account, "123456789012") == made
        assert store.read(identities.find_account, "nobody") is None
        assert [each.name for each in store.read(identities.accounts)] == ["another", "team"]
        for name, account_id in (("team", "333333333333"), ("third", "123456789012")):
            with pytest.raises(Duplicate, match="exists already"):
                store.write(identities.create_account, name, account_id)
        for name, account_id in (("x", "12"), ("", "333333333333"), ("333333333333", "444444444444")):
            with pytest.raises(ValueError, match="account"):
                store.write(identities.create_account, name, account_id)
