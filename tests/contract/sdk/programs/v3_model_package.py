"""The model registry through SDK v3, as its documentation uses it; answers what it saw, as JSON."""

from sagemaker.core.resources import ModelPackage, ModelPackageGroup
from sagemaker.serve import ModelBuilder
from v3 import role, session, train, xgboost_trainer


def registry():
    """Register a trained model with its builder, and look at it as resources do."""
    trainer = xgboost_trainer()
    job = train(trainer)
    builder = ModelBuilder(
        image_uri=job.algorithm_specification.training_image,
        s3_model_data_url=job.model_artifacts.s3_model_artifacts,
        role_arn=role,
        sagemaker_session=session,
    )
    builder.build()
    arn = builder.register(
        model_package_group_name="v3-churn",
        content_types=["text/csv"],
        response_types=["text/csv"],
        inference_instances=["ml.m5.large"],
        transform_instances=["ml.m5.large"],
    )
    package = ModelPackage.get(model_package_name=arn)
    package.update(model_approval_status="Approved")
    package.refresh()
    listed = ModelPackage.get_all(model_package_group_name="v3-churn")
    seen = {
        "arn": arn,
        "approval": package.model_approval_status,
        "data": package.inference_specification.containers[0].model_data_url,
        "trained": job.model_artifacts.s3_model_artifacts,
        "listed": [each.model_package_arn for each in listed],
        "groups": [
            each.model_package_group_name for each in ModelPackageGroup.get_all(name_contains="v3-churn")
        ],
    }
    package.delete()
    ModelPackageGroup.get(model_package_group_name="v3-churn").delete()
    return seen
