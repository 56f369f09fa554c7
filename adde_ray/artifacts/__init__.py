"""What a run keeps on disk: its folder, the tables in it, and what tells damage."""
