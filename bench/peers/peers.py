"""Trains others' learners on rows that bench/peers.ts has written down, on one thread, and writes their scores beside them.

usage: peers.py FOLDER, which holds rows.parquet and plan.json: {"parts": [{"name", "features": [...], "peers": {PEER: times}}]}; for each part the places
of its rows in NAME.train.i32 and NAME.test.i32. Leaves NAME.PEER.f64 (a score for each test row) and peers.json.
"""

import json
import os
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
import pandas as pd
import sklearn
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits

MAKERS = {
    "hgb": lambda: HistGradientBoostingClassifier(random_state=0),
    "hgb-100": lambda: HistGradientBoostingClassifier(random_state=0, early_stopping=False),
    "rf": lambda: RandomForestClassifier(random_state=0, n_jobs=1),
    "xgb": lambda: xgboost.XGBClassifier(tree_method="hist", n_jobs=1),
}


def main(folder):
    with open(os.path.join(folder, "plan.json"), encoding="utf-8") as file:
        plan = json.load(file)
    frame = pd.read_parquet(os.path.join(folder, "rows.parquet")).sort_values("id")
    labels = frame["fraud"].to_numpy()
    results = []
    for part in plan["parts"]:
        values = frame[part["features"]].to_numpy(dtype=np.float64, na_value=np.nan)
        places = {
            side: np.fromfile(os.path.join(folder, f"{part['name']}.{side}.i32"), dtype=np.int32)
            for side in ("train", "test")
        }
        x, y = np.ascontiguousarray(values[places["train"]]), labels[places["train"]]
        for peer, times in part["peers"].items():
            wall, cpu = [], []
            for _ in range(times):
                model = MAKERS[peer]()
                wall_start, cpu_start = time.perf_counter(), time.process_time()
                model.fit(x, y)
                wall.append(1000 * (time.perf_counter() - wall_start))
                cpu.append(1000 * (time.process_time() - cpu_start))
            scores = model.predict_proba(values[places["test"]])[:, 1].astype(np.float64)
            scores.tofile(os.path.join(folder, f"{part['name']}.{peer}.f64"))
            truth = labels[places["test"]]
            results.append(
                {
                    "part": part["name"],
                    "peer": peer,
                    "wallMs": wall,
                    "cpuMs": cpu,
                    "averagePrecision": average_precision_score(truth, scores),
                    "rocAuc": roc_auc_score(truth, scores),
                }
            )
    versions = {"scikit-learn": sklearn.__version__, "xgboost": xgboost.__version__, "numpy": np.__version__}
    with open(os.path.join(folder, "peers.json"), "w", encoding="utf-8") as file:
        json.dump({"versions": versions, "results": results}, file)


if __name__ == "__main__":
    with threadpool_limits(1):
        main(sys.argv[1])
