"""Training, evaluation and export. Never imports the service."""
