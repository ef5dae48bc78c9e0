"""Services of AWS that Clary answers for: a folder a service, a file a noun."""
