"""Log files: rotated by size under a writer that goes on, and read from the end."""

import os

from clary.cli.supervisor import logfile


def test_a_writer_goes_on_in_the_same_file_after_a_rotation(tmp_path):
    path = tmp_path / "a.log"
    descriptor = logfile.open_for_append(path)
    for n in range(5):
        os.write(descriptor, f"{n}".encode() * 100)
        assert logfile.rotate(path, max_bytes=99, n_old=3)
    os.write(descriptor, b"last\n")
    os.close(descriptor)
    assert path.read_text() == "last\n"
    assert [(tmp_path / f"a.log.{n}").read_text()[0] for n in (1, 2, 3)] == ["4", "3", "2"]
    assert not (tmp_path / "a.log.4").exists()
    assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}


def test_a_small_or_missing_file_is_left_alone(tmp_path):
    (tmp_path / "a.log").write_text("x")
    assert not logfile.rotate(tmp_path / "a.log", max_bytes=1)
    assert not logfile.rotate(tmp_path / "none.log", max_bytes=1)


def test_the_last_lines_are_those_of_this_life(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("old\n")
    begin = path.stat().st_size
    path.write_text("old\nnew 1\n\nnew 2\n")
    assert logfile.last_lines(path, 5, since=begin) == ["new 1", "new 2"]
    assert logfile.last_lines(path, 1) == ["new 2"]
    assert logfile.last_lines(path, 5, since=10_000) == ["old", "new 1", "new 2"]
    assert logfile.last_lines(tmp_path / "none", 5) == []
