"""Which model serves each request, and which blocks each site pulls (Common Knowledge)."""
