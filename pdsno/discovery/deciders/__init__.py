"""What regions and the network make of sightings: pure functions of state, event and facts."""
