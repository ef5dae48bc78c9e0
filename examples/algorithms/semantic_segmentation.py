"""Semantic Segmentation: which pixels of a photograph show coins (scikit-image's).

clary run -- .venvs/sdk2/bin/python examples/algorithms/semantic_segmentation.py
"""

import io
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import sagemaker
from PIL import Image
from sagemaker import image_uris
from sagemaker.deserializers import BytesDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import IdentitySerializer
from sagemaker.tuner import HyperparameterTuner
from scipy.ndimage import binary_fill_holes
from skimage import data, filters, segmentation

# SageMaker trains this on GPUs: give it ml.g4dn.xlarge.
INSTANCE = sys.argv[1] if len(sys.argv) > 1 else "ml.m5.large"
SIDE, EDGE = 64, 242

# 24 Greek coins (Brooklyn Museum, no known copyright restrictions), and where they are, found as in
# scikit-image's gallery, "Comparing edge-based and region-based segmentation".
photo = data.coins()
seeds = np.where(photo < 30, 1, np.where(photo > 150, 2, 0))
is_coin = binary_fill_holes(segmentation.watershed(filters.sobel(photo), seeds) == 2)


def scene(number):
    """Return a square of the photograph and its mask; from number 100 on coins right of the others."""
    draw = np.random.default_rng(number)
    side = int(draw.integers(90, 131))
    first, last = (0, EDGE) if number < 100 else (EDGE, photo.shape[1])
    x, y = int(draw.integers(first, last - side + 1)), int(draw.integers(0, len(photo) - side + 1))
    pixels, mask = (
        Image.fromarray(each[y : y + side, x : x + side]) for each in (photo, is_coin.astype("uint8"))
    )
    return (
        pixels.convert("RGB").resize((SIDE, SIDE)),
        mask.resize((SIDE, SIDE), Image.Resampling.NEAREST),
    )


session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/semantic-segmentation"
with tempfile.TemporaryDirectory() as folder:
    channels = {}
    for channel, numbers in (("train", range(24)), ("validation", range(100, 106))):
        for name, part, content_type in (
            (channel, 0, "image/jpeg"),
            (f"{channel}_annotation", 1, "image/png"),
        ):
            (Path(folder) / name).mkdir()
            for number in numbers:
                file = f"{folder}/{name}/{number}.{content_type[6:].replace('jpeg', 'jpg')}"
                scene(number)[part].save(file)
            uri = session.upload_data(f"{folder}/{name}", key_prefix=f"examples/semantic-segmentation/{name}")
            channels[name] = TrainingInput(f"{uri}/", content_type=content_type)
estimator = Estimator(
    image_uris.retrieve("semantic-segmentation", session.boto_region_name),
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type=INSTANCE,
    output_path=f"{place}/models",
    sagemaker_session=session,
    hyperparameters={
        "num_classes": 2,
        "num_training_samples": 24,
        "use_pretrained_model": "False",
        "algorithm": "fcn",
        "base_size": SIDE,
        "crop_size": SIDE,
        "mini_batch_size": 4,
        "optimizer": "adam",
        "epochs": 3,
    },
)

# Train, and tune over three sizes of the mini-batch.
estimator.fit(channels)
metrics = estimator.training_job_analytics.dataframe().groupby("metric_name").value.last()
score = metrics["validation:mIOU"]
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="validation:mIOU",
    hyperparameter_ranges={"mini_batch_size": IntegerParameter(2, 8)},
    max_jobs=3,
)
tuner.fit(channels)
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
best = tuner.best_estimator()

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it: an image in, a mask out.
    files = []
    for number in range(200, 206):
        files.append(f"{folder}/{number}.jpg")
        scene(number)[0].save(files[-1])
    predictor = best.deploy(
        1,
        "ml.m5.large",
        serializer=IdentitySerializer("image/jpeg"),
        deserializer=BytesDeserializer("image/png"),
    )
    try:
        answers = [predictor.predict(Path(file).read_bytes()) for file in files]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a folder of images: a mask for each.
    asked = S3Uploader.upload(folder, f"{place}/asked", sagemaker_session=session)
    transformer = best.transformer(1, "ml.m5.large", accept="image/png", output_path=f"{place}/answers")
    transformer.transform(asked, content_type="image/jpeg")
    S3Downloader.download(f"{place}/answers/", folder, sagemaker_session=session)
    transformer.delete_model()
    lines = [Path(f"{file}.out").read_bytes() for file in files]

    # Outside: the model holds an ONNX file (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(Path(folder) / "model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    network = onnxruntime.InferenceSession(f"{folder}/model/semantic-segmentation.onnx")
    pixels = np.array([Image.open(file) for file in files])
    data = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    [scores] = network.run(None, {"data": data.transpose(0, 3, 1, 2).astype("float32")})

found, likely = scores.argmax(axis=1), np.sort(scores, axis=1)
is_clear = likely[:, -1] - likely[:, -2] > 0.001  # two classes as likely as each other: either may win
for several in (answers, lines):
    masks = np.array([Image.open(io.BytesIO(each)) for each in several])
    assert (masks == found)[is_clear].all()

truth = np.array([scene(number)[1] for number in range(200, 206)])
print(f"score     validation:mIOU {score:.3f} of mini-batches of 4")
print(f"tuned     {trials[['mini_batch_size', 'FinalObjectiveValue']].to_dict('records')}")
print(f"best      mini_batch_size {trials.mini_batch_size.iloc[0]:g}")
print(f"first     {np.mean(masks == truth):.3f} of {truth.size} pixels are right")
print(f"outside   ONNX says the same of {len(files)} squares as endpoint and transform")
