#!/usr/bin/env python3
"""The peer's side of compare_gensim.py: gensim's LsiModel on a corpus file of corpuscle. Prints one JSON object.

    gensim_lsi.py CORPUS K CHUNKSIZE

Seconds are those of LsiModel alone, over documents that are in memory already as gensim wants them.
"""
import json
import sys
import time

import gensim
import h5py
import numpy as np
from gensim.models import LsiModel


def documents(path):
    """The weighted corpus as lists of (term, weight), and its number of terms."""
    with h5py.File(path) as file:
        group = file["X"]
        data, indices, indptr = group["data"][:].astype(np.float64), group["indices"][:], group["indptr"][:]
        terms = int(group.attrs["shape"][1])
    ends = zip(indptr[:-1].tolist(), indptr[1:].tolist())
    return [list(zip(indices[a:b].tolist(), data[a:b].tolist())) for a, b in ends], terms


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    path, k, chunksize = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    corpus, terms = documents(path)
    dictionary = {term: str(term) for term in range(terms)}
    start = time.perf_counter()
    model = LsiModel(corpus, num_topics=k, id2word=dictionary, chunksize=chunksize, onepass=True, random_seed=1)
    seconds = time.perf_counter() - start
    vectors = model.projection.u
    # What the vectors hold, whatever is said of them: ||A^T u|| of each, by gensim's documents.
    held = np.zeros(vectors.shape[1])
    for first in range(0, len(corpus), 1000):
        part = gensim.matutils.corpus2csc(corpus[first:first + 1000], num_terms=terms)
        held += np.square(part.T @ vectors).sum(axis=0)
    print(json.dumps({
        "seconds": seconds,
        "singular_values": model.projection.s.tolist(),
        "energy": float(held.sum()),
        "versions": {module.__name__: module.__version__ for module in (np, gensim)},
    }))


if __name__ == "__main__":
    main()
