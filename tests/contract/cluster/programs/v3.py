"""Trains by SageMaker SDK v3 on one host, then on two; prints the names of the jobs."""

from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, SourceCode
from sagemaker.train.distributed import Torchrun

session = Session()
image = image_uris.retrieve(
    "pytorch", session.boto_region_name, "2.5.1", "py311", instance_type="ml.m5.large", image_scope="training"
)
for n in (1, 2):
    trainer = ModelTrainer(
        training_image=image,
        base_job_name=f"v3-torchrun-{n}",
        source_code=SourceCode(source_dir=str(Path(__file__).parent), entry_script="ddp.py"),
        distributed=Torchrun(),
        compute=Compute(instance_type="ml.m5.large", instance_count=n),
        role=get_execution_role(session),
        sagemaker_session=session,
    )
    trainer.train(wait=False, logs=False)
    print(trainer._latest_training_job.training_job_name, flush=True)
