"""The SDK's side, version 2: a script trained by `sagemaker-training`, served by `sagemaker-inference`."""

import json
import sys
import uuid
from pathlib import Path

import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.predictor import Predictor
from sagemaker.serializers import JSONSerializer


def main(image: str) -> None:
    """Train on two instances, deploy, predict; print what came out as one line of JSON."""
    session, role = sagemaker.Session(), sagemaker.get_execution_role()
    prefix = f"toolkits-{uuid.uuid4().hex[:8]}"
    root = f"s3://{session.default_bucket()}/{prefix}"
    session.upload_string_as_file_body("1\n2\n3\n", session.default_bucket(), f"{prefix}/in/a.csv")
    estimator = Estimator(
        image,
        role,
        instance_count=2,
        instance_type="ml.m5.large",
        sagemaker_session=session,
        entry_point="script.py",
        source_dir=str(Path(__file__).parent / "source"),
        hyperparameters={"power": 2},
        metric_definitions=[{"Name": "rows", "Regex": r"rows=(\d+)"}],
        output_path=f"{root}/out",
    )
    estimator.fit({"train": f"{root}/in/"})
    predictor = estimator.deploy(
        1,
        "ml.m5.large",
        predictor_cls=Predictor,
        serializer=JSONSerializer(),
        deserializer=JSONDeserializer(),
    )
    found = predictor.predict([1.0, 2.0, 3.0])
    predictor.delete_endpoint()
    print(json.dumps({"predicted": found, "job": estimator.latest_training_job.name}))


if __name__ == "__main__":
    main(sys.argv[1])
