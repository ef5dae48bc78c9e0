"""`PipelineModel` of SDK v2, as its documentation uses it; answers what it saw, as JSON."""

import boto3
import sagemaker
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.pipeline import PipelineModel
from sagemaker.serializers import CSVSerializer
from sagemaker.sklearn import SKLearnModel
from v2 import HERE, features, fit, image_uris, region, session, train_data
from v2_transform import output, upload, wait

client = boto3.client("sagemaker")
MEAN = 5.0


def serve(model):
    predictor = sagemaker.Predictor(
        model, session, serializer=CSVSerializer(), deserializer=CSVDeserializer()
    )
    session.wait_for_endpoint(model, poll=0.2)
    return predictor


def pipeline():
    """Preprocess with a script, score with XGBoost: an endpoint, and a transform job."""
    role = sagemaker.get_execution_role()
    estimator = Estimator(
        image_uris.retrieve("xgboost", region, "1.7-1"),
        role,
        instance_count=1,
        instance_type="ml.m5.large",
        hyperparameters={"objective": "binary:logistic", "num_round": 10},
        sagemaker_session=session,
    )
    fit(estimator, train=TrainingInput(train_data(), content_type="text/csv"))
    preprocess = SKLearnModel(
        model_data=None,
        role=role,
        entry_point=str(HERE / "inference/centre.py"),
        framework_version="1.2-1",
        env={"MEAN": str(MEAN), "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv"},
        sagemaker_session=session,
    )
    model = PipelineModel(models=[preprocess, estimator.create_model()], role=role, sagemaker_session=session)
    model.deploy(1, "ml.m5.large", endpoint_name="in-a-row", wait=False)
    alone = estimator.deploy(1, "ml.m5.large", endpoint_name="alone", wait=False)
    del alone
    rows = features[:30].round(4)
    both, one = serve("in-a-row"), serve("alone")
    transformer = model.transformer(
        instance_count=1, instance_type="ml.m5.large", assemble_with="Line", accept="text/csv"
    )
    data = upload((rows + MEAN).tolist(), "piped/rows.csv")
    transformer.transform(data, content_type="text/csv", split_type="Line", wait=False)
    described = wait(transformer)
    seen = {
        "both": both.predict((rows + MEAN).tolist()),
        "alone": one.predict(rows.tolist()),
        "status": described["TransformJobStatus"],
        "reason": described.get("FailureReason", ""),
        "batch": output(transformer, "rows.csv").split() if not described.get("FailureReason") else [],
        "containers": len(client.describe_model(ModelName=model.name)["Containers"]),
    }
    for each in (both, one):
        each.delete_endpoint()
    return seen
