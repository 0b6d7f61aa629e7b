#!/usr/bin/env python3
"""The peers' side of compare_lda.py, and the one evaluator for all. Prints one JSON object.

    lda_peer.py gensim TRAIN HELD_OUT K PASSES        LdaModel, kappa 0.7, tau0 10, alpha = eta = 0.01
    lda_peer.py tomotopy TRAIN HELD_OUT K ITERATIONS  LDAModel with two workers and its own defaults
    lda_peer.py corpuscle MODEL HELD_OUT              no training: the model is there

Corpora are files of corpuscle. Seconds are those of training alone, over documents that are in memory already. Perplexity:
half of each held-out document's tokens, chosen at random, tells its shares, the other half is scored.
"""
import json
import sys
import time

import h5py
import numpy as np


def counts(path):
    """documents as (terms, counts), and the number of terms"""
    with h5py.File(path) as file:
        group = file["X"]
        data, indices, indptr = group["data"][:].astype(np.int64), group["indices"][:], group["indptr"][:]
        terms = int(group.attrs["shape"][1])
    return [(indices[a:b], data[a:b]) for a, b in zip(indptr[:-1], indptr[1:])], terms


def perplexity(phi, alpha, documents, seed=777):
    """phi (topics x terms, rows sum to 1), alpha (topics)"""
    random, sum_, scored = np.random.RandomState(seed), 0.0, 0
    phi = np.maximum(phi, 0) + 1e-9
    phi /= phi.sum(1, keepdims=True)
    for terms, numbers in documents:
        tokens = np.repeat(np.arange(len(terms)), numbers)
        random.shuffle(tokens)
        half = (len(tokens) + 1) // 2
        known, asked = (np.bincount(part, minlength=len(terms)) for part in (tokens[:half], tokens[half:]))
        rows = phi[:, terms]
        shares = alpha + known.sum() / len(alpha)
        for _ in range(100):
            before = shares
            shares = alpha + shares * (rows @ (known / np.maximum(shares @ rows, 1e-300)))
            if np.abs(shares - before).sum() < 1e-4 * max(known.sum(), 1):
                break
        sum_ += asked @ np.log(np.maximum(shares / shares.sum() @ rows, 1e-300))
        scored += asked.sum()
    return float(np.exp(-sum_ / scored))


def gensim(documents, terms, k, passes):
    from gensim.models import LdaModel

    corpus = [list(zip(a.tolist(), b.tolist())) for a, b in documents if len(a)]
    start = time.perf_counter()
    model = LdaModel(corpus, num_topics=k, id2word={t: str(t) for t in range(terms)}, passes=passes, eval_every=None,
                     random_state=1, decay=0.7, offset=10, alpha=[0.01] * k, eta=0.01)
    return time.perf_counter() - start, model.get_topics().astype(float), np.asarray(model.alpha, float)


def tomotopy(documents, terms, k, iterations):
    import tomotopy

    model = tomotopy.LDAModel(k=k, seed=1)
    for a, b in documents:
        if len(a):
            model.add_doc([str(term) for term in np.repeat(a, b)])
    start = time.perf_counter()
    model.train(iterations, workers=2)
    seconds = time.perf_counter() - start
    phi = np.zeros((k, terms))
    phi[:, [int(term) for term in model.used_vocabs]] = [model.get_topic_word_dist(topic) for topic in range(k)]
    return seconds, phi, np.asarray(model.alpha, float) * np.ones(k)


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "corpuscle":
        with h5py.File(sys.argv[2]) as file:
            seconds, phi, alpha = None, file["topic_word"][:].astype(float), file["alpha"][:]
        held_out, _ = counts(sys.argv[3])
    elif len(sys.argv) == 6 and sys.argv[1] in ("gensim", "tomotopy"):
        documents, terms = counts(sys.argv[2])
        held_out, _ = counts(sys.argv[3])
        seconds, phi, alpha = globals()[sys.argv[1]](documents, terms, int(sys.argv[4]), int(sys.argv[5]))
    else:
        sys.exit(__doc__)
    print(json.dumps({"seconds": seconds, "perplexity": perplexity(phi, alpha, held_out[:2000])}))


if __name__ == "__main__":
    main()
