"""What the table `complete` needs: schedules of faults, the broadcast, recorders, frames."""
