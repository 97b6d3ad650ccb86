"""What `pdsno demo` needs besides the product: agents, a small network, and the story it tells."""
