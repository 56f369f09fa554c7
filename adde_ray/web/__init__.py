"""Pages that hold everything they need and load nothing: assembly, the style of charts, pictures of samples."""
