"""Image `clary-notebook`: a notebook in, with parameters; the notebook with its outputs, and HTML, out.

It runs as a file, in the environment of the notebooks, and imports nothing of Clary's: nbclient executes,
nbconvert shows. A cell tagged `parameters` has the defaults; what is given goes into a new cell behind it, as
papermill does it.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INPUT = Path("/opt/ml/processing/input")
OUTPUT = Path("/opt/ml/processing/output/notebook")
MESSAGE = Path("/opt/ml/output/message")
FAILURE = Path("/opt/ml/output/failure")
RUNTIME = "/tmp/jupyter"  # noqa: S108 - inside the sandbox; short, for the paths of sockets
TAG, INJECTED = "parameters", "injected-parameters"


def arguments() -> argparse.ArgumentParser:
    """Return the reader of `ContainerArguments`."""
    made = argparse.ArgumentParser(prog="clary-notebook")
    made.add_argument("--notebook", type=Path, help="default: the one below /opt/ml/processing/input")
    made.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE")
    made.add_argument("--kernel", default="", help="default: the notebook's own, where it is there")
    made.add_argument("--output", type=Path, default=OUTPUT)
    return made


def parameters(given: Sequence[str]) -> dict[str, Any]:
    """Return `NAME=VALUE` texts as values: JSON where they are JSON, else the text itself.

    Raises
    ------
    ValueError
        A name is none of Python's.
    """
    found: dict[str, Any] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"--parameter {each!r} must be NAME=VALUE, with a name as Python has them")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def inject(notebook: Any, values: dict[str, Any]) -> None:
    """Put a cell that assigns `values` behind the one tagged `parameters`, or in front of all."""
    if not values:
        return
    tags = [cell.get("metadata", {}).get("tags", []) for cell in notebook["cells"]]
    kept = [n for n, each in enumerate(tags) if INJECTED not in each]
    notebook["cells"] = [notebook["cells"][n] for n in kept]
    place = next((place + 1 for place, n in enumerate(kept) if TAG in tags[n]), 0)
    source = "\n".join(["# Parameters", *(f"{name} = {value!r}" for name, value in values.items())])
    cell: dict[str, Any] = {
        "cell_type": "code",
        "metadata": {"tags": [INJECTED]},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }
    if (notebook["nbformat"], notebook["nbformat_minor"]) >= (4, 5):
        cell["id"] = INJECTED
    notebook["cells"].insert(place, type(notebook)(cell))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the notebook; return the exit code."""
    asked = arguments().parse_args(argv)
    try:
        path = asked.notebook or next(iter(sorted(INPUT.rglob("*.ipynb"))), None)
        if path is None:
            raise ValueError(f"there is no notebook below {INPUT}; name one with --notebook")
        wrong = execute(path, asked.output, parameters(asked.parameter), asked.kernel)
    except (ValueError, OSError) as error:
        wrong = f"ClientError: {error}"
    if wrong:
        FAILURE.parent.mkdir(parents=True, exist_ok=True)
        FAILURE.write_text(wrong)
        sys.stderr.write(f"{wrong}\n")
        return 1
    return 0


def execute(path: Path, output: Path, values: dict[str, Any], kernel: str) -> str:
    """Execute a notebook and write it with its outputs, and as HTML; return what went wrong."""
    os.environ.setdefault("JUPYTER_RUNTIME_DIR", RUNTIME)
    import nbformat  # noqa: PLC0415 - the environment of the notebooks has these, Clary's own need not
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415
    from nbclient import NotebookClient  # noqa: PLC0415
    from nbclient.exceptions import CellExecutionError  # noqa: PLC0415
    from nbconvert import HTMLExporter  # noqa: PLC0415
    from traitlets.config import Config  # noqa: PLC0415

    notebook = nbformat.read(path, as_version=4)
    inject(notebook, values)
    own = notebook.metadata.get("kernelspec", {}).get("name", "")
    names = KernelSpecManager().find_kernel_specs()
    chosen = kernel or (own if own in names else "python3")
    config = Config()
    if "SAGEMAKER_BASE_DIR" not in os.environ:  # a sandbox, whose /tmp is its own
        Path(RUNTIME).mkdir(exist_ok=True)
        config.KernelManager.transport = "ipc"  # loopback is shared with other jobs
        config.KernelManager.ip = f"{RUNTIME}/kernel"
    work = path.parent
    n_cells = sum(1 for cell in notebook.cells if cell.cell_type == "code")
    state = {"n_done": 0}

    def told(cell: Any, cell_index: int, **_: Any) -> None:
        state["n_done"] += 1
        for each in cell.get("outputs", ()):
            sys.stdout.write(each.get("text", "") if each.get("output_type") == "stream" else "")
        sys.stdout.write(f"[notebook] cell {cell_index}: {state['n_done']} of {n_cells} done\n")
        sys.stdout.flush()

    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name=chosen,
        resources={"metadata": {"path": str(work)}},
        on_cell_executed=told,
        config=config,
    )
    wrong = ""
    try:
        asyncio.run(client.async_execute())
    except CellExecutionError as error:
        wrong = f"AlgorithmError: a cell of {path.name} raised {error.ename}: {error.evalue}"
    _write(notebook, output, path, HTMLExporter(config=Config({"HTMLExporter": {"embed_images": True}})))
    if not wrong:
        MESSAGE.parent.mkdir(parents=True, exist_ok=True)
        MESSAGE.write_text(f"{n_cells} cells of {path.name} were run")
    return wrong


def _write(notebook: Any, output: Path, path: Path, exporter: Any) -> None:
    """Write a notebook as it is now, and as a page."""
    output.mkdir(parents=True, exist_ok=True)
    (output / path.name).write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    html, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": path.stem}})
    (output / f"{path.stem}.html").write_text(html)


if __name__ == "__main__":
    sys.exit(main())
