"""The domain: controllers, discovery, and the settings they run with."""
