"""A customer's script, as the service's inference toolkits run it."""

import io
import json
import sys
from typing import Any

import joblib
import numpy as np
import pytest
import xgboost
from sklearn.linear_model import LinearRegression, LogisticRegression

from clary.algorithms.base import Question
from clary.kernel.errors import CustomerError
from clary.serving.handlers import script

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
DOUBLE = """
def model_fn(model_dir): return 2
def input_fn(data, content_type): return (data, content_type)
def predict_fn(data, model): return (data, model)
def output_fn(prediction, accept): return repr((prediction, accept)), "text/x-python"
"""


@pytest.fixture
def loaded(tmp_path: Any, monkeypatch: Any) -> Any:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def load(
        text: Any = None, framework: Any = "scikit-learn", file: Any = "inference.py", **environ: Any
    ) -> Any:
        if text is not None:
            path = tmp_path / "code" / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return script.load(framework, tmp_path, environ)

    yield load
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", "") and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def ask(
    handler: Any, body: Any = b"[[1, 2]]", content_type: Any = JSON, accept: Any = "", attributes: Any = ""
) -> Any:
    question = Question(body=body, content_type=content_type, accept=accept, attributes=attributes)
    return handler.answer_many([question])[0]


def test_functions_are_called_in_turn_with_text_for_text_types(loaded):
    answer = ask(loaded(DOUBLE), b"1,2", CSV, "text/csv")
    assert answer.body.decode() == repr(((("1,2", CSV), 2), "text/csv"))
    assert answer.content_type == "text/x-python"
    assert ask(loaded(), b"\x00", "image/png").body.decode() == repr((((b"\x00", "image/png"), 2), JSON))


def test_the_program_may_have_another_name(loaded):
    assert ask(loaded(DOUBLE, file="serve.py", SAGEMAKER_PROGRAM="serve.py")).status == 200
    with pytest.raises(CustomerError, match=r"SAGEMAKER_PROGRAM other\.py is in none of"):
        loaded(SAGEMAKER_PROGRAM="other.py")


def test_modules_beside_the_script_can_be_imported(loaded, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/beside_the_script.py").write_text("NAME = 'beside'\n")
    text = "import beside_the_script\ndef model_fn(model_dir): return beside_the_script.NAME\n"
    text += "def transform_fn(model, data, content_type, accept): return model\n"
    assert ask(loaded(text)).body == b"beside"


def test_a_function_may_ask_for_the_context(loaded):
    text = """
def model_fn(model_dir, context): return context.system_properties["model_dir"]
def transform_fn(model, data, content_type, accept, context):
    context.set_response_header(0, "X-Model", model)
    context.set_response_content_type(0, "text/plain")
    return context.get_request_header(0, "x-amzn-sagemaker-custom-attributes")
"""
    answer = ask(loaded(text), attributes="a=b")
    assert answer.body == b"a=b"
    assert answer.content_type == "text/plain"
    assert list(answer.headers) == ["X-Model"]


def test_a_function_of_another_arity_is_named(loaded, capsys):
    text = "def model_fn(model_dir): return 1\ndef input_fn(data): return data\n"
    answer = ask(loaded(text))
    assert answer.status == 500
    assert answer.body == b"TypeError: input_fn takes 1 arguments but 2 were given."
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("returned", "body", "content_type"),
    [
        ("'text'", b"text", JSON),
        ("b'bytes'", b"bytes", JSON),
        ("('pair', 'text/csv')", b"pair", "text/csv"),
        ("{'a': [1]}", b'{"a": [1]}', JSON),
        ("__import__('io').BytesIO(b'file')", b"file", JSON),
        ("__import__('numpy').array([1.5])", b"[1.5]", JSON),
    ],
)
def test_what_transform_fn_returns_becomes_the_body(loaded, returned, body, content_type):
    text = "def model_fn(model_dir): return 1\n"
    text += f"def transform_fn(model, data, content_type, accept): return {returned}\n"
    answer = ask(loaded(text))
    assert (answer.body, answer.content_type) == (body, content_type)


def test_the_customers_exception_is_the_answer_and_its_traceback_the_log(loaded, capsys):
    text = DOUBLE.replace("return (data, model)", "raise ValueError('row 3 is empty')")
    answer = ask(loaded(text))
    assert (answer.status, answer.body) == (500, b"ValueError: row 3 is empty")
    assert 'inference.py", line 4, in predict_fn' in capsys.readouterr().err


def test_an_error_with_a_status_keeps_it(loaded):
    text = DOUBLE + (
        "class Refused(Exception):\n    status_code = 422\n    message = 'unprocessable'\n"
        "def predict_fn(data, model): raise Refused()\n"
    )
    answer = ask(loaded(text))
    assert (answer.status, answer.body) == (422, b"unprocessable")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module\n", "inference.py cannot be imported: ModuleNotFoundError: No module named"),
        (
            "def model_fn(model_dir):\n  import json\n  json.loads('x')\n",
            "model_fn failed: json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0) "
            "(inference.py, line 3)",
        ),
        (
            "\ndef model_fn(model_dir)\n",
            "inference.py cannot be imported: SyntaxError: expected ':' (inference.py, line 2)",
        ),
        (
            "def model_fn(model_dir): raise KeyError('x')\n",
            "model_fn failed: KeyError: 'x' (inference.py, line 1)",
        ),
        ("raise SystemExit(3)\n", "inference.py cannot be imported: SystemExit: 3"),
        (
            DOUBLE + "def transform_fn(a, b, c, d): pass\n",
            "Cannot use transform_fn implementation in",
        ),
        ("", "Please provide a model_fn implementation: scikit-learn has no default"),
    ],
)
def test_a_script_that_cannot_serve_says_why_at_once(loaded, text, reason):
    with pytest.raises(CustomerError) as refused:
        loaded(text)
    assert str(refused.value).startswith(reason)


SKLEARN = """
import joblib, os
def model_fn(model_dir): return joblib.load(os.path.join(model_dir, "model.joblib"))
"""


@pytest.fixture
def regression(tmp_path: Any) -> Any:
    model = LinearRegression().fit([[0, 0], [1, 1], [2, 0]], [0, 3, 2])
    joblib.dump(model, tmp_path / "model.joblib")
    return model


@pytest.mark.parametrize(
    ("content_type", "body"), [(JSON, b"[[1, 2], [3, 4]]"), (CSV, b"1,2\n3,4"), (NPY, None)]
)
def test_scikit_learn_has_default_codecs(loaded, regression, content_type, body):
    if body is None:
        stream = io.BytesIO()
        np.save(stream, np.array([[1, 2], [3, 4]]))
        body = stream.getvalue()
    wanted = regression.predict([[1, 2], [3, 4]])
    handler = loaded(SKLEARN)
    answer = ask(handler, body, content_type, JSON)
    assert json.loads(answer.body) == pytest.approx(wanted.tolist(), abs=1e-5)
    array = np.load(io.BytesIO(ask(handler, body, content_type, NPY).body))
    np.testing.assert_allclose(array, wanted, atol=1e-5)
    assert len(ask(handler, body, content_type, CSV).body.splitlines()) == 2


def test_one_row_of_csv_is_a_row(loaded, regression):
    assert json.loads(ask(loaded(SKLEARN), b"1,2", CSV).body) == pytest.approx([5], abs=1e-5)


@pytest.mark.usefixtures("regression")
def test_formats_without_a_codec_are_415_and_406(loaded):
    handler = loaded(SKLEARN)
    unread = ask(handler, content_type="image/png")
    assert unread.status == 415
    assert unread.body.startswith(b"Content type image/png is not supported by this framework.")
    assert ask(handler, accept="image/png").status == 406
    assert ask(handler, accept="image/png, text/csv").content_type == CSV


@pytest.mark.usefixtures("regression")
def test_the_default_accept_can_be_set(loaded):
    handler = loaded(SKLEARN, SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT=CSV)
    assert ask(handler).content_type == ask(handler, accept="*/*").content_type == CSV


def test_xgboost_in_script_mode_reads_rows_to_a_dmatrix(loaded, tmp_path):
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(np.eye(2), [0, 1]), 2)
    (tmp_path / "xgboost-model").write_bytes(booster.save_raw("ubj"))
    handler = loaded("", framework="xgboost")
    wanted = booster.predict(xgboost.DMatrix(np.eye(2))).tolist()
    assert json.loads(ask(handler, b"1,0\n0,1", CSV).body) == wanted
    assert ask(handler, b"1,0", "application/json").status == 415


def test_pytorch_without_a_model_file_says_so(loaded):
    pytest.importorskip("torch", reason="an extra")
    with pytest.raises(CustomerError, match=r"Exactly one \.pth or \.pt file is required"):
        loaded("", framework="pytorch")


STREAM = """
def model_fn(model_dir): return 3
def transform_fn(model, data, content_type, accept):
    return (f"part {n} " for n in range(model)), "text/plain"
"""


def test_a_generator_is_streamed_to_those_who_take_parts_and_joined_for_others(loaded):
    handler = loaded(STREAM)
    whole = ask(handler)
    assert (whole.body, whole.content_type, whole.parts) == (b"part 0 part 1 part 2 ", "text/plain", None)
    (parts,) = handler.answer_many([Question(body=b"x", content_type=JSON, takes_parts=True)])
    assert parts.body == b"part 0 "
    assert list(parts.parts) == [b"part 1 ", b"part 2 "]


ONLY_MODEL = """
import joblib, os
def model_fn(model_dir): return joblib.load(os.path.join(model_dir, "m.joblib"))
"""


def test_requests_to_a_classifier_share_a_call_and_each_gets_its_own_answer(loaded, tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 3))
    model = LogisticRegression().fit(rows, rows[:, 0] > 0)
    joblib.dump(model, tmp_path / "m.joblib")
    handler = loaded(ONLY_MODEL)
    calls: list[tuple[int, ...]] = []
    inner = handler._predict

    def counted(data: Any, model: Any) -> Any:
        calls.append(data.shape)
        return inner(data, model)

    handler._predict = counted
    bodies = [
        (b"1,2,3", CSV), (b"-1,0,0\n2,0,0", CSV), (b"[[0.5, 1, 1]]", JSON), (b"oops", CSV), (b"1,2", CSV),
        (b"1,2,3", "image/png"), (b"-3,1,1", CSV), (b"", CSV),
    ]  # fmt: skip
    questions = [Question(body=body, content_type=kind) for body, kind in bodies]
    together = handler.answer_many(questions)
    assert calls[0] == (5, 3)
    alone = [handler.answer_many([question])[0] for question in questions]
    assert together == alone
    assert [answer.body for answer in together[:3]] == [b"[true]", b"[false, true]", b"[true]"]


def test_requests_to_a_regressor_do_not_share_a_call(loaded, tmp_path):
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "m.joblib")
    assert not loaded(ONLY_MODEL)._shares_calls
