"""Tables of regional features and their harmonisation by ComBat."""
