#!/usr/bin/env python3
"""The peer of compare_search.py: scikit-learn on the same work; prints one JSON object.

    search_peer.py scaler ROWS COLUMNS            StandardScaler, fit and transform in memory, one process
    search_peer.py path VECTORS.h5                logistic regression for 20 C, 5 folds, joblib with two processes
    search_peer.py pipeline DOCS LABELS N         N of the 576 candidates, 5 folds, joblib with two processes
"""
import json
import sys
import time
import warnings

import numpy as np


def folds():
    from sklearn.model_selection import StratifiedKFold
    return StratifiedKFold(5, shuffle=True, random_state=0)


def scaler(rows, columns):
    from sklearn.preprocessing import StandardScaler
    x = np.random.RandomState(0).standard_normal((rows, columns))
    start = time.perf_counter()
    fitted = StandardScaler().fit(x)
    fit = time.perf_counter() - start
    fitted.transform(x)
    return {"fit": fit, "seconds": time.perf_counter() - start}


def searched(estimator, grid, x, y):
    from sklearn.model_selection import GridSearchCV
    warnings.filterwarnings("ignore")
    search = GridSearchCV(estimator, grid, cv=folds(), n_jobs=2, refit=False)
    start = time.perf_counter()
    search.fit(x, y)
    means = search.cv_results_["mean_test_score"]
    return {"seconds": time.perf_counter() - start, "best": float(np.max(means)), "means": means.tolist(),
            "fits": len(means) * 5}


def path(vectors):
    import h5py
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    with h5py.File(vectors) as file:
        x, y = file["vectors"][:].astype(np.float64), file["labels"].asstr()[:]
    steps = [("scale", StandardScaler()), ("logistic", LogisticRegression(max_iter=1000))]
    return searched(Pipeline(steps), {"logistic__C": np.logspace(-3, 1.5, 20)}, x, y)


def pipeline(docs, labels, count):
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    x = np.array(open(docs, encoding="utf-8").read().splitlines(), dtype=object)
    y = np.array(open(labels, encoding="utf-8").read().splitlines())
    weights = [{"sublinear_tf": False}, {"sublinear_tf": True}, {"use_idf": False}]
    terms = [{"ngram_range": (1, n), "min_df": df} for n in (1, 2) for df in (5, 20)]
    ks, cs = [50, 80, 110, 140, 170, 200], np.logspace(-3, 0.5, 8)
    everything = [(w, t, k, c) for w in weights for t in terms for k in ks for c in cs]
    # A sample spread evenly over the grid: each of its rows is a candidate of its own.
    chosen = [everything[i] for i in np.random.RandomState(1).permutation(len(everything))[:count]]
    steps = [("tfidf", TfidfVectorizer(max_df=.5, max_features=100000)), ("lsi", TruncatedSVD(random_state=0)),
             ("scale", StandardScaler()), ("logistic", LogisticRegression(max_iter=1000))]
    grid = [{**{f"tfidf__{n}": [v] for n, v in {**w, **t}.items()}, "lsi__n_components": [k], "logistic__C": [c]}
            for w, t, k, c in chosen]
    return {**searched(Pipeline(steps), grid, x, y), "candidates": len(everything)}


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    work = {"scaler": scaler, "path": path, "pipeline": pipeline}[what]
    print(json.dumps(work(*(int(a) if a.isdigit() else a for a in arguments))))
