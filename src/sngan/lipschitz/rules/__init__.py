"""Rules: the Lipschitz constant of each kind of module, function and combination of tensors."""
