#!/usr/bin/env python3
"""The peer's side of compare_wiki.py: gensim's WikiCorpus on a dump. Prints one JSON object.

    gensim_wiki.py build DUMP.xml.bz2 OUT        dump -> OUT.mm and OUT.dict, and OUT.json: title -> distinct tokens
    gensim_wiki.py check CORPUS OUT              how a corpus file of corpuscle compares

`build` does in one process what WikiCorpus does in several: it reads pages, takes their markup off, cuts them into tokens, makes the
dictionary, and writes the matrix. Tokens are kept in memory in between, where gensim's own script (make_wiki) makes them twice. Seconds are
those of that work alone, without the start of Python and its imports.
"""
import bz2
import json
import sys
import time

import gensim
from gensim.corpora import Dictionary, MmCorpus, wikicorpus


def build(dump, out):
    wall, cpu = time.perf_counter(), time.process_time()
    articles = {}
    for title, text, _ in wikicorpus.extract_pages(bz2.BZ2File(dump), ("0",)):
        tokens = wikicorpus.tokenize(wikicorpus.filter_wiki(text))
        skipped = any(title.startswith(name + ":") for name in wikicorpus.IGNORED_NAMESPACES)
        if len(tokens) >= wikicorpus.ARTICLE_MIN_WORDS and not skipped:
            articles[title] = tokens
    parsed = time.process_time() - cpu
    dictionary = Dictionary(articles.values())
    MmCorpus.serialize(f"{out}.mm", (dictionary.doc2bow(tokens) for tokens in articles.values()))
    dictionary.save(f"{out}.dict")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with open(f"{out}.json", "w", encoding="utf-8") as file:
        json.dump({title: sorted(set(tokens)) for title, tokens in articles.items()}, file)
    return {"seconds": wall, "cpu_seconds": cpu, "parse_cpu_seconds": parsed, "articles": len(articles), "tokens": sum(map(len, articles.values())),
            "versions": {"gensim": gensim.__version__, "python": sys.version.split()[0]}}


def check(corpus, out):
    import h5py

    with open(f"{out}.json", encoding="utf-8") as file:
        theirs = {title: set(tokens) for title, tokens in json.load(file).items()}
    with h5py.File(corpus) as file:
        terms = file["terms"].asstr()[:]
        ids = file["ids"].asstr()[:]
        indices, indptr = file["X/indices"][:], file["X/indptr"][:]
    ours = {title: {terms[term] for term in indices[begin:end]} for title, begin, end in zip(ids, indptr, indptr[1:])}
    both = ours.keys() & theirs.keys()
    same = [title for title in both if ours[title] == theirs[title]]
    differ = {title: {"ours": sorted(ours[title] - theirs[title])[:20], "theirs": sorted(theirs[title] - ours[title])[:20]}
              for title in sorted(both) if ours[title] != theirs[title]}
    return {"ours": len(ours), "theirs": len(theirs), "same_articles": ours.keys() == theirs.keys(),
            "same_tokens": len(same) / max(1, len(both)), "differ": differ}


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("build", "check"):
        sys.exit(__doc__)
    mode, first, second = sys.argv[1:]
    print(json.dumps(check(first, second) if mode == "check" else build(first, second)))


if __name__ == "__main__":
    main()
