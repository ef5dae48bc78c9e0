"""Script mode in a warm process: run a customer's Python file as `python file.py` would.

The process has been forked from one that had the libraries imported already; what the script sees is the
same as in a cold interpreter: `__main__`, `sys.argv`, `sys.path`, working directory, exit code, traceback.
"""

import contextlib
import importlib
import os
import runpy
import shlex
import site
import sys
import traceback
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

MASTER_PORT = 7777
"""Where processes of `torch.distributed` meet, on the first host. Source: as of `torchrun` below."""


class EntryPoint(Enum):
    """Kinds of user programs. Source: sagemaker-training-toolkit, `_entry_point_type.py`."""

    PACKAGE = "package"
    """A module of the code folder, which has a `setup.py`: `python -m`."""
    PYTHON = "python"
    COMMAND = "command"


def kind_of(code: Path, name: str) -> EntryPoint:
    """Return how the entry point `name` of the folder `code` is run."""
    if name.endswith(".sh"):
        return EntryPoint.COMMAND
    if (code / "setup.py").is_file():
        return EntryPoint.PACKAGE
    return EntryPoint.PYTHON if name.endswith(".py") else EntryPoint.COMMAND


def command(code: Path, name: str, arguments: Sequence[str], python: str = "python3") -> tuple[str, ...]:
    """Return the command line of an entry point; the working directory is the code folder."""
    match kind_of(code, name):
        case EntryPoint.PACKAGE:
            return (python, "-m", name.removesuffix(".py"), *arguments)
        case EntryPoint.PYTHON:
            return (python, name, *arguments)
        case _:
            return ("/bin/sh", "-c", shlex.join([f"./{name}", *arguments]))


def torchrun(
    name: str, arguments: Sequence[str], *, hosts: Sequence[str], host: str, n_gpus: int = 0
) -> tuple[str, ...]:
    """Return the command line of `torch.distributed`'s launcher, on one of several hosts.

    Source: sagemaker-training-toolkit, `torch_distributed.py`: a process for each GPU, the first host leads.
    """
    names = sorted(hosts)
    launcher = ("python3", "-m", "torch.distributed.run", "--nnodes", str(len(names)))
    shape = ("--nproc_per_node", str(n_gpus or 1), "--node_rank", str(names.index(host)))
    meeting = ("--master_addr", names[0], "--master_port", str(MASTER_PORT))
    return (*launcher, *shape, *meeting, name, *arguments)


def shadows(folders: Sequence[Path]) -> set[str]:
    """Return the modules of `folders` that this process has imported from elsewhere.

    A warm process would use its own instead of the customer's: such a script needs a cold one.
    """
    names: set[str] = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            names |= {
                each.name.removesuffix(".py").split(".cpython")[0]
                for each in folder.iterdir()
                if each.suffix in {"", ".py", ".so"} and not each.name.startswith((".", "_"))
            }
    return {name for name in names if name in sys.modules and name != "__main__"}


def main(arguments: Mapping[str, Any]) -> int:
    """Run a script; return its exit code.

    Parameters
    ----------
    arguments : mapping
        `program`, relative to the code folder; `code`, that folder; `arguments`, the script's own;
        `is_module`, whether to run it as `python -m`; `packages`, folders to import from first; `last`,
        others to import from last.
    """
    code, name = str(arguments["code"]), str(arguments["program"])
    os.chdir(code)
    _import_first(arguments.get("packages") or ())
    sys.path += arguments.get("last") or ()
    try:
        if arguments.get("is_module"):
            sys.path.insert(0, code)
            sys.argv = [name, *arguments["arguments"]]
            runpy.run_module(name.removesuffix(".py"), run_name="__main__", alter_sys=True)
        else:
            _run_file(Path(code), name, arguments["arguments"])
    except SystemExit as end:
        return _exit_code(end.code)
    except BaseException as error:
        _report(error, own=__file__)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def call(arguments: Mapping[str, Any]) -> int:
    """Call a function with packages of the customer's own to import from first; return what it returns.

    Parameters
    ----------
    arguments : mapping
        `call`, as `module:function`; `arguments`, its own; `packages`, folders.
    """
    _import_first(arguments["packages"])
    module, _, function = str(arguments["call"]).partition(":")
    result: int = getattr(importlib.import_module(module), function)(arguments["arguments"])
    return result


def _import_first(folders: Sequence[str]) -> None:
    for folder in reversed(folders):
        site.addsitedir(folder)
        sys.path.remove(folder)
        sys.path.insert(0, folder)
    importlib.invalidate_caches()


def _run_file(code: Path, name: str, arguments: Sequence[str]) -> None:
    path = code / name
    sys.argv = [name, *arguments]
    for folder in (str(code), str(path.parent)):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)
    module = ModuleType("__main__")
    # not runpy.run_path: threads and exit functions of the script still need the module when it has returned
    module.__dict__.update(__file__=str(path), __builtins__=__builtins__, __spec__=None, __cached__=None)
    sys.modules["__main__"] = module
    source = path.read_bytes()
    exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - the customer's script


def _exit_code(code: Any) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stdout.flush()
    print(code, file=sys.stderr)  # noqa: T201 - what Python itself does with SystemExit("text")
    return 1


def _report(error: BaseException, own: str) -> None:
    """Print the traceback as Python would, without the frames of this file."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in {own, runpy.__file__, "<frozen runpy>"}:
        trace = trace.tb_next
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, trace)
    else:
        traceback.print_exception(type(error), error, trace)
    with contextlib.suppress(Exception):
        sys.stderr.flush()
