"""`clary accelerators`: who shares the accelerators, what they use of them, and what that saves."""

import json
import socket
from typing import Any

from rich.console import Console
from rich.table import Table

from clary.cli import options
from clary.cli.supervisor import state
from clary.compute import accelerator
from clary.console import cost
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

EXAMPLE = "clary accelerators --json"
WHOLE_TYPE = "ml.g4dn.xlarge"
"""What an endpoint would have to itself instead: the smallest instance with an accelerator of its own."""
WAIT_S = 5.0
FILE_WIDTH = 160
"""Of what is printed elsewhere than on a terminal, where names are not cut."""


def accelerators(as_json: options.AsJson = False, data_dir: options.DataDir = None) -> None:
    """Show who shares the accelerators, what they use, and what sharing saves."""
    settings = options.settings_of(data_dir)
    running = state.expect_running(settings.data_dir)
    document = with_prices(asked(settings), cost.prices(settings.data_dir))
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        _show(document, running.url)


def asked(settings: Settings) -> dict[str, Any]:
    """Return the daemon's own account of itself.

    Raises
    ------
    SetupError
        There is none, or it does not answer.
    """
    path = accelerator.control_socket(settings)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(WAIT_S)
            line.connect(str(path))
            line.sendall(b'{"status": true}\n')
            document: dict[str, Any] = json.loads(line.makefile().readline())
    except (OSError, ValueError) as error:
        raise SetupError(
            f"the daemon of the accelerators does not answer at {path} ({error}); `clary status` says how it "
            "is. With CLARY_ACCELERATORS=0 there is none"
        ) from None
    return document


def with_prices(document: dict[str, Any], prices: dict[str, float]) -> dict[str, Any]:
    """Return the account with what the shares cost an hour, beside a device for each tenant."""
    tenants = [each | {"price": prices.get(each["type"], 0.0)} for each in document["tenants"]]
    paid, alone = sum(each["price"] for each in tenants), len(tenants) * prices.get(WHOLE_TYPE, 0.0)
    saved = {
        "shares": sum(each["share"] for each in tenants),
        "price": paid,
        "price_of_one_each": alone,
        "saved": 1 - paid / alone if alone else 0.0,
        "devices_saved": 1 - sum(each["share"] for each in tenants) / len(tenants) if tenants else 0.0,
    }
    return {**document, "tenants": tenants, "cost": saved}


def _show(document: dict[str, Any], url: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    for each in document["devices"]:
        what = f"GPU {each['gpu']}" if each["gpu"] else f"a slice of CPU, {each['threads']} thread(s)"
        size = f"{each['tflops']:g} TFLOPS to share, {each['memory_mib']} MiB"
        console.print(f"[bold]accelerator {each['device']}[/]   {what}   [dim]{size}[/]")
    if not document["tenants"]:
        console.print(f"[dim]nobody uses them; AcceleratorType of a variant does ({url})[/]")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    left = ("endpoint", "type")
    for name in (*left, "share", "last minute", "device", "calls", "wait", "memory", "cut", "$/h"):
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for each in document["tenants"]:
        table.add_row(
            f"{each['endpoint']}/{each['variant']}",
            each["type"],
            f"{100 * each['share']:.0f} %",
            f"{100 * each['recent']:.1f} %",
            f"{each['device_s']:.2f} s",
            str(each["n_answers"]),
            f"{1e3 * each['waited_s'] / max(1, each['n_turns']):.2f} ms",
            f"{each['memory_mib']} of {each['memory_most_mib']} MiB",
            str(each["n_cut"] or ""),
            f"{each['price']:.3f}",
        )
    console.print(table)
    paid = document["cost"]
    n = len(document["tenants"])
    console.print(
        f"\n{n} share(s) make {paid['shares']:.2f} accelerators, {100 * paid['devices_saved']:.0f} % fewer "
        f"than one each: ${paid['price']:.2f} an hour by type, where {n} x {WHOLE_TYPE} would be "
        f"${paid['price_of_one_each']:.2f} ({100 * paid['saved']:.0f} % saved)."
    )
