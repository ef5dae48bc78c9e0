"""`FailureReason`: the phase, the exit code or signal, and the program's own error, in words."""

import re
from collections.abc import Iterable

from clary.compute.agent.host import REASON_CHARS
from clary.compute.base import RunPhase, RunSpec
from clary.compute.runners.base import Exit

PREFIXES = ("ClientError:", "AlgorithmError:", "InternalServerError:")
LINES = 12
BAD_INPUT = 1
"""Exit code of a built-in algorithm that found fault with its input."""
_TRACEBACK = "Traceback (most recent call last):"
_ERROR_LINE = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt|Warning|Iteration)?(: .*)?$")


def of_program(
    exit_: Exit, *, spec: RunSpec, phase: RunPhase, written: str, stderr: Iterable[str], command: str = ""
) -> str:
    """Return the reason of a program that ended badly.

    Parameters
    ----------
    written : str
        What it wrote to `/opt/ml/output/failure`.
    stderr : iterable of str
        Its last lines.
    command : str
        Of a script; then the reason reads as sagemaker-training-toolkit's.
    """
    ended = of_exit(exit_)
    if exit_.is_out_of_memory:
        return out_of_memory(spec, ended, stderr)
    if written.strip():
        text = written.strip()
        if text.startswith(PREFIXES):
            return text[:REASON_CHARS]
        is_input = spec.runtime.kind == "builtin" and exit_.code == BAD_INPUT
        lead, tail = "ClientError: " if is_input else "AlgorithmError: ", f", {ended}"
        return f"{lead}{text[: REASON_CHARS - len(lead) - len(tail)]}{tail}"
    if command:
        return of_script("ExecuteUserScriptError", exit_, stderr, command)
    lead = f"AlgorithmError: the program ended in phase {phase.value} with {ended}"
    last = last_words(stderr)
    return (
        clip(f"{lead}; the last it wrote to stderr: ", last, "")
        if last
        else f"{lead}; it wrote nothing to stderr"
    )


def of_script(kind: str, exit_: Exit, stderr: Iterable[str], command: str) -> str:
    """Return the reason in sagemaker-training-toolkit's words. Source: `errors.py`, `_CalledProcessError`."""
    code = exit_.code if exit_.code is not None else exit_.signal
    lead = f'AlgorithmError: {kind}:\nExitCode {code}\nErrorMessage "'
    shown = command if len(command) <= 300 else f"{command[:297]}..."
    return clip(lead, last_words(stderr), f'"\nCommand "{shown}", {of_exit(exit_)}')


def of_exit(exit_: Exit) -> str:
    """Return `exit code: 1` or `signal: SIGKILL`."""
    return f"exit code: {exit_.code}" if exit_.code is not None else f"signal: {exit_.signal}"


def out_of_memory(spec: RunSpec, ended: str, stderr: Iterable[str]) -> str:
    """Return the reason of a program that used more memory than its instance type has.

    Source: the first sentence is the service's own.
    """
    lead = (
        "ClientError: Please use an instance type with more memory, or reduce the size of job data processed "
        f"on an instance. The program used more than the {spec.size.memory_mib} MiB of {spec.instance_type} "
        f"and was ended ({ended})."
    )
    last = last_words(stderr)
    return clip(f"{lead} Last lines: ", last, "") if last else lead


def last_words(stderr: Iterable[str]) -> str:
    """Return the end of what a program wrote: its last exception, else its last lines."""
    lines = list(stderr)
    starts = [n for n, line in enumerate(lines) if line.strip().endswith(_TRACEBACK)]
    if starts:
        after = lines[starts[-1] + 1 :]
        for n, line in enumerate(after):
            if not line.startswith((" ", "\t")) and _ERROR_LINE.match(line):
                return "\n".join(after[n : n + LINES])
    return "\n".join(lines[-LINES:])


def clip(lead: str, text: str, tail: str) -> str:
    """Join the three, the middle shortened at its beginning so that all fits."""
    room = REASON_CHARS - len(lead) - len(tail)
    if len(text) > room:
        text = "..." + text[-(room - 3) :] if room > 3 else ""
    return f"{lead}{text}{tail}"[:REASON_CHARS]
