"""The supervisor over toy processes, through the command line: starts, restarts, stops, refusals."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from clary.cli.supervisor import identity, state


def lives(process: state.ProcessState) -> bool:
    return identity.is_alive(process.pid, process.since)


@pytest.mark.parametrize("name", ["steady", "web"])
def test_a_killed_process_is_restarted(clary, name):
    clary.start()
    before = clary.process(name)
    os.kill(before.pid, signal.SIGKILL)
    clary.wait(lambda r: any(p.name == name and p.pid not in {0, before.pid} for p in r.processes))
    after = clary.process(name)
    assert after.n_restarts == 1
    assert after.last_end == "killed by SIGKILL"
    assert lives(after)
    assert not lives(before)


def test_when_the_supervisor_is_killed_nothing_is_left_and_the_next_start_works(clary):
    running = clary.start()
    os.kill(running.pid, signal.SIGKILL)
    for each in running.processes:
        assert identity.wait(each.pid, each.since, timeout_s=30), each.name
    clary.foreground.communicate()
    assert state.running(clary.data_dir) is None
    again = clary.start()
    assert again.pid != running.pid
    assert all(lives(each) for each in again.processes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_in_reverse_order(clary, number):
    running = clary.start()
    clary.foreground.send_signal(number)
    output, _ = clary.foreground.communicate(timeout=60)
    assert clary.foreground.returncode == 0
    assert output.index("stopping steady") < output.index("stopping web")
    assert "Clary has stopped." in output
    assert not any(lives(each) for each in running.processes)


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(clary):
    running = clary.start("web stubborn")
    clary.foreground.send_signal(signal.SIGTERM)
    clary.foreground.communicate(timeout=60)
    assert not any(lives(each) for each in running.processes)


def test_detached_returns_when_ready_and_outlives_its_starter(clary):
    done = clary("up", "-d", "--port", "0")
    assert (done.returncode, done.stderr) == (0, "")
    running = state.expect_running(clary.data_dir)
    assert running.url in done.stdout
    assert str(clary.data_dir / "logs") in done.stdout
    assert all(lives(each) for each in running.processes)
    assert os.getsid(running.pid) == running.pid
    down = clary("down")
    assert (down.returncode, down.stdout) == (0, "Clary has stopped.\n")
    assert not any(lives(each) for each in running.processes)
    assert state.running(clary.data_dir) is None


@pytest.mark.parametrize("how", [(), ("-d",)])
def test_a_second_up_on_the_same_folder_names_the_first(clary, how):
    running = clary.start()
    second = clary("up", "--port", "0", *how)
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"already runs on {clary.data_dir} (pid {running.pid}) at {running.url}" in second.stderr
    assert all(lives(each) for each in running.processes)


@pytest.mark.parametrize("how", [(), ("-d",)])
def test_a_busy_port_is_one_line_that_names_its_holder(clary, how):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = clary("up", "--port", str(port), *how)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert f"port {port} is taken" in refused.stderr
    assert f"--port {port + 1}" in refused.stderr
    if sys.platform == "linux":
        assert f"(pid {os.getpid()})" in refused.stderr


@pytest.mark.parametrize("how", [(), ("-d",)])
def test_a_file_in_the_way_is_one_line(clary, how):
    clary.data_dir.write_text("")
    refused = clary("up", "--port", "0", *how)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "is a file" in refused.stderr
    clary.data_dir.unlink()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_folder_of_another_user_is_one_line(tmp_path):
    code = (
        "import os, sys; from clary.cli.main import run;"
        "run(['up', '--data-dir', '/proc/1/none']);"  # loads all that the other user may not read
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "sys.exit(run(['up', '--data-dir', sys.argv[1], '--port', '0']))"
    )
    (tmp_path / "data").mkdir(mode=0o755)
    refused = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data")], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 2
    assert refused.stderr.splitlines()[1].startswith(
        f"clary: data folder {tmp_path / 'data'} cannot be written"
    )
    assert "user id 65534" in refused.stderr


@pytest.mark.parametrize("how", [(), ("-d",)])
def test_a_process_that_cannot_live_ends_the_start_with_its_last_words(clary, how):
    failed = clary("up", "--port", "0", *how, toys="web crashing")
    assert failed.returncode == 1
    assert "clary: crashing ended with exit code 1, 3 times" in failed.stderr
    assert "it cannot be" in failed.stderr
    assert str(clary.data_dir / "logs" / "crashing.log") in failed.stderr
    assert "Traceback" not in failed.stderr
    assert state.running(clary.data_dir) is None
    last = state.read(clary.data_dir)
    assert last is not None
    assert not any(lives(each) for each in last.processes)


def test_a_process_that_never_answers_ends_the_start_when_its_time_is_over(clary):
    failed = clary("up", "-d", "--port", "0", toys="silent", READY_WITHIN_S="1")
    assert failed.returncode == 1
    assert "silent was not ready within 1 s: /nonexistent" in failed.stderr


def test_a_crash_loop_shows_its_last_lines_in_status_and_does_not_stop_the_rest(clary):
    clary.start("web crashing optional")
    clary.wait(lambda r: any(p.n_restarts >= 2 for p in r.processes))
    shown = clary("status")
    assert shown.returncode == 1
    assert "it cannot be" in shown.stdout
    assert "ended with exit code 1" in shown.stdout
    document = json.loads(clary("status", "--json").stdout)
    by_name = {each["name"]: each for each in document["processes"]}
    assert by_name["web"]["phase"] == "ready"
    assert by_name["web"]["memory_bytes"] > 1_000_000
    assert by_name["crashing"]["n_restarts"] >= 2
    assert document["url"].startswith("http://127.0.0.1:")


def test_status_says_that_clary_is_starting_until_what_it_needs_is_ready(clary):
    up = clary.spawn("web silent")
    clary.wait(lambda r: r.pid == up.pid and any(p.name == "web" and p.phase == "ready" for p in r.processes))
    shown = clary("status")
    assert shown.returncode == 4
    assert "Clary is starting" in shown.stdout
    document = json.loads(clary("status", "--json").stdout)
    assert (document["is_starting"], document["is_ready"]) == (True, False)
    up.send_signal(signal.SIGTERM)
    up.communicate(timeout=60)
    assert clary("status").returncode == 3


def test_logs_of_every_process_are_the_owners_only(clary):
    clary.start()
    logs = clary.data_dir / "logs"
    assert {each.name for each in logs.iterdir()} == {"web.log", "steady.log", "clary.log"}
    assert {each.stat().st_mode & 0o777 for each in logs.iterdir()} == {0o600}


def test_no_zombie_is_left_by_restarts(clary):
    running = clary.start()
    for _ in range(3):
        clary.wait(lambda r: all(p.pid for p in r.processes))
        os.kill(clary.process("steady").pid, signal.SIGKILL)
        n = clary.process("steady").n_restarts
        clary.wait(lambda r, n=n: any(p.n_restarts > n and p.pid for p in r.processes))
    children = subprocess.run(
        ["ps", "-o", "stat=", "--ppid", str(running.pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    assert len(children) == 2
    assert not any(each.startswith("Z") for each in children)
