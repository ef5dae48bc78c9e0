"""BlazingText and NTM beside scikit-learn, on what botocore says of operations of AWS."""

import gzip
import io
import json
import random
import re
from pathlib import Path
from typing import Any

import botocore
import numpy as np
import pytest
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from clary.algorithms import base
from clary.algorithms.base import Question, Source, Training
from clary.toolkit.formats import recordio_protobuf

SERVICES = ("dynamodb", "ec2", "iam", "kms", "rds", "redshift", "sagemaker", "ssm")
N_ASKED = 150


@pytest.fixture(scope="module")
def texts() -> list[tuple[str, str]]:
    """Services, and the first words of what is said of their operations."""
    found = []
    for service in SERVICES:
        [path] = sorted(Path(botocore.__file__).parent.glob(f"data/{service}/*/service-2.json.gz"))[-1:]
        operations = json.loads(gzip.decompress(path.read_bytes()))["operations"]
        for name in sorted(operations)[:120]:
            plain = re.sub(r"<[^>]+>", " ", operations[name].get("documentation", "")).lower()
            found.append((service, " ".join(re.findall(r"[a-z]+", plain)[:40])))
    random.Random(1).shuffle(found)
    return found


def fitted(name: str, folder: Path, content_type: str, content: bytes, given: dict[str, str]) -> Path:
    (folder / "train").mkdir()
    (folder / "train/part").write_bytes(content)
    model_dir = folder / "model"
    model_dir.mkdir()
    algorithm = base.find(name)
    source = Source(name="train", path=folder / "train", content_type=content_type)
    algorithm.fit(
        Training(
            params=algorithm.validate(given),
            sources={"train": source},
            model_dir=model_dir,
            output_data_dir=folder / "output",
            n_threads=1,
        )
    )
    return model_dir


def test_labels_are_as_right_as_logistic_regressions(texts: Any, tmp_path: Path) -> None:
    train, asked = texts[N_ASKED:], texts[:N_ASKED]
    content = "".join(f"__label__{service} {text}\n" for service, text in train).encode()
    given = {
        "mode": "supervised",
        "epochs": "15",
        "learning_rate": "0.5",
        "min_count": "2",
        "vector_dim": "20",
    }
    model_dir = fitted("blazingtext", tmp_path, "text/plain", content, {**given, "buckets": "50000"})
    body = json.dumps({"instances": [text for _, text in asked]}).encode()
    [answer] = base.find("blazingtext").load(model_dir, {}).predict_many([Question(body=body)])
    said = [each["label"][0].removeprefix("__label__") for each in json.loads(answer.body)]
    peer = make_pipeline(
        CountVectorizer(ngram_range=(1, 2), min_df=2, binary=True), LogisticRegression(max_iter=300)
    )
    peer.fit([text for _, text in train], [service for service, _ in train])
    theirs = peer.predict([text for _, text in asked])
    truth = np.array([service for service, _ in asked])
    assert np.mean(np.array(said) == truth) >= np.mean(theirs == truth) - 0.03


def test_documents_are_as_likely_as_with_scikit_learns_topics(texts: Any, tmp_path: Path) -> None:
    counter = CountVectorizer(stop_words="english", min_df=5, max_df=0.4)
    counts = counter.fit_transform([text for _, text in texts]).astype(np.float32)
    counts = counts[np.asarray(counts.sum(axis=1)).ravel() > 5]
    train, asked = counts[N_ASKED:], counts[:N_ASKED].toarray()
    given = {"optimizer": "adam", "learning_rate": "0.01", "epochs": "40", "mini_batch_size": "64"}
    shape = {"feature_dim": str(counts.shape[1]), "num_topics": "10"}
    kind = "application/x-recordio-protobuf"
    model_dir = fitted("ntm", tmp_path, kind, recordio_protobuf.write(train), {**given, **shape})
    text = io.StringIO()
    np.savetxt(text, asked, "%g", delimiter=",")
    question = Question(body=text.getvalue().encode(), content_type="text/csv", accept="text/csv")
    [answer] = base.find("ntm").load(model_dir, {}).predict_many([question])
    shares = np.loadtxt(io.BytesIO(answer.body), delimiter=",")
    ours = perplexity(asked, shares @ np.load(model_dir / "model_algo-1")["topics"])
    peer = LatentDirichletAllocation(10, learning_method="online", max_iter=10, random_state=0).fit(train)
    topics = peer.components_ / peer.components_.sum(axis=1, keepdims=True)
    assert ours <= perplexity(asked, peer.transform(asked) @ topics) * 1.1


def perplexity(counts: Any, likely: Any) -> float:
    return float(np.exp(-(counts * np.log(np.maximum(likely, 1e-12))).sum() / counts.sum()))
