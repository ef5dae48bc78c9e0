"""Peers that need an environment of their own: arrays in, arrays out, CPU seconds of what is timed."""

import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench._peers import ONE_THREAD, Peer, installed

RUN_S = 600


def run(name: str, requirements: tuple[str, ...], program: str, **given: Any) -> tuple[dict[str, Any], Any]:
    """Run a program that finds its arrays in `given` and leaves `facts` and `answer`.

    Raises
    ------
    NotInstalledError
        pip could not make the environment.
    subprocess.CalledProcessError
        The program failed.
    """
    home = _home(name, requirements)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        np.savez(Path(folder) / "given.npz", **given)
        code = (
            "import json, sys, time\nimport numpy as np\n"
            "given = dict(np.load(sys.argv[1] + '/given.npz'))\n"
            f"{program}\n"
            "np.save(sys.argv[1] + '/answer.npy', answer)\nprint(json.dumps(facts))\n"
        )
        done = subprocess.run(
            [str(home / "bin/python"), "-c", code, folder],
            check=True,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            cwd=folder,
            env={**ONE_THREAD, "PATH": "/usr/bin:/bin"},
        )
        facts: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return facts, np.load(Path(folder) / "answer.npy")


def borrowed(name: str, requirements: tuple[str, ...]) -> Any:
    """Import a module in this process, which gets the folder of its own environment behind ours.

    Raises
    ------
    NotInstalledError
        pip could not make the environment.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        sys.path += map(str, _home(name, requirements).glob("lib/python*/site-packages"))
        return importlib.import_module(name)


def _home(name: str, requirements: tuple[str, ...]) -> Path:
    return installed(Peer(name=name, requirements=requirements, program="", command=()))
