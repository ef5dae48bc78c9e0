"""What every floor stands on: settings, errors, ids, ARNs, clock, the folder registry."""
