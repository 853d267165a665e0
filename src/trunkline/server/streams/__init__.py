"""Models sent to devices that compute while they arrive: layout, pace, shares of a link, HTTP."""
