"""What runs before JupyterLab: lifecycle scripts, and clones of repositories."""

import base64
import shlex
from collections.abc import Mapping
from typing import Any

from clary.compute.agent import failure
from clary.compute.agent.execute import Executor
from clary.compute.agent.host import INSIDE, Host
from clary.compute.agent.notebooks import home
from clary.compute.agent.reports import Reporter
from clary.compute.agent.watch import InterruptionError, Watch
from clary.compute.base import Outcome
from clary.compute.runners.base import Program

LIMIT_S = 300.0
"""Of a script. Source: developer guide, "Customize a notebook instance using an LCC script"."""
CLONE_S = 600.0
_CLONE = """
set -e
cd {volume}
if [ -e {name} ]; then exit 0; fi
{configure}git clone {branch} -- {url} {name}
"""


class StartError(Exception):
    """The instance cannot start; the text is its `FailureReason`."""


class Scripts:
    """Runs programs of an instance one after the other, each with a log stream of its own."""

    def __init__(
        self,
        host: Host,
        watch: Watch,
        reporter: Reporter,
        variables: Mapping[str, str],
        common: dict[str, Any],
    ) -> None:
        self._host = host
        self._watch = watch
        self._reporter = reporter
        self._variables = variables
        self._common = common

    def lifecycle(self) -> None:
        """Run OnCreate, the first time, and OnStart.

        Raises
        ------
        StartError
            A script failed, or took too long.
        """
        given = self._host.spec.request.get("Lifecycle") or {}
        for event in ("OnCreate", "OnStart"):
            if content := given.get(event):
                self._script(event, base64.b64decode(content), str(given["Arn"]))

    def _script(self, event: str, content: bytes, arn: str) -> None:
        path = self._host.ml / "lifecycle" / event
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755)
        inside = f"{INSIDE}/lifecycle/{event}"
        argv = (inside,) if content.startswith(b"#!") else ("/bin/bash", inside)
        lead = f"Notebook Instance Lifecycle Config '{arn}' for Notebook Instance '{self._host.spec.arn}'"
        stream = f"{self._host.spec.name}/LifecycleConfig{event}"
        log = f"CloudWatch logs: /aws/sagemaker/NotebookInstances, {stream}"
        ended, last = self._run(argv, f"LifecycleConfig{event}", LIMIT_S)
        if ended is None:
            raise StartError(f"{lead} took longer than 5 minutes in {event}. Please check your {log}.")
        if ended:
            raise StartError(
                failure.clip(f"{lead} failed in {event}: {ended}. Last lines: ", last, f" ({log})")
            )

    def clone(self) -> None:
        """Clone the repositories that are not there yet.

        Raises
        ------
        StartError
            git could not do it.
        """
        for each in home.members(self._host.spec.request, "Repositories"):
            url, secret = str(each["RepositoryUrl"]), each.get("SecretArn")
            configure = ""
            if secret:
                helper = f"!{home.COMMANDS}/git-credential-secret {shlex.quote(secret)}"
                configure = (
                    f"git config --global credential.{shlex.quote(url)}.helper {shlex.quote(helper)}\n"
                )
            text = _CLONE.format(
                volume=shlex.quote(home.VOLUME),
                name=shlex.quote(home.repository_name(url)),
                branch=f"--branch {shlex.quote(each['Branch'])}" if each.get("Branch") else "",
                url=shlex.quote(url),
                configure=configure,
            )
            ended, last = self._run(("/bin/bash", "-c", text), "git", CLONE_S)
            if ended is None or ended:
                why = ended or "it took longer than 10 minutes"
                raise StartError(
                    failure.clip(f"Cannot clone the repository {url}: {why}. git says: ", last, "")
                )

    def _run(self, argv: tuple[str, ...], stream: str, limit_s: float) -> tuple[str | None, str]:
        """Run one program; return how it ended, badly that is, and its last lines. None: out of time."""
        program = Program(argv=argv, environment=self._variables, directory=home.HOME, **self._common)
        executor = Executor(self._host, self._watch, self._reporter, stream=stream)
        ending, pump = executor.to_end(program, limit_s=limit_s)
        if ending.outcome is Outcome.OUT_OF_TIME:
            return None, ""
        if ending.outcome is not None:
            raise InterruptionError(ending.outcome)
        last = failure.last_words(pump.tail or pump.last)
        return ("" if ending.exit.code == 0 else failure.of_exit(ending.exit)), last
