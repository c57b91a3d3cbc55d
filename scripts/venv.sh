#!/bin/sh
# Make a virtual environment: scripts/venv.sh DIR PIP-ARGUMENT...
# torch is installed first, at the version of constraints.txt; then whatever the arguments name.
# PYTHON=...       the interpreter to use; without it, the first Python >= 3.11 found.
# CONSTRAINTS=...  a file of versions to keep to; constraints.txt without it.
# TORCH=no         without torch.
# TORCH_FLAGS=...  more flags for the installation of torch, such as an index that has CPU builds.
set -eu

suits() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        if suits "$PYTHON"; then echo "$PYTHON"; return; fi
    else
        for name in python3 python python3.11 python3.12 python3.13 python3.14; do
            if suits "$name"; then echo "$name"; return; fi
        done
    fi
    {
        echo "No suitable Python: ${PYTHON:-$(python3 --version 2>&1 || true)}."
        echo "Allowed: Python 3.11 or newer, with its venv and ensurepip modules (on Debian: the package python3-venv)."
        echo "Next: install one, or name it: make PYTHON=/path/to/python3.12 run"
    } >&2
    return 1
}

dir=$1
shift
python=$(find_python)
echo "Setting up $dir with $("$python" --version) ($python): a few minutes, once."
"$python" -m venv "$dir"
pip() { "$dir/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
if [ "${TORCH:-yes}" != no ]; then
    # shellcheck disable=SC2086  # TORCH_FLAGS is a list of words
    pip install -c "${CONSTRAINTS:-constraints.txt}" torch ${TORCH_FLAGS:-}
fi
pip install -c "${CONSTRAINTS:-constraints.txt}" "$@"
