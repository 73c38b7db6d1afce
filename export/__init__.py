"""From a trained run to the files that servers, phones and browsers load."""
