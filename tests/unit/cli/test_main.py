"""The command line itself: the folder is the registry, and errors are one line."""

import inspect
import subprocess
import sys

import pytest
import typer

from clary.cli import main
from clary.cli.commands import version
from clary.kernel import registry

NAMES = registry.stems(main.COMMANDS)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_helps_with_an_example(name, capsys):
    assert main.run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: clary {name}" in shown
    assert "Example:" in shown


@pytest.mark.parametrize("name", NAMES)
def test_every_commands_file_holds_an_object_of_its_name(name):
    member = getattr(registry.member(main.COMMANDS, name), name)
    assert isinstance(member, typer.Typer) or inspect.isfunction(member)


def test_the_list_of_commands_is_the_folder(capsys):
    assert main.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in NAMES)


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["nonsense"], 2, "No such command 'nonsense' (see `clary --help`)"),
        (["env", "--nonsense"], 2, "No such option: --nonsense (see `clary env --help`)"),
        (["logs"], 2, "Missing argument 'JOB' (see `clary logs --help`)"),
        (["up", "--port", "many"], 2, "(see `clary up --help`)"),
        (["up", "--host", "192.0.2.1"], 1, "cannot listen on 192.0.2.1:4747"),
        (["env"], 1, "Clary is not running on"),
        (["status"], 3, "Clary is not running on"),
        (["run", "--", "true"], 125, "Clary is not running on"),
        (["account", "create", "x"], 1, "Clary is not running on"),
        (["spot", "interrupt", "x"], 1, "Clary is not running on"),
        (["logs", "x"], 1, "Clary is not running on"),
    ],
)
def test_an_error_is_one_line_on_stderr_with_its_code(argv, code, said, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CLARY_DATA_DIR", str(tmp_path / "data"))
    assert main.run(argv) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("clary: ")
    assert shown.err.count("\n") == 1
    assert said in shown.err


def test_a_setting_that_is_no_number_is_named(capsys, monkeypatch):
    monkeypatch.setenv("CLARY_PORT", "many")
    assert main.run(["env"]) == 1
    assert "CLARY_PORT must be a whole number, not 'many'" in capsys.readouterr().err


def test_a_fault_of_our_own_is_one_line_too(capsys, monkeypatch):
    def fail(_text):
        raise KeyError("where")

    monkeypatch.setattr(version, "print", fail, raising=False)
    assert main.run(["version"]) == 70
    assert capsys.readouterr().err.startswith("clary: this is a fault of Clary's own: KeyError: 'where'")


def test_stopping_what_does_not_run_is_no_error(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CLARY_DATA_DIR", str(tmp_path / "data"))
    assert main.run(["down"]) == 0
    assert "was not running" in capsys.readouterr().out


def test_run_and_env_load_nothing_slow():
    code = "import sys, clary.cli.main as m; m.load('run'); m.load('env'); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    slow = {"boto3", "botocore", "rich", "asyncio", "sqlalchemy", "numpy", "pandas", "cryptography"}
    assert not slow & set(loaded)
