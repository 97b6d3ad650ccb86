"""What holds for every test."""

import os

from hypothesis import settings

# No example has a deadline: how long one takes says more about the machine than about the code. CI
# tries the same examples each time, so that it fails for what was changed and nothing else; who
# works on the code explores. A failure found that way becomes an example of its own.
settings.register_profile("work", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "work")  # noqa: TID251  # no setting of ours
