"""Failure reasons name what a person needs."""

from dataclasses import replace

import pytest

from clary.compute.agent import failure
from clary.compute.base import RunKind, RunPhase, RunSpec, Runtime, Size
from clary.compute.runners.base import Exit

SPEC = RunSpec(
    run_id="r",
    kind=RunKind.TRAINING,
    account="111122223333",
    region="us-east-1",
    name="job",
    arn="arn",
    runtime=Runtime(kind="framework", name="scikit-learn"),
    size=Size(cpus=2, memory_mib=8192),
)
TRACEBACK = [
    "some warning",
    "Traceback (most recent call last):",
    '  File "/opt/ml/code/train.py", line 3, in <module>',
    "    main()",
    "ValueError: bad input",
    "with a second line",
]


def reason(exit_: Exit, *, written: str = "", stderr: list[str] | None = None, command: str = "") -> str:
    return failure.of_program(
        exit_, spec=SPEC, phase=RunPhase.TRAINING, written=written, stderr=stderr or [], command=command
    )


def test_a_script_reads_as_the_toolkit_spells_it() -> None:
    assert reason(Exit(code=1), stderr=TRACEBACK, command="python3 train.py --n 5") == (
        "AlgorithmError: ExecuteUserScriptError:\nExitCode 1\n"
        'ErrorMessage "ValueError: bad input\nwith a second line"\n'
        'Command "python3 train.py --n 5", exit code: 1'
    )


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (TRACEBACK, "ValueError: bad input\nwith a second line"),
        (["a", "b"], "a\nb"),
        ([*TRACEBACK, *TRACEBACK[1:4], "module.CustomError: later"], "module.CustomError: later"),
        ([*TRACEBACK[:4], "AssertionError"], "AssertionError"),
        ([], ""),
        ([str(n) for n in range(50)], "\n".join(str(n) for n in range(38, 50))),
    ],
)
def test_the_last_words_are_the_last_exception_or_lines(lines: list[str], words: str) -> None:
    assert failure.last_words(lines) == words


@pytest.mark.parametrize(
    ("exit_", "written", "text"),
    [
        (Exit(code=2), "it broke\n", "AlgorithmError: it broke, exit code: 2"),
        (Exit(code=2), "ClientError: bad k", "ClientError: bad k"),
        (
            Exit(signal="SIGSEGV"),
            "",
            "AlgorithmError: the program ended in phase Training with signal: SIGSEGV; ",
        ),
    ],
)
def test_what_the_program_wrote_counts_first(exit_: Exit, written: str, text: str) -> None:
    assert reason(exit_, written=written).startswith(text)


def test_memory_is_named_with_the_instance_type() -> None:
    found = reason(Exit(signal="SIGKILL", is_out_of_memory=True), written="ignored", stderr=["allocating"])
    assert "8192 MiB of ml.m5.large" in found
    assert "SIGKILL" in found
    assert found.endswith("allocating")


@pytest.mark.parametrize("length", [10, 2000])
def test_no_reason_is_longer_than_the_service_allows(length: int) -> None:
    lines = ["x" * length] * 30
    for found in (
        reason(Exit(code=1), stderr=lines, command="python3 train.py " + "y" * length),
        reason(Exit(code=1), stderr=lines),
        reason(Exit(code=1), written="z" * length),
        reason(Exit(code=1, is_out_of_memory=True), stderr=lines),
    ):
        assert len(found) <= 1024
        assert "exit code: 1" in found


@pytest.mark.parametrize(("code", "lead"), [(1, "ClientError: "), (2, "AlgorithmError: ")])
def test_a_builtin_algorithm_blames_its_input_or_itself(code: int, lead: str) -> None:
    spec = replace(SPEC, runtime=Runtime(kind="builtin", name="xgboost"))
    found = failure.of_program(
        Exit(code=code), spec=spec, phase=RunPhase.TRAINING, written="num_round must be at least 1", stderr=[]
    )
    assert found == f"{lead}num_round must be at least 1, exit code: {code}"


@pytest.mark.parametrize("lead", ["", "AlgorithmError: "])
def test_of_a_long_written_failure_the_beginning_stays(lead: str) -> None:
    text = reason(Exit(code=1), written=f"{lead}seed must be positive{'!' * 5000}")
    assert text.startswith("AlgorithmError: seed must be positive!")
    assert len(text) == 1024
