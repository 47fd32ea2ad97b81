"""What a client sends: one declaration per noun, its fields marked with their microversions."""
