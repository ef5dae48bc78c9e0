"""`clary env`: the environment for AWS clients, for `eval`, as JSON, or as a named AWS profile."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from clary.cli import credentials, environment, options, profile
from clary.cli.supervisor import state

EXAMPLE = 'eval "$(clary env)" && aws sagemaker list-training-jobs'
EXIT_CODES = "0 printed; 1 Clary is not running, or no such account"


def env(
    account: options.Account = "default",
    as_json: options.AsJson = False,
    name: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Write an AWS profile of this name instead."),
    ] = None,
    data_dir: options.DataDir = None,
) -> None:
    """Print what points boto3, aws and the SageMaker SDK at Clary."""
    running = state.expect_running(options.settings_of(data_dir).data_dir)
    if name is not None:
        keys = credentials.find(Path(running.data_dir), account)
        config, secrets = profile.write(name, running, keys)
        print(f"Profile {name!r} is in {config} and {secrets}.")
        print(f"Try:  aws --profile {name} sts get-caller-identity")
        print("The SageMaker SDK dials hosts that no profile can name: give it `clary run` or `clary env`.")
        return
    variables = environment.environment(running, account)
    if as_json:
        print(json.dumps(variables, indent=2))
        return
    print(environment.as_shell(variables))
    if sys.stdout.isatty():
        print('# To take these into your shell, type:  eval "$(clary env)"')
