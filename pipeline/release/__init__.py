"""Whether a model may be published, and publishing it."""
