"""XGBoost on several hosts, with what the container has installed; served by functions of this file."""

import argparse
import json
import os

import xgboost as xgb
from sagemaker_containers import entry_point
from sagemaker_xgboost_container import distributed
from sagemaker_xgboost_container import encoder as xgb_encoders
from sagemaker_xgboost_container.checkpointing import train as checkpointed
from sagemaker_xgboost_container.data_utils import get_dmatrix


def train(params, dtrain, evals, num_boost_round, model_dir, is_master):
    booster = xgb.train(params=params, dtrain=dtrain, evals=evals, num_boost_round=num_boost_round)
    if is_master:
        booster.save_model(model_dir + "/xgboost-model.json")
        print("rounds saved", booster.num_boosted_rounds())


def model_fn(model_dir):
    booster = xgb.Booster()
    booster.load_model(os.path.join(model_dir, "xgboost-model.json"))
    return booster


def input_fn(request_body, request_content_type):
    if request_content_type == "text/libsvm":
        return xgb_encoders.libsvm_to_dmatrix(request_body)
    return xgb_encoders.csv_to_dmatrix(request_body)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--max_depth", type=int)
    parser.add_argument("--num_round", type=int)
    parser.add_argument("--model_dir", type=str, default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--train", type=str, default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--sm_hosts", type=str, default=os.environ.get("SM_HOSTS"))
    parser.add_argument("--sm_current_host", type=str, default=os.environ.get("SM_CURRENT_HOST"))
    args, _ = parser.parse_known_args()
    sm_hosts = json.loads(args.sm_hosts)

    dtrain = get_dmatrix(args.train, "libsvm")
    params = {"max_depth": args.max_depth, "objective": "binary:logistic"}
    given = {
        "params": params,
        "dtrain": dtrain,
        "evals": [(dtrain, "train")] if dtrain else [],
        "num_boost_round": args.num_round,
        "model_dir": args.model_dir,
    }
    if len(sm_hosts) > 1:
        entry_point._wait_hostname_resolution(sm_hosts)
        distributed.rabit_run(
            exec_fun=train,
            args=given,
            include_in_training=(dtrain is not None),
            hosts=sm_hosts,
            current_host=args.sm_current_host,
            update_rabit_args=True,
        )
    else:
        train(**given, is_master=True)
        short = {"params": params, "dtrain": dtrain, "num_boost_round": 1}
        rounds = [
            checkpointed({**short, "num_boost_round": n}, "/opt/ml/checkpoints").num_boosted_rounds()
            for n in (1, 5)
        ]
        assert rounds == [1, 5], rounds
