"""How Soul is set up and run: profiles, pinned environments, and the installed command `soul`."""
