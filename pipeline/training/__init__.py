"""Choose, fit and measure a model."""
