"""Time to dispatch: a weekly CSV of orders goes in, predictions come out over HTTP."""
