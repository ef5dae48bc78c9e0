"""How the inference toolkit loads the model, and what it answers: each number to the power trained."""

import json
from pathlib import Path

from sagemaker_inference.default_inference_handler import DefaultInferenceHandler


class Inference(DefaultInferenceHandler):
    def default_model_fn(self, model_dir, context=None):
        return json.loads((Path(model_dir) / "model.json").read_text())

    def default_predict_fn(self, data, model, context=None):
        return data ** model["power"]
