"""Giving a model or a data set away: to a repository of the Hugging Face Hub, or into a folder of the same form."""
