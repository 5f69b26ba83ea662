"""What a profile takes, before anybody starts: steps, memory, time and disk."""
