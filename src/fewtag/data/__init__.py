"""Files -> sentences -> draws. No torch."""
