"""What people and other programs see: read-only folds over plans and runs. No view can reach the engine."""
