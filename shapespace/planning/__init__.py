"""What a training will take: memory, time, bytes between ranks."""
