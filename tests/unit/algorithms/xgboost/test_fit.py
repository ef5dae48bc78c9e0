"""Training: what the service's container promises beyond the library."""

import gzip
import io
import json
import os
import signal
import tarfile
import threading
from functools import partial
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn import metrics as peer

from clary.algorithms.base import Training
from clary.algorithms.xgboost import _artifact, _callbacks, _hosts, _metrics
from clary.testing.several_hosts import together
from clary.toolkit.formats import recordio_protobuf
from clary.toolkit.hyperparameters import Params

BINARY = {"objective": "binary:logistic"}


def rounds(path: Any) -> Any:
    return _artifact.from_bytes(path.read_bytes(), path.name).num_boosted_rounds()


def lines(capsys: Any) -> Any:
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("[") and "\t" in line]


def test_a_round_is_one_line_with_tabs(job, rows, capsys):
    job.channel("train", rows)
    job.channel("validation", rows)
    job.run(**BINARY, eval_metric="auc,error@0.7,accuracy")
    first = lines(capsys)[0]
    assert first.startswith("[0]\ttrain-auc:")
    assert [part.partition(":")[0] for part in first.split("\t")[1:]] == [
        "train-auc",
        "train-error@0.7",
        "train-accuracy",
        "validation-auc",
        "validation-error@0.7",
        "validation-accuracy",
    ]


def test_every_content_type_gives_the_same_model(job, rows, tmp_path):
    values = np.array([[float(field) for field in line.split(",")] for line in rows.split()], np.float32)
    libsvm = "".join(f"{row[0]:g} 0:{row[1]:g} 1:{row[2]:g} 2:{row[3]:g}\n" for row in values)
    models = []
    for text, content_type in (
        (rows, "text/csv"),
        (gzip.compress(rows.encode()), "text/csv"),
        (rows.replace(",", ";"), "csv; label_size=1; delimiter=;"),
        (libsvm, "text/libsvm"),
        (libsvm, ""),
        (recordio_protobuf.write(values[:, 1:], values[:, 0]), "application/x-recordio-protobuf"),
    ):
        job.channel("train", text, content_type)
        assert job.run(**BINARY) == 0, job.failure
        models.append(job.model.read_bytes())
    assert len(set(models)) == 1


def test_broken_gzip_is_named(job, rows):
    job.channel("train", gzip.compress(rows.encode())[:-9], "text/csv", file="a/part-7")
    assert job.run(**BINARY) != 0
    assert "part-7 is broken gzip" in job.failure


@pytest.mark.parametrize(
    ("is_gzip", "text"),
    [
        ((True, False), "train_0 begins as gzip and goes on as something else: in Pipe mode"),
        ((False, True), "it has gzip behind what is none: in Pipe mode"),
    ],
)
def test_a_pipe_that_mixes_gzip_and_plain_files_says_so(job, rows, is_gzip, text):
    job.channel("train", "", "text/csv", TrainingInputMode="Pipe")
    parts = (gzip.compress(rows.encode()) if each else rows.encode() for each in is_gzip)
    (job.ml / "input/data/train_0").write_bytes(b"".join(parts))
    assert job.run(**BINARY) != 0
    assert text in job.failure


@pytest.mark.parametrize("form", ["text/csv", "application/x-recordio-protobuf", "application/x-parquet"])
def test_files_of_different_widths_are_named_with_both(job, form):
    for name, width in (("a/part-0", 3), ("b/part-1", 3), ("b/part-2", 2)):
        values = np.arange(4 * width, dtype=np.float32).reshape(4, width) % 2
        if form == "text/csv":
            content = "".join(f"1,{','.join(map(str, row))}\n" for row in values).encode()
        elif form.endswith("parquet"):
            pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
            stream = io.BytesIO()
            columns = {"label": np.ones(4, "f4"), **{f"c{n}": values[:, n] for n in range(width)}}
            parquet.write_table(pyarrow.table(columns), stream)
            content = stream.getvalue()
        else:
            content = recordio_protobuf.write(values, np.ones(4, np.float32))
        job.channel("train", content, form, file=name)
    assert job.run() != 0
    assert "train/b/part-2 has 2 features, and train/a/part-0 has 3" in job.failure


def test_channels_of_different_widths_are_named_with_both(job, rows):
    job.channel("train", rows)
    job.channel("validation", "1,2\n0,3\n")
    assert job.run(**BINARY) != 0
    assert "differ in their number of features: train has 3, validation has 1" in job.failure


@pytest.mark.parametrize(
    ("asked", "bad", "text"),
    [
        (BINARY, "7,1,2,3", "label 7; binary:logistic learns labels from 0 to 1"),
        (BINARY, ",1,2,3", "label nan; binary:logistic learns"),
        (BINARY, "1,inf,2,3", "an infinite value"),
        ({"objective": "multi:softmax", "num_class": "2"}, "2,1,2,3", "learns integers from 0 to 1"),
        ({"objective": "count:poisson"}, "-1,1,2,3", "learns labels that are not below 0"),
        ({}, "inf,1,2,3", "label inf; reg:squarederror learns finite numbers"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "gzip", "libsvm"])
def test_a_row_that_cannot_be_learned_is_named_by_file_and_line(job, rows, form, asked, bad, text):
    job.channel("train", rows, file="part-0")
    lines = f"\n{rows}{bad}\n{rows}".encode()
    if form == "libsvm":
        pairs = (line.split(b",") for line in lines.split(b"\n"))
        lines = b"\n".join(
            b" ".join([label or b"nan", *(b"%d:%s" % each for each in enumerate(values))]) if values else b""
            for label, *values in pairs
        )
        job.channel("train", lines.split(b"\n", 1)[1], "text/libsvm", file="part-0")
    job.channel(
        "train",
        gzip.compress(lines) if form == "gzip" else lines,
        "text/libsvm" if form == "libsvm" else "text/csv",
        file="part-1",
    )
    assert job.run(**asked) != 0
    assert text in job.failure
    part = "part-0, line 61" if form == "libsvm" else "part-1, line 62"
    assert f"train/{part}: " in job.failure


def test_files_in_nested_folders_count_and_hidden_ones_do_not(job, rows, capsys):
    job.channel("train", rows, file="a/b/c/d/part-1")
    job.channel("train", rows, file="part-0")
    for hidden in ("_SUCCESS", ".amazon.manifest"):
        job.channel("train", "no rows", file=hidden)
    assert job.run() == 0
    assert "Train matrix has 120 rows and 3 columns" in capsys.readouterr().out


def test_row_weights_stand_in_the_second_column_of_csv(job, rows):
    job.channel("train", rows)
    job.run(**BINARY)
    plain = job.model.read_bytes()
    job.channel("train", "".join(line.replace(",", ",1,", 1) + "\n" for line in rows.split()))
    job.run(**BINARY, csv_weights="1")
    assert job.model.read_bytes() == plain


def test_old_values_are_mapped_to_those_of_today(job, rows):
    job.channel("train", rows)
    job.run(objective="reg:squarederror")
    today = job.model.read_bytes()
    with xgboost.config_context(verbosity=0):  # it warns that there is no GPU here
        job.run(
            objective="reg:linear",
            tree_method="gpu_hist",
            predictor="gpu_predictor",
            silent="0",
            dsplit="row",
        )
    assert job.model.read_bytes() == today


def test_training_goes_on_from_its_checkpoint(job, rows, capsys):
    job.channel("train", rows)
    job.write("checkpointconfig", {"LocalPath": "/opt/ml/checkpoints"})
    job.run(**BINARY, num_round="4")
    checkpoints = job.ml / "checkpoints"
    newest = max(int(path.suffix[1:]) for path in checkpoints.iterdir())
    assert (checkpoints / f"xgboost-checkpoint.{newest}").is_file()
    (checkpoints / "xgboost-checkpoint.9").write_bytes(b"cut short")
    capsys.readouterr()
    job.run(**BINARY, num_round="6")
    assert rounds(job.model) == 6
    assert lines(capsys)[0].startswith(f"[{newest + 1}]\t")


def test_a_resumed_model_is_the_one_of_an_undisturbed_job(job, rows):
    job.channel("train", rows)
    job.run(**BINARY, num_round="6")
    whole = xgboost.Booster(model_file=bytearray(job.model.read_bytes()))
    job.write("checkpointconfig", {"LocalPath": "/opt/ml/checkpoints"})
    job.run(**BINARY, num_round="3")
    job.run(**BINARY, num_round="6")
    resumed = xgboost.Booster(model_file=bytearray(job.model.read_bytes()))
    data = np.random.default_rng(0).uniform(0, 6, (20, 3)).astype(np.float32)
    np.testing.assert_allclose(resumed.inplace_predict(data), whole.inplace_predict(data), atol=1e-6)


@pytest.fixture
def sigterm_after_two_rounds(monkeypatch: Any) -> Any:
    made = _callbacks.Monitor.after_iteration

    def after_iteration(self, model: Any, epoch: Any, evals_log: Any) -> Any:
        if epoch == 1:
            signal.raise_signal(signal.SIGTERM)
        return made(self, model, epoch, evals_log)

    monkeypatch.setattr(_callbacks.Monitor, "after_iteration", after_iteration)


@pytest.mark.usefixtures("sigterm_after_two_rounds")
def test_a_stopped_job_keeps_its_model_if_it_was_asked_to(job, rows):
    job.channel("train", rows)
    before = signal.getsignal(signal.SIGTERM)
    assert job.run(**BINARY, num_round="50", save_model_on_termination="true") == 0
    assert rounds(job.model) == 2
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("sigterm_after_two_rounds")
def test_a_stopped_job_leaves_a_checkpoint_of_its_last_round(job, rows):
    job.channel("train", rows)
    job.write("checkpointconfig", {"LocalPath": "/opt/ml/checkpoints"})
    with pytest.raises(SystemExit) as end:
        job.run(**BINARY, num_round="50")
    assert end.value.code == 143
    assert (job.ml / "checkpoints/xgboost-checkpoint.1").is_file()
    assert not job.model.exists()


def test_early_stopping_keeps_the_best_rounds(job, rows):
    job.channel("train", rows)
    job.channel("validation", rows)
    job.run(
        **BINARY, num_round="200", eta="0.9", eval_metric="accuracy,logloss,error", early_stopping_rounds="3"
    )
    assert rounds(job.model) < 100


def test_tunings_objective_is_printed_and_watched(job, rows, capsys):
    job.channel("train", rows)
    job.channel("validation", rows)
    job.run(**BINARY, num_round="99", early_stopping_rounds="2", _tuning_objective_metric="validation:f1")
    printed = lines(capsys)
    assert "\tvalidation-f1:1.00000" in printed[-1]
    assert len(printed) < 20


@pytest.mark.parametrize("is_archive", [False, True])
def test_training_goes_on_from_a_model_channel(job, rows, is_archive):
    job.channel("train", rows)
    job.run(**BINARY)
    content, name = job.model.read_bytes(), "xgboost-model"
    if is_archive:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            member = tarfile.TarInfo("xgboost-model")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        content, name = stream.getvalue(), "model.tar.gz"
    job.channel("model", content, "application/x-sagemaker-model", file=name)
    job.run(**BINARY, num_round="2")
    assert rounds(job.model) == 5
    assert job.run(**BINARY, num_round="3", process_type="update", updater="refresh") == 0
    assert rounds(job.model) == 3


def test_cross_validation_leaves_a_model_a_fold_and_predictions(job, rows, capsys):
    job.channel("train", rows)
    assert job.run(**BINARY, _kfold="3", _num_cv_round="2", seed="1", eval_metric="error") == 0
    assert len(list((job.ml / "model").glob("xgboost-model-*"))) == 6
    predictions = np.loadtxt(job.ml / "output/data/predictions.csv", delimiter=",")
    assert predictions.shape == (60, 3)
    assert predictions[:, 0].tolist() == [float(line[0]) for line in rows.split()]
    assert sum("cross validation" in line for line in capsys.readouterr().out.splitlines()) >= 3


def test_any_xgboost_reads_the_model(job, rows):
    job.channel("train", rows)
    job.run(**BINARY)
    with xgboost.config_context(verbosity=0):  # it warns that the service's file name has no suffix
        booster = xgboost.Booster(model_file=str(job.model))
    assert booster.num_features() == 3
    assert json.loads(booster.save_config())["learner"]["objective"]["name"] == "binary:logistic"


@pytest.mark.parametrize("n_classes", [2, 4])
def test_metrics_from_counts_are_scikit_learns(n_classes):
    draw = np.random.default_rng(n_classes)
    labels, classes = draw.integers(0, n_classes, (2, 200))
    found = _metrics.from_confusion(_metrics.confusion(labels.astype(float), classes, n_classes))
    wanted = {
        "accuracy": peer.accuracy_score(labels, classes),
        "balanced_accuracy": peer.balanced_accuracy_score(labels, classes),
        "f1": peer.f1_score(labels, classes, average="macro"),
        "precision_macro": peer.precision_score(labels, classes, average="macro"),
        "precision_micro": peer.precision_score(labels, classes, average="micro"),
        "recall_macro": peer.recall_score(labels, classes, average="macro"),
        "recall_micro": peer.recall_score(labels, classes, average="micro"),
    }
    if n_classes == 2:
        wanted |= {
            "f1_binary": peer.f1_score(labels, classes),
            "precision": peer.precision_score(labels, classes),
            "recall": peer.recall_score(labels, classes),
        }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


def test_numbers_are_measured_as_scikit_learn_does():
    draw = np.random.default_rng(0)
    labels, predicted = draw.normal(size=(2, 100))
    found = _metrics.from_moments(_metrics._moments(labels, predicted))
    assert found == pytest.approx(
        {"mse": peer.mean_squared_error(labels, predicted), "r2": peer.r2_score(labels, predicted)}
    )


def test_hosts_hear_each_others_faults(tmp_path):
    hosts = ("127.0.0.1", "127.0.0.2", "127.0.0.3")

    def work(host, fault):
        each = Training(
            params=Params({}),
            sources={},
            model_dir=tmp_path,
            output_data_dir=tmp_path,
            hosts=hosts,
            host=host,
            name=tmp_path.name,
        )
        with _hosts.joined(each, _hosts.Report(host, 5, 2, fault)):
            pass

    raised = together([partial(work, *pair) for pair in zip(hosts, ("", "", "no file"), strict=True)])
    assert [str(error) for error in raised] == ["no file (on host 127.0.0.3)"] * 3


@pytest.mark.parametrize("form", ["csv", "gzip", "parquet", "parquets"])
def test_a_pipe_gives_what_files_give(job, rows, tmp_path, form):
    job.channel("train", rows)
    assert job.run(**BINARY) == 0
    wanted = job.model.read_bytes()
    content = {"csv": rows.encode(), "gzip": gzip.compress(rows.encode())}.get(form)
    if content is None:
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        values = np.array([[float(field) for field in line.split(",")] for line in rows.split()], np.float32)
        content = b""
        for part in (values,) if form == "parquet" else (values[:25], values[25:40], values[40:]):
            stream = io.BytesIO()
            parquet.write_table(pyarrow.table({f"c{n}": part[:, n] for n in range(4)}), stream)
            content += stream.getvalue()
    content_type = "application/x-parquet" if form.startswith("parquet") else "text/csv"
    job.channel("train", "", content_type, TrainingInputMode="Pipe")
    fifo = job.ml / "input/data/train_0"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(content,))
    writer.start()
    assert job.run(**BINARY) == 0, job.failure
    writer.join()
    assert job.model.read_bytes() == wanted
