"""The kinds of endpoints of SDK v2; each function answers what it saw, as JSON."""

import json
import time

import sagemaker
from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model_monitor import DataCaptureConfig
from sagemaker.serializers import CSVSerializer
from sagemaker.serverless import ServerlessInferenceConfig
from v2 import features, fit, image_uris, region, remove, session, train_data

client = session.sagemaker_client
rows = features[:2].round(4).tolist()


def trained():
    """Return a fitted estimator of the built-in XGBoost."""
    estimator = Estimator(
        image_uris.retrieve("xgboost", region, "1.7-1"),
        sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.large",
        hyperparameters={"objective": "binary:logistic", "num_round": 5},
        sagemaker_session=session,
    )
    fit(estimator, train=TrainingInput(train_data(), content_type="text/csv"))
    return estimator


def served(estimator, **arguments):
    """Deploy without the SDK's long sleeps."""
    codec = {"serializer": CSVSerializer(), "deserializer": CSVDeserializer()}
    predictor = estimator.deploy(wait=False, **codec, **arguments)
    name = getattr(predictor, "endpoint_name", None)
    session.wait_for_endpoint(name, poll=0.2)
    return predictor


def captured(prefix):
    """Return the captured lines below a prefix, once there are some."""
    bucket = session.default_bucket()
    for _ in range(300):
        keys = session.list_s3_files(bucket, prefix)
        if keys:
            return [
                json.loads(text) for key in keys for text in session.read_s3_file(bucket, key).splitlines()
            ]
        time.sleep(0.2)
    raise TimeoutError(prefix)


def variety():
    """Ask an endpoint whose invocations are captured, a serverless one and an asynchronous one."""
    estimator = trained()
    bucket = session.default_bucket()
    capture = DataCaptureConfig(
        enable_capture=True, sampling_percentage=100, destination_s3_uri=f"s3://{bucket}/captured"
    )
    real_time = served(
        estimator, initial_instance_count=1, instance_type="ml.m5.large", data_capture_config=capture
    )
    direct = real_time.predict(rows)
    lines = captured(f"captured/{real_time.endpoint_name}/AllTraffic")
    real_time.update_endpoint(initial_instance_count=2, instance_type="ml.m5.large", wait=False)
    session.wait_for_endpoint(real_time.endpoint_name, poll=0.2)
    (variant,) = client.describe_endpoint(EndpointName=real_time.endpoint_name)["ProductionVariants"]
    again = real_time.predict(rows)
    remove(real_time)

    cold = served(
        estimator,
        serverless_inference_config=ServerlessInferenceConfig(memory_size_in_mb=2048, max_concurrency=3),
    )
    serverless = cold.predict(rows)
    remove(cold)

    later = served(
        estimator,
        initial_instance_count=1,
        instance_type="ml.m5.large",
        async_inference_config=AsyncInferenceConfig(
            output_path=f"s3://{bucket}/later", max_concurrent_invocations_per_instance=2
        ),
    )
    answer = later.predict_async(data=rows)
    # The SDK looks for a failure in a thread that goes on after the answer: not long, or this process does.
    asynchronous = answer.get_result(WaiterConfig(max_attempts=15, delay=1))
    later.delete_model()
    later.delete_endpoint()
    return {
        "scores": [direct, again, serverless, asynchronous],
        "captured": [each["captureData"]["endpointInput"]["data"] for each in lines],
        "encoding": lines[0]["captureData"]["endpointInput"]["encoding"],
        "instances": variant["CurrentInstanceCount"],
    }
