"""Replay of training steps without Python: one CUDA graph, or recorded kernels on a CPU."""
