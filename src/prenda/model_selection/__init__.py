"""Model selection: `compare` tests the differences between recorded runs, `promote` decides on the champion."""
