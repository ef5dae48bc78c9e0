"""`clary down`: stop the platform; jobs go on unless asked otherwise."""

import contextlib
from typing import Annotated, Any

import typer

from clary.cli import agents, clients, credentials, far, options, starting
from clary.cli.agents import Agent
from clary.cli.supervisor import state
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

EXAMPLE = "clary down --jobs"
EXIT_CODES = "0 stopped, or was not running; 1 it did not stop"
GRACE_S = 20.0
STOPPED = {
    "TrainingJob": "training_job",
    "ProcessingJob": "processing_job",
    "TransformJob": "transform_job",
}
"""Jobs that are stopped by the public API, and what its methods call them."""


def down(
    with_jobs: Annotated[
        bool, typer.Option("--jobs", help="Stop running jobs and endpoints' replicas, too.")
    ] = False,
    data_dir: options.DataDir = None,
) -> None:
    """Stop Clary. What it acknowledged is safe; running jobs go on and the next start takes them over."""
    settings = options.settings_of(data_dir)
    was_running = state.is_locked(settings.data_dir)
    if with_jobs and (going := _alive(settings)):
        print(f"Ending {agents.described(going)}, within {GRACE_S:.0f} s …", flush=True)
    if with_jobs and was_running:
        _stop_jobs(settings)
    starting.stop(settings)
    if with_jobs:
        _end(agents.alive(settings), is_heard=False)
        _end_far(settings)
    left = _alive(settings)
    print("Clary has stopped." if was_running else f"Clary was not running on {settings.data_dir}.")
    if left:
        print(f"{agents.going_on(left)}; `clary up` takes over, `clary down --jobs` ends what goes on.")


def _end_far(settings: Settings) -> None:
    """End what lives on the nodes of a cluster, where that can be reached."""
    if far.alive(settings):
        try:
            far.end(settings, GRACE_S)
        except SetupError as error:
            print(error)


def _alive(settings: Settings) -> list[Agent]:
    return agents.alive(settings) + far.alive(settings)


def _stop_jobs(settings: Settings) -> None:
    """Stop jobs through the public API, so that they end as Stopped; wait for their hosts."""
    running = state.read(settings.data_dir)
    if running is None or not running.is_ready:
        return
    for name in credentials.read(settings.data_dir):
        client: Any = clients.sagemaker(running, name)
        for noun, stem in STOPPED.items():
            with contextlib.suppress(Exception):  # what does not stop this way is ended below, by its agent
                _stop(client, noun, stem)
    _end([each for each in agents.alive(settings) if each.kind != "serving"], is_heard=True)
    far.wait(settings, GRACE_S, but="serving")


def _stop(client: Any, noun: str, stem: str) -> None:
    pages = client.get_paginator(f"list_{stem}s").paginate(StatusEquals="InProgress")
    for job in (job for page in pages for job in page[f"{noun}Summaries"]):
        getattr(client, f"stop_{stem}")(**{f"{noun}Name": job[f"{noun}Name"]})


def _end(hosts: list[Agent], *, is_heard: bool) -> None:
    for each in hosts:
        agents.ask_to_stop(each, GRACE_S)
    agents.end(hosts, within_s=GRACE_S + 5.0, is_heard=is_heard)
