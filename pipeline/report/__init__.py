"""What people are told of a training: the report page, its plots, the lines of the log."""
