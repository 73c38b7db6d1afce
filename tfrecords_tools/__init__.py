"""Converters from the data sets' own files to the record folders that keras_mspose reads."""
