"""Images and satellite tiles in folders."""
