"""Random events of governed change, for whoever folds them."""

import sys
from pathlib import Path

from hypothesis import strategies as st

from streams.event import REGISTRY

sys.path.append(str(Path(__file__).parents[1] / "projections"))

from governed import FIELDS  # the path comes first

_CLASSES = {cls.declared.name: cls for cls in REGISTRY.values()}
EVENTS = st.one_of(
    *(
        st.fixed_dictionaries(fields).map(_CLASSES[name].model_validate)
        for name, fields in FIELDS.items()
        if name.partition(".")[0] in {"change", "token", "execution", "approval", "emergency"}
    )
)
