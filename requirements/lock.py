"""Write the lock files of this folder: `make lock`.

clary.lock   what `pip install clary` brings, and the build backend
dev.lock     on top of it: tests, linters, types
browser.lock on top of that: the console's tests in Chromium
docs.lock    the site
sdk2.lock    client environment: SageMaker Python SDK v2, pictures, the demo's data
notebooks.lock  environment of notebook instances: JupyterLab, the SageMaker SDK
aws.lock     on top of it: the `aws` command
examples.lock  on top of sdk2.lock: what opens models without Clary, and the data of examples/algorithms
sdk3.lock    client environment: SageMaker Python SDK v3; torch is installed before it
torch.lock   on top of clary.lock and dev.lock: what torch stands on; torch is installed before it
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent / "pyproject.toml"
FLAGS = (
    "--quiet",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-trusted-host",
    "--no-emit-find-links",
    "--no-header",
    "--strip-extras",
    "--allow-unsafe",
    "--upgrade",
)
HEADER = "# Written by `make lock` (Python 3.11); edit pyproject.toml or the .in file instead.\n"


def requirements() -> dict[str, list[str]]:
    """Return the direct requirements of each lock file."""
    project = tomllib.loads(PROJECT.read_text())
    groups = project["dependency-groups"]
    return {
        "clary": [*project["project"]["dependencies"], *project["build-system"]["requires"], "editables"],
        "dev": ["-c clary.lock", *groups["dev"]],
        "browser": ["-c clary.lock", "-c dev.lock", *groups["browser"]],
        "docs": groups["docs"],
        "notebooks": project["project"]["optional-dependencies"]["notebooks"],
        "sdk2": (HERE / "sdk2.in").read_text().splitlines(),
        "aws": ["-c sdk2.lock", *(HERE / "aws.in").read_text().splitlines()],
        "examples": ["-c sdk2.lock", *(HERE / "examples.in").read_text().splitlines()],
        "sdk3": (HERE / "sdk3.in").read_text().splitlines(),
        "torch": [
            "-c clary.lock",
            "-c dev.lock",
            *project["project"]["optional-dependencies"]["torch"],
            os.environ.get("TORCH", "torch"),
        ],
    }


def compile_lock(name: str, lines: list[str]) -> None:
    """Resolve `lines` into `<name>.lock`."""
    stands_on_torch = name in {"sdk3", "torch"}
    extra = ["--unsafe-package", "torch"] if stands_on_torch else []
    if stands_on_torch:
        extra += [] if "TORCH_WHEELS" not in os.environ else ["--find-links", os.environ["TORCH_WHEELS"]]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{name}.in"
        source.write_text("\n".join(line.replace("-c ", f"-c {HERE}/") for line in lines) + "\n")
        target = Path(folder) / f"{name}.lock"
        command = [
            sys.executable,
            "-m",
            "piptools",
            "compile",
            *FLAGS,
            *extra,
            "-o",
            str(target),
            str(source),
        ]
        subprocess.run(command, check=True, cwd=folder)  # noqa: S603 - our own command line
        written = target.read_text().replace(f"{HERE}/", "").replace(f"{folder}/", "")
        written = re.sub(r"(?m)^torch==(?:.*\\\n)+.*\n(?: +#.*\n)*", "", written)  # it is installed first
        (HERE / f"{name}.lock").write_text(HEADER + written)


def main() -> None:
    """Write the lock files named on the command line, or all."""
    wanted = sys.argv[1:]
    for name, lines in requirements().items():
        if not wanted or name in wanted:
            sys.stdout.write(f"· {name}.lock\n")
            sys.stdout.flush()
            compile_lock(name, lines)


if __name__ == "__main__":
    main()
