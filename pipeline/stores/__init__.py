"""Where datasets and models are kept: a folder or S3."""
