"""Peers that need an environment of their own: arrays in, arrays out, CPU seconds of what is timed."""

import json
import subprocess
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
    peer = Peer(
        name=name, requirements=requirements, program="", command=(), path="", content_type="", body=""
    )
    home = installed(peer)
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
