from datetime import UTC, datetime, timedelta

from clary.services.ecr._tokens import Grant, mint, read

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GRANT = Grant("123456789012", "us-east-1", NOW.timestamp() + 60)


def test_a_password_grants_what_it_was_made_for_until_it_expires() -> None:
    password = mint(b"secret", GRANT)
    assert read(b"secret", password, NOW) == GRANT
    assert read(b"secret", password, NOW + timedelta(seconds=61)) is None


def test_a_password_of_another_clary_or_a_changed_one_grants_nothing() -> None:
    password = mint(b"secret", GRANT)
    other = mint(b"secret", Grant("999999999999", "us-east-1", GRANT.expires))
    mixed = other.partition(".")[0] + "." + password.partition(".")[2]
    for wrong in (
        mint(b"other", GRANT),
        mixed,
        password[:-1],
        password.partition(".")[0],
        "",
        ".",
        "é.é",
        "a.b.c",
    ):
        assert read(b"secret", wrong, NOW) is None
