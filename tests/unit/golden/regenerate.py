"""Write the golden files anew, deliberately: `python tests/unit/golden/regenerate.py`.

A file that exists and differs means that the wire format changed, and what is in the logs of others
cannot be read any more: that wants a new version of the event. So only what is missing is written;
`--overwrite` is for what no log holds yet.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parent)]

from golden import EVENTS, all_files  # noqa: E402  # the path comes first


def main() -> int:
    overwrite = "--overwrite" in sys.argv[1:]
    EVENTS.mkdir(exist_ok=True)
    left = 0
    for path, text in all_files().items():
        if path.exists() and path.read_text() == text:
            continue
        if path.exists() and not overwrite:
            print(f"differs, and is left as it is: {path.name}")
            left += 1
        else:
            path.write_text(text)
            print(f"written: {path.name}")
    return 1 if left else 0


sys.exit(main())
