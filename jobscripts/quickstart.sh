#!/usr/bin/env bash
# From nothing to topics, on one dispatcher and two workers of this machine:
#
#     bash jobscripts/quickstart.sh
#     CORPUSCLE_OUT=/scratch/first bash jobscripts/quickstart.sh     # results elsewhere than ./quickstart
#
# Sets up, builds, takes the ~63,000 package descriptions of the Debian archive (without apt: the sample in data/), and
# runs build -> tfidf -> lsi -> transform -> index. The topics, the documents nearest to a text and the accounting table of
# the LSI run come last. What is up to date is not made again.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash jobscripts/setup.sh
# shellcheck source=jobscripts/env.sh
. jobscripts/env.sh
cargo build --release --locked

out=${CORPUSCLE_OUT:-$PWD/quickstart}
[[ $out == /* ]] || out=$caller/$out
mkdir -p "$out"

text=$out/debian.jsonl k=200 no_below=5 question="play music from the command line"
bash data/debian-descriptions.sh "$text" || {
    status=$?
    # 3: not to be had on this machine. Anything else is an error.
    ((status == 3)) || exit "$status"
    echo "quickstart: taking the sample corpus instead"
    text=data/sample.jsonl k=6 no_below=2 question="a telescope for faint stars and dust"
}

# A result belongs to the program that made it, not only to the version number.
binary=$(command -v corpuscle)
program="$(corpuscle --version) $(sha256sum <"$binary" | cut -c1-16)"
read -ra launcher <<<"$CORPUSCLE_MPIRUN $CORPUSCLE_MPIRUN_RECOVERY -n 3"

# step OUTPUT INPUT COMMAND...: runs corpuscle COMMAND... -o OUTPUT under MPI, unless OUTPUT is newer than INPUT and was
# made by the same command of the same program. What it says is kept in OUTPUT.log.
step() {
    local output=$1 input=$2
    shift 2
    local command="$program: $*"
    if [[ -s $output && ! $input -nt $output && -e $output.made && $(<"$output.made") == "$command" ]]; then
        echo "quickstart: $output is up to date"
        return
    fi
    echo "quickstart: ${launcher[*]} corpuscle $* -o $output"
    rm -f "$output" "$output.made"
    "${launcher[@]}" "$binary" "$@" -o "$output" 2>&1 | tee "$output.log"
    # Launchers have been seen to return 0 after a rank was killed. The result is renamed into place when it is whole.
    if [[ ! -s $output ]]; then
        echo "quickstart: corpuscle $1 left no $output" >&2
        exit 1
    fi
    echo "$command" >"$output.made"
}

step "$out/corpus.h5" "$text" build "$text" --text-field text --id-field id --label-field label --no-below "$no_below"
step "$out/tfidf.h5" "$out/corpus.h5" tfidf "$out/corpus.h5"
step "$out/lsi.h5" "$out/tfidf.h5" lsi "$out/tfidf.h5" -k "$k"
step "$out/vectors.h5" "$out/lsi.h5" transform "$out/lsi.h5" "$out/tfidf.h5"
step "$out/index.h5" "$out/vectors.h5" index "$out/vectors.h5" --model "$out/lsi.h5"

# These read one file: no launcher needed.
echo
corpuscle info "$out/lsi.h5"
echo
corpuscle topics "$out/lsi.h5" -n 20 --words 10
echo
echo "Nearest to \"$question\":"
corpuscle query "$out/index.h5" --text "$question" --top 5 --quiet
echo
sed -n '/^Accounting of lsi/,$p' "$out/lsi.h5.log"
corpuscle report "$out/lsi.h5" --documents "$out/vectors.h5" -o "$out/topics.html"
echo
echo "quickstart: a page to look at it: $out/topics.html"
