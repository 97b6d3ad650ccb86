"""Controllers: the edge around the deciders, the three roles, and the process they run in."""
