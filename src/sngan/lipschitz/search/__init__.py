"""Search for a point where a network is steep: a lower bound of its Lipschitz constant."""
