"""Certificates: files that hold a bound with its proof, and the check of such a file."""
