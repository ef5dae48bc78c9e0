"""A platform of toys: run as `python toys.py COMMAND…`, it is `clary` with other processes.

`TOYS` in the environment names them: `web` answers the public port, `steady` only lives, `crashing` ends at
once, `stubborn` ignores SIGTERM, `silent` never becomes ready, `objects` is the real object store.
"""

import os
import sys
from pathlib import Path

from clary.cli import starting
from clary.cli.main import main
from clary.cli.supervisor import probes, processes
from clary.cli.supervisor import session as sessions
from clary.cli.supervisor.__main__ import main as supervise
from clary.cli.supervisor.process import Process
from clary.gateway.objects import Command
from clary.kernel.settings import Settings

WEB = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('no'); time.sleep(99)"
CRASHING = "print('first words'); raise SystemExit('it cannot be')"


def platform(settings: Settings) -> list[Process]:
    """Return the toys that `TOYS` names."""

    def python(code: str) -> Command:
        argv = (sys.executable, "-c", code, str(settings.port))
        return Command(argv=argv, environment=dict(os.environ), directory=settings.data_dir)

    toys = {
        "web": Process(
            name="web",
            command=lambda: python(WEB),
            ready=lambda: probes.http("/", host=settings.host, port=settings.port),
        ),
        "steady": Process(name="steady", command=lambda: python("import time; time.sleep(99)")),
        "crashing": Process(
            name="crashing",
            command=lambda: python(CRASHING),
            ready=lambda: probes.listens(Path("/nonexistent")),
            is_required="optional" not in os.environ["TOYS"],
        ),
        "stubborn": Process(name="stubborn", command=lambda: python(STUBBORN), grace_s=0.3),
        "silent": Process(
            name="silent",
            command=lambda: python("import time; time.sleep(99)"),
            ready=lambda: probes.listens(Path("/nonexistent")),
        ),
    }
    names = os.environ["TOYS"].split()
    return [
        processes._objects(settings) if name == "objects" else toys[name]
        for name in names
        if name != "optional"
    ]


sessions.Session.__init__.__kwdefaults__["platform"] = platform  # type: ignore[index]
sessions._ca_bundle = lambda settings: settings.data_dir / "ca.pem"
sessions.READY_WITHIN_S = float(os.environ.get("READY_WITHIN_S", "30"))

starting.SUPERVISOR = (sys.executable, __file__, "supervise")  # type: ignore[assignment]

if __name__ == "__main__":
    sys.exit(supervise(sys.argv[2:])) if sys.argv[1] == "supervise" else main()
