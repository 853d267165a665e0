"""The servers that users of MLServer, Ray Serve and LitServe would write; run where those are."""
