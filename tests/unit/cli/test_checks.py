"""`clary doctor`: findings that are not well say how to mend it."""

import json

import pytest

from clary.cli import main
from clary.cli.checks import certificate, containers, disk, objects, store
from clary.cli.checks.base import Grade
from clary.cli.commands import doctor
from clary.gateway import certificates
from clary.kernel import registry
from clary.kernel.settings import Settings


@pytest.mark.parametrize("name", [*registry.stems(doctor.CHECKS)])
def test_every_check_keeps_its_promises(name, tmp_path):
    findings = list(registry.member(doctor.CHECKS, name).check(Settings(data_dir=tmp_path / "data")))
    assert findings
    for each in findings:
        assert each.text
        assert each.grade in {Grade.OK} or each.mend
    assert not (tmp_path / "data").exists()


def test_a_missing_weed_is_broken_with_the_line_that_installs_it():
    (found,) = objects.check(Settings(weed="/nowhere/weed"))
    assert found.grade is Grade.BROKEN
    assert "/nowhere/weed" in found.mend


def test_a_data_folder_below_a_file_is_broken(tmp_path):
    (tmp_path / "file").touch()
    (found,) = disk.check(Settings(data_dir=tmp_path / "file" / "data"))
    assert found.grade is Grade.BROKEN
    assert "--data-dir" in found.mend


def test_a_database_that_does_not_answer_is_broken(tmp_path):
    (found,) = store.check(Settings(store_url=f"sqlite:///{tmp_path}/none/x.db"))
    assert found.grade is Grade.BROKEN
    assert "CLARY_STORE_URL" in found.mend


def test_what_rootless_podman_lacks_is_told_with_the_line_that_mends_it(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    (tmp_path / "subuid").write_text("somebody:100000:65536\n1000:165536:65536\n")
    tools, ranges = containers.rootless("ann", 1000, tmp_path)
    assert tools.mend == "apt install uidmap"
    assert ranges.text.startswith(f"{tmp_path / 'subgid'} has no range for ann")
    assert ranges.mend == "usermod --add-subgids 200000-265535 ann; podman system migrate"


@pytest.mark.parametrize(
    ("n_days", "grade", "words"),
    [
        (300, Grade.OK, "ml.example.com, until 20"),
        (5, Grade.LIMITED, "days are left"),
        (0, Grade.LIMITED, "ended"),
    ],
)
def test_a_certificate_that_ends_soon_is_told(n_days, grade, words, tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "LEAF_DAYS", n_days)
    chain = certificates.Authority(tmp_path).leaf("ml.example.com")
    key = tmp_path / "certificates/leaf.key"
    (found,) = certificate.check(Settings(tls_certificate=str(chain), tls_key=str(key)))
    assert (found.grade, words in found.text, bool(found.mend)) == (grade, True, grade is not Grade.OK)
    (found,) = certificate.check(Settings(tls_certificate=str(chain), tls_key=str(tmp_path / "none")))
    assert found.grade is Grade.BROKEN


def test_a_check_that_fails_is_a_finding(monkeypatch, capsys):
    monkeypatch.setattr(disk, "check", lambda _: 1 / 0)
    main.run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert any("ZeroDivisionError" in each["text"] for each in found)
