"""How the search's own work grows: decisions at a thousand trials, start-up of its commands."""
