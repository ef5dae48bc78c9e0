"""SageMaker Python SDK v2, @remote: call a function here, run it as a training job.

    clary run -- .venvs/sdk2/bin/python examples/remote_function.py

The job imports the SDK in the client's version. Clary installs it beside the runtime when it is first asked
for, which takes half a minute, and keeps it.
"""

import numpy as np
import sagemaker
from sagemaker import image_uris
from sagemaker.remote_function import remote

session = sagemaker.Session()
image = image_uris.retrieve("sklearn", session.boto_region_name, "1.2-1")


@remote(
    image_uri=image,
    instance_type="ml.m5.large",
    role=sagemaker.get_execution_role(),
    sagemaker_session=session,
)
def largest_eigenvalue(matrix: np.ndarray) -> float:
    print("computing", matrix.shape)
    return float(np.linalg.eigvalsh(matrix)[-1])


half = np.random.default_rng(7).normal(size=(50, 50))
matrix = half + half.T
answer = largest_eigenvalue(matrix)
expected = float(np.linalg.eigvalsh(matrix)[-1])
print(f"remote {answer:.6f}, here {expected:.6f}")
if abs(answer - expected) > 1e-9:
    raise SystemExit("the two differ")
