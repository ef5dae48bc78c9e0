"""What a sandbox shows, as bubblewrap's arguments."""

import os
from pathlib import Path

import pytest

from clary.compute import mounts


def pairs(words: list[str], flag: str) -> list[tuple[str, str]]:
    return [(words[at + 1], words[at + 2]) for at, word in enumerate(words) if word == flag]


def places(words: list[str], flag: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words) if word == flag]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is not hidden by the sandbox's own /tmp."""
    monkeypatch.setattr(mounts, "TMP", "/nowhere")
    monkeypatch.setattr(mounts, "VAR_TMP", "/nowhere")
    monkeypatch.setattr(mounts, "OWN", ("/proc", "/dev"))
    return tmp_path


def test_the_root_is_rebuilt_read_only_from_its_entries(tmp_path: Path) -> None:
    words = mounts.Mounts(home=tmp_path).arguments()
    assert ("/etc", "/etc") in pairs(words, "--ro-bind-try")
    assert ("/usr", "/usr") in pairs(words, "--ro-bind-try")
    assert "/" in places(words, "--remount-ro")
    assert {inside for _, inside in pairs(words, "--bind")} == {"/opt/ml", "/tmp", "/var/tmp", "/home/clary"}


def test_hidden_folders_are_empty_and_what_is_needed_in_them_is_brought_back(elsewhere: Path) -> None:
    secret = elsewhere / "secret"
    env = secret / "envs" / "py"
    env.mkdir(parents=True)
    words = mounts.Mounts(home=elsewhere, hidden=(secret,), environment=(env, env / "lib")).arguments()
    assert str(secret) in places(words, "--tmpfs")
    assert (str(env), str(env)) in pairs(words, "--ro-bind")
    assert str(secret / "envs") in places(words, "--dir")
    assert words.index(str(secret)) < words.index(str(env))


def test_a_folder_closed_to_others_gives_way_for_what_the_job_must_read(elsewhere: Path) -> None:
    closed = elsewhere / "closed"
    env = closed / "py"
    env.mkdir(parents=True)
    closed.chmod(0o700)
    elsewhere.chmod(0o755)
    for above in elsewhere.parents:
        if not above.stat().st_mode & 1:
            closed = above  # the outermost one is what gives way
    view = mounts.Mounts(home=elsewhere, environment=(env,))
    assert str(closed) not in places(view.arguments(), "--tmpfs")
    foreign = mounts.Mounts(home=elsewhere, environment=(env,), is_foreign=True)
    assert str(closed) in places(foreign.arguments(), "--tmpfs")
    assert (str(env), str(env)) in pairs(foreign.arguments(), "--ro-bind")


def test_a_mount_point_that_is_not_there_opens_the_folder_it_goes_into(elsewhere: Path) -> None:
    (elsewhere / "have").mkdir()
    (elsewhere / "link").symlink_to("have")
    target = str(elsewhere / "new" / "deep")
    words = mounts.Mounts(home=elsewhere, binds=(("/outside", target),)).arguments()
    assert str(elsewhere) in places(words, "--tmpfs")
    assert (str(elsewhere / "have"),) * 2 in pairs(words, "--ro-bind-try")
    assert ("have", str(elsewhere / "link")) in pairs(words, "--symlink")
    assert ("/outside", target) in pairs(words, "--bind")
    assert str(elsewhere) in places(words, "--remount-ro")


def test_names_inside_are_the_hosts_and_the_runs_user(tmp_path: Path) -> None:
    who = mounts.Identity(
        uid=61234, gid=61234, hostname="algo-2", addresses={"algo-1": "127.77.0.1", "algo-2": "127.77.0.2"}
    )
    who.write(tmp_path)
    assert "127.77.0.2 algo-2\n" in (tmp_path / "hosts").read_text()
    assert "clary:x:61234:61234:" in (tmp_path / "passwd").read_text()
    assert "root:" in (tmp_path / "group").read_text()


def test_names_are_read_by_the_runs_user_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        mounts.Identity(uid=61234, gid=61234, hostname="algo-1").write(tmp_path)
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("hosts", "passwd", "group")} == {0o644}


def test_the_python_environment_never_is_somebodys_home() -> None:
    needed = mounts.python_environment()
    assert Path.home() not in needed
    assert Path("/") not in needed
    assert any(path.name == "clary" for path in needed)
