"""What a dataset says of itself to people and to machines that find datasets."""
