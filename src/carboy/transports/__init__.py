"""How bytes reach sessions, and how sessions reach their clients."""
