"""Choosing among recorded runs: `compare` tests their differences, `promote` decides on the champion."""
