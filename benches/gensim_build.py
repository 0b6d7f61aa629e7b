#!/usr/bin/env python3
"""The peer's side of compare_build.py: gensim from a text to a dictionary and a matrix. Prints one JSON object.

    gensim_build.py stream|memory DOCS.txt OUT       text -> OUT.mm and OUT.dict
    gensim_build.py check CORPUS OUT                 whether a corpus file of corpuscle holds the same

`stream` reads and tokenises the text once for the dictionary and once for the matrix, as gensim's documentation does it;
`memory` tokenises it once and keeps the tokens, which is faster where they fit. Seconds are those of the work alone, without the
start of Python and its imports.
"""
import json
import sys
import time

import gensim
from gensim.corpora import Dictionary, MmCorpus
from gensim.utils import simple_preprocess


def build(mode, docs, out):
    wall, cpu = time.perf_counter(), time.process_time()

    def texts():
        # universal newlines would cut documents where corpuscle does not
        with open(docs, encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield simple_preprocess(line)

    if mode == "memory":
        kept = list(texts())
        again = lambda: kept
    else:
        again = texts
    dictionary = Dictionary(again())
    dictionary.filter_extremes(no_below=5, no_above=0.5, keep_n=100_000)

    class Bags:
        def __iter__(self):
            return (dictionary.doc2bow(text) for text in again())

    MmCorpus.serialize(f"{out}.mm", Bags())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    dictionary.save(f"{out}.dict")
    return {"seconds": wall, "cpu_seconds": cpu, "terms": len(dictionary), "documents": dictionary.num_docs,
            "versions": {"gensim": gensim.__version__, "python": sys.version.split()[0]}}


def check(corpus, out):
    import h5py
    import numpy as np

    dictionary, matrix = Dictionary.load(f"{out}.dict"), MmCorpus(f"{out}.mm")
    with h5py.File(corpus) as file:
        terms = [term.decode() for term in file["terms"][:]]
        data, indices, indptr = (file["X"][name][:] for name in ("data", "indices", "indptr"))
    rows = [[], []]
    lengths = []
    for document in matrix:
        lengths.append(len(document))
        rows[0].extend(term for term, _ in document)
        rows[1].extend(count for _, count in document)
    return {
        "terms": len(terms),
        "nonzeros": len(data),
        "same_dictionary": terms == [dictionary[at] for at in range(len(dictionary))],
        "same_matrix": bool(np.array_equal(np.diff(indptr), lengths) and np.array_equal(indices, rows[0])
                            and np.array_equal(data, rows[1])),
    }


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("stream", "memory", "check"):
        sys.exit(__doc__)
    mode, first, second = sys.argv[1:]
    print(json.dumps(check(first, second) if mode == "check" else build(mode, first, second)))


if __name__ == "__main__":
    main()
