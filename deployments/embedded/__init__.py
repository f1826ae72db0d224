"""The parts that AstrID's servers provide elsewhere, on one machine and with one command."""
