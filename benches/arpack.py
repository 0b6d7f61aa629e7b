#!/usr/bin/env python3
"""The peer's side of compare_lsi.py: scikit-learn and scipy on a corpus file of corpuscle. Prints one JSON object.

    arpack.py fit CORPUS K          TruncatedSVD(algorithm="arpack"), seconds of fit alone
    arpack.py reference CORPUS K    scipy's svds at tolerance 1e-10: the singular values taken as exact
    arpack.py check CORPUS MODEL    an LSI model from its files by numpy: residuals, orthogonality
"""
import json
import sys
import time

import h5py
import numpy as np
import scipy
import scipy.sparse as sparse
import sklearn
from scipy.sparse.linalg import svds
from sklearn.decomposition import TruncatedSVD


def corpus(path):
    """The weighted corpus, documents x terms, in f64."""
    with h5py.File(path) as file:
        group = file["X"]
        arrays = group["data"][:].astype(np.float64), group["indices"][:], group["indptr"][:]
        return sparse.csr_matrix(arrays, shape=tuple(group.attrs["shape"]))


def fit(path, k):
    matrix = corpus(path)
    start = time.perf_counter()
    svd = TruncatedSVD(k, algorithm="arpack", random_state=1).fit(matrix)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "singular_values": svd.singular_values_.tolist(), "versions": versions()}


def reference(path, k):
    matrix = corpus(path)
    # A fixed start and a wide search space: the same figures each time, converged in few restarts.
    start = np.random.default_rng(0).standard_normal(min(matrix.shape))
    values = svds(matrix, k=k, tol=1e-10, v0=start, ncv=2 * k + 20, return_singular_vectors=False)
    return {"singular_values": sorted(values.tolist(), reverse=True), "versions": versions()}


def check(path, model):
    matrix = corpus(path)
    with h5py.File(model) as file:
        left = file["left_vectors"][:].astype(np.float64)  # terms x k
        values = file["singular_values"][:].astype(np.float64)
        stated = file["residuals"][:].astype(np.float64)
    # With A = matrix^T (terms x documents): |A A^T u - s^2 u| / s^2.
    residuals = np.linalg.norm(matrix.T @ (matrix @ left) - left * values**2, axis=0) / values**2
    return {
        "corpus": {"documents": matrix.shape[0], "terms": matrix.shape[1], "nonzeros": matrix.nnz},
        "singular_values": values.tolist(),
        "residuals": residuals.tolist(),
        "stated_residuals": stated.tolist(),
        "residual_difference": float(np.max(np.abs(stated - residuals) / residuals)),
        "orthogonality": float(np.abs(left.T @ left - np.eye(left.shape[1])).max()),
    }


def versions():
    return {module.__name__: module.__version__ for module in (np, scipy, sklearn)}


def main():
    match sys.argv[1:]:
        case ["fit", path, k]:
            result = fit(path, int(k))
        case ["reference", path, k]:
            result = reference(path, int(k))
        case ["check", path, model]:
            result = check(path, model)
        case _:
            sys.exit(__doc__)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
