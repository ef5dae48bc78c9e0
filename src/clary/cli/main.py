"""The `clary` command: every file of `commands/` is one command, loaded only when it is called.

Exit codes: 0 done; 1 failed, one line on stderr says why; 2 used wrongly; 3 `status`: not running; 70 a fault
of Clary's own; 130 interrupted. `clary run` has its own (`clary run --help`).
"""

import importlib
import os
import sys
import traceback
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

from clary.kernel import registry
from clary.kernel.errors import SetupError

COMMANDS = "clary.cli.commands"
ORDER = ("up", "down", "status", "run", "env", "logs", "doctor")
"""What people need first stands first in `clary --help`; the rest follows by name."""


def load(name: str) -> Any:
    """Return the click command of `commands/<name>.py`: its function, or its group, of the same name."""
    module = importlib.import_module(f"{COMMANDS}.{name}")
    member = getattr(module, name)
    exits = getattr(module, "EXIT_CODES", "")
    epilog = f"Example:  {module.EXAMPLE}" + (f"\n\nExit codes:  {exits}" if exits else "")
    if isinstance(member, typer.Typer):
        group = typer.main.get_group(member)
        group.name, group.epilog = name, epilog
        return group
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name=name, epilog=epilog, context_settings=getattr(module, "CONTEXT", None))(member)
    return typer.main.get_command(single)


class Folder(TyperGroup):
    """The commands of the folder."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, the first steps first."""
        names = registry.stems(COMMANDS)
        return [*(name for name in ORDER if name in names), *(name for name in names if name not in ORDER)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load one command; None when there is none of that name."""
        return load(cmd_name) if cmd_name in registry.stems(COMMANDS) else None


app = typer.Typer(
    cls=Folder,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from clary.cli.commands import version  # noqa: PLC0415 - only for this option

        version.version()
        raise typer.Exit


@app.callback(epilog="Start here:  clary up -d  &&  clary run -- python my_sagemaker_script.py")
def clary(
    show_version: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Your own SageMaker: unmodified boto3 and SageMaker SDK code, on this machine."""


def main(argv: list[str] | None = None) -> None:
    """Run a command and exit; an error is one line on stderr, never a traceback."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: list[str]) -> int:
    """Run a command; return its exit code."""
    try:
        code = app(argv, prog_name="clary", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SetupError as error:
        return _fail(str(error), getattr(error, "code", 1))
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:  # `clary logs … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the last line of defence: one line, and the rest on request
        if hasattr(error, "format_message"):  # click's own, wherever typer keeps click
            return _fail_usage(error)
        if os.environ.get("CLARY_TRACEBACK"):
            traceback.print_exc()
        text = f"{type(error).__name__}: {error}".rstrip(": ")
        return _fail(f"this is a fault of Clary's own: {text} (CLARY_TRACEBACK=1 shows where)", 70)


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"clary: {text}\n")
    return code


def _fail_usage(error: Any) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return 2  # click has printed the help
    path = context.command_path if context else "clary"
    text = " ".join(str(error.format_message()).split())
    return _fail(f"{text.rstrip('.')} (see `{path} --help`)", int(error.exit_code))


if __name__ == "__main__":
    main()
