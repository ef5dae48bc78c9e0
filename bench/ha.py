"""Two control planes over one PostgreSQL, one of them killed (-9) every ten seconds, under load.

    python -m bench.ha [--seconds 300] [--every 10] [--json FILE]

Clients are boto3 with its standard retries, at both nodes: creates, describes, training jobs, invocations. At
the end every write that was acknowledged is looked for through both nodes, and every job's log for how often
it ran.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from bench._bars import Report, spread

from clary.testing import postgres
from clary.testing.deployment import deployment
from clary.testing.onslaught import Onslaught

MOST_WRONG = 0.0
MOST_SHOWN = 10


def main() -> int:
    """Attack, check, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--every", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if why := postgres.missing():
        print(why)
        return 2
    report = Report("ha")
    home = Path(tempfile.mkdtemp(prefix="clary-ha-"))
    home.chmod(0o711)  # jobs of other user ids pass
    try:
        with deployment(home / "nodes") as made:
            attack = Onslaught(made, made.nodes[0].account("ha")).prepare()
            attack.run(chosen.seconds, kill_every_s=chosen.every)
            judge(report, attack, chosen.seconds)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)


def judge(report: Report, attack: Onslaught, seconds: float) -> None:
    """Say what was asked and answered, and what is not as it was promised."""
    wrong = attack.check()
    rows = []
    for name, times_s in sorted(attack.times_s.items()):
        found = spread([each * 1000 for each in times_s])
        rows.append((name, len(times_s), *found.values()))
        report.facts[name] = {"n": len(times_s), **found}
    title = f"{seconds:g} s, {len(attack.kills)} control planes killed: requests, ms with all their retries"
    report.table(title, ("", "n", "median", "p99", "least", "most"), rows)
    print(f"\ncreates that a retry found carried out already: {sum(attack.n_repeated.values())}")
    kinds = {
        "acknowledged writes lost or listed twice": [each for each in wrong if each.startswith("experiment")],
        "jobs not Completed, or run more than once": [each for each in wrong if each.startswith("job")],
        "requests unanswered past their retries": attack.faults,
    }
    for name, found_wrong in kinds.items():
        for text in found_wrong[:MOST_SHOWN]:
            print(text)
        report.bar(name, float(len(found_wrong)), MOST_WRONG, unit="")
    report.facts["kills"] = len(attack.kills)
    report.facts["wrong"] = wrong


if __name__ == "__main__":
    sys.exit(main())
