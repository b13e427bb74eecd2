"""What crosses from training to serving, defined once: needs numpy and nothing heavier."""
