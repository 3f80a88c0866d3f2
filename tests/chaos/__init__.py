"""What is done to the recorder by tests.test_power_cut and tests.test_chaos, and the reckoning."""
