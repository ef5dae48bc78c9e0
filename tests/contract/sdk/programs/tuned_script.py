"""The script that both SDKs tune."""

SCRIPT = """
import argparse, joblib, os
import pandas as pd
from sklearn.tree import DecisionTreeClassifier
parser = argparse.ArgumentParser()
parser.add_argument("--max-depth", type=int)
parser.add_argument("--criterion")
given = parser.parse_args()
rows = pd.read_csv(os.environ["SM_CHANNEL_TRAIN"] + "/train.csv", header=None).to_numpy()
model = DecisionTreeClassifier(max_depth=given.max_depth, criterion=given.criterion)
model.fit(rows[:200, 1:], rows[:200, 0])
print(f"accuracy={model.score(rows[200:, 1:], rows[200:, 0]):.4f};")
joblib.dump(model, os.environ["SM_MODEL_DIR"] + "/model.joblib")
"""
