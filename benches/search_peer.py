#!/usr/bin/env python3
"""The peers of compare_search.py: scikit-learn and dask-ml on the same work; prints one JSON object.

    search_peer.py scaler ROWS COLUMNS            StandardScaler, fit and transform in memory, one process
    search_peer.py path VECTORS.h5                logistic regression for 20 C, 5 folds, joblib with two processes
    search_peer.py pipeline DOCS LABELS N         N of the 576 candidates, 5 folds, joblib with two processes
    search_peer.py shared DOCS LABELS N           N of the 12 groups of 48 candidates that share their terms and weights, 5 folds,
                                                  dask-ml, which fits a shared step once, on two workers of dask
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


def grid_of_pipeline(docs, labels):
    """The estimator, texts and labels; and the grid: 12 settings of terms and weights, 6 k, 8 C."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    x = np.array(open(docs, encoding="utf-8").read().splitlines(), dtype=object)
    y = np.array(open(labels, encoding="utf-8").read().splitlines())
    steps = [("tfidf", TfidfVectorizer(max_df=.5, max_features=100000)), ("lsi", TruncatedSVD(random_state=0)),
             ("scale", StandardScaler()), ("logistic", LogisticRegression(max_iter=1000))]
    weights = [{"sublinear_tf": False}, {"sublinear_tf": True}, {"use_idf": False}]
    terms = [{"ngram_range": (1, n), "min_df": df} for n in (1, 2) for df in (5, 20)]
    settings = [{f"tfidf__{name}": [value] for name, value in {**w, **t}.items()} for w in weights for t in terms]
    return Pipeline(steps), x, y, settings, [50, 80, 110, 140, 170, 200], np.logspace(-3, 0.5, 8)


def pipeline(docs, labels, count):
    estimator, x, y, settings, ks, cs = grid_of_pipeline(docs, labels)
    everything = [(s, k, c) for s in settings for k in ks for c in cs]
    # A sample spread evenly over the grid: each of its rows is a candidate of its own.
    chosen = [everything[i] for i in np.random.RandomState(1).permutation(len(everything))[:count]]
    grid = [{**s, "lsi__n_components": [k], "logistic__C": [c]} for s, k, c in chosen]
    return {**searched(estimator, grid, x, y), "candidates": len(everything)}


def shared(docs, labels, count):
    import dask
    from dask.distributed import Client, LocalCluster
    from dask_ml.model_selection import GridSearchCV
    warnings.filterwarnings("ignore")
    estimator, x, y, settings, ks, cs = grid_of_pipeline(docs, labels)
    chosen = [settings[i] for i in np.random.RandomState(1).permutation(len(settings))[:count]]
    grid = [{**s, "lsi__n_components": ks, "logistic__C": cs} for s in chosen]
    with dask.config.set({"distributed.logging.distributed": "error"}), \
            LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit="8GiB") as cluster, \
            Client(cluster) as client:
        search = GridSearchCV(estimator, grid, cv=folds(), scheduler=client, cache_cv=True, refit=False)
        start = time.perf_counter()
        search.fit(x, y)
        seconds = time.perf_counter() - start
    means = np.asarray(search.cv_results_["mean_test_score"])
    return {"seconds": seconds, "best": float(means.max()), "means": means.tolist(), "fits": len(means) * 5, "groups": len(settings)}


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    work = {"scaler": scaler, "path": path, "pipeline": pipeline, "shared": shared}[what]
    print(json.dumps(work(*(int(a) if a.isdigit() else a for a in arguments))))
