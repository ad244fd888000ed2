#!/usr/bin/env bash
# Every test, from a bare Debian 12: installs what is missing, builds, runs CTest and the Python tests.
set -euo pipefail
cd "$(dirname "$0")/.."

stage() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

stage "packages"
jobs/install_packages.sh

stage "build"
cmake --preset release -DCMSWEEP_TESTS=ON -DCMSWEEP_WERROR=ON >/tmp/cmsweep-configure.$$ 2>&1 || { cat /tmp/cmsweep-configure.$$; exit 1; }
rm -f /tmp/cmsweep-configure.$$
cmake --build --preset release

stage "text"
/usr/bin/python3 jobs/prepare_text.py data/quickstart

stage "tests"
ctest --preset release -j "$(nproc)" --no-tests=error

stage "analysis"
/usr/bin/python3 -m pytest -q analysis tests/analysis

stage "done"
