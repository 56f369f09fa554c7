"""Dataset folders of Hugging Face."""
