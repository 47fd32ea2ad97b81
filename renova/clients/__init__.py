"""Other services of the cloud, as seen from here."""
