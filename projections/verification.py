"""The process that verifies for an owner who folds (projections/verifier.py).

    python -m projections.verification

Its standard input is the socket to its owner. It imports little: while it starts, a rebuild waits.
"""

import contextlib
import gc
import socket
import sys

from projections.batch import judge
from projections.pipe import receive, send, unpacked
from streams.parent import end_with_parent
from streams.reader import Reader


def main() -> None:
    """Verify what comes in, until the end."""
    with socket.socket(fileno=sys.stdin.fileno()) as to_owner:
        owner, keyring, known = receive(to_owner)
        end_with_parent(owner)
        gc.freeze()
        gc.set_threshold(100_000)  # a delivery is gone before that; nothing here makes cycles
        reader = Reader(keyring, known.recent)
        reader.restore(known.admissions, (), known.roots)
        while (events := receive(to_owner)) is not None:
            send(to_owner, judge(reader, unpacked(*events)))
        send(to_owner, None)


if __name__ == "__main__":
    with contextlib.suppress(EOFError, ConnectionError):
        main()
