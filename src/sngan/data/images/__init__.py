"""Images: from encoded bytes to pixels of one size, of 8 bits, without transparency."""
