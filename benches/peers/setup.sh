#!/usr/bin/env bash
# Sets up the peers of `cargo bench --bench sources`: two Python environments with pinned versions.
#
#   benches/peers/setup.sh [FOLDER]      default: $CHUDONG_BENCH_DIR, or target/bench
#
# A second call does nothing. The benchmark calls this script itself.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-${CHUDONG_BENCH_DIR:-$here/../../target/bench}}
python=${PYTHON:-python3}
mkdir -p "$folder"

# Makes the environment $1 with the requirements $2, unless that was done.
environment() {
  local venv=$folder/$1 requirements=$here/$2
  cmp --silent "$requirements" "$venv/installed.txt" && return 0
  echo "setup.sh: installing $(grep -cv '^#' "$requirements") packages into $venv" >&2
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$requirements" >&2
  cp "$requirements" "$venv/installed.txt"
}

environment venv requirements.txt
environment venv-sqlite requirements-sqlite.txt
