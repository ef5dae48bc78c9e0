"""Train on two instances, tune, deploy, transform: an image of your own through the SageMaker SDK, version 2.

python run.py 127.0.0.1:4747/byoc:1
"""

import sys
import uuid

import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.predictor import Predictor
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner

METRICS = [{"Name": "spread", "Regex": r"spread=(\S+)"}]


def main(image: str) -> None:
    """Do all of it, and print what came out."""
    session, role = sagemaker.Session(), sagemaker.get_execution_role()
    root = f"s3://{session.default_bucket()}/byoc-{uuid.uuid4().hex[:8]}"
    for n in (1, 2):
        text = "".join(f"{row},{row * n}\n" for row in range(10))
        session.upload_string_as_file_body(
            text, session.default_bucket(), f"{root.split('/', 3)[3]}/in/{n}.csv"
        )
    data = {"train": TrainingInput(f"{root}/in/", distribution="ShardedByS3Key")}
    members = {"role": role, "instance_type": "ml.m5.large", "sagemaker_session": session}
    estimator = Estimator(
        image, instance_count=2, metric_definitions=METRICS, output_path=f"{root}/out", **members
    )
    estimator.fit(data)
    tuner = HyperparameterTuner(
        Estimator(image, instance_count=1, output_path=f"{root}/tuned", **members),
        "spread",
        {"power": ContinuousParameter(1.0, 3.0)},
        METRICS,
        objective_type="Minimize",
        max_jobs=6,
        max_parallel_jobs=2,
    )
    tuner.fit({"train": f"{root}/in/"})
    print("best of the tuning job:", tuner.best_training_job())
    predictor = estimator.deploy(1, "ml.m5.large", predictor_cls=Predictor)
    print("prediction:", predictor.predict("1,2\n5,5", initial_args={"ContentType": "text/csv"}))
    predictor.delete_endpoint()
    transformer = estimator.transformer(
        1, "ml.m5.large", output_path=f"{root}/transformed", assemble_with="Line"
    )
    transformer.transform(f"{root}/in/", content_type="text/csv", split_type="Line")
    read = sagemaker.s3.S3Downloader.read_file(f"{root}/transformed/1.csv.out", session)
    print("transformed:", read.split())


if __name__ == "__main__":
    main(sys.argv[1])
