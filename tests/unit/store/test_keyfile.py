import stat

import pytest

from clary.kernel.errors import SetupError
from clary.store import identities, keyfile
from clary.store.database import Store
from clary.store.identities import Credential


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "deep" / "store.key"
    first = keyfile.load(path, may_create=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keyfile.is_proven(keyfile.load(path, may_create=False), keyfile.prove(first))
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_no_key_is_named(tmp_path):
    path = tmp_path / "store.key"
    path.write_text("nonsense")
    with pytest.raises(SetupError, match=r"store\.key does not hold a key"):
        keyfile.load(path, may_create=True)


def test_a_store_with_secrets_refuses_a_missing_or_foreign_key(path):
    with Store.open(f"sqlite:///{path}") as store:
        store.write(identities.insert, Credential("AKIA1", "s", "1", "arn"))
    key = path.with_name("clary.db.key")
    right = key.read_bytes()
    key.unlink()
    with pytest.raises(SetupError, match="is missing"):
        Store.open(f"sqlite:///{path}")
    keyfile.load(key, may_create=True)
    with pytest.raises(SetupError, match="not the one"):
        Store.open(f"sqlite:///{path}")
    key.write_bytes(right)
    with Store.open(f"sqlite:///{path}") as store:
        assert store.read(identities.find, "AKIA1") == Credential("AKIA1", "s", "1", "arn")


def test_a_store_without_secrets_takes_a_new_key(path):
    Store.open(f"sqlite:///{path}").close()
    path.with_name("clary.db.key").unlink()
    Store.open(f"sqlite:///{path}").close()
    Store.open(f"sqlite:///{path}").close()
