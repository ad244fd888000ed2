#!/usr/bin/env bash
# Installs the Debian 12 packages that cmsweep needs; does nothing where all are there. Through sudo where not root.
# usage: install_packages.sh [build] [text] [analysis] [tests] [bench]      (default: all but bench)
set -euo pipefail

declare -A packages=(
  [build]="g++ cmake ninja-build pkg-config git ccache libopenmpi-dev openmpi-bin libhdf5-openmpi-dev libeigen3-dev
           libopenblas-dev libtorch-dev libboost-program-options-dev libtomlplusplus-dev nlohmann-json3-dev
           libpcre2-dev libxxhash-dev zlib1g-dev"
  [text]="python3 pari-doc maxima-doc bible-kjv bible-kjv-text perl-doc metamath-databases python3-sympy python3-mpmath"
  [analysis]="python3-h5py python3-numpy python3-pandas python3-xarray python3-h5netcdf python3-matplotlib python3-scipy
              python3-nbclient python3-nbformat python3-ipykernel python3-jinja2 hdf5-tools python3-pil"
  [tests]="libgtest-dev libgmock-dev python3-pytest hdf5-tools procps mount slurmctld slurmd slurm-client munge chromium"
  [bench]="libbenchmark-dev python3-numpy python3-torch"
)
wanted=()
for group in "${@:-build text analysis tests}"; do
  for name in $group; do
    [ -n "${packages[$name]:-}" ] || { echo "install_packages.sh: unknown group '$name': expected build, text, analysis, tests or bench" >&2; exit 2; }
    for package in ${packages[$name]}; do wanted+=("$package"); done
  done
done

missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install_packages.sh: these packages are missing and there is no sudo; ask an administrator for: ${missing[*]}" >&2; exit 2; }
  sudo=(sudo)
fi
echo "installing ${#missing[@]} packages: ${missing[*]}"
"${sudo[@]}" apt-get update -q >/dev/null
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null
