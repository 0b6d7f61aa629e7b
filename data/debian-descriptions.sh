#!/usr/bin/env bash
# The English package descriptions of the Debian archive, labelled by archive section: about 63,000 short technical
# texts, 26 MB, available on any machine with apt.
#
#     bash data/debian-descriptions.sh OUT.jsonl
#
# One JSON object a line, sorted by id: {"id": package, "label": section, "text": synopsis and long description}.
# The lists come from the archives this machine's apt is set up for, into a private folder: the system's own lists
# (which on minimal systems lack the translations that hold the long descriptions) are neither used nor changed, and
# root is not needed. The same lists give the same bytes. An OUT that exists is kept.
#
# Exit status: 0 done, 3 there is no apt, or it could not fetch the lists (use data/sample.jsonl instead).
set -euo pipefail
readonly unavailable=3

if (($# != 1)); then
    echo "usage: debian-descriptions.sh OUT.jsonl" >&2
    exit 2
fi
out=$1
if [[ -s $out ]]; then
    echo "debian-descriptions: $out is there already" >&2
    exit 0
fi
helper=/usr/lib/apt/apt-helper
if ! command -v apt-get >/dev/null || [[ ! -x $helper ]]; then
    echo "debian-descriptions: no apt on this machine" >&2
    exit "$unavailable"
fi

private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
mkdir -p "$private/lists/partial" "$private/cache/archives/partial" "$(dirname "$out")"
# As root apt would fetch as another user, who cannot enter the private folder.
options=(-o Acquire::Languages=en -o "Dir::State::lists=$private/lists/" -o "Dir::Cache=$private/cache/" -o "APT::Sandbox::User=root")
if ! apt-get -qq "${options[@]}" update >&2 || ! compgen -G "$private/lists/*_i18n_Translation-en*" >/dev/null; then
    echo "debian-descriptions: apt could not fetch its package lists with English descriptions" >&2
    exit "$unavailable"
fi

# apt keeps lists in whatever compression the archive offers; its helper reads them all.
for kind in Packages Translation-en; do
    "$helper" cat-file "$private"/lists/*_"$kind"* >"$private/$kind"
done
python3 - "$private/Packages" "$private/Translation-en" >"$private/out.jsonl" <<'PYTHON'
"""Joins sections (Packages) with descriptions (Translation-en) by package and description checksum."""
import json
import sys


def stanzas(path):
    """The stanzas of a Debian control file as dictionaries; continuation lines stay joined by newlines."""
    fields, name = {}, None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if not line:
                if fields:
                    yield fields
                fields, name = {}, None
            elif line[0] in " \t" and name:
                fields[name] += "\n" + line[1:]
            else:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
    if fields:
        yield fields


def clean(description):
    """One line of text; lines that hold a single dot stand for empty ones."""
    lines = (line.strip() for line in description.split("\n"))
    return " ".join(line for line in lines if line not in ("", "."))


packages, translations = sys.argv[1:]
sections = {}
for stanza in stanzas(packages):
    # "contrib/net" is the section net of another area of the archive.
    section = stanza.get("Section", "unknown").rpartition("/")[2]
    sections.setdefault((stanza["Package"], stanza.get("Description-md5")), set()).add(section)

# Several suites may describe one package in several versions. The choice must not depend on the order or the names of
# the lists: the smallest wins.
documents = {}
for stanza in stanzas(translations):
    name = stanza["Package"]
    for section in sections.get((name, stanza["Description-md5"]), ()):
        entry = (section, clean(stanza["Description-en"]))
        documents[name] = min(entry, documents.get(name, entry))
for name, (section, text) in sorted(documents.items()):
    print(json.dumps({"id": name, "label": section, "text": text}, ensure_ascii=False))
PYTHON
if [[ ! -s $private/out.jsonl ]]; then
    echo "debian-descriptions: apt's lists hold no English descriptions" >&2
    exit "$unavailable"
fi
# Copied beside its place, then renamed: OUT is whole or not there.
cp "$private/out.jsonl" "$out.part"
mv "$out.part" "$out"
echo "debian-descriptions: $(wc -l <"$out") documents in $out" >&2
