"""Trains by SageMaker SDK v2 on one host, then on two; prints the names of the jobs."""

from pathlib import Path

from sagemaker.pytorch import PyTorch
from sagemaker.session import Session, get_execution_role

session = Session()
for n in (1, 2):
    estimator = PyTorch(
        entry_point="ddp.py",
        source_dir=str(Path(__file__).parent),
        role=get_execution_role(session),
        framework_version="2.5.1",
        py_version="py311",
        instance_type="ml.m5.large",
        instance_count=n,
        distribution={"torch_distributed": {"enabled": True}},
        sagemaker_session=session,
    )
    estimator.fit(wait=False)
    print(estimator.latest_training_job.name, flush=True)
