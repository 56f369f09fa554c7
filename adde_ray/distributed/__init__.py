"""What runs on Ray: the session, tasks, training with its checkpoint, and pools of actors."""
