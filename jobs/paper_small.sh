#!/usr/bin/env bash
# The paper's twelve experiments and their corrected versions at a size that two cores run in under an hour, into one store,
# results/paper-small.h5: trajectories and rows that several configs want are computed once. Stopped at any time, it continues.
# Then makes the compact copy that the table and the figures are drawn from, and these.
# usage: paper_small.sh      (after jobs/quickstart.sh, which builds and prepares the text; CMSWEEP names another program)
set -euo pipefail
cd "$(dirname "$0")/.."

program=${CMSWEEP:-build/release/bin/cmsweep}
ranks=${RANKS:-$(($(nproc) + 1))}   # rank 0 only dispatches and sleeps
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMPI_MCA_mpi_yield_when_idle=1
root=()
if [ "$(id -u)" -eq 0 ]; then root=(--allow-run-as-root); fi

jobs/install_packages.sh text analysis
/usr/bin/python3 jobs/prepare_text.py data/quickstart

# e01 and c06-four come first: they ask for every degree of the trajectories that the others share.
configs=(e01 c06-four e02 e03 e04 e05 e06 e07 c01-similarity c03-controls c02-span c02-experts e08 e09 e10 e11 e12 c04-full
         c07-barrier c10-references c11-code-models c05-constant)
for config in "${configs[@]}"; do
  printf '\n== %s (%d s)\n' "$config" "$SECONDS"
  mpirun "${root[@]}" --oversubscribe -n "$ranks" "$program" "configs/paper-small/$config.toml"
done

printf '\n== table and figures (%d s)\n' "$SECONDS"
page=analysis/paper-small
"$program" verify results/paper-small.h5
h5repack -m 1024 -f GZIP=6 results/paper-small.h5 "$page/paper-small.h5.new"
# The copy is passed on: it names the config by its place in the project, not on this machine.
/usr/bin/python3 - "$page/paper-small.h5.new" "configs/paper-small/${configs[-1]}.toml" <<'PYTHON'
import sys
import h5py
import numpy

with h5py.File(sys.argv[1], "r+") as file:
    file["environment"].attrs["config_file"] = numpy.bytes_(sys.argv[2])
PYTHON
mv "$page/paper-small.h5.new" "$page/paper-small.h5"
/usr/bin/python3 analysis/paper.py "$page/paper-small.h5" -o "$page/README.md"
/usr/bin/python3 analysis/figures.py --outside-plan "$page/paper-small.h5" -o results/paper-small-figures
# A few for the page, with a palette instead of true colours: half the size.
/usr/bin/python3 - "$page" <<'PYTHON'
import sys
from PIL import Image

FIGURES = {"interpolation": "best_interpolation_against_degree-code+math-doctest", "similarity": "similarity_against_degree-code+math",
           "span": "span_at_equal_cost-code-short+math-short-doctest", "prediction": "similarity_and_merge_gap-doctest",
           "families": "best_merge_against_degree-code+math-doctest", "cost": "cost_quality-code+math-doctest"}
for name, figure in FIGURES.items():
    with Image.open(f"results/paper-small-figures/{figure}.png") as image:
        image.convert("RGB").quantize(256).save(f"{sys.argv[1]}/{name}.png", optimize=True)
PYTHON
echo "store:   $PWD/results/paper-small.h5, compact: $PWD/$page/paper-small.h5"
echo "table:   $PWD/$page/README.md"
echo "figures: $PWD/results/paper-small-figures"
