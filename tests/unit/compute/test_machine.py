"""Instance types have the sizes that AWS's pages state."""

import botocore.loaders
import pytest

from clary.compute import machine
from clary.compute.base import Size
from clary.kernel.errors import ValidationException


@pytest.mark.parametrize(
    ("instance_type", "cpus", "gib", "gpus"),
    [
        ("ml.t3.medium", 2, 4, 0),
        ("ml.t2.medium", 2, 4, 0),
        ("ml.m4.xlarge", 4, 16, 0),
        ("ml.m5.large", 2, 8, 0),
        ("ml.m5.24xlarge", 96, 384, 0),
        ("ml.m5d.2xlarge", 8, 32, 0),
        ("ml.m6i.4xlarge", 16, 64, 0),
        ("ml.m7i.48xlarge", 192, 768, 0),
        ("ml.c4.2xlarge", 8, 15, 0),
        ("ml.c5.xlarge", 4, 8, 0),
        ("ml.c5d.9xlarge", 36, 72, 0),
        ("ml.c6i.large", 2, 4, 0),
        ("ml.c7i.16xlarge", 64, 128, 0),
        ("ml.r5.large", 2, 16, 0),
        ("ml.r6i.2xlarge", 8, 64, 0),
        ("ml.g4dn.xlarge", 4, 16, 1),
        ("ml.g4dn.12xlarge", 48, 192, 4),
        ("ml.g5.2xlarge", 8, 32, 1),
        ("ml.g5.12xlarge", 48, 192, 4),
        ("ml.g6.48xlarge", 192, 768, 8),
        ("ml.p2.xlarge", 4, 61, 1),
        ("ml.p3.2xlarge", 8, 61, 1),
        ("ml.p3.16xlarge", 64, 488, 8),
        ("ml.p4d.24xlarge", 96, 1152, 8),
        ("ml.p5.48xlarge", 192, 2048, 8),
        ("ml.p5.4xlarge", 16, 256, 1),
        ("ml.c4.8xlarge", 36, 60, 0),
        ("ml.inf1.xlarge", 4, 8, 0),
        ("ml.trn1.32xlarge", 128, 512, 0),
    ],
)
def test_an_instance_type_holds_what_aws_says(instance_type: str, cpus: int, gib: int, gpus: int) -> None:
    assert machine.size_of(instance_type) == Size(cpus=cpus, memory_mib=gib * 1024, gpus=gpus)


@pytest.mark.parametrize("bad", ["m5.large", "ml.m5", "ml.q9.large", "ml.m5.huge", "ml.t3.24xlarge", ""])
def test_what_is_no_instance_type_is_refused_by_name(bad: str) -> None:
    with pytest.raises(ValidationException, match=r"instance type .* is not known"):
        machine.size_of(bad)


@pytest.mark.parametrize("shape", ["TrainingInstanceType", "ProcessingInstanceType", "TransformInstanceType"])
def test_every_instance_type_of_the_api_is_known(shape: str) -> None:
    model = botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
    for instance_type in model["shapes"][shape]["enum"]:
        assert machine.size_of(instance_type).cpus >= 1


def test_this_machine_has_cores_and_memory() -> None:
    assert machine.cores() >= 1
    assert machine.memory_mib() > 256
