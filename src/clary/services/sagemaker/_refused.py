"""What of SageMaker is not served, and why: every operation is served or stands here.

A test holds the service model against this page: a new operation is served or listed before it is merged.
"""

from collections.abc import Mapping

PLANNED = "planned; its behaviour does not exist yet"
RETIRED = "the service itself is retired or closed to new customers"
BOUGHT = "it buys capacity or products from AWS, which a self-hosted platform has none of"
CLUSTERS = "it manages clusters of AWS machines; run jobs on several machines through an engine instead"

REFUSED: Mapping[str, tuple[str, ...]] = {
    PLANNED: (
        "AIBenchmarkJob",
        "AIRecommendationJob",
        "AIWorkloadConfig",
        "Algorithm",
        "Alias",
        "AppImageConfig",
        "AutoMLJob",
        "CandidatesForAutoML",
        "CompilationJob",
        "DataQualityJobDefinition",
        "FeatureGroup",
        "FeatureMetadata",
        "FlowDefinition",
        "Hub",
        "HumanTaskUi",
        "Image",
        "InferenceExperiment",
        "InferenceRecommendationsJob",
        "InferenceRouter",
        "Job",
        "LabelingJob",
        "Mlflow",
        "ModelBiasJobDefinition",
        "ModelCard",
        "ModelExplainabilityJobDefinition",
        "ModelMetadata",
        "ModelQualityJobDefinition",
        "MonitoringAlert",
        "MonitoringExecution",
        "MonitoringSchedule",
        "OptimizationJob",
        "Pipeline",
        "RenderUiTemplate",
        "ResourceCatalog",
        "ScalingConfigurationRecommendation",
        "StartSession",
        "StudioLifecycleConfig",
        "SubscribedWorkteam",
        "TrainingSession",
        "Workforce",
        "Workteam",
        "EndpointPolicy",
    ),
    RETIRED: ("Device", "Edge", "Servicecatalog", "Project"),
    BOUGHT: ("PartnerApp", "ReservedCapacity", "TrainingPlan", "UltraServer"),
    CLUSTERS: ("Cluster", "ComputeQuota"),
}


def reason_of(operation: str) -> str | None:
    """Return why an operation is not served, by the longest noun in its name; None for an unlisted one."""
    found = [(len(word), reason) for reason, words in REFUSED.items() for word in words if word in operation]
    return max(found)[1] if found else None
