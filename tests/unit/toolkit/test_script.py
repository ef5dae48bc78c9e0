"""Script mode: a script in a warm process behaves as `python script.py` would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clary.toolkit import script

RUN = "import json,sys; from clary.toolkit.script import main; sys.exit(main(json.loads(sys.argv[1])))"
SHOW = """
import os, sys, json
print(json.dumps([__name__, __file__, sys.argv, os.getcwd(), sys.path[0], sys.modules["__main__"].__file__]))
"""


def run(code: Path, name: str, *arguments: str, **members: object) -> subprocess.CompletedProcess[str]:
    given = {"program": name, "code": str(code), "arguments": list(arguments), **members}
    return subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(given)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(script.__file__).parents[2]), "PATH": "/usr/bin:/bin"},
    )


def cold(code: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, name, *arguments], capture_output=True, text=True, check=False, cwd=code
    )


def test_it_sees_what_a_cold_interpreter_shows(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SHOW)
    found = run(tmp_path, "train.py", "--n", "5", "-x", "")
    assert json.loads(found.stdout) == json.loads(cold(tmp_path, "train.py", "--n", "5", "-x", "").stdout)


@pytest.mark.parametrize(
    "text",
    [
        "pass",
        "raise SystemExit",
        "raise SystemExit(3)",
        "import sys; sys.exit('no data')",
        "def f():\n    raise ValueError('bad input')\nf()",
        "import nowhere_to_be_found",
        "x = (",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e",
        "import sys\nsys.excepthook = lambda t, v, b: print('hook', v, file=sys.stderr)\nraise ValueError",
    ],
)
def test_it_ends_as_a_cold_interpreter_does(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.py").write_text(text)
    warm, expected = run(tmp_path, "train.py"), cold(tmp_path, "train.py")
    assert (warm.returncode, warm.stdout, warm.stderr) == (
        expected.returncode,
        expected.stdout,
        expected.stderr,
    )


def test_it_imports_its_neighbours_and_pickles_its_classes(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("VALUE = 7")
    (tmp_path / "train.py").write_text(
        "import pickle, neighbour\nclass Model: pass\n"
        "print(type(pickle.loads(pickle.dumps(Model()))).__module__, neighbour.VALUE)"
    )
    assert run(tmp_path, "train.py").stdout == "__main__ 7\n"


def test_a_script_in_a_folder_imports_from_both(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "top.py").write_text("A = 1")
    (tmp_path / "src/beside.py").write_text("B = 2")
    (tmp_path / "src/train.py").write_text("import top, beside; print(top.A + beside.B)")
    assert run(tmp_path, "src/train.py").stdout == "3\n"


def test_exit_functions_still_see_the_module(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import atexit, threading, time\nVALUE = 'kept'\natexit.register(lambda: print(VALUE))\n"
        "threading.Timer(0.05, lambda: print('thread', VALUE)).start()"
    )
    assert run(tmp_path, "train.py").stdout == "thread kept\nkept\n"


def test_a_package_runs_as_a_module(tmp_path: Path) -> None:
    (tmp_path / "setup.py").touch()
    (tmp_path / "train.py").write_text("import sys; print(__name__, sys.argv[1:])")
    assert script.kind_of(tmp_path, "train.py") is script.EntryPoint.PACKAGE
    found = run(tmp_path, "train.py", "--a", "1", is_module=True)
    assert found.stdout == "__main__ ['--a', '1']\n", found.stderr


def test_packages_come_before_the_runtimes(tmp_path: Path) -> None:
    packages = tmp_path / "site"
    (packages / "inner").mkdir(parents=True)
    (packages / "extra.py").write_text("X = 'extra'")
    (packages / "more.pth").write_text("inner\n")
    (packages / "inner/deep.py").write_text("Y = 'deep'")
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text("import extra, deep; print(extra.X, deep.Y)")
    found = run(code, "train.py", packages=[str(packages)])
    assert found.stdout == "extra deep\n", found.stderr


def test_a_shell_script_is_a_command(tmp_path: Path) -> None:
    words = script.command(tmp_path, "train.sh", ["--name", "two words"])
    assert words == ("/bin/sh", "-c", "./train.sh --name 'two words'")
    assert script.command(tmp_path, "train.py", ["-n", "5"]) == ("python3", "train.py", "-n", "5")


def test_what_the_process_has_imported_already_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "own.py").touch()
    assert script.shadows([tmp_path]) == set()
    (tmp_path / "json").mkdir()
    (tmp_path / "subprocess.py").touch()
    assert script.shadows([tmp_path, tmp_path / "missing"]) == {"json", "subprocess"}


def test_a_call_finds_packages_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "extra.py").write_text("def double(n): return 2 * n")
    before = list(sys.path)
    try:
        given = {"call": "extra:double", "arguments": 21, "packages": [str(tmp_path)]}
        assert script.call(given) == 42
    finally:
        sys.path[:] = before
        del sys.modules["extra"]


def test_torchrun_starts_a_process_for_each_gpu_and_the_first_host_leads() -> None:
    hosts = ("algo-1", "algo-2")
    words = script.torchrun("train.py", ["--lr", "0.1"], hosts=hosts, host="algo-2", n_gpus=4)
    text = " ".join(words)
    assert text.startswith("python3 -m torch.distributed.run --nnodes 2 --nproc_per_node 4 --node_rank 1")
    assert text.endswith("--master_addr algo-1 --master_port 7777 train.py --lr 0.1")
