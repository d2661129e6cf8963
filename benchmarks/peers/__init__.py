"""Our service beside other model servers."""
