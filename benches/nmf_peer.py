#!/usr/bin/env python3
"""The peers' side of compare_nmf.py, and the one judge for all. Prints one JSON object.

    nmf_peer.py gensim CORPUS K PASSES          Nmf, chunks of 2000, its defaults
    nmf_peer.py scikit-learn CORPUS K           NMF, nndsvda, coordinate descent, 200 iterations
    nmf_peer.py minibatch CORPUS K PASSES       MiniBatchNMF, batches of 2000
    nmf_peer.py corpuscle CORPUS MODEL          no training: the model is there
    nmf_peer.py pca ROWS.npy K                  PCA, svd_solver="full" and "auto"

CORPUS is a file of corpuscle. CPU seconds are those of training alone, over documents that are in memory already. Error: |V - W H|_F /
|V|_F with the best H for the W found, by scikit-learn's coordinate descent to a tolerance of 1e-6, so that no one is judged by how early its
own inference stops.
"""
import json
import sys
import time

import h5py
import numpy as np
import scipy.sparse


def documents(path):
    """documents x terms"""
    with h5py.File(path) as file:
        group = file["X"]
        return scipy.sparse.csr_matrix((group["data"][:], group["indices"][:], group["indptr"][:]), tuple(group.attrs["shape"]))


def error(v, w):
    """v (documents x terms), w (terms x topics)"""
    from sklearn.decomposition import non_negative_factorization

    w = np.ascontiguousarray(w.T, dtype=np.float64)
    v = v.astype(np.float64)
    h, _, _ = non_negative_factorization(v, H=w, n_components=len(w), update_H=False, init="custom", W=None, tol=1e-6, max_iter=500)
    # |V|^2 - 2 <V, H W> + <H'H, W W'>: H W is dense and is not made.
    squares = v.multiply(v).sum()
    left = squares - 2 * np.sum((v @ w.T) * h) + np.sum((h.T @ h) * (w @ w.T))
    return float(np.sqrt(max(left, 0) / squares))


def gensim(v, k, passes):
    from gensim.matutils import Sparse2Corpus
    from gensim.models.nmf import Nmf

    corpus = list(Sparse2Corpus(v, documents_columns=False))
    names = {term: str(term) for term in range(v.shape[1])}
    begun, used = time.perf_counter(), time.process_time()
    model = Nmf(corpus, num_topics=k, id2word=names, passes=passes, random_state=1, eval_every=None)
    return time.perf_counter() - begun, time.process_time() - used, model._W


def scikit_learn(v, k, passes):
    from sklearn.decomposition import NMF, MiniBatchNMF

    model = NMF(k, init="nndsvda", random_state=1) if passes is None else MiniBatchNMF(
        k, init="nndsvda", batch_size=2000, max_iter=passes, max_no_improvement=None, tol=0, random_state=1)
    begun, used = time.perf_counter(), time.process_time()
    model.fit(v.astype(np.float64))
    return time.perf_counter() - begun, time.process_time() - used, model.components_.T


def pca(path, k):
    from sklearn.decomposition import PCA

    rows, result = np.load(path), {}
    for solver in ("full", "auto"):
        begun, used = time.perf_counter(), time.process_time()
        model = PCA(k, svd_solver=solver, random_state=1).fit(rows)
        result[solver] = {
            "seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - used,
            "explained_variance": model.explained_variance_.tolist(), "components": model.components_.tolist(),
        }
    return result


def main():
    what, path, *rest = sys.argv[1:]
    if what == "pca":
        print(json.dumps(pca(path, int(rest[0]))))
        return
    v = documents(path)
    if what == "corpuscle":
        with h5py.File(rest[0]) as file:
            print(json.dumps({"error": error(v, file["term_topic"][:])}))
        return
    k, passes = int(rest[0]), int(rest[1]) if len(rest) > 1 else None
    seconds, used, w = (gensim if what == "gensim" else scikit_learn)(v, k, passes)
    print(json.dumps({"seconds": seconds, "cpu_seconds": used, "error": error(v, w)}))


if __name__ == "__main__":
    main()
