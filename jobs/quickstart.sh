#!/usr/bin/env bash
# From nothing to a verdict: installs what is missing, builds, prepares real text, runs the quickstart sweep, prints the
# verdict table and names the store, the figures and the report. Run again, it says within seconds that everything is done.
set -euo pipefail
cd "$(dirname "$0")/.."

stage() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

stage "packages"
jobs/install_packages.sh build text analysis

stage "build"
if [ ! -f build/release/build.ninja ]; then cmake --preset release -DCMSWEEP_TESTS=OFF >build-log.txt 2>&1 || { cat build-log.txt; exit 3; }; rm -f build-log.txt; fi
cmake --build --preset release --target cmsweep

stage "text"
/usr/bin/python3 jobs/prepare_text.py data/quickstart

stage "sweep"
cores=$(nproc)
ranks=${RANKS:-$((cores + 1))}   # rank 0 only dispatches and sleeps
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
root=()
if [ "$(id -u)" -eq 0 ]; then root=(--allow-run-as-root); fi
status=0
mpirun "${root[@]}" --oversubscribe -n "$ranks" build/release/bin/cmsweep configs/quickstart.toml || status=$?
[ "$status" -le 1 ] || exit "$status"

stage "verdict"
build/release/bin/cmsweep report results/quickstart.h5

stage "figures"
/usr/bin/python3 analysis/figures.py results/quickstart.h5 -o results/quickstart-figures

stage "report"
/usr/bin/python3 analysis/report.py results/quickstart.h5 -o results/quickstart-report.html

stage "done"
echo "store:   $PWD/results/quickstart.h5"
echo "figures: $PWD/results/quickstart-figures"
echo "report:  $PWD/results/quickstart-report.html"
exit "$status"
