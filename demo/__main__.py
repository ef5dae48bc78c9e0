"""`make demo`: start Clary, run `demo/fraud.py` under the SageMaker SDK, show the result, stop.

Runs in Clary's own environment; the story itself runs in the client's (`--client`).
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

HERE = Path(__file__).resolve().parent
CLARY = Path(sys.executable).with_name("clary")
PREFERRED_PORT = 4747

console = Console(highlight=False)


def free_port() -> int:
    """Return Clary's usual port when nobody has it, else any free one."""
    for port in (PREFERRED_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("no free port on 127.0.0.1")


def clary(*arguments: str, environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run one `clary` command and return how it ended, and what it printed."""
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.run([CLARY, *arguments], env=environ, stdout=pipe, stderr=both, text=True, check=False)


def story(client: Path, output: Path, environ: dict[str, str]) -> int:
    """Run the SDK program; an interrupt reaches it too, and is its to end."""
    environ = {
        **environ,
        "PYTHONWARNINGS": "ignore",
        "PYTHONUNBUFFERED": "1",
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }
    command = [CLARY, "run", "--", client, HERE / "fraud.py", "--output", output]
    with subprocess.Popen([str(part) for part in command], env=environ) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            return child.wait()


def conclude(output: Path, started_s: float, total_s: float, kept: dict[str, str] | None) -> None:
    """Print the closing lines."""
    console.print(f"     Clary started in {started_s:.1f} s, the whole took {total_s:.0f} s")
    console.print("\n[bold cyan]Where to go next[/]")
    for command, words in (
        (f"open {output / 'report.html'}", "the report, with its pictures"),
        ("less demo/fraud.py", "the program you just watched: plain SageMaker SDK"),
        (".venv/bin/clary up", "start your own server, then `clary run -- python …`"),
        ("ls examples docs", "plain boto3, script mode, SDK v3; the documentation"),
    ):
        console.print(f"     [bold]{command:<34}[/] [dim]{words}[/]", soft_wrap=True)
    if kept:
        console.print(f"\n     Clary is still running on port {kept['CLARY_PORT']}: {kept['CLARY_DATA_DIR']}")


def main() -> int:
    """Run the demo from start to stop."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--client", type=Path, required=True, help="Python that has the SageMaker SDK v2")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder of the report")
    parser.add_argument("--keep", action="store_true", help="leave Clary running afterwards")
    arguments = parser.parse_args()
    output = arguments.output
    data_dir = (output / "clary").absolute()
    environ = {**os.environ, "CLARY_DATA_DIR": str(data_dir), "CLARY_PORT": str(free_port())}
    begun = time.perf_counter()

    if data_dir.exists():  # left by a demo that was killed, or kept
        clary("down", "--jobs", environ=environ)
        shutil.rmtree(data_dir, ignore_errors=True)
        environ["CLARY_PORT"] = str(free_port())
    data_dir.mkdir(parents=True, exist_ok=True)

    console.print(
        f"\n[bold]Starting Clary[/] [dim]port {environ['CLARY_PORT']}, data in {output / 'clary'}[/]"
    )
    started = clary("up", "-d", environ=environ)
    if started.returncode:
        console.print(started.stdout, markup=False)
        console.print(
            f"[red]Clary did not start.[/] Its logs: {data_dir}; `clary doctor` says what is missing."
        )
        return started.returncode
    started_s = time.perf_counter() - begun
    console.print(f"     [green]✓[/] [dim]{started_s:.1f} s[/]")
    try:
        # The client's path stays as given: resolving it would leave its environment for the system's Python.
        status = story(arguments.client.absolute(), output, environ)
    except KeyboardInterrupt:
        status = 130
    finally:
        if not arguments.keep:
            clary("down", "--jobs", environ=environ)
    if status:
        console.print(f"\n[red]The demo ended with status {status}.[/] What Clary wrote is in {data_dir}")
        return status
    conclude(output, started_s, time.perf_counter() - begun, environ if arguments.keep else None)
    if not arguments.keep:
        shutil.rmtree(data_dir, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
