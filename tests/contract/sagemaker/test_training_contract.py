"""What a training program finds below `/opt/ml` and in its environment, seen by scripts that run as jobs."""

import re

import pytest

from clary.testing.jobs import SCIKIT_LEARN, ScriptJob, channel, new_bucket

LOOK = """
import json, os, pathlib, sys
config = pathlib.Path("/opt/ml/input/config")
found = {
    "files": {path.stem: json.loads(path.read_text()) for path in config.glob("*.json")},
    "environment": dict(os.environ),
    "arguments": sys.argv,
    "directory": os.getcwd(),
    "folders": sorted(str(path) for path in pathlib.Path("/opt/ml").rglob("*") if path.is_dir()),
    "file": __file__,
    "name": __name__,
}
pathlib.Path("/opt/ml/model/findings.json").write_text(json.dumps(found))
"""
HYPERPARAMETERS = {
    "epochs": "5",
    "rate": "0.5",
    "name": '"a b"',
    "n": "1",
    "flags": '{"x": 1}',
    "plain": "text",
}


@pytest.fixture(scope="module")
def job(clary_server):
    """Return a completed job of a script that looked around."""
    account = clary_server.account()
    bucket = new_bucket(account)
    for name in ("train", "other"):
        account.client("s3").put_object(Bucket=bucket, Key=f"{name}/rows.csv", Body=b"1,2\n")
    other = channel(bucket, "other")
    del other["ContentType"]
    return ScriptJob.create(
        account,
        LOOK,
        bucket=bucket,
        hyperparameters=HYPERPARAMETERS,
        InputDataConfig=[channel(bucket, "train"), other],
        Environment={"COLOUR": "blue", "AWS_REGION_OF_MINE": "x y"},
    )


@pytest.fixture(scope="module")
def found(job):
    return job.findings()


def test_hyperparameters_are_the_requests_own_strings(found):
    given = found["files"]["hyperparameters"]
    assert {name: given[name] for name in HYPERPARAMETERS} == HYPERPARAMETERS
    assert given["sagemaker_program"] == '"train.py"'
    assert all(isinstance(value, str) for value in given.values())


def test_resourceconfig_names_the_hosts_and_their_group(found):
    assert found["files"]["resourceconfig"] == {
        "current_host": "algo-1",
        "hosts": ["algo-1"],
        "network_interface_name": "eth0",
        "current_instance_type": "ml.m5.large",
        "current_group_name": "homogeneousCluster",
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": "ml.m5.large",
                "hosts": ["algo-1"],
            }
        ],
    }


def test_inputdataconfig_has_one_entry_a_channel_and_a_content_type_only_where_given(found):
    entry = {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    assert found["files"]["inputdataconfig"] == {
        "train": {**entry, "ContentType": "text/csv"},
        "other": entry,
    }


def test_the_folders_are_there_before_the_program(found):
    assert {
        "/opt/ml/input/config",
        "/opt/ml/input/data/train",
        "/opt/ml/model",
        "/opt/ml/output/data",
        "/opt/ml/output/intermediate",
        "/opt/ml/code",
    } <= set(found["folders"])


def test_the_platform_names_the_job_and_the_region(job, found):
    environment = found["environment"]
    described = job.completed()
    assert environment["TRAINING_JOB_NAME"] == job.name
    assert environment["TRAINING_JOB_ARN"] == described["TrainingJobArn"]
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["CURRENT_HOST"] == "algo-1"
    assert environment["DMLC_INTERFACE"] == "eth0"


def test_the_requests_environment_is_the_programs(found):
    assert found["environment"]["COLOUR"] == "blue"
    assert found["environment"]["AWS_REGION_OF_MINE"] == "x y"


def test_no_secret_of_the_server_is_in_the_environment(found):
    names = set(found["environment"])
    assert not {name for name in names if name.startswith("CLARY_")}
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} & names


def test_the_toolkits_variables_are_all_there(found):
    environment = found["environment"]
    assert environment["SM_MODEL_DIR"] == "/opt/ml/model"
    assert environment["SM_OUTPUT_DATA_DIR"] == "/opt/ml/output/data"
    assert environment["SM_OUTPUT_DIR"] == "/opt/ml/output"
    assert environment["SM_OUTPUT_INTERMEDIATE_DIR"] == "/opt/ml/output/intermediate"
    assert environment["SM_INPUT_DIR"] == "/opt/ml/input"
    assert environment["SM_INPUT_CONFIG_DIR"] == "/opt/ml/input/config"
    assert environment["SM_CHANNEL_TRAIN"] == "/opt/ml/input/data/train"
    assert environment["SM_CHANNELS"] == '["other","train"]'
    assert environment["SM_HOSTS"] == '["algo-1"]'
    assert environment["SM_CURRENT_HOST"] == "algo-1"
    assert environment["SM_NUM_GPUS"] == "0"
    assert int(environment["SM_NUM_CPUS"]) >= 1
    assert environment["SM_USER_ENTRY_POINT"] == "train.py"
    assert environment["SM_MODULE_NAME"] == "train"
    assert environment["SM_HP_EPOCHS"] == "5"
    assert environment["SM_HP_NAME"] == "a b"
    assert environment["SM_HP_FLAGS"] == '{"x":1}'
    assert environment["SM_LOG_LEVEL"] == "20"
    assert {
        "SM_HPS", "SM_TRAINING_ENV", "SM_USER_ARGS", "SM_FRAMEWORK_PARAMS", "SM_RESOURCE_CONFIG",
        "SM_INPUT_DATA_CONFIG", "SM_NETWORK_INTERFACE_NAME", "SM_MODULE_DIR", "SM_CURRENT_INSTANCE_TYPE",
    } <= set(environment)  # fmt: skip


def test_the_script_gets_its_hyperparameters_as_arguments_in_the_code_folder(found):
    assert found["arguments"] == [
        "train.py", "--epochs", "5", "--flags", "x=1", "-n", "1", "--name", "a b", "--plain", "text",
        "--rate", "0.5",
    ]  # fmt: skip
    assert found["directory"] == "/opt/ml/code"
    assert found["file"] == "/opt/ml/code/train.py"
    assert found["name"] == "__main__"


MEASURE = """
for step in range(3):
    print(f"step={step}; loss: {1 / (step + 1):.4f};", flush=True)
    print(f"[{step}]\\ttrain-auc:0.{step + 5}\\tvalidation-auc:0.{step + 7}", flush=True)
print("loss: nan;")
print("score 1e-3 and no more")
"""


def test_metrics_are_found_by_regular_expressions_with_tabs_as_the_service_spells_them(clary_server):
    account = clary_server.account()
    definitions = [
        {"Name": "loss", "Regex": r"loss: ([0-9.]+);"},
        {"Name": "validation:auc", "Regex": r".*\[[0-9]+\].*#011validation-auc:(\S+)"},
        {"Name": "train:auc", "Regex": r"train-auc:(\S+)"},
        {"Name": "score", "Regex": r"score (\S+)"},
        {"Name": "never", "Regex": r"nothing like it (\d+)"},
    ]
    job = ScriptJob.create(
        account,
        MEASURE,
        AlgorithmSpecification={
            "TrainingImage": SCIKIT_LEARN,
            "TrainingInputMode": "File",
            "MetricDefinitions": definitions,
        },
    )
    described = job.completed()
    final = {each["MetricName"]: each["Value"] for each in described["FinalMetricDataList"]}
    assert final == pytest.approx(
        {"loss": 0.3333, "validation:auc": 0.9, "train:auc": 0.7, "score": 0.001}, rel=1e-6
    )
    answer = account.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": "loss",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "/aws/sagemaker/TrainingJobs",
                        "MetricName": "loss",
                        "Dimensions": [{"Name": "TrainingJobName", "Value": job.name}],
                    },
                    "Period": 60,
                    "Stat": "Maximum",
                },
            }
        ],
        StartTime=described["CreationTime"],
        EndTime=described["TrainingEndTime"].timestamp() + 60,
    )
    (result,) = answer["MetricDataResults"]
    assert max(result["Values"]) == 1.0


PRINT = """
import sys
print("an é and a \\t tab")
print("to stderr", file=sys.stderr)
sys.stdout.buffer.write(b"\\xff\\xfe broken\\n")
print("a" * 300_000)
print("no end", end="")
"""


def test_whatever_a_script_prints_becomes_log_lines(clary_server):
    job = ScriptJob.create(clary_server.account(), PRINT)
    job.completed()
    lines = job.lines()
    assert any("an é and a" in line for line in lines)
    assert any("to stderr" in line for line in lines)
    assert any("broken" in line for line in lines)
    assert any("no end" in line for line in lines)
    assert sum(len(re.sub("[^a]", "", line)) for line in lines if line.startswith("aaa")) == 300_000
