"""Endpoints that several models share, through SDK v2; each function answers what it saw, as JSON."""

from functools import cache

import sagemaker
from sagemaker import image_uris
from sagemaker.compute_resource_requirements.resource_requirements import ResourceRequirements
from sagemaker.deserializers import CSVDeserializer
from sagemaker.enums import EndpointType
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model import Model
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer
from v2 import features, fit, region, session, train_data

client = session.sagemaker_client
rows = features[:2].round(4).tolist()
image = image_uris.retrieve("xgboost", region, "1.7-1")
codec = {"serializer": CSVSerializer(), "deserializer": CSVDeserializer()}


@cache
def trained(rounds):
    """Return a fitted estimator of the built-in XGBoost."""
    estimator = Estimator(
        image,
        sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.large",
        hyperparameters={"objective": "binary:logistic", "num_round": rounds},
        sagemaker_session=session,
    )
    fit(estimator, train=TrainingInput(train_data(), content_type="text/csv"))
    return estimator


def many():
    """Put two models behind one endpoint, and a third one while it is in service."""
    made = [trained(rounds).model_data for rounds in (2, 9, 2)]
    several = MultiDataModel(
        name="shared",
        model_data_prefix=f"s3://{session.default_bucket()}/shared/",
        image_uri=image,
        role=sagemaker.get_execution_role(),
        predictor_cls=Predictor,
        sagemaker_session=session,
    )
    for n, model_data in enumerate(made[:2]):
        several.add_model(model_data_source=model_data, model_data_path=f"{n}.tar.gz")
    predictor = several.deploy(1, "ml.m5.large", wait=False, **codec)
    session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
    scores = [predictor.predict(rows, target_model=f"{n}.tar.gz") for n in range(2)]
    several.add_model(model_data_source=made[2], model_data_path="later/2.tar.gz")
    scores.append(predictor.predict(rows, target_model="later/2.tar.gz"))
    again = predictor.predict(rows, target_model="0.tar.gz")
    listed = sorted(several.list_models())
    predictor.delete_model()
    predictor.delete_endpoint()
    return {"scores": scores, "again": again, "listed": listed}


def components():
    """Put two components on one endpoint."""
    role = sagemaker.get_execution_role()
    predictors = []
    for n, rounds in enumerate((2, 9)):
        model = Model(
            image_uri=image,
            model_data=trained(rounds).model_data,
            role=role,
            name=f"part-{n}",
            predictor_cls=Predictor,
            sagemaker_session=session,
        )
        predictors.append(
            model.deploy(
                initial_instance_count=1,
                instance_type="ml.m5.large",
                endpoint_name="parts",
                endpoint_type=EndpointType.INFERENCE_COMPONENT_BASED,
                resources=ResourceRequirements(requests={"memory": 512, "num_cpus": 1, "copies": 1}),
                wait=False,
                **codec,
            )
        )
        session.wait_for_endpoint("parts", poll=0.2)
        session.wait_for_inference_component(predictors[n].component_name, poll=0.2)
    scores = [predictor.predict(rows) for predictor in predictors]
    listed, _ = predictors[0].list_related_models()
    for predictor in predictors:
        session.delete_inference_component(predictor.component_name)
        session.wait_for_inference_component_deletion(predictor.component_name, poll=0.2)
    session.delete_endpoint("parts")
    return {"scores": scores, "listed": sorted(each["InferenceComponentName"] for each in listed)}
