"""What a container behind a process of ours is told with a request."""

import pytest

from clary.algorithms.base import Answer, Question
from clary.compute.invocations import Line
from clary.serving.frames import Frame
from clary.serving.handlers.container import Model
from clary.serving.replica import question_of


def test_one_of_many_models_is_asked_by_its_path_and_told_the_clients_headers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def ask(
        _: Line, _method: str, path: str, _body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        asked.append((path, headers))
        return 200, {}, b"ok"

    monkeypatch.setattr(Line, "ask", ask)
    header = {
        "target_model": "a/b.tar.gz",
        "inference_id": "i-1",
        "session_id": "s-1",
        "content_type": "text/csv",
    }
    question = question_of(Frame(1, header, b"1,2"))
    assert Model("http://10.88.0.5:8080", 1.0, "b.17").answer_many([question]) == [Answer(body=b"ok")]
    assert asked == [
        (
            "/models/b.17/invoke",
            {
                "Content-Type": "text/csv",
                "X-Amzn-SageMaker-Target-Model": "a/b.tar.gz",
                "X-Amzn-SageMaker-Inference-Id": "i-1",
                "X-Amzn-SageMaker-Session-Id": "s-1",
            },
        )
    ]


def test_a_request_without_them_has_no_headers() -> None:
    assert question_of(Frame(1, {}, b"")) == Question(body=b"")
