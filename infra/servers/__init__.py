"""Servers of models: started, watched and restarted as processes of their own environments."""
