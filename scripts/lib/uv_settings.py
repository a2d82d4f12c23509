"""Prints the settings of pip (files and PIP_* variables) as the variables that uv reads.

uv does not read those of pip: without this an environment would not come from the mirror, the
certificate or the folder of wheels that pip has been given. A variable that is set stays.

    eval "$(python scripts/lib/uv_settings.py)"
"""

import ast
import os
import shlex
import subprocess
import sys

# pip's setting -> uv's variable, and what separates several values there.
VARIABLES = {
    "cert": ("SSL_CERT_FILE", " "),
    "constraint": ("UV_CONSTRAINT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
}
SECTIONS = ("global", "install", ":env:")  # the later take precedence


def variables() -> dict[str, str]:
    """uv's variables for what pip has been told; those that the environment sets are left out."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    config = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # Among all indexes pip takes the highest version; uv would ask one after another.
    found = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for wanted in SECTIONS:
        for line in config.splitlines():  # such as global.timeout='60'
            key, _, value = line.partition("=")
            section, _, name = key.partition(".")
            if section == wanted and name in VARIABLES:
                variable, separator = VARIABLES[name]
                found[variable] = separator.join(ast.literal_eval(value).split())
    return {name: value for name, value in found.items() if name not in os.environ}


def main() -> None:
    """Prints an `export` for each variable."""
    for name, value in variables().items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
