"""`clary cluster up` from a list of hosts, over ssh, to hosts that have an sshd each."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clary.testing import cluster as clusters
from clary.testing.cluster import PATIENCE_S, Cluster, until
from clary.testing.jobs import new_bucket, script_request, upload_script, wait_for_job
from clary.testing.server import ClaryServer, end_agents

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(clusters.missing()), reason=clusters.missing() or "there are clusters"),
    pytest.mark.skipif(not (SSHD and shutil.which("ssh")), reason="needs sshd: apt install openssh-server"),
]
CONFIG = """
HostKey {folder}/key
AuthorizedKeysFile {folder}/key.pub
PidFile none
PermitRootLogin yes
StrictModes no
UsePAM no
"""
INSIDE = 'mount -t tmpfs tmpfs /tmp && mkdir -p /run/sshd /tmp/home && exec "$0" -D -f "$1"'
"""Processes and temporary files of its own: Ray looks at both, and finds what its machine has."""


@dataclass
class Hosts:
    """Machines that answer to ssh, and the list of them."""

    net: Cluster
    folder: Path
    listed: Path
    ssh: str
    env: dict[str, str]

    def clary(self, *words: str) -> str:
        """Return what a command of this test's own Clary printed."""
        done = subprocess.run(
            [sys.executable, "-m", "clary.cli.main", *words],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def addresses(self) -> list[str]:
        """Return the nodes that the cluster has."""
        found = json.loads(self.clary("cluster", "status", "--json"))
        return sorted(each["address"] for each in found)


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Yield three hosts with nothing but an sshd."""
    folder = Path(tempfile.mkdtemp(prefix="cray", dir="/var/tmp"))
    monkeypatch.setattr(Cluster, "start", lambda *_: None)
    net = Cluster(folder / "n")
    folder.chmod(0o711)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    (folder / "sshd").write_text(CONFIG.format(folder=folder))
    (folder / "d").mkdir()
    running = []
    try:
        for name in ("n1", "n2", "n3"):
            inside = ["nsenter", f"--net=/run/netns/{net.add(name).name}", "unshare", "--mount", "--pid"]
            inside += [
                "--fork",
                "--kill-child",
                "--mount-proc",
                "sh",
                "-c",
                INSIDE,
                SSHD,
                str(folder / "sshd"),
            ]
            running.append(subprocess.Popen(inside, start_new_session=True))
        addresses = [each.address for each in net.nodes.values()]
        listed = {
            "head": {"host": f"root@{addresses[0]}", "cpus": 2, "memory_gib": 4},
            "workers": [{"host": f"root@{each}", "cpus": 2, "memory_gib": 4} for each in addresses[1:]],
            "python": sys.executable,
            "environment": {"HOME": "/tmp/home", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        }
        (folder / "hosts.yaml").write_text(json.dumps(listed))
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        ssh = " ".join(["ssh", "-i", str(folder / "key"), *(f"-o {each}" for each in options)])
        env = {"CLARY_DATA_DIR": str(folder / "d")}
        yield Hosts(net=net, folder=folder, listed=folder / "hosts.yaml", ssh=ssh, env=env)
    finally:
        for each in running:
            os.killpg(each.pid, signal.SIGKILL)
            each.wait()
        net.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_cluster_comes_from_a_list_of_hosts_runs_a_job_and_ends(hosts: Hosts) -> None:
    addresses = sorted(each.address for each in hosts.net.nodes.values())
    answers = ["ssh", *hosts.ssh.split()[1:], f"root@{addresses[0]}", "true"]
    until(lambda: subprocess.run(answers, check=False).returncode == 0, "an sshd answers")
    said = hosts.clary("cluster", "up", str(hosts.listed), "--ssh", hosts.ssh)
    assert said.startswith(f"3 node(s) at ray://{addresses[0]}:10001")
    file = hosts.folder / "d/cluster.address"
    assert file.stat().st_mode & 0o777 == 0o600
    until(lambda: hosts.addresses() == addresses, "all three have joined")
    assert hosts.clary("cluster", "up", str(hosts.listed), "--ssh", hosts.ssh) == said
    server = ClaryServer.start(hosts.folder / "d", host="0.0.0.0", cluster=str(file))
    try:
        account = server.account()
        bucket = new_bucket(account)
        source = upload_script(account, bucket, "import os; print(os.environ['SM_HOSTS'])")
        request = script_request(account, bucket, source, instance_type="ml.t3.medium")
        request["ResourceConfig"]["InstanceCount"] = 3
        account.client("sagemaker").create_training_job(**request)
        described = wait_for_job(account, request["TrainingJobName"], limit_s=PATIENCE_S)
        assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    finally:
        server.stop()
        end_agents(server.settings)
    hosts.clary("cluster", "down", str(hosts.listed), "--ssh", hosts.ssh)
    assert not file.exists()
    left = [pid for name in hosts.net.nodes for pid in hosts.net.processes(name)]
    texts = [Path(f"/proc/{pid}/cmdline").read_text() for pid in left if Path(f"/proc/{pid}").exists()]
    assert not [text for text in texts if "raylet" in text or "gcs_server" in text]
