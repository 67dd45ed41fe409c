"""Local bounds: Lipschitz constants on a ball or a box, by slopes that the inputs can reach."""
