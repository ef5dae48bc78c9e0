"""The model registry through SDK v2, as its documentation uses it; answers what it saw, as JSON."""

import sagemaker
from sagemaker.deserializers import CSVDeserializer
from sagemaker.lineage.action import ModelPackageApprovalAction
from sagemaker.lineage.context import ModelPackageGroup
from sagemaker.model import ModelPackage
from sagemaker.model_metrics import MetricsSource, ModelMetrics
from sagemaker.pipeline import PipelineModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer
from v2 import session
from v2_shared import client, rows, trained

types = {"content_types": ["text/csv"], "response_types": ["text/csv"]}
machines = {"inference_instances": ["ml.m5.large"], "transform_instances": ["ml.m5.large"]}


def described(package):
    return client.describe_model_package(ModelPackageName=package.model_package_arn)


def lineage(arn):
    """Return what the SDK's readers of lineage find of a version."""
    [action] = client.list_actions(SourceUri=arn)["ActionSummaries"]
    approval = ModelPackageApprovalAction.load(action["ActionName"], sagemaker_session=session)
    group = client.describe_model_package_group(ModelPackageGroupName="churn")["ModelPackageGroupArn"]
    [context] = client.list_contexts(SourceUri=group)["ContextSummaries"]
    return {
        "approval": approval.properties,
        "datasets": len(approval.datasets()),
        "endpoints": [each.context_name for each in approval.endpoints()],
        "group": ModelPackageGroup.load(context["ContextName"], sagemaker_session=session).context_type,
    }


def registry():
    """Register what was trained, approve it, deploy what is approved, and ask it."""
    estimator = trained(2)
    estimator.register(**types, **machines, model_package_group_name="churn", description="by estimator")
    statistics = MetricsSource("application/json", f"s3://{session.default_bucket()}/statistics.json")
    model = estimator.create_model(role=sagemaker.get_execution_role())
    package = model.register(
        **types,
        **machines,
        model_package_group_name="churn",
        model_metrics=ModelMetrics(model_statistics=statistics),
        customer_metadata_properties={"owner": "risk"},
        approval_status="PendingManualApproval",
        domain="MACHINE_LEARNING",
        task="CLASSIFICATION",
        source_uri="s3://anywhere/else",
    )
    first = described(package)
    package.update_customer_metadata({"reviewed": "yes"})
    package.remove_customer_metadata_properties(["owner"])
    package.add_inference_specification(name="small", image_uris=[estimator.training_image_uri()])
    package.update_approval_status("Approved", approval_description="good enough")
    best = session.get_most_recently_created_approved_model_package("churn")
    ready = ModelPackage(
        role=sagemaker.get_execution_role(),
        model_package_arn=best.model_package_arn,
        predictor_cls=Predictor,
        sagemaker_session=session,
    )
    ready.deploy(1, "ml.m5.large", endpoint_name="of-the-registry", wait=False)
    session.wait_for_endpoint("of-the-registry", poll=0.2)
    predictor = Predictor("of-the-registry", session, CSVSerializer(), CSVDeserializer())
    scores = predictor.predict(rows)
    found = lineage(best.model_package_arn)
    predictor.delete_endpoint()
    return {
        "first": {
            name: first.get(name) for name in ("ModelPackageVersion", "ModelApprovalStatus", "SourceUri")
        },
        "metrics": first["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"],
        "card": client.describe_model_package(ModelPackageName="churn/1")["ModelCard"]["ModelCardStatus"],
        "properties": described(package)["CustomerMetadataProperties"],
        "best": best.model_package_arn,
        "scores": len(scores),
        "lineage": found,
    }


def others():
    """Register a pipeline, and a package of its own; deploying an unapproved version approves it."""
    model = trained(2).create_model(role=sagemaker.get_execution_role())
    several = PipelineModel(models=[model, model], role=model.role, sagemaker_session=session)
    pipeline = several.register(**types, **machines, model_package_group_name="in-a-row")
    alone = model.register(**types, **machines, model_package_name="of-its-own")
    session.wait_for_model_package("of-its-own", poll=0)
    made = ModelPackage(
        role=model.role, model_package_arn=pipeline.model_package_arn, sagemaker_session=session, name="pipe"
    )
    made._create_sagemaker_model()
    return {
        "containers": len(client.describe_model(ModelName="pipe")["Containers"]),
        "approval": described(pipeline)["ModelApprovalStatus"],
        "alone": described(alone)["ModelPackageName"],
    }
