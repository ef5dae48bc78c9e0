"""Trains by SageMaker SDK v2 on one host, then on two; prints the names of the jobs.

It takes `torch_distributed` for instances with GPUs or Trainium alone: of these, processors and memory count.
"""

from pathlib import Path

from sagemaker import image_uris
from sagemaker.pytorch import PyTorch
from sagemaker.session import Session, get_execution_role

session = Session()
image = image_uris.retrieve(
    "pytorch", session.boto_region_name, "2.5.1", "py311", instance_type="ml.m5.large", image_scope="training"
)
for n in (1, 2):
    estimator = PyTorch(
        entry_point="ddp.py",
        source_dir=str(Path(__file__).parent),
        role=get_execution_role(session),
        image_uri=image,
        framework_version="1.13.1",
        py_version="py39",
        instance_type="ml.trn1.2xlarge",
        instance_count=n,
        distribution={"torch_distributed": {"enabled": True}},
        sagemaker_session=session,
    )
    estimator.fit(wait=False)
    print(estimator.latest_training_job.name, flush=True)
