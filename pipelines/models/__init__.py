"""Where weights come from, whatever the family: catalogue, licences, files, hardware, precision."""
