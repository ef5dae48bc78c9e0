"""DeepAR: forecasts of many related time series."""
