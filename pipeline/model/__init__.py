"""What both stages agree on: the order, the metadata of a model, its artifact and its reader."""
