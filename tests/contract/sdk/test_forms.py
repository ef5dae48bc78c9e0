"""Every documented request and answer of networks, texts and images, by endpoint and batch transform.

Source: developer guide, the pages "… Inference Formats", "… Response Formats" and "Common Data Formats -
Inference".
"""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._vision import drawn
from clary.testing.algorithm_suite import train
from clary.testing.hosting import Hosting
from clary.testing.jobs import pack
from clary.testing.server import ClaryServer
from clary.testing.transform import Transform, create_model
from clary.toolkit.formats import recordio_protobuf

REGISTRY = "811284229777.dkr.ecr.us-east-1.amazonaws.com"
JSON, LINES, RECORDS, CSV = (
    "application/json",
    "application/jsonlines",
    "application/x-recordio-protobuf",
    "text/csv",
)
Form = tuple[str, bytes, str, Callable[[bytes], bool]]
"""Content type, body, Accept, and what must hold of the answer."""


def document(body: bytes) -> Any:
    return json.loads(body)


def lines(body: bytes) -> list[Any]:
    return [json.loads(line) for line in body.decode().strip().split("\n")]


def jsonlines(*documents: Any) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in documents).encode()


def instances(*documents: Any, **more: Any) -> bytes:
    return json.dumps({"instances": list(documents), **more}).encode()


COUNTS = np.array([[3, 1, 0, 2, *[0] * 8], [0, 0, 0, 0, 4, 1, 2, 2, *[0] * 4]], np.float32)


def is_mixture(rows: Any) -> bool:
    return np.allclose(np.sum(rows, axis=1), 1, atol=1e-5) and np.shape(rows) == (2, 3)


def ntm() -> list[Form]:
    sparse = {"data": {"features": {"keys": [0, 3], "shape": [12], "values": [3.0, 2.0]}}}
    return [
        (
            CSV,
            b"".join(f"{','.join(map(str, row))}\n".encode() for row in COUNTS),
            CSV,
            lambda body: is_mixture(np.loadtxt(io.BytesIO(body), delimiter=",")),
        ),
        (
            JSON,
            instances(sparse, {"features": COUNTS[1].tolist()}),
            JSON,
            lambda body: is_mixture([each["topic_weights"] for each in document(body)["predictions"]]),
        ),
        (
            LINES,
            jsonlines({"features": COUNTS[0].tolist()}, sparse),
            LINES,
            lambda body: is_mixture([each["topic_weights"] for each in lines(body)]),
        ),
        (
            RECORDS,
            recordio_protobuf.write(COUNTS),
            RECORDS,
            lambda body: is_mixture([each["topic_weights"] for each in records(body)]),
        ),
    ]


def records(body: bytes) -> list[dict[str, Any]]:
    return [
        {name: tensor.values for name, tensor in (record.features | record.label).items()}
        for record in recordio_protobuf.decode_records(body)
    ]


def object2vec() -> list[Form]:
    pairs = [{"in0": [1, 2, 3], "in1": [4]}, {"in0": [5], "in1": [2, 2]}]
    first = [{"in0": each["in0"]} for each in pairs]
    return [
        (
            JSON,
            instances(*pairs),
            JSON,
            lambda body: all(len(each["scores"]) == 1 for each in document(body)["predictions"]),
        ),
        (
            LINES,
            jsonlines(*pairs),
            LINES,
            lambda body: [list(each) for each in lines(body)] == [["scores"]] * 2,
        ),
        (
            f"{JSON}; infer_max_seqlens=2,2",
            instances(*first),
            JSON,
            lambda body: [list(each) for each in document(body)["predictions"]] == [["embeddings"]] * 2,
        ),
        (
            f"{LINES}; infer_max_seqlens=2,2",
            jsonlines(*first),
            LINES,
            lambda body: [list(each) for each in lines(body)] == [["embeddings"]] * 2,
        ),
    ]


def blazingtext() -> list[Form]:
    texts = ["the goal of the team", "the oven"]
    return [
        (
            JSON,
            instances(*texts),
            JSON,
            lambda body: [len(each["label"]) for each in document(body)] == [1, 1],
        ),
        (
            JSON,
            instances(*texts, configuration={"k": 2}),
            JSON,
            lambda body: [(len(each["label"]), len(each["prob"])) for each in document(body)] == [(2, 2)] * 2,
        ),
        (
            LINES,
            jsonlines({"source": texts[0]}, {"source": texts[1], "k": 2}),
            LINES,
            lambda body: [len(each["label"]) for each in lines(body)] == [1, 2],
        ),
    ]


def deepar() -> list[Form]:
    series = [json.loads(each) for each in base.examples("deepar")[0].requests[:2]]
    asked = {"num_samples": 7, "output_types": ["mean", "quantiles", "samples"], "quantiles": ["0.1", "0.9"]}

    def fits(found: Any, members: set[str]) -> bool:
        return [set(each) for each in found] == [members] * 2

    return [
        (
            JSON,
            instances(*series),
            JSON,
            lambda body: fits(document(body)["predictions"], {"mean", "quantiles"}),
        ),
        (
            JSON,
            instances(*series, configuration=asked),
            JSON,
            lambda body: (
                fits(document(body)["predictions"], {"mean", "quantiles", "samples"})
                and {len(each["samples"]) for each in document(body)["predictions"]} == {7}
                and [sorted(each["quantiles"]) for each in document(body)["predictions"]]
                == [["0.1", "0.9"]] * 2
            ),
        ),
        (LINES, jsonlines(*series), LINES, lambda body: fits(lines(body), {"mean", "quantiles"})),
    ]


def seq2seq() -> list[Form]:
    seen = {"data": "a b c", "configuration": {"attention_matrix": "true"}}
    source = np.array([4, 5, 6], np.int32)
    return [
        (
            JSON,
            instances({"data": "a b c"}, seen),
            JSON,
            lambda body: (
                [sorted(each) for each in document(body)["predictions"]] == [["target"], ["matrix", "target"]]
            ),
        ),
        (
            LINES,
            jsonlines({"source": "a b"}, {"source": "c"}),
            LINES,
            lambda body: [list(each) for each in lines(body)] == [["target"]] * 2,
        ),
        (RECORDS, recordio(source), RECORDS, lambda body: body[:4] == recordio(source)[:4]),
    ]


def recordio(source: Any) -> bytes:
    from clary.algorithms.seq2seq import _pairs  # noqa: PLC0415 - beside the others that need torch

    return _pairs.written([{"source": source.tolist()}])


def picture(side: int) -> bytes:
    return drawn.png(drawn.scene(np.random.default_rng(7), side).pixels)


def image_classification() -> list[Form]:
    jpeg = base64.b64decode(JPEG)

    def is_likely(found: Any) -> bool:
        return bool(np.isclose(np.sum(found), 1, atol=1e-4))

    return [
        ("application/x-image", picture(30), JSON, lambda body: is_likely(document(body))),
        ("image/png", picture(30), LINES, lambda body: is_likely(lines(body)[0]["prediction"])),
        ("image/jpeg", jpeg, JSON, lambda body: is_likely(document(body))),
    ]


def object_detection() -> list[Form]:
    def annotated(found: Any) -> bool:
        return found["image_size"] == [{"width": 60, "height": 60, "depth": 3}] and all(
            {"class_id", "score", "left", "top", "width", "height"} == set(each)
            for each in found["annotations"]
        )

    return [
        (
            "application/x-image",
            picture(60),
            JSON,
            lambda body: all(len(each) == 6 for each in document(body)["prediction"]),
        ),
        ("image/png", picture(60), LINES, lambda body: list(lines(body)[0]) == ["prediction"]),
        ("image/png", picture(60), f"{JSON};annotation=1", lambda body: annotated(document(body))),
    ]


def semantic_segmentation() -> list[Form]:
    def is_tensor(body: bytes) -> bool:
        [found] = records(body)
        target = np.reshape(found["target"], np.asarray(found["shape"], int))
        return target.shape[0] == 1 and bool(np.allclose(target.sum(1), 1, atol=1e-4))

    return [
        ("image/jpeg", base64.b64decode(JPEG), "image/png", lambda body: body.startswith(b"\x89PNG")),
        ("image/png", picture(40), RECORDS, is_tensor),
    ]


JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6j"
    "q62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSk"
    "pKSkpKSkpKT/wAARCAAgACADASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF"
    "BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW"
    "V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi"
    "4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAEC"
    "AxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVm"
    "Z2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq"
    "8vP09fb3+Pn6/9oADAMBAAIRAxEAPwBtFFFABRRRQAUUUUAFFFFAH//Z"
)
"""32 x 32 pixels of grey."""
FORMS = {
    each.__name__: each
    for each in (
        ntm,
        object2vec,
        blazingtext,
        deepar,
        seq2seq,
        image_classification,
        object_detection,
        semantic_segmentation,
    )
}
IMAGES = {"deepar": "forecasting-deepar"}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.torch if base.find(name).extra else ()) for name in FORMS]
)
def test_an_endpoint_and_a_transform_say_the_same_in_every_form(
    name: str, clary_server: ClaryServer, tmp_path: Path
) -> None:
    account = clary_server.account()
    hosting = Hosting.of(account)
    s3 = account.client("s3")
    folder = train(base.find(name), base.examples(name)[0], tmp_path)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    s3.put_object(Bucket=hosting.bucket, Key="model.tar.gz", Body=pack(files))
    image = f"{REGISTRY}/{IMAGES.get(name, name.replace('_', '-'))}:1"
    model = create_model(account, f"s3://{hosting.bucket}/model.tar.gz", image=image)
    try:
        endpoint = hosting.endpoint(hosting.config(hosting.variant(model)))
        for number, (content_type, body, accept, holds) in enumerate(FORMS[name]()):
            answer = hosting.runtime.invoke_endpoint(
                EndpointName=endpoint, Body=body, ContentType=content_type, Accept=accept
            )
            said = answer["Body"].read()
            assert answer["ContentType"].split(";")[0] == accept.split(";")[0], (content_type, accept)
            assert holds(said), (content_type, accept, said[:500])
            key = f"asked/{number}/body"
            s3.put_object(Bucket=hosting.bucket, Key=key, Body=body)
            job = Transform.create(
                account,
                model,
                f"s3://{hosting.bucket}/{key}",
                content_type=content_type,
                split="None",
                TransformOutput={"Accept": accept, "AssembleWith": "None"},
            )
            assert job.wait()["TransformJobStatus"] == "Completed", job.describe().get("FailureReason")
            assert list(job.outputs().values()) == [said], (content_type, accept)
    finally:
        hosting.close()
