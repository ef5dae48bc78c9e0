"""Elastic Inference of SDK v2: two endpoints on one accelerator; answers what it saw, as JSON."""

from v2_hosting import client, rows, served, trained


def shared():
    """Deploy one estimator twice with a part of an accelerator, and once without."""
    estimator = trained()
    predictors = [
        served(estimator, initial_instance_count=1, instance_type="ml.m5.large", **lent)
        for lent in ({"accelerator_type": "ml.eia2.medium"}, {"accelerator_type": "ml.eia1.medium"}, {})
    ]
    scores = [predictor.predict(rows) for predictor in predictors]
    types = []
    for predictor in predictors:
        described = client.describe_endpoint(EndpointName=predictor.endpoint_name)
        config = client.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
        types.append(config["ProductionVariants"][0].get("AcceleratorType"))
    for predictor in predictors:
        predictor.delete_model()
        predictor.delete_endpoint()
    return {"scores": scores, "types": types}
