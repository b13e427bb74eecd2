"""x."""
def add_commands(verbs): pass
