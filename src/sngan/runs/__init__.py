"""Run folders on disk: their files, checkpoints, records, locks and generated samples."""
