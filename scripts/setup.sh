#!/usr/bin/env bash
# Installs what building strata needs on Debian 12 (Ubuntu 24.04 too): compilers, libraries, Rust, Node for the report's page.
# Run it as often as you like: when nothing is missing it changes nothing and asks for no rights.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/setup.sh [--dev]

  --dev   also what the tests need: clang (fuzzing, sanitizers), clang-format, ccache, chromium (the report in a browser)

Installs Debian packages that are missing, as root or through sudo. Without either it lists them and exits with 1.
EOF
}

packages=(cmake ninja-build g++ pkg-config libeigen3-dev nlohmann-json3-dev libcli11-dev libfmt-dev
  libcurl4-openssl-dev libssl-dev libopenmpi-dev openmpi-bin libgtest-dev libbenchmark-dev python3 python3-venv python3-dev ca-certificates nodejs npm)
case "${1:-}" in
  "") ;;
  --dev) packages+=(clang clang-format libclang-rt-dev ccache git chromium fonts-dejavu-core) ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# version_at_least FOUND WANTED: succeeds when FOUND is WANTED or a later version.
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_packages() {
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "these packages are missing: $*. Install them as root (there is no sudo here)."
    as_root=(sudo)
  fi
  printf 'setup: installing %s\n' "$*" >&2
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
    die "apt-get could not install: $*. Its message is above."
}

# Sets `cargo` to the first cargo that is new enough, rustup's or the distribution's, or to nothing when there is none.
find_cargo() {
  local candidate version
  cargo=
  for candidate in "$(command -v cargo || true)" "$HOME/.cargo/bin/cargo" /usr/bin/cargo; do
    [ -x "$candidate" ] || continue
    version=$("$candidate" --version 2>/dev/null | awk '{print $2}') || continue
    version_at_least "${version:-0}" "$rust_wanted" && cargo=$candidate && return
  done
}

command -v apt-get >/dev/null || die "this is no Debian system (there is no apt-get). Needed are: ${packages[*]}, \
and Rust; install them by hand, then: cmake --preset release && cmake --build --preset release"

missing=()
for package in "${packages[@]}"; do
  # A python3 of the user's own (pyenv, conda) that can make virtual environments serves as well as Debian's.
  # A Node of the user's own serves too when it can build the report's page: Debian's cannot be installed beside it.
  case $package in
    python3-dev) python3 -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_paths()["include"], "Python.h").stat()' 2>/dev/null && continue ;;
    python3 | python3-venv) python3 -c 'import venv, ensurepip' 2>/dev/null && continue ;;
    nodejs | npm) command -v npm >/dev/null && node -e 'process.exit(+(parseInt(process.versions.node) < 18))' && continue ;;
  esac
  installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"

cmake_found=$(cmake --version | awk 'NR == 1 {print $3}')
version_at_least "$cmake_found" 3.25 || die "cmake $cmake_found is too old: 3.25 or newer is needed (Debian 12 has it)."

rust_wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$here/../tokenizer/Cargo.toml" 2>/dev/null || true)
rust_wanted=${rust_wanted:-1.82}
find_cargo
if [ -z "$cargo" ] && apt-cache show cargo-web >/dev/null 2>&1; then
  # Debian 12's own cargo is years older than the crates need; cargo-web is the one kept current for its browsers.
  install_packages cargo-web
  find_cargo
fi
[ -n "$cargo" ] || die "Rust $rust_wanted or newer is needed and no such cargo was found. Install it with rustup \
(https://rustup.rs): curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y"
