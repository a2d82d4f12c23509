"""Stands in for a program that runs in a fork of a process that has imported vLLM, see `forks.py`.

    python -IS relay.py SOCKET ARGUMENT...

hands its arguments, environment, folder and open files to the process that listens at SOCKET,
passes on the signals that it gets, and ends as the program ends. It imports little, so that it
starts in some 20 ms.
"""

import array
import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main() -> None:
    """Asks for the program, and waits for its end."""
    address, *arguments = sys.argv[1:]
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(address)
    for number in PASSED_ON:
        signal.signal(number, lambda number, frame: connection.sendall(bytes([number])))

    own = connection.fileno()
    files = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 (pathlib is slow)
    files = [file for file in files if file != own and _is_open(file)]
    request = {"arguments": arguments, "environment": dict(os.environ)}
    request["folder"] = os.getcwd()  # noqa: PTH109 (pathlib is slow)
    text = json.dumps({**request, "files": files}).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
    connection.sendmsg([len(text).to_bytes(4, "big")], rights)
    connection.sendall(text)

    status = json.loads(connection.recv(100) or b"-9")  # nothing: that process is gone
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _is_open(file: int) -> bool:
    """Whether a number of /proc/self/fd is still a file; the one that listed them isn't."""
    try:
        os.fstat(file)
    except OSError:
        return False
    return True


main()
