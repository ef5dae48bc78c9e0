"""A trial job: whether the Python environment runs inside this machine's sandbox."""

import os
import sys
import tempfile
from pathlib import Path

from clary.compute.base import RunKind, RunSpec, Runtime, Size
from clary.compute.runners.base import Exit, Program
from clary.compute.runners.process import ProcessRunner
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings


def trial(settings: Settings) -> str:
    """Run this Python as a job, and return what went wrong; empty when nothing did."""
    with tempfile.TemporaryDirectory(prefix="clary-trial-") as folder, tempfile.TemporaryFile() as output:
        home = Path(folder) / "hosts" / "algo-1"
        home.mkdir(parents=True)
        spec = RunSpec(
            run_id=f"trial-{os.getpid()}",
            kind=RunKind.TRAINING,
            account="",
            region="",
            name="trial",
            arn="",
            runtime=Runtime(kind="framework", name="trial"),
            size=Size(cpus=1, memory_mib=512),
        )
        program = Program(argv=(settings.runtime_python or sys.executable, "-c", "import sys, ssl, json"))
        try:
            running = ProcessRunner(settings).start(
                home, spec, "algo-1", program, stdout=output.fileno(), stderr=output.fileno()
            )
        except SetupError as error:
            return str(error)
        end = running.wait(60.0)
        running.close()
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
        return "" if end == Exit(code=0) else f"{program.argv[0]} does not run as a job: {said or end}"
