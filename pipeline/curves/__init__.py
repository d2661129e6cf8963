"""The regressor: one rising curve for each product."""
