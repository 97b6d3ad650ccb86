"""What holds for every test."""

import os

from hypothesis import settings

# CI tries the same examples each time, so that it fails for what was changed and nothing else; who
# works on the code explores. A failure found that way becomes an example of its own.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):  # noqa: TID251  # whether this is CI is no setting of ours
    settings.load_profile("ci")
