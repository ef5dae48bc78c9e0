import contextlib
import os
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from clary.gateway import certificates
from clary.gateway.certificates import Authority, ensure_ca


def test_the_authority_is_made_once_and_its_keys_are_private(tmp_path: Path) -> None:
    first = ensure_ca(tmp_path, {})
    pem = first.certificate.read_bytes()
    assert ensure_ca(tmp_path, {}) == first
    assert first.certificate.read_bytes() == pem
    Authority(tmp_path).leaf("a.amazonaws.com")
    for name in ("ca.key", "leaf.key"):
        assert stat.S_IMODE(os.stat(first.certificate.with_name(name)).st_mode) == 0o600


def test_the_bundle_holds_the_authority_the_system_and_the_users_own(tmp_path: Path) -> None:
    theirs = ensure_ca(tmp_path / "theirs", {}).certificate
    trust = ensure_ca(tmp_path / "ours", {"REQUESTS_CA_BUNDLE": str(theirs)})
    text = trust.bundle.read_bytes()
    assert text.startswith(trust.certificate.read_bytes().strip())
    assert theirs.read_bytes().strip() in text
    assert text.count(b"BEGIN CERTIFICATE") > 20
    again = ensure_ca(tmp_path / "ours", {"AWS_CA_BUNDLE": str(trust.bundle)})
    assert again.bundle.read_bytes().count(trust.certificate.read_bytes().strip()) == 1


def test_a_leaf_is_for_its_very_name_and_verifies(tmp_path: Path) -> None:
    leaf, issuer = x509.load_pem_x509_certificates(
        Authority(tmp_path).leaf("sts.us-east-1.amazonaws.com").read_bytes()
    )
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["sts.us-east-1.amazonaws.com"]
    leaf.verify_directly_issued_by(issuer)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_machines_own_names_are_in_the_default_leaf(tmp_path: Path) -> None:
    leaf = x509.load_pem_x509_certificate(Authority(tmp_path, ("clary.example.org",)).leaf().read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "clary.example.org"} <= set(names.get_values_for_type(x509.DNSName))
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "a" * 300, "-x", "a..b"])
def test_what_is_no_host_name_gets_the_default_leaf(tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path)
    assert authority.leaf(name) == authority.leaf()


def test_leaves_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "MAX_LEAVES", 2)
    authority = Authority(tmp_path)
    assert {authority.leaf(f"h{n}.org").name for n in range(5)} == {"h0.org.pem", "h1.org.pem", "_own.pem"}


def test_a_leaf_near_its_end_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "LEAF_DAYS", 10)
        short = authority.leaf("a.org").read_bytes()
    assert authority.leaf("a.org").read_bytes() != short


def test_contexts_are_kept(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    assert authority.context("A.org.") is authority.context("a.org")
    assert authority.context().minimum_version is ssl.TLSVersion.TLSv1_2


def shaken(server: ssl.SSLContext, name: str, trust: Path) -> ssl.SSLObject:
    """Shake hands over memory, as a client that asks for `name`; return the client's side."""
    ways = [ssl.MemoryBIO() for _ in range(4)]
    asking = ssl.create_default_context(cafile=str(trust)).wrap_bio(ways[0], ways[1], server_hostname=name)
    answering = server.wrap_bio(ways[2], ways[3], server_side=True)
    for _ in range(4):
        for side, out, into in ((asking, ways[1], ways[2]), (answering, ways[3], ways[0])):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            into.write(out.read())
    return asking


def test_the_users_own_certificate_is_shown_but_for_names_of_aws(tmp_path: Path) -> None:
    theirs = Authority(tmp_path / "theirs", ("clary.example.org",))
    trust = ensure_ca(tmp_path / "theirs", {}).certificate
    given = (str(theirs.leaf()), str(tmp_path / "theirs/certificates/leaf.key"))
    ours = Authority(tmp_path / "ours", given=given).context()
    found = shaken(ours, "clary.example.org", trust).getpeercert()
    assert ("DNS", "clary.example.org") in found["subjectAltName"]  # type: ignore[index]
    own = ensure_ca(tmp_path / "ours", {}).certificate
    found = shaken(ours, "sts.us-east-1.amazonaws.com", own).getpeercert()
    assert found["subjectAltName"] == (("DNS", "sts.us-east-1.amazonaws.com"),)  # type: ignore[index]


def test_a_renewed_certificate_is_shown_a_minute_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Authority(tmp_path / "theirs", ("clary.example.org",))
    trust = ensure_ca(tmp_path / "theirs", {}).certificate
    chain = tmp_path / "fullchain.pem"
    chain.write_bytes(theirs.leaf().read_bytes())
    authority = Authority(tmp_path, given=(str(chain), str(tmp_path / "theirs/certificates/leaf.key")))

    def shown() -> object:
        return (shaken(authority.context(), "clary.example.org", trust).getpeercert() or {})["serialNumber"]

    first = shown()
    chain.write_bytes(b"half of it")
    assert shown() == first
    monkeypatch.setattr(certificates, "KEEP_S", -1.0)
    assert shown() == first
    theirs.leaf().unlink()
    chain.write_bytes(theirs.leaf().read_bytes())
    assert shown() != first


def test_the_machines_certificate_follows_its_names(tmp_path: Path) -> None:
    before = Authority(tmp_path, ("a.example.org",)).leaf().read_bytes()
    assert Authority(tmp_path, ("a.example.org",)).leaf().read_bytes() == before
    after = Authority(tmp_path, ("b.example.org", "192.0.2.7")).leaf().read_bytes()
    names = x509.load_pem_x509_certificate(after).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "b.example.org" in names.value.get_values_for_type(x509.DNSName)
