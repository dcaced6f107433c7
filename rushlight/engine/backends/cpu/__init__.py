"""The processor: oneDNN, threads, memory."""
