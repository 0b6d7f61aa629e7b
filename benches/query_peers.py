#!/usr/bin/env python3
"""The peers' side of query.py: faiss and gensim on the files of corpuscle. Prints one JSON object.

    query_peers.py faiss|gensim INDEX QUERIES N NEIGHBOURS

`seconds` of the search alone, and the largest `difference` of a similarity from that in NEIGHBOURS, place by place.
"""
import json
import sys
import time

import h5py
import numpy as np

# Queries that gensim works on at a time.
CHUNK = 256


def with_faiss(documents, queries, wanted):
    import faiss

    faiss.omp_set_num_threads(2)
    index = faiss.IndexFlatIP(documents.shape[1])
    index.add(documents)
    start = time.perf_counter()
    similarities, _ = index.search(queries, wanted)
    return time.perf_counter() - start, similarities, faiss.__version__


def with_gensim(documents, queries, wanted):
    import gensim
    from gensim.similarities import MatrixSimilarity

    index = MatrixSimilarity(None, num_best=wanted, num_features=documents.shape[1], corpus_len=len(documents))
    # What it makes of a corpus, without the hour that this takes document by document.
    index.index = documents
    similarities = []
    start = time.perf_counter()
    for begin in range(0, len(queries), CHUNK):
        similarities += index[queries[begin:begin + CHUNK]]
    seconds = time.perf_counter() - start
    return seconds, np.array([[similarity for _, similarity in best] for best in similarities]), gensim.__version__


def main():
    peer, index, queries, wanted, neighbours = sys.argv[1:]
    with h5py.File(index) as file:
        documents = file["vectors"][:]
    with h5py.File(queries) as file:
        queries = file["vectors"][:]
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-30)
    with h5py.File(neighbours) as file:
        ours = file["similarities"][:]
    seconds, similarities, version = {"faiss": with_faiss, "gensim": with_gensim}[peer](documents, queries, int(wanted))
    difference = float(np.abs(ours - similarities).max())
    print(json.dumps({"seconds": seconds, "difference": difference, "version": version}))


if __name__ == "__main__":
    main()
