"""Programs for the SageMaker SDK, version 2: estimator, processor, transformer and tuner of a job."""

from collections.abc import Mapping
from typing import Any

from clary.console.snippets import decoded, spelled

DEFAULTS: Mapping[str, Any] = {
    "volume_size": 30,
    "volume_size_in_gb": 30,
    "input_mode": "File",
    "s3_data_type": "S3Prefix",
    "s3_input_mode": "File",
    "s3_data_distribution_type": "FullyReplicated",
    "distribution": "FullyReplicated",
    "s3_upload_mode": "EndOfJob",
    "compression": "None",
    "compression_type": "None",
    "s3_compression_type": "None",
    "split_type": "None",
    "assemble_with": "None",
    "join_source": "None",
    "input_filter": "$",
    "output_filter": "$",
    "early_stopping_type": "Off",
    "scaling_type": "Auto",
}
"""What the SDK's classes take where nothing is said."""
_RANGES = {"Integer": int, "Continuous": float}


class Code(str):
    """A text that is a program's already."""

    __slots__ = ()


def call(name: str, *values: Any, **given: Any) -> Code:
    """Return a call, an argument a line; what says nothing, or the default, is left out."""
    said = {key: value for key, value in given.items() if value not in (None, "", {}, [], ())}
    arguments = [_shown(each) for each in values]
    arguments += [f"{key}={_shown(value)}" for key, value in said.items() if DEFAULTS.get(key) != value]
    if sum(map(len, arguments)) < 88 and not any("\n" in each for each in arguments):
        return Code(f"{name}({', '.join(arguments)})")
    lines = ",\n".join(arguments).replace("\n", "\n    ")
    return Code(f"{name}(\n    {lines},\n)")


def _shown(value: Any) -> str:
    if isinstance(value, Code):
        return value
    if isinstance(value, Mapping) and any(isinstance(each, Code) for each in value.values()):
        lines = ",\n".join(f"{key!r}: {each}" for key, each in value.items()).replace("\n", "\n    ")
        return f"{{\n    {lines},\n}}"
    if isinstance(value, list | tuple) and any(isinstance(each, Code) for each in value):
        lines = ",\n".join(value).replace("\n", "\n    ")
        return f"[\n    {lines},\n]"
    return spelled(value)


def program(noun: str, request: Mapping[str, Any]) -> str:
    """Return the program that makes what a Create request makes; empty for a noun without one."""
    match noun:
        case "TrainingJob":
            return _training(request)
        case "ProcessingJob":
            return _processing(request)
        case "TransformJob":
            return _transform(request)
        case "HyperParameterTuningJob" if "TrainingJobDefinition" in request:
            return _tuning(request)
    return ""


def _training(request: Mapping[str, Any]) -> str:
    head = "from sagemaker.estimator import Estimator\nfrom sagemaker.inputs import TrainingInput\n\n"
    fit = call("estimator.fit", _channels(request), experiment_config=request.get("ExperimentConfig"))
    return f"{head}estimator = {_estimator(request, request.get('HyperParameters', {}))}\n{fit}\n"


def _estimator(request: Mapping[str, Any], values: Mapping[str, str]) -> Code:
    resources = request.get("ResourceConfig") or request.get("HyperParameterTuningResourceConfig", {})
    stopping = request.get("StoppingCondition", {})
    checkpoints, algorithm = request.get("CheckpointConfig", {}), request["AlgorithmSpecification"]
    return call(
        "Estimator",
        image_uri=algorithm.get("TrainingImage"),
        role=request["RoleArn"],
        instance_count=resources.get("InstanceCount"),
        instance_type=resources.get("InstanceType"),
        volume_size=resources.get("VolumeSizeInGB"),
        max_run=stopping.get("MaxRuntimeInSeconds"),
        use_spot_instances=request.get("EnableManagedSpotTraining") or None,
        max_wait=stopping.get("MaxWaitTimeInSeconds"),
        input_mode=algorithm.get("TrainingInputMode"),
        output_path=request.get("OutputDataConfig", {}).get("S3OutputPath"),
        entry_point=decoded(values.get("sagemaker_program", "")),
        source_dir=decoded(values.get("sagemaker_submit_directory", "")),
        hyperparameters=_values(values),
        metric_definitions=algorithm.get("MetricDefinitions"),
        environment=request.get("Environment"),
        checkpoint_s3_uri=checkpoints.get("S3Uri"),
        checkpoint_local_path=checkpoints.get("LocalPath"),
        enable_network_isolation=request.get("EnableNetworkIsolation") or None,
    )


def _values(values: Mapping[str, str]) -> dict[str, Any]:
    """Return what a customer gave; the SDK spells a script's in JSON."""
    read = decoded if "sagemaker_program" in values else str
    return {name: read(value) for name, value in values.items() if not name.startswith(("sagemaker_", "_"))}


def _channels(request: Mapping[str, Any]) -> dict[str, Code]:
    found = {}
    for each in request.get("InputDataConfig", ()):
        source = each["DataSource"].get("S3DataSource", {})
        found[each["ChannelName"]] = call(
            "TrainingInput",
            source.get("S3Uri", ""),
            content_type=each.get("ContentType"),
            distribution=source.get("S3DataDistributionType"),
            compression=each.get("CompressionType"),
            record_wrapping=each.get("RecordWrapperType")
            if each.get("RecordWrapperType") != "None"
            else None,
            s3_data_type=source.get("S3DataType"),
            input_mode=each.get("InputMode") if each.get("InputMode") != "File" else None,
            attribute_names=source.get("AttributeNames"),
        )
    return found


def _processing(request: Mapping[str, Any]) -> str:
    cluster, application = request["ProcessingResources"]["ClusterConfig"], request["AppSpecification"]
    processor = call(
        "Processor",
        image_uri=application["ImageUri"],
        role=request["RoleArn"],
        instance_count=cluster["InstanceCount"],
        instance_type=cluster["InstanceType"],
        volume_size_in_gb=cluster.get("VolumeSizeInGB"),
        entrypoint=application.get("ContainerEntrypoint"),
        max_runtime_in_seconds=request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds"),
        env=request.get("Environment"),
    )
    inputs = [_input(each) for each in request.get("ProcessingInputs", ()) if "S3Input" in each]
    outputs = [
        call(
            "ProcessingOutput",
            source=each["S3Output"].get("LocalPath"),
            destination=each["S3Output"]["S3Uri"],
            output_name=each["OutputName"],
            s3_upload_mode=each["S3Output"].get("S3UploadMode"),
        )
        for each in request.get("ProcessingOutputConfig", {}).get("Outputs", ())
        if "S3Output" in each
    ]
    run = call(
        "processor.run", inputs=inputs, outputs=outputs, arguments=application.get("ContainerArguments")
    )
    head = "from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor\n\n"
    return f"{head}processor = {processor}\n{run}\n"


def _input(each: Mapping[str, Any]) -> Code:
    source = each["S3Input"]
    return call(
        "ProcessingInput",
        source=source["S3Uri"],
        destination=source.get("LocalPath"),
        input_name=each["InputName"],
        s3_data_type=source.get("S3DataType"),
        s3_input_mode=source.get("S3InputMode"),
        s3_data_distribution_type=source.get("S3DataDistributionType"),
        s3_compression_type=source.get("S3CompressionType"),
    )


def _transform(request: Mapping[str, Any]) -> str:
    source, made = request["TransformInput"], request["TransformOutput"]
    resources, rows = request["TransformResources"], request.get("DataProcessing", {})
    transformer = call(
        "Transformer",
        model_name=request["ModelName"],
        instance_count=resources["InstanceCount"],
        instance_type=resources["InstanceType"],
        strategy=request.get("BatchStrategy"),
        assemble_with=made.get("AssembleWith"),
        output_path=made["S3OutputPath"],
        accept=made.get("Accept"),
        max_concurrent_transforms=request.get("MaxConcurrentTransforms"),
        max_payload=request.get("MaxPayloadInMB"),
        env=request.get("Environment"),
    )
    data = source["DataSource"]["S3DataSource"]
    run = call(
        "transformer.transform",
        data["S3Uri"],
        data_type=data["S3DataType"] if data["S3DataType"] != "S3Prefix" else None,
        content_type=source.get("ContentType"),
        compression_type=source.get("CompressionType"),
        split_type=source.get("SplitType"),
        input_filter=rows.get("InputFilter"),
        output_filter=rows.get("OutputFilter"),
        join_source=rows.get("JoinSource"),
    )
    return f"from sagemaker.transformer import Transformer\n\ntransformer = {transformer}\n{run}\n"


def _tuning(request: Mapping[str, Any]) -> str:
    config, definition = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
    goal, limits = config["HyperParameterTuningJobObjective"], config["ResourceLimits"]
    found = {}
    for kind, convert in _RANGES.items():
        for each in config.get("ParameterRanges", {}).get(f"{kind}ParameterRanges", ()):
            ends = (convert(each["MinValue"]), convert(each["MaxValue"]))
            found[each["Name"]] = call(f"{kind}Parameter", *ends, scaling_type=each.get("ScalingType"))
    for each in config.get("ParameterRanges", {}).get("CategoricalParameterRanges", ()):
        found[each["Name"]] = call("CategoricalParameter", each["Values"])
    tuner = call(
        "HyperparameterTuner",
        estimator=Code("estimator"),
        objective_metric_name=goal["MetricName"],
        objective_type=goal["Type"],
        hyperparameter_ranges=found,
        metric_definitions=definition["AlgorithmSpecification"].get("MetricDefinitions"),
        strategy=config["Strategy"],
        max_jobs=limits.get("MaxNumberOfTrainingJobs"),
        max_parallel_jobs=limits.get("MaxParallelTrainingJobs"),
        early_stopping_type=config.get("TrainingJobEarlyStoppingType"),
        random_seed=config.get("RandomSeed"),
    )
    names = sorted({f"{each.partition('(')[0]}" for each in found.values()} | {"HyperparameterTuner"})
    head = (
        "from sagemaker.estimator import Estimator\nfrom sagemaker.inputs import TrainingInput\n"
        f"from sagemaker.tuner import {', '.join(names)}\n\n"
    )
    estimator = _estimator(definition, definition.get("StaticHyperParameters", {}))
    fit = call("tuner.fit", _channels(definition))
    return f"{head}estimator = {estimator}\ntuner = {tuner}\n{fit}\n"
