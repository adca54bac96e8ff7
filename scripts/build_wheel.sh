#!/usr/bin/env bash
# Builds the wheel of the Python package into build/wheel, from the objects of build/release, and installs it with what its
# tests need into a fresh build/venv-python.
# A wheel that Python 3.12 builds serves all later ones: the oldest Python from 3.12 on builds it and the newest one gets
# it, among those on the PATH and pyenv's. Where there is none, python3 builds one for itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# "VERSION PATH" of every Python that can build a module and that the pinned packages know, oldest first.
pythons() {
  local python
  for python in python3.12 python3.13 python3.14 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[234].*/bin/python3; do
    "$python" -c 'import os, sys, sysconfig
assert sys.version_info[:2] in ((3, 12), (3, 13), (3, 14)) and sys.version_info.releaselevel == "final"
assert os.path.exists(sysconfig.get_paths()["include"] + "/Python.h")
print(sys.version.split()[0], sys.executable)' 2>/dev/null || true
  done | sort -V
}

found=$(pythons)
oldest=$(head -n 1 <<<"${found:-3 python3}" | cut -d ' ' -f 2)
newest=$(tail -n 1 <<<"${found:-3 python3}" | cut -d ' ' -f 2)

builder=$(STRATA_PYTHON=$oldest scripts/make_venv.sh wheel)
uv=$(scripts/tools_venv.sh)/bin/uv
export UV_CACHE_DIR=$PWD/build/uv-cache UV_PYTHON_DOWNLOADS=never STRATA_CARGO_TARGET_DIR=$PWD/build/cargo
export CC=${CC:-cc} CXX=${CXX:-c++}  # scikit-build-core would take Python's, and another compiler builds everything anew
rm -rf build/wheel build/venv-python
VIRTUAL_ENV=$builder "$uv" build --wheel --no-build-isolation --python "$builder/bin/python" --out-dir build/wheel \
  -C build-dir=build/release -C cmake.define.STRATA_TESTS=ON . >build/wheel.log 2>&1 || { cat build/wheel.log; exit 1; }
"$uv" venv -q --python "$newest" build/venv-python
VIRTUAL_ENV=build/venv-python "$uv" pip install -q --no-deps -r tests/python/requirements-python.txt \
  -r tests/python/requirements-tasks.txt build/wheel/*.whl
printf '%s, in %s\n' build/wheel/*.whl "$(build/venv-python/bin/python --version)"
