"""Notebook instances with a real JupyterLab, in its own environment: `make test-all` sets that up."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clary.testing.kernels import kernel
from clary.testing.notebooks import Visitor, create
from clary.testing.server import ClaryServer, end_agents

PYTHON = Path(os.environ.get("CLARY_TEST_NOTEBOOK_PYTHON", ".venvs/notebooks/bin/python")).absolute()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not PYTHON.exists(), reason="needs .venvs/notebooks, which `make test-all` makes"),
]

TRAIN = """
import json
import os
import subprocess
import sys
import sagemaker
from sagemaker.estimator import Estimator

role, session = sagemaker.get_execution_role(), sagemaker.Session()
with open("rows.csv", "w") as file:
    file.writelines(f"{n % 2},{n % 2 + n / 100},{n % 7}\\n" for n in range(200))
data = session.upload_data("rows.csv", key_prefix="notebook")
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1")
estimator = Estimator(
    image, role, instance_count=1, instance_type="ml.m5.large", sagemaker_session=session,
    hyperparameters={"num_round": 3, "objective": "binary:logistic"},
)
channel = sagemaker.inputs.TrainingInput(data, content_type="text/csv")
estimator.fit({"train": channel}, logs=False)
print("status", estimator.latest_training_job.describe()["TrainingJobStatus"])
"""


def entered(account, name):
    client = account.client("sagemaker")
    url = client.create_presigned_notebook_instance_url(NotebookInstanceName=name)["AuthorizedUrl"]
    visitor = Visitor.of(url)
    visitor.enter(url)
    path = urlsplit(url).path.rstrip("/")
    assert "JupyterLab" in visitor.ask("GET", f"{path}/lab").text
    return visitor, path


@pytest.fixture
def server(tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o711)
    server = ClaryServer.start(tmp_path / "data", notebook_python=str(PYTHON))
    yield server
    server.stop()
    end_agents(server.settings)


def test_a_cell_trains_with_the_unmodified_sdk_and_survives_a_restart_of_clary(server):
    account = server.account("mine")
    described = create(account, "real")
    assert described["NotebookInstanceStatus"] == "InService", described
    visitor, path = entered(account, "real")
    with kernel(visitor, path, name="conda_python3") as first:
        assert first.run("1 + 1") == "2"
        assert "status Completed" in first.run(TRAIN)
        first.run("kept = 42; open('work.ipynb', 'w').write('{}')")
    port = server.settings.port
    server.stop()
    again = ClaryServer.start(server.data_dir, port=port, notebook_python=str(PYTHON))
    try:
        assert visitor.ask("GET", f"{path}/api/contents/work.ipynb?content=0").status == 200
        with kernel(visitor, path, kernel_id=first.kernel_id) as still:
            assert still.run("kept") == "42", "the session, the instance and its kernel are the same"
    finally:
        again.stop()


def test_jupyterlabs_own_check_of_cross_site_requests_is_on(server):
    account = server.account("mine")
    create(account, "real")
    visitor, path = entered(account, "real")
    visitor.cookies.pop("_xsrf")
    answer = visitor.ask("POST", f"{path}/api/kernels", "{}", {"Origin": f"http://{visitor.host}"})
    assert (answer.status, "_xsrf" in answer.text) == (403, True)
    assert visitor.ask("GET", f"{path}/api/terminals").status == 200
    listed = visitor.ask("GET", f"{path}/api/kernelspecs").text
    assert "conda_python3" in listed
    assert visitor.ask("GET", f"{path}/git/settings?version=0.55.0").status == 200


def test_a_notebook_runs_as_a_job_and_its_result_is_kept(server, tmp_path):
    cells: list[dict[str, object]] = [
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "n = 1"},
        {"cell_type": "code", "metadata": {}, "source": "print('n is', n)"},
        {"cell_type": "code", "metadata": {}, "source": "1 / (n - 13)"},
    ]
    cells = [{**each, "outputs": [], "execution_count": None} for each in cells]
    document = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    path = tmp_path / "report.ipynb"
    path.write_text(json.dumps(document))

    def run(*words):
        command = [sys.executable, "-m", "clary.cli.main", "notebook", str(path), *words]
        given = [*command, "--data-dir", str(server.data_dir)]
        return subprocess.run(given, capture_output=True, text=True, check=False, timeout=200)

    good, bad = run("-p", "n=5", "--name", "good"), run("-p", "n=13", "--name", "bad")
    assert good.returncode == 0, good.stderr
    assert (bad.returncode, "ZeroDivisionError" in bad.stderr) == (1, True)
    s3 = server.client("s3")
    bucket = s3.list_buckets()["Buckets"][0]["Name"]

    def read(key):
        return s3.get_object(Bucket=bucket, Key=f"notebooks/{key}")["Body"].read().decode()

    assert "n is 5" in read("good/report.ipynb")
    assert "n is 5" in read("good/report.html")
    assert "ZeroDivisionError" in read("bad/report.html")
