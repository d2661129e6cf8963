"""Programs that measure what the tests cannot assert: quality, the gate, time and memory."""
