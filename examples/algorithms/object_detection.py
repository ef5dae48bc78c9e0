"""Object Detection: the coins of a photograph (scikit-image's); training goes on from a model of the first.

clary run -- .venvs/sdk2/bin/python examples/algorithms/object_detection.py
"""

import json
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import sagemaker
from PIL import Image
from sagemaker import image_uris
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.parameter import CategoricalParameter
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import IdentitySerializer
from sagemaker.tuner import HyperparameterTuner
from scipy.ndimage import binary_fill_holes
from skimage import data, filters, measure, segmentation

# SageMaker trains this on GPUs: give it ml.g4dn.xlarge.
INSTANCE = sys.argv[1] if len(sys.argv) > 1 else "ml.m5.large"
SIDE, EDGE = 300, 242

# 24 Greek coins (Brooklyn Museum, no known copyright restrictions), and the boxes around them, found as in
# scikit-image's gallery, "Comparing edge-based and region-based segmentation".
photo = data.coins()
seeds = np.where(photo < 30, 1, np.where(photo > 150, 2, 0))
is_coin = binary_fill_holes(segmentation.watershed(filters.sobel(photo), seeds) == 2)
found = [each.bbox for each in measure.regionprops(measure.label(is_coin)) if each.area > 100]
coins = np.array(found)[:, [1, 0, 3, 2]]


def scene(number):
    """Return a square of the photograph and its annotation; from number 100 on coins right of the others."""
    draw = np.random.default_rng(number)
    side = int(draw.integers(90, 131))
    first, last = (0, EDGE) if number < 100 else (EDGE, photo.shape[1])
    x, y = int(draw.integers(first, last - side + 1)), int(draw.integers(0, len(photo) - side + 1))
    boxes = (coins - [x, y, x, y]).clip(0, side)
    sizes, seen = ((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (coins, boxes))
    image = Image.fromarray(photo[y : y + side, x : x + side]).convert("RGB").resize((SIDE, SIDE))
    annotation = {
        "file": f"{number}.jpg",
        "image_size": [{"width": SIDE, "height": SIDE, "depth": 3}],
        "annotations": [
            {"class_id": 0, "left": left, "top": top, "width": right - left, "height": bottom - top}
            for left, top, right, bottom in (boxes[seen > sizes / 2] * SIDE // side).tolist()
        ],
        "categories": [{"class_id": 0, "name": "coin"}],
    }
    return image, annotation


session = sagemaker.Session()
bucket, prefix = session.default_bucket(), "examples/object-detection"
place = f"s3://{bucket}/{prefix}"
with tempfile.TemporaryDirectory() as folder:
    for channel, numbers in (
        ("train", range(12)),
        ("validation", range(100, 104)),
        ("asked", range(200, 204)),
    ):
        for number in numbers:
            image, annotation = scene(number)
            for name in (channel, f"{channel}_annotation"):
                Path(f"{folder}/{name}").mkdir(exist_ok=True)
            image.save(f"{folder}/{channel}/{number}.jpg")
            Path(f"{folder}/{channel}_annotation/{number}.json").write_text(json.dumps(annotation))
    S3Uploader.upload(folder, place, sagemaker_session=session)
    asked = [Path(f"{folder}/asked/{number}.jpg").read_bytes() for number in numbers]
    pixels = np.array([Image.open(f"{folder}/asked/{number}.jpg") for number in numbers])
channels = {
    name: TrainingInput(f"{place}/{name}/", content_type="image/jpeg")
    for name in ("train", "train_annotation", "validation", "validation_annotation")
}


def estimator(**more):
    """Return an estimator; `model_uri` says what it goes on from."""
    return Estimator(
        image_uris.retrieve("object-detection", session.boto_region_name),
        role=sagemaker.get_execution_role(),
        instance_count=1,
        instance_type=INSTANCE,
        output_path=f"{place}/models",
        sagemaker_session=session,
        **more,
    )


# Train, and tune over three optimisers a second training that goes on from the model of the first.
given = {
    "num_classes": 1,
    "num_training_samples": 12,
    "base_network": "resnet-50",
    "use_pretrained_model": 0,
    "mini_batch_size": 4,
    "learning_rate": 0.001,
}
first = estimator(hyperparameters={**given, "epochs": 4, "optimizer": "adam"})
first.fit(channels)
metrics = first.training_job_analytics.dataframe().groupby("metric_name").value.last()
score = metrics["validation:mAP"]
tuner = HyperparameterTuner(
    estimator(hyperparameters={**given, "epochs": 1, "learning_rate": 0.0003}, model_uri=first.model_data),
    objective_metric_name="validation:mAP",
    hyperparameter_ranges={"optimizer": CategoricalParameter(["sgd", "adam", "rmsprop"])},
    strategy="Grid",
    max_jobs=3,
)
tuner.fit(channels)
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
best = tuner.best_estimator()

# Deploy the best, and ask it: an image in, boxes out.
predictor = best.deploy(
    1, "ml.m5.large", serializer=IdentitySerializer("image/jpeg"), deserializer=JSONDeserializer()
)
try:
    answers = [predictor.predict(each)["prediction"] for each in asked]
finally:
    predictor.delete_model()
    predictor.delete_endpoint()

with tempfile.TemporaryDirectory() as folder:
    # Transform a folder of images: an answer for each.
    transformer = best.transformer(
        1, "ml.m5.large", accept="application/json", output_path=f"{place}/answers"
    )
    transformer.transform(f"{place}/asked/", content_type="image/jpeg")
    S3Downloader.download(f"{place}/answers/", folder, sagemaker_session=session)
    transformer.delete_model()
    lines = [json.loads(Path(f"{folder}/{number}.jpg.out").read_text())["prediction"] for number in numbers]

    # Outside: the model holds an ONNX file (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(Path(folder) / "model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    network = onnxruntime.InferenceSession(f"{folder}/model/object-detection.onnx")
    data = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    scores, offsets = network.run(None, {"data": data.transpose(0, 3, 1, 2).astype("float32")})
    around = np.load(f"{folder}/model/object-detection.npz")["boxes"]

assert lines == answers
likely = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
centres = around[:, :2] + offsets[..., :2] * 0.1 * around[:, 2:]
sides = around[:, 2:] * np.exp(offsets[..., 2:] * 0.2)
boxes = np.concatenate((centres - sides / 2, centres + sides / 2), axis=2).clip(0, 1)
for chances, corners, found in zip(likely[..., 1:], boxes, answers, strict=True):
    np.testing.assert_allclose(found[0][1], chances.max(), atol=1e-3)
    for kind, chance, *box in found:  # each is one of the network's boxes; the others overlap a likelier one
        away = np.abs(np.column_stack([chances[:, int(kind)] - chance, corners - box])).max(axis=1)
        assert away.min() < 1e-3, (kind, chance, box)

print(f"score     validation:mAP {score:.3f} after 4 epochs of 12 squares; the README takes more")
print(f"tuned     {trials[['optimizer', 'FinalObjectiveValue']].to_dict('records')}")
print(f"best      optimizer {trials.optimizer.iloc[0]}")
print(f"first     a coin, likely by {answers[0][0][1]:.2f} at {np.round(answers[0][0][2:], 2)}")
print(f"outside   ONNX says the same of {len(asked)} squares as endpoint and transform")
