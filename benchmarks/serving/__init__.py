"""Speed and size of the prediction service, beside the least and the usual that could answer."""
