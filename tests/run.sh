#!/usr/bin/env bash
# Every test, from a bare Debian 12: installs what is missing, builds, runs CTest, the quickstart, the Python tests, the sanitized
# build's tests and the fuzz tests. Prints how long each stage took.
set -euo pipefail
cd "$(dirname "$0")/.."

times=()
current=""
started=0
stage_ends() {
  [ -n "$current" ] || return 0
  local seconds=$((SECONDS - started))
  printf -- '-- %s took %d s\n' "$current" "$seconds"
  times+=("$(printf '%6d s  %s' "$seconds" "$current")")
  current=""
}
stage() {
  stage_ends
  current=$1
  started=$SECONDS
  printf '\n== %s (at %d s)\n' "$1" "$SECONDS"
}
summary() {
  local status=$?
  [ "$status" -eq 0 ] || printf '\n== failed in stage: %s\n' "${current:-none}"
  stage_ends
  printf '\n== times\n'
  printf '%s\n' "${times[@]}"
  printf '%6d s  in all\n' "$SECONDS"
  exit "$status"
}
trap summary EXIT

# Says what a command says only where it fails; `show` picks lines to show where it does not.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then cat "$log"; elif [ -n "${show:-}" ]; then grep -E "$show" "$log"; fi
  rm -f "$log"
  return "$status"
}

stage "packages"
jobs/install_packages.sh

stage "build"
quietly cmake --preset release -DCMSWEEP_TESTS=ON -DCMSWEEP_WERROR=ON
cmake --build --preset release

stage "text"
/usr/bin/python3 jobs/prepare_text.py data/quickstart

stage "tests"
ctest --preset release -j "$(nproc)" --no-tests=error

# On the tree as it is built, so that only the sweep takes its time; the tests of the notebook then read its store. Run again, it
# must find nothing to do.
stage "quickstart"
jobs/quickstart.sh

stage "quickstart again"
show="^everything is done: " quietly jobs/quickstart.sh

stage "analysis"
/usr/bin/python3 -m pytest -q analysis tests/analysis

stage "sanitized build"
quietly cmake --preset asan-parsers -DCMSWEEP_TESTS=ON -DCMSWEEP_WERROR=ON
cmake --build --preset asan-parsers

stage "sanitized tests"
ctest --preset asan-parsers -LE fuzz -j "$(nproc)" --no-tests=error

stage "fuzz"
show="fuzz [a-z_]+: |tests passed" quietly ctest --preset asan-parsers -L fuzz -j "$(nproc)" --no-tests=error -V
