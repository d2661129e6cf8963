"""What every stage needs: settings, logging, errors, progress, alerts."""
